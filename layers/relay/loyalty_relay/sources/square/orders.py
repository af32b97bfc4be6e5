"""Square's orders, payments and refunds: what was sold, how it was paid, and what was given back.

Sources: the API reference for Order, Payment, PaymentRefund and the objects within them; "Refunds API webhooks".

Amounts are in the smallest unit of their currency. A sale may be paid by several tenders, each of which is a payment of
the same id: payments are captures. What was refunded is known twice, by ids (a refund) and as the running total of a
payment; the order ledger brings both together. For every refund Square makes an order of its own, whose ``returns``
name the order that was sold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import REVISION, Version, revision
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import ZERO
from loyalty_relay.model.orders import Amounts, Capture, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.base import Buyer, Change, NothingToDo, OrderChanged, ThinChange
from loyalty_relay.sources.hydrating import objects, unit_price, unreadable, version_read
from loyalty_relay.sources.parsing import amount, currency, member, minor_units, moment, text_id, text_or_none

PLATFORM = "square"
ORDER, PAYMENT, REFUND = "order", "payment", "refund"
"""What is read: an order, a payment of it, the order that belongs to a refund."""
PAYMENT_MEMBERS = (
    "id",
    "order_id",
    "updated_at",
    "total_money",
    "refunded_money",
    "customer_id",
    "buyer_email_address",
    "team_member_id",
    "device_details",
)
REFUND_MEMBERS = ("id", "status", "updated_at", "created_at", "amount_money", "payment_id", "unlinked")
"""What is kept of a payment, and of a refund, while its order is read."""
MOST_PAYMENTS = 15
"""Tenders of one order whose payments are read; of an order with more only its own state counts."""


def payment_alias(payment_id: str) -> str:
    """Return the name under which a refund finds the order of its payment."""
    return f"payment:{payment_id}"


# -- reading ------------------------------------------------------------------------------------------------------


def order_read(thin: ThinChange, answer: Mapping[str, Any] | None) -> Change:
    """Return the order, or the first of its payments to be read where the event brought none."""
    if answer is None:
        return NothingToDo(event=thin.event, reason="deleted_meanwhile")
    order = _order_in(answer)
    if order.get("state") == "DRAFT":
        return NothingToDo(event=thin.event, reason="order_not_placed")
    if not objects(order.get("line_items")):
        # The order that belongs to a refund: the refund's own event counts.
        return NothingToDo(event=thin.event, reason="return_order" if order.get("returns") else "nothing_sold")
    payment = thin.data.get("payment")
    if payment is not None:
        return _order_changed(thin, order, [payment])
    payments = [text_id(tender.get("id")) for tender in _tenders(order)]
    return _next(thin, order, [], payments if len(payments) <= MOST_PAYMENTS else [])


def payment_read(thin: ThinChange, answer: Mapping[str, Any] | None) -> Change:
    """Return the next payment to be read, the order with all of its payments, or the order that a payment names."""
    payment = None if answer is None else answer.get("payment")
    if payment is not None and (not isinstance(payment, dict) or payment.get("id") != thin.data["payment_id"]):
        raise unreadable()
    if "order" in thin.data:
        paid = [payment] if payment is not None and payment.get("status") == "COMPLETED" else []
        return _next(thin, thin.data["order"], [*thin.data["payments"], *paid], thin.data["left"])
    order_id = None if payment is None else text_or_none(payment.get("order_id"))
    if order_id is None:
        return NothingToDo(event=thin.event, reason="deleted_meanwhile")
    return replace(thin, resource=ORDER, data={"order_id": order_id})


def refund_read(thin: ThinChange, answer: Mapping[str, Any] | None) -> Change:
    """Return a refund. Without the order that belongs to it, its payment alone names what was sold."""
    order = {} if answer is None else _order_in(answer)
    refund = thin.data["refund"]
    money = member(refund, "amount_money")
    code = currency(member(money, "currency"))
    paid_back = minor_units(money, code, "amount") if refund.get("status") == "COMPLETED" else ZERO
    returns = [found for found in objects(order.get("returns")) if text_or_none(found.get("source_order_id"))]
    (only,) = returns if len(returns) == 1 else ({},)
    updated = moment(refund.get("updated_at")) or thin.event.time
    reported = Refund(
        id=text_id(refund.get("id")),
        amount=paid_back,
        at=moment(refund.get("created_at")) or "",
        version=tuple(Version(PLATFORM, updated, thin.event.time, thin.event.id).to_list()),
    )
    if paid_back and only:
        reported = _with_parts(reported, only, code)
    payment = text_or_none(refund.get("payment_id"))
    sold = text_or_none(only.get("source_order_id"))
    aliases = (payment_alias(payment),) if payment else ()
    customer = text_or_none(order.get("customer_id"))
    return OrderChanged(
        event=thin.event,
        order=Order(
            id=sold or next(iter(aliases), f"refund:{reported.id}"),
            aliases=aliases if sold else (),
            currency=code,
            refunds=(reported,),
            unlinked=not sold and not aliases,
        ),
        buyer=Buyer(source_id=customer) if customer and not sold and not aliases else None,
        payload=refund,
        store=thin.store,
    )


def _order_in(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    order = answer.get("order")
    if not isinstance(order, dict) or text_or_none(order.get("id")) is None:
        raise unreadable()
    return order


def _next(thin: ThinChange, order: Mapping[str, Any], payments: list[Any], left: list[str]) -> Change:
    """Return the next payment to be read, or the order with what was read."""
    if not left:
        return _order_changed(thin, order, payments)
    data = {"payment_id": left[0], "order": order, "payments": payments, "left": left[1:]}
    return replace(thin, resource=PAYMENT, data=data)


def _order_changed(thin: ThinChange, order: Mapping[str, Any], payments: list[Mapping[str, Any]]) -> Change:
    code = currency(member(order, "total_money", "currency"))
    tenders = _tenders(order)
    paid_with = dict.fromkeys(text_id(paid.get("id")) for paid in (*tenders, *payments))
    return OrderChanged(
        event=thin.event,
        order=Order(
            id=text_id(order["id"]),
            aliases=tuple(map(payment_alias, paid_with)),
            currency=code,
            sale=_sale(order, payments, code),
            captures=tuple(_capture(payment, code, thin) for payment in payments),
        ),
        buyer=_buyer(order, payments),
        payload=order,
        version=_version(order, thin),
        store=thin.store,
    )


def _version(order: Mapping[str, Any], thin: ThinChange) -> Version | None:
    """Return the order's revision, or when it was updated: orders that were not made through the API have none."""
    number = order.get("version")
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63:
        return version_read(f"{PLATFORM}{REVISION}", revision(number), thin)
    return version_read(PLATFORM, moment(order.get("updated_at")) or thin.event.time, thin)


