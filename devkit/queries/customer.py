"""One customer: what the ledger holds of them, without any value and without personal data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devkit.queries.identifying import reading_of, readings
from devkit.stacks.errors import CommandError, NotFound
from loyalty_relay.connections.model import Connection
from loyalty_relay.customers.lww_register import Versions
from loyalty_relay.customers.record import CustomerRecord
from loyalty_relay.model.commands import CustomerRef
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.storage import keys


@dataclass(frozen=True, slots=True)
class CustomerView:
    """The record of a customer of a connection."""

    connection: str
    record: CustomerRecord

    @property
    def survivor(self) -> str:
        """The keyed hash of the customer into whom this one was merged; empty where that is not so."""
        stone = self.record.tombstone
        return keys.customer_hash(stone.survivor) if stone and stone.survivor else ""

    @property
    def siblings(self) -> list[str]:
        """Keyed hashes of the source's other customers who are the same member."""
        return [keys.customer_hash(pk) for pk in self.record.siblings]

    @property
    def found_by(self) -> dict[str, int]:
        """How many keys of each kind lead here, besides the record's own."""
        kinds = [keys.customer_kind(pk) for pks in self.record.aliases.values() for pk in pks]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay customers show --json`` prints."""
        record, stone, doubt = self.record, self.record.tombstone, self.record.in_doubt
        return {
            "customer": list(record.hashes),
            "loyalty_id": record.loyalty_id,
            "leased_until": record.lease_until or None,
            "tombstone": None if stone is None else {"reason": stone.reason, "versions": _versions(stone.floor)},
            "stale_below": _versions(record.register.floor),
            "profile": record.profile or None,
            "other_profiles": list(record.profiles),
            "fields": {
                name: {"value_known": mark.digest is not None, "versions": _versions(mark.versions)}
                for name, mark in record.register.marks.items()
            },
            "interrupted": [
                {"operation": intent.operation, "fields": list(intent.fields), "credits": intent.credits}
                for intent in record.intents
            ],
            "credits": {"sent": len(record.credited), "in_doubt": len(doubt)},
        }


def find_customer(services: Services, connection: Connection, text: str) -> tuple[CustomerRef, CustomerView]:
    """Return a customer by an e-mail, a phone number or an id, and what found them.

    Raises NotFound for none, CommandError for several.
    """
    found: dict[str, tuple[CustomerRef, CustomerRecord]] = {}
    for kind, value in readings(text, connection.default_country):
        reference = reading_of(kind, value)
        record = services.customers.lookup(connection.id, reference)
        if record is not None:
            found[record.pk] = (reference, record)
    if not found:
        raise NotFound(
            f"the ledger of connection {connection.id} has no such customer",
            do="try their id at the source, or their loyalty id; relay events list --customer shows their events",
        )
    if len(found) > 1:
        kinds = " and ".join(keys.customer_kind(pk) for pk in found)
        raise CommandError(f"this is the {kinds} of different customers", do="name the customer by e-mail or phone")
    reference, record = next(iter(found.values()))
    return reference, CustomerView(connection.id, record)


def customer_of(services: Services, connection: str, customer_hash: str) -> CustomerView | None:
    """Return a customer by a keyed hash of the journal; None where the ledger has none."""
    record = services.customers.lookup_listed(connection, customer_hash)
    return None if record is None else CustomerView(connection, record)


def _versions(versions: Versions) -> dict[str, dict[str, str]]:
    return {clock: {"value": v.value, "time": v.time} for clock, v in versions.items()}
