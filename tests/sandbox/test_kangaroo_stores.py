"""Branches, integrations and branch links of the sandbox's Kangaroo business."""

from typing import Any

import pytest

from devkit.sandbox.kangaroo import VENDOR
from tests.sandbox.kangaroo_client import KangarooClient


@pytest.fixture
def client() -> KangarooClient:
    client = KangarooClient(VENDOR)
    client.sign_in()
    return client


def all_branches(client: KangarooClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.integrations("GET", "/api/v1/branches?per_page=100").json()["data"]
    return found


def branch_id(client: KangarooClient, *, virtual: bool = True) -> str:
    chosen = next(it for it in all_branches(client) if it["virtual_branch_flag"] is virtual)
    return str(chosen["id"])


def integration(client: KangarooClient, name: str = "ABC") -> int:
    answer = client.integrations("POST", "/api/v1/integrations", json={"name": name, "type": 1})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["integration_id"])


def link(client: KangarooClient, **changes: object) -> Any:
    body: dict[str, object] = {"shop_id": "1234", "account_id": "acc-9", **changes}
    body = {name: value for name, value in body.items() if value is not None}
    return client.integrations("POST", "/api/v1/branch-links", json=body)


def test_the_integrations_host_lists_all_branches_with_the_virtual_one_on_the_second_page(
    client: KangarooClient,
) -> None:
    first = client.integrations("GET", "/api/v1/branches").json()
    assert [it["virtual_branch_flag"] for it in first["data"]] == [False] * 15
    assert first["links"]["next"] == "http://sandbox.test/kangaroo-integrations/api/v1/branches?page=2"
    second = client.integrations("GET", "/api/v1/branches?page=2").json()
    assert [it["virtual_branch_flag"] for it in second["data"]] == [False, True]
    assert second["links"]["next"] is None


def test_the_business_host_leaves_virtual_branches_out_unless_requested(client: KangarooClient) -> None:
    plain = client.api("GET", "/branches?per_page=100").json()["data"]
    full = client.api("GET", "/branches?per_page=100&include=virtual_branch").json()["data"]
    assert [it["virtual_branch_flag"] for it in plain] == [False] * 16
    assert full == all_branches(client)


@pytest.mark.parametrize("count", [0, 3])
def test_a_business_may_have_no_virtual_branch_or_several(client: KangarooClient, count: int) -> None:
    client.set("kangaroo", virtual_branches=count, branches=2)
    found = all_branches(client)
    assert [it["virtual_branch_flag"] for it in found] == [False] * 2 + [True] * count
    assert len({it["id"] for it in found}) == 2 + count


def test_an_integration_is_returned_with_its_id_under_both_names(client: KangarooClient) -> None:
    answer = client.integrations("POST", "/api/v1/integrations", json={"name": "ABC", "type": 1})
    assert answer.status_code == 201
    assert answer.json() == {"id": 20, "integration_id": 20, "name": "ABC", "type": 1}
    assert integration(client) == 21


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, {"name", "type"}),
        ({"name": "ABC", "type": 2}, {"type"}),
        ({"name": "ABC", "type": True}, {"type"}),
        ({"name": 7, "type": 1}, {"name"}),
    ],
)
def test_an_integration_needs_a_name_and_type_1(
    client: KangarooClient, body: dict[str, object], names: set[str]
) -> None:
    answer = client.integrations("POST", "/api/v1/integrations", json=body)
    assert (answer.status_code, set(answer.json())) == (422, names)
    assert client.state("kangaroo")["integrations"] == []


def test_a_link_is_returned_bare_and_listed_wrapped(client: KangarooClient) -> None:
    number, branch = integration(client), branch_id(client)
    answer = link(client, branch_id=branch, integration_id=number)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": 1,
        "account_id": "acc-9",
        "shop_id": "1234",
        "store_name": None,
        "store_domain": None,
        "integration_id": number,
        "branch_id": branch,
        "created_at": "2023-11-14T22:13:20Z",
        "enabled": True,
    }
    for path in (f"/api/v1/integrations/{number}/branch-links", "/api/v1/branch-links"):
        assert client.integrations("GET", path).json()["data"] == [answer.json()]


def test_one_integration_may_link_many_shops_to_many_virtual_branches(client: KangarooClient) -> None:
    client.set("kangaroo", virtual_branches=2)
    number = integration(client)
    virtual = [it["id"] for it in all_branches(client) if it["virtual_branch_flag"]]
    for shop, branch in (("a", virtual[0]), ("b", virtual[1]), ("c", virtual[1].upper())):
        assert link(client, shop_id=shop, branch_id=branch, integration_id=number).status_code == 201
    other = integration(client, "DEF")
    assert client.integrations("GET", f"/api/v1/integrations/{other}/branch-links").json()["data"] == []
    listed = client.integrations("GET", f"/api/v1/integrations/{number}/branch-links").json()["data"]
    assert [it["id"] for it in listed] == [1, 2, 3]


