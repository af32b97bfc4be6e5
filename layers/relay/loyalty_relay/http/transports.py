"""Layers between an httpx client and its connection pool.

One concern each, from the inside out: size limit (and unpacking), deadline, pacing, one repetition over a dead
connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import httpx

from loyalty_relay.http.decompression import CannotUnpack, unpacker
from loyalty_relay.http.messages import retry_after
from loyalty_relay.http.rate_limit import Limiter
from loyalty_relay.http.sockets import ending_in, shared_pool
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import UpstreamUnavailable

MAX_BODY = 5 * 1024 * 1024
"""Bytes of a response, unpacked, after which reading it stops."""

BROKEN = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""What httpx raises when a connection ends too early."""


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
    """The part of the deadline that is reserved for the work after the response."""

    def left(self, deadline: Deadline) -> float:
        """Return the seconds for one request. Raises DeadlineTooShort."""
        return min(self.total, deadline.require(self.least + self.margin) - self.margin)


@dataclass(frozen=True)
class SizeLimit(httpx.BaseTransport):
    """Read each response to its end, unpacked and no further than ``MAX_BODY``, before anything else looks at it."""

    inner: httpx.BaseTransport | None
    """None for the process's pool."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = (self.inner or shared_pool()).handle_request(request)
        may_have_acted = request.extensions["has_effect"]
        try:
            body = _read(response)
        except CannotUnpack:
            raise UpstreamUnavailable("the answer cannot be unpacked", reached=may_have_acted) from None
        except BROKEN:
            raise UpstreamUnavailable("the answer broke off", reached=may_have_acted) from None
        finally:
            response.close()
        if len(body) > MAX_BODY:
            raise UpstreamUnavailable(f"the answer is larger than {MAX_BODY} bytes", reached=may_have_acted)
        headers = response.headers.copy()
        for name in ("content-encoding", "content-length"):
            headers.pop(name, None)
        return httpx.Response(response.status_code, headers=headers, content=body)


def _read(response: httpx.Response) -> bytes:
    """Return the unpacked body, read in the chunks of the socket: httpx would unpack the whole of one at once."""
    unpack = unpacker(response.headers.get("content-encoding", ""))
    body = bytearray()
    for chunk in cast("Iterable[bytes]", response.stream):
        body += unpack(chunk, MAX_BODY + 1 - len(body)) if unpack else chunk
        if len(body) > MAX_BODY:
            return bytes(body)
    if unpack and not unpack.ended:
        raise CannotUnpack("cut off")
    return bytes(body)


@dataclass(frozen=True)
class TotalTime(httpx.BaseTransport):
    """End each request within its deadline and ``limits``."""

    inner: httpx.BaseTransport
    limits: Limits

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        total = self.limits.left(request.extensions["deadline"])
        connect, read = min(self.limits.connect, total), min(self.limits.read, total)
        request.extensions["timeout"] = {"connect": connect, "pool": connect, "read": read, "write": read}
        with ending_in(total):
            return self.inner.handle_request(request)


@dataclass(frozen=True)
class RateLimit(httpx.BaseTransport):
    """Take one turn of the request's API before it is sent, and report a 429 to the limiter."""

    inner: httpx.BaseTransport
    limiter: Limiter
    limits: Limits
    clock: Callable[[], float]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        api, deadline = request.extensions["api"], request.extensions["deadline"]
        # No turn is used up for a request that cannot be sent any more.
        self.limits.left(deadline)
        self.limiter.acquire(api, deadline)
        response = self.inner.handle_request(request)
        response.extensions["received_at"] = self.clock()
        if response.status_code == 429:
            self.limiter.penalise(api, retry_after(response))
        return response


@dataclass(frozen=True)
class OneRepetition(httpx.BaseTransport):
    """Send a request again, where that is safe, whose connection ended before the first byte of a response.

    Mostly one that was idle too long.
    """

    inner: httpx.BaseTransport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return self.inner.handle_request(request)
        except BROKEN:
            if not request.extensions["may_repeat"]:
                raise
        return self.inner.handle_request(request)
