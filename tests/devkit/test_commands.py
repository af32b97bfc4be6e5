"""The commands as a person types them: what they print, what --json is, and how they fail."""

from __future__ import annotations

import base64
import dataclasses
import errno
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from devkit.samples.fixtures import load
from devkit.stacks.stack import OUTPUTS
from tests.devkit.conftest import Relay

SAMPLE = Path(__file__).parents[2] / "events" / "connections" / "shopify-capillary.json"


def test_applying_a_connection_reports_what_happened_and_where_the_source_delivers_to(relay: Relay) -> None:
    first = relay.json("connections", "apply", str(SAMPLE))
    again = relay.json("connections", "apply", str(SAMPLE))

    assert first == {
        "connection": "shopify-capillary",
        "action": "created",
        "changed": [],
        "woken": 0,
        "webhook_url": "https://relay.example.com/webhooks/shopify-capillary",
    }
    assert again["action"] == "unchanged"


def selling(tmp_path: Path, **changes: Any) -> str:
    """A file of a connection that records sales; ``changes``: of ``sales``."""
    data = json.loads(SAMPLE.read_text())
    data.pop("id", None)
    data["destination"] |= changes.pop("destination", {})
    data["sales"] = {"enabled": True, **changes}
    file = tmp_path / "selling.json"
    file.write_text(json.dumps(data))
    return str(file)


def test_a_second_connection_whose_orders_would_get_the_same_bill_numbers_is_refused(
    relay: Relay, tmp_path: Path
) -> None:
    file = selling(tmp_path)
    assert relay("connections", "apply", file, "--id", "one").exit_code == 0
    assert relay("connections", "apply", file, "--id", "one").exit_code == 0
    refused = relay("connections", "apply", file, "--id", "two")
    assert refused.exit_code == 1
    assert "connection one has shops of the same names" in refused.stderr
    assert "sales.shop_key" in refused.stderr
    assert relay("connections", "apply", selling(tmp_path, shop_key="b"), "--id", "two").exit_code == 0
    assert relay("connections", "apply", selling(tmp_path, enabled=False), "--id", "three").exit_code == 0


def test_equal_shops_at_the_same_host_may_be_of_two_organisations_which_is_a_note(relay: Relay, tmp_path: Path) -> None:
    relay("connections", "apply", selling(tmp_path), "--id", "one")
    credentials = {"type": "basic", "username": "other.till01", "password": "fake-password"}
    file = selling(tmp_path, destination={"credentials": credentials})
    accepted = relay("connections", "apply", file, "--id", "two")
    assert accepted.exit_code == 0
    assert "if both are of one organisation" in accepted.stderr


def test_a_dry_run_checks_and_stores_nothing(relay: Relay) -> None:
    assert relay.json("connections", "apply", str(SAMPLE), "--dry-run")["action"] == "valid"
    assert relay.json("connections", "list") == []


def test_a_connection_may_come_from_standard_input(relay: Relay) -> None:
    result = relay("connections", "apply", "-", "--id", "shop-gb", stdin=SAMPLE.read_text())

    assert result.exit_code == 0
    assert [row["id"] for row in relay.json("connections", "list")] == ["shop-gb"]


def test_a_wrong_file_names_each_field_and_fails(relay: Relay, tmp_path: Path) -> None:
    data = json.loads(SAMPLE.read_text())
    data["destination"]["region"] = "mars"
    data["destination"]["credentials"] = {"type": "basic", "username": "demo.till01"}
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(data))

    shown = relay("connections", "apply", str(file))
    as_json = relay("connections", "apply", str(file), "--json")

    assert shown.exit_code == as_json.exit_code == 1
    assert "destination.region must be one of" in shown.stderr
    details = json.loads(as_json.stderr)["error"]["details"]
    assert {d["field"] for d in details} == {"destination.region", "destination.credentials.password"}
    assert as_json.stdout == ""
    assert relay.json("connections", "list") == []


def test_showing_a_connection_hides_what_authenticates(relay: Relay) -> None:
    relay("connections", "apply", str(SAMPLE))

    shown = relay("connections", "show", "shopify-capillary")
    as_json = relay.json("connections", "show", "shopify-capillary")

    for text in (shown.stdout, json.dumps(as_json)):
        assert "demo.till01" in text
        assert "fake-till-password" not in text
        assert "fake-shopify-client-secret" not in text


