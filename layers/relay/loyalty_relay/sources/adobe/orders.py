"""Adobe Commerce's orders, invoices and credit memos, whichever of the two mechanisms brings them.

Sources: Adobe Commerce docs "Events reference" and the sales webhooks' payloads of the extensibility reference.

What the amounts mean:
- ``grand_total`` is what is left to pay with money: gift cards and store credit are subtracted already, and are added
  here again as tenders. Amounts without ``base_`` are in the order's currency, those with it in the shop's.
- An order reports what was paid and refunded so far (``total_paid``, ``total_refunded``), an invoice or a credit memo
  its own amount. The ledger takes the larger of a total and the sum by ids, so that either may come first, or alone.
- Configurable and bundled products come as a parent with the price and children: the parent is the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import Event
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import ZERO
from loyalty_relay.model.orders import Amounts, Capture, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.adobe.bodies import AdobeEvent, object_of
from loyalty_relay.sources.base import Buyer, Change, NothingToDo, OrderChanged, objects
from loyalty_relay.sources.parsing import amount, currency, member, moment, short, take, text_id, text_or_none

_NEEDED = ("grand_total", "order_currency_code", "base_currency_code", "tax_amount", "shipping_amount")
_BASE_NEEDED = ("base_grand_total", "base_tax_amount", "base_shipping_amount")
_TENDERS = {"gift_cards_amount": "by_gift_card", "customer_balance_amount": "by_store_credit"}
# The ``base_`` of the shop's amounts is within these names: gw_base_price.
_WRAPPING = ("gw_{}price", "gw_items_{}price", "gw_card_{}price")
_WRAPPING_TAX = ("gw_{}tax_amount", "gw_items_{}tax_amount", "gw_card_{}tax_amount")

_OF_CREDIT_MEMOS = {"adjustment", "adjustment_positive", "adjustment_negative", "creditmemo_status", "invoice_id"}
_OF_INVOICES = {"total_qty", "can_void_flag", "is_used_for_refund"}
_PAID, _REFUNDED = "2", "2"
"""States of an invoice and of a credit memo that are money."""

_FIELDS = {"customer_email": "email", "customer_firstname": "first_name", "customer_lastname": "last_name"}


def sales_kind(topic: str) -> str:
    """Return what of a sale a topic is about: order, invoice or creditmemo; "" for every other topic."""
    reader = READERS.get(topic)
    return _KINDS[reader] if reader else ""


def is_of_kind(body: Mapping[str, Any], kind: str) -> bool:
    """Return whether a body is, by itself, of this kind: by the name around it, or by members that no other has.

    The topic of a Commerce webhook is not signed, and an invoice that is read as a credit memo gives money back.
    """
    entity = _entity(body, kind)
    if "grand_total" not in entity or (kind == "order") == ("order_id" in entity):
        return False
    if kind == "order" or any(isinstance(found, dict) for found in (body.get(kind), member(body, "data", kind))):
        return True
    return bool(entity.keys() & (_OF_INVOICES if kind == "invoice" else _OF_CREDIT_MEMOS)) and not (
        entity.keys() & (_OF_CREDIT_MEMOS if kind == "invoice" else _OF_INVOICES)
    )


def is_of_a_sale(body: Mapping[str, Any]) -> bool:
    """Return whether a body is an order, an invoice or a credit memo, of whichever kind."""
    return any("grand_total" in _entity(body, kind) for kind in ("order", "invoice", "creditmemo"))


def _entity(value: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the entity: as ``object_of``, or the repository's parameter."""
    found = object_of(value, kind)
    given = value.get("entity")
    return given if found is value and isinstance(given, dict) else found


# -- orders -------------------------------------------------------------------------------------------------------


def _order(delivery: AdobeEvent) -> Change:
    """Return the order as a whole, as it is after each of its saves."""
    order = _entity(delivery.value, "order")
    event, store = _event(delivery, order, "entity_id", "id")
    if delivery.elsewhere(store):
        return NothingToDo(event=event, reason="store_not_connected")
    shops = _needed(order)
    amounts = _amounts(order)
    sold_at = moment(order.get("created_at"))
    if sold_at is None:
        raise Untranslatable("fields_left_out", "the subscription leaves out created_at")
    state = text_or_none(order.get("state")) or ""
    captured = _captured(order, amounts, state) if "total_paid" in order else None
    method = short(member(order, "payment", "method"))
    return OrderChanged(
        event=event,
        order=Order(
            id=event.entity_id,
            currency=amounts.currency,
            sale=Sale(
                amounts=amounts,
                shop_amounts=_amounts(order, "base_") if shops != amounts.currency else None,
                sold_at=sold_at,
                captured=captured,
                paid=captured is not None and captured >= amounts.total,
                fulfilled=state == "complete",
                cancelled=state == "canceled",
                number=short(order.get("increment_id")),
                location=store or "",
                lines=tuple(map(_line, _rows(order))),
                payments=(Payment(mode=method, amount=amount(order, "total_paid")),) if method and captured else (),
            ),
            refunded=_refunded(order) if "total_refunded" in order else None,
        ),
        buyer=_buyer(order),
        payload=order,
        version=delivery.version(order, event),
        store=store,
    )


