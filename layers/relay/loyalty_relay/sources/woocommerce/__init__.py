"""WooCommerce: a shop's own WordPress sends its customers and orders whole, once, and never again.

Sources: woocommerce.com "Webhooks"; the WooCommerce REST API docs "Webhooks", "Customers" and "Orders"; the plugin's
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

An order's ``total`` is what it was sold for, tax included, whether or not the shop's prices include it; refunds are
listed beside it, by id, with nothing but a negative total. Lines, shipping and fees are without tax.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event, Version
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.model.money import ZERO, share
from loyalty_relay.model.orders import Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.base import (
    Buyer,
    Change,
    CustomerChanged,
    CustomerRetired,
    ListingSource,
    NothingToDo,
    OrderChanged,
    Reply,
    Request,
    Topic,
    Verdict,
    objects,
)
from loyalty_relay.sources.parsing import (
    address_line,
    amount,
    body_digest,
    currency,
    json_object,
    member,
    moment,
    short,
    take,
    text_id,
    text_or_none,
)
from loyalty_relay.sources.signatures import base64_text, hmac_sha256, matching

PLATFORM = "woocommerce"
ROLES = "roles"
GIFT_CARDS = "gift_card_skus"
STAFF = frozenset({"administrator", "editor", "author", "contributor", "shop_manager"})
"""WordPress's and WooCommerce's own roles of people who work at the shop."""

OTHER_DELETIONS = ("order.deleted", "product.deleted", "coupon.deleted")
"""Topics whose bodies are a number alone, as that of ``customer.deleted`` is."""

TOPICS = (
    Topic(name="customer.created", becomes="register", fixture="customer-created"),
    Topic(name="customer.created", becomes="ignored", fixture="customer-created-staff", note="see the option roles"),
    Topic(name="customer.updated", becomes="update", fixture="customer-updated", note="registers an unknown customer"),
    Topic(name="customer.updated", becomes="ignored", fixture="customer-updated-gone", note="deleted meanwhile"),
    Topic(name="customer.deleted", becomes="retire", fixture="customer-deleted"),
    Topic(name="order.created", becomes="transaction", fixture="order-created", note="a guest"),
    Topic(name="order.created", becomes="transaction", fixture="order-created-cash", note="paid on delivery: not yet"),
    Topic(
        name="order.updated", becomes="transaction", fixture="order-updated", note="paid, with coupon, fee, shipping"
    ),
    Topic(name="order.updated", becomes="transaction", fixture="order-updated-tax-inclusive", note="gift card bought"),
    Topic(name="order.updated", becomes="transaction", fixture="order-updated-refunded", note="two refunds"),
    Topic(name="order.updated", becomes="transaction", fixture="order-updated-all-refunded"),
    Topic(name="order.updated", becomes="transaction", fixture="order-updated-cancelled", note="nothing given back"),
    Topic(name="order.updated", becomes="ignored", fixture="order-updated-gone", note="deleted meanwhile"),
    Topic(name="order.restored", becomes="transaction", fixture="order-restored"),
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


class WooCommerce(ListingSource):
    """HMAC-SHA256 over the raw body under the webhook's secret, in base64. No time is signed."""

    platform = PLATFORM
    topics = TOPICS
    runs_at_shops = True
    listing_scopes = ("a consumer key with the right to read",)
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        ROLES: {
            "type": "array",
            "items": {"type": "string"},
            "description": "The WordPress roles that are customers; default: every role but those of the staff",
        },
        GIFT_CARDS: {
            "type": "array",
            "items": {"type": "string"},
            "description": "The SKUs of products that are gift cards; WooCommerce itself has none",
        },
    }

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return sites that are no addresses, and roles that are no names."""
        if not source.stores:
            yield "stores", "needs at least one site, by its address"
        for index, store in enumerate(source.stores):
            if not re.fullmatch(r"[^\s/?#@]+(?:/[^\s?#]*)?", site_of(store)):
                yield f"stores.{index}", "must be the site's address such as https://shop.example.com"
        for name, what in ((ROLES, "WordPress roles"), (GIFT_CARDS, "SKUs")):
            given = source.options.get(name, [])
            if not isinstance(given, list) or not all(isinstance(text, str) and text for text in given):
                yield f"options.{name}", f"must be a list of {what}"
        for index, secret in enumerate(source.secrets):
            if secret.signs("customer.deleted") and any(map(secret.signs, OTHER_DELETIONS)):
                yield f"secrets.{index}.topics", "must hold no other deletions beside customer.deleted: all look alike"

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
            gift_cards=frozenset(source.options.get(GIFT_CARDS, ())),
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
    gift_cards: frozenset[str]

    def event(self, entity_id: str, *, shape: str, time: str = "") -> Event:
        """Return the event under the identity of its body; topics with one shape of body share it."""
        return Event(source=PLATFORM, topic=self.topic, id=body_digest(shape, self.raw), entity_id=entity_id, time=time)

    def source_id(self, name: str = "id") -> str:
        """Return an id with the site: each site counts from 1."""
        return text_id(f"{self.site}:{text_id(self.body.get(name))}")

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
    if _is_error(body):
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


def _is_error(body: Mapping[str, Any]) -> bool:
    return "code" in body and "message" in body and "id" not in body


def _error(delivery: _WooCommerceDelivery) -> Change:
    """Return the outcome of the REST API's error in place of the entity: deleted, or not visible to the hook's owner.

    The latter is parked, because the shop's operator must act and nothing else would show it.
    """
    status, code = member(delivery.body, "data", "status"), delivery.body["code"]
    if status in (404, 410) and code != "rest_no_route":
        return NothingToDo(event=delivery.event("", shape="error"), reason="deleted_meanwhile")
    raise Untranslatable("error_object", "WooCommerce sent an error instead of the entity: see the webhook's owner")


def _deleted(delivery: _WooCommerceDelivery) -> Change:
    """Return a deletion: the number alone. WordPress never reuses numbers, so the tombstone needs no version."""
    delivery.expect(delivery.body.keys() == {"id"})
    source_id = delivery.source_id()
    event = delivery.event(source_id, shape="deleted")
    return CustomerRetired(event=event, source_id=source_id, reason="deleted", store=delivery.site)


# -- orders -------------------------------------------------------------------------------------------------------


_ORDER = {"status", "total", "total_tax", "currency", "line_items", "refunds", "customer_id"}
"""Members that every order has; a subscription's body, which looks alike, has a billing period besides."""


