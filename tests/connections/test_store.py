from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from loyalty_relay.connections.revocations import Revocations
from loyalty_relay.connections.store import LOOK_SECONDS, ConnectionStore
from loyalty_relay.model.errors import ConnectionInvalid, StoreUnavailable, UnknownConnection
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.storage import aws
from loyalty_relay.storage.digests import digest_key
from loyalty_relay.storage.table import Table
from tests.support.stack import aws_client
from tests.support.tables import STATE, Clock, Counted

DOCUMENT: dict[str, Any] = {
    "source": {"platform": "shopify", "stores": ["demo.myshopify.com"], "secrets": [{"value": "fake-webhook-secret"}]},
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "INSTORE",
        "credentials": {"type": "basic", "username": "fake.till", "password": "fake-till-password"},
    },
}


class Stage:
    """Secrets Manager with connections in it, and the store that reads them."""

    def __init__(self, secrets: Counted) -> None:
        self.secrets = secrets
        import time

        # Secrets Manager stamps versions with the real time.
        self.clock = Clock(time.time())
        self.connections = ConnectionStore(secrets, "relay", frozenset(), self.clock)

    def apply(self, id: str, *secrets: str, text: str | None = None) -> None:
        document = DOCUMENT | {"source": DOCUMENT["source"] | {"secrets": [{"value": s} for s in secrets]}}
        body = json.dumps(document) if text is None else text
        name = f"relay/connections/{id}"
        known = {s["Name"] for s in self.secrets.client.list_secrets()["SecretList"]}
        if name in known:
            self.secrets.client.put_secret_value(SecretId=name, SecretString=body)
        else:
            self.secrets.client.create_secret(Name=name, SecretString=body)

    def secret_of(self, id: str) -> str:
        return self.connections.get(id).source.secrets[0].value


@dataclass
class Marker:
    """The marker of the last revocation."""

    token: str | None = None
    fails: bool = False
    looks: int = 0

    def latest(self) -> str | None:
        self.looks += 1
        if self.fails:
            raise StoreUnavailable
        return self.token


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Stage(Counted(aws_client("secretsmanager")))


def test_a_connection_is_read_once_in_five_minutes(stage: Stage) -> None:
    stage.apply("shop", "one")
    for _ in range(3):
        assert stage.secret_of("shop") == "one"
    stage.apply("shop", "two")
    stage.clock.now += 299
    assert stage.secret_of("shop") == "one"
    assert stage.secrets.calls == ["get_secret_value"]
    stage.clock.now += 2
    assert stage.secret_of("shop") == "two"


def test_a_fresh_read_sees_a_change_at_once(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.apply("shop", "two")
    assert stage.connections.get("shop", fresh=True).source.secrets[0].value == "two"
    assert stage.secret_of("shop") == "two"


def test_an_unknown_connection_is_remembered_for_a_minute(stage: Stage) -> None:
    for _ in range(2):
        with pytest.raises(UnknownConnection):
            stage.connections.get("nobody")
    assert stage.secrets.calls == ["get_secret_value"]
    stage.apply("nobody", "one")
    stage.clock.now += 61
    assert stage.secret_of("nobody") == "one"


@pytest.mark.parametrize("id", ["", "UPPER", "a/b", "../x", "-a", "a" * 64, "a b", "a\n", "é"])
def test_an_impossible_id_is_unknown_without_a_request(stage: Stage, id: str) -> None:
    with pytest.raises(UnknownConnection):
        stage.connections.get(id)
    assert stage.secrets.calls == []
    assert not stage.connections.refetch(id)
    assert stage.secrets.calls == []


def test_a_connection_scheduled_for_deletion_is_unknown(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.secrets.client.delete_secret(SecretId="relay/connections/shop")
    stage.clock.now += 301
    with pytest.raises(UnknownConnection):
        stage.connections.get("shop")


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "InternalServiceError", None])
def test_a_connection_that_cannot_be_read_is_unavailable_not_unknown(stage: Stage, code: str | None) -> None:
    stage.apply("shop", "one")
    stage.secrets.fail(code)
    with pytest.raises(StoreUnavailable):
        stage.connections.get("shop")
    stage.secrets.heal()
    assert stage.secret_of("shop") == "one"


