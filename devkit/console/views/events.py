"""Events: the journal by filters, page by page."""

from __future__ import annotations

from dataclasses import fields

from starlette.requests import Request
from starlette.responses import Response

from devkit.console.rendering import console_of, page, twin
from devkit.queries.events import EventFilter, list_events
from devkit.queries.hints import HINTS
from devkit.stacks.connection_store import store_of
from devkit.stacks.stack import OPERATIONS
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import INGEST
from loyalty_relay.sources.platforms import platforms

MENU = {"/events": "Events"}
PER_PAGE = 50

FILTERS = tuple(field.name for field in fields(EventFilter) if field.name != "customers")
"""Names in the address; ``customer`` besides, a keyed hash."""


def events(request: Request) -> Response:
    """Show a page of events."""
    console = console_of(request)
    given = request.query_params
    customers = tuple(filter(None, given.getlist("customer")))
    filters = {name: given.get(name, "").strip() for name in FILTERS}
    store = store_of(console.stack)
    wanted = EventFilter(customers=customers, **{name: value for name, value in filters.items() if value})
    view = list_events(console.services.journal, store, wanted, now=console.services.clock(), limit=PER_PAGE)
    return page(
        request,
        "events.html",
        view,
        filters=filters | {"customer": list(customers)},
        filtered=wanted != EventFilter(),
        connections=store.ids(),
        platforms=platforms(),
        operations=[*OPERATIONS, INGEST],
        results=[result.value for result in Result],
        reasons=sorted(HINTS),
    )


routes = twin("/events", events)
