"""Home: how every connection does, with each number a link to what it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from devkit.console.rendering import console_of, page, query, twin
from devkit.queries.home import Span, overview
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.counters import HOUR

MENU = {"/": "Home"}

WIDTH, HEIGHT = 336, 64
"""Of a chart, in its own units."""
GAP = 0.2
"""Part of a bar's place that is left free."""
GROUPS: Mapping[str, tuple[Result, ...]] = {
    "good": (Result.APPLIED,),
    "calm": (Result.UNCHANGED, Result.DUPLICATE, Result.RECORDED),
    "idle": (Result.IGNORED, Result.STALE),
    "warn": (Result.RETRYING,),
    "bad": (Result.PARKED,),
}
"""Colour -> the outcomes that have it in a chart, from the bottom up."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its place, its parts (colour, y, height), what it shows in words, and where it leads."""

    x: float
    width: float
    parts: Sequence[tuple[str, float, float]]
    title: str
    href: str


def home(request: Request) -> Response:
    """Show how the stack's connections do."""
    console = console_of(request)
    view = overview(console.stack, console.services)
    return page(
        request,
        "home.html",
        view,
        bars=bars,
        iso=iso,
        results=[result.value for result in Result],
        unfinished=(Result.RETRYING.value, Result.PARKED.value),
        width=WIDTH,
        height=HEIGHT,
    )


def bars(connection: str, spans: Sequence[Span], hours: int) -> list[Bar]:
    """Return the bars of a chart. ``hours``: the length of each span."""
    most = max((sum(span.outcomes.values()) for span in spans), default=0) or 1
    place = WIDTH / max(len(spans), 1)
    made = []
    for number, span in enumerate(spans):
        until = span.since + hours * HOUR
        counts = {group: sum(span.outcomes[r.value] for r in results) for group, results in GROUPS.items()}
        parts = []
        top = float(HEIGHT)
        for group, count in counts.items():
            # What is there is seen, however little it is.
            height = max(count / most * HEIGHT, 1.5) if count else 0.0
            top = max(top - height, 0.0)
            if count:
                parts.append((group, round(top, 2), round(height, 2)))
        words = ", ".join(f"{count} {word}" for word, count in span.outcomes.items() if count) or "nothing"
        made.append(
            Bar(
                x=round(number * place, 2),
                width=round(place * (1 - GAP), 2),
                parts=parts,
                title=f"{iso(span.since)[5:16].replace('T', ' ')} to {iso(until)[5:16].replace('T', ' ')} UTC: {words}",
                href=query("/events", connection=connection, since=iso(span.since), until=iso(until)),
            )
        )
    return made


def iso(epoch: float) -> str:
    """Return a moment as the filters of events take it."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


routes = twin("/", home, json="/home.json")
