"""The marker of the last revocation: a process that sees a new one forgets the connections that it has cached.

Connections are cached for five minutes, and a read of Secrets Manager costs twenty times as much as one of a table, so
processes look at this one item instead of reading each connection more often.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Table

KEPT_SECONDS = 3600
"""Longer than any connection is cached, and than the clocks of a tool and of the functions differ."""


class Revocations:
    """The marker in the state table. ``clock``: epoch seconds."""

    def __init__(self, table: Table, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock

    def announce(self) -> None:
        """Make every process forget its connections when it next looks. Raises StoreUnavailable."""
        expires_at = int(self._clock()) + KEPT_SECONDS
        self._table.put({"pk": keys.revocation(), "token": uuid4().hex, "expires_at": expires_at})

    def latest(self) -> str | None:
        """Return what identifies the last revocation, None when there was none of late. Raises StoreUnavailable."""
        item = self._table.get({"pk": keys.revocation()})
        return str(item["token"]) if item is not None and float(item["expires_at"]) > self._clock() else None
