"""What platforms with thin events share: one access token per store, and what their APIs' responses mean.

A connection's ``api_credentials`` hold ``access_token``, or ``access_token.STORE`` where each store has granted its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import CredentialsRefused, UpstreamUnavailable, VendorRejected
from loyalty_relay.model.money import ZERO, share
from loyalty_relay.sources.base import ThinChange

TOKEN = "access_token"


def access_token(source: Source, store: str | None) -> str | None:
    """Return the token for a store's API: its own, else the one for all; None when there is none."""
    own = f"{TOKEN}.{store}".casefold()
    for name, value in source.api_credentials.items():
        if name.casefold() == own:
            return value
    return source.api_credentials.get(TOKEN)


def needed_token(source: Source, store: str | None) -> str:
    """Return the same. Raises CredentialsRefused when there is none: an operator must add it; nothing is parked."""
    token = access_token(source, store)
    if token is None:
        raise CredentialsRefused("the connection's api_credentials hold no access token for this store")
    return token


def token_problems(source: Source, others: tuple[str, ...] = ()) -> Iterable[tuple[str, str]]:
    """Return problems of tokens: every store needs one, names must be known, values must fit in a header.

    ``others``: further credentials that the platform has; where a connection has these alone, no store needs a token.
    """
    names = {TOKEN, *others, *(f"{TOKEN}.{store}".casefold() for store in source.stores)}
    for name, value in source.api_credentials.items():
        if name not in names and name.casefold() not in names:
            known = ", ".join((TOKEN, f"{TOKEN}.STORE", *others))
            yield f"api_credentials.{name}", f"unknown field {name}; there are {known}"
        if not value.isascii() or not value.isprintable() or " " in value:
            yield f"api_credentials.{name}", "must be printable ASCII without blanks"
    if source.api_credentials and source.api_credentials.keys() <= set(others):
        return
    if missing := [store for store in source.stores if access_token(source, store) is None]:
        yield "api_credentials.access_token", f"is required: deliveries only name what has changed ({missing[0]})"


def entity_of(status: int, body: Any) -> dict[str, Any] | None:
    """Return the object in a platform's response; None when the resource was deleted.

    Raises VendorRejected when it refuses, UpstreamUnavailable when the answer is no object.
    """
    if status in (404, 410):
        return None
    if status >= 400:
        raise VendorRejected("the platform does not show the resource", code=str(status))
    if not isinstance(body, dict):
        raise unreadable()
    return body


def unreadable() -> UpstreamUnavailable:
    """Return the error for a response of another shape than documented: it may be a passing fault."""
    return UpstreamUnavailable("the platform's response is not of the documented shape")


def objects(items: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; empty where there is no list."""
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def only(items: Any, id: str) -> Mapping[str, Any] | None:
    """Return the entity of this id in a list; None when the list has none. Raises UpstreamUnavailable for no list."""
    if not isinstance(items, list):
        raise unreadable()
    return next((item for item in items if isinstance(item, dict) and str(item.get("id")) == id), None)


def version_read(clock: str, value: str, thin: ThinChange) -> Version | None:
    """Return the version of what was read; None for no ``value``.

    Platforms give times in seconds: of two readings that are equally new by them, the later one saw more, whichever
    event led to it.
    """
    return Version(clock, value, thin.read_at or thin.event.time, thin.event.id) if value else None


def unit_price(value: Decimal, quantity: Decimal, currency: str) -> Decimal:
    """Return what one of ``quantity`` costs, where a platform gives the value of a line; zero for no quantity."""
    return share(value, Decimal(1), quantity, currency) if quantity else ZERO


def web_address(value: Any) -> str | None:
    """Return a shop's address as an absolute URL; people type it without its scheme."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        return None
    return text if text.lower().startswith(("https://", "http://")) else f"https://{text}"
