"""An import sends what differs, survives a death at any point, and proves that no customer is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from loyalty_relay.connections.model import Connection
from loyalty_relay.customers.comparison import Compared, Standing
from loyalty_relay.model.commands import (
    CustomerCommand,
    CustomerRef,
    Envelope,
    Event,
    Version,
    instant_at,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import InvalidCommand, RunContinues, UpstreamTimeout
from loyalty_relay.pipeline.customers import sendable
from loyalty_relay.runs import engine
from loyalty_relay.runs.engine import Engine
from loyalty_relay.runs.run import Run
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.sources.base import Change, CustomerChanged, Page, PageRequest
from loyalty_relay.sources.listing import after, changes_of, number_of
from tests.support.crm import FakeCrm
from tests.support.runs import in_all
from tests.support.stack import Stack

CONNECTION = {
    "source": {
        "platform": "shopify",
        "stores": ["acme.myshopify.com"],
        "secrets": [{"value": "fake-secret"}],
        "verified_identifiers": ["email"],
    },
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
}
SLOW = cast("dict[str, Any]", CONNECTION["destination"]) | {"requests_per_minute": {"v2-create": 1}}
SIZE = 3


class Death(BaseException):
    """The process ends here."""


@dataclass
class Shop:
    """Customers by id: e-mail and the second of their last change. Pages by number, as most platforms have them."""

    customers: dict[int, tuple[str | None, float]] = field(default_factory=dict)
    hidden: dict[int, None] = field(default_factory=dict)
    """Customers who are there, and whom a fault of the listing leaves out."""
    reads: int = 0
    while_reading: Callable[[int], None] = lambda number: None

    def page(self, asked: PageRequest) -> Page:
        self.reads += 1
        self.while_reading(self.reads)
        place = number_of(asked.cursor)
        rows = [
            {"id": number, "email": email, "at": at}
            for number, (email, at) in sorted(self.customers.items())
            if not asked.since or instant_at(at) >= asked.since
        ]
        shown = rows[(place - 1) * SIZE : place * SIZE]
        return Page(
            changes=changes_of(shown, _change, "shopify"),
            cursor=after(asked.cursor, rows=len(shown), size=SIZE, total=len(rows)),
            total=len(rows),
        )


def _change(row: dict[str, Any]) -> Change:
    event = Event(source="shopify", topic="customers/update", id="", entity_id=str(row["id"]))
    return CustomerChanged(
        event=event,
        source_id=str(row["id"]),
        fields={"email": row["email"], "first_name": f"Ana {row['id']}"},
        version=Version("shopify", instant_at(row["at"])),
    )


@dataclass
class World:
    """A shop, the relay's own tables, a CRM, and the run's queue."""

    stack: Stack
    crm: FakeCrm
    shop: Shop
    services: Services
    queue: list[Envelope] = field(default_factory=list)
    lists: bool = False
    """Whether the vendor lists its members."""
    dies: Iterator[bool] = field(default_factory=lambda: iter(()))

    @property
    def connection(self) -> Connection:
        return self.services.connections.get("shop-1")

    def engine(self) -> Engine:
        services = self.services

        def send(envelopes: Sequence[Envelope]) -> None:
            for envelope in envelopes:
                self.queue.append(envelope)
                self.death()

        def ready(command: Any, connection: Connection, deadline: Deadline) -> Any:
            return sendable(command, connection, services.crm(connection), from_api=False)[0]

        return Engine(
            runs=services.runs,
            customers=services.customers,
            journal=services.journal,
            clock=self.stack.clock,
            stores=lambda connection: connection.source.stores,
            read=lambda page, connection, deadline: self.shop.page(page),
            sendable=ready,
            enqueue=send,
            member=lambda member, profile, connection, deadline: self.shown(member),
            members=lambda page, connection, deadline: self.list_of_members(page),
            mark=services.digests.field,
            shows=lambda store, number, connection, deadline: int(number) in self.shop.customers | self.shop.hidden,
        )

    def shown(self, loyalty_id: str) -> dict[str, Any] | None:
        found = self.crm.members.get(loyalty_id)
        return None if found is None else {**found.fields, "email": str(found.identifiers["email"]).upper()}

    def list_of_members(self, page: int) -> list[tuple[str, Any]] | None:
        if not self.lists:
            return None
        ids = sorted(self.crm.members)[(page - 1) * SIZE : page * SIZE]
        return [(loyalty_id, self.shown(loyalty_id)) for loyalty_id in ids]

    def death(self) -> None:
        if next(self.dies, False):
            raise Death

    def begin(self, **more: Any) -> Run:
        run = Run(id=f"run-{more}", connection="shop-1", kind="import", started_at=self.stack.clock.now)
        run = replace(run, **more)
        assert self.services.runs.begin(run)
        return run

    def work(self) -> None:
        """Carry out what is queued, as the function would."""
        while self.queue:
            envelope = self.queue.pop(0)
            self.services.pipeline.execute(envelope, self.deadline)

    @property
    def deadline(self) -> Deadline:
        return Deadline(self.stack.clock.now + 28, self.stack.clock)

    def finish(self, run: Run, *, steps: int = 200) -> Run:
        """Go on, as the message's receives would, until the run ends."""
        for _ in range(steps):
            try:
                return self.engine().advance(run.id, self.connection, self.deadline)
            except RunContinues as waits:
                self.stack.clock.now += waits.retry_after or 1.0
                self.work()
            except Death:
                self.stack.clock.now += 50.0
        raise AssertionError("the run does not end")


