"""What a vendor shows is compared in one form, and kept as short digests."""

from __future__ import annotations

import pytest

from loyalty_relay.runs.readback import FIRST, SAMPLE, in_sample, line_of, marks_of, member_of, missed

SENT = {"email": "Ana@Example.com ", "phone": "+442071838750", "first_name": "Ana", "last_name": None, "notes": "x"}


def mark(name: str, text: str) -> str:
    return f"{abs(hash((name, text))):020d}"


def test_the_form_makes_no_difference() -> None:
    shown = {"email": "ana@example.com", "phone": "44 2071838750", "first_name": " Ana", "last_name": "Any"}
    assert missed(SENT, marks_of(shown, mark), mark) == ()


def test_a_value_that_is_another_or_empty_is_missed_and_one_that_is_not_shown_is_not() -> None:
    assert missed(SENT, marks_of({"first_name": "Bea", "phone": ""}, mark), mark) == ("phone", "first_name")
    assert missed(SENT, {}, mark) == ()


@pytest.mark.parametrize("shown", [{}, {"email": None, "first_name": "Ana\tB=c\n"}, {"phone": "1", "other": "2"}])
def test_a_line_keeps_the_marks_and_no_value(shown: dict[str, str | None]) -> None:
    marks = marks_of(shown, mark)
    assert member_of(line_of("abc", marks)) == ("abc", marks)
    assert all(len(value) in (0, 8) for value in marks.values())


def test_small_shops_are_read_back_whole_and_of_large_ones_a_sample() -> None:
    assert all(in_sample("run", str(n), read=n, total=None) for n in range(FIRST))
    chosen = sum(in_sample("run", str(n), read=FIRST, total=10_000) for n in range(10_000))
    assert SAMPLE * 0.6 < chosen < SAMPLE * 1.5
    assert not any(in_sample("run", str(n), read=2 * SAMPLE, total=100) for n in range(100))
