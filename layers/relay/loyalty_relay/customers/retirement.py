"""How customers end: deleted at the source, erased for privacy, or merged into another.

The record goes and a tombstone stays, so that older events still in a queue find it. Nothing is sent to the vendor: a
member keeps the points.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loyalty_relay.customers.lww_register import newest
from loyalty_relay.customers.record import CustomerRecord, Intent
from loyalty_relay.customers.records import HOPS, Action, Actions, Records
from loyalty_relay.customers.tombstones import Tombstone
from loyalty_relay.model.commands import Version
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import LeaseBusy
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.storage import keys
from loyalty_relay.storage.lease import BUSY_SECONDS, CONDITION, LeaseLost
from loyalty_relay.storage.table import ConditionsFailed, Contended

PAGE = 200
"""Customers of a shop that are looked up at a time."""
STEP_SECONDS = 3.0
"""Time that erasing one customer may need."""
REMEMBERED = 30 * 86_400.0
"""Seconds for which sent credits of a retired customer are kept: as long as idempotency keys."""
MOST_POINTERS = 80
"""Pointers removed in the transaction that leaves the tombstone; a transaction holds at most 100 writes."""


def erase_store(records: Records, connection: str, store: str, deadline: Deadline, version: Version | None) -> bool:
    """Erase every customer of a shop; see ``CustomerLedger.erase_store``."""
    stone = Tombstone.at("erased", version, records.clock())
    listed = keys.customers_of(connection, store)
    seen: set[str] = set()
    busy = False
    while True:
        items = records.table.query(keys.BY_STORE, "store", listed, limit=PAGE + len(seen))
        left = [item["pk"] for item in items if item["pk"] not in seen]
        if not left:
            return not busy
        for pk in left:
            if deadline.remaining() < STEP_SECONDS:
                return False
            seen.add(pk)
            try:
                retire(records, connection, pk, stone, version, None)
            except (LeaseBusy, LeaseLost):
                busy = True


def retire(
    records: Records, connection: str, own: str, stone: Tombstone, version: Version | None, entry: JournalEntry | None
) -> Result:
    """Leave a tombstone in the place of the customer of a key; see ``CustomerLedger.retire``."""
    record, via = _take(records, connection, own)
    overtaken = version is not None and record.has_passed(version)
    result = Result.STALE if overtaken else Result.APPLIED
    try:
        if overtaken:
            # Whatever is older than the retirement stays out all the same.
            actions = _keep(records, record.raised(stone.floor), stone)
        elif via is not None:
            actions = _leave_member(records, connection, via, record, stone)
        elif record.siblings:
            # Other ids of the source are the same member: the record remains, with a tombstone for its own id.
            actions = _keep(records, replace(record, tombstone=stone.joined(record.tombstone)), stone)
        else:
            actions = _leave(records, connection, record, stone)
        if entry is not None:
            entry = replace(entry, result=result, customer=entry.customer or record.customer)
        records.write(actions, entry)
    except (Contended, ConditionsFailed):
        records.give_back(record, interrupted=False)
        raise LeaseBusy(retry_after=BUSY_SECONDS) from None
    except Exception:
        records.give_back(record, interrupted=False)
        raise
    return result


def _take(records: Records, connection: str, own: str) -> tuple[CustomerRecord, CustomerRecord | None]:
    """Return the record behind a key, under lease, and the pointer that led there, if that one is to end alone."""
    intent = Intent(token=records.new_token(), operation="retire")
    pk = own
    via: CustomerRecord | None = None
    for _ in range(HOPS):
        found = records.take(pk, connection, intent)
        if found is not None and found.lease is not None:
            return found, via
        if found is not None and found.to is not None:
            # A source id that is one of several of a member ends alone; any other key means the member.
            via = found if found.pk == own and keys.customer_kind(own) == "source_id" else via
            pk = found.to
    raise LeaseBusy(retry_after=BUSY_SECONDS)


def _keep(records: Records, record: CustomerRecord, stone: Tombstone) -> Actions:
    """Return the write of a record that remains; an erasure forgets its values."""
    return {"record": records.update(record.forgetting() if stone.reason == "erased" else record)}


def _leave_member(
    records: Records, connection: str, own: CustomerRecord, member: CustomerRecord, stone: Tombstone
) -> Actions:
    """Return the writes that turn a pointer into the tombstone; the member's record remains for the others."""
    after = replace(member, others=tuple(pk for pk in member.others if pk != own.pk))
    item = {"pk": own.pk, "connection": connection, "tombstone": stone.to_json(), "updated_at": records.clock()}
    return {
        **_keep(records, after, stone),
        "record of the pointer": records.table.action(
            "Put", item, condition="#to = :to", names={"#to": "to"}, values={":to": own.to}
        ),
    }


