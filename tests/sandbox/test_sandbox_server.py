"""The sandbox over real sockets: resets, early ends, slow bodies, start and stop."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devkit.sandbox.capillary import CapillaryVendor
from devkit.sandbox.server import SandboxServer
from tests.sandbox.capillary_client import basic, registration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer([CapillaryVendor(time.time)]) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=5) as made:
        made.post("/_sandbox/reset")
        yield made


def add(client: httpx.Client, mobile: str = "447700900001") -> httpx.Response:
    return client.post("/capillary/v2/customers", json=registration(mobile=mobile), headers=basic())


def customers(client: httpx.Client) -> int:
    return len(client.get("/_sandbox/state/capillary").json()["customers"])


def faults(client: httpx.Client, *rules: dict[str, Any]) -> None:
    assert client.put("/_sandbox/faults", json=list(rules)).status_code == 200


def test_a_customer_is_added_over_http(client: httpx.Client) -> None:
    answer = add(client)
    assert answer.status_code == 200
    assert answer.headers["server"] == "CapWS"
    assert customers(client) == 1


def test_a_reset_before_the_effect_is_a_tcp_reset_and_leaves_nothing(client: httpx.Client) -> None:
    faults(client, {"path": "/v2/customers", "reset": "before", "count": 1})
    with pytest.raises(httpx.ReadError):
        add(client)
    assert customers(client) == 0
    assert add(client).status_code == 200


def test_a_reset_after_the_effect_leaves_the_customer(client: httpx.Client) -> None:
    faults(client, {"path": "/v2/customers", "reset": "after", "count": 1})
    with pytest.raises(httpx.ReadError):
        add(client)
    assert customers(client) == 1
    assert add(client).json()["errors"][0]["code"] == 8006
    records = client.get("/_sandbox/requests?path=/v2/customers").json()["requests"]
    assert [(each["status"], each["effect"]) for each in records] == [(None, True), (400, True)]


def test_a_close_is_seen_as_an_end_without_an_answer(client: httpx.Client) -> None:
    faults(client, {"reset": "before", "close": "fin", "count": 1})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        add(client)


def test_resets_reach_other_clients_than_httpx(server: SandboxServer, client: httpx.Client) -> None:
    faults(client, {"reset": "before", "count": 1})
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"GET /capillary/v2/extendedFields HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            raw.recv(1000)


def test_a_truncated_body_ends_before_its_length(client: httpx.Client) -> None:
    faults(client, {"truncate": 10, "count": 1})
    with pytest.raises(httpx.RemoteProtocolError, match="received 10 bytes"):
        add(client)
    assert customers(client) == 1


def test_a_dripping_body_arrives_piece_by_piece(client: httpx.Client) -> None:
    faults(client, {"drip": {"bytes": 20, "every_ms": 5}, "count": 1})
    body = registration(mobile="447700900001")
    pieces = []
    with client.stream("POST", "/capillary/v2/customers", json=body, headers=basic()) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 3
    assert b"".join(pieces).startswith(b'{"createdId"')


def test_a_slow_answer_runs_into_the_clients_time_out_and_has_its_effect(client: httpx.Client) -> None:
    faults(client, {"path": "/v2/customers", "drip": {"bytes": 1, "every_ms": 300}, "count": 1})
    with pytest.raises(httpx.ReadTimeout):
        client.post(
            "/capillary/v2/customers",
            json=registration(mobile="447700900001"),
            headers=basic(),
            timeout=0.1,
        )
    assert customers(client) == 1


def test_many_clients_at_once_are_all_recorded(server: SandboxServer, client: httpx.Client) -> None:
    def work(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=5) as mine:
            for each in range(5):
                add(mine, f"4477009{number:02d}{each:03d}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert customers(client) == 40
    records = client.get("/_sandbox/requests?path=/v2/customers").json()["requests"]
    assert sorted({each["body"]["profiles"][0]["identifiers"][0]["value"] for each in records}) == sorted(
        f"4477009{number:02d}{each:03d}" for number in range(8) for each in range(5)
    )


def test_a_stopped_server_refuses_and_can_start_again() -> None:
    server = SandboxServer([CapillaryVendor(time.time)])
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.url
    url = server.start().url
    assert httpx.get(f"{url}/_sandbox").status_code == 200
    with pytest.raises(RuntimeError, match="already running"):
        server.start()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/_sandbox")
    with server as again:
        assert httpx.get(f"{again.url}/_sandbox").status_code == 200


def test_a_taken_port_is_an_error_at_start(server: SandboxServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        SandboxServer([]).start(port)


def test_the_command_serves_until_it_is_interrupted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "devkit.sandbox", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        try:
            assert found is not None, line
            assert "capillary" in httpx.get(f"{found[0]}/_sandbox").json()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
