"""Tokens of the sandbox's Kangaroo business."""

from urllib.parse import parse_qs, urlsplit

import pytest

from devkit.sandbox.kangaroo import VENDOR
from tests.sandbox.kangaroo_client import KangarooClient

CALLBACK = "https://app.example.com/oauth/callback"
CODE_APP = {"client_id": "11", "redirect_uri": CALLBACK}
MACHINE = {"grant_type": "client_credentials", "client_id": 12, "client_secret": "fake-machine-client-secret"}


@pytest.fixture
def client() -> KangarooClient:
    client = KangarooClient(VENDOR)
    client.sign_in()
    return client


def authorize(client: KangarooClient, **changes: str) -> dict[str, list[str]]:
    query = {**CODE_APP, "response_type": "code", "scope": "admin", "state": "s-1"} | changes
    answer = client.send("GET", "/kangaroo/oauth/authorize", params=query)
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?")
    return parse_qs(urlsplit(location).query)


def code_form(code: str, **changes: str) -> dict[str, str]:
    form = {"grant_type": "authorization_code", "code": code, "client_secret": "fake-code-client-secret"}
    return {**form, **CODE_APP, "scope": "admin", **changes}


def machine_token(client: KangarooClient, **changes: object) -> str:
    answer = client.send("POST", "/kangaroo-integrations/oauth/token", json={**MACHINE, **changes})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_a_password_grant_returns_the_documented_pair(client: KangarooClient) -> None:
    answer = client.token()
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert (answer.json()["expires_in"], answer.json()["token_type"]) == (3920, "Bearer")


def test_the_application_key_of_a_password_grant_may_come_in_the_header(client: KangarooClient) -> None:
    form = client.token_form()
    del form["application_key"]
    assert client.token(form).status_code == 400
    assert client.token(form, headers={"X-Application-Key": "fake-application-key"}).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"client_id": "999"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "11", "client_secret": "fake-code-client-secret"}, 401, "invalid_client"),
        ({"username": ""}, 400, "invalid_request"),
        ({"password": "wrong"}, 400, "invalid_grant"),
        ({"application_key": "wrong"}, 401, "invalid_client"),
        ({"scope": ""}, 400, "invalid_scope"),
        ({"scope": "*"}, 400, "invalid_scope"),
    ],
)
def test_a_refused_password_grant_is_reported_in_passports_words(
    client: KangarooClient, change: dict[str, str], status: int, error: str
) -> None:
    answer = client.token(client.token_form(**change))
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert answer.json()["message"] == answer.json()["error_description"]


def test_a_form_reply_is_given_to_who_accepts_nothing_else(client: KangarooClient) -> None:
    answer = client.token(headers={"Accept": "application/x-www-form-urlencoded"})
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    fields = parse_qs(answer.text)
    assert (fields["scope"], fields["token_type"]) == (["admin"], ["Bearer"])


