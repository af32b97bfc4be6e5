"""The token endpoint: what each grant sends, and what its answers mean."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from loyalty_relay.destinations.kangaroo.auth import NOT_AUTHORIZED, REFRESH_TOKEN_LOST, KangarooAuth, parse_tokens
from loyalty_relay.destinations.tokens import TokenSet
from loyalty_relay.model.errors import CredentialsRefused, InvalidCommand, RateLimited, UpstreamUnavailable
from tests.destinations.kangaroo.support import (
    CODE,
    MACHINE,
    PASSWORD,
    Clock,
    MemoryTokens,
    Script,
    answer,
    crm,
    deadline,
    destination,
)

TOKENS = {"access_token": "fake-access", "refresh_token": "fake-refresh", "expires_in": 3920, "token_type": "Bearer"}
INVALID_GRANT = {"error": "invalid_grant", "error_description": "The refresh token is invalid.", "hint": "revoked"}
PATH = "POST /oauth/token"


def grants(credentials: dict[str, str], vendor: Script) -> KangarooAuth:
    return KangarooAuth(destination(credentials), vendor.client(), MemoryTokens(Clock()), Clock())


def test_the_password_grant_sends_the_application_key_in_body_and_header() -> None:
    vendor = Script({PATH: answer(200, TOKENS)})

    tokens = grants(PASSWORD, vendor).obtain(None, deadline())

    call = vendor.asked[0]
    assert call.url == "https://api.kangaroorewards.com/oauth/token"
    assert call.form == {
        "grant_type": "password",
        "client_id": "10",
        "client_secret": "fake-password-client-secret",
        "username": "demo@example.com",
        "password": "fake-password",
        "application_key": "fake-application-key",
        "scope": "admin",
    }
    assert call.headers == {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
        "x-application-key": "fake-application-key",
    }
    assert not call.has_effect
    assert tokens == TokenSet("fake-access", "fake-refresh", Clock().now, Clock().now + 3920)


def test_the_refresh_grant() -> None:
    vendor = Script({PATH: answer(200, TOKENS)})

    grants(CODE, vendor).obtain(TokenSet("fake-old", "fake-spend-me"), deadline())

    assert vendor.asked[0].form == {
        "grant_type": "refresh_token",
        "refresh_token": "fake-spend-me",
        "client_id": "11",
        "client_secret": "fake-code-client-secret",
        "scope": "admin",
    }


def test_client_credentials_are_json_on_the_integrations_host_with_a_number_as_id() -> None:
    vendor = Script({PATH: answer(200, {"access_token": "fake-machine", "expires_in": "600"})})

    tokens = grants(MACHINE, vendor).obtain(TokenSet("fake-old"), deadline())

    call = vendor.asked[0]
    assert (call.api, call.url) == ("integrations", "https://integrations.kangarooapis.com/oauth/token")
    assert call.json == {
        "grant_type": "client_credentials",
        "client_id": 12,
        "client_secret": "fake-machine-client-secret",
        "scope": "admin",
    }
    assert call.headers == {"accept": "application/json", "content-type": "application/json"}
    assert tokens.refresh_token is None
    assert tokens.expires_at == Clock().now + 600


def test_the_page_on_which_a_person_allows_access() -> None:
    url = crm(Script(), destination(CODE)).authorize_url("state/1")

    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "api.kangaroorewards.com", "/oauth/authorize")
    assert parse_qs(parts.query) == {
        "client_id": ["11"],
        "redirect_uri": ["https://app.example.com/oauth/callback"],
        "response_type": ["code"],
        "scope": ["admin"],
        "state": ["state/1"],
    }


def test_a_code_is_exchanged_and_its_tokens_are_kept() -> None:
    vendor = Script({PATH: answer(200, TOKENS), "GET /tags": answer(200, {"data": []})})
    tokens = MemoryTokens(Clock())
    client = crm(vendor, destination(CODE), tokens=tokens)

    client.authorize("def502-fake-code", deadline())
    client.tags(deadline())

    assert vendor.asked[0].form == {
        "grant_type": "authorization_code",
        "code": "def502-fake-code",
        "redirect_uri": "https://app.example.com/oauth/callback",
        "client_id": "11",
        "client_secret": "fake-code-client-secret",
        "scope": "admin",
    }
    assert vendor.asked[1].headers["authorization"] == "Bearer fake-access"
    assert tokens.obtained == 0


def test_only_an_authorization_code_connection_can_be_authorized() -> None:
    client = crm(Script(), destination(PASSWORD))

    with pytest.raises(InvalidCommand):
        client.authorize_url("state")
    with pytest.raises(InvalidCommand):
        client.authorize("code", deadline())


def test_a_connection_that_was_never_authorized() -> None:
    with pytest.raises(CredentialsRefused) as error:
        grants(CODE, Script()).obtain(None, deadline())

    assert error.value.reason == NOT_AUTHORIZED


@pytest.mark.parametrize("status", [400, 401])
def test_a_spent_refresh_token_is_lost_where_only_a_person_can_authorize(status: int) -> None:
    vendor = Script({PATH: answer(status, INVALID_GRANT)})

    with pytest.raises(CredentialsRefused) as error:
        grants(CODE, vendor).obtain(TokenSet("fake-old", "fake-spent"), deadline())

    assert error.value.reason == REFRESH_TOKEN_LOST
    assert error.value.code == "invalid_grant"
    assert "fake-spent" not in str(error.value)


def test_a_wrong_client_secret_is_no_lost_refresh_token() -> None:
    vendor = Script(
        {PATH: answer(401, {"error": "invalid_client", "error_description": "Client authentication failed"})}
    )

    with pytest.raises(CredentialsRefused) as error:
        grants(CODE, vendor).obtain(TokenSet("fake-old", "fake-good"), deadline())

    assert error.value.reason == "credentials"
    assert error.value.code == "invalid_client"


def test_a_spent_refresh_token_costs_the_password_grant_nothing() -> None:
    vendor = Script({PATH: [answer(400, INVALID_GRANT), answer(200, TOKENS)]})

    tokens = grants(PASSWORD, vendor).obtain(TokenSet("fake-old", "fake-spent"), deadline())

    assert tokens.access_token == "fake-access"
    assert [call.form["grant_type"] for call in vendor.asked] == ["refresh_token", "password"]


def test_a_busy_token_endpoint_is_not_taken_for_a_spent_token() -> None:
    vendor = Script({PATH: answer(503, {"message": "Service Unavailable"})})

    for credentials in (CODE, PASSWORD):
        with pytest.raises(UpstreamUnavailable):
            grants(credentials, vendor).obtain(TokenSet("fake-old", "fake-good"), deadline())

    assert len(vendor.asked) == 2


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (answer(400, {"error": "invalid_grant", "message": "The user credentials were incorrect."}), "invalid_grant"),
        (answer(401, {"error": {"message": "Unauthorized", "description": "no"}}), "401"),
        (answer(400, {"error": {"description": "Bad thing", "status_code": 400}}), "400"),
        (answer(401, {"message": "Unauthenticated."}), "401"),
        (answer(422, {"username": ["The username field is required."]}), "422"),
        (answer(404, text="<html><title>Gone</title></html>", kind="text/html"), "404"),
        (answer(401, text=""), "401"),
        (answer(200, {"error": "access_denied", "hint": "no"}), "access_denied"),
    ],
)
def test_every_refusal_of_the_token_endpoint_refuses_the_credentials(refusal: httpx.Response, code: str) -> None:
    with pytest.raises(CredentialsRefused) as error:
        parse_tokens(refusal, 0)

    assert error.value.code == code


def test_a_rate_limited_token_endpoint_is_waited_for() -> None:
    with pytest.raises(RateLimited):
        parse_tokens(answer(429, {"message": "Too Many Attempts."}), 0)


def test_tokens_may_come_as_a_form() -> None:
    form = "access_token=fake-a&refresh_token=fake-r&scope=admin&token_type=Bearer"

    tokens = parse_tokens(answer(200, text=form, kind="application/x-www-form-urlencoded"), 100)

    assert (tokens.access_token, tokens.refresh_token, tokens.expires_at) == ("fake-a", "fake-r", 3700)


@pytest.mark.parametrize("body", [{}, [], {"access_token": ""}, {"access_token": 7}, "text"])
def test_a_success_without_a_token_may_be_tried_again_and_shows_none(body: Any) -> None:
    with pytest.raises(UpstreamUnavailable):
        parse_tokens(answer(200, body), 0)


@pytest.mark.parametrize(("given", "life"), [(60, 60), ("90", 90), (None, 3600), (-5, 3600), ("soon", 3600)])
def test_the_life_of_a_token_is_in_the_response(given: Any, life: float) -> None:
    assert parse_tokens(answer(200, {"access_token": "fake", "expires_in": given}), 10).expires_at == 10 + life


def test_a_refresh_that_sends_no_new_refresh_token_keeps_the_old_one() -> None:
    assert parse_tokens(answer(200, {"access_token": "fake"}), 0, keep="fake-kept").refresh_token == "fake-kept"


def test_tokens_do_not_show_in_a_representation() -> None:
    assert "fake" not in repr(TokenSet("fake-access", "fake-refresh"))