# -- what was sold ------------------------------------------------------------------------------------------------


def _sale(order: Mapping[str, Any], payments: list[Mapping[str, Any]], code: str) -> Sale:
    tenders = _tenders(order)
    completed = order.get("state") == "COMPLETED"
    return Sale(
        amounts=_amounts(order, tenders, code),
        sold_at=moment(order.get("created_at")) or "",
        # Of an exchange the goods that came back pay a part: only its payments count.
        paid=completed and not order.get("returns"),
        fulfilled=completed,
        cancelled=order.get("state") == "CANCELED",
        number=text_or_none(order.get("reference_id")) or text_or_none(order.get("ticket_name")) or "",
        channel=text_or_none(member(order, "source", "name")) or "",
        location=text_or_none(order.get("location_id")) or "",
        till=_first(payments, "device_details", "device_id"),
        employee=_first(payments, "team_member_id"),
        lines=tuple(_line(item, code, "uid") for item in objects(order.get("line_items"))),
        payments=tuple(
            Payment(mode=text_or_none(tender.get("type")) or "OTHER", amount=_money(tender, code, "amount_money"))
            for tender in tenders
        ),
    )


def _amounts(order: Mapping[str, Any], tenders: list[Mapping[str, Any]], code: str) -> Amounts:
    """Return the parts of the order's total.

    Whether the total includes tips is not documented; where it is just lines and charges, they come on top.
    """
    items, charges = objects(order.get("line_items")), objects(order.get("service_charges"))
    total, tips = _money(order, code, "total_money"), _money(order, code, "total_tip_money")
    if tips and total == _sum((*items, *charges), code, "total_money"):
        total += tips
    gratuities = [charge for charge in charges if charge.get("type") == "AUTO_GRATUITY"]
    others = [charge for charge in charges if charge.get("type") != "AUTO_GRATUITY" and not _apportioned(charge)]
    cards = [item for item in items if item.get("item_type") == "GIFT_CARD"]
    parts = {"tips": gratuities, "fees": others, "gift_cards": cards}
    net = {name: _net(found, code) for name, found in parts.items()}
    net["tips"] += tips
    taxes = {f"{name}_tax": _sum(found, code, "total_tax_money") for name, found in parts.items()}
    given = [tender for tender in tenders if tender.get("type") == "SQUARE_GIFT_CARD"]
    amounts = Amounts.of_total(code, total, _money(order, code, "total_tax_money"), **net, **taxes)
    return replace(amounts, by_gift_card=_sum(given, code, "amount_money"))


