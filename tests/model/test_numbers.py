"""Numbers keep every digit (G10)."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.numbers import exact, plain
from loyalty_relay.sources.parsing import json_value
from loyalty_relay.translation.coercion import coerce

decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(lambda d: abs(d.adjusted()) < 300)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("19999.99", "19999.99"),
        ("1234567.5", "1234567.5"),
        ("0.1", "0.1"),
        ("1e-7", "0.0000001"),
        ("20000.0", "20000"),
        ("9007199254740993", "9007199254740993"),
        ("0.12345678901234567890123", "0.12345678901234567890123"),
        ("9007199254740993.5", "9007199254740993.5"),
    ],
)
def test_a_number_of_a_webhook_becomes_text_with_every_digit(written: str, sent: str) -> None:
    assert coerce("notes", json_value(f"[{written}]".encode())[0]) == sent


@given(decimals)
def test_no_digit_of_a_decimal_is_lost(number: Decimal) -> None:
    (read,) = json.loads(f"[{number:E}]", parse_float=exact)
    again = Decimal(read) if isinstance(read, str) else Decimal(plain(read))
    assert again == number


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_text_has_its_value_and_no_exponent(number: float) -> None:
    text = plain(number)
    assert "e" not in text.lower()
    assert Decimal(text) == Decimal(repr(number))


def test_a_number_beyond_a_double_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        exact("1e999")
