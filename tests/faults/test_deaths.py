"""A process is killed before and after each of its requests, at every place there is, and another takes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf

import pytest

from loyalty_relay.model.commands import (
    Command,
    Credits,
    CustomerRef,
    Enrollment,
    Identifier,
    LinkStore,
    PatchCrmFields,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
    Version,
)
from loyalty_relay.model.deadline import Deadline
from tests.faults.world import Misfortune, World, customer, email
from tests.support.crm import Member

LEASE = 46.0
"""Seconds after which the lease of a dead process is over."""


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def version(value: int, id: str) -> Version:
    return Version("source", f"{value:02d}", "", f"{id}-{value}")


class Lives:
    """Customers numbered from 1, one for each place where a process can die, and what happens to each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = ""

    def everywhere(self, story: Callable[[Misfortune], None]) -> int:
        """Run the story with a death at every request, until none was left to die at; return the number of runs."""
        runs = 0
        for after in (False, True):
            at = 0
            while True:
                at += 1
                runs += 1
                self.name = f"customer-{runs}"
                deaths = self.world.deaths
                story(Misfortune(dies_at=at, after=after))
                assert self.world.queue == []
                if self.world.deaths == deaths:
                    break
        return runs

    def send(self, command: Command, id: str) -> None:
        self.world.send(command, event_id=f"{self.name}-{id}")

    def change(self, kind: type[UpdateCustomer] | type[RegisterCustomer], value: int, **fields: object) -> None:
        at = version(value, self.name)
        self.send(customer(kind, self.name, fields, at), at.event_id)

    def handled(self, misfortune: Misfortune) -> None:
        """The message in the queue is received, and whatever happens to it, time passes."""
        self.world.deliver(self.world.visible()[-1], misfortune)
        self.world.clock.now += LEASE

    @property
    def members(self) -> list[Member]:
        return [m for m in self.world.crm.members.values() if m.identifiers.get("email") == email(self.name)]

    @property
    def writes(self) -> int:
        return sum(call[0] in ("register", "update", "patch") for call in self.world.crm.calls)


@pytest.fixture
def lives(world: World) -> Lives:
    return Lives(world)


def test_a_registration_ends_in_one_member(lives: Lives) -> None:
    def story(misfortune: Misfortune) -> None:
        lives.change(RegisterCustomer, 1, first_name="Ana")
        lives.handled(misfortune)
        lives.world.drain()
        (member,) = lives.members
        assert member.fields == {"first_name": "Ana"}
        assert lives.world.loyalty_id(lives.name) == member.id

    assert lives.everywhere(story) > 10


def test_what_a_dead_process_may_have_sent_is_not_taken_for_known(lives: Lives) -> None:
    """It may have sent the second name; the third event has the first name again and must not pass as unchanged."""

    def story(misfortune: Misfortune) -> None:
        lives.change(RegisterCustomer, 1, first_name="Ana")
        lives.handled(Misfortune())
        lives.change(UpdateCustomer, 2, first_name="Eva")
        lives.handled(misfortune)
        lives.change(UpdateCustomer, 3, first_name="Ana")
        lives.handled(Misfortune())
        lives.world.drain()
        assert [m.fields for m in lives.members] == [{"first_name": "Ana"}]

    assert lives.everywhere(story) > 10


def test_an_event_is_journalled_whoever_died_over_it(lives: Lives) -> None:
    def story(misfortune: Misfortune) -> None:
        lives.change(RegisterCustomer, 1, first_name="Ana")
        lives.handled(misfortune)
        lives.world.drain()

    runs = lives.everywhere(story)
    entries = lives.world.journal().values()
    assert len(entries) == runs
    assert {e.result for e in entries} <= {"applied", "unchanged", "duplicate"}
    assert lives.world.keys_in_progress() == 0
    assert not [item for item in lives.world.state() if "lease_token" in item or "intents" in item]


