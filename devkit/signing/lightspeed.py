"""Lightspeed X-Series: HMAC-SHA256 over the form under the app's client secret, in hex.

X-Series API docs: Webhooks. The encoding is not documented; hex is what other receivers assume.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign with one header that holds the signature and the algorithm's name."""
    mac = hmac.new(secret.encode(), body, "sha256").hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        **fixture_headers,
        "X-Signature": f"signature={mac},algorithm=HMAC-SHA256",
    }
