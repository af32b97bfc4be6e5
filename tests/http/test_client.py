"""The HTTP client: what it sends, what it returns, and which error each broken response becomes."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import (
    USER_AGENT,
    VERSION,
    NotJson,
    build_request,
    json_of,
    path_segment,
    raise_for_transient,
    retry_after,
)
from loyalty_relay.http.transports import MAX_BODY, Limits
from loyalty_relay.model import effects
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    ConnectionFailed,
    DeadlineTooShort,
    InvalidCommand,
    RateLimited,
    TransientError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.support.limiters import NullLimiter

NOON = 1_790_000_000.0


class CountingLimiter(NullLimiter):
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.penalties: list[tuple[str, float | None]] = []

    def acquire(self, api: str, deadline: Deadline) -> None:
        self.taken.append(api)

    def penalise(self, api: str, retry_after: float | None) -> None:
        self.penalties.append((api, retry_after))


def answered(
    status: int, headers: dict[str, str] | None = None, body: bytes = b"", *, wrote: bool = False
) -> httpx.Response:
    """A response as a client returns it."""
    return httpx.Response(
        status, headers=headers, content=body, request=post(effect=wrote), extensions={"received_at": NOON}
    )


def in_seconds(seconds: float) -> Deadline:
    return Deadline(seconds, lambda: 0.0)


def transport(
    handler: Callable[[httpx.Request], httpx.Response], limiter: NullLimiter | None = None, **options: Any
) -> Client:
    return Client(
        limiter or NullLimiter(), lambda: NOON, upstream=httpx.MockTransport(handler), limits=Limits(**options)
    )


def get(**options: Any) -> httpx.Request:
    return build_request(api="read", method="GET", url="https://crm.example.com/things", **options)


def post(**options: Any) -> httpx.Request:
    return build_request(api="write", method="POST", url="https://crm.example.com/things", **options)


# What leaves


def test_a_json_call_leaves_with_its_parameters_headers_and_our_name() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    transport(answer).fetch(
        post(params={"source": "INSTORE", "q": "a b&c"}, headers={"X-Thing": "1"}, json={"name": "Zoë"}),
        in_seconds(25),
    )
    (request,) = seen
    assert str(request.url) == "https://crm.example.com/things?source=INSTORE&q=a%20b%26c"
    assert request.headers["x-thing"] == "1"
    assert request.headers["user-agent"] == USER_AGENT
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/json"
    assert request.content == '{"name":"Zoë"}'.encode()


def test_a_form_call_is_url_encoded_and_its_own_accept_wins_in_any_spelling() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    transport(answer).fetch(
        post(form={"a": "1 2", "b": "&"}, headers={"accept": "application/vnd.shop+json"}), in_seconds(25)
    )
    (request,) = seen
    assert request.content == b"a=1+2&b=%26"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers.get_list("accept") == ["application/vnd.shop+json"]


@pytest.mark.attack("callers", "headers of the vendor's request, by line breaks in options")
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "Zoë", "a\x7f"])
def test_a_header_value_that_could_start_another_header_is_refused_unsent(value: str) -> None:
    with pytest.raises(InvalidCommand) as caught:
        transport(_unreachable).fetch(get(headers={"X-User": value}), in_seconds(25))
    assert caught.value.problems[0].field == "x-user"
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "number", ["5.25", "10.00", "0.10", "0", "12345678901234567.890", "0.100000000000000001", "-3.5", "1500"]
)
def test_an_amount_is_a_json_number_with_the_digits_that_it_has(number: str) -> None:
    request = post(json={"a": Decimal(number), "b": [{"c": Decimal(number)}, True, None, 1, "x"], "d": {}})

    assert request.content == f'{{"a":{number},"b":[{{"c":{number}}},true,null,1,"x"],"d":{{}}}}'.encode()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_is_no_number_is_not_sent_as_one(number: str) -> None:
    with pytest.raises(TypeError):
        post(json={"a": Decimal(number)})
    with pytest.raises(ValueError, match="Out of range"):
        post(json={"a": float("nan")})


def test_half_a_surrogate_pair_does_not_stop_a_request() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200)

    transport(answer).fetch(post(json={"n": "a\ud83d"}), in_seconds(25))
    assert json.loads(seen[0]) == {"n": "a?"}


def test_the_name_in_user_agent_is_the_projects_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


@pytest.mark.parametrize(("text", "segment"), [("123", "123"), ("a/b", "a%2Fb"), ("a?b", "a%3Fb"), ("..a", "..a")])
def test_an_id_stays_one_segment_of_the_path(text: str, segment: str) -> None:
    assert path_segment(text) == segment


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_an_id_that_a_url_would_resolve_away_is_refused(text: str) -> None:
    with pytest.raises(InvalidCommand):
        path_segment(text)


# Limits and deadlines


def test_each_request_takes_one_turn_of_its_api() -> None:
    limiter = CountingLimiter()
    way = transport(lambda _: httpx.Response(200), limiter)
    way.fetch(get(), in_seconds(25))
    way.fetch(post(), in_seconds(25))
    assert limiter.taken == ["read", "write"]


def test_no_call_starts_that_could_not_finish() -> None:
    limiter = CountingLimiter()
    with pytest.raises(DeadlineTooShort):
        transport(_unreachable, limiter, least=3.0, margin=0.5).fetch(post(), in_seconds(3.4))
    assert limiter.taken == []


def test_no_call_starts_when_waiting_for_its_turn_used_up_the_time() -> None:
    now = [0.0]

    class Slow(NullLimiter):
        def acquire(self, api: str, deadline: Deadline) -> None:
            now[0] += 8.0

    with pytest.raises(DeadlineTooShort):
        transport(_unreachable, Slow()).fetch(post(), Deadline(10.0, lambda: now[0]))


def test_time_limits_shrink_with_the_deadline() -> None:
    seen: list[dict[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    way = transport(answer, connect=3, read=15, total=20, least=1, margin=0.5)
    way.fetch(get(), in_seconds(100))
    way.fetch(get(), in_seconds(2.5))
    assert [s["read"] for s in seen] == [15, 2.0]
    assert [s["connect"] for s in seen] == [3, 2.0]


def test_a_429_is_reported_to_the_limiter_and_raised_only_on_request() -> None:
    limiter = CountingLimiter()
    answer = transport(lambda _: httpx.Response(429, headers={"Retry-After": "7"}), limiter).fetch(
        post(), in_seconds(25)
    )
    assert limiter.penalties == [("write", 7.0)]
    with pytest.raises(RateLimited) as caught:
        raise_for_transient(answer)
    assert caught.value.retry_after == 7.0
    assert caught.value.reached is False


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry-after": "Mon, 21 Sep 2020 14:14:20 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"x-ratelimit-reset": str(int(NOON) + 30)}, 30.0),
        ({"x-ratelimit-reset": "30"}, None),
        ({"retry-after": "3", "x-ratelimit-reset": str(int(NOON) + 30)}, 3.0),
    ],
)
def test_the_vendors_wait_is_read_from_seconds_dates_and_reset_times(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(answered(429, headers)) == seconds


# What comes back


@pytest.mark.parametrize(
    ("status", "wrote", "reached"),
    [
        (301, True, True),
        (303, False, False),
        (307, True, True),
        (408, True, True),
        (425, True, False),
        (500, True, True),
        (502, True, True),
        (503, True, True),
        (504, True, True),
        (500, False, False),
    ],
)
def test_passing_statuses_report_whether_the_request_may_have_had_an_effect(
    status: int, wrote: bool, reached: bool
) -> None:
    kind = UpstreamTimeout if status == 504 else UpstreamUnavailable
    with pytest.raises(kind) as caught:
        raise_for_transient(answered(status, {"retry-after": "4"}, wrote=wrote), request_id="r-1")
    assert (caught.value.reached, caught.value.retry_after) == (reached, 4.0)
    assert (caught.value.code, caught.value.request_id) == (str(status), "r-1")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 400, 401, 403, 404, 409, 422])
def test_every_other_status_is_left_to_the_vendors_client(status: int) -> None:
    answer = transport(lambda _: httpx.Response(status, json={"a": 1})).fetch(post(), in_seconds(25))
    raise_for_transient(answer)
    assert answer.status_code == status
    assert json_of(answer) == {"a": 1}


@pytest.mark.parametrize(("request_", "counted"), [(get, 0), (post, 1), (lambda: post(effect=False), 0)])
def test_a_request_that_may_have_an_effect_is_counted_whatever_ends_it(request_: Any, counted: int) -> None:
    def broken(sent: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    since = effects.begun()
    with pytest.raises(ZeroDivisionError) as bug:
        Client(NullLimiter(), upstream=httpx.MockTransport(broken)).fetch(request_(), in_seconds(30))
    assert effects.begun() - since == counted
    assert effects.may_have_acted(bug.value, since) is bool(counted)


def test_redirects_are_not_followed() -> None:
    answer = transport(lambda _: httpx.Response(302, headers={"Location": "https://evil.example.org/"})).fetch(
        get(), in_seconds(25)
    )
    assert answer.status_code == 302


def test_a_redirect_to_no_valid_address_is_a_broken_answer() -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        transport(lambda _: httpx.Response(302, headers={"Location": "https://evil:port/"})).fetch(
            post(), in_seconds(25)
        )
    assert caught.value.reached is True


def test_a_cookie_is_not_sent_back() -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, headers={"Set-Cookie": "session=1; Path=/"})

    client = transport(answer)
    client.fetch(get(), in_seconds(25))
    client.fetch(get(), in_seconds(25))
    assert [headers.get("cookie") for headers in seen] == [None, None]


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        ("application/json", b"", "empty body"),
        ("application/json", b"  \n", "empty body"),
        ("application/json", b'{"a": ', "not JSON, or cut off"),
        ("application/json", b"\xff\xfe", "not JSON, or cut off"),
        ("application/json", b"[" * 200_000, "not JSON, or cut off"),
        ("application/json", b'{"a": NaN}', "not JSON, or cut off"),
        ("text/html; charset=utf-8", b"<html></html>", "content type text/html"),
        ("application/xml", b"<response/>", "content type application/xml"),
    ],
)
def test_a_body_that_is_not_json_explains_why_and_nothing_of_itself(kind: str, body: bytes, why: str) -> None:
    assert json_of(answered(200, {"content-type": kind}, body)) == NotJson(why)


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.x+json; charset=utf-8", "text/plain", ""])
def test_json_is_read_under_every_label_that_does_not_contradict_it(kind: str) -> None:
    assert json_of(answered(200, {"content-type": kind}, b'{"a":1}')) == {"a": 1}


@pytest.mark.parametrize("kind", ["", "text/html; charset=UTF-8", "application/xml", "text/plain", "application/x-y"])
def test_json_is_read_whatever_it_is_labelled_as(kind: str) -> None:
    assert json_of(answered(200, {"content-type": kind}, b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("number", "read"),
    [
        ("5.250", 5.25),
        ("12345678901234567.89", "12345678901234567.89"),
        ("0.100000000000000001", "0.100000000000000001"),
        ("1e400", "1e400"),
        ("1e99999999999999999999", "1e99999999999999999999"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_number_that_a_float_cannot_hold_keeps_its_digits(number: str, read: object) -> None:
    assert json_of(answered(200, {}, f'{{"a":{number}}}'.encode())) == {"a": read}


def test_a_packed_answer_is_unpacked_and_its_header_names_are_in_lower_case() -> None:
    body = gzip.compress(b'{"a":1}')
    answer = transport(
        lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip", "X-Cap-Requestid": "ab"}, content=body)
    ).fetch(get(), in_seconds(25))
    assert json_of(answer) == {"a": 1}
    assert answer.headers["x-cap-requestid"] == "ab"


def test_an_answer_that_cannot_be_unpacked_is_unavailable() -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        transport(lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b"nope"]))).fetch(
            post(), in_seconds(25)
        )
    assert caught.value.reached is True


@pytest.mark.attack(
    "vendors", "an answer without end, or one that unpacks into one", "5 MB, unpacked no further than that", "G8"
)
def test_an_answer_without_end_is_cut_off() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    with pytest.raises(UpstreamUnavailable, match=str(MAX_BODY)):
        transport(lambda _: httpx.Response(200, content=endless())).fetch(get(), in_seconds(25))


# Broken connections

PATH_WITH_SECRET = "https://crm.example.com/things?email=ana%40example.com"


@pytest.mark.parametrize(
    ("error", "kind", "reached"),
    [
        (httpx.ConnectError, ConnectionFailed, False),
        (httpx.ConnectTimeout, ConnectionFailed, False),
        (httpx.PoolTimeout, ConnectionFailed, False),
        (httpx.ReadTimeout, UpstreamTimeout, True),
        (httpx.WriteTimeout, UpstreamTimeout, True),
        (httpx.ReadError, UpstreamUnavailable, True),
        (httpx.RemoteProtocolError, UpstreamUnavailable, True),
        (httpx.UnsupportedProtocol, ConnectionFailed, False),
    ],
)
def test_each_broken_connection_is_one_typed_error_that_names_no_url(
    error: type[httpx.TransportError], kind: type[TransientError], reached: bool
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"failed for {request.url}")

    with pytest.raises(kind) as caught:
        transport(fail).fetch(build_request(api="write", method="POST", url=PATH_WITH_SECRET), in_seconds(25))
    assert caught.value.reached is reached
    assert "example.com" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_read_that_times_out_had_no_effect() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late")

    with pytest.raises(UpstreamTimeout) as caught:
        transport(fail).fetch(get(), in_seconds(25))
    assert caught.value.reached is False


@pytest.mark.parametrize(
    "call", [get(), build_request(api="w", method="PUT", url="https://crm.example.com/", idempotent=True)]
)
@pytest.mark.parametrize("error", [httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError])
def test_a_dead_connection_is_forgiven_once_where_repeating_is_safe(
    call: httpx.Request, error: type[httpx.TransportError]
) -> None:
    limiter = CountingLimiter()
    tries: list[int] = []

    def once(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        if len(tries) == 1:
            raise error("gone")
        return httpx.Response(200)

    assert transport(once, limiter).fetch(call, in_seconds(25)).status_code == 200
    assert len(limiter.taken) == 2, "the second try counts against the limit as well"


@pytest.mark.parametrize(("call", "tries"), [(get(), 2), (post(), 1)])
def test_a_connection_that_keeps_dying_is_not_tried_for_ever(call: httpx.Request, tries: int) -> None:
    seen: list[int] = []

    def never(request: httpx.Request) -> httpx.Response:
        seen.append(1)
        raise httpx.RemoteProtocolError("gone")

    with pytest.raises(UpstreamUnavailable):
        transport(never).fetch(call, in_seconds(25))
    assert len(seen) == tries


# Over real sockets


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_a_server_that_hangs_up_is_unavailable_and_may_have_acted(reply: bytes) -> None:
    with served(reply) as url, pytest.raises(UpstreamUnavailable) as caught:
        Client(NullLimiter()).fetch(build_request(api="w", method="POST", url=url, json={}), in_seconds(25))
    assert caught.value.reached is True


def test_a_whole_answer_comes_back_from_a_real_socket() -> None:
    with served(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n" + b'{"a":1}') as url:
        answer = Client(NullLimiter()).fetch(build_request(api="r", method="GET", url=url), in_seconds(25))
    assert json_of(answer) == {"a": 1}


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"], ids=["headers", "body"]
)
def test_a_server_that_drips_cannot_stretch_a_call_beyond_its_total_time(start: bytes) -> None:
    limits = Limits(read=5.0, total=0.4, least=0.1, margin=0.0)
    before = monotonic()
    with served(start, drip=b"x: y\r\n") as url, pytest.raises(UpstreamTimeout):
        Client(NullLimiter(), limits=limits).fetch(build_request(api="r", method="GET", url=url), in_seconds(25))
    assert monotonic() - before < 3.0


def test_no_listener_means_nothing_was_sent() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionFailed) as caught:
        Client(NullLimiter()).fetch(
            build_request(api="w", method="POST", url=f"http://127.0.0.1:{port}/"), in_seconds(25)
        )
    assert caught.value.reached is False


class served:  # noqa: N801 - a context manager
    """A server for one connection that sends ``reply``, then ``drip`` again and again until the client leaves."""

    def __init__(self, reply: bytes, drip: bytes = b"") -> None:
        self._reply, self._drip = reply, drip
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with closing(connection):
            connection.settimeout(5.0)
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65_536)
            length = re.search(rb"content-length: (\d+)", received.lower())
            body = received.split(b"\r\n\r\n", 1)[1]
            while length and len(body) < int(length.group(1)):
                body += connection.recv(65_536)
            try:
                connection.sendall(self._reply)
                while self._drip and not self._over.wait(0.05):
                    connection.sendall(self._drip)
            except OSError:
                return

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5.0)
        self._listener.close()


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise AssertionError("nothing may be sent")