@pytest.fixture
def world(stack: Stack) -> World:
    crm = FakeCrm()
    stack.put_connection("shop-1", CONNECTION)
    shop = Shop({n: (f"c{n}@example.com", stack.clock.now - 3600) for n in range(1, 11)})
    services = Services(
        Settings.from_env(stack.environment),
        clock=stack.clock,
        monotonic=stack.clock,
        sleep=stack.clock.sleep,
        client=stack.client,
        crm=lambda connection: crm,
    )
    return World(stack, crm, shop, services)


def members(world: World) -> set[str]:
    return {member.identifiers["email"] for member in world.crm.members.values()}


def emails(world: World) -> set[str]:
    return {email for email, _ in world.shop.customers.values() if email}


def test_every_customer_is_registered_once_and_the_proof_counts_them(world: World) -> None:
    run = world.finish(world.begin())
    assert members(world) == emails(world)
    assert [call[0] for call in world.crm.calls].count("register") == 10
    assert (run.first.missing, run.sent, run.proof.equal, run.proof.missing) == (10, 10, 10, 0)
    assert run.proven
    assert in_all(run.first) == run.first.read
    assert in_all(run.proof) == run.proof.read
    assert world.services.runs.reports("shop-1") == [run]


def test_a_second_import_sends_nothing(world: World) -> None:
    world.finish(world.begin())
    world.crm.calls.clear()
    run = world.finish(world.begin(id="second"))
    assert world.crm.calls == []
    assert (run.first.equal, run.sent) == (10, 0)


def test_a_dry_run_counts_and_sends_nothing(world: World) -> None:
    run = world.finish(world.begin(dry=True))
    assert (run.first.missing, run.sent, run.status) == (10, 0, "done")
    assert world.crm.calls == []
    assert not run.proven


def test_a_limit_ends_the_reading(world: World) -> None:
    run = world.finish(world.begin(limit=4))
    assert run.first.read == 4
    assert len(members(world)) == 4


def test_only_what_changed_since_is_read(world: World) -> None:
    world.shop.customers[3] = ("c3@example.com", world.stack.clock.now - 60)
    run = world.finish(world.begin(since=instant_at(world.stack.clock.now - 120)))
    assert members(world) == {"c3@example.com"}
    assert run.proof.read == 1


@pytest.mark.parametrize("moment", range(24))
def test_a_death_at_any_point_repeats_a_page_and_neither_loses_nor_doubles_a_customer(
    world: World, moment: int
) -> None:
    world.dies = iter([number == moment for number in range(moment + 1)])
    run = world.finish(world.begin())
    assert members(world) == emails(world)
    assert [call[0] for call in world.crm.calls].count("register") == 10
    assert run.proven


