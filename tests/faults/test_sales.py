"""Sales under everything at once: reports lost, repeated and out of order, answers lost or late, processes that die
between any two requests. Whatever happened, the books end at what the history of each order calls for (G11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from moto import mock_aws

from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt
from loyalty_relay.destinations.registry import vendor as registered
from loyalty_relay.model import effects
from loyalty_relay.model.commands import CustomerRef, Envelope, Identifier, RecordRefund, RecordSale, RegisterCustomer
from loyalty_relay.model.errors import (
    PermanentError,
    RateLimited,
    RelayError,
    TransientError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from loyalty_relay.model.orders import Amounts
from loyalty_relay.pipeline import transaction as operation
from tests.faults.dying import Death, Fate, Mortal
from tests.faults.storm.broken import break_it
from tests.faults.time_of_keys import keys_age_by
from tests.orders.histories import PLACES, STYLES, History, Moment
from tests.orders.makers import at, record_refund, record_sale, refund
from tests.support.sales import SUPPORT, FakeBooks, SalesWorld, total
from tests.support.stack import aws_client
from tests.support.tables import clear, make_tables

LATE = 250.0
"""Seconds after which a request may still take effect whose answer never came."""


@dataclass
class MortalBooks(FakeBooks):
    """The books, used by processes that may die; answers can be lost, and effects come late."""

    fate: Fate = field(default_factory=Fate)
    clock: Callable[[], float] = lambda: 0.0
    late: list[bool] = field(default_factory=list)
    """True: the next request gets no answer and takes effect later."""
    pending: list[tuple[float, Booking]] = field(default_factory=list)
    on_book: Callable[[Booking], None] = lambda booking: None

    def find(self, *args: Any) -> Any:
        return self.fate.request(lambda: FakeBooks.find(self, *args))

    def register(self, *args: Any) -> Any:
        return self.fate.request(lambda: FakeBooks.register(self, *args), writes=True)

    def book(self, booking: Booking, *args: Any) -> BookingReceipt:
        self.on_book(booking)
        self.take_effect()
        found: BookingReceipt = self.fate.request(lambda: self._book(booking, *args), writes=True)
        return found

    def _book(self, booking: Booking, *args: Any) -> BookingReceipt:
        if self.late and self.late.pop():
            effects.begin()
            self.pending.append((self.clock() + LATE, booking))
            raise UpstreamTimeout("no answer", reached=True)
        return FakeBooks.book(self, booking, *args)

    def find_booking(self, *args: Any) -> BookingReceipt | None:
        self.take_effect()
        found: BookingReceipt | None = self.fate.request(lambda: FakeBooks.find_booking(self, *args))
        return found

    def take_effect(self) -> None:
        """Enter what is due by now of the requests that got no answer."""
        for due, booking in list(self.pending):
            if due <= self.clock():
                self.pending.remove((due, booking))
                self.entries.append(booking)


@dataclass(frozen=True)
class Misfortune:
    """What goes wrong with one execution."""

    dies_at: int | None = None
    after: bool = False
    error: RelayError | None = None
    late: bool = False


FINE = Misfortune()


def lost() -> UpstreamTimeout:
    return UpstreamTimeout("no answer", reached=True)


misfortunes = (
    st.just(FINE)
    | st.builds(Misfortune, dies_at=st.integers(0, 9), after=st.booleans())
    | st.builds(Misfortune, error=st.builds(lost), after=st.booleans())
    | st.just(Misfortune(late=True))
    | st.just(Misfortune(late=True))
    | st.builds(Misfortune, error=st.sampled_from([UpstreamUnavailable("down"), RateLimited("later")]))
)


class Faulty:
    """A world whose processes die, with a queue that redelivers, and an operator who redrives."""

    def __init__(self, client: Any, sales: Sales) -> None:
        self.fate = Fate()
        self.books = MortalBooks(fate=self.fate)
        self.world = SalesWorld(Mortal(client, self.fate), sales, self.books)
        self.books.clock = self.world.clock
        self.parked: list[Envelope] = []
        self.deaths = 0

    def deliver(self, envelope: Envelope, misfortune: Misfortune = FINE) -> None:
        """Deliver a message until it is done, with a misfortune at the first time; what is permanent is parked."""
        self._befall(misfortune)
        for _ in range(30):
            try:
                self.world.run(envelope)
            except Death:
                self.deaths += 1
                self.world.begin_process()
                self.world.clock.now += 65
            except TransientError as error:
                self.world.clock.now += (error.retry_after or 5) + 1
            except PermanentError:
                self.parked.append(envelope)
                return
            else:
                return
            finally:
                self._befall(FINE)
        raise AssertionError("never done")

    def deliver_once(self, envelope: Envelope, misfortune: Misfortune) -> bool:
        """Deliver a message once; return whether it is done."""
        self._befall(misfortune)
        try:
            self.world.run(envelope)
        except Death:
            self.deaths += 1
            self.world.begin_process()
            return False
        except TransientError:
            return False
        except PermanentError:
            self.parked.append(envelope)
        finally:
            self._befall(FINE)
        return True

    def _befall(self, misfortune: Misfortune) -> None:
        self.fate.decide(misfortune.dies_at, after=misfortune.after)
        errors = [misfortune.error] if misfortune.error else []
        self.books.before = [] if misfortune.after else list(errors)
        self.books.after = list(errors) if misfortune.after else []
        self.books.late = [True] if misfortune.late else []

    def settle(self) -> None:
        """Let everything end that was begun: released and parked work, and effects that come late."""
        for _ in range(10):
            self.world.clock.now += 1000
            self.books.take_effect()
            self.world.run_due()
            redriven, self.parked = [envelope.redriven() for envelope in self.parked], []
            for envelope in redriven:
                self.deliver(envelope)
            if not (self.parked or self.books.pending or self.world.queue.messages):
                return
        assert self.parked == []


@pytest.fixture(scope="module", autouse=True)
def tables() -> Iterator[None]:
    """Tables that all worlds of this module use, one after another."""
    with pytest.MonkeyPatch.context() as patched, mock_aws():
        patched.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        patched.delenv("AWS_ENDPOINT_URL", raising=False)
        patched.setattr(operation, "vendor", lambda name: replace(registered(name), sales=SUPPORT))
        make_tables(_client())
        yield


@cache
def _client() -> Any:
    return aws_client("dynamodb", "eu-west-1")


@contextmanager
def sales_in_process(sales: Sales) -> Iterator[Faulty]:
    clear(_client())
    faulty = Faulty(_client(), sales)
    with keys_age_by(faulty.world.clock):
        yield faulty


# -- deaths between every two steps -------------------------------------------------------------------------------


def guest_sale() -> Any:
    who = CustomerRef(identifiers=(Identifier("email", "gu@example.com"),), unverified=("email",))
    return replace(record_sale(version=at(1)), customer=who, guest=True)


def signs_up() -> RegisterCustomer:
    who = CustomerRef(source_id="5", identifiers=(Identifier("email", "gu@example.com"),))
    return RegisterCustomer(customer=who, fields={"first_name": "Gu"})


SCENARIOS: dict[str, tuple[Sales, list[Any], str]] = {
    "a sale": (Sales(enabled=True), [record_sale(version=at(1))], "100"),
    "a sale and a refund": (
        Sales(enabled=True),
        [record_sale(version=at(1)), record_refund(refunds=(refund("r", "30"),))],
        "70",
    ),
    "a return in two parts": (
        Sales(enabled=True),
        [
            record_sale(version=at(1), sale=replace(record_sale().order.sale, captured=Decimal(40))),
            record_sale(version=at(2)),
            record_refund(refunds=(refund("r", "90"),)),
        ],
        "10",
    ),
    "a refund under an alias before its sale": (
        Sales(enabled=True),
        [record_refund("payment:9", refunds=(refund("r", "30"),)), record_sale(version=at(1), aliases=("payment:9",))],
        "70",
    ),
    "a held sale": (Sales(enabled=True, guests="hold"), [guest_sale(), signs_up()], "100"),
    "a converted sale": (Sales(enabled=True, guests="not_interested"), [guest_sale(), signs_up()], "100"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_between_any_two_requests_changes_nothing(name: str) -> None:
    sales, commands, expected = SCENARIOS[name]
    for victim in range(len(commands)):
        dies_at = 1
        while True:
            with sales_in_process(sales) as faulty:
                faulty.world.has_member("7", "m-7")
                for number, command in enumerate(commands):
                    misfortune = Misfortune(dies_at=dies_at, after=True) if number == victim else FINE
                    faulty.deliver(faulty.world.envelope(command), misfortune)
                died = faulty.deaths > 0
                faulty.settle()
                assert total(faulty.books.entries) == Decimal(expected), (victim, dies_at)
                kinds = [entry.kind for entry in faulty.books.entries]
                assert len(kinds) == len({entry.marker for entry in faulty.books.entries}), (victim, dies_at)
            if not died:
                break
            dies_at += 1
        assert dies_at > 4


def test_a_request_that_takes_effect_late_is_not_made_again() -> None:
    with sales_in_process(Sales(enabled=True)) as faulty:
        faulty.world.has_member("7", "m-7")
        faulty.deliver(faulty.world.envelope(record_sale(version=at(1))), Misfortune(late=True))
        faulty.settle()
        assert [entry.amount for entry in faulty.books.entries] == [100]


# -- parts that are broken on purpose ---------------------------------------------------------------------------------


def a_lost_answer_books_nothing_twice(faulty: Faulty) -> None:
    """The order changes meanwhile, so that the next attempt would book another amount."""
    faulty.deliver_once(faulty.world.envelope(record_sale(version=at(1))), Misfortune(error=lost(), after=True))
    more = replace(record_sale().order.sale, amounts=Amounts(currency="EUR", goods=Decimal(150)), captured=Decimal(150))
    faulty.deliver(faulty.world.envelope(record_sale(version=at(2), sale=more)))
    faulty.settle()
    assert total(faulty.books.entries) == 150


def two_executions_at_once_book_once(faulty: Faulty) -> None:
    """The second one comes when the first one has read the order and looks for the member."""
    world, books = faulty.world, faulty.books
    who = CustomerRef(source_id="9", identifiers=(Identifier("email", "ana@example.com"),))
    sale, more = (world.envelope(replace(record_sale(version=at(number)), customer=who)) for number in (1, 2))
    really = books.find

    def find(*args: Any) -> Any:
        books.find = really  # type: ignore[method-assign]
        world.begin_process()
        with suppress(TransientError, PermanentError):
            world.run(more)
        return really(*args)

    books.find = find  # type: ignore[method-assign]
    with suppress(TransientError, PermanentError):
        world.run(sale)
    assert [call[1] for call in books.calls if call[0] == "book"] == ["sale"]
    faulty.deliver(more)
    faulty.settle()
    assert total(books.entries) == 100


STORIES: dict[str, Callable[[Faulty], None]] = {
    "intent": a_lost_answer_books_nothing_twice,
    "look-up": a_lost_answer_books_nothing_twice,
    "lease": two_executions_at_once_book_once,
}


@pytest.mark.parametrize("part", STORIES)
def test_the_promise_holds(part: str) -> None:
    with sales_in_process(Sales(enabled=True)) as faulty:
        faulty.world.has_member("7", "m-7")
        STORIES[part](faulty)


@pytest.mark.parametrize("part", STORIES)
def test_the_promise_does_not_hold_without_its_part(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(part, monkeypatch.setattr)
    with sales_in_process(Sales(enabled=True)) as faulty:
        faulty.world.has_member("7", "m-7")
        with pytest.raises(AssertionError):
            STORIES[part](faulty)


# -- everything at once -------------------------------------------------------------------------------------------

ORDERS = ("1", "2")


@dataclass
class Reports:
    """One order: its history so far, and who its customer is reported to be."""

    history: History
    who: str | None
    version: int = 0
    base: EarningBase | None = None
    """The rule when its first booking was made."""


class SalesMachine(RuleBasedStateMachine):
    """Two orders of a shop; reports wait in a queue that gives them out in any order and more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.context: Any = None
        self.queue: list[Envelope] = []
        self.orders: dict[str, Reports] = {}
        self.erased: set[str] = set()

    @initialize(
        currencies=st.lists(st.sampled_from(sorted(PLACES)), min_size=2, max_size=2),
        styles=st.lists(st.sampled_from(STYLES), min_size=2, max_size=2),
        shop=st.sampled_from(["EUR", "JPY"]),
        guest=st.booleans(),
        tax=st.booleans(),
    )
    def orders_are_placed(self, currencies: list[str], styles: list[str], shop: str, guest: bool, tax: bool) -> None:
        base = EarningBase(tax=tax)
        self.context = sales_in_process(Sales(enabled=True, earning_base=base))
        self.faulty = self.context.__enter__()
        self.world = self.faulty.world
        self.faulty.books.on_book = self._booking
        for source_id in ("7", "8"):
            self.world.has_member(source_id, f"m-{source_id}")
        for number, (name, currency, style) in enumerate(zip(ORDERS, currencies, styles, strict=True)):
            unit = Decimal(1).scaleb(-PLACES[currency])
            first = Moment(9000 * unit, 1000 * unit, 500 * unit, Decimal(0), Decimal(0))
            history = History(currency, shop, Decimal("0.913"), base, style, (first,))
            self.orders[name] = Reports(history, None if guest and number else "7")
            self._report(name, first)

    def teardown(self) -> None:
        try:
            if self.context is not None:
                self._end()
        finally:
            if self.context is not None:
                self.context.__exit__(None, None, None)

    def _booking(self, booking: Booking) -> None:
        name = next(n for n in ORDERS if self.world.orders.lookup("shop-1", n) and self._is_of(booking, n))
        if not self._entries(name):
            self.orders[name].base = self.world.connection.sales.earning_base

    def _is_of(self, booking: Booking, name: str) -> bool:
        return booking.order_id == name

    def _entries(self, name: str) -> list[Booking]:
        return [entry for entry in self.faulty.books.entries if self._is_of(entry, name)]

    # -- what happens to an order ---------------------------------------------------------------------------------

    def _report(self, name: str, moment: Moment) -> None:
        reports = self.orders[name]
        reports.version += 1
        reports.history = replace(reports.history, moments=(moment,))
        for reported, version in reports.history.reported(moment, at(reports.version)):
            order = replace(reported, id=name)
            if order.sale is not None:
                who = CustomerRef(source_id=reports.who) if reports.who else None
                command: Any = RecordSale(order=order, customer=who, guest=who is None, version=version)
            else:
                command = RecordRefund(order=order, version=version)
            self.queue.append(self.world.envelope(command))

    def _now(self, name: str) -> Moment:
        return self.orders[name].history.moments[-1]

    @rule(name=st.sampled_from(ORDERS), part=st.sampled_from([2, 1]))
    def money_is_captured(self, name: str, part: int) -> None:
        now = self._now(name)
        unit = Decimal(1).scaleb(-PLACES[self.orders[name].history.currency])
        self._report(name, replace(now, captured=max(now.captured, (now.total / part).quantize(unit))))

    @rule(name=st.sampled_from(ORDERS), goods=st.sampled_from([4500, 9000, 12000]))
    def an_order_is_edited(self, name: str, goods: int) -> None:
        unit = Decimal(1).scaleb(-PLACES[self.orders[name].history.currency])
        self._report(name, replace(self._now(name), goods=goods * unit))

    @rule(name=st.sampled_from(ORDERS), part=st.sampled_from(["0.1", "0.33", "1"]))
    def money_is_given_back(self, name: str, part: str) -> None:
        now = self._now(name)
        unit = Decimal(1).scaleb(-PLACES[self.orders[name].history.currency])
        left = max(Decimal(0), now.captured - sum(now.refunds.values(), Decimal(0)))
        amount = (left * Decimal(part)).quantize(unit)
        self._report(name, replace(now, refunds={**now.refunds, f"r{self.orders[name].version}": amount}))

    @rule(name=st.sampled_from(ORDERS), data=st.data())
    def a_refund_fails(self, name: str, data: st.DataObject) -> None:
        now = self._now(name)
        if now.refunds:
            which = data.draw(st.sampled_from(sorted(now.refunds)))
            self._report(name, replace(now, refunds={**now.refunds, which: Decimal(0)}))

    @rule(name=st.sampled_from(ORDERS))
    def refunds_are_deleted(self, name: str) -> None:
        if self.orders[name].history.style == "lists":
            self._report(name, replace(self._now(name), refunds={}))

    @rule(name=st.sampled_from(ORDERS), who=st.sampled_from(["7", "8"]))
    def a_customer_is_attached_or_changed(self, name: str, who: str) -> None:
        self.orders[name].who = who
        self._report(name, self._now(name))

    # -- what happens to customers and rules ----------------------------------------------------------------------

    @rule()
    def members_are_merged(self) -> None:
        members, merged = self.faulty.books.members, self.faulty.books.merged
        if "m-7" in members:
            members["m-9"] = members.pop("m-7")
            merged["m-7"] = "m-9"

    @rule(reason=st.sampled_from(["deleted", "erased"]))
    @precondition(lambda self: self.context is not None and len(self.queue) > 6)
    def a_customer_is_retired(self, reason: Any) -> None:
        # First everything that was reported: of what is not booked by then, the member is not known any more.
        self._empty_queue()
        who = CustomerRef(source_id="8")
        self.world.customers.retire("shop-1", who, reason=reason, version=None, survivor=None, entry=None)
        self.erased.add("8")

    @rule(tax=st.booleans())
    def rules_change(self, tax: bool) -> None:
        states = [self.world.orders.lookup("shop-1", name) for name in ORDERS]
        if all(state is None or state.intent is None for state in states):
            rules = replace(self.world.connection.sales, earning_base=EarningBase(tax=tax))
            self.world.connection = replace(self.world.connection, sales=rules)

    # -- the queue ------------------------------------------------------------------------------------------------

    @rule(data=st.data(), misfortune=misfortunes, again=st.booleans())
    def a_message_is_delivered(self, data: st.DataObject, misfortune: Misfortune, again: bool) -> None:
        if self.queue:
            envelope = self.queue[data.draw(st.integers(0, len(self.queue) - 1))]
            if self.faulty.deliver_once(envelope, misfortune) and not again:
                self.queue.remove(envelope)

    @rule(seconds=st.sampled_from([1, 50, 400]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.now += seconds

    def _empty_queue(self) -> None:
        for envelope in self.queue:
            self.faulty.deliver(envelope)
        self.queue = []
        self.faulty.settle()

    def _end(self) -> None:
        self._empty_queue()
        merged = self.faulty.books.merged
        for name, reports in self.orders.items():
            entries = self._entries(name)
            members = {merged.get(str(entry.loyalty_id), str(entry.loyalty_id)) for entry in entries}
            assert len(members) <= 1
            assert len({entry.marker for entry in entries}) == len(entries)
            if "8" in self.erased and (reports.who == "8" or "m-8" in members):
                continue
            base = reports.base or self.world.connection.sales.earning_base
            expected = replace(reports.history, base=base).expected if reports.who else Decimal(0)
            assert total(entries) == expected, name


TestSales = SalesMachine.TestCase
TestSales.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
