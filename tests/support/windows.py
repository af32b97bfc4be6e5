"""Counts over sliding windows, computed the slow and obvious way."""

from __future__ import annotations


def most_in_any_window(times: list[float], window: float = 60.0) -> int:
    """Return the largest number of times that fall into one window of so many seconds."""
    times = sorted(times)
    return max(sum(1 for t in times[i:] if t - start <= window) for i, start in enumerate(times))
