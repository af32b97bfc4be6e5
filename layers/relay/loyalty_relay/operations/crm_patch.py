"""crm-patch: change a customer's CRM fields and tags; find the customer first, and register them when allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from loyalty_relay.commands import PatchCrmFields
from loyalty_relay.crm import CrmFieldsCrm, Receipt
from loyalty_relay.errors import CustomerExists, CustomerNotFound, UnsupportedByDestination
from loyalty_relay.operations.context import Context
from loyalty_relay.operations.customers import Guarded
from loyalty_relay.outcomes import Outcome
from loyalty_relay.state.customers import Hold


def crm_patch(command: PatchCrmFields, context: Context) -> Outcome:
    """Patch CRM fields. Raises UnsupportedByDestination where the destination has none."""
    crm = context.services.crm(context.connection)
    if "crm-patch" not in crm.operations:
        raise UnsupportedByDestination(f"{context.connection.destination.vendor} has no CRM fields to patch")
    return _Patch(command, context, crm).run()


class _Patch(Guarded):
    """The same guard; another way to reach the customer."""

    command: PatchCrmFields

    def _has_work(self, hold: Hold) -> bool:
        return bool(hold.fields) or self.command.replace_tags is not None

    def _send(self, hold: Hold) -> tuple[Hold, Receipt | None]:
        command, deadline = self.command, self.context.deadline
        crm = cast("CrmFieldsCrm", self.crm)
        loyalty_id = hold.loyalty_id or command.customer.loyalty_id
        created = False
        if loyalty_id is None:
            if not command.customer.identifiers:
                return hold, None
            loyalty_id = crm.find(command.customer, deadline)
        if loyalty_id is None:
            if command.if_missing == "error":
                raise CustomerNotFound("no customer has this e-mail or phone")
            try:
                loyalty_id = crm.register(command, hold.fields, deadline).loyalty_id
                created = True
            except CustomerExists as exists:
                loyalty_id = exists.loyalty_id or crm.find(command.customer, deadline)
                if loyalty_id is None:
                    raise
        hold = self._at(hold, loyalty_id)
        if not self._has_work(hold):
            return replace(hold, loyalty_id=loyalty_id), None
        strict = self.context.from_api
        if command.replace_tags is not None:
            # The whole set is replaced: what single tags were last sent as says nothing any more.
            hold = hold.forgetting("tags.")
        receipt = crm.patch_crm_fields(loyalty_id, command, hold.fields, command.replace_tags, deadline, strict=strict)
        return hold, replace(receipt, created=created)
