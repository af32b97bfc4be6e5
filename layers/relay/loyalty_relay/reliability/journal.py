"""The journal: what happened to each command, to answer "what became of this customer's event?".

One item per delivery and position, kept 90 days. It holds no personal data: customers are keyed hashes, fields are
names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from loyalty_relay.model.outcomes import Result
from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Item, Refused, Table

KEPT_DAYS = 90
MOST_WAITING = 100_000
"""Entries, the oldest ones, among which those with a receipt are looked for."""
PAGE = 100
"""What one request reads of items by their keys."""
INGEST = "ingest"
"""The operation of entries about deliveries that led to no command."""
UNFINISHED = frozenset({Result.RETRYING, Result.PARKED})
"""Results that a later one replaces."""
_IN_ITEM = {"redrives": "attempt", "receives": "attempts"}
"""Members that have another name in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """The outcome of one command of one delivery. Times are epoch seconds, except ``occurred_at``."""

    delivery_id: str
    position: int = 0
    connection: str
    result: Result
    reason: str = ""
    source: str = ""
    topic: str = ""
    event_id: str = ""
    operation: str = ""
    customer: str = ""
    """Keyed hash of the customer (``Hold.customer``); empty where no customer is concerned."""
    loyalty_id: str | None = None
    codes: tuple[str, ...] = ()
    """Codes of notices."""
    fields: tuple[str, ...] = ()
    """Names of the fields that were sent."""
    redrives: int = 0
    """Of the envelope."""
    receives: int = 1
    """How often the queue has delivered the command so far."""
    occurred_at: str = ""
    """The source's event time (``instant`` text)."""
    received_at: float = 0.0
    finished_at: float = 0.0
    """When it was tried last."""
    next_at: float | None = None
    """When it is tried again; None where it is not."""
    receipt: str = ""
    """Of the last receive of a message that waits for its destination: with it, its next attempt can be moved."""
    request_id: str | None = None
    code: str | None = None
    """The vendor's error code."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Further short texts without personal data."""

    @property
    def order(self) -> str:
        """What lists are sorted by: the delivery's arrival, then the position."""
        return keys.entry_order(self.delivery_id, self.position)

    def to_item(self) -> Item:
        """Return the entry as an item of the table, with the keys of both indexes."""
        day = datetime.fromtimestamp(self.received_at, UTC)
        item: Item = {
            "connection_day": keys.connection_day(self.connection, day),
            "sort": self.order,
            "expires_at": int((day + timedelta(days=KEPT_DAYS)).timestamp()),
        }
        if self.result in UNFINISHED:
            item["unfinished"] = keys.unfinished(self.connection, self.result.value)
        for member in fields(self):
            value = getattr(self, member.name)
            # Empty texts are left out: an empty index key is refused.
            if value in (None, "", (), {}):
                continue
            item[_IN_ITEM.get(member.name, member.name)] = value.value if isinstance(value, Result) else value
        return item

    @classmethod
    def from_item(cls, item: Item) -> JournalEntry:
        names = {f.name: _IN_ITEM.get(f.name, f.name) for f in fields(cls)}
        given = {member: item[name] for member, name in names.items() if name in item}
        given["result"] = Result(given["result"])
        for name in ("codes", "fields"):
            given[name] = tuple(given.get(name, ()))
        for name in ("received_at", "finished_at"):
            given[name] = float(given.get(name, 0))
        if "next_at" in given:
            given["next_at"] = float(given["next_at"])
        return cls(**given)


