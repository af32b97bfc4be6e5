"""Events that only name what has changed: whatever happens while it is read, it arrives once and as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.http.client import Client
from loyalty_relay.model.commands import Envelope
from loyalty_relay.sources.base import MAX_ENTITIES, Change, NothingToDo, ThinChange
from loyalty_relay.sources.bigcommerce import BigCommerce
from loyalty_relay.triggers.hydrate import MOST_READINGS
from tests.faults.dying import Death, Fate, Mortal
from tests.guarantees.world import World
from tests.sources.samples import load

CUSTOMER = "stores/demohash1/v3/customers/1001"
EMAIL = "bea.commerce@example.com"


def notify(
    world: World, *, name: str = "customer-updated", event: str = "0195a3c2-7d51-7a10-9d63-000000000999"
) -> None:
    """A delivery of an event about the customer."""
    sample = load("bigcommerce", name).with_headers(webhook_id=event)
    assert world.deliver(sample.signed(now=world.stack.clock.now))["statusCode"] == 200


def is_now(world: World, **fields: Any) -> None:
    """What the platform shows of the customer from now on."""
    shown = {"id": 1001, "email": EMAIL, "first_name": "Bea", "date_modified": "2026-03-02T10:30:00Z", **fields}
    entities = {"entities": {CUSTOMER: shown}}
    world.control.put("/_sandbox/settings/bigcommerce", json=entities).raise_for_status()


def first_names(world: World) -> list[str]:
    """Of the members with the customer's address."""
    profiles = [profile for member in world.members() for profile in member["profiles"]]
    return [p["first_name"] for p in profiles if any(i["value"] == EMAIL for i in p["identifiers"])]


@pytest.fixture
def reading(world: World) -> World:
    world.connect("bigcommerce")
    is_now(world)
    return world


@pytest.fixture
def fate(reading: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fate]:
    """Processes that may die at any of their requests, those to platforms and programmes included."""
    fate = Fate()
    really = Client.fetch
    monkeypatch.setattr(Client, "fetch", lambda self, *args: fate.request(lambda: really(self, *args)))
    reading.stack.clients = {name: Mortal(client, fate) for name, client in reading.stack.clients.items()}
    reading.restart()
    yield fate
    fate.decide(None)


# -- nothing is lost and nothing is done twice ------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after the request"])
def test_a_process_that_dies_while_it_reads_loses_nothing(reading: World, fate: Fate, after: bool) -> None:
    deaths = 0
    for at in range(1, 100):
        notify(reading, event=f"event-{at}")
        is_now(reading, first_name=f"Bea{at}", date_modified=f"2026-03-02T11:00:{at:02d}Z")
        (record,) = reading.stack.receive("hydrate")["Records"]
        fate.decide(at, after=after)
        died = False
        try:
            reading.work("hydrate", [record])
        except Death:
            died = True
        fate.decide(None)
        if not died:
            break
        deaths += 1
        reading.restart()
        assert reading.work("hydrate", [record]) == 0
        reading.settle()
        assert first_names(reading) == [f"Bea{at}"]
    assert deaths > 3, "it reads the connection, the platform, and writes to a queue at the least"
    assert reading.parked("hydrate") == []
    results = {entry.result.value for entry in reading.journal() if entry.operation != "hydrate"}
    assert results <= {"applied", "duplicate"}
    assert sum(entry.result.value == "applied" for entry in reading.journal()) == deaths


def test_copies_of_one_event_are_one_change(reading: World) -> None:
    for _ in range(3):
        notify(reading)
    reading.settle()
    reading.again()
    assert sorted(reading.outcomes()) == ["applied", "duplicate", "duplicate"]
    assert first_names(reading) == ["Bea"]


def test_a_reading_is_done_when_its_commands_are_in_their_queue_and_no_sooner(reading: World) -> None:
    class Refusing:
        def send_message_batch(self, **batch: Any) -> dict[str, Any]:
            return {"Failed": [{"Id": entry["Id"], "Code": "InternalError"} for entry in batch["Entries"]]}

        def __getattr__(self, name: str) -> Any:
            return getattr(sqs, name)

    services = reading.functions["hydrate"]
    sqs, services.sqs = services.sqs, Refusing()
    notify(reading)
    reading.settle()
    assert [(e.result.value, e.reason) for e in reading.journal()] == [("retrying", "store_unavailable")]
    services.sqs = sqs
    reading.again()
    assert first_names(reading) == ["Bea"]


def test_a_redriven_reading_leads_to_the_same_commands_as_the_first(reading: World) -> None:
    notify(reading)
    (record,) = reading.stack.receive("hydrate")["Records"]
    again = Envelope.from_json(record["body"]).redriven().to_json()
    assert reading.work("hydrate", [record]) == 0
    assert reading.work("hydrate", [{**record, "body": again}]) == 0
    bodies = [message["Body"] for name in ("register", "update") for message in reading.stack.messages(name)]
    assert len(bodies) == 2
    assert len({Envelope.from_json(body).key for body in bodies}) == 1


# -- a resource that takes several readings ---------------------------------------------------------------------------


