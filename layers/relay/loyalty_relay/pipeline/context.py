"""What one execution of one command is about, and how its outcome is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import RelayError, StoreUnavailable
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.reliability.journal import Journal, JournalEntry

if TYPE_CHECKING:
    from loyalty_relay.customers.ledger import CustomerLedger

API = "api"
"""The source of events that came through the HTTP API rather than a platform's webhook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Makes the journal's entries of envelopes and writes them."""

    journal: Journal
    clock: Callable[[], float]
    customers: Callable[[], CustomerLedger]

    def entry(
        self, envelope: Envelope, outcome: Outcome, *, customer: str = "", code: str | None = None
    ) -> JournalEntry:
        """Return the entry of an envelope's outcome. ``customer``: the keyed hash, if it is known already."""
        return JournalEntry(
            delivery_id=envelope.delivery_id,
            position=envelope.position,
            connection=envelope.connection,
            source=envelope.event.source,
            topic=envelope.event.topic,
            event_id=envelope.event.id,
            operation=envelope.command.operation,
            result=outcome.result,
            reason=outcome.reason,
            customer=customer or self._named_customer(envelope),
            loyalty_id=outcome.loyalty_id,
            codes=tuple(notice.code for notice in outcome.notices),
            fields=outcome.fields,
            request_id=outcome.request_id,
            received_at=envelope.received_at,
            occurred_at=envelope.event.time,
            finished_at=self.clock(),
            redrives=envelope.redrives,
            code=code,
            details={name: str(value) for name, value in outcome.ids.items()},
        )

    def failed(self, envelope: Envelope, error: RelayError, result: Result) -> tuple[Outcome, JournalEntry]:
        """Return a failure as an outcome and as the journal's entry."""
        outcome = Outcome(result=result, reason=error.reason, request_id=error.request_id)
        return outcome, self.entry(envelope, outcome, code=error.code)

    def _named_customer(self, envelope: Envelope) -> str:
        """Return the keyed hash of the customer that a command names, for executions that never took the ledger."""
        customer = getattr(envelope.command, "customer", None)
        try:
            return self.customers().known_as(envelope.connection, customer) if customer is not None else ""
        except StoreUnavailable:
            # The key of the digests cannot be read. The entry matters more than that it is found by customer.
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One execution of one command: its envelope, its connection and the time that is left."""

    envelope: Envelope
    connection: Connection
    deadline: Deadline
    recorder: Recorder
    receives: int = 1
    """How often the queue has delivered the command, this time included."""

    @property
    def from_api(self) -> bool:
        """Whether a caller waits for the answer: then every problem is an error; a webhook's surplus is left out."""
        return self.envelope.event.source == API

    @property
    def now(self) -> float:
        """The present, in epoch seconds."""
        return self.recorder.clock()

    def entry(self, outcome: Outcome, *, customer: str = "") -> JournalEntry:
        """Return the journal's entry of this execution."""
        return replace(self.recorder.entry(self.envelope, outcome, customer=customer), receives=self.receives)

    def record(self, outcome: Outcome) -> None:
        """Write the journal's entry of this execution."""
        self.recorder.journal.write(self.entry(outcome))
