"""``relay customers``: what the ledger holds of one customer, and the repair of a ledger that is wrong.

Nothing personal is printed: the ledger holds keyed digests, and the customer that was typed is not repeated.
"""

from __future__ import annotations

from typing import Annotated

import typer

from devkit.cli.connections import ConnectionId
from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import note, show_json, show_pairs, show_table, when
from devkit.queries.customer import CustomerView, find_customer
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of
from devkit.stacks.stack import find_stack
from loyalty_relay.customers.lww_register import Versions

app = group("Look at what was sent of a customer, and repair it.")

Customer = Annotated[
    str, typer.Argument(metavar="EMAIL|PHONE|ID", help="An e-mail, a phone number, or an id.", show_default=False)
]


@app.command()
def show(id: ConnectionId, customer: Customer, stack: StackName = None, json: AsJson = False) -> None:
    """Show what the ledger holds of a customer: fields, versions, credits, tombstone; no values."""
    found = find_stack(stack)
    services, connection = services_of(found), store_of(found).read(id)
    _, view = find_customer(services, connection, customer)
    _show(view, as_json=json)


@app.command()
def reset(
    id: ConnectionId,
    customer: Customer,
    field: Annotated[list[str] | None, typer.Option("--field", help="Only this field; may be repeated.")] = None,
    tombstone: Annotated[
        bool, typer.Option("--tombstone", help="Also remove the tombstone of a deleted, erased or merged customer.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Reset without a prompt.")] = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Forget versions and values sent of a customer: the next event is sent, whatever its version.

    For a customer whose events are all stale because of a version from the future. Credits that were sent are not
    forgotten.
    """
    found = find_stack(stack)
    services, connection = services_of(found), store_of(found).read(id)
    reference, view = find_customer(services, connection, customer)
    record = view.record
    if unknown := sorted(set(field or ()) - record.fields):
        known = ", ".join(sorted(record.fields)) or "none"
        raise CommandError(f"the ledger has no field {', '.join(unknown)}", do=f"it has: {known}")
    if not yes:
        _show(view, as_json=False)
        typer.confirm("Forget this?", abort=True)
    after = services.customers.reset(connection.id, reference, fields=field or (), tombstone=tombstone)
    _show(CustomerView(connection.id, after or record), as_json=json)
    if record.tombstone is not None and not tombstone:
        note("the tombstone stays, and older events stay stale; --tombstone removes it")


def _show(view: CustomerView, *, as_json: bool) -> None:
    record, stone = view.record, view.record.tombstone
    if as_json:
        show_json(view.as_json())
        return
    show_pairs(
        [
            ("journal hash", ", ".join(record.hashes)),
            ("loyalty id", record.loyalty_id or ""),
            ("leased until", when(record.lease_until or None)),
            ("tombstone", "" if stone is None else f"{stone.reason} {_text(stone.floor)}"),
            ("stale below", _text(record.register.floor)),
            ("profile", record.profile),
            ("other profiles", ", ".join(record.profiles)),
            ("interrupted", "; ".join(f"{i.operation} {', '.join(i.fields)}" for i in record.intents)),
            ("credits", f"{len(record.credited)} commands sent, {len(record.in_doubt)} in doubt"),
        ]
    )
    rows = [
        [name, "known" if mark.digest is not None else "unknown", _text(mark.versions)]
        for name, mark in record.register.marks.items()
    ]
    show_table(["field", "value sent", "versions"], rows)


def _text(versions: Versions) -> str:
    return ", ".join(f"{clock} {v.value}" for clock, v in versions.items())
