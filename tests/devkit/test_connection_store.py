"""Connections as secrets: files with placeholders, redaction, keys, rotation, and what is stored."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from devkit.stacks.connection_store import (
    HIDDEN,
    ConnectionStore,
    changes,
    new_key,
    read_file,
    redacted,
    rotated,
    without_key,
)
from devkit.stacks.errors import CommandError
from loyalty_relay.connections.model import Connection
from loyalty_relay.connections.parse import parse_connection

CONNECTION: dict[str, Any] = {
    "source": {
        "platform": "shopify",
        "stores": ["demo-store.myshopify.com"],
        "secrets": [{"value": "fake-webhook-secret"}],
        "options": {"bearer_token": "fake-bearer"},
    },
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
    "default_country": "GB",
}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectionStore]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        yield ConnectionStore(client, "relay-test", frozenset())


def plain() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(CONNECTION))
    del data["source"]["options"]
    return data


def test_a_connection_is_created_then_unchanged_then_changed_by_path(store: ConnectionStore) -> None:
    data = plain()

    assert store.write("shop-gb", data) == ("created", [])
    assert store.write("shop-gb", data) == ("unchanged", [])
    data["destination"]["region"] = "us"
    assert store.write("shop-gb", data) == ("changed", ["destination.region"])
    assert store.ids() == ["shop-gb"]
    assert store.raw("shop-gb")["destination"]["region"] == "us"


def test_the_connection_before_a_change_stays_readable_as_the_previous_version(store: ConnectionStore) -> None:
    data = plain()
    store.write("shop-gb", data)
    store.write("shop-gb", rotated(data, "fake-second-secret", now=NOW, overlap_hours=24))

    answer = store._client.get_secret_value(SecretId=store.name("shop-gb"), VersionStage="AWSPREVIOUS")

    assert json.loads(answer["SecretString"])["source"]["secrets"] == [{"value": "fake-webhook-secret"}]


def test_other_secrets_of_the_stack_are_not_connections(store: ConnectionStore) -> None:
    store.write("shop-gb", plain())
    store._client.create_secret(Name="relay-test/tokens/abc", SecretString="{}")
    store._client.create_secret(Name="another/connections/shop-fr", SecretString="{}")

    assert store.ids() == ["shop-gb"]


def test_a_connection_that_is_missing_is_an_error_that_names_the_secret_and_what_there_is(
    store: ConnectionStore,
) -> None:
    store.write("shop-gb", plain())

    with pytest.raises(CommandError) as caught:
        store.raw("shop-fr")

    assert caught.value.where == "secret relay-test/connections/shop-fr"
    assert "shop-gb" in caught.value.do


def test_an_id_that_no_url_could_carry_is_refused(store: ConnectionStore) -> None:
    with pytest.raises(CommandError, match="cannot be a connection's id"):
        store.write("../tokens/x", plain())


def test_a_connection_that_is_not_valid_names_every_wrong_field(store: ConnectionStore) -> None:
    data = plain()
    data["destination"]["region"] = "mars"
    data["source"]["stores"] = "demo-store.myshopify.com"
    data["colour"] = "red"

    with pytest.raises(CommandError) as caught:
        store.parse("shop-gb", data)

    assert {detail["field"] for detail in caught.value.details} == {"destination.region", "source.stores", "colour"}


def test_what_only_the_platform_and_the_mapping_can_find_is_checked_too(store: ConnectionStore) -> None:
    data = plain()
    data["source"]["stores"] = ["https://demo-store.example.com"]
    data["mapping"] = {"customers/*": {"custom_fields.note": "note.[", "birthday_cake": "note"}}

    with pytest.raises(CommandError) as caught:
        store.parse("shop-gb", data)

    named = " ".join(detail["field"] for detail in caught.value.details)
    assert "source.stores" in named
    assert "custom_fields.note" in named
    assert "birthday_cake" in named


def test_a_sandbox_host_is_allowed_only_where_the_stack_allows_it(store: ConnectionStore) -> None:
    data = plain()
    data["destination"]["host"] = "http://127.0.0.1:8400/capillary"

    with pytest.raises(CommandError) as caught:
        store.parse("shop-gb", data)
    allowed = ConnectionStore(store._client, "relay-test", frozenset({"127.0.0.1:8400"})).parse("shop-gb", data)

    assert [detail["field"] for detail in caught.value.details] == ["destination.host"]
    assert isinstance(allowed, Connection)


def test_placeholders_are_filled_and_the_id_is_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "shop-gb.json"
    file.write_text('{"source": {"secrets": [{"value": "${SHOP_SECRET}"}]}, "destination": {"host": "${HOST}/x"}}')

    found = read_file(file, id=None, variables={"SHOP_SECRET": "fake-secret", "HOST": "http://127.0.0.1:1"})

    assert found.id == "shop-gb"
    assert found.data["source"]["secrets"] == [{"value": "fake-secret"}]
    assert found.data["destination"]["host"] == "http://127.0.0.1:1/x"


def test_an_id_in_the_file_is_not_part_of_the_connection_and_one_that_is_given_goes_first(tmp_path: Path) -> None:
    file = tmp_path / "shop-gb.json"
    file.write_text('{"id": "shop-fr", "source": {}}')

    assert read_file(file, id=None, variables={}).id == "shop-fr"
    assert read_file(file, id="shop-de", variables={}) == read_file(file, id="shop-de", variables={})
    assert read_file(file, id="shop-de", variables={}).data == {"source": {}}


def test_a_placeholder_that_nothing_fills_names_its_field(tmp_path: Path) -> None:
    file = tmp_path / "shop-gb.json"
    file.write_text('{"source": {"secrets": [{"value": "${SHOP_SECRET}"}]}}')

    with pytest.raises(CommandError) as caught:
        read_file(file, id=None, variables={})

    assert caught.value.details == [
        {"field": "source.secrets.0.value", "message": "names ${SHOP_SECRET}, which is not set"}
    ]


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "not a JSON object")])
def test_a_file_that_holds_no_object_is_an_error_with_its_path(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "shop-gb.json"
    file.write_text(text)

    with pytest.raises(CommandError, match=message) as caught:
        read_file(file, id=None, variables={})

    assert caught.value.where == str(file)


def test_whatever_authenticates_is_hidden_and_what_identifies_is_shown() -> None:
    data, key = new_key(json.loads(json.dumps(CONNECTION)), "till")
    data["source"]["api_credentials"] = {"access_token": "fake-access-token"}

    shown = redacted(data)

    assert shown["source"]["secrets"] == [{"value": HIDDEN}]
    assert shown["source"]["api_credentials"] == {"access_token": HIDDEN}
    assert shown["source"]["options"] == {"bearer_token": HIDDEN}
    assert shown["destination"]["credentials"] == {"type": "basic", "username": "demo.till01", "password": HIDDEN}
    text = json.dumps(shown)
    full = hashlib.sha256(key.encode()).hexdigest()
    assert not [s for s in ("fake-webhook", "fake-till", "fake-access", "fake-bearer", key, full) if s in text]
    assert data["source"]["secrets"] == [{"value": "fake-webhook-secret"}]


def test_an_api_key_is_stored_as_its_sha256_only(store: ConnectionStore) -> None:
    data, key = new_key(plain(), "till")

    store.write("shop-gb", data)
    stored = store.read("shop-gb").api_keys

    assert [k.id for k in stored] == ["till"]
    assert stored[0].sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert key not in json.dumps(store.raw("shop-gb"))


def test_two_keys_never_share_a_name_and_a_revoked_one_is_removed() -> None:
    data, _ = new_key(plain(), "till")

    with pytest.raises(CommandError, match="already"):
        new_key(data, "till")
    assert without_key(data, "till")["api_keys"] == []
    with pytest.raises(CommandError, match="no key named app") as caught:
        without_key(data, "app")
    assert "till" in caught.value.do


def test_rotation_keeps_the_secret_before_for_the_overlap_and_drops_those_that_ended() -> None:
    data = plain()
    data["source"]["secrets"].append({"value": "fake-ended", "not_after": "2026-02-01T00:00:00+00:00"})

    after = rotated(data, "fake-new-secret", now=NOW, overlap_hours=48)

    assert after["source"]["secrets"] == [
        {"value": "fake-new-secret"},
        {"value": "fake-webhook-secret", "not_after": "2026-03-03T12:00:00+00:00"},
    ]
    live = parse_connection("shop-gb", after).source.secrets
    assert [s.live(NOW + 47 * 3600) for s in live] == [True, True]
    assert [s.live(NOW + 49 * 3600) for s in live] == [True, False]


def test_a_second_rotation_does_not_lengthen_the_first_ones_overlap() -> None:
    once = rotated(plain(), "fake-second", now=NOW, overlap_hours=10)
    twice = rotated(once, "fake-third", now=NOW + 3600, overlap_hours=48)

    ends = {s["value"]: s.get("not_after") for s in twice["source"]["secrets"]}

    assert ends["fake-webhook-secret"] == "2026-03-01T22:00:00+00:00"
    assert ends["fake-second"] == "2026-03-03T13:00:00+00:00"
    assert ends["fake-third"] is None


def test_changes_name_paths_and_no_values() -> None:
    before = plain()
    after = plain()
    after["destination"]["credentials"]["password"] = "fake-other-password"
    del after["default_country"]

    assert list(changes(before, after)) == ["default_country", "destination.credentials.password"]


def test_a_second_change_within_a_day_keeps_the_secret_that_the_first_one_replaced(store: ConnectionStore) -> None:
    first, second, third = plain(), plain(), plain()
    second["source"]["secrets"] = [{"value": "fake-next-secret"}]
    third["source"]["secrets"] = [{"value": "fake-next-secret"}]
    third["default_country"] = "FR"
    for data in (first, second, third):
        store.write("shop", data)
    secrets = store.read("shop").source.secrets
    assert [secret.value for secret in secrets] == ["fake-next-secret", "fake-webhook-secret"]
    assert secrets[0].not_after is None
    assert secrets[1].not_after is not None


def test_a_new_secret_is_for_the_topics_of_those_before_it() -> None:
    data = plain()
    data["source"]["secrets"] = [{"value": "fake-webhook-secret", "topics": ["customer.*"]}]
    once = rotated(data, "fake-second", now=NOW, overlap_hours=10)
    assert [secret["topics"] for secret in once["source"]["secrets"]] == [["customer.*"], ["customer.*"]]
    once["source"]["secrets"].append({"value": "fake-third"})
    with pytest.raises(CommandError, match="different topics"):
        rotated(once, "fake-fourth", now=NOW, overlap_hours=10)


def test_the_id_of_an_unsigned_source_is_made_by_the_tool() -> None:
    from typer.testing import CliRunner

    from devkit.cli.connections import app

    made = [CliRunner().invoke(app, ["new-id", "shop"]).output.strip() for _ in range(2)]
    assert all(re.fullmatch(r"shop-[0-9a-f]{32}", text) for text in made), made
    assert made[0] != made[1]
    assert CliRunner().invoke(app, ["new-id", "Shop"]).exit_code != 0
