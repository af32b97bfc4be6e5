"""The table that ``make bench`` prints: what was promised, what was measured, and what the plain way measures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

Met = Literal["met", "missed", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing.

    ``measured`` is in ``unit``. ``budget`` limits it: from above, or from below where ``at_least``; None where there is
    no promise. ``plain`` is the same thing of the plain way, in the same unit. ``note`` gives the numbers behind a
    ratio.
    """

    what: str
    measured: float
    unit: str = ""
    budget: float | None = None
    at_least: bool = False
    plain: float | None = None
    note: str = ""

    @property
    def met(self) -> Met:
        if self.budget is None:
            return ""
        # What is printed decides, so that no row contradicts itself.
        shown, budget = float(number(self.measured)), self.budget
        return "met" if (shown >= budget if self.at_least else shown <= budget) else "missed"

    @property
    def ratio(self) -> float | None:
        """Measured over budget; None without one that can divide."""
        return self.measured / self.budget if self.budget else None


def number(value: float) -> str:
    """Return a number with as many digits as it deserves."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def missed(rows: Iterable[Row]) -> list[Row]:
    """Return the rows whose budget was not met."""
    return [row for row in rows if row.met == "missed"]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows as one table."""
    table = Table(title="Budgets", title_justify="left", show_lines=False, padding=(0, 1))
    table.add_column("what", overflow="fold", ratio=5)
    for name in ("budget", "measured", "ratio", "", "plain way"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    table.add_column("note", overflow="fold", ratio=3)
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        table.add_row(
            row.what,
            "" if row.budget is None else f"{sign} {number(row.budget)}{_unit(row.unit)}",
            f"{number(row.measured)}{_unit(row.unit)}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            {"met": "[green]met[/]", "missed": "[red]missed[/]", "": ""}[row.met],
            "" if row.plain is None else f"{number(row.plain)}{_unit(row.unit)}",
            row.note,
        )
    console.print(table)


def as_json(rows: Iterable[Row]) -> str:
    """Return the rows as JSON, for keeping and comparing."""
    return json.dumps([asdict(row) | {"met": row.met, "ratio": row.ratio} for row in rows], indent=2)


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
