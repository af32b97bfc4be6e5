"""What a fixture becomes at a connection, in a form that a test can write down."""

from __future__ import annotations

from typing import Any

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import Command, CustomerCommand, EraseStore, Hydrate, LinkStore, RetireCustomer
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Change, Fetch, HydratingSource, ThinChange
from loyalty_relay.translation.translate import Skip, translate
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.samples import Sample

Told = tuple[Any, ...]
"""The kind of a command and what it holds, or ``("ignored", reason)``."""


def outcome_of(sample: Sample, connection: Connection) -> list[Told]:
    """Every command that a signed delivery of the sample leads to, in order."""
    module = source_module(sample.platform)
    changes = module.read(sample.signed(), connection.source)
    return [told for change in changes for told in _told(change, connection)]


def hydrated(sample: Sample, connection: Connection, status: int, body: Any) -> list[Told]:
    """The same for a thin event, once the platform has answered."""
    module, thin = thin_of(sample, connection)
    return [told for change in module.hydrated(thin, status, body) for told in _told(change, connection)]


def thin_of(sample: Sample, connection: Connection) -> tuple[HydratingSource, ThinChange]:
    """The only change of a thin event as it comes out of the queue."""
    module = source_module(sample.platform)
    assert isinstance(module, HydratingSource)
    (change,) = module.read(sample.signed(), connection.source)
    assert isinstance(change, ThinChange)
    (command,) = _commands(change, connection)
    assert isinstance(command, Hydrate)
    return module, ThinChange(
        event=change.event,
        resource=command.resource,
        data=command.data,
        store=command.store,
    )


def fetch_of(sample: Sample, connection: Connection) -> Fetch:
    """The request by which a thin event is followed."""
    module, thin = thin_of(sample, connection)
    return module.fetch(thin, connection.source)


def _commands(change: Change, connection: Connection) -> list[Command]:
    translated = translate(change, connection)
    assert not isinstance(translated, Skip)
    return translated


def _told(change: Change, connection: Connection) -> list[Told]:
    translated = translate(change, connection)
    if isinstance(translated, Skip):
        return [("ignored", translated.reason)]
    return [_plain(command) for command in translated]


def _plain(command: Command) -> Told:
    match command:
        case CustomerCommand():
            who = {i.type: i.value for i in command.customer.identifiers}
            return command.kind, command.customer.source_id, who, dict(command.fields)
        case RetireCustomer():
            return command.kind, command.customer.source_id, command.reason, command.survivor
        case LinkStore():
            return command.kind, command.shop_id, command.account_id, command.store_name, command.store_domain
        case EraseStore():
            return command.kind, command.shop_id
        case Hydrate():
            return command.kind, command.resource, dict(command.data)
    raise AssertionError(command.kind)


def followed(sample: Sample, connection: Connection, sandbox: SandboxClient) -> list[Told]:
    """What a thin event becomes with the sandbox's own answer to the request that follows it."""
    fetch = fetch_of(sample, connection)
    answer = sandbox.send("GET", f"/{sample.platform}{fetch.path}", headers=dict(fetch.headers))
    return hydrated(sample, connection, answer.status_code, answer.json())