@pytest.mark.parametrize("known", [False, True], ids=["a new member", "a known member"])
def test_points_are_given_once_or_parked_as_ambiguous(lives: Lives, known: bool) -> None:
    given: list[int] = []

    def story(misfortune: Misfortune) -> None:
        points = Credits(enrollments=(Enrollment(program_id=1, loyalty_points=50.0),))
        who = CustomerRef(identifiers=(Identifier("email", email(lives.name)),))
        if known:
            lives.change(RegisterCustomer, 1, first_name="Ana")
            lives.handled(Misfortune())
        kind: type[UpdateCustomer] | type[RegisterCustomer] = UpdateCustomer if known else RegisterCustomer
        lives.send(kind(customer=who, credits=points), "points")
        lives.handled(misfortune)
        lives.world.drain()
        times = sum(len(m.credits) for m in lives.members)
        parked = {m["MessageAttributes"]["reason"]["StringValue"] for m in lives.world.parked()}
        assert (times, parked) in [(1, set()), (0, {"ambiguous"}), (1, {"ambiguous"})]
        given.append(times)

    lives.everywhere(story)
    assert given.count(1) > given.count(0), "only a death right before the request can leave nothing given"


def test_tags_and_fields_of_a_patch_end_as_sent(lives: Lives) -> None:
    def story(misfortune: Misfortune) -> None:
        for value, tag in ((1, True), (3, False), (2, True)):
            at = version(value, lives.name)
            lives.send(customer(PatchCrmFields, lives.name, {"tags.VIP": tag}, at), at.event_id)
            lives.handled(misfortune if value == 3 else Misfortune())
        lives.world.drain()
        assert [m.tags for m in lives.members] == [set()]

    assert lives.everywhere(story) > 10


@pytest.mark.parametrize("reason", ["deleted", "erased"])
def test_a_deleted_customer_stays_deleted_for_late_events(lives: Lives, reason: str) -> None:
    def story(misfortune: Misfortune) -> None:
        lives.change(RegisterCustomer, 1, first_name="Ana")
        lives.handled(Misfortune())
        gone = RetireCustomer(
            customer=CustomerRef(source_id=lives.name),
            reason=reason,  # type: ignore[arg-type]
            version=version(5, lives.name),
        )
        lives.send(gone, "gone")
        lives.handled(misfortune)
        lives.world.drain()
        before = lives.writes
        lives.change(UpdateCustomer, 3, first_name="Late")
        lives.world.drain()
        assert lives.writes == before
        assert lives.world.loyalty_id(lives.name) is None

    assert lives.everywhere(story) > 6


def test_a_merged_customer_leaves_the_member_to_the_survivor(lives: Lives) -> None:
    def story(misfortune: Misfortune) -> None:
        lives.change(RegisterCustomer, 1, first_name="Ana")
        lives.handled(Misfortune())
        (member,) = lives.members
        survivor = f"{lives.name}-survivor"
        merged = RetireCustomer(
            customer=CustomerRef(source_id=lives.name),
            reason="merged",
            survivor=survivor,
            version=version(5, lives.name),
        )
        lives.send(merged, "merged")
        lives.handled(misfortune)
        lives.world.drain()
        assert lives.world.loyalty_id(survivor) == member.id
        before = lives.writes
        lives.change(UpdateCustomer, 3, first_name="Late")
        lives.world.drain()
        assert lives.writes == before

    assert lives.everywhere(story) > 6


def test_a_store_is_linked_once(lives: Lives) -> None:
    def story(misfortune: Misfortune) -> None:
        command = LinkStore(
            shop_id=lives.name, account_id="account", store_name="Acme", store_domain="https://acme.example.com"
        )
        lives.send(command, "linked")
        lives.handled(misfortune)
        lives.world.drain()
        crm = lives.world.crm
        assert [link.shop_id for link in crm.store_links].count(lives.name) == 1
        assert len(crm.integrations) == 1
        assert [link.shop_id for link in lives.world.services.links.list("shop-1", Deadline(inf, lambda: 0.0))].count(
            lives.name
        ) == 1

    assert lives.everywhere(story) > 6


def test_the_first_integration_of_a_connection_is_made_once(lives: Lives) -> None:
    """Killed right after the vendor made it, before it could be written down."""
    world = lives.world
    lives.name = "shop"
    lives.send(LinkStore(shop_id="shop", account_id="account", store_domain="https://acme.example.com"), "linked")
    lives.handled(Misfortune(dies_at=0, after=True))
    assert (world.deaths, len(world.crm.integrations)) == (1, 1)
    world.drain()
    assert (len(world.crm.integrations), len(world.crm.store_links)) == (1, 1)
