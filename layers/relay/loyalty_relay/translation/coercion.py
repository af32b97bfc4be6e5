"""Convert what a platform or a mapping yields to the form of a field: dates, booleans, genders, strings, numbers.

Phones are left as they are: the operation converts them to E.164, so that ingest does not load the number tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from loyalty_relay.model.numbers import exact, plain
from loyalty_relay.sources.parsing import MAX_TIME, moment


class NotCoercible(ValueError):
    """A value that cannot become what its field wants."""


def coerce(field: str, value: Any) -> Any:
    """Return the value in the form of ``field`` (names: ``loyalty_relay.model.commands``); empty becomes None.

    Raises NotCoercible.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    kind = _KINDS.get(field) or next((k for prefix, k in _PREFIXES.items() if field.startswith(prefix)), None)
    return kind(value) if kind else value


_YMD = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[T ].*)?")


def _date(value: Any) -> str:
    """Return ``YYYY-MM-DD``, also of an object with year, month and day.

    A birthday without its year (Square writes 0000) is refused.
    """
    if isinstance(value, Mapping):
        parts = [value.get(name) for name in ("year", "month", "day")]
    else:
        found = _YMD.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= MAX_TIME else None
        parts = list(found.groups()) if found else []
    try:
        return date(*(int(part) for part in parts)).isoformat()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise NotCoercible("is not a date such as 1990-05-17") from None


def _time(value: Any) -> str:
    """Return an ISO 8601 moment as one, a date as a date."""
    if isinstance(value, str) and len(value.strip()) > 10 and (as_of := moment(value)):
        return as_of
    return _date(value)


_TRUE = frozenset({"true", "1", "yes", "y", "on", "subscribed", "opted_in", "optin"})
_FALSE = frozenset(
    {"false", "0", "no", "n", "off", "unsubscribed", "not_subscribed", "pending", "none", "opted_out", "optout"}
)


def _flag(value: Any) -> bool:
    text = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise NotCoercible("is neither true nor false")


_GENDERS = {
    "m": "male",
    "male": "male",
    "man": "male",
    "f": "female",
    "female": "female",
    "woman": "female",
    "x": "nonbinary",
    "nonbinary": "nonbinary",
    "non-binary": "nonbinary",
    "non_binary": "nonbinary",
    "diverse": "nonbinary",
}


def _gender(value: Any) -> str:
    gender = _GENDERS.get(value.strip().lower()) if isinstance(value, str) else None
    if gender is None:
        raise NotCoercible("is not a gender such as female, male or nonbinary")
    return gender


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float):
        return plain(value)
    raise NotCoercible("is not a string")


def _country(value: Any) -> str:
    text = _text(value).upper()
    if len(text) != 2 or not text.isascii() or not text.isalpha():
        raise NotCoercible("is not an ISO 3166-1 alpha-2 code such as GB")
    return text


def _whole(value: Any) -> int:
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_TIME):
        raise NotCoercible("is not an integer")
    return int(text)


def _number(value: Any) -> Any:
    text = value.strip() if isinstance(value, str) and len(value) <= MAX_TIME else ""
    if not text:
        return value
    try:
        return int(text) if text.isdecimal() else exact(text)
    except (ValueError, ArithmeticError):
        raise NotCoercible("is not a number") from None


_KINDS: dict[str, Callable[[Any], Any]] = {
    "enrollments.program_id": _whole,
    "enrollments.tier_number": _whole,
    "enrollments.loyalty_points": _number,
    "identifiers.card_number.series_id": _whole,
    "identifiers.card_external_id.series_id": _whole,
    "options.use_async": _flag,
    "options.raw_side_effects": _flag,
    "options.single_enroll": _flag,
    "options.source": _text,
    "options.account_id": _text,
    "referral_code": _text,
    "sale.note": _text,
    "birthday": _date,
    "registered_on": _time,
    "gender": _gender,
    "country": _country,
} | dict.fromkeys(
    (
        "first_name",
        "last_name",
        "email",
        "phone",
        "language",
        "postal_code",
        "address",
        "notes",
        "loyalty_type",
        "status_label",
        "associated_with",
        "registered_till",
        "fraud_status",
    ),
    _text,
)
_PREFIXES: dict[str, Callable[[Any], Any]] = {
    "subscriptions.": _flag,
    "tags.": _flag,
    "identifiers.": _text,
    "sale.custom_fields.": _text,
}
