"""The record of one order: what is known, what was booked, and the booking that may be under way. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import plain
from loyalty_relay.model.errors import InvalidCommand
from loyalty_relay.model.money import ZERO, decimal_of
from loyalty_relay.orders.bills import marker
from loyalty_relay.orders.known import KnownOrder
from loyalty_relay.orders.target import frozen_rules, rules_of
from loyalty_relay.storage.lease import Lease
from loyalty_relay.storage.table import Item

MOST_BYTES = 380_000
"""Of a record before its bookings are made; DynamoDB takes items of 400 KB."""

_CONSTANT = ("currency", "marker", "order_id", "sold_at", "place", "linked_branch", "by_line")
"""Members that all bookings of an order have alike, or that follow from their number; kept once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One order of one connection. ``lease``: set while this execution has it."""

    pk: str
    connection: str
    order_id: str
    known: KnownOrder = field(default_factory=KnownOrder)
    aliases: tuple[str, ...] = ()
    store: str = ""
    """Which shop of the source the order is from, where a connection has several."""
    buyer: str = ""
    """Keyed hash of the customer's id at the source; empty for a guest."""
    loyalty_id: str | None = None
    """The member to whom the order is booked."""
    contacts: tuple[str, ...] = ()
    """Keyed digests of a guest's contacts under which the order waits."""
    rules: Sales | None = None
    """Frozen at the first booking."""
    bill: str = ""
    """The order's own bill number, from its first booking on."""
    currency: str = ""
    """Of the bookings, from the first on."""
    shown_as: str = ""
    """``Booking.order_id`` of all bookings."""
    place: Mapping[str, str] = field(default_factory=dict)
    linked_branch: str = ""
    bookings: tuple[Booking, ...] = ()
    unsettled: Mapping[str, Decimal] = field(default_factory=dict)
    """Refunds of which the bookings include another amount than is known: that amount, by id."""
    intent: Booking | None = None
    """A booking that may have been made: its request was about to be sent, and its answer is not recorded."""
    intent_at: float = 0.0
    """When it was written, epoch seconds."""
    target: Decimal = ZERO
    reason: str = ""
    """Why nothing earns, or what the order waits for."""
    lines: bool = False
    """Whether the lines and payments of the known sale are kept, in an item of their own."""
    unconverted: bool = False
    """Whether the vendor refused to make a guest's sales the member's; returns stay possible without it."""
    woken: bool = False
    """Whether the sale was requested from the platform, because a refund came without it."""
    until: float = 0.0
    """When the record may be forgotten, epoch seconds."""
    lease: Lease | None = field(default=None, compare=False)

    @property
    def booked(self) -> Decimal:
        """What was booked so far: sales minus returns."""
        signs = {"sale": 1, "return": -1, "conversion": 0}
        return sum((signs[booking.kind] * booking.amount for booking in self.bookings), ZERO)

    def settled(self) -> OrderRecord:
        """Return the record once the bookings include every refund."""
        return replace(self, unsettled={})

    def to_attributes(self) -> Item:
        """Return the attributes of the item, without its keys and lease."""
        state: dict[str, Any] = {}
        for name in _PLAIN:
            value = getattr(self, name)
            if value:
                state[name] = plain(value)
        state["known"] = self.known.to_dict()
        if self.rules is not None:
            state["rules"] = frozen_rules(self.rules)
        state["bookings"] = [_row(booking) for booking in self.bookings]
        text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
        item: Item = {"connection": self.connection, "order_state": text, "expires_at": int(self.until)}
        if self.intent is not None:
            item["intent"] = json.dumps(plain(self.intent), ensure_ascii=False, separators=(",", ":"))
            item["intent_at"] = self.intent_at
        return item

    @classmethod
    def from_item(cls, item: Item, order_id: str) -> OrderRecord:
        """Return the record of an item. ``order_id``: of an item that has no state yet."""
        state = json.loads(item.get("order_state", "{}"))
        given: dict[str, Any] = {name: state[name] for name in _PLAIN if name in state}
        given |= {name: tuple(given[name]) for name in ("aliases", "contacts") if name in given}
        if "target" in given:
            given["target"] = decimal_of(given["target"])
        given["unsettled"] = {name: decimal_of(amount) for name, amount in state.get("unsettled", {}).items()}
        if "intent" in item:
            given["intent"] = _booking(json.loads(item["intent"]))
            given["intent_at"] = float(item.get("intent_at", 0.0))
        record = cls(
            pk=item["pk"],
            connection=item.get("connection", ""),
            known=KnownOrder.from_dict(state.get("known", {})),
            rules=rules_of(state["rules"]) if "rules" in state else None,
            **({"order_id": order_id} | given),
        )
        return replace(record, bookings=tuple(record._booked(row) for row in state.get("bookings", ())))

    def check_size(self) -> None:
        """Raise InvalidCommand for a record that the table cannot hold."""
        if len(self.to_attributes()["order_state"].encode()) > MOST_BYTES:
            raise InvalidCommand("the order has more refunds than its record can hold", code="too_many_refunds")

    def constants(self, number: int) -> dict[str, Any]:
        """Return the members that all bookings of the order have alike, and the marker of the ``number``-th."""
        sale = self.known.sale
        return {
            "currency": self.currency,
            "marker": marker(self.connection, self.order_id, number),
            "order_id": self.shown_as or self.order_id,
            "sold_at": sale.sold_at if sale else "",
            "place": self.place,
            "linked_branch": self.linked_branch,
            "by_line": self.rules is not None and self.rules.returns == "line",
        }

    def _booked(self, row: Mapping[str, Any]) -> Booking:
        return _booking({**self.constants(row["number"]), **row})


_PLAIN = (
    "order_id",
    "aliases",
    "store",
    "buyer",
    "loyalty_id",
    "contacts",
    "bill",
    "currency",
    "shown_as",
    "place",
    "linked_branch",
    "unsettled",
    "target",
    "reason",
    "lines",
    "unconverted",
    "woken",
    "until",
)
"""Members that the state contains as they are."""


def _row(booking: Booking) -> dict[str, Any]:
    row: dict[str, Any] = plain(booking)
    return {name: value for name, value in row.items() if name not in _CONSTANT}


def _booking(data: Mapping[str, Any]) -> Booking:
    known = {f.name for f in fields(Booking)}
    given = {name: value for name, value in data.items() if name in known}
    return Booking(**given | {"amount": decimal_of(given["amount"])})
