"""Square: customers, payments and refunds come whole, locations and orders are only named; what is empty is left out.

Sources: developer.squareup.com "Webhooks overview", "Verify and validate an event notification", "Use customer
webhooks", "Refunds API webhooks", "Troubleshoot webhooks"; the API reference for the events and for Retrieve location,
Retrieve order and Get payment.

The signature covers the notification URL, to the letter as it was registered, and the body, which has merchant, topic
and event id: nothing unsigned is believed. Customers are ordered by their ``version``, because a later event has
been seen with older content.

- A field that a customer event does not carry is empty now.
- ``preferences.email_unsubscribed`` is an opt-out. True opts out; false only means not opted out, which is
  no consent. A mapping can state otherwise.
- A merge makes a new customer and deletes the old ones, each of which names the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import REVISION, Event, Version, revision
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
    StoreChanged,
    ThinChange,
    Topic,
    Verdict,
)
from loyalty_relay.sources.hydrating import (
    access_token,
    entity_of,
    needed_token,
    token_problems,
    unreadable,
    version_read,
    web_address,
)
from loyalty_relay.sources.parsing import address_line, body_digest, json_object, member, moment, text_id, text_or_none
from loyalty_relay.sources.signatures import base64_text, hmac_sha256, matching
from loyalty_relay.sources.square.orders import (
    ORDER,
    PAYMENT,
    PAYMENT_MEMBERS,
    PLATFORM,
    REFUND,
    REFUND_MEMBERS,
    order_read,
    payment_alias,
    payment_read,
    refund_read,
)

HOST = "https://connect.squareup.com"
API_VERSION = "2025-01-23"
"""The Square-Version that the reads below are written for."""

APPLICATION_TOKEN = "application_token"
"""The application's own access token, which its webhook subscriptions need: sellers' tokens may not list them."""

_ATTRIBUTES = ("owned.", "visible.", "public.", "")
"""Whose custom attributes an event reports; the last two are those of older subscriptions."""

TOPICS = (
    Topic(name="customer.created", becomes="register", fixture="customer-created"),
    Topic(name="customer.created", becomes="register", fixture="customer-created-by-merge", note="out of a merge"),
    Topic(name="customer.updated", becomes="update", fixture="customer-updated", note="registers an unknown customer"),
    Topic(name="customer.deleted", becomes="retire", fixture="customer-deleted"),
    Topic(name="customer.deleted", becomes="retire", fixture="customer-deleted-by-merge", note="into the new customer"),
    *(
        Topic(
            name=f"customer.custom_attribute.{kind}{what}",
            becomes="update",
            fixture=f"custom-attribute-{kind.replace('.', '-')}{what}",
            note="if mapped",
        )
        for kind in _ATTRIBUTES
        for what in ("updated", "deleted")
    ),
    Topic(name="location.created", becomes="hydrate", fixture="location-created", note="then link-store"),
    Topic(name="location.updated", becomes="hydrate", fixture="location-updated", note="then link-store"),
    *(
        Topic(name=name, becomes="hydrate", fixture=fixture, note=note)
        for name, fixture, note in (
            ("payment.created", "payment-created", "then transaction"),
            ("payment.updated", "payment-updated", "then transaction, with a tip"),
            ("payment.updated", "payment-updated-split", "then transaction, one of two tenders"),
            ("payment.updated", "payment-updated-refunded", "then transaction, with what was refunded so far"),
            ("payment.updated", "payment-updated-guest", "then transaction, a guest's"),
            ("payment.updated", "payment-updated-exchange", "then transaction, an exchange"),
            ("refund.created", "refund-created", "then transaction, of lines"),
            ("refund.updated", "refund-updated", "then transaction, of lines"),
            ("refund.updated", "refund-updated-amount", "then transaction, of an amount"),
            ("refund.updated", "refund-updated-failed", "then transaction, takes nothing back"),
            ("refund.updated", "refund-updated-unlinked", "then transaction, of no sale"),
            ("order.updated", "order-updated", "then transaction"),
            ("order.updated", "order-updated-canceled", "then transaction"),
        )
    ),
    Topic(
        name="oauth.authorization.revoked",
        becomes="ignored",
        fixture="oauth-authorization-revoked",
        note="links are kept",
    ),
    Topic(
        name="online_checkout.location_settings.updated",
        becomes="ignored",
        fixture="checkout-location-settings-updated",
    ),
    Topic(
        name="online_checkout.merchant_settings.updated",
        becomes="ignored",
        fixture="checkout-merchant-settings-updated",
    ),
    Topic(name="payment.updated", becomes="ignored", fixture="payment-updated-approved", note="until it is completed"),
    Topic(name="refund.updated", becomes="ignored", fixture="refund-updated-pending", note="until it is completed"),
    Topic(name="order.created", becomes="ignored", fixture="order-created", note="its payments and updates count"),
    Topic(name="webhooks.test_notification", becomes="ignored", fixture="test-notification", note="for trying it out"),
)


class Square(HydratingSource, ListingSource):
    """HMAC-SHA256 over notification URL and raw body under the subscription's signature key, in base64.

    No time is signed.
    """

    platform = PLATFORM
    topics = TOPICS
    lists_changed = True
    listing_scopes = ("CUSTOMERS_READ",)
    sale_reads = (
        SaleRead(ORDER, {"order_id": "unused"}, "ORDERS_READ"),
        SaleRead(PAYMENT, {"payment_id": "unused"}, "PAYMENTS_READ"),
    )
    api_domains = ("squareup.com", "squareupsandbox.com")
    by_hand = (
        "Each seller has to grant the application CUSTOMERS_READ, for locations MERCHANT_PROFILE_READ, for sales "
        "ORDERS_READ and PAYMENTS_READ: without it Square sends nothing of that seller, and reports no error.",
    )

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return problems: verifying needs the URL. A token is needed only for locations and orders."""
        if not source.stores:
            yield "stores", "needs at least one seller, by merchant id"
        if source.public_url is None:
            yield "public_url", "is required: Square signs the notification URL together with the body"
        if source.api_credentials:
            yield from token_problems(source, (APPLICATION_TOKEN,))

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Accept any live key: keys are per subscription, and replacing one has no documented overlap."""
        given = request.header("x-square-hmacsha256-signature")
        if source.public_url is None:
            return Verdict.NO_SIGNATURE if given is None else Verdict.WRONG
        url = source.public_url
        return matching(given, (base64_text(hmac_sha256(secret, url, request.body)) for secret in secrets))

    def store(self, request: Request, source: Source) -> str | None:
        """Return the seller that the body names."""
        try:
            return text_or_none(json_object(request.body).get("merchant_id")) or ""
        except Untranslatable:
            return None

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the one change of a delivery."""
        body = json_object(request.body)
        topic = text_or_none(body.get("type"))
        if topic is None:
            raise Untranslatable("no_topic")
        merchant = text_id(body.get("merchant_id"))
        delivery = _SquareDelivery(
            topic=topic,
            body=body,
            raw=request.body,
            time=moment(body.get("created_at")) or "",
            merchant=merchant,
            can_fetch=access_token(source, merchant) is not None,
        )
        reader = _READERS.get(topic)
        if reader is None:
            return [NothingToDo(event=delivery.event(""), reason="topic_not_used")]
        return [reader(delivery)]

    def fetch(self, thin: ThinChange, source: Source) -> Fetch:
        """Return the request for a location, an order or a payment."""
        token = needed_token(source, thin.store)
        collection, member_name = _READS[thin.resource]
        return Fetch(
            path=f"/v2/{collection}/{quote(str(thin.data[member_name]), safe='')}",
            headers={"authorization": f"Bearer {token}", "square-version": API_VERSION},
            default_host=HOST,
        )

    def hydrated(self, thin: ThinChange, status: int, body: Any) -> list[Change]:
        """Return the location or the order, or what is to be read before it."""
        return [_SHOWN[thin.resource](thin, entity_of(status, body))]

    def order_of(self, order_id: str, store: str | None) -> ThinChange | None:
        """Return how to read an order by its own id or by that of one of its payments."""
        event = Event(source=PLATFORM, topic="order.updated", id="", entity_id=order_id)
        payment_id = order_id.removeprefix(payment_alias(""))
        if payment_id != order_id:
            return ThinChange(event=event, resource=PAYMENT, data={"payment_id": payment_id}, store=store, sales=True)
        return ThinChange(event=event, resource=ORDER, data={"order_id": order_id}, store=store, sales=True)


