"""The table prints met and missed budgets."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from benchmarks.measure import paired
from benchmarks.table import Row, as_json, missed, number, show


@pytest.mark.parametrize(
    ("measured", "budget", "at_least", "met"),
    [
        (0.7, 0.7, False, "met"),
        (0.71, 0.7, False, "missed"),
        (95.0, 95, True, "met"),
        (94.0, 95, True, "missed"),
        (0, 0, False, "met"),
        (1, 0, False, "missed"),
        (7.0, None, False, ""),
    ],
)
def test_a_row_is_met_or_missed(measured: float, budget: float | None, at_least: bool, met: str) -> None:
    assert Row(what="it", measured=measured, budget=budget, at_least=at_least).met == met


def test_only_missed_rows_are_counted_as_missed() -> None:
    rows = [Row(what=str(i), measured=i, budget=1) for i in (0, 1, 2)] + [Row(what="free", measured=9)]
    assert [row.what for row in missed(rows)] == ["2"]


def test_what_is_printed_is_what_is_kept() -> None:
    rows = [Row(what="init of ingest", measured=0.52, budget=0.7, plain=1.6, note="355 ms")]
    shown = io.StringIO()
    show(rows, Console(file=shown, width=140))
    for text in ("init of ingest", "≤ 0.70", "0.52", "0.74", "met", "1.60", "355 ms"):
        assert text in shown.getvalue()
    (kept,) = json.loads(as_json(rows))
    assert (kept["met"], round(kept["ratio"], 2)) == ("met", 0.74)


def test_a_number_has_the_digits_it_deserves() -> None:
    assert [number(value) for value in (5, 4.1, 45.84, 484.2, 0.524)] == ["5", "4.10", "45.8", "484", "0.52"]


def test_ratios_are_taken_turn_by_turn() -> None:
    """A machine that was three times as slow in one turn was so for both."""
    assert paired([10, 30, 10], [20, 60, 20]) == 0.5
