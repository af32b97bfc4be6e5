"""BigCommerce: thin events under one app for many stores; what has changed is read from the store's API.

Sources: BigCommerce docs "Webhooks overview", "HTTPS webhooks", "Webhook events"; the API reference for Customers V3,
Subscribers, Store information, Inventory locations, Orders V2 and refunds.

Deliveries are signed as in Standard Webhooks, under the client secret's own characters. The id is signed, and the
body names the store as ``producer``: nothing unsigned is believed.

- An address event is about a customer: its ``id`` is the address, ``address.customer_id`` who lives there.
- A newsletter subscriber is no customer but an e-mail address. It reports a consent and nothing else.
- BigCommerce's own samples carry mistaken scopes, so scopes that are not listed here are let pass without effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event, Version
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    Fetch,
    HydratingSource,
    ListingSource,
    NothingToDo,
    Request,
    SaleRead,
    ThinChange,
    Topic,
    Verdict,
)
from loyalty_relay.sources.bigcommerce.orders import CLOCK, ORDER, REFUNDS
from loyalty_relay.sources.bigcommerce.resources import HOST, LIMIT, PLATFORM, RESOURCES
from loyalty_relay.sources.hydrating import needed_token, token_problems
from loyalty_relay.sources.parsing import epoch, json_object, member, text_id, text_or_none
from loyalty_relay.sources.signatures import standard_webhooks_verdict

TOPICS = (
    Topic(name="store/customer/created", becomes="hydrate", fixture="customer-created", note="then register"),
    Topic(name="store/customer/updated", becomes="hydrate", fixture="customer-updated", note="then update"),
    Topic(name="store/customer/deleted", becomes="retire", fixture="customer-deleted"),
    Topic(name="store/customer/address/created", becomes="hydrate", fixture="address-created", note="then update"),
    Topic(name="store/customer/address/updated", becomes="hydrate", fixture="address-updated", note="then update"),
    Topic(name="store/customer/address/deleted", becomes="hydrate", fixture="address-deleted", note="then update"),
    Topic(name="store/customer/channel/login/access/updated", becomes="ignored", fixture="login-access-updated"),
    Topic(
        name="store/customer/payment/instrument/default/updated",
        becomes="ignored",
        fixture="default-instrument-updated",
    ),
    Topic(name="store/subscriber/created", becomes="hydrate", fixture="subscriber-created", note="then consent"),
    Topic(name="store/subscriber/updated", becomes="hydrate", fixture="subscriber-updated", note="then consent"),
    Topic(name="store/subscriber/deleted", becomes="consent", fixture="subscriber-deleted", note="withdrawn"),
    Topic(name="store/information/updated", becomes="hydrate", fixture="information-updated", note="then link-store"),
    Topic(
        name="store/inventory/location/created", becomes="hydrate", fixture="location-created", note="then link-store"
    ),
    Topic(
        name="store/inventory/location/updated", becomes="hydrate", fixture="location-updated", note="then link-store"
    ),
    *(
        Topic(name=f"store/order/{name}", becomes="hydrate", fixture=fixture, note=f"then transaction{note}")
        for name, fixture, note in (
            ("created", "order-created", ""),
            ("created", "order-created-unpaid", ", of an order that is not paid yet"),
            ("updated", "order-updated", ", a guest's, in another currency"),
            ("updated", "order-updated-migrated", ", a test order"),
            ("statusUpdated", "order-status-cancelled", ", which takes nothing back"),
            ("statusUpdated", "order-status-refunded", ", refunded by hand"),
            ("refund/created", "refund-created", ", of a product"),
            ("refund/created", "refund-created-amount", ", of an amount"),
        )
    ),
    Topic(name="store/channel/created", becomes="ignored", fixture="channel-created"),
    Topic(name="store/channel/updated", becomes="ignored", fixture="channel-updated"),
    Topic(name="store/app/uninstalled", becomes="ignored", fixture="app-uninstalled", note="links are kept"),
    Topic(name="store/hook/deliveryException", becomes="ignored", fixture="delivery-exception"),
)


class BigCommerce(HydratingSource, ListingSource):
    """HMAC-SHA256 over ``id.timestamp.body`` under the client secret, in base64, behind ``v1,``."""

    platform = PLATFORM
    topics = TOPICS
    signs_time = True
    api_domains = ("bigcommerce.com",)
    lists_changed = True
    listing_scopes = ("Customers: read-only",)
    sale_reads = (
        SaleRead(ORDER, {"id": "1"}, "Orders: read-only"),
        SaleRead(REFUNDS, {"id": "1"}, "Order transactions: read-only"),
    )

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return stores without a token: every delivery leads to a read."""
        if not source.stores:
            yield "stores", "needs at least one store, by its hash"
        for index, store in enumerate(source.stores):
            if not store.isascii() or not store.isalnum():
                yield f"stores.{index}", "must be the store's hash, as in stores/HASH, and nothing else"
        yield from token_problems(source)

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Compare with every live secret. Unlike the libraries' own secrets this one is not base64."""
        keys = [secret.encode("utf-8", "surrogatepass") for secret in secrets]
        return standard_webhooks_verdict(request, "webhook", keys, now)

    def store(self, request: Request, source: Source) -> str | None:
        """Return the store's hash in the body's ``producer``."""
        try:
            return _producer(json_object(request.body))
        except Untranslatable:
            return None

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the one change of a delivery."""
        body = json_object(request.body)
        scope = text_or_none(body.get("scope"))
        if scope is None:
            raise Untranslatable("no_topic")
        delivery = _BigCommerceDelivery(
            topic=scope,
            body=body,
            id=text_id(request.header("webhook-id")),
            time=epoch(body.get("created_at")) or "",
            store=text_id(_producer(body)),
        )
        reader = _READERS.get(scope)
        if reader is None:
            return [NothingToDo(event=delivery.event(""), reason="topic_not_used")]
        return [reader(delivery)]

    def fetch(self, thin: ThinChange, source: Source) -> Fetch:
        """Return the request for one entity of the store, by its number."""
        token = needed_token(source, thin.store)
        return Fetch(
            path=RESOURCES[thin.resource].path(thin),
            headers={"x-auth-token": token, "accept": "application/json"},
            default_host=HOST,
            limit=LIMIT,
        )

    def hydrated(self, thin: ThinChange, status: int, body: Any) -> list[Change]:
        """Return the change in the response of the store's API."""
        return [RESOURCES[thin.resource].change(thin, status, body)]

    def order_of(self, order_id: str, store: str | None) -> ThinChange | None:
        """Return how to read an order by its store's hash and its number."""
        own, _, number = order_id.partition(":")
        if not number:
            return None
        event = Event(source=PLATFORM, topic="store/order/updated", id="", entity_id=order_id)
        return ThinChange(event=event, resource=ORDER, data={"id": number}, store=own, sales=True)


