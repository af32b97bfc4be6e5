"""WooCommerce: a shop's own WordPress sends its customers whole, once, and never again.

Sources: woocommerce.com "Webhooks"; the WooCommerce REST API docs "Webhooks" and "Customers"; the plugin's
``class-wc-webhook.php`` for what the pages leave out (signature, ping, delivery id).

What the signature covers decides what is believed. It covers the body alone, so that
- the topic header is compared with the body's own shape; a deletion's body, which shows only a number, counts as one of
  a customer only under a secret whose ``topics`` hold no other deletions;
- a copy is recognised by its body: the delivery id is the same for all that one hook sends within a second, and another
  one for every resend;
- the source header is held against the connection's sites, and against the site that the body links to. Use one
  connection for each site whose owners do not trust each other.

The body is built when it is sent, minutes after the event, and shows what the hook's owner may see: where that is
nothing, WooCommerce signs and sends the error of its REST API instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event, Version
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    Reply,
    Request,
    SourceModule,
    Topic,
    Verdict,
)
from loyalty_relay.sources.parsing import (
    address_line,
    body_digest,
    json_object,
    member,
    moment,
    take,
    text_id,
    text_or_none,
)
from loyalty_relay.sources.signatures import base64_text, hmac_sha256, matching

PLATFORM = "woocommerce"
ROLES = "roles"
STAFF = frozenset({"administrator", "editor", "author", "contributor", "shop_manager"})
"""WordPress's and WooCommerce's own roles of people who work at the shop."""

TOPICS = (
    Topic(name="customer.created", becomes="register", fixture="customer-created"),
    Topic(name="customer.created", becomes="ignored", fixture="customer-created-staff", note="see the option roles"),
    Topic(name="customer.updated", becomes="update", fixture="customer-updated", note="registers an unknown customer"),
    Topic(name="customer.updated", becomes="ignored", fixture="customer-updated-gone", note="deleted meanwhile"),
    Topic(name="customer.deleted", becomes="retire", fixture="customer-deleted"),
    Topic(name="order.created", becomes="ignored", fixture="order-created", note="guests are not registered"),
    Topic(name="ping", becomes="handshake", fixture="ping", note="when a webhook is saved"),
)

_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot)|#0*(34|38|39|60|62)|#[xX]0*(22|26|27));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}


def signing_key(secret: str) -> str:
    """Return the secret as WooCommerce signs with it: after WordPress's ``wp_specialchars_decode``, once.

    A secret that is stored, shown or copied as ``a&amp;b`` signs as ``a&b``.
    """

    def character(found: re.Match[str]) -> str:
        named, decimal, hexadecimal = found.groups()
        return _NAMED[named] if named else chr(int(decimal) if decimal else int(hexadecimal, 16))

    return _ENTITY.sub(character, secret)


def site_of(url: str) -> str:
    """Return a site's identity: host and path, without scheme and slashes at the end, in lower case."""
    address = url.strip().lower().partition("?")[0].partition("#")[0]
    scheme, separator, rest = address.partition("://")
    return (rest if separator and scheme.isascii() and scheme.isalpha() else address).strip("/")


