"""Our words and Capillary's: which field is called what there, which API carries it, and in which form values leave.

Where Capillary's pages contradict each other, the choice made is written here, next to the name it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

IDENTIFIERS: Mapping[str, str] = {
    "external_id": "externalId",
    "mobile": "mobile",
    "email": "email",
    "card_number": "cardnumber",
    "card_external_id": "cardExternalId",
    "cuid": "cuid",
    "union_id": "unionId",
    "line": "line",
    "wechat": "wechat",
    "facebook": "facebook",
    "fb_id": "fbId",
    "martjack_id": "martjackId",
    "tmall_uname": "tmall_uname",
    "ali_uname": "ali_uname",
    "jd_uname": "jd_uname",
    "vip_uname": "vip_uname",
}
"""Identifier types of a registration (Capillary docs: Add customer; types beyond mobile, email and externalId are in
its samples).
"""

LOOKUPS: Mapping[str, str] = {
    "external_id": "externalId",
    "mobile": "mobile",
    "email": "email",
    "card_number": "cardnumber",
    "card_external_id": "cardExternalId",
    "wechat": "wechat",
    "martjack_id": "martjackId",
    "fb_id": "fbId",
    "facebook": "fbId",
}
"""Identifiers a member can be looked up by, in the order in which they are trusted (Capillary docs: Get customer
id).
"""

V1_IDENTIFIERS: Mapping[str, str] = {"external_id": "external_id", "mobile": "mobile", "email": "email"}
"""Identifiers that address a V1.1 update (Capillary docs: Customer update V1.1), in the order of preference."""

CARD_ATTRIBUTES: Mapping[str, str] = {
    "series_id": "seriesId",
    "series_code": "seriesCode",
    "status_label": "statusLabel",
    "extended_fields": "extendedFields",
    "custom_fields": "customFields",
}

CHANNELS: Mapping[str, str] = {
    "mobile": "mobile",
    "email": "email",
    "wechat": "wechat",
    "ios": "ios",
    "android": "android",
    "line": "line",
    "mobile_push": "mobilePush",
    "card_number": "cardnumber",
}
"""Communication channels. ``card_number`` is only in the table of Add customer, the others also in that of Update."""

CONTACT_CHANNELS: Mapping[str, str] = {"phone": "mobile", "email": "email"}
"""Our contact field -> channel type and identifier type, which have the same name there."""

META: Mapping[str, str] = {"residence": "residence", "office": "office", "last_viewed_date": "lastViewedDate"}

SUBSCRIPTION_CHANNELS: Mapping[str, str] = {"sms": "mobile", "email": "email"}
"""Our subscription channel -> its communication channel. V1.1 has no other."""

PRIORITIES: Mapping[str, str] = {"bulk": "BULK", "trans": "TRANS"}

FRAUD_STATUSES = ("CONFIRMED", "NONE", "NORMAL", "OUTLIER", "FRAUD", "INTERNAL", "INVALID")
"""The update page has the first two, a newer page of the same API the others; all are passed on."""

MAX_NAME = 100
MAX_EMAIL = 255
MAX_TILL = 50

CLUSTER_OFFSETS: Mapping[str, timedelta] = {
    "asia1": timedelta(hours=5, minutes=30),
    "asia2": timedelta(hours=5, minutes=30),
}
"""How far a cluster's clock is from UTC (Capillary docs: Timezone management); the others run on UTC."""


def channel_type(name: str) -> str | None:
    """Return Capillary's name of a channel type, given in its or our spelling; None for an unknown one."""
    return CHANNELS.get(name) or (name if name in CHANNELS.values() else None)


def identifier_type(name: str) -> str | None:
    """Return Capillary's name of an identifier type, given in its or our spelling; None for an unknown one."""
    return IDENTIFIERS.get(name) or (name if name in IDENTIFIERS.values() else None)


def truth(value: bool) -> str:
    """Return a boolean: ``primary`` and ``verified`` are texts in Capillary's tables and booleans in its samples."""
    return "true" if value else "false"


def scalar(value: Any) -> Any:
    """Return the value of a custom or extended field: both APIs show texts and numbers, so booleans become texts."""
    return truth(value) if isinstance(value, bool) else value


def cluster_zone(region: str | None) -> timezone:
    """Return the zone of a region's clock."""
    return timezone(CLUSTER_OFFSETS.get(region or "", timedelta(0)))


def cluster_time(text: str, region: str | None) -> datetime:
    """Return a day, a moment with an offset or one of the cluster's clock as a moment of the cluster's clock.

    Raises ValueError for anything else.
    """
    value = datetime.fromisoformat(text)
    zone = cluster_zone(region)
    try:
        return value.replace(tzinfo=zone) if value.tzinfo is None else value.astimezone(zone)
    except OverflowError:
        raise ValueError("is not in the years 1 to 9999 there") from None


def v2_moment(text: str, region: str | None) -> str:
    """Return ``YYYY-MM-DDTHH:MM:SS±HH:MM``, which V2 converts by its offset (Capillary docs: Timezone management)."""
    return cluster_time(text, region).isoformat(timespec="seconds")


def v1_moment(text: str, region: str | None) -> str:
    """Return ``YYYY-MM-DD HH:MM:SS``: V1.1 ignores an offset and takes the time as its cluster's."""
    return cluster_time(text, region).strftime("%Y-%m-%d %H:%M:%S")


def offset_moment(text: str) -> str:
    """Return an enrolment's date in the documented form.

    Raises ValueError without an offset: a day's difference costs points.
    """
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("needs an offset")
    return value.isoformat(timespec="seconds").replace("Z", "+00:00")


def utc_text(text: str) -> str:
    """Return a moment of a V2 response as ISO 8601 in UTC where it has an offset; others stay as they are."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if value.tzinfo is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
