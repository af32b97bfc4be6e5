"""One delivery: what became of each of its commands, and the steps on the way there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from devkit.queries.hints import hint, meaning
from devkit.stacks.connection_store import ConnectionStore
from devkit.stacks.errors import CommandError, NotFound
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry

DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery with its entries in the journal, by position."""

    delivery_id: str
    entries: tuple[JournalEntry, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay events show --json`` prints."""
        return {
            "delivery_id": self.delivery_id,
            "settled": settled(self.entries),
            "outcomes": [entry_dict(entry) for entry in self.entries],
        }


def show_delivery(journal: Journal, text: str) -> Delivery:
    """Return a delivery by its id, with or without a position. Raises NotFound where the journal has none."""
    whole = text.strip().partition(".")[0]
    # The journal keeps reports as well, under ids that no delivery has.
    entries = journal.show(whole) if DELIVERY_ID.fullmatch(whole) else []
    if not entries:
        raise NotFound(
            f"the journal has no delivery {whole}",
            do="if it was just accepted it has no outcome yet; if not, it was refused or is of another stack (--stack)",
        )
    return Delivery(whole, tuple(entries))


def settled(entries: Sequence[JournalEntry]) -> bool:
    """Return whether every entry has an outcome that stays, and there is one."""
    return bool(entries) and all(entry.result is not Result.RETRYING for entry in entries)


def vendors_of(store: ConnectionStore) -> Callable[[str], str]:
    """Return a function from a connection's id to its vendor; to an empty name where it cannot be read any more."""

    @cache
    def vendor(connection: str) -> str:
        try:
            return store.read(connection).destination.vendor
        except CommandError:
            return ""

    return vendor


def entry_dict(entry: JournalEntry) -> dict[str, Any]:
    """Return a journal entry as JSON."""
    return {
        "delivery_id": entry.delivery_id,
        "position": entry.position,
        "connection": entry.connection,
        "source": entry.source,
        "topic": entry.topic,
        "event_id": entry.event_id,
        "operation": entry.operation,
        "outcome": entry.result.value,
        "reason": entry.reason,
        "means": meaning(entry.reason, entry.result.value),
        "loyalty_id": entry.loyalty_id,
        "codes": list(entry.codes),
        "fields": list(entry.fields),
        "request_id": entry.request_id,
        "details": dict(entry.details),
        "code": entry.code,
        "receives": entry.receives,
        "redrives": entry.redrives,
        "occurred_at": entry.occurred_at,
        "received_at": entry.received_at,
        "finished_at": None if entry.result is Result.RETRYING else entry.finished_at,
        "tried_at": entry.finished_at,
        "next_at": entry.next_at,
        "next": hint(entry.reason, entry.result.value),
    }
