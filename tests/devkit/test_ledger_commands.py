"""``relay customers``: the ledger of one customer is shown without personal data, and a wrong one is repaired."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from devkit.cli.app import app
from loyalty_relay.model.commands import CustomerRef, RetireCustomer
from loyalty_relay.model.errors import LeaseBusy
from loyalty_relay.model.outcomes import Result as Outcome
from tests.pipeline.conftest import Relay, customer, relay, version

__all__ = ["relay"]
"""The fixture of the pipeline's tests."""

FUTURE, NOW = "9999-01-01", "2026-03-01"
EMAIL = "ana@example.com"


def run(relay: Relay, *arguments: str) -> Result:
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": "", "COLUMNS": "200"}
    return CliRunner().invoke(app, ["customers", *arguments], env=env, catch_exceptions=False)


def shown(relay: Relay, *arguments: str) -> Any:
    result = run(relay, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_customer_is_shown_by_any_identifier_and_nothing_personal_is(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana", "email": EMAIL}, NOW))
    texts = [EMAIL, "7", *relay.crm.members]
    found = [shown(relay, "show", "shop-1", text) for text in texts]
    assert found[0] == found[1] == found[2]
    assert [found[0]["loyalty_id"]] == list(relay.crm.members)
    assert found[0]["fields"]["first_name"] == {
        "value_known": True,
        "versions": {"shopify": {"value": NOW, "time": ""}},
    }
    for text in texts:
        printed = run(relay, "show", "shop-1", text).stdout + json.dumps(found)
        assert EMAIL not in printed
        assert "Ana" not in printed


def test_an_unknown_customer_is_not_repeated_in_the_error(relay: Relay) -> None:
    result = run(relay, "show", "shop-1", "bea@example.com", "--json")
    assert result.exit_code == 1
    assert "no such customer" in result.stderr
    assert "bea@" not in result.stderr


@pytest.mark.attack(
    "senders",
    "a version from the future, which would make every true one stale",
)
def test_a_ledger_with_a_version_from_the_future_is_repaired(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana", "last_name": "X"}, FUTURE))
    assert relay.run(customer({"first_name": "Eva"}, NOW)).result is Outcome.STALE
    after = shown(relay, "reset", "shop-1", "7", "--field", "first_name", "--yes")
    assert list(after["fields"]) == ["last_name"]
    assert relay.run(customer({"first_name": "Eva", "last_name": "Y"}, NOW)).fields == ("first_name",)
    shown(relay, "reset", "shop-1", "7", "--yes")
    assert relay.run(customer({"first_name": "Eva", "last_name": "Y"}, NOW)).fields == ("first_name", "last_name")


def test_a_tombstone_is_removed_only_when_that_is_requested(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, NOW))
    who = CustomerRef(source_id="7")
    relay.run(RetireCustomer(customer=who, reason="erased", version=version(FUTURE)))
    assert shown(relay, "show", "shop-1", "7")["tombstone"]["reason"] == "erased"
    for flags, result in ((), Outcome.STALE), (("--tombstone",), Outcome.APPLIED):
        shown(relay, "reset", "shop-1", "7", "--yes", *flags)
        assert relay.run(customer({"first_name": "Ana"}, NOW)).result is result


def test_credits_that_were_sent_are_not_forgotten(relay: Relay) -> None:
    from tests.pipeline.test_customers import POINTS

    envelope = relay.envelope(customer({"first_name": "Ana"}, NOW, credits=POINTS))
    relay.run(envelope)
    assert shown(relay, "reset", "shop-1", "7", "--yes")["credits"] == {"sent": 1, "in_doubt": 0}
    relay.keys_lost()
    relay.run(envelope)
    (member,) = relay.crm.members.values()
    assert member.credits == [POINTS]


def test_a_customer_who_is_being_worked_on_is_left_alone(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, NOW))
    command = customer({"first_name": "Eva"}, NOW)
    with relay.services.customers.hold("shop-1", command, key="k"), pytest.raises(LeaseBusy):
        relay.services.customers.reset("shop-1", command.customer)
    assert list(shown(relay, "show", "shop-1", "7")["fields"]) == ["first_name"]


def test_a_reset_prompts_first_and_names_fields_that_there_are(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, NOW))
    assert run(relay, "reset", "shop-1", "7").exit_code == 1
    unknown = run(relay, "reset", "shop-1", "7", "--field", "nickname", "--json")
    assert (unknown.exit_code, "first_name" in unknown.stderr) == (1, True)
    assert list(shown(relay, "show", "shop-1", "7")["fields"]) == ["first_name"]
