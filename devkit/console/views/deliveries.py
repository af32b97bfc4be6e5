"""One delivery: the way of each of its commands to the outcome, which is followed while it is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from devkit.console.rendering import Console, console_of, page, render, twin
from devkit.queries.delivery import DELIVERY_ID, show_delivery, vendors_of
from devkit.queries.hints import hint, in_words, meaning
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import NotFound
from loyalty_relay.model.delivery_ids import arrival_of
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import INGEST, JournalEntry

MENU: dict[str, str] = {}
EXPECTED_SECONDS = 15 * 60
"""How long a delivery without an outcome is still waited for."""

COLOURS = {
    Result.APPLIED: "good",
    Result.UNCHANGED: "calm",
    Result.DUPLICATE: "calm",
    Result.RECORDED: "calm",
    Result.STALE: "warn",
    Result.RETRYING: "warn",
    Result.PARKED: "bad",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step on the way of a command. ``at``: epoch seconds, None where the journal does not have it."""

    what: str
    at: float | None = None
    note: str = ""
    colour: str = ""


def steps_of(entry: JournalEntry) -> Iterator[Step]:
    """Yield the steps that the journal has of a command, in their order."""
    if entry.occurred_at:
        yield Step("Happened at the source", _instant(entry.occurred_at))
    yield Step("Received", entry.received_at or None, "its sender was authenticated", "calm")
    if entry.operation == INGEST:
        yield Step("Read", note="no command was made of it")
    else:
        yield Step(f"Command {entry.operation}", note="put into the operation's queue")
        if entry.redrives:
            yield Step("Redriven", note=_times(entry.redrives))
        yield Step("Tried", note=f"received from the queue {_times(entry.receives)}")
    means = meaning(entry.reason, entry.result.value)
    if entry.result is Result.RETRYING:
        yield Step("Not done yet", entry.finished_at or None, means, "warn")
        yield Step("Next attempt", entry.next_at)
    else:
        yield Step(entry.result.value.capitalize(), entry.finished_at or None, means, COLOURS.get(entry.result, ""))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _instant(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def delivery(request: Request) -> Response:
    """Show one delivery."""
    console = console_of(request)
    delivery_id = request.path_params["id"]
    try:
        view = show_delivery(console.services.journal, delivery_id)
    except NotFound:
        if request.url.path.endswith(".json") or not _expected(console, delivery_id):
            raise
        return HTMLResponse(render(request, "waiting.html", id=delivery_id), 404)
    vendor = vendors_of(store_of(console.stack))

    def codes(entry: JournalEntry) -> list[str]:
        given = [*entry.codes, *([entry.code] if entry.code else [])]
        return [in_words(code, vendor(entry.connection)) for code in given]

    return page(request, "delivery.html", view, steps_of=steps_of, codes=codes, hint=hint)


def _expected(console: Console, delivery_id: str) -> bool:
    """Return whether a delivery arrived a moment ago, so that its outcome is still to come."""
    arrived = arrival_of(delivery_id) if DELIVERY_ID.fullmatch(delivery_id) else None
    return arrived is not None and 0 <= console.services.clock() + 60 - arrived <= EXPECTED_SECONDS


routes = twin("/deliveries/{id}", delivery)
