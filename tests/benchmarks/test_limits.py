"""The simulated backlog sees when a limit is exceeded or left unused."""

from __future__ import annotations

import pytest

from benchmarks.limits import Use, backlog, live_seconds
from tests.support.stack import Stack


def _use(sent: list[float], seconds: float = 180.0, per_minute: float = 4) -> Use:
    return Use(per_minute, tuple(sent), seconds, receives=len(sent), writes=1)


def test_evenly_used_is_fully_used() -> None:
    use = _use([15.0 * i for i in range(12)])
    assert (use.share, use.over) == (1.0, 0)


def test_half_of_the_requests_is_half_used() -> None:
    assert _use([30.0 * i for i in range(6)]).share == 0.5


def test_the_first_minute_does_not_count_as_use() -> None:
    assert _use([0.0, 1.0, 2.0, 3.0]).share == 0.0


@pytest.mark.parametrize(("fifth", "over"), [(59.9, 1), (60.0, 0)])
def test_a_window_may_begin_anywhere(fifth: float, over: int) -> None:
    assert _use([0.0, 20.0, 40.0, 50.0, fifth]).over == over


def test_a_backlog_uses_a_limit_and_never_exceeds_it(stack: Stack) -> None:
    table = stack.environment["RELAY_STATE_TABLE"]
    use = backlog(stack.client("dynamodb"), table, 60, executions=3, seconds=240)
    assert use.over == 0
    assert use.share >= 0.95


def test_live_events_are_hardly_slower_beside_an_import(stack: Stack) -> None:
    dynamodb, table = stack.client("dynamodb"), stack.environment["RELAY_STATE_TABLE"]
    alone, beside = (live_seconds(dynamodb, table, 60, beside=b, seconds=150) for b in (False, True))
    assert 0 < beside <= 1.2 * alone
