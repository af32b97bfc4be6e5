"""What is wrong with a command before anything is sent, every problem at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loyalty_relay.destinations.kangaroo.fields import email_problem, is_date, national_phone, their_name
from loyalty_relay.destinations.kangaroo.requests import REGISTER_FIELDS, registration
from loyalty_relay.model.commands import CustomerCommand, RegisterCustomer
from loyalty_relay.model.errors import FieldProblem


def check(command: CustomerCommand, country: str | None) -> list[FieldProblem]:
    """Return every problem that is found without a request. ``country``: of phones without a country code."""
    problems = list(_identifiers(command, country))
    if command.credits:
        problems.append(FieldProblem("credits", "this destination takes no points, enrolments or referral codes"))
    if isinstance(command, RegisterCustomer):
        problems += [
            FieldProblem(name, "is not part of a registration at this destination; patch it afterwards")
            for name in command.fields
            if name not in REGISTER_FIELDS
        ]
        gender = command.fields.get("gender")
        made = registration(command, command.fields, country)
        # An identifier replaces a field that is absent; what is wrong with it is reported already.
        problems += [p for p in made.problems if p.field in command.fields or not problems]
        if gender and "gender" not in made.sent and not any(p.field == "gender" for p in problems):
            problems.append(FieldProblem("gender", "must be one of male, female at registration"))
        return problems
    for name, value in command.fields.items():
        if not supports(name):
            problems.append(FieldProblem(name, "is not something this destination's CRM fields can carry"))
        elif value not in (None, "") and (problem := _wrong(name, value, country)):
            problems.append(FieldProblem(name, problem))
    return problems


def _identifiers(command: CustomerCommand, country: str | None) -> Iterator[FieldProblem]:
    for identifier in command.customer.identifiers:
        problem: str | None = None
        if identifier.type == "email":
            problem = email_problem(identifier.value.strip())
        elif identifier.type != "mobile":
            problem = "is not an identifier of this destination, which has email and mobile"
        elif national_phone(identifier.value, country) is None:
            problem = "must be a valid phone number with its country code"
        if problem:
            yield FieldProblem(f"identifiers.{identifier.type}", problem)


def supports(field: str) -> bool:
    """Return whether Kangaroo's CRM fields can include this field; whether a business has it is in its live list."""
    return field.startswith("tags.") or their_name(field) is not None


def _wrong(name: str, value: Any, country: str | None) -> str | None:
    if name.startswith("tags."):
        return None if isinstance(value, bool) else "must be true or false"
    if name in ("first_name", "last_name", "email", "phone", "birthday", "gender", "postal_code", "notes"):
        if not isinstance(value, str):
            return "must be a string"
        if name == "email":
            return email_problem(value)
        if name == "phone" and national_phone(value, country) is None:
            return "must be a valid phone number with its country code"
        if name == "birthday" and not is_date(value):
            return "must be a date such as 1990-12-31"
    return None
