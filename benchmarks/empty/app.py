"""A handler that does nothing: what the runtime itself takes to start."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return nothing."""
    return {}
