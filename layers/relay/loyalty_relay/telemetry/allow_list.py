"""The keys that log lines and metrics may carry: a key that is not listed here cannot reach a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALLOWED = frozenset(
    {
        "age",
        "api",
        "bound",
        "code",
        "connection",
        "count",
        "delay",
        "delivery_id",
        "destination",
        "duration_ms",
        "error",
        "key_id",
        "latency_ms",
        "message_id",
        "operation",
        "outcome",
        "position",
        "reason",
        "receives",
        "request_id",
        "source",
        "status",
        "topic",
        "where",
    }
)
"""All of them are ids of ours, words of ours or numbers; none is personal data."""

_MAX_TEXT = 200


def allowed(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that have a value, texts cut to 200 characters. Raise ValueError for a key not on the list."""
    foreign = keys.keys() - ALLOWED
    if foreign:
        raise ValueError(f"not on the log's allow-list: {', '.join(sorted(foreign))}")
    return {
        name: value[:_MAX_TEXT] if isinstance(value, str) else value
        for name, value in keys.items()
        if value is not None
    }