@dataclass(frozen=True, slots=True)
class _SquareDelivery:
    """An authentic notification: the signed body with what every one has."""

    topic: str
    body: Mapping[str, Any]
    raw: bytes
    time: str
    merchant: str
    can_fetch: bool

    def event(self, entity_id: str) -> Event:
        reported = self.body.get("event_id")
        return Event(
            source=PLATFORM,
            topic=self.topic,
            id=body_digest(self.raw) if reported is None else text_id(reported),
            entity_id=entity_id,
            time=self.time,
        )

    def object(self, name: str) -> Mapping[str, Any]:
        """Return ``data.object.NAME``. Raises Untranslatable when there is none."""
        found = member(self.body, "data", "object", name)
        if not isinstance(found, dict):
            raise Untranslatable(f"no_{name}", f"data.object.{name} is not an object")
        return found

    def version(self, entity: Mapping[str, Any], event: Event) -> Version | None:
        """Return the entity's revision where it has one, else when it was updated, else when the event happened."""
        number = entity.get("version")
        if number is not None:
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**63:
                raise Untranslatable("bad_revision", "version is not an integer of 63 bits")
            return Version(f"{PLATFORM}{REVISION}", revision(number), self.time, event.id)
        return self.as_of(moment(entity.get("updated_at")) or self.time, event)

    def as_of(self, time: str, event: Event) -> Version | None:
        return Version(PLATFORM, time, self.time, event.id) if time else None


