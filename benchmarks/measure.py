"""All measurements of a run, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import limits, processes, requests, sizes
from benchmarks.cost import Measured, Scale, bill
from benchmarks.functions import Catalogue
from benchmarks.processes import Function, Start
from benchmarks.requests import Counted
from benchmarks.stage import CHECKOUT, Stage
from benchmarks.table import Row, number
from devkit.runtime import Built, build

Log = Callable[[str], None]
UPSTREAM_MS = 200.0
TABLE_MS = 5.0
"""What DynamoDB takes inside a region, as a rule of thumb."""
RECORDS = 10
KINDS = ("register", "update", "unchanged", "stale", "duplicate")
"""Of commands, as the cost model mixes them."""
PUBLISHED = (("PUT /v2/customers", 50.0), ("POST /v2/customers", 100.0))
"""Capillary docs: Rate limits, EMEA; per minute."""


@dataclass(frozen=True, slots=True)
class Found:
    """The rows, and what the cost model needs of them."""

    rows: list[Row]
    measured: Measured


def everything(rounds: int, log: Log) -> Found:
    """Run all measurements. Raises LocalStackError, RuntimeProblem or RuntimeError when one is not possible."""
    built = build(CHECKOUT, log)
    plain_layers = processes.plain_layers(built, log)
    with Stage() as stage:
        catalogue = Catalogue(built, plain_layers, stage)
        log(f"start-ups, {rounds} of each function in turns")
        starts = processes.starts(catalogue.for_starts(), stage, rounds)
        log("requests per event")
        ours = requests.scenarios(requests.Bench(stage))
        plain = requests.plain(stage)
        log("processor time and memory")
        ingest = processes.work(
            [catalogue.ingest(), catalogue.plain_ingest()], stage, turns=5, invocations=40, events=1
        )
        operation = processes.work(
            [catalogue.operation("register", RECORDS), catalogue.plain_register(RECORDS)],
            stage,
            turns=5,
            invocations=4,
            events=RECORDS,
        )
        log(f"batches at {UPSTREAM_MS:.0f} ms of upstream latency")
        stage.latency(UPSTREAM_MS)
        with stage.answering_tables(TABLE_MS):
            batches = _batches(catalogue, stage)
        stage.latency(0)
        log("use of published limits, ten simulated minutes each")
        uses = [
            (name, limits.backlog(stage.client("dynamodb"), "State", rate, executions=5, seconds=600))
            for name, rate in PUBLISHED
        ]
        table, rate = stage.client("dynamodb"), PUBLISHED[0][1]
        latency = {
            beside: limits.live_seconds(table, "State", rate, beside=beside, seconds=600) for beside in (False, True)
        }
    cpu = {name: median(work.cpu) for name, work in (ingest | operation).items()}
    memory = {name: work.memory for name, work in (ingest | operation).items()}
    rows = [
        *_start_rows(starts),
        *_request_rows(ours, plain),
        Row(
            what=f"batch of {RECORDS} customers / one record, upstream {UPSTREAM_MS:.0f} ms",
            budget=1.5,
            measured=batches["ratio"],
            plain=batches["plain ratio"],
            note=f"{number(batches['one'])} ms for one, {number(batches['ten'])} ms for ten",
        ),
        *_limit_rows(uses),
        Row(
            what="live latency beside an import / without one, at half of a limit",
            budget=1.2,
            measured=latency[True] / latency[False],
            note=f"{number(1000 * latency[False])} ms without",
        ),
        *_size_rows(built, plain_layers[0]),
        Row(what="processor time per delivery, ingest", measured=cpu["ingest"], unit="ms", plain=cpu["plain ingest"]),
        Row(
            what="processor time per event, register",
            measured=cpu["register"],
            unit="ms",
            plain=cpu["plain register"],
            note=f"batches of {RECORDS}",
        ),
        Row(what="memory, ingest, peak", measured=memory["ingest"], unit="MB", plain=memory["plain ingest"]),
        Row(what="memory, register, peak", measured=memory["register"], unit="MB", plain=memory["plain register"]),
    ]
    measured = _measured(starts, ours, cpu)
    return Found([*rows, *_bill_rows(measured)], measured)


def _bill_rows(measured: Measured) -> list[Row]:
    """Return the bills of small shops; everything but what was measured is a price or an assumption of the model."""
    return [
        Row(
            what=f"monthly bill (computed): {number(scale.events_per_day)} events a day, "
            f"{scale.connections} {'connection' if scale.connections == 1 else 'connections'}",
            budget=budget,
            measured=bill(measured, scale).total,
            unit="$",
        )
        for scale, budget in ((Scale(10_000, 10), 20.0), (Scale(100, 1), 6.0))
    ]


def paired(ours: list[float], theirs: list[float]) -> float:
    """Return the median of ratios, each of two figures of the same turn."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _start_rows(starts: dict[str, Start]) -> list[Row]:
    plain, bare = starts["plain register"], starts["plain register, as SAM builds it"]
    rows = [
        Row(
            what=f"cold start of {name}: init and first event / the plain way",
            budget=0.6,
            measured=paired(start.whole, beside.whole),
            note=f"{start} ms at {start.memory} MB; plain {beside}",
        )
        for name, start in starts.items()
        if (beside := starts.get(f"plain {name}")) is not None
    ]
    rows += [
        Row(
            what=f"init of {name} / the plain way's",
            budget=1.2,
            measured=paired(start.init, beside.init),
        )
        for name, start in starts.items()
        if (beside := starts.get(f"plain {name}")) is not None
    ]
    return [
        *rows,
        Row(
            what="first delivery of ingest from a snapshot, without the restore",
            measured=median(starts["snapshot"].whole) - median(starts["snapshot"].init),
            unit="ms",
            note=f"the snapshot holds the modules; without SnapStart {starts['ingest']} ms",
        ),
        Row(
            what="cold start of register / the plain way, as SAM's own builder deploys it",
            measured=paired(starts["register"].whole, bare.whole),
            plain=paired(plain.whole, bare.whole),
            note=f"{bare} ms without bytecode",
        ),
    ]


