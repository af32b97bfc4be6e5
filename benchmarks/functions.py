"""What is measured as a process: our functions as they are built, the yardsticks, and the plain way."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.deliveries import batch, delivery, new_customer
from benchmarks.plain import messages
from benchmarks.processes import Function
from benchmarks.stage import API_KEY, CAPILLARY, CHECKOUT, KANGAROO, THIN, Stage
from devkit.localstack.template import read
from devkit.runtime import Built

_HERE = Path(__file__).parent
_SAMPLES = CHECKOUT / "events"
Events = Callable[[int], Sequence[dict[str, Any]]]
_numbers = itertools.count(1)

STARTED = ("ingest", "register", "update", "crm_patch", "link_store", "hydrate", "authorize")
"""The functions whose start-up is measured."""

NOT_STARTED = ("transaction", "import_run")
"""Those without a plain way to compare with: they came later."""


class Catalogue:
    """The functions of one stage. ``plain_layers``: as ``processes.plain_layers`` returns them."""

    def __init__(self, built: Built, plain_layers: tuple[Path, Path], stage: Stage) -> None:
        self._built, self._plain_layers, self._stage = built, plain_layers, stage
        template = read((CHECKOUT / "template.yaml").read_text())
        self._memory: dict[str, int] = {
            Path(resource["Properties"]["CodeUri"]).name: resource["Properties"].get(
                "MemorySize", template["Globals"]["Function"]["MemorySize"]
            )
            for resource in template["Resources"].values()
            if resource["Type"] == "AWS::Serverless::Function"
        }

    def pairs(self) -> dict[str, tuple[Function, Function]]:
        """Return every function and the plain way of the same job, with the event that their first invocation gets."""
        customers = self._plain_batches(1)
        ours_and_plain: dict[str, tuple[Function, Events]] = {
            "ingest": (self.ingest(), _deliveries),
            "register": (self.operation("register", 1), customers),
            "update": (self._ours("update", "update", self._batches(1, CAPILLARY, "customers/update")), customers),
            "crm_patch": (self.operation("crm_patch", 1, connection=KANGAROO), self._plain_batches(1, KANGAROO)),
            "link_store": (self._ours("link_store", "link-store", _stores), _plain_stores),
            "hydrate": (self._ours("hydrate", "hydrate", _thin), _plain_thin),
            "authorize": (self._ours("authorize", "ingest", _calls), _calls),
        }
        return {
            name: (ours, self.plain("register" if name == "update" else name, events, memory=ours.memory, of=name))
            for name, (ours, events) in ((name, ours_and_plain[name]) for name in STARTED)
        }

    def for_starts(self) -> list[Function]:
        """Return those whose start-up is compared: all pairs, the yardsticks, and the plain way as SAM builds it."""
        nothing: Events = lambda n: [{}] * n  # noqa: E731
        return [
            self._yardstick("empty", nothing),
            self._yardstick("reference", nothing),
            self._yardstick("snapshot", _deliveries),
            *(one for pair in self.pairs().values() for one in pair),
            self.plain("register", self._plain_batches(1), bare=True),
        ]

    def ingest(self) -> Function:
        return self._ours("ingest", "ingest", _deliveries)

    def operation(self, folder: str, records: int, connection: str = CAPILLARY) -> Function:
        """Return an operation's function, each of its events a batch of so many new customers."""
        return self._ours(folder, folder.replace("_", "-"), self._batches(records, connection))

    def plain(
        self, handler: str, events: Events, *, bare: bool = False, memory: int | None = None, of: str = ""
    ) -> Function:
        """Return a plain function.

        ``bare``: as SAM builds it, else with bytecode. ``of``: the function that it is compared with.
        """
        return Function(
            name=f"plain {of or handler}{', as SAM builds it' if bare else ''}",
            folder=_HERE / "plain",
            handler=f"app.{handler}",
            layer=self._plain_layers[0 if bare else 1],
            python=self._built.python,
            operation="register",
            events=events,
            memory=memory or self._memory[handler],
        )

    def plain_register(self, records: int) -> Function:
        return self.plain("register", self._plain_batches(records))

    def plain_ingest(self) -> Function:
        return self.plain("ingest", _deliveries)

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
            memory=self._memory[folder],
        )

    def _yardstick(self, name: str, events: Events) -> Function:
        return replace(self._ours("ingest", "ingest", events), name=name, folder=_HERE / name, handler="app.handler")

    def _batches(self, records: int, connection: str, topic: str = "customers/create") -> Events:
        def events(count: int) -> list[dict[str, Any]]:
            with redirect_stdout(io.StringIO()):
                return [
                    batch(self._stage, [delivery(new_customer(), topic, connection=connection) for _ in range(records)])
                    for _ in range(count)
                ]

        return events

    @staticmethod
    def _plain_batches(records: int, connection: str = CAPILLARY) -> Events:
        return lambda count: [
            messages.batch([new_customer() for _ in range(records)], connection) for _ in range(count)
        ]


def _deliveries(count: int) -> list[dict[str, Any]]:
    return [delivery(new_customer()) for _ in range(count)]


def _samples(path: str, connection: str, **changed: str) -> dict[str, Any]:
    """Return the sample event of a queue with another connection, another event id and these texts replaced."""
    event: dict[str, Any] = json.loads((_SAMPLES / path).read_text())
    (record,) = event["Records"]
    body = json.loads(record["body"])
    body["connection"] = connection
    body["event"]["id"] = f"bench-{next(_numbers)}"
    body["command"] |= changed
    return {"Records": [record | {"body": json.dumps(body)}]}


def _stores(count: int) -> list[dict[str, Any]]:
    return [_samples("link_store/sqs.json", KANGAROO, shop_id=_shop()) for _ in range(count)]


def _thin(count: int) -> list[dict[str, Any]]:
    return [_samples("hydrate/sqs.json", THIN) for _ in range(count)]


def _plain_stores(count: int) -> list[dict[str, Any]]:
    return [messages.of_store(_shop(), KANGAROO) for _ in range(count)]


def _plain_thin(count: int) -> list[dict[str, Any]]:
    return [messages.of_store("LDEMO00000001", THIN) for _ in range(count)]


def _shop() -> str:
    return f"bench-shop-{next(_numbers)}"


def _calls(count: int) -> list[dict[str, Any]]:
    event: dict[str, Any] = json.loads((_SAMPLES / "authorize/api.json").read_text())
    event["headers"]["x-api-key"] = API_KEY
    event["pathParameters"]["connection"] = CAPILLARY
    return [event] * count
