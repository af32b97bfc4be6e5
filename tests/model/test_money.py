"""Amounts keep every digit, whatever the currency and the way in which they were written."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.money import decimal_of, is_currency, of_minor_units, places, rounded, share, text_of
from loyalty_relay.model.numbers import exact, whole

CURRENCIES = {"JPY": 0, "EUR": 2, "USD": 2, "KWD": 3, "CLF": 4}


@pytest.mark.parametrize(("currency", "number"), CURRENCIES.items())
def test_places_are_those_of_iso_4217(currency: str, number: int) -> None:
    assert places(currency) == number


@pytest.mark.parametrize("code", ["", "XXX", "ABC", "eur", "EURO", "BTC", "XAU"])
def test_a_code_that_iso_4217_does_not_have_is_no_currency(code: str) -> None:
    assert not is_currency(code)


def test_currencies_of_today_and_of_orders_that_are_still_refunded_are_known() -> None:
    assert all(map(is_currency, ("GBP", "JPY", "KWD", "CLF", "XCG", "SLE", "ZWG", "BGN", "HRK")))


@given(st.integers(min_value=-(10**17), max_value=10**17), st.sampled_from(sorted(CURRENCIES)))
def test_an_amount_is_the_same_in_minor_units_as_text_and_as_json_number(units: int, currency: str) -> None:
    amount = of_minor_units(units, currency)
    assert amount * 10 ** places(currency) == units
    assert rounded(amount, currency) == amount
    text = text_of(amount)
    assert decimal_of(text) == amount
    assert decimal_of(json.loads(text, parse_float=exact, parse_int=whole)) == amount
    assert decimal_of(json.loads(text, parse_float=Decimal)) == amount


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20), st.sampled_from(["JPY", "KWD"]))
def test_shares_of_a_whole_add_up_when_the_last_takes_the_remainder(parts: list[int], currency: str) -> None:
    base, whole_amount = Decimal("99.37") if currency == "KWD" else Decimal(9937), Decimal(sum(parts) or 1)
    booked, seen = Decimal(0), Decimal(0)
    for part in parts:
        seen += part
        booked += share(base, seen, whole_amount, currency) - booked
    assert booked == (rounded(base, currency) if sum(parts) else 0)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1e3",
        "NaN",
        "Infinity",
        "1,50",
        "٣",
        "--1",
        "1.",
        ".5",
        "1" * 19,
        "0." + "1" * 19,
        None,
        True,
        [],
        {},
        float("inf"),
        1e300,
        10**18,
        Decimal("NaN"),
        Decimal("1e30"),
    ],
)
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        decimal_of(value)


@pytest.mark.parametrize("value", ["100", 1.5, True, None, 10**18])
def test_minor_units_are_whole_numbers(value: object) -> None:
    with pytest.raises(ValueError, match="minor units"):
        of_minor_units(value, "EUR")
