"""Clients of AWS in a process that may die between any two requests."""

from __future__ import annotations

from typing import Any


class Death(BaseException):
    """The process is killed here: nothing of it runs any more, no ``except Exception`` and no clean-up that writes."""


class Fate:
    """When the process dies. ``counting`` is the number of requests that it has begun since ``decide``."""

    def __init__(self) -> None:
        self.dead = False
        self._at: int | None = None
        self._after = False
        self.counting = 0

    def decide(self, at: int | None, *, after: bool = False) -> None:
        """Die at the ``at``-th request from now on (1: the next; 0: the next that writes at the programme): before it
        is made, or ``after`` it took effect.
        """
        self.dead = False
        self.counting = 0
        self._at, self._after = at, after

    def request(self, make: Any, *, writes: bool = False) -> Any:
        """One request of the process. ``writes``: at the programme."""
        if self.dead:
            raise Death
        self.counting += 1
        last = writes if self._at == 0 else self._at is not None and self.counting >= self._at
        if last and not self._after:
            self.dead = True
            raise Death
        answer = make()
        if last:
            self.dead = True
            raise Death
        return answer


class Mortal:
    """A client whose process may die by ``fate``; unwinding after the death reaches AWS no more."""

    def __init__(self, client: Any, fate: Fate) -> None:
        self._client = client
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if name in ("exceptions", "meta") or not callable(member):
            return member
        return lambda *args, **kwargs: self._fate.request(lambda: member(*args, **kwargs))
