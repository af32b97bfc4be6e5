"""Commands as a person types them, over a stack in process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer import testing
from typer.main import get_command
from typer.testing import CliRunner, Result

from devkit.cli.app import app
from devkit.stacks.stack import OUTPUTS
from tests.support.stack import queue_of_moto, shared_client
from tests.support.tables import JOURNAL, STATE, make_tables

command_of = cache(get_command)
# The tree of all commands takes most of the time of reading a command line.
setattr(testing, "_get_command", command_of)  # noqa: B010 - Typer has no place for it


class Relay:
    """Runs commands against a stack whose names stand in the environment."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, env=dict(self.env), catch_exceptions=False)

    def json(self, *arguments: str) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


@cache
def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Relay]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "RELAY_STACK", "RELAY_JOURNAL_TABLE"):
        monkeypatch.delenv(name, raising=False)
    env = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "RELAY_LOCAL_STATE": str(tmp_path / "dev.json"),
    }
    # A session reads the models of the services, which takes most of the time of a command.
    monkeypatch.setattr("devkit.stacks.stack._session", lambda credentials: _session())
    with mock_aws():
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        names = {variable: f"value-of-{variable.lower()}" for variable in OUTPUTS}
        for variable in names:
            if variable.startswith(("RELAY_QUEUE_", "RELAY_PARKED_")):
                names[variable] = queue_of_moto(variable)
        names |= {
            "RELAY_SECRETS_PREFIX": "relay-test",
            "RELAY_API_URL": "https://relay.example.com",
            "RELAY_SANDBOX_URL": "http://127.0.0.1:8400",
            "RELAY_SANDBOX_HOSTS": "127.0.0.1:8400",
            "COLUMNS": "200",
        }
        names |= {"RELAY_STATE_TABLE": STATE, "RELAY_JOURNAL_TABLE": JOURNAL}
        make_tables(shared_client("dynamodb"))
        yield Relay({**env, **names})
