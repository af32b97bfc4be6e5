"""Imports and reconciliations: where they are, what is left, their reports, and how they are ended or carried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devkit.stacks.errors import CommandError, NotFound
from loyalty_relay.connections.model import Connection
from loyalty_relay.runs.engine import rate_of
from loyalty_relay.runs.run import Run
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.triggers.enqueue import enqueue

REPORTS = 20
"""Newest reports of one connection that are read."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, and how fast it is. ``rate``: customers a minute that the vendor takes at most; None where unknown."""

    run: Run
    rate: float | None = None

    @property
    def rows(self) -> int | None:
        """How many customers this reading has in all; None where the platform does not report it."""
        total, limit = self.run.total, self.run.limit
        if total is None:
            return None
        return min(total, limit) if limit else total

    @property
    def share(self) -> float | None:
        """The part of the present reading that is done, from 0 to 1; None where its length is unknown."""
        if self.run.status != "running":
            return 1.0 if self.run.status == "done" else None
        return None if not self.rows else min(self.run.counts.read / self.rows, 1.0)

    @property
    def minutes_left(self) -> float | None:
        """An estimate of what sending takes in all at the vendor's limit; None while proving or where it is unknown."""
        if self.run.status != "running" or self.run.phase != "send" or self.rows is None or not self.rate:
            return None
        counts = self.run.counts
        share = (counts.missing + counts.different) / counts.read if counts.read else 1.0
        return max(self.rows * share, 0.0) / self.rate

    def as_json(self) -> dict[str, Any]:
        """Return the run as ``relay import --json`` prints it."""
        return self.run.to_dict() | {"rate": self.rate, "minutes_left": self.minutes_left}


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs under way, and reports of those that have ended, the newest first."""

    running: Sequence[RunView]
    ended: Sequence[RunView]

    def as_json(self) -> dict[str, Any]:
        """Return both lists."""
        return {name: [view.as_json() for view in getattr(self, name)] for name in ("running", "ended")}


def list_runs(services: Services, connections: Sequence[str], *, limit: int = REPORTS) -> RunList:
    """Return the runs of these connections: two requests each. ``limit``: reports of each that are read."""
    latest = [found[0] for name in connections if (found := services.runs.get(name)) is not None]
    ended = [run for name in connections for run in services.runs.reports(name, limit=limit)]
    return RunList(
        running=[RunView(run) for run in latest if run.status == "running"],
        ended=[RunView(run) for run in sorted(ended, key=lambda run: -run.started_at)],
    )


def find_run(services: Services, connection: Connection, run_id: str) -> RunView:
    """Return one run of a connection. Raises NotFound."""
    found = services.runs.get(connection.id)
    runs = ([found[0]] if found is not None else []) + services.runs.reports(connection.id, limit=REPORTS)
    for run in runs:
        if run.id == run_id:
            return RunView(run, rate_of(connection))
    raise NotFound(
        f"connection {connection.id} has no run {run_id}",
        where=connection.id,
        do=f"the latest {REPORTS} are on the page of runs, and in relay reconcile {connection.id} --report",
    )


def cancel_run(services: Services, connection: str) -> Run:
    """End a connection's run, if it is under way; what is queued is still sent. Raises CommandError for none."""
    run = _latest(services, connection)
    if run.status != "running":
        return run
    return services.runs.change(connection, status="cancelled", note="cancelled by an operator") or run


def resume_run(services: Services, connection: str) -> Run:
    """Carry a connection's run on with a new message, in case its own was lost. Raises CommandError for none."""
    run = _latest(services, connection)
    if run.status != "running":
        return run
    run = services.runs.change(connection, generation=run.generation + 1) or run
    carry_on(services, run)
    return run


def carry_on(services: Services, run: Run) -> None:
    """Send the message that carries a run on."""
    enqueue([run.message(services.clock())], services.sqs, services.settings)


def _latest(services: Services, connection: str) -> Run:
    found = services.runs.get(connection)
    if found is None:
        raise CommandError("this connection has no run", where=connection, do="start one without this option")
    return found[0]
