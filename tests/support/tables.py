"""A clock that is moved by hand, the tables, and a client that counts and can fail."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.customers.records import Records
from loyalty_relay.reliability.journal import Journal
from loyalty_relay.storage.digests import Digests
from tests.support.faster_moto import table_of_moto

IDEMPOTENCY, STATE, JOURNAL = "idempotency", "state", "journal"
START = 1_800_000_000.0
LEASE = 45.0


class Clock:
    """Epoch seconds; sleeping moves it."""

    def __init__(self, now: float = START) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Crash(BaseException):
    """The process dies here."""


class Counted:
    """A client that records the names of its calls; ``fail`` and ``crash`` break chosen ones."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.calls: list[str] = []
        self.before: Callable[[str, dict[str, Any]], None] | None = None
        self.after: Callable[[str, dict[str, Any]], None] | None = None

    @property
    def meta(self) -> Any:
        return self.client.meta

    def reset(self) -> None:
        self.calls.clear()

    def fail(self, code: str | None = None, *, only: str | None = None) -> None:
        """Every call (or ``only`` one operation) fails from now on: with an AWS code, or without any answer."""

        def before(name: str, arguments: dict[str, Any]) -> None:
            if only is None or name == only:
                raise refusal(code, name)

        self.before = before

    def heal(self) -> None:
        self.before = self.after = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        if name.startswith("_") or name in ("get_paginator", "exceptions", "can_paginate"):
            return method

        def call(**arguments: Any) -> Any:
            self.calls.append(name)
            if self.before is not None:
                self.before(name, arguments)
            answer = method(**arguments)
            if self.after is not None:
                self.after(name, arguments)
            return answer

        return call


def make_customers(dynamodb: Any, clock: Clock) -> CustomerLedger:
    numbers = count()
    return CustomerLedger(
        Records(
            dynamodb,
            STATE,
            Digests(b"fake-digest-key-for-tests"),
            journal=Journal(dynamodb, JOURNAL, clock=clock),
            clock=clock,
            lease_seconds=LEASE,
            new_token=lambda: f"token-{next(numbers)}",
            sleep=clock.sleep,
        )
    )


def refusal(code: str | None, operation: str) -> Exception:
    if code is None:
        lost: Exception = EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")
        return lost
    refused: Exception = ClientError({"Error": {"Code": code, "Message": "raised by the test"}}, operation)
    return refused


def make_tables(client: Any) -> None:
    """The three tables, with the keys and indexes that the template gives them, where a client's requests find them."""
    table_of_moto(
        IDEMPOTENCY,
        region=client.meta.region_name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    table_of_moto(
        STATE,
        region=client.meta.region_name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "store", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_store",
                "KeySchema": [{"AttributeName": "store", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    table_of_moto(
        JOURNAL,
        region=client.meta.region_name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "delivery_id", "AttributeType": "S"},
            {"AttributeName": "position", "AttributeType": "N"},
            {"AttributeName": "connection_day", "AttributeType": "S"},
            {"AttributeName": "customer", "AttributeType": "S"},
            {"AttributeName": "sort", "AttributeType": "S"},
            {"AttributeName": "unfinished", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "delivery_id", "KeyType": "HASH"},
            {"AttributeName": "position", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [
                    {"AttributeName": key, "KeyType": "HASH"},
                    {"AttributeName": "sort", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": projection},
            }
            for name, key, projection in (
                ("by_connection", "connection_day", "ALL"),
                ("by_customer", "customer", "ALL"),
                ("by_unfinished", "unfinished", "KEYS_ONLY"),
            )
        ],
    )


def clear(client: Any) -> None:
    """Empty the three tables."""
    for table, keys in ((STATE, ("pk",)), (JOURNAL, ("delivery_id", "position")), (IDEMPOTENCY, ("id",))):
        for item in client.scan(TableName=table)["Items"]:
            client.delete_item(TableName=table, Key={k: item[k] for k in keys})
