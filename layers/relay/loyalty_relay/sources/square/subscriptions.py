"""Square's webhook subscriptions, which belong to the application and serve all of its sellers.

Sources: developer.squareup.com "Webhook Subscriptions API" (the application's own access token; sellers' are refused);
API reference, "List webhook subscriptions" (``include_disabled``), "Create webhook subscription", "Update webhook
subscription", "Retrieve webhook subscription" (its ``signature_key``).

Deliveries are signed with the subscription's own key, which Square makes. Each seller has to have granted the
permissions of the events; otherwise Square sends nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import CredentialsRefused, VendorRejected
from loyalty_relay.sources import square
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.hydrating import unreadable
from loyalty_relay.sources.parsing import member, text_or_none
from loyalty_relay.sources.subscriptions import (
    CUSTOMERS,
    MAPPED,
    SALES,
    STORES,
    Subscribing,
    Subscription,
    SubscriptionChange,
    SubscriptionPage,
    accepted,
    items,
)

SIZE = 100
NAME = "Loyalty Relay"
PATH = "/v2/webhooks/subscriptions"


class SquareSubscriptions(Subscribing):
    """One subscription for all events and sellers."""

    purposes: ClassVar[Mapping[str, str]] = {
        "customer.created": CUSTOMERS,
        "customer.updated": CUSTOMERS,
        "customer.deleted": CUSTOMERS,
        "customer.custom_attribute.visible.updated": MAPPED,
        "customer.custom_attribute.visible.deleted": MAPPED,
        "location.created": STORES,
        "location.updated": STORES,
        "payment.created": SALES,
        "payment.updated": SALES,
        "refund.created": SALES,
        "refund.updated": SALES,
        "order.updated": SALES,
    }
    scopes: ClassVar[Mapping[str, str]] = {
        "": "the application's own access token as application_token; of each seller CUSTOMERS_READ",
        STORES: "MERCHANT_PROFILE_READ",
        SALES: "ORDERS_READ, PAYMENTS_READ",
    }
    credentials = (square.APPLICATION_TOKEN, "access_token")
    together = True
    issues_keys = True

    def shops(self, source: Source) -> tuple[str, ...]:
        """Return one empty text: the list is the application's."""
        return ("",)

    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the request of a page, with what is disabled."""
        query = {"include_disabled": "true", "limit": str(SIZE)} | ({"cursor": cursor} if cursor else {})
        return _request(f"?{urlencode(query)}", source)

    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return the subscriptions of a response, which has no list where it has none."""
        rows = items(status, [] if status < 400 and body == {} else member(body, "subscriptions"))
        return SubscriptionPage(
            subscriptions=tuple(
                Subscription(
                    store=store,
                    id=str(row.get("id", "")),
                    topics=tuple(kind for kind in row.get("event_types") or () if isinstance(kind, str)),
                    url=str(row.get("notification_url", "")),
                    active=row.get("enabled") is True,
                )
                for row in rows
            ),
            cursor=text_or_none(member(body, "cursor")) or "",
        )

    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the request of a change."""
        wanted = {"event_types": list(change.topics), "notification_url": change.url}
        if change.subscription is None:
            new = {"name": NAME, "api_version": square.API_VERSION, **wanted}
            return _request("", source, json={"subscription": new})
        path = f"/{quote(change.subscription.id, safe='')}"
        if not change.topics:
            return _request(path, source, method="DELETE")
        return _request(path, source, json={"subscription": {"enabled": True, **wanted}}, method="PUT")

    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return for a success, and where what is to be removed is not there."""
        accepted(status, already=(404,) if change.action == "remove" else ())

    def key_request(self, subscription: Subscription, source: Source) -> Fetch:
        """Return the request for one subscription: lists leave the key out."""
        return _request(f"/{quote(subscription.id, safe='')}", source)

    def key(self, status: int, body: Any) -> str:
        """Return the signature key of a response. Raises VendorRejected, UpstreamUnavailable."""
        if status >= 400:
            raise VendorRejected("the platform does not show the subscription", code=str(status))
        found = text_or_none(member(body, "subscription", "signature_key"))
        if not found:
            raise unreadable()
        return found


def _request(path: str, source: Source, *, json: Mapping[str, Any] | None = None, method: str = "") -> Fetch:
    token = source.api_credentials.get(square.APPLICATION_TOKEN)
    if not token:
        raise CredentialsRefused(f"the connection's api_credentials hold no {square.APPLICATION_TOKEN}")
    return Fetch(
        path=f"{PATH}{path}",
        headers={"authorization": f"Bearer {token}", "square-version": square.API_VERSION},
        default_host=square.HOST,
        json=json,
        method=method,
    )


SUBSCRIPTIONS = SquareSubscriptions()
