"""What it costs to run, from what was measured: a model in the open, to argue with.

Measured: write units, requests, log bytes and processor time per event. Listed: prices (``benchmarks/prices.py``).
Assumed, and named as such: everything in ``Assumptions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import exp
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import prices
from benchmarks.prices import tiered
from loyalty_relay.connections.store import CACHE_SECONDS, MAX_CONNECTIONS
from loyalty_relay.telemetry.metrics import METRICS

DAYS = 30.4
GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run measured, per event; milliseconds are of a whole processor."""

    ingest_cpu_ms: float
    operation_cpu_ms: float
    ingest_cold_ms: float
    operation_cold_ms: float
    write_units: Mapping[str, float]
    """Per kind of event, pacing left out."""
    upstream: Mapping[str, float]
    """Requests to the vendor, per kind of event; those of one event are made one after the other."""
    pacing: Mapping[str, float]
    """Write units of pacing in a batch of one, per kind of event."""
    ingest_log_bytes: float
    operation_log_bytes: float
    stored_bytes: Mapping[str, float]
    """Bytes of the items of one event, by table."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measured:
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What has not been measured. Change it for your own shop."""

    mix: Mapping[str, float] = field(
        default_factory=lambda: {
            "register": 0.10,
            "update": 0.55,
            "unchanged": 0.15,
            "stale": 0.02,
            "duplicate": 0.08,
            "ignored": 0.10,
        }
    )
    """What events turn out to be."""
    upstream_ms: float = 200.0
    dynamodb_ms: float = 5.0
    sqs_ms: float = 8.0
    cold_share: float = 0.005
    """Of invocations."""
    memory_mb: int = 512
    customers_per_connection: int = 10_000
    kangaroo_share: float = 0.5
    """Of connections; each has a second secret, for the vendor's token."""
    queues: int = 7
    alarm_metrics: int = 24
    """Of the alarms in every stack."""
    full_alarm_metrics: int = 34
    """Of those that Monitoring=full adds."""
    metrics_per_connection: int = 23
    """That ConnectionMetrics adds in a month, at most: four topics and outcomes, two reasons."""
    monitoring: str = "basic"
    connection_metrics: bool = False
    """The stack's parameters Monitoring and ConnectionMetrics."""

    def records_per_invocation(self, per_second: float) -> float:
        """Estimate how full batches are. Lambda begins with five pollers, so few events make small batches."""
        return min(10.0, max(1.0, per_second / 10))


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is."""

    events_per_day: float
    connections: int

    @property
    def per_second(self) -> float:
        return self.events_per_day / 86_400

    @property
    def per_month(self) -> float:
        return self.events_per_day * DAYS


SCALES = (
    Scale(100, 1),
    Scale(10_000, 10),
    Scale(1_000_000, 100),
    Scale(10_000_000, 1_000),
    Scale(100_000_000, 1_000),
    Scale(100_000_000, 10_000),
)
DEFAULT = Assumptions()


@dataclass(frozen=True, slots=True)
class Bill:
    """Dollars a month, by item, and how many executions run side by side on average."""

    items: dict[str, float]
    ingest_executions: float
    operation_executions: float
    scale: Scale

    @property
    def total(self) -> float:
        return sum(self.items.values())

    def per_million(self, item: str | None = None) -> float:
        """Return dollars per million events: of one item, or of all."""
        return (self.total if item is None else self.items[item]) / (self.scale.per_month / prices.MILLION)


def bill(measured: Measured, scale: Scale, assumed: Assumptions = DEFAULT) -> Bill:
    """Return a month at this scale."""
    per_month = scale.per_month
    commands = 1 - assumed.mix["ignored"]
    batch = assumed.records_per_invocation(scale.per_second * commands)
    ingest_ms, operation_ms = _durations(measured, assumed, batch, commands)
    ingest_running = scale.per_second * ingest_ms / 1000
    operation_running = scale.per_second * commands / batch * operation_ms / 1000
    invocations = per_month * (1 + commands / batch)
    gigabyte_seconds = (
        per_month * (ingest_ms + assumed.cold_share * measured.ingest_cold_ms)
        + per_month * commands / batch * (operation_ms + assumed.cold_share * measured.operation_cold_ms)
    ) * (assumed.memory_mb / 1024 / 1000)
    return Bill(
        {
            "API Gateway": tiered(per_month, prices.HTTP_API_REQUEST),
            "Lambda": invocations * prices.LAMBDA_REQUEST + tiered(gigabyte_seconds, prices.LAMBDA_GB_SECOND_ARM),
            "SQS": _queues(per_month * commands, batch),
            "DynamoDB requests": _tables(measured, assumed, per_month, batch),
            "DynamoDB storage": _storage(measured, scale, assumed),
            # The key of the digests is one, too.
            "Secrets kept": (1 + scale.connections * (1 + assumed.kangaroo_share)) * prices.SECRET_MONTH,
            "Secrets read": _secret_reads(scale, commands, batch, ingest_running, operation_running),
            "Logs": _logs(measured, per_month, commands),
            "Metrics": tiered(metrics(scale, assumed), prices.METRIC_MONTH),
            "Alarms, dashboard": _watching(assumed),
            "Idle polling": _polling(assumed),
        },
        ingest_running,
        operation_running,
        scale,
    )


def _durations(measured: Measured, assumed: Assumptions, batch: float, commands: float) -> tuple[float, float]:
    """Return the billed milliseconds of one invocation of ingest, and of an operation's batch.

    Waits run side by side, work for the processor does not, and a function has only a part of a processor.
    """
    share = min(1.0, assumed.memory_mb / prices.LAMBDA_VCPU_MB)
    ingest = assumed.sqs_ms + measured.ingest_cpu_ms / share
    # A batch holds commands of one operation, and the slowest of its records decides.
    calls = sum(share * measured.upstream.get(kind, 0) for kind, share in assumed.mix.items()) / commands
    waits = calls * assumed.upstream_ms + 5 * assumed.dynamodb_ms
    return ingest, waits + batch * measured.operation_cpu_ms / share


def _queues(commands: float, batch: float) -> float:
    """Price the queues: sent singly, received and deleted in batches; the group makes them fair and costs extra."""
    requests = commands * (1 + 2 / batch)
    return tiered(requests, prices.SQS_REQUEST) + requests * prices.SQS_FAIR_REQUEST


def _tables(measured: Measured, assumed: Assumptions, per_month: float, batch: float) -> float:
    units = sum(share * measured.write_units[kind] for kind, share in assumed.mix.items())
    pacing = sum(share * measured.pacing.get(kind, 0) for kind, share in assumed.mix.items())
    return per_month * (units + pacing / batch) * prices.DYNAMODB_WRITE_UNIT


def _storage(measured: Measured, scale: Scale, assumed: Assumptions) -> float:
    """Journal entries are kept for 90 days and stored three times, in the table and both indexes; keys are kept for 30.

    Backups are of tables only.
    """
    journal = measured.stored_bytes["Journal"] * 90 * scale.events_per_day
    keys = measured.stored_bytes["Idempotency"] * 30 * scale.events_per_day
    state = measured.stored_bytes["State"] * assumed.customers_per_connection * scale.connections
    tables = (journal + keys + state) / GB
    return (tables + 2 * journal / GB) * prices.DYNAMODB_GB_MONTH + tables * prices.DYNAMODB_BACKUP_GB_MONTH


def miss_ratio(per_second: float, connections: int) -> float:
    """Estimate how often a connection is not in the cache of its execution, at this rate per execution.

    For events spread evenly: the cache is a clock of five minutes per connection, or shorter where so many
    connections pass that the least recently used ones are pushed out. Both act like a time to live that begins with a
    read, so a share of 1 / (1 + rate x time) is missed.
    """
    if per_second <= 0:
        return 1.0
    lives = min(CACHE_SECONDS, MAX_CONNECTIONS / per_second) if connections > MAX_CONNECTIONS else CACHE_SECONDS
    return 1 / (1 + per_second / connections * lives)


def _secret_reads(
    scale: Scale, commands: float, batch: float, ingest_running: float, operation_running: float
) -> float:
    reads = 0.0
    for rate, running in ((scale.per_second, ingest_running), (scale.per_second * commands, operation_running)):
        executions = max(1.0, running)
        reads += rate * miss_ratio(rate / executions, scale.connections)
    return reads * 86_400 * DAYS * prices.SECRET_REQUEST


def _logs(measured: Measured, per_month: float, commands: float) -> float:
    gigabytes = per_month * (measured.ingest_log_bytes + commands * measured.operation_log_bytes) / GB
    # Compressed to about a seventh, kept for a month.
    return tiered(gigabytes, prices.LAMBDA_LOG_GB) + gigabytes * 0.15 * prices.LOG_GB_MONTH


def metrics(scale: Scale, assumed: Assumptions = DEFAULT) -> float:
    """Return how many metrics CloudWatch makes of our lines, in whole months.

    One for each combination of dimensions, charged by the hour in which it occurs: in a quiet stack many do not occur
    in every hour. Raise KeyError for a metric of which this page states nothing.
    """
    mix = assumed.mix
    applied = mix["register"] + mix["update"]
    others = [mix[kind] for kind in ("unchanged", "stale", "duplicate")]
    # Share of events by combination; what only faults write occurs in no hour of a month like any other.
    occurring: dict[tuple[str, tuple[str, ...]], list[float]] = {
        ("Deliveries", ("outcome",)): [1 - mix["ignored"], mix["ignored"]],
        ("Outcomes", ("outcome",)): [applied, *others],
        ("Latency", ()): [applied],
        ("Failures", ("reason",)): [],
    } | {
        (name, ()): []
        for name in ("Refused", "Unavailable", "TokenRefreshFailed", "Unforeseen", "NearBound", "CustomersMissing")
    }
    hourly = scale.events_per_day / 24
    found = sum(
        1 - exp(-hourly * share)
        for name, sets in METRICS.items()
        for dimensions in sets
        if "connection" not in dimensions
        for share in occurring[name, dimensions]
    )
    return found + scale.connections * assumed.metrics_per_connection * assumed.connection_metrics


def _watching(assumed: Assumptions) -> float:
    read = assumed.alarm_metrics
    if assumed.monitoring == "basic":
        return read * prices.ALARM_METRIC_MONTH
    return (read + assumed.full_alarm_metrics) * prices.ALARM_METRIC_MONTH + prices.DASHBOARD_MONTH


def _polling(assumed: Assumptions) -> float:
    """Price the pollers of quiet queues: five side by side, each about once in 20 seconds (AWS docs: SQS, scaling)."""
    return tiered(assumed.queues * 5 * 86_400 / 20 * DAYS, prices.SQS_REQUEST)


def show(measured: Measured, console: Console, assumed: Assumptions = DEFAULT) -> None:
    """Print what a million events cost at several scales."""
    bills = [bill(measured, scale, assumed) for scale in SCALES]
    table = Table(
        title=f"Dollars per million events ({prices.REGION}, list prices of {prices.AS_OF})", title_justify="left"
    )
    table.add_column("")
    for one in bills:
        table.add_column(f"{_short(one.scale.events_per_day)}/day\n{one.scale.connections:,} conn.", justify="right")
    for item in bills[0].items:
        table.add_row(item, *(f"{one.per_million(item):,.2f}" for one in bills))
    table.add_section()
    table.add_row("per million events", *(f"{one.per_million():,.2f}" for one in bills))
    table.add_row("a month", *(f"{one.total:,.0f}" for one in bills))
    table.add_row("ingest executions, average", *(f"{one.ingest_executions:,.1f}" for one in bills))
    table.add_row("operation executions, average", *(f"{one.operation_executions:,.1f}" for one in bills))
    console.print(table)


def _short(events: float) -> str:
    units = ((1e6, " M"), (1e3, " k"), (1, ""))
    return next(f"{events / size:g}{unit}" for size, unit in units if events >= size)
