"""What a command gets when it takes a customer's lease: what is left to be sent, and what is known of before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loyalty_relay.customers.entry import Guard, Tombstone
from loyalty_relay.customers.leases import Leased
from loyalty_relay.customers.lww_register import Verdict
from loyalty_relay.model.commands import Version


@dataclass(frozen=True, slots=True)
class Asked:
    """One field as the command has it."""

    value: Any
    digest: str
    version: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The lease of one customer, and what of the command is left to be sent."""

    connection: str
    customer: str
    """Keyed hash by which the journal knows the customer."""
    key: str
    operation: str
    token: str
    """Empty when nothing was taken, because a tombstone makes the whole command stale."""
    expires_at: float
    """When the lease ends (epoch seconds): no call may start that could end later."""
    fields: Mapping[str, Any]
    """Fields that have to be sent, with their values."""
    stale: tuple[str, ...]
    """Fields dropped because something newer was sent."""
    unchanged: tuple[str, ...]
    """Fields whose very value was sent last."""
    changed: frozenset[str]
    """Fields of which another value is known to have been sent before."""
    loyalty_id: str | None
    tombstone: Tombstone | None
    """What makes the command stale; None where none does."""
    interrupted: bool
    """An earlier attempt was not committed and may have reached the vendor."""
    interrupted_credits: bool
    """An attempt of this very command may have credited already: it must not be sent again unseen."""
    credited: bool
    """The credits of this very command were committed: only its key could not be completed."""
    before: Guard = field(repr=False)
    """The item as it was found."""
    guard: Guard = field(repr=False)
    """The same, with what was learned since: the register that a commit writes on."""
    asked: Mapping[str, Asked] = field(repr=False)
    credits: bool = False
    absorbed: list[Leased] = field(default_factory=list, repr=False)
    """Items of the same member that become pointers to this one with the commit; each under the same token. One list
    for all forms of a hold, so that giving back the first one gives back what a later one took.
    """

    def judged(self, guard: Guard) -> Hold:
        """The hold as the register of ``guard`` sees the command."""
        fields: dict[str, Any] = {}
        stale, unchanged, changed = [], [], set()
        uncertain = guard.uncertain
        for name, asked in self.asked.items():
            verdict = guard.register.judge(name, asked.digest, asked.version, uncertain=name in uncertain)
            if verdict is Verdict.STALE:
                stale.append(name)
            elif verdict is Verdict.UNCHANGED:
                unchanged.append(name)
            else:
                fields[name] = asked.value
                if guard.register.differs(name, asked.digest):
                    changed.add(name)
        return replace(
            self,
            customer=guard.customer,
            guard=guard,
            fields=fields,
            stale=tuple(stale),
            unchanged=tuple(unchanged),
            changed=frozenset(changed),
            loyalty_id=guard.loyalty_id,
            interrupted=bool(uncertain),
            interrupted_credits=self.key in guard.in_doubt,
            credited=self.key in guard.credited,
        )

    def forgetting(self, prefix: str) -> Hold:
        """The same hold, to which the values last sent of fields of this prefix are not known any more."""
        register = self.guard.register
        names = [name for name in register.marks if name.startswith(prefix)]
        return replace(self, guard=replace(self.guard, register=register.forgetting(names)))

    def settled(self, loyalty_id: str | None, sent: tuple[str, ...]) -> Guard:
        """The item after a commit."""
        guard = self.guard
        register = guard.register
        if guard.loyalty_id is not None and loyalty_id is not None and loyalty_id != guard.loyalty_id:
            # What was sent before went to another member.
            register = register.forgetting(register.marks)
        register = register.forgetting(guard.uncertain)
        for name in self.unchanged:
            register = register.advanced(name, self.asked[name].version)
        for name in sent:
            if name in self.asked:
                register = register.sent(name, self.asked[name].digest, self.asked[name].version)
        after = replace(guard, register=register, loyalty_id=loyalty_id or guard.loyalty_id)
        return after.settled(self.key, credits=self.credits and not self.credited)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is held of a customer, for people: names, versions and times, no value and no digest."""

    customer: str
    hashes: tuple[str, ...]
    """All keyed hashes under which the journal may know the customer, the present one first."""
    loyalty_id: str | None
    fields: Mapping[str, tuple[Version, ...]]
    tombstone: Tombstone | None
    interrupted: bool
    leased_until: float | None
    updated_at: float
