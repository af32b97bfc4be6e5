"""The way of a command, the same for both triggers: circuit → idempotency → operation (guard, client, commit,
journal).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from loyalty_relay.model.errors import CredentialsRefused, PermanentError, RelayError
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.model.redaction import conceal
from loyalty_relay.pipeline.context import Context, journal_entry, named_customer
from loyalty_relay.pipeline.crm_patch import crm_patch
from loyalty_relay.pipeline.customers import register, update
from loyalty_relay.pipeline.link_store import link_store
from loyalty_relay.pipeline.retire import erase_store, retire_customer

if TYPE_CHECKING:
    from loyalty_relay.reliability.circuit_breaker import Circuit
    from loyalty_relay.reliability.idempotency import Ran
    from loyalty_relay.reliability.journal import JournalEntry
    from loyalty_relay.runtime.wiring import Services

OPERATION_OF: dict[type[Command], Callable[[Any, Context], Outcome]] = {
    RegisterCustomer: register,
    UpdateCustomer: update,
    PatchCrmFields: crm_patch,
    LinkStore: link_store,
    RetireCustomer: retire_customer,
    EraseStore: erase_store,
}
OURS_ALONE = (RetireCustomer, EraseStore)
"""Commands that ask nothing of a destination, so that its outage does not hold them up."""


@dataclass(frozen=True, slots=True)
class Executed:
    """An outcome, and whether it is the kept one of an earlier execution of the same event."""

    outcome: Outcome
    replayed: bool = False


def execute(
    envelope: Envelope, services: Services, deadline: Deadline, *, payload_digest: str | None = None, attempts: int = 1
) -> Executed:
    """Carry out one command, or recognise that it was carried out.

    ``payload_digest``: for API callers, what must be the same when an Idempotency-Key is used again.
    Raises the errors of ``loyalty_relay.model.errors``; whatever the execution had taken is given back.
    """
    connection = services.directory.get(envelope.connection)
    destination = None if isinstance(envelope.command, OURS_ALONE) else connection.destination.key
    if destination is not None:
        services.circuit.check(destination)

    def run() -> tuple[Context, Ran]:
        context = Context(
            envelope=envelope,
            connection=services.directory.get(envelope.connection),
            services=services,
            deadline=deadline,
            attempts=attempts,
        )
        operation = OPERATION_OF[type(envelope.command)]
        return context, services.idempotency.run(
            envelope.key,
            envelope.command.operation,
            lambda: operation(envelope.command, context),
            payload_digest=payload_digest,
        )

    try:
        try:
            context, ran = run()
        except CredentialsRefused:
            if not services.directory.refetch(connection.id):
                raise
            # They were rotated a moment ago. What is refused has no effect, so it is asked again with the new ones.
            context, ran = run()
    except RelayError as error:
        conceal(error, envelope.command)
        if destination is not None:
            _tell(services.circuit, destination, error)
        raise
    if ran.replayed:
        if destination is not None:
            services.circuit.unused(destination)
        services.journal.write(context.entry(ran.outcome))
        return Executed(ran.original if context.from_api else ran.outcome, replayed=True)
    if destination is not None:
        if ran.outcome.result is Result.APPLIED:
            services.circuit.success(destination)
        else:
            services.circuit.unused(destination)
    return Executed(ran.outcome)


def _tell(circuit: Circuit, destination: str, error: RelayError) -> None:
    """What a failure says about the destination: an answer, even a refusal, shows that it is there."""
    if isinstance(error, PermanentError):
        if error.code is not None or error.request_id is not None:
            circuit.success(destination)
        else:
            circuit.unused(destination)
    else:
        circuit.failure(destination, error)


def failed(envelope: Envelope, error: RelayError, result: Result, services: Services) -> tuple[Outcome, JournalEntry]:
    """A failure as an outcome and as the journal's entry."""
    outcome = Outcome(result=result, reason=error.reason, request_id=error.request_id)
    customer = named_customer(envelope, services)
    return outcome, journal_entry(envelope, outcome, now=services.clock(), customer=customer, code=error.code)
