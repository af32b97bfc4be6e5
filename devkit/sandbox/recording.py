"""What every upstream request looked like, for people and for tests that read it back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl

from devkit.sandbox.vendor import JSON


@dataclass
class RecordedRequest:
    """One upstream request.

    ``time`` is seconds since the epoch; ``path`` is the vendor's own, without the sandbox's ``prefix``;
    ``query`` has a list for a name that came more than once; header names are in lower case; ``body`` is the
    parsed JSON, the text where it is not JSON, or None where there was none. ``status`` is None when the
    connection was closed without a response; ``effect`` is whether the vendor's own code ran.
    """

    number: int
    time: float
    vendor: str
    prefix: str
    method: str
    path: str
    query: dict[str, str | list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: JSON = None
    status: int | None = None
    effect: bool = False
    fault: int | None = None

    def as_json(self) -> dict[str, JSON]:
        """Return the record as a JSON object."""
        return asdict(self)


class Recorder:
    """Keeps the requests in the order in which they arrived."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self._count = 0

    def begin(
        self,
        *,
        time: float,
        vendor: str,
        prefix: str,
        method: str,
        path: str,
        query_string: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
    ) -> RecordedRequest:
        """Record a request that has arrived; the caller completes it when it has responded."""
        self._count += 1
        query: dict[str, str | list[str]] = {}
        for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
            before = query.get(name)
            if before is None:
                query[name] = value
            else:
                query[name] = [*(before if isinstance(before, list) else [before]), value]
        merged: dict[str, str] = {}
        for raw_name, raw_value in headers:
            key, text = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            merged[key] = f"{merged[key]}, {text}" if key in merged else text
        request = RecordedRequest(self._count, time, vendor, prefix, method, path, query, merged, _body_value(body))
        self.requests.append(request)
        return request

    def select(
        self, vendor: str | None = None, method: str | None = None, path: str | None = None
    ) -> list[RecordedRequest]:
        """Return the requests that match; ``path`` may have ``*`` in it."""
        return [
            request
            for request in self.requests
            if (vendor is None or request.vendor == vendor)
            and (method is None or request.method == method.upper())
            and (path is None or fnmatchcase(request.path, path))
        ]

    def clear(self) -> None:
        """Forget all requests; numbering goes on."""
        self.requests.clear()


def _body_value(body: bytes) -> JSON:
    if not body:
        return None
    try:
        value: JSON = json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")
    return value
