"""Delivery ids: UUIDv7 (RFC 9562), so that they sort by the time of arrival."""

from __future__ import annotations

import os
from collections.abc import Callable


def new_delivery_id(now: float, random: Callable[[int], bytes] = os.urandom) -> str:
    """Return a UUIDv7. ``now``: epoch seconds, of which milliseconds are kept; ``random``: so many random bytes."""
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    noise = int.from_bytes(random(10), "big") & ((1 << 74) - 1)
    number = milliseconds << 80 | 0x7 << 76 | (noise >> 62) << 64 | 0b10 << 62 | noise & ((1 << 62) - 1)
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def arrival_of(delivery_id: str) -> float | None:
    """Return when a delivery arrived, epoch seconds, by its id; None where the id is no UUIDv7."""
    digits = delivery_id.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return int(digits[:12], 16) / 1000
    except ValueError:
        return None
