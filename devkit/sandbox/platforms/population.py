"""Customers by the thousand for listings: made when they are looked at, the same for the same number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, overload

from devkit.sandbox.vendor import JSON, SettingError

T = TypeVar("T")

FIRST = 5_000_001
"""Number of the first one."""
MOST = 1_000_000
_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_NAMES = ("Ana", "Ben", "Cleo", "Dara", "Eli", "Fay", "Gus", "Hana", "Ivo", "Joy")


@dataclass(frozen=True, slots=True)
class Person:
    """A customer who is not written down. ``saved``: when they were last changed, where that was set."""

    number: int
    saved: datetime | None = None

    @property
    def email(self) -> str:
        return f"customer{self.number}@example.com"

    @property
    def first_name(self) -> str:
        return _NAMES[(self.number + (self.saved is not None)) % len(_NAMES)]

    @property
    def last_name(self) -> str:
        return f"Sample{self.number}"

    @property
    def phone(self) -> str:
        return f"+1415555{self.number % 10_000:04d}"

    @property
    def created(self) -> datetime:
        """Each a minute after the one before, and long ago."""
        return _BEGIN + timedelta(minutes=(self.number - FIRST) % 500_000)

    @property
    def changed(self) -> datetime:
        """When they were last changed."""
        return self.saved or self.created


class Population(Sequence[T]):
    """Entities that are written down, then ``count`` people that are not, except ``removed`` numbers.

    ``saved``: number -> epoch seconds of the last change, of those that were changed.
    """

    def __init__(
        self,
        written: Sequence[T],
        count: int,
        removed: Sequence[int],
        made: Callable[[Person], T],
        saved: Mapping[str, float] | None = None,
    ) -> None:
        self._written = written
        self._saved = {int(number): datetime.fromtimestamp(at, UTC) for number, at in (saved or {}).items()}
        self._numbers: Sequence[int] = range(FIRST, FIRST + count)
        if removed:
            missing = frozenset(removed)
            self._numbers = [number for number in self._numbers if number not in missing]
        self._made = made

    def __len__(self) -> int:
        return len(self._written) + len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if index < 0 or index >= len(self):
            raise IndexError(index)
        if index < len(self._written):
            return self._written[index]
        return self._of(self._numbers[index - len(self._written)])

    def _of(self, number: int) -> T:
        return self._made(Person(number, self._saved.get(number)))

    def saved(self) -> list[Person]:
        """Return those that were changed, the one who was changed first at the beginning."""
        people = [Person(number, at) for number, at in self._saved.items() if number in self._numbers]
        return sorted(people, key=lambda person: (person.changed, person.number))

    def beyond(self, number: int) -> Iterator[T]:
        """Yield those that are not written down and have a higher number."""
        for place in range(bisect_right(self._numbers, number), len(self._numbers)):
            yield self._of(self._numbers[place])


def check(changes: dict[str, JSON]) -> None:
    """Check the settings ``customers``, ``customers_removed`` and ``customers_saved``. Raises SettingError."""
    count = changes.get("customers", 0)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST:
        raise SettingError("customers", f"must be a number from 0 to {MOST}")
    removed = changes.get("customers_removed", [])
    if not isinstance(removed, list) or not all(isinstance(number, int) for number in removed):
        raise SettingError("customers_removed", "must be a list of numbers")
    saved = changes.get("customers_saved", {})
    if not isinstance(saved, dict) or not all(
        number.isdecimal() and isinstance(at, int | float) for number, at in saved.items()
    ):
        raise SettingError("customers_saved", "must have the epoch seconds of the last change by number")