def test_a_customer_deleted_while_the_shop_is_read_hides_no_other(world: World) -> None:
    def delete(number: int) -> None:
        if number == 2:
            del world.shop.customers[1]

    world.shop.while_reading = delete
    run = world.finish(world.begin())
    assert members(world) >= emails(world)
    assert run.proven


def test_a_row_that_changes_in_the_second_it_is_read_is_read_again(world: World) -> None:
    world.shop.customers[2] = ("c2@example.com", world.stack.clock.now - 1)

    def change(number: int) -> None:
        if number == 2:
            world.shop.customers[2] = ("late@example.com", world.stack.clock.now - 11)

    world.shop.while_reading = change
    world.finish(world.begin())
    assert "late@example.com" in members(world)
    assert "c2@example.com" not in members(world)


def test_what_cannot_be_a_member_is_counted_by_its_reason(world: World) -> None:
    world.shop.customers[4] = (None, world.stack.clock.now - 3600)
    run = world.finish(world.begin())
    assert run.proof.skipped == {"no_identifier": 1}
    assert run.proven


def test_a_command_that_is_lost_keeps_the_proof_waiting_and_the_run_unproven(world: World) -> None:
    run = world.begin()

    def lose(number: int) -> None:
        if number == 4:
            world.queue = [envelope for envelope in world.queue if envelope.event.entity_id != "9"]

    world.shop.while_reading = lose
    ended = world.finish(run)
    assert ended.proof.pending == 1
    assert ended.queued > 0
    assert not ended.proven


def test_a_customer_whom_the_ledger_lost_after_the_command_was_carried_out_is_missing(world: World) -> None:
    real = world.services.customers
    ledger = _Forgetful(real, "9", world)
    run = world.begin()
    engine = world.engine
    world.engine = lambda: replace(engine(), customers=cast("Any", ledger))  # type: ignore[method-assign]
    ended = world.finish(run)
    assert ended.proof.missing == 1
    assert not ended.proven


class _Forgetful:
    """A ledger that does not have one customer."""

    def __init__(self, real: Any, without: str, world: World) -> None:
        self.real, self.without, self.world = real, without, world

    def compare(self, connection: str, commands: Sequence[CustomerCommand]) -> list[Compared]:
        found = self.real.compare(connection, commands)
        return [
            replace(result, standing=Standing.MISSING) if command.customer.source_id == self.without else result
            for command, result in zip(commands, found, strict=True)
        ]


def test_the_shop_is_read_again_only_when_the_runs_own_commands_have_been_carried_out(world: World) -> None:
    run = world.begin()
    for _ in range(3):
        with pytest.raises(RunContinues):
            world.engine().advance(run.id, world.connection, world.deadline)
    assert world.shop.reads == 4
    assert world.finish(run).proven


def test_what_another_run_has_queued_delays_no_proof(world: World) -> None:
    run = world.begin()
    with pytest.raises(RunContinues):
        world.engine().advance(run.id, world.connection, world.deadline)
    others = [replace(envelope, connection="shop-2") for envelope in world.queue]
    world.work()
    world.queue = others
    ended = world.engine().advance(run.id, world.connection, world.deadline)
    assert ended.proven
    assert ended.rounds == 1


def test_a_customer_who_is_new_at_the_second_reading_is_sent_then(world: World) -> None:
    def add(number: int) -> None:
        if number == 5:
            world.shop.customers[11] = ("late@example.com", world.stack.clock.now - 60)

    world.shop.while_reading = add
    run = world.finish(world.begin())
    assert "late@example.com" in members(world)
    assert run.proven
    assert (run.sent, run.proof.equal) == (11, 11)


