"""What a client asks before every request: may it be sent now?

Vendors publish limits per API. Pacing keeps all executions together below them; clients only know this protocol, so
that they neither know where the count is kept nor need a table in tests.
"""

from __future__ import annotations

from typing import Protocol

from loyalty_relay.model.deadline import Deadline


class Limiter(Protocol):
    """The limits of one destination. Implementations are safe to call from several threads."""

    def acquire(self, api: str, deadline: Deadline) -> None:
        """Take one request of ``api`` (a name of ``Destination.requests_per_minute``; others have no limit).

        May sleep a moment. Raises RateLimited with ``retry_after`` in seconds when the turn comes too late.
        """
        ...

    def penalise(self, api: str, retry_after: float | None) -> None:
        """The vendor answered that its limit is used up: nothing of ``api`` for so many seconds (None: not said)."""
        ...


class NullLimiter:
    """No limit at all: probes from a desk, and tests that are about something else."""

    def acquire(self, api: str, deadline: Deadline) -> None:
        """Always lets the request go."""

    def penalise(self, api: str, retry_after: float | None) -> None:
        """Forgets what the vendor said."""
