"""Sales and returns: rewards and returns of points by amount, and finding those whose answer was lost.

Facts: Kangaroo API blueprint (Transactions; Transaction details). The vendor refuses no copy, so each booking carries a
marker of its own, and the bill number under which the list of transactions finds it. An unknown customer who is named
by e-mail or phone would be created and welcomed: only ids are sent. The blueprint shows the name of a reward and not
that of a return, and whether the branch of a link, which is a virtual one, takes sales.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.base import Booking, BookingReceipt
from loyalty_relay.destinations.kangaroo.errors import VendorError, refuse
from loyalty_relay.destinations.kangaroo.fields import custom_text
from loyalty_relay.destinations.kangaroo.responses import text_id
from loyalty_relay.destinations.kangaroo.session import KangarooSession, unwrapped
from loyalty_relay.http.messages import json_of
from loyalty_relay.model.commands import OrderCommand
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    PermanentError,
    UnsupportedByDestination,
    UpstreamUnavailable,
)
from loyalty_relay.model.money import decimal_of
from loyalty_relay.model.outcomes import Notice

INTENTS = {"sale": "reward", "return": "return"}
MARKER = "custom_field_1"
REFUND = "custom_field_2"
"""Has the refund's id, unless the connection's mapping uses it."""
MAPPED = tuple(f"custom_field_{number}" for number in range(2, 6))
MOST_CHARACTERS = 255
"""Of a custom field."""

REWARD = "reward"
"""Name of the transaction that the intent ``reward`` makes, in small letters."""

_CANCELLED = re.compile(r"\bcancel", re.IGNORECASE)
_UNKNOWN_CUSTOMER = re.compile(
    r"\bcustomer(?:[. ]id)?(?: was| is| does| could)? (?:not (?:be )?(?:found|exist)|invalid|unknown)", re.IGNORECASE
)
_BRANCH = re.compile(r"\bbranch(?:es)?\b", re.IGNORECASE)
_EMPLOYEE = re.compile(r"\bemployee\b|\bpin[ _]code\b", re.IGNORECASE)


class Transactions:
    """The sales of one destination: ``book`` and ``find_booking`` of ``base.SalesCrm``."""

    def __init__(self, destination: Destination, session: KangarooSession) -> None:
        self._destination = destination
        self._session = session

    def book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        """Make one booking (``POST /transactions``).

        A branch that is refused is left out, with the notice ``branch_refused``, where it comes from the shop's link
        or the order was booked there before: the vendor then books at the business's main branch.

        Raises CustomerNotFound for an unknown customer, InvalidCommand for a branch or an employee that the vendor
        refuses, VendorRejected for the rest, and UpstreamUnavailable for a success whose id cannot be read.
        """
        made = transaction(booking, command, self._destination)
        answer, refused = self._post(made.body, deadline)
        optional = "branch" in made.body and (booking.number > 1 or not booking.place)
        if refused is not None and optional and _about(refused, _BRANCH, "branch"):
            made.notices.append(Notice("branch_refused", "booked at the main branch instead", "branch"))
            answer, refused = self._post({n: v for n, v in made.body.items() if n != "branch"}, deadline)
        if refused is not None:
            _refuse(answer, refused)
        shown = unwrapped(json_of(answer))
        receipt = _receipt(shown, booking)
        if receipt is None:
            raise UpstreamUnavailable("the transaction was made, but the response has no id", reached=True)
        if _amount(shown) not in (None, booking.amount):
            made.notices.append(
                Notice("amount_differs", "the destination shows another amount than was sent", "amount")
            )
        return BookingReceipt(transaction_id=receipt.transaction_id, points=receipt.points, notices=tuple(made.notices))

    def _post(self, body: Mapping[str, Any], deadline: Deadline) -> tuple[httpx.Response, VendorError | None]:
        return self._session.ask(self._session.request("api", "POST", "/transactions", json=body), deadline)

    def find_booking(self, booking: Booking, deadline: Deadline) -> BookingReceipt | None:
        """Find a booking by its bill number, then by its marker; None when the vendor's list does not have it.

        Raises AmbiguousOutcome where the list is refused or has no details, and where what has the marker is another
        customer's, of another kind or amount, cancelled, or there twice.
        """
        request = self._session.request(
            "api",
            "GET",
            "/transactions",
            params={
                "transaction_details.external_order_id": f"eq|{booking.bill}",
                "relationships": "customer,transaction_details",
            },
        )
        try:
            found = [item for item in self._session.pages(request, deadline) if _marker(item) == booking.marker]
        except AmbiguousOutcome:
            raise
        except PermanentError as error:
            raise AmbiguousOutcome("the destination does not list its transactions", code=error.code) from None
        if not found:
            return None
        receipt = _receipt(found[0], booking)
        if len(found) > 1 or receipt is None or not _same(found[0], booking):
            raise AmbiguousOutcome("the destination has the booking twice, or shows it otherwise than it was sent")
        return receipt


@dataclass(slots=True)
class Transaction:
    """The body of ``POST /transactions``, and what was left out of it."""

    body: dict[str, Any]
    notices: list[Notice] = field(default_factory=list)


def transaction(booking: Booking, command: OrderCommand, destination: Destination) -> Transaction:
    """Return what is sent for a booking. Raises UnsupportedByDestination for a guest's sale and for a conversion."""
    intent = INTENTS.get(booking.kind)
    if intent is None or booking.loyalty_id is None:
        raise UnsupportedByDestination("kangaroo books sales and returns of customers only, no guest's sale")
    details = {"external_order_id": booking.bill, MARKER: booking.marker}
    if booking.refund_id and len(booking.refund_id) <= MOST_CHARACTERS:
        details[REFUND] = booking.refund_id
    made = Transaction(
        {
            "intent": intent,
            "amount": booking.amount,
            "customer": {"id": booking.loyalty_id},
            "created_at": _time(booking.at),
            "receipt": {"number": booking.bill},
            "transaction_details": details,
        }
    )
    for name, value in command.order.custom_fields.items():
        text = custom_text(value)
        if _wrong(name, text):
            made.notices.append(Notice("value_not_taken", "", f"custom_fields.{name}"))
        elif text:
            details[name] = text
    branch = booking.place.get("branch") or booking.linked_branch
    if branch:
        made.body["branch"] = {"id": branch}
    employee = {
        "id": destination.options.get("employee_id"),
        "pin_code": destination.credentials.get("employee_pin_code"),
    }
    if any(employee.values()):
        made.body["employee"] = {name: value for name, value in employee.items() if value}
    return made