def _event(delivery: AdobeEvent, entity: Mapping[str, Any], *names: str) -> tuple[Event, str | None]:
    """Return the event of an entity's order, named by one of these members, and the entity's store view."""
    order_id = text_id(next((entity[name] for name in names if entity.get(name)), None))
    return delivery.event(order_id), text_or_none(entity.get("store_id")) or delivery.scope


def _needed(entity: Mapping[str, Any]) -> str:
    """Return the shop's currency. Raises Untranslatable('fields_left_out') without what the parts depend on."""
    missing = [name for name in _NEEDED if name not in entity]
    if not missing and entity["base_currency_code"] != entity["order_currency_code"]:
        missing = [name for name in _BASE_NEEDED if name not in entity]
    if missing:
        raise Untranslatable("fields_left_out", f"the subscription leaves out {', '.join(missing)}")
    return currency(entity["base_currency_code"])


def _of(entity: Mapping[str, Any], name: str) -> Decimal:
    """Return an amount of an entity, or of its extension attributes, where modules keep theirs."""
    return amount(entity if name in entity else member(entity, "extension_attributes"), name)


def _sum(entity: Mapping[str, Any], prefix: str, *names: str) -> Decimal:
    return sum((_of(entity, prefix + name) for name in names), ZERO)


def _amounts(entity: Mapping[str, Any], prefix: str = "") -> Amounts:
    """Return the parts of what was sold, or given back, tenders included. ``prefix``: ``base_`` for the shop's."""
    tenders = {ours: _of(entity, prefix + theirs) for theirs, ours in _TENDERS.items()}
    cards = [row for row in _rows(entity) if row.get("product_type") == "giftcard"]
    return Amounts.of_total(
        currency(entity["base_currency_code" if prefix else "order_currency_code"]),
        _sum(entity, prefix, "grand_total", *_TENDERS),
        _of(entity, f"{prefix}tax_amount"),
        gift_cards=sum((_of(c, f"{prefix}row_total") - _discount(c, prefix) for c in cards), ZERO),
        gift_cards_tax=sum((_of(card, f"{prefix}tax_amount") for card in cards), ZERO),
        shipping=max(ZERO, _of(entity, f"{prefix}shipping_amount") - _shipping_discount(entity, prefix)),
        shipping_tax=_of(entity, f"{prefix}shipping_tax_amount"),
        fees=_sum(entity, "", *(name.format(prefix) for name in _WRAPPING)),
        fees_tax=_sum(entity, "", *(name.format(prefix) for name in _WRAPPING_TAX)),
        **tenders,
    )


def _discount(row: Mapping[str, Any], prefix: str = "") -> Decimal:
    """Return the discount of a line without the tax that it contains where prices include tax."""
    compensated = amount(row, f"{prefix}discount_tax_compensation_amount")
    return abs(amount(row, f"{prefix}discount_amount")) - compensated


def _shipping_discount(entity: Mapping[str, Any], prefix: str) -> Decimal:
    # The shop's one has a shorter name, as long as Magento's columns may be.
    compensation = f"{prefix}shipping_discount_tax_compensation_" + ("amnt" if prefix else "amount")
    return abs(_of(entity, f"{prefix}shipping_discount_amount")) - _of(entity, compensation)


def _captured(order: Mapping[str, Any], amounts: Amounts, state: str) -> Decimal:
    """Return what was paid so far, the gift cards and the store credit of invoices included."""
    paid = amount(order, "total_paid")
    if state == "canceled" and not paid:
        return ZERO
    if paid >= amount(order, "grand_total"):
        return amounts.total
    return paid + _sum(order, "", "gift_cards_invoiced", "customer_balance_invoiced")


def _refunded(order: Mapping[str, Any]) -> Decimal:
    return _sum(order, "", "total_refunded", "gift_cards_refunded", "customer_balance_refunded")


