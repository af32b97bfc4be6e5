"""BigCommerce: Standard Webhooks under the app's client secret (BigCommerce docs: HTTPS webhooks).

The vendor's sample base64-encodes the secret before it gives it to the library, which decodes it again: the key is the
secret's own characters.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign a delivery. The webhook id is the fixture's, so a repetition is a duplicate, or follows from the body."""
    given = {name.lower(): value for name, value in fixture_headers.items()}
    message_id = given.pop("webhook-id", None) or hashlib.sha256(body).hexdigest()[:32]
    sent_at = str(int(now))
    mac = hmac.digest(secret.encode(), f"{message_id}.{sent_at}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        **given,
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
