"""Orders, bookings and the vendor's records of them, as the tests of sales use them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import RecordRefund, RecordSale
from loyalty_relay.model.orders import Amounts, Line, Order, Payment, Refund, Sale

MEMBER = "600000001"
SOLD = "2025-06-15T10:20:30.000000Z"
BILL = "S1-1001"

SHIRT = Line(
    id="l1",
    item_code="SHIRT-M",
    description="Shirt",
    quantity=Decimal(2),
    rate=Decimal("30.00"),
    discount=Decimal("10.00"),
    amount=Decimal("50.00"),
)
MUG = Line(id="l2", item_code="MUG", quantity=Decimal(3), amount=Decimal("25.00"), rate=Decimal("8.33"))


def sale(**members: Any) -> Sale:
    """A sale of 75.00 GBP in two lines, paid by card."""
    given: dict[str, Any] = {
        "amounts": Amounts.of_total("GBP", Decimal("75.00")),
        "sold_at": SOLD,
        "paid": True,
        "lines": (SHIRT, MUG),
        "payments": (Payment(mode="visa", amount=Decimal("75.00")),),
    }
    return Sale(**{**given, **members})


def recorded(**order: Any) -> RecordSale:
    return RecordSale(order=Order(**{"id": "1001", "sale": sale(), **order}))


def refunded(*refunds: Refund, **order: Any) -> RecordRefund:
    return RecordRefund(order=Order(**{"id": "1001", "currency": "GBP", "refunds": refunds, **order}))


def booking(kind: Any = "sale", amount: str = "75.00", **members: Any) -> Booking:
    given: dict[str, Any] = {
        "number": 1 if kind == "sale" else 2,
        "kind": kind,
        "amount": Decimal(amount),
        "currency": "GBP",
        "bill": BILL,
        "marker": f"LR-{kind}-1",
        "order_id": "1001",
        "at": SOLD if kind == "sale" else "2025-06-16T08:00:00.000000Z",
        "sold_at": SOLD,
        "loyalty_id": MEMBER,
        "of": "" if kind == "sale" else "2147000001",
    }
    return Booking(**{**given, **members})


def record(
    type: str = "REGULAR",
    amount: Any = 75.0,
    note: str | None = "LR-sale-1",
    *,
    member: Any = int(MEMBER),
    bill: str = BILL,
    id: Any = 2147000001,
) -> dict[str, Any]:
    """A transaction as GET shows it."""
    details = {"amount": amount, "billNumber": bill, "billingTime": "2025-06-15T10:20:30Z", "note": note}
    return {"id": id, "type": type, "customerId": member, "billDetails": details, "lineItems": [], "warnings": []}


def listing(*records: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """The answer of GET /v2/transactions/getByBillNumber/{number}."""
    count = len(records) if total is None else total
    pagination = {"limit": 100, "offset": 0, "total": count}
    return {"pagination": pagination, "data": list(records), "warnings": [], "errors": []}


def v1_listing(*records: dict[str, Any]) -> dict[str, Any]:
    """The answer of GET /v1.1/transaction/get."""
    done = {"success": "true", "code": "600", "message": "Transaction retrieved successfully"}
    status = {"success": "true", "code": "200", "message": "SUCCESS"}
    items = [{**each, "item_status": done} for each in records]
    return {"response": {"status": status, "transactions": {"transaction": items}}}


def v1_failure(code: str) -> dict[str, Any]:
    """An answer of V1.1 whose one item failed."""
    item = {"item_status": {"success": "false", "code": code, "message": f"failed with {code}"}}
    status = {"success": "false", "code": 500, "message": "All requests have failed due to errors"}
    return {"response": {"status": status, "transactions": {"transaction": [item]}}}


def done(id: Any = 2147000001, points: Any = None, **members: Any) -> dict[str, Any]:
    """The answer of POST /v2/transactions."""
    effects = [] if points is None else [{"type": "points", "rawAwardedPoints": points, "awardedPoints": points}]
    return {"createdId": id, "warnings": [], "errors": [], "sideEffects": effects, **members}


def failure(*codes: int, message: str = "Refused", **members: Any) -> dict[str, Any]:
    """A body with errors."""
    return {"errors": [{"status": False, "code": code, "message": message} for code in codes], **members}
