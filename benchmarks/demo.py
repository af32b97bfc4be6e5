"""How long ``make demo`` takes in a fresh checkout, and again. Measured on request only: the first time downloads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.stage import CHECKOUT
from benchmarks.table import Row

KEPT = CHECKOUT / ".local/bench/demo.json"
FIRST_SECONDS, AGAIN_SECONDS = 240.0, 60.0


def measure(log: Callable[[str], None]) -> None:
    """Run the demo twice in a copy of the last commit and keep the times.

    The copy has nothing that this checkout has set up.
    """
    folder = Path(tempfile.mkdtemp(prefix="loyalty-relay-demo-"))
    try:
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=CHECKOUT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        taken = []
        for occasion in ("the first time", "again"):
            log(f"make demo, {occasion}")
            taken.append(_run(folder))
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps({"first": taken[0], "again": taken[1]}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path) -> float:
    # Started from make itself, its flags and job server are not for this one.
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV")}
    started = time.monotonic()
    subprocess.run(["make", "demo"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def rows() -> list[Row]:
    """Return what was measured last; nothing when nothing was."""
    if not KEPT.exists():
        return []
    taken = json.loads(KEPT.read_text())
    note = "kept from the last `python -m benchmarks --demo`"
    return [
        Row(what="make demo, first time", measured=taken["first"], unit="s", budget=FIRST_SECONDS, note=note),
        Row(what="make demo, again", measured=taken["again"], unit="s", budget=AGAIN_SECONDS, note=note),
    ]
