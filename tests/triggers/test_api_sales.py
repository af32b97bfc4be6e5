"""The routes of sales: what is sent is booked once, refunds and voids take it back, and the ledger can be read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.connections.test_parse import KANGAROO
from tests.support.sales import FakeBooks
from tests.support.stack import Stack
from tests.triggers.conftest import Functions

SALES = "POST /connections/{connection}/sales"
REFUNDS = "POST /connections/{connection}/sales/{order_id}/refunds"
VOID = "POST /connections/{connection}/sales/{order_id}/void"
READ = "GET /connections/{connection}/sales/{order_id}"
ANA = {"identifiers": [{"type": "email", "value": "ana@example.com"}]}
SALE: dict[str, Any] = {
    "order_id": "S-1",
    "sold_at": "2026-01-02T10:00:00Z",
    "currency": "GBP",
    "total": "64.00",
    "tax": "10.00",
    "customer": ANA,
}
REFUND = {"refund_id": "R-1", "currency": "GBP", "total": "14.00"}


class Till(Functions):
    """The function ``transaction`` of a connection that records sales."""

    def sell(self, **members: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        return self.call(SALES, {**SALE, **members}, operation="transaction")

    def refund(self, order_id: str = "S-1", **members: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        return self.call(REFUNDS, {**REFUND, **members}, operation="transaction", order_id=order_id)

    def void(self, order_id: str = "S-1") -> tuple[int, dict[str, Any], dict[str, str]]:
        return self.call(VOID, operation="transaction", order_id=order_id)

    def read(self, order_id: str = "S-1") -> tuple[int, dict[str, Any]]:
        return self.call(READ, operation="transaction", order_id=order_id)[:2]


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks(operations=frozenset({"register", "crm-patch", "transaction"}))


@pytest.fixture
def till(stack: Stack, books: FakeBooks) -> Till:
    # After the sales of these tests.
    stack.clock.now = 1767434400.0
    stack.put_connection("shop-1", {**KANGAROO, "sales": {"enabled": True}})
    return Till(stack, books)


def test_a_sale_is_booked_to_the_member_and_is_201(till: Till, books: FakeBooks) -> None:
    status, body, _ = till.sell()
    (member,) = books.members
    assert (status, body["result"], body["loyalty_id"]) == (201, "applied", member)
    assert (body["order_id"], body["amount"], body["currency"], body["kind"]) == ("S-1", "64.00", "GBP", "sale")
    assert body["transaction_id"] == "t-1"
    assert books.balance(member) == Decimal("64.00")


def test_the_same_sale_again_books_nothing_and_is_200(till: Till, books: FakeBooks) -> None:
    till.sell()
    status, body, _ = till.sell()
    assert (status, body["result"]) == (200, "unchanged")
    assert len(books.entries) == 1


def test_a_replay_returns_what_the_first_call_returned(till: Till, books: FakeBooks) -> None:
    key = {"Idempotency-Key": "k1"}
    first = till.call(SALES, SALE, operation="transaction", headers=key)
    again = till.call(SALES, SALE, operation="transaction", headers=key)
    assert (again[0], again[1]["replayed"], again[2]["idempotent-replayed"]) == (201, True, "true")
    assert again[1]["transaction_id"] == first[1]["transaction_id"]
    other = till.call(SALES, {**SALE, "total": "65.00"}, operation="transaction", headers=key)
    assert (other[0], other[1]["type"]) == (422, "urn:loyalty-relay:problem:idempotency_key_reused")
    assert len(books.entries) == 1


def test_a_changed_sale_is_brought_to_its_new_amount(till: Till, books: FakeBooks) -> None:
    till.sell(as_of="2026-01-02T10:00:00Z")
    assert till.sell(total="70.00", as_of="2026-01-02T11:00:00Z")[0] == 201
    assert till.sell(as_of="2026-01-02T10:30:00Z")[1]["result"] == "stale"
    assert books.balance() == Decimal("70.00")


def test_refunds_come_before_or_after_their_sale(till: Till, books: FakeBooks) -> None:
    status, body, _ = till.refund()
    assert (status, body["result"], body["reason"]) == (201, "recorded", "sale_missing")
    assert till.sell()[1]["amount"] == "50.00"
    assert till.refund(refund_id="R-2", total=4)[1]["kind"] == "return"
    assert till.refund()[:1] == (200,)
    assert books.balance() == Decimal("46.00")
    assert till.refund(total=0)[0] == 201
    assert books.balance() == Decimal("60.00")


def test_a_void_takes_everything_back_for_good(till: Till, books: FakeBooks) -> None:
    till.sell()
    assert till.void()[0] == 201
    assert books.balance() == Decimal(0)
    assert till.sell(total="99.00")[0] == 200
    assert books.balance() == Decimal(0)


def test_the_ledger_of_an_order_can_be_read(till: Till) -> None:
    till.sell()
    till.refund()
    status, body = till.read()
    assert status == 200
    assert (body["total"], body["refunded"], body["refunds"]) == ("64.00", "14.00", {"R-1": "14.00"})
    assert (body["target"], body["booked"], body["difference"], body["next"]) == ("50.00", "50.00", "0.00", "nothing")
    assert [(b["kind"], b["amount"]) for b in body["bookings"]] == [("sale", "64.00"), ("return", "14.00")]
    assert "ana@example.com" not in str(body)


def test_an_unknown_order_is_a_404_with_its_reason(till: Till) -> None:
    status, body = till.read("none")
    assert (status, body["type"]) == (404, "urn:loyalty-relay:problem:order_not_found")


def test_a_guests_sale_is_not_booked(till: Till, books: FakeBooks) -> None:
    status, body, _ = till.sell(customer=None)
    assert (status, body["result"], body["reason"]) == (200, "ignored", "guest")
    assert books.entries == []
    assert till.read()[1]["guest"] is True


def test_respond_async_is_worked_from_the_queue(till: Till, books: FakeBooks) -> None:
    reply = till.call(SALES, SALE, operation="transaction", headers={"Prefer": "respond-async"})
    assert (reply[0], reply[1]["result"]) == (202, "accepted")
    assert till.consume("transaction") == {"batchItemFailures": []}
    assert books.balance() == Decimal("64.00")
    (entry,) = [e for e in till.stack.journal.show(reply[1]["delivery_id"]) if e.operation == "transaction"]
    assert (entry.details["amount"], entry.details["currency"]) == ("64.00", "GBP")


@pytest.mark.parametrize(
    ("route", "members", "field"),
    [
        (SALES, {"sold_at": "2026-01-04T10:00:00Z"}, "sold_at"),
        (SALES, {"as_of": "2026-01-04T10:00:00Z"}, "as_of"),
        (SALES, {"total": "-1"}, "total"),
        (SALES, {"currency": "ABC"}, "currency"),
        (REFUNDS, {"refunded_at": "2026-01-04T10:00:00Z"}, "refunded_at"),
        (REFUNDS, {"refund_id": " "}, "refund_id"),
    ],
)
def test_what_cannot_be_is_a_422_that_names_the_field(
    till: Till, books: FakeBooks, route: str, members: dict[str, Any], field: str
) -> None:
    body = {**(SALE if route == SALES else REFUND), **members}
    status, problem, headers = till.call(route, body, operation="transaction", order_id="S-1")
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert {error["field"] for error in problem["errors"]} == {field}
    assert books.calls == []


def test_an_order_id_that_is_too_long_is_a_422(till: Till) -> None:
    assert till.void("x" * 201)[0] == 422


def test_a_connection_that_records_no_sales_books_nothing(till: Till, books: FakeBooks) -> None:
    till.stack.put_connection("shop-1", KANGAROO)
    status, body, _ = till.sell()
    assert (status, body["reason"]) == (200, "sales_not_enabled")
    assert books.entries == []
