"""Events of the journal, newest first, by filters, page by page.

A page is read from the journal's indexes by connection and day, or by customer; other filters are applied to what was
read. So a page may end before it is full: after ``LOOKED_AT`` entries it returns where to go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import Any

from devkit.queries.delivery import entry_dict
from devkit.stacks.connection_store import ConnectionStore, known_connection
from devkit.stacks.errors import CommandError
from loyalty_relay.model.commands import instant_at
from loyalty_relay.model.delivery_ids import arrival_of
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry

LOOKED_AT = 1000
"""Journal entries that are read for one page where filters leave most of them out."""
AT_ONCE = 100
"""Entries read by one request."""
LONGEST = 200
"""Characters of a filter."""
MOST_HASHES = 60
"""Keyed hashes of one list; a customer's ledger keeps 51."""

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CURSOR = re.compile(r"[0-9A-Za-z-]{1,64}#\d{5}")


def since_of(text: str, now: datetime, *, where: str = "--since") -> datetime:
    """Return the moment that a text names.

    ``30m``, ``2h``, ``7d``, a date or an ISO 8601 moment (UTC where no zone is given). ``where``: of the error.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandError(f"{text!r} is not a time", where=where, do="write 30m, 2h, 7d or 2026-01-31") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; an empty text leaves a filter out.

    ``customers``: keyed hashes. ``event``: the platform's id of one. ``order``: the order's id at the source.
    ``since`` and ``until``: as ``since_of`` reads them. ``cursor``: of a page before.
    """

    connection: str = ""
    customers: tuple[str, ...] = ()
    platform: str = ""
    topic: str = ""
    operation: str = ""
    result: str = ""
    reason: str = ""
    event: str = ""
    order: str = ""
    since: str = "7d"
    until: str = ""
    cursor: str = ""

    def check(self) -> None:
        """Raise CommandError for a filter that cannot be one."""
        for member in fields(self):
            value = getattr(self, member.name)
            if any(len(text) > LONGEST for text in ([value] if isinstance(value, str) else value)):
                raise CommandError("the filter is too long", where=member.name, do=f"use at most {LONGEST} characters")
        if len(self.customers) > MOST_HASHES:
            raise CommandError("these are too many customers", where="customers", do=f"name at most {MOST_HASHES}")
        if self.result and self.result not in {result.value for result in Result}:
            raise CommandError(
                f"{self.result!r} is no outcome", where="result", do=f"use one of {', '.join(r.value for r in Result)}"
            )
        if self.cursor and not _CURSOR.fullmatch(self.cursor):
            raise CommandError("this is no cursor", where="cursor", do="begin with the first page")

    def fits(self, entry: JournalEntry) -> bool:
        """Return whether an entry has what is wanted, apart from its time."""
        return (
            self.connection in ("", entry.connection)
            and self.platform in ("", entry.source)
            and self.topic in ("", entry.topic)
            and self.operation in ("", entry.operation)
            and self.result in ("", entry.result.value)
            and self.reason in ("", entry.reason)
            and self.event in ("", entry.event_id)
            and self.order in ("", entry.details.get("order_id", ""))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventList:
    """A page of events. ``looked_at``: entries that were read for it; ``next``: the cursor of what may be left."""

    wanted: EventFilter
    entries: tuple[JournalEntry, ...]
    looked_at: int
    since: datetime
    until: datetime | None
    next: str

    @property
    def reached(self) -> float:
        """When the last entry that was looked at arrived, epoch seconds; 0 where that is not known."""
        arrived = _arrival(self.next)
        return arrived.timestamp() if arrived else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay events list --json`` prints."""
        return {
            "events": [entry_dict(entry) for entry in self.entries],
            "since": instant_at(self.since.timestamp()),
            "until": None if self.until is None else instant_at(self.until.timestamp()),
            "looked_at": self.looked_at,
            "next": self.next or None,
        }


def list_events(
    journal: Journal, store: ConnectionStore, wanted: EventFilter, *, now: float, limit: int = 50
) -> EventList:
    """Return a page of at most ``limit`` events.

    Raises CommandError for a filter that cannot be one, and for a connection that the stack does not have.
    """
    wanted.check()
    at = datetime.fromtimestamp(now, UTC)
    since = since_of(wanted.since or "7d", at, where="since")
    until = since_of(wanted.until, at, where="until") if wanted.until else None
    if wanted.connection:
        known_connection(store, wanted.connection)
    last = min(filter(None, (until, at)))
    if arrived := _arrival(wanted.cursor):
        # The day after too: an entry's day is that of its arrival, which is a moment after its id was made.
        last = min(last, arrived + timedelta(days=1))
    streams: Sequence[Iterator[JournalEntry]]
    if wanted.customers:
        streams = [_of_customer(journal, name, wanted.cursor) for name in wanted.customers]
    else:
        names = [wanted.connection] if wanted.connection else store.ids()
        at_once = min(limit + 1, AT_ONCE)
        streams = [_of_connection(journal, name, since, last, wanted.cursor, at_once) for name in names]
    most = max(LOOKED_AT, limit + 1)
    found: list[JournalEntry] = []
    looked_at, seen, next_ = 0, "", ""
    for entry in merge(*streams, key=_order, reverse=True):
        if looked_at == most:
            next_ = seen
            break
        looked_at, seen = looked_at + 1, entry.order
        if entry.received_at < since.timestamp():
            if wanted.customers:
                break
            continue
        if (until is not None and entry.received_at > until.timestamp()) or not wanted.fits(entry):
            continue
        if len(found) == limit:
            next_ = found[-1].order
            break
        found.append(entry)
    return EventList(wanted=wanted, entries=tuple(found), looked_at=looked_at, since=since, until=until, next=next_)


def _order(entry: JournalEntry) -> str:
    return entry.order


def _of_connection(
    journal: Journal, name: str, since: datetime, last: datetime, before: str, at_once: int
) -> Iterator[JournalEntry]:
    while True:
        entries = journal.list(name, since=since, until=last, before=before, limit=at_once)
        yield from entries
        if len(entries) < at_once:
            return
        last, before = datetime.fromtimestamp(entries[-1].received_at, UTC), entries[-1].order


def _of_customer(journal: Journal, customer: str, before: str) -> Iterator[JournalEntry]:
    while True:
        entries = journal.by_customer(customer, before=before, limit=AT_ONCE)
        yield from entries
        if len(entries) < AT_ONCE:
            return
        before = entries[-1].order


def _arrival(order: str) -> datetime | None:
    """Return when the delivery of a cursor arrived."""
    arrived = arrival_of(order.partition("#")[0])
    return None if arrived is None else datetime.fromtimestamp(arrived, UTC)
