"""Every built function answers its sample events under Lambda's runtime: no import, file or handler is missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devkit.cli.running import RunningRelay
from devkit.runtime import Built, Invocation
from tests.runtime.conftest import CHECKOUT, Start, with_a_key

FUNCTIONS = sorted(path.parent.name for path in (CHECKOUT / "functions").glob("*/app.py"))
EVENTS = sorted(path for name in FUNCTIONS for path in (CHECKOUT / "events" / name).glob("*.json"))

HTTP_ANSWERS = {
    "register/api": 201,
    "update/api": 200,
    "crm_patch/api": 200,
    "link_store/api": 201,
    "transaction/api": 201,
    "ingest/shopify-text": 200,
    "ingest/shopify-base64": 200,
    "ingest/shopify-rest-api": 200,
    "ingest/shopify-tampered": 401,
    "ingest/preflight": 401,
    # Its signature is of another year: a replay.
    "ingest/standard-topic-path": 401,
}
"""Sample event -> status. Batches must leave no record behind; the authorizer has a test of its own."""


def invoke(start: Start, path: Path) -> Invocation:
    """A function's answer to one of its sample events; sales are of today, however old the sample is."""
    event = json.loads(path.read_text())
    if path.parent.name == "transaction" and "body" in event:
        sale = json.loads(event["body"])
        event["body"] = json.dumps({**sale, "sold_at": datetime.now(UTC).isoformat()})
    return start(path.parent.name).invoke(event)


def log_lines(start: Start, function: str, level: str) -> list[dict[str, Any]]:
    """What a function logged at a level."""
    lines = [json.loads(line) for line in start(function).log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("level") == level]


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_function_handles_its_sample_event(start: Start, path: Path) -> None:
    answer = invoke(start, path)

    assert answer.error is None, (answer.payload, start(path.parent.name).log[-2000:])
    if path.stem == "sqs":
        assert answer.payload == {"batchItemFailures": []}
    elif path.parent.name != "authorize":
        expected = HTTP_ANSWERS[f"{path.parent.name}/{path.stem}"]
        assert answer.payload["statusCode"] == expected, answer.payload
    assert log_lines(start, path.parent.name, "ERROR") == []


def test_every_function_has_sample_events() -> None:
    assert {path.parent.name for path in EVENTS} == set(FUNCTIONS)
    assert len(FUNCTIONS) == 9


def test_the_authorizer_lets_the_holder_of_a_key_in_and_no_other(start: Start, relay: RunningRelay) -> None:
    # One of its own: after a refused key, a process looks for new ones of a connection once a minute.
    event = with_a_key(relay, "runtime-authorizer")
    answer = start("authorize").invoke(event).payload
    assert answer["isAuthorized"] is True
    assert answer["context"]["connection"] == "runtime-authorizer"
    event["headers"]["x-api-key"] += "x"
    assert start("authorize").invoke(event).payload == {"isAuthorized": False}


def test_a_duplicate_is_recognised_by_the_next_invocation(start: Start) -> None:
    path = CHECKOUT / "events/register/sqs.json"
    invoke(start, path)
    assert invoke(start, path).payload == {"batchItemFailures": []}

    outcomes = [line["outcome"] for line in log_lines(start, "register", "INFO") if line["message"] == "record"]
    assert outcomes[-1] == "duplicate"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_ships_the_bytecode_of_what_it_imports(built: Built, name: str) -> None:
    """Without it, the whole layer would be compiled at every cold start."""
    folder = built.functions[name].folder
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["app.py"]
    assert list(folder.glob("__pycache__/app.cpython-*.pyc"))
    sources = sorted((built.layer / "python/loyalty_relay").rglob("*.py"))
    assert sources
    assert all(list(path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc")) for path in sources)
