"""``relay search``: what an id, an e-mail or a phone number names."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from devkit.cli.options import AsJson, StackName
from devkit.cli.output import note, show_json, show_table
from devkit.queries.search import EVENTS_SINCE, search
from devkit.stacks.connection_store import store_of
from devkit.stacks.services import services_of
from devkit.stacks.stack import find_stack

NEXT = {
    "delivery": "relay events show {key}",
    "customer": "relay customers show {connection} EMAIL|PHONE|ID",
    "order": "relay sales show {connection} {key}",
}
"""The command that shows what was found."""


def add(root: typer.Typer) -> None:
    """Put ``search`` among the commands."""
    root.command("search")(search_)


def search_(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="An id of a delivery, event, customer or order; an e-mail or phone."),
    ],
    connection: Annotated[str, typer.Option("--connection", help="Only in this connection.")] = "",
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Find the delivery, customer or order that a text names."""
    found = find_stack(stack)
    result = search(services_of(found), store_of(found), text, now=time.time(), connection=connection)
    if json:
        show_json(result.as_json())
    else:
        rows = [
            [m.kind, m.connection, m.key, NEXT[m.kind].format(connection=m.connection, key=m.key)]
            for m in result.matches
        ]
        if rows:
            show_table(["found", "connection", "key", "look at"], rows)
        else:
            note(f"nothing has it; ids of events were looked for among those of the last {EVENTS_SINCE}")
        for name in result.skipped:
            note(f"connection {name} cannot be read, so nothing was looked for in it")
