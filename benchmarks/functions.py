"""What is measured as a process: our functions as they are built, the yardsticks, and the plain way."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.deliveries import batch, delivery, new_customer
from benchmarks.plain import messages
from benchmarks.processes import Function
from benchmarks.stage import CAPILLARY, KANGAROO, Stage
from devkit.runtime import Built

_HERE = Path(__file__).parent
Events = Callable[[int], Sequence[dict[str, Any]]]


class Catalogue:
    """The functions of one stage. ``plain_layer``: the same packages as SAM's own builder ships them."""

    def __init__(self, built: Built, plain_layer: Path, stage: Stage) -> None:
        self._built, self._plain_layer, self._stage = built, plain_layer, stage

    def for_starts(self) -> list[Function]:
        """Return those whose start-up is compared, with the event that their first invocation gets."""
        nothing: Events = lambda n: [{}] * n  # noqa: E731
        return [
            self._yardstick("empty", nothing),
            self._yardstick("reference", nothing),
            self.ingest(),
            self._yardstick("snapshot", _deliveries),
            self.operation("register", 1),
            self.operation("crm_patch", 1, connection=KANGAROO),
            self.plain("ingest", _deliveries, bare=False),
            self.plain("register", self._plain_batches(1), bare=False),
            self.plain("register", self._plain_batches(1), bare=True),
        ]

    def ingest(self) -> Function:
        return self._ours("ingest", "ingest", _deliveries)

    def operation(self, folder: str, records: int, connection: str = CAPILLARY) -> Function:
        """Return an operation's function, each of its events a batch of so many new customers."""
        return self._ours(folder, folder.replace("_", "-"), self._batches(records, connection))

    def plain(self, handler: str, events: Events, *, bare: bool) -> Function:
        """Return the plain function; ``bare`` as SAM builds it, else with our packages and bytecode."""
        return Function(
            name=f"plain {handler}{', as SAM builds it' if bare else ''}",
            folder=_HERE / "plain",
            handler=f"app.{handler}",
            layer=self._plain_layer if bare else self._built.layer,
            python=self._built.python,
            operation="register",
            events=events,
        )

    def plain_register(self, records: int) -> Function:
        return self.plain("register", self._plain_batches(records), bare=False)

    def plain_ingest(self) -> Function:
        return self.plain("ingest", _deliveries, bare=False)

    def _ours(self, folder: str, operation: str, events: Events) -> Function:
        function = self._built.functions[folder]
        return Function(
            name=folder,
            folder=function.folder,
            handler=function.handler,
            layer=self._built.layer,
            python=self._built.python,
            operation=operation,
            events=events,
        )

    def _yardstick(self, name: str, events: Events) -> Function:
        return Function(
            name=name,
            folder=_HERE / name,
            handler="app.handler",
            layer=self._built.layer,
            python=self._built.python,
            operation="ingest",
            events=events,
        )

    def _batches(self, records: int, connection: str) -> Events:
        def events(count: int) -> list[dict[str, Any]]:
            with redirect_stdout(io.StringIO()):
                return [
                    batch(self._stage, [delivery(new_customer(), connection=connection) for _ in range(records)])
                    for _ in range(count)
                ]

        return events

    @staticmethod
    def _plain_batches(records: int) -> Events:
        return lambda count: [messages.batch([new_customer() for _ in range(records)], CAPILLARY) for _ in range(count)]


def _deliveries(count: int) -> list[dict[str, Any]]:
    return [delivery(new_customer()) for _ in range(count)]