def _leave(records: Records, connection: str, record: CustomerRecord, stone: Tombstone) -> Actions:
    """Return the writes that leave nothing but the tombstone: pointers go, the loyalty id goes to the survivor."""
    stone = stone.joined(record.tombstone)
    stone = replace(stone, floor=newest(stone.floor, record.register.floor))
    item = {
        "pk": record.pk,
        "connection": connection,
        "customer": record.customer,
        "tombstone": stone.to_json(),
        "updated_at": records.clock(),
    }
    # An earlier attempt of a command may have sent credits; the next one must find that wherever it begins.
    ledger = record.credit_ledger
    if ledger:
        item["credits"] = ledger
    actions: Actions = {"record": records.replace(record, item)}
    ends = (record.pk, *record.others)
    pointers = dict.fromkeys([*record.others, *(pk for pks in record.aliases.values() for pk in pks)])
    pointers.pop(record.pk, None)
    if record.loyalty_id is not None:
        pk = records.key(connection, "loyalty_id", record.loyalty_id)
        heir = _heir(records, stone)
        if heir is not None:
            actions["heir"] = _inherit(records, connection, heir, record)
            actions["loyalty pointer"] = records.point(pk, connection, heir.pk, over=ends)
            pointers.pop(pk, None)
        elif pk != record.pk:
            pointers[pk] = None
    until = records.clock() + REMEMBERED
    for pk in list(pointers)[-MOST_POINTERS:]:
        actions[f"pointer {pk}"] = (
            records.leave_credits(pk, connection, ledger, over=ends, until=until)
            if ledger
            else records.unpoint(pk, ends)
        )
    return actions


def _heir(records: Records, stone: Tombstone) -> CustomerRecord | None:
    """Return the survivor's record when it has no loyalty id of its own and may take over another."""
    if stone.survivor is None:
        return None
    heir = records.find(stone.survivor) or CustomerRecord(pk=stone.survivor, exists=False)
    return heir if heir.loyalty_id is None and heir.tombstone is None else None


def _inherit(records: Records, connection: str, heir: CustomerRecord, record: CustomerRecord) -> Action:
    """Return the write that gives the survivor the loyalty id, and the credits that were sent to it."""
    expression = "SET loyalty_id = :loyalty_id, #connection = :connection, customer = :customer"
    condition = (
        "attribute_not_exists(loyalty_id) AND attribute_not_exists(#to) AND attribute_not_exists(tombstone)"
        f" AND {CONDITION}"
    )
    names = {"#to": "to", "#connection": "connection"}
    values: dict[str, Any] = {
        ":loyalty_id": record.loyalty_id,
        ":connection": connection,
        ":customer": heir.customer,
        ":now": records.clock(),
    }
    if record.credit_ledger:
        before = replace(heir, intents=()).credit_ledger
        expression += ", #credits = :credits"
        condition += " AND " + ("#credits = :before" if before else "attribute_not_exists(#credits)")
        names["#credits"] = "credits"
        values[":credits"] = heir.with_credits_of(record).credit_ledger
        values |= {":before": before} if before else {}
    return records.table.action(
        "Update", {"pk": heir.pk}, expression=expression, condition=condition, names=names, values=values
    )
