from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import DeadlineTooShort, NoSlot, RateLimited, StoreUnavailable
from loyalty_relay.reliability.rate_limiter import Limiters
from tests.support.tables import STATE, Clock, Counted
from tests.support.windows import most_in_any_window

DESTINATION = "capillary:eu.api.capillarytech.com:fake.till"


@pytest.fixture
def pacing(dynamodb: Counted, clock: Clock) -> Limiters:
    return Limiters(dynamodb, STATE, clock=clock, sleep=clock.sleep)


@pytest.fixture
def deadline(clock: Clock) -> Deadline:
    return Deadline(clock.now + 3600, clock)


def test_an_api_without_a_limit_costs_nothing(pacing: Limiters, dynamodb: Counted, deadline: Deadline) -> None:
    pacing.limiter(DESTINATION, {"v2-create": 10}).acquire("v2-update", deadline)
    assert dynamodb.calls == []


def test_one_conditional_write_reserves_the_slots_of_a_batch(
    pacing: Limiters, dynamodb: Counted, clock: Clock, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-update": 50}, batch=lambda: 10)
    for _ in range(10):
        limiter.acquire("v2-update", deadline)
    assert dynamodb.calls == ["update_item"]
    assert clock.slept == []


def test_short_waits_are_slept_and_long_ones_deferred_without_a_slot(
    pacing: Limiters, clock: Clock, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-update": 50})
    for _ in range(26):
        limiter.acquire("v2-update", deadline)
    assert 0 < sum(clock.slept) <= 2
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1})
    limiter.acquire("v2-create", deadline)
    slept = list(clock.slept)
    with pytest.raises(RateLimited) as caught:
        limiter.acquire("v2-create", deadline)
    assert caught.value.retry_after is not None
    assert 60 < caught.value.retry_after < 65
    assert clock.slept == slept
    clock.now += caught.value.retry_after
    limiter.acquire("v2-create", deadline)


def test_the_rest_of_a_batch_has_to_wait_without_another_request(
    pacing: Limiters, dynamodb: Counted, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1}, batch=lambda: 4)
    limiter.acquire("v2-create", deadline)
    waits = []
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            limiter.acquire("v2-create", deadline)
        waits.append(caught.value.retry_after)
    assert dynamodb.calls == ["update_item"]
    assert len(set(waits)) == 3


def test_executions_share_the_limit(dynamodb: Counted, clock: Clock, deadline: Deadline) -> None:
    executions = [Limiters(dynamodb, STATE, clock=clock, sleep=clock.sleep) for _ in range(3)]
    limiters = [e.limiter(DESTINATION, {"v2-update": 30}, batch=lambda: 5) for e in executions]
    sent: list[float] = []
    start = clock.now
    while clock.now < start + 240:
        for execution, limiter in zip(executions, limiters, strict=True):
            for _ in range(5):
                try:
                    limiter.acquire("v2-update", deadline)
                except RateLimited:
                    continue
                sent.append(clock.now)
            execution.give_back()
        clock.now += 1.1
    assert most_in_any_window(sent) <= 30
    assert len(sent) >= 0.95 * 30 * 4


def test_destinations_and_apis_have_limits_of_their_own(pacing: Limiters, deadline: Deadline) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1, "v2-update": 1})
    limiter.acquire("v2-create", deadline)
    limiter.acquire("v2-update", deadline)
    pacing.limiter("kangaroo:api.kangaroorewards.com:x", {"v2-create": 1}).acquire("v2-create", deadline)
    with pytest.raises(RateLimited):
        pacing.limiter(DESTINATION, {"v2-create": 1}).acquire("v2-create", deadline)


def test_slots_that_were_not_used_are_free_again_after_the_batch(
    pacing: Limiters, dynamodb: Counted, clock: Clock, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 20}, batch=lambda: 10)
    limiter.acquire("v2-create", deadline)
    pacing.give_back()
    pacing.give_back()
    assert len(dynamodb.calls) == 2
    other = Limiters(dynamodb, STATE, clock=clock, sleep=clock.sleep)
    granted = other.reserve(DESTINATION, "v2-create", 20, 10)
    assert len(granted.slots) == 10


def test_a_batch_that_used_everything_gives_nothing_back(
    pacing: Limiters, dynamodb: Counted, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 6}, batch=lambda: 2)
    for _ in range(2):
        limiter.acquire("v2-create", deadline)
    pacing.give_back()
    assert dynamodb.calls == ["update_item"]


def test_a_slot_whose_time_is_over_is_not_used(
    pacing: Limiters, dynamodb: Counted, clock: Clock, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 20}, batch=lambda: 2)
    limiter.acquire("v2-create", deadline)
    clock.now += 0.6
    limiter.acquire("v2-create", deadline)
    assert dynamodb.calls == ["update_item"] * 2
    pacing.give_back()
    assert dynamodb.calls == ["update_item"] * 3


