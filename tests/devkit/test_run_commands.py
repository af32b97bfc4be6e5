"""``relay import`` and ``relay reconcile``: what they refuse and why, what they start, follow, end and report."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from devkit.cli.runs import progress_of
from loyalty_relay.model.commands import AdvanceRun, Envelope
from loyalty_relay.runs.run import Counts, Run
from loyalty_relay.runs.store import Runs
from tests.devkit.conftest import Relay
from tests.support.stack import shared_client
from tests.support.tables import JOURNAL, STATE

SAMPLES = Path(__file__).parents[2] / "events" / "connections"


def apply(relay: Relay, sample: str, name: str = "acme", **members: Any) -> None:
    text = (SAMPLES / f"{sample}.json").read_text().replace("${RELAY_SANDBOX_URL}", "http://127.0.0.1:8400")
    document = json.loads(text) | members
    secret = f"{relay.env['RELAY_SECRETS_PREFIX']}/connections/{name}"
    shared_client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps(document))


def runs() -> Runs:
    return Runs(shared_client("dynamodb"), STATE, JOURNAL, clock=time.time)


def queued(relay: Relay) -> list[Envelope]:
    found = shared_client("sqs").receive_message(QueueUrl=relay.env["RELAY_QUEUE_IMPORT_RUN"], MaxNumberOfMessages=10)
    return [Envelope.from_json(message["Body"]) for message in found.get("Messages", [])]


def ended(**more: Any) -> Run:
    run = Run(id="0199", connection="acme", kind="import", started_at=1_790_000_000.0, status="done")
    return replace(run, **more)


def test_an_import_starts_a_run_and_its_message(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    shown = relay.json("import", "acme", "--welcome", "--no-watch", "--limit", "7", "--since", "2026-01-31")
    assert (shown["status"], shown["limit"], shown["since"]) == ("running", 7, "2026-01-31T00:00:00.000000Z")
    (message,) = queued(relay)
    assert message.command == AdvanceRun(run=shown["id"])
    assert (message.connection, message.delivery_id) == ("acme", shown["id"])


def test_an_import_that_may_greet_thousands_has_to_be_accepted(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    result = relay("import", "acme")
    assert result.exit_code == 1
    assert "welcome message" in result.stderr
    assert "--welcome" in result.stderr
    assert queued(relay) == []
    assert relay("import", "acme", "--dry-run", "--no-watch").exit_code == 0


def test_an_import_that_registers_no_customer_needs_no_acceptance(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo", register_missing=False)
    assert relay("import", "acme", "--no-watch").exit_code == 0


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("standard-capillary", "cannot be listed"),
        ("shopify-capillary", "api_credentials"),
        ("none", "no connection"),
    ],
)
def test_a_shop_that_cannot_be_read_is_refused_with_what_to_do(relay: Relay, sample: str, words: str) -> None:
    if sample != "none":
        apply(relay, sample)
    for command in ("import", "reconcile"):
        result = relay(command, "acme", "--no-watch")
        assert result.exit_code == 1
        assert words in result.stderr
        assert "do:" in result.stderr


def test_since_is_refused_where_the_platform_lists_no_changes(relay: Relay) -> None:
    apply(relay, "clover-kangaroo")
    result = relay("import", "acme", "--welcome", "--since", "1d")
    assert result.exit_code == 1
    assert "--since" in result.stderr


def test_a_second_run_is_refused_until_the_first_one_is_cancelled(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    first = relay.json("import", "acme", "--welcome", "--no-watch")
    refused = relay("reconcile", "acme", "--no-watch")
    assert refused.exit_code == 1
    assert "--resume" in refused.stderr
    cancelled = relay("import", "acme", "--cancel", "--json")
    assert cancelled.exit_code == 1
    assert json.loads(cancelled.stdout)["status"] == "cancelled"
    assert relay.json("reconcile", "acme", "--no-watch")["id"] != first["id"]


def test_resuming_carries_a_lost_run_on_with_a_new_generation(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    run = relay.json("import", "acme", "--welcome", "--no-watch")
    queued(relay)
    assert relay.json("import", "acme", "--resume", "--no-watch")["generation"] == 1
    (message,) = queued(relay)
    assert message.command == AdvanceRun(run=run["id"], generation=1)


def test_there_is_nothing_to_resume_without_a_run(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    result = relay("import", "acme", "--resume")
    assert result.exit_code == 1
    assert "no run" in result.stderr


def test_a_reconciliation_begins_an_hour_before_the_last_proof(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    runs().report(ended(proof=Counts(read=1, equal=1)))
    runs().report(ended(id="later", started_at=1_790_100_000.0, proof=Counts(read=2, equal=1, missing=1)))
    assert relay.json("reconcile", "acme", "--no-watch")["since"] == "2026-09-21T13:13:20.000000Z"
    relay("import", "acme", "--cancel")
    assert relay.json("reconcile", "acme", "--all", "--no-watch")["since"] == ""


def test_reports_are_listed_newest_first(relay: Relay) -> None:
    apply(relay, "bigcommerce-kangaroo")
    assert "no run has ended" in relay("reconcile", "acme", "--report").stderr
    runs().report(ended())
    runs().report(ended(id="later", started_at=1_790_100_000.0, proof=Counts(read=2, equal=1, missing=1)))
    assert [run["id"] for run in relay.json("reconcile", "acme", "--report")] == ["later", "0199"]
    assert [run["proven"] for run in relay.json("reconcile", "acme", "--report")] == [False, True]
    assert "missing" in relay("reconcile", "acme", "--report").stdout


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (ended(status="running", total=600, sent=100, first=Counts(read=200, equal=100, missing=100)), "about 3 min"),
        (ended(status="running", phase="prove", proof=Counts(read=5, equal=4, pending=1)), "1 on their way"),
        (ended(status="running", note="credentials"), "waiting: credentials"),
        (ended(status="running"), "0 read"),
    ],
)
def test_progress_is_one_line_with_the_time_that_the_vendor_takes(run: Run, words: str) -> None:
    assert words in progress_of(run, 100.0)


@pytest.fixture
def scheduler(relay: Relay) -> Any:
    client = boto3.client("scheduler", region_name="us-east-1")
    client.create_schedule_group(Name=relay.env["RELAY_RECONCILIATION_GROUP"])
    return client


def test_a_schedule_sends_the_message_that_begins_a_reconciliation(relay: Relay, scheduler: Any) -> None:
    apply(relay, "bigcommerce-kangaroo")
    assert relay.json("reconcile", "acme", "--every", "1d") == {"connection": "acme", "every": "1 day"}
    assert relay.json("reconcile", "acme", "--every", "12h")["every"] == "12 hours"
    kept = scheduler.get_schedule(Name="acme", GroupName=relay.env["RELAY_RECONCILIATION_GROUP"])
    assert kept["ScheduleExpression"] == "rate(12 hours)"
    assert kept["Target"]["RoleArn"] == relay.env["RELAY_RECONCILIATION_ROLE"]
    assert kept["Target"]["Arn"].endswith(relay.env["RELAY_QUEUE_IMPORT_RUN"].rpartition("/")[2])
    message = Envelope.from_json(kept["Target"]["Input"])
    url = "https://relay.example.com/webhooks/acme"
    assert (message.connection, message.command) == ("acme", AdvanceRun(run="", begins=True, webhook_url=url))
    assert queued(relay) == []


def test_a_schedule_ends_with_off_once_and_again(relay: Relay, scheduler: Any) -> None:
    apply(relay, "bigcommerce-kangaroo")
    relay.json("reconcile", "acme", "--every", "7d")
    for _ in range(2):
        assert relay.json("reconcile", "acme", "--every", "off")["every"] == ""
    assert scheduler.list_schedules()["Schedules"] == []


@pytest.mark.parametrize("every", ["0d", "1w", "5m", "daily", "1000d"])
def test_an_interval_that_is_none_is_refused(relay: Relay, every: str) -> None:
    apply(relay, "bigcommerce-kangaroo")
    result = relay("reconcile", "acme", "--every", every)
    assert result.exit_code == 1
    assert "12h" in result.stderr
