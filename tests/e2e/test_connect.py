"""One command from nothing to a working shop, on the deployed template: the platform's own deliveries then arrive."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from devkit.cli import connect
from devkit.cli.app import app
from devkit.stacks.local import SAMPLES
from devkit.stacks.stack import local_stack
from tests.e2e.conftest import Relay

pytestmark = pytest.mark.stack


def test_a_square_shop_is_connected_and_its_test_delivery_is_verified_with_the_key_that_square_made(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = local_stack(relay.state)
    monkeypatch.setattr(connect, "find_stack", lambda name: stack)
    document = json.loads((SAMPLES / "square-kangaroo.json").read_text())
    document["source"] |= {
        "api_credentials": {"access_token": "fake-square-token", "application_token": "fake-square-application-token"},
        "public_url": f"{stack.api_url}/webhooks/bakery",
        "secrets": [{"value": "fake-placeholder"}],
    }
    result = CliRunner().invoke(
        app, ["connect", "bakery", "--file", "-", "--yes", "--json"], input=json.dumps(document)
    )
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert [step["ok"] for step in shown["steps"]] == [True] * 5
    assert {topic["condition"] for topic in shown["steps"][2]["topics"]} == {"present"}
    (entry,) = relay.outcomes("bakery", 1)
    assert (entry.result, entry.source) == ("ignored", "square")
