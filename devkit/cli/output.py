"""How the command speaks: tables and progress for people, one JSON value for programs, and errors that help."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PIPED = 200
"""Columns where nobody's terminal sets them."""


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED
    return console


out = _console()
"""Results go here: standard output."""
err = _console(stderr=True)
"""What happens meanwhile, and errors: standard error, so that output can be piped."""

COLOURS = {
    "applied": "green",
    "unchanged": "cyan",
    "duplicate": "cyan",
    "ignored": "bright_black",
    "stale": "yellow",
    "retrying": "yellow",
    "parked": "red",
    "ok": "green",
    "missing": "red",
    "refused": "magenta",
}
"""Outcome words have the same colour wherever they are shown."""


WHOLE = frozenset({"id", "delivery", "received", "parked", "outcome", "expected"})
"""Columns that are copied or read at a glance, so that their values are never broken."""


class CommandError(Exception):
    """Why a command could not do its work.

    ``what`` is wrong (a sentence), ``where`` (a file, field, URL or resource), and what to ``do`` about it.
    """

    def __init__(self, what: str, *, where: str = "", do: str = "", details: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.do = do
        self.details = list(details)
        """Further findings, such as every wrong field of a file: ``field`` and ``message``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the error as ``--json`` prints it."""
        body: dict[str, Any] = {"what": self.what}
        if self.where:
            body["where"] = self.where
        if self.do:
            body["do"] = self.do
        if self.details:
            body["details"] = self.details
        return {"error": body}


def show_error(error: CommandError, *, as_json: bool) -> None:
    """Print an error to standard error."""
    if as_json:
        print(json.dumps(error.to_dict(), ensure_ascii=False), file=sys.stderr)
        return
    err.print(Text.assemble(("error: ", "bold red"), error.what), soft_wrap=True)
    for detail in error.details:
        err.print(Text.assemble("  ", (detail["field"], "bold"), " ", detail["message"]), soft_wrap=True)
    if error.where:
        err.print(Text.assemble(("  where: ", "bright_black"), error.where), soft_wrap=True)
    if error.do:
        err.print(Text.assemble(("  do:    ", "bright_black"), error.do), soft_wrap=True)


def show_json(value: Any) -> None:
    """Print one JSON value to standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=None if isinstance(value, dict) and len(value) < 2 else 2))


def show_line(value: Any) -> None:
    """Print one JSON value on one line and flush it, for programs that read line by line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def note(message: str) -> None:
    """Write a message that is not the result."""
    err.print(Text(message, style="bright_black"), soft_wrap=True)


def result_text(result: str) -> Text:
    """Return an outcome word in its colour."""
    return Text(result, style=COLOURS.get(result, ""))


def table(columns: Iterable[str], rows: Iterable[Sequence[str | Text]], *, title: str = "") -> Table:
    """Return a plain table; the columns named outcome, expected and ok are coloured by their word."""
    names = list(columns)
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in names:
        made.add_column(name, overflow="fold", no_wrap=name in WHOLE)
    for row in rows:
        cells = [
            result_text(cell) if isinstance(cell, str) and name in ("outcome", "expected", "ok") else cell
            for name, cell in zip(names, row, strict=True)
        ]
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
    return made


def pairs(items: Iterable[tuple[str, str | Text]]) -> Table:
    """Names with their values, one pair a line; pairs without a value are left out."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bright_black")
    made.add_column(overflow="fold")
    for name, value in items:
        if value:
            made.add_row(name, Text(value) if isinstance(value, str) else value)
    return made


@contextmanager
def progress(description: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Progress]:
    """Progress on standard error for as long as the work takes; ``quiet`` shows none. It has one task, number 0."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )
    with bar:
        bar.add_task(description, total=total)
        yield bar


def when(epoch: float | None) -> str:
    """Return a moment for people: UTC, to the second; empty when unknown."""
    return "" if epoch is None else datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
