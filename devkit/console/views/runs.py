"""Imports and reconciliations: those under way, reports, and one of them with its progress."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from devkit.console.rendering import console_of, page, part, twin
from devkit.queries.runs import RunView, cancel_run, find_run, list_runs, resume_run
from devkit.stacks.connection_store import known_connection, store_of
from devkit.stacks.errors import CommandError
from loyalty_relay.runs.run import Run
from loyalty_relay.runtime.wiring import Services

MENU = {"/runs": "Imports"}


def runs(request: Request) -> Response:
    """Show the runs of one connection, or of all."""
    console = console_of(request)
    store = store_of(console.stack)
    wanted = request.query_params.get("connection", "")
    if wanted:
        known_connection(store, wanted)
    names = store.ids()
    view = list_runs(console.services, [wanted] if wanted else names, limit=20 if wanted else 5)
    return page(request, "runs.html", view, connections=names, connection=wanted)


def run(request: Request) -> Response:
    """Show one run."""
    return page(request, "run.html", _found(request), reasons=_reasons)


def _reasons(run: Run) -> list[str]:
    return sorted({*run.first.skipped, *run.proof.skipped})


def _found(request: Request) -> RunView:
    console = console_of(request)
    connection = store_of(console.stack).read(request.path_params["connection"])
    return find_run(console.services, connection, request.path_params["id"])


def _change(change: Callable[[Services, str], Run]) -> Callable[[Request], Response]:
    def changed(request: Request) -> Response:
        run = _found(request).run
        if run.status != "running":
            raise CommandError(
                "this run has ended", where=run.id, do="start another one with relay import or reconcile"
            )
        change(console_of(request).services, run.connection)
        return RedirectResponse(f"/runs/{part(run.connection)}/{part(run.id)}", 303)

    return changed


routes = [
    *twin("/runs", runs),
    *twin("/runs/{connection}/{id}", run),
    Route("/runs/{connection}/{id}/cancel", _change(cancel_run), methods=["POST"]),
    Route("/runs/{connection}/{id}/resume", _change(resume_run), methods=["POST"]),
]
