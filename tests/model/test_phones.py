"""Phone numbers as people type them, in the form that leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.phones import digits, to_e164


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+44 7700 900123", None, "+447700900123"),
        ("07700 900123", "GB", "+447700900123"),
        ("0044 7700 900123", None, "+447700900123"),
        ("0044 7700 900123", "US", "+447700900123"),
        ("011 44 7700 900123", "US", "+447700900123"),
        ("+44 (0)7700 900123", None, "+447700900123"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("202.555.0123", "US", "+12025550123"),
        ("+1 202-555-0123 ext. 12", "US", "+12025550123"),
        ("+1 202 555 0123 x45", None, "+12025550123"),
        ("tel:+44-7700-900123", None, "+447700900123"),
        ("\uff0b\uff14\uff14\uff17\uff17\uff10\uff10\uff19\uff10\uff10\uff11\uff12\uff13", None, "+447700900123"),
        ("\u0660\u0667\u0667\u0660\u0660\u0669\u0660\u0660\u0661\u0662\u0663", "GB", "+447700900123"),
        (" +61 491 570 156 ", None, "+61491570156"),
        ("0491 570 156", "AU", "+61491570156"),
        ("+33 1 99 00 12 34", "GB", "+33199001234"),
    ],
)
def test_a_number_is_understood_however_it_is_written(text: str, country: str | None, expected: str) -> None:
    assert to_e164(text, country) == expected


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("447700900123", "GB", "+447700900123"),
        ("447700900123", "US", "+447700900123"),
        ("447700900123", None, "+447700900123"),
        ("12025550123", "GB", "+12025550123"),
        ("9999000000", "IN", "+919999000000"),
    ],
)
def test_a_country_code_without_plus_counts_where_no_national_number_is_possible(
    text: str, country: str | None, expected: str
) -> None:
    assert to_e164(text, country) == expected


@pytest.mark.parametrize("text", ["12025550123", "2025550123", "07700 900123", "13912345678"])
def test_a_number_of_an_unknown_country_is_not_guessed(text: str) -> None:
    assert to_e164(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "   ", "hello", "+441", "12", "00", "+", "+999123456789", "+1 202 555 0123, +1 202 555 0124", "9" * 200],
)
@pytest.mark.parametrize("country", [None, "GB", "US"])
def test_what_is_no_phone_number_is_none(text: str, country: str | None) -> None:
    assert to_e164(text, country) is None


def test_capillary_wants_the_digits_only() -> None:
    assert digits("+447700900123") == "447700900123"
    assert digits("447700900123") == "447700900123"


@given(st.text(max_size=40), st.sampled_from([None, "GB", "US", "IN", "CN"]))
def test_any_text_gives_a_number_that_is_understood_again_or_none(text: str, country: str | None) -> None:
    first = to_e164(text, country)
    assert first is None or (first.startswith("+") and first[1:].isdigit() and len(first) <= 16)
    assert first is None or to_e164(first) == first


def test_importing_it_does_not_load_the_tables_of_the_world() -> None:
    layer = Path(__file__).parents[2] / "layers" / "relay"
    code = "import sys, loyalty_relay.model.phones; sys.exit('phonenumbers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=layer, check=False).returncode == 0
