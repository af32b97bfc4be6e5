"""BigCommerce's own API: how to read what an event only names, and what the responses mean.

Sources: BigCommerce API reference, "Get all customers" (v3), "Get a subscriber" (v3), "Store information" (v2), "List
locations" (v3 inventory), "API rate limits".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from loyalty_relay.model.commands import Version
from loyalty_relay.sources.base import Change, CustomerChanged, NothingToDo, StoreChanged, ThinChange
from loyalty_relay.sources.bigcommerce.orders import (
    CLOCK,
    ORDER,
    PAGE,
    PRODUCTS,
    REFUNDS,
    order_read,
    products_read,
    refunds_read,
)
from loyalty_relay.sources.hydrating import entity_of, only, unreadable, version_read, web_address
from loyalty_relay.sources.parsing import address_line, moment, text_or_none

PLATFORM = "bigcommerce"
HOST = "https://api.bigcommerce.com"
LIMIT = (150, 30.0)
"""Requests and seconds: the smallest published quota, of the plans Standard and Plus."""


@dataclass(frozen=True, slots=True)
class BigCommerceResource:
    """One kind of entity. ``under``: its path below ``/stores/HASH``, with ``{id}`` and ``{page}`` where these go."""

    under: str
    reader: Callable[[ThinChange, int, Any], Change]

    def path(self, thin: ThinChange) -> str:
        """Return the path with query to GET."""
        store, number = (quote(str(part), safe="") for part in (thin.store, thin.data["id"]))
        under = self.under.replace("{id}", number).replace("{page}", str(thin.data.get("page", 1)))
        return f"/stores/{store}/{under}"

    def change(self, thin: ThinChange, status: int, body: Any) -> Change:
        """Return the change that the response reports. Raises what ``entity_of`` raises."""
        return self.reader(thin, status, body)


def _version(thin: ThinChange, *times: str | None) -> Version | None:
    """Return a version as new as the entity, and at least as new as the event that led to the reading."""
    return version_read(CLOCK, max(filter(None, (thin.event.time, *times)), default=""), thin)


def _listed(thin: ThinChange, status: int, body: Any) -> Mapping[str, Any] | None:
    """Return the entity out of a list of those with its id."""
    answer = entity_of(status, body)
    return None if answer is None else only(answer.get("data"), str(thin.data["id"]))


def _deleted_meanwhile(thin: ThinChange) -> Change:
    return NothingToDo(event=thin.event, reason="deleted_meanwhile")


# -- customers ----------------------------------------------------------------------------------------------------

_FIELDS = {
    "email": "email",
    "phone": "phone",
    "first_name": "first_name",
    "last_name": "last_name",
    "notes": "notes",
}


def _customer(thin: ThinChange, status: int, body: Any) -> Change:
    customer = _listed(thin, status, body)
    return _deleted_meanwhile(thin) if customer is None else customer_changed(thin, customer)


def customer_changed(thin: ThinChange, customer: Mapping[str, Any]) -> Change:
    """Return a customer as the API shows them."""
    fields: dict[str, Any] = {
        ours: text_or_none(customer[theirs]) for theirs, ours in _FIELDS.items() if theirs in customer
    }
    addresses = customer.get("addresses")
    if isinstance(addresses, list):
        fields |= _address(next((address for address in addresses if isinstance(address, dict)), {}))
    return CustomerChanged(
        event=thin.event,
        source_id=thin.event.entity_id,
        fields=fields,
        payload=customer,
        version=_version(thin, moment(customer.get("date_modified"))),
        created=thin.event.topic == "store/customer/created",
        store=thin.store,
    )


def _address(address: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first address: BigCommerce has no default one. A customer without addresses has none."""
    lines = (address.get(line) for line in ("address1", "address2", "city", "state_or_province"))
    fields: dict[str, Any] = {
        "address": address_line(*lines),
        "postal_code": text_or_none(address.get("postal_code")),
    }
    if country := text_or_none(address.get("country_code")):
        fields["country"] = country
    return fields


# -- subscribers --------------------------------------------------------------------------------------------------


def _subscriber(thin: ThinChange, status: int, body: Any) -> Change:
    """Return the consent alone: the name in a newsletter form is not a customer's profile."""
    answer = entity_of(status, body)
    if answer is None:
        return _deleted_meanwhile(thin)
    subscriber = answer.get("data")
    if not isinstance(subscriber, dict):
        raise unreadable()
    consents = subscriber.get("consents")
    if not isinstance(consents, list):
        return NothingToDo(event=thin.event, reason="no_consent_given")
    return CustomerChanged(
        event=thin.event,
        source_id=thin.event.entity_id,
        fields={"subscriptions.email.bulk": "marketing_newsletter" in consents},
        payload=subscriber,
        version=_version(thin, moment(subscriber.get("date_modified"))),
        store=thin.store,
        email=text_or_none(subscriber.get("email")),
    )


# -- stores and locations -----------------------------------------------------------------------------------------


def _permanent(thin: ThinChange) -> str:
    """Return the address that every store has and keeps."""
    return f"https://store-{thin.store}.mybigcommerce.com"


def _store(thin: ThinChange, status: int, body: Any) -> Change:
    store = entity_of(status, body)
    if store is None:
        return _deleted_meanwhile(thin)
    if "name" not in store:
        raise unreadable()
    return StoreChanged(
        event=thin.event,
        shop_id=thin.store or "",
        account_id=thin.store or "",
        name=text_or_none(store["name"]),
        domain=web_address(store.get("secure_url")) or web_address(store.get("domain")) or _permanent(thin),
        payload=store,
        version=_version(thin),
    )


def _location(thin: ThinChange, status: int, body: Any) -> Change:
    """Return the store of a location. No event undoes a link, so a closed location is left as it is."""
    location = _listed(thin, status, body)
    if location is None:
        return _deleted_meanwhile(thin)
    if location.get("enabled") is False:
        return NothingToDo(event=thin.event, reason="location_closed")
    return StoreChanged(
        event=thin.event,
        shop_id=thin.event.entity_id,
        account_id=thin.store or "",
        name=text_or_none(location.get("label")),
        domain=_permanent(thin),
        payload=location,
        version=_version(thin, moment(location.get("updated_at"))),
    )


RESOURCES: dict[str, BigCommerceResource] = {
    "customer": BigCommerceResource("v3/customers?id:in={id}&include=addresses,attributes,formfields", _customer),
    "subscriber": BigCommerceResource("v3/customers/subscribers/{id}", _subscriber),
    "store": BigCommerceResource("v2/store", _store),
    "location": BigCommerceResource("v3/inventory/locations?location_id:in={id}", _location),
    ORDER: BigCommerceResource("v2/orders/{id}", order_read),
    PRODUCTS: BigCommerceResource(f"v2/orders/{{id}}/products?limit={PAGE}&page={{page}}", products_read),
    REFUNDS: BigCommerceResource("v3/orders/{id}/payment_actions/refunds", refunds_read),
}
