"""Till credentials and OAuth tokens."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from loyalty_relay.destinations.capillary.auth import password_digest
from loyalty_relay.model.errors import CredentialsRefused, RelayError, UpstreamUnavailable
from tests.destinations.capillary.upstream import ANA, OAUTH, Canned, Clock, answer, deadline, register

DIGEST = "751affa830ee5ababe0249ca8dc6ddfe"
EXPECTED = "Basic ZGVtby50aWxsMDE6NzUxYWZmYTgzMGVlNWFiYWJlMDI0OWNhOGRjNmRkZmU="


def token(text: str, ttl: Any = 3600) -> httpx.Response:
    return answer({"data": {"accessToken": text, "ttlSeconds": ttl}, "errors": None})


def ok() -> httpx.Response:
    return answer({"createdId": 7})


def refused(code: int = 401, status: int = 401) -> httpx.Response:
    return answer({"errors": [{"status": False, "code": code, "message": "no"}]}, status)


def sent(upstream: Canned) -> list[str | None]:
    return [request.headers.get("X-CAP-API-OAUTH-TOKEN") for request in upstream.requests]


@pytest.mark.parametrize(
    "password",
    ["harbour42", "md5:751affa830ee5ababe0249ca8dc6ddfe", "md5:751AFFA830EE5ABABE0249CA8DC6DDFE"],
)
def test_a_tills_password_travels_as_its_digest(password: str) -> None:
    assert password_digest(password) == DIGEST


def test_a_password_that_looks_like_a_digest_is_a_password() -> None:
    assert password_digest(DIGEST) != DIGEST
    assert password_digest("md5:short") != password_digest("short")


def test_a_till_needs_no_token() -> None:
    upstream = Canned(ok())
    upstream.crm(credentials={"type": "basic", "username": "demo.till01", "password": "harbour42"}).register(
        register(ANA), {}, deadline()
    )
    assert upstream.requests[0].headers["authorization"] == EXPECTED
    assert sent(upstream) == [None]


def test_one_token_serves_until_shortly_before_its_end() -> None:
    upstream = Canned(token("fake-1", "300"), ok(), ok(), token("fake-2"), ok())
    clock = Clock()
    crm = upstream.crm(credentials=OAUTH, clock=clock)
    crm.register(register(ANA), {}, deadline())
    clock.now += 239
    crm.register(register(ANA), {}, deadline())
    clock.now += 2
    crm.register(register(ANA), {}, deadline())
    assert sent(upstream) == [None, "fake-1", "fake-1", None, "fake-2"]


@pytest.mark.parametrize(("code", "status"), [(401, 401), (498, 401), (498, 498), (498, 200), (401, 400)])
def test_a_refused_token_is_replaced_once(code: int, status: int) -> None:
    upstream = Canned(token("fake-1"), refused(code, status), token("fake-2"), ok())
    assert upstream.crm(credentials=OAUTH).register(register(ANA), {}, deadline()).loyalty_id == "7"
    assert sent(upstream) == [None, "fake-1", None, "fake-2"]


def test_a_token_that_is_refused_twice_is_a_matter_for_the_operator() -> None:
    upstream = Canned(token("fake-1"), refused(), token("fake-2"), refused())
    with pytest.raises(CredentialsRefused) as caught:
        upstream.crm(credentials=OAUTH).register(register(ANA), {}, deadline())
    assert caught.value.code == "401"
    assert upstream.answers == []


def test_a_403_does_not_lead_to_another_token() -> None:
    upstream = Canned(token("fake-1"), refused(403, 403))
    with pytest.raises(CredentialsRefused):
        upstream.crm(credentials=OAUTH).register(register(ANA), {}, deadline())


def test_threads_that_start_together_request_one_token() -> None:
    start = threading.Barrier(4)
    asked: list[str] = []

    class Counting(Canned):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return token("fake-1") if request.url.path.endswith("generate") else ok()

    crm = Counting().crm(credentials=OAUTH)

    def run() -> None:
        start.wait(5)
        crm.register(register(ANA), {}, deadline())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(asked) == ["/v2/customers"] * 4 + ["/v3/oauth/token/generate"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answer({"data": None, "errors": [{"code": 320001, "message": "Invalid"}]}, 401), CredentialsRefused),
        (answer({"data": None, "errors": [{"code": 320001, "message": "Invalid"}]}, 200), CredentialsRefused),
        (answer({"data": None, "errors": [{"message": "Invalid"}]}, 400), CredentialsRefused),
        (answer({"data": None, "errors": None}), CredentialsRefused),
        (answer({"data": {"accessToken": ""}}), CredentialsRefused),
        (answer([], 404), CredentialsRefused),
        (answer(b"<html>", 403, kind="text/html"), CredentialsRefused),
        (answer(b"<html>", 200, kind="text/html"), UpstreamUnavailable),
        (answer(b"", 503), UpstreamUnavailable),
        (answer({"error": "try later"}, 500), UpstreamUnavailable),
        (answer({"errors": [{"code": 4001, "message": "down"}]}, 503), UpstreamUnavailable),
    ],
)
def test_a_token_that_is_not_given_is_never_the_customers_fault(answer: httpx.Response, kind: type[RelayError]) -> None:
    with pytest.raises(kind) as caught:
        Canned(answer).crm(credentials=OAUTH).register(register(ANA), {}, deadline())
    assert type(caught.value) is kind
    assert caught.value.reached is False
    assert "fake-client-secret" not in str(caught.value)


@pytest.mark.parametrize("ttl", [None, "soon", -5, 0, True])
def test_a_token_of_unknown_life_is_used_once(ttl: Any) -> None:
    upstream = Canned(token("fake-1", ttl), ok(), token("fake-2", ttl), ok())
    crm = upstream.crm(credentials=OAUTH)
    for _ in range(2):
        crm.register(register(ANA), {}, deadline())
    assert sent(upstream) == [None, "fake-1", None, "fake-2"]
