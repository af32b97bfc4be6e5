"""BigCommerce's webhooks of a store.

Sources: BigCommerce API reference, "Webhooks v3" (the list has the hooks of the token's own app or API account;
``is_active``); "Webhooks overview" (destinations at port 443; deactivated after 90 idle days and after the last retry;
ten hooks per store, app and scope).

Deliveries are signed with the client secret. A hook of a scope with ``*`` delivers all scopes below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.bigcommerce.resources import HOST, LIMIT
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.listing import after, number_of, whole
from loyalty_relay.sources.parsing import member
from loyalty_relay.sources.subscriptions import (
    BY_EMAIL,
    CUSTOMERS,
    SALES,
    STORES,
    Subscribing,
    Subscription,
    SubscriptionChange,
    SubscriptionPage,
    accepted,
    items,
)

SIZE = 250


class BigCommerceSubscriptions(Subscribing):
    """One hook for each scope and store."""

    purposes: ClassVar[Mapping[str, str]] = {
        "store/customer/created": CUSTOMERS,
        "store/customer/updated": CUSTOMERS,
        "store/customer/deleted": CUSTOMERS,
        "store/customer/address/created": CUSTOMERS,
        "store/customer/address/updated": CUSTOMERS,
        "store/customer/address/deleted": CUSTOMERS,
        "store/subscriber/created": BY_EMAIL,
        "store/subscriber/updated": BY_EMAIL,
        "store/subscriber/deleted": BY_EMAIL,
        "store/information/updated": STORES,
        "store/inventory/location/created": STORES,
        "store/inventory/location/updated": STORES,
        "store/order/created": SALES,
        "store/order/updated": SALES,
        "store/order/statusUpdated": SALES,
        "store/order/refund/created": SALES,
    }
    scopes: ClassVar[Mapping[str, str]] = {
        "": "Customers: read-only",
        STORES: "Information & settings: read-only; Store inventory: read-only",
        SALES: "Orders: read-only; Order transactions: read-only",
    }

    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the request of a page."""
        return _request(f"?{urlencode({'limit': SIZE, 'page': number_of(cursor)})}", store, source)

    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return the hooks of a response."""
        rows = items(status, member(body, "data"))
        total = whole(member(body, "meta", "pagination", "total"))
        return SubscriptionPage(
            subscriptions=tuple(
                Subscription(
                    store=store,
                    id=str(row.get("id", "")),
                    topics=(str(row.get("scope", "")),),
                    url=str(row.get("destination", "")),
                    active=row.get("is_active") is True,
                )
                for row in rows
            ),
            cursor=after(cursor, rows=len(rows), size=SIZE, total=total),
        )

    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the request of a change."""
        if not change.topics and change.subscription:
            return _request(f"/{quote(change.subscription.id, safe='')}", change.store, source, method="DELETE")
        wanted = {"scope": change.topics[0], "destination": change.url, "is_active": True}
        if change.subscription is None:
            return _request("", change.store, source, json=wanted)
        path = f"/{quote(change.subscription.id, safe='')}"
        return _request(path, change.store, source, json=wanted, method="PUT")

    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return for a success, and where what is to be removed is not there."""
        accepted(status, already=(404,) if change.action == "remove" else ())


def _request(
    path: str, store: str, source: Source, *, json: Mapping[str, Any] | None = None, method: str = ""
) -> Fetch:
    return Fetch(
        path=f"/stores/{quote(store, safe='')}/v3/hooks{path}",
        headers={"x-auth-token": needed_token(source, store), "accept": "application/json"},
        default_host=HOST,
        json=json,
        limit=LIMIT,
        method=method,
    )


SUBSCRIPTIONS = BigCommerceSubscriptions()
