"""Checking what a connection lacks at its destination and platform, and giving it an authorization.

Both by the clients that the functions use.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of, unlogged
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection, Source
from loyalty_relay.destinations.base import Crm
from loyalty_relay.destinations.registry import vendor
from loyalty_relay.destinations.tokens import Obtain, Tokens, TokenSet
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import RelayError, TransientError
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Fetch, HydratingSource
from loyalty_relay.triggers.platform_reads import may_read_platform

EXCHANGE_SECONDS = 30.0
MOST_STORES = 10
"""Stores of a connection whose tokens are checked."""


def probe(stack: Stack, connection: Connection, *, seconds: float) -> list[dict[str, Any]]:
    """Return the findings of the destination's client, and those of the platform where sales are recorded.

    Each has ``what``, ``ok`` (None: cannot be checked), ``message``, and ``who`` can fix it.
    """
    services = services_of(stack)
    deadline = Deadline(time.monotonic() + seconds, time.monotonic)
    return _of_destination(services, connection, deadline) + _of_platform(services, connection, deadline)


def _of_destination(services: Services, connection: Connection, deadline: Deadline) -> list[dict[str, Any]]:
    crm = crm_of_its_own(services, connection)
    try:
        with unlogged():
            findings = crm.probe(deadline)
    except RelayError as error:
        from devkit.queries.hints import meaning

        return [
            {
                "what": "reach the destination",
                "ok": None if isinstance(error, TransientError) else False,
                "message": f"{error} {meaning(error.reason)}".strip(),
                "who": "operator" if error.reason == "credentials" else "vendor or network",
            }
        ]
    return [{"what": f.name, "ok": f.ok, "message": f.message, "who": f.who} for f in findings]


def _of_platform(services: Services, connection: Connection, deadline: Deadline) -> list[dict[str, Any]]:
    """Return whether each store's token may read what sales take; nothing where none are recorded or none are read."""
    source = connection.source
    module = source_module(source.platform)
    if not connection.sales.enabled or not isinstance(module, HydratingSource):
        return []
    found = []
    for store in source.stores[:MOST_STORES]:
        for read in module.sale_reads:
            fetch = partial(module.fetch, read.thin(source.platform, store))
            what = f"sales of {store}: {read.scope}"
            found.append({"what": what} | _allowed(fetch, services, connection, deadline))
    return found


def _allowed(
    fetch: Callable[[Source], Fetch], services: Services, connection: Connection, deadline: Deadline
) -> dict[str, Any]:
    try:
        with unlogged():
            allowed = may_read_platform(fetch, connection, services, deadline)
    except RelayError as error:
        ok = None if isinstance(error, TransientError) else False
        return {"ok": ok, "message": str(error), "who": "operator or platform"}
    if allowed:
        return {"ok": True, "message": "can be read", "who": ""}
    message = "the platform refuses the token: grant it this permission, then put it into source.api_credentials"
    return {"ok": False, "message": message, "who": "operator"}


@dataclass
class FreshTokens:
    """Tokens that are obtained by this process with the connection's credentials, and kept nowhere."""

    known: dict[str, TokenSet] = field(default_factory=dict)

    def get(self, key: str, obtain: Obtain, deadline: Deadline, *, rejected: str | None = None) -> tuple[str, bool]:
        """See ``Tokens.get``; what the functions have stored is not looked at."""
        known = self.known.get(key)
        if known is not None and known.access_token != rejected:
            return known.access_token, False
        self.known[key] = obtain(None, deadline)
        return self.known[key].access_token, True

    def put(self, key: str, tokens: TokenSet) -> None:
        """See ``Tokens.put``."""
        self.known[key] = tokens


class _Parts:
    """What a client of this process alone has instead of the functions' ``ClientParts``."""

    def __init__(self, services: Services) -> None:
        self.clock = services.clock
        self.tokens: Tokens = FreshTokens()
        self.definitions = services.definitions


def crm_of_its_own(services: Services, connection: Connection) -> Crm:
    """Return a client that proves the connection's own credentials: a token of before would hide a wrong password.

    Tokens of an authorization code stay the stored ones, because obtaining others spends them.
    """
    destination = connection.destination
    if destination.credentials.get("type") == "authorization_code":
        return services.crm(connection)
    parts = _Parts(services)
    return vendor(destination.vendor).crm(connection, services.destination_client(destination), parts)


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
