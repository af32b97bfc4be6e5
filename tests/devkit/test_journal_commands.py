"""``relay events``: a delivery is followed until it has its outcomes."""

from __future__ import annotations

from devkit.cli.following import follow
from tests.queries.makers import entry
from tests.support.stack import Stack, outside


class Patience:
    """A clock that moves when somebody sleeps; after three sleeps the journal gets its second entry."""

    def __init__(self, stack: Stack) -> None:
        self.now = 0.0
        self._stack = stack

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if round(self.now / seconds) == 3:
            self._stack.services().journal.write(entry("d", received=self._stack.clock.now, position=1))


def test_following_waits_for_every_entry_that_is_expected(stack: Stack) -> None:
    patience = Patience(stack)
    stack.services().journal.write(entry("d", received=stack.clock.now))

    found = follow(outside(stack), "d", seconds=30, expected=2, clock=patience.clock, sleep=patience.sleep)

    assert [e.position for e in found] == [0, 1]
    assert patience.now < 1


def test_following_ends_when_the_time_is_over(stack: Stack) -> None:
    patience = Patience(stack)
    stack.services().journal.write(entry("d", received=stack.clock.now))

    found = follow(outside(stack), "d", seconds=2, expected=3, clock=patience.clock, sleep=patience.sleep)

    assert [e.position for e in found] == [0, 1]
    assert 2 <= patience.now < 3
