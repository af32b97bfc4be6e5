"""The item that guards one customer of one connection: what it holds, and under which keys it is found.

Four kinds of key lead to it: the source's id, the loyalty id, e-mail and mobile (and, for commands that name nothing
else, any other identifier). One of them holds the customer's item, the others hold pointers to it. Keys are keyed
digests throughout, because a till's customer id may well be a phone number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from loyalty_relay.customers.lww_register import Register, Versions, newest
from loyalty_relay.model.commands import CustomerRef, Version, instant_at
from loyalty_relay.model.errors import FieldProblem, InvalidCommand
from loyalty_relay.storage import keys
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.table import Item

Reason = Literal["deleted", "erased", "merged"]

KEPT_KEYS = 50
"""Keys of commands with credits that a customer's item remembers."""
ALIASES_PER_FIELD = 10

# Fields whose values lead to the customer, and the kind of identifier that they are.
ALIAS_FIELDS = {"email": "email", "phone": "mobile", "channels.email": "email", "channels.mobile": "mobile"}

# Erased outranks merged outranks deleted: whatever order they come in, the same tombstone is left.
_RANK: Mapping[str, int] = {"deleted": 0, "merged": 1, "erased": 2}


def key(digests: Digests, connection: str, kind: str, value: str) -> str:
    """The key under which a customer is found. ``kind``: source_id, loyalty_id or a type of identifier."""
    if kind in ("mobile", "phone"):
        # Sources write phones as E.164, vendors without the plus.
        kind, value = "mobile", re.sub(r"\D", "", value) or value
    return keys.customer(connection, kind, digests.identity(connection, kind, value))


def hash_of(pk: str) -> str:
    """The keyed hash by which the journal knows the customer of this key."""
    return keys.customer_hash(pk)


def kind_of(pk: str) -> str:
    return keys.customer_kind(pk)


def key_of(digests: Digests, connection: str, customer: CustomerRef) -> str:
    """The key that a command about this customer starts from. Raises InvalidCommand when it names nobody."""
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
    """The keys that a value of a field leads to the customer by."""
    kind = ALIAS_FIELDS.get(name)
    values = value if isinstance(value, list | tuple) else [value]
    if kind is None:
        return ()
    texts = (v.get("value") if isinstance(v, Mapping) else v for v in values)
    found = dict.fromkeys(key(digests, connection, kind, t) for t in texts if isinstance(t, str) and t.strip())
    return tuple(found)[:ALIASES_PER_FIELD]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an execution was about to send. As long as it stands, nobody knows whether it was sent."""

    token: str
    key: str
    operation: str
    fields: tuple[str, ...]
    credits: bool

    def to_json(self) -> str:
        members = [self.token, self.key, self.operation, list(self.fields), self.credits]
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Intent:
        token, key, operation, names, credited = json.loads(text)
        return cls(token=token, key=key, operation=operation, fields=tuple(names), credits=credited)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Stands where a customer was. It has no end: it must outlive whatever queues and parked work still hold, and it
    holds nothing personal: why, as of which versions, and the key of the customer who lives on.
    """

    reason: Reason
    floor: Versions = field(default_factory=dict)
    """The version of the retirement, per clock."""
    survivor: str | None = None

    def yields_to(self, version: Version | None) -> bool:
        """True when a command of this version is later than the retirement.

        A version of the same clock is later when it is strictly newer. Otherwise an erased customer stays erased. A
        deleted or merged one yields to a command without version, which is meant now, and to a version of another
        clock when the source dates its event after the retirement's.
        """
        if version is not None and version.clock in self.floor:
            return self.floor[version.clock].older_than(version)
        if self.reason == "erased":
            return False
        if version is None:
            return True
        times = [v.time for v in self.floor.values() if v.time]
        return bool(version.time and times) and version.time > max(times)

    def joined(self, other: Tombstone | None) -> Tombstone:
        """Two retirements of one customer, in either order."""
        if other is None:
            return self
        ranked = max((self, other), key=lambda t: _RANK[t.reason])
        return replace(ranked, floor=newest(self.floor, other.floor))

    def to_json(self) -> str:
        body = {"reason": self.reason, "floor": [v.to_list() for v in self.floor.values()], "survivor": self.survivor}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Tombstone:
        body = json.loads(text)
        floor = [Version.from_list(v) for v in body["floor"]]
        return cls(reason=body["reason"], floor={v.clock: v for v in floor}, survivor=body["survivor"])


