"""Fetching Adobe's keys over HTTP, from a stand-in for Adobe's host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from loyalty_relay.sources.adobe.keys import fetch
from loyalty_relay.sources.rsa import MAX_PEM

PEM = b"-----BEGIN PUBLIC KEY-----\nfake\n-----END PUBLIC KEY-----\n"


class Host(BaseHTTPRequestHandler):
    """Answers each path in its own way."""

    def do_GET(self) -> None:
        status, headers, body = {
            "/key": (200, {}, PEM),
            "/long": (200, {}, b"x" * 3 * MAX_PEM),
            "/gone": (410, {}, b""),
            "/denied": (403, {}, b""),
            "/down": (503, {}, b""),
            "/moved": (302, {"location": "/key"}, b""),
        }.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_key_is_read(host: str) -> None:
    assert fetch(f"{host}/key") == PEM


@pytest.mark.parametrize("path", ["/nothing", "/gone"])
def test_a_key_that_does_not_exist_differs_from_one_that_cannot_be_had(host: str, path: str) -> None:
    assert fetch(f"{host}{path}") is None


@pytest.mark.parametrize("path", ["/denied", "/down", "/moved"])
def test_every_other_answer_is_a_fault_and_no_redirect_is_followed(host: str, path: str) -> None:
    with pytest.raises(OSError, match="status"):
        fetch(f"{host}{path}")


def test_no_more_is_read_than_a_key_can_have(host: str) -> None:
    assert fetch(f"{host}/long") == b"x" * MAX_PEM


def test_a_host_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(OSError):  # noqa: PT011
        fetch("http://127.0.0.1:1/key")


def test_a_host_without_http_is_a_fault() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"good day\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="BadStatusLine"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/key")
        thread.join()
