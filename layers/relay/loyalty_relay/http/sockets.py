"""The process's connection pool, over sockets that limit the total time of a request.

httpx limits each read and each write, not their sum: a server that sends one byte a second keeps a request alive
for ever. Every promise about leases rests on a call ending in time, so the sum is limited here, one level below.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import httpcore
import httpx

KEEP_ALIVE = 5.0
"""Seconds an idle connection is kept. Short, because a frozen process wakes up with connections that are long dead."""

_END: ContextVar[float | None] = ContextVar("end", default=None)


@contextmanager
def ending_in(seconds: float) -> Iterator[None]:
    """End every socket operation of this thread within ``seconds`` (of real time) from now."""
    token = _END.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _END.reset(token)


def _left(timeout: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    end = _END.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise over("the time for the whole request is used up")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        _left(None, httpcore.ConnectTimeout)
        return _Stream(stream)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.SyncBackend):
    """httpcore's sockets under the limit of ``ending_in``."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = _Stream(super().connect_tcp(host, port, left, *args, **kwargs))
        try:
            # A name with many addresses gets the time-out for each of them. Nothing was sent yet, so it is a failure to
            # connect.
            _left(None, httpcore.ConnectTimeout)
        except httpcore.ConnectTimeout:
            stream.close()
            raise
        return stream


class Pool(httpx.HTTPTransport):
    """httpx's own transport over ``BoundedBackend``, which its constructor has no argument for."""

    def __init__(self) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=50,
            max_keepalive_connections=20,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=BoundedBackend(),
        )


_pool = cache(Pool)
_lock = threading.Lock()


def shared_pool() -> Pool:
    """Return the process's pool, built once, by the first request: its TLS context takes long."""
    with _lock:
        return _pool()


def close_shared_pool() -> None:
    """Close the process's pool; the next request builds another."""
    shared_pool().close()
    _pool.cache_clear()
