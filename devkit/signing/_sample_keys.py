"""RSA keys for tests and demos, computed from their numbers when needed.

No private key is kept in a file. Whoever has this source has the private keys too: trust them in a local stack only,
never in a deployed one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache, lru_cache

EXPONENT = 65537
_SMALL = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]
_WITNESSES = (2, *_SMALL[:24])
_NUMBERS = (1, 2)


@cache
def primes(number: int) -> tuple[int, int]:
    """Return the two primes of the 2048-bit test key of this number. Takes half a second the first time."""
    return _prime(f"{number}p"), _prime(f"{number}q")


@cache
def public_pem(number: int) -> str:
    """Return its public key in PEM."""
    p, q = primes(number)
    modulus = p * q
    key = _der(0x30, _integer(modulus) + _integer(EXPONENT))
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    text = base64.b64encode(_der(0x30, algorithm + _der(0x03, b"\0" + key))).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


@lru_cache(maxsize=256)
def signature(secret: str, message: bytes) -> bytes:
    """Sign (RSASSA-PKCS1-v1_5, SHA-256) with the test key of this public key. Raises ValueError for others."""
    number = next((n for n in _NUMBERS if public_pem(n).split() == secret.split()), None)
    if number is None:
        raise ValueError("whoever has a public key cannot sign with it; docs/platforms/adobe.md shows one that can")
    p, q = primes(number)
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    size = (p * q).bit_length() // 8
    padded = int.from_bytes(b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info, "big")
    of_p, of_q = (pow(padded, pow(EXPONENT, -1, prime - 1), prime) for prime in (p, q))
    return (of_q + q * ((of_p - of_q) * pow(q, -1, p) % p)).to_bytes(size, "big")


def _prime(seed: str) -> int:
    """Return the first prime from a number that follows from the seed.

    Its two highest bits are set, so that the modulus has its full length.
    """
    start = int.from_bytes(hashlib.shake_256(f"loyalty relay test key {seed}".encode()).digest(128), "big")
    return next(n for n in _odd(start | 3 << 1022) if n % EXPONENT != 1 and _probably_prime(n))


def _odd(start: int) -> Iterator[int]:
    number = start | 1
    while True:
        if all(number % small for small in _SMALL):
            yield number
        number += 2


def _probably_prime(number: int) -> bool:
    """Return whether a number passes the Miller-Rabin test."""
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    for witness in _WITNESSES:
        x = pow(witness, (number - 1) >> twos, number)
        if x in (1, number - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                break
        else:
            return False
    return True


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + (length if size < 128 or size > 255 else bytes([0x81, size])) + content


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))
