"""One order's page: money, bookings, the difference, and what is next."""

from __future__ import annotations

import json
from decimal import Decimal

from typer.testing import CliRunner

from devkit.cli.app import app
from tests.console.conftest import Browser, put, shown
from tests.devkit.test_sales_commands import BOOKED, record
from tests.orders.makers import record_refund, record_sale, refund, sale
from tests.pipeline.conftest import Relay


def make(relay: Relay) -> None:
    """An order of 64.00 that is booked, and a refund of 4.50 that is not."""
    record(relay, record_sale(sale=sale("64.00"), aliases=("payment:9",)))
    booked = {"bookings": (BOOKED,), "currency": "EUR", "target": Decimal("59.50"), "loyalty_id": "600000001"}
    record(relay, record_refund(refunds=(refund("r-1", "4.50"),)), **booked)


def test_an_order_has_its_bookings_the_difference_and_what_is_next(browser: Browser, relay: Relay) -> None:
    make(relay)
    text = shown(browser.get("/orders/shop-1/payment:9"))
    for part in (
        "Next: take back the difference -4.50 EUR",
        "Should be booked 59.50 EUR",
        "Is booked 64.00 EUR",
        "1 sale 64.00 EUR booked ab12cd-1",
        "r-1 4.50 EUR",
    ):
        assert part in text


def test_an_order_that_waits_shows_for_what(browser: Browser, relay: Relay) -> None:
    record(relay, record_refund(refunds=(refund("r-1", "4.50"),)), reason="sale_missing")
    text = shown(browser.get("/orders/shop-1/1"))
    assert "wait for a later event" in text
    assert "it waits for the sale" in text
    assert "Nothing was booked" in text


def test_the_events_of_an_order_are_one_link_away(browser: Browser, relay: Relay) -> None:
    make(relay)
    made = put(relay, operation="transaction", details={"order_id": "1"})
    put(relay, 5, operation="transaction", details={"order_id": "2"})
    html = browser.get("/orders/shop-1/1")
    assert 'href="/events?connection=shop-1&amp;order=1&amp;since=90d"' in html
    listed = browser.json("/events.json?connection=shop-1&order=1&since=90d")["events"]
    assert [e["delivery_id"] for e in listed] == [made.delivery_id]


def test_the_twin_is_what_the_command_line_prints(browser: Browser, relay: Relay) -> None:
    make(relay)
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": ""}
    run = CliRunner().invoke(app, ["sales", "show", "shop-1", "1", "--json"], env=env, catch_exceptions=False)
    assert browser.json("/orders/shop-1/1.json") == json.loads(run.stdout)
    assert browser.json("/orders/shop-1/none.json", 404)["error"]["what"].endswith("no such order")
