"""What of an order earns, in numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.model.orders import Amounts, Capture, Order
from loyalty_relay.orders.known import KnownOrder, fold
from loyalty_relay.orders.target import frozen_rules, rules_of, target_of
from tests.orders.makers import amounts, refund, sale

PARTS = amounts("136", tax="16", shipping="10", shipping_tax="1", gift_cards="20", tips="5")
"""Goods 85 with tax 15, shipping 10 with tax 1, a gift card of 20, a tip of 5."""


def known(*orders: Order) -> KnownOrder:
    found = KnownOrder()
    for order in orders:
        found = fold(found, order, None)
    return found


def target(rules: Sales | None = None, *orders: Order, **base: bool) -> Decimal:
    return target_of(known(*orders), replace(rules or Sales(), earning_base=EarningBase(**base))).amount


def sold(of: Amounts = PARTS, **more: Any) -> Order:
    return Order(id="1", sale=sale(amounts=of, **more))


def back(*refunds: Any, **more: Any) -> Order:
    return Order(id="1", refunds=refunds, **more)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ({}, "116"),
        ({"gift_card_products": True}, "136"),
        ({"tax": False}, "100"),
        ({"shipping": False}, "105"),
        ({"tips": False}, "111"),
        ({"tax": False, "shipping": False, "tips": False}, "85"),
    ],
)
def test_the_earning_base_is_configuration(base: dict[str, bool], expected: str) -> None:
    assert target(None, sold(), **base) == Decimal(expected)


def test_tender_that_does_not_earn_is_taken_off() -> None:
    paid = replace(amounts("100"), by_gift_card=Decimal(30), by_store_credit=Decimal(5))
    assert target(None, sold(paid)) == 100
    assert target(None, sold(paid), gift_card_tender=False) == 70
    assert target(None, sold(paid), gift_card_tender=False, store_credit=False) == 65
    assert target(None, sold(replace(paid, by_gift_card=Decimal(120))), gift_card_tender=False) == 0


def test_refunds_by_parts_and_by_amount() -> None:
    shipping = refund("s", "11", amounts=amounts("11", shipping="10", shipping_tax="1"))
    assert target(None, sold(), back(shipping)) == 105
    assert target(None, sold(), back(shipping), shipping=False) == 105
    tax = refund("t", "15", amounts=amounts("15", tax="15"))
    assert target(None, sold(), back(tax)) == 101
    assert target(None, sold(), back(tax), tax=False) == 100
    # An amount alone takes its share of what earns: 34 of 136 are a quarter.
    assert target(None, sold(), back(refund("a", "34"))) == 87


def test_a_restocking_fee_stays_earned() -> None:
    assert target(None, sold(amounts("100")), back(refund("r", "90"))) == 10


def test_a_full_refund_ends_at_exactly_zero_whatever_its_parts() -> None:
    odd_parts = refund("r", "136", amounts=amounts("136", gift_cards="130"))
    assert target(None, sold(), back(odd_parts)) == 0
    assert target(None, sold(), Order(id="1", refunded=Decimal(136))) == 0
    assert target(None, sold(), Order(id="1", voided=True)) == 0


def test_never_more_is_taken_back_than_was_sold() -> None:
    assert target(None, sold(), back(refund("r", "500"))) == 0


def test_partly_captured_orders_earn_their_share() -> None:
    first = Order(id="1", captures=(Capture(id="p1", amount=Decimal(34)),))
    assert target(None, sold(paid=False), first) == 29
    rest = Order(id="1", captures=(Capture(id="p2", amount=Decimal(102)),))
    assert target(None, sold(paid=False), first, rest) == 116
    assert target(None, sold(paid=False, captured=Decimal(68))) == 58


def test_a_refund_of_money_that_an_edit_left_over_takes_nothing_back() -> None:
    edited = Order(id="1", sale=sale("80", captured=Decimal(100)))
    assert target(None, edited) == 80
    assert target(None, edited, back(refund("r", "20"))) == 80
    assert target(None, edited, back(refund("r", "30"))) == 70


def test_the_customers_currency_gives_the_share_and_the_shops_the_amount() -> None:
    order = Order(id="1", sale=sale(amounts=amounts("100", "USD"), shop_amounts=amounts("90.10", "EUR")))
    third = back(refund("r", "33.33"))
    assert target(None, order) == Decimal("90.10")
    assert target(None, order, third) == Decimal("60.07")
    assert target(None, order, third, back(refund("r2", "66.67"))) == 0
    assert target_of(known(order, third), Sales(currency="USD")).amount == Decimal("66.67")
    assert target_of(known(order), Sales(currency="GBP")).reason == "currency"


@pytest.mark.parametrize(("currency", "expected"), [("JPY", "67"), ("EUR", "66.67"), ("KWD", "66.667")])
def test_amounts_are_rounded_once_to_the_places_of_their_currency(currency: str, expected: str) -> None:
    order = Order(id="1", sale=sale("200", currency, captured=Decimal(100)))
    assert target(None, order, back(refund("r", Decimal(100) / 3))) == Decimal(expected)


@pytest.mark.parametrize(
    ("rules", "order", "reason"),
    [
        (Sales(), Order(id="1"), "sale_missing"),
        (Sales(), Order(id="1", sale=sale(test=True)), "test_order"),
        (Sales(test_orders=True), Order(id="1", sale=sale(test=True)), ""),
        (Sales(start_date=date(2026, 9, 21)), Order(id="1", sale=sale()), "before_start_date"),
        (Sales(start_date=date(2026, 9, 20)), Order(id="1", sale=sale()), ""),
        (Sales(minimum=Decimal("100.01")), Order(id="1", sale=sale()), "below_minimum"),
        (Sales(minimum=Decimal(100)), Order(id="1", sale=sale(), refunded=Decimal(50)), ""),
        (Sales(), Order(id="1", sale=sale(paid=False)), "not_earned_yet"),
        (Sales(earn_when="fulfilled"), Order(id="1", sale=sale()), "not_earned_yet"),
        (Sales(earn_when="fulfilled"), Order(id="1", sale=sale(fulfilled=True)), ""),
    ],
)
def test_an_excluded_order_books_zero_with_a_reason(rules: Sales, order: Order, reason: str) -> None:
    found = target_of(known(order), rules)
    assert found.reason == reason
    assert (found.amount == 0) is bool(reason)


def test_a_status_that_was_earned_is_not_lost() -> None:
    undone = known(Order(id="1", sale=sale(fulfilled=False)))
    assert target_of(undone, Sales(earn_when="fulfilled"), begun=True).amount == 100


def test_a_return_without_a_sale_is_negative() -> None:
    found = known(Order(id="9", currency="EUR", unlinked=True, refunds=(refund("r", "12.50"),)))
    assert target_of(found, Sales(unlinked_returns="return")).amount == Decimal("-12.50")
    assert target_of(found, Sales(unlinked_returns="park", currency="USD")).reason == "currency"
    assert target_of(found, Sales(currency="USD")).reason == "unlinked_return"


def test_free_orders_and_exchanges_of_nothing_earn_nothing() -> None:
    assert target(None, sold(amounts("0"))) == 0
    assert target(None, sold(amounts("-5"))) == 0


def test_rules_survive_their_kept_form() -> None:
    rules = Sales(
        enabled=True, minimum=Decimal("9.50"), start_date=date(2026, 1, 1), earning_base=EarningBase(tax=False)
    )
    kept = frozen_rules(replace(rules, stores={"1": {"branch": "2"}}))
    assert rules_of(kept) == rules
    assert "stores" not in kept
