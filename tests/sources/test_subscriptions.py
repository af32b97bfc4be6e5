"""Which subscriptions a connection needs, what counts as one, and the documented answers of each platform."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.connections.model import Connection, Source
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.model.errors import CredentialsRefused, UpstreamUnavailable, VendorRejected
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Throttled
from loyalty_relay.sources.platforms import platforms
from loyalty_relay.sources.subscriptions import (
    Condition,
    Subscribing,
    Subscription,
    SubscriptionChange,
    compare,
    moved,
    planned,
    same_url,
    subscribing,
)
from loyalty_relay.translation.topics import needed_topics
from tests.sources.samples import document
from tests.sources.test_listing import SOURCES

URL = "https://relay.example.com/webhooks/shop"
PLATFORMS = [name for name in platforms() if subscribing(name)]
NO_API = ("clover", "cloudevents", "standard")

NOT_SUBSCRIBED: dict[str, set[str]] = {
    # Only in the app's configuration.
    "shopify": {
        "customers/redact",
        "customers/data_request",
        "shop/redact",
        # orders/updated reports the same.
        "orders/paid",
        "orders/fulfilled",
        # Another family, which is not made by this API.
        "Customer/create",
        "Customer/update",
        "Customer/delete",
    },
    # Those that the application sees, whoever owns them, are enough.
    "square": {
        f"customer.custom_attribute.{kind}{what}"
        for kind in ("owned.", "public.", "")
        for what in ("updated", "deleted")
    },
    # Before the commit, the beginning of a change that another event reports, or synchronous hooks.
    "adobe": {
        "observer.customer_save_after",
        "observer.customer_register_success",
        "observer.sales_order_save_after",
        "observer.sales_order_invoice_save_commit_after",
        "observer.sales_order_invoice_save_after",
        "observer.sales_order_creditmemo_save_commit_after",
        "observer.sales_order_creditmemo_save_after",
    },
}
"""Topics that lead to a command and are not needed beside the others."""


def of(platform: str) -> Subscribing:
    found = subscribing(platform)
    assert found is not None
    return found


def connection(platform: str, vendor: str, **more: Any) -> Connection:
    return parse_connection("shop", document(platform, vendor) | more)


def needed(platform: str, vendor: str, **more: Any) -> set[str]:
    return set(needed_topics(of(platform).purposes, connection(platform, vendor, **more)))


@pytest.mark.parametrize("platform", platforms())
def test_every_platform_has_an_api_for_its_subscriptions_or_steps_for_a_person(platform: str) -> None:
    assert (subscribing(platform) is None) == (platform in NO_API)
    steps = [step.format(url=URL) for step in source_module(platform).by_hand]
    assert subscribing(platform) or any(URL in step for step in steps)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_topic_that_leads_to_a_command_has_a_purpose(platform: str) -> None:
    effective = {t.name for t in source_module(platform).topics if t.becomes not in ("ignored", "handshake")}
    hooks = {name for name in effective if name.startswith("plugin.")}
    assert effective - hooks - NOT_SUBSCRIBED.get(platform, set()) == set(of(platform).purposes)


def test_what_is_needed_follows_from_destination_sales_and_mapping() -> None:
    bare = needed("shopify", "capillary")
    assert {"customers/create", "customers/update", "customers/delete", "customers/merge"} <= bare
    assert not any(topic.startswith(("orders/", "refunds/", "locations/", "customer.tags")) for topic in bare)
    assert "customers/purchasing_summary" not in bare
    assert {"orders/create", "orders/updated", "orders/cancelled", "refunds/create"} <= needed(
        "shopify", "capillary", sales={"enabled": True}
    )
    kangaroo = needed("shopify", "kangaroo")
    assert {"customer.tags_added", "locations/create", "shop/update"} <= kangaroo
    assert "customers_marketing_consent/update" in bare - kangaroo
    mapped = {"customers/purchasing_summary": {"custom_fields.spent": "amountSpent.amount"}}
    assert needed("shopify", "capillary", mapping=mapped) - bare == {"customers/purchasing_summary"}


def test_a_deletion_that_no_secret_proves_is_not_needed() -> None:
    given = document("woocommerce", "capillary")
    topics = of("woocommerce").purposes
    for secret, expected in (({"value": "fake"}, False), ({"value": "fake", "topics": ["customer.*"]}, True)):
        given["source"]["secrets"] = [secret]
        assert ("customer.deleted" in needed_topics(topics, parse_connection("shop", given))) is expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (URL, URL + "/", True),
        (URL, URL.replace("relay.example", "RELAY.example"), True),
        (URL, URL.replace(".com/", ".com:443/"), True),
        (URL, URL.replace("https", "http"), False),
        (URL, URL + "2", False),
        (URL, URL + "?key=1", False),
        (URL, "https://relay.example.com@evil.example/webhooks/shop", False),
        (URL, "https://[", False),
        (URL, "https://relay.example.com:x/webhooks/shop", False),
        ("", "", True),
    ],
)
def test_an_address_is_compared_as_a_url(one: str, other: str, same: bool) -> None:
    assert same_url(one, other) is same


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("https://old.example.com/webhooks/shop", True),
        ("https://abc.execute-api.eu-west-1.amazonaws.com/stage/webhooks/shop/", True),
        ("https://relay.example.com/webhooks/shop2", False),
        ("https://other.example.com/hooks", False),
        ("arn:aws:events:us-east-1::event-source/aws.partner/shopify.com/1/x", False),
        (URL, False),
        ("", False),
    ],
)
def test_only_this_connections_own_path_elsewhere_counts_as_moved(found: str, expected: bool) -> None:
    assert moved(found, URL) is expected


def subscribed(*topics: str, url: str = URL, number: str = "1", **more: Any) -> Subscription:
    return Subscription(store="s", id=number, topics=topics, url=url, **more)


def compared(*found: Subscription, topics: tuple[str, ...] = ("store/customer/created",)) -> list[tuple[str, str]]:
    rows = compare([("s", topic) for topic in topics], found, URL, of("bigcommerce"))
    return [(row.topic, row.condition.value) for row in rows]


TOPIC = "store/customer/created"


def test_the_best_of_several_subscriptions_counts_and_a_second_one_is_superfluous() -> None:
    disabled, active = subscribed(TOPIC, active=False), subscribed(TOPIC, number="2")
    assert compared(disabled, active) == [(TOPIC, "present"), (TOPIC, "superfluous")]
    assert compared(disabled) == [(TOPIC, "disabled")]


def test_a_pattern_counts_for_every_topic_that_it_covers() -> None:
    other = "store/customer/address/updated"
    assert compared(subscribed("store/customer/*"), topics=(TOPIC, other)) == [(TOPIC, "present"), (other, "present")]


def test_subscriptions_of_others_are_left_alone() -> None:
    others = (
        subscribed(TOPIC, url="https://other.example.com/hook"),
        subscribed("store/cart/created", url="https://relay.example.com/webhooks/another", number="2"),
        Subscription(store="another", id="3", topics=(TOPIC,), url=URL + "x"),
    )
    assert compared(*others) == [(TOPIC, "missing")]
    rows = compare([("s", TOPIC)], others, URL, of("bigcommerce"))
    changes = planned(rows, frozenset(Condition), URL, of("bigcommerce"), lambda topic: "")
    assert [change.action for change in changes] == ["create"]


def test_a_type_whose_url_lacks_it_is_superfluous_at_lightspeed() -> None:
    rows = compare([("s", "customer.update")], [subscribed("customer.update")], URL, of("lightspeed"))
    assert [row.condition for row in rows] == [Condition.MISSING, Condition.SUPERFLUOUS]
    assert rows[0].url == URL + "/customer.update"


def test_what_squares_subscription_lacks_is_added_to_it_and_what_it_has_too_much_is_taken_out() -> None:
    square = of("square")
    one = Subscription(store="", id="w1", topics=("customer.created", "payment.created"), url=URL)
    rows = compare([("", "customer.created"), ("", "customer.updated")], [one], URL, square)
    (added,) = planned(rows, frozenset({Condition.MISSING}), URL, square, lambda topic: "")
    assert (added.action, set(added.topics)) == ("update", {"customer.created", "customer.updated", "payment.created"})
    (taken,) = planned(rows, frozenset({Condition.SUPERFLUOUS}), URL, square, lambda topic: "")
    assert (taken.action, taken.topics) == ("update", ("customer.created",))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_without_credentials_nothing_is_requested(platform: str) -> None:
    with pytest.raises(CredentialsRefused):
        of(platform).listing("shop", "", Source(platform=platform, stores=("shop",)))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("body", [None, "x", {"data": "x"}, {"data": {"webhookSubscriptions": {"nodes": 1}}}])
def test_an_answer_of_another_shape_is_no_empty_list(platform: str, body: Any) -> None:
    with pytest.raises((UpstreamUnavailable, VendorRejected)):
        of(platform).page("shop", "", 200, {}, body)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_error_is_no_empty_list_and_no_success(platform: str) -> None:
    change = SubscriptionChange(store="shop", topics=("x",), url=URL)
    with pytest.raises((VendorRejected, UpstreamUnavailable)):
        of(platform).page("shop", "", 422, {}, {})
    with pytest.raises((VendorRejected, UpstreamUnavailable)):
        of(platform).done(change, 422, {"data": {"made": {}}})


DOCUMENTED: dict[str, tuple[Any, Subscription]] = {
    "adobe": (
        [
            {
                "name": "observer.store_save_commit_after",
                "parent": "",
                "fields": [{"name": "store_id"}, {"name": "name"}],
                "rules": [],
                "destination": "default",
                "priority": False,
                "provider_id": "default",
            }
        ],
        Subscription(
            store="s",
            id="observer.store_save_commit_after",
            topics=("observer.store_save_commit_after",),
            url="",
            lacks=("code", "is_active"),
        ),
    ),
    "bigcommerce": (
        {
            "data": [
                {
                    "id": 18048287,
                    "client_id": "fake",
                    "store_hash": "fake",
                    "scope": "store/order/*",
                    "destination": URL,
                    "headers": None,
                    "is_active": False,
                    "created_at": 1561488106,
                    "updated_at": 1561488106,
                }
            ],
            "meta": {"pagination": {"total": 1, "count": 1, "per_page": 100, "current_page": 1, "total_pages": 1}},
        },
        Subscription(store="s", id="18048287", topics=("store/order/*",), url=URL, active=False),
    ),
    "lightspeed": (
        {"data": [{"id": "0a6f", "retailer_id": "fake", "type": "sale.update", "url": URL, "active": True}]},
        Subscription(store="s", id="0a6f", topics=("sale.update",), url=URL),
    ),
    "shopify": (
        {
            "data": {
                "webhookSubscriptions": {
                    "pageInfo": {"hasNextPage": False, "endCursor": None},
                    "nodes": [
                        {
                            "id": "gid://shopify/WebhookSubscription/4759306",
                            "topic": "CUSTOMER_TAGS_ADDED",
                            "uri": URL,
                        }
                    ],
                }
            }
        },
        Subscription(
            store="s", id="gid://shopify/WebhookSubscription/4759306", topics=("customer.tags_added",), url=URL
        ),
    ),
    "square": (
        {
            "subscriptions": [
                {
                    "id": "wbhk_b35f6b3145074cf9ad513610786c19d5",
                    "name": "Example",
                    "enabled": True,
                    "event_types": ["payment.created", "order.updated"],
                    "notification_url": URL,
                    "api_version": "2021-12-15",
                }
            ]
        },
        Subscription(
            store="s",
            id="wbhk_b35f6b3145074cf9ad513610786c19d5",
            topics=("payment.created", "order.updated"),
            url=URL,
        ),
    ),
    "woocommerce": (
        [
            {
                "id": 143,
                "name": "Customer created",
                "status": "paused",
                "topic": "customer.created",
                "resource": "customer",
                "event": "created",
                "delivery_url": URL,
            }
        ],
        Subscription(store="s", id="143", topics=("customer.created",), url=URL, active=False),
    ),
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_documented_list_is_read(platform: str) -> None:
    body, expected = DOCUMENTED[platform]
    page = of(platform).page("s", "", 200, {}, body)
    assert (page.subscriptions, page.cursor) == ((expected,), "")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_requests_go_to_the_platforms_own_host_with_its_own_credentials(platform: str) -> None:
    source = SOURCES[platform]
    if platform == "square":
        source = Source(
            platform="square", stores=source.stores, api_credentials={"application_token": "fake-application-token"}
        )
    store = source.stores[0] if platform not in ("square", "adobe") else ""
    listing = of(platform).listing(store, "", source)
    one = Subscription(store=store, id="../../evil?x", topics=("observer.x/../../y",), url=URL)
    for change in (
        SubscriptionChange(store=store, topics=(next(iter(of(platform).purposes)),), url=URL),
        SubscriptionChange(store=store, topics=one.topics, url=URL, subscription=one),
    ):
        asked = of(platform).request(change, source)
        assert asked.default_host == listing.default_host
        assert not {"..", "evil?x"} & set(asked.path.split("/"))
        assert "fake" in str(dict(asked.headers)) or platform == "woocommerce"
        assert asked.verb in ("POST", "PUT")


def test_shopifys_errors_are_read_from_a_200() -> None:
    shopify = of("shopify")
    create = SubscriptionChange(store="s", topics=("customers/create",), url=URL)

    def made(*messages: str) -> dict[str, Any]:
        return {"data": {"made": {"userErrors": [{"field": ["x"], "message": text} for text in messages]}}}

    shopify.done(create, 200, made())
    shopify.done(create, 200, made("Address for this topic has already been taken"))
    with pytest.raises(VendorRejected) as refused:
        shopify.done(create, 200, made("Address is not a valid URL fake-secret-text"))
    assert "fake-secret-text" not in str(refused.value)
    with pytest.raises(Throttled):
        shopify.done(create, 200, {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]})
    with pytest.raises(UpstreamUnavailable):
        shopify.done(create, 200, {"data": {}})


def test_what_authenticates_is_in_no_representation() -> None:
    change = SubscriptionChange(store="s", topics=("x",), url=URL, secret="fake-secret")
    assert "fake-secret" not in repr(change)
