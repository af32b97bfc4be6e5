"""Adobe: base64 of RSASSA-PKCS1-v1_5 with SHA-256.

Over the body for I/O Events (Adobe Developer docs: Signature verification) and over the body's base64 for Commerce
webhooks (Adobe Commerce docs: Webhooks signature verification).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from devkit.signing._sample_keys import signature


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign as I/O Events does, which names the path of a public key; handshakes are not signed at all."""
    headers = {"Content-Type": "application/json", **fixture_headers}
    names = {name.lower() for name in fixture_headers}
    if "x-adobe-public-key1-path" in names:
        return {**headers, "x-adobe-digital-signature-1": _text(signature(secret, body))}
    if not body or body.startswith(b'{"validationUrl"'):
        return headers
    return {**headers, "x-adobe-commerce-webhook-signature": _text(signature(secret, base64.b64encode(body)))}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
