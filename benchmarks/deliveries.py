"""What is measured with: signed Shopify deliveries of unknown customers, and the queue's records they become."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.stage import CAPILLARY, CHECKOUT, WEBHOOK_SECRET, Stage
from devkit.signing.shopify import sign
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.triggers.webhook import Ingest

NOW = 1_795_262_400.0
_SAMPLE = json.loads((CHECKOUT / "events/sources/shopify/customers-create.json").read_text())
_numbers = itertools.count(1)
_AREAS = (
    *(201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228),
    *(229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 272, 276, 281, 301),
)


def new_customer() -> dict[str, Any]:
    """Return a customer as Shopify sends one, with an id, an e-mail and a phone that no other has."""
    number = next(_numbers)
    return {
        **_SAMPLE["body"],
        "id": 7_100_000_000_000 + number,
        "admin_graphql_api_id": f"gid://shopify/Customer/{7_100_000_000_000 + number}",
        "email": f"bench{number}@example.com",
        "phone": _phone(number),
    }


def _phone(number: int) -> str | None:
    """Return a number for fiction (555-0100 to 555-0199 of every area code); None when all are used up."""
    area, line = divmod(number, 100)
    return f"+1{_AREAS[area]}5550{100 + line}" if area < len(_AREAS) else None


def later(customer: Mapping[str, Any], minutes: int, **changes: Any) -> dict[str, Any]:
    """Return the same customer, changed some minutes later (negative: earlier) than it was created."""
    created = datetime.fromisoformat(customer["created_at"])
    moment = (created + timedelta(minutes=minutes)).isoformat()
    return {**customer, **changes, "updated_at": moment}


def delivery(
    customer: Mapping[str, Any], topic: str = "customers/create", *, connection: str = CAPILLARY, id: str | None = None
) -> dict[str, Any]:
    """Return a signed delivery as the HTTP API hands it to ingest. ``id``: the event's; a new one by default."""
    body = json.dumps(customer).encode()
    number = f"{next(_numbers):012d}"
    headers = {
        **_SAMPLE["headers"],
        "X-Shopify-Topic": topic,
        "X-Shopify-Webhook-Id": f"b54557e4-bdd9-4b37-8a5f-{number}",
        "X-Shopify-Event-Id": id or f"98880550-7158-44d4-b7cd-{number}",
        "X-Shopify-Triggered-At": datetime.fromisoformat(customer["updated_at"]).astimezone(UTC).isoformat(),
    }
    return {
        "version": "2.0",
        "routeKey": "POST /webhooks/{connection}",
        "rawPath": f"/webhooks/{connection}",
        "headers": {k.lower(): v for k, v in sign(headers, body, secret=WEBHOOK_SECRET, url="", now=NOW).items()},
        "pathParameters": {"connection": connection},
        "requestContext": {"http": {"method": "POST"}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


class _Captured:
    """A substitute for ingest's queue client that keeps the messages."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.bodies += [entry["MessageBody"] for entry in Entries]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


def batch(stage: Stage, deliveries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the SQS event that an operation's function gets for these deliveries: ingest itself makes the messages."""
    captured = _Captured()
    services = Services(
        Settings.from_env(stage.function_environment("ingest")),
        clock=lambda: NOW,
        client=lambda service: captured if service == "sqs" else stage.client(service),
    )
    ingest = Ingest(services)
    for event in deliveries:
        answer = ingest.answer(event)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"a sample delivery got the status {answer['statusCode']}: {answer['body']}")
    return {"Records": [_record(body) for body in captured.bodies]}


def _record(body: str) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "messageId": f"00000000-0000-4000-8000-{number:012d}",
        "receiptHandle": f"receipt-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(NOW * 1000))},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "awsRegion": "us-east-1",
    }
