"""Who bought: the member to whom an order is booked, registered first where the connection allows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from loyalty_relay.destinations.registry import vendor
from loyalty_relay.model.commands import (
    CustomerRef,
    OrderCommand,
    PatchCrmFields,
    RegisterCustomer,
)
from loyalty_relay.model.errors import AmbiguousOutcome, CustomerExists, CustomerUnknown, IdentifierUnverified
from loyalty_relay.model.outcomes import Notice
from loyalty_relay.model.phones import to_e164
from loyalty_relay.orders.hold import OrderHold
from loyalty_relay.pipeline.context import Context
from loyalty_relay.pipeline.crm_patch import crm_patch
from loyalty_relay.pipeline.customers import LATECOMER_SECONDS, register

if TYPE_CHECKING:
    from loyalty_relay.customers.ledger import CustomerLedger

GUEST = "guest"
"""Why an order has no member although nothing is wrong."""
REGISTERING = 20_000
"""Added to an envelope's position for the registration, so that the journal has an entry of it."""


@dataclass(frozen=True, slots=True)
class Buyers:
    """Finds the member of one order's command."""

    command: OrderCommand
    context: Context
    crm: Any
    customers: CustomerLedger

    @property
    def _named(self) -> CustomerRef | None:
        """Whom the command names, unless it reports a guest."""
        return None if self.command.guest else self.command.customer

    def _hash(self) -> str:
        """Return the keyed hash of the customer's id at the source; "" where the command has none."""
        named = self._named
        if named is None or named.source_id is None:
            return ""
        return self.customers.known_as(self.context.connection.id, CustomerRef(source_id=named.source_id))

    def attach(self, hold: OrderHold) -> list[Notice]:
        """Set the customer of an order that nothing was booked to yet; another one than before is only a notice."""
        record, named, buyer = hold.record, self._named, self._hash()
        booked = record.loyalty_id is not None
        if named is None:
            return []
        if not booked and named.loyalty_id is not None:
            hold.record = replace(record, buyer=buyer or record.buyer, loyalty_id=named.loyalty_id)
        elif not booked and buyer and (not record.buyer or record.known.version == self.command.version):
            hold.record = replace(record, buyer=buyer)
        elif booked and buyer and buyer != record.buyer and self._known(buyer) != record.loyalty_id:
            return [Notice("customer_changed", "the order stays with the member to whom it was booked")]
        return []

    def _known(self, buyer: str) -> str | None:
        record = self.customers.lookup_hash(self.context.connection.id, buyer)
        return record.loyalty_id if record else None

    def member(self, hold: OrderHold) -> tuple[str | None, str]:
        """Return the member to book to, or why there is none. Raises CustomerUnknown for one who is not known yet."""
        record = hold.record
        if record.buyer:
            found = self.customers.lookup_hash(self.context.connection.id, record.buyer)
            stone = found.tombstone if found else None
            if stone is not None and stone.reason == "erased":
                return None, "customer_erased"
            if record.loyalty_id is not None:
                return record.loyalty_id, ""
            if found is not None and found.loyalty_id is not None:
                return found.loyalty_id, ""
            if stone is not None:
                return None, f"customer_{stone.reason}"
        if record.loyalty_id is not None:
            return record.loyalty_id, ""
        who = self.command.customer
        if who is not None and (proven := who.proven).identifiers and self._is_about(record.buyer):
            try:
                loyalty_id = self.crm.find(proven, self.context.deadline)
            except AmbiguousOutcome:
                return None, IdentifierUnverified.reason
            if loyalty_id is not None:
                return loyalty_id, ""
        if not record.buyer and (self._named is None or not self._named.identifiers):
            return None, GUEST
        return self._registered() if self._is_about(record.buyer) else (None, "not_a_member")

    def _is_about(self, buyer: str) -> bool:
        """Return whether the command names the customer whom the order belongs to."""
        return self.command.customer is not None and self._hash() == buyer

    def _registered(self) -> tuple[str | None, str]:
        """Register the customer, by the operation that a new customer's event leads to."""
        connection, envelope, who = self.context.connection, self.context.envelope, self._named
        if who is None or not connection.register_missing:
            return None, "not_a_member"
        if not who.identifiers:
            if self.context.now - envelope.received_at < LATECOMER_SECONDS:
                raise CustomerUnknown("no event has named this customer's e-mail or phone yet")
            return None, "no_identifier"
        kind = vendor(connection.destination.vendor).commands["customer_created"]
        members: dict[str, Any] = {"customer": who, "fields": self.command.fields, "store": self.command.store}
        command = (
            PatchCrmFields(**members) if kind is PatchCrmFields else RegisterCustomer(**members, if_exists="error")
        )
        registering = replace(envelope, command=command, position=envelope.position + REGISTERING)
        context = replace(self.context, envelope=registering)
        try:
            if isinstance(command, PatchCrmFields):
                outcome = crm_patch(command, context, self.crm, self.customers)
            else:
                outcome = register(command, context, self.crm, self.customers)
        except CustomerExists:
            return None, IdentifierUnverified.reason
        return outcome.loyalty_id, "" if outcome.loyalty_id else outcome.reason or "not_a_member"

    def contacts(self) -> Iterator[tuple[str, str]]:
        """Return kind and value of a guest's e-mail and phone."""
        who = self.command.customer
        if who is not None and self.command.guest:
            yield from contacts_of(who, self.context)


def contacts_of(customer: CustomerRef, context: Context) -> Iterator[tuple[str, str]]:
    """Return kind and value of the e-mail and phone that a customer is named by; phones in E.164."""
    for identifier in customer.identifiers:
        if identifier.type == "mobile":
            phone = to_e164(identifier.value, context.connection.default_country)
            yield "mobile", phone or identifier.value
        elif identifier.type == "email":
            yield "email", identifier.value
