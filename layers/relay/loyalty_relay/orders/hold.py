"""A hold: the lease on one order's record while its bookings are brought to what it earns."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self

from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import OrderCommand
from loyalty_relay.model.orders import Sale
from loyalty_relay.orders.known import check_currency, fold, joined, without_lines
from loyalty_relay.orders.lines import packed, with_lines
from loyalty_relay.orders.plan import folded
from loyalty_relay.orders.record import OrderRecord
from loyalty_relay.orders.records import OrderRecords
from loyalty_relay.orders.target import WAITS
from loyalty_relay.reliability.journal import JournalEntry

MOST_ALIASES = 50
"""Other names of one order that are kept."""


class OrderHold:
    """The lease of one order for one command. Made by ``OrderLedger.hold``; ends with its ``with`` block.

    A block that does not end the hold itself ends it with a release: what was written so far stays, an intent included.
    A process that dies leaves the lease, which runs out.
    """

    record: OrderRecord
    """As it is now; handlers replace it and write it with the methods."""

    def __init__(self, records: OrderRecords, record: OrderRecord) -> None:
        self._records = records
        self.record = record
        self._pointers: list[str] = []
        self._absorbed: list[OrderRecord] = []
        self._reported: Sale | None = None
        self._outdated = False
        self._takes_lines = False
        self.ended = False
        """Whether the lease has ended."""
        self._written = False

    def fold(self, command: OrderCommand, *, takes_lines: bool = False) -> None:
        """Fold a report into the record, with what came under its aliases before.

        ``takes_lines``: whether the vendor takes lines, so that those of a sale that waits are kept.
        Raises LeaseBusy for those, InvalidCommand for money in another currency than the sale's and for more refunds
        than a record holds.
        """
        order = command.order
        record = self.record
        names = (order.id, *order.aliases)
        new = tuple(dict.fromkeys(name for name in names if name not in (record.order_id, *record.aliases)))
        known = fold(record.known, order, command.version)
        check_currency(known, record.known, order)
        self._absorbed, self._pointers = self._records.absorb(record, new[: MOST_ALIASES - len(record.aliases)])
        for orphan in self._absorbed:
            check_currency(known, orphan.known)
            known = joined(known, orphan.known)
        self.record = replace(
            folded(record, known), aliases=(*record.aliases, *self._pointers), store=record.store or command.store or ""
        )
        if order.sale is not None and without_lines(order.sale) == known.sale:
            self._reported, self._outdated = order.sale, record.lines
            self.record = replace(self.record, lines=False)
        self._takes_lines = takes_lines
        self.record.check_size()

    def sale(self) -> Sale | None:
        """Return the sale as it is known, with lines and payments where they were just reported or are kept."""
        known = self.record.known.sale
        if self._reported is not None or known is None:
            return self._reported or known
        text = self._records.lines(self.record)
        return with_lines(known, text) if text else known

    def intend(self, booking: Booking, now: float) -> None:
        """Record that a booking is about to be made. Raises LeaseLost, as do the other writes."""
        self.record = replace(self.record, intent=booking, intent_at=now)
        self._write()

    def withdraw(self) -> None:
        """Remove the intent: the request never left, or was refused."""
        self.record = replace(self.record, intent=None, intent_at=0.0)
        self._write()

    def commit(self, record: OrderRecord, entry: JournalEntry | None) -> None:
        """Write the record as it is after a booking. With an entry it is journalled as well, and the hold ends."""
        self.record = record
        self._write(entry, end=entry is not None)

    def save(self) -> None:
        """Write the record and end the hold: what the command reported is kept, whatever becomes of the command."""
        self._write(end=True)

    def _write(self, entry: JournalEntry | None = None, *, end: bool = False) -> None:
        lines = self._lines() if end else None
        if lines is not None:
            self.record = replace(self.record, lines=bool(lines))
        self._records.write(
            self.record, pointers=self._pointers, absorbed=self._absorbed, lines=lines, entry=entry, end=end
        )
        self.ended, self._written = end, True
        self._pointers, self._absorbed = [], []

    def _lines(self) -> str | None:
        """Return the lines to keep, "" to remove those that are kept, or None where nothing changes.

        They are kept while the sale waits to be booked, and for returns by line, which may name them by id alone.
        """
        record = self.record
        by_line = record.rules is not None and record.rules.returns == "line"
        if self._takes_lines and (by_line if record.bookings else record.reason in WAITS):
            text = packed(self._reported) if self._reported else ""
            return text or ("" if self._outdated else None)
        return "" if record.bookings and (record.lines or self._outdated) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.ended or not (error is None or isinstance(error, Exception)):
            return
        for orphan in self._absorbed:
            self._records.release(orphan)
        self._records.release(self.record, written=self._written)
