"""The deployed template on the embedded services, reached over real HTTP: what a platform, a caller and a vendor
see.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest

from devkit.cli.running import RunningRelay
from devkit.sandbox.destinations import capillary
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.storage.table import unpack_item

SECRET = "fake-shopify-secret"
API_KEY = "fake-api-key"
SHOP = "acme.myshopify.com"
PATIENCE = 30.0
T = TypeVar("T")
_numbers = itertools.count(1)


class Relay:
    """One running stack, with what tests do to it."""

    def __init__(self, running: RunningRelay) -> None:
        self.running = running
        self.http = httpx.Client(timeout=30)
        self.state = running.state
        self.journal = Journal(
            running.stack.client("dynamodb"), self.state.environment["RELAY_JOURNAL_TABLE"], clock=lambda: 0.0
        )

    # -- set-up ---------------------------------------------------------------------------------------------------

    def connect(self, id: str, **destination: Any) -> str:
        """A Shopify shop joined to the sandbox's Capillary; every test has a connection and customers of its own."""
        data = {
            "source": {"platform": "shopify", "stores": [SHOP], "secrets": [{"value": SECRET}]},
            "destination": capillary(self.state.sandbox, per_minute=100_000, **destination),
            "default_country": "GB",
            "api_keys": [{"id": "e2e", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest()}],
        }
        self.put_connection(id, data)
        return id

    def put_connection(self, id: str, data: dict[str, Any]) -> None:
        secrets = self.running.stack.client("secretsmanager")
        name = f"{self.state.environment['RELAY_SECRETS_PREFIX']}/connections/{id}"
        secrets.create_secret(Name=name, SecretString=json.dumps(data))

    # -- what a platform does -------------------------------------------------------------------------------------

    def deliver(
        self,
        connection: str,
        topic: str,
        body: dict[str, Any] | bytes,
        *,
        secret: str | None = SECRET,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """A Shopify webhook. ``secret`` None sends no signature."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "content-type": "application/json",
            "x-shopify-topic": topic,
            "x-shopify-shop-domain": SHOP,
            "x-shopify-webhook-id": f"webhook-{next(_numbers)}",
            "x-shopify-triggered-at": "2026-11-21T12:00:00Z",
        }
        if secret is not None:
            digest = hmac.new(secret.encode(), raw, hashlib.sha256).digest()
            sent["x-shopify-hmac-sha256"] = base64.b64encode(digest).decode()
        return self.http.post(f"{self.state.api}/webhooks/{connection}", content=raw, headers=sent | (headers or {}))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """An API call with the connection's key."""
        sent = {"x-api-key": API_KEY} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, f"{self.state.api}{path}", json=body, headers=sent)

    # -- what can be seen -----------------------------------------------------------------------------------------

    def outcomes(self, connection: str, count: int) -> list[JournalEntry]:
        """The connection's final journal entries, once there are ``count``."""

        def final() -> list[JournalEntry] | None:
            found = [e for e in self._entries(connection) if e.result != "retrying"]
            return found if len(found) >= count else None

        return eventually(final, f"{count} outcomes of {connection}, seen: {self._entries(connection)}")

    def _entries(self, connection: str) -> list[JournalEntry]:
        dynamodb = self.running.stack.client("dynamodb")
        items = dynamodb.scan(
            TableName=self.state.environment["RELAY_JOURNAL_TABLE"],
            FilterExpression="#c = :c",
            ExpressionAttributeNames={"#c": "connection"},
            ExpressionAttributeValues={":c": {"S": connection}},
        )["Items"]
        return [JournalEntry.from_item(unpack_item(item) or {}) for item in items]

    def upstream(self, text: str) -> list[dict[str, Any]]:
        """The requests at the vendor whose path, query or body holds a text."""
        found = self.http.get(f"{self.state.sandbox}/_sandbox/requests").json()
        requests = found["requests"] if isinstance(found, dict) else found
        return [r for r in requests if text in json.dumps([r["path"], r.get("query"), r.get("body")])]

    def parked(self, queue: str) -> list[dict[str, Any]]:
        """What is in a dead-letter queue now, left there."""
        sqs = self.running.stack.client("sqs")
        got = sqs.receive_message(
            QueueUrl=self.state.outputs[f"{queue}ParkedQueueUrl"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            MessageAttributeNames=["All"],
        )
        return list(got.get("Messages", []))


def eventually(condition: Callable[[], T | None], what: str, within: float = PATIENCE) -> T:
    """The condition's first true value. Fails with ``what`` when there is none in time."""
    tick = threading.Event()
    for _ in range(int(within / 0.1)):
        found = condition()
        if found:
            return found
        tick.wait(0.1)
    raise AssertionError(f"not seen within {within} s: {what}")


@pytest.fixture(scope="session")
def relay() -> Iterator[Relay]:
    with RunningRelay.start() as running:
        relay = Relay(running)
        yield relay
        relay.http.close()


@pytest.fixture
def customer() -> dict[str, Any]:
    """A Shopify customer of this test alone."""
    number = next(_numbers)
    unique = f"{number}{id(object())}"
    return {
        "id": 700000000000 + number,
        "admin_graphql_api_id": f"gid://shopify/Customer/{700000000000 + number}",
        "email": f"e2e{unique}@example.com",
        "phone": None,
        "first_name": "Ana",
        "last_name": "Ames",
        "state": "enabled",
        "verified_email": True,
        "note": None,
        "created_at": "2026-11-21T07:00:00-05:00",
        "updated_at": "2026-11-21T07:00:00-05:00",
        "addresses": [],
    }
