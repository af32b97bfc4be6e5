"""Functions' handlers over real tables (in process) and a CRM in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from loyalty_relay.runtime.wiring import Services
from loyalty_relay.triggers.api import answer
from loyalty_relay.triggers.queue import consume
from tests.pipeline.conftest import CONNECTION
from tests.support.crm import FakeCrm
from tests.support.stack import Context, Stack

API_KEY = "fake-api-key"


@dataclass
class Functions:
    """The operation functions of one stack, with one CRM behind all connections."""

    stack: Stack
    crm: FakeCrm

    def services(self, operation: str) -> Services:
        return self.stack.services(operation, crm=lambda connection: self.crm)

    def call(
        self,
        route: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        operation: str = "register",
        raw: str | None = None,
        seconds: float = 30,
        **path: str,
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """One API request as the gateway hands it over -> status, body, headers."""
        event = {
            "version": "2.0",
            "routeKey": route,
            "headers": {"content-type": "application/json", **(headers or {})},
            "pathParameters": {"connection": "shop-1", **path},
            "isBase64Encoded": False,
        }
        if raw is not None or body is not None:
            event["body"] = raw if raw is not None else json.dumps(body)
        reply = answer(event, Context(seconds), operation, self.services(operation))
        return reply["statusCode"], json.loads(reply["body"]), reply["headers"]

    def consume(self, operation: str, *, seconds: float = 30, receives: int | None = None) -> dict[str, Any]:
        """Receive up to ten messages, for the ``receives``-th time, and hand them to the operation's function;
        acknowledged ones are deleted.
        """
        event = self.stack.receive(operation)
        for message in event["Records"] if receives else ():
            message["attributes"]["ApproximateReceiveCount"] = str(receives)
        if not event["Records"]:
            return {"batchItemFailures": []}
        services = self.services(operation)
        reply = consume(event, Context(seconds), operation, services)
        failed = {item["itemIdentifier"] for item in reply["batchItemFailures"]}
        for message in event["Records"]:
            if message["messageId"] not in failed:
                services.sqs.delete_message(
                    QueueUrl=services.settings.queue(operation), ReceiptHandle=message["receiptHandle"]
                )
        return reply


@pytest.fixture
def functions(stack: Stack) -> Functions:
    key = {"id": "pos", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest()}
    stack.put_connection("shop-1", {**CONNECTION, "api_keys": [key]})
    return Functions(stack, FakeCrm())


Caller = Callable[..., tuple[int, dict[str, Any], dict[str, str]]]
