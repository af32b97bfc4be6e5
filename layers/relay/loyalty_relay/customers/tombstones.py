"""How customers end: deleted at the source, erased for privacy, or merged into another.

What is held of them goes, and a tombstone stays, so that whatever older event still lies in a queue finds it. Nothing
is asked of the vendor: a member keeps the points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from loyalty_relay.customers import writes
from loyalty_relay.customers.entry import (
    Guard,
    Intent,
    Reason,
    Tombstone,
    key,
    key_of,
    kind_of,
    ledger_of,
    retired_at,
)
from loyalty_relay.customers.leases import ANY, HOPS, Leased, Leases
from loyalty_relay.customers.lww_register import newest
from loyalty_relay.model.commands import CustomerRef, Version
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import LeaseBusy, StoreUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.storage import keys
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.lease import BUSY_SECONDS, LeaseLost
from loyalty_relay.storage.table import ConditionsFailed, Contended, transact

PAGE = 200
"""Customers of a shop that are looked up at a time."""
STEP_SECONDS = 3.0
"""Time that erasing one customer may need."""
REMEMBERED = 30 * 86_400.0
"""Seconds for which it is known of a customer who is gone that points were sent: as long as idempotency keys."""
MOST_POINTERS = 80
"""Pointers removed in the transaction that leaves the tombstone; a transaction holds at most 100 writes."""


class Retirement:
    """Leaves tombstones."""

    def __init__(
        self,
        leases: Leases,
        digests: Digests,
        journal: Journal,
        *,
        clock: Callable[[], float],
        new_token: Callable[[], str],
        sleep: Callable[[float], None],
    ) -> None:
        self._leases = leases
        self._table = leases.table
        self._digests = digests
        self._journal = journal
        self._clock = clock
        self._new_token = new_token
        self._sleep = sleep

    def retire(
        self,
        connection: str,
        customer: CustomerRef,
        reason: Reason,
        version: Version | None,
        survivor: str | None,
        entry: JournalEntry | None,
    ) -> Result:
        """Leave a tombstone in the place of a customer, whether or not anything is held of them.

        ``survivor``: of a merge, the source's id of the customer who lives on; commands for the merged one go to that
        item, which also gets the loyalty id if it has none. ``entry`` is journalled with the result in the same
        transaction, its ``customer`` filled in when empty.

        Answers ``stale`` when a newer event of the same clock was applied already and the customer therefore lives;
        an erasure then still forgets what is held. ``applied`` otherwise. Raises LeaseBusy, LeaseLost,
        StoreUnavailable.
        """
        own = key_of(self._digests, connection, customer)
        survivor_pk = key(self._digests, connection, "source_id", survivor) if survivor else None
        if survivor_pk == own:
            survivor_pk = None
        stone = Tombstone(reason=reason, floor=retired_at(version, self._clock()), survivor=survivor_pk)
        return self._retire(connection, own, stone, version, entry)

    def erase_store(self, connection: str, store: str, deadline: Deadline, version: Version | None) -> bool:
        """Erase every customer of a shop, as far as the time goes; True when none was left.

        Customers who are being worked on are passed over, so that False asks for another call; each call goes on
        where the last one ended, because an erased customer is not a customer of the shop any more.
        """
        stone = Tombstone(reason="erased", floor=retired_at(version, self._clock()))
        seen: set[str] = set()
        busy = False
        while True:
            found = [
                item["pk"]
                for item in self._table.query(
                    keys.BY_STORE, "store", keys.customers_of(connection, store), limit=PAGE + len(seen)
                )
                if item["pk"] not in seen
            ]
            if not found:
                return not busy
            for pk in found:
                if deadline.remaining() < STEP_SECONDS:
                    return False
                seen.add(pk)
                try:
                    self._retire(connection, pk, stone, version, None)
                except (LeaseBusy, LeaseLost):
                    busy = True

    def _retire(
        self, connection: str, own: str, stone: Tombstone, version: Version | None, entry: JournalEntry | None
    ) -> Result:
        intent = Intent(token=self._new_token(), key="", operation="retire", fields=(), credits=False)
        pk = own
        pointing: Guard | None = None
        for _ in range(HOPS):
            found = self._leases.attempt(pk, connection, intent, store=None, tombstone=ANY)
            if isinstance(found, Leased):
                break
            if found is not None and found.to is not None:
                # A source id that is one of several of a member ends alone; any other key means the member.
                pointing = found if found.pk == own and kind_of(own) == "source_id" else pointing
                pk = found.to
            elif found is not None and (busy := self._leases.busy(found)):
                raise busy
        else:
            raise LeaseBusy(retry_after=BUSY_SECONDS)
        guard = found.guard
        overtaken = version is not None and guard.register.has_passed(version)
        result = Result.STALE if overtaken else Result.APPLIED
        try:
            if overtaken:
                actions = self._survives(guard, intent.token, stone)
            elif pointing is not None:
                actions = self._leaves_member(connection, pointing, guard, intent.token, stone)
            elif guard.siblings:
                actions = self._leaves_siblings(guard, intent.token, stone)
            else:
                actions = self._leaves(connection, guard, intent.token, stone)
            if entry is not None:
                entry = replace(entry, result=result, customer=entry.customer or guard.customer)
                actions["journal"] = self._journal.put(entry)
            self._write(actions)
        except (LeaseBusy, StoreUnavailable):
            self._leases.give_back(found, interrupted=False)
            raise
        return result

    def _survives(self, guard: Guard, token: str, stone: Tombstone) -> writes.Actions:
        """The customer lives: what is older than the retirement stays out all the same."""
        register = guard.register.raised(stone.floor)
        if stone.reason == "erased":
            register = register.forgetting(register.marks)
        return {"guard": writes.guarded(self._table, replace(guard, register=register), token, self._clock())}

    def _leaves_member(
        self, connection: str, own: Guard, member: Guard, token: str, stone: Tombstone
    ) -> writes.Actions:
        """The key was a pointer: it becomes the tombstone, and the item of the member goes on for the others."""
        others = tuple(pk for pk in member.others if pk != own.pk)
        after = replace(member, others=others)
        if stone.reason == "erased":
            after = replace(after, register=after.register.forgetting(after.register.marks))
        item = {"pk": own.pk, "connection": connection, "tombstone": stone.to_json(), "updated_at": self._clock()}
        return {
            "guard": writes.guarded(self._table, after, token, self._clock()),
            "guard of the pointer": self._table.action(
                "Put", item, condition="#to = :to", names={"#to": "to"}, values={":to": own.to}
            ),
        }

    def _leaves_siblings(self, guard: Guard, token: str, stone: Tombstone) -> writes.Actions:
        """Other ids of the source are the same member: the item goes on for them, with a tombstone for its own id."""
        after = replace(guard, tombstone=stone.joined(guard.tombstone))
        if stone.reason == "erased":
            after = replace(after, register=after.register.forgetting(after.register.marks))
        return {"guard": writes.guarded(self._table, after, token, self._clock())}

    def _leaves(self, connection: str, guard: Guard, token: str, stone: Tombstone) -> writes.Actions:
        """Nothing stays but the tombstone; pointers go, and the loyalty id goes to the survivor if there is one."""
        stone = stone.joined(guard.tombstone)
        stone = replace(stone, floor=newest(stone.floor, guard.register.floor))
        item = {
            "pk": guard.pk,
            "connection": connection,
            "customer": guard.customer,
            "tombstone": stone.to_json(),
            "updated_at": self._clock(),
        }
        # An earlier attempt of a command may have credited points; that must be seen wherever the next one begins.
        ledger = guard.ledger
        if ledger:
            item["credits"] = ledger
        actions: writes.Actions = {
            "guard": self._table.action("Put", item, condition="lease_token = :token", values={":token": token})
        }
        ends = (guard.pk, *guard.others)
        pointers = dict.fromkeys([*guard.others, *(pk for pks in guard.aliases.values() for pk in pks)])
        pointers.pop(guard.pk, None)
        if guard.loyalty_id is not None:
            pk = key(self._digests, connection, "loyalty_id", guard.loyalty_id)
            heir = self._heir(stone, guard)
            if heir is not None:
                actions["heir"] = self._inherits(connection, heir, guard)
                actions["loyalty pointer"] = writes.pointing(self._table, pk, connection, heir.pk, over=ends)
                pointers.pop(pk, None)
            elif pk != guard.pk:
                pointers[pk] = None
        for pk in list(pointers)[-MOST_POINTERS:]:
            if ledger:
                until = self._clock() + REMEMBERED
                actions[f"pointer {pk}"] = writes.remaining(self._table, pk, connection, ledger, over=ends, until=until)
            else:
                actions[f"pointer {pk}"] = writes.unpointing(self._table, pk, ends)
        return actions

    def _heir(self, stone: Tombstone, guard: Guard) -> Guard | None:
        """The survivor's item when it may take over the loyalty id: it has none of its own."""
        if stone.survivor is None or guard.loyalty_id is None:
            return None
        heir = self._leases.resolve(stone.survivor)
        if heir is None:
            return Guard(pk=stone.survivor, exists=False)
        return heir if heir.loyalty_id is None and heir.tombstone is None else None

    def _inherits(self, connection: str, heir: Guard, guard: Guard) -> dict[str, Any]:
        """The loyalty id, and what is known of points that were sent to it."""
        expression = "SET loyalty_id = :loyalty_id, #connection = :connection, customer = :customer"
        condition = (
            "attribute_not_exists(loyalty_id) AND attribute_not_exists(#to) AND attribute_not_exists(tombstone)"
            " AND (attribute_not_exists(lease_until) OR lease_until <= :now)"
        )
        names = {"#to": "to", "#connection": "connection"}
        values: dict[str, Any] = {
            ":loyalty_id": guard.loyalty_id,
            ":connection": connection,
            ":customer": heir.customer,
            ":now": self._clock(),
        }
        if guard.ledger:
            before = ledger_of(heir.credited, heir.unsure)
            expression += ", #credits = :credits"
            condition += " AND " + ("#credits = :before" if before else "attribute_not_exists(#credits)")
            names["#credits"] = "credits"
            values[":credits"] = heir.knowing(guard).ledger
            values |= {":before": before} if before else {}
        return self._table.action(
            "Update", {"pk": heir.pk}, expression=expression, condition=condition, names=names, values=values
        )

    def _write(self, actions: writes.Actions) -> None:
        try:
            transact(self._table.dynamodb, actions, optional=writes.optional, sleep=self._sleep)
        except ConditionsFailed as failed:
            if failed.labels != {"heir"}:
                raise LeaseLost from None
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
        except Contended:
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
