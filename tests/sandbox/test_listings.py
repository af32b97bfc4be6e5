"""The sandbox's lists of customers, read by the platforms' own modules: everybody once, however the list moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devkit.sandbox.platforms import VENDOR
from devkit.sandbox.platforms.population import FIRST
from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import VendorRejected
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, ListingSource, NothingToDo, PageRequest, Throttled
from tests.sandbox.kangaroo_client import SandboxClient

STORES = {
    "adobe": "1",
    "bigcommerce": "demohash1",
    "clover": "DEMOMERCHANT1",
    "lightspeed": "acme-test",
    "shopify": "acme-test.myshopify.com",
    "square": "MLDEMOMERCHANT",
    "woocommerce": "https://shop.example.com",
}
WRITTEN = {"lightspeed": 2, "woocommerce": 2}
"""Customers who are written down, where it is not one; of WooCommerce one is staff."""
PEOPLE = 1234
LONG_AGO = 1_704_067_200.0
"""2024-01-01, when the first of them was created; each of the others a minute later."""


@pytest.fixture
def client() -> SandboxClient:
    return SandboxClient(VENDOR)


def listed(
    client: SandboxClient, platform: str, *, since: str = "", between: Callable[[int], Any] = lambda page: None
) -> list[str]:
    """Return the source ids of every page, read as a run reads them."""
    module = source_module(platform)
    assert isinstance(module, ListingSource)
    credentials = {"access_token": f"fake-{platform}-token", "consumer_key": "ck_fake", "consumer_secret": "cs_fake"}
    options = {"shop_url": "https://shop.example.com"}
    source = Source(platform=platform, stores=(STORES[platform],), api_credentials=credentials, options=options)
    found: list[str] = []
    cursor, number = "", 0
    while True:
        page = PageRequest(store=STORES[platform], cursor=cursor, since=since, read_at="2026-01-01T00:00:00.000000Z")
        fetch = module.listing(page, source)
        method = "GET" if fetch.json is None else "POST"
        answer = client.send(method, f"/{platform}{fetch.path}", headers=dict(fetch.headers), json=fetch.json)
        read = module.page(page, source, answer.status_code, dict(answer.headers), answer.json())
        for change in read.changes:
            assert isinstance(change, CustomerChanged | NothingToDo)
            found.append(change.event.entity_id)
        number += 1
        between(number)
        cursor = read.cursor
        if not cursor:
            return found


def number_of(source_id: str) -> str:
    """The number of one of the people who are made, of the id that a platform gives them."""
    return source_id.rpartition(":")[2].rpartition("-")[2].lstrip("CM0")


@pytest.mark.parametrize("platform", STORES)
def test_every_customer_is_listed(client: SandboxClient, platform: str) -> None:
    client.set(platform, customers=PEOPLE)
    found = listed(client, platform)
    assert len(set(found)) == PEOPLE + WRITTEN.get(platform, 1)
    # Only Clover's pages overlap.
    assert len(found) - len(set(found)) <= (70 if platform == "clover" else 0)


@pytest.mark.parametrize("platform", STORES)
def test_customers_deleted_while_the_list_is_read_hide_no_others(client: SandboxClient, platform: str) -> None:
    client.set(platform, customers=PEOPLE)
    removed = [FIRST + 3, FIRST + 4, FIRST + 5]

    def remove(page: int) -> None:
        if page == 2:
            client.set(platform, customers_removed=removed)

    found = {number_of(name) for name in listed(client, platform, between=remove)}
    assert {str(FIRST + n) for n in range(PEOPLE) if FIRST + n not in removed} <= found


def test_shopifys_list_goes_beyond_the_objects_at_which_its_cursors_end(client: SandboxClient) -> None:
    client.set("shopify", customers=25_100)
    assert len(listed(client, "shopify")) == 25_101


CHANGED_SINCE = [p for p in STORES if getattr(source_module(p), "lists_changed", False)]


@pytest.mark.parametrize("platform", CHANGED_SINCE)
def test_what_changed_since_is_listed(client: SandboxClient, platform: str) -> None:
    client.set(platform, customers=300)
    found = [name for name in listed(client, platform, since="2024-01-01T03:20:00.000000Z") if str(FIRST)[:3] in name]
    assert len(found) == 100


@pytest.mark.parametrize("platform", STORES)
def test_whoever_is_saved_while_the_list_is_read_is_listed_as_saved(client: SandboxClient, platform: str) -> None:
    """Also where the list is ordered by change, and they move to its end."""
    client.set(platform, customers=450)

    def save(page: int) -> None:
        if page == 1:
            client.set(platform, customers_saved={str(FIRST + n): LONG_AGO + 10_000_000.0 + n for n in (2, 440)})

    found = [number_of(name) for name in listed(client, platform, between=save)]
    assert {str(FIRST + n) for n in range(450)} <= set(found)
    assert found.count(str(FIRST + 2)) == (2 if platform == "lightspeed" else 1)


@pytest.mark.parametrize("platform", STORES)
def test_a_token_that_may_not_list_customers_is_refused(client: SandboxClient, platform: str) -> None:
    client.set(platform, denied=True)
    with pytest.raises(VendorRejected):
        listed(client, platform)


@pytest.mark.parametrize("platform", [p for p in STORES if p != "shopify"])
def test_a_platform_that_throttles_is_no_empty_list(client: SandboxClient, platform: str) -> None:
    client.send("PUT", "/_sandbox/faults", json=[{"vendor": platform, "error": "rate_limit"}])
    with pytest.raises(VendorRejected, match="does not list"):
        listed(client, platform)


def test_a_list_of_thirty_thousand_costs_little(client: SandboxClient) -> None:
    """Nobody is made before somebody reads the page that has them."""
    client.set("woocommerce", customers=30_000)
    answer = client.send(
        "GET",
        "/woocommerce/wp-json/wc/v3/customers?role=all&orderby=id&order=asc&per_page=100&page=300",
        headers={"authorization": "Basic Y2tfZmFrZTpjc19mYWtl"},
    )
    assert answer.headers["x-wp-total"] == "30002"
    assert answer.json()[-1]["id"] == FIRST + 29_997


def test_adobes_last_page_comes_again_after_the_last_page(client: SandboxClient) -> None:
    client.set("adobe", customers=30)
    pages = [
        client.send(
            "GET",
            f"/adobe/rest/V1/customers/search?searchCriteria[pageSize]=20&searchCriteria[currentPage]={page}",
            headers={"authorization": "Bearer fake-adobe-token"},
        ).json()
        for page in (2, 3)
    ]
    assert pages[0] == pages[1]


def test_a_cursor_of_square_that_has_run_out_loses_no_customer(client: SandboxClient) -> None:
    client.set("square", customers=450, cursor_seconds=60)

    def time_passes(page: int) -> None:
        if page in (2, 4):
            client.now += 3600

    found = [number_of(name) for name in listed(client, "square", between=time_passes)]
    assert {str(FIRST + n) for n in range(450)} <= set(found)
    assert len(found) < 460


def test_shopify_throttles_and_denies_as_documented(client: SandboxClient) -> None:
    client.set("shopify", customers=3000, restore_rate=100)
    with pytest.raises(Throttled) as throttled:
        listed(client, "shopify")
    assert 1 <= throttled.value.seconds <= 6
    client.set("shopify", restore_rate=0, denied=True)
    with pytest.raises(VendorRejected):
        listed(client, "shopify")


def test_settings_of_the_population_are_checked(client: SandboxClient) -> None:
    for value in ({"customers": -1}, {"customers": "many"}, {"customers_removed": ["x"]}):
        answer = client.send("PUT", "/_sandbox/settings/shopify", json=value)
        assert answer.status_code == 422
