"""The stages of a command and of a read. Every entry point comes through here: queues, the API, hydration.

execute   circuit → rate limit → idempotency → handler (ledger → request → commit) → journal
read      circuit → rate limit → request
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import (
    Command,
    CustomerCommand,
    Envelope,
    EraseStore,
    LinkStore,
    OrderCommand,
    PatchCrmFields,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsBlocked, CredentialsRefused, InvalidCommand, RelayError
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.model.redaction import conceal
from loyalty_relay.pipeline.context import Context, Recorder
from loyalty_relay.reliability.circuit_breaker import CircuitCall

if TYPE_CHECKING:
    from loyalty_relay.connections.store import ConnectionStore
    from loyalty_relay.pipeline.transaction import SalesParts
    from loyalty_relay.reliability.circuit_breaker import Circuit
    from loyalty_relay.reliability.idempotency import Idempotency
    from loyalty_relay.stores.links import Links

T = TypeVar("T")

OURS_ALONE = (RetireCustomer, EraseStore)
"""Commands without a request to a destination, so that its outage does not hold them up."""


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
    digest: Callable[[str], str]
    """The keyed digest of a text."""
    sales: Callable[[], SalesParts]
    """What the operation ``transaction`` works with."""

    def execute(self, envelope: Envelope, deadline: Deadline, *, receives: int = 1) -> Executed:
        """Carry out one command, or recognise that it was carried out.

        ``receives``: how often the queue has delivered the command.
        Raises the errors of ``loyalty_relay.model.errors``; every stage gives back what it had taken.
        """
        command = envelope.command

        def attempt(live: Connection) -> Executed:
            context = Context(
                envelope=envelope, connection=live, deadline=deadline, recorder=self.recorder, receives=receives
            )
            sends = not isinstance(command, OURS_ALONE)
            with (
                self._use(*self.circuits(live)) if sends else nullcontext(CircuitCall()) as call,
                self.crm(live).slot(command, deadline) if sends else nullcontext(),
                self.idempotency.hold(envelope.key, command.operation, payload_digest=envelope.payload_digest) as key,
            ):
                if key.original is not None:
                    return _replay(key.original, context)
                outcome = self._handle(command, context)
                call.succeeded = outcome.result is Result.APPLIED
                if isinstance(command, CustomerCommand) and live.sales.enabled and live.sales.guests != "skip":
                    from loyalty_relay.pipeline.guests import release_guests

                    # Before the key is completed: a process that dies in between is followed by another attempt.
                    release_guests(command, outcome, context, self.sales())
                key.outcome = outcome
            return Executed(outcome)

        try:
            return self._with_live_credentials(self.connections.get(envelope.connection), attempt)
        except RelayError as error:
            conceal(error, command)
            raise

    def read(
        self,
        connection: Connection,
        account: str,
        request: Callable[[Connection], T],
        credentials: Callable[[Connection], str] | None = None,
    ) -> T:
        """Read something from a destination's or platform's account; a read has no key and no ledger.

        ``credentials``: a name of what ``ask`` authenticates with, of which nothing can be learned about it; by default
        a keyed digest of those of the connection's destination.
        Raises the errors of ``loyalty_relay.model.errors``.
        """

        def attempt(live: Connection) -> T:
            with self._use(account, f"{account}:{(credentials or self._credentials)(live)}") as call:
                answer = request(live)
                call.succeeded = True
            return answer

        return self._with_live_credentials(connection, attempt)

    def circuits(self, connection: Connection) -> tuple[str, str]:
        """Return the circuits that a connection's commands pass: of the account, and of its credentials."""
        account = connection.destination.key
        return account, f"{account}:{self._credentials(connection)}"

    @contextmanager
    def _use(self, account: str, credentials: str) -> Iterator[CircuitCall]:
        """Use an account with credentials: within the circuit of the account, and within that of the credentials."""
        refusals = self.circuit.call(credentials, credentials=True)
        with self.circuit.call(account) as outer, refusals as call:
            yield call
            outer.succeeded = call.succeeded

    def _credentials(self, connection: Connection) -> str:
        return self.digest(json.dumps(dict(connection.destination.credentials), sort_keys=True))

    def _with_live_credentials(self, connection: Connection, attempt: Callable[[Connection], T]) -> T:
        """Attempt, and once more where refused credentials were rotated a moment ago: what is refused has no effect."""
        try:
            return attempt(connection)
        except (CredentialsRefused, CredentialsBlocked):
            if not self.connections.refetch(connection.id):
                raise
        return attempt(self.connections.get(connection.id))

    def _handle(self, command: Command, context: Context) -> Outcome:
        # A function carries out one operation: the others' handlers and their ledgers are no cost of its start.
        customers = self.recorder.customers
        match command:
            case RegisterCustomer():
                from loyalty_relay.pipeline.customers import register

                return register(command, context, self.crm(context.connection), customers())
            case UpdateCustomer():
                from loyalty_relay.pipeline.customers import update

                return update(command, context, self.crm(context.connection), customers())
            case PatchCrmFields():
                from loyalty_relay.pipeline.crm_patch import crm_patch

                return crm_patch(command, context, self.crm(context.connection), customers())
            case OrderCommand():
                from loyalty_relay.pipeline.transaction import transaction

                return transaction(command, context, self.crm(context.connection), self.sales())
            case LinkStore():
                from loyalty_relay.pipeline.link_store import link_store

                return link_store(command, context, self.crm(context.connection), self.links)
            case RetireCustomer():
                from loyalty_relay.pipeline.retire import retire_customer

                return retire_customer(command, context, customers())
            case EraseStore():
                from loyalty_relay.pipeline.retire import erase_store

                return erase_store(command, context, customers(), self.links)
        raise InvalidCommand(f"no operation carries out {command.kind}")


def _replay(original: Outcome, context: Context) -> Executed:
    """Report a duplicate, to a caller of the API as the outcome that the first execution had."""
    duplicate = replace(original, result=Result.DUPLICATE, reason=original.result.value)
    context.record(duplicate)
    return Executed(original if context.from_api else duplicate, replayed=True)
