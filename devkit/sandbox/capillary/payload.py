"""Read what a V2 customer body carries, with the vendor's tolerance and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from devkit.sandbox.capillary.codes import ApiError, issue
from devkit.sandbox.capillary.config import SOURCES, Org
from devkit.sandbox.capillary.model import Channel, Identifier
from devkit.sandbox.vendor import JSON

NAME_LIMIT = 100
EMAIL_LIMIT = 255
IDENTIFIER_TYPES = frozenset(
    {"mobile", "email", "externalId", "cardnumber", "cardExternalId", "cuid", "unionId", "wechat", "line"}
    | {"facebook", "fbId", "martjackId", "tmall_uname", "ali_uname", "jd_uname", "vip_uname"}
)
CHANNEL_TYPES = frozenset(
    {"mobile", "email", "cardnumber", "wechat", "ios", "android", "line", "mobilePush", "facebook", "WEB_ENGAGE"}
)
LOYALTY_TYPES = ("loyalty", "non_loyalty")
_EMAIL = re.compile(r"[A-Za-z0-9_+.-]+@[A-Za-z0-9.-]{1,250}\.[A-Za-z0-9-]{1,63}")
_MOBILE = re.compile(r"[0-9]{7,15}")
_OFFSET_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})?")

Warnings = list[dict[str, JSON]]


def is_true(value: object) -> bool:
    """Read a boolean that may be a text (Capillary docs: both forms are in one sample)."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


def name_text(value: object) -> str:
    """Return a name as it is stored: trimmed, and silently cut at 100 characters."""
    return str(value).strip()[:NAME_LIMIT] if value is not None else ""


def clean_value(kind: str, value: object) -> str:
    """Return an identifier or channel value as it is stored; it may still be invalid."""
    text = str(value).strip() if value is not None else ""
    if kind == "mobile":
        return text.removeprefix("+")
    return text[:EMAIL_LIMIT] if kind == "email" else text


def is_valid(kind: str, value: str) -> bool:
    """Return whether a mobile or an e-mail has its form; other types have none."""
    if kind == "mobile":
        return _MOBILE.fullmatch(value) is not None
    if kind == "email":
        return _EMAIL.fullmatch(value) is not None
    return bool(value)


def body_object(body: object) -> dict[str, Any]:
    """Return the body, which must be an object. Raises ApiError 400."""
    if not isinstance(body, dict):
        raise ApiError(400, "Invalid input, the body must be a JSON object", http_status=400)
    return body


