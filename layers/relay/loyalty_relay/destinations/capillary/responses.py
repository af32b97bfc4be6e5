"""The contents of V2's responses, in our terms; V1.1 shares the forms of ids, numbers and side effects.

Sources: Capillary docs, Add customer; Update customer details; Get customer id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loyalty_relay.destinations.capillary.fields import utc_text
from loyalty_relay.destinations.capillary.redaction import redact
from loyalty_relay.model.outcomes import Notice


def member_id(value: Any) -> str | None:
    """Return an id as text: numbers in samples, texts in the tables; None for anything else, also for 0 and -1."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if value > 0 else None
    if isinstance(value, str) and value.strip().isdecimal() and int(value) > 0:
        return value.strip()
    return None


def read_warnings(body: Mapping[str, Any], values: Iterable[str]) -> tuple[Notice, ...]:
    """Return ``warnings`` as notices: code and message, or whatever of them is there."""
    given = body.get("warnings")
    notices = []
    for warning in given if isinstance(given, list) else [given]:
        if isinstance(warning, Mapping):
            notices.append(Notice(str(warning.get("code", "")), redact(str(warning.get("message") or ""), values)))
        elif warning:
            notices.append(Notice(str(warning)))
    return tuple(notices)


def read_side_effects(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ``sideEffects`` in our own terms; missing and empty mean the same.

    points: points, raw_points, entity_type. alternate_currency: value, raw_value, currency_id, currency_name,
    entity_type. coupon: id, code, coupon_type, valid_until, description, discount_code, entity_type. Another type keeps
    its members, in snake case.
    """
    given = body.get("sideEffects")
    listed = given if isinstance(given, list) else [given]
    return [side_effect(effect) for effect in listed if isinstance(effect, Mapping)]


_EFFECT_NAMES = {
    "awardedPoints": "points",
    "rawAwardedPoints": "raw_points",
    "awardedValue": "value",
    "rawAwardedValue": "raw_value",
    "alternateCurrencyIdentifier": "currency_id",
    "alternateCurrencyName": "currency_name",
    "couponCode": "code",
    "validTill": "valid_until",
    "awarded_points": "points",
    "awarded_value": "value",
    "coupon_code": "code",
    "valid_till": "valid_until",
}


def side_effect(effect: Mapping[str, Any]) -> dict[str, Any]:
    """Return one side effect of either API version in our own terms; numbers as numbers, booleans as booleans."""
    out: dict[str, Any] = {"type": str(effect.get("type", "unknown"))}
    for name, value in effect.items():
        # The trimmed code repeats the code; NO_VALUE is how the vendor writes nothing.
        if name in ("type", "trimmedCouponCode") or value == "NO_VALUE":
            continue
        ours = _EFFECT_NAMES.get(name) or snake(name)
        out[ours] = _plain(ours, value)
    return out


def _plain(name: str, value: Any) -> Any:
    if name in ("points", "raw_points", "value", "raw_value", "total_points"):
        return number(value)
    if name == "valid_until" and isinstance(value, str):
        return utc_text(value)
    if value in ("true", "false"):
        return value == "true"
    return str(value) if name in ("id", "customer_id") else value


def number(value: Any) -> int | float | None:
    """Return a number that may come as text; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if float(value).is_integer() else value


def snake(name: str) -> str:
    """Return ``rawAwardedPoints`` as ``raw_awarded_points``."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
