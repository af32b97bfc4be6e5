"""What a fixture becomes at a connection, in a form that a test can write down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import (
    Command,
    CustomerCommand,
    Envelope,
    EraseStore,
    Hydrate,
    LinkStore,
    OrderCommand,
    RecordRefund,
    RecordSale,
    RetireCustomer,
)
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Change, Fetch, HydratingSource, OrderChanged, ThinChange
from loyalty_relay.sources.parsing import json_value
from loyalty_relay.translation.translate import Skip, translate
from loyalty_relay.triggers.hydrate import MOST_READINGS
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.samples import Sample
from tests.sources.samples import connection as connection_of

READ_AT = "2026-03-10T12:00:00.000000Z"
"""When the readings of these tests begin."""

Canned = tuple[Any, ...]
"""The kind of a command and what it holds, or ``("ignored", reason)``."""


def outcome_of(sample: Sample, connection: Connection) -> list[Canned]:
    """Every command that a signed delivery of the sample leads to, in order."""
    module = source_module(sample.platform)
    changes = module.read(sample.signed(), connection.source)
    return [outcome for change in changes for outcome in _outcomes(change, connection)]


def hydrated(sample: Sample, connection: Connection, status: int, body: Any) -> list[Canned]:
    """The same for a thin event, once the platform has answered."""
    module, thin = thin_of(sample, connection)
    return [outcome for change in module.hydrated(thin, status, body) for outcome in _outcomes(change, connection)]


def thin_of(sample: Sample, connection: Connection) -> tuple[HydratingSource, ThinChange]:
    """The only change of a thin event as it comes out of the queue."""
    module = source_module(sample.platform)
    assert isinstance(module, HydratingSource)
    (change,) = module.read(sample.signed(), connection.source)
    assert isinstance(change, ThinChange)
    return module, queued(change)


def queued(change: ThinChange) -> ThinChange:
    """A thin change as it comes out of the queue, at a connection that has a use for it."""
    command = Hydrate(resource=change.resource, store=change.store, data=change.data)
    sent = Envelope(delivery_id="d", connection="shop", event=change.event, command=command).to_json()
    received = Envelope.from_json(sent)
    assert isinstance(received.command, Hydrate)
    return ThinChange(
        event=received.event,
        resource=received.command.resource,
        data=received.command.data,
        store=received.command.store,
        sales=change.sales,
    )


def fetch_of(sample: Sample, connection: Connection) -> Fetch:
    """The request by which a thin event is followed."""
    module, thin = thin_of(sample, connection)
    return module.fetch(thin, connection.source)


def _outcomes(change: Change, connection: Connection) -> list[Canned]:
    translated = translate(change, connection)
    if isinstance(translated, Skip):
        return [("ignored", translated.reason)]
    return [_plain(command) for command in translated]


def _plain(command: Command) -> Canned:
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


def followed(sample: Sample, connection: Connection, sandbox: SandboxClient) -> list[Canned]:
    """What a thin event becomes with the sandbox's own answers to the requests that follow it."""
    module, thin = thin_of(sample, connection)
    return [
        outcome
        for change in read_through(module, thin, connection, sandbox)
        for outcome in _outcomes(change, connection)
    ]


def read_through(
    module: HydratingSource, thin: ThinChange, connection: Connection, sandbox: SandboxClient
) -> list[Change]:
    """The changes that a thin event leads to with the sandbox's own answers, however many it takes."""
    thin = replace(thin, read_at=READ_AT)
    for _ in range(MOST_READINGS):
        fetch = module.fetch(thin, connection.source)
        answer = sandbox.send("GET", f"/{module.platform}{fetch.path}", headers=dict(fetch.headers))
        body = json_value(answer.content) if answer.content else None
        changes = module.hydrated(thin, answer.status_code, body)
        match changes:
            case [ThinChange() as thin]:
                pass
            case _:
                return changes
    raise AssertionError("too many readings")


def orders_of(sample: Sample, sandbox: SandboxClient, **more: Any) -> list[Change]:
    """The changes that a delivery of orders leads to, those that are thin read through."""
    to = connection_of(sample.platform, **more)
    module = source_module(sample.platform)
    changes: list[Change] = []
    for change in module.read(sample.signed(), to.source):
        if isinstance(change, ThinChange):
            assert isinstance(module, HydratingSource)
            assert change.sales, "only connections that record sales pay for reading orders"
            changes += read_through(module, queued(change), to, sandbox)
        else:
            changes.append(change)
    return changes


def order_of(sample: Sample, sandbox: SandboxClient, **more: Any) -> OrderChanged:
    """The only change of such a delivery, as it is after a round trip through the queue."""
    (change,) = orders_of(sample, sandbox, **more)
    assert isinstance(change, OrderChanged)
    return as_queued(change)


def as_queued(change: OrderChanged) -> OrderChanged:
    """An order as the ledger gets it."""
    command = (RecordSale if change.order.sale is not None else RecordRefund)(order=change.order)
    sent = Envelope(delivery_id="d", connection="shop", event=change.event, command=command).to_json()
    received = Envelope.from_json(sent).command
    assert isinstance(received, OrderCommand)
    assert received.order == change.order
    return replace(change, order=received.order)
