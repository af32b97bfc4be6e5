"""Pages from templates: HTML for people, and the same result as JSON where the path ends in ``.json``."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from devkit.queries.failures import problem_of
from devkit.queries.hints import meaning
from devkit.queries.redriving import Redrives
from devkit.stacks.errors import CommandError, NotFound
from devkit.stacks.stack import Stack
from loyalty_relay.runtime.wiring import Services

HERE = Path(__file__).parent


class View(Protocol):
    """A result of ``devkit.queries``."""

    def as_json(self) -> Any:
        """Return what ``--json`` prints of it."""


class Console:
    """What the views share: the stack, its services, the token of forms, the menu, the redrives that were started."""

    def __init__(
        self, stack: Stack, services: Services, form_token: str, menu: Mapping[str, str], redrives: Redrives
    ) -> None:
        self.stack = stack
        self.services = services
        self.form_token = form_token
        self.menu = menu
        """Label by path, in order."""
        self.redrives = redrives


def console_of(request: Request) -> Console:
    """Return what the views share."""
    console: Console = request.app.state.console
    return console


def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that ``safety`` has checked."""
    form: dict[str, str] = request.state.form
    return form


def twin(path: str, view: Callable[[Request], Response], *, json: str = "") -> list[Route]:
    """Return the routes of a page and of its JSON twin. ``json``: the twin's path, where it is not ``path.json``."""
    return [Route(json or f"{path}.json", view, methods=["GET"]), Route(path, view, methods=["GET"])]


def page(request: Request, template: str, view: View, *, status: int = 200, **more: Any) -> Response:
    """Return a view as its page, or as JSON for its twin. ``more``: further names of the template, for HTML only."""
    if request.url.path.endswith(".json"):
        return JSONResponse(view.as_json(), status)
    return HTMLResponse(render(request, template, view=view, **more), status)


def render(request: Request, template: str, **names: Any) -> str:
    """Return a template as HTML, with what every page has."""
    console = console_of(request)
    return (
        environment()
        .get_template(template)
        .render(
            request=request,
            path=request.url.path,
            stack=console.stack,
            menu=console.menu,
            csrf=console.form_token,
            now=console.services.clock(),
            **names,
        )
    )


class _Problem:
    """An error as a view."""

    def __init__(self, error: CommandError) -> None:
        self.error = error

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return self.error.to_dict()


async def failed(request: Request, error: Exception) -> Response:
    """Return an error that is meant for people as a page; raise any other."""
    problem = problem_of(error)
    if problem is None:
        raise error
    status = 404 if isinstance(error, NotFound) else 400 if isinstance(error, CommandError) else 502
    return page(request, "error.html", _Problem(problem), status=status)


@cache
def environment() -> Environment:
    """Return the templates' environment: everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(moment=moment, ago=ago, seconds=seconds, part=part, number=number, indented=indented)
    made.globals.update(query=query, meaning=meaning)
    return made


def moment(epoch: float | None) -> Markup | str:
    """Return a moment in UTC, to the second, as a ``time`` element; empty when unknown."""
    if not epoch:
        return ""
    at = datetime.fromtimestamp(epoch, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def ago(epoch: float | None, now: float) -> str:
    """Return how long ago a moment is, or how far ahead, in words."""
    if not epoch:
        return ""
    away = now - epoch
    return f"{seconds(away)} ago" if away >= 0 else f"in {seconds(-away)}"


def seconds(length: float) -> str:
    """Return a length of time in its two largest units, as ``3 min 20 s``."""
    if length < 10:
        return f"{length:.1f} s" if length % 1 else f"{length:.0f} s"
    left = round(length)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(text for text in parts[:2] if text)


def number(value: float) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}".replace(",", "\u202f")


def indented(value: Any) -> str:
    """Return a JSON value as text, indented."""
    return jsonlib.dumps(value, indent=2, ensure_ascii=False)


def part(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def query(path: str, given: Mapping[str, Any] | None = None, **filters: Any) -> str:
    """Return an address with filters: those of ``given``, and others in their place. Lists are repeated."""
    kept = {name: value for name, value in {**(given or {}), **filters}.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path
