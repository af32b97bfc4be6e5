"""``relay subscriptions`` and what ``relay connections check`` reports of them, against the sandbox's platforms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devkit.sandbox.server import SandboxServer
from loyalty_relay.http.sockets import close_shared_pool
from tests.devkit.conftest import Relay
from tests.support.stack import shared_client

SAMPLES = Path(__file__).parents[2] / "events" / "connections"
URL = "https://relay.example.com/webhooks/acme"
APPLICATION = "fake-square-application-token"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as started:
        yield started
        close_shared_pool()


@pytest.fixture
def shops(server: SandboxServer, relay: Relay) -> SandboxServer:
    httpx.post(f"{server.url}/_sandbox/reset").raise_for_status()
    relay.env["RELAY_SANDBOX_HOSTS"] = server.url.removeprefix("http://")
    relay.env["RELAY_SANDBOX_URL"] = server.url
    return server


def apply(relay: Relay, sample: str, **source: Any) -> None:
    text = (SAMPLES / f"{sample}.json").read_text().replace("${RELAY_SANDBOX_URL}", relay.env["RELAY_SANDBOX_URL"])
    document = json.loads(text.replace("${RELAY_API_URL}/webhooks/square-kangaroo", URL))
    document["source"] |= source
    secret = f"{relay.env['RELAY_SECRETS_PREFIX']}/connections/acme"
    client = shared_client("secretsmanager")
    try:
        client.create_secret(Name=secret, SecretString=json.dumps(document))
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=secret, SecretString=json.dumps(document))


def stored(relay: Relay) -> dict[str, Any]:
    name = f"{relay.env['RELAY_SECRETS_PREFIX']}/connections/acme"
    found: dict[str, Any] = json.loads(shared_client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    return found


def conditions(shown: dict[str, Any]) -> set[str]:
    return {row["condition"] for row in shown["topics"]}


def test_what_is_missing_is_listed_planned_created_and_listed_as_present(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo")
    assert conditions(relay.json("subscriptions", "list", "acme")) == {"missing"}
    planned = relay.json("subscriptions", "create", "acme", "--dry-run")
    assert {one["action"] for one in planned["planned"]} == {"create"}
    assert conditions(relay.json("subscriptions", "list", "acme")) == {"missing"}
    made = relay.json("subscriptions", "create", "acme", "--yes")
    assert len(made["changed"]) == len(planned["planned"])
    assert (made["ok"], conditions(made)) == (True, {"present"})
    assert {row["url"] for row in made["topics"]} == {URL}
    again = relay.json("subscriptions", "create", "acme")
    assert again["changed"] == []
    assert "present" in relay("subscriptions", "list", "acme").stdout


def test_a_change_has_to_be_confirmed(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo")
    for command in ("create", "remove"):
        if command == "remove":
            relay.json("subscriptions", "create", "acme", "--yes")
        result = relay("subscriptions", command, "acme")
        assert result.exit_code == 1
        assert "--yes" in result.stderr


def test_what_was_disabled_is_reported_by_a_check_and_revived(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo")
    relay.json("subscriptions", "create", "acme", "--yes")
    disable(shops)
    found = json.loads(relay("connections", "check", "acme", "--json").stdout)
    (finding,) = (f for f in found["findings"] if f["what"] == "webhook subscriptions")
    assert finding["ok"] is False
    assert "disabled: store/customer/created" in finding["message"]
    assert "relay subscriptions revive acme" in finding["message"]
    assert conditions(relay.json("subscriptions", "revive", "acme", "--yes")) == {"present"}


def disable(shops: SandboxServer) -> None:
    state = httpx.get(f"{shops.url}/_sandbox/state/bigcommerce").json()
    hooks = {path: {**hook, "is_active": False} for path, hook in state.items() if "/v3/hooks/" in path}
    httpx.put(f"{shops.url}/_sandbox/settings/bigcommerce", json={"entities": hooks}).raise_for_status()


def test_a_check_revives_where_the_connection_allows_it(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo", subscriptions="revive")
    first = json.loads(relay("connections", "check", "acme", "--json").stdout)
    disable(shops)
    second = json.loads(relay("connections", "check", "acme", "--json").stdout)
    for found in (first, second):
        (finding,) = (f for f in found["findings"] if f["what"] == "webhook subscriptions")
        assert finding["ok"] is True
        assert "16 revived just now" in finding["message"]


def test_what_delivers_elsewhere_is_not_moved_by_a_check(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo", subscriptions="revive")
    relay.json("subscriptions", "create", "acme", "--yes", "--url", "https://former.example.com")
    found = json.loads(relay("connections", "check", "acme", "--json").stdout)
    (finding,) = (f for f in found["findings"] if f["what"] == "webhook subscriptions")
    assert (finding["ok"], finding["message"].partition(":")[0]) == (False, "elsewhere")


def test_squares_key_becomes_the_connections_secret_and_is_never_printed(relay: Relay, shops: SandboxServer) -> None:
    tokens = {"access_token": "fake-square-token", "application_token": APPLICATION}
    apply(relay, "square-kangaroo", api_credentials=tokens, public_url=URL)
    result = relay("subscriptions", "create", "acme", "--yes")
    assert result.exit_code == 0, result.stderr
    keys = [secret["value"] for secret in stored(relay)["source"]["secrets"]]
    assert keys[0].startswith("fake-signature-key-")
    assert "not_after" in stored(relay)["source"]["secrets"][1]
    shown = relay.json("subscriptions", "list", "acme")
    assert conditions(shown) == {"present"}
    for text in (result.output, json.dumps(shown)):
        assert not any(secret in text for secret in (keys[0], APPLICATION, "fake-square-token"))


def test_a_key_that_was_not_stored_is_taken_when_the_command_is_repeated(relay: Relay, shops: SandboxServer) -> None:
    tokens = {"access_token": "fake-square-token", "application_token": APPLICATION}
    apply(relay, "square-kangaroo", api_credentials=tokens, public_url=URL)
    relay("subscriptions", "create", "acme", "--yes")
    apply(relay, "square-kangaroo", api_credentials=tokens, public_url=URL)
    assert conditions(relay.json("subscriptions", "list", "acme")) == {"other_key"}
    shown = relay.json("subscriptions", "create", "acme", "--yes")
    assert (shown["changed"], conditions(shown)) == ([], {"present"})


def test_only_what_delivers_to_this_connection_is_removed(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "lightspeed-capillary")
    relay.json("subscriptions", "create", "acme", "--yes")
    relay.json("subscriptions", "create", "acme", "--yes", "--url", "https://other.example.com")
    removed = relay.json("subscriptions", "remove", "acme", "--yes")
    assert {one["action"] for one in removed["changed"]} == {"remove"}
    assert conditions(removed) <= {"missing", "elsewhere"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://relay.example.com", "https only"),
        ("https://user:fake@relay.example.com", "base URL"),
        ("https://relay.example.com?key=1", "base URL"),
        ("ftp://relay.example.com", "base URL"),
        ("relay.example.com", "base URL"),
    ],
)
def test_a_url_that_no_platform_could_deliver_to_is_refused(
    relay: Relay, shops: SandboxServer, url: str, words: str
) -> None:
    apply(relay, "bigcommerce-kangaroo")
    result = relay("subscriptions", "create", "acme", "--yes", "--url", url)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "do:" in result.stderr


def test_the_local_stacks_url_is_for_the_sandbox_only(relay: Relay, shops: SandboxServer) -> None:
    local = "http://127.0.0.1:4566"
    apply(relay, "bigcommerce-kangaroo")
    assert relay("subscriptions", "create", "acme", "--yes", "--url", local).exit_code == 0
    apply(relay, "bigcommerce-kangaroo", api_host="https://api.bigcommerce.com")
    result = relay("subscriptions", "create", "acme", "--yes", "--url", local)
    assert result.exit_code == 1
    assert "cannot reach this machine" in result.stderr


def test_a_url_that_is_not_the_signed_one_is_refused(relay: Relay, shops: SandboxServer) -> None:
    tokens = {"access_token": "fake-square-token", "application_token": APPLICATION}
    apply(relay, "square-kangaroo", api_credentials=tokens, public_url=URL)
    result = relay("subscriptions", "list", "acme", "--url", "https://another.example.com")
    assert result.exit_code == 1
    assert "public_url" in result.stderr


@pytest.mark.parametrize("sample", ["standard-capillary", "clover-kangaroo", "cloudevents-capillary"])
def test_a_platform_without_an_api_has_steps_with_the_url(relay: Relay, shops: SandboxServer, sample: str) -> None:
    apply(relay, sample)
    shown = relay.json("subscriptions", "list", "acme")
    assert any(URL in step for step in shown["by_hand"])
    result = relay("subscriptions", "create", "acme", "--yes")
    assert result.exit_code == 1
    assert "no API" in result.stderr


def test_unmanaged_subscriptions_are_not_looked_at(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo", subscriptions="unmanaged")
    assert relay.json("subscriptions", "list", "acme")["topics"] == []
    assert "unmanaged" in relay("subscriptions", "create", "acme", "--yes").stderr
    found = json.loads(relay("connections", "check", "acme", "--json").stdout)
    assert not [f for f in found["findings"] if f["what"] == "webhook subscriptions"]


def test_a_check_without_credentials_for_it_is_unknown_and_fails_nothing(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "shopify-capillary")
    found = json.loads(relay("connections", "check", "acme", "--json").stdout)
    (finding,) = (f for f in found["findings"] if f["what"] == "webhook subscriptions")
    assert finding["ok"] is None
    assert "access token" in finding["message"]


def test_what_refused_credentials_lack_is_named(relay: Relay, shops: SandboxServer) -> None:
    apply(relay, "bigcommerce-kangaroo", api_credentials={"access_token": "fake-other"})
    result = relay("subscriptions", "list", "acme")
    assert result.exit_code == 1
    assert "401" in result.stderr
    assert "Orders: read-only" in result.stderr
    assert "fake-other" not in result.stderr