def test_the_queue_is_never_given_more_than_ten_minutes_of_the_vendors_capacity(world: World) -> None:
    world.stack.put_connection("shop-1", CONNECTION | {"destination": SLOW})
    world.services.connections.refetch("shop-1")
    world.shop.customers |= {n: (f"c{n}@example.com", world.stack.clock.now - 3600) for n in range(11, 15)}
    run = world.begin()
    with pytest.raises(RunContinues):
        world.engine().advance(run.id, world.connection, world.deadline)
    assert 10 <= len(world.queue) < 10 + SIZE
    assert world.finish(run).proven


def test_a_cancelled_run_ends_with_a_report_and_another_one_may_begin(world: World) -> None:
    run = world.begin()
    world.services.runs.change("shop-1", status="cancelled")
    ended = world.finish(run)
    assert ended.status == "cancelled"
    assert world.shop.reads == 0
    assert not ended.proven
    assert world.begin(id="next").id == "next"


def test_two_runs_of_a_connection_do_not_run_side_by_side(world: World) -> None:
    run = world.begin()
    assert not world.services.runs.begin(replace(run, id="other"))
    with pytest.raises(InvalidCommand):
        world.engine().advance("other", world.connection, world.deadline)


def test_a_live_event_in_between_wins_by_its_version(world: World) -> None:
    run = world.begin()
    with pytest.raises(RunContinues):
        world.engine().advance(run.id, world.connection, world.deadline)
    live = next(envelope for envelope in world.queue if envelope.event.entity_id == "2")
    newer = replace(
        live,
        event=replace(live.event, id="live", topic="customers/update"),
        command=replace(
            cast("CustomerCommand", live.command),
            fields={"email": "c2@example.com", "first_name": "Newer"},
            version=Version("shopify", instant_at(world.stack.clock.now - 5)),
        ),
    )
    world.services.pipeline.execute(newer, world.deadline)
    world.finish(run)
    names = {m.fields["first_name"] for m in world.crm.members.values() if m.identifiers["email"] == "c2@example.com"}
    assert names == {"Newer"}


def test_a_vendor_that_does_not_answer_delays_and_loses_nothing(world: World) -> None:
    run = world.begin()
    world.crm.before = [UpstreamTimeout("no answer")]
    with pytest.raises(UpstreamTimeout):
        world.finish(run)


def deleted(world: World, number: int) -> bool:
    record = world.services.customers.lookup("shop-1", CustomerRef(source_id=str(number)))
    return record is not None and record.tombstone is not None


def test_a_customer_who_is_listed_no_more_is_deleted_only_if_the_platform_does_not_have_them(world: World) -> None:
    world.finish(world.begin())
    del world.shop.customers[3], world.shop.customers[4]
    world.shop.hidden[4] = None
    run = world.finish(world.begin(id="second", kind="reconciliation", allow_absent=True))
    world.work()
    assert (run.known, run.unlisted, run.deleted, run.status) == (10, 2, 1, "done")
    assert (deleted(world, 3), deleted(world, 4), deleted(world, 5)) == (True, False, False)
    assert world.services.runs.reports("shop-1")[0].absent == ()
    again = world.finish(world.begin(id="third", kind="reconciliation"))
    assert (again.known, again.unlisted, again.status) == (8, 0, "done")


def test_more_than_one_percent_who_are_listed_no_more_stop_the_run_for_a_person(world: World) -> None:
    world.finish(world.begin())
    for number in (3, 4, 5, 6):
        del world.shop.customers[number]
    for name in ("second", "third"):
        run = world.finish(world.begin(id=name, kind="reconciliation"))
        world.work()
        assert (run.status, run.unlisted, run.proven) == ("stopped", 4, False)
        assert "4 of 10" in run.note
        assert not deleted(world, 3)
    assert world.finish(world.begin(id="accepted", kind="reconciliation", allow_absent=True)).deleted == 4


def test_a_few_who_are_listed_no_more_stop_no_run_of_a_small_shop(world: World) -> None:
    world.finish(world.begin())
    for number in (3, 4, 5):
        del world.shop.customers[number]
    run = world.finish(world.begin(id="second", kind="reconciliation"))
    assert (run.status, run.unlisted, run.deleted) == ("done", 3, 3)


