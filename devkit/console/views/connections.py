"""Connections: the list, one of them, its check and a preview of its mapping; nothing that authenticates is shown."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devkit.console.rendering import console_of, form_of, page, twin
from devkit.queries.connections import (
    check_connection,
    list_connections,
    preview_of,
    show_connection,
    topics_of,
)
from devkit.stacks.connection_store import store_of
from loyalty_relay.connections.model import Connection

MENU = {"/connections": "Connections"}


def connections(request: Request) -> Response:
    """List the connections."""
    return page(request, "connections.html", list_connections(store_of(console_of(request).stack)))


def connection(request: Request) -> Response:
    """Show one connection."""
    console = console_of(request)
    view = show_connection(console.stack, request.path_params["id"], now=console.services.clock())
    return page(request, "connection.html", view, text=_json(view.data), checked=None)


def check(request: Request) -> Response:
    """Check a connection at its destination, and show what was found."""
    console = console_of(request)
    name = request.path_params["id"]
    checked = check_connection(console.stack, name)
    if request.url.path.endswith(".json"):
        return page(request, "", checked)
    view = show_connection(console.stack, name, now=console.services.clock())
    return page(request, "connection.html", view, text=_json(view.data), checked=checked)


def mapping(request: Request) -> Response:
    """Show the form of a preview."""
    return _mapping(request, "", "")


def mapped(request: Request) -> Response:
    """Show what a sample, or a payload of one's own, becomes; nothing is sent or kept."""
    form = form_of(request)
    return _mapping(request, form.get("topic", ""), form.get("payload", ""))


def _mapping(request: Request, topic: str, payload: str) -> Response:
    known = _read(request)
    result = preview_of(known, topic, payload) if topic else None
    if result is not None and request.url.path.endswith(".json"):
        return page(request, "", result)
    return page(
        request,
        "mapping.html",
        list_connections(store_of(console_of(request).stack)),
        connection=known,
        topics=topics_of(known),
        topic=topic,
        payload=payload,
        preview=result,
    )


def _read(request: Request) -> Connection:
    return store_of(console_of(request).stack).read(request.path_params["id"])


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


routes = [
    *twin("/connections", connections),
    *(Route(f"/connections/{{id}}/check{end}", check, methods=["POST"]) for end in ("", ".json")),
    *(Route(f"/connections/{{id}}/mapping{end}", mapped, methods=["POST"]) for end in ("", ".json")),
    Route("/connections/{id}/mapping", mapping, methods=["GET"]),
    *twin("/connections/{id}", connection),
]
