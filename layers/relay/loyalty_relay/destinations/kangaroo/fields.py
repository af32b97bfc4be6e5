"""Values in the forms that Kangaroo takes."""

from __future__ import annotations

import re
from datetime import date

from loyalty_relay.model.phones import national, to_e164

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
LANGUAGES = ("en", "fr", "es")
"""Kangaroo API blueprint: Create a customer."""


def email_problem(value: str) -> str | None:
    """What is wrong with an e-mail address as such; None when nothing is."""
    return None if len(value) <= 254 and _EMAIL.fullmatch(value) else "must be an e-mail address"


def is_date(value: str) -> bool:
    """Whether it is a day of the calendar, ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def gender_word(value: str) -> str:
    """A gender without regard to capitals and hyphens: ``Non-binary`` is ``nonbinary``."""
    return re.sub(r"[^a-z]", "", value.lower())


def language_code(value: str) -> str | None:
    """The vendor's language for a locale such as ``fr-CA``; None when it has none."""
    code = re.split(r"[-_]", value.strip().lower())[0]
    return code if code in LANGUAGES else None


def national_phone(value: str, default_country: str | None) -> tuple[str, str] | None:
    """A phone number as the vendor keeps it: the national digits, and the country as ISO 3166-1 alpha-2.

    ``5145550123`` and ``CA`` for ``+15145550123`` (Kangaroo API blueprint: Customers). ``default_country`` is taken for
    numbers without country code, and for a code that several countries share when the digits do not tell. None when it
    is no phone number or belongs to no country.
    """
    e164 = to_e164(value, default_country)
    return None if e164 is None else national(e164, default_country)
