"""Background work (imports) uses what live work leaves of a limit, and gives way while live work waits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.reliability.sliding_window import LIVE_SECONDS, Ledger, Rate
from tests.support.tables import START
from tests.support.windows import most_in_any_window

SHARE = 0.5
MINUTES = 20


def simulated(limit: float, *, arrivals: list[float], background: bool) -> tuple[list[float], list[float]]:
    """Return how long each live request waited, and when background requests left, second by second."""
    ledger, now = Ledger(), START
    rate = Rate.of(limit)
    waiting = sorted(START + at for at in arrivals)
    waits: list[float] = []
    sent: list[float] = []
    again: dict[float, float] = {}
    while now < START + MINUTES * 60:
        for arrived in [at for at in waiting if at <= now and again.get(at, 0.0) <= now]:
            ledger, granted = ledger.grant(rate, 1, now)
            if granted.slots:
                waits.append(granted.slots[0] - arrived)
                waiting.remove(arrived)
            else:
                again[arrived] = now + granted.waits[0]
        if background:
            ledger, granted = ledger.grant(rate, 10, now, share=SHARE)
            sent += granted.slots
        now += 0.5
    return waits, sent


@pytest.mark.parametrize("limit", [50.0, 100.0, 240.0, 600.0])
def test_an_import_alone_takes_no_longer_than_the_limit_allows_plus_five_percent(limit: float) -> None:
    _, sent = simulated(limit, arrivals=[], background=True)
    assert len(sent) >= limit * MINUTES / 1.05
    assert most_in_any_window(sent, 60.0) < limit


@pytest.mark.parametrize("limit", [50.0, 100.0, 240.0])
def test_a_live_event_now_and_then_does_not_wait_for_an_import(limit: float) -> None:
    arrivals = [61.0 + 45 * number for number in range(20)]
    waits, sent = simulated(limit, arrivals=arrivals, background=True)
    assert len(waits) == len(arrivals)
    assert max(waits) <= 1.0
    assert len(sent) >= 0.85 * limit * MINUTES


@pytest.mark.parametrize("limit", [100.0, 240.0])
def test_live_traffic_at_half_the_limit_is_as_fast_as_without_an_import(limit: float) -> None:
    arrivals = [90 + number * 120 / limit for number in range(int(limit / 2 * 15))]
    alone, _ = simulated(limit, arrivals=arrivals, background=False)
    beside, sent = simulated(limit, arrivals=arrivals, background=True)
    assert len(beside) == len(alone) == len(arrivals)
    # The simulation looks every half second, which is what an event waits in it at the least.
    assert sum(beside) / len(beside) <= 1.2 * max(sum(alone) / len(alone), 0.5)
    assert len(sent) >= 0.3 * limit * MINUTES


def test_while_live_work_waits_background_work_gets_a_slot_below_its_share_only() -> None:
    rate = Rate.of(100)
    ledger, now = Ledger(), START
    while now < START + 30:
        ledger, _ = ledger.grant(rate, 1, now, share=SHARE)
        now += 0.5
    ledger, live = ledger.grant(rate, 90, now)
    assert live.waits
    assert ledger.live > now
    after, granted = ledger.grant(rate, 5, now + 2, share=SHARE)
    assert granted.slots == ()
    assert len(granted.waits) == 5
    assert after.line == ledger.line
    later = ledger.live + LIVE_SECONDS + 60
    assert after.grant(rate, 5, later, share=SHARE)[1].slots


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 15), st.booleans()), min_size=1, max_size=30),
)
def test_both_together_never_exceed_the_limit(limit: int, asked: list[tuple[float, int, bool]]) -> None:
    rate, ledger, now = Rate.of(limit), Ledger(), START
    sent: list[float] = []
    for pause, count, live in asked:
        now += pause
        ledger, granted = ledger.grant(rate, count, now, share=None if live else SHARE)
        sent += granted.slots
        assert len(granted.slots) + len(granted.waits) == count
        assert all(wait > 0 for wait in granted.waits)
    if sent:
        assert most_in_any_window(sorted(sent), 60.0) <= limit
