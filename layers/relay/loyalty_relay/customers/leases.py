"""Taking and giving back the lease of a customer's item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from loyalty_relay.customers.entry import Guard, Intent, hash_of
from loyalty_relay.model.errors import LeaseBusy, StoreUnavailable
from loyalty_relay.storage import keys
from loyalty_relay.storage.lease import BUSY_SECONDS
from loyalty_relay.storage.table import Contended, Refused, Table

HOPS = 8
"""Pointers followed from one key; chains are made by merges of merges and are as good as never longer than three."""
COMPACT = 4
"""Uncommitted intents of crashed attempts that are kept apart before they are written as one."""
ANY = "any"
"""Take the lease whether or not there is a tombstone."""


@dataclass(frozen=True, slots=True)
class Leased:
    """One item under lease, as it was before."""

    guard: Guard
    token: str


class Leases:
    """Leases on the items of the state table that guard customers. ``seconds``: how long one lasts."""

    def __init__(self, table: Table, *, clock: Callable[[], float], seconds: float) -> None:
        self.table = table
        self.clock = clock
        self.seconds = seconds

    def read(self, pk: str) -> Guard | None:
        item = self.table.get({"pk": pk})
        return Guard.from_item(item) if item else None

    def resolve(self, pk: str) -> Guard | None:
        """The customer's item behind a key, as it is now; None when there is none."""
        for _ in range(HOPS):
            guard = self.read(pk)
            if guard is None or guard.to is None:
                return guard
            pk = guard.to
        return None

    def attempt(
        self, pk: str, connection: str, intent: Intent, *, store: str | None, tombstone: str | None, create: bool = True
    ) -> Leased | Guard | None:
        """One conditional write that takes the lease and records the intent.

        ``tombstone``: None to take it only where there is none, ``ANY``, or the text of the very one to write over.
        ``create``: make the item when there is none. Answers the lease, or what stands in the way (a pointer, a
        tombstone, another's lease), or None when nothing is there and nothing may be made.
        """
        now = self.clock()
        condition = (
            "attribute_not_exists(#to) AND (attribute_not_exists(lease_until) OR lease_until <= :now)"
            + {None: " AND attribute_not_exists(tombstone)", ANY: ""}.get(tombstone, " AND tombstone = :tombstone")
            + ("" if create else " AND attribute_exists(pk)")
        )
        values = {
            ":now": now,
            ":token": intent.token,
            ":until": now + self.seconds,
            ":intent": [intent.to_json()],
            ":none": [],
            ":connection": connection,
            ":customer": hash_of(pk),
        }
        if tombstone not in (None, ANY):
            values[":tombstone"] = tombstone
        expression = (
            "SET lease_token = :token, lease_until = :until, #connection = :connection, customer = :customer,"
            " intents = list_append(if_not_exists(intents, :none), :intent)"
        )
        names = {"#to": "to", "#connection": "connection"}
        if store is not None:
            expression += ", #store = if_not_exists(#store, :store)"
            names["#store"] = "store"
            values[":store"] = keys.customers_of(connection, store)
        try:
            old = self.table.update({"pk": pk}, expression, condition=condition, names=names, values=values)
        except Contended:
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
        except Refused as refused:
            if refused.item is None:
                return None
            found = Guard.from_item(refused.item)
            if found.lease_token != intent.token:
                return found
            # The answer to this very write was lost and botocore repeated it: what stands there is our own lease.
            before = found.without_intent(intent.token)
            return self._compacted(Leased(before, intent.token), intent)
        before = Guard.from_item(old) if old else Guard(pk=pk, exists=False)
        return self._compacted(Leased(before, intent.token), intent)

    def busy(self, guard: Guard) -> LeaseBusy | None:
        """The error to raise when another execution holds the lease."""
        left = guard.lease_until - self.clock()
        return LeaseBusy(retry_after=min(left, BUSY_SECONDS)) if guard.lease_token and left > 0 else None

    def give_back(self, leased: Leased, *, interrupted: bool) -> None:
        """Give up a lease and, unless ``interrupted``, take back the intent. Never raises: a lease runs out."""
        guard = leased.guard
        values: dict[str, Any] = {":token": leased.token}
        expression = "REMOVE lease_token, lease_until"
        if not interrupted and guard.intents:
            values[":intents"] = [i.to_json() for i in guard.intents]
            expression = "SET intents = :intents " + expression
        elif not interrupted:
            expression += ", intents"
        names = {}
        if not interrupted and guard.store is None:
            expression += ", #store"
            names["#store"] = "store"
        try:
            if guard.exists or interrupted:
                self.table.update(
                    {"pk": guard.pk}, expression, condition="lease_token = :token", names=names, values=values
                )
            else:
                self.table.delete({"pk": guard.pk}, condition="lease_token = :token", values=values)
        except (Refused, Contended, StoreUnavailable):
            return

    def _compacted(self, leased: Leased, own: Intent) -> Leased:
        # A command that kills its process each time would otherwise grow the item with every attempt.
        intents = leased.guard.intents
        if len(intents) < COMPACT:
            return leased
        names = tuple(dict.fromkeys(name for i in intents for name in i.fields))
        merged = [Intent(token="", key="", operation="", fields=names, credits=False)]
        crediting = dict.fromkeys(i.key for i in intents if i.credits)
        merged += [Intent(token="", key=key, operation="", fields=(), credits=True) for key in crediting]
        try:
            self.table.update(
                {"pk": leased.guard.pk},
                "SET intents = :intents",
                condition="lease_token = :token",
                values={":intents": [i.to_json() for i in (*merged, own)], ":token": leased.token},
            )
        except (Refused, Contended, StoreUnavailable):
            # Nothing depends on it: the list stays as long as it is, and the next attempt tries again.
            return leased
        return replace(leased, guard=replace(leased.guard, intents=tuple(merged)))
