"""What surrounds `sam local`: the template's copy, and the way from containers to this machine's services."""

import json
import socket
import socketserver
import threading
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devkit.localstack.template import read
from devkit.samlocal import DECLARED, FOLDER, Forwarder, SamLocalProblem, bridge_address, declared, gateway, main


def test_the_copy_declares_what_sam_shall_override_and_changes_nothing_else_of_the_functions(text: str) -> None:
    copy, original = json.loads(declared(text, architecture="x86_64")), read(text)

    variables = copy["Globals"]["Function"]["Environment"]["Variables"]
    assert {name: variables.pop(name) for name in DECLARED} == dict.fromkeys(DECLARED, "")
    assert variables == original["Globals"]["Function"]["Environment"]["Variables"]
    assert copy["Parameters"]["Architecture"]["Default"] == "x86_64"
    assert copy["Resources"]["RelayLayer"]["Metadata"]["BuildArchitecture"] == "x86_64"
    copied = {n: r for n, r in copy["Resources"].items() if n != "RelayLayer"}
    assert copied == {n: r for n, r in original["Resources"].items() if n not in ("RelayLayer", "Observability")}


@pytest.mark.parametrize("command", ["local_invoke", "local_start_api", "local_start_lambda"])
def test_plain_sam_local_takes_what_make_sam_local_builds(checkout: Path, command: str) -> None:
    parameters = tomllib.loads((checkout / "samconfig.toml").read_text())["default"][command]["parameters"]

    assert parameters == {"template_file": f"{FOLDER}/build/template.yaml", "env_vars": f"{FOLDER}/env.json"}


def test_the_environment_of_the_functions_is_there_as_long_as_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    @contextmanager
    def started(checkout: Path, address: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(variables={"RegisterFunction": {}})

    def interrupted(self: threading.Event) -> None:
        seen.append(json.loads((tmp_path / FOLDER / "env.json").read_text()))
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("devkit.samlocal.surroundings", started)
    monkeypatch.setattr("devkit.samlocal.bridge_address", lambda: "127.0.0.1")
    monkeypatch.setattr(threading.Event, "wait", interrupted)

    assert main([]) == 0
    assert seen == [{"RegisterFunction": {}}]
    assert not (tmp_path / FOLDER / "env.json").exists()


def test_the_deployed_template_declares_none_of_them(template: dict[str, Any]) -> None:
    assert not set(DECLARED) & set(template["Globals"]["Function"]["Environment"]["Variables"])


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_forwarder_carries_requests_and_responses_whole() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Forwarder("127.0.0.1", server.server_address[1]) as way:
            body = b"x" * 300_000
            request = urllib.request.Request(way.url, body, method="POST")  # noqa: S310 - our own URL
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                assert answer.read() == body
        server.shutdown()


def test_a_forwarder_to_nowhere_closes_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = listener.getsockname()[1]
    with (
        Forwarder("127.0.0.1", nowhere) as way,
        socket.create_connection(("127.0.0.1", int(way.url.rsplit(":", 1)[1])), timeout=5) as near,
    ):
        assert near.recv(1) == b""


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.9"}], "172.17.0.9"),
        ([{"Subnet": "172.17.0.0/16"}], "172.17.0.1"),
        ([{"Subnet": "fd00::/64"}, {"Subnet": "10.88.0.0/16"}], "10.88.0.1"),
    ],
)
def test_containers_reach_this_machine_at_their_networks_gateway(networks: list[dict[str, str]], address: str) -> None:
    assert gateway(networks) == address


def test_an_engine_without_a_bridge_is_refused() -> None:
    with pytest.raises(SamLocalProblem, match="no bridge"):
        gateway(None)


def test_without_a_container_engine_it_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(SamLocalProblem, match="docker info"):
        bridge_address()
