"""A hold: the lease on one customer's record, with what of a command is left to send."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from loyalty_relay.customers.lww_register import MAX_FIELDS, FieldState
from loyalty_relay.customers.record import ALIAS_FIELDS, CustomerRecord, Intent, aliases_of
from loyalty_relay.customers.records import ANY, HOPS, Actions, Records, pointer
from loyalty_relay.customers.tombstones import Tombstone
from loyalty_relay.model import effects
from loyalty_relay.model.commands import CustomerCommand, CustomerRef, Version
from loyalty_relay.model.errors import (
    FieldProblem,
    InvalidCommand,
    LeaseBusy,
    StoreUnavailable,
    TransientError,
    UpstreamTimeout,
)
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.storage.lease import BUSY_SECONDS
from loyalty_relay.storage.table import ConditionsFailed, Contended

MAX_NAME = 255


class Hold:
    """The lease of one customer for one command. Made by ``CustomerLedger.hold``; ends with its ``with`` block.

    A block that neither commits nor skips ends with a release by the kind of its error: after a time-out the lease is
    left to run out, because the vendor may still be at work; after any other error that may have reached the vendor
    the intent stays; else everything is as before. An exception that is not the relay's own may have reached the vendor
    if a request with an effect was begun. A process that dies leaves lease and intent.
    """

    stale: tuple[str, ...]
    """Fields dropped because something newer was sent."""
    unchanged: tuple[str, ...]
    """Fields whose very value was sent last."""
    fields: dict[str, Any]
    """Fields that are left to be sent, with their values."""
    changed: frozenset[str]
    """Fields of which another value is known to have been sent before."""

    registered = False
    """Whether the customer was registered under this hold."""

    def __init__(self, records: Records, connection: str, command: CustomerCommand, key: str, force: bool) -> None:
        _check(command)
        self.connection = connection
        self.key = key
        self._force = force
        self._records = records
        self._command = command
        self._digests = {name: records.digests.field(connection, name, value) for name, value in command.fields.items()}
        self._unconfirmed: frozenset[str] = frozenset()
        self._origin: Hold | None = None
        """The hold that a command with credits began with, where the vendor named another member; see ``meet``."""
        self._requests = effects.begun()
        self._ended = True
        try:
            self._begin(command.customer, credits=bool(command.credits))
        except Exception:
            # The block is not entered, so nothing else would end the lease.
            if not self._ended:
                self.release(interrupted=False)
            raise

    def _begin(self, customer: CustomerRef, *, credits: bool) -> None:
        found = self._take(customer, credits)
        stone = found.tombstone
        record = found
        if found.lease is not None and stone is not None and self._revives:
            # The commit removes the tombstone; until then it stays, in case this attempt ends early.
            record = replace(found.raised(stone.floor), tombstone=None)
        self.who = customer
        """Whom the command is about, with the loyalty id if the vendor had to name the member."""
        self.tombstone: Tombstone | None = None if found.lease else stone
        """What makes the whole command stale; then no lease was taken."""
        self._credits = credits
        self._found = found
        self._absorbed: list[CustomerRecord] = []
        """Records of the same member, under leases, that become pointers to this one with the commit."""
        self._ended = found.lease is None
        self._unseen_profile = not record.has_profile(customer.profile)
        self._judge(record.in_profile(customer.profile))

    def _take(self, customer: CustomerRef, credits: bool) -> CustomerRecord:
        """Take the lease and record the intent: one conditional write, and one more per pointer followed."""
        records, command = self._records, self._command
        versions = {self._version(name) for name in command.fields} or {command.version_of("")}
        intent = Intent(
            token=records.new_token(),
            key=self.key,
            operation=command.operation,
            fields=tuple(command.fields),
            credits=credits,
        )
        pk = records.key_of(self.connection, customer)
        tombstone: str | None = None
        passed: set[str] = set()
        for _ in range(HOPS):
            self._revives = tombstone != ANY
            found = records.take(pk, self.connection, intent, store=command.store, tombstone=tombstone)
            if found is None:
                continue
            if found.lease is not None:
                return found
            if found.to is not None:
                # A pointer leads to the member, whose tombstone concerns its own source id only.
                pk, tombstone = found.to, ANY
            elif (stone := found.tombstone) is not None and tombstone is None:
                if not any(stone.yields_to(version) for version in versions):
                    return found
                if stone.survivor is not None and found.pk not in passed:
                    passed.add(found.pk)
                    pk = stone.survivor
                else:
                    # The customer came back, or two were merged into each other.
                    tombstone = found.tombstone_text
        raise LeaseBusy(retry_after=BUSY_SECONDS)

    def _version(self, name: str) -> Version | None:
        return self._command.version_of(name)

    def _judge(self, record: CustomerRecord) -> None:
        """Compare the command's fields with the register of a record, which is the hold's from now on."""
        self._record = record
        states = dict.fromkeys(self._command.fields, FieldState.STALE)
        if self.tombstone is None:
            uncertain = record.uncertain
            for name, digest in self._digests.items():
                state = record.register.judge(name, digest, self._version(name), uncertain=name in uncertain)
                states[name] = FieldState.SEND if self._force and state is FieldState.UNCHANGED else state
        self.stale = tuple(name for name, state in states.items() if state is FieldState.STALE)
        self.unchanged = tuple(name for name, state in states.items() if state is FieldState.UNCHANGED)
        self.fields = {n: v for n, v in self._command.fields.items() if states[n] is FieldState.SEND}
        self.changed = frozenset(n for n in self.fields if record.register.differs(n, self._digests[n]))

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def customer(self) -> str:
        """The keyed hash under which the journal lists the customer."""
        return self._record.customer

    @property
    def loyalty_id(self) -> str | None:
        """The member, if known."""
        return self._record.loyalty_id if self.tombstone is None else None

    @property
    def expires_at(self) -> float:
        """When the lease ends (epoch seconds)."""
        return self._found.lease.until if self._found.lease else 0.0

    @property
    def interrupted(self) -> bool:
        """Whether an earlier attempt was not committed and may have reached the vendor."""
        return bool(self._record.uncertain) and self.tombstone is None

    @property
    def interrupted_credits(self) -> bool:
        """Whether an attempt of this very command may have credited already: it must not be repeated unseen."""
        return self.key in self._record.in_doubt and self.tombstone is None

    @property
    def credited(self) -> bool:
        """Whether the credits of this very command were committed, and only its key could not be completed."""
        return self.key in self._record.credited and self.tombstone is None

    @property
    def new_profile(self) -> bool:
        """Whether the member is known and nothing is recorded of the profile that the command is about."""
        return self.loyalty_id is not None and self._unseen_profile

    @property
    def by_identifier(self) -> bool:
        """Whether only identifiers name the customer. They can move to another member, so the vendor decides whose."""
        return self.who.source_id is None and self.who.loyalty_id is None

    # -- what is learned ----------------------------------------------------------------------------------------------

    def meet(self, loyalty_id: str, *, credits: bool = False) -> None:
        """Join the hold with what another key leads to: the vendor named this member.

        The member's record is absorbed, under its own lease, and the fields are compared again; the commit leaves a
        pointer in its place. Costs one request, and none when the id was known. Where the id replaces another (members
        were merged at the vendor), no field's value is known.

        An identifier that moved to another member moves the hold to that member. With ``credits`` the first hold is
        kept, too: by the next attempt the e-mail may be a third member's, and only the record that every attempt begins
        with shows what an earlier one has credited.

        Raises LeaseBusy while another execution works on the member.
        """
        if self.tombstone is not None or self.loyalty_id == loyalty_id:
            return
        if self.loyalty_id is not None and self.by_identifier and not (credits and self._leads_here(loyalty_id)):
            if credits:
                self._origin = copy(self)
            else:
                self.release(interrupted=False)
            self._begin(replace(self.who, loyalty_id=loyalty_id), credits=credits)
            return
        record = self._record if self.loyalty_id is None else self._record.forgetting()
        self._judge(self._absorb(replace(record, loyalty_id=loyalty_id), loyalty_id))

    def _leads_here(self, loyalty_id: str) -> bool:
        found = self._records.find(self._records.key(self.connection, "loyalty_id", loyalty_id))
        return found is not None and found.pk == self._record.pk

    def _absorb(self, record: CustomerRecord, loyalty_id: str) -> CustomerRecord:
        """Return the record with that of another key of the member, whose lease is taken; itself when there is none."""
        pk = self._records.key(self.connection, "loyalty_id", loyalty_id)
        intent = Intent(
            token=self._found.lease.token if self._found.lease else "",
            key=self.key,
            operation=self._command.operation,
            fields=tuple(self._command.fields),
        )
        for _ in range(HOPS):
            if pk in (record.pk, *(other.pk for other in self._absorbed)):
                return record
            found = self._records.take(pk, self.connection, intent, create=False)
            if found is None:
                return record
            if found.lease is not None:
                self._absorbed.append(found)
                self._unseen_profile = self._unseen_profile and not found.has_profile(record.profile)
                return record.absorbing(found)
            pk = found.to or pk
        raise LeaseBusy(retry_after=BUSY_SECONDS)

    def forget(self, prefix: str) -> None:
        """Treat the values last sent of fields with this prefix as unknown."""
        names = [name for name in self._record.register.marks if name.startswith(prefix)]
        if names:
            self._record = self._record.forgetting(*names)

    def leave_out(self, names: Iterable[str]) -> None:
        """Leave these fields out of what is sent and committed."""
        gone = frozenset(names)
        self.fields = {name: value for name, value in self.fields.items() if name not in gone}
        self.changed -= gone
        self._digests = {name: digest for name, digest in self._digests.items() if name not in gone}
        left = {name: value for name, value in self._command.fields.items() if name not in gone}
        self._command = replace(self._command, fields=left)

    # -- how it ends --------------------------------------------------------------------------------------------------

    def commit(
        self,
        *,
        loyalty_id: str | None,
        sent: Collection[str],
        entry: JournalEntry | None,
        unconfirmed: Collection[str] = (),
        credits: bool = False,
    ) -> None:
        """Write what was sent, end the lease and journal it: one transaction, conditional on the lease.

        ``sent``: names of the fields that the vendor accepted. ``unconfirmed``: of those that were sent and whose value
        at the vendor is not known. Unchanged fields advance their version as well; stale ones and those that were not
        sent do not. ``credits``: whether the request carried credits; see ``meet``.

        Raises LeaseLost when another execution took over, LeaseBusy when the loyalty id belongs to a record that
        another execution works on, StoreUnavailable; all report ``reached`` when something was sent. In each case the
        intent stays, and the next attempt looks.
        """
        if self._found.lease is None:
            if entry is not None:
                self._records.journal.write(self._journalled(entry))
            return
        self._ended = True
        self._unconfirmed = frozenset(unconfirmed)
        sent = (*sent, *unconfirmed)
        try:
            if self.by_identifier and self.loyalty_id is not None and loyalty_id is not None:
                self.meet(loyalty_id, credits=credits)
                self._ended = True
            if self._origin is not None:
                # First: after a death in between, the next attempt finds that the credits were sent.
                self._origin.commit(loyalty_id=self._origin.loyalty_id, sent=(), entry=None)
            self._write(loyalty_id, sent, entry)
        except TransientError as error:
            error.reached = error.reached or bool(sent) or self._credits
            raise

    def skip(self, *, loyalty_id: str | None, entry: JournalEntry) -> None:
        """Commit that nothing was sent. Raises the same errors as ``commit``."""
        if self._origin is not None:
            self._origin.release(interrupted=False)
            self._origin = None
        self.commit(loyalty_id=loyalty_id, sent=(), entry=entry)

    def release(self, *, interrupted: bool) -> None:
        """End the lease without a commit.

        ``interrupted`` False: nothing was sent, and everything is as before, an earlier attempt's intent included.
        True: something may have reached the vendor, so the intent stays recorded.

        Never raises: a lease that cannot be ended runs out, and its intent then stays, which only costs a look.
        """
        self._ended = True
        if self._origin is not None:
            self._origin.release(interrupted=interrupted)
        for record in (self._found, *self._absorbed):
            self._records.give_back(record, interrupted=interrupted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ended or not (error is None or isinstance(error, Exception)):
            return
        reached = error is not None and effects.may_have_acted(error, self._requests)
        if not (reached and isinstance(error, UpstreamTimeout)):
            self.release(interrupted=reached)

    def _journalled(self, entry: JournalEntry) -> JournalEntry:
        return replace(entry, customer=self.customer)

    def _write(self, loyalty_id: str | None, sent: Collection[str], entry: JournalEntry | None) -> None:
        try:
            for _ in range(HOPS):
                try:
                    journalled = None if entry is None else self._journalled(entry)
                    self._records.write(self._actions(loyalty_id, sent), journalled)
                except ConditionsFailed:
                    # The record of another key has the loyalty id.
                    self._judge(self._absorb(self._record, loyalty_id or self.loyalty_id or ""))
                else:
                    return
        except Contended:
            pass
        raise StoreUnavailable("the customer's item is being written by other executions")

    def _settled(self, loyalty_id: str | None, sent: Collection[str]) -> CustomerRecord:
        """Return the record after a commit."""
        record = self._record
        if record.loyalty_id is not None and loyalty_id is not None and loyalty_id != record.loyalty_id:
            # What was sent before went to another member.
            record = record.forgetting()
        # An intent does not name its profile.
        uncertain = record.uncertain
        record = record.of_all_profiles(lambda register: register.forgetting(uncertain))
        register = record.register
        for name in self.unchanged:
            register = register.advanced(name, self._version(name))
        aliases = dict(record.aliases)
        for name in sent:
            if name in self._digests:
                register = register.sent(name, self._digests[name], self._version(name))
                if name in ALIAS_FIELDS:
                    value = self._command.fields[name]
                    aliases[name] = aliases_of(self._records.digests, self.connection, name, value)
        register = register.forgetting(self._unconfirmed)
        record = replace(record, register=register, aliases=aliases, loyalty_id=loyalty_id or record.loyalty_id)
        return record.settled(self.key, credits=self._credits and not self.credited)

    def _actions(self, loyalty_id: str | None, sent: Collection[str]) -> Actions:
        """Return the end of the hold: the record and pointers to it; one action per item."""
        records = self._records
        after = self._settled(loyalty_id, sent)
        ends = (after.pk, *after.others)
        absorbed = {other.pk for other in self._absorbed}
        before = _pointers(self._record)
        wanted = _pointers(after)
        actions: Actions = {"record": records.update(after)}
        for number, other in enumerate(self._absorbed):
            item = pointer(other.pk, self.connection, after.pk)
            if other.store is not None:
                item["store"] = other.store
            actions[f"record absorbed {number}"] = records.replace(other, item)
        if after.loyalty_id is not None and (after.loyalty_id != self._found.loyalty_id or self._absorbed):
            pk = records.key(self.connection, "loyalty_id", after.loyalty_id)
            if pk != after.pk and pk not in absorbed:
                actions["loyalty"] = records.point(pk, self.connection, after.pk, over=ends)
        for pk in sorted(wanted - before - absorbed):
            actions[f"alias {pk}"] = records.table.action(
                "Put",
                pointer(pk, self.connection, after.pk),
                condition="attribute_not_exists(pk) OR attribute_exists(#to)",
                names={"#to": "to"},
            )
        for pk in sorted(before - wanted - absorbed):
            actions[f"alias {pk}"] = records.unpoint(pk, ends)
        return actions


def _pointers(record: CustomerRecord) -> set[str]:
    return {pk for pks in record.aliases.values() for pk in pks} - {record.pk}


def _check(command: CustomerCommand) -> None:
    """Raise InvalidCommand when the command has more than a register can keep."""
    problems = [FieldProblem(name[:40], "the name is too long") for name in command.fields if len(name) > MAX_NAME]
    if len(command.fields) > MAX_FIELDS:
        problems.append(FieldProblem("fields", f"at most {MAX_FIELDS} fields are taken"))
    if problems:
        raise InvalidCommand("the command has more than a register can keep", problems=problems)
