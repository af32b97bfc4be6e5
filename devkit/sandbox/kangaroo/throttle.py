"""The request limit: 240 a minute per access token, or per address without one (Kangaroo API blueprint)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from devkit.sandbox.kangaroo.errors import Refusal
from devkit.sandbox.limits import RateMeter
from devkit.sandbox.vendor import JSON, Clock


class Throttle:
    """One meter per token or address; the keys are labels (`token 3`), never the tokens themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meters: dict[str, RateMeter] = {}
        self._used: dict[str, tuple[int, int]] = {}

    def reset(self) -> None:
        """Forget every request."""
        self._meters.clear()
        self._used.clear()

    def admit(self, key: str, limit: int) -> Mapping[str, str]:
        """Count one request and return the headers its reply carries; a limit of 0 admits all, unannounced.

        Raises Refusal (429, `Retry-After` in seconds) above the limit. `X-RateLimit-Reset`, in epoch seconds,
        comes only once nothing remains, as documented.
        """
        meter = self._meters.setdefault(key, RateMeter())
        now = self._clock()
        wait = meter.hit(now, limit or None)
        if not limit:
            return {}
        window = math.floor(now / meter.window)
        used_in, used = self._used.get(key, (window, 0))
        used = (used if used_in == window else 0) + (wait is None)
        self._used[key] = (window, used)
        headers = {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(max(0, limit - used))}
        if used >= limit:
            headers["X-RateLimit-Reset"] = str(math.ceil((window + 1) * meter.window))
        if wait is not None:
            headers["Retry-After"] = str(max(1, math.ceil(wait)))
            raise Refusal(429, {"message": "Too Many Attempts."}, headers)
        return headers

    def report(self) -> JSON:
        """Return what each meter saw; `peak` is the largest number of requests in any 60 seconds."""
        return {
            key: {
                "arrived": meter.arrived,
                "admitted": meter.admitted,
                "refused": meter.refused,
                "peak": meter.peak,
            }
            for key, meter in self._meters.items()
        }
