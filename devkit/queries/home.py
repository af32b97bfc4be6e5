"""How every connection does: what became of its events, how long that took, what waits, and what is in the way.

Numbers of final outcomes are counters; what is retrying or parked comes from an index of only that; nothing is scanned.
Windows are whole hours of arrival, because counters are: "the last hour" begins with the last full one. One connection
costs at most 50 read units, usually about 10.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from devkit.stacks.connection_store import ConnectionStore, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import OPERATIONS, PARKING, Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.counters import BOUNDS_MS, HOUR, HourCounts
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runs.run import Run
from loyalty_relay.runtime.wiring import Services

MOST = 50
"""Connections that are shown at once."""
LISTED = 250
"""Unfinished entries that are read of each kind; where there are more, only that is shown."""
REPORTS = 3
"""Newest reports of runs that are read."""
WINDOWS = {"hour": 2, "day": 24, "week": 168}
"""Hours of each window, the present one included."""
QUEUED = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
LAST = ("delivery_id", "received_at", "source", "topic", "operation", "result", "reason")
"""Members of the newest event that are shown."""
HEX = re.compile("[0-9a-f]{12}")
SIDE_BY_SIDE = 8
"""Connections that are looked at side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What became of the deliveries of some hours. ``since``: epoch seconds."""

    since: int
    outcomes: Mapping[str, int]
    """By result. Retrying and parked: of those listed, see ``Backlog``."""
    refused: int
    p50: float | None
    """Seconds from arrival to applied, by half of the events; None for none."""
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is retrying, or parked. ``more``: whether there is more than was counted."""

    count: int
    more: bool
    oldest: float | None
    """When the oldest arrived, epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a destination: ``used`` of ``most`` requests a minute, by all connections to the account."""

    api: str
    used: int
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """How one connection does. Times are epoch seconds.

    ``problem``: why nothing more is known, such as a secret that is not a connection.
    """

    id: str
    platform: str = ""
    vendor: str = ""
    problem: str = ""
    spans: Mapping[str, Span]
    """By the names of ``WINDOWS``."""
    hours: Sequence[Span] = ()
    """The last 24 hours, one by one."""
    days: Sequence[Span] = ()
    """The last 7 times 24 hours."""
    retrying: Backlog
    parked: Backlog
    circuit: str = "closed"
    """Or open, and why."""
    limits: Sequence[Limit] = ()
    last: JournalEntry | None = None
    """The newest event."""
    running: Run | None = None
    imported: Run | None = None
    """The newest import that has ended, of the last few runs; ``reconciled`` likewise."""
    reconciled: Run | None = None
    reviewed: Run | None = None
    """The newest one before which the webhook subscriptions were looked at."""

    def as_json(self) -> dict[str, Any]:
        """Return the status as ``relay status --json`` prints it."""
        shown = {name: getattr(self, name) for name in ("id", "platform", "vendor", "problem", "circuit")}
        return shown | {
            "spans": {name: asdict(span) for name, span in self.spans.items()},
            "hours": [asdict(span) for span in self.hours],
            "days": [asdict(span) for span in self.days],
            "retrying": asdict(self.retrying),
            "parked": asdict(self.parked),
            "limits": [asdict(limit) for limit in self.limits],
            "subscriptions": None
            if self.reviewed is None
            else {"at": self.reviewed.started_at, "amiss": self.reviewed.subscriptions},
            "last": None if self.last is None else {name: getattr(self.last, name) for name in LAST},
            **{
                name: None if run is None else run.to_dict()
                for name, run in (
                    ("running", self.running),
                    ("imported", self.imported),
                    ("reconciled", self.reconciled),
                )
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How a whole stack does. ``queued`` and ``parked``: messages by operation, as SQS estimates them."""

    at: float
    """Epoch seconds."""
    connections: Sequence[ConnectionStatus]
    left_out: int
    """Connections that are not shown."""
    queued: Mapping[str, int]
    parked: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay status --json`` prints."""
        return {
            "at": self.at,
            "connections": [each.as_json() for each in self.connections],
            "left_out": self.left_out,
            "queued": dict(self.queued),
            "parked": dict(self.parked),
        }


def overview(stack: Stack, services: Services, *, only: Sequence[str] = (), most: int = MOST) -> Overview:
    """Return how the stack's connections do. ``only``: ids, in place of all. Raises CommandError for an unknown one."""
    store = store_of(stack)
    ids = list(only) or store.ids()
    for name in only:
        store.raw(name)
    # Built here, before the threads would build them side by side.
    services.pipeline, services.counters, services.runs, services.pacing, services.digests  # noqa: B018
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="home") as pool:
        queued = pool.submit(_messages, stack, {name: stack.queue(name) for name in OPERATIONS})
        parked = pool.submit(_messages, stack, {name: stack.parked_queue(name) for name in PARKING})
        found = list(pool.map(partial(status_of, store, services), ids[:most]))
        return Overview(
            at=services.clock(),
            connections=found,
            left_out=len(ids) - len(found),
            queued=queued.result(),
            parked=parked.result(),
        )


def _messages(stack: Stack, queues: Mapping[str, str]) -> dict[str, int]:
    sqs = stack.client("sqs")
    counts = {
        name: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(QUEUED))["Attributes"]
        for name, url in queues.items()
    }
    return {name: sum(int(count[attribute]) for attribute in QUEUED) for name, count in counts.items()}


