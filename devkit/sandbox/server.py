"""Run the sandbox on 127.0.0.1, in a thread of its own or in the foreground."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from devkit.sandbox.app import create_app
from devkit.sandbox.core import ABORT, CLOSED, Sandbox
from devkit.sandbox.vendor import Clock, Vendor

HOST = "127.0.0.1"


class AbortableProtocol(H11Protocol):
    """HTTP/1.1 whose applications may break their own connection, by RST or by an early close."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give every request of this connection the means to abort it."""
        super().connection_made(transport)
        self.app = functools.partial(_with_abort, self.app, transport)


async def _with_abort(app: ASGIApp, transport: asyncio.Transport, scope: Scope, receive: Receive, send: Send) -> None:
    def abort(reset: bool) -> None:
        if reset:
            # Lingering for zero seconds makes the kernel send RST in place of FIN.
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()

    if scope["type"] == "http":
        scope["extensions"] = {**scope.get("extensions", {}), ABORT: abort, CLOSED: transport.is_closing}
    await app(scope, receive, send)


def uvicorn_config(app: ASGIApp, port: int) -> uvicorn.Config:
    """Return the server settings that the sandbox needs; ``port`` 0 takes a free one."""
    return uvicorn.Config(
        app,
        host=HOST,
        port=port,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        server_header=False,
    )


class SandboxServer:
    """The sandbox in a background thread with its own event loop; a context manager.

    ``start`` returns when the socket accepts connections; ``stop`` when the thread has ended. ``sandbox`` is
    the Sandbox itself: read from it freely, change it over the control endpoints.
    """

    def __init__(self, vendors: Sequence[Vendor] | None = None, *, clock: Clock = time.time) -> None:
        self.app = create_app(vendors, clock=clock)
        self.sandbox: Sandbox = self.app.state.sandbox
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The base URL without a slash at its end. Raises RuntimeError before ``start``."""
        if self._url is None:
            raise RuntimeError("the sandbox has not been started")
        return self._url

    def start(self, port: int = 0) -> Self:
        """Listen on ``port`` (0: a free one) and serve. Raises OSError when the port is taken."""
        if self._thread is not None:
            raise RuntimeError("the sandbox is already running")
        listener = socket.create_server((HOST, port), backlog=512)
        self._url = f"http://{HOST}:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn_config(self.app, port))
        thread = threading.Thread(target=_run, args=(server, listener), name="vendor-sandbox", daemon=True)
        self._server, self._thread = server, thread
        thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and wait for the thread; does nothing when it is not running."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=10)
        self._server = self._thread = self._url = None

    def wait(self) -> None:
        """Block until the server ends."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout=0.5)

    def __enter__(self) -> Self:
        """Start on a free port unless it is running."""
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    with listener:
        asyncio.run(server.serve(sockets=[listener]))