class Journal:
    """The journal's table. ``settled`` is called with each entry that was written with a final result."""

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        *,
        clock: Callable[[], float],
        settled: Callable[[JournalEntry], None] = lambda entry: None,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock
        self._settled = settled

    def put(self, entry: JournalEntry) -> dict[str, Any]:
        """Return the write of an entry as an action of a transaction; its condition is that of ``write``.

        Whoever commits the transaction calls ``written``.
        """
        return self._table.action("Put", entry.to_item(), **_unless_final(entry))

    def written(self, entry: JournalEntry | None) -> None:
        """Report that the entry of ``put`` was written; None where there was none."""
        if entry is not None and entry.result not in UNFINISHED:
            self._settled(entry)

    def write(self, entry: JournalEntry) -> bool:
        """Write an entry and return True, or return False where a final one exists.

        A retrying entry is replaced. The first final result stays, also when a late copy of the message is worked;
        only a redrive replaces it: that of a command by its higher ``attempt``, that of a delivery which ingest parked
        raw because it was no command before.
        """
        try:
            self._table.put(entry.to_item(), **_unless_final(entry))
        except Refused:
            return False
        self.written(entry)
        return True

    def retrying(self, entry: JournalEntry, *, waiting: float) -> float:
        """Write an attempt that will be repeated, and return the seconds of counted waits including ``waiting``.

        One request: the item counts attempts and waits. Where a final entry exists, nothing is written and 0 is
        returned.
        """
        item = entry.to_item()
        keys = {name: item.pop(name) for name in ("delivery_id", "position")}
        item.pop("attempts", None)
        unless = _unless_final(entry)
        names = {f"#m{i}": name for i, name in enumerate(item)} | unless["names"]
        values = {f":m{i}": value for i, value in enumerate(item.values())} | unless["values"]
        sets = ", ".join(f"#m{i} = :m{i}" for i in range(len(item)))
        try:
            before = self._table.update(
                keys,
                f"SET {sets} ADD attempts :one, tried :waiting",
                condition=unless["condition"],
                names=names,
                values=values | {":one": 1, ":waiting": round(waiting, 3)},
            )
        except Refused:
            return 0.0
        return float((before or {}).get("tried", 0)) + waiting

    def show(self, delivery_id: str) -> list[JournalEntry]:
        """Return all entries of a delivery, by position."""
        return [JournalEntry.from_item(i) for i in self._table.query(None, "delivery_id", delivery_id, limit=10_000)]

    def finished(self, delivery_id: str) -> int:
        """Return how many commands of a delivery have a final result."""
        return sum(entry.result is not Result.RETRYING for entry in self.show(delivery_id))

    def by_customer(self, customer: str, *, before: str = "", limit: int = 50) -> list[JournalEntry]:
        """Return the entries of one customer, by keyed hash, newest delivery first.

        ``before``: an ``order`` that they come before.
        """
        items = self._table.query(
            keys.BY_CUSTOMER, "customer", customer, limit=limit, newest_first=True, below=_below(before)
        )
        return [JournalEntry.from_item(item) for item in items]

    def unfinished(self, connection: str, result: Result, *, limit: int) -> list[tuple[str, int]]:
        """Return (delivery id, position) of a connection's entries that are retrying or parked, the oldest first."""
        value = keys.unfinished(connection, result.value)
        items = self._table.query(keys.BY_UNFINISHED, "unfinished", value, limit=limit)
        return [(item["delivery_id"], int(item["position"])) for item in items]

    def list(
        self,
        connection: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str = "",
        limit: int = 50,
    ) -> list[JournalEntry]:
        """Return a connection's entries, newest delivery first; without ``since`` those of the last seven days.

        Of ``since`` and ``until`` the whole days. ``before``: an ``order`` that they come before.
        """
        last = (until or datetime.fromtimestamp(self._clock(), UTC)).astimezone(UTC).date()
        first = since.astimezone(UTC).date() if since else last - timedelta(days=6)
        first = max(first, last - timedelta(days=KEPT_DAYS + 1))
        found: list[JournalEntry] = []
        while last >= first and len(found) < limit:
            items = self._table.query(
                keys.BY_CONNECTION,
                "connection_day",
                keys.connection_day(connection, last),
                limit=limit - len(found),
                newest_first=True,
                below=_below(before),
            )
            found += [JournalEntry.from_item(item) for item in items]
            last -= timedelta(days=1)
        return found

    def waiting(self, connection: str) -> Iterator[JournalEntry]:
        """Yield a connection's entries that are tried again and have a receipt."""
        found = self.unfinished(connection, Result.RETRYING, limit=MOST_WAITING)
        for start in range(0, len(found), PAGE):
            wanted = [{"delivery_id": one, "position": position} for one, position in found[start : start + PAGE]]
            entries = map(JournalEntry.from_item, self._table.get_many(wanted))
            yield from (entry for entry in entries if entry.result is Result.RETRYING and entry.receipt)

    def moved(self, entry: JournalEntry, next_at: float) -> None:
        """Write another moment of the next attempt, unless there has been one since ``entry`` was read."""
        with suppress(Refused):
            self._table.update(
                {"delivery_id": entry.delivery_id, "position": entry.position},
                "SET next_at = :next",
                condition="receipt = :receipt",
                values={":next": next_at, ":receipt": entry.receipt},
            )


def _below(order: str) -> tuple[str, str] | None:
    return ("sort", order) if order else None


def _unless_final(entry: JournalEntry) -> dict[str, Any]:
    return {
        "condition": (
            "attribute_not_exists(delivery_id) OR #attempt < :attempt OR (#attempt = :attempt AND (#result = :retrying"
            " OR (#result = :parked AND #operation = :ingest)))"
        ),
        "names": {"#attempt": "attempt", "#result": "result", "#operation": "operation"},
        "values": {
            ":attempt": entry.redrives,
            ":retrying": Result.RETRYING.value,
            ":parked": Result.PARKED.value,
            ":ingest": INGEST,
        },
    }
