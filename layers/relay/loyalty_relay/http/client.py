"""The one way out: every request to a vendor or a platform's read API is sent here, and only this module knows httpx.

One connection pool and one TLS context serve the whole process, built when the first request is sent. There are no
redirects and no proxies, and nothing is read from the environment. A ``Transport`` joins that pool to the limits of
one destination.
"""

from __future__ import annotations

import json as jsonlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

import httpcore
import httpx

from loyalty_relay.http.decompression import CannotUnpack, unpacker
from loyalty_relay.http.rate_limit import Limiter
from loyalty_relay.http.sockets import BoundedBackend, ending_in
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    ConnectionFailed,
    FieldProblem,
    InvalidCommand,
    RateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)

VERSION = "0.1.0"
USER_AGENT = f"LoyaltyRelay/{VERSION}"

MAX_ANSWER = 5 * 1024 * 1024
"""Bytes of an answer, unpacked, after which reading it stops."""

KEEP_ALIVE = 5.0
"""Seconds an idle connection is kept. Short, because a frozen process wakes up with connections that are long dead."""

_NOT_A_HEADER = re.compile(r"[^\t\x20-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Time limits of one request, in seconds."""

    connect: float = 3.0
    read: float = 15.0
    """The longest silence of the vendor."""
    total: float = 20.0
    """From the first byte sent to the last one read."""
    least: float = 3.0
    """A request with less time than this left is not sent at all."""
    margin: float = 0.5
    """What stays of the deadline for the work after the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. At most one of ``json``, ``form`` and ``body`` is given.

    ``api`` names the limit it counts against. ``idempotent``: sending it twice does no more than sending it once.
    ``effect``: whether it can change anything that a command asks for; by default, whether its method is not a reading
    one. A request for a token has none.
    """

    api: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str | int] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    idempotent: bool = False
    effect: bool | None = None

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS") if self.effect is None else self.effect

    @property
    def safe_to_repeat(self) -> bool:
        return self.idempotent or self.method in ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class NotJson:
    """A body that is not JSON, and why; ``why`` holds nothing of the body."""

    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor answered, whatever its status. Names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    wrote: bool = False
    """Whether the request could have changed something."""
    now: float = 0.0
    """When it arrived, epoch seconds: what dates in its headers count from."""

    def json(self) -> Any | NotJson:
        """The body as JSON. Labels that contradict it (HTML, XML) are believed; a missing or plain-text one is not."""
        kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if not self.body.strip():
            return NotJson("empty body")
        if kind and "json" not in kind and kind not in ("text/plain", "application/octet-stream"):
            return NotJson(f"content type {kind[:60]}")
        try:
            return jsonlib.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return NotJson("not JSON, or cut off")

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait as the vendor asks: Retry-After in seconds or as a date, else X-RateLimit-Reset (epoch
        seconds, Kangaroo docs: Rate limiting).
        """
        return retry_after(self.headers, self.now)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """What ``Answer.retry_after`` says; never negative, None when nothing readable is said."""
    text = headers.get("retry-after", "").strip()
    if text:
        if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, OverflowError):
            pass
    text = headers.get("x-ratelimit-reset", "").strip()
    if re.fullmatch(r"\d{9,11}", text):
        return max(0.0, float(text) - now)
    return None


def path_segment(text: str) -> str:
    """An id as one segment of a path. Raises InvalidCommand for what a URL would resolve away."""
    if text in ("", ".", ".."):
        raise InvalidCommand("an id in a path is not valid", problems=[FieldProblem("id", "is not a valid id")])
    return quote(text, safe="")


def raise_for_transient(answer: Answer, *, code: str | None = None, request_id: str | None = None) -> None:
    """Raise for the statuses that pass by themselves: RateLimited for 429, UpstreamTimeout for 504, behind which the
    destination may still be at work (RFC 9110 section 15.6.5), UpstreamUnavailable for 408, 425 and other 5xx.

    To be called after the body has been looked at: a vendor may put a lasting error into a 500, or success into a 202.
    """
    status = answer.status
    if status == 429:
        raise RateLimited(
            "the destination answered 429",
            retry_after=answer.retry_after,
            code=code or "429",
            request_id=request_id,
        )
    if status in (408, 425) or status >= 500:
        kind = UpstreamTimeout if status == 504 else UpstreamUnavailable
        raise kind(
            f"the destination answered {status}",
            retry_after=answer.retry_after,
            # 425 says that the request was not even looked at.
            reached=answer.wrote and status != 425,
            code=code or str(status),
            request_id=request_id,
        )


class Transport:
    """Sends requests within the limits of one destination. Safe to use from several threads.

    ``clock``: wall clock in epoch seconds. ``upstream``: an ``httpx.BaseTransport`` to use instead of the process's
    connection pool, for tests.
    """

    def __init__(
        self,
        limiter: Limiter,
        clock: Callable[[], float] = time.time,
        *,
        limits: Limits | None = None,
        upstream: httpx.BaseTransport | None = None,
    ) -> None:
        self.limiter = limiter
        self.clock = clock
        self.limits = limits or Limits()
        self._client = None if upstream is None else _client(upstream)

    def send(self, call: Call, deadline: Deadline) -> Answer:
        """Send it and read the whole answer, whatever its status; a 429 is told to the limiter.

        Raises DeadlineTooShort or RateLimited before anything is sent; ConnectionFailed when nothing could be sent;
        UpstreamTimeout and UpstreamUnavailable when the answer is missing or broken. ``reached`` of these says whether
        the request may have had an effect. InvalidCommand for a header value that is not printable ASCII.
        """
        request = self._request(call)
        try:
            return self._once(call, request, deadline)
        except _DeadConnection:
            if not call.safe_to_repeat:
                raise UpstreamUnavailable("the connection broke before an answer came", reached=call.writes) from None
        try:
            return self._once(call, request, deadline)
        except _DeadConnection:
            raise UpstreamUnavailable("the connection broke twice before an answer came", reached=call.writes) from None

    def penalise(self, api: str, seconds: float | None) -> None:
        """For a vendor that says "too many requests" in a body."""
        self.limiter.penalise(api, seconds)

    def _request(self, call: Call) -> httpx.Request:
        content, kind = _content(call)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if kind:
            headers["Content-Type"] = kind
        # Later spellings of a name replace earlier ones, so that a vendor's own Accept wins.
        named = {name.lower(): (name, value) for name, value in (*headers.items(), *call.headers.items())}
        for name, value in named.values():
            if _NOT_A_HEADER.search(value) or _NOT_A_HEADER.search(name):
                raise InvalidCommand(
                    f"header {name} has characters that headers cannot have",
                    problems=[FieldProblem(name.lower(), "must consist of printable ASCII characters")],
                )
        url = call.url
        if call.params:
            url += "?" + urlencode({k: str(v) for k, v in call.params.items()}, quote_via=quote)
        try:
            return httpx.Request(call.method, url, headers=dict(named.values()), content=content)
        except httpx.InvalidURL:
            raise ConnectionFailed("the destination's address is not a valid URL") from None

    def _once(self, call: Call, request: httpx.Request, deadline: Deadline) -> Answer:
        limits = self.limits
        need = limits.least + limits.margin
        deadline.require(need)
        self.limiter.acquire(call.api, deadline)
        total = min(limits.total, deadline.require(need) - limits.margin)
        request.extensions["timeout"] = {
            "connect": min(limits.connect, total),
            "pool": min(limits.connect, total),
            "read": min(limits.read, total),
            "write": min(limits.read, total),
        }
        answering = False
        try:
            with ending_in(total):
                response = (self._client or _shared()).send(request, stream=True, follow_redirects=False)
                answering = True
                try:
                    body = _read(response, call.writes)
                finally:
                    response.close()
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
                raise ConnectionFailed("no connection to the destination in time") from None
            raise UpstreamTimeout("the destination did not answer in time", reached=call.writes) from None
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if answering:
                raise UpstreamUnavailable("the answer broke off", reached=call.writes) from None
            raise _DeadConnection from None
        except CannotUnpack:
            raise UpstreamUnavailable("the answer cannot be unpacked", reached=call.writes) from None
        except httpx.TransportError as error:
            raise ConnectionFailed(f"no connection to the destination ({type(error).__name__})") from None
        answer = Answer(
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            body,
            call.writes,
            self.clock(),
        )
        if answer.status == 429:
            self.limiter.penalise(call.api, answer.retry_after)
        return answer


class _DeadConnection(Exception):
    """The connection ended before the first byte of an answer: mostly one that idled too long."""


def _content(call: Call) -> tuple[bytes, str]:
    if call.json is not None:
        text = jsonlib.dumps(call.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # Half a surrogate pair has no UTF-8 form; one unreadable letter is no reason to fail.
        return text.encode("utf-8", "replace"), "application/json"
    if call.form is not None:
        return urlencode(call.form).encode(), "application/x-www-form-urlencoded"
    return call.body or b"", ""


def _read(response: httpx.Response, wrote: bool) -> bytes:
    """The unpacked body, read as it came: httpx would unpack all of a chunk at once."""
    unpack = unpacker(response.headers.get("content-encoding", ""))
    body = bytearray()
    for chunk in cast("Iterable[bytes]", response.stream):
        body += unpack(chunk, MAX_ANSWER + 1 - len(body)) if unpack else chunk
        if len(body) > MAX_ANSWER:
            raise UpstreamUnavailable(f"the answer is larger than {MAX_ANSWER} bytes", reached=wrote)
    if unpack and not unpack.ended:
        raise CannotUnpack("cut off")
    return bytes(body)


class _Pool(httpx.BaseTransport):
    """httpx's own pool, but over sockets that keep the total time (see ``http/sockets.py``)."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=50,
            max_keepalive_connections=20,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=BoundedBackend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        with _as_httpx():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.read(),
                    extensions=request.extensions,
                )
            )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Turns httpcore's errors into httpx's, which have the same names."""
    try:
        yield
    except _FAILURES as error:
        raise getattr(httpx, type(error).__name__, httpx.TransportError)(str(error)) from error


_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_lock = threading.Lock()
_built: httpx.Client | None = None


def _client(upstream: httpx.BaseTransport) -> httpx.Client:
    for library in ("httpx", "httpcore"):
        # At INFO they write every URL, at DEBUG every header: customers' addresses and access tokens.
        logging.getLogger(library).setLevel(logging.WARNING)
    return httpx.Client(transport=upstream, trust_env=False, follow_redirects=False, headers={})


def _shared() -> httpx.Client:
    """The process's client, built by whoever needs it first."""
    global _built
    if _built is None:
        with _lock:
            if _built is None:
                _built = _client(_Pool())
    return _built
