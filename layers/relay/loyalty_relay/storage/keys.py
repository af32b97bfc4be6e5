"""Every key and index of the tables, so that no two kinds of item can collide.

Digests are made by the callers, because most of them need the stack's secret; see ``storage.digests``.
"""

from __future__ import annotations

import hashlib
from datetime import date

BY_STORE = "by_store"
"""Index of the state table by ``store``."""
BY_CONNECTION = "by_connection"
"""Index of the journal by ``connection_day`` and ``sort``."""
BY_CUSTOMER = "by_customer"
"""Index of the journal by ``customer`` and ``sort``."""
BY_UNFINISHED = "by_unfinished"
"""Index of the journal by ``unfinished`` and ``sort``: only of entries whose outcome is not final; keys alone."""


# -- the state table: pk ----------------------------------------------------------------------------------------------


def customer(connection: str, kind: str, digest: str) -> str:
    """Return the key of a customer's item, or of a pointer to it. ``kind``: source_id or a type of identifier."""
    return f"C#{connection}#{kind}#{digest}"


def customer_kind(pk: str) -> str:
    """Return the ``kind`` of a customer's key."""
    return pk.split("#")[2]


def customer_hash(pk: str) -> str:
    """Return the digest of a customer's key, under which the journal lists the customer."""
    return pk.rpartition("#")[2]


def order(connection: str, digest: str) -> str:
    """Return the key of an order's item, or of a pointer to it. ``digest``: of the order's id, or of an alias."""
    return f"O#{connection}#{digest}"


def order_lines(order_key: str) -> str:
    """Return the key of the lines of the order whose item has the key ``order_key``."""
    return f"OL{order_key[1:]}"


def waiting_orders(connection: str, contact: str) -> str:
    """Return the key of the orders that wait for a guest. ``contact``: digest of the guest's e-mail or phone."""
    return f"W#{connection}#{contact}"


def store_link(connection: str, shop_id: str) -> str:
    """Return the key of a shop's link: commands and records name a store in one spelling, its platform in another."""
    return f"L#{connection}#{shop_id.casefold()}"


def integration(connection: str, name: str) -> str:
    """Return the key of a connection's integration of this name at the vendor."""
    return f"I#{connection}#{name}"


def circuit(destination: str) -> str:
    """Return the key of a destination's circuit; tools that have the connection compute the same."""
    return f"B#{_account(destination)}"


def rate_limit(destination: str, api: str) -> str:
    """Return the key of the slots of one API of a destination."""
    return f"R#{_account(destination)}#{api}"


def parked(key: str) -> str:
    """Return the key of the marker of a parked command or delivery."""
    return f"P#{key}"


def revocation() -> str:
    """Return the key of the marker of the last revocation of a webhook secret."""
    return "revocation"


def token_lease(digest: str) -> str:
    """Return the key of the lease for renewing an access token."""
    return f"token#{digest}"


def run(connection: str) -> str:
    """Return the key of a connection's latest import or reconciliation."""
    return f"U#{connection}"


def roster(connection: str) -> str:
    """Return the key of what names the list of a connection's customers that the next one is compared with."""
    return f"U#{connection}#roster"


def roster_page(connection: str, run: str, page: int) -> str:
    """Return the key of a page of such a list, which a run made."""
    return f"U#{connection}#{run}#{page}"


def _account(destination: str) -> str:
    # A destination's key contains the account name that we log in with.
    return hashlib.sha256(destination.encode()).hexdigest()[:32]


# -- the state table: store -------------------------------------------------------------------------------------------


def customers_of(connection: str, store: str) -> str:
    """Return the value under which ``BY_STORE`` lists a shop's customers."""
    return f"{connection}#{store}"


def links_of(connection: str) -> str:
    """Return the value under which ``BY_STORE`` lists a connection's store links."""
    return f"links#{connection}"


# -- the journal ------------------------------------------------------------------------------------------------------


def connection_day(connection: str, day: date) -> str:
    """Return the value under which ``BY_CONNECTION`` lists one day's entries."""
    return f"{connection}#{day:%Y-%m-%d}"


def entry_order(delivery_id: str, position: int) -> str:
    """Return the sort key of an entry in both indexes of the journal."""
    return f"{delivery_id}#{position:05d}"


def unfinished(connection: str, result: str) -> str:
    """Return the value under which ``BY_UNFINISHED`` lists a connection's entries with a result that is not final."""
    return f"{connection}#{result}"


def counts(connection: str, day: date) -> str:
    """Return the ``delivery_id`` under which the journal keeps a connection's counts of the hours of a day's week."""
    year, week, _ = day.isocalendar()
    return f"counts#{connection}#{year}-W{week:02d}"


def reports(connection: str) -> str:
    """Return the ``delivery_id`` under which the journal keeps a connection's reports, which no delivery has."""
    return f"report#{connection}"


def disclosures(connection: str) -> str:
    """Return the ``delivery_id`` under which the journal keeps who requested bodies of parked work."""
    return f"disclosure#{connection}"


# -- the idempotency table --------------------------------------------------------------------------------------------


def idempotency_prefix(operation: str) -> str:
    """Return the prefix of the keys of an operation's commands."""
    return f"relay:{operation}"
