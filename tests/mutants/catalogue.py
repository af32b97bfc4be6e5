"""The list of mutants: small changes of the code, each of which breaks a promise that the tests named for it hold.

The lists are the TOML files next to this module. A mutant has an ``id`` that states what it breaks, the ``promise`` of
docs/reliability.md, the ``file``, an ``old`` text that occurs in it exactly once, the ``new`` text, and ``tests``:
``path::name`` of tests that fail with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one file."""

    id: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return the file's text with the change. Raises ValueError when it cannot be made in exactly one way."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.id}: the old text occurs {count} times in {self.file}")
        if self.new == self.old:
            raise ValueError(f"{self.id}: changes nothing")
        return text.replace(self.old, self.new)


def mutants() -> Iterator[Mutant]:
    """Yield all mutants, in the order of files and lines; an id begins with the name of its file."""
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            fields = entry | {"id": f"{path.stem}: {entry['id']}", "tests": tuple(entry["tests"])}
            yield Mutant(**fields)
