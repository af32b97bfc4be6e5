"""Bill numbers and markers never change: the results are golden."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.orders.bills import bill_number, marker, receipt_number, supplementary
from tests.orders.makers import sale


@pytest.mark.parametrize(
    ("shop", "order_id", "length", "expected"),
    [
        ("acme.myshopify.com", "450789469", 50, "ulcaq7-450789469"),
        ("acme.myshopify.com", "acme.myshopify.com/450789469", 50, "ulcaq7-acme.myshopify.com-450-imc7rgivsnwddsxp"),
        ("shop-1", "5c1e7b2a-8f3d-4a71-9c55-e1f4d0a6b7c8", 20, "7wuz5n4jtxh6f5y4"),
    ],
)
def test_golden_bill_numbers(shop: str, order_id: str, length: int, expected: str) -> None:
    assert bill_number(shop, order_id, length) == expected


def test_golden_receipt_numbers() -> None:
    till = sale(number="1042", location="12", till="3")
    assert receipt_number("shop-1", till, "9", 50) == "1042-12-3-20260920"
    assert receipt_number("shop-1", sale(number="1042"), "9", 50) == "1042-shop-1-20260920"
    assert receipt_number("shop-1", sale(), "9", 50) == bill_number("shop-1", "9", 50)


def test_a_key_of_shops_makes_other_numbers() -> None:
    assert bill_number("main", "1", 50, key="ac") == "qz7rsa-1"
    till = sale(number="1042", location="12", till="3")
    assert receipt_number("shop-1", till, "9", 50, key="ac") == "1042-ac-12-3-20260920"
    assert receipt_number("main", sale(), "1", 50, key="ac") == bill_number("main", "1", 50, key="ac")


def test_golden_marker() -> None:
    assert marker("shop-1", "450789469", 3) == "LR-265pgx6bmrzei6uuoupank5f-3"


def test_supplementary_sales_have_numbers_of_their_own() -> None:
    assert [supplementary("b", count) for count in (1, 2, 12)] == ["b", "b-2", "b-12"]


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200), st.integers(20, 100))
def test_numbers_fit_and_have_plain_characters(shop: str, order_id: str, length: int) -> None:
    bill = supplementary(bill_number(shop, order_id, length), 99)
    assert len(bill) <= length
    assert re.fullmatch(r"[A-Za-z0-9._-]+", bill)
    assert re.fullmatch(r"[A-Za-z0-9-]{1,50}", marker(shop, order_id, 999))


@given(st.lists(st.tuples(st.sampled_from(["a", "a b", "a-b", "é"]), st.text(max_size=60)), min_size=2, unique=True))
def test_no_two_orders_have_the_same_number(orders: list[tuple[str, str]]) -> None:
    bills = {bill_number(shop, order_id, 36).casefold() for shop, order_id in orders}
    folded = {(shop, order_id) for shop, order_id in orders}
    assert len(bills) >= len({(s.casefold(), o.casefold()) for s, o in folded})
    assert len({marker(shop, order_id, 1) for shop, order_id in orders}) == len(orders)
