"""The operation ``transaction`` over real tables (in process) and a programme's books in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from loyalty_relay.connections.model import Connection, Destination, Sales, Source
from loyalty_relay.destinations.base import Booking, BookingReceipt, SalesSupport
from loyalty_relay.model import effects
from loyalty_relay.model.commands import Command, CustomerCommand, Envelope, Event, Hydrate, OrderCommand
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import AmbiguousOutcome, CustomerNotFound, FieldProblem, VendorRejected
from loyalty_relay.model.money import ZERO
from loyalty_relay.model.outcomes import Notice, Outcome
from loyalty_relay.orders.ledger import OrderLedger
from loyalty_relay.orders.records import OrderRecords
from loyalty_relay.pipeline.context import Recorder
from loyalty_relay.pipeline.execute import Pipeline
from loyalty_relay.pipeline.transaction import SalesParts
from loyalty_relay.reliability.circuit_breaker import Circuit
from loyalty_relay.reliability.idempotency import Idempotency
from loyalty_relay.reliability.journal import Journal
from loyalty_relay.storage.digests import Digests
from loyalty_relay.stores.links import Links
from tests.orders.makers import SOLD_AT
from tests.support.crm import FakeCrm, Member
from tests.support.tables import IDEMPOTENCY, JOURNAL, LEASE, STATE, Clock, make_customers

SUPPORT = SalesSupport(
    bill_number_length=50,
    attributions=frozenset({"branch"}),
    returns=frozenset({"amount", "line"}),
    unlinked_returns=frozenset({"skip", "park", "return"}),
    guests=frozenset({"skip", "hold", "not_interested"}),
)


@dataclass
class FakeBooks(FakeCrm):
    """A programme that records sales: bill numbers are unique, and no more comes back than was sold."""

    operations: frozenset[str] = frozenset({"register", "update", "transaction"})
    entries: list[Booking] = field(default_factory=list)
    """The books; the n-th entry has the id ``t-n``."""
    shows_bookings: bool = True
    """Whether a look-up can decide."""
    notices: tuple[Notice, ...] = ()
    sent: list[OrderCommand] = field(default_factory=list)
    sale_problems: list[FieldProblem] = field(default_factory=list)

    def check_sale(self, command: OrderCommand) -> list[FieldProblem]:
        return self.sale_problems

    def book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        self.calls.append(("book", booking.kind, booking.amount))
        self._fault(self.before)
        effects.begin()
        if booking.loyalty_id is not None and booking.loyalty_id not in self.members:
            raise CustomerNotFound("no such member", code="8015")
        if booking.kind == "sale" and self.of(booking.bill, "sale"):
            raise AmbiguousOutcome("the bill number exists", code="604")
        if booking.kind == "return" and booking.of and booking.amount > self.left(booking.bill):
            raise VendorRejected("more than is left", code="630")
        self.entries.append(booking)
        self.sent.append(command)
        if self.during is not None:
            self.during()
        self._fault(self.after)
        return self._receipt(len(self.entries))

    def find_booking(self, booking: Booking, deadline: Deadline) -> BookingReceipt | None:
        self.calls.append(("find_booking", booking.marker))
        if not self.shows_bookings:
            raise AmbiguousOutcome("the vendor does not show its bookings")
        for number, entry in enumerate(self.entries, 1):
            if entry.marker == booking.marker:
                if replace(entry, at="", refund_id="", whole=False) != replace(
                    booking, at="", refund_id="", whole=False
                ):
                    raise AmbiguousOutcome("another booking has this marker")
                return self._receipt(number)
        return None

    def _receipt(self, number: int) -> BookingReceipt:
        return BookingReceipt(transaction_id=f"t-{number}", points=Decimal(1), notices=self.notices, request_id="r-1")

    def of(self, bill: str, kind: str) -> list[Booking]:
        return [entry for entry in self.entries if entry.bill == bill and entry.kind == kind]

    def left(self, bill: str) -> Decimal:
        return total(self.of(bill, "sale")) + total(self.of(bill, "return"))

    def balance(self, loyalty_id: str | None = "any") -> Decimal:
        """Sales minus returns of a member, or of everybody."""
        return total([e for e in self.entries if loyalty_id in ("any", e.loyalty_id)])


def total(bookings: list[Booking]) -> Decimal:
    """Return what sales, less returns, add up to."""
    signs = {"sale": 1, "return": -1, "conversion": 0}
    return sum((signs[booking.kind] * booking.amount for booking in bookings), ZERO)


@dataclass
class _Connections:
    world: SalesWorld

    def get(self, connection: str) -> Connection:
        return self.world.connection

    def refetch(self, connection: str) -> bool:
        return False


@dataclass
class _Queue:
    """Stands for the queues: what commands led to, with the time at which it is due."""

    world: SalesWorld
    messages: list[tuple[float, Envelope]] = field(default_factory=list)

    def send(self, envelope: Envelope, *, delay: int = 0) -> None:
        self.messages.append((self.world.clock.now + delay, Envelope.from_json(envelope.to_json())))


class SalesWorld:
    """One connection with sales, its programme, and processes that come and go."""

    def __init__(self, dynamodb: Any, sales: Sales | None = None, crm: FakeBooks | None = None) -> None:
        self.dynamodb = dynamodb
        self.clock = Clock(datetime.fromisoformat(SOLD_AT).timestamp() + 3600)
        self.connection = Connection(
            id="shop-1",
            source=Source(platform="shopify", stores=("acme.myshopify.com",)),
            destination=Destination(
                vendor="capillary", host="https://eu.example.com", credentials={"username": "demo.till", "key": "fake"}
            ),
            default_country="GB",
            sales=sales or Sales(enabled=True),
        )
        self.crm = crm or FakeBooks()
        self.crm.members.setdefault("m-7", Member("m-7", {"email": "ana@example.com"}))
        self.queue = _Queue(self)
        self.reads_orders = True
        self._numbers = count(1)
        self.begin_process()

    def begin_process(self) -> None:
        """The process before has ended; nothing of its memory is left."""
        clock, dynamodb = self.clock, self.dynamodb
        digests = Digests(b"fake-digest-key-for-tests")
        journal = Journal(dynamodb, JOURNAL, clock=clock)
        self.journal = journal
        self.customers = make_customers(dynamodb, clock)
        tokens = count(next(self._numbers) * 1000)
        self.orders = OrderLedger(
            OrderRecords(
                dynamodb,
                STATE,
                digests,
                journal=journal,
                clock=clock,
                lease_seconds=LEASE,
                new_token=lambda: f"order-token-{next(tokens)}",
                sleep=clock.sleep,
            )
        )
        links = Links(dynamodb, STATE, clock=clock, lease_seconds=LEASE)
        connections: Any = _Connections(self)
        follow_ups: Any = self.queue
        self.parts = SalesParts(
            customers=self.customers,
            orders=self.orders,
            links=links,
            follow_ups=follow_ups,
            order_reader=self._order_reader,
        )
        self.pipeline = Pipeline(
            connections=connections,
            circuit=Circuit(dynamodb, STATE, clock=clock),
            idempotency=Idempotency(dynamodb, IDEMPOTENCY),
            links=links,
            recorder=Recorder(journal=journal, clock=clock, customers=lambda: self.customers),
            crm=lambda connection: self.crm,
            digest=lambda text: digests.identity("", "credentials", text),
            sales=lambda: self.parts,
        )

    def _order_reader(self, connection: Connection, envelope: Envelope, order_id: str) -> Envelope | None:
        command = Hydrate(resource="order", data={"id": order_id})
        return replace(envelope, command=command) if self.reads_orders else None

    @property
    def deadline(self) -> Deadline:
        return Deadline(self.clock.now + 28, self.clock)

    def envelope(self, command: Command, *, event_id: str | None = None, source: str = "shopify") -> Envelope:
        number = next(self._numbers)
        order = getattr(command, "order", None)
        event = Event(
            source=source, topic="orders/x", id=event_id or f"e-{number}", entity_id=order.id if order else "7"
        )
        return Envelope(
            delivery_id=f"d-{number}",
            connection="shop-1",
            event=event,
            command=command,
            received_at=self.clock.now,
        )

    def run(self, command: Command | Envelope, **more: Any) -> Outcome:
        """Carry a command out as the queue does."""
        envelope = command if isinstance(command, Envelope) else self.envelope(command, **more)
        envelope = Envelope.from_json(envelope.to_json())
        return self.pipeline.execute(envelope, self.deadline).outcome

    def run_due(self, **kinds: Callable[[Envelope], Any]) -> list[Outcome]:
        """Carry out what commands led to and is due; hydration is not."""
        due = [envelope for at, envelope in self.queue.messages if at <= self.clock.now]
        self.queue.messages = [(at, envelope) for at, envelope in self.queue.messages if at > self.clock.now]
        return [self.run(envelope) for envelope in due if not isinstance(envelope.command, Hydrate)]

    def has_member(self, source_id: str = "7", loyalty_id: str = "m-7") -> None:
        """The customer ledger has a member of a source id."""
        from loyalty_relay.model.commands import CustomerRef, UpdateCustomer

        command: CustomerCommand = UpdateCustomer(customer=CustomerRef(source_id=source_id), fields={"first_name": "A"})
        with self.customers.hold("shop-1", command, key=f"known-{source_id}") as hold:
            hold.commit(loyalty_id=loyalty_id, sent=("first_name",), entry=None)
        self.crm.members.setdefault(loyalty_id, Member(loyalty_id, {}))
