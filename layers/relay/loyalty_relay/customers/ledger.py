"""The customer ledger: what the relay has sent of each customer, so that order and duplicates make no difference.

One record per customer and connection has a last-writer-wins register per field, the loyalty id, a lease, and the
intents of attempts that were not committed. A handler takes a hold, sends what the hold lets through, and commits; each
is one request to the table. Whatever happens between the two, the next execution finds the intent and treats its fields
as unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from loyalty_relay.customers.comparison import Compared, compare
from loyalty_relay.customers.hold import Hold
from loyalty_relay.customers.lww_register import LwwRegister
from loyalty_relay.customers.record import CustomerRecord, Intent
from loyalty_relay.customers.records import HOPS, Records
from loyalty_relay.customers.retirement import erase_store, retire
from loyalty_relay.customers.tombstones import Reason, Tombstone
from loyalty_relay.model.commands import CustomerCommand, CustomerRef, Version
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import InvalidCommand, LeaseBusy
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.storage import keys
from loyalty_relay.storage.lease import BUSY_SECONDS

KINDS = ("source_id", "loyalty_id", "email", "mobile", "external_id")
"""Of keys of customers, the most frequent first."""


class CustomerLedger:
    """The records of all customers. Safe for threads."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def hold(self, connection: str, command: CustomerCommand, *, key: str, force: bool = False) -> Hold:
        """Take the lease of a command's customer and record the intent, for a ``with`` block.

        ``key``: of the command, by which its credits are recognised. ``force``: no field is unchanged.
        Raises LeaseBusy while another execution works on the customer, InvalidCommand when the command names no
        customer or has more fields than a register keeps, StoreUnavailable.
        """
        return Hold(self._records, connection, command, key, force)

    def lookup(self, connection: str, customer: CustomerRef) -> CustomerRecord | None:
        """Return the record of a customer without touching it; None when there is none."""
        return self._records.find(self._records.key_of(connection, customer))

    def compare(self, connection: str, commands: Sequence[CustomerCommand]) -> list[Compared]:
        """Return how the ledger's records compare with what commands would send. See ``comparison.compare``."""
        return compare(self._records, connection, commands)

    def lookup_hash(self, connection: str, customer_hash: str) -> CustomerRecord | None:
        """Return the record of a customer by the keyed hash of the source's id; of the survivor after a merge."""
        pk = keys.customer(connection, "source_id", customer_hash)
        for _ in range(HOPS):
            record = self._records.find(pk)
            survivor = record.tombstone.survivor if record and record.tombstone else None
            if survivor is None:
                return record
            pk = survivor
        return None

    def lookup_listed(self, connection: str, customer_hash: str) -> CustomerRecord | None:
        """Return the record of a customer by a keyed hash under which the journal lists one, whatever it is a hash of.

        At most one read for each of ``KINDS``, and one for each pointer. The record of a merge is returned itself.
        """
        for kind in KINDS:
            record = self._records.find(keys.customer(connection, kind, customer_hash))
            if record is not None:
                return record
        return None

    def reset(
        self, connection: str, customer: CustomerRef, *, fields: Collection[str] = (), tombstone: bool = False
    ) -> CustomerRecord | None:
        """Forget what was sent of a customer, so that the next event is sent whatever its version.

        ``fields``: only of these; else of all, with the versions below which everything is stale. ``tombstone``: also
        remove the tombstone. The loyalty id, the keys that lead here, and the credits that were or may have been sent
        stay. Returns the record as it is then; None when there is none. Raises LeaseBusy while another execution works
        on the customer, StoreUnavailable.
        """
        records = self._records
        found = records.find(records.key_of(connection, customer))
        if found is None:
            return None
        intent = Intent(token=records.new_token(), operation="reset")
        taken = records.take(found.pk, connection, intent, create=False)
        if taken is None or taken.lease is None:
            raise LeaseBusy(retry_after=BUSY_SECONDS)
        reset = taken.of_all_profiles(lambda register: register.without(fields) if fields else LwwRegister())
        after = replace(reset, tombstone=None if tombstone else taken.tombstone)
        try:
            records.write({"record": records.update(after)})
        except Exception:
            records.give_back(taken, interrupted=False)
            raise
        return after

    def retire(
        self,
        connection: str,
        customer: CustomerRef,
        reason: Reason,
        version: Version | None,
        survivor: str | None,
        entry: JournalEntry | None,
    ) -> Result:
        """Leave a tombstone in the place of a customer, whether or not there is a record.

        ``survivor``: of a merge, the source's id of the remaining customer; commands for the merged one go to that
        record, which also gets the loyalty id if it has none. ``entry`` is journalled with the result in the same
        transaction, its ``customer`` filled in when empty.

        Returns ``stale`` when a newer event of the same clock was applied already and the customer therefore remains;
        an erasure then still forgets what is recorded. ``applied`` otherwise. Raises LeaseBusy, LeaseLost,
        StoreUnavailable.
        """
        records = self._records
        own = records.key_of(connection, customer)
        other = records.key(connection, "source_id", survivor) if survivor else None
        stone = Tombstone.at(reason, version, records.clock(), survivor=other if other != own else None)
        return retire(records, connection, own, stone, version, entry)

    def erase_store(self, connection: str, store: str, deadline: Deadline, *, version: Version | None = None) -> bool:
        """Erase every customer of a shop, as far as the time goes; return whether none is left.

        Customers that other executions hold are skipped, so False means that another call is due; it continues where
        this one ended, because an erased customer is not listed under the shop any more.
        """
        return erase_store(self._records, connection, store, deadline, version)

    def customer_hash(self, connection: str, kind: str, value: str) -> str:
        """Return the keyed hash under which the journal lists a customer whose record has this identifier as its key.

        ``kind``: source_id, loyalty_id, email, mobile or another type of identifier.
        """
        return keys.customer_hash(self._records.key(connection, kind, value))

    def known_as(self, connection: str, customer: CustomerRef) -> str:
        """Return the keyed hash of whom a command names, without a lookup; empty when it names no customer."""
        try:
            return keys.customer_hash(self._records.key_of(connection, customer))
        except InvalidCommand:
            return ""