def test_a_slot_after_the_end_of_the_invocation_is_not_waited_for_and_given_back(
    pacing: Limiters, dynamodb: Counted, clock: Clock, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-update": 50})
    for _ in range(25):
        limiter.acquire("v2-update", deadline)
    with pytest.raises(DeadlineTooShort):
        limiter.acquire("v2-update", Deadline(clock.now + 0.1, clock))
    pacing.give_back()
    granted = pacing.reserve(DESTINATION, "v2-update", 50, 25)
    assert len(granted.slots) + len(granted.waits) == 25


@pytest.mark.parametrize(("retry_after", "expected"), [(30.0, 30.0), (None, 5.0), (86_400.0, 900.0), (-5.0, None)])
def test_a_vendors_refusal_holds_up_every_execution(
    pacing: Limiters,
    dynamodb: Counted,
    clock: Clock,
    deadline: Deadline,
    retry_after: float | None,
    expected: float | None,
) -> None:
    pacing.limiter(DESTINATION, {"v2-update": 50}).penalise("v2-update", retry_after)
    for execution in (pacing, Limiters(dynamodb, STATE, clock=clock, sleep=clock.sleep)):
        limiter = execution.limiter(DESTINATION, {"v2-update": 50})
        if expected is None:
            limiter.acquire("v2-update", deadline)
            continue
        with pytest.raises(RateLimited) as caught:
            limiter.acquire("v2-update", deadline)
        assert caught.value.retry_after == pytest.approx(expected, abs=1)


def test_a_refusal_of_an_api_without_published_limit_holds_up_this_execution(
    pacing: Limiters, clock: Clock, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {})
    limiter.penalise("v2-update", 10)
    with pytest.raises(RateLimited):
        limiter.acquire("v2-update", deadline)
    clock.now += 10
    limiter.acquire("v2-update", deadline)


def test_a_shorter_refusal_does_not_shorten_a_longer_one(pacing: Limiters, dynamodb: Counted, clock: Clock) -> None:
    pacing.penalise(DESTINATION, "v2-update", 60)
    pacing.penalise(DESTINATION, "v2-update", 1)
    other = Limiters(dynamodb, STATE, clock=clock, sleep=clock.sleep)
    assert other.reserve(DESTINATION, "v2-update", 50, 1).waits[0] == pytest.approx(60)


def test_without_the_table_nothing_is_sent_and_a_refusal_is_still_remembered_here(
    pacing: Limiters, dynamodb: Counted, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-update": 50})
    dynamodb.fail(None)
    with pytest.raises(StoreUnavailable):
        limiter.acquire("v2-update", deadline)
    limiter.penalise("v2-update", 30)
    with pytest.raises(RateLimited):
        limiter.acquire("v2-update", deadline)
    pacing.give_back()


def test_too_many_writers_at_once_defer_rather_than_guess(
    pacing: Limiters, dynamodb: Counted, deadline: Deadline
) -> None:
    dynamodb.fail("TransactionConflictException")
    with pytest.raises(RateLimited):
        pacing.limiter(DESTINATION, {"v2-update": 50}).acquire("v2-update", deadline)


def test_the_table_does_not_name_the_account(pacing: Limiters, dynamodb: Counted, deadline: Deadline) -> None:
    pacing.limiter(DESTINATION, {"v2-update": 50}).acquire("v2-update", deadline)
    (item,) = dynamodb.client.scan(TableName=STATE)["Items"]
    assert "fake.till" not in str(item)
    assert "expires_at" in item


def test_a_held_slot_is_the_blocks_first_request(pacing: Limiters, dynamodb: Counted, deadline: Deadline) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1})
    with limiter.hold("v2-create", deadline):
        limiter.acquire("v2-create", deadline)
        with pytest.raises(NoSlot):
            limiter.acquire("v2-create", deadline)
    with pytest.raises(NoSlot), limiter.hold("v2-create", deadline):
        pytest.fail("without a slot nothing is begun")


def test_a_held_slot_that_was_not_used_is_the_next_ones(
    pacing: Limiters, dynamodb: Counted, deadline: Deadline
) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1})
    for _ in range(2):
        with limiter.hold("v2-create", deadline):
            pass
    assert dynamodb.calls == ["update_item"]
    limiter.acquire("v2-create", deadline)
    pacing.give_back()
    with pytest.raises(NoSlot):
        limiter.acquire("v2-create", deadline)


def test_a_held_slot_of_another_api_or_thread_is_not_used(pacing: Limiters, deadline: Deadline) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1, "v2-update": 1})
    with limiter.hold("v2-create", deadline):
        limiter.acquire("v2-update", deadline)
        with ThreadPoolExecutor(1) as other, pytest.raises(NoSlot):
            other.submit(limiter.acquire, "v2-create", deadline).result()
        limiter.acquire("v2-create", deadline)


def test_a_held_slot_whose_time_has_passed_is_replaced(
    pacing: Limiters, clock: Clock, dynamodb: Counted, deadline: Deadline
) -> None:
    """Used late, it would count in a window in which others have been granted."""
    sent: list[float] = []
    limiter = pacing.limiter(DESTINATION, {"v2-create": 60})
    for _ in range(200):
        try:
            with limiter.hold("v2-create", deadline):
                clock.now += 0.4
                limiter.acquire("v2-create", deadline)
                sent.append(clock.now)
        except NoSlot as wait:
            clock.now += wait.retry_after or 0.0
    assert most_in_any_window(sent, 60) <= 60


def test_an_api_without_a_limit_holds_nothing(pacing: Limiters, dynamodb: Counted, deadline: Deadline) -> None:
    limiter = pacing.limiter(DESTINATION, {"v2-create": 1})
    with limiter.hold("v2-read", deadline):
        limiter.acquire("v2-read", deadline)
    assert dynamodb.calls == []
