"""Thin events: fetch the resource that a delivery only named, then go on as if the delivery had carried it.

The request to the platform's own API is a read of the pipeline, with circuit and pacing as for a destination. What was
deleted meanwhile is an outcome, not an error.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from loyalty_relay.model.commands import Envelope, Hydrate, instant_at
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import InvalidCommand, Untranslatable
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import MAX_ENTITIES, Change, HydratingSource, ThinChange, bounded, not_later
from loyalty_relay.translation.translate import Skip, translate
from loyalty_relay.triggers.enqueue import enqueue
from loyalty_relay.triggers.platform_reads import read_platform
from loyalty_relay.triggers.queue import consume_with

if TYPE_CHECKING:
    from loyalty_relay.connections.model import Connection
    from loyalty_relay.runtime.wiring import Services

OPERATION = "hydrate"
MOST_READINGS = 20
"""Requests for one event: an order of 2,000 lines in pages of 250, its payments and its refunds."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the partial batch response to an SQS batch of hydrate requests."""
    from loyalty_relay.runtime.wiring import shared

    services = shared()

    def work(envelope: Envelope, deadline: Deadline, receives: int) -> Outcome:
        return hydrate(envelope, services, deadline)

    return consume_with(work, event, context, OPERATION, services)


def hydrate(envelope: Envelope, services: Services, deadline: Deadline) -> Outcome:
    """Fetch, read, translate, enqueue. Raise the errors of ``loyalty_relay.model.errors``."""
    command = envelope.command
    if not isinstance(command, Hydrate):
        raise InvalidCommand(f"hydrate does not carry out {command.kind}")
    connection = services.connections.get(envelope.connection)
    module = cast("HydratingSource", source_module(connection.source.platform))
    thin = ThinChange(
        event=envelope.event,
        resource=command.resource,
        data=command.data,
        store=command.store,
        read_at=instant_at(services.clock()),
    )
    try:
        changes = [
            not_later(bounded(change), services.clock(), signed=True)
            for change in _read(thin, module, connection, services, deadline)
        ]
        translated = [(change.event, translate(change, connection)) for change in changes]
    except Untranslatable as error:
        raise InvalidCommand(
            f"the platform's answer cannot be translated: {error.reason}", code=error.reason
        ) from error
    found = [(event, command) for event, into in translated if not isinstance(into, Skip) for command in into]
    if not found:
        skips = [into for _, into in translated if isinstance(into, Skip)]
        outcome = Outcome(result=Result.IGNORED, reason=skips[0].reason)
        services.journal.write(services.pipeline.recorder.entry(envelope, outcome))
        return outcome
    # The delivery's other changes have the positions in between.
    onward = [
        replace(envelope, event=event, command=command, position=envelope.position + extra, redrives=0)
        for extra, (event, command) in zip(range(0, len(found) * MAX_ENTITIES, MAX_ENTITIES), found, strict=True)
    ]
    enqueue(onward, services.sqs, services.settings)
    return Outcome(result=Result.APPLIED, reason="hydrated")


def _read(
    thin: ThinChange, module: HydratingSource, connection: Connection, services: Services, deadline: Deadline
) -> list[Change]:
    """Return the changes that a resource shows, after as many readings as it takes."""
    for _ in range(MOST_READINGS):
        answer = read_platform(partial(module.fetch, thin), connection, services, deadline)
        changes = module.hydrated(thin, answer.status, answer.body)
        match changes:
            case [ThinChange() as further]:
                thin = further
            case _:
                return changes
    raise Untranslatable("too_many_readings", f"the resource takes more than {MOST_READINGS} readings")