# -- customers ----------------------------------------------------------------------------------------------------

_FIELDS = {
    "given_name": "first_name",
    "family_name": "last_name",
    "email_address": "email",
    "phone_number": "phone",
    "birthday": "birthday",
    "note": "notes",
}
_ADDRESS = (
    "address_line_1",
    "address_line_2",
    "address_line_3",
    "sublocality",
    "locality",
    "administrative_district_level_1",
)


def _customer(delivery: _SquareDelivery) -> Change:
    customer = delivery.object("customer")
    source_id = text_id(customer.get("id"))
    event = delivery.event(source_id)
    address = customer.get("address")
    address = address if isinstance(address, dict) else {}
    fields: dict[str, Any] = {ours: text_or_none(customer.get(theirs)) for theirs, ours in _FIELDS.items()}
    fields["address"] = address_line(*(address.get(line) for line in _ADDRESS))
    fields["postal_code"] = text_or_none(address.get("postal_code"))
    if country := text_or_none(address.get("country")):
        fields["country"] = country
    if member(customer, "preferences", "email_unsubscribed") is True:
        fields["subscriptions.email.bulk"] = False
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=fields,
        payload=customer,
        version=delivery.version(customer, event),
        created=delivery.topic == "customer.created",
        store=delivery.merchant,
    )


def _deleted(delivery: _SquareDelivery) -> Change:
    customer = delivery.object("customer")
    source_id = text_id(customer.get("id"))
    event = delivery.event(source_id)
    survivor = text_or_none(member(delivery.body, "data", "object", "event_context", "merge", "to_customer_id"))
    merged = survivor is not None and survivor != source_id
    return CustomerRetired(
        event=event,
        source_id=source_id,
        reason="merged" if merged else "deleted",
        survivor=survivor if merged else None,
        version=delivery.version(customer, event),
        store=delivery.merchant,
    )


def _attribute(delivery: _SquareDelivery) -> Change:
    """Return a custom attribute, which is a field only by a mapping. A deleted one is an empty text.

    Its ``version`` begins anew when it is set again after it was deleted, so that it is ordered by its time.
    """
    attribute = dict(delivery.object("custom_attribute"))
    _, kind, source_id = str(member(delivery.body, "data", "id")).rpartition(":CUSTOMER:")
    if not kind:
        raise Untranslatable("no_id", "data.id names no customer")
    event = delivery.event(text_id(source_id))
    if delivery.topic.endswith(".deleted"):
        attribute["value"] = ""
    return CustomerChanged(
        event=event,
        source_id=event.entity_id,
        fields={},
        payload=attribute,
        version=delivery.as_of(moment(attribute.get("updated_at")) or delivery.time, event),
        store=delivery.merchant,
    )


# -- locations and the seller -------------------------------------------------------------------------------------


def _location(delivery: _SquareDelivery) -> Change:
    location_id = text_id(member(delivery.body, "data", "id") or delivery.body.get("location_id"))
    event = delivery.event(location_id)
    if not delivery.can_fetch:
        return NothingToDo(event=event, reason="no_access_token")
    return ThinChange(
        event=event,
        resource="location",
        data={"location_id": location_id},
        store=delivery.merchant,
    )


