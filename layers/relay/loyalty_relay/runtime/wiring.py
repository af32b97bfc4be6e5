"""The composition root: each collaborator is built on first use and handed to those that need it.

Tests use the same root: time, randomness, sleeping, AWS clients and the destinations' clients are arguments.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from loyalty_relay.connections.model import Connection, Destination
from loyalty_relay.connections.store import ConnectionStore
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.storage import aws
from loyalty_relay.storage.digests import Digests, digest_key
from loyalty_relay.telemetry import logs

if TYPE_CHECKING:
    from loyalty_relay.connections.revocations import Revocations
    from loyalty_relay.customers.ledger import CustomerLedger
    from loyalty_relay.destinations.base import Crm
    from loyalty_relay.destinations.definitions import DefinitionCache
    from loyalty_relay.destinations.tokens import TokenStore
    from loyalty_relay.http.client import Client
    from loyalty_relay.model.commands import Envelope
    from loyalty_relay.orders.ledger import OrderLedger
    from loyalty_relay.pipeline.execute import Pipeline
    from loyalty_relay.pipeline.transaction import SalesParts
    from loyalty_relay.reliability.circuit_breaker import Circuit
    from loyalty_relay.reliability.counters import Counters
    from loyalty_relay.reliability.dead_letters import DeadLetterQueue
    from loyalty_relay.reliability.headroom import Headroom
    from loyalty_relay.reliability.idempotency import Idempotency
    from loyalty_relay.reliability.journal import Journal, JournalEntry
    from loyalty_relay.reliability.ledger_records import LedgerRecords
    from loyalty_relay.reliability.rate_limiter import Limiters
    from loyalty_relay.runs.store import Runs
    from loyalty_relay.stores.links import Links

R = TypeVar("R", bound="LedgerRecords")

LEASE_SECONDS = 45.0
"""How long a lease lasts: longer than an operation's function may run (30 s), so that no holder is overtaken."""

COUNTING_SECONDS = aws.CONNECT_SECONDS + aws.READ_SECONDS
"""What has to be left of an invocation to write counts: no batch fails because of them."""


