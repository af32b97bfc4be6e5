"""The pictures of README and docs/console.md, made of the demo's events, light and dark."""

from __future__ import annotations

import os

import pytest

from devkit.stacks.local import CHECKOUT
from tests.browser.conftest import Page, Shop

PAGES = {
    "home": "/#c-shopify-capillary",
    "events": "/events?connection=shopify-capillary",
    "connection": "/connections/shopify-capillary",
    "mapping": "/connections/shopify-capillary/mapping",
    "parked": "/parked",
}
DARK = ("home", "events", "parked")
LARGEST = 150_000
"""Bytes of one picture."""


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_main_pages_have_pictures(page: Page, shop: Shop, colours: str) -> None:
    page.dark(colours == "dark")
    for name in DARK if colours == "dark" else PAGES:
        page.open(PAGES[name])
        assert page.find("h1").text
        save(page, f"{name}-{colours}")


def test_the_operators_way_has_pictures(page: Page, shop: Shop) -> None:
    shop.connect("acme", mapping={"customers/create": {"custom_fields.note": "length(id)"}})
    somebody = ("id=50501", "admin_graphql_api_id=gid://shopify/Customer/50501")
    delivery, outcomes = shop.send("acme", "customers/create", *somebody)
    assert outcomes == ["parked"]
    page.open("/parked?connection=acme")
    save(page, "way-1-parked")
    page.all('#live a[href^="/parked/ingest/"]')[0].click()
    page.see("Outline of the body")
    save(page, "way-2-why")
    shop.connect("acme")
    page.open("/parked/redrive?connection=acme")
    page.see("1 would be sent")
    save(page, "way-3-plan")
    page.click("Redrive 1")
    page.see("See what is parked now")
    save(page, "way-4-done")
    page.open(f"/deliveries/{delivery}")
    page.reload_until(lambda: "applied" in page.text)
    save(page, "way-5-applied")


def save(page: Page, name: str) -> None:
    """Write what the browser shows: to .local/images, and with RELAY_PICTURES=write to docs/images."""
    folders = [CHECKOUT / ".local" / "images"]
    if os.environ.get("RELAY_PICTURES") == "write":
        folders.append(CHECKOUT / "docs" / "images")
    picture = page.driver.get_screenshot_as_png()
    assert len(picture) < LARGEST, name
    for folder in folders:
        folder.mkdir(exist_ok=True, parents=True)
        (folder / f"{name}.png").write_bytes(picture)
