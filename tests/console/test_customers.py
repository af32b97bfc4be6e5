"""One customer's page: the ledger per field, what leads to them, their events; and nothing personal."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from devkit.cli.app import app
from loyalty_relay.model.commands import CustomerRef, RegisterCustomer, RetireCustomer
from tests.console.conftest import Browser, put, shown
from tests.pipeline.conftest import Relay, customer, version

FIELDS = {"first_name": "Ana", "email": "ana@example.com", "phone": "+447700900123"}


@pytest.fixture
def hash_(relay: Relay) -> str:
    """The keyed hash of a customer who was registered and then updated."""
    relay.run(customer(FIELDS, "2026-03-01", kind=RegisterCustomer))
    relay.run(customer({"first_name": "Eva"}, "2026-03-02"))
    return relay.services.customers.customer_hash("shop-1", "source_id", "7")


def test_a_customer_has_fields_with_versions_links_and_events(browser: Browser, relay: Relay, hash_: str) -> None:
    html = browser.get(f"/customers/shop-1/{hash_}")
    text = shown(html)
    assert "first_name known shopify 2026-03-02" in text
    assert "email known shopify 2026-03-01" in text
    assert "1 × email, 1 × mobile" in text
    assert f"Loyalty id {next(iter(relay.crm.members))}" in text
    assert html.count('href="/deliveries/') == 2
    for personal in ("Ana", "Eva", "ana@example.com", "7700900123"):
        assert personal not in html


def test_a_customer_is_found_by_every_hash_of_the_journal(browser: Browser, relay: Relay, hash_: str) -> None:
    for kind, value in (("email", "ana@example.com"), ("mobile", "+447700900123")):
        other = relay.services.customers.customer_hash("shop-1", kind, value)
        assert browser.json(f"/customers/shop-1/{other}.json")["customer"] == [hash_]


def test_a_tombstone_is_shown_with_its_reason(browser: Browser, relay: Relay, hash_: str) -> None:
    relay.run(RetireCustomer(customer=CustomerRef(source_id="7"), reason="erased", version=version("2026-03-03")))
    text = shown(browser.get(f"/customers/shop-1/{hash_}"))
    assert "Erased at the source" in text
    assert "2026-03-03" in text


def test_a_merged_customer_leads_to_the_one_that_remains(browser: Browser, relay: Relay, hash_: str) -> None:
    relay.run(customer({"first_name": "Ida"}, "2026-03-01", source_id="8", email="ida@example.com"))
    merge = RetireCustomer(
        customer=CustomerRef(source_id="7"), reason="merged", survivor="8", version=version("2026-03-03")
    )
    relay.run(merge)
    other = relay.services.customers.customer_hash("shop-1", "source_id", "8")
    assert f'href="/customers/shop-1/{other}"' in browser.get(f"/customers/shop-1/{hash_}")


def test_a_customer_without_a_ledger_has_the_events_of_the_hash(browser: Browser, relay: Relay) -> None:
    put(relay, customer="abc")
    assert "The ledger holds nothing" in browser.get("/customers/shop-1/abc")
    assert browser.json("/customers/shop-1/abc.json", 404)["error"]["what"].endswith("no such customer")
    assert "no such customer" in browser.get("/customers/shop-1/none", 404)
    assert "cannot be a connection" in browser.get("/customers/shop_1/none", 400)


def test_the_twin_is_what_the_command_line_prints(browser: Browser, relay: Relay, hash_: str) -> None:
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": ""}
    run = CliRunner().invoke(app, ["customers", "show", "shop-1", "7", "--json"], env=env, catch_exceptions=False)
    assert browser.json(f"/customers/shop-1/{hash_}.json") == json.loads(run.stdout)
