"""Orders as sources report them: sales, captures and refunds in one model, whatever the platform's own.

A report is a *snapshot* (``Order.sale``: the order as a whole, at a version) or a *delta* (captures and refunds by id),
or both. Every amount is a ``Decimal`` in major units, and not negative unless it is written otherwise. Amounts of the
customer's currency (presentment) and of the shop's currency are kept apart; they are never added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Literal

from loyalty_relay.model.money import ZERO, decimal_of

PARTS = ("goods", "gift_cards", "shipping", "tips", "duties", "fees")
"""What an order's total consists of, each with its tax beside it."""

MOST_LINES = 2000
"""Lines, and refunds, of one order that are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The parts of a total in one currency: net of discounts and without tax, each part's tax beside it.

    ``goods`` takes what the platform does not attribute, so that ``total`` is exact. It may be negative where a return
    exceeds what is sold with it.
    """

    currency: str
    goods: Decimal = ZERO
    goods_tax: Decimal = ZERO
    gift_cards: Decimal = ZERO
    """Gift cards that are bought."""
    gift_cards_tax: Decimal = ZERO
    shipping: Decimal = ZERO
    shipping_tax: Decimal = ZERO
    tips: Decimal = ZERO
    tips_tax: Decimal = ZERO
    duties: Decimal = ZERO
    duties_tax: Decimal = ZERO
    fees: Decimal = ZERO
    """Surcharges, wrapping, handling."""
    fees_tax: Decimal = ZERO
    by_gift_card: Decimal = ZERO
    """How much of the total is paid with gift cards."""
    by_store_credit: Decimal = ZERO
    """How much of the total is paid with store credit."""

    @property
    def total(self) -> Decimal:
        """What the customer owes for all parts together."""
        return sum((getattr(self, name) + getattr(self, f"{name}_tax") for name in PARTS), ZERO)

    @classmethod
    def of_total(cls, currency: str, total: Decimal, tax: Decimal = ZERO, **parts: Decimal) -> Amounts:
        """Return amounts with this total and with this tax in all.

        ``parts`` are named as here; goods take what they leave of both.
        """
        others = sum((parts.get(name, ZERO) for name in PARTS), ZERO)
        taxes = sum((parts.get(f"{name}_tax", ZERO) for name in PARTS), ZERO)
        return cls(currency=currency, goods=total - tax - others, goods_tax=tax - taxes, **parts)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Amounts:
        given: dict[str, Any] = {n: value if n == "currency" else decimal_of(value) for n, value in data.items()}
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a sale or a refund. ``amount`` is net of discounts: value (rate x quantity) minus ``discount``."""

    id: str = ""
    item_code: str = ""
    """The article's number (SKU), or the platform's own id of the article."""
    description: str = ""
    quantity: Decimal = Decimal(1)
    rate: Decimal = ZERO
    discount: Decimal = ZERO
    amount: Decimal = ZERO
    tax: Decimal = ZERO
    """Of the line, beside ``amount``; zero where ``amount`` contains it."""
    kind: Literal["product", "gift_card"] = "product"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Line:
        texts = ("id", "item_code", "description", "kind")
        given: dict[str, Any] = {n: value if n in texts else decimal_of(value) for n, value in data.items()}
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A tender: the platform's own name of the mode, and its amount in the currency of ``Sale.amounts``."""

    mode: str
    amount: Decimal

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Payment:
        return cls(mode=data["mode"], amount=decimal_of(data["amount"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A snapshot of what was sold. Refunds and captures are not subtracted from it.

    ``sold_at`` is ``instant`` text.
    """

    amounts: Amounts
    """In the customer's currency."""
    shop_amounts: Amounts | None = None
    """The same in the shop's currency, by the platform's own conversion; None where both are one currency."""
    sold_at: str
    captured: Decimal | None = None
    """Money captured so far, in the customer's currency; None where captures are reported by id, or else the whole
    total if ``paid``.
    """
    paid: bool = False
    """Whether the platform reports the whole total as paid."""
    fulfilled: bool = False
    """Whether every line that is not cancelled is fulfilled."""
    cancelled: bool = False
    """Cancelled or voided; what was captured counts all the same until it is refunded."""
    test: bool = False
    number: str = ""
    """What people call the order."""
    channel: str = ""
    """web, pos, or the platform's own word."""
    location: str = ""
    """The shop, outlet or location of the sale, by the platform's id; a key of ``sales.stores``."""
    till: str = ""
    """The till or register, by the platform's id; a key of ``sales.stores`` that wins over ``location``."""
    employee: str = ""
    lines: tuple[Line, ...] = ()
    payments: tuple[Payment, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sale:
        given = dict(data)
        given["amounts"] = Amounts.from_dict(given["amounts"])
        if given.get("shop_amounts") is not None:
            given["shop_amounts"] = Amounts.from_dict(given["shop_amounts"])
        if given.get("captured") is not None:
            given["captured"] = decimal_of(given["captured"])
        given["lines"] = tuple(map(Line.from_dict, given.get("lines", ())))
        given["payments"] = tuple(map(Payment.from_dict, given.get("payments", ())))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Money that was taken, by the payment's id, in the customer's currency. A later report replaces an earlier one."""

    id: str
    amount: Decimal
    """Zero when it failed or was cancelled."""
    refunded: Decimal = ZERO
    """How much of it was given back so far, where the platform reports a cumulative total."""
    version: tuple[str, ...] = ()
    """``Version.to_list`` of the capture's own; empty: the command's."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Capture:
        return cls(
            id=data["id"],
            amount=decimal_of(data["amount"]),
            refunded=decimal_of(data.get("refunded", 0)),
            version=tuple(data.get("version", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that was given back, by the refund's id, in the customer's currency.

    A later report replaces an earlier one. ``amount`` is what was really paid back, to a card or as store credit; zero
    while it is pending, and when it failed, was cancelled or deleted.
    """

    id: str
    amount: Decimal
    amounts: Amounts | None = None
    """Its parts, whose total is ``amount``; None where the platform reports the amount alone."""
    at: str = ""
    """When, as ``instant`` text."""
    lines: tuple[Line, ...] = ()
    """What came back, with positive quantities; ``Line.id`` is that of the sale's line."""
    version: tuple[str, ...] = ()
    """``Version.to_list`` of the refund's own; empty: the command's."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Refund:
        return cls(
            id=data["id"],
            amount=decimal_of(data["amount"]),
            amounts=Amounts.from_dict(data["amounts"]) if data.get("amounts") is not None else None,
            at=data.get("at", ""),
            lines=tuple(map(Line.from_dict, data.get("lines", ()))),
            version=tuple(data.get("version", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one event reports about one order."""

    id: str
    """Unique within the connection: with the store's name where the platform's ids are not. May be an alias, if the
    event names nothing else.
    """
    aliases: tuple[str, ...] = ()
    """Other names under which later events may name the order, such as ``payment:ID``."""
    currency: str = ""
    """The customer's currency, of captures and refunds; that of ``sale.amounts`` where there is a sale."""
    sale: Sale | None = None
    captures: tuple[Capture, ...] = ()
    refunds: tuple[Refund, ...] = ()
    all_refunds: bool = False
    """Whether ``refunds`` are all that the order has at its version: those that are missing were deleted."""
    refunded: Decimal | None = None
    """Cumulative total given back, where the platform reports one; in the customer's currency."""
    voided: bool = False
    """Whether the sale was undone as a whole: all of its money counts as given back. Final."""
    unlinked: bool = False
    """Whether this is a return that names no sale."""
    note: str = ""
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    """Of the transaction at the destination, by the connection's mapping."""
    extended_fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Order:
        given = dict(data)
        given["aliases"] = tuple(given.get("aliases", ()))
        if given.get("sale") is not None:
            given["sale"] = Sale.from_dict(given["sale"])
        given["captures"] = tuple(map(Capture.from_dict, given.get("captures", ())))
        given["refunds"] = tuple(map(Refund.from_dict, given.get("refunds", ())))
        if given.get("refunded") is not None:
            given["refunded"] = decimal_of(given["refunded"])
        return cls(**given)


def in_currency(order: Order, currency: str) -> Order:
    """Return an order whose platform reports no currency with this one, which is the shop's."""
    if order.currency or not currency:
        return order

    def named(amounts: Amounts | None) -> Any:
        return amounts and replace(amounts, currency=currency)

    sale = order.sale and replace(order.sale, amounts=named(order.sale.amounts))
    refunds = tuple(replace(refund, amounts=named(refund.amounts)) for refund in order.refunds)
    return replace(order, currency=currency, sale=sale, refunds=refunds)


def times(amounts: Amounts, rate: Decimal, currency: str) -> Amounts:
    """Return amounts converted by a rate of the platform, unrounded."""
    values = {f.name: getattr(amounts, f.name) * rate for f in fields(amounts) if f.name != "currency"}
    return replace(amounts, currency=currency, **values)
