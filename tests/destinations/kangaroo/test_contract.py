"""Every request and response sample of the two vendor pages, with invented values: what we send, what we read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from loyalty_relay.destinations.base import Branch, StoreLink
from loyalty_relay.model.commands import CustomerRef, LinkStore, PatchCrmFields
from tests.destinations.kangaroo.support import CUSTOMER, Call, Script, answer, crm, deadline, destination

VENDOR_TYPE = "application/vnd.kangaroorewards.api.v1+json"
BRANCH = "11ea0123456789abcdef0123456789ab"


def field(name: str, label: str, value: Any, kind: str, order: int, *, custom: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "value": value,
        "is_hidden": False,
        "is_required": False,
        "field_type": kind,
        "is_custom_field": custom,
        "display_order": order,
    }


FIELDS = [
    field("first_name", "First Name", "Ana edited", "text", 3),
    field("last_name", "Last Name", "Gray", "text", 4),
    field("gender", "Gender", "female", "select", 5),
    field("address", "Address", "", "text", 8),
    field("promotions_mail", "Promotions by Mail", True, "checkbox", 11),
    field("tags", "Tags", [{"tag_name": "Green tag"}, {"tag_name": "White tag"}], "multi_select", 12),
    *(
        field(f"custom_field_{n}", f"Label {n}", f"Value {n}" if n < 5 else "", "text", 12 + n, custom=True)
        for n in range(1, 6)
    ),
]
TAGS = [
    {
        "id": 312,
        "name": "Green tag",
        "abbreviation": "GT",
        "color": "#00aa00",
        "created_at": "2024-03-02T10:00:00+00:00",
    },
    {
        "id": 311,
        "name": "White tag",
        "abbreviation": "WT",
        "color": "#ffffff",
        "created_at": "2024-03-02T09:00:00+00:00",
    },
]


def api_headers(call: Call) -> None:
    assert call.headers == {
        "authorization": "Bearer fake-access-token",
        "x-application-key": "fake-application-key",
        "accept": VENDOR_TYPE,
        "content-type": "application/json",
    }


def test_listing_the_crm_fields_of_a_customer() -> None:
    vendor = Script({f"GET /customers/{CUSTOMER}/crm-fields": answer(200, {"data": FIELDS})})

    fields = crm(vendor).crm_fields(CUSTOMER, deadline())

    assert vendor.asked[0].url == f"https://api.kangaroorewards.com/customers/{CUSTOMER}/crm-fields"
    assert vendor.asked[0].api == "api"
    api_headers(vendor.asked[0])
    assert [f["name"] for f in fields] == [f["name"] for f in FIELDS]
    assert fields[0] == {
        "name": "first_name",
        "field": "first_name",
        "label": "First Name",
        "value": "Ana edited",
        "field_type": "text",
        "is_hidden": False,
        "is_required": False,
        "is_custom_field": False,
        "is_read_only": False,
        "display_order": 3,
    }
    by_name = {f["name"]: f for f in fields}
    assert by_name["promotions_mail"]["value"] is True
    assert by_name["promotions_mail"]["field"] == "subscriptions.email.bulk"
    assert by_name["tags"]["value"] == ["Green tag", "White tag"]
    assert by_name["custom_field_5"]["field"] == "custom_fields.custom_field_5"


def test_listing_the_tags() -> None:
    vendor = Script({"GET /tags": answer(200, {"data": TAGS})})

    tags = crm(vendor).tags(deadline())

    assert urlsplit(vendor.asked[0].url).netloc == "api.kangaroorewards.com"
    api_headers(vendor.asked[0])
    assert tags == TAGS


@pytest.mark.parametrize("path", ["crm-fields", "crm-fields-values"])
def test_patching_the_crm_fields(path: str) -> None:
    vendor = Script(
        {
            f"GET /customers/{CUSTOMER}/crm-fields": answer(200, {"data": FIELDS}),
            "GET /tags": answer(200, {"data": TAGS}),
            f"PATCH /customers/{CUSTOMER}/{path}": answer(200, {"data": FIELDS}),
        }
    )
    fields = {
        "first_name": "Ana edited",
        "gender": "female",
        "subscriptions.email.bulk": True,
        "custom_fields.custom_field_1": "Value 1",
        "custom_fields.custom_field_2": "Value 2",
        "custom_fields.custom_field_3": "Value 3",
        "custom_fields.custom_field_4": "Value 4",
    }
    tags = ("Green tag", "White tag")
    command = PatchCrmFields(customer=CustomerRef(loyalty_id=CUSTOMER), fields=fields, replace_tags=tags)

    client = crm(vendor, destination(options={"crm_fields_path": path}))
    receipt = client.patch_crm_fields(CUSTOMER, command, fields, tags, deadline())

    call = vendor.asked[-1]
    assert (call.method, call.url) == ("PATCH", f"https://api.kangaroorewards.com/customers/{CUSTOMER}/{path}")
    api_headers(call)
    assert call.json == {
        "first_name": "Ana edited",
        "gender": "female",
        "promotions_mail": True,
        "custom_field_1": "Value 1",
        "custom_field_2": "Value 2",
        "custom_field_3": "Value 3",
        "custom_field_4": "Value 4",
        "tags": [{"tag_name": "Green tag"}, {"tag_name": "White tag"}],
    }
    assert receipt.sent == (*fields, "tags")
    assert [f["name"] for f in receipt.details["fields"]] == [f["name"] for f in FIELDS]
    assert receipt.notices == ()


def test_listing_the_branches_of_the_integrations_host() -> None:
    branches = [
        {"id": "11ea00000000000000000000000000ff", "name": "Town", "virtual_branch_flag": False},
        {"id": BRANCH, "name": "Online", "virtual_branch_flag": True},
        {"id": "11ea00000000000000000000000000fe", "name": "Without a flag"},
    ]
    vendor = Script({"GET /api/v1/branches": answer(200, {"data": branches})})

    found = crm(vendor).branches(deadline())

    call = vendor.asked[0]
    assert urlsplit(call.url)[:3] == ("https", "integrations.kangarooapis.com", "/api/v1/branches")
    assert call.api == "integrations"
    assert call.headers["accept"] == "application/json"
    assert call.headers["x-application-key"] == "fake-application-key"
    assert found[1] == Branch(id=BRANCH, name="Online", virtual=True)
    assert [branch.virtual for branch in found] == [False, True, False]


@pytest.mark.parametrize(
    "body", [{"id": 20}, {"integration_id": 20, "name": "Acme POS"}, {"data": {"id": "20", "integration_id": 20}}]
)
def test_creating_an_integration(body: Any) -> None:
    vendor = Script({"POST /api/v1/integrations": answer(201, body)})

    assert crm(vendor).create_integration("Acme POS", deadline()) == 20

    call = vendor.asked[0]
    assert call.url == "https://integrations.kangarooapis.com/api/v1/integrations"
    assert call.json == {"name": "Acme POS", "type": 1}
    assert call.headers["accept"] == "application/json"
    assert call.headers["content-type"] == "application/json"


LINK = {
    "id": 17,
    "account_id": "acc-9",
    "shop_id": "4321",
    "store_name": "Main",
    "store_domain": "https://shop.example.com",
    "integration_id": 20,
    "branch_id": BRANCH,
    "created_at": "2024-05-01T09:15:22Z",
    "enabled": True,
}
LINKED = StoreLink(
    branch_link_id=17,
    shop_id="4321",
    account_id="acc-9",
    branch_id=BRANCH,
    integration_id=20,
    store_name="Main",
    store_domain="https://shop.example.com",
    created_at="2024-05-01T09:15:22Z",
)


@pytest.mark.parametrize("body", [LINK, {"data": LINK}])
def test_linking_a_shop(body: Any) -> None:
    vendor = Script({"POST /api/v1/branch-links": answer(201, body)})
    command = LinkStore(shop_id="4321", account_id="acc-9")

    link = crm(vendor).create_link(command, BRANCH, 20, deadline())

    call = vendor.asked[0]
    assert call.url == "https://integrations.kangarooapis.com/api/v1/branch-links"
    assert call.json == {"shop_id": "4321", "branch_id": BRANCH, "account_id": "acc-9", "integration_id": 20}
    assert call.headers["accept"] == VENDOR_TYPE
    assert link == LINKED


def test_linking_an_e_commerce_shop_sends_its_name_and_domain() -> None:
    vendor = Script({"POST /api/v1/branch-links": answer(200, LINK)})
    command = LinkStore(shop_id="4321", account_id="acc-9", store_name="Main", store_domain="shop.example.com")

    crm(vendor).create_link(command, BRANCH, 20, deadline())

    assert vendor.asked[0].json["store_name"] == "Main"
    assert vendor.asked[0].json["store_domain"] == "https://shop.example.com"


def test_reading_the_links_of_an_integration() -> None:
    bare = {"id": "18"}
    vendor = Script({"GET /api/v1/integrations/20/branch-links": answer(200, {"data": [LINK, bare]})})

    links = crm(vendor).links(20, deadline())

    assert links[0] == LINKED
    assert (links[1].branch_link_id, links[1].integration_id, links[1].enabled) == (18, 20, True)
