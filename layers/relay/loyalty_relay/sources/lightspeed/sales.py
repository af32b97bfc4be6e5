"""Lightspeed's sales, in the shape of API 1.0 (webhooks) and of 2.0 (what is read): sales, returns and exchanges.

Sources: X-Series API docs "Webhook example payloads", "Returns", "Statuses", "States and attributes"; the API reference
for Get a single sale (2.0) and Get a single customer.

Amounts are JSON numbers or texts in major units, without tax, with more digits than the currency has; the tax is beside
them. A sale has no currency unless its payments do: it is the retailer's, which the connection's rules of sales name.

- A return is a sale of its own. With ``return_for`` it is a refund of that sale; what is sold with it is a sale under
  its own id, which the goods that came back pay for. Without ``return_for``, lines with a negative quantity are part of
  the sale's total (a discount may be such a line), and only a total below zero is a return, one that names no sale.
- A sale earns once it is closed, or paid and waiting to be picked up or sent. Parked, on account or on layby: not yet.
- The customer whose code is WALKIN is a guest. Sales that are read have only the customer's id, so that the customer
  is read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import REVISION, Version, revision
from loyalty_relay.model.money import ZERO
from loyalty_relay.model.orders import Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.base import Buyer, Change, NothingToDo, OrderChanged, ThinChange
from loyalty_relay.sources.hydrating import entity_of, objects, unit_price, unreadable, version_read
from loyalty_relay.sources.lightspeed.customers import LightspeedCustomer
from loyalty_relay.sources.parsing import amount, currency, member, moment, text_id, text_or_none

PLATFORM = "lightspeed"
SALE, CUSTOMER = "sale", "customer"
"""What is read, in API 2.0."""
GIFT_CARDS = "gift_card_products"
"""The option that names products that are gift cards: lines of API 1.0 do not show it."""
WALK_IN = "WALKIN"
_PEOPLE = ("customer", "user")
"""Parts of a sale that are left out while the customer is read."""
_GIFT_CARD = ("118", "gift card")
_STORE_CREDIT = ("121", "store credit")
"""Payment types by Lightspeed's own number, and by name."""
_CENT = Decimal("0.01")


# -- reading ------------------------------------------------------------------------------------------------------


def sale_read(thin: ThinChange, status: int, body: Any) -> list[Change]:
    """Return the changes in a sale that was read."""
    sale = _data(status, body)
    if sale is None:
        return [NothingToDo(event=thin.event, reason="deleted_meanwhile")]
    number = sale.get("version")
    if str(sale.get("id")) != thin.data["id"] or isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise unreadable()
    version = version_read(f"{PLATFORM}{REVISION}", revision(number), thin)
    return sale_changes(thin, sale, version)


def customer_read(thin: ThinChange, status: int, body: Any) -> list[Change]:
    """Return the changes in a sale whose customer was read. Of a deleted one the id is left."""
    customer = _data(status, body) or {"id": thin.data["id"]}
    version = thin.data["version"]
    sale = {**thin.data["sale"], "customer": customer}
    return sale_changes(thin, sale, Version.from_list(list(version)) if version else None)


def sale_changes(thin: ThinChange, sale: Mapping[str, Any], version: Version | None) -> list[Change]:
    """Return what a sale is: a sale, a refund, both, a void, or nothing yet."""
    state = _state(sale)
    if state == "open":
        return [NothingToDo(event=thin.event, reason="not_closed")]
    found = _SaleReader(thin, sale, version, state)
    if found.customer_is_unknown:
        kept = {name: value for name, value in sale.items() if name not in _PEOPLE}
        data = {
            "id": text_id(sale["customer_id"]),
            SALE: kept,
            GIFT_CARDS: thin.data.get(GIFT_CARDS, []),
            "version": version.to_list() if version else [],
        }
        return [replace(thin, resource=CUSTOMER, data=data)]
    return found.changes()


def _data(status: int, body: Any) -> Mapping[str, Any] | None:
    answer = entity_of(status, body)
    if answer is None:
        return None
    data = answer.get("data")
    if not isinstance(data, dict):
        raise unreadable()
    return data


def _state(sale: Mapping[str, Any]) -> str:
    """Return closed, awaiting (paid, and still to be handed over), voided or open.

    Older sales have a status alone, newer ones a state with attributes beside it.
    """
    status, state = (str(sale.get(name) or "").upper() for name in ("status", "state"))
    if "VOIDED" in (status, state) or text_or_none(sale.get("deleted_at")):
        return "voided"
    if status.endswith("CLOSED") or state == "CLOSED":
        return "closed"
    attributes = sale.get("attributes")
    later = isinstance(attributes, list) and not {"onaccount", "layby"}.isdisjoint(map(str, attributes))
    return "awaiting" if status.startswith("AWAITING_") and not later else "open"


