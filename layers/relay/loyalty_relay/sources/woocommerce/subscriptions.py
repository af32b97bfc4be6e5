"""WooCommerce's webhooks, by the REST API of the shop itself.

Sources: WooCommerce REST API docs, "Webhooks" (``status`` active, paused or disabled; the secret is write-only);
the plugin's ``class-wc-webhook.php`` (disabled after failures in a row, until somebody makes it active again).

A webhook is signed with the secret that it is given here. The consumer key needs the right to write, and its user's
rights are those with which the webhook reads customers and orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.listing import after, number_of, whole
from loyalty_relay.sources.subscriptions import (
    CUSTOMERS,
    PROVEN,
    SALES,
    Subscribing,
    Subscription,
    SubscriptionChange,
    SubscriptionPage,
    accepted,
    items,
)
from loyalty_relay.sources.woocommerce.listing import at_site

SIZE = 100


class WooCommerceSubscriptions(Subscribing):
    """One webhook for each topic and site."""

    purposes: ClassVar[Mapping[str, str]] = {
        "customer.created": CUSTOMERS,
        "customer.updated": CUSTOMERS,
        "customer.deleted": PROVEN,
        "order.created": SALES,
        "order.updated": SALES,
        "order.restored": SALES,
    }
    scopes: ClassVar[Mapping[str, str]] = {
        "": "a consumer key with the right to read and write, of a user who manages the shop"
    }

    credentials = ("consumer_key", "consumer_secret")
    takes_secret = True

    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the request of a page, by id."""
        query = {"per_page": SIZE, "page": number_of(cursor), "orderby": "id", "order": "asc", "status": "all"}
        return at_site(f"webhooks?{urlencode(query)}", store, source)

    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return the webhooks of a response."""
        rows = items(status, body)
        return SubscriptionPage(
            subscriptions=tuple(
                Subscription(
                    store=store,
                    id=str(row.get("id", "")),
                    topics=(str(row.get("topic", "")),),
                    url=str(row.get("delivery_url", "")),
                    active=row.get("status") == "active",
                )
                for row in rows
            ),
            cursor=after(cursor, rows=len(rows), size=SIZE, total=whole(headers.get("x-wp-total"))),
        )

    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the request of a change."""
        wanted = {"delivery_url": change.url, "secret": change.secret, "status": "active"}
        if change.subscription is None:
            topic = change.topics[0]
            return at_site(
                "webhooks", change.store, source, json={"name": f"Loyalty Relay {topic}", "topic": topic, **wanted}
            )
        path = f"webhooks/{quote(change.subscription.id, safe='')}"
        if not change.topics:
            return at_site(f"{path}?force=true", change.store, source, method="DELETE")
        return at_site(path, change.store, source, json=wanted, method="PUT")

    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return for a success, and where what is to be removed is not there."""
        accepted(status, already=(404,) if change.action == "remove" else ())


SUBSCRIPTIONS = WooCommerceSubscriptions()