def _apportioned(charge: Mapping[str, Any]) -> bool:
    """Return whether a charge is contained in the lines' own totals."""
    return str(charge.get("calculation_phase")).startswith("APPORTIONED")


def _line(item: Mapping[str, Any], code: str, id: str) -> Line:
    quantity = amount(item, "quantity")
    discount = _money(item, code, "total_discount_money")
    tax = _money(item, code, "total_tax_money")
    net = _money(item, code, "total_money") - tax
    return Line(
        id=text_or_none(item.get(id)) or "",
        item_code=text_or_none(item.get("catalog_object_id")) or "",
        description=text_or_none(item.get("name")) or "",
        quantity=quantity,
        rate=unit_price(net + discount, quantity, code),
        discount=discount,
        amount=net,
        tax=tax,
        kind="gift_card" if item.get("item_type") == "GIFT_CARD" else "product",
    )


def _buyer(order: Mapping[str, Any], payments: list[Mapping[str, Any]]) -> Buyer:
    """Return who bought: of the order, a tender or a payment. Without any, the contacts that were left with it."""
    people = (order, *_tenders(order), *payments)
    recipients = [
        found
        for fulfillment in objects(order.get("fulfillments"))
        for kind in ("pickup_details", "shipment_details", "delivery_details")
        if isinstance(found := member(fulfillment, kind, "recipient"), dict)
    ]
    email = _first(payments, "buyer_email_address") or _first(recipients, "email_address")
    phone = _first(recipients, "phone_number")
    return Buyer(
        source_id=next((found for person in people if (found := text_or_none(person.get("customer_id")))), None),
        email=email or None,
        phone=phone or None,
        verified={"email": False, "phone": False},
    )


# -- payments and refunds -----------------------------------------------------------------------------------------


def _tenders(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the order's tenders without cards whose payment is only authorized, or came to nothing."""
    never = ("AUTHORIZED", "VOIDED", "FAILED")
    return [
        tender
        for tender in objects(order.get("tenders"))
        if tender.get("type") != "NO_SALE" and member(tender, "card_details", "status") not in never
    ]


def _capture(payment: Mapping[str, Any], code: str, thin: ThinChange) -> Capture:
    updated = moment(payment.get("updated_at")) or thin.event.time
    return Capture(
        id=text_id(payment.get("id")),
        amount=_money(payment, code, "total_money"),
        refunded=_money(payment, code, "refunded_money"),
        version=tuple(Version(PLATFORM, updated, thin.event.time, thin.event.id).to_list()),
    )


def _with_parts(refund: Refund, returned: Mapping[str, Any], code: str) -> Refund:
    """Return the refund with what came back, where that is lines of the sale and worth what was paid back."""
    items = objects(returned.get("return_line_items"))
    charges = objects(returned.get("return_service_charges"))
    worth = member(returned, "return_amounts")
    if _money(worth, code, "total_money") != refund.amount or not all(i.get("source_line_item_uid") for i in items):
        return refund
    cards = [item for item in items if item.get("item_type") == "GIFT_CARD"]
    charged = [charge for charge in charges if not _apportioned(charge)]
    parts = Amounts.of_total(
        code,
        refund.amount,
        _money(worth, code, "tax_money"),
        tips=_money(worth, code, "tip_money"),
        fees=_net(charged, code),
        fees_tax=_sum(charged, code, "total_tax_money"),
        gift_cards=_net(cards, code),
        gift_cards_tax=_sum(cards, code, "total_tax_money"),
    )
    lines = tuple(_line(item, code, "source_line_item_uid") for item in items)
    return replace(refund, amounts=parts, lines=lines)


# -- amounts ------------------------------------------------------------------------------------------------------


def _money(entity: Any, code: str, name: str) -> Decimal:
    """Return a member that is Square's Money; zero where there is none. Raises Untranslatable."""
    found = member(entity, name)
    if found is None:
        return ZERO
    if member(found, "currency") not in (None, code):
        raise Untranslatable("bad_currency", f"{name} is not in the order's currency")
    return minor_units(found, code, "amount")


def _sum(entities: Any, code: str, name: str) -> Decimal:
    return sum((_money(entity, code, name) for entity in entities), ZERO)


def _net(entities: list[Mapping[str, Any]], code: str) -> Decimal:
    """Return totals without their tax, which is part of them whether it was added or included."""
    return _sum(entities, code, "total_money") - _sum(entities, code, "total_tax_money")


def _first(entities: Sequence[Mapping[str, Any]], *path: str) -> str:
    return next((found for entity in entities if (found := text_or_none(member(entity, *path)))), "")
