"""Home: every number leads to the list that it counts."""

from __future__ import annotations

import re
from html import unescape

from devkit.console.views.home import GROUPS, HEIGHT, bars
from devkit.queries.home import Span
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from tests.console.conftest import Browser, shown
from tests.pipeline.conftest import Relay


def happened(relay: Relay, result: Result, count: int = 1, topic: str = "customers/update") -> None:
    stack = relay.stack
    services = Services(Settings(environment=stack.environment), clock=stack.clock, client=stack.client)
    for _ in range(count):
        now = stack.clock()
        services.journal.write(
            JournalEntry(
                delivery_id=new_delivery_id(now),
                connection="shop-1",
                result=result,
                source="shopify",
                topic=topic,
                operation="update",
                received_at=now,
                finished_at=now + 1,
            )
        )
    services.write_counts()


def test_each_number_leads_to_a_list_of_so_many(browser: Browser, relay: Relay) -> None:
    happened(relay, Result.APPLIED, 3)
    happened(relay, Result.PARKED, 2)
    happened(relay, Result.RETRYING)
    html = browser.get("/")
    links = re.findall(r'<td class="num" data-label="(\w+)"><a href="([^"]+)">(\d+)</a>', html)
    assert {name: int(count) for name, _, count in links} == {"applied": 3, "retrying": 1, "parked": 2}
    assert len(links) == 9, "three numbers in each of three windows"
    for name, href, count in links:
        listed = browser.json(unescape(href).replace("/events?", "/events.json?"))["events"]
        assert len(listed) == int(count)
        assert {event["outcome"] for event in listed} == {name}


def test_a_connection_without_events_is_shown(browser: Browser) -> None:
    text = shown(browser.get("/"))
    assert "shop-1" in text
    assert "none in a week" in text
    assert "circuit closed" in text


def test_home_as_json_is_what_the_command_prints(browser: Browser, relay: Relay) -> None:
    happened(relay, Result.APPLIED)
    found = browser.json("/home.json")
    (each,) = found["connections"]
    assert (each["id"], each["vendor"], each["circuit"]) == ("shop-1", "capillary", "closed")
    assert each["spans"]["hour"]["outcomes"]["applied"] == 1
    assert each["last"]["result"] == "applied"


def test_a_topic_of_a_sender_is_text(browser: Browser, relay: Relay) -> None:
    happened(relay, Result.APPLIED, topic="<script>alert(1)</script>\u202e")
    html = browser.get("/")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_bars_stack_within_the_chart_and_lead_to_their_hours() -> None:
    counts = dict.fromkeys((result.value for result in Result), 1)
    quiet = dict.fromkeys(counts, 0)
    spans = [Span(since=3600 * n, outcomes=c, refused=0, p50=None, p95=None) for n, c in enumerate((counts, quiet))]
    full, empty = bars("shop", spans, 1)
    assert [colour for colour, _, _ in full.parts] == list(GROUPS)
    assert sum(tall for _, _, tall in full.parts) <= HEIGHT + 0.1
    assert min(y for _, y, _ in full.parts) >= 0
    assert empty.parts == []
    assert "nothing" in empty.title
    assert full.href == "/events?connection=shop&since=1970-01-01T00%3A00%3A00Z&until=1970-01-01T01%3A00%3A00Z"


def test_every_outcome_has_a_colour() -> None:
    assert {result for results in GROUPS.values() for result in results} == set(Result)
