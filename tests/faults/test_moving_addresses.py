"""Points for whoever has an e-mail address, while addresses move between members, processes die, the programme fails.

Whose points they are is decided by the programme at the moment when they are sent. Whoever gets them, they come once,
or an operator is asked.
"""

from __future__ import annotations

from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loyalty_relay.model.commands import (
    Credits,
    CustomerCommand,
    CustomerRef,
    Enrollment,
    Identifier,
    RegisterCustomer,
    UpdateCustomer,
)
from tests.faults.misfortunes import misfortunes
from tests.faults.world import Misfortune, World
from tests.support.crm import Member

ADDRESSES = ("a@example.com", "b@example.com", "c@example.com")
who = st.sampled_from(ADDRESSES)


class Addresses(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.numbers = count(1)
        self.owed: dict[float, str] = {}

    def teardown(self) -> None:
        try:
            self.everything_settles()
        finally:
            self.world.close()

    @initialize()
    def two_members_sign_up(self) -> None:
        for number, address in (("1000", ADDRESSES[0]), ("1001", ADDRESSES[1])):
            self.world.crm.members[number] = Member(number, {"email": address})

    @rule(pair=st.permutations(ADDRESSES))
    def two_members_exchange_addresses(self, pair: list[str]) -> None:
        for member in self.world.crm.members.values():
            address = member.identifiers["email"]
            if address in pair[:2]:
                member.identifiers["email"] = pair[1 - pair.index(address)]

    @rule(
        address=who,
        register=st.booleans(),
        may_register=st.booleans(),
        named=st.booleans(),
        copies=st.integers(1, 2),
    )
    def points_are_owed(self, address: str, register: bool, may_register: bool, named: bool, copies: int) -> None:
        number = float(next(self.numbers))
        key = self.owed[number] = f"points-{number:.0f}"
        customer = CustomerRef(identifiers=(Identifier("email", address),))
        points = Credits(enrollments=(Enrollment(program_id=1, loyalty_points=number),))
        fields = {"first_name": key} if named else {}
        command: CustomerCommand
        if register:
            command = RegisterCustomer(
                customer=customer, fields=fields, credits=points, if_exists="update" if may_register else "error"
            )
        else:
            command = UpdateCustomer(
                customer=customer, fields=fields, credits=points, if_missing="register" if may_register else "error"
            )
        self.world.send(command, event_id=key, copies=copies, source="api")

    @rule(received=st.lists(st.tuples(st.integers(0, 7), misfortunes), min_size=1, max_size=6))
    def messages_are_received(self, received: list[tuple[int, Misfortune]]) -> None:
        for index, misfortune in received:
            if visible := self.world.visible():
                self.world.deliver(visible[index % len(visible)], misfortune)
            else:
                self.world.wait_for_the_next()

    @rule(seconds=st.sampled_from([1, 31, 46, 181]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.now += seconds

    @invariant()
    def points_are_never_given_twice(self) -> None:
        given = self._given()
        assert len(given) == len(set(given))

    def _given(self) -> list[float | None]:
        given = (owed for member in self.world.crm.members.values() for owed in member.credits)
        return [enrollment.loyalty_points for owed in given for enrollment in owed.enrollments]

    @rule()
    def everything_settles(self) -> None:
        self.world.drain()
        assert self.world.keys_in_progress() == 0
        now = self.world.clock.now
        assert [item["pk"] for item in self.world.state() if item.get("lease_until", 0) > now] == []
        given = self._given()
        ends = {entry.event_id: entry for entry in self.world.journal().values() if entry.result != "duplicate"}
        for number, key in self.owed.items():
            end = ends[key]
            # A registration of a member who is there is an update without points, which the outcome's notices say.
            known = "credits_not_sent" in end.codes or end.result in ("unchanged", "ignored")
            parked_for_it = end.result == "parked" and end.reason in (
                "ambiguous",
                "customer_not_found",
                "customer_exists",
            )
            assert number in given or known or parked_for_it, end


TestAddresses = Addresses.TestCase
TestAddresses.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
