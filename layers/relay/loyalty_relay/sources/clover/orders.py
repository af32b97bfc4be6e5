"""Clover's orders: read with their lines, payments, refunds and manual refunds.

Sources: docs.clover.com REST API reference for orders and payments, "Refund response reference", "Handle voids and
refunds", "Expandable fields".

Amounts are in the smallest unit of the order's currency. An order's total has its tax, and not the tips, which are
those of its payments. What was taken is the sum of its successful payments: one that was voided is no longer among
them. A manual refund (``credits``) names no sale. Tests and the training mode of a device are ``testMode``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import Version
from loyalty_relay.model.money import ZERO, rounded, share
from loyalty_relay.model.orders import Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.base import Buyer, Change, NothingToDo, OrderChanged, ThinChange
from loyalty_relay.sources.hydrating import objects, version_read
from loyalty_relay.sources.parsing import currency, epoch, member, minor_units, text_id, text_or_none

CLOCK = "clover"
MILLISECOND = 0.001
ORDER, PAYMENT = "order", "payment"
"""What is read; a payment to find its order."""
EXPANDED = "lineItems,payments,payments.tender,refunds,credits,customers,discounts,serviceCharge,voids"
_TAKEN = frozenset({"SUCCESS", "AUTH_COMPLETED", "VOID_FAILED"})
"""Results of a payment whose money was taken."""
_UNITS = Decimal(1000)
"""Of a quantity, where a line is sold by the unit."""


def elements(reported: Any) -> list[Mapping[str, Any]] | None:
    """Return an expanded list, None where there is none.

    Clover sends ``{"elements": [...]}``, where its reference shows a plain list.
    """
    listed = reported.get("elements") if isinstance(reported, dict) else reported
    return objects(listed) if isinstance(listed, list) else None


def _all(reported: Any) -> list[Mapping[str, Any]]:
    return elements(reported) or []


# -- reading ------------------------------------------------------------------------------------------------------


def payment_read(thin: ThinChange, payment: Mapping[str, Any]) -> Change:
    """Return the payment's order, to be read next."""
    order_id = text_or_none(member(payment, "order", "id"))
    if order_id is None:
        return NothingToDo(event=thin.event, reason="no_order")
    event = replace(thin.event, entity_id=text_id(f"{thin.store}:{order_id}"))
    return replace(thin, event=event, resource=ORDER, data={"id": order_id, "paid": True})


def order_read(thin: ThinChange, order: Mapping[str, Any]) -> list[Change]:
    """Return the order, and each manual refund that was made with it."""
    code = currency(order.get("currency"))
    version = version_read(CLOCK, epoch(order.get("modifiedTime"), unit=MILLISECOND) or thin.event.time, thin)
    found: list[Change] = []
    if _all(order.get("lineItems")) or _all(order.get("payments")) or _all(order.get("refunds")):
        # Every line that is added to an open order is an event; until money has moved there is nothing to record.
        moved = any(_all(order.get(name)) for name in ("payments", "refunds", "voids"))
        if moved or thin.data.get("paid"):
            found.append(_order_changed(thin, order, code, version))
    found += [_credit_changed(thin, order, credit, code, version) for credit in _all(order.get("credits"))]
    return found or [NothingToDo(event=thin.event, reason="not_paid")]


def _order_changed(thin: ThinChange, order: Mapping[str, Any], code: str, version: Version | None) -> Change:
    payments = [found for found in _all(order.get("payments")) if found.get("result") in _TAKEN]
    amounts = _amounts(order, payments, code)
    captured = _sum(payments, code, "amount") + _sum(payments, code, "tipAmount")
    sale = Sale(
        amounts=amounts,
        sold_at=epoch(order.get("createdTime"), unit=MILLISECOND) or "",
        captured=captured,
        fulfilled=captured >= amounts.total > 0,
        cancelled=order.get("deletedTimestamp") is not None,
        test=order.get("testMode") is True,
        number=text_or_none(order.get("title")) or "",
        channel="pos",
        location=thin.store or "",
        till=text_or_none(member(order, "device", "id")) or "",
        employee=text_or_none(member(order, "employee", "id")) or "",
        lines=tuple(_line(item, code) for item in _items(order)),
        payments=tuple(
            Payment(mode=_tender(payment, "label") or "other", amount=_sum([payment], code, "amount", "tipAmount"))
            for payment in payments
        ),
    )
    refunds = tuple(_refund(refund, payments, amounts, code) for refund in _all(order.get("refunds")))
    return OrderChanged(
        event=thin.event,
        order=Order(id=thin.event.entity_id, currency=code, sale=sale, refunds=refunds, all_refunds=True),
        buyer=_buyer(thin, order.get("customers")),
        payload=order,
        version=version,
        store=thin.store,
    )