def test_who_is_not_looked_up_in_one_run_is_looked_up_in_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_ASKED", 2)
    world.finish(world.begin())
    for number in (3, 4, 5, 6, 7):
        del world.shop.customers[number]
    found = []
    for name in ("second", "third", "fourth", "fifth"):
        run = world.finish(world.begin(id=name, kind="reconciliation", allow_absent=True))
        found.append((run.unlisted, run.deleted))
    assert found == [(5, 2), (3, 2), (1, 1), (0, 0)]
    world.work()
    assert [n for n in range(1, 11) if deleted(world, n)] == [3, 4, 5, 6, 7]


def test_a_run_that_does_not_read_everyone_compares_no_list(world: World) -> None:
    world.finish(world.begin())
    del world.shop.customers[3]
    for more in ({"limit": 5}, {"since": instant_at(world.stack.clock.now - 9999)}, {"dry": True}):
        run = world.finish(world.begin(kind="reconciliation", **more))
        assert (run.status, run.known) == ("done", 0)


@pytest.mark.parametrize("moment", range(3))
def test_a_death_among_the_look_ups_deletes_the_same_customers(world: World, moment: int) -> None:
    world.finish(world.begin())
    del world.shop.customers[3], world.shop.customers[4], world.shop.customers[5]
    world.dies = iter([number == moment for number in range(moment + 1)])
    world.finish(world.begin(id="second", kind="reconciliation", allow_absent=True))
    world.work()
    assert [n for n in range(1, 11) if deleted(world, n)] == [3, 4, 5]


@pytest.mark.parametrize("lists", [False, True])
def test_a_member_whom_the_vendor_lost_is_found_by_reading_back_and_sent_again(world: World, lists: bool) -> None:
    world.lists = lists
    world.finish(world.begin())
    world.stack.clock.now += 3600
    lost = next(loyalty_id for loyalty_id, m in world.crm.members.items() if m.identifiers["email"] == "c4@example.com")
    del world.crm.members[lost]
    run = world.finish(world.begin(id="second", kind="reconciliation"))
    assert (run.read_back, run.missed, run.sent, run.proven) == (10, 1, 1, True)
    assert "c4@example.com" in members(world)
    assert run.members_read is True
    assert run.members == (3 if lists else 0)


@pytest.mark.parametrize("lists", [False, True])
def test_a_field_that_the_vendor_shows_otherwise_is_sent_again(world: World, lists: bool) -> None:
    world.lists = lists
    world.finish(world.begin())
    world.stack.clock.now += 3600
    member = next(iter(world.crm.members.values()))
    right, member.fields["first_name"] = member.fields["first_name"], "Somebody"
    world.crm.calls.clear()
    run = world.finish(world.begin(id="second", kind="reconciliation"))
    assert (run.missed, run.proven) == (1, True)
    assert member.fields["first_name"] == right
    assert [call[0] for call in world.crm.calls if call[0] in ("register", "update")] == ["update"]


def test_what_the_vendor_shows_in_other_letters_is_not_sent_again(world: World) -> None:
    world.finish(world.begin())
    world.stack.clock.now += 3600
    run = world.finish(world.begin(id="second", kind="reconciliation"))
    assert (run.read_back, run.missed, run.sent) == (10, 0, 0)


def test_an_import_reads_nothing_back(world: World) -> None:
    world.finish(world.begin())
    run = world.finish(world.begin(id="second"))
    assert (run.read_back, run.first.equal) == (0, 10)


@pytest.mark.parametrize("moment", range(2))
def test_a_death_after_a_miss_was_recorded_sends_it_all_the_same(world: World, moment: int) -> None:
    world.finish(world.begin())
    world.stack.clock.now += 3600
    for member in list(world.crm.members.values())[:2]:
        member.fields["first_name"] = "Somebody"
    world.dies = iter([number == moment for number in range(moment + 1)])
    assert world.finish(world.begin(id="second", kind="reconciliation")).proven
    assert "Somebody" not in {member.fields["first_name"] for member in world.crm.members.values()}
