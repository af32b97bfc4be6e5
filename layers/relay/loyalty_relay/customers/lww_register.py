"""The register of one customer: per field what was last sent and how new that was. Pure, no table, no clock.

A last-writer-wins register: per field, and per source clock, the highest version seen. Versions of different clocks are
never compared. A command without a version moves no clock, and is never stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from loyalty_relay.model.commands import Version

MAX_FIELDS = 500
"""Fields that one customer's register keeps; with names and versions of the longest kind still far below an item's
400 KB. Beyond it the tags that were not written for longest are forgotten first: a forgotten field is sent again by
the next event that carries it, even by an older one.
"""

Versions = Mapping[str, Version]


class FieldState(Enum):
    """What is to be done with one field of a command."""

    SEND = auto()
    UNCHANGED = auto()
    STALE = auto()


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one field at the vendor."""

    digest: str | None = None
    """Keyed digest of the value last sent; None when that is not known."""
    versions: Versions = field(default_factory=dict)
    """The highest version of each clock."""
    last: Version | None = None
    """The version of the last write, when it had one.

    It distinguishes a second copy of that very event from an event that another clock, or a command without version,
    has overtaken since.
    """


@dataclass(frozen=True, slots=True)
class LwwRegister:
    """Marks by field name, in the order of their last write, and ``floor``: versions below which every field is stale.

    The floor is what a tombstone leaves behind when a customer comes back: events from before the deletion stay
    stale also for fields that the reviving event did not carry.
    """

    marks: Mapping[str, Mark] = field(default_factory=dict)
    floor: Versions = field(default_factory=dict)

    def judge(self, name: str, digest: str, version: Version | None, *, uncertain: bool) -> FieldState:
        """Decide about a field. ``uncertain``: an attempt that was not committed may have sent another value."""
        mark = self.marks.get(name, _NOTHING)
        if version is not None:
            floor = self.floor.get(version.clock)
            if floor is not None and not floor.older_than(version):
                return FieldState.STALE
            seen = mark.versions.get(version.clock)
            if seen is not None and version.older_than(seen):
                return FieldState.STALE
        if mark.digest == digest and not uncertain:
            return FieldState.UNCHANGED
        if version is not None and mark.versions.get(version.clock) == version and mark.last != version:
            return FieldState.STALE
        return FieldState.SEND

    def differs(self, name: str, digest: str) -> bool:
        """Return whether another value is known to have been sent."""
        known = self.marks.get(name, _NOTHING).digest
        return known is not None and known != digest

    def advanced(self, name: str, version: Version | None) -> LwwRegister:
        """Return the register where the field, whose value is the same, has ``version`` too."""
        mark = self.marks.get(name, _NOTHING)
        return self._with(name, mark.digest, version, mark)

    def sent(self, name: str, digest: str, version: Version | None) -> LwwRegister:
        """Return the register after the field's value was sent."""
        return self._with(name, digest, version, self.marks.get(name, _NOTHING))

    def _with(self, name: str, digest: str | None, version: Version | None, mark: Mark) -> LwwRegister:
        versions = dict(mark.versions)
        if version is not None:
            versions = newest(versions, {version.clock: version})
        marks = {k: v for k, v in self.marks.items() if k != name}
        marks[name] = Mark(digest, versions, version)
        return replace(self, marks=marks)

    def forgetting(self, names: Iterable[str]) -> LwwRegister:
        """Return the register without the digests of these fields; their versions stay."""
        forgotten = frozenset(names)
        return replace(
            self,
            marks={k: replace(v, digest=None) if k in forgotten else v for k, v in self.marks.items()},
        )

    def without(self, names: Iterable[str]) -> LwwRegister:
        """Return the register without these fields: neither values nor versions."""
        gone = frozenset(names)
        return replace(self, marks={name: mark for name, mark in self.marks.items() if name not in gone})

    def raised(self, floor: Versions) -> LwwRegister:
        return replace(self, floor=newest(self.floor, floor))

    def has_passed(self, version: Version) -> bool:
        """Return whether a retirement of this version is history.

        Some field was written by a later event of its clock, or the customer came back after it already.
        """
        floor = self.floor.get(version.clock)
        if floor is not None and not floor.older_than(version):
            return True
        return any(
            version.older_than(seen) for m in self.marks.values() if (seen := m.versions.get(version.clock)) is not None
        )

    def merged(self, other: LwwRegister) -> LwwRegister:
        """Return two registers of one customer as one. Where their values differ, the order of the two is unknown."""
        marks = dict(self.marks)
        for name, theirs in other.marks.items():
            ours = marks.get(name)
            if ours is None:
                marks[name] = theirs
                continue
            same = ours.digest == theirs.digest
            marks[name] = Mark(
                ours.digest if same else None,
                newest(ours.versions, theirs.versions),
                ours.last if same and ours.last == theirs.last else None,
            )
        return LwwRegister(marks, newest(self.floor, other.floor))

    def trimmed(self) -> LwwRegister:
        """Return the register with at most MAX_FIELDS marks."""
        surplus = len(self.marks) - MAX_FIELDS
        if surplus <= 0:
            return self
        oldest = sorted(self.marks, key=lambda name: not name.startswith("tags."))
        dropped = frozenset(oldest[:surplus])
        return replace(self, marks={k: v for k, v in self.marks.items() if k not in dropped})

    def to_json(self) -> str:
        """Return compact text. Fields share the few versions there are, so each version is written once."""
        index: dict[Version, int] = {}

        def number(version: Version) -> int:
            return index.setdefault(version, len(index))

        body: dict[str, Any] = {
            "fields": {
                name: [
                    mark.digest,
                    [number(v) for v in mark.versions.values()],
                    None if mark.last is None else number(mark.last),
                ]
                for name, mark in self.marks.items()
            },
            "floor": [number(v) for v in self.floor.values()],
        }
        body["versions"] = [v.to_list() for v in index]
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> LwwRegister:
        if not text:
            return cls()
        body = json.loads(text)
        versions = [Version.from_list(parts) for parts in body["versions"]]

        def of(numbers: list[int]) -> dict[str, Version]:
            return {versions[n].clock: versions[n] for n in numbers}

        return cls(
            {
                name: Mark(digest, of(numbers), None if last is None else versions[last])
                for name, (digest, numbers, last) in body["fields"].items()
            },
            of(body["floor"]),
        )


_NOTHING = Mark()


def newest(one: Versions, other: Versions) -> dict[str, Version]:
    """Return per clock the later version of the two."""
    out = dict(one)
    for clock, version in other.items():
        if clock not in out or out[clock].older_than(version):
            out[clock] = version
    return out
