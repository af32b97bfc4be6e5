"""``relay events``: what happened to an event, to a customer's events, to a connection's."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from devkit.cli.following import show_entries
from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import note, show_json, show_table, when
from devkit.cli.resending import resend
from devkit.queries.delivery import show_delivery, vendors_of
from devkit.queries.events import EventFilter, list_events
from devkit.queries.hints import hint
from devkit.queries.identifying import customer_hashes
from devkit.stacks.connection_store import known_connection, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of
from devkit.stacks.stack import find_stack
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry

app = group("See what happened to events, and send one again.")
app.command()(resend)


@app.command("list")
def list_(
    connection: Annotated[str, typer.Option("--connection", help="Only of this connection.")] = "",
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="EMAIL|PHONE|ID", help="Only of this customer.")
    ] = None,
    platform: Annotated[str, typer.Option("--platform", help="Only from this platform.")] = "",
    topic: Annotated[str, typer.Option("--topic", help="Only of this topic, as the platform has it.")] = "",
    operation: Annotated[str, typer.Option("--operation", help="Only of this operation, as crm-patch.")] = "",
    result: Annotated[Result | None, typer.Option("--result", help="Only with this outcome.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Only with this reason.")] = "",
    event_id: Annotated[str, typer.Option("--event-id", help="Only with this id, as the platform has it.")] = "",
    order: Annotated[str, typer.Option("--order", help="Only of this order, by its id at the source.")] = "",
    since: Annotated[str, typer.Option("--since", help="30m, 2h, 7d, or an ISO 8601 moment.")] = "7d",
    until: Annotated[str, typer.Option("--until", help="As --since.")] = "",
    cursor: Annotated[str, typer.Option("--cursor", help="Go on where an earlier list ended.")] = "",
    limit: Annotated[int, typer.Option("--limit", help="At most so many, the newest.", min=1, max=10_000)] = 50,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """List events with what came of them, newest first."""
    found = find_stack(stack)
    services = services_of(found)
    store = store_of(found)
    if customer is not None and not customer.strip():
        raise CommandError("no customer is given", where="--customer", do="give an e-mail, a phone number or an id")
    hashes: list[str] = []
    if customer:
        if connection:
            known_connection(store, connection)
        names = [connection] if connection else store.ids()
        hashes = [h for name in names for h in customer_hashes(services, store.read(name), customer)]
        if not hashes:
            raise CommandError(
                "this names no customer", where="--customer", do="give an e-mail, a phone number or an id"
            )
    wanted = EventFilter(
        connection=connection,
        customers=tuple(dict.fromkeys(hashes)),
        platform=platform,
        topic=topic,
        operation=operation,
        result=result.value if result else "",
        reason=reason,
        event=event_id,
        order=order,
        since=since,
        until=until,
        cursor=cursor,
    )
    listed = list_events(services.journal, store, wanted, now=time.time(), limit=limit)
    if json:
        show_json(listed.as_json())
        return
    if listed.entries:
        columns = ["received", "connection", "event", "outcome", "reason", "loyalty id", "delivery"]
        show_table(columns, [_row(entry) for entry in listed.entries], drop=["loyalty id", "connection"])
    else:
        note(f"no events since {when(listed.since.timestamp())}" + (" of this customer" if customer else ""))
    if listed.next:
        note(f"{listed.looked_at} entries were looked at; there may be older ones: --cursor {listed.next}")
    if any(hint(entry.reason, entry.result.value) for entry in listed.entries):
        note("what to do about one: relay events show DELIVERY")


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
    found = find_stack(stack)
    delivery = show_delivery(services_of(found).journal, delivery_id)
    if json:
        show_json(delivery.as_json())
    else:
        show_entries(delivery.entries, vendors_of(store_of(found)))
