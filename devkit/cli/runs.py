"""``relay import`` and ``relay reconcile``: read a whole shop, send what differs, and prove that none is missing."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from devkit.cli.connections import ConnectionId
from devkit.cli.options import AsJson, StackName
from devkit.cli.output import err, note, show_json, show_pairs, show_table, when
from devkit.queries.events import since_of
from devkit.queries.hints import meaning
from devkit.queries.runs import RunView, cancel_run, carry_on, resume_run
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.schedules import set_schedule
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack, find_stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.destinations.registry import vendor
from loyalty_relay.model.commands import instant
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.runs.engine import rate_of
from loyalty_relay.runs.plan import since_last_proof
from loyalty_relay.runs.run import Kind, Run
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import ListingSource

PAUSE = 1.0
"""Seconds between two looks at a run."""

Watch = Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the run to its end; it goes on without.")]
Cancel = Annotated[bool, typer.Option("--cancel", help="End the connection's run; what is queued is still sent.")]
Resume = Annotated[bool, typer.Option("--resume", help="Follow the running one, and carry it on if it was lost.")]


def add(root: typer.Typer) -> None:
    """Put ``import`` and ``reconcile`` among the commands."""
    root.command("import")(import_)
    root.command()(reconcile)


def import_(
    connection: ConnectionId,
    since: Annotated[
        str | None, typer.Option("--since", help="Only customers changed since: 30m, 7d, or an ISO 8601 moment.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Read at most so many customers; 0: all.", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be sent, and send nothing.")] = False,
    welcome: Annotated[
        bool,
        typer.Option("--welcome/--quiet", help="Accept that the vendor may greet every customer who is registered."),
    ] = False,
    cancel: Cancel = False,
    resume: Resume = False,
    watch: Watch = True,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Send every customer of a shop that the loyalty programme does not have as the shop has them.

    The shop is read through the platform's API and compared with what was sent before; then it is read again to prove
    that no customer is missing. The run goes on by itself; the command only follows it.
    """
    found = find_stack(stack)
    services, known = services_of(found), store_of(found).read(connection)
    if cancel or resume:
        run = _again(services, known, cancel=cancel)
    else:
        _listable(known, since)
        if not (welcome or dry_run):
            _quiet(known)
        run = begin(services, known, "import", since=since, limit=limit, dry=dry_run)
    _follow(found, services, known, run, watch=watch and not cancel, as_json=json)


