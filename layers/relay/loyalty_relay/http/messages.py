"""Building requests and reading responses of httpx.

A request carries what the transports need in its ``extensions``: ``api`` (the rate limit it counts against),
``may_repeat``, ``has_effect`` and, once it is sent, ``deadline``. A response carries ``received_at``, epoch seconds.
"""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from loyalty_relay.model.errors import (
    ConnectionFailed,
    FieldProblem,
    InvalidCommand,
    RateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from loyalty_relay.model.money import text_of
from loyalty_relay.model.numbers import exact, no_constant, whole

VERSION = "0.1.0"
USER_AGENT = f"LoyaltyRelay/{VERSION}"

_SAFE = ("GET", "HEAD", "OPTIONS")
_ENCODER = jsonlib.JSONEncoder(ensure_ascii=False, allow_nan=False)
_NOT_A_HEADER = re.compile(r"[^\t\x20-\x7e]")


def build_request(
    *,
    api: str,
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str | int] | None = None,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    idempotent: bool = False,
    effect: bool | None = None,
) -> httpx.Request:
    """Return a request; not ``httpx.Client.build_request``, which adds headers and cookies of its own.

    ``json``: a Decimal in it becomes a JSON number with all of its digits. ``idempotent``: sending it twice does no
    more than sending it once. ``effect``: whether it can change anything that a command is meant to change; by default,
    whether its method is not a reading one. A request for a token has none.
    Raises InvalidCommand for a header that is not printable ASCII.
    """
    content, kind = _content(json, form)
    given = {"User-Agent": USER_AGENT, "Accept": "application/json"}
    if kind:
        given["Content-Type"] = kind
    # Later spellings of a name replace earlier ones, so that a vendor's own Accept wins.
    named = {name.lower(): (name, value) for name, value in (*given.items(), *(headers or {}).items())}
    if params:
        url += "?" + urlencode({k: str(v) for k, v in params.items()}, quote_via=quote)
    extensions = {
        "api": api,
        "may_repeat": idempotent or method in _SAFE,
        "has_effect": method not in _SAFE if effect is None else effect,
    }
    try:
        return httpx.Request(
            method, url, headers=printable(dict(named.values())), content=content, extensions=extensions
        )
    except httpx.InvalidURL:
        raise ConnectionFailed("the destination's address is not a valid URL") from None


def _content(json: Any, form: Mapping[str, str] | None) -> tuple[bytes, str]:
    if json is not None:
        # Half a surrogate pair has no UTF-8 form; one unreadable letter is no reason to fail.
        return _json_text(json).encode("utf-8", "replace"), "application/json"
    if form is not None:
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    return b"", ""


def _json_text(value: Any) -> str:
    # The standard library writes a number either through a float or as a text.
    if isinstance(value, Decimal) and value.is_finite():
        return text_of(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_ENCODER.encode(str(name))}:{_json_text(value[name])}" for name in value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json_text, value)) + "]"
    return _ENCODER.encode(value)


def printable(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers unchanged. Raises InvalidCommand for one that is not printable ASCII."""
    for name, value in headers.items():
        if _NOT_A_HEADER.search(value) or _NOT_A_HEADER.search(name):
            raise InvalidCommand(
                f"header {name} has characters that headers cannot have",
                problems=[FieldProblem(name.lower(), "must consist of printable ASCII characters")],
            )
    return headers


def path_segment(text: str) -> str:
    """Return an id as one segment of a path. Raises InvalidCommand for what a URL would resolve away."""
    if text in ("", ".", ".."):
        raise InvalidCommand("an id in a path is not valid", problems=[FieldProblem("id", "is not a valid id")])
    return quote(text, safe="")


def reached(response: httpx.Response) -> bool:
    """Return whether the response's request can have changed something."""
    return bool(response.request.extensions["has_effect"])


@dataclass(frozen=True, slots=True)
class NotJson:
    """A body that is not JSON, and why; ``why`` holds nothing of the body."""

    why: str


def json_of(response: httpx.Response) -> Any | NotJson:
    """Return the body as JSON, whatever it is labelled as: intermediaries label JSON as HTML, and HTML as JSON.

    Numbers are those of ``model.numbers``, so that no digit of an amount is lost.
    """
    if not response.content.strip():
        return NotJson("empty body")
    try:
        return jsonlib.loads(response.content, parse_float=exact, parse_int=whole, parse_constant=no_constant)
    except (ValueError, RecursionError):
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        labelled = kind and "json" not in kind and kind not in ("text/plain", "application/octet-stream")
        return NotJson(f"content type {kind[:60]}" if labelled else "not JSON, or cut off")


def is_bare_success(response: httpx.Response) -> bool:
    """Return whether the response is a success that shows nothing: 204, 202 or 200 with no body, ``{}`` or ``null``."""
    return response.is_success and response.content.strip() in (b"", b"{}", b"null")


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds to wait that the vendor requires, None when nothing readable is given.

    Retry-After in seconds or as a date, else X-RateLimit-Reset (epoch seconds, Kangaroo docs: Rate limiting).
    """
    now: float = response.extensions.get("received_at", 0.0)
    text = response.headers.get("retry-after", "").strip()
    if text:
        if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, OverflowError):
            pass
    text = response.headers.get("x-ratelimit-reset", "").strip()
    if re.fullmatch(r"\d{9,11}", text):
        return max(0.0, float(text) - now)
    return None


def raise_for_transient(
    response: httpx.Response, *, status: int | None = None, code: str | None = None, request_id: str | None = None
) -> None:
    """Raise the transient error of a status that passes by itself.

    RateLimited for 429, UpstreamTimeout for 504, behind which the destination may still be at work (RFC 9110 section
    15.6.5), UpstreamUnavailable for 408, 425, other 5xx and 3xx. A redirect is an API that has moved or a page in front
    of it, so it comes for every request until somebody acts; it is not followed, because its target would get the
    credentials.

    Call it after reading the body: a vendor may put a lasting error into a 500, or success into a 202. ``status``: the
    status that the body names, where it differs.
    """
    status = status or response.status_code
    if status == 429:
        raise RateLimited(
            "the destination returned 429",
            retry_after=retry_after(response),
            code=code or "429",
            request_id=request_id,
        )
    if 300 <= status < 400 or status in (408, 425) or status >= 500:
        kind = UpstreamTimeout if status == 504 else UpstreamUnavailable
        raise kind(
            f"the destination returned {status}",
            retry_after=retry_after(response),
            # 425: the request was not processed at all.
            reached=reached(response) and status != 425,
            code=code or str(status),
            request_id=request_id,
        )
