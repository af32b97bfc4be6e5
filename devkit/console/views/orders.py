"""One order: money, bookings, the difference, and what is next."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from devkit.console.rendering import console_of, page, twin
from devkit.queries.order import STEPS, show_order
from devkit.stacks.connection_store import store_of

MENU: dict[str, str] = {}


def order(request: Request) -> Response:
    """Show an order by its id at the source or an alias."""
    console = console_of(request)
    connection = request.path_params["connection"]
    store_of(console.stack).name(connection)
    view = show_order(console.services, connection, request.path_params["order"])
    return page(request, "order.html", view, order=view.as_json(), steps=STEPS)


routes = twin("/orders/{connection}/{order:path}", order)
