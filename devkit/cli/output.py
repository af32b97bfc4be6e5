"""Everything the command prints: tables and progress for people, one JSON value for programs, and errors that help.

All output of ``devkit.cli`` goes through this module, so that no text of a sender (a topic, a path, an id) reaches the
terminal with control characters in it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from devkit.stacks.errors import CommandError

PIPED = 200
"""Columns where output is no terminal and COLUMNS is not set."""
NARROWEST = 20
"""Columns that a value has at least, however narrow the terminal is."""
FLEXIBLE = 28
"""Columns that sentences have at least in a table; where there is less room, records are shown instead."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys or what reorders a line, except newline and tab; and surrogates, which cannot be encoded."""


def printable(text: str) -> str:
    """Return a text with control characters written as JSON escapes, which in JSON changes nothing."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def in_line(text: str) -> str:
    """Return a printable text of one line: newlines and tabs are blanks."""
    return " ".join(printable(text).split())


class PlainConsole(Console):
    """A console whose text is ``printable`` whatever was printed, as wide as COLUMNS is at the moment of printing."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable; the control codes of Rich itself stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's size; PIPED columns where there is none."""
        if columns := _columns():
            return ConsoleDimensions(columns, 25)
        return super().size if self.is_terminal else ConsoleDimensions(PIPED, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def sentence(self, text: str | Text, style: str = "") -> None:
        """Print lines that are broken between words where a width is known, and never within a word."""
        width = self.width if self.is_terminal or _columns() else sys.maxsize
        for line in broken(text if isinstance(text, Text) else Text(text), width):
            self.print(line, style=style, soft_wrap=True)


def broken(text: Text, width: int) -> Iterator[Text]:
    """Yield the lines of a text, broken between words; too long a word stays whole, so that it can be copied."""
    for line in text.split("\n", allow_blank=True):
        starts = [0]
        for word in re.finditer(r"\S+", line.plain):
            if word.end() - starts[-1] > width and line.plain[starts[-1] : word.start()].strip():
                starts.append(word.start())
        for part in line.divide(starts[1:]):
            part.rstrip()
            yield part


def _columns() -> int:
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isascii() and given.isdigit() else 0


out = PlainConsole(highlight=False, markup=False, emoji=False)
"""Results go here: standard output."""
err = PlainConsole(stderr=True, highlight=False, markup=False, emoji=False)
"""What happens meanwhile, and errors: standard error, so that output can be piped."""

COLOURS = {
    "applied": "green",
    "unchanged": "cyan",
    "duplicate": "cyan",
    "ignored": "bright_black",
    "recorded": "cyan",
    "stale": "yellow",
    "retrying": "yellow",
    "parked": "red",
    "ok": "green",
    "missing": "red",
    "refused": "magenta",
}
"""Outcome words have the same colour wherever they are shown."""


SENTENCES = frozenset({"note", "message", "state", "value", "what it shows", "upstream"})
"""Columns whose values may be broken between words; every other is as wide as its longest value."""


def show_error(error: CommandError, *, as_json: bool) -> None:
    """Print an error to standard error."""
    if as_json:
        print(_dumped(error.to_dict()), file=sys.stderr)
        return
    err.sentence(Text.assemble(("error: ", "bold red"), error.what))
    for detail in error.details:
        err.sentence(Text.assemble("  ", (detail["field"], "bold"), " ", detail["message"]))
    if error.where:
        err.sentence(Text.assemble(("  where: ", "bright_black"), error.where))
    if error.do:
        err.sentence(Text.assemble(("  do:    ", "bright_black"), error.do))


def show_json(value: Any) -> None:
    """Print one JSON value to standard output."""
    print(_dumped(value, indent=None if isinstance(value, dict) and len(value) < 2 else 2))


def show_line(value: Any) -> None:
    """Print one JSON value on one line and flush it, for programs that read line by line."""
    print(_dumped(value), flush=True)


def _dumped(value: Any, indent: int | None = None) -> str:
    return printable(json.dumps(value, ensure_ascii=False, indent=indent))


def show_text(text: str) -> None:
    """Print lines to standard output as they are, for programs and for copying; only control characters are escaped."""
    print(printable(text))


def confirm(
    question: str, *, where: str, do: str = "add --yes", terminal: bool = True, show: Callable[[], None] | None = None
) -> None:
    """Prompt for a change; typer.Abort unless it is confirmed.

    ``where``: what would change. ``terminal``: False where no prompt may be written. ``show``: shows more before it.
    Raises CommandError where there is no terminal.
    """
    if not (terminal and sys.stdin.isatty()):
        raise CommandError("the change is not confirmed, and there is no terminal for a prompt", where=where, do=do)
    if show is not None:
        show()
    typer.confirm(question, abort=True)


def note(message: str) -> None:
    """Write a message that is not the result."""
    err.sentence(message, "bright_black")


def result_text(result: str) -> Text:
    """Return an outcome word in its colour."""
    return Text(result, style=COLOURS.get(result, ""))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, drop: Sequence[str] = ()) -> None:
    """Print a table; where it is too wide, without the columns of ``drop``, the first named first.

    Where even that is too wide, each row is a record: one value below the other. The columns named outcome, expected
    and ok are coloured by their word.
    """
    cells = [[_cell(name, cell) for name, cell in zip(columns, row, strict=True)] for row in rows]
    widths = {
        name: max([cell_len(name), *(cell.cell_len for cell in column)])
        for name, column in zip(columns, zip(*cells, strict=True), strict=True)
    }
    least = {name: min(width, FLEXIBLE) if name in SENTENCES else width for name, width in widths.items()}
    shown, left_out = list(columns), list(drop)
    while (too_wide := sum(least[name] + 1 for name in shown) - 1 > out.width) and left_out:
        shown.remove(left_out.pop(0))
    if too_wide:
        for row in cells:
            show_pairs(list(zip(columns, row, strict=True)))
            out.print()
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        made.add_column(name, overflow="fold", no_wrap=name not in SENTENCES)
    for row in cells:
        made.add_row(*(cell for name, cell in zip(columns, row, strict=True) if name in shown))
    out.print(made)
    if missing := [name for name in columns if name not in shown]:
        note(f"(without {', '.join(missing)}: too narrow here; --json has everything)")


