"""Shopify's Events: topic and action are in the signed body, the rest is the result of the subscription's query.

Sources: shopify.dev "Events: delivery structure", "Events: Customer", "Updates to Events payloads and subscription
configuration".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.model.commands import Event, Version
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import Change, CustomerChanged
from loyalty_relay.sources.parsing import member, take, text_or_none, verified
from loyalty_relay.sources.shopify.delivery import ShopifyDelivery, address, consent_of, gid_of, retired, tags_of

_EVENT_FIELDS = {"firstName": "first_name", "lastName": "last_name", "note": "notes", "locale": "language"}
_CHANGED = re.compile(r"customer\[id: '(gid://shopify/Customer/[^']{1,200})'\]")


def _event(delivery: ShopifyDelivery) -> Change:
    """Return the change of an event: topic and action are signed too; the rest is the query's result."""
    body = delivery.body
    reported = f"{body.get('topic')}/{body.get('action')}"
    delivery.expect(reported == delivery.topic)
    customer = member(body, "data", "customer")
    customer = customer if isinstance(customer, dict) else {}
    source_id = _event_id(body, customer)
    if reported == "Customer/delete":
        return retired(delivery, source_id)
    if not customer.keys() - {"id"}:
        raise Untranslatable("no_customer_in_query", "the subscription's query has no customer")
    event = delivery.event(source_id)
    fields = take(customer, _EVENT_FIELDS)
    fields |= address(customer, "defaultAddress", "zip", "countryCodeV2")
    fields |= {f"tags.{tag}": True for tag in tags_of(customer.get("tags"))}
    versions: dict[str, Version] = {}
    for contact in _EVENT_CONTACTS:
        contact.read(customer, delivery, event, fields, versions)
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=fields,
        payload=customer,
        version=delivery.version(customer.get("updatedAt"), event),
        versions=versions,
        created=reported == "Customer/create",
        store=delivery.shop,
        verified=verified(email=customer.get("verifiedEmail")),
    )


def _event_id(body: Mapping[str, Any], customer: Mapping[str, Any]) -> str:
    """Return the customer's id in the signed body: of the query's result, its variables, or the changed paths."""
    found = gid_of(customer.get("id"), "Customer") or gid_of(member(body, "query_variables", "customerId"), "Customer")
    if found is None and (path := _CHANGED.search(str(body.get("fields_changed")))):
        found = gid_of(path[1], "Customer")
    if found is None:
        raise Untranslatable("no_id")
    return found


@dataclass(frozen=True, slots=True)
class _EventContact:
    """E-mail or phone in GraphQL: once a plain member with a consent beside it, now an object that holds both."""

    field: str
    plain: str
    consent: str
    whole: str
    address: str
    subscription: str

    def read(
        self,
        customer: Mapping[str, Any],
        delivery: ShopifyDelivery,
        event: Event,
        fields: dict[str, Any],
        versions: dict[str, Version],
    ) -> None:
        if self.whole in customer:
            fields[self.field] = text_or_none(member(customer, self.whole, self.address))
        elif self.plain in customer:
            fields[self.field] = text_or_none(customer[self.plain])
        opted, as_of = consent_of(customer.get(self.whole), "marketingState", "marketingUpdatedAt")
        if opted is None:
            opted, as_of = consent_of(customer.get(self.consent), "marketingState", "consentUpdatedAt")
        if opted is not None:
            fields[self.subscription] = opted
            if as_of:
                versions[self.subscription] = delivery.version(as_of, event)


_EVENT_CONTACTS = (
    _EventContact(
        field="email",
        plain="email",
        consent="emailMarketingConsent",
        whole="defaultEmailAddress",
        address="emailAddress",
        subscription="subscriptions.email.bulk",
    ),
    _EventContact(
        field="phone",
        plain="phone",
        consent="smsMarketingConsent",
        whole="defaultPhoneNumber",
        address="phoneNumber",
        subscription="subscriptions.sms.bulk",
    ),
)

READERS: dict[str, Callable[[ShopifyDelivery], Change]] = {
    "Customer/create": _event,
    "Customer/update": _event,
    "Customer/delete": _event,
}
