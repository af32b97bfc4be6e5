"""``relay events``: what happened to an event, to a customer's events, to a connection's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from devkit.cli.following import entry_dict, settled, show_entries, vendors_of
from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import note, show_json, show_table, when
from devkit.cli.resending import resend
from devkit.queries.hints import hint
from devkit.queries.identifying import customer_hashes
from devkit.stacks.connection_store import known_connection, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of
from devkit.stacks.stack import find_stack
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry

app = group("See what happened to events, and send one again.")
app.command()(resend)

AGO = re.compile(r"(\d+)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
MORE = 20
"""How many times the limit is read where entries are filtered after reading."""


def since_of(text: str, now: datetime) -> datetime:
    """Return the moment that ``--since`` names.

    ``30m``, ``2h``, ``7d``, a date or an ISO 8601 moment (UTC where no zone is given).
    """
    if ago := AGO.fullmatch(text.strip()):
        return now - timedelta(**{UNITS[ago.group(2)]: int(ago.group(1))})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError(f"{text!r} is not a time", where="--since", do="write 30m, 2h, 7d or 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@app.command("list")
def list_(
    connection: Annotated[str | None, typer.Option("--connection", help="Only of this connection.")] = None,
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="EMAIL|PHONE|ID", help="Only of this customer.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="30m, 2h, 7d, or an ISO 8601 moment.")] = "7d",
    result: Annotated[Result | None, typer.Option("--result", help="Only with this outcome.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many, the newest.", min=1)] = 50,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """List events with what came of them, newest first."""
    found = find_stack(stack)
    services = services_of(found)
    start = since_of(since, datetime.now(UTC))
    store = store_of(found)
    if customer is not None and not customer.strip():
        raise CommandError("no customer is given", where="--customer", do="give an e-mail, a phone number or an id")
    if connection is not None:
        known_connection(store, connection)
    connections = store.ids() if connection is None else [connection]
    wide = limit if result is None else limit * MORE
    if customer:
        hashes = [h for name in connections for h in customer_hashes(services, store.read(name), customer)]
        entries = [e for h in dict.fromkeys(hashes) for e in services.journal.by_customer(h, limit=wide)]
    else:
        entries = _of_connections(services.journal, connections, start, wide)
    chosen = selected(entries, since=start, result=result, limit=limit)
    if json:
        show_json([entry_dict(entry) for entry in chosen])
        return
    if not chosen:
        note(f"no events since {when(start.timestamp())}" + (" of this customer" if customer else ""))
        return
    columns = ["received", "connection", "event", "outcome", "reason", "loyalty id", "delivery"]
    show_table(columns, [_row(entry) for entry in chosen], drop=["loyalty id", "connection"])
    if any(hint(entry.reason, entry.result.value) for entry in chosen):
        note("what to do about one: relay events show DELIVERY")


def _of_connections(journal: Journal, connections: Iterable[str], since: datetime, limit: int) -> list[JournalEntry]:
    return [entry for name in connections for entry in journal.list(name, since=since, limit=limit)]


def selected(
    entries: Iterable[JournalEntry], *, since: datetime, result: Result | None, limit: int
) -> list[JournalEntry]:
    """Return the newest ``limit`` entries since then with that result, each once."""
    kept = {
        (entry.delivery_id, entry.position): entry
        for entry in entries
        if entry.received_at >= since.timestamp() and result in (None, entry.result)
    }
    return sorted(kept.values(), key=lambda e: (e.received_at, e.delivery_id, -e.position), reverse=True)[:limit]


def _row(entry: JournalEntry) -> list[str]:
    return [
        when(entry.received_at or None),
        entry.connection,
        f"{entry.source} {entry.topic}",
        entry.result.value,
        " ".join(text for text in (entry.reason, entry.code or "") if text),
        entry.loyalty_id or "",
        entry.delivery_id + (f".{entry.position}" if entry.position else ""),
    ]


@app.command()
def show(
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY_ID", help="As relay send and the log lines show it.")],
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show what happened to one delivery, why, and what to do next."""
    whole = delivery_id.partition(".")[0]
    found = find_stack(stack)
    entries = services_of(found).journal.show(whole)
    if not entries:
        raise CommandError(
            f"the journal has no delivery {whole}",
            do="if it was just accepted it has no outcome yet; if not, it was refused or is of another stack (--stack)",
        )
    if json:
        show_json({"delivery_id": whole, "settled": settled(entries), "outcomes": [entry_dict(e) for e in entries]})
    else:
        show_entries(entries, vendors_of(found))
