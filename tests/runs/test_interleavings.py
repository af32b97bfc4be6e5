"""Any interleaving of an import, live events, deletions and deaths ends in the shop's final state (G12)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_relay.customers.comparison import Standing
from loyalty_relay.model.commands import (
    CustomerCommand,
    CustomerRef,
    Envelope,
    Event,
    RetireCustomer,
    Version,
    instant_at,
)
from loyalty_relay.model.errors import TransientError
from loyalty_relay.pipeline.customers import sendable
from loyalty_relay.runs.run import Run
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.sources.base import Change, CustomerChanged, Page, PageRequest
from loyalty_relay.sources.listing import after, changes_of, number_of
from loyalty_relay.translation.translate import Skip, translate
from tests.faults.dying import Death, Fate, Mortal
from tests.faults.time_of_keys import keys_age_by
from tests.runs.test_engine import CONNECTION, SIZE, Shop, World
from tests.support.crm import FakeCrm
from tests.support.stack import stack_in_process

PEOPLE = 7
LEASE = 50.0


def changed(row: dict[str, Any]) -> Change:
    event = Event(
        source="shopify", topic="customers/update", id=f"live-{row['id']}-{row['at']}", entity_id=str(row["id"])
    )
    return CustomerChanged(
        event=event,
        source_id=str(row["id"]),
        fields={"email": row["email"], "first_name": name(row)},
        version=Version("shopify", instant_at(row["at"]), instant_at(row["at"]), event.id),
    )


def name(row: dict[str, Any]) -> str:
    return f"Ana {row['at']:.0f}"


class MovingShop(Shop):
    """Customers whose names follow their changes; whoever is deleted moves everybody after them one place forward."""

    def row(self, number: int) -> dict[str, Any]:
        email, at = self.customers[number]
        return {"id": number, "email": email, "at": at}

    def page(self, asked: PageRequest) -> Page:
        place, rows = number_of(asked.cursor), [self.row(number) for number in sorted(self.customers)]
        shown = rows[(place - 1) * SIZE : place * SIZE]
        cursor = after(asked.cursor, rows=len(shown), size=SIZE, total=len(rows))
        return Page(changes=changes_of(shown, changed, "shopify"), cursor=cursor, total=len(rows))


class Story:
    """A run and live events over tables that outlive every process."""

    def __init__(self, world: World, fate: Fate) -> None:
        self.world, self.fate = world, fate
        self.clock = world.stack.clock
        self.live: list[Envelope] = []
        self.ended: Run | None = None
        self.waits = ""
        self.process()
        self.run = world.begin()

    def process(self) -> None:
        """A new process: nothing of the one before is left."""
        world = self.world
        world.services = Services(
            Settings.from_env(world.stack.environment),
            clock=self.clock,
            monotonic=self.clock,
            sleep=self.clock.sleep,
            client=lambda service: Mortal(world.stack.client(service), self.fate),
            crm=lambda connection: world.crm,
        )

    @contextmanager
    def perhaps_dying(self, dies_at: int | None) -> Iterator[None]:
        self.fate.decide(dies_at, after=bool(dies_at and dies_at % 2))
        try:
            yield
        except Death:
            self.process()
            self.clock.now += LEASE
        except TransientError as waits:
            self.waits = repr(waits)
            self.clock.now += getattr(waits, "retry_after", None) or 1.0
        finally:
            self.fate.decide(None)

    def reads(self, dies_at: int | None) -> None:
        if self.ended is None:
            with self.perhaps_dying(dies_at):
                world = self.world
                self.ended = world.engine().advance(self.run.id, world.connection, world.deadline)

    def executes(self, queue: list[Envelope], place: int, dies_at: int | None) -> None:
        if queue:
            envelope = queue.pop(place % len(queue))
            queue.append(envelope)
            with self.perhaps_dying(dies_at):
                self.world.services.pipeline.execute(envelope, self.world.deadline)
                queue.remove(envelope)

    def changes(self, number: int) -> None:
        """A customer is created or changed; the webhook is on its way."""
        self.clock.now += 1.0
        self.world.shop.customers[number] = (f"c{number}@example.com", self.clock.now)
        shop = self.world.shop
        assert isinstance(shop, MovingShop)
        change = changed(shop.row(number))
        commands = translate(change, self.world.connection)
        assert not isinstance(commands, Skip)
        self.live += [self.envelope(change.event, command) for command in commands]

    def deletes(self, number: int) -> None:
        if self.world.shop.customers.pop(number, None) is None:
            return
        self.clock.now += 1.0
        at = instant_at(self.clock.now)
        event = Event(source="shopify", topic="customers/delete", id=f"delete-{number}-{at}", entity_id=str(number))
        version = Version("shopify", at, at, event.id)
        who = CustomerRef(source_id=str(number))
        self.live.append(self.envelope(event, RetireCustomer(customer=who, reason="deleted", version=version)))

    def envelope(self, event: Event, command: Any) -> Envelope:
        delivery = f"live-{len(self.live)}-{self.clock.now}"
        return Envelope(
            delivery_id=delivery, connection="shop-1", event=event, command=command, received_at=self.clock.now
        )

    def ends(self) -> None:
        """Everything that was begun is carried out, and the run ends."""
        for _ in range(400):
            for queue in (self.live, self.world.queue):
                for _ in range(len(queue)):
                    self.executes(queue, 0, None)
            self.reads(None)
            if self.ended is not None and not self.live and not self.world.queue:
                return
        raise AssertionError(f"never ends: {self.waits}, {len(self.live)}, {len(self.world.queue)}, {self.ended}")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reads"), st.none() | st.integers(0, 12)),
        st.tuples(st.just("queue"), st.integers(0, 20), st.none() | st.integers(0, 12)),
        st.tuples(st.just("live"), st.integers(0, 20), st.none() | st.integers(0, 12)),
        st.tuples(st.just("changes"), st.integers(1, PEOPLE + 2)),
        st.tuples(st.just("deletes"), st.integers(1, PEOPLE)),
        st.tuples(st.just("passes"), st.sampled_from([1, 60, 400])),
    ),
    min_size=10,
    max_size=40,
)


@given(steps=steps)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_interleaving_ends_in_the_shops_final_state(steps: list[tuple[Any, ...]]) -> None:
    with stack_in_process() as stack, keys_age_by(stack.clock):
        stack.put_connection("shop-1", CONNECTION)
        begun = stack.clock.now
        shop = MovingShop({n: (f"c{n}@example.com", begun - 3600 - n) for n in range(1, PEOPLE + 1)})
        services: Any = None
        world, fate = World(stack, FakeCrm(), shop, services), Fate()
        story = Story(world, fate)
        deleted: set[int] = set()
        for kind, *more in steps:
            if kind == "reads":
                story.reads(*more)
            elif kind == "queue":
                story.executes(world.queue, *more)
            elif kind == "live":
                story.executes(story.live, *more)
            elif kind == "changes" and more[0] not in deleted:
                story.changes(*more)
            elif kind == "deletes":
                deleted |= {more[0]} & shop.customers.keys()
                story.deletes(*more)
            elif kind == "passes":
                stack.clock.now += more[0]
        story.ends()
        _judge(story)


def _judge(story: Story) -> None:
    """Each customer of the shop is one member with the newest name; whoever was deleted is nobody's."""
    world, shop = story.world, story.world.shop
    assert isinstance(shop, MovingShop)
    by_email: dict[str, list[Any]] = {}
    for member in world.crm.members.values():
        by_email.setdefault(str(member.identifiers["email"]), []).append(member)
    for number in shop.customers:
        row = shop.row(number)
        (member,) = by_email[row["email"]]
        assert member.fields["first_name"] == name(row)
        known = world.services.customers.lookup("shop-1", CustomerRef(source_id=str(number)))
        assert known is not None
        assert known.loyalty_id == member.id
    assert story.ended is not None
    assert story.ended.proof.missing == 0
    # A reconciliation finds nothing to do.
    commands: list[CustomerCommand] = []
    for number in sorted(shop.customers):
        translated = translate(changed(shop.row(number)), world.connection)
        assert not isinstance(translated, Skip)
        for command in translated:
            assert isinstance(command, CustomerCommand)
            commands.append(
                sendable(command, world.connection, world.services.crm(world.connection), from_api=False)[0]
            )
    assert {c.standing for c in world.services.customers.compare("shop-1", commands)} <= {Standing.EQUAL}
