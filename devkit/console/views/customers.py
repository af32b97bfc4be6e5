"""One customer: the ledger per field, what leads to them, and their events. No names, no contacts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from devkit.console.rendering import console_of, page, twin
from devkit.queries.customer import customer_of
from devkit.queries.events import EventFilter, list_events
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import NotFound

MENU: dict[str, str] = {}
EVENTS = 25
EVENTS_SINCE = "90d"


def customer(request: Request) -> Response:
    """Show a customer by a keyed hash of the journal."""
    console = console_of(request)
    connection, listed_as = request.path_params["connection"], request.path_params["hash"]
    store = store_of(console.stack)
    # Also of a connection that was removed: what is kept of its customers stays.
    store.name(connection)
    view = customer_of(console.services, connection, listed_as)
    missing = NotFound(
        f"the ledger of connection {connection} has no such customer",
        do="search by e-mail, phone or id in the head of the page",
    )
    if request.url.path.endswith(".json"):
        if view is None:
            raise missing
        return page(request, "customer.html", view)
    hashes = view.record.hashes if view else (listed_as,)
    wanted = EventFilter(connection=connection, customers=hashes, since=EVENTS_SINCE)
    listed = list_events(console.services.journal, store, wanted, now=console.services.clock(), limit=EVENTS)
    if view is None and not listed.entries:
        raise missing
    names = {"listed": listed, "connection": connection, "hash": listed_as, "known": view, "hashes": list(hashes)}
    return page(request, "customer.html", view or listed, **names)


routes = twin("/customers/{connection}/{hash}", customer)
