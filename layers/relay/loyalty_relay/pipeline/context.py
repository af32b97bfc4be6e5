"""What an operation is given to work with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.model.outcomes import Outcome
from loyalty_relay.reliability.journal import JournalEntry

if TYPE_CHECKING:
    from loyalty_relay.runtime.wiring import Services

API = "api"
"""The source of events that came through the HTTP API rather than a platform's webhook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One execution of one command: its envelope, its connection, the services and the time that is left."""

    envelope: Envelope
    connection: Connection
    services: Services
    deadline: Deadline
    attempts: int = 1
    """How often the command was received, this time included."""

    @property
    def from_api(self) -> bool:
        """A caller waits for the answer and is told of every problem, where a webhook's surplus is left out."""
        return self.envelope.event.source == API

    def entry(self, outcome: Outcome, *, customer: str = "") -> JournalEntry:
        """The journal's entry of this execution."""
        customer = customer or named_customer(self.envelope, self.services)
        entry = journal_entry(self.envelope, outcome, now=self.services.clock(), customer=customer)
        return replace(entry, attempts=self.attempts)


def named_customer(envelope: Envelope, services: Services) -> str:
    """The keyed hash of whom a command names, for entries of executions that never took the guard."""
    customer = getattr(envelope.command, "customer", None)
    try:
        return services.customers.known_as(envelope.connection, customer) if customer is not None else ""
    except StoreUnavailable:
        # The key of the digests cannot be had. The entry matters more than finding it by customer.
        return ""


def journal_entry(
    envelope: Envelope, outcome: Outcome, *, now: float, customer: str = "", code: str | None = None
) -> JournalEntry:
    """What the journal keeps of an envelope and its outcome."""
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
        customer=customer,
        loyalty_id=outcome.loyalty_id,
        codes=tuple(notice.code for notice in outcome.notices),
        fields=outcome.fields,
        request_id=outcome.request_id,
        received_at=envelope.received_at,
        occurred_at=envelope.event.time,
        finished_at=now,
        attempt=envelope.attempt,
        code=code,
        details={name: str(value) for name, value in outcome.ids.items()},
    )
