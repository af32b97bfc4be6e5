"""Square: base64 of HMAC-SHA256 over the notification URL and the body under the subscription's signature key.

developer.squareup.com: Verify and validate an event notification.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign with ``url``, which is the one that was registered, to the letter."""
    mac = hmac.digest(secret.encode(), url.encode() + body, "sha256")
    return {
        "Content-Type": "application/json",
        **fixture_headers,
        "x-square-hmacsha256-signature": base64.b64encode(mac).decode(),
    }
