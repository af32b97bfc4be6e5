"""NearBound is emitted before a limit is reached, and once."""

from __future__ import annotations

import json

import pytest

from loyalty_relay.reliability.headroom import Headroom, peak_memory


class Reported:
    """The limits that were reported since the last look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def now(self) -> list[str]:
        return [json.loads(line)["bound"] for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def reported(capsys: pytest.CaptureFixture[str]) -> Reported:
    return Reported(capsys)


def test_a_process_near_its_memory_is_reported_once_and_again_when_it_has_grown(reported: Reported) -> None:
    peaks = iter((79, 81, 81, 90, 90))
    headroom = Headroom(100, lambda: next(peaks))
    seen = []
    for _ in range(5):
        headroom.invocation(left=20.0, operation="update")
        seen.append(reported.now())
    assert seen == [[], ["memory"], [], ["memory"], []]


def test_without_a_memory_limit_the_peak_is_not_read(reported: Reported) -> None:
    Headroom(None, lambda: pytest.fail("looked at")).invocation(left=20.0, operation="update")
    assert reported.now() == []


@pytest.mark.parametrize(("left", "expected"), [(1.9, []), (0.9, ["time"])])
def test_a_batch_that_ends_in_the_last_second_is_reported(reported: Reported, left: float, expected: list[str]) -> None:
    Headroom(None).invocation(left=left, operation="update")
    assert reported.now() == expected


def test_a_message_can_be_near_several_limits(reported: Reported) -> None:
    Headroom(None).waiting(tried=3 * 86_400.0, age=8 * 86_400.0, receives=600, operation="update", connection="shop")
    assert reported.now() == ["tried", "age", "receives"]


def test_this_process_has_a_peak_between_a_megabyte_and_a_terabyte() -> None:
    """Units differ between systems."""
    assert 2**20 < peak_memory() < 2**40
