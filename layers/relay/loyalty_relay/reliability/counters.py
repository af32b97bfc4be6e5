"""Counters for people who watch: what became of events, per connection and hour, and how long that took.

One item per connection and hour in the journal's table, under a key that no delivery has and in no index. Counts are
kept in memory and written with one ``ADD`` per batch and hour of arrival, so that an event costs no write of its own.
Only final outcomes are counted, once each, when their journal entry is written, in the hour in which the delivery
arrived: a number equals the entries of that hour. What is retrying or parked is counted by the index of those entries.

Best effort: a process that dies before its batch is over loses the batch's counts, and no failure reaches the batch.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import KEPT_DAYS, JournalEntry
from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Contended, Refused, Table
from loyalty_relay.telemetry import logs

HOUR = 3600
BOUNDS_MS = (
    *(100, 150, 200, 300, 400, 500, 650, 800, 1_000, 1_250, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 7_500),
    *(10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000),
    *(259_200_000,),
)
"""Upper bounds of the histogram's buckets in milliseconds; what took longer is counted in the last one."""
_REFUSED = "refused"
_BUCKET = "ms."


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCounts:
    """What became of the deliveries that arrived in one hour."""

    starts_at: int
    """Epoch seconds."""
    outcomes: Mapping[tuple[str, str], int]
    """By (operation, result)."""
    latencies: Mapping[int, int]
    """How many were applied within each of ``BOUNDS_MS`` after their arrival, and not within the one below."""
    refused: int = 0
    """Deliveries that were not authentic; approximate."""


class Counters:
    """Counts of this process. Safe for threads. ``timed``: whether its commands are live ones, whose time matters."""

    def __init__(self, dynamodb: Any, table: str, *, clock: Callable[[], float], timed: bool = True) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock
        self._timed = timed
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], Counter[str]] = {}

    def settled(self, entry: JournalEntry) -> None:
        """Count a final outcome whose entry was written."""
        names = [f"{entry.operation}.{entry.result.value}"]
        if self._timed and entry.result is Result.APPLIED and entry.received_at:
            took = (entry.finished_at - entry.received_at) * 1000
            names.append(f"{_BUCKET}{BOUNDS_MS[min(bisect_left(BOUNDS_MS, took), len(BOUNDS_MS) - 1)]}")
        with self._lock:
            self._counts.setdefault((entry.connection, int(entry.received_at) // HOUR), Counter()).update(names)

    def refused(self, connection: str, count: int) -> None:
        """Count deliveries to an existing connection that were not authentic, as of now."""
        with self._lock:
            self._counts.setdefault((connection, int(self._clock()) // HOUR), Counter())[_REFUSED] += count

    def write(self) -> None:
        """Add what was counted since the last time to the table. Never raises: what cannot be written is lost."""
        with self._lock:
            counts, self._counts = self._counts, {}
        for (connection, hour), counted in counts.items():
            try:
                self._add(connection, hour, counted)
            except (StoreUnavailable, Contended, Refused) as error:
                # Trying again could count twice what was written without an answer.
                logs.warning("counts not written", connection=connection, error=type(error).__name__)
                return

    def _add(self, connection: str, hour: int, counted: Counter[str]) -> None:
        day = datetime.fromtimestamp(hour * HOUR, UTC)
        self._table.update(
            {"delivery_id": keys.counts(connection, day), "position": hour},
            "SET expires_at = :expires ADD " + ", ".join(f"#{i} :{i}" for i in range(len(counted))),
            names={f"#{i}": name for i, name in enumerate(counted)},
            values={f":{i}": count for i, count in enumerate(counted.values())}
            | {":expires": int((day + timedelta(days=KEPT_DAYS)).timestamp())},
        )

    def hours(self, connection: str, *, hours: int = 168) -> list[HourCounts]:
        """Return the counts of the present hour and of those before it, ``hours`` in all, without the empty ones.

        The oldest first. Raises StoreUnavailable.
        """
        last = int(self._clock()) // HOUR
        first = last - hours + 1
        days = (datetime.fromtimestamp(hour * HOUR, UTC) for hour in (*range(first, last, 24), last))
        found: list[HourCounts] = []
        for key in dict.fromkeys(keys.counts(connection, day) for day in days):
            items = self._table.query(None, "delivery_id", key, limit=hours, between=("position", first, last))
            found += [_hour_of(item) for item in items]
        return found


def _hour_of(item: Mapping[str, Any]) -> HourCounts:
    outcomes: dict[tuple[str, str], int] = {}
    latencies: dict[int, int] = {}
    for name, count in item.items():
        head, dot, tail = name.rpartition(".")
        if name.startswith(_BUCKET):
            latencies[int(tail)] = int(count)
        elif dot:
            outcomes[head, tail] = int(count)
    return HourCounts(
        starts_at=int(item["position"]) * HOUR,
        outcomes=outcomes,
        latencies=dict(sorted(latencies.items())),
        refused=int(item.get(_REFUSED, 0)),
    )
