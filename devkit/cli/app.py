"""The ``relay`` command: one module per group of commands."""

from __future__ import annotations

import typer

from devkit.cli import (
    catalogue,
    connect,
    connections,
    console,
    dev,
    events,
    ledgers,
    logs,
    parked,
    runs,
    sales,
    searching,
    send,
    status,
    subscriptions,
)
from devkit.cli.options import Commands

app = typer.Typer(
    name="relay",
    help="Work with a loyalty relay: run it on this machine, connect shops, send events, see what became of them.",
    no_args_is_help=True,
    cls=Commands,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(connections.app, name="connections")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(events.app, name="events")
app.add_typer(ledgers.app, name="customers")
app.add_typer(sales.app, name="sales")
app.add_typer(parked.app, name="parked")
dev.add(app)
connect.add(app)
send.add(app)
parked.add(app)
runs.add(app)
catalogue.add(app)
logs.add(app)
console.add(app)
searching.add(app)
status.add(app)
