"""The customers of all organisations, with the index that keeps identifiers unique per source account."""

from __future__ import annotations

from collections.abc import Iterable

from devkit.sandbox.capillary.model import Customer, Identifier, Profile
from devkit.sandbox.vendor import JSON

FIRST_ID = 600000001


class CustomerStore:
    """Finds customers by id and by identifier. An identifier is compared as ``normalise`` leaves it."""

    def __init__(self) -> None:
        self.customers: dict[int, Customer] = {}
        self._next_id = FIRST_ID
        self._index: dict[tuple[str, str, str], dict[str, int]] = {}

    def clear(self) -> None:
        """Forget all customers; ids start again."""
        self.customers.clear()
        self._index.clear()
        self._next_id = FIRST_ID

    def create(self, org: str) -> Customer:
        """Make an empty customer with the next id."""
        customer = Customer(self._next_id, org)
        self.customers[customer.id] = customer
        self._next_id += 1
        return customer

    def get(self, org: str, customer_id: int) -> Customer | None:
        """Return the customer of that id, a merge victim too."""
        customer = self.customers.get(customer_id)
        return customer if customer is not None and customer.org == org else None

    def survivor(self, customer: Customer) -> Customer:
        """Follow merges to the customer that is left."""
        while customer.merged_into is not None:
            customer = self.customers[customer.merged_into]
        return customer

    def owners(self, org: str, identifier: Identifier) -> dict[str, int]:
        """Return who holds an identifier: source account to customer id."""
        return dict(self._index.get(_key(org, identifier), {}))

    def attach(self, customer: Customer, profile: Profile, identifier: Identifier) -> None:
        """Give a profile an identifier."""
        profile.identifiers.append(identifier)
        self._index.setdefault(_key(customer.org, identifier), {})[profile.key] = customer.id

    def detach(self, customer: Customer, profile: Profile, identifier: Identifier) -> None:
        """Take an identifier from a profile; it is free for others then."""
        profile.identifiers.remove(identifier)
        profile.former_identifiers.append(identifier)
        self._index[_key(customer.org, identifier)].pop(profile.key, None)

    def merge(self, survivor: Customer, victim: Customer) -> None:
        """Fold ``victim`` into ``survivor``: profiles, points, coupons and enrolments move over.

        Where both have a profile of the same source account the survivor's values stay, what it lacks is
        filled from the victim's, and the victim's other identifiers keep leading to the survivor.
        """
        for profile in victim.profiles:
            own = survivor.profile(profile.key)
            if own is None:
                survivor.profiles.append(profile)
            else:
                _fold(own, profile)
            for identifier in profile.identifiers:
                self._index[_key(victim.org, identifier)][profile.key] = survivor.id
        survivor.extended_fields = {**victim.extended_fields, **survivor.extended_fields}
        survivor.enrolments = {**victim.enrolments, **survivor.enrolments}
        survivor.points += victim.points
        survivor.coupons.extend(victim.coupons)
        survivor.rules_done.extend(name for name in victim.rules_done if name not in survivor.rules_done)
        if victim.loyalty_type == "loyalty":
            survivor.loyalty_type = "loyalty"
        survivor.victims.append(victim.id)
        victim.profiles, victim.coupons, victim.enrolments, victim.points = [], [], {}, 0.0
        victim.merged_into = survivor.id

    def as_json(self) -> list[JSON]:
        """Return all customers, in the order of their ids."""
        return [customer.as_json() for customer in self.customers.values()]


def normalise(kind: str, value: str) -> str:
    """Return an identifier as it is compared: e-mail without regard to case, the rest as it is."""
    return value.casefold() if kind == "email" else value


def find_type(identifiers: Iterable[Identifier], kind: str) -> Identifier | None:
    """Return the first identifier of a type."""
    return next((item for item in identifiers if item.type == kind), None)


def _fold(own: Profile, other: Profile) -> None:
    own.first_name = own.first_name or other.first_name
    own.last_name = own.last_name or other.last_name
    own.fields = {**other.fields, **own.fields}
    for identifier in other.identifiers:
        if own.identifier(identifier.type) is None:
            own.identifiers.append(identifier)
        else:
            own.former_identifiers.append(identifier)
    known = {channel.type for channel in own.channels}
    own.channels.extend(channel for channel in other.channels if channel.type not in known)


def _key(org: str, identifier: Identifier) -> tuple[str, str, str]:
    return org, identifier.type, normalise(identifier.type, identifier.value)
