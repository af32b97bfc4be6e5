"""Shopify: base64 of HMAC-SHA256 over the body under the app's client secret (shopify.dev: Verify deliveries)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign a delivery; header names follow the fixture: ``shopify-...`` of Events, or ``X-Shopify-...``."""
    events = any(name.lower() == "shopify-topic" for name in fixture_headers)
    name = "shopify-hmac-sha256" if events else "X-Shopify-Hmac-Sha256"
    mac = hmac.digest(secret.encode(), body, "sha256")
    return {"Content-Type": "application/json", **fixture_headers, name: base64.b64encode(mac).decode()}