def status_of(store: ConnectionStore, services: Services, id: str) -> ConnectionStatus:
    """Return how one connection does. Raises StoreUnavailable."""
    now = services.clock()
    hours = services.counters.hours(id, hours=WINDOWS["week"])
    kinds = (Result.RETRYING, Result.PARKED)
    unfinished = {kind: _arrivals(services.journal.unfinished(id, kind, limit=LISTED + 1), now) for kind in kinds}
    present = int(now) // HOUR * HOUR

    def span(since: int, until: int = present + HOUR) -> Span:
        return _span(hours, unfinished, since, until)

    latest = services.runs.get(id)
    ended = services.runs.reports(id, limit=REPORTS)
    newest = services.journal.list(id, limit=1)
    known = ConnectionStatus(
        id=id,
        spans={name: span(present - (length - 1) * HOUR) for name, length in WINDOWS.items()},
        hours=[span(present - n * HOUR, present - (n - 1) * HOUR) for n in reversed(range(24))],
        days=[span(present - (24 * n + 23) * HOUR, present - (24 * n - 1) * HOUR) for n in reversed(range(7))],
        retrying=_backlog(unfinished[Result.RETRYING]),
        parked=_backlog(unfinished[Result.PARKED]),
        last=newest[0] if newest else None,
        running=latest[0] if latest is not None and latest[0].status == "running" else None,
        imported=next((run for run in ended if run.kind == "import"), None),
        reconciled=next((run for run in ended if run.kind == "reconciliation"), None),
        reviewed=next((run for run in ended if run.reviewed), None),
    )
    try:
        connection = store.read(id)
    except CommandError as error:
        return replace(known, problem=", ".join(detail["field"] for detail in error.details) or error.what)
    return replace(
        known,
        platform=connection.source.platform,
        vendor=connection.destination.vendor,
        circuit=_circuit(services, connection),
        limits=_limits(services, connection),
    )


def _circuit(services: Services, connection: Connection) -> str:
    open_ = services.circuit.states(services.pipeline.circuits(connection))
    return "open: " + ", ".join(state.reason for state in open_.values()) if open_ else "closed"


def _limits(services: Services, connection: Connection) -> list[Limit]:
    most = connection.destination.requests_per_minute
    used = services.pacing.in_use(connection.destination.key, most)
    return [Limit(api=api, used=used[api], most=most[api]) for api in sorted(most)]


def _arrivals(unfinished: Iterable[tuple[str, int]], now: float) -> list[float]:
    """Return when deliveries arrived: a UUIDv7 begins with its milliseconds; ``now`` for an id that is none."""
    digits = (delivery_id.replace("-", "")[:12] for delivery_id, _ in unfinished)
    return [int(text, 16) / 1000 if HEX.fullmatch(text) else now for text in digits]


def _backlog(arrivals: Sequence[float]) -> Backlog:
    return Backlog(
        count=min(len(arrivals), LISTED), more=len(arrivals) > LISTED, oldest=arrivals[0] if arrivals else None
    )


def _span(hours: Iterable[HourCounts], unfinished: Mapping[Result, Sequence[float]], since: int, until: int) -> Span:
    outcomes: Counter[str] = Counter()
    latencies: Counter[int] = Counter()
    refused = 0
    for hour in hours:
        if since <= hour.starts_at < until:
            for (_, result), count in hour.outcomes.items():
                outcomes[result] += count
            latencies.update(hour.latencies)
            refused += hour.refused
    for kind, arrivals in unfinished.items():
        outcomes[kind.value] += sum(since <= at < until for at in arrivals)
    return Span(
        since=since,
        outcomes={result.value: outcomes[result.value] for result in Result},
        refused=refused,
        p50=quantile(latencies, 0.50),
        p95=quantile(latencies, 0.95),
    )


def quantile(latencies: Mapping[int, int], share: float) -> float | None:
    """Return the seconds within which this share of events was applied; within a bucket they count as spread evenly."""
    wanted = share * sum(latencies.values())
    if not wanted:
        return None
    passed = 0
    below = 0
    for bound in BOUNDS_MS:
        count = latencies.get(bound, 0)
        if count and passed + count >= wanted:
            return (below + (bound - below) * (wanted - passed) / count) / 1000
        passed, below = passed + count, bound
    return BOUNDS_MS[-1] / 1000