def _location_read(thin: ThinChange, answer: Mapping[str, Any] | None) -> Change:
    """Return a location. No event undoes a link, so an inactive one is left as it is."""
    if answer is None:
        return NothingToDo(event=thin.event, reason="deleted_meanwhile")
    location = answer.get("location")
    if not isinstance(location, dict) or text_or_none(location.get("id")) is None:
        raise unreadable()
    if location.get("status") == "INACTIVE":
        return NothingToDo(event=thin.event, reason="location_closed")
    return StoreChanged(
        event=thin.event,
        shop_id=text_id(location["id"]),
        account_id=thin.store or "",
        name=text_or_none(location.get("name")),
        domain=web_address(location.get("website_url")),
        payload=location,
        version=version_read(PLATFORM, thin.event.time, thin),
    )


_READS = {
    "location": ("locations", "location_id"),
    ORDER: ("orders", "order_id"),
    PAYMENT: ("payments", "payment_id"),
    REFUND: ("orders", "order_id"),
}
_SHOWN: dict[str, Callable[[ThinChange, Mapping[str, Any] | None], Change]] = {
    "location": _location_read,
    ORDER: order_read,
    PAYMENT: payment_read,
    REFUND: refund_read,
}


# -- payments, refunds and orders ---------------------------------------------------------------------------------


def _payment(delivery: _SquareDelivery) -> Change:
    """Read the order of a payment that was taken. One that was not, or not yet, has taken no money."""
    payment = delivery.object("payment")
    payment_id = text_id(payment.get("id"))
    order_id = text_or_none(payment.get("order_id"))
    event = delivery.event(text_id(order_id or payment_id))
    if payment.get("status") != "COMPLETED":
        return NothingToDo(event=event, reason="payment_not_completed")
    if order_id is None:
        return NothingToDo(event=event, reason="no_order")
    data = {"order_id": order_id, "payment": {name: payment[name] for name in PAYMENT_MEMBERS if name in payment}}
    return ThinChange(event=event, resource=ORDER, data=data, store=delivery.merchant, sales=True)


def _refund(delivery: _SquareDelivery) -> Change:
    """Read the order that Square makes for a refund, which names the order that was refunded and what came back."""
    refund = delivery.object("refund")
    event = delivery.event(text_id(refund.get("id")))
    if refund.get("status") not in ("COMPLETED", "REJECTED", "FAILED"):
        return NothingToDo(event=event, reason="refund_pending")
    kept = {name: refund[name] for name in REFUND_MEMBERS if name in refund}
    order_id = text_or_none(refund.get("order_id"))
    data = {"order_id": order_id, "refund": kept}
    thin = ThinChange(event=event, resource=REFUND, data=data, store=delivery.merchant, sales=True)
    return refund_read(thin, None) if order_id is None else thin


def _order(delivery: _SquareDelivery) -> Change:
    order_id = text_id(delivery.object("order_updated").get("order_id"))
    return ThinChange(
        event=delivery.event(order_id),
        resource=ORDER,
        data={"order_id": order_id},
        store=delivery.merchant,
        sales=True,
    )


def _revoked(delivery: _SquareDelivery) -> Change:
    """Keep the links: the seller may come back, and past sales are attributed by them."""
    return NothingToDo(event=delivery.event(delivery.merchant), reason="app_uninstalled")


def _unused(delivery: _SquareDelivery) -> Change:
    return NothingToDo(event=delivery.event(""), reason="topic_not_used")


def _ping(delivery: _SquareDelivery) -> Change:
    return NothingToDo(event=delivery.event(""), reason="ping")


def listed_customer(row: dict[str, Any], merchant: str, read_at: str) -> Change:
    """Return a customer of the API, whose shape is that of a notification's object."""
    body = {"data": {"object": {"customer": row}}}
    delivery = _SquareDelivery(
        topic="customer.updated", body=body, raw=b"", time=read_at, merchant=merchant, can_fetch=True
    )
    return _customer(delivery)


_READERS: dict[str, Callable[[_SquareDelivery], Change]] = {
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.deleted": _deleted,
    **{
        f"customer.custom_attribute.{kind}{what}": _attribute for kind in _ATTRIBUTES for what in ("updated", "deleted")
    },
    "payment.created": _payment,
    "payment.updated": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "order.created": _unused,
    "order.updated": _order,
    "location.created": _location,
    "location.updated": _location,
    "oauth.authorization.revoked": _revoked,
    "online_checkout.location_settings.updated": _unused,
    "online_checkout.merchant_settings.updated": _unused,
    "webhooks.test_notification": _ping,
}

SOURCE = Square()
