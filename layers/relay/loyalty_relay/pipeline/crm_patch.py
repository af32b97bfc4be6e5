"""crm-patch: change a customer's CRM fields and tags; find the customer first, and register them when allowed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from loyalty_relay.customers.hold import Hold
from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.destinations.base import CrmFieldsCrm, Receipt
from loyalty_relay.model.commands import PatchCrmFields
from loyalty_relay.model.errors import CustomerExists, CustomerNotFound, UnsupportedByDestination, after_effect
from loyalty_relay.model.outcomes import Outcome
from loyalty_relay.pipeline.context import Context
from loyalty_relay.pipeline.customers import (
    Sent,
    at_member,
    carry_out,
    existing_member,
    find_member,
    leave_out_unverified,
)


def crm_patch(command: PatchCrmFields, context: Context, crm: CrmFieldsCrm, customers: CustomerLedger) -> Outcome:
    """Patch CRM fields. Raise UnsupportedByDestination where the destination has none."""
    if "crm-patch" not in crm.operations:
        raise UnsupportedByDestination(f"{context.connection.destination.vendor} has no CRM fields to patch")
    return carry_out(command, context, crm, customers, _send)


def _send(command: PatchCrmFields, hold: Hold, context: Context, crm: CrmFieldsCrm) -> Sent:
    customer = command.customer
    known = hold.loyalty_id or customer.loyalty_id
    if known is not None:
        try:
            return _patch(command, hold, known, context, crm)
        except CustomerNotFound:
            # The customer was removed at the vendor, which may have them under another id now.
            if context.from_api or hold.loyalty_id is None or not customer.identifiers:
                raise
    elif not customer.identifiers:
        return Sent()
    loyalty_id = _found_or_registered(command, hold, context, crm)
    if loyalty_id == known:
        raise CustomerNotFound(
            "the vendor finds this customer by e-mail or phone, but has no customer of that id; look there"
        )
    # Whatever prevents the rest, the registration has had an effect: the next attempt must find its own member.
    with after_effect() if hold.registered else nullcontext():
        return _patch(command, hold, loyalty_id, context, crm)


def _found_or_registered(command: PatchCrmFields, hold: Hold, context: Context, crm: CrmFieldsCrm) -> str:
    """Return the customer who has the identifiers."""
    deadline = context.deadline
    who = replace(command.customer, loyalty_id=None)
    found = find_member(who, hold, context, crm)
    if found is not None:
        return found
    if command.if_missing == "error":
        raise CustomerNotFound("no customer has this e-mail or phone")
    try:
        registered = crm.register(command, hold.fields, deadline).loyalty_id
    except CustomerExists as exists:
        if exists.loyalty_id is not None and not who.doubtful.identifiers:
            return exists.loyalty_id
        return existing_member(who, exists, hold, context, crm)
    hold.registered = True
    return registered


def _patch(command: PatchCrmFields, hold: Hold, loyalty_id: str, context: Context, crm: CrmFieldsCrm) -> Sent:
    command = at_member(command, hold, loyalty_id)
    notices = () if hold.registered else leave_out_unverified(command, hold)
    if not hold.fields and command.replace_tags is None:
        registered = Receipt(loyalty_id=loyalty_id, created=True) if hold.registered else None
        return Sent(receipt=registered, loyalty_id=loyalty_id, notices=notices)
    if command.replace_tags is not None:
        # The whole set is replaced: what was last sent of single tags does not hold any more.
        hold.forget("tags.")
    receipt = crm.patch_crm_fields(
        loyalty_id, command, hold.fields, command.replace_tags, context.deadline, strict=context.from_api
    )
    return Sent(receipt=replace(receipt, created=hold.registered), credits=bool(command.credits), notices=notices)