def test_a_stored_connection_that_is_not_valid_is_listed_as_such(relay: Relay) -> None:
    boto3.client("secretsmanager").create_secret(Name="relay-test/connections/broken", SecretString='{"source": {}}')

    rows = relay.json("connections", "list")

    assert rows[0]["id"] == "broken"
    assert rows[0]["state"].startswith("not valid: ")
    assert "source.platform" in rows[0]["state"]


def test_a_key_is_printed_once_and_can_be_revoked(relay: Relay) -> None:
    relay("connections", "apply", str(SAMPLE))

    made = relay.json("connections", "new-key", "shopify-capillary", "--name", "till")
    stored = relay.json("connections", "show", "shopify-capillary")["api_keys"]
    twice = relay("connections", "new-key", "shopify-capillary", "--name", "till")
    revoked = relay.json("connections", "revoke-key", "shopify-capillary", "--name", "till")

    assert made["key"].startswith("relay_")
    assert [key["id"] for key in stored] == ["sample", "till"]
    assert made["key"] not in json.dumps(stored)
    assert twice.exit_code == 1
    assert "revoked" in revoked["done"]
    remaining = relay.json("connections", "show", "shopify-capillary")["api_keys"]
    assert [key["id"] for key in remaining] == ["sample"]


def test_a_new_webhook_secret_is_kept_beside_the_old_one(relay: Relay) -> None:
    relay("connections", "apply", str(SAMPLE))

    relay.json("connections", "rotate", "shopify-capillary", "--secret", "fake-next-secret", "--overlap", "12")
    headers = relay.json("sign", "shopify", "customers/create", "--connection", "shopify-capillary")
    expected = relay.json("sign", "shopify", "customers/create", "--secret", "fake-next-secret")

    secrets = relay.json("connections", "show", "shopify-capillary")["source"]["secrets"]
    assert [set(secret) for secret in secrets] == [{"value"}, {"value", "not_after"}]
    assert headers["X-Shopify-Hmac-Sha256"] == expected["X-Shopify-Hmac-Sha256"]


def test_a_webhook_secret_is_revoked_if_another_one_is_left(relay: Relay) -> None:
    relay("connections", "apply", str(SAMPLE))
    relay.json("connections", "rotate", "shopify-capillary", "--secret", "fake-next-secret")
    unknown = relay("connections", "revoke-secret", "shopify-capillary", "--secret", "fake-unknown", "--json")
    for _ in range(2):
        assert "within a minute" in relay.json("connections", "revoke-secret", "shopify-capillary")["done"]
    only = relay("connections", "revoke-secret", "shopify-capillary", "--secret", "fake-next-secret", "--json")
    new, old = relay.json("connections", "show", "shopify-capillary")["source"]["secrets"]

    assert new.keys() == {"value"}
    assert datetime.fromisoformat(old["not_after"]) < datetime.now(UTC)
    assert (unknown.exit_code, only.exit_code) == (1, 1)
    assert "no such secret" in json.loads(unknown.stderr)["error"]["what"]
    assert "rotate" in json.loads(only.stderr)["error"]["do"]


def test_without_a_stack_a_command_fails_and_explains_how_to_get_one(relay: Relay) -> None:
    for variable in OUTPUTS:
        relay.env.pop(variable, None)

    result = relay("events", "list", "--json")

    assert result.exit_code == 1
    assert "relay dev" in json.loads(result.stderr)["error"]["do"]


def test_the_catalogue_prints_as_table_json_and_page(relay: Relay) -> None:
    rows = relay.json("catalogue", "shopify")
    page = relay("catalogue", "--markdown").stdout

    assert {"platform": "shopify", "topic": "customers/create", "becomes": "register"}.items() <= rows[0].items()
    assert {row["platform"] for row in rows} == {"shopify"}
    assert "## shopify" in page
    assert "| `customers/create` | register |" in page
    assert "customers/create" in relay("catalogue").stdout


