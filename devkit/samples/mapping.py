"""Result of translating one body.

Commands with their events, changes that lead to no command with the reason, and the problem for which the body is
parked, if any.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from devkit.samples.delivery import signed_headers
from devkit.samples.fixtures import Sample
from devkit.stacks.connection_store import read_file, store_of, valid
from devkit.stacks.errors import CommandError
from devkit.stacks.local import NOWHERE, SAMPLES
from devkit.stacks.stack import find_stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import Command, CustomerRef, Event, plain
from loyalty_relay.model.errors import DeliveryRefused
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Request, bounded, not_later
from loyalty_relay.translation.translate import Skip, translate


def connection_for(platform: str, given: str | None, stack: str | None) -> Connection:
    """Return the connection to translate for: a file, a stored one, or the first sample for the platform."""
    if given is None:
        return sample_connection(platform)
    path = Path(given)
    file = path.suffix == ".json" or path.exists()
    connection = file_connection(path) if file else store_of(find_stack(stack)).read(given)
    if connection.source.platform != platform:
        raise CommandError(
            f"connection {given} is of {connection.source.platform}, not of {platform}", do="name another connection"
        )
    return connection


def from_own_store(sample: Sample, connection: Connection) -> Sample:
    """Return a sample as a store of the connection would send it."""
    own = connection.source.stores
    named = sample_connection(sample.platform).source.stores
    return sample.of_stores(
        {name: own[min(i, len(own) - 1)] for i, name in enumerate(named) if own and name not in own}
    )


def sample_connection(platform: str) -> Connection:
    """Return the first of the sample connections for a platform. Raises CommandError when there is none."""
    for path in sorted(SAMPLES.glob("*.json"), key=lambda path: path.stem):
        connection = file_connection(path)
        if connection.source.platform == platform:
            return connection
    raise CommandError(f"there is no sample connection for {platform}", where=str(SAMPLES), do="give --connection FILE")


def file_connection(path: Path) -> Connection:
    """Return a connection from its file. Raises CommandError."""
    variables = {"RELAY_SANDBOX_URL": NOWHERE, "RELAY_API_URL": NOWHERE}
    file = read_file(path, id=None, variables=variables)
    return valid(file.id, file.data, frozenset({"127.0.0.1:9"}), where=str(path))


@dataclass(frozen=True, slots=True)
class Translation:
    """What a body becomes.

    Commands with their events, the changes that become none with the reason, and the problem for which it is parked, if
    any.
    """

    commands: list[tuple[Event, Command]]
    skipped: list[tuple[Event, str]]
    problem: DeliveryRefused | None = None

    @property
    def entries(self) -> int:
        """How many entries the journal will have of the delivery: one per event with commands, one per reason."""
        told = {(event.id, event.entity_id) for event, _ in self.commands}
        return max(1, len(told) + len({reason for _, reason in self.skipped}))


def translation(sample: Sample, connection: Connection) -> Translation:
    """Return what a sample becomes under a connection, by the code of ingest."""
    commands: list[tuple[Event, Command]] = []
    skipped: list[tuple[Event, str]] = []
    problem: DeliveryRefused | None = None
    module = source_module(sample.platform)
    try:
        changes = module.read(_as_delivered(sample, connection), connection.source)
    except DeliveryRefused as error:
        return Translation([], [], error)
    now = time.time()
    for change in (not_later(bounded(change), now, signed=module.signs_event_time) for change in changes):
        try:
            made = translate(change, connection)
        except DeliveryRefused as error:
            problem = problem or error
            continue
        if isinstance(made, Skip):
            skipped.append((change.event, made.reason))
        else:
            commands += [(change.event, command) for command in made]
    return Translation(commands, skipped, problem)


def _as_delivered(sample: Sample, connection: Connection) -> Request:
    """Return the request with its signature: some platforms are recognised by the headers that signing adds."""
    secrets = [secret.value for secret in connection.source.secrets] or [""]
    try:
        headers = signed_headers(sample, secret=secrets[0], url=connection.source.public_url or "", now=time.time())
    except CommandError:
        return sample.request()
    return replace(sample, headers=headers).request()


def described(found: Translation) -> list[dict[str, Any]]:
    """Return a translation as JSON: every command, and why there is none.

    Raises its problem where nothing else came of it.
    """
    if found.problem is not None and not (found.commands or found.skipped):
        raise found.problem
    shown = [_described(command) for _, command in found.commands]
    shown += [{"skipped": reason, "topic": event.topic} for event, reason in found.skipped]
    return shown + ([{"skipped": f"parked: {found.problem.reason}", "topic": ""}] if found.problem else [])


def _described(command: Command) -> dict[str, Any]:
    return {"kind": command.kind, "operation": command.operation, "values": dict(_values(command))}


def _values(command: Command) -> Iterable[tuple[str, Any]]:
    for member in fields(command):
        value = getattr(command, member.name)
        if isinstance(value, CustomerRef):
            yield "source id", value.source_id
            yield from ((f"identifier {i.type}", i.value) for i in value.identifiers)
        elif member.name == "fields":
            yield from plain(value).items()
        elif member.name == "version" and value is not None:
            yield "version", f"{value.value} ({value.clock})"
        elif member.name == "versions":
            yield from ((f"version of {name}", v.value) for name, v in value.items())
        elif value not in (None, {}, ()) and plain(value) not in ({}, []):
            yield member.name, plain(value)