def reconcile(
    connection: ConnectionId,
    since: Annotated[
        str | None, typer.Option("--since", help="Customers changed since; default: since the last proof.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every customer, not only changed ones.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Show the reports of earlier runs, and start none.")] = False,
    every: Annotated[
        str | None,
        typer.Option("--every", help="Have one begun by itself: 1d, 12h, 7d ...; off: no more.", metavar="TIME|off"),
    ] = None,
    allow_absent: Annotated[
        bool, typer.Option("--allow-absent", help="Accept that more than 1 % are not listed any more.")
    ] = False,
    cancel: Cancel = False,
    resume: Resume = False,
    watch: Watch = True,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Compare a shop's customers with what was sent of them, send what is missing or old, and report the result."""
    found = find_stack(stack)
    services, known = services_of(found), store_of(found).read(connection)
    if report:
        _reports(services.runs.reports(known.id), as_json=json)
        return
    if every is not None:
        _listable(known, None)
        rate = set_schedule(found, known.id, every)
        if json:
            show_json({"connection": known.id, "every": rate})
        else:
            note(f"a reconciliation of {known.id} begins every {rate}" if rate else f"{known.id} has no schedule")
        return
    if cancel or resume:
        run = _again(services, known, cancel=cancel)
    else:
        module = _listable(known, since)
        whole = everything or not module.lists_changed
        since = since or (None if whole else since_last_proof(services.runs.reports(known.id)) or None)
        run = begin(services, known, "reconciliation", since=since, allow_absent=allow_absent)
    _follow(found, services, known, run, watch=watch and not cancel, as_json=json)


def begin_import(services: Services, connection: Connection, *, welcome: bool) -> Run:
    """Begin an import of all customers. Raises CommandError where it is not possible, or may greet them unasked."""
    _listable(connection, None)
    if not welcome:
        _quiet(connection)
    return begin(services, connection, "import", since=None)


def _listable(connection: Connection, since: str | None) -> ListingSource:
    module = source_module(connection.source.platform)
    if not isinstance(module, ListingSource):
        raise CommandError(
            f"the customers of {connection.source.platform} cannot be listed",
            where=connection.id,
            do="send them as events: relay send, or the HTTP API",
        )
    if not connection.source.api_credentials:
        raise CommandError(
            "the connection has no api_credentials to read the shop with",
            where=f"{connection.id}: source.api_credentials",
            do=f"add them; they need: {', '.join(module.listing_scopes) or 'reading customers'}",
        )
    if since is not None and not module.lists_changed:
        raise CommandError(
            f"{connection.source.platform} cannot list what changed since a moment", where="--since", do="leave it out"
        )
    return module


def _quiet(connection: Connection) -> None:
    """Raise CommandError where registering a customer may send a message to each of thousands."""
    name = connection.destination.vendor
    if connection.register_missing and not vendor(name).registers_quietly:
        raise CommandError(
            f"{name} may send a welcome message to every customer who is registered, and has no switch for it here",
            where=connection.id,
            do="switch its welcome rule off for the time of the import, or accept the messages, then add --welcome; "
            'with "register_missing": false only members are updated; --dry-run counts',
        )


def begin(services: Services, connection: Connection, kind: Kind, *, since: str | None, **more: Any) -> Run:
    """Begin a run and return it; ``more``: of its members. Raises CommandError while another one is under way."""
    now = services.clock()
    run = Run(
        id=new_delivery_id(now),
        connection=connection.id,
        kind=kind,
        started_at=now,
        updated_at=now,
        since=instant(since_of(since, datetime.now(UTC))) if since else "",
        **more,
    )
    if not services.runs.begin(run):
        raise CommandError(
            "another run of this connection is under way",
            where=connection.id,
            do="follow it with --resume, or --cancel",
        )
    carry_on(services, run)
    return run


def _again(services: Services, connection: Connection, *, cancel: bool) -> Run:
    return cancel_run(services, connection.id) if cancel else resume_run(services, connection.id)


def _follow(stack: Stack, services: Services, connection: Connection, run: Run, *, watch: bool, as_json: bool) -> None:
    try:
        if watch:
            run = watched(services, connection, run, quiet=as_json)
    except KeyboardInterrupt:
        note(f"the run goes on; follow it with: relay import {connection.id} --resume")
    if as_json:
        show_json(RunView(run, rate_of(connection)).as_json())
    else:
        show_run(run)
    if run.status == "running" and not as_json:
        note(f"follow it with: relay import {connection.id} --resume; end it with --cancel")
    if run.status in ("stopped", "cancelled") or (run.status == "done" and not run.dry and not run.proven):
        raise typer.Exit(1)


def watched(services: Services, connection: Connection, run: Run, *, quiet: bool) -> Run:
    """Return a run as it ended, or as it was when another one took its place."""
    rate = rate_of(connection)
    with err.status("reading the shop") as status:
        while run.status == "running":
            time.sleep(PAUSE)
            found = services.runs.get(connection.id)
            if found is None or found[0].id != run.id:
                return run
            run = found[0]
            if not quiet and err.is_terminal:
                status.update(progress_of(run, rate))
    return run


def progress_of(run: Run, rate: float) -> str:
    """Return one line about a run under way. ``rate``: customers a minute that the vendor takes."""
    counts = run.counts
    of = f" of {run.total}" if run.total else ""
    if run.note:
        return f"waiting: {run.note}"
    if run.phase == "prove":
        return f"proving: {counts.read}{of} compared, {counts.equal} as sent, {counts.pending} on their way"
    minutes = RunView(run, rate).minutes_left
    left = "" if minutes is None else f"; about {minutes:.0f} min at the vendor's {rate:g} a minute"
    return f"reading: {counts.read}{of} read, {run.sent} queued, {counts.equal} as sent{left}"


def show_run(run: Run) -> None:
    """Show a run as a report."""
    show_pairs(
        [
            ("run", f"{run.kind} {run.id}"),
            ("connection", run.connection),
            ("status", run.status + (f", {run.phase}" if run.status == "running" else "")),
            ("proven", "" if run.dry or run.status != "done" else ("yes" if run.proven else "no")),
            ("started", when(run.started_at)),
            ("changed since", run.since),
            ("customers", "" if run.total is None else str(run.total)),
            ("queued", str(run.sent)),
            ("read back at the vendor", str(run.read_back) if run.read_back else ""),
            ("missed there", str(run.missed) if run.read_back else ""),
            ("not listed any more", f"{run.unlisted} of {run.known}" if run.known else ""),
            ("deleted at the shop", str(run.deleted) if run.known else ""),
            ("subscriptions", run.subscriptions),
            ("note", run.note),
        ]
    )
    names = ("read", "equal", "different", "missing", "pending")
    rows = [[name, str(getattr(run.first, name)), str(getattr(run.proof, name))] for name in names]
    reasons = sorted({*run.first.skipped, *run.proof.skipped})
    rows += [
        [reason, str(run.first.skipped.get(reason, 0)), str(run.proof.skipped.get(reason, 0))] for reason in reasons
    ]
    show_table(["what", "before", "after"], rows)
    for reason in reasons:
        if text := meaning(reason, "ignored"):
            note(f"{reason}: {text}")


def _reports(runs: list[Run], *, as_json: bool) -> None:
    if as_json:
        show_json([RunView(run).as_json() for run in runs])
        return
    if not runs:
        note("no run has ended yet")
        return
    rows: list[list[Any]] = [
        [
            when(run.started_at),
            run.kind,
            run.status,
            "" if run.dry else ("yes" if run.proven else "no"),
            str(run.first.read),
            str(run.sent),
            str(run.proof.equal),
            str(run.proof.missing),
        ]
        for run in runs
    ]
    show_table(["started", "kind", "status", "proven", "read", "queued", "as sent", "missing"], rows, drop=["kind"])
