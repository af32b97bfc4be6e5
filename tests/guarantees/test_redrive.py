"""What was parked and is sent again: executed once, and journalled in the entry that it had."""

from __future__ import annotations

import json
from typing import Any

from loyalty_relay.triggers.webhook import Ingest
from tests.guarantees.world import World, redriven
from tests.sources.samples import load


def outcomes(world: World) -> list[tuple[int, str, str]]:
    """(position, result, reason) of every entry of the journal."""
    return sorted((entry.position, entry.result.value, entry.reason) for entry in world.journal())


def redrive_raw(world: World) -> dict[str, Any]:
    """The one delivery that was parked raw, once more, as ``relay redrive`` does it from a process of its own."""
    (message,) = world.parked("ingest")
    parked = json.loads(message["Body"])
    return Ingest(world.stack.services("ingest")).redrive(parked)


def test_a_delivery_that_a_mapping_failed_on_is_reported_as_what_it_became(world: World) -> None:
    document = world.connect(mapping={"customers/create": {"custom_fields.note": "length(id)"}})
    world.deliver(load("shopify", "customers-create").signed())
    assert outcomes(world) == [(0, "parked", "mapping_failed")]
    world.stack.put_connection("shop", {**document, "mapping": {}})
    assert redrive_raw(world)["outcome"] == "sent"
    world.restart()
    world.settle()
    assert outcomes(world) == [(0, "applied", "")]
    assert len(world.members()) == 1


def test_a_copy_that_comes_after_the_redrive_is_a_duplicate(world: World) -> None:
    document = world.connect(mapping={"customers/create": {"custom_fields.note": "length(id)"}})
    world.deliver(load("shopify", "customers-create").signed())
    world.stack.put_connection("shop", {**document, "mapping": {}})
    redrive_raw(world)
    world.restart()
    world.settle()
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert sorted(world.outcomes()) == ["applied", "duplicate"]
    assert len(world.upstream(writes=True)) == 1


def test_a_delivery_whose_redrive_ended_halfway_is_sent_twice_and_carried_out_once(world: World) -> None:
    document = world.connect(mapping={"customers/create": {"custom_fields.note": "length(id)"}})
    world.deliver(load("shopify", "customers-create").signed())
    world.stack.put_connection("shop", {**document, "mapping": {}})
    (message,) = world.parked("ingest")
    for _ in range(2):
        Ingest(world.stack.services("ingest")).redrive(json.loads(message["Body"]))
    world.restart()
    world.settle()
    world.again()
    assert outcomes(world) == [(0, "applied", "")]
    assert len(world.upstream(writes=True)) == 1


def test_of_a_batch_only_the_event_that_is_wrong_is_reported_as_parked(world: World) -> None:
    world.connect("adobe")
    sample = load("adobe", "customers-batch")
    first, second = sample.json()
    broken = {**second, "data": {**second["data"], "value": {"message": "error"}}}
    world.deliver(sample.with_body([first, broken]).signed())
    world.settle()
    assert [(position, result) for position, result, _ in outcomes(world)] == [(0, "applied"), (1, "parked")]


def test_a_command_that_the_vendor_refused_is_reported_as_what_it_became(world: World) -> None:
    world.connect()
    refusal = {"vendor": "capillary", "method": "POST", "status": 400, "body": {"errors": [{"code": 8014}]}}
    world.fault(refusal)
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    (parked,) = world.parked("register")
    assert [result for _, result, _ in outcomes(world)] == ["parked"]
    world.fault()
    services = world.functions["register"]
    for _ in range(2):
        queue = services.settings.queue("register")
        services.sqs.send_message(QueueUrl=queue, MessageBody=redriven(parked).to_json())
    world.settle()
    world.again()
    assert outcomes(world) == [(0, "applied", "")]
    assert len(world.members()) == 1