def test_what_a_reading_leads_to_is_read_at_once_and_only_its_changes_go_on(
    reading: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = BigCommerce.hydrated

    def twice(module: BigCommerce, thin: ThinChange, status: int, body: Any) -> list[Change]:
        if "seen" not in thin.data:
            return [replace(thin, data={**thin.data, "seen": body["data"][0]["first_name"]})]
        assert thin.data["seen"] == "Bea"
        assert thin.read_at, "the time of the first reading"
        return [NothingToDo(event=thin.event, reason="not_this"), *really(module, thin, status, body)]

    monkeypatch.setattr(BigCommerce, "hydrated", twice)
    notify(reading)
    reading.settle()
    assert len(reading.upstream(vendor="bigcommerce")) == 2
    assert first_names(reading) == ["Bea"]


def test_what_one_reading_leads_to_has_places_in_the_journal_that_no_other_change_of_the_delivery_has(
    reading: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = BigCommerce.hydrated
    monkeypatch.setattr(BigCommerce, "hydrated", lambda *given: [*really(*given), *really(*given)])
    notify(reading)
    (record,) = reading.stack.receive("hydrate")["Records"]
    for position in (0, 1):
        body = replace(Envelope.from_json(record["body"]), position=position).to_json()
        assert reading.work("hydrate", [{**record, "body": body}]) == 0
    bodies = [message["Body"] for name in ("register", "update") for message in reading.stack.messages(name)]
    positions = sorted(Envelope.from_json(body).position for body in bodies)
    assert positions == [0, 1, MAX_ENTITIES, MAX_ENTITIES + 1]


def test_a_resource_that_takes_too_many_readings_is_parked(reading: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BigCommerce, "hydrated", lambda module, thin, status, body: [thin])
    notify(reading)
    reading.settle()
    (message,) = reading.parked("hydrate")
    assert message["MessageAttributes"]["code"]["StringValue"] == "too_many_readings"
    assert len(reading.upstream(vendor="bigcommerce")) == MOST_READINGS


# -- the newest state wins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", ["a-later-event", "z-later-event"])
def test_of_two_readings_within_one_second_of_the_platforms_clock_the_later_one_wins(
    reading: World, later: str
) -> None:
    """BigCommerce's times are in seconds, and an address changes without the customer's own time."""
    notify(reading, event="m-event")
    reading.settle()
    assert first_names(reading) == ["Bea"]
    is_now(reading, first_name="Beatrice")
    reading.stack.clock.now += 0.4
    notify(reading, event=later)
    reading.settle()
    assert first_names(reading) == ["Beatrice"]


def test_an_earlier_reading_that_arrives_late_changes_nothing(reading: World) -> None:
    notify(reading, event="z-earlier")
    (record,) = reading.stack.receive("hydrate")["Records"]
    reading.work("hydrate", [record])
    (late,) = reading.stack.receive("update")["Records"]
    is_now(reading, first_name="Beatrice")
    reading.stack.clock.now += 0.4
    notify(reading, event="a-later")
    reading.settle()
    reading.work("update", [late])
    assert first_names(reading) == ["Beatrice"]
    assert sorted(reading.outcomes()) == ["applied", "stale"]


# -- a platform that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 503, "body": {"title": "down"}},
        {"status": 429, "headers": {"retry-after": "30"}, "body": {"title": "later"}},
        {"status": 401, "body": {"title": "no"}},
        {"reset": "before"},
        {"truncate": 20},
        {"html": True},
    ],
    ids=["503", "429", "401", "reset", "truncated", "html"],
)
def test_a_platform_that_fails_for_an_hour_is_waited_for(reading: World, rule: dict[str, Any]) -> None:
    reading.fault({"vendor": "bigcommerce", **rule})
    notify(reading)
    reading.settle()
    for _ in range(6):
        reading.again(after=600)
    assert first_names(reading) == []
    reading.fault()
    for _ in range(3):
        reading.again(after=900)
    assert first_names(reading) == ["Bea"]
    assert reading.parked("hydrate") == []


def test_a_resource_that_the_platform_refuses_to_show_is_parked_once(reading: World) -> None:
    reading.fault({"vendor": "bigcommerce", "status": 422, "body": {"title": "no"}})
    for _ in range(2):
        notify(reading)
        reading.settle()
    (message,) = reading.parked("hydrate")
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (attributes["code"], attributes["connection"]) == ("422", "shop")


def test_who_was_deleted_before_the_reading_is_an_outcome(reading: World) -> None:
    notify(reading)
    reading.control.put("/_sandbox/settings/bigcommerce", json={"entities": {CUSTOMER: None}}).raise_for_status()
    reading.settle()
    assert [(e.result.value, e.reason) for e in reading.journal()] == [("ignored", "deleted_meanwhile")]


@pytest.mark.attack(
    "configuration", "one wrong or revoked credential, to stop everything that shares its account or connection"
)
def test_a_stores_dead_token_stops_only_what_is_read_with_it(world: World) -> None:
    document = world.connect("clover", "kangaroo")
    good = document["source"]["api_credentials"]["access_token"]
    stores = {"DEMOMERCHANT1": good, "DEMOMERCHANT2": "fake-dead-token"}
    document["source"] |= {
        "stores": list(stores),
        "api_credentials": {f"access_token.{store}": token for store, token in stores.items()},
    }
    world.stack.put_connection("shop", document)
    update = load("clover", "customer-create").json()["merchants"]["DEMOMERCHANT1"]
    for store in ("DEMOMERCHANT2", "DEMOMERCHANT1", "DEMOMERCHANT2"):
        event = load("clover", "customer-create").changed(merchants={store: update})
        assert world.deliver(event.signed())["statusCode"] == 200
        world.settle()
    reasons = [entry.reason for entry in world.journal() if entry.operation == "hydrate"]
    assert sorted(reasons) == ["circuit_open", "credentials"]
    assert [r.status for r in world.upstream(vendor="clover")] == [401, 200]
