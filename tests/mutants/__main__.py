"""Apply each mutant to a private copy of the checkout and run the tests named for it: ``python -m tests.mutants``.

Fails when a mutant survives, when one cannot be applied, and when a named test fails without any mutant. Every run is a
fork of this process, which has loaded pytest and the large libraries but nothing of the checkout.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.mutants.catalogue import ROOT, Mutant, mutants

LEFT_OUT = (".git", ".venv", ".local", ".aws-sam", ".hypothesis", "__pycache__", "*.pyc")
LIBRARIES: tuple[str, ...] = (
    "botocore.session",
    "httpx",
    "moto.dynamodb.models",
    "moto.secretsmanager.models",
    "moto.sqs.models",
)
LIBRARIES += ("phonenumbers", "pydantic", "starlette.applications", "uvicorn")
OURS = ("benchmarks", "devkit", "functions", "infra", "loyalty_relay", "tests")
PASSED, FAILED = 0, 1
"""Exit codes of pytest; any other is a run that proves nothing."""
SECONDS = 600
"""A run that takes longer hangs, which a test run in continuous integration would report as well."""


@dataclass
class Run:
    """A running or finished test run in a copy of the checkout."""

    tree: Path
    tests: tuple[str, ...]
    mutant: Mutant | None = None
    status: int = 0
    seconds: float = 0.0

    @property
    def output(self) -> Path:
        return self.tree / "output.txt"

    @property
    def kept(self) -> Path:
        return self.tree / "kept"

    @property
    def code(self) -> int | None:
        """Pytest's exit code; None when the run took too long."""
        return os.waitstatus_to_exitcode(self.status) if os.WIFEXITED(self.status) else None

    @property
    def killed(self) -> bool:
        return self.code in (FAILED, None)

    def start(self, *options: str) -> int:
        """Begin the run and return its process id."""
        self.seconds = -time.monotonic()
        process = os.fork()
        if process == 0:
            try:
                os._exit(self._work(*options))
            finally:
                traceback.print_exc()
                os._exit(2)
        return process

    def _work(self, *options: str) -> int:
        signal.alarm(SECONDS if self.mutant else 0)
        os.chdir(self.tree)
        output = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() not in (ROOT, ROOT / "layers" / "relay")]
        os.environ["PYTHONPATH"] = f"{self.tree}:{self.tree / 'layers' / 'relay'}"
        return int(pytest.main(["-q", "-rf", "--hypothesis-seed=0", "-o", "cache_dir=.cache", *options, *self.tests]))

    def apply(self, number: int) -> None:
        """Make the mutant's change."""
        if self.mutant is not None:
            path = self.tree / self.mutant.file
            shutil.copy2(path, self.kept)
            path.write_text(self.mutant.applied(path.read_text()))
            # A time of its own: compiled modules are recognised by whole seconds and the size.
            os.utime(path, (number, number))

    def end(self, status: int) -> None:
        """Record how the run ended, and make the copy as it was."""
        self.status = status
        self.seconds += time.monotonic()
        if self.mutant is not None:
            shutil.copy2(self.kept, self.tree / self.mutant.file)


@contextmanager
def copies(count: int) -> Iterator[list[Path]]:
    """Yield that many copies of the checkout."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [Path(folder).resolve() / str(number) for number in range(count)]
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        yield trees


def load_libraries() -> None:
    """Import what every run needs, pytest's plugins by pytest itself, which rewrites their assertions."""
    with tempfile.TemporaryDirectory() as empty:
        pytest.main(["-qq", "--collect-only", "--rootdir", empty, "-c", os.devnull, empty])
    for name in LIBRARIES:
        importlib.import_module(name)


def runs(chosen: list[Mutant], trees: list[Path]) -> Iterator[Run]:
    """Run the mutants, as many side by side as there are copies, and yield each run when it has ended."""
    free, running = list(trees), dict[int, Run]()
    for number, mutant in enumerate(chosen, 1):
        if not free:
            yield (ended := _wait(running))
            free.append(ended.tree)
        run = Run(free.pop(), mutant.tests, mutant)
        run.apply(number)
        running[run.start("-x")] = run
    while running:
        yield _wait(running)


def _wait(running: dict[int, Run]) -> Run:
    process, status = os.wait()
    run = running.pop(process)
    run.end(status)
    return run


def baseline(chosen: list[Mutant], tree: Path) -> bool:
    """Run all named tests without a mutant: only a test that passes then can prove something by failing."""
    run = Run(tree, tuple(dict.fromkeys(test for mutant in chosen for test in mutant.tests)))
    process = run.start()
    run.end(os.waitpid(process, 0)[1])
    if run.code != PASSED:
        print(run.output.read_text())
    print(
        f"{len(run.tests)} tests without a mutant: {'passed' if run.code == PASSED else 'FAILED'} {run.seconds:.0f} s"
    )
    return run.code == PASSED


def main() -> int:
    """Run the mutants whose id matches; return 0 when all of them are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("pattern", nargs="*", default=["*"], help="ids, with * and ?")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    given = parser.parse_args()
    chosen = [mutant for mutant in mutants() if any(fnmatch(mutant.id, pattern) for pattern in given.pattern)]
    load_libraries()
    bad: list[str] = []
    with copies(max(1, min(given.jobs, len(chosen)))) as trees:
        if not baseline(chosen, trees[0]):
            return 1
        for number, run in enumerate(runs(chosen, trees), 1):
            assert run.mutant is not None
            verdict = "killed" if run.killed else "SURVIVED" if run.code == PASSED else "INVALID"
            print(f"{number:4}/{len(chosen)} {verdict:9} {run.seconds:5.1f} s  {run.mutant.id}", flush=True)
            if not run.killed:
                bad.append(run.mutant.id)
                print(run.output.read_text() if verdict == "INVALID" else "   " + ", ".join(run.tests))
    print(f"{len(chosen)} mutants, {len(chosen) - len(bad)} killed", *bad, sep="\n  ")
    return bool(bad) or not chosen


if __name__ == "__main__":
    sys.exit(main())
