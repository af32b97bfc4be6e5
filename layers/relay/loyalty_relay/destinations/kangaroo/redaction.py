"""Texts of the vendor, and values that were sent, without personal data: messages reach logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx

from loyalty_relay.http.messages import NotJson, json_of
from loyalty_relay.model.redaction import without, without_markup

MAX_TEXT = 200
"""Characters of the vendor's text that are kept."""

_EMAIL = re.compile(r"(?<![^\s@'\"<>(),;:])[^\s@'\"<>(),;:]+@[^\s@'\"<>(),;:]+")

_TOKEN = re.compile(r"\b(?:[0-9a-fA-F]{16,}\b|eyJ[\w.-]+|def50[0-9a-zA-Z-]+)")

_DIGITS = re.compile(r"\+?\d(?:[\s().\-/]{0,2}\d){3,}")

_QUOTED = (re.compile(r"\"[^\"]*\""), re.compile(r"“[^”]*(?:”|\Z)"), re.compile(r"(?<!\w)'[^']*'(?!\w)"))

FIELD_NAME = re.compile(r"[A-Za-z_][\w.*-]{0,99}")


def shortened(text: str) -> str:
    """Return the beginning of a text, with an ellipsis where something was cut."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def redact(text: str, sent: Iterable[str] = ()) -> str:
    """Return a text of the vendor without e-mails, runs of digits, tokens, ids, quotations and sent values."""
    text = without(text, (value.strip() for value in sent if len(value.strip()) > 2), "…")
    for pattern in (_EMAIL, *_QUOTED, _TOKEN, _DIGITS):
        text = pattern.sub("…", text)
    return shortened(re.sub(r"\s+", " ", text).strip())


def excerpt(answer: httpx.Response, sent: Iterable[str] = ()) -> str:
    """Return enough of a body to recognise it: the outline of JSON, the first words of anything else."""
    body = json_of(answer)
    if not isinstance(body, NotJson):
        return shortened(_outline(body, 3))
    if not answer.content.lstrip().startswith(b"<"):
        return body.why  # A piece of anything but a web page may hold anything.
    words = redact(without_markup(answer.content[:4000].decode("utf-8", "replace")), sent)[:80]
    return f"{body.why}: {words}" if words else body.why


def _outline(value: Any, depth: int) -> str:
    """Return JSON without its values, which may be personal data."""
    if isinstance(value, Mapping):
        if depth == 0:
            return "{…}"
        names = [(k if FIELD_NAME.fullmatch(k) else "…", v) for k, v in list(value.items())[:8]]
        more = ", …" if len(value) > 8 else ""
        return "{" + ", ".join(f"{redact(k)}: {_outline(v, depth - 1)}" for k, v in names) + more + "}"
    if isinstance(value, list):
        return f"[{_outline(value[0], depth - 1) if value and depth else ''}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return "number" if isinstance(value, int | float) else "text"


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value: what a request sent, for ``redact``."""
    if isinstance(value, str):
        yield value
        # A filter is operator|value, and only the value comes back.
        if "|" in value:
            yield value.partition("|")[2]
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from texts_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member)
