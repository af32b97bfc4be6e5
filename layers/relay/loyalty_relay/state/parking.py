"""Parking: what cannot succeed as it is goes to the operation's dead-letter queue, with everything needed to judge it.

A marker under the command's idempotency key is written after the message was sent, and looked for before: a second
copy of the event, or a crash before the record was acknowledged, parks nothing twice. A crash between message and
marker leaves two messages with one key; tools show and redrive them as one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from loyalty_relay.commands import Envelope
from loyalty_relay.errors import RelayError

KEPT = 30 * 86_400
"""Seconds a marker is kept: longer than the queue keeps the message, as long as an idempotency key."""


class Parking:
    """The dead-letter queue of one operation, and the markers of what is in it."""

    def __init__(self, sqs: Any, queue_url: str, dynamodb: Any, table: str, clock: Callable[[], float]) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def park(self, envelope: Envelope, error: RelayError, *, attempts: int) -> bool:
        """Send the command to the dead-letter queue unless it is there; True when it was sent now."""
        marker = {"pk": {"S": f"P#{envelope.key}"}}
        held = self._dynamodb.get_item(TableName=self._table, Key=marker, ConsistentRead=True)
        if "Item" in held:
            return False
        attributes = {
            "reason": error.reason,
            "code": error.code or "",
            "attempts": str(attempts),
            "delivery_id": envelope.delivery_id,
            "connection": envelope.connection,
            "key": envelope.key,
            "detail": str(error)[:500],
            "request_id": error.request_id or "",
        }
        self._send(envelope.to_json(), envelope.connection, attributes)
        self._dynamodb.put_item(
            TableName=self._table,
            Item={
                **marker,
                "delivery_id": {"S": envelope.delivery_id},
                "expires_at": {"N": str(int(self._clock()) + KEPT)},
            },
        )
        return True

    def park_unreadable(self, record: dict[str, Any], *, operation: str) -> None:
        """A message that is no envelope of ours: kept as it is."""
        attributes = {"reason": "unreadable", "operation": operation, "message_id": record["messageId"]}
        self._send(record["body"], "unreadable", attributes)

    def park_raw(self, body: dict[str, Any], connection: str, reason: str, delivery_id: str) -> None:
        """A verified delivery that could not be translated."""
        attributes = {"reason": reason, "connection": connection, "delivery_id": delivery_id}
        self._send(json.dumps(body, separators=(",", ":")), connection, attributes)

    def _send(self, body: str, group: str, attributes: dict[str, str]) -> None:
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=body,
            MessageGroupId=group,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            },
        )
