"""Orders that wait for a guest: found by keyed digests of the e-mail or phone that the guest gave."""

from __future__ import annotations

import json
from dataclasses import dataclass

from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Refused, Table

MOST_WAITING = 200
"""Orders of one contact; of more nothing is kept."""


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """One order of a guest, and until when (epoch seconds) it waits."""

    order_id: str
    until: float


class WaitingOrders:
    """The orders that wait for guests, one item per contact in the state table. Methods may raise StoreUnavailable."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, connection: str, contact: str, order_id: str, until: float) -> None:
        """Let an order wait for whoever has a contact. ``contact``: its digest."""
        try:
            self._table.update(
                {"pk": keys.waiting_orders(connection, contact)},
                "SET #orders = list_append(if_not_exists(#orders, :none), :order), expires_at = :until,"
                " #connection = :connection",
                condition="attribute_not_exists(#orders) OR size(#orders) < :most",
                names={"#orders": "orders", "#connection": "connection"},
                values={
                    ":none": [],
                    ":order": [json.dumps([order_id, until])],
                    ":until": int(until),
                    ":connection": connection,
                    ":most": MOST_WAITING,
                },
            )
        except Refused:
            return

    def of(self, connection: str, contact: str) -> list[WaitingOrder]:
        """Return the orders that wait for a contact, or did."""
        item = self._table.get({"pk": keys.waiting_orders(connection, contact)}) or {}
        found = dict(json.loads(text) for text in item.get("orders", ()))
        return [WaitingOrder(name, until) for name, until in found.items()]

    def remove(self, connection: str, contact: str, count: int) -> None:
        """Remove what waits for a contact, unless more was added than the ``count`` orders that were found."""
        try:
            self._table.delete(
                {"pk": keys.waiting_orders(connection, contact)},
                condition="size(#orders) <= :count",
                names={"#orders": "orders"},
                values={":count": count},
            )
        except Refused:
            return
