"""Retirement: tombstones for customers whom the source deleted, and the erasure of a whole shop.

Nothing is sent to the destination. A member keeps the points that were earned; erasing the member at the CRM is the
retailer's own duty and not something a shop's webhook may trigger.
"""

from __future__ import annotations

from dataclasses import replace

from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.model.commands import EraseStore, RetireCustomer
from loyalty_relay.model.errors import DeadlineTooShort
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.pipeline.context import Context
from loyalty_relay.stores.links import Links


def retire_customer(command: RetireCustomer, context: Context, customers: CustomerLedger) -> Outcome:
    """Leave a tombstone: older events are stale from now on, also on redrive."""
    outcome = Outcome(result=Result.APPLIED, reason=f"customer_{command.reason}")
    result = customers.retire(
        context.connection.id,
        command.customer,
        reason=command.reason,
        version=command.version,
        survivor=command.survivor,
        entry=context.entry(outcome),
    )
    return replace(outcome, result=result)


def erase_store(command: EraseStore, context: Context, customers: CustomerLedger, links: Links) -> Outcome:
    """Erase what is held of a shop's customers and links; goes on at the next attempt when time runs out."""
    connection = context.connection.id
    store = command.store or command.shop_id
    if not customers.erase_store(connection, store, context.deadline, version=command.version):
        raise DeadlineTooShort("more of the shop is left to erase")
    for link in links.list(connection, context.deadline):
        if store in (link.shop_id.casefold(), link.account_id.casefold()):
            links.remove(connection, link.shop_id)
    outcome = Outcome(result=Result.APPLIED, reason="store_erased")
    context.record(outcome)
    return outcome
