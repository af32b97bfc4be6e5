"""``relay parked`` and ``relay redrive``: what waits for a person, and how to send it again."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import (
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
from devkit.cli.parked_queues import Parked, ParkedQueues, chosen
from devkit.queries.hints import HINTS, hint, meaning
from devkit.stacks.connection_store import known_connection, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import PARKING, Stack, find_stack
from loyalty_relay.model.json_validation import did_you_mean

app = group("Look at what is parked, and keep it.")

AMBIGUOUS = "ambiguous"
"""The reason of work that may have been carried out: a person compares it with the vendor, one by one."""

OfConnection = Annotated[str | None, typer.Option("--connection", help="Only of this connection.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only with this reason, such as rejected.")]


def queues_of(stack: Stack) -> ParkedQueues:
    """Return the stack's dead-letter queues."""
    return ParkedQueues(stack.client("sqs"), {operation: stack.parked_queue(operation) for operation in PARKING})


@contextmanager
def _opened(queues: ParkedQueues, description: str, *, quiet: bool) -> Iterator[list[Parked]]:
    """Return everything parked, with progress while the queues are read."""
    with (
        progress(description, queues.depth(), quiet=quiet) as bar,
        queues.opened(lambda count: bar.advance(bar.task_ids[0], count)) as parked,
    ):
        yield parked


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


def _known(stack: str | None, parked: list[Parked], connection: str | None, reason: str | None) -> None:
    """Raise CommandError for a filter that can match nothing."""
    if connection is not None and all(p.connection != connection for p in parked):
        known_connection(store_of(find_stack(stack)), connection)
    if reason is not None and reason not in {*HINTS, *(p.reason for p in parked)}:
        raise CommandError(
            f"unknown reason {reason}{did_you_mean(reason, HINTS)}", where="--reason", do="see docs/cli.md"
        )


@app.command("list")
def list_(
    connection: OfConnection = None, reason: OfReason = None, stack: StackName = None, json: AsJson = False
) -> None:
    """List what is parked, oldest first; copies of the same command are one line."""
    queues = queues_of(find_stack(stack))
    with _opened(queues, "reading parked work", quiet=json) as parked:
        found = chosen(parked, connection=connection, reason=reason)
        if not found:
            _known(stack, parked, connection, reason)
    if json:
        show_json([p.to_dict() for p in found])
        return
    if not found:
        note("nothing is parked" + (" that matches" if connection or reason else ""))
        return
    show_table(COLUMNS, [_row(p) for p in found], drop=DROP)
    for word in sorted({p.reason for p in found}):
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
    with queues_of(find_stack(stack)).opened() as parked:
        found = chosen(parked, one=id)
    if not found:
        raise CommandError(f"nothing parked has the id {id}", do="see relay parked list")
    if json:
        show_json([p.to_dict(body=body) for p in found] if len(found) > 1 else found[0].to_dict(body=body))
        return
    for p in found:
        show_pairs(
            [
                ("id", p.id),
                ("outcome", result_text("parked")),
                ("reason", p.reason),
                ("means", meaning(p.reason, "parked")),
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
                ("next", hint(p.reason, "parked")),
            ],
            aside=body,
        )
        if body:
            show_text(p.body())


@app.command()
def export(
    file: Annotated[Path | None, typer.Option("--out", help="Write here, one JSON object a line; else print.")] = None,
    connection: OfConnection = None,
    reason: OfReason = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Write everything parked, bodies included, one JSON object a line. The queues keep it."""
    queues = queues_of(find_stack(stack))
    with _opened(queues, "exporting", quiet=json) as parked:
        lines = [
            jsonlib.dumps(p.to_dict(body=True), ensure_ascii=False)
            for p in chosen(parked, connection=connection, reason=reason)
        ]
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
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Send parked work through the normal path again. It counts as another redrive, so it is no duplicate."""
    from devkit.cli.redriving import redrive_one

    if connection is None and reason is None and one is None and not every:
        raise CommandError(
            "what to redrive is missing", do="add --connection, --reason, --one ID or --all; --dry-run shows the effect"
        )
    if reason == AMBIGUOUS and one is None:
        raise CommandError(
            "ambiguous work may have been carried out already, and could credit twice",
            do="compare each with the member's account at the vendor, then relay redrive --one ID",
        )
    found = find_stack(stack)
    queues = queues_of(found)
    if one is None and not (yes or dry_run):
        _confirm(queues, connection, reason)
    sent: list[dict[str, object]] = []
    failed: list[dict[str, str]] = []
    with queues.opened() as parked:
        work = _work(parked, connection, reason, one)
        left = len(chosen(parked, connection=connection, reason=reason, one=one)) - len(work)
        if one is not None and not work:
            raise CommandError(f"nothing parked has the id {one}", do="see relay parked list")
        with progress("redriving", len(work), quiet=json or dry_run) as bar:
            for p in work:
                try:
                    outcome = None if dry_run else redrive_one(found, queues, p)
                except CommandError as error:
                    failed.append({"field": p.id, "message": f"{p.reason}: {error.what}"})
                else:
                    sent.append({**p.to_dict(), "outcome": outcome})
                bar.advance(bar.task_ids[0])
    if left:
        note(f"{left} ambiguous left parked: compare each with the vendor, then relay redrive --one ID")
    if json:
        show_json({"dry_run": dry_run, "redriven": sent, "failed": failed})
    else:
        if dry_run:
            show_table(COLUMNS, [_row(p) for p in work], drop=DROP)
        out.print(f"{len(sent)} {'would be ' if dry_run else ''}redriven" if work else "nothing is parked that matches")
    if failed:
        if json:
            raise typer.Exit(1)
        raise CommandError(
            f"{len(failed)} could not be redriven and stay parked",
            do="let the source send these again, or keep them with relay parked export",
            details=failed,
        )


def _work(parked: list[Parked], connection: str | None, reason: str | None, one: str | None) -> list[Parked]:
    """Return what a redrive sends: of ambiguous work, only what is named by its id."""
    found = chosen(parked, connection=connection, reason=reason, one=one)
    return [p for p in found if one is not None or p.reason != AMBIGUOUS]


def _confirm(queues: ParkedQueues, connection: str | None, reason: str | None) -> None:
    """Show on a terminal what would be sent, and prompt. Raises CommandError where there is no terminal."""
    with queues.opened() as parked:
        work = _work(parked, connection, reason, None)
    if not work:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"{len(work)} would be redriven, and there is no terminal to confirm it",
            do="add --yes, or look with --dry-run",
        )
    show_table(COLUMNS, [_row(p) for p in work], drop=DROP)
    typer.confirm(f"Redrive {len(work)}?", abort=True)
