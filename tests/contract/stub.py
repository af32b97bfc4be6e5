"""A stub vendor on 127.0.0.1 without state or rules: it records every request and answers as a row scripts it."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

Fault = Literal["", "reset", "cut", "drip", "silence"]


@dataclass(frozen=True)
class Reply:
    """One answer. ``body``: JSON, or the raw bytes or text. ``fault``: how the connection misbehaves."""

    body: Any = None
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    zipped: bool = False
    fault: Fault = ""

    @property
    def content(self) -> bytes:
        raw = self.body if isinstance(self.body, bytes | str) else json.dumps(self.body)
        content = raw.encode() if isinstance(raw, str) else raw
        return gzip.compress(content) if self.zipped else content


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body(self) -> Any:
        """JSON with its numbers as they were written, or the form's members."""
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.content.decode(), keep_blank_values=True))
        return json.loads(self.content) if self.content else None


Script = Mapping[str, Reply | list[Reply] | Callable[[Recorded], Reply]]


class Stub:
    """The server. ``answers``: ``METHOD /path`` or ``*`` to a reply, or to replies of which the last one stays."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._answers: dict[str, Reply | list[Reply] | Callable[[Recorded], Reply]] = {}
        self._over = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                request = Recorded(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                stub.requests.append(request)
                stub._send(self, stub._reply(request))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet: the recorded requests are the log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def script(self, answers: Script) -> None:
        """Forget what was recorded and answer in another way."""
        self._over.set()
        self._over = threading.Event()
        self.requests.clear()
        self._answers = {name: list(reply) if isinstance(reply, list) else reply for name, reply in answers.items()}

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def lines(self) -> list[str]:
        return [request.line for request in self.requests]

    def last(self, line: str) -> Recorded:
        """The last request of this method and path."""
        return next(request for request in reversed(self.requests) if request.line == line)

    def _reply(self, request: Recorded) -> Reply:
        known = self._answers.get(request.line, self._answers.get("*"))
        if known is None:
            return Reply({"unscripted": request.line}, 599)
        if isinstance(known, list):
            return known.pop(0) if len(known) > 1 else known[0]
        return known if isinstance(known, Reply) else known(request)

    def _send(self, to: BaseHTTPRequestHandler, reply: Reply) -> None:
        over = self._over
        if reply.fault == "reset":
            to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            to.close_connection = True
            return
        if reply.fault == "silence":
            over.wait(5)
            to.close_connection = True
            return
        content = b"" if reply.status == 204 else reply.content
        to.send_response(reply.status)
        given = {"Content-Type": reply.kind, **({"Content-Encoding": "gzip"} if reply.zipped else {}), **reply.headers}
        for name, value in given.items():
            if value:
                to.send_header(name, value)
        if reply.status != 204:
            to.send_header("Content-Length", str(len(content)))
        to.end_headers()
        with contextlib.suppress(OSError):
            if reply.fault == "cut":
                to.wfile.write(content[: len(content) // 2])
                to.close_connection = True
            elif reply.fault == "drip":
                for number in range(len(content)):
                    to.wfile.write(content[number : number + 1])
                    to.wfile.flush()
                    if over.wait(0.05):
                        break
                to.close_connection = True
            else:
                to.wfile.write(content)
