"""The options of one command, on top of those of its destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.capillary.config import ACCOUNT_SOURCES, SOURCES
from loyalty_relay.model.errors import FieldProblem

NAMES = ("source", "account_id", "use_async", "raw_side_effects", "single_enroll", "user_context")

SEPARATOR = "#"
V1_PROFILE = "INSTORE"
"""The profile that V1.1 reads and changes: its responses have the source "instore" (Capillary docs: Customer update
V1.1).
"""
MAX_ACCOUNT = 100

USER_CONTEXT: Mapping[str, str] = {
    "type": "USER-CONTEXT-ENTITY-TYPE",
    "id": "USER-CONTEXT-ENTITY-ID",
    "source": "USER-CONTEXT-ENTITY-SOURCE",
    "source_id": "USER-CONTEXT-ENTITY-SOURCE-ID",
}
"""Who is behind a write, for Capillary's audit log (Capillary docs: Audit details, user context)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a request is to be carried out.

    ``use_async``: True runs loyalty activities in the background, so that no side effects come back; False waits for
    them; None leaves it to the vendor. On POST it travels as the header WAIT_FOR_DOWNSTREAM, which means the opposite.
    ``raw_side_effects`` (POST) and ``single_enroll`` (POST and PUT) are query parameters of the vendor.
    """

    source: str
    account_id: str | None = None
    use_async: bool | None = None
    raw_side_effects: bool | None = None
    single_enroll: bool | None = None
    user_context: Mapping[str, str] = field(default_factory=dict)

    @property
    def profile(self) -> str:
        """The name of the member's profile in this source and account."""
        return f"{self.source}{SEPARATOR}{self.account_id}" if self.account_id else self.source

    @property
    def in_v1(self) -> bool:
        """Whether V1.1, which takes no source, changes this profile."""
        return self.profile == V1_PROFILE

    @classmethod
    def of(cls, destination: Destination, given: Mapping[str, Any]) -> Options:
        """Return the options of a command; ``check`` has verified that they can be read."""
        source = given.get("source") or destination.source or "INSTORE"
        own = destination.account_id if source == destination.source else None
        return cls(
            source=source,
            account_id=given.get("account_id") or own,
            use_async=given.get("use_async", destination.options.get("use_async")),
            raw_side_effects=given.get("raw_side_effects"),
            single_enroll=given.get("single_enroll"),
            user_context=given.get("user_context") or destination.options.get("user_context") or {},
        )

    def place(self) -> dict[str, str]:
        """Return the query parameters that name the profile."""
        return place_of(self.profile)

    def headers(self) -> dict[str, str]:
        """Return the USER-CONTEXT headers."""
        return {header: self.user_context[name] for name, header in USER_CONTEXT.items() if self.user_context.get(name)}


def place_of(profile: str) -> dict[str, str]:
    """Return the query parameters that name a profile."""
    source, _, account = profile.partition(SEPARATOR)
    return {"source": source, **({"accountId": account} if account else {})}


def check_options(destination: Destination, given: Mapping[str, Any]) -> list[FieldProblem]:
    """Return every problem of a command's options."""
    problems = [
        FieldProblem(f"options.{name}", "is not an option of this destination") for name in given if name not in NAMES
    ]
    problems += [
        FieldProblem(f"options.{name}", "must be true or false")
        for name in ("use_async", "raw_side_effects", "single_enroll")
        if not isinstance(given.get(name), bool | None)
    ]
    source = given.get("source")
    if source is not None and source not in SOURCES:
        problems.append(FieldProblem("options.source", f"must be one of {', '.join(SOURCES)}"))
    account = given.get("account_id")
    if account is not None and not (isinstance(account, str) and len(account) <= MAX_ACCOUNT):
        problems.append(FieldProblem("options.account_id", f"must be a string of at most {MAX_ACCOUNT} characters"))
    elif source in ACCOUNT_SOURCES and not (account or Options.of(destination, given).account_id):
        problems.append(FieldProblem("options.account_id", f"is required: {source} has several accounts"))
    context = given.get("user_context")
    if context is not None:
        problems += _check_context(context)
    return problems


def _check_context(context: Any) -> list[FieldProblem]:
    if not isinstance(context, Mapping):
        return [FieldProblem("options.user_context", "must be an object")]
    problems = []
    for name, value in context.items():
        where = f"options.user_context.{name}"
        if name not in USER_CONTEXT:
            problems.append(FieldProblem(where, f"is not one of {', '.join(USER_CONTEXT)}"))
        elif not isinstance(value, str) or not value.isascii() or not value.isprintable():
            problems.append(FieldProblem(where, "must be printable ASCII, because it is sent in an HTTP header"))
    return problems
