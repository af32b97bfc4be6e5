"""Our field names and Kangaroo's, and values in the forms that it takes."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from loyalty_relay.model.numbers import plain
from loyalty_relay.model.phones import national, to_e164

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
LANGUAGES = ("en", "fr", "es")
"""Kangaroo API blueprint: Create a customer."""


def email_problem(value: str) -> str | None:
    """Return what is wrong with an e-mail address as such; None when nothing is."""
    return None if len(value) <= 254 and _EMAIL.fullmatch(value) else "must be an e-mail address"


def is_date(value: str) -> bool:
    """Return whether it is a day of the calendar, ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def gender_word(value: str) -> str:
    """Return a gender without regard to capitals and hyphens: ``Non-binary`` is ``nonbinary``."""
    return re.sub(r"[^a-z]", "", value.lower())


def language_code(value: str) -> str | None:
    """Return the vendor's language for a locale such as ``fr-CA``; None when it has none."""
    code = re.split(r"[-_]", value.strip().lower())[0]
    return code if code in LANGUAGES else None


def custom_text(value: Any) -> Any:
    """Return a number or a boolean as the text of a custom field, with every digit; everything else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, int | float) else value


def national_phone(value: str, default_country: str | None) -> tuple[str, str] | None:
    """Return a phone number as the vendor keeps it: national digits, and the country as ISO 3166-1 alpha-2.

    ``5145550123`` and ``CA`` for ``+15145550123`` (Kangaroo API blueprint: Customers). ``default_country`` is taken for
    numbers without country code, and for a code that several countries share when the digits do not decide. None when
    it is no phone number or belongs to no country.
    """
    e164 = to_e164(value, default_country)
    return None if e164 is None else national(e164, default_country)


NAMES = {
    "first_name": "first_name",
    "last_name": "last_name",
    "email": "email",
    "phone": "phone",
    "birthday": "birth_date",
    "gender": "gender",
    "postal_code": "postal_code",
    "notes": "notes",
    "subscriptions.email.bulk": "promotions_mail",
}
"""Our field names and the vendor's; custom fields and tags come on top."""

_OURS = {theirs: ours for ours, theirs in NAMES.items()} | {"country_code": "phone"}

_CUSTOM = re.compile(r"custom_fields\.(custom_field_[1-9]\d{0,2})")

GENDERS = ("male", "female", "nonbinary")
"""Kangaroo API blueprint; the wiki names the first two only."""


def their_name(name: str) -> str | None:
    """Return the CRM field that carries one of our fields; None when there is none. Tags have their own way."""
    match = _CUSTOM.fullmatch(name)
    return match.group(1) if match else NAMES.get(name)


def our_name(name: str) -> str:
    """Return our name of a vendor's (dotted) field; ``tags.0.tag_name`` is about the tags."""
    head = name.split(".", maxsplit=1)[0]
    if head.startswith("custom_field_"):
        return f"custom_fields.{head}"
    return "tags" if head == "tags" else _OURS.get(head, name)
