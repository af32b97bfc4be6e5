"""The sales of our own event schema: a sale as a whole, a refund by its id, a void.

``event_schema`` is the rest of it; docs/event-schema.md is for the people who send it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import ZERO
from loyalty_relay.model.orders import PARTS, Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.base import Buyer, few
from loyalty_relay.sources.parsing import amount, currency, in_bounds, moment, short, take, text_id, text_or_none

Versions = Callable[[Mapping[str, Any]], Version | None]
"""Returns the version of an entity of an event."""

_TENDERS = ("by_gift_card", "by_store_credit")
_NAMES = (*(name for part in PARTS if part != "goods" for name in (part, f"{part}_tax")), *_TENDERS)


def sale_order(sale: Mapping[str, Any], time: str, store: str | None, version_of: Versions) -> Order:
    """Return the order of ``data.sale``: a snapshot. Raises Untranslatable where it does not keep to the schema.

    ``time``: of the event, where the sale has none. ``store``: where the sale names no location.
    """
    lines = tuple(map(_line, _objects(sale, "lines")))
    amounts = _amounts(sale, lines)
    shop = sale.get("shop")
    if shop is not None and not isinstance(shop, dict):
        raise Untranslatable("bad_field", "shop is not an object")
    refunds = tuple(_refund(refund, amounts.currency, version_of) for refund in _objects(sale, "refunds"))
    captured = None if sale.get("captured") is None else _amount(sale, "captured")
    return Order(
        id=text_id(sale.get("id")),
        currency=amounts.currency,
        sale=Sale(
            amounts=amounts,
            shop_amounts=_amounts(shop, ()) if shop else None,
            sold_at=_time(sale, "sold_at") or _required(time, "sold_at"),
            captured=captured,
            paid=_flag(sale, "paid", captured is None),
            fulfilled=_flag(sale, "fulfilled", True),
            test=_flag(sale, "test", False),
            number=short(sale.get("number")),
            channel=short(sale.get("channel")),
            location=short(sale.get("location")) or store or "",
            till=short(sale.get("till")),
            employee=short(sale.get("employee")),
            lines=lines,
            payments=tuple(
                Payment(mode=short(payment.get("mode")), amount=_amount(payment, "amount"))
                for payment in _objects(sale, "payments")
            ),
        ),
        refunds=refunds,
        all_refunds=sale.get("refunds") is not None,
        refunded=None if sale.get("refunded") is None else _amount(sale, "refunded"),
    )


def refund_order(refund: Mapping[str, Any], version_of: Versions) -> Order:
    """Return the order of ``data.refund``: one refund, of a sale or of none. Raises Untranslatable."""
    unit = currency(refund.get("currency"))
    known = _refund(refund, unit, version_of)
    unlinked = text_or_none(refund.get("sale_id")) is None
    return Order(
        id=text_id(f"refund:{known.id}" if unlinked else refund["sale_id"]),
        currency=unit,
        refunds=(known,),
        unlinked=unlinked,
    )


def void_order(sale: Mapping[str, Any]) -> Order:
    """Return the order of a void, which needs the sale's id and nothing else. Raises Untranslatable."""
    return Order(id=text_id(sale.get("id")), voided=True)


def buyer_of(customer: Any, fields: Mapping[str, str]) -> Buyer:
    """Return who bought: a customer with an id, or else a guest. ``fields``: as for ``take``. Raises Untranslatable.

    What is not reported as verified is not: anybody can have typed it in at the till.
    """
    if customer is None:
        return Buyer()
    if not isinstance(customer, dict):
        raise Untranslatable("bad_field", "customer is not an object")
    source_id = None if customer.get("id") in (None, "") else text_id(customer["id"])
    contacts = {name: source_id is not None and customer.get(f"{name}_verified") is True for name in ("email", "phone")}
    return Buyer(source_id=source_id, fields=take(customer, fields), verified=contacts)


def _refund(refund: Mapping[str, Any], unit: str, version_of: Versions) -> Refund:
    lines = tuple(map(_line, _objects(refund, "lines")))
    parts = _amounts({**refund, "currency": unit}, lines)
    known = bool(lines) or any(refund.get(name) is not None for name in ("tax", *_NAMES))
    version = version_of(refund)
    return Refund(
        id=text_id(refund.get("id")),
        amount=parts.total,
        amounts=parts if known else None,
        at=_time(refund, "refunded_at"),
        lines=lines,
        version=tuple(version.to_list()) if version else (),
    )


def _amounts(data: Mapping[str, Any], lines: tuple[Line, ...]) -> Amounts:
    """Return the parts of ``total``. Gift cards are those of the lines where the sender does not add them up."""
    if data.get("total") is None:
        raise Untranslatable("bad_amount", "total is missing")
    parts = {name: _amount(data, name) for name in _NAMES if data.get(name) is not None}
    cards = [line for line in lines if line.kind == "gift_card"]
    if cards and "gift_cards" not in parts:
        parts["gift_cards"] = sum((line.amount for line in cards), ZERO)
        parts["gift_cards_tax"] = sum((line.tax for line in cards), ZERO)
    taxes = sum((value for name, value in parts.items() if name.endswith("_tax")), ZERO)
    tax = taxes if data.get("tax") is None else _amount(data, "tax")
    amounts = Amounts.of_total(currency(data.get("currency")), _amount(data, "total"), tax, **parts)
    if amounts.goods < 0 or amounts.goods_tax < 0 or amounts.by_gift_card + amounts.by_store_credit > amounts.total:
        raise Untranslatable("bad_amount", "the parts exceed the total or the tax")
    return amounts


def _line(line: Mapping[str, Any]) -> Line:
    quantity = Decimal(1) if line.get("quantity") is None else _amount(line, "quantity")
    rate, discount = _amount(line, "rate"), _amount(line, "discount")
    if line.get("kind") not in (None, "product", "gift_card"):
        raise Untranslatable("bad_field", "kind is neither product nor gift_card")
    return Line(
        id=short(line.get("id")),
        item_code=short(line.get("item_code")),
        description=short(line.get("description")),
        quantity=quantity,
        rate=rate,
        discount=discount,
        amount=_positive(rate * quantity - discount, "amount")
        if line.get("amount") is None
        else _amount(line, "amount"),
        tax=_amount(line, "tax"),
        kind="gift_card" if line.get("kind") == "gift_card" else "product",
    )


def _objects(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Untranslatable("bad_field", f"{name} is not a list of objects")
    return list(few(value))


def _amount(data: Mapping[str, Any], name: str) -> Decimal:
    return _positive(amount(data, name), name)


def _positive(value: Decimal, name: str) -> Decimal:
    if value < 0:
        raise Untranslatable("bad_amount", f"{name} is negative")
    return in_bounds(value, name)


def _flag(data: Mapping[str, Any], name: str, default: bool) -> bool:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise Untranslatable("bad_field", f"{name} is neither true nor false")
    return default if value is None else value


def _time(data: Mapping[str, Any], name: str) -> str:
    given = data.get(name)
    value = moment(given)
    if given is not None and value is None:
        raise Untranslatable("bad_time", f"{name} is not RFC 3339")
    return value or ""


def _required(value: str, name: str) -> str:
    if not value:
        raise Untranslatable("bad_time", f"{name} is missing")
    return value
