"""Find whatever a text names: a delivery, an event, a customer, an order.

An e-mail or a phone number is digested for the look-up and occurs in no result. What the tables have no index for is
looked for in the newest events only, and a result states how far that went.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from devkit.queries.delivery import DELIVERY_ID
from devkit.queries.events import LOOKED_AT, EventFilter, list_events
from devkit.queries.identifying import reading_of, readings
from devkit.queries.order import find_order
from devkit.stacks.connection_store import ConnectionStore, known_connection
from devkit.stacks.errors import CommandError
from loyalty_relay.connections.model import Connection
from loyalty_relay.runtime.wiring import Services

LONGEST = 200
"""Characters of a text."""
EVENTS_SINCE = "7d"
"""How far back the platform's ids of events are looked for, among at most ``LOOKED_AT`` events."""
MOST = 20
"""Matches of one kind."""

Kind = Literal["delivery", "customer", "order"]


@dataclass(frozen=True, slots=True)
class Match:
    """Something that was found. ``key``: the delivery's id, the customer's keyed hash, or the order's id."""

    kind: Kind
    connection: str
    key: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a text names. ``skipped``: connections that cannot be read, of which nothing was looked for."""

    matches: tuple[Match, ...]
    skipped: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the matches, and how far events were looked through."""
        return {
            "matches": [{"kind": m.kind, "connection": m.connection, "key": m.key} for m in self.matches],
            "skipped": list(self.skipped),
            "events_since": EVENTS_SINCE,
            "events_at_most": LOOKED_AT,
        }


def search(services: Services, store: ConnectionStore, text: str, *, now: float, connection: str = "") -> Found:
    """Return what a text names, in one connection or in all of them.

    Raises CommandError for an empty text or a long one, and for a connection that the stack does not have.
    """
    text = text.strip()
    if not 1 <= len(text) <= LONGEST:
        raise CommandError("nothing can be searched for by this", do=f"write 1 to {LONGEST} characters")
    if connection:
        known_connection(store, connection)
    matches: list[Match] = []
    skipped: list[str] = []
    if DELIVERY_ID.fullmatch(text.partition(".")[0]):
        entries = services.journal.show(text.partition(".")[0])
        matches += [Match("delivery", entry.connection, entry.delivery_id) for entry in entries[:1]]
    for name in [connection] if connection else store.ids():
        try:
            known = store.read(name)
        except CommandError:
            skipped.append(name)
            continue
        matches += _customers(services, known, text)
        order = None if "@" in text else find_order(services, name, text)
        matches += [Match("order", name, order.state.order_id)] if order else []
    if not matches and "@" not in text:
        wanted = EventFilter(connection=connection, event=text, since=EVENTS_SINCE)
        listed = list_events(services.journal, store, wanted, now=now, limit=MOST)
        matches += [Match("delivery", entry.connection, entry.delivery_id) for entry in listed.entries]
    return Found(tuple(dict.fromkeys(matches)), tuple(skipped))


def _customers(services: Services, connection: Connection, text: str) -> Iterator[Match]:
    for kind, value in readings(text, connection.default_country):
        record = services.customers.lookup(connection.id, reading_of(kind, value))
        if record is not None:
            yield Match("customer", connection.id, record.customer)
            continue
        # Nothing may be held of them any more, and the journal may still have their events.
        known_as = services.customers.customer_hash(connection.id, kind, value)
        if services.journal.by_customer(known_as, limit=1):
            yield Match("customer", connection.id, known_as)
