"""crm-patch: change a customer's CRM fields and tags; find the customer first, and register them when allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from loyalty_relay.customers.ledger import Customers, Hold
from loyalty_relay.destinations.base import CrmFieldsCrm, Receipt
from loyalty_relay.model.commands import PatchCrmFields
from loyalty_relay.model.errors import CustomerExists, CustomerNotFound, UnsupportedByDestination
from loyalty_relay.model.outcomes import Outcome
from loyalty_relay.pipeline.context import Context
from loyalty_relay.pipeline.customers import Guarded


def crm_patch(command: PatchCrmFields, context: Context, crm: CrmFieldsCrm, customers: Customers) -> Outcome:
    """Patch CRM fields. Raise UnsupportedByDestination where the destination has none."""
    if "crm-patch" not in crm.operations:
        raise UnsupportedByDestination(f"{context.connection.destination.vendor} has no CRM fields to patch")
    return _Patch(command, context, crm, customers).run()


class _Patch(Guarded):
    """The same ledger; another way to reach the customer."""

    command: PatchCrmFields

    def _has_work(self, hold: Hold) -> bool:
        return bool(hold.fields) or self.command.replace_tags is not None

    def _send(self, hold: Hold) -> tuple[Hold, Receipt | None]:
        customer = self.command.customer
        known = hold.loyalty_id or customer.loyalty_id
        if known is not None:
            try:
                return self._patched(hold, known)
            except CustomerNotFound:
                # The customer was removed at the vendor, which may have them under another id now.
                if self.context.from_api or hold.loyalty_id is None or not customer.identifiers:
                    raise
        elif not customer.identifiers:
            return hold, None
        loyalty_id, created = self._found_or_registered(hold)
        if loyalty_id == known:
            raise CustomerNotFound(
                "the vendor finds this customer by e-mail or phone, but has no customer of that id; look there"
            )
        return self._patched(hold, loyalty_id, created=created)

    def _found_or_registered(self, hold: Hold) -> tuple[str, bool]:
        """Return the customer who has the identifiers, and whether they were registered just now."""
        command, deadline = self.command, self.context.deadline
        crm = cast("CrmFieldsCrm", self.crm)
        who = replace(command.customer, loyalty_id=None)
        found = crm.find(who, deadline)
        if found is not None:
            return found, False
        if command.if_missing == "error":
            raise CustomerNotFound("no customer has this e-mail or phone")
        try:
            return crm.register(command, hold.fields, deadline).loyalty_id, True
        except CustomerExists as exists:
            loyalty_id = exists.loyalty_id or crm.find(who, deadline)
            if loyalty_id is None:
                raise
            return loyalty_id, False

    def _patched(self, hold: Hold, loyalty_id: str, *, created: bool = False) -> tuple[Hold, Receipt | None]:
        command = self.command
        crm = cast("CrmFieldsCrm", self.crm)
        hold = self._at(hold, loyalty_id)
        if not self._has_work(hold):
            return replace(hold, loyalty_id=loyalty_id), None
        if command.replace_tags is not None:
            # The whole set is replaced: what was last sent of single tags does not hold any more.
            hold = hold.forgetting("tags.")
        receipt = crm.patch_crm_fields(
            loyalty_id,
            command,
            hold.fields,
            command.replace_tags,
            self.context.deadline,
            strict=self.context.from_api,
        )
        return hold, replace(receipt, created=created)
