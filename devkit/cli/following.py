"""Follow a delivery from its response to its outcome, by the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer

from devkit.cli.hints import hint, meaning
from devkit.cli.output import err, note, result_text, show_json, show_pairs, when
from devkit.cli.services import services_of
from devkit.cli.stack import Stack
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


def settled(entries: Sequence[JournalEntry]) -> bool:
    """Return whether every entry has an outcome that stays, and there is one."""
    return bool(entries) and all(entry.result is not Result.RETRYING for entry in entries)


def entry_dict(entry: JournalEntry) -> dict[str, Any]:
    """Return a journal entry as JSON."""
    return {
        "delivery_id": entry.delivery_id,
        "position": entry.position,
        "connection": entry.connection,
        "source": entry.source,
        "topic": entry.topic,
        "event_id": entry.event_id,
        "operation": entry.operation,
        "outcome": entry.result.value,
        "reason": entry.reason,
        "loyalty_id": entry.loyalty_id,
        "codes": list(entry.codes),
        "fields": list(entry.fields),
        "request_id": entry.request_id,
        "details": dict(entry.details),
        "code": entry.code,
        "receives": entry.receives,
        "redrives": entry.redrives,
        "occurred_at": entry.occurred_at,
        "received_at": entry.received_at,
        "finished_at": entry.finished_at,
        "next": hint(entry.reason, entry.result.value),
    }


def show_entries(entries: Iterable[JournalEntry]) -> None:
    """Show each entry on one screen: its outcome, why, when, and what to do next."""
    for entry in entries:
        result = entry.result.value
        show_pairs(
            [
                ("delivery", f"{entry.delivery_id}, position {entry.position}"),
                ("outcome", result_text(result)),
                ("reason", entry.reason),
                ("means", meaning(entry.reason, result)),
                ("next", hint(entry.reason, result)),
                ("event", f"{entry.source} {entry.topic}"),
                ("event id", entry.event_id),
                ("connection", entry.connection),
                ("operation", entry.operation),
                ("loyalty id", entry.loyalty_id or ""),
                ("fields sent", ", ".join(entry.fields)),
                ("codes", ", ".join(entry.codes)),
                ("vendor code", entry.code or ""),
                ("vendor request", entry.request_id or ""),
                *((name, text) for name, text in entry.details.items()),
                ("receives", str(entry.receives)),
                ("redrives", str(entry.redrives) if entry.redrives else ""),
                ("happened", entry.occurred_at),
                ("received", when(entry.received_at or None)),
                ("last tried" if result == Result.RETRYING else "finished", when(entry.finished_at or None)),
            ]
        )


def show_outcomes(delivery_id: str, entries: Sequence[JournalEntry], *, as_json: bool, **more: Any) -> None:
    """Show a delivery's outcomes; exit with status 1 when something was parked or has no outcome yet.

    ``more``: further members of the JSON.
    """
    if as_json:
        show_json({"delivery_id": delivery_id, "outcomes": [entry_dict(entry) for entry in entries], **more})
    else:
        show_entries(entries)
    if not entries:
        note(f"no outcome yet; look again with relay events show {delivery_id}")
    if not settled(entries) or any(entry.result is Result.PARKED for entry in entries):
        if entries and not as_json:
            err.print("not done" if not settled(entries) else "parked", style="red")
        raise typer.Exit(1)
