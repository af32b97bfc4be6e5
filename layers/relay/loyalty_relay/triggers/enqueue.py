"""Sending commands to the operations' queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.storage import aws

MAX_ENTRIES = 10
MAX_BYTES = 1024 * 1024
"""What one request to SQS may carry (SQS developer guide: Message quotas)."""
ATTRIBUTES = 8 * 1024
"""Bytes of a message that are kept free, so that it can be parked with its attributes (reliability.dead_letters)."""


def enqueue(envelopes: Iterable[Envelope], sqs: Any, settings: Settings, *, operation: str | None = None) -> None:
    """Send every envelope to its operation's queue, in as few requests as can be; connections share the queue fairly.

    ``operation``: whose queue takes all of them, if not that of each command.
    Raise StoreUnavailable when any of them could not be sent; the others may have been, and are duplicates next time.
    """
    by_operation: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        by_operation.setdefault(operation or envelope.command.operation, []).append(envelope)
    for name, group in by_operation.items():
        for chunk in _chunks(group):
            _send_chunk(chunk, name, sqs, settings.queue(name))


def _send_chunk(chunk: Sequence[tuple[Envelope, str]], operation: str, sqs: Any, url: str) -> None:
    entries = [
        {"Id": str(index), "MessageBody": body, "MessageGroupId": envelope.connection}
        for index, (envelope, body) in enumerate(chunk)
    ]
    try:
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    except aws.failures() as error:
        raise StoreUnavailable(f"the {operation} queue does not answer: {aws.error_code(error)}") from error
    failed = answer.get("Failed") or []
    if failed or len(answer.get("Successful") or []) != len(entries):
        code = failed[0].get("Code") if failed else "missing"
        raise StoreUnavailable(f"the {operation} queue refused {len(failed)} of {len(entries)}: {code}")


def _chunks(envelopes: Iterable[Envelope]) -> Iterator[list[tuple[Envelope, str]]]:
    chunk: list[tuple[Envelope, str]] = []
    size = 0
    for envelope in envelopes:
        body = envelope.to_json()
        length = len(body.encode())
        if chunk and (len(chunk) == MAX_ENTRIES or size + length > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((envelope, body))
        size += length
    if chunk:
        yield chunk
