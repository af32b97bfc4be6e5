"""CloudEvents: a bearer token in the header, which signs nothing.

The specification: HTTP 1.1 Web Hooks, "Authorization".
"""

from __future__ import annotations

from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign a delivery, alike in every mode; a request for permission to send has no token yet."""
    if any(name.lower() == "webhook-request-origin" for name in fixture_headers):
        return dict(fixture_headers)
    return {"Content-Type": "application/json", **fixture_headers, "Authorization": f"Bearer {secret}"}
