"""Parked work: by reason, one of it, and redrives with their progress."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from devkit.console.rendering import console_of, form_of, page, query, twin
from devkit.queries.parked import RUNBOOK, SHOWN, parked_details, parked_work
from devkit.queries.parked_queues import ParkedFilters
from devkit.queries.redriving import AMBIGUOUS, AT_MOST, Redrive
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import CommandError, NotFound
from devkit.stacks.stack import PARKING

MENU = {"/parked": "Parked"}
LONGEST = 200
"""Characters of a filter."""
BODY_SHOWN = 200_000
"""Characters of a body that its page shows."""


def _filters(given: dict[str, str]) -> ParkedFilters:
    """Return the filters of an address or a form. Raises CommandError for one that cannot match."""
    connection, reason = given.get("connection", "").strip(), given.get("reason", "").strip()
    if max(len(connection), len(reason)) > LONGEST:
        raise CommandError("the filter is too long", do=f"use at most {LONGEST} characters")
    return ParkedFilters(connection=connection or None, reason=reason or None)


def parked(request: Request) -> Response:
    """Show what is parked, grouped and listed."""
    console = console_of(request)
    filters = _filters(dict(request.query_params))
    view = parked_work(console.stack, filters)
    return page(
        request,
        "parked.html",
        view,
        connections=store_of(console.stack).ids(),
        running=console.redrives.running(),
        ambiguous=AMBIGUOUS,
        shown=SHOWN,
    )


def plan(request: Request) -> Response:
    """Show what a redrive would send: a dry run with its count."""
    console = console_of(request)
    report = Redrive(console.stack, _filters(dict(request.query_params)), dry_run=True).run()
    return page(request, "redrive_plan.html", report, running=console.redrives.running(), bound=AT_MOST)


def redrive(request: Request) -> Response:
    """Start a redrive of what matches, of at most as many as were confirmed."""
    form = form_of(request)
    most = form.get("at_most", "")
    if not (most.isascii() and most.isdigit() and 0 < int(most) <= AT_MOST):
        raise CommandError("it is not clear how many are to be redriven", do="open the page of the redrive again")
    job = console_of(request).redrives.start(_filters(form), at_most=int(most))
    return RedirectResponse(f"/redrives/{job}", 303)


def one(request: Request) -> Response:
    """Show one piece of parked work with the outline of its body."""
    return _detail(request, body=False)


def body(request: Request) -> Response:
    """Show it with its body, after the request was recorded."""
    return _detail(request, body=True)


def _detail(request: Request, *, body: bool) -> Response:
    operation, name = _named(request)
    details = parked_details(console_of(request).stack, name, operation=operation, body=body)
    return page(
        request,
        "parked_one.html",
        details[0],
        ambiguous=AMBIGUOUS,
        running=console_of(request).redrives.running(),
        body_shown=BODY_SHOWN,
        runbook=RUNBOOK,
    )


def _named(request: Request) -> tuple[str, str]:
    operation, name = request.path_params["operation"], request.path_params["id"]
    if operation not in PARKING:
        raise NotFound(f"there is no queue {operation!r}", do=f"use one of {', '.join(PARKING)}")
    return operation, name


def redrive_one(request: Request) -> Response:
    """Start the redrive of one piece of parked work; what is ambiguous has to be confirmed."""
    operation, name = _named(request)
    console = console_of(request)
    (details,) = parked_details(console.stack, name, operation=operation)[:1]
    if details.parked.reason == AMBIGUOUS and form_of(request).get("compared") != "yes":
        raise CommandError(
            "ambiguous work may have been carried out already, and could credit twice",
            do="compare it with the member's account at the vendor, and confirm that",
        )
    return RedirectResponse(f"/redrives/{console.redrives.start(ParkedFilters(one=name), operation=operation)}", 303)


def job(request: Request) -> Response:
    """Show how far a redrive is, and what came of it."""
    report = console_of(request).redrives.get(request.path_params["job"])
    return page(request, "redrive.html", report, again=_address(report.filters), shown=SHOWN)


def _address(filters: ParkedFilters) -> str:
    return query("/parked", connection=filters.connection, reason=filters.reason)


routes = [
    *twin("/parked", parked),
    *twin("/parked/redrive", plan),
    Route("/parked/redrive", redrive, methods=["POST"]),
    *twin("/parked/{operation}/{id}", one),
    Route("/parked/{operation}/{id}/body", body, methods=["POST"]),
    Route("/parked/{operation}/{id}/redrive", redrive_one, methods=["POST"]),
    *twin("/redrives/{job}", job),
]
