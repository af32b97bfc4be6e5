"""Work that a command leads to later: envelopes sent to an operation's queue, also with a delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loyalty_relay.model.commands import Envelope
from loyalty_relay.storage import aws

LONGEST_DELAY = 900
"""Seconds by which SQS delays a message at most."""


class FollowUps:
    """Sends envelopes to the queues of their operations. ``queue``: the URL of an operation's queue."""

    def __init__(self, sqs: Callable[[], Any], queue: Callable[[str], str]) -> None:
        self._sqs = sqs
        self._queue = queue

    def send(self, envelope: Envelope, *, delay: int = 0) -> None:
        """Send an envelope, to be received after ``delay`` seconds. Raises StoreUnavailable; it may have been sent."""
        operation = envelope.command.operation
        with aws.unavailable(f"the {operation} queue does not answer"):
            self._sqs().send_message(
                QueueUrl=self._queue(operation),
                MessageBody=envelope.to_json(),
                DelaySeconds=delay,
                MessageGroupId=envelope.connection,
            )
