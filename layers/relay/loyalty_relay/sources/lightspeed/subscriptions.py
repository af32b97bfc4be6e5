"""Lightspeed X-Series' webhooks of a retailer.

Source: x-series-api.lightspeedhq.com, "Webhooks": one type for each, ``active``; 409 where type and URL exist already.
The scope is ``webhooks``. What the OAuth application adds is signed with its client secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from loyalty_relay.connections.model import Source
from loyalty_relay.sources import lightspeed
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.parsing import member
from loyalty_relay.sources.subscriptions import (
    CUSTOMERS,
    SALES,
    Subscribing,
    Subscription,
    SubscriptionChange,
    SubscriptionPage,
    accepted,
    items,
)


class LightspeedSubscriptions(Subscribing):
    """One webhook for each type and retailer, with the type at the end of its URL."""

    purposes: ClassVar[Mapping[str, str]] = {"customer.update": CUSTOMERS, "sale.update": SALES}
    scopes: ClassVar[Mapping[str, str]] = {"": "webhooks, customers:read", SALES: "sales:read"}

    def address(self, url: str, topic: str) -> str:
        """Return the URL of a type, which the request itself does not name."""
        return f"{url}/{topic}"

    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the request of the list, which has one page."""
        return _request("", store, source)

    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return the webhooks of a response."""
        return SubscriptionPage(
            subscriptions=tuple(
                Subscription(
                    store=store,
                    id=str(row.get("id", "")),
                    topics=(str(row.get("type", "")),),
                    url=str(row.get("url", "")),
                    active=row.get("active") is True,
                )
                for row in items(status, member(body, "data"))
            )
        )

    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the request of a change."""
        if not change.topics and change.subscription:
            return _request(f"/{quote(change.subscription.id, safe='')}", change.store, source, method="DELETE")
        wanted = {"url": change.url, "active": True, "type": change.topics[0]}
        if change.subscription is None:
            return _request("", change.store, source, json=wanted)
        path = f"/{quote(change.subscription.id, safe='')}"
        return _request(path, change.store, source, json=wanted, method="PUT")

    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return for a success, for what exists already, and where what is to be removed is not there."""
        accepted(status, already={"create": (409,), "remove": (404,)}.get(change.action, ()))


def _request(
    path: str, store: str, source: Source, *, json: Mapping[str, Any] | None = None, method: str = ""
) -> Fetch:
    return Fetch(
        path=f"/api/2.0/webhooks{path}",
        headers={"authorization": f"Bearer {needed_token(source, store)}", "accept": "application/json"},
        default_host=f"https://{store}.retail.lightspeed.app",
        json=json,
        limit=lightspeed.LIMIT,
        method=method,
    )


SUBSCRIPTIONS = LightspeedSubscriptions()
