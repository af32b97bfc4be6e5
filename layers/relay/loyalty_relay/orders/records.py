"""Reads and writes of orders' records: leases, pointers by alias, and the actions of the writes under a lease."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from loyalty_relay.model.errors import LeaseBusy
from loyalty_relay.orders.record import OrderRecord
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.reliability.ledger_records import LedgerRecords
from loyalty_relay.storage import keys
from loyalty_relay.storage.lease import BUSY_SECONDS, LeaseLost
from loyalty_relay.storage.table import ConditionsFailed, Contended, Item, Refused, transact

HOPS = 4
"""Pointers followed from one name of an order."""
EMPTY_SECONDS = 86_400.0
"""How long an item stays that a process made and died before it wrote anything."""
CHANGING = ("intent", "intent_at")
"""Attributes that a record may not have."""


class OrderRecords(LedgerRecords):
    """The records of all orders in the state table. Safe for threads. Methods may raise StoreUnavailable."""

    def key(self, connection: str, name: str) -> str:
        """Return the key of an order by its id or an alias."""
        return keys.order(connection, self.digests.identity(connection, "order", name))

    def find(self, connection: str, name: str) -> OrderRecord | None:
        """Return the record behind a name, as it is now; None when there is none."""
        pk = self.key(connection, name)
        for _ in range(HOPS):
            item = self.table.get({"pk": pk})
            if item is None or "to" not in item:
                return OrderRecord.from_item(item, name) if item and "order_state" in item else None
            pk = item["to"]
        return None

    def take(self, connection: str, name: str) -> OrderRecord:
        """Take the lease of an order, making its item if there is none. Raises LeaseBusy."""
        pk = self.key(connection, name)
        for _ in range(HOPS):
            found = self._take(pk, connection, name)
            if isinstance(found, OrderRecord):
                return found
            pk = found
        raise LeaseBusy(retry_after=BUSY_SECONDS)

    def _take(self, pk: str, connection: str, name: str) -> OrderRecord | str:
        """Return the record under lease, or the key to which a pointer leads."""
        try:
            lease = self._leases.take(
                pk,
                self.new_token(),
                sets="#connection = :connection, expires_at = if_not_exists(expires_at, :empty)",
                condition="attribute_not_exists(#to)",
                names={"#to": "to", "#connection": "connection"},
                values={":connection": connection, ":empty": int(self.clock() + EMPTY_SECONDS)},
            )
        except Refused as refused:
            if refused.item is not None and "to" in refused.item:
                return str(refused.item["to"])
            raise self._leases.busy(refused.item) or LeaseBusy(retry_after=BUSY_SECONDS) from None
        before: Item = lease.before or {}
        record = OrderRecord.from_item({**before, "pk": pk, "connection": connection}, name)
        return replace(record, lease=lease)

    def lines(self, record: OrderRecord) -> str:
        """Return the kept lines of an order; "" where there are none."""
        item = self.table.get({"pk": keys.order_lines(record.pk)}) if record.lines else None
        return item["lines"] if item else ""

    def absorb(self, record: OrderRecord, names: Iterable[str]) -> tuple[list[OrderRecord], list[str]]:
        """Return records under other names of an order, under leases, and the names that may lead to it from now on.

        Something was recorded under a name before it was known to be the order's. A name under which a sale was
        reported is another order's and is left alone.
        """
        pks = {self.key(record.connection, name): name for name in names}
        pks.pop(record.pk, None)
        taken: list[OrderRecord] = []
        try:
            for item in self.table.get_many([{"pk": pk} for pk in pks]) if pks else ():
                if "to" in item:
                    continue
                orphan = self._take(item["pk"], record.connection, pks[item["pk"]])
                if not isinstance(orphan, OrderRecord):
                    raise LeaseBusy(retry_after=BUSY_SECONDS)
                taken.append(orphan)
                if orphan.known.sale is not None or orphan.bookings or orphan.intent is not None:
                    del pks[orphan.pk]
                    self.release(taken.pop())
        except Exception:
            for orphan in taken:
                self.release(orphan)
            raise
        return taken, list(pks.values())

    def write(
        self,
        record: OrderRecord,
        *,
        pointers: Iterable[str] = (),
        absorbed: Iterable[OrderRecord] = (),
        lines: str | None = None,
        entry: JournalEntry | None = None,
        end: bool,
    ) -> None:
        """Write a record under its lease, with pointers by new names and the journal's entry, in one transaction.

        ``absorbed``: leased records that become pointers. ``lines``: replace those that are kept; "" removes them.
        ``end``: whether this ends the lease. Raises LeaseLost, LeaseBusy when another execution has an item of a
        pointer.
        """
        token = record.lease.token if record.lease else ""
        update = self._update(record, token, end)
        actions = {"record": self.table.action("Update", {"pk": record.pk}, **update)}
        pks = {self.key(record.connection, name) for name in pointers} - {record.pk}
        for orphan in absorbed:
            pks.discard(orphan.pk)
            actions[f"orphan {orphan.pk}"] = self.table.action(
                "Put",
                self._pointer(orphan.pk, record),
                condition="lease_token = :token",
                values={":token": orphan.lease.token if orphan.lease else ""},
            )
        for pk in sorted(pks):
            actions[f"alias {pk}"] = self.table.action(
                "Put",
                self._pointer(pk, record),
                condition="attribute_not_exists(pk) OR attribute_exists(#to)",
                names={"#to": "to"},
            )
        if lines is not None:
            key = {"pk": keys.order_lines(record.pk)}
            kept = {"connection": record.connection, "lines": lines, "expires_at": int(record.until)}
            actions["lines"] = self.table.action("Put", key | kept) if lines else self.table.action("Delete", key)
        if entry is not None:
            actions["journal"] = self.journal.put(entry)
        try:
            # Alone, it needs no transaction, which costs twice as much; repeated under its lease, it is the same again.
            if len(actions) == 1 and not end:
                self.table.update({"pk": record.pk}, **update)
                return
            written = transact(
                self.table.dynamodb, actions, optional=lambda label: label == "journal", sleep=self._sleep
            )
        except ConditionsFailed as failed:
            if "record" in failed.labels:
                raise LeaseLost from None
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
        except Refused:
            raise LeaseLost from None
        except Contended:
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
        if "journal" in written:
            self.journal.written(entry)

    def _update(self, record: OrderRecord, token: str, end: bool) -> dict[str, Any]:
        values = record.to_attributes()
        removed = [name for name in CHANGING if name not in values] + (["lease_token", "lease_until"] if end else [])
        return {
            "expression": "SET "
            + ", ".join(f"#{name} = :{name}" for name in values)
            + (" REMOVE " + ", ".join(f"#{name}" for name in removed) if removed else ""),
            "condition": "#lease_token = :token",
            "names": {f"#{name}": name for name in {*values, *removed, "lease_token"}},
            "values": {f":{name}": value for name, value in values.items()} | {":token": token},
        }

    def _pointer(self, pk: str, record: OrderRecord) -> Item:
        return {"pk": pk, "connection": record.connection, "to": record.pk, "expires_at": int(record.until)}

    def release(self, record: OrderRecord, *, written: bool = False) -> None:
        """End the lease without a change; an item that only the lease made is removed. Never raises.

        ``written``: whether the record was written under this lease.
        """
        lease = record.lease
        if lease is not None:
            exists = written or "order_state" in (lease.before or {})
            (self._leases.release if exists else self._leases.discard)(lease)
