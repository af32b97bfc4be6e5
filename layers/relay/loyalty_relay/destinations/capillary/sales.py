"""Sales and returns in the books of a Capillary organisation.

A sale's bill number is its identity; a return has the number of its sale, so that every booking carries its marker in
the note, by which it is found again. Of the buyer only the loyalty id is sent, and this API registers no customer.

Sources: Capillary docs, Add/Return transaction (single); Get transaction details; Get transaction details using bill
number; Retro transaction; Get transaction details V1.1; Transaction, Response codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt
from loyalty_relay.destinations.capillary import v1
from loyalty_relay.destinations.capillary.codes import AsError, meaning
from loyalty_relay.destinations.capillary.errors import (
    UNDECIDED,
    CapillaryReply,
    MergedAway,
    is_denial,
    read_v2,
    reported_errors,
)
from loyalty_relay.destinations.capillary.fields import truth
from loyalty_relay.destinations.capillary.members import Members
from loyalty_relay.destinations.capillary.options import Options
from loyalty_relay.destinations.capillary.responses import (
    member_id,
    read_side_effects,
    read_warnings,
    side_effect,
)
from loyalty_relay.destinations.capillary.sales_records import BillRecord, ours, v1_records, v2_record, v2_records
from loyalty_relay.destinations.capillary.sales_requests import bill, conversion, lines_of, type_of
from loyalty_relay.destinations.capillary.session import CapillarySession
from loyalty_relay.http.messages import NotJson, build_request, json_of, path_segment
from loyalty_relay.model.commands import CustomerRef, OrderCommand
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    CustomerNotFound,
    PermanentError,
    UpstreamUnavailable,
    VendorRejected,
    after_effect,
)
from loyalty_relay.model.money import ZERO, decimal_of
from loyalty_relay.model.outcomes import Notice

SIGNATURE = "LOYALTY_RELAY"
"""The name under which the organisation finds our conversions."""

UNKNOWN_BILL = frozenset({"620", "624", "625", "667", "668", "680", "1628"})
"""Codes by which a look-up reports that there is no such transaction."""

NEXT_RETURN: Mapping[str, frozenset[str]] = {
    "FULL": frozenset({"639", "676"}),
    "LINE_ITEM": frozenset({"626", "629", "632", "674", "678", "688"}),
}
"""Refusals of a return type after which the return is possible by amount: nothing was booked."""

MOST_PAGES = 20
"""Pages of one bill's records that are read; a page has 100."""


