"""The failure policy: three questions, with injected chance and time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model import errors
from loyalty_relay.pipeline.customers import LATECOMER_SECONDS
from loyalty_relay.reliability import retry_policy

TRANSIENT = [
    errors.ConnectionFailed(),
    errors.UpstreamTimeout(reached=True),
    errors.UpstreamUnavailable(),
    errors.RateLimited(),
    errors.LeaseBusy(),
    errors.KeyInProgress(),
    errors.CircuitOpen(),
    errors.DeadlineTooShort(),
    errors.StoreUnavailable(),
    errors.CredentialsRefused(),
    errors.UnknownConnection(),
    errors.ConnectionInvalid("shop-1", ()),
    ValueError("a bug of ours"),
]
PERMANENT = [
    errors.InvalidCommand(),
    errors.UnsupportedByDestination(),
    errors.CustomerNotFound(),
    errors.CustomerExists(),
    errors.StoreConflict(),
    errors.VendorRejected(),
    errors.AmbiguousOutcome(),
]


def test_refused_credentials_are_tried_within_a_minute_at_first_and_within_a_quarter_of_an_hour_later() -> None:
    waits = [retry_policy.delay(errors.CredentialsRefused(), receives, 0.999) for receives in range(1, 40)]

    assert waits == sorted(waits)
    assert waits[0] <= 60
    assert 890 < waits[-1] <= 900
    # Mended after any time, the wait is over after a quarter of that time.
    assert all(wait <= 60 + sum(waits[:index]) / 3 for index, wait in enumerate(waits))


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda e: type(e).__name__)
def test_what_may_pass_is_tried_again_even_a_bug(error: Exception) -> None:
    assert retry_policy.retryable(error)


@pytest.mark.parametrize("error", PERMANENT, ids=lambda e: type(e).__name__)
def test_what_cannot_succeed_is_not(error: Exception) -> None:
    assert not retry_policy.retryable(error)


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_waits_are_between_a_second_and_the_cap(receives: int, jitter: float) -> None:
    assert 1.0 <= retry_policy.delay(errors.UpstreamUnavailable(), receives, jitter) <= retry_policy.MAX_BACKOFF


def test_the_back_off_doubles_until_the_cap() -> None:
    waits = [retry_policy.delay(errors.UpstreamUnavailable(), n, 0.5) for n in range(1, 12)]
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert waits[-1] == retry_policy.MAX_BACKOFF / 2


def test_jitter_spreads_over_the_whole_back_off() -> None:
    low, high = (retry_policy.delay(errors.UpstreamUnavailable(), 9, j) for j in (0.01, 0.99))
    assert high > 50 * low


@given(st.floats(0, 10_000), st.floats(0, 0.999))
def test_retry_after_is_never_undercut(asked: float, jitter: float) -> None:
    wait = retry_policy.delay(errors.RateLimited(retry_after=asked), 1, jitter)
    assert asked <= wait <= asked + 5


def test_a_mad_retry_after_is_capped() -> None:
    assert retry_policy.delay(errors.RateLimited(retry_after=1e9), 1, 0.0) == retry_policy.MAX_RETRY_AFTER


def test_the_horizons_edge_on_both_sides() -> None:
    error = errors.UpstreamUnavailable()
    assert not retry_policy.give_up(error, tried=retry_policy.HORIZON - 1, age=0)
    assert retry_policy.give_up(error, tried=retry_policy.HORIZON, age=0)


WAITS = (
    errors.RateLimited,
    errors.LeaseBusy,
    errors.KeyInProgress,
    errors.CustomerUnknown,
    errors.CircuitOpen,
    errors.CredentialsRefused,
)


@pytest.mark.parametrize("kind", WAITS, ids=lambda k: k.__name__)
def test_waiting_for_a_turn_is_not_trying(kind: type[errors.RelayError]) -> None:
    error = kind()
    assert not retry_policy.counts(error)
    assert not retry_policy.give_up(error, tried=retry_policy.HORIZON * 2, age=0)


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda e: type(e).__name__)
def test_whatever_it_waits_for_a_message_is_parked_before_the_queue_forgets_it(error: Exception) -> None:
    assert not retry_policy.give_up(error, tried=0, age=retry_policy.OLDEST - 1)
    assert retry_policy.give_up(error, tried=0, age=retry_policy.OLDEST)
    assert retry_policy.OLDEST + retry_policy.MAX_RETRY_AFTER < 14 * 86_400


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda e: type(e).__name__)
def test_whatever_it_waits_for_a_message_is_parked_before_the_queue_moves_it(error: Exception) -> None:
    """What SQS moves has no reason and keeps its first date, so that it would be kept for less than 14 further days."""
    assert not retry_policy.give_up(error, tried=0, age=0, receives=retry_policy.MAX_RECEIVES - 1)
    assert retry_policy.give_up(error, tried=0, age=0, receives=retry_policy.MAX_RECEIVES)
    assert retry_policy.MAX_RECEIVES < 1000


def test_the_horizon_is_reached_before_the_receives_run_out() -> None:
    longest_mean_wait = retry_policy.MAX_BACKOFF / 2
    assert retry_policy.HORIZON / longest_mean_wait < retry_policy.MAX_RECEIVES * 0.7


@pytest.mark.parametrize(
    ("used", "bounds"),
    [
        ((retry_policy.NEAR_TRIED - 1, retry_policy.NEAR_AGE - 1, retry_policy.NEAR_RECEIVES - 1), ()),
        ((retry_policy.NEAR_TRIED, 0, 1), ("tried",)),
        ((0, retry_policy.NEAR_AGE, 1), ("age",)),
        ((0, 0, retry_policy.NEAR_RECEIVES), ("receives",)),
    ],
)
def test_a_bound_is_near_before_it_is_reached(used: tuple[float, float, int], bounds: tuple[str, ...]) -> None:
    tried, age, receives = used
    assert retry_policy.near(tried=tried, age=age, receives=receives) == bounds
    assert not retry_policy.give_up(errors.UpstreamUnavailable(), tried=tried, age=age, receives=receives)


@pytest.mark.parametrize(
    "error",
    [
        errors.CircuitOpen(retry_after=60.0),
        errors.UpstreamUnavailable(retry_after=60.0),
        errors.RateLimited(retry_after=60.0),
    ],
    ids=["open", "503", "429"],
)
def test_a_long_outage_does_not_use_up_the_receives(error: errors.TransientError) -> None:
    """The wait of a vendor or of the circuit is the earliest time; a message is not received each time."""
    waits = [[retry_policy.delay(error, n, j / 10) for j in range(10)] for n in range(1, retry_policy.MAX_RECEIVES)]
    assert min(map(min, waits)) >= 60.0
    assert max(map(max, waits)) <= retry_policy.MAX_BACKOFF
    assert sum(sum(each) / len(each) for each in waits) > retry_policy.HORIZON


def test_a_turn_is_taken_when_it_comes() -> None:
    """Under backlog; later than that, slots would pass unused."""
    assert max(retry_policy.delay(errors.RateLimited(retry_after=60.0), n, 0.999) for n in range(1, 50)) <= 65.0


@pytest.mark.attack(
    "senders",
    "thousands of consents of unknown customers, each of which is tried again and again",
    "each wait is four times as long as the one before: at most eighteen receives until it is ignored",
    "G8",
)
@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_an_event_of_an_unknown_customer_costs_few_receives(jitter: float) -> None:
    waited, receives = 0.0, 1
    while waited < LATECOMER_SECONDS:
        waited += retry_policy.delay(errors.CustomerUnknown(), receives, jitter)
        receives += 1
    assert receives <= 18
    assert waited < LATECOMER_SECONDS + retry_policy.MAX_RETRY_AFTER
    assert retry_policy.delay(errors.CustomerUnknown(), 1, jitter) <= 30
