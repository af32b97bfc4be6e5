"""Signatures: comparison, windows, and the header of Standard Webhooks, which may hold several."""

from __future__ import annotations

import base64
import hmac

import pytest

from loyalty_relay.sources.base import Request, Verdict
from loyalty_relay.sources.signatures import MAX_SIGNATURES, matching, standard_webhooks_verdict, within

NOW = 1_790_000_000
KEY = b"fake-key-of-24-bytes-long"


def signature(body: bytes) -> str:
    return base64.b64encode(hmac.digest(KEY, b"msg_1.%d." % NOW + body, "sha256")).decode()


def judged(header: str, body: bytes = b"{}") -> Verdict:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": header}
    return standard_webhooks_verdict(Request(headers=headers, body=body), "webhook", [KEY], NOW)


GOOD = f"v1,{signature(b'{}')}"
OTHER = "v1," + "A" * 43 + "="


@pytest.mark.parametrize(
    "header",
    [
        GOOD,
        f"{OTHER} {GOOD}",
        f"{GOOD} {OTHER}",
        f"{OTHER},{GOOD}",
        f"{OTHER}, {GOOD}",
        f"{GOOD},{OTHER}",
        f"v1a,AAAA {GOOD}",
        f"v1a,AAAA,{GOOD}",
        f"v2,xyz {GOOD}",
        f"{OTHER}\t{GOOD}",
    ],
)
def test_one_matching_signature_is_enough(header: str) -> None:
    assert judged(header) is Verdict.AUTHENTIC


def test_a_signature_that_begins_like_a_version_is_one() -> None:
    body = next(text for n in range(100_000) if signature(text := b"%d" % n).startswith(("v1", "v2", "v8")))
    assert judged(f"v1,{signature(body)}", body) is Verdict.AUTHENTIC
    assert judged(f"{OTHER} v1,{signature(body)}", body) is Verdict.AUTHENTIC


@pytest.mark.parametrize(
    "header", [f"v1a,{GOOD[3:]}", f"v2,{GOOD[3:]}", f"V1,{GOOD[3:]}", GOOD[3:], f"v1{GOOD[3:]}", "v1,"]
)
def test_only_version_1_is_looked_at(header: str) -> None:
    assert judged(header) is Verdict.MALFORMED


def test_no_more_signatures_are_compared_than_a_roll_of_secrets_needs() -> None:
    assert judged(" ".join([OTHER] * (MAX_SIGNATURES - 1) + [GOOD])) is Verdict.AUTHENTIC
    assert judged(" ".join([OTHER] * MAX_SIGNATURES + [GOOD])) is Verdict.WRONG


def test_a_signature_is_malformed_or_wrong() -> None:
    assert matching("abcd", ["abcx", "abcd"]) is Verdict.AUTHENTIC
    assert matching("abce", ["abcx", "abcd"]) is Verdict.WRONG
    assert matching("abc", ["abcd"]) is Verdict.MALFORMED
    assert matching(None, ["abcd"]) is Verdict.NO_SIGNATURE
    assert matching("abcd", []) is Verdict.MALFORMED
    assert [verdict for verdict in Verdict if verdict] == [Verdict.AUTHENTIC]


@pytest.mark.attack(
    "senders",
    "a replay of a captured delivery",
    "the signed time's window; where no time is signed, the body's digest is its identity for 30 "
    "days, and the guard after that",
    "G4",
)
def test_a_window_is_open_on_both_sides() -> None:
    assert within(100, 400, 300)
    assert within(700, 400, 300)
    assert not within(99.9, 400, 300)
    assert not within(700.1, 400, 300)