def _order(delivery: _WooCommerceDelivery) -> Change:
    """Return the order as a whole; which of its topics brought it makes no difference."""
    body = delivery.body
    if _is_error(body):
        return _error(delivery)
    delivery.expect(body.keys() >= _ORDER and isinstance(body["refunds"], list) and "billing_period" not in body)
    delivery.same_site()
    order_id = delivery.source_id()
    time = moment(body.get("date_modified_gmt")) or moment(body.get("date_created_gmt")) or ""
    event = delivery.event(order_id, shape="order", time=time)
    refunds = _refunds(body)
    amounts = _amounts(body, delivery.gift_cards)
    sold_at = moment(body.get("date_created_gmt"))
    if sold_at is None:
        raise Untranslatable("bad_time", "the order has no time")
    paid = _paid(body)
    method = short(body.get("payment_method"))
    return OrderChanged(
        event=event,
        order=Order(
            id=order_id,
            currency=amounts.currency,
            sale=Sale(
                amounts=amounts,
                sold_at=sold_at,
                captured=None if paid else ZERO,
                paid=paid,
                fulfilled=body["status"] == "completed",
                cancelled=body["status"] in ("cancelled", "failed"),
                number=short(body.get("number")),
                channel=short(body.get("created_via")),
                location=delivery.site,
                lines=tuple(_line(line, amounts.currency, delivery.gift_cards) for line in objects(body["line_items"])),
                payments=(Payment(mode=method, amount=amounts.total),) if method and paid else (),
            ),
            refunds=refunds,
            all_refunds=True,
        ),
        buyer=_buyer(delivery),
        payload=body,
        # Within one second, in which times do not differ, more refunds are newer.
        version=Version(PLATFORM, time, f"{time}/{len(refunds):04}", event.id) if time else None,
        store=delivery.site,
    )


