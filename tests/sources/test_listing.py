"""A shop's customers, page by page: none is left out, and each is the one that a webhook would have reported."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.sandbox.platforms.bigcommerce import DEMO as BIGCOMMERCE
from devkit.sandbox.platforms.clover import DEMO as CLOVER
from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import CredentialsRefused, UpstreamUnavailable, VendorRejected
from loyalty_relay.sources import may_read_from, source_module
from loyalty_relay.sources.base import CustomerChanged, ListingSource, PageRequest, Throttled, Unreadable
from loyalty_relay.sources.listing import after, number_of
from loyalty_relay.sources.platforms import platforms
from loyalty_relay.sources.shopify.bodies import customer as shopify_customer
from loyalty_relay.sources.shopify.delivery import ShopifyDelivery

READ_AT = "2026-11-28T10:00:00.000000Z"


def source(platform: str, *stores: str, **more: Any) -> Source:
    return Source(platform=platform, stores=stores, api_credentials={"access_token": "fake-token"}, **more)


def listing(platform: str) -> ListingSource:
    module = source_module(platform)
    assert isinstance(module, ListingSource)
    return module


LISTING = [name for name in platforms() if isinstance(source_module(name), ListingSource)]
SOURCES = {
    "lightspeed": source("lightspeed", "acme"),
    "square": source("square", "MERCHANT", public_url="https://relay.example.com/webhooks/square"),
    "woocommerce": Source(
        platform="woocommerce",
        stores=("https://shop.example.com/store",),
        api_credentials={"consumer_key": "ck_fake-token", "consumer_secret": "cs_fake"},
    ),
    "adobe": source("adobe", "1", options={"shop_url": "https://shop.example.com/"}),
    "bigcommerce": source("bigcommerce", "demohash1"),
    "clover": source("clover", "MERCHANT"),
    "shopify": source("shopify", "acme.myshopify.com"),
}
NODE = {
    "id": "gid://shopify/Customer/7",
    "legacyResourceId": "7",
    "firstName": "Ana",
    "lastName": "Sample",
    "note": None,
    "tags": ["VIP", "newsletter"],
    "state": "ENABLED",
    "verifiedEmail": True,
    "createdAt": "2024-01-01T00:00:00Z",
    "updatedAt": "2024-05-01T00:00:00Z",
    "defaultEmailAddress": {
        "emailAddress": "ana@example.com",
        "marketingState": "SUBSCRIBED",
        "marketingUpdatedAt": "2024-02-01T00:00:00Z",
    },
    "defaultPhoneNumber": {
        "phoneNumber": "+442071838750",
        "marketingState": "NOT_SUBSCRIBED",
        "marketingUpdatedAt": None,
    },
    "defaultAddress": {
        "address1": "1 Sample Street",
        "address2": None,
        "city": "London",
        "province": "England",
        "zip": "N1",
        "countryCodeV2": "GB",
        "phone": None,
    },
}
WEBHOOK = {
    "id": 7,
    "admin_graphql_api_id": "gid://shopify/Customer/7",
    "email": "ana@example.com",
    "phone": "+442071838750",
    "first_name": "Ana",
    "last_name": "Sample",
    "note": None,
    "tags": "VIP, newsletter",
    "state": "enabled",
    "verified_email": True,
    "created_at": "2024-01-01T00:00:00Z",
    "updated_at": "2024-05-01T00:00:00Z",
    "email_marketing_consent": {"state": "subscribed", "consent_updated_at": "2024-02-01T00:00:00Z"},
    "sms_marketing_consent": {"state": "not_subscribed", "consent_updated_at": None},
    "default_address": {
        "address1": "1 Sample Street",
        "address2": None,
        "city": "London",
        "province": "England",
        "zip": "N1",
        "country_code": "GB",
    },
}
ADOBE = {
    "id": 7,
    "store_id": 1,
    "email": "ana@example.com",
    "firstname": "Ana",
    "lastname": "Sample",
    "created_at": "2024-01-01 00:00:00",
    "updated_at": "2024-05-01 00:00:00",
    "gender": 2,
    "addresses": [],
    "extension_attributes": {"is_subscribed": True},
}
WOOCOMMERCE = {
    "id": 7,
    "date_created_gmt": "2024-01-01T00:00:00",
    "date_modified_gmt": "2024-05-01T00:00:00",
    "email": "ana@example.com",
    "first_name": "Ana",
    "last_name": "Sample",
    "role": "customer",
    "billing": {"phone": "", "postcode": "N1", "country": "GB", "address_1": "", "city": ""},
    "_links": {"self": [{"href": "https://internal.example/wp-json/wc/v3/customers/7"}]},
}
SQUARE = {
    "id": "CUSTOMER7",
    "created_at": "2024-01-01T00:00:00Z",
    "updated_at": "2024-05-01T00:00:00Z",
    "given_name": "Ana",
    "email_address": "ana@example.com",
    "version": 3,
}
LIGHTSPEED = {
    "id": "0a1b",
    "customer_code": "ANA-1",
    "first_name": "Ana",
    "email": "ana@example.com",
    "created_at": "2024-01-01T00:00:00+00:00",
    "updated_at": "2024-05-01T00:00:00+00:00",
    "version": 9,
}
CLOVER_CUSTOMER = next(entity for path, entity in CLOVER.items() if "/customers/" in path)
BIGCOMMERCE_CUSTOMER = BIGCOMMERCE["stores/demohash1/v3/customers/1001"]


def shopify_answer(*nodes: Any, more: bool = False) -> dict[str, Any]:
    customers = {"pageInfo": {"hasNextPage": more}, "nodes": list(nodes)}
    return {"data": {"customersCount": {"count": 2}, "customers": customers}}


ANSWERS: dict[str, Callable[..., Any]] = {
    "adobe": lambda *rows: {"items": list(rows), "total_count": len(rows), "search_criteria": {}},
    "bigcommerce": lambda *rows: {"data": list(rows), "meta": {"pagination": {"total": len(rows)}}},
    "clover": lambda *rows: {"elements": list(rows), "href": "https://example.com"},
    "lightspeed": lambda *rows: {"data": list(rows), "version": {"min": 1, "max": 9 if rows else 0}},
    "shopify": shopify_answer,
    "square": lambda *rows: {"customers": list(rows)},
    "woocommerce": lambda *rows: list(rows),
}
ROWS: dict[str, dict[str, Any]] = {
    "adobe": ADOBE,
    "bigcommerce": BIGCOMMERCE_CUSTOMER,
    "clover": CLOVER_CUSTOMER,
    "lightspeed": LIGHTSPEED,
    "shopify": NODE,
    "square": SQUARE,
    "woocommerce": WOOCOMMERCE,
}


def request(platform: str, **more: Any) -> PageRequest:
    stores = listing(platform).shops(SOURCES[platform])
    return replace(PageRequest(store=stores[0], read_at=READ_AT), **more)


def read(platform: str, body: Any, status: int = 200, **more: Any) -> Any:
    return listing(platform).page(request(platform, **more), SOURCES[platform], status, {}, body)


def test_every_platform_with_a_listing_is_tested_here() -> None:
    assert sorted(SOURCES) == LISTING


@pytest.mark.parametrize("platform", LISTING)
def test_a_page_shows_its_customers(platform: str) -> None:
    page = read(platform, ANSWERS[platform](ROWS[platform]))
    (change,) = page.changes
    assert isinstance(change, CustomerChanged)
    assert change.fields["first_name"]
    assert change.version is not None
    assert not change.created
    assert change.event.source == platform
    if page.cursor:
        # Lightspeed's list ends with an empty page.
        page = read(platform, ANSWERS[platform](), cursor=page.cursor)
    assert page.cursor == ""


def test_a_customer_of_shopifys_graphql_is_the_one_of_its_webhook() -> None:
    (listed,) = read("shopify", shopify_answer(NODE)).changes
    delivery = ShopifyDelivery(topic="customers/update", body=WEBHOOK, raw=b"", time=READ_AT, shop="acme.myshopify.com")
    reported = shopify_customer(delivery)
    assert isinstance(reported, CustomerChanged)
    assert listed.fields == reported.fields
    assert (listed.source_id, listed.verified) == (reported.source_id, reported.verified)
    assert listed.version.value == reported.version.value if reported.version else False
    assert listed.versions.keys() == reported.versions.keys()


EMPTY_IS_ABSENT = ("square",)
"""Platforms that leave out what is empty, so that absent means empty."""


@pytest.mark.parametrize("platform", [name for name in LISTING if name not in (*EMPTY_IS_ABSENT, "woocommerce")])
def test_what_the_response_leaves_out_is_absent_and_not_cleared(platform: str) -> None:
    hidden = {"defaultEmailAddress", "defaultPhoneNumber", "email", "emailAddresses", "phoneNumbers", "phone"}
    row = {name: value for name, value in ROWS[platform].items() if name not in hidden}
    (change,) = read(platform, ANSWERS[platform](row)).changes
    assert isinstance(change, CustomerChanged)
    assert not {"email", "phone"} & change.fields.keys()


@pytest.mark.parametrize("platform", LISTING)
def test_a_row_that_cannot_be_read_takes_no_other_with_it(platform: str) -> None:
    page = read(platform, ANSWERS[platform]({"id": None}, ROWS[platform], "text"))
    kinds = [type(change) for change in page.changes]
    assert kinds == [Unreadable, CustomerChanged, Unreadable]


@pytest.mark.parametrize("platform", LISTING)
@pytest.mark.parametrize("body", [{}, [], None, {"data": {}}, {"data": {"customers": {"nodes": "x"}}}])
def test_an_answer_of_another_shape_may_be_a_passing_fault(platform: str, body: Any) -> None:
    if (platform, body) in (("square", {}), ("woocommerce", [])):
        assert read(platform, body).changes == ()
        return
    with pytest.raises(UpstreamUnavailable):
        read(platform, body)


@pytest.mark.parametrize("platform", [name for name in LISTING if name != "shopify"])
def test_an_error_is_no_empty_page(platform: str) -> None:
    with pytest.raises(VendorRejected):
        read(platform, {"message": "no"}, status=422)


def test_shopifys_throttling_is_a_wait_until_the_cost_is_restored() -> None:
    cost = {
        "requestedQueryCost": 502,
        "throttleStatus": {"maximumAvailable": 2000, "currentlyAvailable": 2, "restoreRate": 100},
    }
    body = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}}
    with pytest.raises(Throttled) as throttled:
        read("shopify", body)
    assert throttled.value.seconds == 5.0


def test_a_missing_scope_stops_the_reading_instead_of_clearing_anything() -> None:
    body = {"data": {"customers": None}, "errors": [{"message": "denied", "extensions": {"code": "ACCESS_DENIED"}}]}
    with pytest.raises(VendorRejected) as refused:
        read("shopify", body)
    assert refused.value.code == "ACCESS_DENIED"


def test_shopify_goes_on_after_the_last_id() -> None:
    page = read("shopify", shopify_answer(NODE, {**NODE, "legacyResourceId": "9"}, more=True))
    assert (page.cursor, page.total) == ("9", 2)
    fetch = listing("shopify").listing(request("shopify", cursor="9", since=READ_AT), SOURCES["shopify"])
    assert fetch.json is not None
    assert fetch.json["variables"]["filter"] == f"id:>9 AND updated_at:>='{READ_AT}'"
    assert fetch.headers == {"x-shopify-access-token": "fake-token"}


@pytest.mark.parametrize("platform", LISTING)
def test_the_request_carries_the_token_and_no_customer(platform: str) -> None:
    fetch = listing(platform).listing(request(platform), SOURCES[platform])
    token = base64.b64encode(b"ck_fake-token:cs_fake").decode() if platform == "woocommerce" else "fake-token"
    assert any(token in value for value in fetch.headers.values())
    assert fetch.default_host.startswith("https://")
    assert "fake-token" not in fetch.path
    bare = replace(SOURCES[platform], api_credentials={})
    with pytest.raises(CredentialsRefused):
        listing(platform).listing(request(platform), bare)


def test_since_is_part_of_the_query_where_the_platform_lists_changes() -> None:
    fetch = listing("bigcommerce").listing(request("bigcommerce", since=READ_AT), SOURCES["bigcommerce"])
    query = parse_qs(urlsplit(fetch.path).query)
    assert query["date_modified:min"] == [READ_AT]
    path = listing("adobe").listing(request("adobe", since=READ_AT), SOURCES["adobe"]).path
    assert parse_qs(urlsplit(path).query)["searchCriteria[filter_groups][0][filters][0][value]"] == [
        "2026-11-28 10:00:00"
    ]


def test_clovers_pages_overlap() -> None:
    rows = [{**CLOVER_CUSTOMER, "id": f"C{number}"} for number in range(200)]
    assert read("clover", ANSWERS["clover"](*rows)).cursor == "190"
    assert read("clover", ANSWERS["clover"](*rows[:199])).cursor == ""


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://shop.example.com", True),
        ("http://shop.example.com", False),
        ("https://169.254.169.254", False),
        ("https://localhost", False),
        ("https://metadata.internal", False),
        ("https://shop", False),
    ],
)
def test_a_shops_own_address_is_a_public_name_over_https(url: str, allowed: bool) -> None:
    assert may_read_from(url, source_module("adobe"), frozenset(), at_shop=True) is allowed
    assert not may_read_from(url, source_module("adobe"), frozenset())
    assert not may_read_from(url, source_module("shopify"), frozenset(), at_shop=True)


@given(
    st.integers(min_value=0, max_value=40),
    st.integers(min_value=1, max_value=7),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 39)), max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_pages_by_number_leave_out_no_customer_who_is_there_throughout(
    count: int, size: int, deletions: list[tuple[int, int]]
) -> None:
    shop = list(range(count))
    seen: set[int] = set()
    cursor, reads = "", 0
    while True:
        for when, who in deletions:
            if when == reads and who in shop:
                shop.remove(who)
        place = number_of(cursor)
        rows = shop[(place - 1) * size : place * size]
        seen |= set(rows)
        cursor = after(cursor, rows=len(rows), size=size, total=len(shop))
        reads += 1
        assert reads < 1000
        if not cursor:
            break
    assert seen >= set(shop)


def test_without_a_number_of_all_the_last_page_is_the_one_that_is_not_full() -> None:
    assert after("", rows=5, size=5, total=None) == "2:"
    assert after("2:", rows=4, size=5, total=None) == ""


THERE: dict[str, Any] = {
    "bigcommerce": {"data": [BIGCOMMERCE_CUSTOMER]},
    "shopify": {"data": {"customer": {"id": "gid://shopify/Customer/7"}}},
    "lightspeed": {"data": LIGHTSPEED},
    "square": {"customer": SQUARE},
}
NOT_THERE: dict[str, tuple[int, Any]] = {
    "bigcommerce": (200, {"data": []}),
    "shopify": (200, {"data": {"customer": None}}),
}


@pytest.mark.parametrize("platform", LISTING)
def test_one_customer_is_read_by_the_id_of_the_listing(platform: str) -> None:
    module, given = listing(platform), SOURCES[platform]
    fetch = module.one(given.stores[0], "any:id/7", given)
    assert "fake-token" not in fetch.path
    assert "id%2F7" in fetch.path or "Customer/id/7" in str(fetch.json)
    assert module.is_there(200, THERE.get(platform, {"id": 7}))
    assert not module.is_there(*NOT_THERE.get(platform, (404, None)))


@pytest.mark.parametrize("platform", LISTING)
@pytest.mark.parametrize(("status", "body"), [(403, {"errors": "denied"}), (500, None), (200, []), (200, None)])
def test_only_a_clear_answer_proves_that_a_customer_is_not_there(platform: str, status: int, body: Any) -> None:
    with pytest.raises((UpstreamUnavailable, VendorRejected)):
        listing(platform).is_there(status, body)


def test_lightspeeds_deleted_customers_are_not_there() -> None:
    deleted = {"data": {**LIGHTSPEED, "deleted_at": "2026-01-01T00:00:00+00:00"}}
    assert not listing("lightspeed").is_there(200, deleted)


def test_clovers_customers_have_the_id_that_their_events_have() -> None:
    (change,) = read("clover", ANSWERS["clover"](CLOVER_CUSTOMER)).changes
    assert isinstance(change, CustomerChanged)
    assert change.source_id == f"MERCHANT:{CLOVER_CUSTOMER['id']}"


def test_a_version_of_lightspeed_may_have_any_number_of_digits_of_64_bits() -> None:
    """They are counted over all retailers, and grow."""
    page = read("lightspeed", {"data": [LIGHTSPEED], "version": {"min": 1, "max": 2**63 - 1}})
    assert page.cursor == str(2**63 - 1)
