"""``relay status``: how every connection does, in the terminal; the console's first page in words."""

from __future__ import annotations

from typing import Annotated

import typer

from devkit.cli.options import AsJson, StackName
from devkit.cli.output import note, out, show_json, show_pairs, show_table, when
from devkit.queries.home import Backlog, ConnectionStatus, Overview, overview
from devkit.stacks.services import services_of
from devkit.stacks.stack import find_stack
from loyalty_relay.model.outcomes import Result
from loyalty_relay.runs.run import Run

COLUMNS = ["connection", "applied 24 h", "other", "retrying", "parked", "p50", "p95", "circuit", "last event"]


def add(root: typer.Typer) -> None:
    """Put ``status`` among the commands."""
    root.command()(status)


def status(
    connections: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only these connections.", show_default=False)
    ] = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show how each connection does: outcomes by hour, day and week, latency, what waits, circuits, limits, runs."""
    found = find_stack(stack)
    view = overview(found, services_of(found), only=connections or ())
    if json:
        show_json(view.as_json())
        return
    if not view.connections:
        note("no connections; `relay connections apply FILE` adds one")
    elif len(view.connections) == 1:
        _one(view.connections[0])
    else:
        show_table(COLUMNS, [_row(each) for each in view.connections], drop=["p50", "other"])
    if view.left_out:
        note(f"{view.left_out} more connections; name those that you want to see")
    _queues(view)


def _row(each: ConnectionStatus) -> list[str]:
    day = each.spans["day"]
    applied = day.outcomes[Result.APPLIED.value]
    waiting = day.outcomes[Result.RETRYING.value] + day.outcomes[Result.PARKED.value]
    return [
        each.id,
        str(applied),
        str(sum(day.outcomes.values()) - applied - waiting),
        _backlog(each.retrying),
        _backlog(each.parked),
        _seconds(day.p50),
        _seconds(day.p95),
        each.problem or each.circuit,
        when(each.last.received_at) if each.last else "",
    ]


def _one(each: ConnectionStatus) -> None:
    show_pairs(
        [
            ("connection", each.id),
            ("joins", f"{each.platform} to {each.vendor}" if each.platform else ""),
            ("not valid", each.problem),
            ("circuit", each.circuit),
            ("limits in use", ", ".join(f"{limit.api} {limit.used} of {limit.most:g}" for limit in each.limits)),
            ("oldest retrying", when(each.retrying.oldest)),
            ("oldest parked", when(each.parked.oldest)),
            ("last event", f"{when(each.last.received_at)} {each.last.topic} {each.last.result}" if each.last else ""),
            ("run under way", _run(each.running)),
            ("last import", _run(each.imported)),
            ("last reconciliation", _run(each.reconciled)),
            ("webhook subscriptions", _subscriptions(each.reviewed)),
        ]
    )
    out.print()
    rows = [
        [result.value, *(str(span.outcomes[result.value]) for span in each.spans.values())]
        for result in Result
        if any(span.outcomes[result.value] for span in each.spans.values())
    ]
    rows.append(["refused", *(str(span.refused) for span in each.spans.values())])
    rows += [[name, *(_seconds(getattr(span, name)) for span in each.spans.values())] for name in ("p50", "p95")]
    show_table(["outcome", *(f"{name}, since {when(span.since)[5:16]}Z" for name, span in each.spans.items())], rows)


def _subscriptions(run: Run | None) -> str:
    return f"{run.subscriptions or 'as needed'} ({when(run.started_at)})" if run else ""


def _queues(view: Overview) -> None:
    for what, counts in (("queued", view.queued), ("parked", view.parked)):
        if waiting := ", ".join(f"{name} {count}" for name, count in counts.items() if count):
            note(f"{what} in all (SQS's estimate): {waiting}")


def _backlog(backlog: Backlog) -> str:
    return f"more than {backlog.count}" if backlog.more else str(backlog.count)


def _run(run: Run | None) -> str:
    if run is None:
        return ""
    proven = "" if run.status != "done" or run.dry else ", proven" if run.proven else ", not proven"
    return f"{run.kind}, {run.status}{proven}, {when(run.started_at)}"


def _seconds(length: float | None) -> str:
    return "" if length is None else f"{length:.1f} s" if length < 100 else f"{length / 60:.0f} min"