def _producer(body: Mapping[str, Any]) -> str:
    """Return the hash in ``stores/HASH``; an empty text where there is none."""
    kind, _, store = (text_or_none(body.get("producer")) or "").partition("/")
    return store if kind == "stores" else ""


@dataclass(frozen=True, slots=True)
class _BigCommerceDelivery:
    """An authentic delivery: the signed body with what every one has."""

    topic: str
    body: Mapping[str, Any]
    id: str
    time: str
    store: str

    def event(self, entity_id: str) -> Event:
        return Event(source=PLATFORM, topic=self.topic, id=self.id, entity_id=entity_id, time=self.time)

    def number(self, *path: str) -> str:
        """Return an id in ``data``."""
        return text_id(member(self.body, "data", *path))

    def own(self, number: str) -> str:
        """Return the id with the store's hash: every store counts from 1."""
        return text_id(f"{self.store}:{number}")

    def version(self, event: Event) -> Version | None:
        return Version(CLOCK, self.time, self.time, event.id) if self.time else None

    def thin(self, resource: str, number: str, entity_id: str) -> Change:
        """Return a request to read the entity."""
        return ThinChange(event=self.event(entity_id), resource=resource, data={"id": number}, store=self.store)


# -- customers ----------------------------------------------------------------------------------------------------