def _paid(body: Mapping[str, Any]) -> bool:
    """Return whether the money is in. Cash on delivery is processed before anybody has paid."""
    if moment(body.get("date_paid_gmt")) is not None:
        return True
    status = body["status"]
    return status == "completed" or (status == "processing" and body.get("payment_method") != "cod")


def _amounts(body: Mapping[str, Any], gift_cards: frozenset[str]) -> Amounts:
    """Return the parts of the total. A negative fee is a discount, and stays with the goods."""
    fees = [fee for fee in objects(body.get("fee_lines")) if amount(fee, "total") > 0]
    cards = [line for line in objects(body["line_items"]) if short(line.get("sku")) in gift_cards]
    return Amounts.of_total(
        currency(body["currency"]),
        amount(body, "total"),
        amount(body, "total_tax"),
        gift_cards=_sum(cards, "total"),
        gift_cards_tax=_sum(cards, "total_tax"),
        shipping=amount(body, "shipping_total"),
        shipping_tax=amount(body, "shipping_tax"),
        fees=_sum(fees, "total"),
        fees_tax=_sum(fees, "total_tax"),
    )


def _refunds(body: Mapping[str, Any]) -> tuple[Refund, ...]:
    """Return all refunds of the order; their totals are negative texts."""
    return tuple(
        Refund(id=text_id(refund.get("id")), amount=abs(amount(refund, "total"))) for refund in objects(body["refunds"])
    )


def _line(line: Mapping[str, Any], unit: str, gift_cards: frozenset[str]) -> Line:
    """Return a line; its rate is what one costs before discounts, rounded."""
    quantity, subtotal, total = (amount(line, name) for name in ("quantity", "subtotal", "total"))
    return Line(
        id=short(line.get("id")),
        item_code=short(line.get("sku")) or short(line.get("variation_id") or line.get("product_id")),
        description=short(line.get("name")),
        quantity=quantity,
        rate=share(subtotal, Decimal(1), quantity, unit) if quantity else subtotal,
        discount=subtotal - total,
        amount=total,
        tax=amount(line, "total_tax"),
        kind="gift_card" if short(line.get("sku")) in gift_cards else "product",
    )


def _buyer(delivery: _WooCommerceDelivery) -> Buyer:
    """Return the shop's customer, or a guest. What is in ``billing`` was typed in for this order."""
    billing = delivery.body.get("billing")
    fields = take(billing, {**_FIELDS, "phone": "phone"}) if isinstance(billing, dict) else {}
    if country := text_or_none(member(billing, "country")):
        fields["country"] = country
    return Buyer(
        source_id=None if delivery.body["customer_id"] in (0, "0", "", None) else delivery.source_id("customer_id"),
        fields={name: value for name, value in fields.items() if value is not None},
        verified={"email": False, "phone": False},
    )


def _order_deleted(delivery: _WooCommerceDelivery) -> Change:
    """Ignore that an order was moved to the trash: that gives no money back."""
    delivery.expect(delivery.body.keys() == {"id"})
    return NothingToDo(event=delivery.event(delivery.source_id(), shape="deleted"), reason="order_deleted")


def _sum(entries: Iterable[Mapping[str, Any]], name: str) -> Decimal:
    return sum((amount(entry, name) for entry in entries), ZERO)


def listed_customer(row: dict[str, Any], site: str, source: Source) -> Change:
    """Return a customer of the REST API, whose shape is that of a webhook's body.

    Its links are left out: they prove where a signed body is from, and this one was read from there.
    """
    delivery = _WooCommerceDelivery(
        topic="customer.updated",
        body={name: value for name, value in row.items() if name != "_links"},
        raw=b"",
        site=site,
        sites=(),
        roles=source.options.get(ROLES),
        gift_cards=frozenset(),
    )
    return _customer(delivery)


_READERS: dict[str, Callable[[_WooCommerceDelivery], Change]] = {
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.deleted": _deleted,
    "order.created": _order,
    "order.updated": _order,
    "order.restored": _order,
    "order.deleted": _order_deleted,
}

SOURCE = WooCommerce()
