"""Search: what is typed is posted, digested and forgotten; the address that follows has digests and ids only."""

from __future__ import annotations

from typing import cast, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from devkit.console.rendering import console_of, form_of, page, query, twin
from devkit.queries.search import MOST, Found, Kind, Match, search
from devkit.stacks.connection_store import store_of

MENU: dict[str, str] = {}


def path_of(match: Match) -> str:
    """Return the address of what was found."""
    key, connection = quote(match.key, safe=""), quote(match.connection, safe="")
    match match.kind:
        case "delivery":
            return f"/deliveries/{key}"
        case "customer":
            return f"/customers/{connection}/{key}"
        case "order":
            return f"/orders/{connection}/{key}"


def find(request: Request) -> Response:
    """Search, and lead to what was found."""
    console, form = console_of(request), form_of(request)
    found = search(
        console.services,
        store_of(console.stack),
        form.get("text", ""),
        now=console.services.clock(),
        connection=form.get("connection", ""),
    )
    if len(found.matches) == 1 and not found.skipped:
        return RedirectResponse(path_of(found.matches[0]), 303)
    matches = [f"{match.kind}/{match.connection}/{match.key}" for match in found.matches[: 3 * MOST]]
    return RedirectResponse(query("/search", done="1", match=matches, skipped=list(found.skipped)), 303)


def results(request: Request) -> Response:
    """Show what a search has found, which the address names."""
    console, given = console_of(request), request.query_params
    matches: list[Match] = []
    for text in given.getlist("match")[: 3 * MOST]:
        kind, _, rest = text.partition("/")
        connection, _, key = rest.partition("/")
        if kind in get_args(Kind) and connection and key:
            matches.append(Match(cast("Kind", kind), connection, key))
    view = Found(tuple(matches), tuple(given.getlist("skipped")[:MOST]))
    ids = store_of(console.stack).ids()
    return page(request, "search.html", view, path_of=path_of, done=bool(given.get("done")), connections=ids)


routes = [*twin("/search", results), Route("/search", find, methods=["POST"])]
