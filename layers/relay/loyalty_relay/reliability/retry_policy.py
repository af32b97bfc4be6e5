"""What a failure leads to: retry, wait or give up, as pure functions for both triggers.

Constraints that lead to the numbers:
1. A destination may be down for a day and nothing may be parked for it, so a command is tried for 72 h.
2. Waiting for our own pacing, for a lease or for an open circuit is not trying: it does not use up the horizon.
3. A queue forgets a message 14 days after it was sent, and moves it after 1000 receives, so whatever still waits
   shortly before that is parked, which gives it 14 further days and its reason.
4. Many records fail at the same moment, so waits are spread evenly over the whole back-off (full jitter).
5. A message can be hidden for at most 12 h per receive, and somebody may repair the destination at any time, so no wait
   is longer than 15 minutes unless the destination itself sets a longer one, or the wait is for another event.
"""

from __future__ import annotations

from loyalty_relay.model.errors import (
    CircuitOpen,
    CredentialsRefused,
    CustomerUnknown,
    KeyInProgress,
    LeaseBusy,
    PermanentError,
    RateLimited,
    RunContinues,
)

HORIZON = 72 * 3600.0
"""Seconds of trying after which a command is parked."""

OLDEST = 13.5 * 86_400.0
"""Age in seconds at which a message is parked whatever it waits for."""

MAX_RECEIVES = 950
"""Receives after which a message is parked whatever it waits for: some before the 1000 at which SQS moves it, without
its reason, and with its first date, so that it would be kept for less than 14 further days.
"""

NEAR_TRIED = 24 * 3600.0
NEAR_AGE = 7 * 86_400.0
NEAR_RECEIVES = 500
"""From here on an operator should see that work is on its way to being parked."""

FIRST_BACKOFF = 2.0
MAX_BACKOFF = 900.0
MAX_RETRY_AFTER = 6 * 3600.0
"""The longest Retry-After that is honoured in full, well inside SQS's 12 h of invisibility."""

TURNS = (RateLimited, LeaseBusy, KeyInProgress, RunContinues)
"""Waits for another execution or a slot, which end at the moment that the error names."""

WAITING = (*TURNS, CustomerUnknown, CircuitOpen, CredentialsRefused)
"""Not failures of the command: turns, customers who are not known yet, and destinations that are known to need time or
an operator.
"""

MENDED = (CircuitOpen, CredentialsRefused)
"""Waits that end when somebody has mended the destination or the credentials, maybe long before the next attempt."""

FIRST_REFUSAL = 60.0
REFUSAL_GROWTH = 1.25
"""Whoever mends refused credentials looks for the effect, so the first waits are a minute at most; each is a quarter
longer than the one before, which is a quarter of the time for which they have been refused.
"""

FIRST_ABSENCE = 30.0
"""Seconds until an event about an unknown customer is tried again; each further wait is four times as long. Somebody
may send thousands of such events in one delivery, so each of them costs little until it is ignored.
"""

PATIENCE = 100
"""Receives after which a turn that has not come is waited for like the end of an outage: a vendor can answer 429 for
days. Under backlog a message is received two or three times.
"""


def retryable(error: BaseException) -> bool:
    """Return whether the same command may succeed later: unless the command itself is at fault.

    A connection that is missing or wrong can be applied again, and no command is lost to an unexpected exception.
    """
    return not isinstance(error, PermanentError)


def counts(error: BaseException) -> bool:
    """Return whether the wait before the next attempt uses up the horizon."""
    return not isinstance(error, WAITING)


def delay(error: BaseException, receives: int, jitter: float) -> float:
    """Return the seconds until the next attempt. ``receives`` counts from 1; ``jitter`` is in [0, 1)."""
    retry_after = getattr(error, "retry_after", None)
    if isinstance(error, CredentialsRefused):
        ceiling = min(MAX_BACKOFF, FIRST_REFUSAL * REFUSAL_GROWTH ** (min(max(receives, 1), 20) - 1))
        return ceiling / 2 * (1 + jitter)
    if isinstance(error, CustomerUnknown):
        return min(MAX_RETRY_AFTER, FIRST_ABSENCE * 4.0 ** (min(max(receives, 1), 10) - 1)) * (1 - jitter / 4)
    ceiling = min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** min(max(receives, 1), 20))
    if retry_after is None:
        return max(1.0, ceiling * jitter)
    # Messages that wait for the same moment would otherwise come back at it together.
    earliest = float(min(max(retry_after, 0.0), MAX_RETRY_AFTER) + jitter * min(ceiling, 5.0))
    # The wait for a turn is exact. In an outage the moment is only the earliest: coming back at each, a message would
    # use up its receives before the horizon.
    turn = isinstance(error, TURNS) and receives < PATIENCE
    return earliest if turn else max(earliest, ceiling * jitter)


def give_up(error: BaseException, *, tried: float, age: float, receives: int = 1) -> bool:
    """Return whether to park now. ``tried``: seconds of counted waits; ``age``: seconds since it was sent."""
    return age >= OLDEST or receives >= MAX_RECEIVES or (counts(error) and tried >= HORIZON)


def near(*, tried: float, age: float, receives: int) -> tuple[str, ...]:
    """Return which limits of ``give_up`` are near, for a message that goes back to its queue."""
    used = (("tried", tried, NEAR_TRIED), ("age", age, NEAR_AGE), ("receives", receives, NEAR_RECEIVES))
    return tuple(name for name, value, threshold in used if value >= threshold)
