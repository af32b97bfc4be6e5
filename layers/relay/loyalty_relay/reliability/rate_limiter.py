"""Rate limiting: all executions together stay below a destination's published limits, and use them.

One item per destination and API holds the slots of the last window (``slots``). A write that is conditional on its
revision reserves the slots of a whole batch; the threads of the batch then share them without another request.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import NoSlot, StoreUnavailable
from loyalty_relay.reliability.sliding_window import LONGEST_WAIT, SLACK, Granted, Ledger, Rate
from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Contended, Item, Refused, Table

TRIES = 10
LATE_SECONDS = SLACK / 2
"""A slot is not used later than this after its time; the other half of the slack is for the way to the vendor."""
PENALTY_SECONDS = 5.0
"""For a vendor that refuses without giving a time."""
KEPT_SECONDS = 86_400
CONTENDED_SECONDS = 1.0


@dataclass(slots=True)
class _Queue:
    """What this process holds of one API's slots."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    counting: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0
    """Threads that want a slot now."""
    fresh: bool = True
    """No slot was reserved since the batch began."""
    slots: deque[float] = field(default_factory=deque)
    waits: deque[float] = field(default_factory=deque)
    """Moments until which further threads of the batch should wait."""
    unused: list[float] = field(default_factory=list)
    blocked: float = 0.0
    revision: int | None = None
    ledger: Ledger = field(default_factory=Ledger)
    """As last seen in the table."""


