"""What is parked: grouped, listed, and one of it with its outline or, on request, its body.

Nothing here is read from DynamoDB, except who requested bodies before. A view receives from the dead-letter queues, at
most ``READ_AT_MOST`` messages of each, and gives everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from devkit.queries.audit import Disclosure, disclose, disclosures
from devkit.queries.hints import HINTS, hint, meaning
from devkit.queries.outlines import outline
from devkit.queries.parked_queues import Parked, ParkedFilters, ParkedQueues
from devkit.stacks.connection_store import known_connection, store_of
from devkit.stacks.errors import CommandError, NotFound
from devkit.stacks.stack import Stack
from loyalty_relay.model.json_validation import did_you_mean

READ_AT_MOST = 1000
"""Messages of one queue that a view reads."""
SHOWN = 200
"""Pieces of parked work that a list shows."""
RUNBOOK = "parked"
"""Of docs/runbooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedGroup:
    """Parked work of one connection with one reason. ``oldest``: when the first of it was parked, epoch seconds."""

    connection: str
    reason: str
    count: int
    oldest: float | None
    means: str
    do: str

    def as_json(self) -> dict[str, Any]:
        return {
            "connection": self.connection,
            "reason": self.reason,
            "count": self.count,
            "oldest": self.oldest,
            "means": self.means,
            "do": self.do,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedWork:
    """What is parked and matches, oldest first: all of it in ``groups``, the first of it in ``parked``.

    ``more``: the queues hold more than was read, so that every count is a lower bound. ``hidden``: where nothing could
    be read, about how many messages another reading has, which gives them back in five minutes at most.
    """

    filters: ParkedFilters
    count: int
    more: bool
    hidden: int
    groups: tuple[ParkedGroup, ...]
    parked: tuple[Parked, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "connection": self.filters.connection,
            "reason": self.filters.reason,
            "count": self.count,
            "more": self.more,
            "hidden": self.hidden,
            "groups": [group.as_json() for group in self.groups],
            "parked": [parked.as_json() for parked in self.parked],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedDetail:
    """One piece of parked work. ``body`` is whole only where it was requested; ``outline`` holds no value of it."""

    parked: Parked
    means: str
    do: str
    outline: Any
    body: str | None
    disclosures: tuple[Disclosure, ...]
    """Who requested bodies of it before, newest first."""

    def as_json(self) -> dict[str, Any]:
        return {
            **self.parked.as_json(body=self.body is not None),
            "means": self.means,
            "do": self.do,
            "runbook": RUNBOOK,
            "outline": self.outline,
            "disclosures": [disclosure.as_json() for disclosure in self.disclosures],
        }


def parked_work(
    stack: Stack,
    filters: ParkedFilters,
    *,
    shown: int | None = SHOWN,
    at_most: int | None = READ_AT_MOST,
    seen: Callable[[int], None] = lambda count: None,
) -> ParkedWork:
    """Return what is parked and matches. Raises CommandError for a filter that can match nothing.

    ``seen`` gets the number of messages of each batch that was read.
    """
    queues = ParkedQueues.of(stack)
    reading = queues.look(seen, at_most=at_most)
    found = [p for p in reading.parked if filters.match(p)]
    if not found:
        _require_known(stack, filters, reading.parked)
    return ParkedWork(
        filters=filters,
        count=len(found),
        more=reading.more,
        hidden=0 if reading.parked else queues.depth(),
        groups=_groups(found),
        parked=tuple(found[:shown]),
    )


def _groups(found: Iterable[Parked]) -> tuple[ParkedGroup, ...]:
    """Return the groups, the largest first."""
    members: dict[tuple[str, str], list[Parked]] = {}
    for parked in found:
        members.setdefault((parked.connection, parked.reason), []).append(parked)
    groups = [
        ParkedGroup(
            connection=connection,
            reason=reason,
            count=len(group),
            oldest=group[0].parked_at,
            means=meaning(reason, "parked"),
            do=hint(reason, "parked"),
        )
        for (connection, reason), group in members.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.count, group.connection, group.reason)))


def _require_known(stack: Stack, filters: ParkedFilters, everything: list[Parked]) -> None:
    connection, reason = filters.connection, filters.reason
    if connection is not None and all(p.connection != connection for p in everything):
        known_connection(store_of(stack), connection)
    if reason is not None and reason not in {*HINTS, *(p.reason for p in everything)}:
        raise CommandError(
            f"unknown reason {reason}{did_you_mean(reason, HINTS)}", where="reason", do="see docs/cli.md"
        )


def parked_details(stack: Stack, id: str, *, operation: str | None = None, body: bool = False) -> list[ParkedDetail]:
    """Return the parked work of an id, or of a delivery id. Raises CommandError where there is none.

    ``body``: also what it carries, which is personal data; the request is recorded before it is returned.
    """
    filters = ParkedFilters(one=id)
    reading = ParkedQueues.of(stack).look()
    found = [p for p in reading.parked if filters.match(p) and operation in (None, p.operation)]
    if not found:
        raise NotFound(f"nothing parked has the id {id}", do="see relay parked list")
    if body:
        for p in found:
            disclose(stack, p.connection, "body", p.id)
    before = {c: disclosures(stack, c) for c in sorted({p.connection for p in found})}
    return [
        ParkedDetail(
            parked=p,
            means=meaning(p.reason, "parked"),
            do=hint(p.reason, "parked"),
            outline=outline(p.body()),
            body=p.body() if body else None,
            disclosures=tuple(d for d in before[p.connection] if d.what == "body" and d.subject == p.id),
        )
        for p in found
    ]


def export_parked(
    stack: Stack, filters: ParkedFilters, *, seen: Callable[[int], None] = lambda count: None
) -> list[dict[str, Any]]:
    """Return everything that matches with its body, which is personal data; the request is recorded before."""
    found = [p for p in ParkedQueues.of(stack).look(seen).parked if filters.match(p)]
    counts: dict[str, int] = {}
    for p in found:
        counts[p.connection] = counts.get(p.connection, 0) + 1
    for connection, count in counts.items():
        disclose(stack, connection, "export", f"{count} parked")
    return [p.as_json(body=True) for p in found]
