"""Signatures and tokens: HMAC, comparison in constant time, replay windows. Every input is hostile."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from itertools import islice

from loyalty_relay.sources.base import Request, Verdict
from loyalty_relay.sources.parsing import as_bytes


def hmac_sha256(key: str | bytes, *parts: str | bytes) -> bytes:
    """Return HMAC-SHA256 over the concatenation of ``parts``; texts are taken as UTF-8."""
    mac = hmac.new(as_bytes(key), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(as_bytes(part))
    return mac.digest()


def base64_text(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode()


def same(expected: bytes | str, given: bytes | str | None) -> bool:
    """Compare in constant time; never raises."""
    return given is not None and hmac.compare_digest(as_bytes(expected), as_bytes(given))


def matching(given: str | None, expected: Iterable[str]) -> Verdict:
    """Return whether a signature header's text is one of the expected ones, all of the same length.

    Every one is compared, so that time does not reveal which secret it was.
    """
    if given is None:
        return Verdict.NO_SIGNATURE
    lengths: set[int] = set()
    found = False
    for text in expected:
        lengths.add(len(text))
        found |= same(text, given)
    if found:
        return Verdict.AUTHENTIC
    return Verdict.WRONG if len(given) in lengths else Verdict.MALFORMED


def within(signed_at: float, now: float, window: float) -> bool:
    """Return whether a signed time is at most ``window`` seconds away from now, before or after."""
    return abs(now - signed_at) <= window


# -- Standard Webhooks -------------------------------------------------------------------------------------------
#
# The specification's "Signature scheme", which BigCommerce signs with too.

WINDOW = 300.0
"""Seconds that a signed time may be away from ours, before or after."""

MAX_SIGNATURES = 16
"""More signatures than any roll of secrets needs are not looked at."""

_JOINED = re.compile(r",(?=v\d{1,3}[a-z]?,)")
"""The comma with which two headers of one name are joined. A signature itself may begin with ``v8``."""

_WHOLE = re.compile(r"[0-9]{1,12}")
_ORDER = (Verdict.MALFORMED, Verdict.WRONG, Verdict.AUTHENTIC)


def standard_webhooks_verdict(request: Request, family: str, keys: Iterable[bytes], now: float) -> Verdict:
    """Return whether one of ``keys`` made a ``v1`` signature over id, time and body; others are skipped.

    ``family``: how the names of the three headers begin (``webhook``, ``svix``).
    """
    message_id, sent_at = request.header(f"{family}-id"), request.header(f"{family}-timestamp")
    given = request.header(f"{family}-signature")
    if message_id is None or sent_at is None or given is None:
        return Verdict.NO_SIGNATURE
    if not _WHOLE.fullmatch(sent_at):
        return Verdict.MALFORMED
    expected = [base64_text(hmac_sha256(key, f"{message_id}.{sent_at}.", request.body)) for key in keys]
    found = Verdict.MALFORMED
    parts = (part for joined in given.split() for part in _JOINED.split(joined.strip(",")))
    for part in islice(parts, MAX_SIGNATURES):
        version, comma, signature = part.partition(",")
        if version == "v1" and comma:
            found = max(found, matching(signature, expected), key=_ORDER.index)
    if found and not within(float(sent_at), now, WINDOW):
        return Verdict.OUTSIDE_WINDOW
    return found
