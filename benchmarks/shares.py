"""The part of a processor that Lambda gives a function: a whole one until it is initialised, then its memory's share.

A start-up is worked out from processor time, which other work on this machine disturbs least: that of the
initialisation, and that of the first event over the share. Where the machine allows it (root, control groups of
version 1 or 2), a function's process also enters a group with that share at the end of its initialisation, and the
clock shows the same.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.prices import LAMBDA_VCPU_MB

PERIOD = 20_000
"""Microseconds within which a share is used up."""
WRAPPER = Path(__file__).parent / "held"
"""The folder of the module that loads a function and then enters the group."""
HANDLER = "held.handler"
_ROOTS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))


def share_of(memory: int) -> float:
    """Return the share of a processor that so many MB buy."""
    return min(1.0, memory / LAMBDA_VCPU_MB)


class Shares:
    """The group of this run, until the end of the ``with`` block. ``real``: whether this machine has one."""

    def __init__(self, roots: tuple[Path, ...] = _ROOTS) -> None:
        self._group: Path | None = None
        for root in roots:
            group = root / f"relay-bench-{os.getpid()}"
            with suppress(OSError):
                group.mkdir()
                if (group / "cpu.cfs_quota_us").exists() or (group / "cpu.max").exists():
                    self._group = group
                    return
                group.rmdir()

    @property
    def real(self) -> bool:
        return self._group is not None

    def environment(self, memory: int, handler: str) -> dict[str, str]:
        """Set the group's share to that of so many MB, and return the environment of the next function to be held."""
        variables = {"HELD_HANDLER": handler}
        if self._group is not None:
            quota = max(1000, int(PERIOD * share_of(memory)))
            if (self._group / "cpu.max").exists():
                (self._group / "cpu.max").write_text(f"{quota} {PERIOD}")
            else:
                (self._group / "cpu.cfs_period_us").write_text(str(PERIOD))
                (self._group / "cpu.cfs_quota_us").write_text(str(quota))
            variables["HELD_GROUP"] = str(self._group / "cgroup.procs")
        return variables

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._group is None:
            return
        for _ in range(100):
            # A process that was ended a moment ago may still be in it.
            with suppress(OSError):
                self._group.rmdir()
                return
            time.sleep(0.01)


def initialised_after(log: str) -> float:
    """Return the milliseconds of a processor that a held function had used at the end of its initialisation."""
    found = re.search(r"^HELD (\d+)$", log, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the function was not initialised: {log[-2000:]}")
    return int(found.group(1)) / 1e6
