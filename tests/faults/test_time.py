"""Days in seconds: an outage of a day, a backlog of a day, and three days of trying, by a clock that the test moves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import RegisterCustomer, UpdateCustomer, Version
from loyalty_relay.model.errors import (
    ConnectionFailed,
    CredentialsRefused,
    RelayError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability import retry_policy
from tests.faults.drain import Queue
from tests.faults.world import CONNECTION, World, customer

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def world() -> Iterator[World]:
    made = World(random.Random(7).random)
    yield made
    made.close()


def send(world: World, number: int) -> None:
    name = f"customer-{number}"
    at = Version("source", "01", "", f"event-{number}")
    world.send(customer(RegisterCustomer, name, {"first_name": "Ana"}, at), event_id=at.event_id)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(lambda: UpstreamUnavailable(retry_after=120.0), id="503"),
        pytest.param(CredentialsRefused, id="refused credentials"),
        pytest.param(lambda: UpstreamTimeout(reached=True), id="time-outs", marks=pytest.mark.soak),
        pytest.param(ConnectionFailed, id="no connection", marks=pytest.mark.soak),
    ],
)
def test_a_destination_that_is_down_for_a_day_loses_nothing_and_is_caught_up_with(
    world: World, failure: Callable[[], RelayError]
) -> None:
    began = world.clock.now
    over = began + DAY
    world.crm.outage = lambda: failure() if world.clock.now < over else None
    messages = []
    for number, hour in enumerate((0, 23.9)):
        world.drain(until=began + hour * HOUR)
        send(world, number)
        messages.append(world.queue[-1])
    world.drain(until=over)
    assert len(world.queue) == 2
    assert world.parked() == []
    assert world.crm.asked <= 24 * 60, "while the circuit is open, it is probed at most once a minute"
    world.drain()
    caught_up = world.clock.now - over
    assert caught_up <= 2 * retry_policy.MAX_BACKOFF
    assert world.parked() == []
    assert [e.result.value for e in world.journal().values()] == ["applied"] * 2
    assert len(world.crm.members) == 2
    # Far from the receives after which the queue takes a message for one that crashes its function.
    assert max(message.receives for message in messages) < 400


def key_of_destination(world: World) -> str:
    connection: Connection = world.services.connections.get(CONNECTION)
    return connection.destination.key


def tried_for(world: World, seconds: float) -> None:
    """The one message in the queue has been tried for so long already."""
    (message,) = world.queue
    _, entry = world.services.pipeline.recorder.failed(message.envelope, UpstreamUnavailable(), Result.RETRYING)
    world.services.journal.retrying(entry, waiting=seconds)


@pytest.mark.parametrize(
    ("tried", "end"),
    [(retry_policy.HORIZON - 1.0, "retrying"), (retry_policy.HORIZON, "parked")],
    ids=["a second before", "at the end"],
)
def test_the_edge_of_the_horizon(world: World, tried: float, end: str) -> None:
    send(world, 1)
    tried_for(world, tried)
    world.crm.outage = UpstreamUnavailable
    world.deliver(world.queue[0])
    assert [e.result for e in world.journal().values()] == [end]
    assert len(world.parked()) == (end == "parked")


def test_the_last_try_before_the_horizon_still_succeeds(world: World) -> None:
    send(world, 1)
    tried_for(world, retry_policy.HORIZON + 1.0)
    world.deliver(world.queue[0])
    assert [e.result for e in world.journal().values()] == ["applied"]


def test_a_command_that_alone_fails_is_given_up_after_three_days_of_trying_and_not_before(world: World) -> None:
    """Its neighbours succeed, so that the circuit stays closed and every attempt counts."""
    world.services.random = lambda: 0.999
    destination = key_of_destination(world)
    send(world, 1)
    tried_for(world, retry_policy.HORIZON - 5 * retry_policy.MAX_BACKOFF)
    world.queue[0].receives = 20
    world.crm.outage = UpstreamUnavailable
    began, attempts = world.clock.now, 0
    while world.queue:
        world.wait_for_the_next()
        world.deliver(world.queue[0])
        with world.services.circuit.call(destination) as call:
            call.succeeded = True
        attempts += 1
    waited = world.clock.now - began
    assert 5 * retry_policy.MAX_BACKOFF <= waited <= 6 * retry_policy.MAX_BACKOFF
    assert attempts == 7
    (parked,) = world.parked()
    assert parked["MessageAttributes"]["reason"]["StringValue"] == "unavailable"


def test_what_came_back_after_the_horizon_is_found_stale_by_redrive(world: World) -> None:
    send(world, 1)
    tried_for(world, retry_policy.HORIZON)
    envelope = world.queue[0].envelope
    world.crm.outage = UpstreamUnavailable
    world.deliver(world.queue[0])
    world.crm.outage = lambda: None
    newer = Version("source", "02", "", "event-2")
    world.send(customer(UpdateCustomer, "customer-1", {"first_name": "Eva"}, newer), event_id="event-2")
    world.drain()
    world.send(envelope.redriven().command, event_id="redriven")
    world.queue[0].envelope = envelope.redriven()
    world.drain()
    assert [m.fields for m in world.crm.members.values()] == [{"first_name": "Eva"}]
    assert world.journal()[envelope.delivery_id].result == "stale"


# -- a backlog ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("per_minute", "executions"), [(50.0, 3), (100.0, 10), (240.0, 5)], ids=["capillary put", "post", "kangaroo"]
)
def test_the_backlog_of_a_day_drains_at_the_limit_and_never_above_it(
    per_minute: float, executions: int, seed: int
) -> None:
    """A shop that has events for an hour of the limit in a day."""
    queue = Queue(per_minute=per_minute, executions=executions, seed=seed)
    messages = int(per_minute * 60)
    queue.drain(messages, began=1_790_000_000.0)
    assert len(queue.sent) == messages
    sent = sorted(queue.sent)
    # Without the first minute, which may be used at once, and the last, for which too little is left.
    begin, end = sent[0] + 60, sent[-1] - 60
    used = sum(begin <= at < end for at in sent) / (per_minute * (end - begin) / 60)
    assert 0.95 <= used <= 1.0, f"{used:.1%} of the limit"
    newest = 0
    for oldest, at in enumerate(sent):
        while newest < len(sent) and sent[newest] - at < 60.0:
            newest += 1
        assert newest - oldest <= per_minute
    assert queue.receives < messages * 6, "waiting for a turn is cheap"
