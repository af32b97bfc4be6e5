"""The guard under crashes: whatever order, however many copies, and wherever a process dies, one end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.model.commands import Credits, CustomerRef, UpdateCustomer, Version
from loyalty_relay.model.errors import TransientError
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.reliability.idempotency import Idempotency
from loyalty_relay.reliability.journal import Journal, JournalEntry
from tests.support.tables import IDEMPOTENCY, JOURNAL, LEASE, Clock, Counted, Crash, clear, make_customers


@dataclass
class Vendor:
    """A member with state; ``crash`` kills the process before or after the effect."""

    fields: dict[str, Any] = field(default_factory=dict)
    writes: int = 0
    credits: dict[str, int] = field(default_factory=dict)

    def update(self, fields: dict[str, Any], credit: str | None) -> None:
        self.writes += 1
        self.fields |= fields
        if credit is not None:
            self.credits[credit] = self.credits.get(credit, 0) + 1


@dataclass(frozen=True)
class Happened:
    """One event of the source."""

    version: Version
    fields: dict[str, str]
    credits: bool = False

    @property
    def key(self) -> str:
        return self.version.event_id


class World:
    """Everything that outlives a process, and the processing of an event as an operation does it."""

    def __init__(self, dynamodb: Counted, source_id: str) -> None:
        self.dynamodb = dynamodb
        self.clock = Clock()
        self.vendor = Vendor()
        self.who = CustomerRef(source_id=source_id)
        self.journal = Journal(dynamodb, JOURNAL, clock=self.clock)
        self.customers: CustomerLedger = make_customers(dynamodb, self.clock)
        self.ambiguous: set[str] = set()
        self.dies_at: int | None = None
        self.step = 0

    def live(self) -> None:
        """One more thing was done; the process may die right after it."""
        self.step += 1
        if self.dies_at is not None and self.step >= self.dies_at:
            self.dies_at = None
            raise Crash

    def process(self, event: Happened, *, delivery: str) -> Outcome:
        command = UpdateCustomer(
            customer=self.who,
            fields=event.fields,
            version=event.version,
            credits=Credits(referral_code="R" if event.credits else None),
        )
        hold = self.customers.hold("shop", command, key=event.key)
        self.live()
        credit = event.key if event.credits and not hold.credited else None
        if credit is not None and hold.interrupted_credits:
            hold.release(interrupted=False)
            self.ambiguous.add(event.key)
            return Outcome(result=Result.PARKED, reason="ambiguous")
        sent = tuple(hold.fields)
        if sent or credit is not None:
            self.vendor.update(dict(hold.fields), credit)
            self.live()
        result = Result.APPLIED if sent or credit else Result.STALE if hold.stale else Result.UNCHANGED
        entry = JournalEntry(delivery_id=delivery, connection="shop", result=result)
        hold.commit(loyalty_id="10", sent=sent, entry=entry)
        self.live()
        return Outcome(result=result)

    def deliver(self, event: Happened, *, delivery: str, dies_at: int | None = None) -> None:
        """At least once: a process that dies is followed by another, after the lease has run out."""
        self.dies_at, self.step = dies_at, 0
        while True:
            try:
                self.process(event, delivery=delivery)
            except Crash:
                self.clock.now += LEASE
            else:
                return


values = st.sampled_from(["a", "b", "c"])
names = st.sampled_from(["email", "city", "tags.vip"])
versions = st.builds(
    Version, st.just("shop"), st.sampled_from(["1", "2", "3"]), st.sampled_from(["", "t1"]), st.uuids().map(str)
)
events = st.lists(
    st.builds(Happened, versions, st.dictionaries(names, values, min_size=1), st.booleans()), min_size=1, max_size=4
)
people = count()


@pytest.fixture
def fresh(dynamodb: Counted) -> Callable[[], World]:
    def make() -> World:
        clear(dynamodb.client)
        dynamodb.reset()
        return World(dynamodb, str(next(people)))

    return make


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_in_any_order_and_number_with_crashes_anywhere_end_in_the_newest_state(
    fresh: Callable[[], World], data: st.DataObject
) -> None:
    world = fresh()
    happened = data.draw(events)
    copies = data.draw(st.permutations(happened + data.draw(st.lists(st.sampled_from(happened), max_size=3))))
    for number, event in enumerate(copies):
        dies_at = data.draw(st.none() | st.integers(1, 3))
        world.deliver(event, delivery=f"d-{number}", dies_at=dies_at)
    if not world.ambiguous:
        assert world.vendor.fields == newest(happened)
    assert all(times == 1 for times in world.vendor.credits.values())
    for event in happened:
        assert not event.credits or event.key in world.vendor.credits or event.key in world.ambiguous
    settled = [event for event in happened if event.key not in world.ambiguous]
    # What a crash left unknown may be sent once more; after that nothing is sent.
    for round_of_copies in range(2):
        writes = world.vendor.writes
        for event in settled:
            world.deliver(event, delivery=f"again-{round_of_copies}")
    assert world.vendor.writes == writes
    # Beside an ambiguous event, which an operator decides about, what was known before it may be sent again.
    if not world.ambiguous:
        assert world.vendor.fields == newest(happened)
    for number in range(len(copies)):
        if copies[number].key not in world.ambiguous:
            assert world.journal.show(f"d-{number}")


@pytest.mark.parametrize("dies_at", [1, 2, 3])
@pytest.mark.parametrize("credits", [False, True])
def test_a_crash_between_any_two_steps_has_one_effect_or_is_known_to_be_ambiguous(
    fresh: Callable[[], World], dies_at: int, credits: bool
) -> None:
    world = fresh()
    event = Happened(Version("shop", "1", "", "e1"), {"email": "a"}, credits)
    world.deliver(event, delivery="d", dies_at=dies_at)
    credited = world.vendor.credits.get("e1", 0)
    assert credited <= 1
    if not credits:
        assert world.vendor.fields == {"email": "a"}
        assert world.vendor.writes == (2 if dies_at == 2 else 1)
    else:
        # Before or after the effect: the two cannot be distinguished from here.
        assert (("e1" in world.ambiguous), credited) == {1: (True, 0), 2: (True, 1), 3: (False, 1)}[dies_at]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lost_requests_and_lost_responses_of_our_own_tables_change_nothing_in_the_end(
    fresh: Callable[[], World], data: st.DataObject
) -> None:
    world = fresh()
    happened = data.draw(events)
    idempotency = Idempotency(world.dynamodb, IDEMPOTENCY)
    for number, event in enumerate(data.draw(st.permutations(happened + happened[:2]))):
        fails = data.draw(st.none() | st.tuples(st.integers(0, 4), st.booleans()))
        state = {"left": fails[0] if fails else -1, "after": bool(fails and fails[1])}

        def lose(name: str, arguments: dict[str, Any], *, state: dict[str, Any] = state, late: bool) -> None:
            if state["after"] is not late:
                return
            state["left"] -= 1
            if state["left"] == -1:
                from tests.support.tables import refusal

                raise refusal(None, name)

        world.dynamodb.before = partial(lose, late=False)
        world.dynamodb.after = partial(lose, late=True)
        for _ in range(6):
            try:
                with idempotency.hold(event.key, "update") as key:
                    if key.original is None:
                        key.outcome = world.process(event, delivery=f"d-{number}")
            except TransientError:
                world.clock.now += LEASE
                world.dynamodb.heal()
                clear_expired(world)
            else:
                break
        else:
            pytest.fail("the event was never settled")
        world.dynamodb.heal()
    if not world.ambiguous:
        assert world.vendor.fields == newest(happened)
    assert all(times == 1 for times in world.vendor.credits.values())


def newest(happened: list[Happened]) -> dict[str, str]:
    """The oracle: per field the value of the newest event that has it."""
    return {
        name: max((e.version.key(), e.fields[name]) for e in happened if name in e.fields)[1]
        for name in {n for e in happened for n in e.fields}
    }


def clear_expired(world: World) -> None:
    """Keys of executions that ended without freeing them are free again when their invocation is over."""
    client = world.dynamodb.client
    for item in client.scan(TableName=IDEMPOTENCY)["Items"]:
        if item["status"]["S"] == "INPROGRESS":
            client.delete_item(TableName=IDEMPOTENCY, Key={"id": item["id"]})
