"""How much time is left, as an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loyalty_relay.model.errors import DeadlineTooShort


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment (of ``clock``, in seconds) at which the invocation must have let go of everything."""

    at: float
    clock: Callable[[], float]

    def remaining(self) -> float:
        return self.at - self.clock()

    def require(self, seconds: float) -> float:
        """Return the remaining seconds. Raises DeadlineTooShort when fewer than ``seconds`` are left."""
        left = self.remaining()
        if left < seconds:
            raise DeadlineTooShort(f"{max(left, 0):.1f} s are left, {seconds:.1f} s are needed")
        return left
