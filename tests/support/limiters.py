"""A limiter for tests of other things."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from loyalty_relay.model.deadline import Deadline


class NullLimiter:
    """No limit."""

    def acquire(self, api: str, deadline: Deadline) -> None:
        """Return at once."""

    def hold(self, api: str, deadline: Deadline) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def penalise(self, api: str, retry_after: float | None) -> None:
        """Do nothing."""
