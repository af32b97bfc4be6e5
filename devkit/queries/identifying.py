"""Find the journal's hashes of a customer by an e-mail, a phone number or an id."""

from __future__ import annotations

from collections.abc import Iterator

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import CustomerRef, Identifier
from loyalty_relay.model.phones import to_e164
from loyalty_relay.runtime.wiring import Services


def customer_hashes(services: Services, connection: Connection, text: str) -> list[str]:
    """Return the keyed hashes under which the journal of a connection may have the customer.

    The state of the customer lists the other keys they were met under; where nothing is held of them any more, the
    hash of the identifier itself is still tried.
    """
    found: list[str] = []
    for kind, value in readings(text, connection.default_country):
        known = services.customers.lookup(connection.id, reading_of(kind, value))
        found += known.hashes if known is not None else ()
        found.append(services.customers.customer_hash(connection.id, kind, value))
    return list(dict.fromkeys(found))


def readings(text: str, country: str | None) -> Iterator[tuple[str, str]]:
    """Yield what a text can be: (kind, value). ``kind``: email, mobile, source_id, loyalty_id."""
    text = text.strip()
    if "@" in text:
        yield "email", text
        return
    phone = to_e164(text, country)
    if phone is not None:
        yield "mobile", phone
    if not text.startswith("+"):
        yield "source_id", text
        yield "loyalty_id", text


def reading_of(kind: str, value: str) -> CustomerRef:
    """Return a reading as the reference of a customer."""
    if kind == "source_id":
        return CustomerRef(source_id=value)
    if kind == "loyalty_id":
        return CustomerRef(loyalty_id=value)
    return CustomerRef(identifiers=(Identifier(kind, value),))