def _credit_changed(
    thin: ThinChange, order: Mapping[str, Any], credit: Mapping[str, Any], code: str, version: Version | None
) -> Change:
    """Return a manual refund as an order of its own: nothing was sold under Clover's."""
    credit_id = text_id(credit.get("id"))
    order_id = text_id(f"{thin.store}:credit:{credit_id}")
    refund = Refund(
        id=credit_id,
        amount=ZERO if credit.get("voided") is True else _sum([credit], code, "amount"),
        at=epoch(credit.get("createdTime"), unit=MILLISECOND) or "",
    )
    # Of a manual refund the reference has one customer, not a list.
    own = credit.get("customers")
    customers = [own] if isinstance(own, dict) and "id" in own else own or order.get("customers")
    return OrderChanged(
        event=replace(thin.event, entity_id=order_id),
        order=Order(id=order_id, currency=code, refunds=(refund,), unlinked=True),
        buyer=_buyer(thin, customers),
        payload=credit,
        version=version,
        store=thin.store,
    )


# -- what was sold ------------------------------------------------------------------------------------------------


def _amounts(order: Mapping[str, Any], payments: list[Mapping[str, Any]], code: str) -> Amounts:
    """Return the parts of the total. The tax is that of the payments; of an order that is paid in part, its share."""
    paid, tips = _sum(payments, code, "amount"), _sum(payments, code, "tipAmount")
    total = paid if order.get("total") is None else minor_units(order, code, "total")
    tax = _sum(payments, code, "taxAmount")
    if paid and paid != total:
        tax = share(tax, total, paid, code)
    charge = order.get("serviceCharge")
    fees = minor_units(charge, code, "amount")
    if not fees:
        fees = sum((minor_units(payment, code, "serviceCharge", "amount") for payment in payments), ZERO)
    cards = sum(
        (line.amount for line in (_line(item, code) for item in _items(order)) if line.kind == "gift_card"), ZERO
    )
    amounts = Amounts.of_total(code, total + tips, tax, tips=tips, fees=fees, gift_cards=cards)
    return replace(
        amounts,
        by_gift_card=_paid_with(payments, code, "gift_card"),
        by_store_credit=_paid_with(payments, code, "store_credit"),
    )


def _items(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lines without those that were exchanged for others, which are lines of their own."""
    return [item for item in _all(order.get("lineItems")) if item.get("exchanged") is not True]


def _line(item: Mapping[str, Any], code: str) -> Line:
    """Return a line; what brings no revenue, such as a gift card that is loaded, is a gift card."""
    units = item.get("unitQty")
    counted = isinstance(units, int) and not isinstance(units, bool) and 0 < units < 10**9
    quantity = Decimal(units) / _UNITS if counted and isinstance(units, int) else Decimal(1)
    price = minor_units(item, code, "price")
    return Line(
        id=text_or_none(item.get("id")) or "",
        item_code=text_or_none(item.get("itemCode")) or text_or_none(member(item, "item", "id")) or "",
        description=text_or_none(item.get("name")) or "",
        quantity=quantity,
        rate=price,
        amount=rounded(price * quantity, code),
        kind="gift_card" if item.get("isRevenue") is False else "product",
    )


def _tender(payment: Mapping[str, Any], name: str) -> str:
    return text_or_none(member(payment, "tender", name)) or ""


def _paid_with(payments: list[Mapping[str, Any]], code: str, kind: str) -> Decimal:
    """Return what was paid with tenders of a kind, by Clover's own key of it, which does not change with its label."""
    return _sum((p for p in payments if _tender(p, "labelKey").endswith(kind)), code, "amount", "tipAmount")


def _buyer(thin: ThinChange, customers: Any) -> Buyer:
    """Return the first customer of an order; without one, a guest without contacts."""
    customer = next((found for item in _all(customers) if (found := text_or_none(item.get("id")))), None)
    return Buyer(source_id=text_id(f"{thin.store}:{customer}") if customer else None)


# -- refunds ------------------------------------------------------------------------------------------------------


def _refund(refund: Mapping[str, Any], payments: list[Mapping[str, Any]], sold: Amounts, code: str) -> Refund:
    """Return a refund. A tip is given back with the whole of its payment only.

    Its parts are known where the order has nothing but goods and tips.
    """
    worth, tip = _sum([refund], code, "amount"), _sum([refund], code, "tipAmount")
    payment_id = member(refund, "payment", "id")
    payment = next((found for found in payments if found.get("id") == payment_id), None)
    if payment is not None and worth < _sum([payment], code, "amount"):
        tip = ZERO
    void = refund.get("voided") is True
    tax = _sum([refund], code, "taxAmount")
    known = not void and refund.get("taxAmount") is not None and tax <= worth and not (sold.fees or sold.gift_cards)
    return Refund(
        id=text_id(refund.get("id")),
        amount=ZERO if void else worth + tip,
        amounts=Amounts.of_total(code, worth + tip, tax, tips=tip) if known else None,
        at=epoch(refund.get("createdTime"), unit=MILLISECOND) or "",
    )


def _sum(entities: Iterable[Mapping[str, Any]], code: str, *names: str) -> Decimal:
    return sum((minor_units(entity, code, name) for entity in entities for name in names), ZERO)
