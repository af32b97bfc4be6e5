"""From a complaint of the Kangaroo API to one of our errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

import httpx

from loyalty_relay.destinations.kangaroo.shapes import Complaint
from loyalty_relay.http.messages import NotJson, raise_for_transient, reached
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    UpstreamUnavailable,
    VendorRejected,
)

TAKEN = re.compile(r"\b(?:taken|already|in use|exists|duplicate)\b", re.IGNORECASE)
"""How the vendor says that something is there already: its validation texts have no codes."""

_ROUTE = re.compile(r"\broute\b", re.IGNORECASE)


def credentials_refused(message: str, *, code: str | None = None, reason: str | None = None) -> CredentialsRefused:
    """The error, with a ``reason`` that says what an operator has to do where that is known."""
    error = CredentialsRefused(message, code=code)
    if reason is not None:
        error.reason = reason
    return error


def refuse(
    answer: httpx.Response, said: Complaint, *, customer: bool = False, names: Callable[[str], str] | None = None
) -> NoReturn:
    """Raise the error of a complaint. ``customer``: whether the path named a customer, so that 404 is about them.
    ``names``: our name of a vendor's field, where the caller knows it by another.

    RateLimited and UpstreamUnavailable for what passes by itself, CredentialsRefused for 401 and 403, CustomerNotFound,
    InvalidCommand where fields are named, VendorRejected for the rest.
    """
    raise_for_transient(answer, status=said.status, code=said.code)
    if said.status in (401, 403):
        raise credentials_refused(f"the destination answered {said.status}: {said.message}", code=said.code)
    if customer and said.status == 404 and said.shape != "unknown" and said.message and not said.says(_ROUTE):
        raise CustomerNotFound("the destination does not know this customer", code=said.code)
    if said.problems:
        problems = [FieldProblem(names(p.field) if names else p.field, p.message) for p in said.problems]
        raise InvalidCommand(said.message, code=said.code, problems=problems)
    hint = "; see the option crm_fields_path" if said.status == 405 else ""
    raise VendorRejected(f"{said.message}{hint}", code=said.code)


def unreadable(answer: httpx.Response, why: NotJson) -> UpstreamUnavailable:
    """A success whose body cannot be read: broken on its way, and the effect is there."""
    return UpstreamUnavailable(
        f"the destination answered {answer.status_code} with a body that cannot be read ({why.why})",
        reached=reached(answer),
    )
