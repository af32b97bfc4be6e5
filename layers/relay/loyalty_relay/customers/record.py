"""The record of one customer of one connection, as an item of the state table holds it. Pure.

Four kinds of key lead to a customer: the source's id, the loyalty id, e-mail and mobile (and, for commands that have
nothing else, any other identifier). One of them holds the record, the others hold pointers to it. All of them are keyed
digests, because a till's customer id may be a phone number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loyalty_relay.customers.lww_register import MAX_FIELDS, LwwRegister, Versions, newest
from loyalty_relay.customers.tombstones import Tombstone
from loyalty_relay.model.commands import CustomerRef, Version
from loyalty_relay.model.errors import FieldProblem, InvalidCommand
from loyalty_relay.storage import keys
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.lease import Lease
from loyalty_relay.storage.table import Item

KEPT_KEYS = 50
"""Keys of commands with credits that a customer's item keeps."""
ALIASES_PER_FIELD = 10
PROFILES = 20
"""Profiles of a member whose registers a customer's item keeps. An item holds as many fields in all as one register."""

# Fields whose values lead to the customer, and the kind of identifier that they are.
ALIAS_FIELDS = {"email": "email", "phone": "mobile", "channels.email": "email", "channels.mobile": "mobile"}


def key(digests: Digests, connection: str, kind: str, value: str) -> str:
    """Return the key that leads to a customer. ``kind``: source_id, loyalty_id or a type of identifier."""
    if kind in ("mobile", "phone"):
        # Sources write phones as E.164, vendors without the plus.
        kind, value = "mobile", re.sub(r"\D", "", value) or value
    return keys.customer(connection, kind, digests.identity(connection, kind, value))


def key_of(digests: Digests, connection: str, customer: CustomerRef) -> str:
    """Return the key that a command about this customer starts from. Raises InvalidCommand when there is none."""
    if customer.source_id:
        return key(digests, connection, "source_id", customer.source_id)
    if customer.loyalty_id:
        return key(digests, connection, "loyalty_id", customer.loyalty_id)
    for kind in ("email", "mobile"):
        if value := customer.identifier(kind):
            return key(digests, connection, kind, value)
    for identifier in customer.identifiers:
        if identifier.value:
            return key(digests, connection, identifier.type, identifier.value)
    raise InvalidCommand(
        "the command names no customer", problems=[FieldProblem("identifiers", "at least one identifier is needed")]
    )


