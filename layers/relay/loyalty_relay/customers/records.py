"""Reads and writes of customers' records: leases, pointers, and the actions of the transactions that end a lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loyalty_relay.customers.record import MEMBERS, CustomerRecord, Intent, key, key_of
from loyalty_relay.model.commands import CustomerRef
from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.reliability.ledger_records import LedgerRecords
from loyalty_relay.storage import keys
from loyalty_relay.storage.lease import LeaseLost
from loyalty_relay.storage.table import ConditionsFailed, Item, Refused, transact

HOPS = 8
"""Pointers followed from one key; merges of merges make chains, which are hardly ever longer than three."""
COMPACT = 4
"""Uncommitted intents of crashed attempts that are kept apart before they are written as one."""

ANY = "any"
"""Take the lease whether or not there is a tombstone."""

Action = dict[str, Any]
Actions = dict[str, Action]
"""Actions of one transaction by label; see ``optional``."""


def optional(label: str) -> bool:
    """Return whether an action may be left out when its condition fails, because an item of another customer is there.

    Not ``record…``, which is conditional on the lease; ``loyalty``, which fails when another item has the loyalty id;
    nor ``heir``, which fails when the survivor of a merge is being worked on.
    """
    return not label.startswith("record") and label not in ("loyalty", "heir")


class Records(LedgerRecords):
    """The records of all customers in the state table. Safe for threads. Methods may raise StoreUnavailable."""

    # -- keys and reads -----------------------------------------------------------------------------------------------

    def key(self, connection: str, kind: str, value: str) -> str:
        """Return the key that leads to a customer by an identifier."""
        return key(self.digests, connection, kind, value)

    def key_of(self, connection: str, customer: CustomerRef) -> str:
        """Return the key that a command about a customer starts from. Raises InvalidCommand when there is none."""
        return key_of(self.digests, connection, customer)

    def find(self, pk: str) -> CustomerRecord | None:
        """Return the record behind a key, as it is now; None when there is none."""
        for _ in range(HOPS):
            item = self.table.get({"pk": pk})
            if item is None or "to" not in item:
                return CustomerRecord.from_item(item) if item else None
            pk = item["to"]
        return None

    # -- leases -------------------------------------------------------------------------------------------------------

    def take(
        self,
        pk: str,
        connection: str,
        intent: Intent,
        *,
        store: str | None = None,
        tombstone: str | None = ANY,
        create: bool = True,
    ) -> CustomerRecord | None:
        """Take the lease of a record and write the intent, in one conditional write.

        ``tombstone``: None to take it only where there is none, ``ANY``, or the text of the one to replace. ``create``:
        make the item when there is none. Returns the record as it was before, with its ``lease``; or, without one, what
        prevents it: a pointer or a tombstone; or None when there is no item and none may be made.

        Raises LeaseBusy while another execution has the lease.
        """
        conditions = ["attribute_not_exists(#to)"]
        sets = (
            "#connection = :connection, customer = :customer,"
            " intents = list_append(if_not_exists(intents, :none), :intent)"
        )
        names = {"#to": "to", "#connection": "connection"}
        values: dict[str, Any] = {
            ":intent": [intent.to_json()],
            ":none": [],
            ":connection": connection,
            ":customer": keys.customer_hash(pk),
        }
        if tombstone is None:
            conditions.append("attribute_not_exists(tombstone)")
        elif tombstone != ANY:
            conditions.append("tombstone = :tombstone")
            values[":tombstone"] = tombstone
        if not create:
            conditions.append("attribute_exists(pk)")
        if store is not None:
            sets += ", #store = if_not_exists(#store, :store)"
            names["#store"] = "store"
            values[":store"] = keys.customers_of(connection, store)
        try:
            lease = self._leases.take(
                pk, intent.token, sets=sets, condition=" AND ".join(conditions), names=names, values=values
            )
        except Refused as refused:
            if refused.item is None:
                return None
            found = CustomerRecord.from_item(refused.item)
            prevented = found.to is not None or (found.tombstone is not None and tombstone is None)
            if not prevented and (busy := self._leases.busy(refused.item)):
                raise busy from None
            return found
        before = CustomerRecord.from_item(lease.before) if lease.before else CustomerRecord(pk=pk, exists=False)
        return self._compacted(replace(before.without_intent(intent.token), lease=lease), intent)

    def give_back(self, record: CustomerRecord, *, interrupted: bool) -> None:
        """End a lease and, unless ``interrupted``, withdraw its intent. Never raises: a lease runs out.

        ``record``: as it was found.
        """
        if record.lease is None:
            return
        if not record.exists and not interrupted:
            self._leases.discard(record.lease)
        elif interrupted:
            self._leases.release(record.lease)
        else:
            removes = [*(() if record.intents else ("intents",)), *(() if record.store is not None else ("#store",))]
            self._leases.release(
                record.lease,
                sets="intents = :intents" if record.intents else "",
                removes=", ".join(removes),
                names=None if record.store is not None else {"#store": "store"},
                values={":intents": [i.to_json() for i in record.intents]} if record.intents else None,
            )

    def _compacted(self, record: CustomerRecord, own: Intent) -> CustomerRecord:
        # A command that kills its process each time would otherwise grow the item with every attempt.
        if len(record.intents) < COMPACT or record.lease is None:
            return record
        merged = [Intent(fields=tuple(dict.fromkeys(name for i in record.intents for name in i.fields)))]
        merged += [Intent(key=key, credits=True) for key in dict.fromkeys(i.key for i in record.intents if i.credits)]
        try:
            self._leases.change(
                record.lease, "SET intents = :intents", values={":intents": [i.to_json() for i in (*merged, own)]}
            )
        except (LeaseLost, StoreUnavailable):
            # Nothing depends on it: the list stays as long as it is, and the next attempt tries again.
            return record
        return replace(record, intents=tuple(merged))

    # -- transactions -------------------------------------------------------------------------------------------------

    def write(self, actions: Mapping[str, Action], entry: JournalEntry | None = None) -> None:
        """Write the actions, and the journal's entry, in one transaction.

        Raises LeaseLost, ConditionsFailed for other labels, or Contended.
        """
        journalled = {} if entry is None else {"journal": self.journal.put(entry)}
        try:
            written = transact(self.table.dynamodb, {**actions, **journalled}, optional=optional, sleep=self._sleep)
        except ConditionsFailed as failed:
            if any(label.startswith("record") for label in failed.labels):
                raise LeaseLost from None
            raise
        if "journal" in written:
            self.journal.written(entry)

    def update(self, after: CustomerRecord) -> Action:
        """Return the action that writes a record and ends its lease, conditional on the lease."""
        values = after.attributes() | {"updated_at": self.clock()}
        removed = ["lease_token", "lease_until", "expires_at", *(m for m in MEMBERS if m not in values)]
        return self.table.action(
            "Update",
            {"pk": after.pk},
            expression="SET "
            + ", ".join(f"#{m} = :{m}" for m in values)
            + " REMOVE "
            + ", ".join(f"#{m}" for m in removed),
            condition="#lease_token = :token",
            names={f"#{m}": m for m in (*values, *removed)},
            values={f":{m}": v for m, v in values.items()} | {":token": after.lease.token if after.lease else ""},
        )

    def replace(self, record: CustomerRecord, item: Item) -> Action:
        """Return the action that puts another item in the place of a leased record, conditional on the lease."""
        token = record.lease.token if record.lease else ""
        return self.table.action("Put", item, condition="lease_token = :token", values={":token": token})

    def point(self, pk: str, connection: str, to: str, *, over: tuple[str, ...]) -> Action:
        """Return the action that makes a pointer where there is none, or one to an item among ``over``."""
        return self._put_over(pointer(pk, connection, to), over)

    def leave_credits(self, pk: str, connection: str, ledger: str, *, over: tuple[str, ...], until: float) -> Action:
        """Return the action that replaces such a pointer by the sent credits, for attempts that begin there so long."""
        hashed = keys.customer_hash(pk)
        item = {"pk": pk, "connection": connection, "customer": hashed, "credits": ledger, "expires_at": int(until)}
        return self._put_over(item, over)

    def unpoint(self, pk: str, ends: tuple[str, ...]) -> Action:
        """Return the action that removes a pointer if it is there and leads to one of ``ends``."""
        condition, values = _to_one_of(ends)
        return self.table.action("Delete", {"pk": pk}, condition=condition, names={"#to": "to"}, values=values)

    def _put_over(self, item: Item, ends: tuple[str, ...]) -> Action:
        condition, values = _to_one_of(ends)
        return self.table.action("Put", item, condition=condition, names={"#to": "to"}, values=values)


def pointer(pk: str, connection: str, to: str) -> Item:
    """Return a pointer's item."""
    return {"pk": pk, "connection": connection, "to": to}


def _to_one_of(ends: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    places = {f":to{number}": end for number, end in enumerate(ends)}
    return f"attribute_not_exists(pk) OR #to IN ({', '.join(places)})", places
