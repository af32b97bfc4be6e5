"""Tillbook as operations use it, with its members in memory instead of an API."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from loyalty_relay.destinations.base import Finding, Receipt
from loyalty_relay.model.commands import Command, CustomerCommand, CustomerRef
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CustomerNotFound, FieldProblem


class TillbookCrm:
    """Members by loyalty id."""

    operations = frozenset({"register", "update"})

    def __init__(self) -> None:
        self.members: dict[str, dict[str, Any]] = {}

    def check(self, command: CustomerCommand) -> list[FieldProblem]:
        return []

    def supports(self, field: str) -> bool:
        return field in ("first_name", "email")

    def probe(self, deadline: Deadline) -> list[Finding]:
        return [Finding(name="key", ok=True, message="is accepted", who="operator")]

    def slot(self, command: Command, deadline: Deadline) -> AbstractContextManager[None]:
        return nullcontext()

    def find(self, customer: CustomerRef, deadline: Deadline) -> str | None:
        email = customer.identifier("email")
        return next((key for key, member in self.members.items() if member.get("email") == email), None)

    def register(self, command: CustomerCommand, fields: Mapping[str, Any], deadline: Deadline) -> Receipt:
        loyalty_id = f"member-{len(self.members) + 1}"
        self.members[loyalty_id] = dict(fields)
        return Receipt(loyalty_id=loyalty_id, created=True, sent=tuple(fields))

    def update(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        *,
        changed: frozenset[str],
    ) -> Receipt:
        if loyalty_id not in self.members:
            raise CustomerNotFound("no such member")
        self.members[loyalty_id] |= fields
        return Receipt(loyalty_id=loyalty_id, sent=tuple(fields))
