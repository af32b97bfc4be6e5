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
"""The part of a limit that background work leaves free at the least, and one slot."""
BURST = 3.0
"""It leaves so many standard deviations of the live requests of a window free, which come at random."""
EVENLY = 0.9
"""The distance of its slots, in paces of the limit: they are freed as evenly when live work needs them suddenly."""
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

    def background(self, share: float, *, live: int, waits: bool) -> Rate:
        """Return how much of the limit may be in use, live work included, for background work to get a slot.

        ``live``: slots of the window that live work used. ``waits``: whether live work waits.
        """
        free = max(1, math.ceil(self.most * RESERVE), math.ceil(BURST * math.sqrt(live)))
        return replace(self, most=max(math.floor(self.most * share) if waits else self.most - free, 1))


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
    background: tuple[tuple[int, int], ...] = ()
    """Those of ``counts`` that background work used."""

    def grant(self, rate: Rate, count: int, now: float, *, share: float | None = None) -> tuple[Ledger, Granted]:
        """Reserve up to ``count`` slots within the horizon, and give the rest a place in the line.

        ``share``: for background work, see ``Rate.background``. It gets slots of the next half second only, spread
        evenly, and its waits are no places in the line of live work, so that no live request waits long behind it.
        """
        first = math.floor(now / BUCKET)
        counts = {b: n for b, n in self.counts if b > first - rate.span}
        background = {b: n for b, n in self.background if b > first - rate.span}
        horizon = HORIZON
        if share is not None:
            live = sum(counts.values()) - sum(background.values())
            rate = rate.background(share, live=live, waits=now < self.live)
            horizon = BUCKET
        slots: list[float] = []
        last = self.last
        at = now
        while len(slots) < count:
            earliest = last + rate.pace * EVENLY if share is not None else now
            at = self._next(counts, background, rate, last, max(now, earliest))
            if at - now > horizon:
                break
            bucket = math.floor(at / BUCKET)
            counts[bucket] = counts.get(bucket, 0) + 1
            if share is not None:
                background[bucket] = background.get(bucket, 0) + 1
            slots.append(at)
            last = at
        after = replace(
            self, counts=tuple(sorted(counts.items())), background=tuple(sorted(background.items())), last=last
        )
        left = count - len(slots)
        if share is not None:
            waits = [max(at - now, BUCKET) + rate.pace * number for number in range(left)]
            return after, Granted(tuple(slots), tuple(waits))
        return after._in_line(rate, left, at, now, tuple(slots))

    def _in_line(
        self, rate: Rate, count: int, at: float, now: float, slots: tuple[float, ...]
    ) -> tuple[Ledger, Granted]:
        """Give ``count`` live requests places in the line, which begins at the next slot."""
        waits: list[float] = []
        line = self.line
        for _ in range(count):
            line = min(max(line, at), now + LONGEST_WAIT)
            waits.append(max(line - now, BUCKET))
            line += rate.pace * OVERBOOKING
        live = max(self.live, now + waits[-1] + LIVE_SECONDS) if waits else self.live
        return replace(self, line=line, live=live), Granted(slots, tuple(waits))

    def _next(self, counts: dict[int, int], others: dict[int, int], rate: Rate, last: float, now: float) -> float:
        """Return the moment of the next slot. ``others``: slots that do not count as crowding."""
        at = max(now, self.blocked)
        bucket = math.floor(at / BUCKET)
        if 2 * (self._used(counts, rate, bucket) - self._used(others, rate, bucket)) >= rate.most > 1:
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

    def in_use(self, rate: Rate, now: float) -> int:
        """Return how many slots of the window that ends now are reserved, those a moment ahead included."""
        last = max((bucket for bucket, _ in self.counts), default=0)
        return self._used(dict(self.counts), rate, max(math.floor(now / BUCKET), last))

    def returned(self, slots: tuple[float, ...], *, background: bool = False) -> Ledger:
        """Return the ledger without slots that were reserved and not used."""
        after = replace(self, counts=_without(self.counts, slots))
        return replace(after, background=_without(self.background, slots)) if background else after

    def to_json(self) -> str:
        return json.dumps([[list(c) for c in self.counts], self.last, self.line], separators=(",", ":"))

    def lanes_json(self) -> str:
        """Return what distinguishes live and background work, apart: earlier versions read the rest."""
        return json.dumps([self.live, [list(c) for c in self.background]], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None, blocked: float, lanes: str | None = None) -> Ledger:
        counts, last, line = json.loads(text) if text else ([], 0.0, 0.0)
        live, background = json.loads(lanes) if lanes else (0.0, [])
        return cls(_pairs(counts), last, line, blocked, live, _pairs(background))


def _pairs(counts: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((bucket, number) for bucket, number in counts)


def _without(counts: tuple[tuple[int, int], ...], slots: tuple[float, ...]) -> tuple[tuple[int, int], ...]:
    left = dict(counts)
    for slot in slots:
        bucket = math.floor(slot / BUCKET)
        if left.get(bucket, 0) > 0:
            left[bucket] -= 1
    return tuple((bucket, number) for bucket, number in sorted(left.items()) if number)