def test_a_refresh_token_works_once_and_ends_the_access_token_it_came_with(client: KangarooClient) -> None:
    pair = client.token().json()
    client.access = pair["access_token"]
    assert client.api("GET", "/me").status_code == 200

    renewed = client.refresh(pair["refresh_token"])

    assert renewed.status_code == 200
    assert client.api("GET", "/me").status_code == 401
    client.access = renewed.json()["access_token"]
    assert client.api("GET", "/me").status_code == 200
    again = client.refresh(pair["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert again.json()["hint"] == "Token has been revoked"


def test_a_refresh_token_is_good_for_30_days(client: KangarooClient) -> None:
    young, old = (client.token().json()["refresh_token"] for _ in range(2))
    client.now += 30 * 86_400 - 1
    assert client.refresh(young).status_code == 200
    client.now += 1
    assert client.refresh(old).json()["hint"] == "Token has expired"


def test_a_refresh_token_belongs_to_its_application(client: KangarooClient) -> None:
    pair = client.token().json()
    other = {"client_id": "11", "client_secret": "fake-code-client-secret"}
    assert client.refresh(pair["refresh_token"], **other).json()["hint"] == "Token is not linked to client"
    assert client.refresh("never issued").status_code == 400
    assert client.refresh(pair["refresh_token"]).status_code == 200


def test_a_refused_refresh_can_be_made_a_401(client: KangarooClient) -> None:
    client.set("kangaroo", refresh_refusal=401)
    answer = client.refresh("never issued")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_request")


def test_refresh_fields_may_come_in_the_query(client: KangarooClient) -> None:
    query = {
        "grant_type": "refresh_token",
        "refresh_token": client.token().json()["refresh_token"],
        "client_id": "10",
        "client_secret": "fake-password-client-secret",
    }
    assert client.send("POST", "/kangaroo/oauth/token", params=query).status_code == 200


def test_an_access_token_ends_after_expires_in(client: KangarooClient) -> None:
    client.set("kangaroo", expires_in=60)
    client.sign_in()
    client.now += 59
    assert client.api("GET", "/me").status_code == 200
    client.now += 1
    answer = client.api("GET", "/me")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "Unauthenticated."


def test_tokens_can_be_expired_and_revoked_on_command(client: KangarooClient) -> None:
    pair = client.token().json()
    client.access = pair["access_token"]
    client.set("kangaroo", expire_tokens=True)
    assert client.api("GET", "/me").status_code == 401
    pair = client.refresh(pair["refresh_token"]).json()
    client.set("kangaroo", revoke_tokens=True)
    assert client.refresh(pair["refresh_token"]).status_code == 400


def test_an_authorization_code_is_exchanged_once_for_tokens(client: KangarooClient) -> None:
    found = authorize(client)
    assert found["state"] == ["s-1"]
    form = code_form(found["code"][0])
    pair = client.token(form)
    assert pair.status_code == 200
    client.access = pair.json()["access_token"]
    assert client.api("GET", "/me").status_code == 200
    again = client.token(form)
    assert (again.status_code, again.json()["hint"]) == (400, "Authorization code has been revoked")


def test_an_authorization_code_lasts_ten_minutes(client: KangarooClient) -> None:
    code = authorize(client)["code"][0]
    client.now += 600
    assert client.token(code_form(code)).json()["hint"] == "Authorization code has expired"


def test_the_redirect_address_must_be_the_registered_one_to_the_letter(client: KangarooClient) -> None:
    query = {**CODE_APP, "redirect_uri": f"{CALLBACK}/", "response_type": "code", "scope": "admin"}
    assert client.send("GET", "/kangaroo/oauth/authorize", params=query).status_code == 401
    code = authorize(client)["code"][0]
    assert client.token(code_form(code, redirect_uri=f"{CALLBACK}/")).status_code == 401
    assert client.token(code_form(code)).status_code == 200


def test_what_the_user_denies_or_the_scope_forbids_comes_back_as_an_error(client: KangarooClient) -> None:
    assert authorize(client, scope="")["error"] == ["invalid_scope"]
    assert authorize(client, response_type="token")["error"] == ["unsupported_response_type"]
    client.set("kangaroo", authorize="deny")
    denied = authorize(client)
    assert (denied["error"], denied["state"]) == (["access_denied"], ["s-1"])


def test_client_credentials_give_a_token_without_a_refresh_token(client: KangarooClient) -> None:
    answer = client.send("POST", "/kangaroo-integrations/oauth/token", json=MACHINE)
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    assert answer.json()["expires_in"] == 3920
    wrong = client.send("POST", "/kangaroo-integrations/oauth/token", json={**MACHINE, "client_secret": "no"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert client.send("POST", "/kangaroo-integrations/oauth/token", json=client.token_form()).status_code == 400


def test_the_application_key_is_required_of_users_on_both_hosts_and_not_of_client_credentials(
    client: KangarooClient,
) -> None:
    for key in (None, "wrong"):
        headers = client.headers(x_application_key=key)
        for path in ("/kangaroo/tags", "/kangaroo-integrations/api/v1/branches"):
            answer = client.send("GET", path, headers=headers)
            assert (answer.status_code, answer.json()["error"]["status_code"]) == (401, 401)
    client.access = machine_token(client)
    bare = client.headers(x_application_key=None)
    assert client.send("GET", "/kangaroo-integrations/api/v1/branches", headers=bare).status_code == 200


def test_a_token_of_the_integrations_host_is_no_good_on_the_business_host(client: KangarooClient) -> None:
    client.access = machine_token(client)
    assert client.api("GET", "/tags").status_code == 401
    assert client.integrations("GET", "/api/v1/branches").status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer never-issued", "Basic dTpw", "Bearer"])
def test_without_a_live_token_nothing_is_served(client: KangarooClient, authorization: str | None) -> None:
    headers = client.headers(authorization=authorization)
    for path in ("/kangaroo/customers", "/kangaroo-integrations/api/v1/branch-links"):
        answer = client.send("GET", path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["description"] == "Unauthenticated."
