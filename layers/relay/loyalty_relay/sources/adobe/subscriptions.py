"""Adobe Commerce's subscriptions to events, by the REST API of the shop itself.

Source: Adobe Commerce Extensibility, "REST endpoints for eventing": the list has what is enabled; subscribing again
merges the fields. They lead to the shop's event provider. Where that delivers to is a registration in Adobe's Developer
Console, which a person makes; so no subscription is removed here: others may receive its events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from loyalty_relay.connections.model import Source
from loyalty_relay.sources.adobe.listing import at_shop
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.subscriptions import (
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

PATH = "/rest/all/V1/eventing"
EVERY_FIELD = "*"
_CUSTOMER = (
    "id",
    "email",
    "firstname",
    "lastname",
    "dob",
    "gender",
    "confirmation",
    "created_at",
    "updated_at",
    "store_id",
    "default_billing",
    "default_shipping",
    "addresses[].id",
    "addresses[].telephone",
    "addresses[].street",
    "addresses[].city",
    "addresses[].region",
    "addresses[].postcode",
    "addresses[].country_id",
    "addresses[].default_billing",
    "addresses[].default_shipping",
    "extension_attributes",
)
_ADDRESS = ("id", "customer_id", "telephone", "street", "city", "region", "postcode", "country_id", "default_billing")
_AMOUNTS = (
    "grand_total",
    "tax_amount",
    "shipping_amount",
    "shipping_tax_amount",
    "shipping_discount_amount",
    "total_paid",
    "total_refunded",
    *(
        f"{tender}_{what}"
        for tender in ("gift_cards", "customer_balance")
        for what in ("amount", "invoiced", "refunded")
    ),
)
_WRAPPING = tuple(
    f"gw_{part}{base}{what}"
    for base in ("", "base_")
    for part in ("", "items_", "card_")
    for what in ("price", "tax_amount")
)
_ORDER = (
    "entity_id",
    "increment_id",
    "store_id",
    "state",
    "created_at",
    "updated_at",
    "order_currency_code",
    "base_currency_code",
    *_AMOUNTS,
    *(f"base_{amount}" for amount in _AMOUNTS),
    *_WRAPPING,
    "shipping_discount_tax_compensation_amount",
    "base_shipping_discount_tax_compensation_amnt",
    "customer_id",
    "customer_is_guest",
    "customer_email",
    "customer_firstname",
    "customer_lastname",
    "items",
)
FIELDS: Mapping[str, tuple[str, ...]] = {
    "observer.customer_save_commit_after": _CUSTOMER,
    "observer.customer_delete_commit_after": ("id", "entity_id", "store_id"),
    "observer.customer_address_save_commit_after": _ADDRESS,
    "observer.store_save_commit_after": ("store_id", "code", "name", "is_active"),
    "observer.sales_order_save_commit_after": _ORDER,
}
"""The fields of each event that are read; none of them authenticates anybody."""


class AdobeSubscriptions(Subscribing):
    """One subscription for each event. The shop has one list, whatever its store views."""

    purposes: ClassVar[Mapping[str, str]] = {
        "observer.customer_save_commit_after": CUSTOMERS,
        "observer.customer_delete_commit_after": CUSTOMERS,
        "observer.customer_address_save_commit_after": CUSTOMERS,
        "observer.store_save_commit_after": STORES,
        "observer.sales_order_save_commit_after": SALES,
    }
    scopes: ClassVar[Mapping[str, str]] = {
        "": "an integration or administrator with Magento_AdobeCommerceEventsClient::event_subscriptions and "
        "::event_subscribe"
    }
    removable = False

    def shops(self, source: Source) -> tuple[str, ...]:
        """Return one empty text."""
        return ("",)

    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the request of the list, which has one page."""
        return at_shop(f"{PATH}/getEventSubscriptions", store, source)

    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return the subscriptions of a response. One with rules leaves events out, and counts as none."""
        return SubscriptionPage(
            subscriptions=tuple(
                Subscription(
                    store=store,
                    id=name,
                    topics=(name,),
                    url="",
                    lacks=_lacking(name, row.get("fields")),
                )
                for row in items(status, body)
                if (name := str(row.get("name", "")).removeprefix("com.adobe.commerce.")) and not row.get("rules")
            )
        )

    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the request of a change."""
        topic = change.topics[0]
        fields = [{"name": field} for field in FIELDS.get(topic, ())]
        if change.subscription is None:
            return at_shop(
                f"{PATH}/eventSubscribe", change.store, source, json={"event": {"name": topic, "fields": fields}}
            )
        path = f"{PATH}/eventSubscribe/{quote(topic, safe='')}"
        return at_shop(path, change.store, source, json={"event": {"name": topic, "fields": fields}}, method="PUT")

    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return for a success."""
        accepted(status)


def _lacking(topic: str, fields: Any) -> tuple[str, ...]:
    subscribed = {str(field.get("name")) for field in fields or () if isinstance(field, dict)}
    whole = {name.partition("[")[0] for name in subscribed if "[" not in name}
    return tuple(
        name
        for name in FIELDS.get(topic, ())
        if EVERY_FIELD not in subscribed and name not in subscribed and name.partition("[")[0] not in whole
    )


SUBSCRIPTIONS = AdobeSubscriptions()
