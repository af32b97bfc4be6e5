"""When the next requests may be sent: the arithmetic of pacing. Pure, no table, no clock.

The promise is the strict one: in no 60 seconds, wherever they begin, are there more requests than the limit. It is kept
by counting reserved slots in half-second buckets and granting a slot only where the buckets that could share a window
with it hold fewer than the limit. A limit that was not used for a minute may be used at once, so that a batch on a
quiet day does not wait; the closer the window is to full, the more the slots are spread.

The price of strictness is the slack: a window of 60 s is taken as 61.5 s (97.5 % of the limit), which covers a request
that leaves a second after its slot, and clocks of executions that differ by a fraction of that.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

BUCKET = 0.5
SLACK = 1.0
"""Seconds by which a request may leave later than its slot."""
HORIZON = 2.0
"""Slots further away than this are not reserved: a record sleeps no longer than that."""
LONGEST_WAIT = 900.0
RESERVE = 0.02
"""The part of a limit that background work leaves free for the next live request, at least one slot."""
LIVE_SECONDS = 5.0
"""So long after a live request had to wait, background work gives way."""
OVERBOOKING = 0.9
"""Records that wait are called back at a rate slightly above the limit's, so that no slot passes unused because the
one it was meant for came late.
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """A published limit as ``most`` requests in ``window`` seconds.

    A fraction below one request a minute stretches the window; above, it is cut off, because more than four requests
    in some minute is more than 4.5.
    """

    most: int
    window: float

    @classmethod
    def of(cls, per_minute: float) -> Rate:
        """Return the rate of a limit per minute. Raises ValueError when it is not above zero."""
        if not per_minute > 0:
            raise ValueError("a limit is above zero")
        return cls(math.floor(per_minute), 60.0) if per_minute >= 1 else cls(1, 60.0 / per_minute)

    @property
    def span(self) -> int:
        """Buckets, the slot's own included, that may hold requests of one window."""
        return math.ceil((self.window + SLACK) / BUCKET) + 1

    @property
    def pace(self) -> float:
        return self.window / self.most

    def background(self, share: float, *, live: bool) -> Rate:
        """Return how much of the limit may be in use, live work included, for background work to get a slot.

        ``live``: whether live work waits. A limit of one request has nothing to leave free.
        """
        left = math.floor(self.most * share) if live else self.most - max(1, math.ceil(self.most * RESERVE))
        return replace(self, most=max(left, 1))


@dataclass(frozen=True, slots=True)
class Granted:
    """What a reservation granted.

    ``slots``: times at which one request each may leave, ascending. ``waits``: seconds after which each of the
    others should come back; they used up nothing.
    """

    slots: tuple[float, ...]
    waits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The slots reserved in the last window. Times are epoch seconds."""

    counts: tuple[tuple[int, int], ...] = ()
    """Bucket number and slots in it, ascending."""
    last: float = 0.0
    line: float = 0.0
    """When the next request in the line may come back."""
    blocked: float = 0.0
    """No slot before this: the vendor reported that its limit is used up."""
    live: float = 0.0
    """Until when live work waits."""

    def grant(self, rate: Rate, count: int, now: float, *, share: float | None = None) -> tuple[Ledger, Granted]:
        """Reserve up to ``count`` slots within the horizon, and give the rest a place in the line.

        ``share``: for background work, see ``Rate.background``; its waits are no places in the line of live work.
        """
        if share is not None:
            rate = rate.background(share, live=now < self.live)
        first = math.floor(now / BUCKET)
        counts = {b: n for b, n in self.counts if b > first - rate.span}
        slots: list[float] = []
        last = self.last
        at = now
        while len(slots) < count:
            at = self._next(counts, rate, last, now)
            if at - now > HORIZON:
                break
            bucket = math.floor(at / BUCKET)
            counts[bucket] = counts.get(bucket, 0) + 1
            slots.append(at)
            last = at
        waits: list[float] = []
        if share is not None:
            waits = [max(at - now, BUCKET) + rate.pace * number for number in range(count - len(slots))]
            return replace(self, counts=tuple(sorted(counts.items())), last=last), Granted(tuple(slots), tuple(waits))
        line = self.line
        for _ in range(count - len(slots)):
            line = min(max(line, at), now + LONGEST_WAIT)
            waits.append(max(line - now, BUCKET))
            line += rate.pace * OVERBOOKING
        live = max(self.live, now + waits[-1] + LIVE_SECONDS) if waits else self.live
        after = replace(self, counts=tuple(sorted(counts.items())), last=last, line=line, live=live)
        return after, Granted(tuple(slots), tuple(waits))

    def _next(self, counts: dict[int, int], rate: Rate, last: float, now: float) -> float:
        at = max(now, self.blocked)
        bucket = math.floor(at / BUCKET)
        if 2 * self._used(counts, rate, bucket) >= rate.most > 1:
            # Half the pace's distance: enough to spread, and to catch up with slots that were not used.
            at = max(at, last + rate.pace / 2)
        # Slots are granted in ascending order, so that only windows that end in the new slot need to be looked at.
        at = max(at, last)
        bucket = math.floor(at / BUCKET)
        while (surplus := self._used(counts, rate, bucket) - rate.most + 1) > 0:
            for taken in sorted(b for b in counts if bucket - rate.span < b <= bucket):
                surplus -= counts[taken]
                if surplus <= 0:
                    bucket = taken + rate.span
                    break
            at = bucket * BUCKET
        return at

    @staticmethod
    def _used(counts: dict[int, int], rate: Rate, bucket: int) -> int:
        return sum(n for b, n in counts.items() if bucket - rate.span < b <= bucket)

    def returned(self, slots: tuple[float, ...]) -> Ledger:
        """Return the ledger without slots that were reserved and not used."""
        counts = dict(self.counts)
        for slot in slots:
            bucket = math.floor(slot / BUCKET)
            if counts.get(bucket, 0) > 0:
                counts[bucket] -= 1
        return replace(self, counts=tuple((b, n) for b, n in sorted(counts.items()) if n))

    def to_json(self) -> str:
        return json.dumps([[list(c) for c in self.counts], self.last, self.line], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None, blocked: float, live: float) -> Ledger:
        counts, last, line = json.loads(text) if text else ([], 0.0, 0.0)
        return cls(tuple((b, n) for b, n in counts), last, line, blocked, live)
