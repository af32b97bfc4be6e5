"""Customers: what a registration sends, how one is found, and what the answers hold.

Facts: Kangaroo API blueprint (Customers: create, filtering). There is no lookup of its own: it is the list with a
filter ``email=eq|VALUE`` or ``phone=eq|VALUE``, whose answer is compared with what was asked, so that a filter the
vendor does not understand can never hand over somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loyalty_relay.destinations.kangaroo.fields import (
    LANGUAGES,
    email_problem,
    gender_word,
    is_date,
    language_code,
    national_phone,
)
from loyalty_relay.model.commands import CustomerCommand
from loyalty_relay.model.errors import AmbiguousOutcome, FieldProblem
from loyalty_relay.model.phones import to_e164

REGISTER_FIELDS = frozenset({"email", "phone", "first_name", "last_name", "language", "gender", "birthday"})
"""Our fields that ``POST /customers`` takes."""

REGISTER_GENDERS = ("male", "female")


@dataclass(slots=True)
class Registration:
    """The body of ``POST /customers``, the names of our fields in it, and what is wrong."""

    body: dict[str, Any] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    problems: list[FieldProblem] = field(default_factory=list)


def registration(command: CustomerCommand, fields: Mapping[str, Any], default_country: str | None) -> Registration:
    """The registration of a command; identifiers fill in for an e-mail or phone that ``fields`` lacks.

    Fields that a registration cannot carry are left out: a patch follows, or ``check`` has named them before.
    """
    made = Registration()
    contacts = {"email": command.customer.identifier("email"), "phone": command.customer.identifier("mobile")}
    given = {**{name: value for name, value in contacts.items() if value}, **_present(fields)}
    for name in ("email", "phone", "first_name", "last_name", "language", "gender", "birthday"):
        if name not in given:
            continue
        problem = _put(made.body, name, given[name], default_country)
        if problem is None:
            if name in fields:
                made.sent.append(name)
        elif name != "gender" or gender_word(str(given[name])) != "nonbinary":
            # The CRM fields know nonbinary, the registration does not (Kangaroo API blueprint): a patch carries it.
            made.problems.append(FieldProblem(name, problem))
    if not made.problems and not made.body.get("email") and not made.body.get("phone"):
        made.problems = [FieldProblem(name, "is required when the other is missing") for name in ("email", "phone")]
    return made


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _put(body: dict[str, Any], name: str, value: Any, default_country: str | None) -> str | None:
    if not isinstance(value, str):
        return "must be a text"
    if name == "phone":
        found = national_phone(value, default_country)
        if found is None:
            return "must be a valid phone number with its country code"
        body["phone"], body["country_code"] = found
        return None
    sent: str | None = value
    if name == "email" and (problem := email_problem(value)):
        return problem
    if name == "birthday" and not is_date(value):
        return "must be a date such as 1990-12-31"
    if name == "language" and (sent := language_code(value)) is None:
        return f"must be one of {', '.join(LANGUAGES)}"
    if name == "gender":
        sent = gender_word(value)
        if sent not in REGISTER_GENDERS:
            return f"must be one of {', '.join(REGISTER_GENDERS)} at registration"
    body["birth_date" if name == "birthday" else name] = sent
    return None


def customer_id(item: Mapping[str, Any]) -> str | None:
    """The id of a customer object; ids are hexadecimal texts in either case."""
    value = item.get("id")
    return value if isinstance(value, str) and value else None


def match_email(items: Iterable[Mapping[str, Any]], email: str) -> str | None:
    """The customer with that address. Raises AmbiguousOutcome for several."""
    wanted = email.strip().casefold()
    return _only(i for i in items if isinstance(i.get("email"), str) and i["email"].strip().casefold() == wanted)


def match_phone(items: Iterable[Mapping[str, Any]], e164: str, country: str) -> str | None:
    """The customer with that number, whichever form it is kept in. Raises AmbiguousOutcome for several."""
    return _only(
        item
        for item in items
        if isinstance(item.get("phone"), str) and to_e164(item["phone"], item.get("country_code") or country) == e164
    )


def _only(items: Iterable[Mapping[str, Any]]) -> str | None:
    ids = {found.lower(): found for item in items if (found := customer_id(item))}
    if len(ids) > 1:
        raise AmbiguousOutcome("several customers at the destination have this identifier")
    return next(iter(ids.values()), None)
