"""Dead letters: a command that cannot succeed as it is goes to its operation's dead-letter queue, with the reason.

A marker under the command's idempotency key is written after the message was sent, and read before: neither a second
copy of the event nor a crash before the record was acknowledged parks a command twice. A crash between message and
marker leaves two messages with one key; tools show and redrive them as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.errors import RelayError
from loyalty_relay.storage import aws, keys
from loyalty_relay.storage.table import Table

KEPT = 13 * 86_400
"""Seconds a marker is kept: less than the 14 days for which the queue keeps its message."""

LONGEST = 512
"""Bytes of one attribute's value. All attributes of a message stay below ``triggers.enqueue.ATTRIBUTES``."""
_REFUSED = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class DeadLetterQueue:
    """The dead-letter queue of one operation, and the markers of what is in it.

    Every method may raise StoreUnavailable: then the message may or may not be in the queue.
    """

    def __init__(self, sqs: Any, queue_url: str, dynamodb: Any, table: str, clock: Callable[[], float]) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._table = Table(dynamodb, table)
        self._clock = clock

    def park(self, envelope: Envelope, error: RelayError, *, receives: int) -> bool:
        """Send the command to the queue unless it is there; return whether it was sent now."""
        attributes = {
            "reason": error.reason,
            "code": error.code or "",
            "receives": str(receives),
            "delivery_id": envelope.delivery_id,
            "connection": envelope.connection,
            "key": envelope.key,
            "detail": str(error)[:500],
            "request_id": error.request_id or "",
        }
        return self._send_once(envelope.key, envelope.to_json(), attributes)

    def park_raw(self, body: dict[str, Any], connection: str, reason: str, delivery_id: str, fingerprint: str) -> bool:
        """Send a verified delivery that could not be translated, unless it is there; return whether it was sent now.

        ``fingerprint``: equal for every copy of the delivery.
        """
        attributes = {"reason": reason, "connection": connection, "delivery_id": delivery_id}
        return self._send_once(fingerprint, json.dumps(body, separators=(",", ":")), attributes)

    def park_unreadable(self, record: dict[str, Any], *, operation: str) -> None:
        """Send a message that is no envelope, as it is."""
        attributes = {"reason": "unreadable", "operation": operation, "message_id": record["messageId"]}
        self._send(record["body"], "unreadable", attributes)

    def _send_once(self, key: str, body: str, attributes: Mapping[str, str]) -> bool:
        marker = {"pk": keys.parked(key)}
        found = self._table.get(marker)
        # DynamoDB may delete an expired item days later.
        if found is not None and float(found["expires_at"]) > self._clock():
            return False
        self._send(body, attributes["connection"], attributes)
        expires_at = int(self._clock()) + KEPT
        self._table.put({**marker, "delivery_id": attributes["delivery_id"], "expires_at": expires_at})
        return True

    def _send(self, body: str, group: str, attributes: Mapping[str, str]) -> None:
        with aws.unavailable("the dead-letter queue does not answer"):
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=body,
                MessageGroupId=group,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, text in attributes.items()
                    if (value := _accepted(text))
                },
            )


def _accepted(text: str) -> str:
    """Return a text without the characters that SQS refuses (API reference: SendMessage), cut to ``LONGEST`` bytes."""
    return _REFUSED.sub("", text).encode()[:LONGEST].decode(errors="ignore")
