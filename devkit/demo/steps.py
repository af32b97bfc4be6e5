"""A step of the demo: a delivery or API call, its expected outcome, and the requests it may send to a vendor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devkit.sandbox.recording import RecordedRequest

REFUSED = "refused"
"""In place of an outcome: the relay returned 401, and nothing happened."""
ANSWERED = "answered"
"""In place of an outcome: a handshake, which has no effect."""

VENDORS = ("capillary", "kangaroo", "kangaroo-integrations")
"""The sandbox's names of the vendors that are destinations; its others are platforms, which are only read."""
WRITES = ("POST", "PUT", "PATCH", "DELETE")
LONG_ID = re.compile(r"(?<=/)[0-9A-Fa-f]{24,}")
"""Ids that are too long to read."""
TOKENS = re.compile(r"/oauth/token")
"""Requests for access tokens are no part of what an event does."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that must have reached the vendor: method, path (a regular expression) and values of its body.

    ``body``: dotted path -> value; list elements by number. ``contains``: values that are somewhere in it.
    """

    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    contains: tuple[str, ...] = ()
    perhaps: bool = False
    """Whether it is made depends on what has changed."""

    def differs(self, request: RecordedRequest) -> str:
        """Return what is other than expected; empty when nothing is."""
        if not re.fullmatch(self.method, request.method) or not re.fullmatch(self.path, request.path):
            return f"expected {self.method} {self.path}, was {request.method} {request.path}"
        for path, wanted in self.body.items():
            found = value_at(request.body, path)
            if found != wanted:
                return f"{request.method} {request.path}: {path} should be {wanted!r}, was {found!r}"
        there = set(leaves(request.body))
        if missing := [text for text in self.contains if text not in there]:
            return f"{request.method} {request.path}: {', '.join(map(repr, missing))} is missing in its body"
        if request.status is None or request.status >= 400:
            return f"{request.method} {request.path} got the status {request.status}"
        return ""


def leaves(body: Any) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping | list):
        for inner in body.values() if isinstance(body, Mapping) else body:
            yield from leaves(inner)


def value_at(body: Any, path: str) -> Any:
    """Return the value at a dotted path; None where there is none."""
    for step in path.split("."):
        if isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, Sequence) and not isinstance(body, str) and step.isdigit() and int(step) < len(body):
            body = body[int(step)]
        else:
            return None
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A sample event of a platform, signed and delivered."""

    connection: str
    platform: str
    topic: str
    fixture: str
    expected: str
    """The outcome, or ``refused``, or ``answered``."""
    reason: str | None = None
    """The outcome's reason, where it matters."""
    calls: tuple[Call, ...] = ()
    """The requests that change something upstream, in their order: these and no others."""
    note: str = ""
    """What this step shows; empty for the plain case."""
    assignments: tuple[str, ...] = ()
    """Changes to the sample's body, as ``relay send --set`` takes them."""
    body: bytes | None = None
    """Sent instead of the sample's body."""
    wrong_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """A call of the HTTP API with the connection's key."""

    connection: str
    method: str
    path: str
    """Path below ``/connections/ID``; ``{loyalty_id}`` is replaced by that of the step before."""
    expected: str
    body: Mapping[str, Any] | None = None
    status: int = 200
    calls: tuple[Call, ...] = ()
    note: str = ""
    idempotency_key: str | None = None


Step = Delivery | ApiCall


def writes(requests: Sequence[RecordedRequest]) -> list[RecordedRequest]:
    """Return the requests that change something at a vendor."""
    return [r for r in requests if r.vendor in VENDORS and r.method in WRITES and not TOKENS.search(r.path)]


def upstream_problem(step: Step, requests: Sequence[RecordedRequest]) -> str:
    """Describe how the requests of a step differ from what it may send; return "" when they do not.

    A call that is ``perhaps`` may be left out, but where calls are expected, some request must have been made.
    """
    made = writes(requests)
    needed = sum(not call.perhaps for call in step.calls)
    if not max(needed, bool(step.calls)) <= len(made) <= len(step.calls):
        sent = ", ".join(f"{r.method} {r.path}" for r in made) or "none"
        return f"expected {len(step.calls)} changing request(s) upstream, made: {sent}"
    waiting = list(made)
    for call in step.calls:
        problem = call.differs(waiting[0]) if waiting else "was not made"
        if not problem:
            waiting.pop(0)
        elif not call.perhaps:
            return problem
    return f"unexpected {waiting[0].method} {waiting[0].path}" if waiting else ""


def in_short(requests: Sequence[RecordedRequest]) -> str:
    """Return the requests in one cell of a table: those that change something, else those that look something up."""
    shown = writes(requests) or [r for r in requests if not TOKENS.search(r.path)]
    return "\n".join(f"{r.method} {LONG_ID.sub('…', r.path)} {r.status or '-'}" for r in shown) or "–"
