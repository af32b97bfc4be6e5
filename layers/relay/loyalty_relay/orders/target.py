"""What of an order earns: the base of the money captured minus refunded, by the connection's rules. Pure.

P, T    the included parts of the sale, and its total, in the customer's currency
B       what earns of P, in the currency of the bookings
ratio   money captured / T, at most 1, minus what refunds take back of P
target  B x ratio, rounded once; zero for an order that is excluded, or of which everything was given back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.model.commands import plain
from loyalty_relay.model.money import ZERO, decimal_of, rounded, share
from loyalty_relay.model.orders import PARTS, Amounts
from loyalty_relay.orders.known import KnownOrder

_INCLUDED = {
    "gift_cards": "gift_card_products",
    "shipping": "shipping",
    "tips": "tips",
    "duties": "duties",
    "fees": "fees",
}
"""Part of an order -> the rule that includes it; goods always count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the bookings of an order should add up to; negative only for a return that names no sale."""

    amount: Decimal = ZERO
    currency: str = ""
    """Of the bookings."""
    reason: str = ""
    """Why nothing earns, or what it waits for."""


WAITS = frozenset({"sale_missing", "not_earned_yet", "guest_held"})
"""Reasons that end with a later event."""


def frozen_rules(sales: Sales) -> dict[str, Any]:
    """Return the rules that decide about an order, in JSON's terms, to be kept from its first booking on."""
    data: dict[str, Any] = plain(replace(sales, stores={}, payment_modes={}, start_date=None))
    return data | ({"start_date": sales.start_date.isoformat()} if sales.start_date else {})


def rules_of(data: Mapping[str, Any]) -> Sales:
    """Return the rules of their kept form; what a later version added has its default."""
    given = dict(data)
    given["earning_base"] = EarningBase(**given.get("earning_base", {}))
    if "start_date" in given:
        given["start_date"] = date.fromisoformat(given["start_date"])
    if "minimum" in given:
        given["minimum"] = decimal_of(given["minimum"])
    return Sales(**given)


def target_of(known: KnownOrder, rules: Sales, *, begun: bool = False) -> Target:
    """Return the target of an order. ``begun``: whether something was booked, so that it has earned its status."""
    if known.unlinked:
        return _unlinked(known, rules)
    sale = known.sale
    if sale is None:
        return Target(reason="sale_missing", currency=known.currency)
    booked = _booked(sale.amounts, sale.shop_amounts, rules)
    if booked is None:
        return Target(reason="currency", currency=rules.currency)
    base = earning(booked, rules.earning_base)
    reason = _excluded(known, rules, base)
    if not reason and not begun and not _earned(known, rules):
        reason = "not_earned_yet"
    if reason:
        return Target(currency=booked.currency, reason=reason)
    ratio = _ratio(known, rules.earning_base)
    amount = share(base, Decimal(ratio.numerator), Decimal(ratio.denominator), booked.currency)
    return Target(amount=amount, currency=booked.currency)


def earning(amounts: Amounts, rules: EarningBase) -> Decimal:
    """Return what earns of a whole sale: the included parts, less the tender that does not earn."""
    tender = ZERO if rules.gift_card_tender else amounts.by_gift_card
    tender += ZERO if rules.store_credit else amounts.by_store_credit
    return max(ZERO, included(amounts, rules) - tender)


def included(amounts: Amounts, rules: EarningBase) -> Decimal:
    """Return the included parts of a sale or a refund, each with its tax if taxes earn."""
    total = ZERO
    for part in PARTS:
        if part not in _INCLUDED or getattr(rules, _INCLUDED[part]):
            total += getattr(amounts, part) + (getattr(amounts, f"{part}_tax") if rules.tax else ZERO)
    return total


def _booked(amounts: Amounts, shop: Amounts | None, rules: Sales) -> Amounts | None:
    """Return the amounts in the currency of the bookings: the shop's, unless the destination has the customer's."""
    own = shop or amounts
    if not rules.currency or own.currency == rules.currency:
        return own
    return amounts if amounts.currency == rules.currency else None


def _excluded(known: KnownOrder, rules: Sales, base: Decimal) -> str:
    sale = known.sale
    if sale is None or (sale.test and not rules.test_orders):
        return "test_order"
    if rules.start_date is not None and sale.sold_at < rules.start_date.isoformat():
        return "before_start_date"
    return "below_minimum" if base < rules.minimum else ""


def _earned(known: KnownOrder, rules: Sales) -> bool:
    fulfilled = rules.earn_when != "fulfilled" or (known.sale is not None and known.sale.fulfilled)
    return fulfilled and known.captured_money > 0


def _ratio(known: KnownOrder, rules: EarningBase) -> Fraction:
    """Return how much of the base is earned, between 0 and 1."""
    sale, captured = known.sale, known.captured_money
    if sale is None or sale.amounts.total <= 0 or known.refunded_money >= captured:
        return Fraction(0)
    total, parts = Fraction(sale.amounts.total), Fraction(included(sale.amounts, rules))
    taken = min(Fraction(1), Fraction(captured) / total)
    back = Fraction(known.refunded_money - known.refunded_by_id) / total
    for refund in known.refunds.values():
        if refund.amounts is None:
            back += Fraction(refund.amount) / total
        elif parts > 0:
            back += Fraction(included(refund.amounts, rules)) / parts
    # Of an order that was edited down, the money that exceeds the new total is given back first.
    excess = max(Fraction(0), Fraction(captured) / total - 1)
    return min(Fraction(1), max(Fraction(0), taken - max(Fraction(0), back - excess)))


def _unlinked(known: KnownOrder, rules: Sales) -> Target:
    if rules.unlinked_returns == "skip":
        return Target(reason="unlinked_return", currency=known.currency)
    if rules.currency and known.currency != rules.currency:
        return Target(reason="currency", currency=rules.currency)
    back = ZERO
    for refund in known.refunds.values():
        back += refund.amount if refund.amounts is None else included(refund.amounts, rules.earning_base)
    return Target(amount=-rounded(max(back, known.refunded or ZERO), known.currency), currency=known.currency)
