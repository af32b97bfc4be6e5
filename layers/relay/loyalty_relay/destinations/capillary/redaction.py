"""What may be kept of a vendor's words: their texts echo names, addresses and numbers, and messages reach logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from loyalty_relay.model.redaction import without, without_markup

_EMAIL = re.compile(r"(?<![^\s@<>\"'(),;:])[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_NUMBER = re.compile(r"[+(]?\d(?:[\s().-]{0,8}\d){4,}")
_IMPERSONAL = frozenset({"code", "status", "success", "message", "error", "title", "type", "errorcode", "errormessage"})

MAX_TEXT = 200


def redact(text: str, values: Iterable[str] = ()) -> str:
    """Return a vendor's text without e-mail addresses, numbers of five digits and more, and ``values`` (our own)."""
    text = without(text, (value for value in values if len(value) >= 2), "[value]")
    text = _NUMBER.sub("[number]", _EMAIL.sub("[email]", text))
    return " ".join(text.split())[:MAX_TEXT]


def excerpt(body: Any, text: bytes, values: Iterable[str] = ()) -> str:
    """Outline a response of a shape never seen before: names of members, and values that are no personal data."""
    if isinstance(body, Mapping | list):
        return _shape(body, tuple(values), 0)[:MAX_TEXT]
    return redact(without_markup(text[:4000].decode("utf-8", "replace")), values)


def _shape(value: Any, values: tuple[str, ...], depth: int, name: str = "") -> str:
    if isinstance(value, Mapping):
        inside = (
            "…"
            if depth > 3
            else ", ".join(f"{_name(k)}: {_shape(v, values, depth + 1, str(k))}" for k, v in list(value.items())[:12])
        )
        return "{" + inside + "}"
    if isinstance(value, list):
        return "[" + ("" if not value else _shape(value[0], values, depth + 1, name)) + "]"
    if name.lower() in _IMPERSONAL and isinstance(value, str | int | float | bool):
        return redact(str(value), values)
    return "null" if value is None else type(value).__name__


def _name(key: Any) -> str:
    # A key can itself be a value, as in a map by e-mail address.
    text = str(key)
    return text if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}", text) else "[key]"
