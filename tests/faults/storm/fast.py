"""A world whose clock runs faster, so that minutes of waiting pass in seconds.

Everything that the relay waits for by the clock (back-off, leases, circuits, keys, deadlines, windows of limits), and
the sandbox's windows and tokens, run by ``FastClock``; a second of theirs is then ``1 / speed`` of a real one. What
depends on the machine and not on the clock stays as long as it really is: ``slow_machine`` stretches pacing's
slack, its buckets and its longest sleep by the same factor, because a request takes as long from its slot to the
vendor as ever.

Two things cannot be made faster. SQS hides a message for whole seconds, so shorter waits are rounded up to a real
second; and a request upstream takes real time, so its limit is what the fast deadline leaves, in real seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class FastClock:
    """Epoch seconds that began at ``origin`` and pass ``speed`` times as fast. The same in every process."""

    origin: float
    speed: float

    def __call__(self) -> float:
        return self.origin + (time.time() - self.origin) * self.speed

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self.speed)

    def real(self, seconds: float) -> float:
        """Real seconds that pass meanwhile."""
        return seconds / self.speed


def slow_machine(clock: FastClock) -> None:
    """Make this process live by the clock, as far as it does not take one as an argument. For good: the process is
    the storm's own.
    """
    transports: Any = import_module("loyalty_relay.http.transports")
    from loyalty_relay.pipeline import transaction
    from loyalty_relay.reliability import rate_limiter, sliding_window

    for name in ("BUCKET", "SLACK", "HORIZON"):
        setattr(sliding_window, name, getattr(sliding_window, name) * clock.speed)
    rate_limiter.LATE_SECONDS *= clock.speed
    # No process of the storm outlives this, and the sandbox answers sooner; attempts after a lost answer wait for it.
    transaction.RUNNING_SECONDS = 60.0
    really: Callable[[float], AbstractContextManager[None]] = transports.ending_in

    def ending_in(seconds: float) -> AbstractContextManager[None]:
        return really(clock.real(seconds))

    transports.ending_in = ending_in


class FastQueues:
    """SQS whose messages are hidden for as long as it takes the fast clock."""

    def __init__(self, client: Any, clock: FastClock) -> None:
        self._client = client
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 - as botocore
        entries = [
            {**entry, "VisibilityTimeout": max(1, round(self._clock.real(entry["VisibilityTimeout"])))}
            for entry in Entries
        ]
        return self._client.change_message_visibility_batch(QueueUrl=QueueUrl, Entries=entries)

    def send_message(self, *, DelaySeconds: int = 0, **message: Any) -> Any:  # noqa: N803 - as botocore
        return self._client.send_message(DelaySeconds=round(self._clock.real(DelaySeconds)), **message)
