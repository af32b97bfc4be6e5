"""``relay connect``: each step is done once, what stops it is named, and repeating it does what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devkit.cli import connect
from devkit.cli.connect import without_effect
from devkit.samples.delivery import Delivered
from devkit.samples.mapping import file_connection, translation
from devkit.sandbox.server import SandboxServer
from devkit.stacks.local import SAMPLES
from loyalty_relay.http.sockets import close_shared_pool
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from tests.devkit.conftest import Relay
from tests.support.stack import shared_client

URL = "https://relay.example.com/webhooks/acme"
STEPS = ["apply", "check", "subscriptions", "test delivery", "import"]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as started:
        yield started
        close_shared_pool()


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Topics and URLs of test deliveries, each of which is accepted and journalled."""
    sent: list[tuple[str, str]] = []

    def deliver(sample: Any, connection: Any, url: str, **more: Any) -> Delivered:
        sent.append((sample.topic, url))
        return Delivered(200, "0199", 0.1, "")

    entry = JournalEntry(delivery_id="0199", connection="acme", result=Result.IGNORED, reason="topic_not_used")
    monkeypatch.setattr(connect, "deliver", deliver)
    monkeypatch.setattr(connect, "follow", lambda *given, **more: [entry])
    return sent


@pytest.fixture
def shop(relay: Relay, server: SandboxServer, delivered: list[tuple[str, str]]) -> Relay:
    httpx.post(f"{server.url}/_sandbox/reset").raise_for_status()
    relay.env["RELAY_SANDBOX_HOSTS"] = server.url.removeprefix("http://")
    relay.env["RELAY_SANDBOX_URL"] = server.url
    relay.env["RELAY_API_URL"] = "https://relay.example.com"
    return relay


def stored(relay: Relay) -> dict[str, Any]:
    name = f"{relay.env['RELAY_SECRETS_PREFIX']}/connections/acme"
    found: dict[str, Any] = json.loads(shared_client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    return found


def sample(name: str = "bigcommerce-kangaroo") -> str:
    return str(SAMPLES / f"{name}.json")


def hooks(server: SandboxServer) -> int:
    state = httpx.get(f"{server.url}/_sandbox/state/bigcommerce").json()
    return sum("/v3/hooks/" in path for path in state)


def test_a_file_leads_to_a_working_shop_and_repeating_changes_nothing(
    shop: Relay, server: SandboxServer, delivered: list[tuple[str, str]]
) -> None:
    done = shop.json("connect", "acme", "--file", sample(), "--yes")
    assert [step["step"] for step in done["steps"]] == STEPS
    assert done["ok"] is True
    assert stored(shop)["source"]["platform"] == "bigcommerce"
    assert [url for _, url in delivered] == [URL]
    assert "relay import acme" in done["steps"][4]["message"]
    made = hooks(server)
    again = shop.json("connect", "acme", "--yes")
    assert again["ok"] is True
    assert again["steps"][0]["action"] == "unchanged"
    assert hooks(server) == made > 10


def test_the_import_begins_only_when_it_is_wanted_and_its_messages_are_accepted(shop: Relay) -> None:
    refused = shop("connect", "acme", "--file", sample(), "--yes", "--import")
    assert refused.exit_code == 1
    assert "welcome message" in refused.stderr
    done = shop.json("connect", "acme", "--yes", "--import", "--welcome")
    assert done["steps"][4]["run"]


def test_what_stops_a_step_is_named_and_the_next_attempt_goes_on(shop: Relay, server: SandboxServer) -> None:
    rule = {"vendor": "bigcommerce", "path": "/stores/*/v3/hooks", "status": 403}
    httpx.put(f"{server.url}/_sandbox/faults", json=[rule]).raise_for_status()
    result = shop("connect", "acme", "--file", sample(), "--yes", "--json")
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert [step["ok"] for step in shown["steps"]] == [True, True, False]
    assert "api_credentials" in json.dumps(shown["steps"][2])
    assert "fake-bigcommerce-token" not in result.stdout + result.stderr
    httpx.put(f"{server.url}/_sandbox/faults", json=[]).raise_for_status()
    assert shop.json("connect", "acme", "--yes")["ok"] is True


def test_a_change_at_the_platform_needs_a_confirmation(shop: Relay, server: SandboxServer) -> None:
    result = shop("connect", "acme", "--file", sample(), "--json")
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert hooks(server) == 0


def test_without_a_file_and_without_a_terminal_it_reports_what_to_give(shop: Relay) -> None:
    result = shop("connect", "acme", "--yes")
    assert result.exit_code == 1
    assert "--file" in result.stderr


def test_a_platform_without_an_api_ends_with_steps_for_a_person(shop: Relay) -> None:
    done = shop.json("connect", "acme", "--file", sample("standard-kangaroo"), "--yes")
    assert done["ok"] is True
    assert any(URL in step for step in done["steps"][2]["by_hand"])


def test_without_api_credentials_the_topics_to_subscribe_are_listed(shop: Relay) -> None:
    done = shop.json("connect", "acme", "--file", sample("shopify-capillary"), "--yes")
    assert done["ok"] is True
    assert "customers/create" in done["steps"][2]["topics"]


def test_questions_on_a_terminal_make_a_connection_and_no_answer_is_shown(
    shop: Relay, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WooCommerce takes a secret of ours, so that none has to be typed."""
    monkeypatch.setattr(connect, "_interactive", lambda: True)
    monkeypatch.setattr("devkit.cli.connect.checked", lambda stack, connection: {"message": "fine"})
    monkeypatch.setattr("devkit.cli.connect.subscribed", lambda *given, **more: {"message": "fine"})
    answers = ["shopify5", "woocommerce", "kangaroo", "https://shop.example.com", "ck_fake", "cs_fake"]
    answers += ["token", "fake-application-key", "fake-access-token", "acme-account", "GB", "n"]
    result = shop("connect", "acme", stdin="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.stderr
    data = stored(shop)
    (secret,) = data["source"]["secrets"]
    assert (len(secret["value"]), "customer.deleted" in secret["topics"]) == (64, True)
    assert data["source"]["api_credentials"] == {"consumer_key": "ck_fake", "consumer_secret": "cs_fake"}
    assert data["destination"]["credentials"]["access_token"] == "fake-access-token"
    assert data["default_country"] == "GB"
    shown = result.stdout + result.stderr
    assert not any(text in shown for text in (secret["value"], "cs_fake", "fake-access-token"))


def test_an_accepted_delivery_without_an_outcome_is_no_success(shop: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "follow", lambda *given, **more: [])
    result = shop("connect", "acme", "--file", sample(), "--yes")
    assert result.exit_code == 1
    assert "no outcome followed" in result.stderr


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_a_test_delivery_leads_to_no_command(path: Path) -> None:
    connection = file_connection(path)
    found = without_effect(connection)
    assert found is not None
    made = translation(found, connection)
    assert (made.commands, made.problem) == ([], None)
