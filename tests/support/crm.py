"""A loyalty CRM in memory: members with state, identifiers that are unique, and faults before or after the effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from loyalty_relay.destinations.base import Branch, Receipt, StoreLink
from loyalty_relay.model import effects
from loyalty_relay.model.commands import Command, Credits, CustomerCommand, CustomerRef, LinkStore
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CustomerExists,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    StoreConflict,
)


def branch(id: str, name: str, *, virtual: bool = True) -> Branch:
    return Branch(id=id, name=name, virtual=virtual)


@dataclass
class Member:
    """One member and everything that was done to them."""

    id: str
    identifiers: dict[str, str]
    fields: dict[str, Any] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    credits: list[Credits] = field(default_factory=list)


@dataclass
class FakeCrm:
    """Implements ``Crm``, ``CrmFieldsCrm`` and ``StoreLinkCrm``. ``calls`` lists what reached it, in order.

    ``before``/``after``: errors to raise instead of, or after, the next writes; ``before`` also in place of reads.
    """

    operations: frozenset[str] = frozenset({"register", "update", "crm-patch", "link-store"})
    members: dict[str, Member] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    before: list[BaseException | None] = field(default_factory=list)
    after: list[BaseException | None] = field(default_factory=list)
    problems: list[FieldProblem] = field(default_factory=list)
    unsupported: frozenset[str] = frozenset({"address"})
    refused: frozenset[str] = frozenset()
    """Fields that the vendor refuses, by the rules of its own."""
    misread: frozenset[str] = frozenset()
    """Fields that the vendor takes and shows with another value."""
    branch_list: list[Branch] = field(
        default_factory=lambda: [branch("b1", "Online"), branch("b0", "Town", virtual=False)]
    )
    integrations: dict[int, str] = field(default_factory=dict)
    store_links: list[StoreLink] = field(default_factory=list)
    lists_integrations: bool = True
    lists_links: bool = True
    disabled_shops: frozenset[str] = frozenset()
    during: Callable[[], None] | None = None

    def check(self, command: CustomerCommand) -> list[FieldProblem]:
        identifiers = {f"identifiers.{i.type}": i for i in command.customer.identifiers}
        named = {*command.fields, *identifiers, "identifiers.0.value"}
        named |= {f"{where}.{name}" for where, i in identifiers.items() for name in i.attributes}
        named |= {f"options.{name}" for name in command.options}
        named |= {
            f"channels.{n.removeprefix('channels.')}.0.value" for n in command.fields if n.startswith("channels.")
        }
        named |= {f"enrollments.{n}.program_id" for n, e in enumerate(command.credits.enrollments) if not e.program_id}
        return [problem for problem in self.problems if problem.field in named]

    def supports(self, field: str) -> bool:
        return field not in self.unsupported

    def slot(self, command: Command, deadline: Deadline) -> AbstractContextManager[None]:
        return nullcontext()

    def find(self, customer: CustomerRef, deadline: Deadline) -> str | None:
        self.calls.append(("find",))
        if customer.loyalty_id is not None:
            survivor = self.merged.get(customer.loyalty_id, customer.loyalty_id)
            return survivor if survivor in self.members else None
        return self._owner(customer)

    def _owner(self, customer: CustomerRef) -> str | None:
        for identifier in customer.identifiers:
            for member in self.members.values():
                if member.identifiers.get(identifier.type) == identifier.value:
                    return member.id
        return None

    def register(self, command: CustomerCommand, fields: Mapping[str, Any], deadline: Deadline) -> Receipt:
        self.calls.append(("register", dict(fields), command.credits))
        self._fault(self.before)
        effects.begin()
        self._refuse(fields)
        owner = self._owner(command.customer)
        if owner is not None:
            raise CustomerExists("exists", loyalty_id=owner, code="8006")
        member = Member(str(1000 + len(self.members)), {i.type: i.value for i in command.customer.identifiers})
        self.members[member.id] = member
        return self._written(member, command, fields, created=True)

    def update(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        *,
        changed: frozenset[str],
    ) -> Receipt:
        self.calls.append(("update", loyalty_id, dict(fields), command.credits, changed))
        self._fault(self.before)
        effects.begin()
        self._refuse(fields)
        target = self._owner(command.customer) if loyalty_id is None else self.merged.get(loyalty_id, loyalty_id)
        if target not in self.members:
            raise CustomerNotFound("not found", code="8015")
        return self._written(self.members[target], command, fields)

    def command_field(self, crm_field: str) -> str:
        return f"custom_fields.{crm_field}" if crm_field.startswith("custom_field_") else crm_field

    def crm_fields(self, loyalty_id: str, deadline: Deadline) -> list[dict[str, Any]]:
        self._fault(self.before)
        if loyalty_id not in self.members:
            raise CustomerNotFound("not found", code="8015")
        return [{"name": name, "value": value} for name, value in self.members[loyalty_id].fields.items()]

    def tags(self, deadline: Deadline) -> list[dict[str, Any]]:
        self._fault(self.before)
        return [{"id": 1, "name": "Red"}]

    def patch_crm_fields(
        self,
        loyalty_id: str,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        replace_tags: tuple[str, ...] | None,
        deadline: Deadline,
        *,
        strict: bool = True,
    ) -> Receipt:
        self.calls.append(("patch", loyalty_id, dict(fields), replace_tags))
        self._fault(self.before)
        effects.begin()
        if loyalty_id not in self.members:
            raise CustomerNotFound("not found", code="404")
        self._refuse(fields)
        member = self.members[loyalty_id]
        if replace_tags is not None:
            member.tags = set(replace_tags)
        receipt = self._written(member, command, fields)
        return receipt if replace_tags is None else replace(receipt, sent=(*receipt.sent, "tags"))

    def _written(
        self, member: Member, command: CustomerCommand, fields: Mapping[str, Any], *, created: bool = False
    ) -> Receipt:
        for name, value in fields.items():
            if name.startswith("tags."):
                (member.tags.add if value else member.tags.discard)(name.removeprefix("tags."))
            else:
                member.fields[name] = value
        if command.credits:
            member.credits.append(command.credits)
        if self.during is not None:
            self.during()
        self._fault(self.after)
        return Receipt(
            loyalty_id=member.id,
            created=created,
            sent=tuple(name for name in fields if name not in self.misread),
            unconfirmed=tuple(name for name in fields if name in self.misread),
            request_id="req-1",
        )

    def _refuse(self, fields: Mapping[str, Any]) -> None:
        if problems := [FieldProblem(name, "is refused") for name in fields if name in self.refused]:
            raise InvalidCommand("the destination rejects fields", problems=problems)

    @staticmethod
    def _fault(faults: list[BaseException | None]) -> None:
        error = faults.pop(0) if faults else None
        if error is not None:
            raise error

    # -- stores ---------------------------------------------------------------------------------------------------

    def branches(self, deadline: Deadline) -> list[Branch]:
        self.calls.append(("branches",))
        return self.branch_list

    def find_integration(self, name: str, deadline: Deadline) -> int | None:
        self.calls.append(("find_integration",))
        if not self.lists_integrations:
            raise AmbiguousOutcome("no list route")
        return next((number for number, known in self.integrations.items() if known == name), None)

    def create_integration(self, name: str, deadline: Deadline) -> int:
        self.calls.append(("create_integration",))
        self._fault(self.before)
        effects.begin()
        number = 20 + len(self.integrations)
        self.integrations[number] = name
        self._fault(self.after)
        return number

    def links(self, integration_id: int, deadline: Deadline) -> list[StoreLink]:
        self.calls.append(("links",))
        if not self.lists_links:
            raise AmbiguousOutcome("no list route")
        return [link for link in self.store_links if link.integration_id == integration_id]

    def create_link(self, command: LinkStore, branch_id: str, integration_id: int, deadline: Deadline) -> StoreLink:
        self.calls.append(("create_link",))
        self._fault(self.before)
        effects.begin()
        if any(link.shop_id == command.shop_id for link in self.store_links):
            raise StoreConflict("taken")
        link = StoreLink(
            branch_link_id=len(self.store_links) + 1,
            shop_id=command.shop_id,
            account_id=command.account_id,
            branch_id=branch_id,
            integration_id=integration_id,
            store_name=command.store_name,
            store_domain=command.store_domain,
            enabled=command.shop_id not in self.disabled_shops,
        )
        self.store_links.append(link)
        self._fault(self.after)
        return link
