"""Parked work through the normal path again: a command to its queue, a raw delivery through translation."""

from __future__ import annotations

import json

from devkit.cli.parked_queues import Parked, ParkedQueues
from devkit.queries.hints import hint
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of, unlogged
from devkit.stacks.stack import Stack


def redrive_one(stack: Stack, queues: ParkedQueues, parked: Parked) -> str:
    """Send it again, then delete it where it was parked; returns what became of it, such as ``redrive 1``.

    Raises CommandError, leaving it parked, for what cannot be sent.
    """
    if parked.operation == "ingest":
        outcome = _translate_again(stack, parked)
        queues.delete(parked)
        return outcome
    envelope = queues.redrive(parked, stack.queue(parked.operation))
    return f"redrive {envelope.redrives}"


def _translate_again(stack: Stack, parked: Parked) -> str:
    """Return a delivery that was authentic when it was parked: read, translate, send, by the code of ingest."""
    from loyalty_relay.triggers.webhook import Ingest

    try:
        body = json.loads(parked.messages[0].body)
        with unlogged():
            answer = Ingest(services_of(stack)).redrive(body)
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"it is not a parked delivery ({type(error).__name__})") from error
    if answer["outcome"] == "parked":
        reason = str(answer["reason"])
        raise CommandError(f"it still cannot be translated: {reason}", do=hint(reason, "parked"))
    return str(answer["outcome"])
