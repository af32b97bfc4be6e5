"""Clover's own API: how to read what an update only names, and what the responses mean.

Sources: docs.clover.com REST API reference, "Get a single customer", "Get a single merchant", "Get a single order";
"Expandable fields"; "API usage and rate limits".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from loyalty_relay.model.commands import Version
from loyalty_relay.sources.base import Change, CustomerChanged, NothingToDo, StoreChanged, ThinChange
from loyalty_relay.sources.clover.orders import (
    CLOCK,
    EXPANDED,
    MILLISECOND,
    ORDER,
    PAYMENT,
    elements,
    order_read,
    payment_read,
)
from loyalty_relay.sources.hydrating import entity_of, unreadable, version_read, web_address
from loyalty_relay.sources.parsing import address_line, epoch, member, text_or_none

PLATFORM = "clover"
HOST = "https://api.clover.com"
LIMIT = (16, 1.0)
"""Requests and seconds, for each token."""


@dataclass(frozen=True, slots=True)
class CloverResource:
    """One kind of entity. ``under``: its path below ``/v3/merchants/ID``, with ``{id}`` where the id goes."""

    under: str
    reader: Callable[[ThinChange, Mapping[str, Any]], Change | list[Change]]

    def path(self, thin: ThinChange) -> str:
        """Return the path with query to GET."""
        merchant, object_id = (quote(str(part), safe="") for part in (thin.store, thin.data["id"]))
        return f"/v3/merchants/{merchant}{self.under.replace('{id}', object_id)}"

    def changes(self, thin: ThinChange, status: int, body: Any) -> list[Change]:
        """Return the changes that the response reports. Raises what ``entity_of`` raises."""
        answer = entity_of(status, body)
        if answer is None:
            return [NothingToDo(event=thin.event, reason="deleted_meanwhile")]
        if str(answer.get("id")) != str(thin.data["id"]):
            raise unreadable()
        found = self.reader(thin, answer)
        return found if isinstance(found, list) else [found]


def _version(thin: ThinChange, reported: str | None) -> Version | None:
    """Return the version by Clover's own API; by the delivery's unproven time only where that has none."""
    return version_read(CLOCK, reported or thin.event.time, thin)


# -- customers ----------------------------------------------------------------------------------------------------


def customer_changed(thin: ThinChange, customer: Mapping[str, Any]) -> Change:
    """Return a customer as the API shows them."""
    fields: dict[str, Any] = {
        ours: text_or_none(customer[theirs])
        for theirs, ours in (("firstName", "first_name"), ("lastName", "last_name"))
        if theirs in customer
    }
    emails, phones = elements(customer.get("emailAddresses")), elements(customer.get("phoneNumbers"))
    email = _primary(emails or [])
    if emails is not None:
        fields["email"] = text_or_none(email.get("emailAddress"))
    if phones is not None:
        fields["phone"] = text_or_none(next(iter(phones), {}).get("phoneNumber"))
    addresses = elements(customer.get("addresses"))
    if addresses is not None:
        fields |= _address(next(iter(addresses), {}))
    metadata = customer.get("metadata")
    if isinstance(metadata, dict):
        fields |= _metadata(metadata)
    if isinstance(allowed := customer.get("marketingAllowed"), bool):
        fields["subscriptions.email.bulk"] = allowed
    return CustomerChanged(
        event=thin.event,
        source_id=thin.event.entity_id,
        fields=fields,
        payload=customer,
        version=_version(thin, epoch(member(metadata, "modifiedTime"), unit=MILLISECOND)),
        created=thin.event.topic == "C:CREATE",
        store=thin.store,
        verified={"email": bool(email.get("verifiedTime"))} if email else {},
    )


def _primary(emails: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the one that is marked, else the first that was verified, else the first."""
    for wanted in ("primaryEmail", "verifiedTime"):
        for email in emails:
            if email.get(wanted):
                return email
    return emails[0] if emails else {}


def _address(address: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first address: Clover has no default one. A customer without addresses has none."""
    lines = (address.get(line) for line in ("address1", "address2", "address3", "city", "state"))
    fields: dict[str, Any] = {"address": address_line(*lines), "postal_code": text_or_none(address.get("zip"))}
    if country := text_or_none(address.get("country")):
        fields["country"] = country
    return fields


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return notes and birthday; one of which a part is missing is absent."""
    fields: dict[str, Any] = {}
    if "note" in metadata:
        fields["notes"] = text_or_none(metadata["note"])
    born = [metadata.get(name) for name in ("dobYear", "dobMonth", "dobDay")]
    if all(born):
        fields["birthday"] = "-".join(str(part) for part in born)
    return fields


# -- merchants ----------------------------------------------------------------------------------------------------


def _merchant(thin: ThinChange, merchant: Mapping[str, Any]) -> Change:
    return StoreChanged(
        event=thin.event,
        shop_id=thin.store or "",
        account_id=thin.store or "",
        name=text_or_none(merchant.get("name")),
        domain=web_address(merchant.get("website")),
        payload=merchant,
        version=_version(thin, None),
    )


RESOURCES: dict[str, CloverResource] = {
    "customer": CloverResource(
        "/customers/{id}?expand=addresses,emailAddresses,phoneNumbers,metadata", customer_changed
    ),
    "merchant": CloverResource("?expand=address", _merchant),
    ORDER: CloverResource(f"/orders/{{id}}?expand={EXPANDED}", order_read),
    PAYMENT: CloverResource("/payments/{id}", payment_read),
}