def retired_at(version: Version | None, now: float) -> dict[str, Version]:
    """The floor of a retirement; one without a version is dated by when we carry it out."""
    if version is None:
        moment = instant_at(now)
        version = Version("retired", moment, moment)
    return {version.clock: version}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The item of one customer, or a pointer to it (``to``)."""

    pk: str
    to: str | None = None
    exists: bool = True
    """False when taking the lease made the item."""
    loyalty_id: str | None = None
    register: Register = field(default_factory=Register)
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
    others: tuple[str, ...] = ()
    """Keys of items that were merged into this one and point here."""
    was: tuple[str, ...] = ()
    """Keyed hashes under which the journal knew those."""
    store: str | None = None
    lease_token: str | None = None
    lease_until: float = 0.0
    updated_at: float = 0.0

    @property
    def customer(self) -> str:
        return hash_of(self.pk)

    @property
    def siblings(self) -> tuple[str, ...]:
        """Other customers of the source who are the same member of the programme."""
        return tuple(pk for pk in self.others if kind_of(pk) == "source_id")

    @property
    def uncertain(self) -> frozenset[str]:
        return frozenset(name for intent in self.intents for name in intent.fields)

    @property
    def in_doubt(self) -> tuple[str, ...]:
        """Keys of commands whose credits may have been sent, by what was committed and by attempts that were not."""
        return (*self.unsure, *(i.key for i in self.intents if i.credits))

    @property
    def ledger(self) -> str:
        """The keys of commands whose credits were sent, or may have been, as the item holds them; empty for none."""
        return ledger_of(self.credited, _kept(self.in_doubt))

    def without_intent(self, token: str) -> Guard:
        return replace(self, intents=tuple(i for i in self.intents if i.token != token))

    def absorbing(self, other: Guard) -> Guard:
        """This customer and another that turned out to be the same member."""
        aliases = dict(self.aliases)
        for name, pks in other.aliases.items():
            aliases[name] = tuple(dict.fromkeys((*aliases.get(name, ()), *pks)))
        register = self.register.merged(other.register)
        if other.tombstone is not None:
            register = register.raised(other.tombstone.floor)
        return replace(
            self,
            loyalty_id=self.loyalty_id or other.loyalty_id,
            register=register,
            aliases=aliases,
            intents=(*self.intents, *other.intents),
            credited=_kept((*other.credited, *self.credited)),
            unsure=_kept((*other.unsure, *self.unsure)),
            others=tuple(dict.fromkeys((*self.others, other.pk, *other.others)))[-KEPT_KEYS:],
            was=_kept((*other.was, other.customer, *self.was)),
        )

    def knowing(self, other: Guard) -> Guard:
        """This customer, with what is known of points that were sent to another."""
        return replace(
            self,
            credited=_kept((*other.credited, *self.credited)),
            unsure=_kept((*self.unsure, *other.in_doubt)),
        )

    def settled(self, key: str, *, credits: bool) -> Guard:
        """After a commit of the command ``key``: no attempt is under way. What earlier ones sent stays unknown."""
        return replace(
            self,
            intents=(),
            credited=_kept((*self.credited, key) if credits else self.credited),
            unsure=_kept(k for k in self.in_doubt if k != key or not credits),
        )

    def attributes(self) -> Item:
        """What a commit writes; members that are empty are left out."""
        values: Item = {
            "loyalty_id": self.loyalty_id,
            "register": self.register.trimmed().to_json(),
            "aliases": _json({k: list(v) for k, v in self.aliases.items() if v}),
            "credits": ledger_of(self.credited, self.unsure),
            "others": list(self.others),
            "was": list(self.was),
            "intents": [i.to_json() for i in self.intents],
            "tombstone": self.tombstone.to_json() if self.tombstone else None,
        }
        return {name: value for name, value in values.items() if value not in (None, "", [])}

    @classmethod
    def from_item(cls, item: Item) -> Guard:
        ledger = json.loads(item.get("credits") or "{}")
        text = item.get("tombstone")
        return cls(
            pk=item["pk"],
            to=item.get("to"),
            loyalty_id=item.get("loyalty_id"),
            register=Register.from_json(item.get("register")),
            aliases={k: tuple(v) for k, v in json.loads(item.get("aliases") or "{}").items()},
            intents=tuple(Intent.from_json(t) for t in item.get("intents", ())),
            credited=tuple(ledger.get("done", ())),
            unsure=tuple(ledger.get("unsure", ())),
            tombstone=Tombstone.from_json(text) if text else None,
            tombstone_text=text,
            others=tuple(item.get("others", ())),
            was=tuple(item.get("was", ())),
            store=item.get("store"),
            lease_token=item.get("lease_token"),
            lease_until=float(item.get("lease_until", 0.0)),
            updated_at=float(item.get("updated_at", 0.0)),
        )


MEMBERS = ("loyalty_id", "register", "aliases", "credits", "others", "was", "intents", "tombstone")
"""The attributes that ``Guard.attributes`` may leave out and a commit then removes."""


def ledger_of(credited: tuple[str, ...], unsure: tuple[str, ...]) -> str:
    """Keys of commands whose credits are known to have been sent, and of those that may have been, as JSON."""
    return _json({k: list(v) for k, v in (("done", credited), ("unsure", unsure)) if v})


def _kept(commands: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(commands))[-KEPT_KEYS:]


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":")) if body else ""
