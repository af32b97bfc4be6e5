"""What functions make before their first event, and what a SnapStart snapshot of ingest contains of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devkit.cli.running import RunningRelay
from devkit.runtime import Built, Emulator, emulator_binary
from tests.runtime.conftest import CHECKOUT, deployed, with_a_key

PROBE = """
import builtins, json, os, random, sys, time, uuid

seen = []

def ours():
    frame = sys._getframe(2)
    while frame:
        if "loyalty_relay" in frame.f_code.co_filename or frame.f_code.co_filename.endswith("app.py"):
            return True
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return False
        frame = frame.f_back
    return False

def watch(module, name):
    real = getattr(module, name)
    def watched(*args, **keys):
        if ours():
            seen.append(f"{module.__name__}.{name}")
        return real(*args, **keys)
    setattr(module, name, watched)

for module, name in [(time, "time"), (time, "monotonic"), (uuid, "uuid4"), (os, "urandom"), (random, "random")]:
    watch(module, name)

def audit(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        seen.append(event)
sys.addaudithook(audit)

import app
loaded = sorted(name for name in sys.modules if name.startswith(("botocore", "loyalty_relay", "httpx")))
from loyalty_relay.runtime import wiring
from loyalty_relay.storage import aws

import gc
gc.unfreeze()
from botocore.client import BaseClient
from botocore.credentials import Credentials
def made():
    return [type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, (BaseClient, Credentials))]
clients = made()
kept = [repr(aws._clients), repr(aws._session), repr(wiring._shared)]
before = list(seen)

state = random.getstate()
hooks = []
try:
    import snapshot_restore_py
    hooks = snapshot_restore_py.get_after_restore()
    for hook, arguments, keys in hooks:
        hook(*arguments, **keys)
except ImportError:
    pass

print(json.dumps({
    "seen": before,
    "clients": clients,
    "kept": kept,
    "restored": made(),
    "loaded": loaded,
    "hooks": len(hooks),
    "random_is_new": random.getstate() != state,
}))
"""


def snapshot(built: Built, initialization: str, folder: Path | None = None) -> dict[str, Any]:
    """What is there when ingest (or the app.py of another folder) is initialised, before its first invocation."""
    done = subprocess.run(
        [built.python, "-c", PROBE],
        cwd=folder or built.functions["ingest"].folder,
        env={
            "PYTHONPATH": str(built.layer / "python"),
            "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "fake",
            "AWS_SECRET_ACCESS_KEY": "fake",
            "RELAY_SECRETS_PREFIX": "fake",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_snapshot_holds_nothing_unique_or_ageing(built: Built) -> None:
    found = snapshot(built, "snap-start")

    assert found["seen"] == []
    assert found["clients"] == []
    assert found["kept"] == ["{}", "None", "None"]


def test_a_snapshot_holds_what_a_first_delivery_would_load(built: Built) -> None:
    assert "botocore.session" in snapshot(built, "snap-start")["loaded"]


def test_random_numbers_are_made_new_after_a_start_from_a_snapshot(built: Built) -> None:
    found = snapshot(built, "snap-start")

    assert found["random_is_new"] is True


def test_clients_are_made_after_a_start_from_a_snapshot(built: Built) -> None:
    found = snapshot(built, "snap-start")

    assert found["hooks"] == 2
    assert {"SQS", "SecretsManager"} <= set(found["restored"])


def test_without_snapstart_clients_are_made_before_the_first_event(built: Built) -> None:
    found = snapshot(built, "on-demand")

    assert found["hooks"] == 0
    assert {"SQS", "SecretsManager"} <= set(found["clients"])
    assert not {name for name in found["loaded"] if name.startswith("httpx")}


def test_the_probe_sees_what_should_not_be_there(built: Built, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import socket, time, uuid\nSTARTED, ID = time.time(), uuid.uuid4()\n"
        "from loyalty_relay.storage import aws\nCLIENT = aws.client('sqs')\n"
        "socket.socket().connect_ex(('127.0.0.1', 9))\n"
    )
    found = snapshot(built, "on-demand", tmp_path)

    assert {"time.time", "uuid.uuid4", "socket.connect"} <= set(found["seen"])
    assert "SQS" in found["clients"]
    assert "SQS" in found["kept"][0]


FIRST = {
    "authorize": "api",
    "crm_patch": "sqs",
    "hydrate": "sqs",
    "import_run": "sqs",
    "ingest": "shopify-base64",
    "link_store": "sqs",
    "register": "sqs",
    "transaction": "sqs",
    "update": "sqs",
}
"""Each function's typical first event."""

LATER = ("loyalty_relay.sources.", "loyalty_relay.destinations.", "phonenumbers.data.region_")
"""Which platform, which vendor and which country is known from the first event only."""


@pytest.mark.parametrize("name", sorted(FIRST))
def test_a_first_event_loads_only_what_depends_on_it(built: Built, relay: RunningRelay, name: str) -> None:
    """In the handler a function has a part of a processor: whatever it loads there takes three times as long."""
    configuration = deployed(relay, name)
    addresses = {k: v for k, v in relay.aws.environment().items() if k.startswith("AWS_")}
    with Emulator(
        binary=emulator_binary(CHECKOUT),
        python=built.python,
        folder=built.functions[name].folder,
        layer=built.layer,
        handler=configuration["Handler"],
        environment=addresses | configuration["Environment"]["Variables"] | {"PYTHONPROFILEIMPORTTIME": "1"},
    ) as function:
        event = json.loads((CHECKOUT / "events" / name / f"{FIRST[name]}.json").read_text())
        answer = function.invoke(with_a_key(relay, "runtime-startup") if name == "authorize" else event)
        log = function.log

    assert answer.error is None, log[-2000:]
    before, after = (imported(part) for part in log.split("INIT REPORT", 1))
    assert "botocore.session" in before
    # Nothing uses it; Powertools imports it, and with it multiprocessing.
    assert "boto3.session" not in before | after
    libraries = [n for n in after if n.partition(".")[0] not in sys.stdlib_module_names]
    assert [n for n in libraries if not n.startswith(LATER)] == []


def imported(log: str) -> set[str]:
    """Return the modules of Python's own report of imports."""
    lines = (line for line in log.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def test_every_function_has_a_first_event(built: Built) -> None:
    assert set(FIRST) == set(built.functions)
