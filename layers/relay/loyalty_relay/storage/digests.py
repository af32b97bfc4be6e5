"""Keyed digests: state and journal recognise a value by them and do not contain it.

One secret of the stack keys them all, so a digest means nothing outside the stack, and the same value has different
digests as another field or in another connection.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.storage import aws


class Digests:
    """Digests under the stack's key. ``key``: at least 16 bytes, else ValueError."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the digest secret must have at least 16 bytes")
        self._key = key

    def _digest(self, domain: str, *parts: str) -> str:
        message = json.dumps([domain, *parts], ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        return base64.urlsafe_b64encode(hmac.new(self._key, message, hashlib.sha256).digest()[:18]).decode()

    def field(self, connection: str, name: str, value: Any) -> str:
        """Return the digest of a field's value; the order of keys in it makes no difference."""
        return self._digest(
            "field",
            connection,
            name,
            json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        )

    def identity(self, connection: str, kind: str, value: str) -> str:
        """Return the digest of an identifier (email, phone, source id, loyalty id); e-mails ignore case and blanks."""
        text = value.strip()
        return self._digest("identity", connection, kind, text.casefold() if kind == "email" else text)


def digest_key(secret_id: str, secrets_client: Any) -> bytes:
    """Return the key of the stack's digests: the secret's text, or its member ``key`` when the text is a JSON object.

    Raises StoreUnavailable when it cannot be read: without it no value can be recognised, so nothing may be done.
    """
    with aws.unavailable("the digest secret could not be read"):
        text = secrets_client.get_secret_value(SecretId=secret_id).get("SecretString") or ""
    if text.lstrip().startswith("{"):
        try:
            member = json.loads(text).get("key")
        except ValueError:
            member = None
        if isinstance(member, str):
            text = member
    if not text:
        raise StoreUnavailable("the digest secret is empty")
    return str(text).encode()