def test_an_unknown_platform_or_topic_names_those_that_exist(relay: Relay) -> None:
    for arguments in (["catalogue", "mars"], ["map", "mars", "x"], ["map", "shopify", "customers/dance"]):
        result = relay(*arguments, "--json")
        assert result.exit_code == 1
        assert json.loads(result.stderr)["error"]["do"].startswith("one of: ")


def test_a_mapping_is_shown_with_coerced_values_and_without_a_stack(relay: Relay, tmp_path: Path) -> None:
    for variable in OUTPUTS:
        relay.env.pop(variable, None)
    data = json.loads(SAMPLE.read_text())
    data["mapping"] = {
        "customers/*": {"custom_fields.shop_note": "note", "extended_fields.city": "default_address.city"}
    }
    file = tmp_path / "mapped.json"
    file.write_text(json.dumps(data))

    result = relay.json(
        "map", "shopify", "customers/create", "--connection", str(file), "--set", "default_address.city=Łódź"
    )

    values = result["results"][0]["values"]
    assert result["results"][0]["operation"] == "register"
    assert values["extended_fields.city"] == "Łódź"
    assert values["custom_fields.shop_note"] == "Prefers the Exampleton shop"
    assert values["identifier mobile"] == "+447700900123"


def test_a_body_that_ingest_would_park_explains_why(relay: Relay, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"note": "no id"}')

    result = relay("map", "shopify", "customers/create", "--file", str(body), "--json")

    assert result.exit_code == 1
    assert "topic_mismatch" in json.loads(result.stderr)["error"]["what"]


def test_the_headers_of_a_signed_body_are_printed_as_headers(relay: Relay, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"foo": "bar"}')

    result = relay("sign", "shopify", "customers/create", "--secret", "test_secret_key", "--file", str(body))

    # Shopify's own published vector for this body and secret.
    assert "X-Shopify-Hmac-Sha256: B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=" in result.stdout.splitlines()


def test_nothing_parked_is_reported_and_is_no_failure(relay: Relay) -> None:
    assert relay.json("parked", "list")["parked"] == []
    nothing = relay.json("redrive", "--all", "--yes")
    assert (nothing["total"], nothing["redriven"], nothing["failed"], nothing["ended"]) == (0, [], [], True)
    assert relay("redrive", "--one", "0199").exit_code == 1


def test_a_redrive_without_a_filter_is_refused(relay: Relay) -> None:
    refused = relay("redrive")
    assert refused.exit_code == 1
    assert "--all" in refused.stderr


def test_a_redrive_of_many_is_confirmed_and_leaves_what_is_ambiguous(relay: Relay) -> None:
    from tests.devkit.test_parked_queues import ENVELOPE

    queue = relay.env["RELAY_PARKED_REGISTER"]
    for number, reason in enumerate(("rejected", "ambiguous")):
        envelope = dataclasses.replace(ENVELOPE, delivery_id=f"0199-{reason}", position=number)
        attributes = {"reason": {"DataType": "String", "StringValue": reason}}
        boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=envelope.to_json(), MessageAttributes=attributes)

    unconfirmed = relay("redrive", "--all")
    only_ambiguous = relay("redrive", "--reason", "ambiguous", "--yes")
    everything = relay.json("redrive", "--all", "--yes")

    assert (unconfirmed.exit_code, "--yes" in unconfirmed.stderr) == (1, True)
    assert (only_ambiguous.exit_code, "--one" in only_ambiguous.stderr) == (1, True)
    assert [p["reason"] for p in everything["redriven"]] == ["rejected"]
    assert [p["reason"] for p in relay.json("parked", "list")["parked"]] == ["ambiguous"]
    one = relay.json("redrive", "--one", "0199-ambiguous")
    assert [p["reason"] for p in one["redriven"]] == ["ambiguous"]


