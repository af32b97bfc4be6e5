"""`make sam-local`: what `sam local` needs around the functions, served where containers can reach it.

Starts the embedded AWS services and the sandbox, applies the sample connections, opens a way from the containers'
network to both, and writes `.local/samlocal/env.json` with every function's environment. `sam local` then runs the
built functions in containers against them.

SAM overrides only variables that the template declares, and a deployed template must not have an endpoint or keys
there; so a copy of template.yaml declares them, and SAM builds that copy.
"""

import argparse
import contextlib
import ipaddress
import json
import platform
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devkit.localstack import LocalStack
from devkit.localstack import template as template_step
from devkit.sandbox.server import SandboxServer

FOLDER = Path(".local/samlocal")
DECLARED = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ARCHITECTURE = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


class SamLocalProblem(RuntimeError):
    """There is no container engine, or it has no network that containers share with this machine."""


def declared(text: str, *, architecture: str = ARCHITECTURE) -> str:
    """Return the template as JSON, for this machine's processor, declaring the variables that SAM shall override."""
    template = template_step.read(text)
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    template["Globals"]["Function"]["Environment"]["Variables"] = {**variables, **dict.fromkeys(DECLARED, "")}
    template["Parameters"]["Architecture"]["Default"] = architecture
    # The nested stack has no function, and its path is not this copy's.
    del template["Resources"]["Observability"]
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Metadata"]["BuildArchitecture"] = architecture
    return json.dumps(template, indent=2)


def bridge_address() -> str:
    """Return this machine's address in the containers' network. Raises SamLocalProblem when no engine is running."""
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise SamLocalProblem("no container engine is running: `docker info` has to work") from error
    return gateway(json.loads(answer))


def gateway(networks: list[dict[str, str]] | None) -> str:
    """Return the gateway of a bridge's IPv4 network; engines that do not name it take the first address."""
    for network in networks or []:
        subnet = ipaddress.ip_network(network["Subnet"], strict=False)
        if subnet.version == 4:
            return network.get("Gateway") or str(subnet[1])
    raise SamLocalProblem("the container engine has no bridge network with IPv4 addresses")


class Forwarder:
    """Carries TCP connections from an address that containers reach to a port of 127.0.0.1; a context manager."""

    def __init__(self, address: str, port: int) -> None:
        """Listen on a free port of `address`. Raises OSError when the address is not this machine's."""
        self._to = ("127.0.0.1", port)
        self._listener = socket.create_server((address, 0))
        self.url = f"http://{address}:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._carriers: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True, name="forwarder")
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            carrier = threading.Thread(target=self._carry, args=(near,), daemon=True, name="forwarded")
            self._carriers.append(carrier)
            carrier.start()

    def _carry(self, near: socket.socket) -> None:
        """Copy both directions of one connection, until either end is closed or both have sent everything."""
        with near, contextlib.suppress(OSError), socket.create_connection(self._to) as far:
            ends = {near: far, far: near}
            self._open |= ends.keys()
            speaking = set(ends)
            while speaking:
                for end in select.select(list(speaking), [], [])[0]:
                    if data := end.recv(65536):
                        ends[end].sendall(data)
                    else:
                        speaking.remove(end)
                        ends[end].shutdown(socket.SHUT_WR)
            self._open -= ends.keys()

    def close(self) -> None:
        """Take no more connections and end those there are."""
        with contextlib.suppress(OSError):
            # Closing alone does not wake the thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in (self._accepting, *self._carriers):
            thread.join(5)

    def __enter__(self) -> "Forwarder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Surroundings:
    """What runs: `stack` and `sandbox`; `variables` are the functions' by logical id, as env.json has them."""

    stack: LocalStack
    sandbox: SandboxServer
    variables: Mapping[str, Mapping[str, str]]


@contextlib.contextmanager
def surroundings(checkout: Path, address: str) -> Iterator[Surroundings]:
    """Start everything on free ports, reachable from containers at `address`. Raises LocalStackError and OSError."""
    from devkit.stacks.connection_store import ConnectionStore, read_file

    with contextlib.ExitStack() as running:
        sandbox = running.enter_context(SandboxServer())
        vendors = running.enter_context(Forwarder(address, _port(sandbox.url)))
        stack = running.enter_context(LocalStack.start(checkout=checkout, sandbox_url=vendors.url))
        services = running.enter_context(Forwarder(address, _port(stack.aws_url)))
        store = ConnectionStore(
            stack.client("secretsmanager"),
            stack.outputs["SecretsPrefix"],
            frozenset({vendors.url.removeprefix("http://")}),
        )
        placeholders = {"RELAY_SANDBOX_URL": vendors.url, "RELAY_API_URL": stack.api_url}
        for path in sorted((checkout / "events/connections").glob("*.json")):
            given = read_file(path, id=None, variables=placeholders)
            store.write(given.id, given.data)
        yield Surroundings(stack, sandbox, _variables(stack, checkout, services.url))


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def _variables(stack: LocalStack, checkout: Path, aws_url: str) -> dict[str, dict[str, str]]:
    """Return every function's environment: what the stack gives it, and where the services are."""
    addresses = {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
    }
    template = template_step.read((checkout / "template.yaml").read_text())
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            function = resource["Properties"]["FunctionName"]["Fn::Sub"]
            function = function.replace("${AWS::StackName}", stack.environment()["RELAY_STACK"])
            configured: Any = stack.client("lambda").get_function_configuration(FunctionName=function)
            found[name] = configured["Environment"]["Variables"] | addresses
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the copy that SAM builds (`template`), or serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make sam-local", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["serve", "template"], default="serve")
    given = parser.parse_args(arguments)
    checkout = Path.cwd()
    folder = checkout / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if given.what == "template":
        (folder / "template.json").write_text(declared((checkout / "template.yaml").read_text()))
        return 0
    try:
        with surroundings(checkout, bridge_address()) as around:
            environment = folder / "env.json"
            environment.write_text(json.dumps(around.variables, indent=2))
            print(f"environment of every function: {FOLDER}/env.json; commands: docs/sam-local.md. Ctrl-C ends it.")
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                pass
            finally:
                # Its addresses are closed.
                environment.unlink(missing_ok=True)
    except (SamLocalProblem, OSError) as problem:
        print(f"make sam-local: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