def _rows(entity: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lines without children of configurable and bundled products."""
    return [row for row in objects(entity.get("items")) if not row.get("parent_item_id")]


def _line(row: Mapping[str, Any]) -> Line:
    discount = _discount(row)
    return Line(
        id=short(row.get("item_id") or row.get("order_item_id")),
        item_code=short(row.get("sku")) or short(row.get("product_id")),
        description=short(row.get("name")),
        quantity=amount(row, "qty_ordered" if "qty_ordered" in row else "qty"),
        rate=amount(row, "price"),
        discount=discount,
        amount=amount(row, "row_total") - discount,
        tax=amount(row, "tax_amount"),
        kind="gift_card" if row.get("product_type") == "giftcard" else "product",
    )


def _buyer(order: Mapping[str, Any]) -> Buyer:
    """Return the shop's customer, or a guest. The order's contacts were typed in for it."""
    guest = order.get("customer_is_guest") in (True, 1, "1") or not order.get("customer_id")
    fields = {name: value for name, value in take(order, _FIELDS).items() if value is not None}
    if phone := text_or_none(member(order, "billing_address", "telephone")):
        fields["phone"] = phone
        if country := text_or_none(member(order, "billing_address", "country_id")):
            fields["country"] = country
    return Buyer(
        source_id=None if guest else text_id(order["customer_id"]),
        fields=fields,
        verified={"email": False, "phone": False},
    )


# -- invoices and credit memos ------------------------------------------------------------------------------------


def _invoice(delivery: AdobeEvent) -> Change:
    """Return an invoice: money that was captured, once it is paid."""
    invoice = _entity(delivery.value, "invoice")
    event, store = _event(delivery, invoice, "order_id")
    if delivery.elsewhere(store):
        return NothingToDo(event=event, reason="store_not_connected")
    unit, paid = _currency(invoice), text_or_none(invoice["state"]) == _PAID
    version = delivery.version(invoice, event)
    capture = Capture(
        id=text_id(invoice.get("entity_id") or invoice.get("id")),
        amount=_total(invoice) if paid else ZERO,
        version=tuple(version.to_list()) if version else (),
    )
    return OrderChanged(
        event=event,
        order=Order(id=event.entity_id, currency=unit, captures=(capture,)),
        payload=invoice,
        store=store,
    )


def _credit_memo(delivery: AdobeEvent) -> Change:
    """Return a credit memo: money that was given back, once it is refunded."""
    memo = _entity(delivery.value, "creditmemo")
    event, store = _event(delivery, memo, "order_id")
    if delivery.elsewhere(store):
        return NothingToDo(event=event, reason="store_not_connected")
    unit, refunded = _currency(memo), text_or_none(memo["state"]) == _REFUNDED
    adjusted = any(_of(memo, name) for name in ("adjustment", "adjustment_positive", "adjustment_negative"))
    # With an adjustment the parts are not those of the money that was given back.
    known = refunded and not adjusted and memo.keys() >= {"tax_amount", "shipping_amount"}
    version = delivery.version(memo, event)
    refund = Refund(
        id=text_id(memo.get("entity_id") or memo.get("id")),
        amount=_total(memo) if refunded else ZERO,
        amounts=_amounts(memo) if known else None,
        at=moment(memo.get("created_at")) or delivery.time,
        lines=tuple(_line({**row, "item_id": row.get("order_item_id")}) for row in _rows(memo) if amount(row, "qty")),
        version=tuple(version.to_list()) if version else (),
    )
    return OrderChanged(
        event=event,
        order=Order(id=event.entity_id, currency=unit, refunds=(refund,)),
        payload=memo,
        store=store,
    )


def _total(entity: Mapping[str, Any]) -> Decimal:
    """Return an invoice's or a credit memo's total, tenders included."""
    return _sum(entity, "", "grand_total", *_TENDERS)


def _currency(entity: Mapping[str, Any]) -> str:
    """Return the order's currency. Raises Untranslatable('fields_left_out') without what the money depends on."""
    if missing := [name for name in ("state", "grand_total", "order_currency_code") if name not in entity]:
        raise Untranslatable("fields_left_out", f"the subscription leaves out {', '.join(missing)}")
    return currency(entity["order_currency_code"])


_KINDS: Mapping[Callable[..., Any], str] = {_order: "order", _invoice: "invoice", _credit_memo: "creditmemo"}

READERS: dict[str, Callable[[AdobeEvent], Change]] = {
    "observer.sales_order_save_commit_after": _order,
    "observer.sales_order_save_after": _order,
    "observer.sales_order_invoice_save_commit_after": _invoice,
    "observer.sales_order_invoice_save_after": _invoice,
    "observer.sales_order_creditmemo_save_commit_after": _credit_memo,
    "observer.sales_order_creditmemo_save_after": _credit_memo,
    "plugin.magento.sales.api.order_repository.save": _order,
    "plugin.magento.sales.api.invoice_repository.save": _invoice,
    "plugin.magento.sales.api.creditmemo_repository.save": _credit_memo,
}
