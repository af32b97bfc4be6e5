"""Everything that outlives a process of the relay, recorded step by step in a form that is equal in every run."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from devkit.sandbox.server import HOST, SandboxServer
from loyalty_relay.http.sockets import close_shared_pool
from tests.guarantees.world import World
from tests.sources.samples import Sample
from tests.support.stack import OPERATIONS, REGION, START, stack_in_process

WIDTH = 118
PORT = 9
"""Where the relay finds the vendors: keys of items are digests that include the vendor's host and port."""
TABLES = ("state", "idempotency", "journal")
KEYS = ("pk", "id", "delivery_id", "position")
"""Names of key attributes of these tables."""
REAL_TIMES = ("expiration", "in_progress_expiration")
"""Attributes that Powertools fills in by the real clock."""
HOP = ("accept-encoding", "connection", "content-length", "host", "user-agent")
"""Headers that belong to the HTTP library, or follow from the rest."""
TOKENS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b(?:[0-9a-f]{16}){1,2}\b")
JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
GRANTED = ("access_token", "refresh_token")


class Vendors(SandboxServer):
    """The sandbox on a free port, known to the relay by an address that does not change."""

    @property
    def url(self) -> str:
        """Return the address that connections hold."""
        return f"http://{HOST}:{PORT}"

    @property
    def real_url(self) -> str:
        """Return the address at which it listens."""
        return super().url


@contextmanager
def vendors(clock: Callable[[], float]) -> Iterator[Vendors]:
    """Run the sandbox; this process's connections to its fixed address reach it."""
    with pytest.MonkeyPatch.context() as patch, Vendors(clock=clock) as server:
        really = socket.create_connection
        real = httpx.URL(server.real_url)

        def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
            return really((HOST, real.port or 0) if address == (HOST, PORT) else address, *args, **kwargs)

        patch.setattr(socket, "create_connection", connect)
        close_shared_pool()
        yield server
        close_shared_pool()


class Random:
    """Placeholders for what was drawn at random, numbered in the order in which the record mentions them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._drawn: set[str] = set()
        self._granted: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._really = os.urandom
        patch.setattr(os, "urandom", self._urandom)

    def _urandom(self, size: int) -> bytes:
        drawn = self._really(size)
        if size == 16:
            uuid = UUID(bytes=drawn, version=4)
            self._drawn |= {str(uuid), uuid.hex, uuid.hex[:16]}
        return drawn

    def grant(self, token: str, name: str) -> None:
        """Replace an access or refresh token of a vendor wherever it appears."""
        self._granted.setdefault(token, f"<{name} {len(self._granted) + 1}>")

    def replaced(self, value: Any, *, numbered: bool = True) -> Any:
        """Return the value with placeholders; without numbers where it only decides about an order."""
        if isinstance(value, dict):
            return {self.replaced(k, numbered=numbered): self.replaced(v, numbered=numbered) for k, v in value.items()}
        if isinstance(value, list):
            return [self.replaced(v, numbered=numbered) for v in value]
        if not isinstance(value, str):
            return value
        value = JWT.sub("<jwt>", value)
        for token, name in self._granted.items():
            value = value.replace(token, name)
        return TOKENS.sub(lambda match: self._placeholder(match[0], numbered), value)

    def _placeholder(self, text: str, numbered: bool) -> str:
        kind = "delivery" if _is_delivery_id(text) else "token" if text in self._drawn else ""
        if not kind:
            return text
        if not numbered:
            return f"<{kind}>"
        count = sum(name.startswith(f"<{kind}") for name in self._names.values())
        return self._names.setdefault(text, f"<{kind} {count + 1}>")


def _is_delivery_id(text: str) -> bool:
    if len(text) != 36:
        return False
    uuid = UUID(text)
    return uuid.version == 7 and 0 <= (uuid.int >> 80) / 1000 - START < 86_400


class RecordingSqs:
    """A client of SQS that keeps what is sent and what is hidden for a while."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.sent: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send_message(self, **message: Any) -> Any:
        self._keep(message["QueueUrl"], message)
        return self._client.send_message(**message)

    def send_message_batch(self, **batch: Any) -> Any:
        for entry in batch["Entries"]:
            self._keep(batch["QueueUrl"], entry)
        return self._client.send_message_batch(**batch)

    def change_message_visibility_batch(self, **batch: Any) -> Any:
        self.sent += [{"hidden_for": entry["VisibilityTimeout"]} for entry in batch["Entries"]]
        return self._client.change_message_visibility_batch(**batch)

    def _keep(self, url: str, message: dict[str, Any]) -> None:
        rest = {name: value for name, value in message.items() if name not in ("Id", "QueueUrl", "MessageBody")}
        queue = re.sub(r"-\d+$", "", url.rpartition("/")[2])
        self.sent.append({"queue": queue, **rest, "body": json.loads(message["MessageBody"])})


