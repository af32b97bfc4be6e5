"""Parked work through the normal path again: a command to its queue, a raw delivery through translation."""

from __future__ import annotations

import json
import secrets
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devkit.queries.failures import problem_of
from devkit.queries.hints import hint
from devkit.queries.parked_queues import HIDE, Parked, ParkedFilters, ParkedQueues
from devkit.stacks.errors import CommandError, NotFound
from devkit.stacks.services import services_of, unlogged
from devkit.stacks.stack import Stack
from loyalty_relay.model.errors import RelayError

AMBIGUOUS = "ambiguous"
"""The reason of work that may have been carried out: a person compares it with the vendor, one by one."""
AT_MOST = 1000
"""Pieces of parked work that one redrive sends, unless another bound is given."""
MARGIN = 60
"""Seconds before the messages are visible to others again, after which a redrive begins no further one."""
KEPT = 50
"""Redrives that a console remembers."""


def redrive_one(stack: Stack, queues: ParkedQueues, parked: Parked) -> str:
    """Send it again, then delete it where it was parked; returns what became of it, such as ``redrive 1``.

    Raises CommandError, leaving it parked, for what cannot be sent.
    """
    if parked.operation == "ingest":
        outcome = _translate_again(stack, parked)
        queues.delete(parked)
        return outcome
    envelope = queues.redrive(parked, stack.queue(parked.operation))
    return f"redrive {envelope.redrives}"


