"""The operator's way: from what is parked to why, what to change where, a redrive, and the event applied."""

from __future__ import annotations

from tests.browser.conftest import Page, Shop


def home(page: Page, connection: str) -> str:
    """Return what Home shows of a connection's parked work, in one line."""
    facts = page.all(f'section[aria-labelledby="c-{connection}"] dl.facts > div')
    (parked,) = [fact.text for fact in facts if fact.text.startswith("Parked now")]
    return " ".join(parked.partition("oldest")[0].split())


def test_what_is_parked_is_redriven_at_once_and_applied(page: Page, shop: Shop) -> None:
    deliveries = shop.park("acme-gb", 3)

    page.open("/")
    page.see("Parked now")
    assert home(page, "acme-gb").endswith("3")
    page.find('section[aria-labelledby="c-acme-gb"] a[href^="/parked"]').click()
    page.see("3 parked, by reason")
    page.see("8014")
    page.click("Redrive what matches")
    page.see("3 would be sent")
    page.click("Redrive 3")
    page.see("3 of 3")
    page.see("ended")
    page.click("See what is parked now")
    page.see("Nothing is parked that matches")
    page.open("/events?connection=acme-gb&result=applied")
    page.reload_until(lambda: all(page.all(f'a[href^="/deliveries/{delivery}"]') for delivery in deliveries))
    page.open("/")
    assert home(page, "acme-gb").endswith("0")


def test_why_something_is_parked_what_to_change_and_the_event_applied(page: Page, shop: Shop) -> None:
    """An expression of the mapping fails; the page shows which, and what to do; then the file is corrected."""
    shop.connect("mapped-shop", mapping={"customers/create": {"custom_fields.note": "length(id)"}})
    delivery, outcomes = shop.send(
        "mapped-shop", "customers/create", "id=40401", "admin_graphql_api_id=gid://shopify/Customer/40401"
    )
    assert outcomes == ["parked"]

    page.open("/parked?connection=mapped-shop")
    page.see("mapping_failed")
    page.see("correct the mapping, apply, then relay redrive")
    page.all('#live a[href^="/parked/ingest/"]')[0].click()
    page.see("Outline of the body")
    page.see('"email": "<text of')
    assert "Ana" not in page.text
    page.click("The runbook")
    page.see("relay connections apply FILE")
    page.driver.back()
    shop.connect("mapped-shop")
    page.click("Redrive this one")
    page.see("1 of 1")
    page.see("ended")
    page.open("/events?connection=mapped-shop&result=applied")
    page.reload_until(lambda: page.all(f'a[href^="/deliveries/{delivery}"]'))


def test_a_body_is_shown_on_request_and_the_request_stays_on_the_page(page: Page, shop: Shop) -> None:
    shop.park("shown-shop", 1)
    page.open("/parked?connection=shown-shop")
    page.all('#live a[href^="/parked/register/"]')[0].click()
    here = page.path
    page.click("Show the body")
    page.see("Your request was recorded")
    page.see("Ana")
    page.open(here)
    page.see("Requests for its body")
    page.see("arn:aws:")
    assert "Ana" not in page.text
    page.click("Redrive this one")
    page.see("1 of 1")
