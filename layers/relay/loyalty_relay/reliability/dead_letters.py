"""Parking: what cannot succeed as it is goes to the operation's dead-letter queue, with everything needed to judge it.

A marker under the command's idempotency key is written after the message was sent, and looked for before: a second
copy of the event, or a crash before the record was acknowledged, parks nothing twice. A crash between message and
marker leaves two messages with one key; tools show and redrive them as one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.errors import RelayError

KEPT = 13 * 86_400
"""Seconds a marker is kept: less than the 14 days for which the queue keeps the message it speaks of."""


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
        if self._is_parked(envelope.key):
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
        self._mark(envelope.key, envelope.delivery_id)
        return True

    def park_unreadable(self, record: dict[str, Any], *, operation: str) -> None:
        """A message that is no envelope of ours: kept as it is."""
        attributes = {"reason": "unreadable", "operation": operation, "message_id": record["messageId"]}
        self._send(record["body"], "unreadable", attributes)

    def park_raw(self, body: dict[str, Any], connection: str, reason: str, delivery_id: str, fingerprint: str) -> bool:
        """A verified delivery that could not be translated, unless a copy of it is there; True when it was sent now.

        ``fingerprint``: equal for every copy of the delivery.
        """
        if self._is_parked(fingerprint):
            return False
        attributes = {"reason": reason, "connection": connection, "delivery_id": delivery_id}
        self._send(json.dumps(body, separators=(",", ":")), connection, attributes)
        self._mark(fingerprint, delivery_id)
        return True

    def _is_parked(self, key: str) -> bool:
        found = self._dynamodb.get_item(TableName=self._table, Key=_marker(key), ConsistentRead=True).get("Item")
        # The table removes what has expired when it finds the time, which may be days later.
        return found is not None and float(found["expires_at"]["N"]) > self._clock()

    def _mark(self, key: str, delivery_id: str) -> None:
        until = str(int(self._clock()) + KEPT)
        item = {**_marker(key), "delivery_id": {"S": delivery_id}, "expires_at": {"N": until}}
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def _send(self, body: str, group: str, attributes: dict[str, str]) -> None:
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=body,
            MessageGroupId=group,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            },
        )


def _marker(key: str) -> dict[str, Any]:
    return {"pk": {"S": f"P#{key}"}}