class Limiters:
    """The limiters of all destinations, in the state table.

    ``clock``: epoch seconds. ``share``: for background work, what part of a limit may be in use for it to get a slot
    while live work waits; None for live work.
    """

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        share: float | None = None,
    ) -> None:
        self._share = share
        self._table = Table(dynamodb, table)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._threads = threading.local()

    def limiter(
        self, destination: str, limits: Mapping[str, float | Rate], *, batch: Callable[[], int] = lambda: 1
    ) -> PacedLimiter:
        """Return the limits of one destination by API for its client; a number is requests per minute.

        ``batch``: how many records run side by side.
        """
        return PacedLimiter(self, destination, limits, batch)

    def acquire(self, destination: str, api: str, rate: Rate | None, batch: int, deadline: Deadline) -> None:
        """Wait for a slot of ``api``, for two seconds at most; a slot that this thread holds is used first.

        Raises NoSlot with the seconds to wait when there is none so soon, without using one up; DeadlineTooShort when
        the invocation ends before the slot; StoreUnavailable.
        """
        queue = self._queue(destination, api)
        slot = self._held_slots().pop((destination, api), None)
        if slot is not None and (slot < self._clock() - LATE_SECONDS or self._clock() < queue.blocked):
            with queue.lock:
                queue.unused.append(slot)
            slot = None
        if slot is None:
            slot = self._take(queue, destination, api, rate, batch)
        wait = slot - self._clock()
        if wait <= 0:
            return
        try:
            deadline.require(wait)
        except BaseException:
            with queue.lock:
                queue.unused.append(slot)
            raise
        self._sleep(wait)

    @contextmanager
    def hold(self, destination: str, api: str, rate: Rate | None, batch: int, deadline: Deadline) -> Iterator[None]:
        """Hold a slot of ``api`` for this thread's first request within the block; without one, it is free again.

        Raises what ``acquire`` raises, before the block.
        """
        queue, key = self._queue(destination, api), (destination, api)
        slot = self._take(queue, destination, api, rate, batch)
        if rate is None:
            yield
            return
        held = self._held_slots()
        held[key] = slot
        try:
            if (wait := slot - self._clock()) > 0:
                deadline.require(wait)
            yield
        finally:
            if held.pop(key, None) is not None:
                with queue.lock:
                    queue.slots.appendleft(slot)

    def _held_slots(self) -> dict[tuple[str, str], float]:
        """Return the slots that this thread holds."""
        held: dict[tuple[str, str], float] = self._threads.__dict__.setdefault("held", {})
        return held

    def _take(self, queue: _Queue, destination: str, api: str, rate: Rate | None, batch: int) -> float:
        """Return the moment of a slot that is taken, in two seconds at most; 0 where there is no limit."""
        now = self._clock()
        if now < queue.blocked:
            raise NoSlot(retry_after=queue.blocked - now)
        if rate is None:
            return 0.0
        with queue.counting:
            queue.waiting += 1
        try:
            with queue.lock:
                return self._slot(queue, keys.rate_limit(destination, api), rate, batch)
        finally:
            with queue.counting:
                queue.waiting -= 1

    def penalise(self, destination: str, api: str, retry_after: float | None) -> None:
        """Use no slot of ``api`` for so many seconds, in any execution, after a 429. Never raises."""
        seconds = min(PENALTY_SECONDS if retry_after is None else max(retry_after, 0.0), LONGEST_WAIT)
        until = self._clock() + seconds
        queue = self._queue(destination, api)
        with queue.lock:
            queue.blocked = max(queue.blocked, until)
            queue.unused += queue.slots
            queue.slots.clear()
        try:
            self._table.update(
                {"pk": keys.rate_limit(destination, api)},
                "SET blocked = :until, expires_at = :expires ADD revision :one",
                condition="attribute_not_exists(blocked) OR blocked < :until",
                values={":until": until, ":expires": int(until) + KEPT_SECONDS, ":one": 1},
            )
        except (Refused, Contended, StoreUnavailable):
            return

    def give_back(self) -> None:
        """Free what a finished batch reserved and did not use. Never raises."""
        with self._lock:
            queues = list(self._queues.items())
        for (destination, api), queue in queues:
            with queue.lock:
                queue.fresh = True
                queue.waits.clear()
                unused = (*queue.unused, *queue.slots)
                queue.unused.clear()
                queue.slots.clear()
                if unused:
                    self._return(queue, keys.rate_limit(destination, api), unused)

    def _return(self, queue: _Queue, pk: str, unused: tuple[float, ...]) -> None:
        try:
            self._change(queue, pk, lambda ledger: ledger.returned(unused, background=self._share is not None))
        except (StoreUnavailable, NoSlot):
            # They stay counted as used: less than the limit for a minute, never more.
            return

    def reserve(self, destination: str, api: str, per_minute: float, count: int) -> Granted:
        """Reserve up to ``count`` slots with one conditional write, and a second where others wrote in between.

        Raises NoSlot when too many others write at once, StoreUnavailable.
        """
        queue = self._queue(destination, api)
        with queue.lock:
            return self._reserve(queue, keys.rate_limit(destination, api), Rate.of(per_minute), count)

    def in_use(self, destination: str, limits: Mapping[str, float]) -> dict[str, int]:
        """Return how many requests of each limit's last window are taken. One read for all; raises StoreUnavailable."""
        pks = {keys.rate_limit(destination, api): (api, Rate.of(most)) for api, most in limits.items()}
        found = dict.fromkeys(limits, 0)
        for item in self._table.get_many([{"pk": pk} for pk in pks]) if pks else ():
            api, rate = pks[item["pk"]]
            found[api] = Ledger.from_json(item.get("ledger"), 0.0).in_use(rate, self._clock())
        return found

    def _slot(self, queue: _Queue, pk: str, rate: Rate, batch: int) -> float:
        now = self._clock()
        while queue.slots and queue.slots[0] < now - LATE_SECONDS:
            queue.unused.append(queue.slots.popleft())
        if queue.slots:
            return queue.slots.popleft()
        while queue.waits:
            until = queue.waits.popleft()
            if until > now:
                raise NoSlot(retry_after=until - now)
        # Threads that wait for this lock are served by the same write.
        count = max(queue.waiting, batch if queue.fresh else 1)
        granted = self._reserve(queue, pk, rate, count)
        queue.fresh = False
        queue.slots.extend(granted.slots)
        queue.waits.extend(now + wait for wait in granted.waits)
        if queue.slots:
            return queue.slots.popleft()
        raise NoSlot(retry_after=queue.waits.popleft() - now)

    def _reserve(self, queue: _Queue, pk: str, rate: Rate, count: int) -> Granted:
        granted: list[Granted] = []

        def grant(ledger: Ledger) -> Ledger:
            after, given = ledger.grant(rate, count, self._clock(), share=self._share)
            granted.append(given)
            return after

        self._change(queue, pk, grant)
        return granted[-1]

    def _change(self, queue: _Queue, pk: str, change: Callable[[Ledger], Ledger]) -> None:
        for _ in range(TRIES):
            after, revision = change(queue.ledger), queue.revision
            values: dict[str, Any] = {
                ":ledger": after.to_json(),
                ":next": (revision or 0) + 1,
                ":expires": int(self._clock()) + KEPT_SECONDS,
                ":lanes": after.lanes_json(),
            }
            if revision is not None:
                values[":revision"] = revision
            try:
                self._table.update(
                    {"pk": pk},
                    "SET ledger = :ledger, revision = :next, expires_at = :expires, lanes = :lanes",
                    condition="attribute_not_exists(pk)" if revision is None else "revision = :revision",
                    values=values,
                )
            except Refused as refused:
                self._see(queue, refused.item)
            except Contended:
                continue
            else:
                queue.revision = (revision or 0) + 1
                queue.ledger = after
                return
        raise NoSlot(retry_after=CONTENDED_SECONDS)

    def _see(self, queue: _Queue, item: Item | None) -> None:
        if item is None:
            queue.revision, queue.ledger = None, Ledger()
            return
        queue.revision = int(item["revision"])
        queue.ledger = Ledger.from_json(item.get("ledger"), float(item.get("blocked", 0.0)), item.get("lanes"))

    def _queue(self, destination: str, api: str) -> _Queue:
        with self._lock:
            return self._queues.setdefault((destination, api), _Queue())


class PacedLimiter:
    """Implements ``limits.Limiter`` for one destination."""

    def __init__(
        self, pacing: Limiters, destination: str, limits: Mapping[str, float | Rate], batch: Callable[[], int]
    ) -> None:
        self._pacing = pacing
        self._destination = destination
        self._limits = {api: it if isinstance(it, Rate) else Rate.of(it) for api, it in limits.items()}
        self._batch = batch

    def acquire(self, api: str, deadline: Deadline) -> None:
        """See ``Limiters.acquire``. An API without a published limit waits only while the vendor refuses it."""
        self._pacing.acquire(self._destination, api, self._limits.get(api), self._batch(), deadline)

    def hold(self, api: str, deadline: Deadline) -> AbstractContextManager[None]:
        """See ``Limiters.hold``."""
        return self._pacing.hold(self._destination, api, self._limits.get(api), self._batch(), deadline)

    def penalise(self, api: str, retry_after: float | None) -> None:
        """See ``Limiters.penalise``."""
        self._pacing.penalise(self._destination, api, retry_after)
