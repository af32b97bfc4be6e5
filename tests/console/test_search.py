"""Search: what is typed is posted and digested, and leads to what it names."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from devkit.cli.app import app
from loyalty_relay.model.commands import RegisterCustomer
from tests.console.conftest import HOSTILE, Browser, put, shown
from tests.devkit.test_sales_commands import record
from tests.orders.makers import record_sale, sale
from tests.pipeline.conftest import CONNECTION, Relay, customer


@pytest.fixture
def ana(relay: Relay) -> str:
    """The keyed hash of a customer."""
    relay.run(customer({"email": "ana@example.com", "phone": "+447700900123"}, kind=RegisterCustomer))
    return relay.services.customers.customer_hash("shop-1", "source_id", "7")


def leads_to(browser: Browser, text: str, **more: str) -> str:
    answer = browser.post("/search", {"text": text, **more})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_customer_is_found_by_every_identifier_and_the_address_has_the_hash_only(
    browser: Browser, relay: Relay, ana: str
) -> None:
    for text in ("ana@example.com", " ANA@example.com ", "07700 900123", "+447700900123", "7", *relay.crm.members):
        assert leads_to(browser, text) == f"/customers/shop-1/{ana}", text
    assert leads_to(browser, "7", connection="shop-1") == f"/customers/shop-1/{ana}"


def test_an_erased_customer_is_found_by_the_events_that_are_left(browser: Browser, relay: Relay) -> None:
    hash_ = relay.services.customers.customer_hash("shop-1", "email", "bea@example.com")
    put(relay, customer=hash_)
    assert leads_to(browser, "bea@example.com") == f"/customers/shop-1/{hash_}"


def test_deliveries_orders_and_events_are_found_by_their_ids(browser: Browser, relay: Relay) -> None:
    made = put(relay, 5, event_id="evt/1 ü")
    record(relay, record_sale(sale=sale("64.00"), aliases=("payment:9",)))
    assert leads_to(browser, made.delivery_id) == f"/deliveries/{made.delivery_id}"
    assert leads_to(browser, f"{made.delivery_id}.1") == f"/deliveries/{made.delivery_id}"
    assert leads_to(browser, "evt/1 ü") == f"/deliveries/{made.delivery_id}"
    assert leads_to(browser, "payment:9") == "/orders/shop-1/1"


def test_several_matches_are_a_list(browser: Browser, relay: Relay, ana: str) -> None:
    relay.stack.put_connection("shop-2", CONNECTION)
    record(relay, record_sale(sale=sale("64.00"), aliases=("7",)))
    location = leads_to(browser, "7")
    html = browser.get(location)
    assert f'href="/customers/shop-1/{ana}"' in html
    assert 'href="/orders/shop-1/1"' in html
    assert browser.json(location.replace("/search", "/search.json"))["matches"] == [
        {"kind": "customer", "connection": "shop-1", "key": ana},
        {"kind": "order", "connection": "shop-1", "key": "1"},
    ]


def test_nothing_found_states_what_was_searched(browser: Browser) -> None:
    location = leads_to(browser, "bea@example.com")
    assert location == "/search?done=1"
    text = shown(browser.get(location))
    assert "Nothing was found" in text
    assert "no event of the last 7 days" in text


def test_a_connection_that_cannot_be_read_is_named(browser: Browser, relay: Relay, ana: str) -> None:
    relay.stack.put_connection("shop-2", {"source": {}})
    html = browser.get(leads_to(browser, "ana@example.com"))
    assert "cannot be read" in html
    assert "shop-2" in html
    assert ana in html


@pytest.mark.parametrize("text", ["", " ", "x" * 201])
def test_a_text_that_can_be_nothing_is_refused(browser: Browser, text: str) -> None:
    assert browser.post("/search", {"text": text}).status_code == 400


def test_what_was_typed_is_in_no_address_page_or_log(
    browser: Browser, ana: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for text in ("ana@example.com", "07700 900123", "bea@example.com"):
        answer = browser.post("/search", {"text": text})
        assert text not in str(answer.headers) + answer.text
        assert text not in browser.get(answer.headers["location"], follow_redirects=True)
    refused = browser.post("/search", {"text": "ana@example.com", "connection": "none"})
    assert refused.status_code in (400, 404)
    assert "ana@" not in refused.text
    logged = capfd.readouterr()
    assert "ana@" not in logged.out + logged.err


def test_an_address_of_results_is_plain_text_and_bounded(browser: Browser) -> None:
    html = browser.get("/search", params={"match": [f"customer/{HOSTILE}/{HOSTILE}", "x/y/z"] * 50, "skipped": HOSTILE})
    assert "<script>alert" not in html
    assert html.count("<tr>") <= 62
    assert "javascript:" not in html


def test_the_command_line_finds_the_same(browser: Browser, relay: Relay, ana: str) -> None:
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": "", "COLUMNS": "200"}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["search", *arguments], env=env, catch_exceptions=False)

    found = json.loads(run("ana@example.com", "--json").stdout)
    assert found == browser.json(f"/search.json?match=customer/shop-1/{ana}")
    assert ana in run("7").stdout
    nothing = run("bea@example.com")
    assert "nothing has it" in nothing.stderr
    assert "bea" not in nothing.output
