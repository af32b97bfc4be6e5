"""Rate limits: a fixed window that refuses, and a sliding window that only watches."""

from __future__ import annotations

import math
from collections import deque


class RateMeter:
    """Count requests against a limit in fixed windows, and note the worst sliding one.

    The windows are ``window`` seconds long and aligned to the clock, or to the first request.

    A fixed window is the sandbox's assumption about the vendors (no vendor documents the window). The
    sliding count is stricter: ``peak`` is the largest number of requests that arrived within any ``window``
    seconds, refused ones included, so a test can require that no window ever exceeded a limit.
    """

    def __init__(self, window: float = 60.0, *, aligned: bool = True) -> None:
        self.window = window
        self._origin: float | None = 0.0 if aligned else None
        self.arrived = 0
        self.admitted = 0
        self.refused = 0
        self.peak = 0
        self._recent: deque[float] = deque()
        self._window_number = -1
        self._in_window = 0

    def hit(self, now: float, limit: int | None) -> float | None:
        """Count one request at ``now`` (seconds). Return None if admitted, else seconds to the next window.

        ``limit`` is the number of requests that one window admits; None admits all.
        """
        self.arrived += 1
        self._recent.append(now)
        while self._recent and self._recent[0] <= now - self.window:
            self._recent.popleft()
        self.peak = max(self.peak, len(self._recent))
        if self._origin is None:
            self._origin = now
        number = math.floor((now - self._origin) / self.window)
        if number != self._window_number:
            self._window_number = number
            self._in_window = 0
        if limit is not None and self._in_window >= limit:
            self.refused += 1
            return self._origin + (number + 1) * self.window - now
        self._in_window += 1
        self.admitted += 1
        return None
