"""The harness sees what it is there for: what would only fail after a deploy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from devkit.runtime import Built, Emulator, RuntimeProblem, build, emulator_binary
from infra.observability import CRASHES
from tests.runtime.conftest import CHECKOUT

HANDLERS = """
import os, sys, time

def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    if event == "sleep":
        time.sleep(30)
    if event == "exit":
        os._exit(3)
    return {"event": event, "environment": sorted(os.environ), "left": context.get_remaining_time_in_millis()}
"""


def emulator(
    built: Built, folder: Path, handler: str = "app.handler", environment: Mapping[str, str] | None = None
) -> Emulator:
    """The handlers above under the emulator, with a time-out of one second."""
    return Emulator(
        binary=emulator_binary(CHECKOUT),
        python=built.python,
        folder=folder,
        layer=built.layer,
        handler=handler,
        environment=environment or {},
        timeout=1,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(HANDLERS)
    return tmp_path


def test_a_function_sees_its_own_environment_and_its_deadline(
    built: Built, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TEST_SECRET", "fake")
    with emulator(built, folder, environment={"OWN": "1"}) as function:
        answer = function.invoke({"a": 1})

        assert answer.error is None
        assert answer.payload["event"] == {"a": 1}
        assert "OWN" in answer.payload["environment"]
        assert "A_TEST_SECRET" not in answer.payload["environment"]
        assert 0 < answer.payload["left"] <= 1000
        assert len(function.init_milliseconds) == 1


@pytest.mark.parametrize(("event", "error"), [("fail", "ValueError"), ("exit", "Runtime.ExitError")])
def test_a_failed_function_is_an_error_and_the_next_invocation_works(
    built: Built, folder: Path, event: str, error: str
) -> None:
    with emulator(built, folder) as function:
        assert function.invoke(event).error == error
        assert any(text in function.log for text in CRASHES)
        assert function.invoke("again").payload["event"] == "again"


def test_a_function_that_takes_too_long_is_ended(built: Built, folder: Path) -> None:
    with emulator(built, folder) as function:
        answer = function.invoke("sleep")

        assert answer.error is not None
        assert "timed out after 1.00 seconds" in answer.payload
        assert any(text in answer.payload for text in CRASHES)


@pytest.mark.parametrize("handler", ["app.missing", "missing.handler"])
def test_a_wrong_handler_is_seen(built: Built, folder: Path, handler: str) -> None:
    with emulator(built, folder, handler) as function:
        assert function.invoke({}).error in ("Runtime.HandlerNotFound", "Runtime.ImportModuleError")
        assert any(text in function.log for text in CRASHES)


@pytest.mark.parametrize("package", ["boto3", "pytest", "devkit", "starlette"])
def test_what_is_not_in_the_layer_cannot_be_imported(built: Built, folder: Path, package: str) -> None:
    (folder / "app.py").write_text(f"import {package}\n\ndef handler(event, context):\n    return {package}.__file__\n")
    with emulator(built, folder) as function:
        answer = function.invoke({})

        if answer.error is None:
            assert str(answer.payload).startswith(str(built.layer))
        else:
            assert answer.error == "Runtime.ImportModuleError"
            assert package != "boto3"


def test_a_missing_environment_explains_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeProblem, match="make runtime"):
        build(tmp_path)
    with pytest.raises(RuntimeProblem, match="make runtime"):
        emulator_binary(tmp_path)
