"""Bill numbers and markers: functions of a shop and an order that never change, because the vendors keep the results.

Pure; tests/orders/test_bills.py has the golden results.
"""

from __future__ import annotations

import base64
import hashlib
import re

from loyalty_relay.model.orders import Sale

_OTHERS = re.compile(r"[^A-Za-z0-9._-]")
_SUFFIX = 4
"""Characters kept free for the number of a supplementary sale."""


def bill_number(shop: str, order_id: str, length: int, *, key: str = "") -> str:
    """Return the bill number of an order: a digest of the shop, and the order's id.

    ``length``: the vendor's limit. ``key``: ``Sales.shop_key``.
    """
    keyed = (key,) if key else ()
    return _fitted(f"{_digest(shop, 6, *keyed)}-{order_id}", (shop, order_id, *keyed), length)


def receipt_number(shop: str, sale: Sale, order_id: str, length: int, *, key: str = "") -> str:
    """Return the bill number of a till's receipt: its number, store, till and date.

    That of ``bill_number`` where the sale has no number.
    """
    if not sale.number:
        return bill_number(shop, order_id, length, key=key)
    parts = (sale.number, key, sale.location or shop, sale.till, sale.sold_at[:10].replace("-", ""))
    return _fitted("-".join(part for part in parts if part), parts, length)


def supplementary(bill: str, count: int) -> str:
    """Return the bill number of an order's ``count``-th sale: the first has the order's own."""
    return bill if count == 1 else f"{bill}-{count}"


def marker(connection: str, order_id: str, number: int) -> str:
    """Return the text by which a booking is found at the vendor: letters, digits and hyphens, at most 50."""
    return f"LR-{_digest('marker', 24, connection, order_id)}-{number}"


def _fitted(text: str, parts: tuple[str, ...], length: int) -> str:
    """Return a text in characters that every vendor takes; with a digest of its parts where it had to be changed."""
    plain = _OTHERS.sub("-", text)
    most = length - _SUFFIX
    if plain == text and len(text) <= most:
        return text
    digest = _digest("bill", 16, *parts)
    return f"{plain[: max(0, most - len(digest) - 1)]}-{digest}".lstrip("-")[:most]


def _digest(first: str, length: int, *more: str) -> str:
    digest = hashlib.sha256("\x1f".join((first, *more)).encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest).decode().lower()[:length]
