"""RSA signatures of platforms that sign with a private key: verifying only, with Python's own integers.

Sources: RFC 8017 (PKCS #1 v2.2) 8.2.2 "RSASSA-PKCS1-v1_5 verification" and 9.2 for the encoding; RFC 5280 4.1 and RFC
3279 2.3.1 for the public key. Nothing here is secret, so that time reveals nothing.

The encoded message is built anew and compared as a whole, as RFC 8017 requires. Nothing of the signature's padding is
ever parsed: forgeries by lenient parsers have no place to be.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

MIN_BITS = 2048
"""Weaker keys are refused."""

MAX_BITS = 8192
"""Longer keys than anybody signs webhooks with would only cost time."""

MAX_PEM = 16 * 1024
"""Characters of a key's PEM text; the longest key has fewer than 2,000."""

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101") + b"\x05\x00"
"""AlgorithmIdentifier's contents: OID 1.2.840.113549.1.1.1 and NULL."""

_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of SHA-256 up to the digest (RFC 8017 9.2, note 1)."""

_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA public key: modulus and exponent."""

    modulus: int
    exponent: int

    @property
    def size(self) -> int:
        """Bytes of a signature under this key."""
        return (self.modulus.bit_length() + 7) // 8


def public_key(pem: str) -> PublicKey:
    """Return the key in a PEM text (``BEGIN PUBLIC KEY``: SubjectPublicKeyInfo in DER).

    Raises ValueError, with a sentence for people, for what is no such key, is not in the one canonical encoding, or is
    too weak to prove anything.
    """
    found = _PEM.fullmatch(pem.strip()) if len(pem) <= MAX_PEM else None
    if found is None:
        raise ValueError("must be a public key in PEM, from -----BEGIN PUBLIC KEY----- to its END")
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True)
    except ValueError:
        raise ValueError("must be a public key in PEM: its base64 is broken") from None
    algorithm, bits = _elements(_only(der, _SEQUENCE), _SEQUENCE, _BIT_STRING)
    if algorithm != _RSA_ENCRYPTION:
        raise ValueError("must be an RSA key")
    if bits[:1] != b"\x00":
        raise _not_der()
    modulus, exponent = map(_natural, _elements(_only(bits[1:], _SEQUENCE), _INTEGER, _INTEGER))
    length = modulus.bit_length()
    if not MIN_BITS <= length <= MAX_BITS:
        raise ValueError(f"must have {MIN_BITS} to {MAX_BITS} bits; it has {length}")
    if modulus % 2 == 0 or exponent % 2 == 0 or not 3 <= exponent < 2**32:
        raise ValueError("must be an RSA key with an odd modulus and an odd exponent from 3 to 2^32")
    return PublicKey(modulus, exponent)


def verified(key: PublicKey, signature: bytes, *message: bytes) -> bool:
    """Return whether this is the RSASSA-PKCS1-v1_5 signature with SHA-256 of the joined ``message`` under this key.

    Never raises.
    """
    number = int.from_bytes(signature, "big")
    if len(signature) != key.size or number >= key.modulus:
        return False
    sha = hashlib.sha256()
    for part in message:
        sha.update(part)
    info = _SHA256 + sha.digest()
    expected = b"\x00\x01" + b"\xff" * (key.size - len(info) - 3) + b"\x00" + info
    return hmac.compare_digest(pow(number, key.exponent, key.modulus).to_bytes(key.size, "big"), expected)


# -- DER, as far as a key needs it: definite lengths in their shortest form, nothing left over ----------------------


def _elements(data: bytes, *tags: int) -> list[bytes]:
    """Return the contents of exactly these elements."""
    contents = []
    for tag in tags:
        content, data = _element(data, tag)
        contents.append(content)
    if data:
        raise _not_der()
    return contents


def _only(data: bytes, tag: int) -> bytes:
    return _elements(data, tag)[0]


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return contents and rest of the element with this tag at the beginning."""
    if len(data) < 2 or data[0] != tag:
        raise _not_der()
    length, start = data[1], 2
    if length >= 0x80:
        start += length & 0x7F
        digits = data[2:start]
        length = int.from_bytes(digits, "big")
        if not 1 <= len(digits) <= 4 or start > len(data) or digits[0] == 0 or length < 0x80:
            raise _not_der()
    if start + length > len(data):
        raise _not_der()
    return data[start : start + length], data[start + length :]


def _natural(content: bytes) -> int:
    """Return an INTEGER that is not negative, without needless zeros."""
    if not content or content[0] >= 0x80 or (content[0] == 0 and len(content) > 1 and content[1] < 0x80):
        raise _not_der()
    return int.from_bytes(content, "big")


def _not_der() -> ValueError:
    return ValueError("must be a public key in PEM: its contents are not DER")