class Services:
    """Collaborators of one function, shared by its warm invocations."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
        client: Callable[[aws.Service], Any] = aws.client,
        crm: Callable[[Connection], Any] | None = None,
        postpone: Callable[[str, Iterable[dict[str, Any]]], None] | None = None,
    ) -> None:
        self.settings = settings or Settings.from_env()
        self.clock = clock
        self.monotonic = monotonic
        self.sleep = sleep
        self.random = random
        self._client = client
        self._make_crm = crm or self._new_crm
        self.postpone = postpone or self._change_visibility
        """Hides messages of an operation's queue; the entries are those of ChangeMessageVisibilityBatch."""
        self._crms: dict[str, tuple[tuple[Any, ...], Any]] = {}
        self._crms_lock = threading.Lock()
        self._batch = 1

    def start(self, context: Any) -> None:
        """Set how long this invocation may run."""
        self.idempotency.bind(context)

    def begin_batch(self, records: int) -> None:
        """Begin a batch: pacing reserves slots for all of its records at once."""
        self._batch = records

    def end_batch(self) -> None:
        """End the batch: slots that were not used are given back."""
        self._batch = 1
        if "pacing" in self.__dict__:
            self.pacing.give_back()

    def write_counts(self, *, left: float = math.inf) -> None:
        """Write what was counted since the last time; later where the invocation ends in ``left`` seconds.

        Never raises.
        """
        if "counters" in self.__dict__ and left > COUNTING_SECONDS:
            self.counters.write()

    @cached_property
    def headroom(self) -> Headroom:
        from loyalty_relay.reliability.headroom import Headroom

        return Headroom(self.settings.memory)

    @cached_property
    def dynamodb(self) -> Any:
        return self._client("dynamodb")

    @cached_property
    def sqs(self) -> Any:
        return self._client("sqs")

    @cached_property
    def secrets(self) -> Any:
        return self._client("secretsmanager")

    @cached_property
    def connections(self) -> ConnectionStore:
        return ConnectionStore(
            self.secrets,
            self.settings.secrets_prefix,
            self.settings.sandbox_hosts,
            clock=self.clock,
            latest_revocation=self._latest_revocation,
        )

    @cached_property
    def revocations(self) -> Revocations:
        from loyalty_relay.connections.revocations import Revocations
        from loyalty_relay.storage.table import Table

        return Revocations(Table(self.dynamodb, self.settings.state_table), self.clock)

    def _latest_revocation(self) -> str | None:
        # Built only when a process has lived for a while: a cold start does not pay for it.
        return self.revocations.latest()

    @cached_property
    def digests(self) -> Digests:
        return Digests(digest_key(self.settings.digest_secret, self.secrets))

    def _records(self, kind: type[R]) -> R:
        return kind(
            self.dynamodb,
            self.settings.state_table,
            self.digests,
            journal=self.journal,
            clock=self.clock,
            lease_seconds=LEASE_SECONDS,
            new_token=lambda: uuid4().hex,
            sleep=self.sleep,
        )

    @cached_property
    def customers(self) -> CustomerLedger:
        from loyalty_relay.customers.ledger import CustomerLedger
        from loyalty_relay.customers.records import Records

        return CustomerLedger(self._records(Records))

    @cached_property
    def orders(self) -> OrderLedger:
        from loyalty_relay.orders.ledger import OrderLedger
        from loyalty_relay.orders.records import OrderRecords

        return OrderLedger(self._records(OrderRecords))

    @cached_property
    def links(self) -> Links:
        from loyalty_relay.stores.links import Links

        return Links(self.dynamodb, self.settings.state_table, clock=self.clock, lease_seconds=LEASE_SECONDS)

    @cached_property
    def runs(self) -> Runs:
        from loyalty_relay.runs.store import Runs

        return Runs(self.dynamodb, self.settings.state_table, self.settings.journal_table, clock=self.clock)

    @cached_property
    def journal(self) -> Journal:
        from loyalty_relay.reliability.journal import Journal

        return Journal(self.dynamodb, self.settings.journal_table, clock=self.clock, settled=self._settled)

    def _settled(self, entry: JournalEntry) -> None:
        # Built with the first outcome: most processes of ingest have none.
        self.counters.settled(entry)

    @cached_property
    def counters(self) -> Counters:
        from loyalty_relay.reliability.counters import Counters

        live = self.settings.rate_share is None
        return Counters(self.dynamodb, self.settings.journal_table, clock=self.clock, timed=live)

    @cached_property
    def idempotency(self) -> Idempotency:
        from loyalty_relay.reliability.idempotency import Idempotency

        return Idempotency(self.dynamodb, self.settings.idempotency_table)

    @cached_property
    def pacing(self) -> Limiters:
        from loyalty_relay.reliability.rate_limiter import Limiters

        share = self.settings.rate_share
        return Limiters(self.dynamodb, self.settings.state_table, clock=self.clock, sleep=self.sleep, share=share)

    @cached_property
    def pipeline(self) -> Pipeline:
        from loyalty_relay.pipeline.context import Recorder
        from loyalty_relay.pipeline.execute import Pipeline

        return Pipeline(
            connections=self.connections,
            circuit=self.circuit,
            idempotency=self.idempotency,
            links=self.links,
            recorder=Recorder(journal=self.journal, clock=self.clock, customers=lambda: self.customers),
            crm=self.crm,
            digest=lambda text: self.digests.identity("", "credentials", text),
            sales=lambda: self.sales,
        )

    @cached_property
    def sales(self) -> SalesParts:
        from loyalty_relay.pipeline.transaction import SalesParts
        from loyalty_relay.reliability.follow_ups import FollowUps

        return SalesParts(
            customers=self.customers,
            orders=self.orders,
            links=self.links,
            follow_ups=FollowUps(lambda: self.sqs, self.settings.queue),
            order_reader=_order_reader,
        )

    @cached_property
    def circuit(self) -> Circuit:
        from loyalty_relay.reliability.circuit_breaker import Circuit

        return Circuit(self.dynamodb, self.settings.state_table, clock=self.clock)

    @cached_property
    def parking(self) -> DeadLetterQueue:
        from loyalty_relay.reliability.dead_letters import DeadLetterQueue

        return DeadLetterQueue(
            self.sqs, self.settings.parked_queue, self.dynamodb, self.settings.state_table, clock=self.clock
        )

    @cached_property
    def tokens(self) -> TokenStore:
        from loyalty_relay.destinations.tokens import TokenStore

        return TokenStore(
            self.secrets,
            self.dynamodb,
            table=self.settings.state_table,
            prefix=self.settings.secrets_prefix,
            digests=self.digests,
            new_token=lambda: uuid4().hex,
            clock=self.clock,
            sleep=self.sleep,
            random=self.random,
        )

    @cached_property
    def definitions(self) -> DefinitionCache:
        from loyalty_relay.destinations.definitions import DefinitionCache

        return DefinitionCache(self.clock)

    def load_destinations(self, operation: str) -> None:
        """Load the clients of the vendors for which shops' events become commands of this operation."""
        from loyalty_relay.destinations.registry import vendor, vendors

        for name in vendors():
            events = {command.operation for command in vendor(name).commands.values()}
            if operation in events or (operation == "transaction" and vendor(name).sales is not None):
                import_module(f"loyalty_relay.destinations.{name}.client")

    def crm(self, connection: Connection) -> Crm:
        """Return the client of the connection's destination, kept until the connection's configuration changes."""
        made_of = (connection.destination, connection.sales, connection.default_country)
        with self._crms_lock:
            kept = self._crms.get(connection.id)
            if kept is None or kept[0] != made_of:
                kept = (made_of, self._make_crm(connection))
                self._crms[connection.id] = kept
        return cast("Crm", kept[1])

    def _new_crm(self, connection: Connection) -> Crm:
        from loyalty_relay.destinations.registry import vendor

        destination = connection.destination
        return vendor(destination.vendor).crm(connection, self.destination_client(destination), self)

    def destination_client(self, destination: Destination) -> Client:
        from loyalty_relay.http.client import Client

        limiter = self.pacing.limiter(destination.key, destination.requests_per_minute, batch=lambda: self._batch)
        return Client(limiter, clock=self.clock)

    def platform_client(self, account: str, limit: tuple[int, float] | None) -> Client:
        """Return the client of a platform's own API, paced like a destination's. ``limit``: (requests, seconds)."""
        from loyalty_relay.http.client import Client
        from loyalty_relay.reliability.sliding_window import Rate

        limits = {"read": Rate(*limit)} if limit else {}
        return Client(self.pacing.limiter(account, limits, batch=lambda: self._batch), clock=self.clock)

    def _change_visibility(self, operation: str, entries: Iterable[dict[str, Any]]) -> None:
        """Change the visibility of up to ten messages; what fails comes back at the queue's own visibility time-out."""
        try:
            answer = self.sqs.change_message_visibility_batch(
                QueueUrl=self.settings.queue(operation), Entries=list(entries)
            )
        except aws.failures() as error:
            # The batch's outcomes hold; without this it would all be received again.
            logs.warning("visibility not changed", operation=operation, code=aws.error_code(error))
            return
        for failed in answer.get("Failed", ()):
            logs.warning("visibility not changed", operation=operation, code=failed.get("Code"))


def _order_reader(connection: Connection, envelope: Envelope, order_id: str) -> Envelope | None:
    """Return the request that reads an order from the connection's platform; None where the platform offers none."""
    from loyalty_relay.model.commands import Hydrate
    from loyalty_relay.sources import source_module
    from loyalty_relay.sources.base import HydratingSource

    module = source_module(connection.source.platform)
    if not isinstance(module, HydratingSource):
        return None
    thin = module.order_of(order_id, envelope.command.store)
    if thin is None:
        return None
    event = replace(thin.event, id=envelope.event.id, time=envelope.event.time)
    command = Hydrate(resource=thin.resource, data=thin.data, store=thin.store)
    return replace(envelope, event=event, command=command, redrives=0)


_shared: Services | None = None


def shared() -> Services:
    """Return the services of this process, built on first use."""
    global _shared
    if _shared is None:
        _shared = Services()
    return _shared
