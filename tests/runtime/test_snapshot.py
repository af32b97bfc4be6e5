"""What a SnapStart snapshot of ingest contains: modules, and nothing unique or ageing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from devkit.runtime import Built

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
from botocore.client import BaseClient
from botocore.credentials import Credentials
clients = [type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, (BaseClient, Credentials))]

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
    "seen": seen,
    "clients": clients,
    "kept": [repr(aws._clients), repr(aws._session), repr(wiring._shared)],
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
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("initialization", ["snap-start", "on-demand"])
def test_nothing_unique_or_ageing_exists_before_the_first_invocation(built: Built, initialization: str) -> None:
    found = snapshot(built, initialization)

    assert found["seen"] == []
    assert found["clients"] == []
    assert found["kept"] == ["{}", "None", "None"]


def test_a_snapshot_holds_what_a_first_delivery_would_load(built: Built) -> None:
    assert "botocore.session" in snapshot(built, "snap-start")["loaded"]


def test_random_numbers_are_made_new_after_a_start_from_a_snapshot(built: Built) -> None:
    found = snapshot(built, "snap-start")

    assert found["hooks"] == 1
    assert found["random_is_new"] is True


def test_without_snapstart_nothing_is_loaded_before_it_is_needed(built: Built) -> None:
    found = snapshot(built, "on-demand")

    assert found["hooks"] == 0
    assert not {"botocore", "httpx"} & {name.partition(".")[0] for name in found["loaded"]}


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
