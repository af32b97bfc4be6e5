"""An order's ledger for people and tools: the response of the API, and what ``relay sales show`` prints."""

from __future__ import annotations

from typing import Any, Literal

from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import instant_at
from loyalty_relay.model.money import text_of
from loyalty_relay.orders.ledger import OrderState
from loyalty_relay.orders.target import WAITS

Step = Literal["nothing", "book", "take_back", "look_up", "wait"]


def order_to_dict(state: OrderState) -> dict[str, Any]:
    """Return an order's state as JSON: amounts as decimal texts, no personal data."""
    shown: dict[str, Any] = {
        "order_id": state.order_id,
        "aliases": list(state.aliases),
        "sale_known": state.sale_known,
        "paid_currency": state.paid_currency,
        "total": None if state.total is None else text_of(state.total),
        "captured": text_of(state.captured),
        "refunded": text_of(state.refunded),
        "refunds": {refund: text_of(amount) for refund, amount in state.refunds.items()},
        "currency": state.currency,
        "target": text_of(state.target),
        "booked": text_of(state.booked),
        "difference": text_of(state.difference),
        "next": next_step(state),
        "reason": state.reason or None,
        "loyalty_id": state.loyalty_id,
        "guest": state.guest,
        "bookings": [_booking_to_dict(booking) for booking in state.bookings],
        "intent": None if state.intent is None else _booking_to_dict(state.intent),
        "kept_until": instant_at(state.until),
    }
    return {name: value for name, value in shown.items() if value is not None}


def next_step(state: OrderState) -> Step:
    """Return what is done next with an order.

    ``look_up``: whether the booking under way was made; ``wait``: for a later event, as ``reason`` has it.
    """
    if state.intent is not None:
        return "look_up"
    if state.difference:
        return "book" if state.difference > 0 else "take_back"
    return "wait" if state.reason in WAITS else "nothing"


def _booking_to_dict(booking: Booking) -> dict[str, Any]:
    shown = {
        "number": booking.number,
        "kind": booking.kind,
        "amount": text_of(booking.amount),
        "currency": booking.currency,
        "bill": booking.bill,
        "at": booking.at,
        "transaction_id": booking.transaction_id,
        "refund_id": booking.refund_id,
        "loyalty_id": booking.loyalty_id,
    }
    return {name: value for name, value in shown.items() if value not in (None, "")}
