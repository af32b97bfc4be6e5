"""The HTTP API through the gateway and its authorizer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Relay

pytestmark = pytest.mark.stack


def ana(customer: dict[str, Any]) -> dict[str, Any]:
    return {"identifiers": [{"type": "email", "value": customer["email"]}], "first_name": "Ana"}


def test_a_register_and_an_update_by_id(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("api-register")
    made = relay.call("POST", f"/connections/{connection}/customers", ana(customer))
    assert made.status_code == 201, made.text
    member = made.json()["loyalty_id"]
    changed = relay.call("PUT", f"/connections/{connection}/customers/{member}", {"last_name": "Baker"})
    assert (changed.status_code, changed.json()["result"]) == (200, "applied")
    put = [r for r in relay.upstream(member) if r["method"] == "PUT"]
    assert [(r["path"], r["query"].get("source")) for r in put] == [(f"/v2/customers/{member}", "ECOMMERCE")]


def test_a_second_register_names_the_existing_id(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("api-exists")
    first = relay.call("POST", f"/connections/{connection}/customers", ana(customer))
    again = relay.call("POST", f"/connections/{connection}/customers", ana(customer))
    assert (again.status_code, again.json()["loyalty_id"]) == (409, first.json()["loyalty_id"])
    assert again.headers["content-type"] == "application/problem+json"


def test_an_idempotency_key_replays_the_answer(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("api-replay")
    path = f"/connections/{connection}/customers"
    first = relay.call("POST", path, ana(customer), idempotency_key="k")
    again = relay.call("POST", path, ana(customer), idempotency_key="k")
    assert (again.status_code, again.json()["loyalty_id"]) == (201, first.json()["loyalty_id"])
    assert again.headers["idempotent-replayed"] == "true"
    assert len([r for r in relay.upstream(customer["email"]) if r["method"] == "POST"]) == 1


def test_respond_async_goes_through_the_queue(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("api-async")
    taken = relay.call("POST", f"/connections/{connection}/customers", ana(customer), prefer="respond-async")
    assert taken.status_code == 202
    (entry,) = relay.outcomes(connection, 1)
    assert (entry.delivery_id, entry.result) == (taken.json()["delivery_id"], "applied")


def test_without_a_key_or_with_another_one_nothing_happens(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("api-keys")
    url = f"{relay.state.api}/connections/{connection}/customers"
    assert relay.http.post(url, json=ana(customer)).status_code == 401
    assert relay.http.post(url, json=ana(customer), headers={"x-api-key": "wrong"}).status_code == 403
    assert relay.upstream(customer["email"]) == []


def test_a_shops_event_and_an_api_call_meet_in_one_member(relay: Relay, customer: dict[str, Any]) -> None:
    connection = relay.connect("api-meets-webhook")
    relay.deliver(connection, "customers/create", customer)
    (entry,) = relay.outcomes(connection, 1)
    changed = relay.call("PUT", f"/connections/{connection}/customers/{entry.loyalty_id}", {"first_name": "Api"})
    assert changed.json()["result"] == "applied"
    again = relay.call("PUT", f"/connections/{connection}/customers/{entry.loyalty_id}", {"first_name": "Api"})
    assert again.json()["result"] == "unchanged"
