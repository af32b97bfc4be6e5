"""Follow a delivery from its response to its outcome, by the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer

from devkit.cli.output import err, note, out, result_text, show_json, show_pairs, when
from devkit.queries.delivery import entry_dict, settled, vendors_of
from devkit.queries.hints import hint, in_words, meaning
from devkit.stacks.connection_store import store_of
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry

PAUSE = 0.2
"""Seconds between two looks."""


def follow(
    stack: Stack,
    delivery_id: str,
    *,
    seconds: float,
    expected: int = 1,
    retrying: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[JournalEntry]:
    """Return the journal's entries of a delivery once ``expected`` are there and all have an outcome.

    After ``seconds``, return those that are there. ``retrying``: the outcome retrying counts as one.
    """
    journal = services_of(stack).journal
    end = clock() + seconds
    while True:
        entries = journal.show(delivery_id)
        if (len(entries) >= expected and (retrying or settled(entries))) or clock() >= end:
            return list(entries)
        sleep(PAUSE)


def show_entries(
    entries: Iterable[JournalEntry], vendor: Callable[[str], str], *, clock: Callable[[], float] = time.time
) -> None:
    """Show each entry on one screen: its outcome, why, when, and what to do next.

    ``vendor``: from a connection's id to the vendor whose codes an entry has.
    """
    for number, entry in enumerate(entries):
        if number:
            out.print()
        result = entry.result.value
        known = vendor(entry.connection) if entry.code or entry.codes else ""
        show_pairs(
            [
                ("delivery", f"{entry.delivery_id}, position {entry.position}"),
                ("outcome", result_text(result)),
                ("reason", entry.reason),
                ("means", meaning(entry.reason, result)),
                ("next attempt", _moment(entry.next_at, clock()) if result == Result.RETRYING else ""),
                ("next", hint(entry.reason, result)),
                ("event", f"{entry.source} {entry.topic}"),
                ("event id", entry.event_id),
                ("connection", entry.connection),
                ("operation", entry.operation),
                ("loyalty id", entry.loyalty_id or ""),
                ("fields sent", ", ".join(entry.fields)),
                ("notices", "; ".join(in_words(code, known) for code in entry.codes)),
                ("vendor code", in_words(entry.code, known) if entry.code else ""),
                ("vendor request", entry.request_id or ""),
                *((name, text) for name, text in entry.details.items()),
                ("receives", str(entry.receives)),
                ("redrives", str(entry.redrives) if entry.redrives else ""),
                ("happened", entry.occurred_at),
                ("received", when(entry.received_at or None)),
                ("last tried" if result == Result.RETRYING else "finished", when(entry.finished_at or None)),
            ]
        )


def _moment(epoch: float | None, now: float) -> str:
    """Return a moment and how far it is away."""
    if epoch is None:
        return ""
    left = round(epoch - now)
    if left <= 0:
        return f"{when(epoch)}, now"
    return f"{when(epoch)}, in {left} s" if left < 120 else f"{when(epoch)}, in {left // 60} min"


def show_outcomes(
    stack: Stack, delivery_id: str, entries: Sequence[JournalEntry], *, as_json: bool, **more: Any
) -> None:
    """Show a delivery's outcomes; exit with status 1 when something was parked or has no outcome yet.

    ``more``: further members of the JSON.
    """
    if as_json:
        show_json({"delivery_id": delivery_id, "outcomes": [entry_dict(entry) for entry in entries], **more})
    else:
        show_entries(entries, vendors_of(store_of(stack)))
    if not entries:
        note(f"no outcome yet; look again with relay events show {delivery_id}")
    if not settled(entries) or any(entry.result is Result.PARKED for entry in entries):
        if entries and not as_json:
            err.print("not done" if not settled(entries) else "parked", style="red")
        raise typer.Exit(1)
