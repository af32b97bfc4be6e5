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
        ("1.2345678901234567890123e5", "123456.78901234567890123"),
        ("-1.2345678901234567890123e-3", "-0.0012345678901234567890123"),
        ("12345678901234567890123456789012345678901234567890", "12345678901234567890123456789012345678901234567890"),
        ("-9007199254740993", "-9007199254740993"),
        ("1e22", "10000000000000000000000"),
        ("1E+2", "100"),
        ("1e399", "1" + "0" * 399),
        ("1e999999999", "1e999999999"),
        ("1e-999999999", "1e-999999999"),
        ("0e999999999", "0"),
        ("-0.0", "-0"),
        ("9" * 5000, "9" * 5000),
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


def test_a_number_beyond_a_double_keeps_its_digits() -> None:
    assert exact("1.5e309") == "15" + "0" * 308
    assert exact("1e999") == "1e999"


@pytest.mark.parametrize("written", ["1e99999999999999999999", "-1.5E+99999999999999999999", "1e-99999999999999999999"])
def test_an_exponent_beyond_every_limit_is_no_crash(written: str) -> None:
    assert exact(written) == written
    assert json_value(f'{{"a":{written}}}'.encode()) == {"a": written}


json_numbers = st.from_regex(r"-?(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?", fullmatch=True)


@given(json_numbers)
def test_no_number_of_a_body_changes_on_its_way_through_the_queue(written: str) -> None:
    (read,) = json_value(f"[{written}]".encode())
    (received,) = json.loads(json.dumps([read]))
    assert Decimal(coerce("notes", received)) == Decimal(written)