def test_what_is_parked_is_listed_shown_exported_and_redriven(relay: Relay, tmp_path: Path) -> None:
    from tests.devkit.test_parked_queues import ENVELOPE

    sqs = boto3.client("sqs")
    sqs.send_message(
        QueueUrl=relay.env["RELAY_PARKED_REGISTER"],
        MessageBody=ENVELOPE.to_json(),
        MessageAttributes={
            "reason": {"DataType": "String", "StringValue": "rejected"},
            "code": {"DataType": "String", "StringValue": "3217"},
        },
    )
    file = tmp_path / "parked.jsonl"

    listed = relay.json("parked", "list")["parked"]
    shown = relay("parked", "show", "0199-delivery")
    relay.json("parked", "export", "--out", str(file))
    dry = relay.json("redrive", "--reason", "rejected", "--dry-run")
    done = relay.json("redrive", "--reason", "rejected", "--yes")

    assert [(p["id"], p["reason"], p["code"], p["copies"]) for p in listed] == [
        ("0199-delivery.0", "rejected", "3217", 1)
    ]
    assert "Look the vendor code up" in shown.stdout
    assert "Ana" not in shown.stdout
    assert "Ana" in json.loads(file.read_text())["message"]["body"]
    assert file.stat().st_mode & 0o077 == 0
    assert len(dry["redriven"]) == len(done["redriven"]) == 1
    assert relay.json("parked", "list")["parked"] == []
    sent = sqs.receive_message(QueueUrl=relay.env["RELAY_QUEUE_REGISTER"])["Messages"]
    assert json.loads(sent[0]["Body"])["redrives"] == 1


def test_the_catalogues_page_is_up_to_date(relay: Relay) -> None:
    page = Path(__file__).parents[2] / "docs" / "catalogue.md"

    # Else: make docs
    assert page.read_text() == relay("catalogue", "--markdown").stdout


def test_a_dry_run_needs_no_stack(relay: Relay, tmp_path: Path) -> None:
    env = {name: value for name, value in relay.env.items() if not name.startswith(("RELAY_JOURNAL", "AWS_"))}
    alone = Relay({**env, "RELAY_JOURNAL_TABLE": "", "RELAY_SANDBOX_URL": ""})
    del alone.env["RELAY_SANDBOX_URL"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(SAMPLE.read_text().replace('"region": "eu"', '"region": "mars"'))

    assert alone.json("connections", "apply", str(SAMPLE), "--dry-run")["action"] == "valid"
    assert "destination.region" in alone("connections", "apply", str(wrong), "--dry-run").stderr
    assert "no stack to talk to" in alone("connections", "apply", str(SAMPLE)).stderr


def test_a_mapping_is_tried_only_with_a_connection_that_could_be_applied(relay: Relay, tmp_path: Path) -> None:
    data = json.loads(SAMPLE.read_text())
    data["mapping"] = {"custmers/*": {"first_nam": "first_name"}}
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(data))

    applied = relay("connections", "apply", str(file))
    mapped = relay("map", "shopify", "customers/create", "--connection", str(file))
    other = relay("map", "square", "customer.created", "--connection", str(SAMPLE))

    assert applied.exit_code == mapped.exit_code == other.exit_code == 1
    for text in (applied.stderr, mapped.stderr):
        assert "(did you mean customers/*?)" in text
        assert "(did you mean first_name?)" in text
    assert "is of shopify, not of square" in other.stderr


