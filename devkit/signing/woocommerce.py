"""WooCommerce: base64 of HMAC-SHA256 over the body under the webhook's secret (WooCommerce REST API docs: Webhooks).

The shop keeps its secret HTML-escaped and unescapes it to sign, so that it may be given here in either form.
"""

from __future__ import annotations

import base64
import hmac
import html
from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign a delivery; the ping of a saved webhook is an unsigned form."""
    if body.startswith(b"webhook_id="):
        return {"Content-Type": "application/x-www-form-urlencoded", **fixture_headers}
    mac = hmac.digest(html.unescape(secret).encode(), body, "sha256")
    return {
        "Content-Type": "application/json",
        **fixture_headers,
        "X-WC-Webhook-Signature": base64.b64encode(mac).decode(),
    }
