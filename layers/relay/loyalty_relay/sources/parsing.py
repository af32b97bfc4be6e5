"""Bodies, ids, texts and times as platforms write them. Every input is hostile."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from loyalty_relay.model.commands import MAX_ID, instant, instant_at
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import ZERO, decimal_of, is_currency, of_minor_units
from loyalty_relay.model.numbers import exact, no_constant, whole

# -- JSON ---------------------------------------------------------------------------------------------------------

MAX_DEPTH = 64
"""Deeper JSON than any platform sends is refused before it can hurt."""


def json_object(body: bytes | str) -> dict[str, Any]:
    """Return the body as a JSON object; integers stay exact.

    Raises Untranslatable('not_json', 'too_deep' or 'not_an_object').
    """
    value = json_value(body)
    if not isinstance(value, dict):
        raise Untranslatable("not_an_object")
    return value


def json_value(body: bytes | str) -> Any:
    """Return the body as JSON, its numbers with every digit (``model.numbers``).

    Raises Untranslatable('not_json' or 'too_deep').
    """
    try:
        text = body.decode("utf-8") if isinstance(body, bytes) else body
        value = json.loads(text, parse_constant=no_constant, parse_float=exact, parse_int=whole)
    except (ValueError, RecursionError) as error:
        raise Untranslatable("not_json") from error
    if _too_deep(value):
        raise Untranslatable("too_deep")
    return _scrubbed(value) if _SUSPECT.search(text) else value


_SUSPECT = re.compile(r"\\u(?:[dD][89a-fA-F]|[fF]{3}[eEfF])|[\ufffe\uffff]")
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def _scrubbed(value: Any) -> Any:
    """Replace halves of cut-off emoji and non-characters by U+FFFD.

    No queue and no vendor takes them, and the rest of the customer is still worth having.
    """
    if isinstance(value, str):
        return _UNSENDABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_scrubbed(child) for child in value]
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


# -- identities -----------------------------------------------------------------------------------------------


def body_digest(*parts: str | bytes) -> str:
    """Return the identity of a delivery whose platform signs no event id: SHA-256 over its parts, in hex."""
    sha = hashlib.sha256()
    for part in parts:
        data = as_bytes(part)
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()


def as_bytes(value: str | bytes) -> bytes:
    """Return bytes as they are and a text as UTF-8, lone surrogates included."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


# -- members ------------------------------------------------------------------------------------------------------


def text_id(value: Any) -> str:
    """Return an id, number or text, as text. Raises Untranslatable('no_id' or 'bad_id')."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise Untranslatable("no_id")
    text = str(value).strip()
    # A header's text is not scrubbed, as that of a body is.
    if len(text) > MAX_ID or any(ord(c) < 0x20 or c == "\x7f" for c in text) or _UNSENDABLE.search(text):
        raise Untranslatable("bad_id")
    return text


def text_or_none(value: Any) -> str | None:
    """Return a text without surrounding blanks; numbers as text; None for everything empty or not a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def short(value: Any) -> str:
    """Return a text that only people read, at most ``MAX_ID`` characters of it; "" for everything else."""
    return (text_or_none(value) or "")[:MAX_ID]


def member(data: Any, *path: str) -> Any:
    """Return a member of nested objects, or None where one of them is missing or no object."""
    for name in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(name)
    return data


def take(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the texts of an entity under our field names; ``names``: platform's name -> ours.

    A member that is absent stays absent; one that is null or empty becomes None. Raises Untranslatable('bad_field')
    when a member is no text.
    """
    out: dict[str, Any] = {}
    for theirs, ours in names.items():
        if theirs not in data:
            continue
        value = data[theirs]
        if isinstance(value, bool | dict | list):
            raise Untranslatable("bad_field", f"{theirs} is not a string")
        out[ours] = text_or_none(value)
    return out


def verified(**reported: Any) -> dict[str, bool]:
    """Return which contacts a platform reports as verified or not verified, without those it reports nothing about."""
    return {name: value for name, value in reported.items() if isinstance(value, bool)}


def address_line(*parts: Any) -> str | None:
    """Return street, further line, town and region as one line, as a person would write it; None when all are empty."""
    return ", ".join(text for part in parts if (text := text_or_none(part))) or None


# -- money --------------------------------------------------------------------------------------------------------

MOST_DIGITS = 24
"""Digits of an amount that is read, after and before the point together."""

LARGEST = 10**13
"""What amounts are below, so that sums over an order are exact in Python's own arithmetic and fit ``model.money``."""


def amount(data: Any, *path: str) -> Decimal:
    """Return an amount in major units, of a decimal text or a JSON number; zero where it is absent, null or empty.

    Raises Untranslatable('bad_amount').
    """
    value = member(data, *path)
    if value is None or value == "":
        return ZERO
    try:
        return in_bounds(decimal_of(value), path[-1])
    except ValueError:
        raise Untranslatable("bad_amount", f"{'.'.join(path)} is not an amount") from None


def in_bounds(value: Decimal, name: str) -> Decimal:
    """Return an amount that was computed, of a rate and a quantity. Raises Untranslatable('bad_amount')."""
    if len(value.as_tuple().digits) > MOST_DIGITS or abs(value) >= LARGEST:
        raise Untranslatable("bad_amount", f"{name} has too many digits")
    return value


def minor_units(data: Any, currency: str, *path: str) -> Decimal:
    """Return an amount that is given in the smallest unit of its currency; zero where it is absent or null.

    Raises Untranslatable('bad_amount').
    """
    value = member(data, *path)
    try:
        return ZERO if value is None else of_minor_units(value, currency)
    except ValueError:
        raise Untranslatable("bad_amount", f"{'.'.join(path)} is not an amount in minor units") from None


def currency(value: Any) -> str:
    """Return the code of a currency. Raises Untranslatable('bad_currency')."""
    text = value.strip().upper() if isinstance(value, str) else ""
    if not is_currency(text):
        raise Untranslatable("bad_currency", "the currency is not a code of ISO 4217")
    return text


# -- times --------------------------------------------------------------------------------------------------------

MAX_TIME = 64
"""Characters; no platform writes a longer time."""

_GO_ZONE = re.compile(r" ?([+-]\d\d):?(\d\d)(?: [A-Z]{1,5})?$")


def moment(value: Any) -> str | None:
    """Return a time as ``commands.instant`` text, or None when it is none.

    Takes RFC 3339 with any number of fraction digits, ``YYYY-MM-DD HH:MM:SS`` (as UTC where no zone is written),
    and Go's ``... +0000 UTC``.
    """
    if not isinstance(value, str) or len(value) > MAX_TIME:
        return None
    text = _GO_ZONE.sub(r"\1:\2", value.strip())
    try:
        return instant(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def epoch(value: Any, *, unit: float = 1.0) -> str | None:
    """Return epoch time as ``commands.instant`` text, or None. ``unit``: seconds of one (0.001: milliseconds)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return instant_at(value * unit)
    except (ValueError, OverflowError, OSError):
        return None