def _cell(name: str, cell: str | Text) -> Text:
    text = in_line(cell if isinstance(cell, str) else cell.plain)
    style = COLOURS.get(text, "") if name in ("outcome", "expected", "ok") else ""
    return Text(text, style=style if isinstance(cell, str) else cell.style)


def show_pairs(items: Iterable[tuple[str, str | Text]], *, aside: bool = False) -> None:
    """Print names with their values, one pair below the other; pairs without a value are left out.

    ``aside``: to standard error, where something else is the result.
    """
    console = err if aside else out
    given = [(name, value if isinstance(value, Text) else Text(value)) for name, value in items if value]
    indent = max((cell_len(name) for name, _ in given), default=0) + 1
    for name, value in given:
        head = Text(in_line(name).ljust(indent), style="bright_black")
        for line in broken(Text(in_line(value.plain), style=value.style), max(console.width - indent, NARROWEST)):
            console.print(Text.assemble(head, line), soft_wrap=True)
            head = Text(" " * indent)


@contextmanager
def progress(description: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Progress]:
    """Show progress on standard error while the work runs, as one task, number 0; ``quiet`` shows none."""
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


def write_file(path: Path, text: str, *, mode: int = 0o666, replace: bool = True) -> None:
    """Write a file. Raises CommandError where it cannot be written, or exists and is not to be replaced."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
        with os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8") as handle:
            handle.write(text)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CommandError(f"cannot write the file: {reason}", where=str(path), do="give another path") from error
