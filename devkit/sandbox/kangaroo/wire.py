"""What a request and a reply are to the Kangaroo sandbox, free of any web framework."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as the business sees it.

    `path` starts after the sandbox's prefix, `base_url` ends with that prefix and has no trailing slash,
    header names are lower case, and `params` holds what the route's placeholders matched.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = "http://127.0.0.1"
    client: str = "127.0.0.1"
    params: Mapping[str, str] = field(default_factory=dict)

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def listed(self, name: str) -> frozenset[str]:
        """Return a comma-separated query parameter (`include`, `relationships`) as a set."""
        return frozenset(part.strip() for part in self.first(name).split(",") if part.strip())

    @property
    def bearer(self) -> str:
        """The bearer token, or an empty string."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    @property
    def media_type(self) -> str:
        """The media type of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json_object(self) -> dict[str, Any] | None:
        """Return the body as a JSON object; None when it is not valid JSON.

        A body of another media type counts as empty, as a Laravel application treats it: the documentation
        requires `Content-Type: application/json`, and a request without it fails for missing fields, not
        for the header. A JSON value that is no object counts as empty too.
        """
        if not self.body or self.media_type not in _JSON_TYPES:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else {}

    def form(self) -> dict[str, str]:
        """Query, form and JSON fields together, all as strings: what a token endpoint reads."""
        fields = dict(self.query)
        if self.media_type in _JSON_TYPES:
            parsed = self.json_object() or {}
            fields |= {name: str(value) for name, value in parsed.items() if value is not None}
        else:
            fields |= dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        return fields


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: `body` is JSON, or text to be sent as `content_type`, or None for no body at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def content(self) -> bytes:
        """Return the body's bytes."""
        if self.body is None:
            return b""
        if self.content_type == "application/json":
            return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
        return str(self.body).encode()


_JSON_TYPES = frozenset({"application/json", "application/vnd.kangaroorewards.api.v1+json"})