def _translate_again(stack: Stack, parked: Parked) -> str:
    """Return a delivery that was authentic when it was parked: read, translate, send, by the code of ingest."""
    from loyalty_relay.triggers.webhook import Ingest

    try:
        body = json.loads(parked.messages[0].body)
        with unlogged():
            answer = Ingest(services_of(stack)).redrive(body)
    except RelayError as error:
        raise problem_of(error) or CommandError(str(error)) from error
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise CommandError(f"it is not a parked delivery ({type(error).__name__})") from error
    if answer["outcome"] == "parked":
        reason = str(answer["reason"])
        raise CommandError(f"it still cannot be translated: {reason}", do=hint(reason, "parked"))
    return str(answer["outcome"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveReport:
    """What a redrive sends, has sent, or would send.

    ``skipped``: ambiguous, so left for one by one. ``left``: matches beyond the bound or the time. ``problem``: why it
    ended early.
    """

    filters: ParkedFilters
    dry_run: bool
    total: int | None
    """How many are to be sent; None until the queues were read."""
    redriven: tuple[tuple[Parked, str | None], ...]
    """With what became of each; None in a dry run."""
    failed: tuple[tuple[Parked, CommandError], ...]
    """These stay parked."""
    skipped: int
    left: int
    ended: bool
    problem: CommandError | None

    @property
    def done(self) -> int:
        """How many were tried."""
        return len(self.redriven) + len(self.failed)

    def as_json(self) -> dict[str, Any]:
        return {
            "connection": self.filters.connection,
            "reason": self.filters.reason,
            "one": self.filters.one,
            "dry_run": self.dry_run,
            "ended": self.ended,
            "total": self.total,
            "redriven": [{**p.as_json(), "outcome": outcome} for p, outcome in self.redriven],
            "failed": [
                {"field": p.id, "message": f"{p.reason}: {error.what}", "do": error.do} for p, error in self.failed
            ],
            "skipped": self.skipped,
            "left": self.left,
            "problem": None if self.problem is None else self.problem.to_dict()["error"],
        }


class Redrive:
    """One redrive of what matches, at most ``at_most``, oldest first; ambiguous work only by its id.

    Raises CommandError for a filter that names ambiguous work as a whole. ``operation``: only of this queue. It may
    be watched and stopped by another thread than the one that runs it.
    """

    def __init__(
        self,
        stack: Stack,
        filters: ParkedFilters,
        *,
        operation: str | None = None,
        at_most: int = AT_MOST,
        dry_run: bool = False,
    ) -> None:
        if filters.reason == AMBIGUOUS and filters.one is None:
            raise CommandError(
                "ambiguous work may have been carried out already, and could credit twice",
                do="compare each with the member's account at the vendor, then relay redrive --one ID",
            )
        self.filters = filters
        self._stack = stack
        self._operation = operation
        self._at_most = at_most
        self._dry_run = dry_run
        self._stop = threading.Event()
        self._total: int | None = None
        self._redriven: list[tuple[Parked, str | None]] = []
        self._failed: list[tuple[Parked, CommandError]] = []
        self._skipped = 0
        self._matching = 0
        self._ended = False
        self._problem: CommandError | None = None

    def report(self) -> RedriveReport:
        """Return how far it is."""
        redriven, failed = tuple(self._redriven), tuple(self._failed)
        sent = len(redriven) + len(failed) if self._ended and not self._dry_run else (self._total or 0)
        return RedriveReport(
            filters=self.filters,
            dry_run=self._dry_run,
            total=self._total,
            redriven=redriven,
            failed=failed,
            skipped=self._skipped,
            left=max(self._matching - self._skipped - sent, 0),
            ended=self._ended,
            problem=self._problem,
        )

    def stop(self) -> None:
        """End it after the piece of work that is being sent."""
        self._stop.set()

    def run(self, step: Callable[[RedriveReport], None] = lambda report: None) -> RedriveReport:
        """Carry it out and return its report; ``step`` gets the report after every piece of work.

        Raises CommandError where an id matches nothing.
        """
        try:
            self._run(step)
        finally:
            self._ended = True
        return self.report()

    def run_aside(self) -> None:
        """Carry it out, keeping what ends it early as the report's problem."""
        try:
            self._run(lambda report: None)
        except Exception as error:  # noqa: BLE001
            # Shown on the page of the redrive, as there is no caller to raise it to.
            self._problem = problem_of(error) or CommandError(
                f"the redrive ended unexpectedly ({type(error).__name__})",
                do="look at what is left, then start it again",
            )
        finally:
            self._ended = True

    def _run(self, step: Callable[[RedriveReport], None]) -> None:
        queues = ParkedQueues.of(self._stack)
        until = time.monotonic() + HIDE - MARGIN
        with queues.opened(wanted=self._wanted) as found:
            if self.filters.one is not None and not found:
                raise NotFound(f"nothing parked has the id {self.filters.one}", do="see relay parked list")
            work = [p for p in found if self.filters.one is not None or p.reason != AMBIGUOUS]
            self._matching, self._skipped = len(found), len(found) - len(work)
            work = work[: self._at_most]
            self._total = len(work)
            step(self.report())
            for p in work:
                if self._stop.is_set() or time.monotonic() > until:
                    return
                try:
                    outcome = None if self._dry_run else redrive_one(self._stack, queues, p)
                except CommandError as error:
                    self._failed.append((p, error))
                else:
                    self._redriven.append((p, outcome))
                step(self.report())

    def _wanted(self, parked: Parked) -> bool:
        return self.filters.match(parked) and self._operation in (None, parked.operation)


class Redrives:
    """The redrives of one console, each in a thread of its own, one at a time; the latest ``KEPT`` are remembered."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[Redrive, threading.Thread]] = {}

    def start(self, filters: ParkedFilters, *, operation: str | None = None, at_most: int = AT_MOST) -> str:
        """Start a redrive and return its id. Raises CommandError while another one runs."""
        redrive = Redrive(self._stack, filters, operation=operation, at_most=at_most)
        with self._lock:
            if self.running() is not None:
                raise CommandError("another redrive is running", do="wait until it has ended; parked work shows it")
            job = secrets.token_hex(8)
            thread = threading.Thread(target=redrive.run_aside, name=f"redrive-{job}")
            self._jobs[job] = (redrive, thread)
            for old in list(self._jobs)[:-KEPT]:
                del self._jobs[old]
            thread.start()
        return job

    def get(self, job: str) -> RedriveReport:
        """Return how far a redrive is. Raises CommandError where this console started none of that id."""
        if job not in self._jobs:
            raise NotFound(
                "this console started no such redrive", do="see relay events list; a console forgets them when it ends"
            )
        return self._jobs[job][0].report()

    def running(self) -> str | None:
        """Return the id of the redrive that runs; None where there is none."""
        return next((job for job, (_, thread) in list(self._jobs.items()) if thread.is_alive()), None)

    def stop(self) -> None:
        """End what runs, after the piece of work that is being sent, and wait for it."""
        for redrive, thread in list(self._jobs.values()):
            redrive.stop()
            thread.join()
