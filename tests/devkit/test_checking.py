"""``relay connections check`` proves the connection's credentials, not a token of before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from devkit.queries import checking
from devkit.queries.checking import FreshTokens
from devkit.samples.mapping import file_connection
from devkit.stacks.local import SAMPLES
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.destinations.tokens import TokenSet
from loyalty_relay.model.deadline import Deadline

DEADLINE = Deadline(30.0, lambda: 0.0)


def test_a_check_obtains_a_token_once_and_never_from_an_older_one() -> None:
    given: list[TokenSet | None] = []

    def obtain(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        given.append(old)
        return TokenSet(f"fake-{len(given)}", refresh_token="fake-refresh")

    tokens = FreshTokens()

    assert tokens.get("shop", obtain, DEADLINE) == ("fake-1", True)
    assert tokens.get("shop", obtain, DEADLINE) == ("fake-1", False)
    assert tokens.get("shop", obtain, DEADLINE, rejected="fake-1") == ("fake-2", True)
    assert given == [None, None]


class _Stored:
    """Services whose stored token is accepted by everybody: whoever asks for it has proved nothing."""

    definitions = None

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []

    def clock(self) -> float:
        return 0.0

    def crm(self, connection: Connection) -> Any:
        raise AssertionError("the stored token was used")

    def destination_client(self, destination: Any) -> Any:
        return self

    def fetch(self, request: httpx.Request, deadline: Deadline, auth: Any = None) -> httpx.Response:
        if auth is not None:
            auth.token(deadline, None)
        self.sent.append(request)
        return httpx.Response(401, json={"error": "invalid_credentials"}, request=request)


def test_a_check_logs_in_although_the_account_has_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    services = _Stored()
    monkeypatch.setattr(checking, "services_of", lambda stack: services)

    found = checking.probe(Stack("test", {}), connection("shopify-kangaroo"), seconds=30)

    assert found[0]["ok"] is False
    assert str(services.sent[0].url).endswith("/oauth/token")
    assert b"grant_type=password" in services.sent[0].content


def test_tokens_of_an_authorization_code_are_the_stored_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    given = connection("shopify-kangaroo")
    credentials = {**given.destination.credentials, "type": "authorization_code"}
    destination = replace(given.destination, credentials=credentials)
    monkeypatch.setattr(checking, "services_of", lambda stack: _Stored())

    with pytest.raises(AssertionError, match="the stored token was used"):
        checking.probe(Stack("test", {}), replace(given, destination=destination), seconds=1)


def connection(name: str) -> Connection:
    return file_connection(SAMPLES / f"{name}.json")