def profiles_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the profiles; the docs call the list an object, so a single object is taken as one."""
    profiles = body.get("profiles")
    if isinstance(profiles, dict):
        return [profiles]
    if profiles is None:
        return []
    if not isinstance(profiles, list) or not all(isinstance(profile, dict) for profile in profiles):
        raise ApiError(400, "Invalid input, profiles must be a list of objects", http_status=400)
    return profiles


def check_source(
    org: Org, source: object, account_id: object, *, missing: ApiError, unknown: int, account: int
) -> tuple[str, str]:
    """Return source and account id ("" for a source with one account).

    Raises ``missing`` without a source, code ``unknown`` for a source that is none or not the organisation's,
    8045 without the account id where one is needed, and code ``account`` for an account id that it does not have.
    """
    if source is None or source == "":
        raise missing
    if source not in SOURCES or source not in org["sources"]:
        raise ApiError(unknown, "Source is invalid." if unknown == 3217 else None)
    accounts: Sequence[str] = org["sources"][source]
    given = "" if account_id is None else str(account_id)
    if accounts and not given:
        raise ApiError(8045)
    if given and given not in accounts:
        raise ApiError(account)
    return str(source), given


def read_identifiers(org: Org, raw: object) -> tuple[list[Identifier], Warnings]:
    """Return the usable identifiers of a profile, and a warning for each invalid secondary one.

    Raises ApiError 8014 (the primary one is invalid), 8020 (external id), 8005 (none is usable) or the code of
    an identifier that the organisation requires.
    """
    usable: list[Identifier] = []
    warnings: Warnings = []
    for item in raw if isinstance(raw, list) else []:
        if not isinstance(item, dict) or item.get("type") not in IDENTIFIER_TYPES:
            continue
        kind = item["type"]
        value = clean_value(kind, item.get("value"))
        if not value:
            continue
        if not is_valid(kind, value):
            if kind == org["primary_identifier"]:
                raise ApiError(8014)
            warnings.append(issue(8056 if kind == "mobile" else 8055))
            continue
        if kind == "externalId":
            _check_external_id(org, value)
        usable.append(_identifier(org, kind, value, item))
    if not usable:
        raise ApiError(8005)
    for kind, code in (("mobile", 1006), ("email", 1039), ("externalId", 1043)):
        if kind in org["required_identifiers"] and all(found.type != kind for found in usable):
            raise ApiError(code)
    return usable, warnings


def _check_external_id(org: Org, value: str) -> None:
    prefix, length = org["external_id_prefix"], org["external_id_length"]
    if not value.startswith(prefix) or (length and len(value) != length):
        raise ApiError(8020)


def _identifier(org: Org, kind: str, value: str, item: Mapping[str, Any]) -> Identifier:
    identifier = Identifier(kind, value)
    if kind == "cardnumber":
        series = item.get("seriesId")
        if series is not None and series not in org["card_series"]:
            raise ApiError(400, "Invalid input, unknown card series")
        identifier.series_id = series
        identifier.series_code = item.get("seriesCode")
        identifier.status_label = item.get("statusLabel")
        identifier.extended_fields = dict(item.get("extendedFields") or {})
        identifier.custom_fields = dict(item.get("customFields") or {})
    return identifier


def read_channels(raw: object) -> tuple[list[Channel], Warnings]:
    """Return the usable channels, and a warning for each invalid one. Raises ApiError 8106 or 8010."""
    channels: list[Channel] = []
    warnings: Warnings = []
    if raw is None:
        return channels, warnings
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise ApiError(400, "Invalid input, commChannels must be a list of objects", http_status=400)
    for item in raw:
        kind = item.get("type")
        if not kind:
            raise ApiError(8106)
        if kind not in CHANNEL_TYPES:
            raise ApiError(8010)
        value = clean_value(kind, item.get("value"))
        if not is_valid(kind, value):
            warnings.append(issue({"mobile": 8058, "email": 8057}.get(kind, 8010)))
            continue
        meta = item.get("meta") if isinstance(item.get("meta"), dict) else {}
        channels.append(
            Channel(
                kind,
                value,
                is_true(item.get("primary")),
                is_true(item.get("verified")),
                is_true(item["subscribed"]) if "subscribed" in item else None,
                {key: is_true(flag) if key in ("residence", "office") else flag for key, flag in meta.items()},
            )
        )
    return channels, warnings


def read_extended_fields(org: Org, raw: object) -> dict[str, JSON]:
    """Return the extended fields that are stored: enabled ones with an allowed value that is not empty.

    The rest is dropped without a word (Capillary docs: CONF_REJECT_EMPTY_OR_NULL_EF_VALUES).
    """
    stored: dict[str, JSON] = {}
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if name not in org["extended_fields"] or value in (None, "", "null"):
            continue
        allowed = org["extended_fields"][name]
        if allowed is None:
            stored[name] = value
            continue
        matching = [each for each in allowed if each.lower() == str(value).lower()]
        if matching:
            stored[name] = matching[0]
    return stored


def read_custom_fields(org: Org, raw: object) -> dict[str, JSON]:
    """Return the custom fields that the organisation has; with none configured it has them all."""
    allowed = org["custom_fields"]
    if not isinstance(raw, dict):
        return {}
    return {name: value for name, value in raw.items() if allowed is None or name in allowed}


def read_loyalty_type(body: Mapping[str, Any]) -> str | None:
    """Return loyaltyInfo.loyaltyType. Raises ApiError 400 for a value that is none."""
    info = body.get("loyaltyInfo")
    kind = info.get("loyaltyType") if isinstance(info, dict) else None
    if kind is None:
        return None
    if str(kind).lower() not in LOYALTY_TYPES:
        raise ApiError(400, "Invalid input, loyaltyType must be loyalty or non_loyalty")
    return str(kind).lower()


def read_status_label(org: Org, body: Mapping[str, Any]) -> tuple[str | None, Warnings]:
    """Return the customer's status label; without any, warn with 8107. Raises ApiError 8086."""
    label = body.get("statusLabel")
    if label:
        labels = {str(each).lower(): each for each in org["status_labels"]}
        if str(label).lower() not in labels:
            raise ApiError(8086)
        return labels[str(label).lower()], []
    default = org["default_status_label"]
    return (default, []) if default else (None, [issue(8107)])


def read_create_date(org: Org, value: object, now: float) -> float:
    """Return the registration time in epoch seconds; no offset means UTC. Raises ApiError 8017."""
    if value is None or value == "":
        return now
    if not isinstance(value, str) or _OFFSET_DATE.fullmatch(value) is None:
        raise ApiError(8017)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ApiError(8017) from None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if seconds > now or seconds < datetime.fromisoformat(org["earliest_registration"]).timestamp():
        raise ApiError(8017)
    return seconds
