"""Guests who become customers: their orders are booked once they prove to have the e-mail or phone of the order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loyalty_relay.model.commands import CustomerCommand, CustomerRef, RecordRefund
from loyalty_relay.model.orders import Order
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.pipeline.buyers import contacts_of
from loyalty_relay.pipeline.context import Context

if TYPE_CHECKING:
    from loyalty_relay.pipeline.transaction import SalesParts

RELEASING = 50_000
"""Added to an envelope's position for the orders that it releases, so that the journal has an entry of each."""


def release_guests(command: CustomerCommand, outcome: Outcome, context: Context, parts: SalesParts) -> None:
    """Queue the orders that wait for a verified e-mail or phone of a member; each is booked net of its refunds.

    Raises StoreUnavailable; what was queued already is a duplicate next time.
    """
    if outcome.loyalty_id is None or outcome.result not in (Result.APPLIED, Result.UNCHANGED):
        return
    connection, envelope = context.connection, context.envelope
    member = CustomerRef(source_id=command.customer.source_id, loyalty_id=outcome.loyalty_id)
    number = 0
    for kind, value in contacts_of(command.customer.proven, context):
        contact = parts.orders.contact(connection.id, kind, value)
        found = parts.orders.waiting.of(connection.id, contact)
        for order in (order for order in found if order.until >= context.now):
            release = RecordRefund(order=Order(id=order.order_id), customer=member, store=command.store)
            event = replace(envelope.event, entity_id=order.order_id)
            position = envelope.position + RELEASING + number
            parts.follow_ups.send(replace(envelope, event=event, command=release, position=position, force=False))
            number += 1
        if found:
            parts.orders.waiting.remove(connection.id, contact, len(found))
