"""The API-key authorizer: only a key of the named connection, and no longer than it is there."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from loyalty_relay.connections.store import ConnectionStore
from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.triggers.authorizer import authorize
from tests.pipeline.conftest import CONNECTION
from tests.triggers.conftest import API_KEY, Functions


def event(key: str | None, connection: str = "shop-1", **more: Any) -> dict[str, Any]:
    headers = {"X-Api-Key": key} if key is not None else {}
    return {"version": "2.0", "headers": headers, "pathParameters": {"connection": connection}, **more}


def test_a_key_of_the_connection_is_allowed_and_named(functions: Functions) -> None:
    reply = authorize(event(API_KEY), functions.services("authorize").connections)
    assert reply == {"isAuthorized": True, "context": {"connection": "shop-1", "key_id": "pos"}}


@pytest.mark.parametrize("key", [None, "", "wrong", API_KEY + "x", API_KEY.upper(), "x" * 10_000, "\ud800", "é"])
def test_everything_else_is_refused_alike(functions: Functions, key: str | None) -> None:
    assert authorize(event(key), functions.services("authorize").connections) == {"isAuthorized": False}


@pytest.mark.parametrize("connection", ["other", "", "../shop-1", "SHOP-1"])
def test_a_key_opens_no_other_connection(functions: Functions, connection: str) -> None:
    functions.stack.put_connection("other", CONNECTION)
    reply = authorize(event(API_KEY, connection), functions.services("authorize").connections)
    assert reply == {"isAuthorized": False}


def test_a_revoked_key_stops_working_at_once(functions: Functions) -> None:
    connections = functions.services("authorize").connections
    assert authorize(event(API_KEY), connections)["isAuthorized"]
    functions.stack.put_connection("shop-1", {**CONNECTION, "api_keys": []})
    assert not authorize(event(API_KEY), connections)["isAuthorized"]


class Counted:
    """Secrets Manager that counts the reads."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.reads = 0

    def get_secret_value(self, **given: Any) -> Any:
        self.reads += 1
        return self._client.get_secret_value(**given)


def counted(functions: Functions) -> tuple[ConnectionStore, Counted]:
    secrets = Counted(functions.stack.client("secretsmanager"))
    prefix = functions.stack.environment["RELAY_SECRETS_PREFIX"]
    return ConnectionStore(secrets, prefix, frozenset(), clock=functions.stack.clock), secrets


@pytest.mark.parametrize("connection", ["shop-1", "nobody"])
@pytest.mark.attack(
    "callers",
    "100 unknown API keys, each a read of Secrets Manager",
    "a key that the cached connection does not have leads to one read per minute",
    "G4",
)
def test_unknown_keys_cost_few_reads(functions: Functions, connection: str) -> None:
    connections, secrets = counted(functions)
    for number in range(100):
        assert authorize(event(f"fake-{number}", connection), connections) == {"isAuthorized": False}
    assert secrets.reads <= 2


def test_a_new_key_works_within_a_minute(functions: Functions) -> None:
    connections, _ = counted(functions)
    functions.stack.put_connection("shop-1", {**CONNECTION, "api_keys": []})
    assert not authorize(event(API_KEY), connections)["isAuthorized"]
    key = {"id": "pos", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest()}
    functions.stack.put_connection("shop-1", {**CONNECTION, "api_keys": [key]})
    functions.stack.clock.now += 60
    assert authorize(event(API_KEY), connections)["isAuthorized"]


def test_several_keys_work_side_by_side(functions: Functions) -> None:
    keys = [{"id": k, "sha256": hashlib.sha256(k.encode()).hexdigest()} for k in ("fake-old", "fake-new")]
    functions.stack.put_connection("shop-1", {**CONNECTION, "api_keys": keys})
    connections = functions.services("authorize").connections
    assert [authorize(event(k), connections)["context"]["key_id"] for k in ("fake-old", "fake-new")] == [
        "fake-old",
        "fake-new",
    ]


def test_the_path_serves_where_the_gateway_gives_no_parameters(functions: Functions) -> None:
    given = event(API_KEY, rawPath="/connections/shop-1/customers") | {"pathParameters": None}
    assert authorize(given, functions.services("authorize").connections)["isAuthorized"]


def test_an_unreadable_secret_store_is_not_a_refusal(functions: Functions) -> None:
    class Broken:
        def cached(self, id: str) -> None:
            return None

        def get(self, id: str, *, fresh: bool = False) -> None:
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        authorize(event(API_KEY), Broken())  # type: ignore[arg-type]


def test_the_first_key_of_a_process_costs_one_read_of_the_secret(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = functions.services("authorize").connections
    fetch = connections._fetch
    fetched: list[str] = []

    def counted(connection: str) -> Any:
        fetched.append(connection)
        return fetch(connection)

    monkeypatch.setattr(connections, "_fetch", counted)

    assert authorize(event(API_KEY), connections)["isAuthorized"]
    assert fetched == ["shop-1"]