def test_an_outdated_connection_is_used_while_secrets_manager_fails(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.apply("shop", "two")
    stage.secrets.fail("ThrottlingException")
    stage.clock.now += 3600
    stage.secrets.reset()
    for _ in range(5):
        assert stage.secret_of("shop") == "one"
    assert len(stage.secrets.calls) == 1
    with pytest.raises(StoreUnavailable):
        stage.connections.get("shop", fresh=True)
    stage.secrets.heal()
    stage.clock.now += 6
    assert stage.secret_of("shop") == "two"


@pytest.mark.parametrize("text", ["{not json fake-secret-text", "[]", "{}", ""])
def test_an_invalid_connection_is_reported_for_a_minute_without_its_text(stage: Stage, text: str) -> None:
    stage.apply("shop", text=text or " ")
    for _ in range(2):
        with pytest.raises(ConnectionInvalid) as caught:
            stage.connections.get("shop")
        assert "fake-secret-text" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert stage.secrets.calls == ["get_secret_value"]


def test_the_secrets_before_a_change_stay_valid_for_a_day(stage: Stage) -> None:
    stage.apply("shop", "one", "both")
    stage.apply("shop", "two", "both")
    now = stage.clock.now
    (old,) = stage.connections.previous_webhook_secrets("shop")
    assert old.value == "one"
    assert old.live(now + 23.9 * 3600)
    assert not old.live(now + 24.1 * 3600)
    stage.secrets.reset()
    stage.connections.previous_webhook_secrets("shop")
    assert stage.secrets.calls == []
    stage.clock.now += 24.1 * 3600
    assert stage.connections.previous_webhook_secrets("shop") == ()


def test_a_connection_that_never_changed_has_no_previous_secrets(stage: Stage) -> None:
    stage.apply("shop", "one")
    assert stage.connections.previous_webhook_secrets("shop") == ()
    stage.secrets.reset()
    assert stage.connections.previous_webhook_secrets("shop") == ()
    assert stage.secrets.calls == []


def test_the_previous_secrets_follow_a_second_change(stage: Stage) -> None:
    for secret in ("one", "two"):
        stage.apply("shop", secret)
    assert [s.value for s in stage.connections.previous_webhook_secrets("shop")] == ["one"]
    stage.apply("shop", "three")
    stage.connections.refetch("shop")
    assert [s.value for s in stage.connections.previous_webhook_secrets("shop")] == ["two"]


def test_previous_secrets_that_cannot_be_read_are_unavailable_rather_than_none(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.apply("shop", "two")
    stage.connections.get("shop")
    stage.secrets.fail("ThrottlingException")
    with pytest.raises(StoreUnavailable):
        stage.connections.previous_webhook_secrets("shop")


def test_an_invalid_previous_version_has_no_secrets(stage: Stage) -> None:
    stage.apply("shop", text="{}")
    stage.apply("shop", "two")
    assert stage.connections.previous_webhook_secrets("shop") == ()


def test_a_refetch_finds_a_rotated_secret_at_most_once_a_minute(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.apply("shop", "two")
    assert stage.connections.refetch("shop")
    assert stage.secret_of("shop") == "two"
    stage.apply("shop", "three")
    assert not stage.connections.refetch("shop")
    assert stage.secret_of("shop") == "two"
    stage.clock.now += 61
    assert stage.connections.refetch("shop")
    assert stage.secret_of("shop") == "three"
    stage.clock.now += 61
    assert not stage.connections.refetch("shop")


def test_a_secret_that_has_ended_stays_so_after_a_change_of_the_connection(stage: Stage) -> None:
    ended = {"value": "ended", "not_after": "2026-01-01T00:00:00Z"}
    source = DOCUMENT["source"] | {"secrets": [{"value": "one"}, ended]}
    stage.apply("shop", text=json.dumps(DOCUMENT | {"source": source}))
    stage.apply("shop", "two")
    live = {s.value for s in stage.connections.previous_webhook_secrets("shop") if s.live(stage.clock.now)}
    assert live == {"one"}


def test_an_ended_secret_that_is_still_listed_is_not_taken_from_the_version_before(stage: Stage) -> None:
    stage.apply("shop", "one", "two")
    ended = {"value": "one", "not_after": "2026-01-01T00:00:00Z"}
    source = DOCUMENT["source"] | {"secrets": [{"value": "two"}, ended]}
    stage.apply("shop", text=json.dumps(DOCUMENT | {"source": source}))
    assert stage.connections.previous_webhook_secrets("shop") == ()


def test_a_revocation_makes_a_process_read_its_connections_again_within_a_minute(stage: Stage) -> None:
    marker = Marker()
    stage.connections = ConnectionStore(stage.secrets, "relay", frozenset(), stage.clock, marker.latest)
    stage.apply("shop", "one")
    assert stage.secret_of("shop") == "one"
    for number in range(1, 4):
        stage.apply("shop", f"changed-{number}")
        marker.token = f"revocation-{number}"
        stage.clock.now += LOOK_SECONDS
        for _ in range(3):
            stage.connections.forget_revoked()
        assert stage.secret_of("shop") == f"changed-{number}"
        assert marker.looks == number, "one look per period"
    stage.secrets.reset()
    stage.clock.now += LOOK_SECONDS
    stage.connections.forget_revoked()
    stage.secret_of("shop")
    assert stage.secrets.calls == [], "the same revocation counts once"


def test_a_process_starts_without_a_look_for_revocations(stage: Stage) -> None:
    marker = Marker()
    connections = ConnectionStore(stage.secrets, "relay", frozenset(), stage.clock, marker.latest)
    connections.forget_revoked()
    assert marker.looks == 0


def test_a_marker_that_cannot_be_read_keeps_what_is_cached_and_is_not_read_at_every_delivery(stage: Stage) -> None:
    marker = Marker(fails=True)
    stage.connections = ConnectionStore(stage.secrets, "relay", frozenset(), stage.clock, marker.latest)
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.clock.now += LOOK_SECONDS
    for _ in range(3):
        stage.connections.forget_revoked()
    assert marker.looks == 1
    assert stage.secret_of("shop") == "one"


def test_a_revocation_is_marked_for_an_hour(dynamodb: Counted, clock: Clock) -> None:
    revocations = Revocations(Table(dynamodb, STATE), clock)
    assert revocations.latest() is None
    revocations.announce()
    first = revocations.latest()
    revocations.announce()
    assert None is not first != revocations.latest()
    clock.now += 3600
    assert revocations.latest() is None


def test_a_refetch_that_fails_keeps_what_is_cached(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.secrets.fail(None)
    assert not stage.connections.refetch("shop")
    assert stage.secret_of("shop") == "one"


def test_the_list_names_connections_only(stage: Stage) -> None:
    for name in ("shop-b", "shop-a"):
        stage.apply(name, "one")
    stage.secrets.client.create_secret(Name="relay/tokens/shop-a", SecretString="{}")
    stage.secrets.client.create_secret(Name="relay2/connections/other", SecretString="{}")
    assert stage.connections.list() == ["shop-a", "shop-b"]


def test_threads_that_miss_together_read_once(stage: Stage) -> None:
    stage.apply("shop", "one")
    start = threading.Barrier(8)
    seen: list[str] = []

    def look() -> None:
        start.wait()
        seen.append(stage.secret_of("shop"))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["one"] * 8
    assert stage.secrets.calls == ["get_secret_value"]


@pytest.mark.attack(
    "senders", "a flood of wrong signatures or invented connections, to run up requests to Secrets Manager"
)
def test_invented_ids_neither_grow_the_memory_nor_push_connections_out(stage: Stage) -> None:
    stage.apply("shop", "one")
    stage.connections.get("shop")
    stage.secrets.fail("ResourceNotFoundException")
    for number in range(3000):
        with pytest.raises(UnknownConnection):
            stage.connections.get(f"invented-{number}")
    assert len(stage.connections._refused) == 2048
    stage.secrets.reset()
    assert stage.secret_of("shop") == "one"
    assert stage.secrets.calls == []


@pytest.mark.parametrize("text", ["fake-digest-key-0123456789", '{"key": "fake-digest-key-0123456789"}'])
def test_the_digest_key_is_plain_text_or_json(stage: Stage, text: str) -> None:
    stage.secrets.client.create_secret(Name="digest", SecretString=text)
    settings = Settings.from_env({"RELAY_DIGEST_SECRET": "digest"})
    assert digest_key(settings.digest_secret, stage.secrets) == b"fake-digest-key-0123456789"


def test_a_digest_key_that_cannot_be_read_is_unavailable(stage: Stage) -> None:
    settings = Settings.from_env({"RELAY_DIGEST_SECRET": "missing"})
    with pytest.raises(StoreUnavailable):
        digest_key(settings.digest_secret, stage.secrets)


def test_clients_are_built_once_and_honour_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    aws.forget()
    try:
        first = aws.client("sqs")
        assert aws.client("sqs") is first
        assert first.meta.endpoint_url == "http://127.0.0.1:9"
        assert (first.meta.config.connect_timeout, first.meta.config.read_timeout) == (1.0, 4.0)
        assert first.meta.config.retries["mode"] == "standard"
    finally:
        aws.forget()
