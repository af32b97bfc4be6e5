"""AWS requests per event: the real services on real tables and queues, every request counted.

Each scenario runs twice on different customers, and the second time counts: what is read once per process (a
connection, the digest key, a circuit) is not a cost of an event.
"""

from __future__ import annotations

import importlib
import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.counting import Meter, Requests, Units
from benchmarks.deliveries import batch, delivery, later, new_customer
from benchmarks.stage import CAPILLARY, CHECKOUT, KANGAROO, LIMITED, Stage
from devkit.localstack.template import read
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.triggers.queue import consume
from loyalty_relay.triggers.webhook import Ingest

DYNAMODB = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "TransactWriteItems", "BatchGetItem")


class Context:
    """Lambda's context, as far as functions look at it."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass(frozen=True, slots=True)
class Counted:
    """What one invocation took of AWS and of the vendor, and what it logged."""

    requests: Counter[str]
    units: Units
    upstream: int
    outcomes: Counter[str]
    log_bytes: int
    pacing: int = 0
    """Of the requests to DynamoDB, those for pacing and counts: of a batch, not of an event."""
    stored_bytes: Mapping[str, float] = field(default_factory=dict)
    """Bytes of the items written, by table."""

    @property
    def dynamodb(self) -> int:
        return sum(self.requests[name] for name in DYNAMODB)


@dataclass
class Bench:
    """Our functions in this process, with counted clients."""

    stage: Stage
    requests: Requests = field(default_factory=Requests)

    def __post_init__(self) -> None:
        # Not ahead of the real one: what is measured after this goes on with the same tables.
        self._now = time.time()
        tables = read((CHECKOUT / "template.yaml").read_text())["Resources"]
        self.meter = Meter(
            self.stage.client("dynamodb"),
            {name: tables[f"{name}Table"]["Properties"] for name in ("Idempotency", "State", "Journal")},
        )
        self._clients: dict[str, Any] = {}
        self._services = {name: self._new_services(name) for name in ("ingest", "register", "update", "crm-patch")}
        self._ingest = Ingest(self._services["ingest"])

    def ingest(self, event: dict[str, Any]) -> Counted:
        """Run one delivery."""

        def run() -> None:
            answer = self._ingest.answer(event)
            if answer["statusCode"] != 200:
                raise RuntimeError(f"a sample delivery got the status {answer['statusCode']}")

        # No other delivery shares what ingest writes.
        return replace(self._counted(run), pacing=0)

    def consume(self, operation: str, deliveries: Iterable[dict[str, Any]], *, failing: int = 0) -> Counted:
        """Run one batch of an operation, as its queue would deliver what ingest makes of these deliveries.

        ``failing``: how many of them have to come back.
        """
        with redirect_stdout(io.StringIO()):
            event = batch(self.stage, deliveries)

        def run() -> None:
            failed = consume(event, Context(), operation, self._services[operation])["batchItemFailures"]
            if len(failed) != failing:
                raise RuntimeError(f"{len(failed)} records of {operation} did not succeed")

        return self._counted(run)

    def _counted(self, run: Callable[[], None]) -> Counted:
        self.stage.upstream()
        self.requests.take()
        self.meter.take()
        output = io.StringIO()
        with redirect_stdout(output):
            run()
        pacing, stored = self.meter.pacing, self.meter.stored()
        log = output.getvalue()
        outcomes = Counter(part.split('"')[0] for line in log.splitlines() for part in line.split('"outcome":"')[1:2])
        return Counted(
            self.requests.take(),
            self.meter.take(),
            self.stage.upstream(),
            outcomes,
            len(log.encode()),
            pacing,
            stored,
        )

    def _new_services(self, operation: str) -> Services:
        # The clock is fixed: what is read again every few seconds or minutes is not a cost of an event, and whether
        # such a moment falls into a measurement would be chance.
        return Services(
            Settings.from_env(self.stage.function_environment(operation)), clock=lambda: self._now, client=self._client
        )

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            client = self.requests.watch(self.stage.new_client(service))
            self._clients[service] = self.meter.watch(client) if service == "dynamodb" else client
        return self._clients[service]


def scenarios(bench: Bench) -> dict[str, Counted]:
    """Run every kind of event once, warm."""
    found: dict[str, Counted] = {}
    for _ in range(2):
        customer = new_customer()
        found["delivery"] = bench.ingest(delivery(customer))
        found["delivery, ignored"] = bench.ingest(delivery(customer, "app/scopes_update"))
        found["register"] = bench.consume("register", [delivery(customer)])
        changed = later(customer, 5, first_name="Bea")
        update = delivery(changed, "customers/update")
        found["update"] = bench.consume("update", [update])
        found["duplicate"] = bench.consume("update", [update])
        same = later(customer, 6, first_name="Bea")
        found["unchanged"] = bench.consume("update", [delivery(same, "customers/update")])
        older = later(customer, 2, first_name="Old")
        found["stale"] = bench.consume("update", [delivery(older, "customers/update")])
        linked = new_customer()
        found["crm-patch, first"] = bench.consume("crm-patch", [delivery(linked, connection=KANGAROO)])
        patched = later(linked, 5, first_name="Bea")
        found["crm-patch"] = bench.consume("crm-patch", [delivery(patched, "customers/update", connection=KANGAROO)])
        first, second = (delivery(new_customer(), connection=LIMITED) for _ in range(2))
        if "waits" not in found:
            bench.consume("register", [first])
        found["waits"] = bench.consume("register", [second], failing=1)
        many = [new_customer() for _ in range(10)]
        found["10 registers"] = bench.consume("register", [delivery(one) for one in many])
        changes = [later(one, 5, first_name="Bea") for one in many]
        found["10 updates"] = bench.consume("update", [delivery(one, "customers/update") for one in changes])
    _expect(found)
    return found


def _expect(found: dict[str, Counted]) -> None:
    """Raise RuntimeError when a scenario did not end as its name states: its number would mislead."""
    wanted = {"delivery": "accepted", "delivery, ignored": "ignored"}
    wanted["waits"] = "retrying"
    wanted |= {name: name for name in ("duplicate", "unchanged", "stale")}
    for name, counted in found.items():
        expected = wanted.get(name, "applied")
        if set(counted.outcomes) != {expected}:
            raise RuntimeError(f"the scenario {name!r} should end {expected}, and ended {dict(counted.outcomes)}")


def plain(stage: Stage) -> dict[str, Counted]:
    """Return the same scenarios the plain way, as far as it supports them."""
    os.environ |= stage.function_environment("register")
    # Powertools' logger keeps the stream that was there when it was made.
    output = io.StringIO()
    with redirect_stdout(output):
        app = importlib.import_module("benchmarks.plain.app")
    requests = Requests()
    for client in (app.dynamodb.meta.client, app.sqs, app.persistence.client):
        requests.watch(client)
    found: dict[str, Counted] = {}

    def counted(name: str, handler: Callable[[Any, Any], Any], event: Any) -> None:
        stage.upstream()
        requests.take()
        output.truncate(0)
        with redirect_stdout(output):
            handler(event, Context())
        log = output.getvalue()
        found[name] = Counted(requests.take(), Units(), stage.upstream(), Counter(), len(log.encode()))

    for _ in range(2):
        customer = new_customer()
        counted("delivery", app.ingest, delivery(customer))
        counted("register", app.register, plain_batch([customer]))
        changed = later(customer, 5, first_name="Bea")
        counted("update", app.register, plain_batch([changed]))
        counted("duplicate", app.register, plain_batch([changed]))
        counted("stale", app.register, plain_batch([later(customer, 2, first_name="Old")]))
        counted("10 registers", app.register, plain_batch([new_customer() for _ in range(10)]))
    return found


def plain_batch(customers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the plain function's SQS event."""
    from benchmarks.plain import messages

    return messages.batch(customers, CAPILLARY)
