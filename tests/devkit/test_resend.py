"""``relay events resend``: one event's commands again, from what is kept or from a body that somebody else has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from devkit.cli.app import app
from devkit.samples.fixtures import Sample, load
from devkit.samples.mapping import translation
from loyalty_relay.model.commands import CustomerCommand, Envelope
from loyalty_relay.model.errors import VendorRejected
from loyalty_relay.triggers.queue import consume
from tests.pipeline.conftest import CONNECTION, Relay, customer, relay
from tests.support.stack import Context

__all__ = ["relay"]
"""The fixture of the pipeline's tests."""

MAPPED = {"customers/create": {"referral_code": "'R1'"}}
ANA = load("shopify", "customers/create")
DELIVERY = "delivery-1"


def run(relay: Relay, *arguments: str) -> Result:
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": "", "COLUMNS": "200"}
    for operation in (
        "register",
        "update",
        "crm-patch",
        "link-store",
        "transaction",
        "import-run",
        "hydrate",
        "ingest",
    ):
        name = operation.replace("-", "_").upper()
        env |= {f"RELAY_PARKED_{name}": relay.stack.environment[f"PARKED_{operation}"]}
    return CliRunner().invoke(app, ["events", "resend", *arguments], env=env, catch_exceptions=False)


def delivered(relay: Relay, sample: Sample = ANA) -> None:
    """The sample was delivered and carried out."""
    relay.stack.put_connection("shop-1", {**CONNECTION, "mapping": MAPPED})
    for event, command in translation(sample, relay.services.connections.get("shop-1")).commands:
        relay.run(relay.envelope(command, event=event, delivery_id=DELIVERY))


def body(tmp_path: Path, **changes: Any) -> str:
    file = tmp_path / "body.json"
    file.write_text(json.dumps({**json.loads(ANA.body), **changes}))
    return str(file)


def carried_out(relay: Relay, operation: str = "register") -> list[Envelope]:
    """Work the operation's queue."""
    event = relay.stack.receive(operation)
    services = relay.stack.services(operation, crm=lambda connection: relay.crm)
    assert consume(event, Context(30), operation, services) == {"batchItemFailures": []}
    for record in event["Records"]:
        services.sqs.delete_message(QueueUrl=services.settings.queue(operation), ReceiptHandle=record["receiptHandle"])
    return [Envelope.from_json(record["body"]) for record in event["Records"]]


def test_a_forced_event_undoes_what_was_changed_at_the_vendor_and_credits_nothing(relay: Relay, tmp_path: Path) -> None:
    delivered(relay)
    (member,) = relay.crm.members.values()
    credited = len(member.credits)
    member.fields["first_name"] = "changed at the vendor"
    file = body(tmp_path)
    assert run(relay, DELIVERY, "--file", file, "--wait", "0").exit_code == 0
    carried_out(relay)
    assert member.fields["first_name"] == "changed at the vendor"
    result = run(relay, DELIVERY, "--file", file, "--force", "--wait", "0", "--json")
    (sent,) = carried_out(relay)
    assert json.loads(result.stdout)["delivery_id"] == sent.delivery_id
    assert member.fields["first_name"] == "Ana"
    assert (credited, len(member.credits)) == (1, 1)


def test_an_event_that_is_sent_again_has_no_credits(relay: Relay, tmp_path: Path) -> None:
    delivered(relay)
    for force in ([], ["--force"]):
        run(relay, DELIVERY, "--file", body(tmp_path), "--wait", "0", *force)
    commands = [Envelope.from_json(message["Body"]).command for message in relay.stack.messages("register")]
    assert [isinstance(c, CustomerCommand) and bool(c.credits) for c in commands] == [False, False]


def test_a_newer_state_is_not_overwritten(relay: Relay, tmp_path: Path) -> None:
    delivered(relay)
    relay.run(customer({"first_name": "Eva"}, "2999", source_id="7012345678901"))
    run(relay, DELIVERY, "--file", body(tmp_path), "--force", "--wait", "0")
    carried_out(relay)
    (member,) = relay.crm.members.values()
    assert member.fields["first_name"] == "Eva"


def test_the_body_must_be_of_the_deliverys_customer(relay: Relay, tmp_path: Path) -> None:
    delivered(relay)
    file = body(tmp_path, id=8, admin_graphql_api_id="gid://shopify/Customer/8", email="eva@example.com")
    result = run(relay, DELIVERY, "--file", file, "--force")
    assert result.exit_code == 1
    assert "another customer" in result.stderr
    assert relay.stack.receive("register")["Records"] == []


def test_without_a_body_it_names_who_has_one(relay: Relay) -> None:
    delivered(relay)
    result = run(relay, DELIVERY)
    assert result.exit_code == 1
    assert "--file" in result.stderr


def test_an_api_call_is_repeated_by_its_caller(relay: Relay) -> None:
    relay.run(relay.envelope(customer(), source="api", delivery_id=DELIVERY))
    result = run(relay, DELIVERY)
    assert result.exit_code == 1
    assert '"force": true' in result.stderr


def test_an_unknown_delivery_is_an_error(relay: Relay) -> None:
    assert run(relay, "nosuch").exit_code == 1


def test_what_is_parked_is_redriven_as_it_is(relay: Relay) -> None:
    relay.crm.before = [VendorRejected("no", code="8014")]
    envelope = relay.envelope(customer(), delivery_id=DELIVERY)
    relay.stack.client("sqs").send_message(
        QueueUrl=relay.stack.environment["RELAY_QUEUE_UPDATE"],
        MessageBody=envelope.to_json(),
        MessageGroupId="shop-1",
    )
    carried_out(relay, "update")
    result = run(relay, DELIVERY, "--json")
    assert json.loads(result.stdout) == {"redriven": [f"{DELIVERY}.0"]}
    (sent,) = carried_out(relay, "update")
    assert sent == envelope.redriven()
    assert len(relay.crm.members) == 1


@pytest.mark.parametrize("store", [None, "other.myshopify.com"])
def test_the_delivery_is_of_a_store_of_the_connection(relay: Relay, tmp_path: Path, store: str | None) -> None:
    delivered(relay)
    source = {
        "platform": "shopify",
        "stores": ["one.myshopify.com", "other.myshopify.com"],
        "secrets": [{"value": "x"}],
    }
    relay.stack.put_connection("shop-1", {**CONNECTION, "source": source})
    arguments = ["--store", store] if store else []
    result = run(relay, DELIVERY, "--file", body(tmp_path), "--force", "--wait", "0", *arguments)
    if store is None:
        assert "--store" in result.stderr
    else:
        assert carried_out(relay)[0].command.store == store