@dataclass
class Recorder:
    """A world whose steps are recorded. What works side by side in production works one after the other here."""

    world: World
    random: Random
    sqs: RecordingSqs
    steps: dict[str, Any] = field(default_factory=dict)
    _items: dict[str, dict[str, Any]] = field(default_factory=lambda: {table: {} for table in TABLES})

    def deliver(self, sample: Sample) -> None:
        """Record a webhook and everything that follows from it."""
        now = self.world.stack.clock.now
        request = sample.signed(now=now) if sample.method == "POST" else sample.unsigned()
        answer = self.world.deliver(request)
        self.step(f"deliver {sample.name}", {"statusCode": answer["statusCode"], "body": answer.get("body")})

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Record an API call and everything that follows from it."""
        status, answer = self.world.call(method, path, body, **more)
        self.step(f"{method} {path}", {"status": status, "body": answer})
        return answer

    def again(self, *, after: float) -> None:
        """Record what happens when everything that was postponed is received again."""
        self.world.again(after=after)
        self.step(f"again after {after:g} s", None)

    def step(self, name: str, answer: Any) -> None:
        """Work off the queues and record what has changed."""
        for message in self.sqs.sent:  # grows meanwhile
            if (queue := message.get("queue")) in OPERATIONS:
                self.world.work(queue, self.world.stack.receive(queue, 1)["Records"])
        secrets = self._secrets()
        requests = self.world.vendors.sandbox.recorder.requests
        upstream = [self._request(request.as_json()) for request in requests]
        requests.clear()
        sent, self.sqs.sent = self.sqs.sent, []
        changed = {table: self._changed(table) for table in TABLES}
        found = {"answer": answer, "sent": sent, "upstream": upstream, **changed, "secrets": secrets}
        name = f"{len(self.steps) + 1:02} {name}"
        self.steps[name] = self.random.replaced({key: value for key, value in found.items() if value})
        self.world.stack.clock.now += 1.0

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        names = ("vendor", "method", "path", "query", "body", "status")
        headers = {name: value for name, value in request["headers"].items() if name not in HOP}
        return {name: request[name] for name in names if request[name]} | {"headers": headers}

    def _changed(self, table: str) -> list[Any]:
        """Return the items that are new or different, and the keys of those that were removed."""
        before = self._items[table]
        now = {}
        tables = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables
        # A scan of every table after every step takes longer than all the rest.
        for held in tables[self.world.stack.environment[f"RELAY_{table.upper()}_TABLE"]].all_items():
            item = held.to_json()["Attributes"]
            if item.get("delivery_id", {}).get("S", "").startswith("counts#"):
                # Every delivery changes one; tests/reliability has their contents.
                continue
            item |= {name: "<real time>" for name in REAL_TIMES if table == "idempotency" and name in item}
            if "receipt" in item:
                item["receipt"] = "<receipt>"
            now[json.dumps({name: item[name] for name in KEYS if name in item}, sort_keys=True)] = item
        self._items[table] = now
        found = [item for key, item in now.items() if before.get(key) != item]
        found += [{"removed": json.loads(key)} for key in before if key not in now]
        return sorted(found, key=lambda item: json.dumps(self.random.replaced(item, numbered=False), sort_keys=True))

    def _secrets(self) -> list[Any]:
        """Return all secrets' names, once there is another one, and what the relay itself wrote."""
        client = self.world.stack.clients["secretsmanager"]
        found: list[Any] = []
        for listed in client.list_secrets()["SecretList"]:
            name = listed["Name"]
            if "/tokens/" in name:
                value = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
                for kind in GRANTED:
                    if value.get(kind):
                        self.random.grant(value[kind], kind)
                found.append({"name": name, "value": value})
            else:
                found.append({"name": name})
        found.sort(key=lambda secret: str(secret["name"]))
        known, self._known = getattr(self, "_known", None), json.dumps(found)
        return [] if known == self._known else found


@contextmanager
def recorder() -> Iterator[Recorder]:
    """An empty relay and vendors as new, on one clock."""
    with (
        pytest.MonkeyPatch.context() as patch,
        stack_in_process() as stack,
        vendors(stack.clock) as server,
        httpx.Client(base_url=server.real_url, timeout=30) as control,
    ):
        sqs = RecordingSqs(stack.clients["sqs"])
        stack.clients["sqs"] = sqs
        yield Recorder(World(stack, server, control), Random(patch), sqs)


def pretty(value: Any, indent: str = "") -> str:
    """Return JSON with sorted keys that breaks lines only where they would be too long."""
    line = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(indent) + len(line) <= WIDTH or not value or not isinstance(value, dict | list):
        return line
    inner = partial(pretty, indent=indent + " ")
    if isinstance(value, dict):
        members = [f"{json.dumps(name, ensure_ascii=False)}: {inner(value[name])}" for name in sorted(value)]
    else:
        members = [inner(member) for member in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{indent} " + f",\n{indent} ".join(members) + f"\n{indent}{closing}"
