"""What is wrong with a command before anything is sent, every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.capillary.fields import (
    CARD_ATTRIBUTES,
    CHANNELS,
    FRAUD_STATUSES,
    IDENTIFIERS,
    LOOKUPS,
    MAX_TILL,
    META,
    SUBSCRIPTION_CHANNELS,
    channel_type,
    cluster_time,
    identifier_type,
    offset_moment,
)
from loyalty_relay.destinations.capillary.options import check_options
from loyalty_relay.destinations.capillary.routes import only_v1, supports
from loyalty_relay.model.commands import CustomerCommand, Identifier, UpdateCustomer
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.model.json_validation import unknown_field
from loyalty_relay.model.phones import to_e164

_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
NOT_A_MOBILE = "is not a phone number that can exist; write it with + and country code"
NOT_AN_EMAIL = "is not an e-mail address"

_CHANNEL_MEMBERS = frozenset({"value", "primary", "verified", "subscribed", "meta"})

Problems = Iterator[FieldProblem]


def check(command: CustomerCommand, destination: Destination, country: str | None) -> list[FieldProblem]:
    """Return every problem of the command. ``country``: where phone numbers without a country code are from."""
    problems = [
        *_who(command, destination, country),
        *(problem for name, value in command.fields.items() for problem in _field(name, value, destination, country)),
        *_credits(command),
        *check_options(destination, command.options),
    ]
    if isinstance(command, UpdateCustomer):
        problems += _mix(command)
    return problems


def _who(command: CustomerCommand, destination: Destination, country: str | None) -> Problems:
    customer = command.customer
    for identifier in customer.identifiers:
        yield from _identifier(identifier, country)
    by_source_id = customer.source_id and destination.options.get("source_id_as_external_id")
    contact = customer.identifiers or command.fields.get("email") or command.fields.get("phone") or by_source_id
    # A customer of a shop may have no contact at all and still be known: the guard has the loyalty id then.
    if not contact and not customer.loyalty_id and not customer.source_id:
        yield FieldProblem("identifiers", "the customer needs an identifier, for example email or mobile")
    elif isinstance(command, UpdateCustomer) and command.if_missing == "error":
        known = any(identifier.type in LOOKUPS for identifier in customer.identifiers)
        if not customer.loyalty_id and not customer.source_id and not known:
            yield FieldProblem("identifiers", f"members are looked up by {', '.join(LOOKUPS)}, or by loyalty id")


def _identifier(identifier: Identifier, country: str | None) -> Problems:
    where = f"identifiers.{identifier.type}"
    kind = identifier_type(identifier.type)
    if kind is None:
        yield FieldProblem(where, f"is not a known type; there are {', '.join(IDENTIFIERS)}")
    if not identifier.value.strip():
        yield FieldProblem(where, "must not be empty")
    elif kind == "mobile" and to_e164(identifier.value, country) is None:
        yield FieldProblem(where, NOT_A_MOBILE)
    elif kind == "email" and not _EMAIL.fullmatch(identifier.value.strip()):
        yield FieldProblem(where, NOT_AN_EMAIL)
    for name, value in identifier.attributes.items():
        if name not in CARD_ATTRIBUTES:
            yield FieldProblem(f"{where}.{name}", f"is not one of {', '.join(CARD_ATTRIBUTES)}")
        elif kind not in ("cardnumber", "cardExternalId"):
            yield FieldProblem(f"{where}.{name}", "is for cards only")
        elif name == "series_id" and not _whole(value):
            yield FieldProblem(f"{where}.{name}", "must be an integer")
        elif name.endswith("_fields") and not isinstance(value, Mapping):
            yield FieldProblem(f"{where}.{name}", "must be an object")


def _field(name: str, value: Any, destination: Destination, country: str | None) -> Problems:
    family, _, rest = name.partition(".")
    if not supports(name):
        yield FieldProblem(name, _unsupported(name, family, rest))
    elif value is None:
        return
    elif family == "channels":
        yield from _channels(name, channel_type(rest) or "", value, country)
    elif family == "subscriptions":
        if not isinstance(value, bool):
            yield FieldProblem(name, "must be true or false")
    elif family in ("custom_fields", "extended_fields"):
        if not isinstance(value, str | int | float | bool):
            yield FieldProblem(name, "must be a string, a number, true or false")
    elif not isinstance(value, str):
        yield FieldProblem(name, "must be a string")
    else:
        yield from _text(name, value, destination, country)


def _unsupported(name: str, family: str, rest: str) -> str:
    if family == "channels":
        return f"there is no such channel; there are {', '.join(CHANNELS)}"
    if family == "subscriptions":
        return f"must be subscriptions.CHANNEL.PRIORITY with channel {', '.join(SUBSCRIPTION_CHANNELS)}, bulk or trans"
    if family in ("gender", "birthday", "language", "postal_code", "address"):
        return f"is no field of its own here; name an extended or custom field, such as extended_fields.{name}"
    return "is not a field of this destination"


def _text(name: str, value: str, destination: Destination, country: str | None) -> Problems:
    if name == "phone" and to_e164(value, country) is None:
        yield FieldProblem(name, NOT_A_MOBILE)
    elif name == "email" and not _EMAIL.fullmatch(value.strip()):
        yield FieldProblem(name, NOT_AN_EMAIL)
    elif name == "loyalty_type" and value not in ("loyalty", "non_loyalty"):
        yield FieldProblem(name, "must be loyalty or non_loyalty")
    elif name == "fraud_status" and value.upper() not in FRAUD_STATUSES:
        yield FieldProblem(name, f"must be one of {', '.join(FRAUD_STATUSES)}")
    elif name == "registered_on":
        try:
            cluster_time(value, destination.region)
        except ValueError:
            yield FieldProblem(name, "must be a date such as 2026-01-31, or a moment such as 2026-01-31T12:00:00+00:00")
    elif name in ("registered_till", "associated_with", "status_label") and not value.strip():
        yield FieldProblem(name, "must not be empty")
    elif name in ("registered_till", "associated_with") and len(value) > MAX_TILL:
        yield FieldProblem(name, f"must have at most {MAX_TILL} characters")


def _channels(name: str, kind: str, value: Any, country: str | None) -> Problems:
    if not isinstance(value, list | tuple):
        yield FieldProblem(name, "must be a list of objects")
        return
    for index, entry in enumerate(value):
        where = f"{name}.{index}"
        if not isinstance(entry, Mapping):
            yield FieldProblem(where, "must be an object")
            continue
        text = entry.get("value")
        if not isinstance(text, str) or not text.strip():
            yield FieldProblem(f"{where}.value", "must be a non-empty string")
        elif kind == "mobile" and to_e164(text, country) is None:
            yield FieldProblem(f"{where}.value", NOT_A_MOBILE)
        elif kind == "email" and not _EMAIL.fullmatch(text.strip()):
            yield FieldProblem(f"{where}.value", NOT_AN_EMAIL)
        for flag in ("primary", "verified", "subscribed"):
            if not isinstance(entry.get(flag), bool | None):
                yield FieldProblem(f"{where}.{flag}", "must be true or false")
        meta = entry.get("meta")
        if meta is not None and (not isinstance(meta, Mapping) or not set(meta) <= set(META)):
            yield FieldProblem(f"{where}.meta", f"must be an object of {', '.join(META)}")
        for extra in set(entry) - _CHANNEL_MEMBERS:
            yield FieldProblem(f"{where}.{extra}", unknown_field(str(extra), _CHANNEL_MEMBERS))


def _credits(command: CustomerCommand) -> Problems:
    for index, e in enumerate(command.credits.enrollments):
        where = f"enrollments.{index}"
        if not _whole(e.program_id):
            yield FieldProblem(f"{where}.program_id", "must be an integer")
        if e.tier_number is not None and not (_whole(e.tier_number) and e.tier_number >= 1):
            yield FieldProblem(f"{where}.tier_number", "must be an integer from 1")
        points = e.loyalty_points
        if points is not None and not (_numeric(points) and 0 <= points < 1e12):
            yield FieldProblem(f"{where}.loyalty_points", "must be a number that is not negative")
        for name in ("tier_expires_at", "points_expire_at"):
            text = getattr(e, name)
            try:
                if text is not None:
                    offset_moment(text)
            except (ValueError, TypeError):
                yield FieldProblem(f"{where}.{name}", "must be a moment with offset, such as 2026-01-31T12:00:00+05:30")


def _mix(command: UpdateCustomer) -> Problems:
    """Return what no route of ``routes.py`` can carry, or could only carry on registration."""
    registers = command.if_missing == "register"
    fields, owed = command.fields, command.credits
    if not registers:
        if "status_label" in fields:
            yield FieldProblem("status_label", "can be set by a registration only")
        if owed.referral_code:
            yield FieldProblem("referral_code", "can be given on registration only")
        if fields.get("loyalty_type") == "non_loyalty":
            yield FieldProblem("loyalty_type", "a loyalty member cannot become a non-loyalty customer")
        if "channels.card_number" in fields or "channels.cardnumber" in fields:
            yield FieldProblem("channels.card_number", "can be set by a registration only")
    enrolls = ["enrollments"] if owed.enrollments else []
    v2 = [name for name in fields if name.startswith("channels.")] + enrolls
    v1 = [name for name in fields if only_v1(name) and not name.startswith("subscriptions.")]
    if v1 and v2:
        for name in v1:
            yield FieldProblem(name, f"no request can carry it together with {', '.join(v2)}; send two updates")
        for name in v2:
            yield FieldProblem(name, f"no request can carry it together with {', '.join(v1)}; send two updates")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
