"""The signature of Standard Webhooks, which BigCommerce signs with too.

Source: the Standard Webhooks specification, "Signature scheme".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from loyalty_relay.sources.base import Request, Verdict
from loyalty_relay.sources.parsing import base64_text, hmac_sha256, matching, within

WINDOW = 300.0
"""Seconds that a signed time may be away from ours, before or after."""

MAX_SIGNATURES = 16
"""More signatures than any roll of secrets needs are not looked at."""

_BETWEEN = re.compile(r"\s*,\s*(?=v\d+[a-z]?,)|\s+")
"""Blanks, or the comma with which two headers of one name are joined. A signature itself may begin with ``v8``."""

_WHOLE = re.compile(r"[0-9]{1,12}")
_ORDER = (Verdict.MALFORMED, Verdict.WRONG, Verdict.AUTHENTIC)


def verdict(request: Request, family: str, keys: Iterable[bytes], now: float) -> Verdict:
    """Whether one of ``keys`` made one of the ``v1`` signatures over id, time and body; others are passed over.

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
    for part in _BETWEEN.split(given)[:MAX_SIGNATURES]:
        version, comma, signature = part.partition(",")
        if version == "v1" and comma:
            found = max(found, matching(signature, expected), key=_ORDER.index)
    if found and not within(float(sent_at), now, WINDOW):
        return Verdict.OUTSIDE_WINDOW
    return found
