"""Emit the metric ``NearBound`` before a limit of ours is reached.

A queue's own figure for its oldest message leaves out what was received more than three times (SQS developer guide,
"Available CloudWatch metrics"), so what is tried again and again has to be measured here. docs/reliability.md
lists the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loyalty_relay.reliability import retry_policy
from loyalty_relay.telemetry import metrics

MEMORY_SHARE = 0.8
"""Of the function's memory; above it a process is near to being killed."""

LAST_SECONDS = 1.0
"""Of an invocation. No upstream call starts that could end in the last two (``triggers.queue.MARGIN``), so a batch that
ends as late as this is held up by something else.
"""


def peak_memory() -> int:
    """Return the most bytes that this process has held at one time. On Linux and macOS only."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Headroom:
    """The room left under the limits. ``memory``: the function's, in bytes; None where it has no limit."""

    def __init__(self, memory: int | None, peak: Callable[[], int] = peak_memory) -> None:
        self._memory = memory
        self._peak = peak
        self._reported = 0

    def waiting(self, *, tried: float, age: float, receives: int, **names: Any) -> None:
        """Report a message that goes back to its queue near a limit; see ``retry_policy.near``."""
        for bound in retry_policy.near(tried=tried, age=age, receives=receives):
            metrics.count("NearBound", bound=bound, **names)

    def invocation(self, *, left: float, **names: Any) -> None:
        """Report a batch that ended with few seconds ``left``, or a process near its memory.

        A process's peak never falls, so it is reported once, and again when it has grown.
        """
        if left < LAST_SECONDS:
            metrics.count("NearBound", bound="time", **names)
        if self._memory is None:
            return
        peak = self._peak()
        if peak > max(self._reported, MEMORY_SHARE * self._memory):
            self._reported = peak
            metrics.count("NearBound", bound="memory", **names)
