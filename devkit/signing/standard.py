"""Standard Webhooks: ``v1,`` and base64 of HMAC-SHA256 over ``id.timestamp.body``.

The specification, "Signature scheme".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign a delivery. The message id is the fixture's, so a repetition is a duplicate, or follows from the body."""
    given = {name.lower(): value for name, value in fixture_headers.items()}
    message_id = given.pop("webhook-id", None) or f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
    sent_at = str(int(now))
    key = base64.b64decode(secret.split("_", 1)[-1] + "==")
    mac = hmac.digest(key, b".".join([message_id.encode(), sent_at.encode(), body]), "sha256")
    return {
        "content-type": "application/json",
        **given,
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
