"""Checking what a destination lacks, and giving it an authorization; both by the clients that the functions use."""

from __future__ import annotations

import secrets
import time
from typing import Any

from devkit.cli.output import CommandError
from devkit.cli.services import services_of, unlogged
from devkit.cli.stack import Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import RelayError

EXCHANGE_SECONDS = 30.0


def probe(stack: Stack, connection: Connection, *, seconds: float) -> list[dict[str, Any]]:
    """Return the findings of the destination's client.

    Each has ``what``, ``ok`` (None: cannot be checked), ``message``, and ``who`` can fix it.
    """
    crm = services_of(stack).crm(connection)
    deadline = Deadline(time.monotonic() + seconds, time.monotonic)
    try:
        with unlogged():
            findings = crm.probe(deadline)
    except RelayError as error:
        from devkit.cli.hints import meaning

        return [
            {
                "what": "reach the destination",
                "ok": False,
                "message": f"{error} {meaning(error.reason)}".strip(),
                "who": "operator" if error.reason == "credentials" else "vendor or network",
            }
        ]
    return [{"what": f.name, "ok": f.ok, "message": f.message, "who": f.who} for f in findings]


def authorization_url(stack: Stack, connection: Connection) -> str:
    """Return the page where the account's owner allows access. Raises CommandError where the connection needs none."""
    _needs_authorization(connection)
    crm: Any = services_of(stack).crm(connection)
    return str(crm.authorize_url(secrets.token_urlsafe(16)))


def exchange(stack: Stack, connection: Connection, code: str) -> None:
    """Exchange a code for tokens and keep them where the functions look. Raises CommandError or RelayError."""
    _needs_authorization(connection)
    crm: Any = services_of(stack).crm(connection)
    with unlogged():
        crm.authorize(code, Deadline(time.monotonic() + EXCHANGE_SECONDS, time.monotonic))


def _needs_authorization(connection: Connection) -> None:
    if connection.destination.credentials.get("type") != "authorization_code":
        raise CommandError(
            f"connection {connection.id} needs no authorization",
            where="destination.credentials.type",
            do="only credentials of type authorization_code are authorized this way",
        )
