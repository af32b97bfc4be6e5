"""What the functions need around them: built artifacts, the embedded AWS services, the sandbox, and connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from devkit.cli.running import RunningRelay
from devkit.runtime import Built, Emulator, build, emulator_binary
from devkit.stacks.connection_store import ConnectionStore, new_key

CHECKOUT = Path(__file__).resolve().parents[2]

Start = Callable[[str], Emulator]


@pytest.fixture(scope="session")
def built() -> Built:
    """The functions and the layer, built for this machine."""
    return build(CHECKOUT)


@pytest.fixture(scope="session")
def relay() -> Iterator[RunningRelay]:
    """The embedded services and the sandbox, with the connections that the sample events name."""
    with RunningRelay.start() as running:
        running.connect()
        yield running


@pytest.fixture(scope="session")
def start(built: Built, relay: RunningRelay) -> Iterator[Start]:
    """Starts a function, once, as the deployed stack configures it."""
    binary = emulator_binary(CHECKOUT)
    running: dict[str, Emulator] = {}
    with ExitStack() as stack:

        def started(name: str) -> Emulator:
            if name not in running:
                configuration = deployed(relay, name)
                addresses = {k: v for k, v in relay.aws.environment().items() if k.startswith("AWS_")}
                function = built.functions[name]
                emulator = Emulator(
                    binary=binary,
                    python=built.python,
                    folder=function.folder,
                    layer=built.layer,
                    handler=configuration["Handler"],
                    environment=addresses | configuration["Environment"]["Variables"],
                    timeout=configuration["Timeout"],
                    memory=configuration["MemorySize"],
                )
                running[name] = stack.enter_context(emulator)
            return running[name]

        yield started


def deployed(relay: RunningRelay, name: str) -> dict[str, Any]:
    """The configuration that the stack gives a function."""
    function = f"{relay.aws.environment()['RELAY_STACK']}-{name.replace('_', '-')}"
    found: dict[str, Any] = relay.aws.client("lambda").get_function_configuration(FunctionName=function)
    return found


def with_a_key(relay: RunningRelay, connection: str) -> dict[str, Any]:
    """An authorizer's event with a key of a new connection of this name."""
    event: dict[str, Any] = json.loads((CHECKOUT / "events/authorize/api.json").read_text())
    store = ConnectionStore(relay.stack.client("secretsmanager"), relay.stack.secrets_prefix, relay.stack.sandbox_hosts)
    data, key = new_key(store.raw(event["pathParameters"]["connection"]), "till")
    store.write(connection, data)
    event["pathParameters"]["connection"] = connection
    event["headers"]["x-api-key"], event["identitySource"] = key, [key]
    return event
