"""Tillbook's configuration: what a connection's secret may contain, commands and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_relay.connections.model import Connection, Destination
from loyalty_relay.destinations.base import ClientParts, Crm, Vendor, limits
from loyalty_relay.model.commands import RegisterCustomer, UpdateCustomer
from loyalty_relay.model.json_validation import Reader

if TYPE_CHECKING:
    from loyalty_relay.http.client import Client


def parse(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    """Read the ``destination`` object of a secret."""
    credentials = read.object("credentials", required=True)
    taken = {"key": credentials.text("key", header=True)}
    credentials.done()
    return Destination(
        vendor="tillbook",
        host=read.base_url("host", "https://api.tillbook.example", ("tillbook.example",), sandbox_hosts) or "",
        credentials=taken,
        requests_per_minute=limits(read, {"members": 600.0}, ("members",)),
    )


def crm(connection: Connection, client: Client, parts: ClientParts) -> Crm:
    """Return the client of a connection's shop."""
    # Relative: the folder becomes a part of the layer only when a test puts it on the registry's search path.
    from .client import TillbookCrm  # noqa: TID252

    return TillbookCrm()


VENDOR = Vendor(
    name="tillbook",
    parse=parse,
    crm=crm,
    operations=frozenset({"register", "update"}),
    commands={"customer_created": RegisterCustomer, "customer_changed": UpdateCustomer},
    fields=frozenset({"first_name", "email"}),
    field_patterns=((r"notes\.[a-z]+", "notes.NAME"),),
)
