"""Functions as processes: start-up, processor time and memory under Lambda's own runtime.

Everything that is compared is run in turns, so that a busy moment of this machine falls on all of it, and medians
are taken. Processor time and memory are read from /proc, of the function's process alone. Start-ups get the part of a
processor that Lambda gives (``benchmarks/shares.py``); warm work is measured with a whole one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.shares import HANDLER, WRAPPER, Shares, initialised_after, share_of
from benchmarks.stage import CHECKOUT, Stage
from devkit.localstack.artifacts import digest
from devkit.runtime import Built, Emulator, emulator_binary


@dataclass(frozen=True, slots=True)
class Function:
    """One thing to measure: where it is, what it is built with, and what it is invoked with.

    ``events``: makes the events of n invocations. ``operation``: whose environment it gets. ``memory``: in MB, of the
    template.
    """

    name: str
    folder: Path
    handler: str
    layer: Path
    python: Path
    operation: str
    events: Callable[[int], Sequence[dict[str, Any]]]
    memory: int


@dataclass
class Start:
    """Start-ups of one function with so many MB, in milliseconds."""

    memory: int
    init: list[float] = field(default_factory=list)
    """Of a processor."""
    first: list[float] = field(default_factory=list)
    """Of a processor, by the first event."""
    real: list[tuple[float, float]] = field(default_factory=list)
    """What the two took by the clock; none on a machine that holds no process to its share."""

    @property
    def whole(self) -> list[float]:
        """Initialisation with a whole processor and first event with the share that the memory buys, without waits."""
        return [init + first / share_of(self.memory) for init, first in zip(self.init, self.first, strict=True)]

    def __str__(self) -> str:
        first = median(first / share_of(self.memory) for first in self.first)
        text = f"{median(self.init):.0f} + {first:.0f}"
        if self.real:
            text += f" (by the clock {median(i for i, _ in self.real):.0f} + {median(f for _, f in self.real):.0f})"
        return text


class Process(Emulator):
    """An emulator that shows the function's own process."""

    @property
    def function_pid(self) -> int:
        """The process of the function: the emulator's child, once it was invoked."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))) and int(fields[1]) == self._process.pid:
                return int(entry.name)
        raise RuntimeError("the function's process has ended")

    def cpu_milliseconds(self) -> float:
        """Return the processor time that the function's threads have taken so far (proc(5), schedstat)."""
        nanoseconds = 0
        for task in Path(f"/proc/{self.function_pid}/task").iterdir():
            with suppress(OSError):
                nanoseconds += int((task / "schedstat").read_text().split()[0])
        return nanoseconds / 1e6

    def peak_megabytes(self) -> float:
        """Return the most memory that the function's process has held."""
        status = Path(f"/proc/{self.function_pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) / 1024


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (proc(5)); empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@contextmanager
def running(function: Function, stage: Stage, shares: Shares | None = None) -> Iterator[Process]:
    """Provide the function's process on the stage; it is initialised by its first invocation.

    ``shares``: hold it to the part of a processor that its memory buys once it is initialised.
    """
    handler, environment = function.handler, stage.function_environment(function.operation)
    if shares is not None:
        environment |= shares.environment(function.memory, handler)
        environment["PYTHONPATH"] = f"{function.layer / 'python'}{os.pathsep}{WRAPPER}"
        handler = HANDLER
    with Process(
        binary=emulator_binary(CHECKOUT),
        python=function.python,
        folder=function.folder,
        layer=function.layer,
        handler=handler,
        environment=environment,
        memory=function.memory,
    ) as process:
        yield process


def starts(functions: Sequence[Function], stage: Stage, rounds: int) -> dict[str, Start]:
    """Start every function ``rounds`` times, in turns, each with the part of a processor that its memory buys."""
    found = {function.name: Start(function.memory) for function in functions}
    with Shares() as shares:
        for _ in range(rounds):
            for function in functions:
                (event,) = function.events(1)
                with running(function, stage, shares) as process:
                    took = invoke(process, event)
                    start, before = found[function.name], initialised_after(process.log)
                    start.init.append(before)
                    start.first.append(process.cpu_milliseconds() - before)
                    if shares.real:
                        start.real.append((process.init_milliseconds[0], took - process.init_milliseconds[0]))
    return found


@dataclass
class Work:
    """What events take of a warm process."""

    cpu: list[float] = field(default_factory=list)
    """Milliseconds of processor time per event, one figure per turn."""
    memory: float = 0.0
    """The process's peak, in MB."""


def work(functions: Sequence[Function], stage: Stage, *, turns: int, invocations: int, events: int) -> dict[str, Work]:
    """Measure processor time per event: ``turns`` of ``invocations`` with ``events`` each, after a warm-up."""
    found = {function.name: Work() for function in functions}
    with ExitStack() as stack:
        processes = [stack.enter_context(running(function, stage)) for function in functions]
        for function, process in zip(functions, processes, strict=True):
            for event in function.events(3):
                invoke(process, event)
        for _ in range(turns):
            for function, process in zip(functions, processes, strict=True):
                made = function.events(invocations)
                before = process.cpu_milliseconds()
                for event in made:
                    invoke(process, event)
                done = found[function.name]
                done.cpu.append((process.cpu_milliseconds() - before) / invocations / events)
                done.memory = process.peak_megabytes()
    return found


def invoke(process: Emulator, event: dict[str, Any]) -> float:
    """Invoke once; return the milliseconds. Raises RuntimeError on a failure, whose time would mean nothing."""
    done = process.invoke(event)
    payload = done.payload
    refused = isinstance(payload, dict) and (payload.get("batchItemFailures") or payload.get("statusCode", 200) != 200)
    if done.error or refused:
        raise RuntimeError(f"an invocation failed: {done.error or ''} {payload} {process.log[-2000:]}")
    return done.milliseconds


def plain_layers(built: Built, log: Callable[[str], None]) -> tuple[Path, Path]:
    """Return the packages of the plain way, whole: as SAM's own builder ships them, and with bytecode. Made once."""
    pinned = CHECKOUT / "requirements/layer.txt"
    made = CHECKOUT / ".local/bench" / f"plain-{digest(pinned)}"
    if not made.exists():
        log("installing the packages of the plain way (about 15 s the first time)")
        part = made.with_suffix(".part")
        command: list[str | Path] = [
            *(built.python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-compile", "--upgrade"),
            *("--only-binary", ":all:", "--no-deps", "--require-hashes", "--target", part / "python", "-r", pinned),
        ]
        subprocess.run(command, check=True)
        part.rename(made)
    compiled = made.with_name(f"{made.name}-compiled")
    if not compiled.exists():
        log("compiling the packages of the plain way (about 15 s the first time)")
        part = compiled.with_suffix(".part")
        shutil.copytree(made, part, copy_function=os.link, dirs_exist_ok=True)
        command = [built.python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", part / "python"]
        subprocess.run(command, check=True)
        part.rename(compiled)
    return made, compiled
