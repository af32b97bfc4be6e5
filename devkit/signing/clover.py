"""Clover: the app's fixed token in ``X-Clover-Auth`` (docs.clover.com: Webhooks). Nothing is signed."""

from __future__ import annotations

from collections.abc import Mapping


def sign(fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Sign a delivery; the verification of a URL comes before there is a token."""
    token = {} if b'"verificationCode"' in body else {"X-Clover-Auth": secret}
    return {"Content-Type": "application/json", **fixture_headers, **token}