class BillBook:
    """The bills of one organisation, as one source account sees them."""

    def __init__(self, session: CapillarySession, destination: Destination, members: Members, sales: Sales) -> None:
        self._session = session
        self._destination = destination
        self._members = members
        self._sales = sales
        self._v2 = f"{destination.host}/v2/transactions"
        self._v1 = f"{destination.host}/v1.1/transaction"

    def book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        """See ``SalesCrm.book``. A member who was merged away is followed to the survivor, with a notice ``merged``.

        Points that the vendor reports as not done are the notice ``points_not_done``, besides the vendor's own.
        """
        try:
            return self._book(booking, command, deadline)
        except MergedAway as merged:
            survivor = merged.survivor or self._survivor(booking, deadline)
            if survivor in (None, booking.loyalty_id):
                raise CustomerNotFound(
                    "the member was merged, and the survivor is not known",
                    code=merged.code,
                    request_id=merged.request_id,
                ) from merged
            receipt = self._book(replace(booking, loyalty_id=survivor), command, deadline)
            notice = Notice("merged", "the member had been merged into another one, who was booked")
            return replace(receipt, notices=(notice, *receipt.notices))

    def find(self, booking: Booking, deadline: Deadline) -> BookingReceipt | None:
        """See ``SalesCrm.find_booking``: by the vendor's id where it is known, else by bill number.

        V2 documents returns by id only; where a bill shows none, V1.1 is read, which documents them by number.
        """
        records = self._records(booking, deadline)
        members = [booking.loyalty_id]
        if booking.loyalty_id and any(r.member not in (None, *members) for r in records):
            members.append(self._survivor(booking, deadline) or booking.loyalty_id)
        found = ours(records, booking, members)
        return None if found is None else BookingReceipt(transaction_id=found.id)

    # -- writing --------------------------------------------------------------------------------------------------

    def _book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        try:
            if booking.kind == "conversion":
                return self._convert(booking, deadline)
            *preferred, last = self._return_types(booking, command)
            for kind in preferred:
                try:
                    return self._send(booking, command, kind, deadline)
                except VendorRejected as refused:
                    if refused.reached or refused.code not in NEXT_RETURN[kind]:
                        raise
            return self._send(booking, command, last, deadline)
        except PermanentError as refused:
            if not refused.reached and meaning(refused.code or "", sale=True).error not in UNDECIDED:
                raise
            return self._looked_up(booking, refused, deadline)

    def _return_types(self, booking: Booking, command: OrderCommand) -> list[str]:
        """Return the return types in the order of preference; one empty text for a sale.

        The whole is certain where the sale is the only booking before: what is left is then all of it.
        """
        if booking.kind == "sale":
            return [""]
        if booking.whole and booking.number == 2:
            return ["FULL", "AMOUNT"]
        if booking.by_line and lines_of(booking, command.order):
            return ["LINE_ITEM", "AMOUNT"]
        return ["AMOUNT"]

    def _send(self, booking: Booking, command: OrderCommand, returned: str, deadline: Deadline) -> BookingReceipt:
        destination = self._destination
        options = Options.of(destination, {})
        params: dict[str, str | int] = dict(options.place())
        if booking.loyalty_id is not None:
            params |= {"identifierName": "id", "identifierValue": booking.loyalty_id}
        if options.use_async is not None:
            params["use_async"] = truth(options.use_async)
        body = bill(
            booking,
            command,
            self._sales,
            destination.region,
            returned=returned,
            with_currency=bool(destination.options.get("local_currency")),
        )
        request = build_request(
            api="v2-transaction", method="POST", url=self._v2, headers=options.headers(), params=params, json=body
        )
        answer, reply = self._session.exchange(
            request, lambda reply: (_booked(reply), reply), deadline, values=_values(command)
        )
        notices = _with_points(read_warnings(answer, reply.values))
        points = _points(read_side_effects(answer))
        made = member_id(answer.get("createdId"))
        if made is None:
            found = self._read_back(booking, reply, deadline)
            return replace(found, points=points, notices=notices, request_id=reply.request_id)
        return BookingReceipt(transaction_id=made, points=points, notices=notices, request_id=reply.request_id)

    def _convert(self, booking: Booking, deadline: Deadline) -> BookingReceipt:
        options = Options.of(self._destination, {})
        request = build_request(
            api="v1-transaction",
            method="POST",
            url=f"{self._v1}/update",
            headers={**options.headers(), "X-CAP-CLIENT-SIGNATURE": SIGNATURE},
            params={"format": "json"},
            json=conversion(booking),
        )
        (items, warnings), reply = self._session.exchange(
            request, lambda reply: (_v1_items(reply), reply), deadline, values=(booking.loyalty_id or "",)
        )
        notices = _with_points(warnings)
        effects = [side_effect(effect) for effect in v1.listed(items[0].get("side_effects"), "effect")]
        made = member_id(items[0].get("id"))
        if made is None:
            return replace(self._read_back(booking, reply, deadline), points=_points(effects), notices=notices)
        return BookingReceipt(
            transaction_id=made, points=_points(effects), notices=notices, request_id=reply.request_id
        )

    def _read_back(self, booking: Booking, reply: CapillaryReply, deadline: Deadline) -> BookingReceipt:
        """Return the record of what was just booked."""
        with after_effect():
            found = self.find(booking, deadline)
        if found is None:
            summary = "the booking was accepted, and the bill does not show it yet"
            raise UpstreamUnavailable(summary, reached=True, request_id=reply.request_id)
        return found

    def _looked_up(self, booking: Booking, refused: PermanentError, deadline: Deadline) -> BookingReceipt:
        """Return the booking that an error is about, where the vendor's books have it; else raise what it means."""
        code = refused.code or ""
        # A look-up that fails leaves open whether the booking was made.
        with after_effect():
            found = self.find(booking, deadline)
        if found is not None:
            notices = _with_points((Notice(code, f"the booking is made; the destination reported: {refused}"),))
            return replace(found, notices=notices, request_id=refused.request_id)
        known = meaning(code, sale=True)
        if code == "604":
            raise AmbiguousOutcome(
                "604: the bill number exists, and the bill cannot be read", code=code, request_id=refused.request_id
            )
        if refused.reached or known.error is AsError.LOOKED_UP_AGAIN:
            raise UpstreamUnavailable(str(refused), reached=True, code=code, request_id=refused.request_id)
        raise refused

    # -- reading --------------------------------------------------------------------------------------------------

    def _survivor(self, booking: Booking, deadline: Deadline) -> str | None:
        return self._members.survivor(booking.loyalty_id, CustomerRef(), deadline)

    def _records(self, booking: Booking, deadline: Deadline) -> list[BillRecord]:
        try:
            if booking.transaction_id:
                return self._by_id(booking, deadline)
            records = self._by_number(booking.bill, deadline)
            shown = any(record.is_return or record.marked(booking.marker) for record in records)
            if booking.kind == "return" and not shown:
                return self._by_number_v1(booking, deadline)
            return records
        except CredentialsRefused as refused:
            if not is_denial(refused.code):
                raise
            raise _unreadable(refused) from refused
        except VendorRejected as refused:
            if refused.code in UNKNOWN_BILL:
                return []
            raise _unreadable(refused) from refused

    def _by_id(self, booking: Booking, deadline: Deadline) -> list[BillRecord]:
        request = build_request(
            api="v2-read",
            method="GET",
            url=f"{self._v2}/{path_segment(booking.transaction_id)}",
            params={"type": type_of(booking)},
        )
        record = v2_record(self._session.exchange(request, lambda reply: _read(reply, "id"), deadline))
        return [] if record is None else [record]

    def _by_number(self, number: str, deadline: Deadline) -> list[BillRecord]:
        """Return every record under a bill number. Raises AmbiguousOutcome where only a part of them can be read."""
        records: dict[tuple[str, str], BillRecord] = {}
        for _ in range(MOST_PAGES):
            request = build_request(
                api="v2-read",
                method="GET",
                url=f"{self._v2}/getByBillNumber/{path_segment(number)}",
                params={"offset": len(records)} if records else None,
            )
            body = self._session.exchange(request, lambda reply: _read(reply, "data"), deadline)
            known = len(records)
            records |= {(r.type, r.id): r for r in v2_records(body)}
            pagination = body.get("pagination")
            total = pagination.get("total") if isinstance(pagination, Mapping) else None
            if not isinstance(total, int) or len(records) >= total:
                return [record for record in records.values() if record.bill in ("", number)]
            if len(records) == known:
                break
        raise AmbiguousOutcome("the bill has more records than can be read")

    def _by_number_v1(self, booking: Booking, deadline: Deadline) -> list[BillRecord]:
        request = build_request(
            api="v1-read",
            method="GET",
            url=f"{self._v1}/get",
            params={
                "format": "json",
                "number": booking.bill,
                "type": type_of(booking),
                "user_id": "true",
                "limit": 100,
            },
        )
        try:
            items, _ = self._session.exchange(request, _v1_items, deadline)
        except (v1.AllFailed, CustomerNotFound):
            return []
        return [record for record in v1_records(items) if record.bill in ("", booking.bill)]