def aliases_of(digests: Digests, connection: str, name: str, value: Any) -> tuple[str, ...]:
    """Return the keys that lead to the customer by a value of a field."""
    kind = ALIAS_FIELDS.get(name)
    values = value if isinstance(value, list | tuple) else [value]
    if kind is None:
        return ()
    texts = (v.get("value") if isinstance(v, Mapping) else v for v in values)
    found = dict.fromkeys(key(digests, connection, kind, t) for t in texts if isinstance(t, str) and t.strip())
    return tuple(found)[:ALIASES_PER_FIELD]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an execution was about to send. Until it is committed or withdrawn, it is unknown whether it was sent."""

    token: str = ""
    key: str = ""
    operation: str = ""
    fields: tuple[str, ...] = ()
    credits: bool = False

    def to_json(self) -> str:
        """Return the intent as an item's attribute."""
        members = [self.token, self.key, self.operation, list(self.fields), self.credits]
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Intent:
        """Return the intent of an item's attribute."""
        token, key, operation, names, credited = json.loads(text)
        return cls(token=token, key=key, operation=operation, fields=tuple(names), credits=credited)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRecord:
    """The item of one customer, or a pointer to it (``to``)."""

    pk: str
    to: str | None = None
    exists: bool = True
    """False when taking the lease created the item."""
    lease: Lease | None = field(default=None, repr=False)
    """This execution's lease on the item; None when the item was only read."""
    lease_until: float = 0.0
    """When the lease of any execution ends, as it was read."""
    loyalty_id: str | None = None
    register: LwwRegister = field(default_factory=LwwRegister)
    profile: str = ""
    """The member's profile that ``register`` is about. Empty where the vendor keeps one per member, and in items from
    before profiles were recorded.
    """
    profiles: Mapping[str, LwwRegister] = field(default_factory=dict)
    """Registers of the member's other profiles, the one written last at the end."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field name -> keys of the pointers that its values made."""
    intents: tuple[Intent, ...] = ()
    """Uncommitted, of earlier attempts."""
    credited: tuple[str, ...] = ()
    """Keys of commands whose credits were committed."""
    unsure: tuple[str, ...] = ()
    """Keys of commands whose credits may have been sent."""
    tombstone: Tombstone | None = None
    tombstone_text: str | None = None
    """The tombstone exactly as the item holds it, for conditions of writes."""
    others: tuple[str, ...] = ()
    """Keys of items that were merged into this one and point here."""
    was: tuple[str, ...] = ()
    """Keyed hashes under which the journal lists those."""
    store: str | None = None

    @property
    def customer(self) -> str:
        """The keyed hash under which the journal lists the customer."""
        return keys.customer_hash(self.pk)

    @property
    def hashes(self) -> tuple[str, ...]:
        """All keyed hashes under which the journal may list the customer, the present one first."""
        return tuple(dict.fromkeys((self.customer, *self.was)))

    @property
    def siblings(self) -> tuple[str, ...]:
        """Keys of other customers of the source who are the same member of the programme."""
        return tuple(pk for pk in self.others if keys.customer_kind(pk) == "source_id")

    @property
    def uncertain(self) -> frozenset[str]:
        """Fields that an uncommitted attempt may have sent."""
        return frozenset(name for intent in self.intents for name in intent.fields)

    @property
    def in_doubt(self) -> tuple[str, ...]:
        """Keys of commands whose credits may have been sent, by committed and by uncommitted attempts."""
        return (*self.unsure, *(i.key for i in self.intents if i.credits))

    @property
    def credit_ledger(self) -> str:
        """The attribute with the keys of commands whose credits were sent or may have been; empty for none."""
        return _credits(self.credited, _kept(self.in_doubt))

    def without_intent(self, token: str) -> CustomerRecord:
        """Return the record without this execution's own intent."""
        return replace(self, intents=tuple(i for i in self.intents if i.token != token))

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields of which something is known, in any profile."""
        return frozenset(name for register in (self.register, *self.profiles.values()) for name in register.marks)

    def has_profile(self, name: str) -> bool:
        """Return whether something is recorded of this profile of the member."""
        return name == self.profile or name in self.profiles

    def in_profile(self, name: str) -> CustomerRecord:
        """Return the record with the register of this profile; nothing is known of one that is not recorded.

        Values from before profiles were recorded may have been sent to any of them: they are unknown in each,
        and their versions hold, so that nothing older is sent.
        """
        if name == self.profile:
            return self
        others = dict(self.profiles)
        register = others.pop(name, None)
        if self.profile:
            others[self.profile] = self.register
        elif register is None:
            register = self.register.forgetting(self.register.marks)
        return replace(self, profile=name, profiles=others, register=register or LwwRegister(floor=self.register.floor))

    def of_all_profiles(self, change: Callable[[LwwRegister], LwwRegister]) -> CustomerRecord:
        """Return the record with every profile's register changed."""
        changed = {name: change(register) for name, register in self.profiles.items()}
        return replace(self, register=change(self.register), profiles=changed)

    def raised(self, floor: Versions) -> CustomerRecord:
        """Return the record of which everything below these versions is stale."""
        return self.of_all_profiles(lambda register: register.raised(floor))

    def has_passed(self, version: Version) -> bool:
        """Return whether a retirement of this version is history."""
        return any(register.has_passed(version) for register in (self.register, *self.profiles.values()))

    def forgetting(self, *names: str) -> CustomerRecord:
        """Return the record with the values of these fields of the profile unknown; without names, of all fields."""
        if names:
            return replace(self, register=self.register.forgetting(names))
        return self.of_all_profiles(lambda register: register.forgetting(register.marks))

    def absorbing(self, other: CustomerRecord) -> CustomerRecord:
        """Return the record of this customer and of another who turned out to be the same member."""
        other = other.in_profile(self.profile)
        aliases = dict(self.aliases)
        for name, pks in other.aliases.items():
            aliases[name] = tuple(dict.fromkeys((*aliases.get(name, ()), *pks)))
        profiles = dict(self.profiles)
        for name, register in other.profiles.items():
            profiles[name] = profiles.get(name, LwwRegister()).merged(register)
        joined = replace(self, register=self.register.merged(other.register), profiles=profiles)
        floor = other.register.floor if other.tombstone is None else newest(other.register.floor, other.tombstone.floor)
        return replace(
            joined.raised(newest(self.register.floor, floor)),
            loyalty_id=self.loyalty_id or other.loyalty_id,
            aliases=aliases,
            intents=(*self.intents, *other.intents),
            credited=_kept((*other.credited, *self.credited)),
            unsure=_kept((*other.unsure, *self.unsure)),
            others=tuple(dict.fromkeys((*self.others, other.pk, *other.others)))[-KEPT_KEYS:],
            was=_kept((*other.was, other.customer, *self.was)),
        )

    def with_credits_of(self, other: CustomerRecord) -> CustomerRecord:
        """Return the record with the credits of another customer: those sent, and those in doubt."""
        return replace(
            self,
            credited=_kept((*other.credited, *self.credited)),
            unsure=_kept((*self.unsure, *other.in_doubt)),
        )

    def settled(self, key: str, *, credits: bool) -> CustomerRecord:
        """Return the record after a commit of the command ``key``; credits of earlier attempts stay in doubt."""
        return replace(
            self,
            intents=(),
            credited=_kept((*self.credited, key) if credits else self.credited),
            unsure=_kept(k for k in self.in_doubt if k != key or not credits),
        )

    def attributes(self) -> Item:
        """Return what a commit writes; empty members are left out."""
        register = self.register.trimmed()
        values: Item = {
            "loyalty_id": self.loyalty_id,
            "register": register.to_json(),
            "profile": self.profile,
            "profiles": _json(_fitting(self.profiles, MAX_FIELDS - len(register.marks))),
            "aliases": _json({k: list(v) for k, v in self.aliases.items() if v}),
            "credits": _credits(self.credited, self.unsure),
            "others": list(self.others),
            "was": list(self.was),
            "intents": [i.to_json() for i in self.intents],
            "tombstone": self.tombstone.to_json() if self.tombstone else None,
        }
        return {name: value for name, value in values.items() if value not in (None, "", [])}

    @classmethod
    def from_item(cls, item: Item) -> CustomerRecord:
        """Return the record of an item."""
        ledger = json.loads(item.get("credits") or "{}")
        text = item.get("tombstone")
        return cls(
            pk=item["pk"],
            to=item.get("to"),
            lease_until=float(item.get("lease_until", 0.0)),
            loyalty_id=item.get("loyalty_id"),
            register=LwwRegister.from_json(item.get("register")),
            profile=item.get("profile", ""),
            profiles={n: LwwRegister.from_json(t) for n, t in json.loads(item.get("profiles") or "{}").items()},
            aliases={k: tuple(v) for k, v in json.loads(item.get("aliases") or "{}").items()},
            intents=tuple(Intent.from_json(t) for t in item.get("intents", ())),
            credited=tuple(ledger.get("done", ())),
            unsure=tuple(ledger.get("unsure", ())),
            tombstone=Tombstone.from_json(text) if text else None,
            tombstone_text=text,
            others=tuple(item.get("others", ())),
            was=tuple(item.get("was", ())),
            store=item.get("store"),
        )


MEMBERS = (
    "loyalty_id",
    "register",
    "profile",
    "profiles",
    "aliases",
    "credits",
    "others",
    "was",
    "intents",
    "tombstone",
)
"""The attributes that ``CustomerRecord.attributes`` may leave out and a commit then removes."""


def _fitting(profiles: Mapping[str, LwwRegister], room: int) -> dict[str, str]:
    """Return the registers written last, as long as there is room for their fields. A forgotten one is sent whole."""
    kept: dict[str, str] = {}
    for name, register in list(profiles.items())[: -PROFILES - 1 : -1]:
        room -= len(register.marks)
        if room < 0:
            break
        kept[name] = register.to_json()
    return dict(reversed(kept.items()))


def _credits(credited: tuple[str, ...], unsure: tuple[str, ...]) -> str:
    return _json({k: list(v) for k, v in (("done", credited), ("unsure", unsure)) if v})


def _kept(commands: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(commands))[-KEPT_KEYS:]


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":")) if body else ""
