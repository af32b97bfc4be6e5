"""What waits for refused credentials or a destination that is down is tried within a minute after these were mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from moto.core.utils import unix_time_millis
from moto.sqs.models import sqs_backends

from devkit.cli import connections
from devkit.queries import connections as queries
from devkit.queries import waking
from devkit.queries.waking import SOON, awaited, wake
from devkit.stacks.stack import OUTPUTS, Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.model.errors import ConnectionFailed, CredentialsRefused, RateLimited
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from tests.devkit.conftest import Relay
from tests.pipeline.conftest import CONNECTION
from tests.support.stack import ACCOUNT, REGION
from tests.triggers import conftest as triggers
from tests.triggers.conftest import Functions
from tests.triggers.test_queue import envelope, send

functions = triggers.functions

NIGHT = 20
"""Receives after which waits are longest."""
WORKS = parse_connection("shop-1", CONNECTION)


@pytest.fixture
def services(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> Services:
    """What an operator's commands work with."""
    stack = functions.stack
    made = Services(Settings(environment=stack.environment), client=stack.client, clock=stack.clock)
    monkeypatch.setattr(waking, "services_of", lambda found: made)
    return made


@pytest.fixture
def operator(functions: Functions, services: Services, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack as an operator's commands see it."""
    stack = functions.stack
    outputs = {name: stack.environment[env] for env, name in OUTPUTS.items() if env in stack.environment}
    found = Stack("test", outputs)
    monkeypatch.setattr(Stack, "client", lambda self, name: stack.client(name))
    return found


def hidden_for(functions: Functions) -> list[float]:
    """Seconds until each message of the queue is received again, none for those that can be received."""
    name = functions.stack.environment["RELAY_QUEUE_UPDATE"].rpartition("/")[2]
    queue = sqs_backends[ACCOUNT][REGION].queues[name]
    return sorted(round((message.visible_at - unix_time_millis()) / 1000) for message in queue._messages)


def received_now(functions: Functions) -> None:
    """Let the time pass for which messages are hidden."""
    name = functions.stack.environment["RELAY_QUEUE_UPDATE"].rpartition("/")[2]
    for message in sqs_backends[ACCOUNT][REGION].queues[name]._messages:
        message.change_visibility(0)


def refused_all_night(functions: Functions, events: int, error: type[Exception] = CredentialsRefused) -> None:
    send(functions, *(envelope(n) for n in range(events)))
    functions.crm.before = [error() for _ in range(events)]
    functions.consume("update", receives=NIGHT)


def test_what_waits_all_night_for_credentials_is_applied_a_minute_after_a_check(
    functions: Functions, operator: Stack
) -> None:
    refused_all_night(functions, 12)
    refused_all_night(functions, 0)
    assert min(hidden_for(functions)) > 5 * SOON

    assert wake(operator, "shop-1", works=WORKS) == 12
    assert {seconds <= SOON for seconds in hidden_for(functions)} == {True}
    next_at = {functions.stack.journal.show(f"delivery-{n}")[0].next_at for n in range(12)}
    assert next_at == {functions.stack.clock.now + SOON}

    functions.stack.clock.now += SOON
    received_now(functions)
    functions.crm.before = []
    # A circuit that is still open would hold up all but one of them.
    for _ in range(2):
        assert functions.consume("update", receives=NIGHT + 1) == {"batchItemFailures": []}
    assert hidden_for(functions) == []
    assert outcomes(functions, 12) == {"applied"}


def test_other_credentials_move_the_attempts_and_leave_the_accounts_circuit_open(
    functions: Functions, services: Services, operator: Stack
) -> None:
    refused_all_night(functions, 5, ConnectionFailed)
    received_now(functions)
    functions.consume("update", receives=NIGHT)
    waiting = len(hidden_for(functions))
    assert services.circuit.states(services.pipeline.circuits(WORKS))

    assert wake(operator, "shop-1") == waiting
    assert services.circuit.states(services.pipeline.circuits(WORKS))


def test_what_waits_for_something_else_or_is_tried_soon_is_left(functions: Functions, operator: Stack) -> None:
    refused_all_night(functions, 1, RateLimited)
    (long,) = hidden_for(functions)
    assert wake(operator, "shop-1", works=WORKS) == 0
    send(functions, envelope(7))
    functions.crm.before = [CredentialsRefused()]
    functions.consume("update", receives=1)
    assert wake(operator, "shop-1", works=WORKS) == 0
    assert long > 5 * SOON < max(hidden_for(functions))
    assert functions.stack.journal.show("delivery-7")[0].receipt


def test_a_message_that_was_received_in_the_meantime_keeps_its_place_in_the_journal(
    functions: Functions, operator: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_all_night(functions, 2)
    refused = {"Successful": [], "Failed": [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]}
    before = [functions.stack.journal.show(f"delivery-{n}") for n in range(2)]
    monkeypatch.setattr(Stack, "client", lambda self, name: _Refusing(refused))
    assert wake(operator, "shop-1") == 0
    assert [functions.stack.journal.show(f"delivery-{n}") for n in range(2)] == before


class _Refusing:
    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def change_message_visibility_batch(self, **arguments: Any) -> dict[str, Any]:
        return self.answer


def test_commands_report_how_many_events_they_moved(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    woken: list[bool] = []

    def wake(stack: Stack, id: str, *, works: Connection | None = None) -> int:
        woken.append(works is not None)
        return 3

    monkeypatch.setattr(connections, "wake", wake)
    monkeypatch.setattr(queries, "wake", wake)
    monkeypatch.setattr(queries, "findings_of", lambda *given, **more: [])
    monkeypatch.setattr(
        queries, "probe", lambda *given, **more: [{"what": "log in", "ok": True, "message": "", "who": ""}]
    )
    file = tmp_path / "shop-1.json"
    file.write_text(json.dumps(CONNECTION))
    relay("connections", "apply", str(file))
    file.write_text(json.dumps(CONNECTION).replace("fake-till-password", "fake-other-password"))

    applied = relay("connections", "apply", str(file))
    checked = relay("connections", "check", "shop-1")

    assert woken == [False, True]
    for result in (applied, checked):
        assert "3 waiting events are tried again within about a minute" in result.stderr
    assert relay.json("connections", "check", "shop-1")["woken"] == 3
    assert awaited(1).startswith("1 waiting event is tried")


def test_a_check_that_is_unsure_moves_nothing(relay: Relay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(queries, "wake", None)
    monkeypatch.setattr(queries, "findings_of", lambda *given, **more: [])
    monkeypatch.setattr(
        queries, "probe", lambda *given, **more: [{"what": "log in", "ok": None, "message": "", "who": ""}]
    )
    file = tmp_path / "shop-1.json"
    file.write_text(json.dumps(CONNECTION))
    relay("connections", "apply", str(file))
    assert relay.json("connections", "check", "shop-1")["woken"] == 0


def outcomes(functions: Functions, events: int) -> set[str]:
    return {entry.result.value for n in range(events) for entry in functions.stack.journal.show(f"delivery-{n}")}
