"""The console as an ASGI application: its routes behind the checks of ``safety``."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from devkit.console.rendering import HERE, Console, failed
from devkit.console.safety import Keys, Safety
from devkit.console.views import (
    connections,
    customers,
    deliveries,
    events,
    home,
    orders,
    pages,
    parked,
    runs,
    search,
)
from devkit.queries.redriving import Redrives
from devkit.stacks.errors import CommandError, NotFound
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack
from loyalty_relay.model.errors import RelayError
from loyalty_relay.runtime.settings import SettingMissing
from loyalty_relay.runtime.wiring import Services

VIEWS = (home, events, parked, connections, runs, deliveries, customers, orders, search, pages)
"""In the order of the menu; the first is what the address without a path leads to."""


FOR_PEOPLE = (CommandError, RelayError, SettingMissing, BotoCoreError, ClientError)
"""Errors with a page of their own; every other is a defect."""


def build_app(
    stack: Stack, keys: Keys, port: int, *, services: Services | None = None, redrives: Redrives | None = None
) -> Safety:
    """Return the application of a stack. ``port``: where it is served, which its Host header has to name."""
    menu = {path: label for view in VIEWS for path, label in view.MENU.items()}
    routes: list[BaseRoute] = [route for view in VIEWS for route in view.routes]
    if "/" not in menu:
        routes.append(Route("/", lambda request: RedirectResponse(next(iter(menu)), 303), methods=["GET"]))
    routes.append(Mount("/static", StaticFiles(directory=HERE / "static")))
    handlers = {HTTPException: _no_page, **dict.fromkeys(FOR_PEOPLE, failed)}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.console = Console(stack, services or services_of(stack), keys.form, menu, redrives or Redrives(stack))
    return Safety(app, keys, port)


async def _no_page(request: Request, error: Exception) -> Response:
    return await failed(request, NotFound("there is no such page", do="go back, or search in the head of the page"))
