"""Transactions of the sandbox's Kangaroo business: rewards, returns, and their list."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from devkit.sandbox.kangaroo import VENDOR
from tests.sandbox.kangaroo_client import KangarooClient


@pytest.fixture
def client() -> KangarooClient:
    client = KangarooClient(VENDOR)
    client.sign_in()
    return client


@pytest.fixture
def customer(client: KangarooClient) -> str:
    return client.add_customer(email="ana@example.com")


def make(client: KangarooClient, customer: str, /, **members: Any) -> httpx.Response:
    body = {"intent": "reward", "amount": 5.25, "customer": {"id": customer}} | members
    return client.api("POST", "/transactions", json={name: it for name, it in body.items() if it is not None})


def made(client: KangarooClient, customer: str, **members: Any) -> int:
    answer = make(client, customer, **members)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["data"]["id"])


def listed(client: KangarooClient, query: str = "") -> list[dict[str, Any]]:
    answer = client.api("GET", f"/transactions{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def balance(client: KangarooClient, customer: str) -> Any:
    return client.api("GET", f"/customers/{customer}?include=balance").json()["included"]["balance"]["points"]


def test_a_reward_gives_a_point_for_each_unit_and_a_return_takes_them_back(
    client: KangarooClient, customer: str
) -> None:
    answer = make(client, customer).json()["data"]
    assert set(answer) == {"id", "created_at", "amount", "points", "name"}
    assert (answer["amount"], answer["points"], answer["name"]) == (5.25, 5, "Reward")
    returned = make(client, customer, intent="return", amount=2.25).json()["data"]
    assert (returned["amount"], returned["points"], returned["name"]) == (2.25, 2, "Refund - Points")
    assert balance(client, customer) == 3


def test_a_copy_counts_twice(client: KangarooClient, customer: str) -> None:
    details = {"external_order_id": "ORD0001", "custom_field_1": "m-1"}
    first, second = (made(client, customer, transaction_details=details) for _ in range(2))
    assert first != second
    assert balance(client, customer) == 10


@pytest.mark.parametrize("who", [{"email": "new@example.com"}, {"phone": "5145550177", "country_code": "CA"}])
def test_an_unknown_customer_is_created_and_welcomed_except_by_id(client: KangarooClient, who: dict[str, str]) -> None:
    assert make(client, "", customer=who).status_code == 200
    assert make(client, "", customer=who).status_code == 200
    state = client.state("kangaroo")
    assert len(state["customers"]) == 3
    assert [it["customer_id"] for it in state["transactions"]] == state["welcomed"] * 2

    refused = make(client, "11e0")
    assert (refused.status_code, refused.json()) == (422, {"customer.id": ["The selected customer.id is invalid."]})
    client.set("kangaroo", unknown_customer=404)
    assert make(client, "11e0").json()["error"]["message"] == "Customer not found"
    assert len(client.state("kangaroo")["welcomed"]) == 1


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"intent": None, "amount": None, "customer": None}, {"intent", "customer", "amount"}),
        ({"intent": "redeem"}, {"intent"}),
        ({"amount": 0}, {"amount"}),
        ({"amount": -1.5}, {"amount"}),
        ({"amount": "5.25"}, {"amount"}),
        ({"amount": True}, {"amount"}),
        ({"amount": None, "points": 0}, {"points"}),
        ({"created_at": "yesterday"}, {"created_at"}),
        ({"created_at": 5}, {"created_at"}),
        ({"branch": {"id": "11e0"}}, {"branch.id"}),
        ({"branch": "11e0"}, {"branch"}),
        ({"receipt": {"number": 5}}, {"receipt.number"}),
        ({"transaction_details": {"custom_field_1": "x" * 256}}, {"transaction_details.custom_field_1"}),
        ({"transaction_details": {"custom_field_2": ""}}, {"transaction_details.custom_field_2"}),
        ({"customer": {"phone": "5145550123"}}, {"country_code"}),
    ],
)
def test_what_is_wrong_is_refused_by_field_and_nothing_is_made(
    client: KangarooClient, customer: str, members: dict[str, Any], names: set[str]
) -> None:
    answer = make(client, customer, **members)
    assert (answer.status_code, set(answer.json())) == (422, names)
    assert client.state("kangaroo")["transactions"] == []


def test_late_sales_keep_their_date_and_place(client: KangarooClient, customer: str) -> None:
    branches = client.api("GET", "/branches?include=virtual_branch&per_page=100").json()["data"]
    main, second, online = branches[0]["id"], branches[1]["id"], branches[-1]["id"]
    made(client, customer)
    made(client, customer, created_at="2023-10-01T12:00:00+02:00", branch={"id": second.upper()})
    made(client, customer, branch={"id": online}, employee={"id": "11e1"}, receipt={"number": "R-1"}, amount=1.1)
    client.set("kangaroo", virtual_branch_sales=False)
    assert set(make(client, customer, branch={"id": online}).json()) == {"branch.id"}
    first, late, virtual = client.state("kangaroo")["transactions"]
    assert [it["branch_id"] for it in (first, late, virtual)] == [main, second, online]
    assert late["created_at"] == "2023-10-01T10:00:00+00:00"
    assert (virtual["receipt_number"], virtual["employee"], virtual["amount"]) == ("R-1", {"id": "11e1"}, "1.1")


def test_large_amounts_need_the_employees_pin_code_where_the_rule_is_active(
    client: KangarooClient, customer: str
) -> None:
    client.set("kangaroo", employee_above=100)
    assert make(client, customer, amount=100).status_code == 200
    for employee in (None, {"id": "11e1"}, {"pin_code": "1111"}):
        refused = make(client, customer, amount=100.01, employee=employee)
        assert refused.status_code == 400
        assert refused.json()["error"]["description"] == "Invalid Employee ID"
    assert make(client, customer, amount=100.01, employee={"pin_code": "3333"}).status_code == 200


def test_the_list_is_filtered_and_shows_what_relationships_name(client: KangarooClient, customer: str) -> None:
    other = client.add_customer(email="bo@example.com")
    details = {"external_order_id": "ORD1", "custom_field_1": "m-1"}
    first = made(client, customer, transaction_details=details, created_at="2023-10-01T12:00:00+00:00")
    made(client, customer, transaction_details={"external_order_id": "ORD2"})
    made(client, other)

    (found,) = listed(client, "?transaction_details.external_order_id=eq%7CORD1")
    assert set(found) == {"id", "amount", "points", "name", "created_at", "updated_at"}
    (found,) = listed(
        client, "?transaction_details.external_order_id=eq%7CORD1&relationships=customer,transaction_details"
    )
    assert (found["id"], found["customer"]["id"], found["customer"]["email"]) == (first, customer, "ana@example.com")
    assert found["transaction_details"] == details | dict.fromkeys([f"custom_field_{n}" for n in range(2, 6)])
    assert (
        listed(client, f"?customer.id=eq%7C{other.upper()}&relationships=transaction_details")[0]["transaction_details"]
        is None
    )
    assert len(listed(client, "?transaction_details.external_order_id=in%7CORD1,ORD2")) == 2
    assert [it["id"] for it in listed(client, "?created_at=lt%7C2023-10-02T00:00:00Z")] == [first]
    assert len(listed(client, "?created_at=between%7C2023-10-01T00:00:00Z,2023-10-02T00:00:00Z")) == 1
    assert listed(client, "?transaction_details.external_order_id=eq%7Cord1") == []


@pytest.mark.parametrize(
    "query", ["transaction_details.external_order_id=ORD1", "customer.id=gt%7C1", "created_at=eq%7Cnever"]
)
def test_a_filter_that_cannot_be_read_is_a_bad_request(client: KangarooClient, query: str) -> None:
    assert client.api("GET", f"/transactions?{query}").status_code == 400


def test_pages_have_a_hundred_and_the_newest_first(client: KangarooClient, customer: str) -> None:
    client.set("kangaroo", rate_limit=0)
    ids = [made(client, customer, amount=1) for _ in range(101)]
    body = client.api("GET", "/transactions").json()
    assert [it["id"] for it in body["data"]] == ids[:0:-1]
    assert body["cursor"] == {"count": 100, "next": 2, "next_uri": "transactions?page=2"}
    last = client.api("GET", "/transactions?page=2").json()
    assert [it["id"] for it in last["data"]] == ids[:1]
    assert "cursor" not in last
