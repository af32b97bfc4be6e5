"""The stages of a command and of a read. Every entry point comes through here: queues, the API, hydration.

execute   circuit → idempotency → handler (ledger → rate limit → request → commit) → journal
read      circuit → rate limit → request
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import (
    Command,
    Envelope,
    EraseStore,
    LinkStore,
    PatchCrmFields,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, InvalidCommand, RelayError
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.model.redaction import conceal
from loyalty_relay.pipeline.context import Context, Recorder
from loyalty_relay.pipeline.crm_patch import crm_patch
from loyalty_relay.pipeline.customers import register, update
from loyalty_relay.pipeline.link_store import link_store
from loyalty_relay.pipeline.retire import erase_store, retire_customer

if TYPE_CHECKING:
    from loyalty_relay.connections.store import ConnectionStore
    from loyalty_relay.reliability.circuit_breaker import Circuit
    from loyalty_relay.reliability.idempotency import Idempotency
    from loyalty_relay.stores.links import Links

T = TypeVar("T")

OURS_ALONE = (RetireCustomer, EraseStore)
"""Commands that ask nothing of a destination, so that its outage does not hold them up."""


@dataclass(frozen=True, slots=True)
class Executed:
    """An outcome, and whether it is the kept one of an earlier execution of the same event."""

    outcome: Outcome
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The stages with their collaborators; made in ``runtime.wiring``."""

    connections: ConnectionStore
    circuit: Circuit
    idempotency: Idempotency
    links: Links
    recorder: Recorder
    crm: Callable[[Connection], Any]
    """The client of a connection's destination."""

    def execute(
        self, envelope: Envelope, deadline: Deadline, *, payload_digest: str | None = None, receives: int = 1
    ) -> Executed:
        """Carry out one command, or recognise that it was carried out.

        ``payload_digest``: for API callers, what must be the same when an Idempotency-Key is used again. ``receives``:
        how often the queue has delivered the command.
        Raises the errors of ``loyalty_relay.model.errors``; every stage gives back what it had taken.
        """
        command = envelope.command
        connection = self.connections.get(envelope.connection)
        context = Context(
            envelope=envelope, connection=connection, deadline=deadline, recorder=self.recorder, receives=receives
        )
        try:
            with (
                self.circuit.call(None if isinstance(command, OURS_ALONE) else connection.destination.key) as call,
                self.idempotency.hold(envelope.key, command.operation, payload_digest=payload_digest) as key,
            ):
                if key.original is not None:
                    return _replay(key.original, context)
                outcome = key.outcome = self._with_live_credentials(
                    connection, lambda live: self._handle(command, replace(context, connection=live))
                )
                call.answered = outcome.result is Result.APPLIED
        except RelayError as error:
            conceal(error, command)
            raise
        return Executed(outcome)

    def read(self, connection: Connection, account: str, ask: Callable[[Connection], T]) -> T:
        """Ask a destination's or platform's account for something; a read has no key and no ledger.

        Raises the errors of ``loyalty_relay.model.errors``.
        """
        with self.circuit.call(account) as call:
            answer = self._with_live_credentials(connection, ask)
            call.answered = True
        return answer

    def _with_live_credentials(self, connection: Connection, ask: Callable[[Connection], T]) -> T:
        """Ask, and once more where refused credentials were rotated a moment ago: what is refused has no effect."""
        try:
            return ask(connection)
        except CredentialsRefused:
            if not self.connections.refetch(connection.id):
                raise
        return ask(self.connections.get(connection.id))

    def _handle(self, command: Command, context: Context) -> Outcome:
        customers = self.recorder.customers
        match command:
            case RegisterCustomer():
                return register(command, context, self.crm(context.connection), customers())
            case UpdateCustomer():
                return update(command, context, self.crm(context.connection), customers())
            case PatchCrmFields():
                return crm_patch(command, context, self.crm(context.connection), customers())
            case LinkStore():
                return link_store(command, context, self.crm(context.connection), self.links)
            case RetireCustomer():
                return retire_customer(command, context, customers())
            case EraseStore():
                return erase_store(command, context, customers(), self.links)
        raise InvalidCommand(f"no operation carries out {command.kind}")


def _replay(original: Outcome, context: Context) -> Executed:
    """Report a duplicate, to a caller of the API as the outcome that the first execution had."""
    duplicate = replace(original, result=Result.DUPLICATE, reason=original.result.value)
    context.record(duplicate)
    return Executed(original if context.from_api else duplicate, replayed=True)
