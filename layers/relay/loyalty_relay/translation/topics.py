"""Which of a platform's topics lead to a command under a connection, so that it needs a subscription to them."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from loyalty_relay.connections.model import Connection
from loyalty_relay.destinations.base import Vendor
from loyalty_relay.destinations.registry import vendor as vendor_named
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.sources.subscriptions import CUSTOMERS, MAPPED, PROVEN, SALES, STORES


def needed_topics(purposes: Mapping[str, str], connection: Connection) -> tuple[str, ...]:
    """Return the topics that the connection makes something of. ``purposes``: those of ``Subscribing``."""
    vendor = vendor_named(connection.destination.vendor)
    return tuple(topic for topic, purpose in purposes.items() if _serves(topic, purpose, connection, vendor))


def _serves(topic: str, purpose: str, connection: Connection, vendor: Vendor) -> bool:
    if purpose == SALES:
        return connection.sales.enabled and "transaction" in vendor.operations
    if purpose == STORES:
        return vendor.commands.get("store_changed") is LinkStore
    if purpose == PROVEN:
        return connection.source.proves(topic)
    if purpose == CUSTOMERS or any(fnmatchcase(topic, pattern) for pattern in connection.mapping):
        return True
    return purpose != MAPPED and vendor.takes(purpose)
