"""Tombstones: what remains of a deleted, erased or merged customer, so that older events stay without effect. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from loyalty_relay.customers.lww_register import Versions, newest
from loyalty_relay.model.commands import Version, instant_at

Reason = Literal["deleted", "erased", "merged"]

# Erased outranks merged outranks deleted: in whatever order they arrive, the same tombstone remains.
_RANK: Mapping[str, int] = {"deleted": 0, "merged": 1, "erased": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """The mark of a retired customer.

    It never expires, because it must outlive all queued and parked work, and it holds nothing personal: the reason, the
    versions of the retirement, and the key of the survivor of a merge.
    """

    reason: Reason
    floor: Versions = field(default_factory=dict)
    """The version of the retirement, per clock."""
    survivor: str | None = None

    @classmethod
    def at(cls, reason: Reason, version: Version | None, now: float, survivor: str | None = None) -> Tombstone:
        """Return the tombstone of a retirement; one without a version is dated by when it is carried out."""
        if version is None:
            moment = instant_at(now)
            version = Version("retired", moment, moment)
        return cls(reason=reason, floor={version.clock: version}, survivor=survivor)

    def yields_to(self, version: Version | None) -> bool:
        """Return whether a command of this version is later than the retirement.

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
        """Return the tombstone of two retirements of one customer, in either order."""
        if other is None:
            return self
        ranked = max((self, other), key=lambda t: _RANK[t.reason])
        return replace(ranked, floor=newest(self.floor, other.floor))

    def to_json(self) -> str:
        """Return the tombstone as an item's attribute."""
        body = {"reason": self.reason, "floor": [v.to_list() for v in self.floor.values()], "survivor": self.survivor}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Tombstone:
        """Return the tombstone of an item's attribute."""
        body = json.loads(text)
        floor = [Version.from_list(v) for v in body["floor"]]
        return cls(reason=body["reason"], floor={v.clock: v for v in floor}, survivor=body["survivor"])
