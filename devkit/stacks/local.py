"""How commands find the local stack: the state file that ``relay dev`` writes while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
"""The project's own folder; the devkit is never installed elsewhere."""

SAMPLES = CHECKOUT / "events" / "connections"
"""Sample connections with made-up credentials, one file each."""

NOWHERE = "http://127.0.0.1:9"
"""Placeholder for the sandbox's URL where no stack runs; nothing is sent there."""

STATE_VARIABLE = "RELAY_LOCAL_STATE"
"""Environment variable that names another state file, so that several local stacks can run side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalState:
    """A running local stack: its URLs, and its template's outputs.

    ``environment`` is what a process needs to talk to it (AWS_ENDPOINT_URL and made-up credentials).
    """

    pid: int
    aws: str
    api: str
    sandbox: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def state_file(environment: Mapping[str, str] | None = None) -> Path:
    """Return the path of the state file: ``.local/dev.json``, or what RELAY_LOCAL_STATE names."""
    named = (os.environ if environment is None else environment).get(STATE_VARIABLE)
    return Path(named) if named else CHECKOUT / ".local" / "dev.json"


def write_state(state: LocalState, path: Path) -> None:
    """Write the state file in one step, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(state), indent=2))
    draft.replace(path)


def remove_state(path: Path) -> None:
    """Remove the state file unless another process has written its own since."""
    state = _read(path)
    if state is not None and state.pid == os.getpid():
        path.unlink(missing_ok=True)


def read_state(path: Path) -> LocalState | None:
    """Return the running local stack; None when there is none, also when its process died without cleaning up."""
    state = _read(path)
    return state if state is not None and _alive(state.pid) else None


def _read(path: Path) -> LocalState | None:
    try:
        data: Any = json.loads(path.read_text())
        return LocalState(**data)
    except (OSError, ValueError, TypeError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
