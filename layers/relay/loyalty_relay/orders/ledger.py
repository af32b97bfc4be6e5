"""The order ledger: what is known of every order, and what was booked of it, each under a lease.

One item per order and connection, and pointers to it by aliases. A handler takes a hold, folds its report, and makes
the bookings that are missing: it writes each as an intent before the request and commits it after. Whatever happens
between the two, the next execution finds the intent and looks at the vendor.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from loyalty_relay.destinations.base import Booking
from loyalty_relay.orders.hold import OrderHold
from loyalty_relay.orders.record import OrderRecord
from loyalty_relay.orders.records import OrderRecords
from loyalty_relay.orders.waiting import WaitingOrders


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """What the ledger has of one order, for people and tools. Amounts of ``paid_currency`` are the customer's."""

    order_id: str
    aliases: tuple[str, ...]
    sale_known: bool
    paid_currency: str
    total: Decimal | None
    """Of the sale; None where only captures or refunds were reported."""
    captured: Decimal
    refunded: Decimal
    refunds: dict[str, Decimal]
    """Amount by the refund's id; 0 for one that failed or was deleted."""
    currency: str
    """Of the bookings."""
    target: Decimal
    """What the bookings should add up to, when the order was last worked on."""
    booked: Decimal
    """What they add up to: sales minus returns."""
    reason: str
    """Why nothing earns, or what the order waits for; empty for one that earns."""
    loyalty_id: str | None
    guest: bool
    bookings: tuple[Booking, ...]
    intent: Booking | None
    """A booking that may have been made: it is looked up before anything else is booked."""
    until: float
    """When the record is forgotten, epoch seconds."""

    @property
    def difference(self) -> Decimal:
        """What is still to be booked; negative: to be taken back."""
        return self.target - self.booked


class OrderLedger:
    """The records of all orders. Safe for threads."""

    def __init__(self, records: OrderRecords) -> None:
        self._records = records
        self.waiting = WaitingOrders(records.table)

    def hold(self, connection: str, order_id: str) -> OrderHold:
        """Take the lease of an order, for a ``with`` block. ``order_id``: its id or an alias.

        Raises LeaseBusy while another execution works on the order, StoreUnavailable.
        """
        return OrderHold(self._records, self._records.take(connection, order_id))

    def contact(self, connection: str, kind: str, value: str) -> str:
        """Return the digest of a guest's contact. ``kind``: email or mobile."""
        return self._records.digests.identity(connection, kind, value)

    def lookup(self, connection: str, order_id: str) -> OrderState | None:
        """Return what is known of an order, by its id or an alias, without touching it; None when nothing is."""
        record = self._records.find(connection, order_id)
        return None if record is None else _state(record)


def _state(record: OrderRecord) -> OrderState:
    known = record.known
    return OrderState(
        order_id=record.order_id,
        aliases=record.aliases,
        sale_known=known.sale is not None,
        paid_currency=known.currency,
        total=known.sale.amounts.total if known.sale else None,
        captured=known.captured_money,
        refunded=known.refunded_money,
        refunds={name: refund.amount for name, refund in known.refunds.items()},
        currency=record.currency,
        target=record.target,
        booked=record.booked,
        reason=record.reason,
        loyalty_id=record.loyalty_id,
        guest=not record.buyer and record.loyalty_id is None,
        bookings=record.bookings,
        intent=record.intent,
        until=record.until,
    )
