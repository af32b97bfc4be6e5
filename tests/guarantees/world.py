"""What tests of guarantees do to the relay, and everything that can be seen of it afterwards."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from devkit.sandbox import destinations
from devkit.sandbox.server import SandboxServer
from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runs.run import Kind, Run
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.sources.base import Request
from loyalty_relay.triggers.api import answer
from loyalty_relay.triggers.hydrate import hydrate
from loyalty_relay.triggers.import_run import consume_runs
from loyalty_relay.triggers.queue import consume, consume_with
from loyalty_relay.triggers.webhook import Ingest
from tests.sources.samples import PLATFORMS, document
from tests.support.stack import OPERATIONS, Context, Stack

API_KEY = "fake-guarantees-api-key"
READ_APIS = ("bigcommerce", "clover", "lightspeed", "shopify", "square", "woocommerce")
"""Platforms whose own API the sandbox plays too."""


@dataclass
class World:
    """A stack in process and the vendors. Processes are warm: each function keeps its services until ``restart``."""

    stack: Stack
    vendors: SandboxServer
    control: httpx.Client
    later: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(operation, record) of what was reported as failed and comes back."""

    def __post_init__(self) -> None:
        self.stack.environment["RELAY_SANDBOX_HOSTS"] = self.vendors.url.removeprefix("http://")
        self.restart()

    def restart(self) -> None:
        """New processes: nothing is cached."""
        self.functions: dict[str, Services] = {name: self.stack.services(name) for name in (*OPERATIONS, "ingest")}
        self.ingest = Ingest(self.functions["ingest"])

    # -- set-up ---------------------------------------------------------------------------------------------------

    def destination(self, vendor: str) -> dict[str, Any]:
        """A destination at the sandbox, its limits out of the way."""
        make = destinations.capillary if vendor == "capillary" else destinations.kangaroo
        return make(self.vendors.url, per_minute=100_000)

    def connect(
        self, platform: str = "shopify", vendor: str = "capillary", id: str = "shop", **more: Any
    ) -> dict[str, Any]:
        """A connection whose source and destination the sandbox plays; its document, for changes."""
        data = document(platform, vendor)
        data["destination"] = self.destination(vendor) | more.pop("destination", {})
        if platform in READ_APIS:
            data["source"]["api_host"] = f"{self.vendors.url}/{platform}"
        data["default_country"] = "GB"
        data["api_keys"] = [{"id": "test", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest()}]
        data |= more
        self.stack.put_connection(id, data)
        return data

    def fault(self, *rules: Mapping[str, Any]) -> None:
        """Rules of the sandbox in place of the present ones."""
        self.control.put("/_sandbox/faults", json=list(rules)).raise_for_status()

    # -- what happens ---------------------------------------------------------------------------------------------

    def deliver(self, request: Request, to: str = "shop") -> dict[str, Any]:
        """A webhook as the gateway hands it to ingest -> the answer."""
        parameters = {"connection": to, **({"topic": request.topic} if request.topic else {})}
        return self.ingest.answer(
            {
                "version": "2.0",
                "rawPath": f"/webhooks/{to}",
                "headers": dict(request.headers),
                "queryStringParameters": dict(request.query),
                "pathParameters": parameters,
                "requestContext": {"http": {"method": request.method}},
                "body": base64.b64encode(request.body).decode(),
                "isBase64Encoded": True,
            }
        )

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        raw: str | None = None,
        to: str = "shop",
        **parameters: str,
    ) -> tuple[int, dict[str, Any]]:
        """An API request that the gateway has authorized -> status and body. ``path`` is the route's, after the
        connection.
        """
        event = {
            "version": "2.0",
            "routeKey": f"{method} /connections/{{connection}}{path}",
            "headers": {"content-type": "application/json", "x-api-key": API_KEY, **(headers or {})},
            "pathParameters": {"connection": to, **parameters},
            "isBase64Encoded": False,
            "body": raw if raw is not None else json.dumps(body),
        }
        operation = {
            "store-links": "link-store",
            "crm-fields": "crm-patch",
            "tags": "crm-patch",
            "sales": "transaction",
            "refunds": "transaction",
            "void": "transaction",
            "returns": "transaction",
            "{order_id}": "transaction",
        }.get(path.rpartition("/")[2], "register" if method == "POST" else "update")
        reply = answer(event, Context(30), operation, self.functions[operation])
        return reply["statusCode"], json.loads(reply["body"])

    def work(self, operation: str, records: list[dict[str, Any]], *, context: Context | None = None) -> int:
        """Hand records to a function; how many it reported as failed. Those are kept in ``later``."""
        services = self.functions[operation]
        event = {"Records": records}
        if operation == "hydrate":
            reply = consume_with(
                lambda envelope, deadline, attempts: hydrate(envelope, services, deadline),
                event,
                context or Context(30),
                operation,
                services,
            )
        elif operation == "import-run":
            reply = consume_runs(event, context or Context(30), services)
        else:
            reply = consume(event, context or Context(30), operation, services)
        failed = {item["itemIdentifier"] for item in reply["batchItemFailures"]}
        for record in records:
            services.sqs.delete_message(
                QueueUrl=services.settings.queue(operation), ReceiptHandle=record["receiptHandle"]
            )
            if record["messageId"] in failed:
                self.later.append((operation, record))
        return len(failed)

    def settle(self) -> None:
        """Work off every queue, hydrate first; what fails waits for ``again``."""
        for operation in ("hydrate", *(name for name in OPERATIONS if name != "hydrate")):
            while records := self.stack.receive(operation)["Records"]:
                self.work(operation, records)

    def again(self, *, after: float = 60.0) -> None:
        """What was postponed comes back, a while later; then whatever follows from it."""
        self.stack.clock.now += after
        waiting, self.later = self.later, []
        for operation, record in waiting:
            count = str(int(record["attributes"]["ApproximateReceiveCount"]) + 1)
            self.work(operation, [{**record, "attributes": {**record["attributes"], "ApproximateReceiveCount": count}}])
        self.settle()

    def run(self, kind: Kind = "import", *, to: str = "shop", receives: int = 60, **more: Any) -> Run:
        """A run of a connection to its end, as ``relay import`` starts it."""
        services = self.functions["import-run"]
        now = self.stack.clock.now
        run = Run(id=new_delivery_id(now), connection=to, kind=kind, started_at=now, **more)
        assert services.runs.begin(run)
        queue = self.stack.environment["RELAY_QUEUE_IMPORT_RUN"]
        self.stack.client("sqs").send_message(QueueUrl=queue, MessageBody=run.message(now).to_json())
        for _ in range(receives):
            self.settle()
            found = services.runs.get(to)
            if found is not None and found[0].status != "running":
                return found[0]
            self.again(after=30)
        raise AssertionError("the run does not end")

    # -- what can be seen -----------------------------------------------------------------------------------------

    def journal(self) -> list[JournalEntry]:
        return self.stack.entries()

    def outcomes(self) -> list[str]:
        """Results of the journal in the order of finishing."""
        return [entry.result.value for entry in sorted(self.journal(), key=lambda e: (e.finished_at, e.position))]

    def parked(self, operation: str) -> list[dict[str, Any]]:
        """What was parked, taken out of the queue."""
        return self.stack.messages(f"parked:{operation}")

    def upstream(self, *, writes: bool = False, vendor: str | None = None) -> list[Any]:
        """The requests that reached the vendors, those for tokens left out."""
        found = [r for r in self.vendors.sandbox.recorder.select(vendor=vendor) if "oauth" not in r.path]
        return [r for r in found if r.method in ("POST", "PUT", "PATCH")] if writes else found

    def members(self, vendor: str = "capillary") -> list[dict[str, Any]]:
        """The customers that the vendor has."""
        state = self.control.get(f"/_sandbox/state/{vendor}").json()
        found = state["customers"]
        return list(found.values()) if isinstance(found, dict) else found


def secret_of(platform: str) -> str:
    return str(PLATFORMS[platform]["secret"])


def redriven(message: dict[str, Any]) -> Envelope:
    """A parked command as ``relay redrive`` sends it again."""
    envelope = Envelope.from_json(message["Body"])
    return replace(envelope, redrives=envelope.redrives + 1)
