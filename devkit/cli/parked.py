"""``relay parked`` and ``relay redrive``: what waits for a person, and how to send it again."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import (
    confirm,
    note,
    out,
    progress,
    result_text,
    show_json,
    show_pairs,
    show_table,
    show_text,
    when,
    write_file,
)
from devkit.queries.hints import hint, meaning
from devkit.queries.parked import export_parked, parked_details, parked_work
from devkit.queries.parked_queues import Parked, ParkedFilters, ParkedQueues
from devkit.queries.redriving import AT_MOST, Redrive, RedriveReport
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack, find_stack

app = group("Look at what is parked, and keep it.")

OfConnection = Annotated[str | None, typer.Option("--connection", help="Only of this connection.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only with this reason, such as rejected.")]


@contextmanager
def _reading(stack: Stack, description: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show progress while the queues are read; what is yielded gets the number of messages of each batch."""
    total = None if quiet else ParkedQueues.of(stack).depth()
    with progress(description, total, quiet=quiet) as bar:
        yield lambda count: bar.advance(bar.task_ids[0], count)


def _row(parked: Parked) -> list[str]:
    return [
        when(parked.parked_at),
        parked.operation,
        parked.connection,
        parked.topic,
        parked.reason + (f" {parked.code}" if parked.code else ""),
        "" if parked.receives is None else str(parked.receives),
        parked.id,
    ]


COLUMNS = ["parked", "operation", "connection", "topic", "reason", "receives", "id"]
DROP = ["receives", "operation", "connection"]


@app.command("list")
def list_(
    connection: OfConnection = None, reason: OfReason = None, stack: StackName = None, json: AsJson = False
) -> None:
    """List what is parked, oldest first; copies of the same command are one line."""
    found = find_stack(stack)
    with _reading(found, "reading parked work", quiet=json) as seen:
        filters = ParkedFilters(connection=connection, reason=reason)
        work = parked_work(found, filters, shown=None, at_most=None, seen=seen)
    if json:
        show_json(work.as_json())
        return
    if not work.parked:
        note("nothing is parked" + (" that matches" if connection or reason else ""))
        if work.hidden:
            note(f"another reading has about {work.hidden} messages, and gives them back in five minutes at most")
        return
    show_table(COLUMNS, [_row(p) for p in work.parked], drop=DROP)
    for word in sorted({g.reason for g in work.groups}):
        note(f"{word}: {meaning(word, 'parked')} {hint(word, 'parked')}")


@app.command()
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its delivery id.")],
    body: Annotated[
        bool, typer.Option("--body", help="Print what it carries, and only that, to standard output.")
    ] = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show one parked command: why, since when, what the vendor reported, what to do."""
    found = parked_details(find_stack(stack), id, body=body)
    if json:
        show_json([d.as_json() for d in found] if len(found) > 1 else found[0].as_json())
        return
    for d in found:
        p = d.parked
        show_pairs(
            [
                ("id", p.id),
                ("outcome", result_text("parked")),
                ("reason", p.reason),
                ("means", d.means),
                ("detail", p.detail),
                ("vendor code", p.code),
                ("receives", "" if p.receives is None else str(p.receives)),
                ("parked", when(p.parked_at)),
                ("connection", p.connection),
                ("source", p.source),
                ("topic", p.topic),
                ("event", p.event_id),
                ("operation", p.operation),
                ("copies", str(len(p.messages))),
                ("next", d.do),
            ],
            aside=body,
        )
        if d.body is not None:
            show_text(d.body)


@app.command()
def export(
    file: Annotated[Path | None, typer.Option("--out", help="Write here, one JSON object a line; else print.")] = None,
    connection: OfConnection = None,
    reason: OfReason = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Write everything parked, bodies included, one JSON object a line. The queues keep it."""
    found = find_stack(stack)
    with _reading(found, "exporting", quiet=json) as seen:
        work = export_parked(found, ParkedFilters(connection=connection, reason=reason), seen=seen)
    lines = [jsonlib.dumps(given, ensure_ascii=False) for given in work]
    if file is None:
        for line in lines:
            show_text(line)
        return
    # It holds personal data: for its owner only.
    write_file(file, "".join(line + "\n" for line in lines), mode=0o600)
    if json:
        show_json({"file": str(file), "count": len(lines)})
    else:
        note(f"{len(lines)} written to {file}; it holds personal data")


def add(root: typer.Typer) -> None:
    """Put ``redrive`` among the commands."""
    root.command()(redrive)


def redrive(
    connection: OfConnection = None,
    reason: OfReason = None,
    one: Annotated[str | None, typer.Option("--one", metavar="ID", help="Only this id, or delivery id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything parked, except what is ambiguous.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send without a prompt.")] = False,
    at_most: Annotated[
        int, typer.Option("--at-most", help="How many to send; what is left can be redriven next.", min=1, max=10_000)
    ] = AT_MOST,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Send parked work through the normal path again. It counts as another redrive, so it is no duplicate."""
    if connection is None and reason is None and one is None and not every:
        raise CommandError(
            "what to redrive is missing", do="add --connection, --reason, --one ID or --all; --dry-run shows the effect"
        )
    found = find_stack(stack)
    filters = ParkedFilters(connection=connection, reason=reason, one=one)
    if one is None and not (yes or dry_run):
        at_most = _confirmed(found, filters, at_most)
    with progress("redriving", quiet=json or dry_run) as bar:
        report = Redrive(found, filters, at_most=at_most, dry_run=dry_run).run(
            lambda report: bar.update(bar.task_ids[0], total=report.total, completed=report.done)
        )
    if report.skipped:
        note(f"{report.skipped} ambiguous left parked: compare each with the vendor, then relay redrive --one ID")
    if report.left:
        note(f"{report.left} more match; relay redrive again sends the next")
    if json:
        show_json(report.as_json())
    else:
        _show(report)
    if report.failed:
        if json:
            raise typer.Exit(1)
        raise CommandError(
            f"{len(report.failed)} could not be redriven and stay parked",
            do="let the source send these again, or keep them with relay parked export",
            details=[{"field": p.id, "message": f"{p.reason}: {error.what}"} for p, error in report.failed],
        )


def _show(report: RedriveReport) -> None:
    sent = [p for p, _ in report.redriven]
    if report.dry_run and sent:
        show_table(COLUMNS, [_row(p) for p in sent], drop=DROP)
    done = f"{len(sent)} {'would be ' if report.dry_run else ''}redriven"
    out.print(done if report.total else "nothing is parked that matches")


def _confirmed(stack: Stack, filters: ParkedFilters, at_most: int) -> int:
    """Show on a terminal what would be sent, and prompt; return how many were confirmed.

    Raises CommandError where there is no terminal.
    """
    planned = Redrive(stack, filters, at_most=at_most, dry_run=True).run()
    if not planned.total:
        return 0
    confirm(
        f"Redrive {planned.total}?",
        where=f"{planned.total} that would be redriven",
        do="add --yes, or look with --dry-run",
        show=partial(_show, planned),
    )
    return planned.total
