"""Thin events: fetch the resource that a delivery only named, then go on as if the delivery had carried it.

The platform's own API is called with the same transport, pacing, circuit and retries as a destination's. What was
deleted meanwhile is an outcome, not an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from loyalty_relay.model.commands import Envelope, Hydrate, instant_at
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    CredentialsRefused,
    InvalidCommand,
    TransientError,
    Untranslatable,
    UpstreamUnavailable,
)
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.pipeline.context import journal_entry
from loyalty_relay.sources import may_read_from, source_module
from loyalty_relay.sources.base import Fetch, HydratingSource, ThinChange
from loyalty_relay.translation.translate import Skip, translate
from loyalty_relay.triggers.queue import consume_with
from loyalty_relay.triggers.queues import send

if TYPE_CHECKING:
    from loyalty_relay.connections.model import Connection
    from loyalty_relay.runtime.wiring import Services

OPERATION = "hydrate"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An SQS batch of hydrate requests -> the partial batch response."""
    from loyalty_relay.runtime.wiring import shared

    services = shared()

    def work(envelope: Envelope, deadline: Deadline, attempts: int) -> Outcome:
        return hydrate(envelope, services, deadline)

    return consume_with(work, event, context, OPERATION, services)


def hydrate(envelope: Envelope, services: Services, deadline: Deadline) -> Outcome:
    """Fetch, translate, enqueue. Raises the errors of ``loyalty_relay.model.errors``."""
    command = envelope.command
    if not isinstance(command, Hydrate):
        raise InvalidCommand(f"hydrate does not carry out {command.kind}")
    connection = services.directory.get(envelope.connection)
    module = cast("HydratingSource", source_module(connection.source.platform))
    thin = ThinChange(
        event=envelope.event,
        resource=command.resource,
        data=command.data,
        store=command.store,
        read_at=instant_at(services.clock()),
    )
    fetch = module.fetch(thin, connection.source)
    if not may_read_from(connection.source.api_host or fetch.default_host, module, services.settings.sandbox_hosts):
        raise InvalidCommand("the connection's api_host is not one of the platform's own", code="api_host")
    status, body = _get(fetch, connection, services, deadline)
    try:
        translated = translate(module.hydrated(thin, status, body), connection)
    except Untranslatable as error:
        raise InvalidCommand(
            f"the platform's answer cannot be translated: {error.reason}", code=error.reason
        ) from error
    if isinstance(translated, Skip):
        outcome = Outcome(result=Result.IGNORED, reason=translated.reason)
        services.journal.write(journal_entry(envelope, outcome, now=services.clock()))
        return outcome
    onward = [
        replace(envelope, command=found, position=envelope.position + extra, attempt=0)
        for extra, found in enumerate(translated)
    ]
    send(onward, services.sqs, services.settings)
    return Outcome(result=Result.APPLIED, reason="hydrated")


def _get(fetch: Fetch, connection: Connection, services: Services, deadline: Deadline) -> tuple[int, Any]:
    from loyalty_relay.http.client import Call, NotJson, raise_for_transient

    host = connection.source.api_host or fetch.default_host
    account = f"{connection.source.platform}:{urlsplit(host).netloc}:{connection.id}"
    services.circuit.check(account)
    transport = services.platform_transport(account, fetch.limit)
    call = Call(api="read", method="GET", url=host + fetch.path, headers=dict(fetch.headers), idempotent=True)
    try:
        answer = transport.send(call, deadline)
        if answer.status in (401, 403):
            raise CredentialsRefused("the platform refuses the connection's api_credentials")
        raise_for_transient(answer)
    except (TransientError, CredentialsRefused) as error:
        if isinstance(error, CredentialsRefused):
            services.directory.refetch(connection.id)
        services.circuit.failure(account, error)
        raise
    services.circuit.success(account)
    body = answer.json()
    if isinstance(body, NotJson):
        if answer.status < 400:
            raise UpstreamUnavailable(f"the platform's answer cannot be read: {body.why}")
        return answer.status, None
    return answer.status, body
