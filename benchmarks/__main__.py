"""``python -m benchmarks``: measure, print one table of budgets and one of costs.

Not a test: a budget that is missed is a finding, printed and counted, and the exit code reports only whether everything
could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from benchmarks import cost, demo, measure, table
from benchmarks.stage import CHECKOUT, clean_environment
from devkit.localstack.server import LocalStackError
from devkit.runtime import RuntimeProblem

KEPT = CHECKOUT / ".local/bench/last.json"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the budgets.")
    parser.add_argument("--rounds", type=int, default=7, help="start-ups of each function (default 7)")
    parser.add_argument(
        "--demo", action="store_true", help="also run `make demo` twice in a fresh copy, and keep the times"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to a file")
    parser.add_argument("--costs", action="store_true", help="only print the costs, from what was measured last")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    clean_environment()
    if options.costs:
        return _costs(console)
    log = _log(Console(stderr=True))
    try:
        if options.demo:
            demo.measure(log)
        found = measure.everything(options.rounds, log)
    except (LocalStackError, RuntimeProblem, RuntimeError) as error:
        print(f"could not measure: {error}", file=sys.stderr)
        return 1
    rows = [*found.rows, *demo.rows()]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps({"rows": json.loads(table.as_json(rows)), "measured": found.measured.to_dict()}))
    if options.json:
        options.json.write_text(table.as_json(rows))
    table.show(rows, console)
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    busy = ": others were at work, so look at the ratios" if load > processors else ""
    console.print(f"load {load:.1f} on {processors} processors at the end{busy}", highlight=False)
    cost.show(found.measured, console)
    missed = table.missed(rows)
    console.print(f"{len(missed)} of {sum(r.budget is not None for r in rows)} budgets missed", highlight=False)
    for row in missed:
        console.print(f"  missed: {row.what}; see docs/performance.md", highlight=False)
    return 0


def _costs(console: Console) -> int:
    kept = {}
    with suppress(OSError, ValueError):
        kept = json.loads(KEPT.read_text())
    if not kept:
        print("nothing was measured yet: run `make bench` first", file=sys.stderr)
        return 1
    try:
        measured = cost.Measured.from_dict(kept["measured"])
    except TypeError:
        print("what was measured last lacks a part: run `make bench` again", file=sys.stderr)
        return 1
    cost.show(measured, console)
    return 0


def _log(console: Console) -> Callable[[str], None]:
    started = time.monotonic()
    return lambda line: console.print(f"[dim]{time.monotonic() - started:5.0f} s[/]  {line}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
