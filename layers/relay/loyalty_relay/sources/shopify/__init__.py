"""Shopify: webhooks in both generations of payloads, and the newer Events family.

Sources: shopify.dev "Webhooks: delivery structure", "Verify deliveries", "Ignore duplicates", "Privacy law compliance",
"Events: delivery structure", "Events: Customer"; the webhook reference for the bodies.

What the signature covers decides what is believed. It covers the body alone, so that
- the topic header is held against the body's own shape: a signed update cannot be replayed as a delete;
- a copy is recognised by its body. A new ``X-Shopify-Webhook-Id`` makes no new event;
- order follows times in the body. The trigger time in the headers is at most the time of arrival, and orders only what
  is final and has no time of its own (deletions, merges, redactions);
- the shop header is held against the connection's stores, and against the body where it names the shop. One app has one
  secret for all of its shops, so use an app of its own for each shop whose owners do not trust each other.

Numeric ids may have been rounded on the way by a sender that computes with doubles; the GraphQL id beside them is
right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import (
    Change,
    ListingSource,
    NothingToDo,
    Request,
    Topic,
    Verdict,
)
from loyalty_relay.sources.parsing import json_object, moment
from loyalty_relay.sources.shopify import bodies, events, orders
from loyalty_relay.sources.shopify.delivery import PLATFORM, ShopifyDelivery
from loyalty_relay.sources.signatures import base64_text, hmac_sha256, matching

TOPICS = (
    Topic(name="customers/create", becomes="register", fixture="customers-create"),
    Topic(
        name="customers/create", becomes="register", fixture="customers-create-2024-10", note="with tags and consents"
    ),
    Topic(name="customers/update", becomes="update", fixture="customers-update", note="registers an unknown customer"),
    Topic(name="customers/update", becomes="update", fixture="customers-update-2024-10", note="with tags and consents"),
    Topic(name="customers/enable", becomes="update", fixture="customers-enable", note="state stays in the payload"),
    Topic(name="customers/disable", becomes="update", fixture="customers-disable", note="state stays in the payload"),
    Topic(name="customers/delete", becomes="retire", fixture="customers-delete"),
    Topic(name="customers/merge", becomes="retire", fixture="customers-merge", note="into the kept customer"),
    Topic(name="customers/merge", becomes="ignored", fixture="customers-merge-failed", note="a merge that failed"),
    Topic(
        name="customers/purchasing_summary", becomes="update", fixture="customers-purchasing-summary", note="if mapped"
    ),
    Topic(name="customers/redact", becomes="erase", fixture="customers-redact"),
    Topic(
        name="customers/data_request", becomes="ignored", fixture="customers-data-request", note="an operator must act"
    ),
    Topic(name="customers_email_marketing_consent/update", becomes="consent", fixture="email-consent"),
    Topic(name="customers_marketing_consent/update", becomes="consent", fixture="sms-consent"),
    Topic(name="customers_whats_app_marketing_consent/update", becomes="consent", fixture="whats-app-consent"),
    Topic(name="customer.tags_added", becomes="tags", fixture="customer-tags-added"),
    Topic(name="customer.tags_removed", becomes="tags", fixture="customer-tags-removed"),
    Topic(name="customer.joined_segment", becomes="ignored", fixture="customer-joined-segment", note="has no time"),
    Topic(name="customer.left_segment", becomes="ignored", fixture="customer-left-segment", note="has no time"),
    Topic(
        name="orders/create", becomes="transaction", fixture="orders-create", note="authorized, nothing captured yet"
    ),
    Topic(name="orders/create", becomes="transaction", fixture="orders-create-test", note="a test order"),
    Topic(name="orders/paid", becomes="transaction", fixture="orders-paid", note="tax beside the prices"),
    Topic(
        name="orders/paid",
        becomes="transaction",
        fixture="orders-paid-tax-inclusive",
        note="gift card bought, tip, discounts",
    ),
    Topic(name="orders/paid", becomes="transaction", fixture="orders-paid-pos", note="at a till, with its location"),
    Topic(
        name="orders/paid", becomes="transaction", fixture="orders-paid-gift-card", note="a guest who pays by gift card"
    ),
    Topic(name="orders/paid", becomes="transaction", fixture="orders-paid-currencies", note="in two currencies"),
    Topic(
        name="orders/updated", becomes="transaction", fixture="orders-updated", note="refunded in part, with shipping"
    ),
    Topic(
        name="orders/updated", becomes="transaction", fixture="orders-updated-edited", note="a line added, not paid yet"
    ),
    Topic(
        name="orders/updated",
        becomes="transaction",
        fixture="orders-updated-exchange",
        note="a line back, another one taken",
    ),
    Topic(name="orders/updated", becomes="transaction", fixture="orders-updated-2019", note="the older shape"),
    Topic(name="orders/fulfilled", becomes="transaction", fixture="orders-fulfilled"),
    Topic(name="orders/cancelled", becomes="transaction", fixture="orders-cancelled", note="and refunded"),
    Topic(name="orders/cancelled", becomes="transaction", fixture="orders-cancelled-unpaid", note="never paid"),
    Topic(name="orders/edited", becomes="ignored", fixture="orders-edited", note="orders/updated follows"),
    Topic(name="refunds/create", becomes="transaction", fixture="refunds-create", note="by line, with shipping"),
    Topic(
        name="refunds/create", becomes="transaction", fixture="refunds-create-2023", note="shipping as an adjustment"
    ),
    Topic(name="refunds/create", becomes="transaction", fixture="refunds-create-amount", note="an amount alone"),
    Topic(name="refunds/create", becomes="transaction", fixture="refunds-create-shipping", note="shipping alone"),
    Topic(
        name="refunds/create", becomes="transaction", fixture="refunds-create-pending", note="nothing is paid back yet"
    ),
    Topic(
        name="refunds/create", becomes="transaction", fixture="refunds-create-removed", note="a removed line; no money"
    ),
    Topic(
        name="refunds/create",
        becomes="transaction",
        fixture="refunds-create-currencies",
        note="in two currencies, as store credit",
    ),
    Topic(name="locations/create", becomes="link-store", fixture="locations-create"),
    Topic(name="locations/update", becomes="link-store", fixture="locations-update"),
    Topic(name="locations/activate", becomes="link-store", fixture="locations-activate"),
    Topic(name="locations/deactivate", becomes="ignored", fixture="locations-deactivate", note="links are kept"),
    Topic(name="locations/delete", becomes="ignored", fixture="locations-delete", note="links are kept"),
    Topic(name="shop/update", becomes="link-store", fixture="shop-update"),
    Topic(name="shop/redact", becomes="erase", fixture="shop-redact"),
    Topic(name="app/uninstalled", becomes="ignored", fixture="app-uninstalled", note="links are kept"),
    Topic(name="app/scopes_update", becomes="ignored", fixture="app-scopes-update"),
    Topic(name="Customer/create", becomes="register", fixture="events-customer-create", note="Events family"),
    Topic(name="Customer/update", becomes="update", fixture="events-customer-update", note="Events family"),
    Topic(name="Customer/delete", becomes="retire", fixture="events-customer-delete", note="Events family"),
)

SHOP_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com", re.IGNORECASE)


class Shopify(ListingSource):
    """HMAC-SHA256 over the raw body under the app's client secret, in base64. No time is signed."""

    platform = PLATFORM
    topics = TOPICS
    api_domains = ("myshopify.com",)
    lists_changed = True
    listing_scopes = ("read_customers",)
    signs_event_time = False
    by_hand = (
        "An app that is listed in the App Store needs the privacy topics, which no API registers: in the app's "
        "configuration (compliance_topics in shopify.app.toml, or the compliance webhooks of the dashboard) enter "
        "{url} for customers/redact, customers/data_request and shop/redact. They are signed with the app's client "
        "secret.",
        "Subscriptions in the app's configuration file serve all of its shops, and the API does not list them: where "
        "every topic is there, set source.subscriptions of the connection to unmanaged.",
    )

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return shops that are not named by their permanent ``myshopify.com`` name."""
        if not source.stores:
            yield "stores", "needs at least one shop, by its NAME.myshopify.com"
        for index, store in enumerate(source.stores):
            if not SHOP_DOMAIN.fullmatch(store):
                yield f"stores.{index}", "must be the shop's NAME.myshopify.com, not its own domain"

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Accept any live secret: after a rotation Shopify may take an hour until it uses the new one."""
        given = request.header(f"{_family(request)}shopify-hmac-sha256")
        return matching(given, (base64_text(hmac_sha256(secret, request.body)) for secret in secrets))

    def store(self, request: Request, source: Source) -> str | None:
        """Return the shop domain header, which Shopify always sends."""
        return request.header(f"{_family(request)}shopify-shop-domain") or ""

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the one change of a delivery."""
        family = _family(request)
        topic = request.header(f"{family}shopify-topic")
        if topic is None:
            raise Untranslatable("no_topic")
        if not family:
            topic = f"{topic}/{request.header('shopify-action') or ''}"
        delivery = ShopifyDelivery(
            topic=topic,
            body=json_object(request.body),
            raw=request.body,
            time=moment(request.header(f"{family}shopify-triggered-at")) or "",
            shop=self.store(request, source) or "",
        )
        reader = _READERS.get(topic)
        if reader is None:
            return [NothingToDo(event=delivery.event(""), reason="topic_not_used")]
        return [reader(delivery)]


def _family(request: Request) -> str:
    """Return the prefix of the headers to use: Events headers win where both are present, as in Shopify's library."""
    return "" if request.header("shopify-hmac-sha256") else "x-"


_READERS = bodies.READERS | events.READERS | orders.READERS

SOURCE = Shopify()
