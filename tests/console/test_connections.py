"""Connections: what is shown of one, its check, and a preview of its mapping."""

from __future__ import annotations

import json

import pytest

from tests.console.conftest import Browser, shown
from tests.pipeline.conftest import CONNECTION, Relay

SECRETS = ("fake-secret", "fake-till-password", "fake-rotated")


def test_the_list_shows_valid_and_invalid_connections(browser: Browser, relay: Relay) -> None:
    relay.stack.put_connection("broken", {"source": {"platform": "shopify"}})
    text = shown(browser.get("/connections"))
    assert "shop-1" in text
    assert "not valid" in text
    rows = browser.json("/connections.json")
    assert {row["id"]: row["state"] == "valid" for row in rows} == {"shop-1": True, "broken": False}


def test_a_connection_shows_how_old_its_secrets_are_and_no_value(browser: Browser, relay: Relay) -> None:
    source = CONNECTION["source"] | {  # type: ignore[operator]
        "secrets": [
            {"value": "fake-rotated"},
            {"value": "fake-secret", "not_after": "2099-01-01T00:00:00+00:00"},
            {"value": "fake-former", "not_after": "2000-01-01T00:00:00+00:00"},
        ],
    }
    relay.stack.put_connection("shop-1", {**CONNECTION, "source": source})
    html = browser.get("/connections/shop-1")
    assert not any(secret in html for secret in (*SECRETS, "fake-former"))
    found = browser.json("/connections/shop-1.json")
    assert [secret["state"] for secret in found["webhook_secrets"]] == ["accepted", "ends", "ended"]
    assert not any(secret in json.dumps(found) for secret in (*SECRETS, "fake-former"))
    assert "https://relay.example.com/webhooks/shop-1" in html


def test_a_connection_that_is_not_valid_shows_its_fields(browser: Browser, relay: Relay) -> None:
    relay.stack.put_connection("shop-1", {**CONNECTION, "destination": {"vendor": "nosuch"}})
    assert "destination" in shown(browser.get("/connections/shop-1"))


@pytest.mark.parametrize("path", ["/connections/nosuch", "/connections/nosuch/mapping", "/connections/nosuch.json"])
def test_a_connection_that_does_not_exist_is_not_found(browser: Browser, path: str) -> None:
    assert "there is no connection nosuch" in browser.get(path, status=404)


def test_a_check_shows_what_is_missing(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [{"what": "sign in", "ok": False, "message": "<b>refused</b>", "who": "vendor"}]
    monkeypatch.setattr("devkit.queries.connections.probe", lambda stack, connection, *, seconds: findings)
    monkeypatch.setattr("devkit.queries.connections.findings_of", lambda stack, connection, *, seconds: [])
    answer = browser.post("/connections/shop-1/check", {})
    assert answer.status_code == 200
    assert "&lt;b&gt;refused&lt;/b&gt;" in answer.text
    assert "something is missing" in shown(answer.text)
    found = browser.post("/connections/shop-1/check.json", {}).json()
    assert found == {"connection": "shop-1", "ok": False, "woken": 0, "findings": findings}


def test_nothing_is_checked_by_looking(browser: Browser) -> None:
    assert browser.client.get("/connections/shop-1/check").status_code == 404


def test_a_sample_is_previewed_value_by_value(browser: Browser) -> None:
    assert "customers/create" in browser.get("/connections/shop-1/mapping")
    answer = browser.post("/connections/shop-1/mapping", {"topic": "customers/create", "payload": ""})
    assert answer.status_code == 200
    text = shown(answer.text)
    assert "register" in text
    assert "identifier email" in text


def test_an_own_payload_is_previewed_and_not_kept_in_an_address(browser: Browser) -> None:
    form = {"topic": "customers/create", "payload": browser_payload("zoe@example.com")}
    answer = browser.post("/connections/shop-1/mapping", form)
    assert "zoe@example.com" in answer.text
    assert "location" not in answer.headers
    found = browser.post("/connections/shop-1/mapping.json", form).json()
    assert found["results"][0]["values"]["identifier email"] == "zoe@example.com"


def browser_payload(email: str) -> str:
    return json.dumps(
        {"id": 7, "email": email, "first_name": "Zoe", "verified_email": True, "updated_at": "2026-11-01T10:00:00Z"}
    )


@pytest.mark.parametrize(
    ("payload", "text"),
    [("{", "would be parked"), ('{"id": 7}', "would be parked"), ("x" * 300_000, "too long")],
)
def test_a_payload_that_becomes_nothing_is_explained(browser: Browser, payload: str, text: str) -> None:
    answer = browser.post("/connections/shop-1/mapping", {"topic": "customers/create", "payload": payload})
    assert answer.status_code == 400
    assert text in answer.text