def _unreadable(refused: CredentialsRefused | VendorRejected) -> AmbiguousOutcome:
    return AmbiguousOutcome(f"the bill cannot be read: {refused}", code=refused.code, request_id=refused.request_id)


def _read(reply: CapillaryReply, need: str) -> dict[str, Any]:
    return read_v2(replace(reply, sale=True), need)


def _v1_items(reply: CapillaryReply) -> tuple[list[dict[str, Any]], tuple[Notice, ...]]:
    return v1.read_items(replace(reply, sale=True), "transactions", "transaction")


def _booked(reply: CapillaryReply) -> dict[str, Any]:
    """Return the body of a booking that was made. Errors beside an id may have had an effect."""
    try:
        return read_v2(replace(reply, sale=True), "createdId", write=True)
    except PermanentError as refused:
        body = json_of(reply.answer)
        if not isinstance(body, NotJson) and reported_errors(body) and member_id(body.get("createdId")):
            refused.reached = True
        raise


def _values(command: OrderCommand) -> tuple[str, ...]:
    """Return the texts of a request that a vendor's message can echo and that may be about a person."""
    order = command.order
    fields = [*order.custom_fields.values(), *order.extended_fields.values()]
    lines = order.sale.lines if order.sale else ()
    texts = [order.note, *fields, *(line.description for line in lines)]
    return tuple(text for text in texts if isinstance(text, str) and text)


def _with_points(notices: tuple[Notice, ...]) -> tuple[Notice, ...]:
    """Return the notices, and one more where a code among them reports that the points of a booking are not done."""
    codes = [notice.code for notice in notices if meaning(notice.code, sale=True).no_points]
    if not codes:
        return notices
    summary = f"the bill is booked, and its points are not, or not all ({', '.join(codes)})"
    return (*notices, Notice("points_not_done", summary))


def _points(effects: list[dict[str, Any]]) -> Decimal | None:
    """Return the sum of points of the side effects; None where they have none."""
    given = [effect.get("points") for effect in effects if effect["type"] == "points"]
    points = [decimal_of(value) for value in given if value is not None]
    return sum(points, ZERO) if points else None