def _request_rows(ours: dict[str, Counted], plain: dict[str, Counted]) -> list[Row]:
    def total(counted: Counted) -> int:
        return sum(counted.requests.values())

    rows = [
        Row(
            what="AWS requests per delivery, ingest, warm",
            budget=1,
            measured=total(ours["delivery"]),
            plain=total(plain["delivery"]),
        ),
        Row(
            what="the same, ignored",
            budget=2,
            measured=total(ours["delivery, ignored"]),
            note="the journal, and the hour's counts",
        ),
    ]
    for what, name, budget, beside in (
        ("applied, new customer", "register", 5, "register"),
        ("applied, known customer", "update", 5, "update"),
        ("applied, CRM fields, customer not met before", "crm-patch, first", 5, None),
        ("applied, CRM fields, known customer", "crm-patch", 5, None),
        ("unchanged", "unchanged", 4, None),
        ("stale", "stale", 4, "stale"),
        ("duplicate", "duplicate", 2, "duplicate"),
    ):
        counted = ours[name]
        rows.append(
            Row(
                what=f"DynamoDB requests per event: {what}",
                budget=budget,
                measured=counted.dynamodb - counted.pacing,
                plain=plain[beside].dynamodb if beside else None,
                note=f"+ {counted.pacing} pacing and counts; {counted.units.write} write units;"
                f" {counted.upstream} upstream calls",
            )
        )
    ten = ours["10 updates"]
    rows.append(
        Row(
            what="DynamoDB requests per event in a batch of 10, pacing and counts included",
            measured=ten.dynamodb / 10,
            plain=plain["10 registers"].dynamodb / 10,
            note=f"{ten.pacing} write(s) for the batch",
        )
    )
    waits = ours["waits"]
    rows.append(
        Row(
            what="DynamoDB requests of an attempt that finds no slot under a limit",
            budget=1,
            measured=waits.dynamodb,
            note=f"{waits.units.write} write units",
        )
    )
    skipped = [ours[name].upstream for name in ("unchanged", "stale", "duplicate")]
    rows.append(Row(what="upstream calls for unchanged, stale and duplicate", budget=0, measured=max(skipped)))
    return rows


def _batches(catalogue: Catalogue, stage: Stage) -> dict[str, float]:
    """Measure the wall time of one record and of ten, in turns."""
    one, ten = _walls(catalogue.operation("register", 1), catalogue.operation("register", RECORDS), stage, 7)
    plain_one, plain_ten = _walls(catalogue.plain_register(1), catalogue.plain_register(RECORDS), stage, 3)
    return {
        "one": median(one),
        "ten": median(ten),
        "ratio": paired(ten, one),
        "plain ratio": paired(plain_ten, plain_one),
    }


def _walls(single: Function, many: Function, stage: Stage, times: int) -> tuple[list[float], list[float]]:
    one: list[float] = []
    ten: list[float] = []
    with processes.running(single, stage) as process:
        for event in (*single.events(1), *many.events(1)):
            processes.invoke(process, event)
        for small, large in zip(single.events(times), many.events(times), strict=True):
            one.append(processes.invoke(process, small))
            ten.append(processes.invoke(process, large))
    return one, ten


def _limit_rows(uses: list[tuple[str, limits.Use]]) -> list[Row]:
    rows = [
        Row(
            what=f"use of {use.per_minute:.0f} requests a minute ({name}) under backlog",
            budget=95,
            at_least=True,
            measured=100 * use.share,
            unit="%",
            note=f"{use.receives / len(use.sent):.1f} receives per event sent",
        )
        for name, use in uses
    ]
    worst = max(use.over for _, use in uses)
    rows.append(Row(what="requests beyond the limit in the worst minute", budget=0, measured=worst))
    return rows


def _size_rows(built: Built, bare: Path) -> list[Row]:
    largest = ", ".join(f"{name} {size:.0f}" for name, size in sizes.parts(built.layer, 4))
    return [
        Row(
            what="layer, unzipped",
            budget=50,
            measured=sizes.unzipped_megabytes(built.layer),
            unit="MB",
            plain=sizes.unzipped_megabytes(bare),
            note=largest,
        ),
        Row(what="layer, as a zip file", measured=sizes.zipped_megabytes(built.layer), unit="MB"),
        Row(
            what="largest function's own code",
            measured=max(sizes.unzipped_megabytes(f.folder) for f in built.functions.values()) * 1024,
            unit="KB",
        ),
    ]


def _measured(starts: dict[str, Start], ours: dict[str, Counted], cpu: dict[str, float]) -> Measured:
    def units(name: str) -> float:
        return ours[name].units.write - ours[name].pacing

    return Measured(
        ingest_cpu_ms=cpu["ingest"],
        operation_cpu_ms=cpu["register"],
        ingest_cold_ms=median(starts["ingest"].whole),
        operation_cold_ms=median(starts["register"].whole),
        write_units={name: units(name) for name in KINDS} | {"ignored": units("delivery, ignored")},
        upstream={name: float(ours[name].upstream) for name in KINDS},
        pacing={name: float(ours[name].pacing) for name in KINDS},
        ingest_log_bytes=float(ours["delivery"].log_bytes),
        operation_log_bytes=float(ours["update"].log_bytes),
        stored_bytes=ours["register"].stored_bytes,
    )
