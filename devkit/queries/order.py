"""One order: what is known of it, what was booked, the difference, and what is next.

It is the response of the API's ``GET /connections/{connection}/sales/{order_id}``, by the same reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devkit.stacks.errors import NotFound
from loyalty_relay.orders.ledger import OrderState
from loyalty_relay.pipeline.order_view import order_to_dict
from loyalty_relay.runtime.wiring import Services

STEPS = {
    "nothing": "nothing: the bookings are as they should be",
    "book": "book the difference",
    "take_back": "take back the difference",
    "look_up": "look up at the vendor whether the booking under way was made",
    "wait": "wait for a later event",
}


@dataclass(frozen=True, slots=True)
class OrderView:
    """The state of an order of a connection."""

    connection: str
    state: OrderState

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay sales show --json`` prints."""
        return order_to_dict(self.state)


def find_order(services: Services, connection: str, order: str) -> OrderView | None:
    """Return an order by its id at the source or an alias; None where nothing is known of it."""
    state = services.orders.lookup(connection, order)
    return None if state is None else OrderView(connection, state)


def show_order(services: Services, connection: str, order: str) -> OrderView:
    """Return an order by its id at the source or an alias. Raises NotFound where nothing is known of it."""
    found = find_order(services, connection, order)
    if found is None:
        raise NotFound(
            f"the ledger of connection {connection} has no such order",
            do="try the id as the platform's events have it; relay events list shows what became of them",
        )
    return found
