"""The lines and payments of a sale that is booked later, in the form in which they are kept. Pure."""

from __future__ import annotations

import base64
import json
import zlib

from loyalty_relay.model.commands import plain
from loyalty_relay.model.orders import Sale
from loyalty_relay.orders.record import MOST_BYTES


def packed(sale: Sale) -> str:
    """Return the lines and payments of a sale as text; "" where it has none, or more than an item can hold."""
    if not (sale.lines or sale.payments):
        return ""
    kept = {name: [plain(item) for item in getattr(sale, name)] for name in ("lines", "payments")}
    text = base64.b64encode(zlib.compress(json.dumps(kept, separators=(",", ":")).encode())).decode()
    return text if len(text) <= MOST_BYTES else ""


def with_lines(sale: Sale, text: str) -> Sale:
    """Return a sale with the lines and payments that ``packed`` made a text of."""
    kept = json.loads(zlib.decompress(base64.b64decode(text)))
    return Sale.from_dict({**plain(sale), **kept})
