"""What a mapping yields besides fields: further identifiers with their attributes, credits, and options.

identifiers.TYPE                         a further identifier
identifiers.CARD.ATTRIBUTE               of a card: series_id, series_code, status_label
identifiers.CARD.custom_fields.NAME      likewise extended_fields.NAME
enrollments                              an object, or a list of them, with the members of ``Enrollment``
referral_code
options.NAME                             source, account_id, use_async ... for this event only
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from loyalty_relay.model.commands import Credits, Enrollment, Identifier
from loyalty_relay.translation.coercion import NotCoercible, coerce

CREDITS = ("enrollments", "referral_code")
_PREFIXES = ("identifiers.", "options.")
_MEMBERS = frozenset(member.name for member in fields(Enrollment))


def divided(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (fields, parts) of what a mapping yields."""
    parts = {name: value for name, value in values.items() if name in CREDITS or name.startswith(_PREFIXES)}
    return {name: value for name, value in values.items() if name not in parts}, parts


def identifiers_of(known: Mapping[str, Any], parts: Mapping[str, Any]) -> tuple[Identifier, ...]:
    """Return the identifiers: those that are known already, and those of the mapping in their place."""
    values = dict(known)
    attributes: dict[str, dict[str, Any]] = {}
    for name, value in parts.items():
        family, _, rest = name.partition(".")
        kind, _, attribute = rest.partition(".")
        if family != "identifiers" or value is None:
            continue
        if not attribute:
            values[kind] = value
            continue
        group, _, member = attribute.partition(".")
        of_kind = attributes.setdefault(kind, {})
        if member:
            of_kind.setdefault(group, {})[member] = value
        else:
            of_kind[group] = value
    return tuple(Identifier(k, str(value), attributes.get(k, {})) for k, value in values.items() if value)


def credits_of(parts: Mapping[str, Any]) -> Credits:
    """Return the credits.

    What is not an enrolment becomes one without a valid programme, which the operation leaves out with a notice.
    """
    given = parts.get("enrollments")
    entries = given if isinstance(given, list) else [] if given is None else [given]
    return Credits(enrollments=tuple(map(_enrollment, entries)), referral_code=parts.get("referral_code"))


def _enrollment(entry: Any) -> Enrollment:
    if not isinstance(entry, dict) or not entry.keys() <= _MEMBERS or "program_id" not in entry:
        return Enrollment(program_id=entry)
    return Enrollment(**{name: _coerced(f"enrollments.{name}", value) for name, value in entry.items()})


def _coerced(name: str, value: Any) -> Any:
    try:
        return coerce(name, value)
    except NotCoercible:
        return value


def options_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of this event, over those of the connection."""
    return {
        name.removeprefix("options."): value
        for name, value in parts.items()
        if name.startswith("options.") and value is not None
    }
