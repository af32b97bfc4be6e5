"""``relay events resend``: the commands of one event once more, through the normal path.

The relay keeps no body of what it has carried out (G7). What is parked still has its message, which is redriven; else
the body comes from who has it: the platform's delivery log or its API.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from devkit.cli.following import follow, show_outcomes
from devkit.cli.options import AsJson, StackName, Wait
from devkit.cli.output import note, out, show_json
from devkit.queries.parked_queues import ParkedFilters, ParkedQueues
from devkit.queries.redriving import redrive_one
from devkit.samples.fixtures import Sample, load
from devkit.samples.mapping import translation
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack, find_stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import Command, Credits, CustomerCommand, Envelope, Event, Hydrate, LinkStore
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.outcomes import Result
from loyalty_relay.pipeline.context import API
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import listed
from loyalty_relay.triggers.enqueue import enqueue


def resend(
    delivery_id: Annotated[
        str,
        typer.Argument(metavar="DELIVERY_ID", help="As relay events list shows it; DELIVERY.POSITION for one event."),
    ],
    file: Annotated[
        Path | None, typer.Option("--file", help="The body as the platform sent it: from its delivery log or its API.")
    ] = None,
    fixture: Annotated[
        str | None, typer.Option("--fixture", help="The sample whose headers fit, for topics with several.")
    ] = None,
    shop: Annotated[
        str | None, typer.Option("--store", help="The store it is from, where the connection has several.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Send also what the relay has sent before.")] = False,
    wait: Wait = 30,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Send an event's commands again: from the parked message, else from a body. Credits are never repeated."""
    found = find_stack(stack)
    services = services_of(found)
    entries = _entries(services, delivery_id)
    if any(entry.result is Result.PARKED for entry in entries) and (redriven := _redrive(found, delivery_id)):
        show_json({"redriven": redriven}) if json else out.print(f"redriven: {', '.join(redriven)}")
        return
    if all(entry.source == API for entry in entries):
        raise CommandError(
            "the body of an API call is not kept", where=delivery_id, do='repeat the call with "force": true'
        )
    if file is None:
        raise CommandError(
            "the body of a delivery is not kept once it was carried out",
            where=delivery_id,
            do="copy it from the platform's delivery log or its API and add --file",
        )
    connection = store_of(found).read(entries[0].connection)
    sample = _of_store(load(entries[0].source, entries[0].topic, fixture).changed(file, ()), connection, shop)
    found_again = translation(sample, connection)
    if found_again.problem is not None and not found_again.commands:
        raise found_again.problem
    envelopes = envelopes_of(services, connection, entries, found_again.commands, force=force)
    enqueue(envelopes, services.sqs, services.settings)
    new = envelopes[0].delivery_id
    if not json:
        note(f"sent again as delivery {new}")
    seen = follow(found, new, seconds=wait, expected=len(envelopes)) if wait else []
    if wait:
        show_outcomes(found, new, seen, as_json=json)
    elif json:
        show_json({"delivery_id": new, "outcomes": []})


def _entries(services: Services, delivery_id: str) -> list[JournalEntry]:
    whole, _, position = delivery_id.partition(".")
    entries = [e for e in services.journal.show(whole) if position in ("", str(e.position))]
    if not entries:
        raise CommandError(f"the journal has no delivery {delivery_id}", do="see relay events list")
    return entries


def _redrive(stack: Stack, delivery_id: str) -> list[str]:
    """Redrive what is parked of a delivery; return the ids."""
    queues = ParkedQueues.of(stack)
    with queues.opened(wanted=ParkedFilters(one=delivery_id).match) as work:
        for one in work:
            redrive_one(stack, queues, one)
    return [one.id for one in work]


def _of_store(sample: Sample, connection: Connection, given: str | None) -> Sample:
    """Return the sample as one of the connection's stores sends it. Raises CommandError for any other store."""
    source, module = connection.source, source_module(sample.platform)
    wanted = given or (source.stores[0] if len(source.stores) == 1 else None)
    named = module.store(sample.request(), source)
    if named and wanted and not listed(named, source):
        sample = replace(sample, headers={name: text.replace(named, wanted) for name, text in sample.headers.items()})
        named = module.store(sample.request(), source)
    if named is not None and not listed(named, source):
        raise CommandError(
            f"the delivery is of store {named or '(none)'}, which the connection does not have",
            where=connection.id,
            do=f"add --store, one of: {', '.join(source.stores)}",
        )
    return sample


def envelopes_of(
    services: Services,
    connection: Connection,
    entries: Sequence[JournalEntry],
    commands: Iterable[tuple[Event, Command]],
    *,
    force: bool,
) -> list[Envelope]:
    """Return the commands of a body that the entries are about, as one new delivery without credits.

    A new event id makes it no duplicate; the version is the body's own, so that nothing newer is overwritten. Raises
    CommandError when the body is about something else, or cannot be sent again.
    """
    wanted = [pair for pair in commands if any(_is_about(services, connection, entry, *pair) for entry in entries)]
    if not wanted:
        raise CommandError(
            "the body is about another customer or event than this delivery",
            where=entries[0].delivery_id,
            do="relay events show has the topic; relay map shows what the body becomes",
        )
    now = services.clock()
    new = new_delivery_id(now)
    return [
        Envelope(
            delivery_id=new,
            connection=connection.id,
            event=replace(event, id=f"resent:{new}"),
            command=_sendable(command, force),
            position=position,
            received_at=now,
            force=force,
        )
        for position, (event, command) in enumerate(wanted)
    ]


def _sendable(command: Command, force: bool) -> Command:
    """Return the command without credits. Raises CommandError for one that is not sent again."""
    if isinstance(command, CustomerCommand):
        return replace(command, credits=Credits())
    if isinstance(command, Hydrate) and not force:
        raise CommandError(
            "the platform is read again, and only a forced command never repeats credits", do="add --force"
        )
    if not isinstance(command, Hydrate | LinkStore):
        raise CommandError("the event asks nothing of the destination, so there is nothing to send again")
    return command


def _is_about(services: Services, connection: Connection, entry: JournalEntry, event: Event, command: Command) -> bool:
    """Return whether a command is of the event, or of the customer, of an entry."""
    if isinstance(command, LinkStore):
        return entry.operation == command.operation
    if not isinstance(command, CustomerCommand) or not entry.customer:
        return event.id == entry.event_id
    known = services.customers.lookup(connection.id, command.customer)
    hashes = {services.customers.known_as(connection.id, command.customer), *(known.hashes if known else ())}
    return entry.customer in hashes
