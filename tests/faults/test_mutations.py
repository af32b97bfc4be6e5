"""Tests that cannot fail prove nothing: each promise's short story passes as the code is, and fails with its part
broken. The storm's own version of this takes longer (``make soak``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from loyalty_relay.model.commands import Credits, Enrollment, RegisterCustomer, UpdateCustomer, Version
from loyalty_relay.triggers.webhook import Ingest
from tests.faults.drain import Queue
from tests.faults.storm.broken import PARTS, break_it
from tests.faults.storm.events import Happening, customers, forgeries
from tests.faults.storm.run import webhook_event
from tests.faults.test_sales import STORIES as STORIES_OF_SALES
from tests.faults.world import World, customer, without_source_id


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def older_events_change_nothing(world: World) -> None:
    for value, name in ((2, "Eva"), (1, "Ana")):
        at = Version("source", f"{value:02d}", "", f"event-{value}")
        kind = RegisterCustomer if value == 2 else UpdateCustomer
        world.send(customer(kind, "a", {"first_name": name}, at), event_id=at.event_id)
        world.drain()
    assert [m.fields["first_name"] for m in world.crm.members.values()] == ["Eva"]


def no_minute_has_more_requests_than_the_limit(world: World) -> None:
    queue = Queue(per_minute=50.0, executions=3, seed=1)
    queue.drain(200, began=world.clock.now)
    sent = sorted(queue.sent)
    assert max(sum(at <= other < at + 60 for other in sent) for at in sent) <= 50


def two_copies_of_an_event_give_points_once(world: World) -> None:
    at = Version("source", "01", "", "event-1")
    world.send(customer(RegisterCustomer, "a", {"first_name": "Ana"}, at), event_id="event-1")
    world.drain()
    (member,) = world.crm.members.values()
    owed = Credits(enrollments=(Enrollment(program_id=1, loyalty_points=50.0),))
    command = without_source_id(customer(UpdateCustomer, "a", {}, None), member.id, owed)
    world.send(command, event_id="points", copies=2, source="api")
    world.drain()
    assert len(member.credits) == 1


def a_forged_delivery_has_no_effect(world: World) -> None:
    made = customers(seed=1, count=8, events=8)
    for happening in forgeries(made):
        shop = happening.shop
        world.stack.put_connection(shop.connection, _connection(happening))
        headers = happening.signed(webhook=1, now=world.clock.now, wrong=True)
        answer = Ingest(world.services).answer(webhook_event(happening, headers))
        assert answer["statusCode"] == 401
    assert world.stack.messages("update") + world.stack.messages("register") == []


def _connection(happening: Happening) -> dict[str, object]:
    shop = happening.shop
    return {
        "source": {
            "platform": shop.platform,
            "stores": [shop.store],
            "secrets": [{"value": shop.secret}],
            "verified_identifiers": ["email", "mobile"],
        },
        "destination": {
            "vendor": "capillary",
            "region": "eu",
            "source": "ECOMMERCE",
            "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
        },
    }


STORIES: dict[str, Callable[[World], None]] = {
    "guard": older_events_change_nothing,
    "limiter": no_minute_has_more_requests_than_the_limit,
    "key": two_copies_of_an_event_give_points_once,
    "verifier": a_forged_delivery_has_no_effect,
}


def test_every_part_has_a_story() -> None:
    assert {*STORIES, *STORIES_OF_SALES} == {*PARTS}


@pytest.mark.parametrize("part", STORIES)
def test_the_promise_holds(world: World, part: str) -> None:
    STORIES[part](world)


@pytest.mark.parametrize("part", STORIES)
def test_the_promise_does_not_hold_without_its_part(world: World, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(part, monkeypatch.setattr)
    with pytest.raises(AssertionError):
        STORIES[part](world)
