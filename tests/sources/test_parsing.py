"""Tools that read hostile input."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.parsing import amount, body_digest, currency, epoch, json_value, moment, text_id


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-03-02T09:15:00-05:00", "2026-03-02T14:15:00.000000Z"),
        ("2022-07-13T20:30:59.037339943Z", "2022-07-13T20:30:59.037339Z"),
        ("2026-03-02 09:15:00", "2026-03-02T09:15:00.000000Z"),
        ("2026-03-02T09:15:00", "2026-03-02T09:15:00.000000Z"),
        ("2023-11-09 18:04:58 +0000 UTC", "2023-11-09T18:04:58.000000Z"),
        (" 2026-03-02T09:15:00Z ", "2026-03-02T09:15:00.000000Z"),
    ],
)
def test_times_in_every_way_platforms_write_them(text: str, wanted: str) -> None:
    assert moment(text) == wanted


@pytest.mark.parametrize(
    "value", [None, 7, "", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", [], True]
)
def test_what_is_no_time_is_none(value: Any) -> None:
    assert moment(value) is None


def test_epoch_times_in_seconds_and_milliseconds() -> None:
    assert epoch(1_790_000_000) == epoch(1_790_000_000_000, unit=0.001) == "2026-09-21T14:13:20.000000Z"
    for value in (None, "1790000000", True, 10**30, float("1e300")):
        assert epoch(value) is None


@given(st.text())
def test_any_text_is_a_time_or_none(text: str) -> None:
    found = moment(text)
    assert found is None or len(found) == 27


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_digests_distinguish_their_parts(left: list[str], right: list[str]) -> None:
    assert (body_digest(*left) == body_digest(*right)) == (left == right)


@pytest.mark.parametrize("value", [7, "7", " 7 ", 2**70])
def test_ids_are_text(value: Any) -> None:
    assert text_id(value) == str(value).strip()


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "x" * 201, "\x7f", "a\ud800", "\uffff"])
def test_ids_that_no_platform_has_are_refused(value: str) -> None:
    with pytest.raises(Untranslatable):
        text_id(value)


def test_characters_that_no_queue_takes_are_replaced() -> None:
    assert json_value(b'{"a\\uD83D": ["\\ud83d\\ude00", "\\udead", "\\uffff"]}') == {
        "a\ufffd": ["\U0001f600", "\ufffd", "\ufffd"]
    }
    assert json_value('["\uffff"]'.encode()) == ["\ufffd"]


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_untranslatable(body: bytes) -> None:
    with suppress(Untranslatable):
        value = json_value(body)
        assert value is None or isinstance(value, bool | int | float | str | list | dict)


@pytest.mark.parametrize("written", ["19.99", '"19.99"', "1999e-2", '" 19.990 "'])
def test_amounts_are_exact_however_they_are_written(written: str) -> None:
    assert amount(json_value(f'{{"a": {{"b": {written}}}}}'), "a", "b") == Decimal("19.99")


@pytest.mark.parametrize("data", [None, {}, {"a": None}, {"a": ""}, []])
def test_an_amount_that_is_not_given_is_zero(data: Any) -> None:
    assert amount(data, "a") == 0


@pytest.mark.parametrize("value", ["1,50", " ", "NaN", True, [], {}, "9" * 12 + "." + "1" * 13, "1" + "0" * 13])
def test_what_is_no_amount_is_refused(value: Any) -> None:
    with pytest.raises(Untranslatable) as caught:
        amount({"a": value}, "a")
    assert caught.value.reason == "bad_amount"


def test_currencies_are_codes_of_iso_4217() -> None:
    assert currency(" eur ") == "EUR"
    for value in (None, "", "EURO", "€", 978, ["EUR"]):
        with pytest.raises(Untranslatable):
            currency(value)
