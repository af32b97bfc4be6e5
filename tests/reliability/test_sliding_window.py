from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.reliability.sliding_window import BUCKET, HORIZON, LONGEST_WAIT, SLACK, Ledger, Rate
from tests.support.tables import START
from tests.support.windows import most_in_any_window

limits = st.one_of(st.integers(1, 400).map(float), st.floats(0.2, 30.0))
windows = st.builds(Rate, st.integers(1, 200), st.sampled_from([1.0, 10.0, 30.0, 3600.0]))
rates = st.one_of(limits.map(Rate.of), windows)
askings = st.lists(st.tuples(st.floats(0, 40), st.integers(1, 25)), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(rates, askings, st.data())
def test_no_window_ever_holds_more_than_the_limit_even_when_requests_leave_late(
    rate: Rate, asked: list[tuple[float, int]], data: st.DataObject
) -> None:
    ledger, now = Ledger(), START
    left: list[float] = []
    for pause, count in asked:
        now += pause
        ledger, granted = ledger.grant(rate, count, now)
        assert len(granted.slots) + len(granted.waits) == count
        assert list(granted.slots) == sorted(granted.slots)
        assert all(now <= slot <= now + HORIZON for slot in granted.slots)
        assert all(0 < wait <= LONGEST_WAIT for wait in granted.waits)
        left += granted.slots
    if left:
        late = data.draw(st.lists(st.floats(0, SLACK), min_size=len(left), max_size=len(left)))
        sent = [slot + delay for slot, delay in zip(left, late, strict=True)]
        assert most_in_any_window(sent, rate.window) <= rate.most


@pytest.mark.parametrize("within_the_bucket", [0.0, 0.25, 0.499])
def test_a_window_is_counted_from_a_request_that_left_a_second_after_its_slot(within_the_bucket: float) -> None:
    assert START % BUCKET == 0
    now = START + within_the_bucket
    ledger, first = Ledger().grant(Rate.of(1.0), 1, now)
    later: tuple[float, ...] = ()
    while not later:
        now += 0.05
        ledger, granted = ledger.grant(Rate.of(1.0), 1, now)
        later = granted.slots
    # Half a second early by another execution's clock is what is left.
    assert later[0] - (first.slots[0] + 1.0) > 60.0


@pytest.mark.parametrize(
    ("limit", "most", "window"), [(50.0, 50, 60.0), (0.5, 1, 120.0), (1.0, 1, 60.0)], ids=["50", "half", "one"]
)
def test_a_limit_per_minute_is_so_many_requests_in_a_window(limit: float, most: int, window: float) -> None:
    assert Rate.of(limit) == Rate(most, window)


def test_a_limit_per_second_is_used_to_a_third_at_the_least() -> None:
    """A second's slack and two buckets are much of a window of one second: the price of never exceeding it."""
    ledger, now, sent = Ledger(), START, 0
    while now < START + 60:
        ledger, granted = ledger.grant(Rate(16, 1.0), 10, now)
        sent += len(granted.slots)
        now += 0.1
    assert 16 * 60 / 3 <= sent <= 16 * 61


@pytest.mark.parametrize("limit", [10.0, 50.0, 100.0, 240.0, 1000.0])
def test_a_backlog_uses_at_least_ninety_five_percent_of_the_limit(limit: float) -> None:
    ledger, now, sent = Ledger(), START, 0
    minutes = 20
    while now < START + minutes * 60:
        ledger, granted = ledger.grant(Rate.of(limit), 10, now)
        sent += len(granted.slots)
        now += 1.0 if limit <= 240 else 0.4
    assert sent <= limit * (minutes + 1)
    assert sent >= 0.95 * limit * minutes


def test_a_batch_on_a_quiet_day_goes_at_once() -> None:
    _, granted = Ledger().grant(Rate.of(50), 10, START)
    assert granted.slots == (START,) * 10


def test_a_fuller_window_spreads_what_is_left_of_it() -> None:
    ledger, _ = Ledger().grant(Rate.of(50), 25, START)
    _, granted = ledger.grant(Rate.of(50), 3, START)
    assert [round(slot - START, 3) for slot in granted.slots] == [0.6, 1.2, 1.8]


def test_a_full_window_opens_again_when_its_first_slots_leave_it() -> None:
    ledger, _ = Ledger().grant(Rate.of(2), 1, START)
    ledger, granted = ledger.grant(Rate.of(2), 1, START + 20)
    assert len(granted.slots) == 1
    ledger, granted = ledger.grant(Rate.of(2), 1, START + 30)
    assert granted.slots == ()
    opens = START + granted.waits[0] + 30
    assert 60 + SLACK <= opens - START <= 60 + SLACK + 2 * BUCKET
    assert len(ledger.grant(Rate.of(2), 1, opens)[1].slots) == 1


def test_those_who_must_wait_are_called_back_one_after_the_other_and_use_up_nothing() -> None:
    full, _ = Ledger().grant(Rate.of(60), 60, START)
    while full.grant(Rate.of(60), 1, START)[1].slots:
        full, _ = full.grant(Rate.of(60), 1, START)
    one, first = full.grant(Rate.of(60), 5, START)
    two, second = one.grant(Rate.of(60), 5, START)
    waits = [*first.waits, *second.waits]
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] == pytest.approx(9 * 0.9)
    assert two.counts == full.counts


def test_a_long_line_ends_at_a_quarter_of_an_hour() -> None:
    ledger, granted = Ledger().grant(Rate.of(1), 5000, START)
    assert max(granted.waits) == LONGEST_WAIT
    assert ledger.line <= START + LONGEST_WAIT + 60


def test_a_vendors_refusal_blocks_until_its_end() -> None:
    ledger = Ledger(blocked=START + 30)
    assert ledger.grant(Rate.of(100), 2, START)[1].waits[0] == pytest.approx(30)
    assert ledger.grant(Rate.of(100), 1, START + 29)[1].slots == (START + 30,)


def test_returned_slots_are_free_again() -> None:
    ledger, granted = Ledger().grant(Rate.of(4), 4, START)
    assert ledger.grant(Rate.of(4), 1, START + 5)[1].slots == ()
    ledger = ledger.returned(granted.slots[:1])
    assert len(ledger.grant(Rate.of(4), 2, START + 5)[1].slots) == 1
    assert Ledger().returned((START,)) == Ledger()


@pytest.mark.parametrize(
    ("limit", "most", "window"), [(4.5, 4, 60.0), (1.0, 1, 60.0), (0.5, 1, 120.0), (300.0, 300, 60.0)]
)
def test_fractional_limits(limit: float, most: int, window: float) -> None:
    assert Rate.of(limit) == Rate(most, window)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        Rate.of(0)


def test_a_ledger_is_read_as_it_was_written_and_forgets_what_is_over() -> None:
    ledger, _ = Ledger(blocked=5.0).grant(Rate.of(100), 40, START)
    assert Ledger.from_json(ledger.to_json(), 5.0, ledger.lanes_json()) == ledger
    assert Ledger.from_json(None, 0.0) == Ledger()
    later, _ = ledger.grant(Rate.of(100), 1, START + 3600)
    assert len(later.counts) == 1
