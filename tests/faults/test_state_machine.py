"""Guard, keys and journal under everything at once: events in any order and number, deletions, merges, callers of the
API, a programme that fails, and processes that die between any two requests. Whatever happened, once the queue is
empty the programme holds the newest of everything, and the journal holds the outcome of every delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loyalty_relay.customers.tombstones import Reason
from loyalty_relay.model.commands import (
    Credits,
    CustomerRef,
    Enrollment,
    PatchCrmFields,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
    Version,
)
from loyalty_relay.model.errors import (
    CredentialsRefused,
)
from tests.faults.misfortunes import misfortunes
from tests.faults.world import Misfortune, World, customer, email, without_source_id
from tests.support.crm import Member

CUSTOMERS = ("a", "b")
FINAL = {"applied", "unchanged", "stale", "duplicate", "ignored", "parked"}
LAST = 9
"""The newest version of an ordinary event; a merge comes after all of them."""


@dataclass(frozen=True)
class Model:
    """One event of the source about the state of a customer."""

    version: Version
    fields: dict[str, Any]


versions = st.integers(1, LAST)
names = st.dictionaries(
    st.sampled_from(["first_name", "subscriptions.email.bulk"]), st.sampled_from(["x", "y"]), min_size=1
)
tags = st.dictionaries(st.just("tags.VIP"), st.booleans(), min_size=1)
who = st.sampled_from(CUSTOMERS)


class Relay(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.numbers = count(1)
        self.sent: dict[str, list[Model]] = {name: [] for name in CUSTOMERS}
        self.gone: dict[str, list[Version]] = {name: [] for name in CUSTOMERS}
        self.merged: dict[str, str] = {}
        self.written_by_api: dict[str, str] = {}
        self.points: dict[float, str] = {}

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            self.world.close()

    def _version(self, value: int) -> Version:
        return Version("source", f"{value:02d}", "", f"event-{next(self.numbers):04d}")

    # -- what happens ---------------------------------------------------------------------------------------------

    @initialize(name=who, fields=names)
    def a_customer_signs_up(self, name: str, fields: dict[str, Any]) -> None:
        self._tell(RegisterCustomer, name, fields, 1, copies=1)

    @rule(name=who, fields=names, value=versions, copies=st.integers(1, 3), new=st.booleans())
    def a_customer_changes(self, name: str, fields: dict[str, Any], value: int, copies: int, new: bool) -> None:
        self._tell(RegisterCustomer if new else UpdateCustomer, name, fields, value, copies)

    @rule(name=who, fields=tags, value=versions, copies=st.integers(1, 2))
    def a_customer_is_tagged(self, name: str, fields: dict[str, Any], value: int, copies: int) -> None:
        self._tell(PatchCrmFields, name, fields, value, copies)

    def _tell(self, kind: Any, name: str, fields: dict[str, Any], value: int, copies: int) -> None:
        version = self._version(value)
        self.sent[name].append(Model(version, fields))
        self.world.send(customer(kind, name, fields, version), event_id=version.event_id, copies=copies)

    @rule(name=who, value=versions, reason=st.sampled_from(["deleted", "erased"]), copies=st.integers(1, 2))
    def a_customer_is_gone(self, name: str, value: int, reason: Reason, copies: int) -> None:
        version = self._version(value)
        self.gone[name].append(version)
        command = RetireCustomer(customer=CustomerRef(source_id=name), reason=reason, version=version)
        self.world.send(command, event_id=version.event_id, copies=copies)

    @rule(pair=st.permutations(CUSTOMERS))
    def two_customers_are_merged(self, pair: list[str]) -> None:
        name, survivor = pair[:2]
        if name in self.merged or survivor in self.merged or name in self.merged.values():
            return
        version = self._version(LAST + 1)
        self.merged[name] = survivor
        command = RetireCustomer(
            customer=CustomerRef(source_id=name), reason="merged", survivor=survivor, version=version
        )
        self.world.send(command, event_id=version.event_id)

    @rule(name=who)
    def points_are_owed(self, name: str) -> None:
        member = self._by_email(name)
        if member is None:
            return
        number = next(self.numbers)
        owed = Credits(enrollments=(Enrollment(program_id=1, loyalty_points=float(number)),))
        key = f"points-{number}"
        self.points[float(number)] = key
        command = without_source_id(customer(UpdateCustomer, name, {}, None), member.id, owed)
        self.world.send(command, event_id=key, copies=2, source="api")

    @rule(name=who, misfortune=misfortunes)
    def a_till_writes_a_postal_code(self, name: str, misfortune: Misfortune) -> None:
        member = self._by_email(name)
        if member is None or isinstance(misfortune.error, CredentialsRefused):
            return
        number = next(self.numbers)
        command = without_source_id(customer(UpdateCustomer, name, {"postal_code": str(number)}, None), member.id)
        self.world.call(command, key=f"till-{number}", misfortune=misfortune)
        self.written_by_api[member.id] = str(number)

    # -- what the relay does --------------------------------------------------------------------------------------

    @rule(
        received=st.lists(
            st.tuples(st.integers(0, 7), misfortunes, st.none() | st.integers(0, 7)), min_size=1, max_size=6
        )
    )
    def messages_are_received(self, received: list[tuple[int, Misfortune, int | None]]) -> None:
        for index, misfortune, beside in received:
            visible = self.world.visible()
            if not visible:
                self.world.wait_for_the_next()
                continue
            other = visible[beside % len(visible)] if beside is not None else None
            self.world.deliver(visible[index % len(visible)], misfortune, meanwhile=other)

    @rule(seconds=st.sampled_from([1, 5, 31, 46, 181, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.now += seconds

    # -- what must be true ----------------------------------------------------------------------------------------

    @invariant()
    def points_are_never_given_twice(self) -> None:
        given = self._points_given()
        assert len(given) == len(set(given))

    def _points_given(self) -> list[float | None]:
        given = (owed for member in self.world.crm.members.values() for owed in member.credits)
        return [enrollment.loyalty_points for owed in given for enrollment in owed.enrollments]

    @rule()
    def everything_settles(self) -> None:
        self._settle()

    def _settle(self) -> None:
        world = self.world
        sent = {message.envelope.delivery_id for message in world.queue}
        world.drain()
        journal = world.journal()
        assert sent <= journal.keys()
        assert {entry.result.value for entry in journal.values()} <= FINAL
        self._nothing_is_held()
        for name in CUSTOMERS:
            if name not in self.merged:
                self._newest_of_everything(name)
        for member, value in self.written_by_api.items():
            assert world.crm.members[member].fields["postal_code"] == value
        self._points_are_given_or_parked()

    def _nothing_is_held(self) -> None:
        assert self.world.keys_in_progress() == 0
        leased = [item["pk"] for item in self.world.state() if "lease_token" in item]
        assert leased == []

    def _points_are_given_or_parked(self) -> None:
        parked = [entry for entry in self.world.journal().values() if entry.result == "parked"]
        assert {entry.reason for entry in parked} <= {"ambiguous"}
        ambiguous = {entry.event_id for entry in parked}
        assert ambiguous <= set(self.points.values()), "nothing is parked that credits nothing"
        given = self._points_given()
        for number, key in self.points.items():
            assert number in given or key in ambiguous

    def _newest_of_everything(self, name: str) -> None:
        floor = max(self.gone[name], key=Version.key, default=None)
        sent = self.sent[name]
        live = [t for t in sent if floor is None or floor.older_than(t.version)]
        member = self._member(name)
        if live:
            assert member is not None
        if member is None:
            return
        newest: dict[str, Any] = {}
        for event in sorted(live, key=lambda t: t.version.key()):
            newest |= event.fields
        seen = {k: v for k, v in member.fields.items() if k != "postal_code"}
        seen |= {f"tags.{tag}": tag in member.tags for tag in ("VIP",) if f"tags.{tag}" in newest}
        assert {k: seen.get(k) for k in newest} == newest
        absorbed = [n for n, survivor in self.merged.items() if survivor == name]
        possible = [*sent, *(t for n in absorbed for t in self.sent[n])]
        for field, value in seen.items():
            assert any(t.fields.get(field) == value for t in possible if field in t.fields)

    def _member(self, name: str) -> Member | None:
        known = self.world.loyalty_id(name)
        return self.world.crm.members[known] if known is not None else self._by_email(name)

    def _by_email(self, name: str) -> Member | None:
        members = self.world.crm.members.values()
        return next((m for m in members if m.identifiers.get("email") == email(name)), None)


TestRelay = Relay.TestCase
TestRelay.settings = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class RelayForLong(Relay):
    """The same with more of everything."""


TestRelayForLong = pytest.mark.soak(RelayForLong.TestCase)
TestRelayForLong.settings = settings(TestRelay.settings, max_examples=200, stateful_step_count=30)
