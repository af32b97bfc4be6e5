"""Shopify's webhook subscriptions of a shop, by the GraphQL Admin API.

Sources: shopify.dev GraphQL Admin API, "webhookSubscriptions", "webhookSubscriptionCreate", "WebhookSubscriptionInput",
"currentAppInstallation"; "Webhooks: troubleshooting" (after eight failures in a row a subscription is deleted, so that
it is missing and never disabled).

The list has the app's own subscriptions of the shop, and not those of its configuration file. They are signed with the
app's client secret. The same topic at the same address is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import UpstreamUnavailable, VendorRejected
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.parsing import member
from loyalty_relay.sources.shopify.listing import API_VERSION, raise_for_errors
from loyalty_relay.sources.subscriptions import (
    BY_EMAIL,
    BY_SMS,
    BY_WHATSAPP,
    CUSTOMERS,
    MAPPED,
    SALES,
    STORES,
    TAGS,
    Subscribing,
    Subscription,
    SubscriptionChange,
    SubscriptionPage,
    accepted,
    items,
)

SIZE = 100
LIST = """query($size: Int!, $after: String, $first: Boolean!) {
  currentAppInstallation @include(if: $first) { accessScopes { handle } }
  webhookSubscriptions(first: $size, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id topic uri }
  }
}"""
_MADE = "userErrors { field message }"
CREATE = f"""mutation($topic: WebhookSubscriptionTopic!, $subscription: WebhookSubscriptionInput!) {{
  made: webhookSubscriptionCreate(topic: $topic, webhookSubscription: $subscription) {{ {_MADE} }}
}}"""
UPDATE = f"""mutation($id: ID!, $subscription: WebhookSubscriptionInput!) {{
  made: webhookSubscriptionUpdate(id: $id, webhookSubscription: $subscription) {{ {_MADE} }}
}}"""
DELETE = f"""mutation($id: ID!) {{
  made: webhookSubscriptionDelete(id: $id) {{ {_MADE} }}
}}"""
_ALREADY = {"create": "already been taken", "remove": "does not exist"}
"""What Shopify's messages hold where a subscription is as wanted already."""


class ShopifySubscriptions(Subscribing):
    """One subscription for each topic and shop."""

    purposes: ClassVar[Mapping[str, str]] = {
        "customers/create": CUSTOMERS,
        "customers/update": CUSTOMERS,
        "customers/delete": CUSTOMERS,
        "customers/merge": CUSTOMERS,
        "customers/enable": MAPPED,
        "customers/disable": MAPPED,
        "customers/purchasing_summary": MAPPED,
        "customers_email_marketing_consent/update": BY_EMAIL,
        "customers_marketing_consent/update": BY_SMS,
        "customers_whats_app_marketing_consent/update": BY_WHATSAPP,
        "customer.tags_added": TAGS,
        "customer.tags_removed": TAGS,
        "locations/create": STORES,
        "locations/update": STORES,
        "locations/activate": STORES,
        "shop/update": STORES,
        "orders/create": SALES,
        "orders/updated": SALES,
        "orders/cancelled": SALES,
        "refunds/create": SALES,
    }
    scopes: ClassVar[Mapping[str, str]] = {"": "read_customers", STORES: "read_locations", SALES: "read_orders"}

    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the query of a page; the first one also reads the scopes of the token."""
        variables = {"size": SIZE, "after": cursor or None, "first": not cursor}
        return _query(LIST, variables, store, source)

    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return the subscriptions of a response; those that deliver to other than URLs are among them."""
        raise_for_errors(body)
        found = member(body, "data", "webhookSubscriptions")
        scopes = member(body, "data", "currentAppInstallation", "accessScopes")
        granted = _granted(scopes) if isinstance(scopes, list) else None
        more = member(found, "pageInfo", "hasNextPage") is True
        return SubscriptionPage(
            subscriptions=tuple(
                Subscription(
                    store=store,
                    id=str(node.get("id", "")),
                    topics=(_topic(str(node.get("topic", ""))),),
                    url=str(node.get("uri") or ""),
                )
                for node in items(status, member(found, "nodes"))
                if node.get("uri")
            ),
            cursor=str(member(found, "pageInfo", "endCursor") or "") if more else "",
            granted=granted,
        )

    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the mutation of a change."""
        wanted = {"uri": change.url, "format": "JSON"}
        if change.subscription is None:
            variables: dict[str, Any] = {"topic": _constant(change.topics[0]), "subscription": wanted}
            return _query(CREATE, variables, change.store, source)
        if not change.topics:
            return _query(DELETE, {"id": change.subscription.id}, change.store, source)
        return _query(UPDATE, {"id": change.subscription.id, "subscription": wanted}, change.store, source)

    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return where the response reports no error. The errors of a mutation are within a 200."""
        raise_for_errors(body)
        accepted(status)
        errors = member(body, "data", "made", "userErrors")
        if not isinstance(errors, list):
            raise UpstreamUnavailable("Shopify's answer is not of the documented shape")
        already = _ALREADY.get(change.action)
        if any(not already or already not in str(member(error, "message")) for error in errors):
            raise VendorRejected("Shopify refuses the subscription: see its topic, its address and the token's scopes")


def _query(query: str, variables: Mapping[str, Any], store: str, source: Source) -> Fetch:
    return Fetch(
        path=f"/admin/api/{API_VERSION}/graphql.json",
        headers={"x-shopify-access-token": needed_token(source, store)},
        default_host=f"https://{store}",
        json={"query": query, "variables": variables},
    )


def _granted(scopes: list[Any]) -> frozenset[str]:
    """Return the scopes of a token; whoever may write may read."""
    handles = {str(scope.get("handle")) for scope in scopes if isinstance(scope, dict)}
    return frozenset(handles | {handle.replace("write_", "read_", 1) for handle in handles})


def _constant(topic: str) -> str:
    """Return a topic as GraphQL spells it."""
    return topic.upper().replace("/", "_").replace(".", "_")


_TOPICS = {_constant(topic): topic for topic in ShopifySubscriptions.purposes}


def _topic(constant: str) -> str:
    return _TOPICS.get(constant, constant.lower())


SUBSCRIPTIONS = ShopifySubscriptions()
