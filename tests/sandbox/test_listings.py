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
from loyalty_relay.sources.base import CustomerChanged, ListingSource, PageRequest, Throttled
from tests.sandbox.kangaroo_client import SandboxClient

STORES = {"bigcommerce": "demohash1", "clover": "DEMOMERCHANT1", "shopify": "acme-test.myshopify.com"}
PEOPLE = 1234


@pytest.fixture
def client() -> SandboxClient:
    return SandboxClient(VENDOR)


def listed(
    client: SandboxClient, platform: str, *, since: str = "", between: Callable[[int], Any] = lambda page: None
) -> list[str]:
    """Return the source ids of every page, read as a run reads them."""
    module = source_module(platform)
    assert isinstance(module, ListingSource)
    credentials = {"access_token": f"fake-{platform}-token"}
    source = Source(platform=platform, stores=(STORES[platform],), api_credentials=credentials)
    found: list[str] = []
    cursor, number = "", 0
    while True:
        page = PageRequest(store=STORES[platform], cursor=cursor, since=since, read_at="2026-01-01T00:00:00.000000Z")
        fetch = module.listing(page, source)
        method = "GET" if fetch.json is None else "POST"
        answer = client.send(method, f"/{platform}{fetch.path}", headers=dict(fetch.headers), json=fetch.json)
        read = module.page(page, source, answer.status_code, dict(answer.headers), answer.json())
        for change in read.changes:
            assert isinstance(change, CustomerChanged)
            found.append(change.source_id)
        number += 1
        between(number)
        cursor = read.cursor
        if not cursor:
            return found


@pytest.mark.parametrize("platform", STORES)
def test_every_customer_is_listed(client: SandboxClient, platform: str) -> None:
    client.set(platform, customers=PEOPLE)
    found = listed(client, platform)
    assert len(set(found)) == PEOPLE + 1
    # Only Clover's pages overlap.
    assert len(found) - len(set(found)) <= (70 if platform == "clover" else 0)


@pytest.mark.parametrize("platform", STORES)
def test_customers_deleted_while_the_list_is_read_hide_no_others(client: SandboxClient, platform: str) -> None:
    client.set(platform, customers=PEOPLE)
    removed = [FIRST + 3, FIRST + 4, FIRST + 5]

    def remove(page: int) -> None:
        if page == 2:
            client.set(platform, customers_removed=removed)

    found = {name.rpartition(":")[2].lstrip("C") for name in listed(client, platform, between=remove)}
    assert {str(FIRST + n) for n in range(PEOPLE) if FIRST + n not in removed} <= found


def test_shopifys_list_goes_beyond_the_objects_at_which_its_cursors_end(client: SandboxClient) -> None:
    client.set("shopify", customers=25_100)
    assert len(listed(client, "shopify")) == 25_101


@pytest.mark.parametrize("platform", ["bigcommerce", "shopify"])
def test_what_changed_since_is_listed(client: SandboxClient, platform: str) -> None:
    client.set(platform, customers=300)
    found = [name for name in listed(client, platform, since="2024-01-01T03:20:00.000000Z") if str(FIRST)[:3] in name]
    assert len(found) == 100


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
