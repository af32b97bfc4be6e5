"""Authentication that renews a refused token: how often, with which token, and what it may read."""

from __future__ import annotations

import httpx
import pytest

from loyalty_relay.destinations.auth import TokenAuth
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import build_request
from loyalty_relay.http.transports import MAX_BODY
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import InvalidCommand, UpstreamUnavailable
from tests.support.limiters import NullLimiter

DEADLINE = Deadline(60, lambda: 0.0)


class Vendor(httpx.BaseTransport):
    """Accepts one token; every other is refused in the body of a 200."""

    def __init__(self, accepted: str, *, padding: int = 0) -> None:
        self.accepted = accepted
        self.padding = padding
        self.seen: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.headers["token"])
        answer = b"welcome" if self.seen[-1] == self.accepted else b"refused"
        return httpx.Response(200, content=answer + b" " * self.padding)


class Auth(TokenAuth):
    """Hands out the given tokens in order; those in ``obtained`` were obtained by the call itself."""

    def __init__(self, *tokens: str, obtained: str = "", renewable: bool = True) -> None:
        self.tokens = list(tokens)
        self.obtained = obtained
        self.renewable = renewable
        self.rejected: list[str | None] = []

    def token(self, deadline: Deadline, rejected: str | None) -> tuple[str, bool]:
        self.rejected.append(rejected)
        token = self.tokens.pop(0)
        return token, token in self.obtained

    def headers(self, token: str) -> dict[str, str]:
        return {"Token": token}

    def refuses(self, response: httpx.Response) -> bool:
        return response.content.startswith(b"refused")


def send(vendor: Vendor, auth: Auth) -> str:
    request = build_request(api="write", method="POST", url="https://crm.example.com/", json={"a": 1})
    return Client(NullLimiter(), upstream=vendor).fetch(request, DEADLINE, auth).text


def test_an_accepted_token_is_not_renewed() -> None:
    vendor, auth = Vendor("a"), Auth("a")
    assert send(vendor, auth) == "welcome"
    assert (vendor.seen, auth.rejected) == (["a"], [None])


def test_a_refused_token_is_replaced_and_the_same_request_is_sent_again() -> None:
    vendor, auth = Vendor("b"), Auth("a", "b", obtained="b")
    assert send(vendor, auth) == "welcome"
    assert (vendor.seen, auth.rejected) == (["a", "b"], [None, "a"])


def test_a_token_that_was_obtained_for_the_first_request_is_renewed_like_any_other() -> None:
    assert send(Vendor("b"), Auth("a", "b", obtained="ab")) == "welcome"


def test_no_second_token_is_obtained() -> None:
    vendor, auth = Vendor("c"), Auth("a", "b", "c", obtained="bc")
    assert send(vendor, auth) == "refused"
    assert (vendor.seen, auth.tokens) == (["a", "b"], ["c"])


def test_a_token_that_another_execution_obtained_is_not_this_ones_renewal() -> None:
    vendor = Vendor("c")
    assert send(vendor, Auth("a", "b", "c", obtained="c")) == "welcome"
    assert vendor.seen == ["a", "b", "c"]


def test_other_executions_tokens_are_not_tried_for_ever() -> None:
    vendor, auth = Vendor("z"), Auth("a", "b", "c", "d")
    assert send(vendor, auth) == "refused"
    assert (vendor.seen, auth.tokens) == (["a", "b", "c"], ["d"])


def test_a_token_that_cannot_be_renewed_is_sent_once() -> None:
    vendor, auth = Vendor("b"), Auth("a", "b", renewable=False)
    assert send(vendor, auth) == "refused"
    assert vendor.seen == ["a"]


def test_a_refusal_in_an_oversized_body_is_not_read() -> None:
    vendor, auth = Vendor("b", padding=MAX_BODY), Auth("a", "b", obtained="b")
    with pytest.raises(UpstreamUnavailable, match=str(MAX_BODY)):
        send(vendor, auth)
    assert vendor.seen == ["a"]


def test_a_token_that_could_start_another_header_is_refused_unsent() -> None:
    vendor = Vendor("a")
    with pytest.raises(InvalidCommand):
        send(vendor, Auth("a\r\nX-Evil: 1"))
    assert vendor.seen == []