class WooCommerce(SourceModule):
    """HMAC-SHA256 over the raw body under the webhook's secret, in base64. No time is signed."""

    platform = PLATFORM
    topics = TOPICS
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        ROLES: {
            "type": "array",
            "items": {"type": "string"},
            "description": "The WordPress roles that are customers; default: every role but those of the staff",
        }
    }

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return sites that are no addresses, and roles that are no names."""
        if not source.stores:
            yield "stores", "needs at least one site, by its address"
        for index, store in enumerate(source.stores):
            if not re.fullmatch(r"[^\s/?#@]+(?:/[^\s?#]*)?", site_of(store)):
                yield f"stores.{index}", "must be the site's address such as https://shop.example.com"
        roles = source.options.get(ROLES, [])
        if not isinstance(roles, list) or not all(isinstance(role, str) and role for role in roles):
            yield f"options.{ROLES}", "must be a list of WordPress roles"

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Accept any live secret: WooCommerce changes to a new one at once."""
        given = request.header("x-wc-webhook-signature")
        return matching(given, (base64_text(hmac_sha256(signing_key(secret), request.body)) for secret in secrets))

    def topic(self, request: Request) -> str:
        """Return the topic of the header, which is not signed."""
        return request.header("x-wc-webhook-topic") or ""

    def greeting(self, request: Request) -> Reply | None:
        """Answer the unsigned ping that WooCommerce sends when a webhook is saved; only an exact 200 is accepted."""
        signed = request.header("x-wc-webhook-signature") or request.header("x-wc-webhook-topic")
        if request.method != "POST" or signed or not _PING.fullmatch(request.body):
            return None
        return Reply(status=200)

    def store(self, request: Request, source: Source) -> str | None:
        """Return the site of the source header, which WooCommerce always sends, as the connection writes it."""
        site = site_of(request.header("x-wc-webhook-source") or "")
        return next((store for store in source.stores if site_of(store) == site), site)

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the one change of a delivery."""
        topic = request.header("x-wc-webhook-topic")
        if topic is None:
            raise Untranslatable("no_topic")
        delivery = _WooCommerceDelivery(
            topic=topic,
            body=json_object(request.body),
            raw=request.body,
            site=site_of(request.header("x-wc-webhook-source") or ""),
            sites=tuple(site_of(store) for store in source.stores),
            roles=source.options.get(ROLES),
        )
        reader = _READERS.get(topic)
        if reader is None:
            return [NothingToDo(event=delivery.event("", shape=topic), reason="topic_not_used")]
        if reader is _deleted and not source.proves(topic):
            # Deleted products, orders and coupons have the same body, and the topic is not signed.
            return [NothingToDo(event=delivery.event(delivery.source_id(), shape="deleted"), reason="topic_not_proven")]
        return [reader(delivery)]


@dataclass(frozen=True, slots=True)
class _WooCommerceDelivery:
    """An authentic delivery: the signed body, and what the unsigned headers report about it."""

    topic: str
    body: Mapping[str, Any]
    raw: bytes
    site: str
    sites: tuple[str, ...]
    roles: Any

    def event(self, entity_id: str, *, shape: str, time: str = "") -> Event:
        """Return the event under the identity of its body; topics with one shape of body share it."""
        return Event(source=PLATFORM, topic=self.topic, id=body_digest(shape, self.raw), entity_id=entity_id, time=time)

    def source_id(self) -> str:
        """Return the customer's id with the site: each site counts from 1."""
        return text_id(f"{self.site}:{text_id(self.body.get('id'))}")

    def expect(self, expected: bool) -> None:
        """Raise Untranslatable('topic_mismatch') when this is another topic's body."""
        if not expected:
            raise Untranslatable("topic_mismatch", f"the body is not that of {self.topic}")

    def same_site(self) -> None:
        """Raise NotAuthentic when the signed body links to another of the sites than the header names."""
        links = member(self.body, "_links", "self")
        href = member(links[0], "href") if isinstance(links, list) and links else None
        if not isinstance(href, str):
            return
        link = f"{site_of(href)}/"
        linked = max((site for site in self.sites if link.startswith(f"{site}/")), key=len, default=None)
        if linked != self.site:
            raise NotAuthentic("the body is of another site")


# -- customers ----------------------------------------------------------------------------------------------------

_FIELDS = {"email": "email", "first_name": "first_name", "last_name": "last_name"}
_BILLING = {"phone": "phone", "postcode": "postal_code"}


def _customer(delivery: _WooCommerceDelivery) -> Change:
    body = delivery.body
    if "code" in body and "message" in body and "id" not in body:
        return _error(delivery)
    delivery.expect("email" in body and ("role" in body or "billing" in body))
    delivery.same_site()
    source_id = delivery.source_id()
    time = moment(body.get("date_modified_gmt")) or moment(body.get("date_created_gmt")) or ""
    event = delivery.event(source_id, shape="customer", time=time)
    if not _wanted(body.get("role"), delivery.roles):
        return NothingToDo(event=event, reason="role_not_wanted")
    fields = take(body, _FIELDS)
    billing = body.get("billing")
    if isinstance(billing, dict):
        fields |= take(billing, _BILLING)
        fields["address"] = address_line(*(billing.get(line) for line in ("address_1", "address_2", "city", "state")))
        if country := text_or_none(billing.get("country")):
            fields["country"] = country
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=fields,
        payload=body,
        version=Version(PLATFORM, time, time, event.id) if time else None,
        created=delivery.topic == "customer.created",
        store=delivery.site,
    )


def _wanted(role: Any, roles: Any) -> bool:
    """Return whether people of this role are customers: the listed ones, or else all but the staff.

    A user without a role is a customer.
    """
    reported = text_or_none(role)
    return reported is None or (reported in roles if isinstance(roles, list) else reported not in STAFF)


def _error(delivery: _WooCommerceDelivery) -> Change:
    """Return the outcome of the REST API's error in place of the customer: deleted, or not visible to the hook's owner.

    The latter is parked, because the shop's operator must act and nothing else would show it.
    """
    status, code = member(delivery.body, "data", "status"), delivery.body["code"]
    if status in (404, 410) and code != "rest_no_route":
        return NothingToDo(event=delivery.event("", shape="error"), reason="deleted_meanwhile")
    raise Untranslatable("error_object", "WooCommerce sent an error instead of the customer: see the webhook's owner")


def _deleted(delivery: _WooCommerceDelivery) -> Change:
    """Return a deletion: the number alone. WordPress never reuses numbers, so the tombstone needs no version."""
    delivery.expect(delivery.body.keys() == {"id"})
    source_id = delivery.source_id()
    event = delivery.event(source_id, shape="deleted")
    return CustomerRetired(event=event, source_id=source_id, reason="deleted", store=delivery.site)


# -- orders -------------------------------------------------------------------------------------------------------


def _unused(delivery: _WooCommerceDelivery) -> Change:
    return NothingToDo(event=delivery.event("", shape=delivery.topic), reason="topic_not_used")


_READERS: dict[str, Callable[[_WooCommerceDelivery], Change]] = {
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.deleted": _deleted,
    "order.created": _unused,
}

SOURCE = WooCommerce()
