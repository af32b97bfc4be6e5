"""The page of events: filters in the address, pages, rows with addresses, and the same JSON as the command line."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from typer.testing import CliRunner

from devkit.cli.app import app
from loyalty_relay.model.outcomes import Result
from tests.console.conftest import HOSTILE, Browser, put, shown
from tests.pipeline.conftest import Relay


def test_events_are_rows_that_lead_to_their_deliveries(browser: Browser, relay: Relay) -> None:
    made = put(
        relay, 5, source="shopify", topic="customers/update", customer="abc123", result=Result.PARKED, reason="rejected"
    )
    html = browser.get("/events")
    assert f'href="/deliveries/{made.delivery_id}"' in html
    assert 'href="/customers/shop-1/abc123"' in html
    assert "shopify customers/update" in shown(html)
    assert "There are no older ones" in shown(html)


def test_pages_are_followed_by_links_that_keep_the_filters(browser: Browser, relay: Relay) -> None:
    for age in range(60):
        put(relay, age, topic="a b&c", customer="abc")
    html = browser.get("/events?topic=a+b%26c&since=1h&customer=abc")
    assert "50 shown" in shown(html)
    assert "There may be older ones" in shown(html)
    (older,) = re.findall(r'rel="next" href="([^"]*)"', html)
    rest = browser.get(unescape(older))
    assert "10 shown" in shown(rest)
    assert "There are no older ones" in shown(rest)
    assert 'value="a b&amp;c"' in rest
    assert 'name="customer" value="abc"' in rest


def test_nothing_found_names_what_was_looked_through(browser: Browser) -> None:
    assert "No events Nothing since 2026-09-20 14:13:20 fits the filters." in shown(browser.get("/events?since=1d"))


def test_a_wrong_filter_is_a_page_with_what_to_do(browser: Browser) -> None:
    html = browser.get("/events?since=<b>", 400)
    assert "is not a time" in shown(html)
    assert "write 30m, 2h, 7d" in shown(html)
    assert "<b>" not in html
    assert browser.json("/events.json?result=fine", 400)["error"]["where"] == "result"


def test_the_twin_is_what_the_command_line_prints(
    browser: Browser, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in range(4):
        put(relay, age, topic="t", result=Result.PARKED if age % 2 else Result.APPLIED)
    put(relay, 9, topic="u")
    monkeypatch.setattr("devkit.cli.events.time.time", relay.stack.clock)
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": ""}
    for query, options in (
        ("", []),
        ("?topic=t&result=parked&since=2h&until=1s", ["--topic=t", "--result=parked", "--since=2h", "--until=1s"]),
        ("?platform=&operation=update", ["--operation=update"]),
    ):
        run = CliRunner().invoke(app, ["events", "list", *options, "--json"], env=env, catch_exceptions=False)
        assert browser.json(f"/events.json{query}") == json.loads(run.stdout)


@pytest.mark.attack(
    "senders",
    "text in an event that is markup, a script, or reorders a line, in an operator's browser",
    "the console escapes every text, isolates its direction, and allows no script but its own file",
    "",
)
def test_hostile_texts_are_plain_text(browser: Browser, relay: Relay) -> None:
    put(relay, 5, source=HOSTILE, topic=HOSTILE, reason=HOSTILE, code=HOSTILE, operation=HOSTILE, customer=HOSTILE)
    html = browser.get("/events")
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "49" not in shown(html)
    assert html.count(f"<bdi>{'&lt;script&gt;alert(1)&lt;/script&gt;'}") >= 3
    assert html.count("<script") == 1


def test_a_page_needs_nothing_of_other_hosts_and_no_inline_code(browser: Browser) -> None:
    html = browser.get("/events")
    assert not re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', html)
    assert not re.findall(r"<style|<script(?![^>]*src=)|\son\w+=|style=", html)
    for address in ("/static/console.css", "/static/console.js", "/static/icon.svg"):
        assert address in html
        browser.get(address)


def test_every_field_has_a_label_and_the_page_a_skip_link(browser: Browser) -> None:
    html = browser.get("/events")
    fields = re.findall(r"<(?:input|select)\b(?![^>]*type=\"hidden\")", html)
    assert len(fields) == len(re.findall(r"<label", html)) == 10
    assert '<a class="skip" href="#main">' in html
    assert '<html lang="en">' in html
    assert "<title>Events" in html


def test_an_empty_filter_is_none(browser: Browser, relay: Relay) -> None:
    made = put(relay, 5)
    listed = browser.json("/events.json?customer=&connection=+&topic=&since=&until=&cursor=&event=&order=")
    assert [e["delivery_id"] for e in listed["events"]] == [made.delivery_id]


def test_an_unknown_page_leads_on(browser: Browser) -> None:
    assert "There is no such page" in browser.get("/nothing", 404) or "there is no such page" in browser.get(
        "/nothing", 404
    )
    assert browser.json("/nothing.json", 404)["error"]["what"] == "there is no such page"
