"""What the vendor's books show of a bill, and whether a record there is a booking of ours.

Sources: Capillary docs, Get transaction details; Get transaction details using bill number; Get transaction details
V1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loyalty_relay.destinations.base import Booking
from loyalty_relay.destinations.capillary.responses import member_id
from loyalty_relay.destinations.capillary.sales_requests import type_of
from loyalty_relay.destinations.capillary.v1 import listed
from loyalty_relay.model.errors import AmbiguousOutcome
from loyalty_relay.model.money import decimal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRecord:
    """One transaction in the vendor's books. ``amount`` is positive, for returns as well; None: not shown."""

    id: str
    type: str
    bill: str
    amount: Decimal | None
    member: str | None
    note: str

    @property
    def is_return(self) -> bool:
        return self.type.endswith("RETURN")

    def marked(self, marker: str) -> bool:
        """Return whether the note has the marker of a booking."""
        return marker in self.note.split()


def v2_record(given: Mapping[str, Any]) -> BillRecord | None:
    """Return a transaction of V2 as a record; None where it has no id."""
    details = given.get("billDetails")
    details = details if isinstance(details, Mapping) else {}
    return _record(given, details, details.get("billNumber"), details.get("note"), given.get("customerId"))


def v2_records(body: Mapping[str, Any]) -> list[BillRecord]:
    """Return the records of a response of GET /v2/transactions/getByBillNumber/{number}."""
    return [record for item in listed(body, "data") if (record := v2_record(item)) is not None]


def v1_records(items: Iterable[Mapping[str, Any]]) -> list[BillRecord]:
    """Return the records of a response of GET /v1.1/transaction/get."""
    found = []
    for item in items:
        customer = item.get("customer")
        member = customer.get("user_id") if isinstance(customer, Mapping) else None
        if (record := _record(item, item, item.get("number"), item.get("notes"), member)) is not None:
            found.append(record)
    return found


def _record(
    item: Mapping[str, Any], details: Mapping[str, Any], bill: Any, note: Any, member: Any
) -> BillRecord | None:
    known = member_id(item.get("id"))
    if known is None:
        return None
    try:
        amount = abs(decimal_of(details.get("amount")))
    except ValueError:
        amount = None
    return BillRecord(
        id=known,
        type=str(item.get("type") or "REGULAR").upper(),
        bill=str(bill or ""),
        amount=amount,
        member=member_id(member),
        note=note if isinstance(note, str) else "",
    )


def ours(records: Iterable[BillRecord], booking: Booking, members: Iterable[str | None]) -> BillRecord | None:
    """Return the record that is the booking; None when there is none.

    A record is the booking's if marker, kind, amount and member are the same; ``members``: the booking's, under every
    id. A conversion has no record of its own: the sale's is a member's after it.
    Raises AmbiguousOutcome for several, for one with the marker that differs, and for one that may be it and shows no
    marker. A sale's number is its own, so any other sale under it is such a one.
    """
    kept = list(records)
    if booking.kind == "conversion":
        return _converted(kept, booking, members)
    marked = [record for record in kept if record.marked(booking.marker)]
    if len(marked) > 1:
        raise AmbiguousOutcome(f"the bill has {len(marked)} records of one booking")
    for record in marked:
        if (record.type, record.amount) != (type_of(booking), booking.amount) or record.member not in members:
            raise AmbiguousOutcome("the bill's record of this booking has another type, amount or member")
        return record
    returned = booking.kind == "return"
    for record in kept:
        if record.is_return is not returned:
            continue
        if not returned:
            raise AmbiguousOutcome("the bill number is taken, and the record does not show this booking")
        if not record.note and record.amount in (None, booking.amount):
            raise AmbiguousOutcome("the bill has a return of this amount whose note is not shown")
    return None


def _converted(records: Iterable[BillRecord], booking: Booking, members: Iterable[str | None]) -> BillRecord | None:
    for record in records:
        if record.type == "REGULAR":
            if record.member in members:
                return record
            raise AmbiguousOutcome("the bill was converted for another member")
    return None
