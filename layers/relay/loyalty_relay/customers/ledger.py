"""The guard of customers: what makes order and duplicates stop mattering.

One item per customer and connection holds a register per field, the loyalty id, a lease and the intents of attempts
that were not committed. An operation takes the hold, sends what the hold lets through, and commits; each is one
request. Whatever happens between the two, the next execution finds the intent and knows what it cannot know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from loyalty_relay.customers import writes
from loyalty_relay.customers.entry import Guard, Intent, Reason, Tombstone, hash_of, key, key_of
from loyalty_relay.customers.holds import Asked, Hold, Known
from loyalty_relay.customers.leases import ANY, HOPS, Leased, Leases
from loyalty_relay.customers.lww_register import MAX_FIELDS
from loyalty_relay.customers.tombstones import Retirement
from loyalty_relay.model.commands import CustomerRef, Version
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import FieldProblem, InvalidCommand, LeaseBusy, StoreUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.lease import BUSY_SECONDS, LeaseLost
from loyalty_relay.storage.table import ConditionsFailed, Contended, Table, transact

MAX_NAME = 255

__all__ = ["Customers", "Hold", "Known", "LeaseLost", "Tombstone"]


class Customers:
    """The guards of all customers. Safe for threads.

    ``lease_seconds``: longer than the function may run. ``new_token``: a fresh unguessable text per call. ``sleep``:
    waits between two tries of a commit, a few hundredths of a second at most.
    """

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        digests: Digests,
        *,
        journal: Journal,
        clock: Callable[[], float],
        lease_seconds: float,
        new_token: Callable[[], str],
        sleep: Callable[[float], None],
    ) -> None:
        self._dynamodb = dynamodb
        self._table = Table(dynamodb, table)
        self._leases = Leases(self._table, clock=clock, seconds=lease_seconds)
        self._digests = digests
        self._journal = journal
        self._clock = clock
        self._new_token = new_token
        self._sleep = sleep
        self._retirement = Retirement(self._leases, digests, journal, clock=clock, new_token=new_token, sleep=sleep)

    def take(
        self,
        connection: str,
        customer: CustomerRef,
        fields: Mapping[str, Any],
        version_of: Callable[[str], Version | None],
        *,
        key: str,
        operation: str,
        credits: bool,
        store: str | None = None,
    ) -> Hold:
        """Take the customer's lease, record the intent, and see what of the command is left: one conditional write.

        A command that starts from a pointer (a loyalty id, an e-mail, a merged customer) costs one more per hop.
        ``version_of``: the version of a field; asked with an empty name for a command without fields. ``store``: the
        shop that the customer belongs to, so that the shop can be erased.

        Raises LeaseBusy while another execution works on the customer, InvalidCommand when the command names nobody
        or has more fields than a register keeps, StoreUnavailable.
        """
        self._check(fields)
        asked = {
            name: Asked(value, self._digests.field(connection, name, value), version_of(name))
            for name, value in fields.items()
        }
        versions = {a.version for a in asked.values()} or {version_of("")}
        intent = Intent(token=self._new_token(), key=key, operation=operation, fields=tuple(fields), credits=credits)
        hold = Hold(
            connection=connection,
            customer="",
            key=key,
            operation=operation,
            token="",
            expires_at=0.0,
            fields={},
            stale=(),
            unchanged=(),
            changed=frozenset(),
            loyalty_id=None,
            tombstone=None,
            interrupted=False,
            interrupted_credits=False,
            credited=False,
            before=Guard(pk=""),
            guard=Guard(pk=""),
            asked=asked,
            credits=credits,
            absorbed=[],
        )
        pk = key_of(self._digests, connection, customer)
        tombstone: str | None = None
        passed: set[str] = set()
        for _ in range(HOPS):
            until = self._clock() + self._leases.seconds
            found = self._leases.attempt(pk, connection, intent, store=store, tombstone=tombstone)
            if isinstance(found, Leased):
                guard = found.guard
                taken = replace(hold, token=intent.token, expires_at=until, before=guard)
                if guard.tombstone is not None and tombstone != ANY:
                    # The commit removes the tombstone; until then it stands, in case this attempt ends early.
                    guard = replace(guard, register=guard.register.raised(guard.tombstone.floor), tombstone=None)
                return taken.judged(guard)
            if found is None:
                continue
            if found.to is not None:
                # What stands at the end of a pointer is the member; its tombstone concerns its own source id only.
                pk, tombstone = found.to, ANY
                continue
            stone = found.tombstone
            if stone is not None and tombstone is None:
                if not any(stone.yields_to(version) for version in versions):
                    return replace(hold, customer=found.customer, guard=found, tombstone=stone, stale=tuple(fields))
                if stone.survivor is not None and found.pk not in passed:
                    passed.add(found.pk)
                    pk = stone.survivor
                else:
                    # The customer came back, or two were merged into each other.
                    tombstone = found.tombstone_text
                continue
            if busy := self._leases.busy(found):
                raise busy
        raise LeaseBusy(retry_after=BUSY_SECONDS)

    def adopt(self, hold: Hold, loyalty_id: str) -> Hold:
        """The loyalty id became known: meet whatever another key already holds of this member.

        Merges the other item into the hold's, under both leases, and judges the command's fields again; the commit
        leaves a pointer where the other one was. Costs one request, and none when the id was known. Where the id
        replaces another (members were merged at the vendor), nothing is known of the fields of the new one.

        Raises LeaseBusy while another execution works on the other item: give the hold back then.
        """
        if not hold.token or hold.loyalty_id == loyalty_id:
            return hold
        guard = hold.guard
        if guard.loyalty_id is not None:
            guard = replace(guard, register=guard.register.forgetting(guard.register.marks))
        return self._absorb(replace(hold, guard=replace(guard, loyalty_id=loyalty_id)), loyalty_id)

    def _absorb(self, hold: Hold, loyalty_id: str) -> Hold:
        pk = key(self._digests, hold.connection, "loyalty_id", loyalty_id)
        intent = Intent(
            token=hold.token, key=hold.key, operation=hold.operation, fields=tuple(hold.asked), credits=False
        )
        for _ in range(HOPS):
            if pk == hold.guard.pk or any(pk == other.guard.pk for other in hold.absorbed):
                return hold.judged(hold.guard)
            found = self._leases.attempt(pk, hold.connection, intent, store=None, tombstone=ANY, create=False)
            if found is None:
                return hold.judged(hold.guard)
            if isinstance(found, Leased):
                hold.absorbed.append(found)
                return hold.judged(hold.guard.absorbing(found.guard))
            if found.to is not None:
                pk = found.to
                continue
            if busy := self._leases.busy(found):
                raise busy
        raise LeaseBusy(retry_after=BUSY_SECONDS)

    def commit(self, hold: Hold, *, loyalty_id: str | None, sent: Iterable[str], entry: JournalEntry | None) -> None:
        """Write what was sent, give up the lease and journal it: one transaction, conditional on the lease.

        ``sent``: names of the fields that the vendor accepted. Unchanged fields advance their version as well; stale
        ones and those that were not sent do not. ``entry.customer`` is filled in when empty.

        Raises LeaseLost when another execution took over, LeaseBusy when the loyalty id belongs to an item that
        another execution works on, StoreUnavailable; all say that the vendor was reached when something was sent. In
        each case the intent still stands, and the next attempt finds out.
        """
        names = tuple(sent)
        if entry is not None and not entry.customer:
            entry = replace(entry, customer=hold.customer)
        if not hold.token:
            if entry is not None:
                self._journal.write(entry)
            return
        try:
            for _ in range(HOPS):
                actions = writes.commit(
                    self._table, self._journal, self._digests, hold, loyalty_id, names, entry, self._clock()
                )
                try:
                    transact(self._dynamodb, actions, optional=writes.optional, sleep=self._sleep)
                except ConditionsFailed as failed:
                    if failed.labels != {"loyalty"} or loyalty_id is None:
                        raise LeaseLost from None
                    hold = self._absorb(hold, loyalty_id)
                else:
                    return
            raise Contended
        except Contended:
            raise StoreUnavailable(
                "the customer's item is being written by other executions", reached=bool(names) or hold.credits
            ) from None
        except (LeaseLost, LeaseBusy, StoreUnavailable) as error:
            error.reached = error.reached or bool(names) or hold.credits
            raise

    def release(self, hold: Hold, *, interrupted: bool, keep_lease: bool = False) -> None:
        """Give the hold back without a commit.

        ``interrupted`` False: nothing was sent, and everything stands as before, an earlier attempt's intent
        included. True: something may have reached the vendor, so the intent stays recorded. ``keep_lease``: after a
        time-out, when the vendor may still be at work: nothing is written and the lease runs out by itself.

        Never raises: a hold that cannot be given back runs out, and its intent then says more than is known.
        """
        if not hold.token or keep_lease:
            return
        for leased in (Leased(hold.before, hold.token), *hold.absorbed):
            self._leases.give_back(leased, interrupted=interrupted)

    def retire(
        self,
        connection: str,
        customer: CustomerRef,
        reason: Reason,
        version: Version | None,
        survivor: str | None,
        entry: JournalEntry | None,
    ) -> Result:
        """Forget what is held of a customer and leave a tombstone; see ``Retirement.retire``."""
        return self._retirement.retire(connection, customer, reason, version, survivor, entry)

    def erase_store(self, connection: str, store: str, deadline: Deadline, *, version: Version | None = None) -> bool:
        """Erase all customers of a shop; True when none is left. See ``Retirement.erase_store``."""
        return self._retirement.erase_store(connection, store, deadline, version)

    def remap(self, connection: str, old_loyalty_id: str, new_loyalty_id: str) -> None:
        """The vendor merged two members: what was held of the old one is held of the new one from now on.

        An item under lease, of the old member or the new, is left alone: its holder learns of the merge by its own
        call, and its commit carries the new id. Raises StoreUnavailable.
        """
        if old_loyalty_id == new_loyalty_id:
            return
        old = CustomerRef(loyalty_id=old_loyalty_id)
        try:
            hold = self.take(connection, old, {}, lambda _: None, key="", operation="remap", credits=False)
        except LeaseBusy:
            return
        try:
            adopted = self.adopt(hold, new_loyalty_id)
        except LeaseBusy:
            self.release(hold, interrupted=False)
            return
        self.commit(adopted, loyalty_id=new_loyalty_id, sent=(), entry=None)

    def lookup(self, connection: str, customer: CustomerRef) -> Known | None:
        """What is held of a customer, without touching it; None when nothing is."""
        pk = key_of(self._digests, connection, customer)
        guard = self._leases.resolve(pk)
        if guard is None:
            return None
        live = guard.lease_token is not None and guard.lease_until > self._clock()
        return Known(
            customer=guard.customer,
            hashes=tuple(dict.fromkeys((guard.customer, *guard.was, hash_of(pk)))),
            loyalty_id=guard.loyalty_id,
            fields={name: tuple(mark.versions.values()) for name, mark in guard.register.marks.items()},
            tombstone=guard.tombstone,
            interrupted=bool(guard.uncertain),
            leased_until=guard.lease_until if live else None,
            updated_at=guard.updated_at,
        )

    def customer_hash(self, connection: str, kind: str, value: str) -> str:
        """The keyed hash by which the journal knows a customer whose item is found by this identifier.

        ``kind``: source_id, loyalty_id, email, mobile or another type of identifier.
        """
        return hash_of(key(self._digests, connection, kind, value))

    def known_as(self, connection: str, customer: CustomerRef) -> str:
        """The keyed hash of whom a command names, without looking anything up; empty when it names nobody."""
        try:
            return hash_of(key_of(self._digests, connection, customer))
        except InvalidCommand:
            return ""

    def _check(self, fields: Mapping[str, Any]) -> None:
        problems = [FieldProblem(name[:40], "the name is too long") for name in fields if len(name) > MAX_NAME]
        if len(fields) > MAX_FIELDS:
            problems.append(FieldProblem("fields", f"at most {MAX_FIELDS} fields are taken"))
        if problems:
            raise InvalidCommand("the command has more than a register can keep", problems=problems)
