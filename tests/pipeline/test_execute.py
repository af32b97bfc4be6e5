"""The stages around a handler: what each gives back, and what a command that is repeated or refused costs."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import CustomerRef, Envelope, Hydrate, RetireCustomer
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    CircuitOpen,
    CredentialsBlocked,
    CredentialsRefused,
    InvalidCommand,
    UpstreamUnavailable,
)
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.circuit_breaker import CREDENTIALS_OPEN, THRESHOLD
from tests.pipeline.conftest import CONNECTION, Relay, customer, version


def rotate(relay: Relay, id: str = "shop-1") -> None:
    """Give the connection another password."""
    document: dict[str, Any] = copy.deepcopy(CONNECTION)
    document["destination"]["credentials"]["password"] = "fake-new-password"
    relay.stack.put_connection(id, document)


def connection(relay: Relay) -> Connection:
    return relay.services.connections.get("shop-1")


def open_circuits(relay: Relay) -> int:
    return sum(item["pk"]["S"].startswith("B#") for item in relay.stack.items("state"))


def refuse(relay: Relay) -> None:
    """Open the circuit by refused credentials."""
    relay.crm.before = [CredentialsRefused()]
    with pytest.raises(CredentialsRefused):
        relay.run(customer())
    assert open_circuits(relay) == 1


def keys(relay: Relay) -> list[str]:
    """Return the statuses of the idempotency keys."""
    return [item["status"]["S"] for item in relay.stack.items("idempotency")]


def test_a_command_whose_credentials_were_rotated_is_carried_out_under_the_new_ones(relay: Relay) -> None:
    connection(relay)
    rotate(relay)
    relay.crm.before = [CredentialsRefused()]
    assert relay.run(customer()).result is Result.APPLIED
    assert keys(relay) == ["COMPLETED"]
    assert open_circuits(relay) == 1, "that of the old ones"


def test_a_read_whose_credentials_were_rotated_is_repeated_under_the_new_ones(relay: Relay) -> None:
    stale = connection(relay)
    rotate(relay)
    asked: list[Connection] = []

    def ask(live: Connection) -> str:
        asked.append(live)
        if live == stale:
            raise CredentialsRefused
        return "answer"

    assert relay.services.pipeline.read(stale, stale.destination.key, ask) == "answer"
    assert len(asked) == 2
    assert open_circuits(relay) == 1, "that of the old ones"


def test_refused_credentials_that_were_not_rotated_open_the_circuit_and_free_the_key(relay: Relay) -> None:
    refuse(relay)
    assert keys(relay) == []
    with pytest.raises(CircuitOpen):
        relay.run(customer())
    with pytest.raises(CircuitOpen):
        relay.services.pipeline.read(connection(relay), connection(relay).destination.key, lambda live: None)


@pytest.mark.attack(
    "configuration",
    "one wrong or revoked credential, to stop everything that shares its account or connection",
    "refused credentials stop only what is sent with these very credentials",
    "G8",
)
def test_refused_credentials_stop_only_the_connections_that_use_them(relay: Relay) -> None:
    rotate(relay, "shop-2")
    relay.stack.put_connection("shop-3", CONNECTION)
    refuse(relay)
    assert relay.run(customer(), connection="shop-2").result is Result.APPLIED
    with pytest.raises(CredentialsBlocked):
        relay.run(customer(), connection="shop-3")


def test_credentials_that_are_replaced_are_used_at_once_by_a_process_that_holds_the_old_ones(relay: Relay) -> None:
    other = relay.stack.services("update", crm=lambda connection: relay.crm)
    other.connections.get("shop-1")
    refuse(relay)
    rotate(relay)
    # It does not wait for the probe that the old ones would need.
    deadline = Deadline(relay.stack.clock.now + 28, relay.stack.clock)
    assert other.pipeline.execute(relay.envelope(customer()), deadline).outcome.result is Result.APPLIED


def test_an_outage_stops_every_connection_of_the_account(relay: Relay) -> None:
    rotate(relay, "shop-2")
    relay.crm.before = [UpstreamUnavailable() for _ in range(THRESHOLD)]
    for _ in range(THRESHOLD):
        with pytest.raises(UpstreamUnavailable):
            relay.run(customer())
    with pytest.raises(CircuitOpen):
        relay.run(customer(), connection="shop-2")


def test_what_sends_nothing_to_the_destination_does_not_wait_for_it(relay: Relay) -> None:
    refuse(relay)
    gone = RetireCustomer(customer=CustomerRef(source_id="7"), reason="deleted", version=version("2"))
    assert relay.run(gone).result is Result.APPLIED


def test_a_duplicate_as_the_probe_leaves_the_place_to_the_next(relay: Relay) -> None:
    done = relay.envelope(customer())
    relay.run(done)
    relay.crm.before = [CredentialsRefused()]
    with pytest.raises(CredentialsRefused):
        relay.run(customer({"first_name": "Eva"}, "2"))
    relay.stack.clock.now += CREDENTIALS_OPEN + 1
    assert relay.run(done).result is Result.DUPLICATE
    assert open_circuits(relay) == 1
    assert relay.run(customer({"first_name": "Eva"}, "3")).result is Result.APPLIED
    assert open_circuits(relay) == 0


def test_a_replay_is_a_duplicate_to_the_queue_and_the_first_outcome_to_a_caller(relay: Relay) -> None:
    def execute(envelope: Envelope) -> tuple[str, bool]:
        executed = relay.services.pipeline.execute(envelope, Deadline(relay.stack.clock.now + 28, relay.stack.clock))
        return executed.outcome.result.value, executed.replayed

    for at, source, again in (("1", "shopify", "duplicate"), ("2", "api", "applied")):
        envelope = relay.envelope(customer({"first_name": source}, at), source=source)
        assert execute(envelope) == ("applied", False)
        assert execute(envelope) == (again, True)


def test_a_failure_frees_the_key_and_is_carried_out_at_the_next_attempt(relay: Relay) -> None:
    envelope = relay.envelope(customer())
    relay.crm.before = [UpstreamUnavailable()]
    with pytest.raises(UpstreamUnavailable):
        relay.run(envelope)
    assert keys(relay) == []
    assert relay.run(envelope).result is Result.APPLIED


def test_a_command_without_a_handler_is_refused_and_not_tried_again(relay: Relay) -> None:
    with pytest.raises(InvalidCommand):
        relay.run(Hydrate(resource="customer", data={}, store=None))
