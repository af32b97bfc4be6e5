"""The plain function's queue records, made without loading the function."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

_numbers = itertools.count(1)


def batch(customers: Iterable[Mapping[str, Any]], connection: str) -> dict[str, Any]:
    """Return an SQS event with one message per customer."""
    return {"Records": [_record({"customer": dict(customer)}, connection) for customer in customers]}


def of_store(shop_id: str, connection: str) -> dict[str, Any]:
    """Return an SQS event with one message about a store."""
    return {"Records": [_record({"shop_id": shop_id, "name": "Harbour"}, connection)]}


def _record(about: Mapping[str, Any], connection: str) -> dict[str, Any]:
    number = next(_numbers)
    event_id = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    return {
        "messageId": f"00000000-0000-4000-9000-{number:012d}",
        "receiptHandle": f"receipt-{number}",
        "body": json.dumps({"event_id": event_id, "connection": connection, **about}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "awsRegion": "us-east-1",
    }
