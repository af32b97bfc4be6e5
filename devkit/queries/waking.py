"""Events that wait for a destination or its credentials are tried soon after these were mended."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.errors import CircuitOpen, CredentialsRefused
from loyalty_relay.reliability.journal import JournalEntry

SOON = 60
"""Seconds until the next attempt. A process whose credentials are refused reads the connection once a minute, and would
before then use the ones that it has.
"""
REASONS = (CircuitOpen.reason, CredentialsRefused.reason)
BATCH = 10


def wake(stack: Stack, id: str, *, works: Connection | None = None) -> int:
    """Move the next attempt of what waits for a connection's destination to a minute from now; return how many.

    ``works``: the connection as it was seen to work, whose circuits are closed: with an open one, all but the first
    would wait again.
    """
    services = services_of(stack)
    if works is not None:
        services.circuit.close(services.pipeline.circuits(works))
    next_at = services.clock() + SOON
    waiting = [e for e in services.journal.waiting(id) if e.reason in REASONS and (e.next_at or 0) > next_at]
    waiting.sort(key=lambda entry: entry.operation)
    moved = 0
    for operation, entries in itertools.groupby(waiting, key=lambda entry: entry.operation):
        for batch in _batches(list(entries)):
            for entry in _shown(stack, operation, batch):
                services.journal.moved(entry, next_at)
                moved += 1
    return moved


def awaited(count: int) -> str:
    """Return the sentence about events that were moved."""
    return f"{count} waiting event{'s are' if count != 1 else ' is'} tried again within about a minute"


def _batches(entries: list[JournalEntry]) -> Iterator[list[JournalEntry]]:
    return (entries[start : start + BATCH] for start in range(0, len(entries), BATCH))


def _shown(stack: Stack, operation: str, entries: list[JournalEntry]) -> list[JournalEntry]:
    """Return the entries whose messages are hidden for ``SOON`` now; others were received in the meantime."""
    answer = stack.client("sqs").change_message_visibility_batch(
        QueueUrl=stack.queue(operation),
        Entries=[
            {"Id": str(i), "ReceiptHandle": entry.receipt, "VisibilityTimeout": SOON} for i, entry in enumerate(entries)
        ],
    )
    return [entries[int(done["Id"])] for done in answer.get("Successful", ())]
