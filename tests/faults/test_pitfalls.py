"""Known traps of the libraries and services in use, as far as no other test covers them.
``PITFALLS.md`` lists every trap with its tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loyalty_relay.model.commands import UpdateCustomer, Version
from loyalty_relay.model.errors import UpstreamUnavailable
from loyalty_relay.triggers.queue import consume
from tests.faults.world import Misfortune, World, customer
from tests.support.stack import Context

CHECKOUT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def send(world: World, name: str, value: int = 1) -> None:
    at = Version("source", f"{value:02d}", "", f"{name}-{value}")
    world.send(customer(UpdateCustomer, name, {"first_name": "Ana"}, at), event_id=at.event_id)


def test_keys_survive_a_renamed_function_and_need_no_md5(world: World) -> None:
    """Powertools puts the function's own name before a key unless another is configured, and hashes with MD5, which a
    runtime in FIPS mode refuses.
    """
    send(world, "a")
    world.drain()
    (item,) = world.stack.items("idempotency")
    assert re.fullmatch(r"relay:update#[0-9a-f]{64}", item["id"]["S"])


def test_a_batch_of_nothing_is_nothing(world: World) -> None:
    """Powertools' batch processor raises for it."""
    assert consume({"Records": []}, Context(), "update", world.services) == {"batchItemFailures": []}


def test_a_batch_that_fails_as_a_whole_comes_back_record_by_record(world: World) -> None:
    """An exception would bring back the records that succeeded too, and count as an error of the function."""
    for name in ("a", "b", "c"):
        send(world, name)
    world.crm.outage = UpstreamUnavailable
    records = [message.record() for message in world.queue]
    answer = consume({"Records": records}, Context(), "update", world.services)
    assert [f["itemIdentifier"] for f in answer["batchItemFailures"]] == [r["messageId"] for r in records]


def test_a_record_that_fails_leaves_its_neighbours_receive_counts_alone(world: World) -> None:
    for name in ("a", "b"):
        send(world, name)
    bad, good = world.queue
    world.deliver(bad, Misfortune(error=UpstreamUnavailable()))
    world.deliver(good)
    assert world.queue == [bad]
    assert (bad.receives, good.receives) == (1, 1)


def test_a_second_http_delivery_of_an_event_is_a_duplicate_though_its_message_is_new(world: World) -> None:
    send(world, "a")
    send(world, "a")
    first, second = (message.record()["messageId"] for message in world.queue)
    assert first != second
    world.drain()
    assert sorted(entry.result.value for entry in world.journal().values()) == ["applied", "duplicate"]


@pytest.mark.parametrize("library", ["aws-xray-sdk", "jsonpath-ng", "aws-encryption-sdk"])
def test_the_layer_ships_nothing_that_ends_or_starts_slowly(library: str) -> None:
    """Tracer rests on a library whose support ends; data masking walks paths that a source may stop to send."""
    shipped = (CHECKOUT / "requirements" / "layer.txt").read_text()
    assert f"\n{library}==" not in f"\n{shipped}"


@pytest.mark.parametrize("switch", ["POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_DEV", "POWERTOOLS_IDEMPOTENCY_DISABLED"])
def test_no_switch_of_the_stack_logs_events_or_turns_protection_off(switch: str) -> None:
    assert switch not in (CHECKOUT / "template.yaml").read_text()
    for path in (CHECKOUT / "functions").rglob("*.py"):
        assert switch not in path.read_text()
        assert "log_event" not in path.read_text()


def test_every_test_that_the_list_of_traps_names_is_there() -> None:
    named = NAMED.findall((CHECKOUT / "tests/faults/PITFALLS.md").read_text())
    assert len(named) > 40
    for path, name in named:
        assert f"def {name}(" in (CHECKOUT / path).read_text(), f"{path}::{name}"
