"""The limiter that every request waits for, as a protocol.

Vendors publish limits per API, which ``reliability.rate_limiter`` keeps for all executions together. The HTTP client
depends on this protocol only, so that tests need no table.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from loyalty_relay.model.deadline import Deadline


class Limiter(Protocol):
    """The limits of one destination. Implementations are safe to call from several threads."""

    def acquire(self, api: str, deadline: Deadline) -> None:
        """Take one request of ``api`` (a name of ``Destination.requests_per_minute``; others have no limit).

        May sleep a moment. Raises NoSlot with ``retry_after`` in seconds when the wait would be longer.
        """
        ...

    def hold(self, api: str, deadline: Deadline) -> AbstractContextManager[None]:
        """Hold one request of ``api`` for the first ``acquire`` of it within the block. Raises what that raises."""
        ...

    def penalise(self, api: str, retry_after: float | None) -> None:
        """Block ``api`` for so many seconds (None: unknown) after the vendor reported that its limit is used up."""
        ...
