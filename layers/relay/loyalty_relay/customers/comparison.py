"""Compare many commands with the ledger at once, without holding anything: what an import would have to send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from loyalty_relay.customers.lww_register import FieldState
from loyalty_relay.customers.record import CustomerRecord
from loyalty_relay.customers.records import HOPS, Records
from loyalty_relay.model.commands import CustomerCommand
from loyalty_relay.storage import keys

BATCH = 100
"""Items read with one request: what BatchGetItem takes."""


class Standing(StrEnum):
    """How the ledger's record of a customer compares with what a command would send."""

    EQUAL = "equal"
    """The member is known, and every field was sent with this value, or with a newer version, or is empty and never was
    sent.
    """
    DIFFERENT = "different"
    """The member is known, and something is left to send."""
    MISSING = "missing"
    """No member is known."""
    RETIRED = "retired"
    """The customer was deleted, erased or merged, and this command is older than that."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One command's result. ``customer``: the keyed hash under which the journal lists the customer.

    ``loyalty_id``: of a member who is known.
    """

    standing: Standing
    customer: str
    loyalty_id: str | None = None


def compare(records: Records, connection: str, commands: Sequence[CustomerCommand]) -> list[Compared]:
    """Return one result per command. Reads 100 customers with one request, and pointers with one more.

    Raises InvalidCommand for a command that names no customer, StoreUnavailable.
    """
    pks = [records.key_of(connection, command.customer) for command in commands]
    found = _records(records, pks)
    return [_compared(records, connection, key, found.get(key), c) for key, c in zip(pks, commands, strict=True)]


def _records(records: Records, pks: Sequence[str]) -> dict[str, CustomerRecord]:
    """Return the records behind keys; a key that leads to none is left out."""
    leads = {pk: pk for pk in pks}
    found: dict[str, CustomerRecord] = {}
    for _ in range(HOPS):
        wanted = sorted({pk for pk in leads.values() if pk not in found})
        if not wanted:
            break
        for start in range(0, len(wanted), BATCH):
            items = records.table.get_many([{"pk": pk} for pk in wanted[start : start + BATCH]])
            found |= {item["pk"]: CustomerRecord.from_item(item) for item in items}
        leads = {key: _next(found.get(pk), pk) for key, pk in leads.items() if pk in found}
    return {key: found[pk] for key, pk in leads.items() if pk in found and found[pk].to is None}


def _next(record: CustomerRecord | None, pk: str) -> str:
    return record.to if record is not None and record.to is not None else pk


def _compared(
    records: Records, connection: str, key: str, record: CustomerRecord | None, command: CustomerCommand
) -> Compared:
    if record is None:
        return Compared(Standing.MISSING, keys.customer_hash(key))
    stone = record.tombstone
    versions = {command.version_of(name) for name in command.fields} or {command.version_of("")}
    if stone is not None and not any(stone.yields_to(version) for version in versions):
        return Compared(Standing.RETIRED, record.customer)
    if record.loyalty_id is None or stone is not None:
        return Compared(Standing.MISSING, record.customer)
    register, uncertain = record.in_profile(command.customer.profile).register, record.uncertain
    # What the shop does not have and was never sent is no difference: the shop has cleared nothing.
    known = {*register.marks, *uncertain}
    left = record.intents or any(
        register.judge(
            name,
            records.digests.field(connection, name, value),
            command.version_of(name),
            uncertain=name in uncertain,
        )
        is FieldState.SEND
        for name, value in command.fields.items()
        if value is not None or name in known
    )
    return Compared(Standing.DIFFERENT if left else Standing.EQUAL, record.customer, record.loyalty_id)