def _customer(delivery: _BigCommerceDelivery) -> Change:
    number = delivery.number("id")
    return delivery.thin("customer", number, delivery.own(number))


def _address(delivery: _BigCommerceDelivery) -> Change:
    """Read the customer again, of whom the addresses are a part."""
    number = delivery.number("address", "customer_id")
    return delivery.thin("customer", number, delivery.own(number))


def _deleted(delivery: _BigCommerceDelivery) -> Change:
    source_id = delivery.own(delivery.number("id"))
    event = delivery.event(source_id)
    return CustomerRetired(
        event=event, source_id=source_id, reason="deleted", version=delivery.version(event), store=delivery.store
    )


# -- subscribers --------------------------------------------------------------------------------------------------


def _subscriber(delivery: _BigCommerceDelivery) -> Change:
    number = delivery.number("id")
    return delivery.thin("subscriber", number, delivery.own(f"subscriber:{number}"))


def _unsubscribed(delivery: _BigCommerceDelivery) -> Change:
    """Opt out whom the list has deleted. Only the number is left, so it must be a known one."""
    event = delivery.event(delivery.own(f"subscriber:{delivery.number('id')}"))
    return CustomerChanged(
        event=event,
        source_id=event.entity_id,
        fields={"subscriptions.email.bulk": False},
        payload=delivery.body["data"],
        version=delivery.version(event),
        store=delivery.store,
    )


# -- orders -------------------------------------------------------------------------------------------------------


def _order(delivery: _BigCommerceDelivery) -> Change:
    """Read the order as a whole, whichever of its parts has changed."""
    number = delivery.number("id")
    event = delivery.event(delivery.own(number))
    return ThinChange(event=event, resource=ORDER, data={"id": number}, store=delivery.store, sales=True)


# -- stores and locations -----------------------------------------------------------------------------------------


def _information(delivery: _BigCommerceDelivery) -> Change:
    return delivery.thin("store", delivery.store, delivery.store)


def _location(delivery: _BigCommerceDelivery) -> Change:
    number = delivery.number("location_id")
    return delivery.thin("location", number, delivery.own(number))


def _uninstalled(delivery: _BigCommerceDelivery) -> Change:
    """Keep the links: the store may come back, and past sales are attributed by them."""
    return NothingToDo(event=delivery.event(delivery.store), reason="app_uninstalled")


def _unused(delivery: _BigCommerceDelivery) -> Change:
    return NothingToDo(event=delivery.event(""), reason="topic_not_used")


_READERS: dict[str, Callable[[_BigCommerceDelivery], Change]] = {
    "store/customer/created": _customer,
    "store/customer/updated": _customer,
    "store/customer/deleted": _deleted,
    "store/customer/address/created": _address,
    "store/customer/address/updated": _address,
    "store/customer/address/deleted": _address,
    "store/customer/channel/login/access/updated": _unused,
    "store/customer/payment/instrument/default/updated": _unused,
    "store/subscriber/created": _subscriber,
    "store/subscriber/updated": _subscriber,
    "store/subscriber/deleted": _unsubscribed,
    "store/information/updated": _information,
    "store/inventory/location/created": _location,
    "store/inventory/location/updated": _location,
    "store/order/created": _order,
    "store/order/updated": _order,
    "store/order/statusUpdated": _order,
    "store/order/refund/created": _order,
    "store/channel/created": _unused,
    "store/channel/updated": _unused,
    "store/app/uninstalled": _uninstalled,
    "store/hook/deliveryException": _unused,
}

SOURCE = BigCommerce()
