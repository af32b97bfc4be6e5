"""Measure how much of a destination's published limit is used while work waits.

The pacing and the retry policy are the real ones; the clock is simulated.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from loyalty_relay.model.errors import RateLimited
from loyalty_relay.reliability import retry_policy
from loyalty_relay.reliability.rate_limiter import Limiters

BATCH = 10
UPSTREAM_SECONDS = 0.2
START = 1_790_000_000.0
_destinations = count(1)


@dataclass(frozen=True, slots=True)
class Use:
    """What a backlog did with a limit."""

    per_minute: float
    sent: tuple[float, ...]
    """When the requests left, ascending."""
    seconds: float
    receives: int
    """How often messages were received in all: each beyond the first is a wasted one."""
    writes: int
    """Reservations written."""

    @property
    def share(self) -> float:
        """Requests sent after the first minute, over what the limit allows in that time.

        The first minute is left out: a limit that is still unused may be used at once.
        """
        begin = self.sent[0] + 60
        after = len(self.sent) - bisect_left(self.sent, begin)
        return after / (self.per_minute * (self.seconds - 60) / 60)

    @property
    def over(self) -> int:
        """Requests beyond the limit in the worst 60 seconds, wherever they begin."""
        worst = max(bisect_left(self.sent, at + 60) - i for i, at in enumerate(self.sent))
        return max(0, worst - int(self.per_minute))


def backlog(dynamodb: Any, table: str, per_minute: float, *, executions: int, seconds: float, seed: int = 7) -> Use:
    """Work off a queue that never runs empty for some (simulated) seconds, with so many executions side by side."""
    return _Backlog(dynamodb, table, per_minute, seed).run(executions, seconds)


def live_seconds(
    dynamodb: Any, table: str, per_minute: float, *, beside: bool, seconds: float, share: float = 0.5, seed: int = 7
) -> float:
    """Return the mean latency of live requests at half of a limit, in simulated seconds.

    They arrive at random. ``beside``: whether an import takes what they leave. ``share``: of the limit, for imports
    while live requests wait.
    """
    now, arrivals = START, random.Random(seed)

    def pacing(share: float | None) -> Limiters:
        return Limiters(dynamodb, table, clock=lambda: now, sleep=_never, share=share)

    destination = f"simulated-{next(_destinations)}"
    live, background = pacing(None), pacing(share)
    coming = START + 90.0
    waiting: list[tuple[float, float]] = []
    took: list[float] = []
    while now < START + seconds:
        while coming <= now:
            waiting.append((coming, coming))
            coming += arrivals.expovariate(per_minute / 120)
        for arrived, again in [entry for entry in waiting if entry[1] <= now]:
            waiting.remove((arrived, again))
            slots, waits = _reserved(live, destination, per_minute, 1)
            took += [slot - arrived + UPSTREAM_SECONDS for slot in slots]
            waiting += [(arrived, now + wait) for wait in waits]
        if beside:
            _reserved(background, destination, per_minute, BATCH)
        now += 0.5
    return sum(took) / len(took)


def _reserved(
    pacing: Limiters, destination: str, per_minute: float, messages: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the moments of the slots that were granted, and the waits of the messages that got none."""
    try:
        granted = pacing.reserve(destination, "any", per_minute, messages)
    except RateLimited as crowded:
        return (), (crowded.retry_after or 1.0,) * messages
    return granted.slots, granted.waits


def _never(seconds: float) -> None:
    raise AssertionError("reserving does not sleep")


class _Backlog:
    def __init__(self, dynamodb: Any, table: str, per_minute: float, seed: int) -> None:
        self.now = START
        self.per_minute = per_minute
        self.random = random.Random(seed)
        self.destination = f"simulated-{next(_destinations)}"
        self.receives = self.writes = 0
        self.sent: list[float] = []
        self._dynamodb, self._table = dynamodb, table
        self.waiting: list[tuple[float, int, int]] = []
        """Messages by the moment they are visible: (moment, id, receives so far)."""
        self.fresh = count(1)

    def run(self, executions: int, seconds: float) -> Use:
        processes = [
            Limiters(self._dynamodb, self._table, clock=lambda: self.now, sleep=_never) for _ in range(executions)
        ]
        idle = [(START, number) for number in range(executions)]
        while idle[0][0] < START + seconds:
            self.now, number = heapq.heappop(idle)
            until = self._batch(processes[number], self._receive(more=self.now == START))
            heapq.heappush(idle, (until, number))
        sent = tuple(sorted(at for at in self.sent if at < START + seconds))
        return Use(self.per_minute, sent, seconds, self.receives, self.writes)

    def _receive(self, *, more: bool) -> list[tuple[int, int]]:
        """Receive up to ten visible messages, first those that came back; a backlog always has new ones to add."""
        taken: list[tuple[int, int]] = []
        while self.waiting and len(taken) < BATCH and self.waiting[0][0] <= self.now:
            _, message, receives = heapq.heappop(self.waiting)
            taken.append((message, receives))
        while len(taken) < BATCH and (more or len(self.waiting) < 2 * self.per_minute):
            taken.append((next(self.fresh), 0))
        return taken

    def _batch(self, pacing: Limiters, messages: Sequence[tuple[int, int]]) -> float:
        """Run one batch; return when its execution is free again."""
        if not messages:
            # Lambda's pollers poll again at once; a receive ends when something becomes visible.
            return max(self.now + 0.1, min(self.waiting)[0])
        self.receives += len(messages)
        slots, waits = _reserved(pacing, self.destination, self.per_minute, len(messages))
        self.writes += 1
        self.sent += slots
        end = max((slot + UPSTREAM_SECONDS for slot in slots), default=self.now + 0.02)
        for (message, receives), wait in zip(messages[len(slots) :], waits, strict=True):
            delay = retry_policy.delay(RateLimited(retry_after=wait), receives + 1, self.random.random())
            heapq.heappush(self.waiting, (end + max(1, round(delay)), message, receives + 1))
        return end