def test_a_shop_is_linked_once_per_integration(client: KangarooClient) -> None:
    client.set("kangaroo", virtual_branches=2)
    number = integration(client)
    first, second = (it["id"] for it in all_branches(client) if it["virtual_branch_flag"])
    assert link(client, branch_id=first, integration_id=number).status_code == 201
    for branch in (first, second):
        answer = link(client, branch_id=branch, integration_id=number)
        assert answer.status_code == 422
        assert answer.json() == {"shop_id": ["The shop_id has already been taken."]}
    other = integration(client, "another platform, where 1234 is another shop")
    assert link(client, branch_id=first, integration_id=other).status_code == 201


def test_only_a_known_virtual_branch_of_a_known_integration_can_be_linked(client: KangarooClient) -> None:
    number, virtual = integration(client), branch_id(client)
    ordinary = link(client, branch_id=branch_id(client, virtual=False), integration_id=number)
    assert ordinary.json() == {"branch_id": ["The selected branch_id is not a virtual branch."]}
    unknown = link(client, branch_id="11e0", integration_id=number)
    assert unknown.json() == {"branch_id": ["The selected branch_id is invalid."]}
    nowhere = link(client, branch_id=virtual, integration_id=999)
    assert nowhere.json() == {"integration_id": ["The selected integration_id is invalid."]}
    assert {ordinary.status_code, unknown.status_code, nowhere.status_code} == {422}
    assert client.state("kangaroo")["branch_links"] == []


def test_the_required_fields_of_a_link_are_required(client: KangarooClient) -> None:
    answer = client.integrations("POST", "/api/v1/branch-links", json={"store_name": 5})
    assert answer.status_code == 422
    required = {"account_id", "shop_id", "branch_id", "integration_id"}
    assert set(answer.json()) == required | {"store_name"}
    typed = link(client, shop_id=1234, branch_id=branch_id(client), integration_id=[1])
    assert set(typed.json()) == {"shop_id", "integration_id"}


def test_an_ecommerce_integration_wants_a_store_domain(client: KangarooClient) -> None:
    shop, till = integration(client, "Shopify demo"), integration(client, "Square demo")
    branch = branch_id(client)
    refused = link(client, branch_id=branch, integration_id=shop)
    assert (refused.status_code, set(refused.json())) == (422, {"store_domain"})
    domain = "https://shop.example.com"
    linked = link(client, branch_id=branch, integration_id=shop, store_domain=domain, store_name="Main")
    assert (linked.status_code, linked.json()["store_domain"]) == (201, domain)
    assert link(client, branch_id=branch, integration_id=till).status_code == 201
    client.set("kangaroo", ecommerce_names=["square"])
    assert link(client, shop_id="2", branch_id=branch, integration_id=till).status_code == 422


def test_integrations_are_listed_with_their_accounts(client: KangarooClient) -> None:
    number = integration(client, "Shopify demo")
    link(client, branch_id=branch_id(client), integration_id=number, store_domain="https://s.example.com")
    (listed,) = client.integrations("GET", "/api/v1/integrations").json()["data"]
    assert (listed["id"], listed["is_ecom"], listed["active"]) == (number, True, True)
    account = {"id": "acc-9", "store_name": None, "store_domain": "https://s.example.com"}
    assert listed["accounts"] == [account]


def test_the_undocumented_lists_can_be_switched_off(client: KangarooClient) -> None:
    number = integration(client)
    client.set("kangaroo-integrations", list_integrations=False, list_branch_links=False)
    for path in ("/api/v1/integrations", "/api/v1/branch-links"):
        answer = client.integrations("GET", path)
        assert (answer.status_code, answer.json()["error"]["status_code"]) == (404, 404)
    assert client.integrations("GET", f"/api/v1/integrations/{number}/branch-links").status_code == 200
    assert integration(client) == number + 1


def test_the_links_of_an_unknown_integration_are_a_404(client: KangarooClient) -> None:
    assert client.integrations("GET", "/api/v1/integrations/999/branch-links").status_code == 404


def test_a_link_can_be_disabled_before_and_after_it_is_made(client: KangarooClient) -> None:
    number, branch = integration(client), branch_id(client)
    client.set("kangaroo", disabled_shops=["early"])
    early = link(client, shop_id="early", branch_id=branch, integration_id=number)
    late = link(client, shop_id="late", branch_id=branch, integration_id=number)
    assert (early.json()["enabled"], late.json()["enabled"]) == (False, True)
    client.set("kangaroo", disabled_shops=["late"])
    listed = client.integrations("GET", "/api/v1/branch-links").json()["data"]
    assert [it["enabled"] for it in listed] == [True, False]


def test_many_links_come_in_pages(client: KangarooClient) -> None:
    number, branch = integration(client), branch_id(client)
    for shop in range(16):
        link(client, shop_id=str(shop), branch_id=branch, integration_id=number)
    page = client.integrations("GET", f"/api/v1/integrations/{number}/branch-links").json()
    assert len(page["data"]) == 15
    assert page["links"]["next"].endswith(f"/api/v1/integrations/{number}/branch-links?page=2")


def test_both_hosts_share_one_business_and_a_reset_clears_it(client: KangarooClient) -> None:
    integration(client)
    assert client.state("kangaroo") == client.state("kangaroo-integrations")
    assert len(client.state("kangaroo")["integrations"]) == 1
    assert client.send("POST", "/_sandbox/reset").status_code == 204
    assert client.state("kangaroo")["integrations"] == []
    assert client.api("GET", "/me").status_code == 401