def check_sale(command: OrderCommand) -> list[FieldProblem]:
    """See ``base.SalesCrm.check_sale``: custom fields are texts, and nothing else of an order is sent as it is."""
    order = command.order
    problems = [
        FieldProblem(f"custom_fields.{name}", problem)
        for name, value in order.custom_fields.items()
        if (problem := _wrong(name, custom_text(value)))
    ]
    return problems + [
        FieldProblem(f"extended_fields.{name}", "is not part of this destination's transactions")
        for name in order.extended_fields
    ]


def _wrong(name: str, value: Any) -> str | None:
    if name not in MAPPED:
        return f"is not a custom field of this destination's transactions, which are {MAPPED[0]} to {MAPPED[-1]}"
    if value is not None and not isinstance(value, str):
        return "must be a string"
    return f"must have at most {MOST_CHARACTERS} characters" if value and len(value) > MOST_CHARACTERS else None


def _time(instant: str) -> str:
    """Return ``instant`` text as the blueprint writes a time: ``2000-07-01T00:00:00+00:00``."""
    return f"{instant[:19]}+00:00"


# -- what comes back ----------------------------------------------------------------------------------------------


def _receipt(shown: Mapping[str, Any], booking: Booking) -> BookingReceipt | None:
    number = text_id(shown.get("id"))
    if number is None:
        return None
    points = _decimal(shown.get("points"))
    if points is not None and booking.kind == "return":
        points = -abs(points)
    return BookingReceipt(transaction_id=number, points=points)


def _decimal(value: Any) -> Decimal | None:
    try:
        return decimal_of(value)
    except ValueError:
        return None


def _amount(shown: Mapping[str, Any]) -> Decimal | None:
    """Return the amount without its sign: whether a return's is negative is not documented."""
    amount = _decimal(shown.get("amount"))
    return None if amount is None else abs(amount)


def _marker(item: Mapping[str, Any]) -> str | None:
    """Return the marker of a listed transaction, None without one. Raises AmbiguousOutcome where details are absent."""
    if "transaction_details" not in item:
        raise AmbiguousOutcome("the destination lists its transactions without their details")
    details = item["transaction_details"]
    marker = details.get(MARKER) if isinstance(details, Mapping) else None
    return marker if isinstance(marker, str) else None


def _same(item: Mapping[str, Any], booking: Booking) -> bool:
    """Return whether a transaction with a booking's marker is that booking."""
    customer, name = item.get("customer"), str(item.get("name") or "").strip()
    owner = text_id(customer.get("id")) if isinstance(customer, Mapping) else None
    is_reward = name.casefold() == REWARD
    return (
        owner is not None
        and owner.casefold() == (booking.loyalty_id or "").casefold()
        and _amount(item) == booking.amount
        and is_reward == (booking.kind == "sale")
        and not _CANCELLED.search(name)
    )


def _about(refused: VendorError, pattern: re.Pattern[str], name: str) -> bool:
    """Return whether a refusal is about one object of the body, in whichever of the vendor's shapes."""
    if refused.status not in (400, 404, 422):
        return False
    if refused.problems:
        return {problem.field.partition(".")[0] for problem in refused.problems} == {name}
    return refused.matches(pattern)


def _refuse(answer: httpx.Response, refused: VendorError) -> NoReturn:
    if _about(refused, _EMPLOYEE, "employee"):
        raise InvalidCommand(
            refused.message,
            code=refused.code,
            problems=[FieldProblem("employee", "set options.employee_id or credentials.employee_pin_code")],
        )
    if _about(refused, _BRANCH, "branch"):
        raise InvalidCommand(
            refused.message,
            code=refused.code,
            problems=[FieldProblem("branch", "correct it in sales.stores")],
        )
    if _about(refused, _UNKNOWN_CUSTOMER, "customer"):
        raise CustomerNotFound("the destination has no such customer", code=refused.code)
    refuse(answer, refused, names=_our_name)


def _our_name(theirs: str) -> str:
    return theirs.replace("transaction_details.", "custom_fields.", 1)