def test_a_file_may_have_comments_and_name_its_schema(relay: Relay, tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text("// my shop\n" + SAMPLE.read_text().replace("{", '{\n  // its schema\n  "$schema": "x",', 1))

    assert relay.json("connections", "apply", str(file))["action"] == "created"
    file.write_text("// my shop\n{\n  // here:\n  oops\n}")
    assert "line 4" in relay("connections", "apply", str(file)).stderr


def park_raw(relay: Relay, body: bytes) -> None:
    message = {
        "schema": 1,
        "kind": "delivery",
        "source": "shopify",
        "detail": "a field is wrong",
        "topic": None,
        "headers": {"x-shopify-topic": "customers/create"},
        "body": base64.b64encode(zlib.compress(body)).decode(),
    }
    words = {"reason": "bad_field", "connection": "shopify-capillary", "delivery_id": "0199-a"}
    boto3.client("sqs").send_message(
        QueueUrl=relay.env["RELAY_PARKED_INGEST"],
        MessageBody=json.dumps(message),
        MessageAttributes={k: {"DataType": "String", "StringValue": v} for k, v in words.items()},
    )


def test_the_body_of_a_raw_delivery_can_be_piped_into_map(relay: Relay) -> None:
    sample = load("shopify", "customers/create").changed(None, ["first_name=Ana"])
    park_raw(relay, sample.body)

    shown = relay("parked", "show", "0199-a")
    body = relay("parked", "show", "0199-a", "--body")
    mapped = relay("map", "shopify", "customers/create", "--file", "-", stdin=body.stdout)

    assert "a field is wrong" in shown.stdout
    assert "customers/create" in shown.stdout
    assert body.stdout.encode() == sample.body + b"\n"
    assert "bad_field" in body.stderr
    assert mapped.exit_code == 0, mapped.stderr
    assert "Ana" in mapped.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("events", "list", "--connection", "shopify-capilary"), "(did you mean shopify-capillary?)"),
        (("events", "list", "--customer", ""), "no customer is given"),
        (("parked", "list", "--connection", "nope"), "there is no connection nope"),
        (("parked", "list", "--reason", "rejectd"), "(did you mean rejected?)"),
    ],
)
def test_a_filter_that_can_match_nothing_is_an_error(relay: Relay, command: tuple[str, ...], message: str) -> None:
    relay("connections", "apply", str(SAMPLE))

    result = relay(*command)

    assert result.exit_code == 1
    assert message in result.stderr


def test_a_known_filter_may_find_nothing(relay: Relay) -> None:
    relay("connections", "apply", str(SAMPLE))

    assert relay.json("parked", "list", "--connection", "shopify-capillary", "--reason", "rejected")["count"] == 0


def test_a_deleted_connection_can_be_applied_again(relay: Relay) -> None:
    relay("connections", "apply", str(SAMPLE))

    unconfirmed = relay("connections", "delete", "shopify-capillary")
    deleted = relay.json("connections", "delete", "shopify-capillary", "--yes")
    gone = relay("connections", "show", "shopify-capillary")
    again = relay.json("connections", "apply", str(SAMPLE))

    assert unconfirmed.exit_code == gone.exit_code == 1
    assert "--yes" in unconfirmed.stderr
    assert "within a minute" in deleted["done"]
    assert again["action"] == "created"
    assert relay.json("connections", "show", "shopify-capillary")["destination"]["vendor"] == "capillary"


def test_a_file_that_cannot_be_written_is_an_error_without_a_traceback(relay: Relay, tmp_path: Path) -> None:
    for command in (("parked", "export", "--out"), ("openapi", "--output")):
        result = relay(*command, str(tmp_path / "missing" / "file"))
        assert result.exit_code == 1
        assert "cannot write the file: no such file or directory" in result.stderr


def test_a_checkout_that_may_not_be_written_to_is_an_error_without_a_traceback(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/checkout/.local/layer/lock")

    monkeypatch.setattr("devkit.localstack.LocalStack.start", refuse)

    result = relay("dev", "--port", "0", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"] == {
        "what": "a file cannot be used: read-only file system",
        "where": "/checkout/.local/layer/lock",
        "do": "take a checkout that may be written to; RELAY_LOCAL_STATE names another state file",
    }


def test_a_port_that_does_not_exist_is_a_usage_error(relay: Relay) -> None:
    result = relay("dev", "--port", "99999")

    assert result.exit_code == 2
    assert "65535" in result.stderr


def test_a_connection_file_is_begun_with_init_and_never_overwritten(relay: Relay, tmp_path: Path) -> None:
    file = tmp_path / "shop.json"

    made = relay.json("connections", "init", "shopify", "kangaroo", "--credentials", "token", "--out", str(file))
    again = relay("connections", "init", "shopify", "kangaroo", "--out", str(file))
    vendor = relay("connections", "init", "shopify", "kangroo")
    grant = relay("connections", "init", "shopify", "kangaroo", "--credentials", "passwort")

    assert made == {"file": str(file)}
    assert '"access_token": "${DESTINATION_ACCESS_TOKEN}"' in file.read_text()
    assert "file exists" in again.stderr
    assert "(did you mean kangaroo?)" in vendor.stderr
    assert "(did you mean password?)" in grant.stderr
