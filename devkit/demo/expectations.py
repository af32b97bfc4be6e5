"""What must come of a sample, from what its topic becomes and from whom the demo has met before.

The requests are those that the vendors document: an unknown member is created, a known one updated; Kangaroo's
profile fields are patched after that; the first store of a business needs an integration, every other only its link.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from devkit.demo.steps import ANSWERED, Call
from devkit.samples.fixtures import Sample
from devkit.samples.mapping import translation
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import (
    Command,
    CustomerCommand,
    Event,
    Hydrate,
    LinkStore,
    RetireCustomer,
)
from loyalty_relay.sources.base import Topic

CREATE = {"capillary": (Call("POST", r"/v2/customers"),), "kangaroo": (Call("POST", r"/customers"),)}
CRM_FIELDS = Call("PATCH", r"/customers/[^/]+/crm-fields")
UPDATE = {
    # What V2 cannot carry (subscriptions, for instance) travels by V1.1.
    "capillary": (
        Call("POST", r"/v1\.1/customer/update", perhaps=True),
        Call("PUT", r"/v2/customers/\d+", perhaps=True),
    ),
    "kangaroo": (CRM_FIELDS,),
}
CONSENT = {"capillary": (Call("POST", r"/v1\.1/customer/update"),), "kangaroo": (CRM_FIELDS,)}
INTEGRATION = Call("POST", r"/api/v1/integrations")
LINK = Call("POST", r"/api/v1/branch-links")

APPLIED_HERE = ("retire", "erase")
"""What is applied without a request to the vendor."""

LOCATIONS = frozenset({"location", "locations", "store", "merchant"})
"""Resources of thin events that are stores; the others are customers."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The outcome, and the requests that change something upstream."""

    outcome: str
    calls: tuple[Call, ...] = ()


@dataclass
class Expectations:
    """The members and links that the vendors have so far. Call ``of`` for the samples in the order of their sending."""

    _customers: set[tuple[str, str]] = field(default_factory=set)
    _integrations: set[str] = field(default_factory=set)

    def of(self, sample: Sample, topic: Topic, connection: Connection) -> Expectation:
        """Return what must come of a sample that is sent now."""
        if topic.becomes == "handshake":
            return Expectation(ANSWERED)
        planned = translation(sample, connection)
        found = [self._calls(event, command, topic, connection) for event, command in planned.commands]
        words = [
            *("retrying" if calls is None else "applied" for calls in found),
            *("ignored" for _ in planned.skipped),
            *(("parked",) if planned.problem else ()),
        ]
        return Expectation(" ".join(dict.fromkeys(words)), tuple(call for calls in found for call in calls or ()))

    def _calls(self, event: Event, command: Command, topic: Topic, connection: Connection) -> tuple[Call, ...] | None:
        """Return the requests of one command; None where its customer is not known yet, so that it waits."""
        vendor = connection.destination.vendor
        if isinstance(command, LinkStore):
            return self._linked(connection, {"shop_id": command.shop_id, "account_id": command.account_id})
        if isinstance(command, Hydrate):
            if command.resource in LOCATIONS:
                return self._linked(connection, {})
            return self._customer((connection.id, event.entity_id), vendor, "register", ())
        if topic.becomes in APPLIED_HERE:
            if isinstance(command, RetireCustomer):
                self._customers.discard((connection.id, command.customer.source_id or ""))
            return ()
        if not isinstance(command, CustomerCommand):
            return ()
        who = (connection.id, command.customer.source_id or "")
        if who not in self._customers and not command.customer.identifiers:
            return None
        return self._customer(who, vendor, topic.becomes, _names(command))

    def _customer(self, who: tuple[str, str], vendor: str, becomes: str, names: tuple[str, ...]) -> tuple[Call, ...]:
        known = who in self._customers
        self._customers.add(who)
        if known:
            return (CONSENT if becomes == "consent" else UPDATE)[vendor]
        created = tuple(replace(call, contains=names) for call in CREATE[vendor])
        return (*created, *(UPDATE[vendor] if vendor == "kangaroo" else ()))

    def _linked(self, connection: Connection, body: dict[str, Any]) -> tuple[Call, ...]:
        business = connection.destination.key
        first = business not in self._integrations
        self._integrations.add(business)
        return (*((INTEGRATION,) if first else ()), replace(LINK, body=body))


def _names(command: CustomerCommand) -> tuple[str, ...]:
    """Return the values of a new customer that must have reached the vendor as they are."""
    return tuple(v for name in ("first_name", "last_name", "email") if isinstance(v := command.fields.get(name), str))
