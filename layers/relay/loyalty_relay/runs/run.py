"""One import or reconciliation of a connection: where it is, and what it has counted so far. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from loyalty_relay.model.commands import AdvanceRun, Envelope, Event

Kind = Literal["import", "reconciliation"]
Status = Literal["running", "done", "cancelled", "stopped"]
Phase = Literal["send", "prove", "absent"]

REASONS = 100
"""Different reasons that are counted apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one reading of the shop found. Every row that was read is in exactly one of the other numbers."""

    read: int = 0
    equal: int = 0
    """The ledger has the member, and everything was sent already."""
    different: int = 0
    """The ledger has the member, and something is left to send."""
    missing: int = 0
    """No member is known. After the proof: and no reason is recorded either."""
    pending: int = 0
    """Only in the proof: on its way."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Not sent, or sent without success, by the recorded reason."""

    def plus(self, **more: int) -> Counts:
        """Return the counts with these added."""
        return replace(self, **{name: getattr(self, name) + number for name, number in more.items()})

    def skipping(self, reason: str) -> Counts:
        """Return the counts with one row more that was skipped for a reason."""
        name = reason if reason in self.skipped or len(self.skipped) < REASONS else "other"
        return replace(self, skipped={**self.skipped, name: self.skipped.get(name, 0) + 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run. Times are epoch seconds. A run reads the shop twice: it sends what differs, then it proves the result."""

    id: str
    """UUIDv7: also the delivery id under which the journal lists the run itself."""
    connection: str
    kind: Kind
    status: Status = "running"
    phase: Phase = "send"
    started_at: float
    updated_at: float = 0.0
    since: str = ""
    """Only customers changed since then (``instant`` text); empty for all."""
    limit: int = 0
    """Rows of the shop that are read at most; 0 for all."""
    dry: bool = False
    """Whether the run only counts."""
    store: int = 0
    """Which of the connection's stores is being read."""
    cursor: str = ""
    """Of the page that is read next; empty for the first."""
    again: int = 0
    """How often the present page was read, because rows changed in that very moment."""
    rounds: int = 0
    """How often the proof began anew, because something was on its way."""
    total: int | None = None
    """Customers of the shop, where the platform reports it."""
    sent: int = 0
    """Commands queued."""
    unfinished: tuple[tuple[str, int], ...] = ()
    """Deliveries that the run has queued and that were not all carried out when it last looked: id and commands."""
    first: Counts = field(default_factory=Counts)
    """What the reading that sends has found."""
    proof: Counts = field(default_factory=Counts)
    """What the reading that proves has found."""
    pages: int = 0
    """Pages of the list of ids that the run has kept; see ``lists``."""
    known: int = 0
    """Customers of the list that the run's own was compared with."""
    unlisted: int = 0
    """Of these, those whom the platform does not list any more."""
    deleted: int = 0
    """Of those, whom the platform does not show by id, either: their deletion was queued."""
    absent: tuple[str, ...] = ()
    """Store and id of those who have not been looked up yet."""
    members: int = 0
    """Pages of the vendor's own list of members that the run has kept."""
    members_read: bool = False
    """Whether that list was read to its end; where it was not, a sample is read back."""
    read_back: int = 0
    """Customers as sent whose members were looked at at the vendor."""
    missed: int = 0
    """Of these, whom the vendor does not have, or not so: they are sent again."""
    allow_absent: bool = False
    """Whether a person has accepted that many are not listed any more."""
    reviewed: bool = False
    """Whether a schedule looked at the webhook subscriptions before the run."""
    subscriptions: str = ""
    """What a schedule's review of the webhook subscriptions found amiss, in a sentence; empty for nothing."""
    note: str = ""
    """Why the run stopped, or what it waits for."""
    generation: int = 0
    """Of the message that carries the run on."""

    @property
    def counts(self) -> Counts:
        """The counts of the present phase."""
        return self.first if self.phase == "send" else self.proof

    @property
    def lists(self) -> bool:
        """Whether the run reads everyone, so that its list of ids is compared with the one before."""
        return not (self.dry or self.since or self.limit)

    def counting(self, counts: Counts) -> Run:
        """Return the run with other counts of the present phase."""
        return replace(self, first=counts) if self.phase == "send" else replace(self, proof=counts)

    @property
    def queued(self) -> int:
        """Commands of the run that may still be under way."""
        return sum(commands for _, commands in self.unfinished)

    def message(self, now: float) -> Envelope:
        """Return the message of the run's present generation. ``now``: epoch seconds."""
        return Envelope(
            delivery_id=self.id,
            connection=self.connection,
            event=Event(source="relay", topic=self.kind, id=f"run-{self.id}", entity_id=self.connection),
            command=AdvanceRun(run=self.id, generation=self.generation),
            received_at=now,
        )

    @property
    def proven(self) -> bool:
        """Whether no customer that was read is missing without a recorded reason."""
        return self.status == "done" and not self.dry and not (self.proof.missing or self.proof.pending)

    def to_dict(self) -> dict[str, Any]:
        """Return the run for people and programs, as a report shows it."""
        return asdict(self) | {"unfinished": self.queued, "absent": len(self.absent), "proven": self.proven}

    def to_json(self) -> str:
        """Return the run as its item holds it."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Run:
        """Return the run of an item's text."""
        known = {f.name for f in fields(cls)}
        # A report may be older than this version, and after a rollback newer.
        data = {name: value for name, value in json.loads(text).items() if name in known}
        data |= {name: Counts(**data[name]) for name in ("first", "proof")}
        data["unfinished"] = tuple((delivery, commands) for delivery, commands in data.get("unfinished", ()))
        data["absent"] = tuple(data.get("absent", ()))
        return cls(**data)
