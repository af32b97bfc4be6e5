"""One delivery's page: its way to the outcome, what to do, and where it leads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from devkit.cli.app import app
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import INGEST, JournalEntry
from tests.console.conftest import HOSTILE, Browser, put, shown
from tests.pipeline.conftest import Relay


def page(browser: Browser, relay: Relay, **members: Any) -> tuple[str, JournalEntry]:
    made = put(relay, 90, **members)
    return browser.get(f"/deliveries/{made.delivery_id}"), made


def test_the_way_of_a_parked_command_ends_with_what_to_do(browser: Browser, relay: Relay) -> None:
    html, _ = page(
        browser,
        relay,
        source="shopify",
        topic="customers/update",
        operation="update",
        result=Result.PARKED,
        reason="rejected",
        code="3217",
        codes=("name_too_long",),
        customer="abc",
        loyalty_id="600000001",
        occurred_at="2026-09-21T14:00:00Z",
        finished_at=relay.stack.clock.now - 60,
        receives=3,
        redrives=1,
    )
    text = shown(html)
    steps = [
        "Happened at the source 2026-09-21 14:00:00",
        "Received 2026-09-21 14:11:50 1 min 30 s ago",
        "Command update",
        "Redriven once",
        "Tried received from the queue 3 times",
        "Parked 2026-09-21 14:12:20 1 min ago",
        "The destination rejected the command",
        "What to do",
    ]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "3217: the source is not valid" in text
    assert "name_too_long: the programme keeps the beginning of the name only" in text
    for link in ("/customers/shop-1/abc", "/parked?connection=shop-1&amp;reason=rejected", "/docs/runbooks/parked.md"):
        assert f'href="{link}"' in html
    assert "data-refresh" not in html


def test_a_command_that_waits_shows_its_next_attempt_and_is_followed(browser: Browser, relay: Relay) -> None:
    html, _ = page(
        browser,
        relay,
        result=Result.RETRYING,
        reason="throttled",
        next_at=relay.stack.clock.now + 40,
        operation="update",
    )
    assert "Next attempt 2026-09-21 14:14:00 in 40 s" in shown(html)
    assert 'data-refresh="2"' in html


def test_a_delivery_without_an_outcome_is_waited_for_and_an_old_or_unknown_one_is_not(
    browser: Browser, relay: Relay
) -> None:
    now = relay.stack.clock.now
    fresh, old = new_delivery_id(now - 5), new_delivery_id(now - 3600)
    html = browser.get(f"/deliveries/{fresh}", 404)
    assert "No outcome yet" in html
    assert 'data-refresh="1"' in html
    relay.stack.journal.write(
        JournalEntry(delivery_id=fresh, connection="shop-1", result=Result.APPLIED, received_at=now)
    )
    assert "Applied" in browser.get(f"/deliveries/{fresh}")
    for unknown in (old, "none", "report%23shop-1"):
        assert "the journal has no delivery" in browser.get(f"/deliveries/{unknown}", 404)
        assert "the journal has no delivery" in browser.json(f"/deliveries/{unknown}.json", 404)["error"]["what"]


def test_every_command_of_a_delivery_has_a_place_and_orders_are_linked(browser: Browser, relay: Relay) -> None:
    html, made = page(browser, relay, operation="transaction", details={"order_id": "10/1", "amount": "64.00"})
    relay.stack.journal.write(replace(made, position=1, operation=INGEST, result=Result.IGNORED, details={}))
    html = browser.get(f"/deliveries/{made.delivery_id}")
    assert 'id="p0"' in html
    assert 'id="p1"' in html
    assert 'href="/orders/shop-1/10%2F1"' in html
    assert "no command was made of it" in html


def test_the_twin_is_what_the_command_line_prints(browser: Browser, relay: Relay) -> None:
    _, made = page(browser, relay, result=Result.PARKED, reason="rejected", operation="update")
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": ""}
    run = CliRunner().invoke(app, ["events", "show", made.delivery_id, "--json"], env=env, catch_exceptions=False)
    assert browser.json(f"/deliveries/{made.delivery_id}.json") == json.loads(run.stdout)


def test_hostile_texts_are_plain_text(browser: Browser, relay: Relay) -> None:
    members = ("source", "topic", "reason", "code", "operation", "customer", "event_id", "loyalty_id", "request_id")
    html, _ = page(
        browser,
        relay,
        codes=(HOSTILE,),
        fields=(HOSTILE,),
        details={HOSTILE: HOSTILE},
        **dict.fromkeys(members, HOSTILE),
    )
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "49" not in shown(html).replace(HOSTILE, "")
    assert html.count("<script") == 1
