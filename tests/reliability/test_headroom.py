"""Whoever comes near a bound is told of before it is reached, once."""

from __future__ import annotations

import json

import pytest

from loyalty_relay.reliability.headroom import Bounds, peak_memory


class Told:
    """The bounds that were told so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def now(self) -> list[str]:
        return [json.loads(line)["bound"] for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


def test_a_process_near_its_memory_is_told_once_and_again_when_it_has_grown(told: Told) -> None:
    peaks = iter((79, 81, 81, 90, 90))
    bounds = Bounds(100, lambda: next(peaks))
    seen = []
    for _ in range(5):
        bounds.invocation(left=20.0, operation="update")
        seen.append(told.now())
    assert seen == [[], ["memory"], [], ["memory"], []]


def test_where_nobody_limits_the_memory_it_is_not_looked_at(told: Told) -> None:
    Bounds(None, lambda: pytest.fail("looked at")).invocation(left=20.0, operation="update")
    assert told.now() == []


@pytest.mark.parametrize(("left", "expected"), [(1.9, []), (0.9, ["time"])])
def test_a_batch_that_ends_in_the_last_second_is_told(told: Told, left: float, expected: list[str]) -> None:
    Bounds(None).invocation(left=left, operation="update")
    assert told.now() == expected


def test_a_message_can_come_near_several_bounds(told: Told) -> None:
    Bounds(None).waiting(tried=3 * 86_400.0, age=8 * 86_400.0, receives=600, operation="update", connection="shop")
    assert told.now() == ["tried", "age", "receives"]


def test_this_process_has_a_peak_between_a_megabyte_and_a_terabyte() -> None:
    """Units differ between systems."""
    assert 2**20 < peak_memory() < 2**40
