"""The console in a real browser: pages without complaints, by keyboard, on a narrow screen, without script."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from selenium.webdriver.common.keys import Keys

from devkit.queries.parked_queues import ParkedQueues
from devkit.stacks.services import services_of
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from tests.browser.conftest import NARROW, Page, Shop

PAGES = ("/", "/events", "/parked", "/connections", "/runs", "/connections/shopify-capillary")
HOSTILE = (
    "<script>document.title='broken'</script>\u202eevil<img src=x onerror=\"document.title='broken'\">" + "w" * 100
)


def test_a_customer_is_found_by_email_which_is_in_no_address(page: Page) -> None:
    page.open("/")
    search = page.find('header form input[type="search"], header form input:not([type="hidden"])')
    search.send_keys("ana.nunez@example.com", Keys.ENTER)
    page.wait(lambda: "example" not in page.driver.current_url and page.path not in ("/", "/search"))
    page.see("shopify-capillary")
    assert "ana.nunez" not in page.driver.current_url
    assert "ana.nunez" not in page.driver.page_source


def test_an_event_is_followed_as_it_happens(page: Page, shop: Shop) -> None:
    shop.connect("live-shop")
    page.open("/events?connection=live-shop")
    page.see("No events")
    shop.send(
        "live-shop", "customers/create", "id=20201", "admin_graphql_api_id=gid://shopify/Customer/20201", wait=False
    )
    page.wait(lambda: page.all("#live .badge.applied"))
    page.find('#live a[href^="/deliveries/"]').click()
    page.wait(lambda: page.all("#live .badge.applied"))
    page.see("live-shop")


def test_a_mapping_is_tried_on_a_sample(page: Page) -> None:
    page.open("/connections/shopify-capillary/mapping")
    page.find('select[name="topic"] option[value="customers/create"]').click()
    page.click("Show what it becomes")
    page.see("first_name")
    page.see("Ana")


def test_everything_is_reached_with_the_keyboard(page: Page) -> None:
    page.open("/events")
    page.press(Keys.TAB)
    focused = page.driver.switch_to.active_element
    assert focused.text == "Skip to the content"
    assert focused.value_of_css_property("outline-style") != "none"
    page.press(Keys.ENTER)
    assert page.driver.switch_to.active_element.get_attribute("id") == "main"
    page.open("/")
    page.tab_to("Parked")
    page.press(Keys.ENTER)
    page.see("by reason")
    page.tab_to("Redrive everything")
    page.press(Keys.ENTER)
    page.see("would be sent")
    page.tab_to("Back")
    page.press(Keys.ENTER)
    page.see("by reason")


@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_screen_needs_no_scrolling_to_the_side(page: Page, path: str) -> None:
    page.size(NARROW)
    page.open(path)
    wide = page.driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= NARROW[0]
    assert page.find("h1").is_displayed()


def test_without_script_pages_filters_and_redrives_work(page: Page, shop: Shop) -> None:
    shop.park("quiet-shop", 1)
    page.script(False)
    for path in PAGES:
        page.open(path)
        assert page.find("h1").text
    page.open("/parked")
    page.find('select[name="connection"] option[value="quiet-shop"]').click()
    page.click("Filter")
    page.see("1 parked, by reason")
    page.click("Redrive what matches")
    page.click("Redrive 1")
    page.reload_until(lambda: "1 of 1" in page.text)
    page.open("/parked?connection=quiet-shop")
    page.see("Nothing is parked that matches")


def test_hostile_texts_are_shown_and_do_nothing(page: Page, shop: Shop) -> None:
    delivery = f"0199{uuid.uuid4().hex[:4]}-7000-7000-8000-{uuid.uuid4().hex[:12]}"
    journal = services_of(shop.relay.stack).journal
    shop.connect("hostile-shop")
    journal.write(
        JournalEntry(
            delivery_id=delivery,
            connection="hostile-shop",
            result=Result.PARKED,
            reason=HOSTILE,
            source=HOSTILE,
            topic=HOSTILE,
            event_id=HOSTILE,
            operation=HOSTILE,
            customer=HOSTILE,
            code=HOSTILE,
            codes=(HOSTILE,),
            fields=(HOSTILE,),
            details={HOSTILE: HOSTILE},
            received_at=time.time(),
            finished_at=time.time(),
        )
    )
    raw = {"detail": HOSTILE, "topic": HOSTILE, "source": HOSTILE, "body": HOSTILE}
    words = {"reason": HOSTILE, "connection": HOSTILE, "delivery_id": delivery, "code": HOSTILE}
    shop.relay.stack.client("sqs").send_message(
        QueueUrl=shop.relay.stack.parked_queue("ingest"),
        MessageBody=json.dumps(raw),
        MessageAttributes={k: {"DataType": "String", "StringValue": v} for k, v in words.items()},
    )
    for path in (
        "/events?connection=hostile-shop",
        f"/deliveries/{delivery}",
        "/parked",
        f"/parked/ingest/{delivery}",
        "/",
    ):
        page.open(path)
        assert "broken" not in page.driver.title, path
        assert not page.all("main img, main script, main iframe"), path
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 1280, path
        if path != "/":
            assert "<script>" in page.text, path
    page.open(f"/parked/ingest/{delivery}")
    page.click("Show the body")
    page.see("Your request was recorded")
    assert "broken" not in page.driver.title
    with ParkedQueues.of(shop.relay.stack).opened(wanted=lambda p: p.id == delivery) as (parked,):
        ParkedQueues.of(shop.relay.stack).delete(parked)
