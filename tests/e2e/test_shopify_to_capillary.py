"""A signed Shopify webhook goes in, a member is registered or updated in Capillary, and anyone can see what
happened.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.e2e.conftest import SHOP, Relay

pytestmark = pytest.mark.stack


def later(customer: dict[str, Any], minute: int, **changes: Any) -> dict[str, Any]:
    return {**customer, "updated_at": f"2026-11-21T07:{minute:02d}:00-05:00", **changes}


def test_a_signed_event_registers_one_member(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("register")
    answered = relay.deliver(connection, "customers/create", customer)
    assert answered.status_code == 200
    (entry,) = relay.outcomes(connection, 1)
    assert (entry.result, entry.topic, entry.source) == ("applied", "customers/create", "shopify")
    writes = [r for r in relay.upstream(customer["email"]) if r["method"] == "POST"]
    assert [(r["path"], r["status"]) for r in writes] == [("/v2/customers", 200)]
    (profile,) = writes[0]["body"]["profiles"]
    assert (profile["firstName"], profile["source"]) == ("Ana", "ECOMMERCE")
    assert {"type": "email", "value": customer["email"]} in profile["identifiers"]


def test_the_same_event_three_times_has_one_effect(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("three-times")
    for _ in range(3):
        assert relay.deliver(connection, "customers/create", customer).status_code == 200
    results = sorted(entry.result for entry in relay.outcomes(connection, 3))
    assert results == ["applied", "duplicate", "duplicate"]
    assert len([r for r in relay.upstream(customer["email"]) if r["method"] in ("POST", "PUT")]) == 1


def test_events_in_every_order_end_in_the_same_customer(relay: Relay, customer: dict[str, Any]) -> None:
    sent = {}
    for order in itertools.permutations(range(3)):
        name = "".join(map(str, order))
        connection = relay.connect(f"order-{name}")
        who = {**customer, "email": f"{name}{customer['email']}"}
        events = [
            ("customers/create", who),
            ("customers/update", later(who, 5, first_name="Eva")),
            ("customers/update", later(who, 9, first_name="Ida", last_name="Baker")),
        ]
        for index in order:
            relay.deliver(connection, *events[index])
        sent[connection] = who["email"]
    for connection in sent:
        relay.outcomes(connection, 3)
    assert {_names(relay, email) for email in sent.values()} == {("Ida", "Baker")}


def _names(relay: Relay, email: str) -> tuple[str, str]:
    """The names of the one member with this e-mail."""
    state = relay.http.get(f"{relay.state.sandbox}/_sandbox/state/capillary").json()
    (member,) = [customer for customer in state["customers"] if email in json.dumps(customer)]
    profiles = member["profiles"]
    (profile,) = profiles.values() if isinstance(profiles, dict) else profiles
    return profile["first_name"], profile["last_name"]


@pytest.mark.parametrize("secret", [None, "", "another-secret"], ids=["unsigned", "empty", "wrong"])
def test_nothing_unsigned_has_an_effect(relay: Relay, customer: dict[str, Any], secret: str | None) -> None:
    connection = relay.connect(f"unsigned-{secret is None}-{bool(secret)}".lower())
    answered = relay.deliver(connection, "customers/create", customer, secret=secret)
    unknown = relay.deliver("nobody", "customers/create", customer, secret=secret)
    assert (answered.status_code, answered.text) == (unknown.status_code, unknown.text)
    assert answered.status_code == 401
    relay.deliver(connection, "customers/create", {**customer, "email": f"marker{customer['email']}"})
    relay.outcomes(connection, 1)
    assert [r for r in relay.upstream(customer["email"]) if f"marker{customer['email']}" not in json.dumps(r)] == []


@pytest.mark.attack(
    "senders", "another shop of the same app, with the right secret", "the store must be one of the connection's", "G4"
)
def test_another_shop_with_the_right_secret_is_refused_alike(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("other-shop")
    answered = relay.deliver(
        connection, "customers/create", customer, headers={"x-shopify-shop-domain": "evil.myshopify.com"}
    )
    assert answered.status_code == 401
    assert SHOP not in answered.text


def test_a_signed_body_that_cannot_be_read_is_accepted_and_parked_raw(relay: Relay) -> None:
    connection = relay.connect("not-json")
    before = len(relay.parked("Ingest"))
    assert relay.deliver(connection, "customers/create", b"no json").status_code == 200
    after = relay.parked("Ingest")
    assert len(after) == before + 1
    reasons = [m["MessageAttributes"]["reason"]["StringValue"] for m in after]
    assert "not_json" in reasons


def test_a_body_above_two_megabytes_is_413(relay: Relay) -> None:
    connection = relay.connect("too-large")
    assert relay.deliver(connection, "customers/create", b"x" * (2 * 1024 * 1024 + 1)).status_code == 413


def test_what_needs_nothing_is_journalled_with_the_reason(relay: Relay) -> None:
    connection = relay.connect("ignored")
    assert relay.deliver(connection, "products/update", {"id": 1}).status_code == 200
    (entry,) = relay.outcomes(connection, 1)
    assert (entry.result, entry.reason) == ("ignored", "topic_not_used")


def test_a_deleted_customer_stays_deleted_for_late_events(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("deleted")
    relay.deliver(connection, "customers/create", customer)
    relay.outcomes(connection, 1)
    gone = {"id": customer["id"], "admin_graphql_api_id": customer["admin_graphql_api_id"], "tax_exemptions": []}
    relay.deliver(connection, "customers/delete", gone, headers={"x-shopify-triggered-at": "2026-11-21T12:30:00Z"})
    relay.outcomes(connection, 2)
    relay.deliver(connection, "customers/update", later(customer, 1, first_name="Late"))
    late = [e for e in relay.outcomes(connection, 3) if e.topic == "customers/update"]
    assert [(e.result, e.reason) for e in late] == [("stale", "customer_deleted")]