class _SaleReader:
    """One sale that is closed, awaiting or voided, in either shape."""

    def __init__(self, thin: ThinChange, sale: Mapping[str, Any], version: Version | None, state: str) -> None:
        self._thin = thin
        self._sale = sale
        self._version = version
        self._state = state
        self._id = text_id(sale.get("id"))
        self._lines = objects(sale.get("register_sale_products", sale.get("line_items")))
        self._payments = [
            payment
            for payment in objects(sale.get("register_sale_payments", sale.get("payments")))
            if not payment.get("deleted_at")
        ]
        given = next((found for p in self._payments if (found := text_or_none(p.get("currency")))), None)
        self._currency = currency(given) if given else ""
        self._original = text_or_none(sale.get("return_for"))
        self._back = [line for line in self._lines if self._is_return(line)]
        self._new = [line for line in self._lines if not self._is_return(line)]
        self._tax = self._total_of("total_tax")
        self._total = self._total_of("total_price") + self._tax

    @property
    def customer_is_unknown(self) -> bool:
        """Whether it matters who bought, and the sale does not show whether that is the walk-in customer."""
        named = text_or_none(self._sale.get("customer_id")) is not None
        matters = self._original is None or bool(self._new)
        return named and matters and not isinstance(self._sale.get("customer"), dict)

    def changes(self) -> list[Change]:
        if self._original is None:
            if self._total >= 0:
                return [self._sold(self._lines, self._total)]
            return [self._returned(None, -self._total)]
        if not self._new:
            return [self._returned(self._original, -self._total)]
        # An exchange: what came back pays a part of what is sold with it.
        credit = -_sum(map(_with_tax, self._back))
        return [self._returned(self._original, credit), self._sold(self._new, self._total + credit)]

    def _is_return(self, line: Mapping[str, Any]) -> bool:
        return line.get("is_return") is True or amount(line, "quantity") < 0

    # -- a sale ---------------------------------------------------------------------------------------------------

    def _sold(self, lines: list[Mapping[str, Any]], total: Decimal) -> OrderChanged:
        voided = self._state == "voided"
        closed = self._state == "closed"
        paid = _sum(amount(payment, "amount") for payment in self._payments)
        sale = Sale(
            amounts=self._amounts(lines, total),
            sold_at=moment(self._sale.get("sale_date")) or moment(self._sale.get("created_at")) or "",
            captured=paid if self._state == "awaiting" else None,
            paid=closed,
            fulfilled=closed,
            cancelled=voided,
            number=self._text("invoice_number") or self._text("receipt_number"),
            channel="pos" if self._text("source") in ("", "USER") else self._text("source"),
            location=self._text("outlet_id"),
            till=self._text("register_id"),
            employee=self._text("user_id"),
            lines=tuple(self._line(line, 1) for line in lines),
            payments=tuple(Payment(mode=mode, amount=value) for mode, value in self._tenders().items() if value > 0),
        )
        order = Order(id=self._id, currency=self._currency, sale=sale, voided=voided)
        return self._changed(order, self._buyer())

    def _amounts(self, lines: list[Mapping[str, Any]], total: Decimal) -> Amounts:
        """Return the parts. Fees, tips and charges count where the total exceeds the lines by just as much."""
        cards = [line for line in lines if self._kind(line) == "gift_card"]
        tax = self._tax - _sum(_tax(line) for line in self._lines) + _sum(map(_tax, lines))
        charges = member(self._sale, "ecom_custom_charges")
        parts = {
            "tips": self._adjusted("TIP"),
            "fees": max(self._adjusted("NON_CASH_FEE", "SURCHARGE"), amount(self._sale, "total_surcharge")),
            "shipping": amount(charges, "total"),
            "shipping_tax": amount(charges, "total_tax"),
        }
        if abs(total - _sum(map(_with_tax, lines)) - _sum(parts.values())) >= _CENT:
            parts = {}
        parts |= {"gift_cards": _sum(map(_price, cards)), "gift_cards_tax": _sum(map(_tax, cards))}
        return replace(
            Amounts.of_total(self._currency, total, tax, **parts),
            by_gift_card=self._paid_with(_GIFT_CARD),
            by_store_credit=self._paid_with(_STORE_CREDIT),
        )

    def _adjusted(self, *kinds: str) -> Decimal:
        found = objects(self._sale.get("adjustments"))
        return _sum(amount(item, "total") for item in found if item.get("adjustment_type") in kinds)

    def _kind(self, line: Mapping[str, Any]) -> str:
        cards = self._thin.data.get(GIFT_CARDS) or ()
        card = text_or_none(line.get("gift_card_number")) is not None or line.get("product_id") in cards
        return "gift_card" if card else "product"

    def _line(self, line: Mapping[str, Any], sign: int) -> Line:
        quantity, net = sign * amount(line, "quantity"), sign * _price(line)
        if line.get("discount_total") is not None:
            discount = sign * amount(line, "discount_total")
        else:
            discount = amount(line, "discount") * quantity
        return Line(
            id=text_or_none(line.get("id")) or "" if sign > 0 else "",
            item_code=text_or_none(line.get("sku")) or text_or_none(line.get("product_id")) or "",
            description=text_or_none(line.get("name")) or "",
            quantity=quantity,
            rate=unit_price(net + discount, quantity, self._currency),
            discount=discount,
            amount=net,
            tax=sign * _tax(line),
            kind="gift_card" if self._kind(line) == "gift_card" else "product",
        )

    def _tenders(self) -> dict[str, Decimal]:
        """Return what was paid in each mode; change that was given is subtracted from its own."""
        paid: dict[str, Decimal] = {}
        for payment in self._payments:
            mode = _mode(payment) or "other"
            paid[mode] = paid.get(mode, ZERO) + amount(payment, "amount")
        return paid

    def _paid_with(self, kind: tuple[str, str]) -> Decimal:
        number, name = kind
        found = [p for p in self._payments if str(p.get("payment_type_id")) == number or _mode(p).lower() == name]
        return max(ZERO, _sum(amount(payment, "amount") for payment in found))

    # -- a return -------------------------------------------------------------------------------------------------

    def _returned(self, original: str | None, worth: Decimal) -> OrderChanged:
        """Return a refund under the return's own id; one that was voided takes nothing back."""
        if self._state == "voided":
            worth = ZERO
        cards = [line for line in self._back if self._kind(line) == "gift_card"]
        parts = None
        if worth > 0 and worth == -_sum(map(_with_tax, self._back)):
            parts = Amounts.of_total(
                self._currency,
                worth,
                -_sum(map(_tax, self._back)),
                gift_cards=-_sum(map(_price, cards)),
                gift_cards_tax=-_sum(map(_tax, cards)),
            )
        refund = Refund(
            id=self._id,
            amount=max(ZERO, worth),
            amounts=parts,
            at=moment(self._sale.get("sale_date")) or "",
            lines=tuple(self._line(line, -1) for line in self._back) if parts else (),
            version=tuple(self._version.to_list()) if self._version else (),
        )
        order = Order(id=original or self._id, currency=self._currency, refunds=(refund,), unlinked=original is None)
        return self._changed(order, self._buyer() if original is None else None)

    # -- both -----------------------------------------------------------------------------------------------------

    def _changed(self, order: Order, buyer: Buyer | None) -> OrderChanged:
        return OrderChanged(
            event=replace(self._thin.event, entity_id=order.id),
            order=order,
            buyer=buyer,
            payload=self._sale,
            version=self._version,
            store=self._thin.store,
        )

    def _buyer(self) -> Buyer:
        customer = self._sale.get("customer")
        customer = customer if isinstance(customer, dict) else {}
        source_id = text_or_none(self._sale.get("customer_id")) or text_or_none(customer.get("id"))
        if source_id is None or customer.get("customer_code") == WALK_IN:
            return Buyer()
        fields = LightspeedCustomer(customer).fields()
        return Buyer(source_id=source_id, email=fields.get("email"), phone=fields.get("phone"), fields=fields)

    def _text(self, name: str) -> str:
        return text_or_none(self._sale.get(name)) or ""

    def _total_of(self, name: str) -> Decimal:
        return amount(self._sale, *((name,) if self._sale.get(name) is not None else ("totals", name)))


def _sum(amounts: Any) -> Decimal:
    return sum(amounts, ZERO)


def _price(line: Mapping[str, Any]) -> Decimal:
    """Return what a line costs, net of discounts and without tax."""
    return amount(line, "price_total" if line.get("price_total") is not None else "total_price")


def _tax(line: Mapping[str, Any]) -> Decimal:
    return amount(line, "tax_total" if line.get("tax_total") is not None else "total_tax")


def _with_tax(line: Mapping[str, Any]) -> Decimal:
    return _price(line) + _tax(line)


def _mode(payment: Mapping[str, Any]) -> str:
    return text_or_none(member(payment, "retailer_payment_type", "name")) or text_or_none(payment.get("name")) or ""
