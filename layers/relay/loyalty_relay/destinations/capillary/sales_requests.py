"""Bodies of the requests that book sales and returns; amounts are Decimals to the last byte.

Sources: Capillary docs, Add/Return transaction (single); Retro transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from typing import Any

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking
from loyalty_relay.destinations.capillary.fields import scalar, v2_moment
from loyalty_relay.model.commands import OrderCommand
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.model.money import ZERO
from loyalty_relay.model.orders import Line, Order

TYPES = {
    ("sale", True): "REGULAR",
    ("sale", False): "NOT_INTERESTED",
    ("return", True): "RETURN",
    ("return", False): "NOT_INTERESTED_RETURN",
    ("conversion", True): "REGULAR",
}
"""Kind of a booking and whether it has a member -> the vendor's type of a transaction."""

MAX_NOTE = 200
"""Characters of a note beside the marker; no page has the length of ``note``, notes of other members end at 250."""
MAX_RATE_PLACES = 6


def check_sale(order: Order) -> list[FieldProblem]:
    """Return what is wrong with the note and the fields of an order; names of fields are the organisation's."""
    problems = []
    if len(order.note) > MAX_NOTE:
        problems.append(FieldProblem("sale.note", f"must be a string of at most {MAX_NOTE} characters"))
    for family in ("custom_fields", "extended_fields"):
        problems += [
            FieldProblem(f"sale.{family}.{name}", "must be a string, a number, true or false")
            for name, value in getattr(order, family).items()
            if not isinstance(value, str | int | float | bool | Decimal)
        ]
    return problems


def type_of(booking: Booking) -> str:
    """Return the vendor's type of a booking."""
    return TYPES[booking.kind, booking.loyalty_id is not None]


def bill(
    booking: Booking, command: OrderCommand, sales: Sales, region: str | None, *, returned: str, with_currency: bool
) -> dict[str, Any]:
    """Return the body of POST /v2/transactions. ``returned``: the return type; empty for a sale."""
    order = command.order
    body: dict[str, Any] = {
        "type": type_of(booking),
        "billNumber": booking.bill,
        "billAmount": booking.amount,
        "billingDate": v2_moment(booking.at, region),
        # The marker comes first, where no length of notes can cut it off.
        "note": f"{booking.marker} {order.note}".strip(),
    }
    if returned:
        body["returnType"] = returned
        if booking.sold_at:
            body["purchaseTime"] = v2_moment(booking.sold_at, region)
    if with_currency:
        body |= {"currencyCode": booking.currency, "addWithLocalCurrency": True}
    lines = lines_of(booking, order) if returned in ("", "LINE_ITEM") else []
    if lines and not returned:
        discount = sum((line.discount for line in lines), ZERO)
        body |= {"grossAmount": booking.amount + discount, "discount": discount}
    if lines:
        body["lineItemsV2"] = [_line(number, line) for number, line in enumerate(lines, 1)]
    if payments := _payments(booking, order, sales) if not returned else []:
        body["paymentModes"] = payments
    for name, values in (("customFields", order.custom_fields), ("extendedFields", order.extended_fields)):
        if values:
            body[name] = {key: scalar(value) for key, value in values.items()}
    if attribution := _attribution(booking.place):
        body["attribution"] = attribution
    return body


def conversion(booking: Booking) -> dict[str, Any]:
    """Return the body of POST /v1.1/transaction/update that makes a guest's bill a member's."""
    transaction = {
        "id": booking.of,
        "old_type": "NOT_INTERESTED",
        "new_type": "REGULAR",
        "customer": {"id": booking.loyalty_id},
        "notes": booking.marker,
    }
    return {"root": {"transaction": [transaction]}}


def _attribution(place: Mapping[str, str]) -> dict[str, Any]:
    for kind in ("till", "store"):
        if code := place.get(kind):
            return {"createdBy": {"code": code, "type": kind.upper()}}
    return {}


def lines_of(booking: Booking, order: Order) -> list[Line]:
    """Return the lines whose sum is exactly the booking's amount, in amounts that make it; none where there are none.

    They are those of the sale, or of the refund that the booking names. Where the booking's amount contains the tax,
    each line's contains its own; where gift cards that were bought do not count, their lines are left out.
    """
    sale = order.sale
    given: Sequence[Line]
    if booking.kind == "sale":
        given = sale.lines if sale and sale.amounts.currency == booking.currency else ()
    else:
        refund = next((r for r in order.refunds if booking.refund_id and r.id == booking.refund_id), None)
        currency = order.currency or (sale.amounts.currency if sale else "")
        given = _named(refund.lines, sale.lines if sale else ()) if refund and currency == booking.currency else ()
    for chosen in (given, [line for line in given if line.kind == "product"]):
        for taxed in ([replace(line, amount=line.amount + line.tax) for line in chosen], chosen):
            if sum((line.amount for line in taxed), ZERO) == booking.amount and all(map(_sendable, taxed)):
                return list(taxed)
    return []


def _named(lines: Iterable[Line], sold: Iterable[Line]) -> list[Line]:
    """Return a refund's lines with the articles of the sale's lines that they name."""
    known = {line.id: line for line in sold if line.id}
    named = []
    for line in lines:
        article = known.get(line.id, line)
        code = line.item_code or article.item_code
        named.append(replace(line, item_code=code, description=line.description or article.description))
    return named


def _sendable(line: Line) -> bool:
    return bool(line.item_code) and line.quantity > 0 and line.amount >= 0 and line.discount >= 0


def _line(serial: int, line: Line) -> dict[str, Any]:
    value = line.amount + line.discount
    found: dict[str, Any] = {
        "serial": serial,
        "itemCode": line.item_code,
        "qty": line.quantity,
        "value": value,
        "discount": line.discount,
        "amount": line.amount,
    }
    if (rate := _rate(value, line.quantity)) is not None:
        found["rate"] = rate
    if line.description:
        found["description"] = line.description
    return found


def _rate(value: Decimal, quantity: Decimal) -> Decimal | None:
    """Return the price of one, or None where it has no exact form: the vendor multiplies it with the quantity."""
    with localcontext() as context:
        context.traps[Inexact] = True
        try:
            rate = value / quantity
        except (Inexact, InvalidOperation, DivisionByZero):
            return None
    exponent = rate.as_tuple().exponent
    return rate if isinstance(exponent, int) and exponent >= -MAX_RATE_PLACES else None


def _payments(booking: Booking, order: Order, sales: Sales) -> Sequence[dict[str, Any]]:
    """Return the payments whose mode the connection maps, where all payments are exactly the booking's amount."""
    sale = order.sale
    if sale is None or sale.amounts.currency != booking.currency:
        return []
    if sum((payment.amount for payment in sale.payments), ZERO) != booking.amount:
        return []
    return [
        {"mode": sales.payment_modes[payment.mode], "value": payment.amount}
        for payment in sale.payments
        if payment.mode in sales.payment_modes and payment.amount > 0
    ]
