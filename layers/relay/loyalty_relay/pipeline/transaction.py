"""Transactions: fold a report about an order into its ledger, then book what differs from what was booked.

    lease ── an intent of an earlier attempt ──► look it up ── found: commit; not found: wait, then drop it
      │
    fold ──► target ── equals what was booked, excluded, or waits ─────────────────────────► journal
      │
      └────► the member ──► next booking ──► intent ──► request ──► commit ──► again, until nothing differs

Only loyalty ids are sent. A customer who is not in the programme is registered first, by the normal operation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from loyalty_relay.connections.model import Connection, Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt, SalesCrm, SalesSupport
from loyalty_relay.destinations.registry import vendor
from loyalty_relay.model import effects
from loyalty_relay.model.commands import CustomerRef, Envelope, OrderCommand, instant_at
from loyalty_relay.model.errors import (
    AdjustmentNeeded,
    AmbiguousOutcome,
    CustomerNotFound,
    InvalidCommand,
    LeaseBusy,
    PermanentError,
    TransientError,
    UnsupportedByDestination,
    VendorRejected,
)
from loyalty_relay.model.money import text_of
from loyalty_relay.model.orders import Order
from loyalty_relay.model.outcomes import Notice, Outcome, Result
from loyalty_relay.orders.bills import bill_number, receipt_number
from loyalty_relay.orders.hold import OrderHold
from loyalty_relay.orders.ledger import OrderLedger
from loyalty_relay.orders.plan import bills, differs, next_booking
from loyalty_relay.orders.record import OrderRecord
from loyalty_relay.orders.target import WAITS, Target, target_of
from loyalty_relay.pipeline.buyers import GUEST, Buyers
from loyalty_relay.pipeline.context import Context

if TYPE_CHECKING:
    from loyalty_relay.customers.ledger import CustomerLedger
    from loyalty_relay.reliability.follow_ups import FollowUps
    from loyalty_relay.stores.links import Links

RUNNING_SECONDS = 300.0
"""How long a request may still be at work at the vendor after its booking was intended; an empty look-up proves nothing
before that.
"""
SALE_SECONDS = 900
"""How long a refund waits for its sale before the order is read from the platform."""
MARGIN_DAYS = 30
"""Days for which work may wait in queues, beyond what an order's record is needed for."""
WAKING, READING = 30_000, 40_000
"""Added to an envelope's position for what it leads to, so that the journal has an entry of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesParts:
    """What the operation works with besides the client."""

    customers: CustomerLedger
    orders: OrderLedger
    links: Links
    follow_ups: FollowUps
    order_reader: Callable[[Connection, Envelope, str], Envelope | None]
    """Makes the request that reads an order from the platform by ``Order.id``; None where the platform has none."""


def transaction(command: OrderCommand, context: Context, crm: SalesCrm, parts: SalesParts) -> Outcome:
    """Record what a command reports of an order, and make the bookings that are missing.

    Raises UnsupportedByDestination, AdjustmentNeeded for an amount that cannot be booked, AmbiguousOutcome where the
    vendor cannot show whether a booking was made, LeaseBusy while that cannot be decided yet, and the errors of every
    request. What the command reports is kept unless the error is a passing one.
    """
    connection = context.connection
    support = vendor(connection.destination.vendor).sales
    if "transaction" not in crm.operations or support is None:
        raise UnsupportedByDestination(f"{connection.destination.vendor} records no sales")
    command, notices = _sendable(command, context, crm)
    if not connection.sales.enabled:
        outcome = Outcome(result=Result.IGNORED, reason="sales_not_enabled")
        context.record(outcome)
        return outcome
    with parts.orders.hold(connection.id, command.order.id) as hold:
        return _Work(command, context, crm, parts, support, hold, list(notices)).run()


def _sendable(command: OrderCommand, context: Context, crm: SalesCrm) -> tuple[OrderCommand, tuple[Notice, ...]]:
    """Return the command as the destination takes it; a caller of the API gets its problems instead."""
    problems = crm.check_sale(command)
    if not problems:
        return command, ()
    wrong = {problem.field.removeprefix("sale."): problem.message for problem in problems}
    order = command.order
    if context.from_api:
        raise InvalidCommand("the sale cannot be sent", problems=problems)
    kept = replace(
        order,
        note="" if "note" in wrong else order.note,
        custom_fields={n: v for n, v in order.custom_fields.items() if f"custom_fields.{n}" not in wrong},
        extended_fields={n: v for n, v in order.extended_fields.items() if f"extended_fields.{n}" not in wrong},
    )
    notices = tuple(Notice(f"{name.rpartition('.')[2]}_invalid", text, name) for name, text in wrong.items())
    return replace(command, order=kept), notices


@dataclass(slots=True)
class _Work:
    """One command's work on one order."""

    command: OrderCommand
    context: Context
    crm: SalesCrm
    parts: SalesParts
    support: SalesSupport
    hold: OrderHold
    notices: list[Notice]
    made: list[tuple[Booking, BookingReceipt]] = field(default_factory=list)
    dropped: Booking | None = None
    """What an earlier attempt intended and, as the vendor showed, did not make."""
    buyers: Buyers = field(init=False)

    def __post_init__(self) -> None:
        self.buyers = Buyers(self.command, self.context, self.crm, self.parts.customers)

    @property
    def record(self) -> OrderRecord:
        return self.hold.record

    @record.setter
    def record(self, record: OrderRecord) -> None:
        self.hold.record = record

    @property
    def rules(self) -> Sales:
        return self.record.rules or self.context.connection.sales

    @property
    def takes_lines(self) -> bool:
        return "line" in self.support.returns

    @property
    def now(self) -> str:
        return self.context.envelope.event.time or instant_at(self.context.now)

    def run(self) -> Outcome:
        self.settle_intent()
        if self.too_old():
            # Nothing of it is kept: there is no time until which it would be.
            refused = self.outcome(Result.IGNORED, "too_old")
            self.context.record(refused)
            return refused
        before = self.record.known
        self.hold.fold(self.command, takes_lines=self.takes_lines)
        changed = self.record.known != before
        try:
            self.notices += self.buyers.attach(self.hold)
            # What releases a guest's order, also when it is redriven, begins with the conversion again.
            released = self.command.customer is not None and self.command.order == Order(id=self.command.order.id)
            unconverted = self.record.unconverted and not released
            self.record = replace(self.record, until=self.until(), unconverted=unconverted)
            self.wait_for_guest()
            while True:
                target = self.aim()
                reason = self.prepare(target)
                booking = None if reason else self.plan(target)
                if booking is None:
                    return self.nothing_left(reason or target.reason, changed)
                if (outcome := self.make(booking, target)) is not None:
                    return outcome
        except PermanentError:
            if not self.hold.ended:
                with suppress(TransientError):
                    self.hold.save()
            raise

    # -- what is known ------------------------------------------------------------------------------------------------

    def settle_intent(self) -> None:
        """Look up what an earlier attempt may have booked. Raises LeaseBusy while that may still happen."""
        intent = self.record.intent
        if intent is None:
            return
        receipt = self.crm.find_booking(intent, self.context.deadline)
        if receipt is not None:
            self.hold.commit(self.with_booking(intent, receipt), None)
            return
        left = self.record.intent_at + RUNNING_SECONDS - self.context.now
        if left > 0:
            raise LeaseBusy("the request of an earlier attempt may still be at work", retry_after=left)
        self.dropped = intent
        self.record = replace(self.record, intent=None, intent_at=0.0)

    def too_old(self) -> bool:
        """Return whether the event is later than the return window, or the record may have been forgotten already."""
        sale = self.record.known.sale or self.command.order.sale
        if sale is None:
            return False
        sold_at, happened = _seconds(sale.sold_at), min(_seconds(self.now), self.context.now)
        kept = sold_at + (self._kept_days() + MARGIN_DAYS) * 86_400
        return happened > sold_at + self.rules.return_window_days * 86_400 or self.context.now > kept

    def until(self) -> float:
        """Return when the record may be forgotten: after the return window and the vendor's uniqueness of bills."""
        sale = self.record.known.sale
        begun = _seconds(sale.sold_at) if sale else self.context.now
        return begun + (self._kept_days() + 2 * MARGIN_DAYS) * 86_400

    def _kept_days(self) -> int:
        return max(self.rules.return_window_days, self.rules.bill_days)

    def aim(self) -> Target:
        """Return the target, which the record keeps for whoever looks it up. Raises InvalidCommand for a currency."""
        record = self.record
        target = target_of(record.known, self.rules, begun=bool(record.bookings))
        self.record = replace(record, target=target.amount, reason=target.reason)
        if target.reason == "currency":
            raise InvalidCommand(f"the order has no amounts in {target.currency}", code="currency")
        return target

    # -- what is next -------------------------------------------------------------------------------------------------

    def differs(self, target: Target) -> bool:
        return differs(self.record, target) or self.converts()

    def converts(self) -> bool:
        """Return whether sales of a guest are to be converted, because the customer is known now."""
        attached = self.record.buyer or self.record.loyalty_id
        guests = any(bill.owner is None and bill.left > 0 for bill in bills(self.record))
        return bool(attached) and guests and self.may_convert()

    def may_convert(self) -> bool:
        return "not_interested" in self.support.guests and not self.record.unconverted

    def prepare(self, target: Target) -> str:
        """Find the member to book to, and freeze the rules; return why nothing is booked, if so."""
        record = self.record
        if not self.differs(target):
            return ""
        if record.known.unlinked and self.rules.unlinked_returns == "park":
            raise AdjustmentNeeded(f"a return of {text_of(-target.amount)} {target.currency} names no sale")
        member, reason = self.buyers.member(self.hold)
        if reason == GUEST and not record.known.unlinked:
            if record.bookings or self.rules.guests == "not_interested":
                reason = ""
            elif self.rules.guests == "hold":
                reason = "guest_held"
        if reason:
            self.record = replace(self.record, reason=reason)
            return reason
        self.record = replace(self.record, loyalty_id=member)
        if not record.bookings:
            self.freeze(target)
        return ""

    def freeze(self, target: Target) -> None:
        """Fix what all bookings of the order have alike: rules, bill number, currency and place."""
        connection, order, record = self.context.connection, self.command.order, self.record
        shop, length = record.store or connection.id, self.support.bill_number_length
        sale, key = record.known.sale, self.rules.shop_key
        number = bill_number(shop, record.order_id, length, key=key)
        if sale is not None and self.rules.bill_number == "receipt":
            number = receipt_number(shop, sale, record.order_id, length, key=key)
        places = connection.sales.stores
        place = (places.get(sale.till) or places.get(sale.location) or {}) if sale else {}
        self.record = replace(
            record,
            rules=replace(self.rules, stores={}, payment_modes={}),
            bill=record.bill or number,
            currency=target.currency,
            shown_as=(sale.number if sale else "") or order.id,
            place=dict(place),
            linked_branch="" if place else self.linked_branch(),
        )

    def linked_branch(self) -> str:
        """Return the branch of the shop's link, where the vendor attributes sales by it."""
        connection, sale = self.context.connection, self.record.known.sale
        if not self.support.linked_branch(connection.destination):
            return ""
        for shop in filter(None, (sale.location if sale else "", self.record.store)):
            if (link := self.parts.links.get(connection.id, shop)) is not None:
                return link.branch_id
        return ""

    def plan(self, target: Target) -> Booking | None:
        booking = next_booking(
            self.record,
            target,
            self.rules,
            converts=self.may_convert(),
            at=self.now,
        )
        same = self.dropped is not None and booking is not None and _alike(self.dropped, booking)
        return self.dropped if same else booking

    # -- what is done -------------------------------------------------------------------------------------------------

    def make(self, booking: Booking, target: Target) -> Outcome | None:
        """Make one booking; return the outcome if it was the last one."""
        began = effects.begun()
        sent_with = self.sent_with(booking)
        self.hold.intend(booking, self.context.now)
        try:
            receipt = self.crm.book(booking, sent_with, self.context.deadline)
        except AmbiguousOutcome:
            # The intent stays: the next attempt looks it up first.
            raise
        except CustomerNotFound:
            self.withdraw()
            survivor = self.crm.find(CustomerRef(loyalty_id=booking.loyalty_id), self.context.deadline)
            if survivor is None or survivor == booking.loyalty_id:
                raise
            self.record = replace(self.record, loyalty_id=survivor)
            return None
        except Exception as error:
            if not effects.may_have_acted(error, began):
                self.withdraw()
            if isinstance(error, VendorRejected) and booking.kind == "conversion":
                self.record = replace(self.record, unconverted=True)
            if isinstance(error, VendorRejected) and booking.kind == "return":
                raise AdjustmentNeeded(
                    f"{text_of(booking.amount)} {booking.currency} cannot be taken back: the vendor rejects it",
                    code=error.code,
                    request_id=error.request_id,
                ) from error
            raise
        self.dropped = None
        record = self.with_booking(booking, receipt)
        self.hold.record = record
        if self.differs(target):
            self.hold.commit(record, None)
            return None
        self.hold.record = record.settled()
        return self.end(Result.APPLIED, "")

    def withdraw(self) -> None:
        """Remove the intent of what was certainly not booked. Where that fails, the next attempt looks it up."""
        if not self.record.bookings:
            self.record = replace(self.record, loyalty_id=None, rules=None)
        with suppress(TransientError):
            self.hold.withdraw()

    def with_booking(self, booking: Booking, receipt: BookingReceipt) -> OrderRecord:
        booked = replace(booking, transaction_id=receipt.transaction_id)
        self.made.append((booked, receipt))
        return replace(self.record, intent=None, intent_at=0.0, bookings=(*self.record.bookings, booked))

    def sent_with(self, booking: Booking) -> OrderCommand:
        """Return the command with the sale as it is known, and with its lines where the booking may need them."""
        lines = self.takes_lines and (booking.kind == "sale" or booking.by_line)
        sale = self.hold.sale() if lines else self.record.known.sale
        return replace(self.command, order=replace(self.command.order, sale=sale))

    # -- guests and missing sales -------------------------------------------------------------------------------------

    def wait_for_guest(self) -> None:
        """Let the order wait for whoever proves to have the guest's e-mail or phone."""
        record, sale = self.record, self.record.known.sale
        if sale is None or record.buyer or record.loyalty_id or self.rules.guests == "skip":
            return
        until = _seconds(sale.sold_at) + self.rules.hold_days * 86_400
        if until < self.context.now:
            return
        orders, connection = self.parts.orders, record.connection
        contacts = {orders.contact(connection, kind, value) for kind, value in self.buyers.contacts()}
        for contact in sorted(contacts - {*record.contacts}):
            orders.waiting.add(connection, contact, record.order_id, until)
        self.record = replace(record, contacts=(*record.contacts, *sorted(contacts - {*record.contacts})))

    def ask_for_sale(self) -> None:
        """Have the order read from the platform if its sale does not come by itself."""
        order, envelope = self.command.order, self.context.envelope
        if self.context.from_api:
            return
        reading = self.parts.order_reader(self.context.connection, envelope, order.id)
        if reading is None:
            return
        if order == Order(id=order.id):
            self.parts.follow_ups.send(replace(reading, position=envelope.position + READING))
        elif not self.record.woken:
            waking = replace(self.command, order=Order(id=order.id), customer=None, fields={}, version=None)
            later = replace(envelope, command=waking, position=envelope.position + WAKING)
            self.parts.follow_ups.send(later, delay=SALE_SECONDS)
            self.record = replace(self.record, woken=True)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def nothing_left(self, reason: str, changed: bool) -> Outcome:
        """End when nothing is left to book."""
        if self.made:
            return self.end(Result.APPLIED, reason)
        if reason == "sale_missing":
            self.ask_for_sale()
        if reason in WAITS:
            return self.end(Result.RECORDED, reason)
        if reason and (not self.record.bookings or self.record.booked != self.record.target):
            return self.end(Result.IGNORED, reason)
        self.hold.record = self.record.settled()
        version, known = self.command.version, self.record.known.version
        if not changed and version is not None and known is not None and version.older_than(known):
            return self.end(Result.STALE, "older")
        if not self.record.bookings:
            return self.end(Result.IGNORED, "nothing_earned")
        return self.end(Result.UNCHANGED, "")

    def end(self, result: Result, reason: str) -> Outcome:
        """Write the record, journal the outcome, and end the hold."""
        outcome = self.outcome(result, reason)
        self.hold.commit(self.record, self.context.entry(outcome, customer=self.record.buyer))
        return outcome

    def outcome(self, result: Result, reason: str) -> Outcome:
        points = [receipt.points for _, receipt in self.made if receipt.points is not None]
        vendors = [notice for _, receipt in self.made for notice in receipt.notices]
        return Outcome(
            result=result,
            reason=reason,
            loyalty_id=self.record.loyalty_id,
            notices=(*self.notices, *vendors),
            request_id=next((r.request_id for _, r in reversed(self.made) if r.request_id), None),
            ids=_ids(self.record, [booking for booking, _ in self.made]),
            details={"points": sum(points)} if points else {},
        )


def _ids(record: OrderRecord, made: list[Booking]) -> dict[str, str]:
    """Return what the journal keeps of bookings; of several, one after another."""
    ids = {"order_id": record.order_id}
    if made:
        ids["currency"] = made[0].currency
        for name in ("kind", "bill", "transaction_id"):
            ids[name] = ",".join(getattr(booking, name) for booking in made)
        ids["amount"] = ",".join(text_of(booking.amount) for booking in made)
    return ids


def _alike(one: Booking, other: Booking) -> bool:
    """Return whether two bookings are the same to the vendor."""
    return all(getattr(one, n) == getattr(other, n) for n in ("kind", "amount", "currency", "bill", "loyalty_id"))


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
