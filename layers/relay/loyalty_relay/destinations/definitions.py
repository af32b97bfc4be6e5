"""Definitions of a business (tags, CRM fields), kept briefly so that reading them does not use up the limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

TTL = 300.0
"""Seconds for which definitions are believed."""

MAX_ENTRIES = 256


class DefinitionCache:
    """A bounded map whose entries age. Safe to use from several threads. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float], *, ttl: float = TTL, max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._ttl = ttl
        self._max = max_entries
        self._entries: OrderedDict[tuple[str, str], tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, destination: str, what: str) -> Any | None:
        """Return what was put under this name, None when there is nothing or it is too old."""
        with self._lock:
            entry = self._entries.get((destination, what))
            if entry is None or self._clock() >= entry[0] + self._ttl:
                return None
            self._entries.move_to_end((destination, what))
            return entry[1]

    def put(self, destination: str, what: str, value: Any) -> None:
        """Keep a value; the one that was used longest ago makes room."""
        with self._lock:
            self._entries[destination, what] = (self._clock(), value)
            self._entries.move_to_end((destination, what))
            while len(self._entries) > self._max:
                self._entries.popitem(last=False)

    def drop(self, destination: str, what: str) -> None:
        """Forget what was put under this name."""
        with self._lock:
            self._entries.pop((destination, what), None)
