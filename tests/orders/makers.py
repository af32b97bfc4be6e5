"""Orders, sales and refunds as short as tests need them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import CustomerRef, RecordRefund, RecordSale, Version
from loyalty_relay.model.orders import Amounts, Order, Refund, Sale

SOLD_AT = "2026-09-20T10:00:00.000000Z"


def amounts(total: str | Decimal, currency: str = "EUR", **parts: Any) -> Amounts:
    given = {name: Decimal(value) for name, value in parts.items()}
    return Amounts.of_total(currency, Decimal(total), **given)


def sale(total: str | Decimal = "100", currency: str = "EUR", *, paid: bool = True, **more: Any) -> Sale:
    of_amounts = more.pop("amounts", None) or amounts(total, currency)
    return Sale(**{"amounts": of_amounts, "sold_at": SOLD_AT, "paid": paid, **more})


def at(number: int, clock: str = "shop") -> Version:
    """The ``number``-th version of an order."""
    time = f"2026-09-20T10:{number // 60:02d}:{number % 60:02d}.000000Z"
    return Version(clock, time, time, f"e-{number}")


def refund(name: str, amount: str | Decimal, **more: Any) -> Refund:
    return Refund(id=name, amount=Decimal(amount), **more)


def record_sale(order_id: str = "1", version: Version | None = None, *, who: str | None = "7", **more: Any) -> Any:
    """A RecordSale of a known customer; ``who`` None: of nobody that is reported."""
    order = Order(**{"id": order_id, "sale": sale(), **more})
    customer = CustomerRef(source_id=who) if who else None
    return RecordSale(order=order, customer=customer, guest=who is None, version=version)


def record_refund(order_id: str = "1", version: Version | None = None, **more: Any) -> RecordRefund:
    return RecordRefund(order=Order(**{"id": order_id, "currency": "EUR", **more}), version=version)
