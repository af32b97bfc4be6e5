"""The next booking of an order: what has to be booked so that the bookings add up to the target. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.errors import AdjustmentNeeded
from loyalty_relay.model.money import ZERO, text_of
from loyalty_relay.orders.bills import supplementary
from loyalty_relay.orders.known import KnownOrder
from loyalty_relay.orders.record import OrderRecord
from loyalty_relay.orders.target import Target, target_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A sale in the vendor's books, and what is left of it."""

    sale: Booking
    left: Decimal
    owner: str | None
    """The member; None for a guest's sale that was not converted."""


def bills(record: OrderRecord) -> list[Bill]:
    """Return the sales that were booked, the first first."""
    returned: dict[str, Decimal] = {}
    owners: dict[str, str | None] = {}
    for booking in record.bookings:
        if booking.kind == "return":
            returned[booking.bill] = returned.get(booking.bill, ZERO) + booking.amount
        elif booking.kind == "conversion":
            owners[booking.bill] = booking.loyalty_id
    return [
        Bill(
            sale=booking,
            left=booking.amount - returned.get(booking.bill, ZERO),
            owner=owners.get(booking.bill, booking.loyalty_id),
        )
        for booking in record.bookings
        if booking.kind == "sale"
    ]


def differs(record: OrderRecord, target: Target) -> bool:
    """Return whether the bookings are not what they should be: in amount, or because the currency is another now."""
    changed = bool(record.bookings) and target.currency != record.currency
    return target.amount != record.booked or (changed and target.amount != 0)


def next_booking(record: OrderRecord, target: Target, rules: Sales, *, converts: bool, at: str) -> Booking | None:
    """Return the booking that comes next; None when the bookings are as they should be.

    ``record``: with bill, currency and place. ``converts``: whether the vendor turns a guest's sale into a member's.
    ``at``: the present as ``instant`` text, for what has no time of its own.

    Raises AdjustmentNeeded for what cannot be booked: another currency than before, or more than nothing of a return
    that names no sale.
    """
    member = record.loyalty_id
    if converts and member is not None:
        for bill in bills(record):
            if bill.owner is None and bill.left > 0:
                return _booking(record, kind="conversion", amount=bill.sale.amount, at=at, loyalty_id=member, bill=bill)
    if not differs(record, target):
        return None
    difference = target.amount - record.booked
    if record.bookings and target.currency != record.currency and target.amount:
        raise AdjustmentNeeded(f"the order was booked in {record.currency} and is in {target.currency} now")
    if record.known.unlinked:
        if difference > 0:
            raise AdjustmentNeeded(f"{text_of(difference)} {record.currency} were taken back without a sale")
        return _booking(record, kind="return", amount=-difference, at=_given_back_at(record) or at, loyalty_id=member)
    if difference > 0:
        first = not record.bookings
        sold_at = record.known.sale.sold_at if record.known.sale else at
        count = 1 + sum(booking.kind == "sale" for booking in record.bookings)
        return _booking(
            record,
            kind="sale",
            amount=difference,
            at=sold_at if first else at,
            loyalty_id=member,
            bill_number=supplementary(record.bill, count),
        )
    return _return(record, -difference, rules, at)


def _return(record: OrderRecord, amount: Decimal, rules: Sales, at: str) -> Booking:
    """Return the return of an amount; of what the bill with the most has left, where no bill has enough."""
    known = [bill for bill in bills(record) if bill.left > 0]
    bill = next((bill for bill in known if bill.left >= amount), None) or max(known, key=lambda bill: bill.left)
    refund = _explained_by(record, rules) if bill.left >= amount else ""
    given_back = record.known.refunds[refund].at if refund else _given_back_at(record)
    return _booking(
        record,
        kind="return",
        amount=min(amount, bill.left),
        at=given_back or at,
        loyalty_id=None if bill.owner is None else record.loyalty_id or bill.owner,
        bill=bill,
        refund_id=refund,
        whole=bill.left <= amount,
    )


def _booking(
    record: OrderRecord, *, bill: Bill | None = None, bill_number: str = "", loyalty_id: str | None, **members: Any
) -> Booking:
    number = 1 + max((booking.number for booking in record.bookings), default=0)
    return Booking(
        number=number,
        bill=bill.sale.bill if bill else bill_number or record.bill,
        of=bill.sale.transaction_id if bill else "",
        loyalty_id=loyalty_id,
        **members,
        **record.constants(number),
    )


def _new_refunds(record: OrderRecord) -> Iterator[str]:
    for name, refund in record.known.refunds.items():
        if name in record.unsettled and record.unsettled[name] != refund.amount:
            yield name


def _given_back_at(record: OrderRecord) -> str:
    return max((record.known.refunds[name].at for name in _new_refunds(record)), default="")


def _explained_by(record: OrderRecord, rules: Sales) -> str:
    """Return the one new refund without which the bookings would be as they should; "" when there is none such."""
    new = list(_new_refunds(record))
    if len(new) != 1 or record.unsettled[new[0]] != 0:
        return ""
    before = target_of(record.known.without(new[0]), rules, begun=True)
    return new[0] if before.amount == record.booked else ""


def folded(record: OrderRecord, known: KnownOrder) -> OrderRecord:
    """Return the record with what is known after a report; refunds that changed become unsettled."""
    unsettled = dict(record.unsettled)
    for name, refund in known.refunds.items():
        before = record.known.refunds.get(name)
        if name not in unsettled and (before is None or before.amount != refund.amount):
            unsettled[name] = before.amount if before else ZERO
    return replace(record, known=known, unsettled=unsettled)
