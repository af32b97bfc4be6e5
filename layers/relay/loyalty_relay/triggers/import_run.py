"""Imports and reconciliations: the message that carries a run on, and the commands that runs queue.

Both come through one queue of their own, so that no import is in front of a live event. The commands take the normal
pipeline; the function's rate limiter gives way to live traffic (``Settings.rate_share``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from loyalty_relay.model.commands import AdvanceRun, CustomerCommand, Envelope
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.errors import (
    CredentialsRefused,
    InvalidCommand,
    PermanentError,
    RateLimited,
    RelayError,
    RunContinues,
    UnknownConnection,
)
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.runs.engine import Engine
from loyalty_relay.runs.plan import scheduled_since
from loyalty_relay.runs.run import Run
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import ListingSource, Page, PageRequest, Throttled
from loyalty_relay.telemetry import metrics
from loyalty_relay.triggers.enqueue import enqueue
from loyalty_relay.triggers.platform_reads import read_platform
from loyalty_relay.triggers.queue import consume_with

if TYPE_CHECKING:
    from loyalty_relay.connections.model import Connection
    from loyalty_relay.destinations.base import ReadableCrm
    from loyalty_relay.runtime.wiring import Services

T = TypeVar("T")
OPERATION = "import-run"
REVIEW_SECONDS = 30.0
"""For looking at the webhook subscriptions before a run."""
RENEW = 90
"""Receives after which the run's message is replaced by a new one, long before a queue gives it up."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the partial batch response to an SQS batch of runs and of their commands."""
    from loyalty_relay.runtime.wiring import shared

    return consume_runs(event, context, shared())


def consume_runs(event: dict[str, Any], context: Any, services: Services) -> dict[str, Any]:
    """Go on with the runs of a batch, and execute the commands in it."""
    # Built here, before the records' threads would build it side by side.
    pipeline = services.pipeline

    event = {**event, "Records": [_named(record) for record in event["Records"]]}

    def work(envelope: Envelope, deadline: Deadline, receives: int) -> Outcome:
        if isinstance(envelope.command, AdvanceRun):
            return advance(envelope, services, deadline, receives)
        return pipeline.execute(envelope, deadline, receives=receives).outcome

    return consume_with(work, event, context, OPERATION, services)


def advance(envelope: Envelope, services: Services, deadline: Deadline, receives: int) -> Outcome:
    """Go on with a run. Raise RunContinues until it ends, and the errors of ``loyalty_relay.model.errors``."""
    command = cast("AdvanceRun", envelope.command)
    try:
        connection = services.connections.get(envelope.connection)
    except UnknownConnection:
        if command.begins:
            # Its schedule was left over; nothing waits for the connection to come back.
            return _ended(envelope, services, Outcome(result=Result.IGNORED, reason="no_connection"))
        raise
    found = services.runs.get(connection.id)
    if command.begins and (found is None or found[0].id != command.run):
        if found is not None and (found[0].status == "running" or found[0].started_at > envelope.received_at):
            return _ended(envelope, services, Outcome(result=Result.IGNORED, reason="run_under_way"))
        services.runs.begin(_scheduled(envelope, connection, services, deadline))
        found = services.runs.get(connection.id)
    if found is None or found[0].id != command.run or found[0].generation > command.generation + 1:
        return _ended(envelope, services, Outcome(result=Result.IGNORED, reason="run_superseded"))
    run = found[0]
    if run.generation == command.generation and receives >= RENEW:
        run = services.runs.change(connection.id, generation=run.generation + 1) or run
    if run.generation > command.generation:
        # Also after a death between the two: whoever finds the next generation sends its message.
        enqueue([run.message(services.clock())], services.sqs, services.settings)
        return Outcome(result=Result.RETRYING, reason="running")
    try:
        ended = _engine(services).advance(command.run, connection, deadline)
    except RunContinues:
        raise
    except PermanentError as error:
        # The platform refuses the reading: a run that waited would keep the next one from starting.
        ended = services.runs.change(connection.id, status="stopped", note=_why(error)) or run
        services.runs.report(ended)
    except RelayError as error:
        # Whoever follows the run sees what it waits for.
        if run.note != _why(error):
            services.runs.change(connection.id, note=_why(error))
        raise
    lacking = ended.unlisted if ended.status == "stopped" else ended.proof.missing + ended.proof.pending
    if ended.status in ("done", "stopped") and not ended.dry and lacking:
        metrics.count("CustomersMissing", lacking, connection=ended.connection, delivery_id=ended.id)
    return _ended(envelope, services, Outcome(result=Result.APPLIED, reason=ended.status, ids=_numbers(ended)))


def _named(record: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule's message with an id of its own, which is also that of its run; others as they are.

    A schedule sends the same text each time. However often the queue delivers one message, its id is the same.
    """
    try:
        envelope = Envelope.from_json(record["body"])
    except ValueError:
        return record
    if not (isinstance(envelope.command, AdvanceRun) and envelope.command.begins):
        return record
    sent = int(record["attributes"]["SentTimestamp"]) / 1000
    seed = hashlib.sha256(record["messageId"].encode()).digest()
    name = new_delivery_id(sent, lambda size: seed[:size])
    command = replace(envelope.command, run=name)
    return {**record, "body": replace(envelope, delivery_id=name, received_at=sent, command=command).to_json()}


def _reviewed(command: AdvanceRun, connection: Connection, services: Services, deadline: Deadline) -> str | None:
    """Review the webhook subscriptions, and revive them where the connection allows it.

    Return what is amiss, empty for nothing; None where they were not looked at.
    """
    from loyalty_relay.sources.subscriptions import subscribing
    from loyalty_relay.triggers.subscriptions import review_and_revive

    url = connection.source.public_url or command.webhook_url
    unmanaged = subscribing(connection.source.platform) is None or connection.source.subscriptions == "unmanaged"
    if not url or unmanaged:
        return None
    # The run itself needs most of the time.
    until = Deadline(min(deadline.at, deadline.clock() + REVIEW_SECONDS), deadline.clock)
    try:
        return review_and_revive(connection, services, until, url=url).summary
    except CredentialsRefused:
        # Reading customers needs other credentials than managing webhooks; a check reports these.
        return None
    except RelayError as error:
        return f"could not be looked at: {error}"


def _scheduled(envelope: Envelope, connection: Connection, services: Services, deadline: Deadline) -> Run:
    """Return the run that a schedule's message begins, after a review of the webhook subscriptions."""
    module = listing_module(connection)
    reports = services.runs.reports(connection.id)
    amiss = _reviewed(cast("AdvanceRun", envelope.command), connection, services, deadline)
    return Run(
        id=envelope.delivery_id,
        connection=connection.id,
        kind="reconciliation",
        started_at=envelope.received_at,
        updated_at=services.clock(),
        reviewed=amiss is not None,
        subscriptions=amiss or "",
        since=scheduled_since(reports, envelope.received_at, lists_changed=module.lists_changed),
    )


def _why(error: RelayError) -> str:
    return " ".join(filter(None, (error.reason, error.code, f"({error})")))


def _ended(envelope: Envelope, services: Services, outcome: Outcome) -> Outcome:
    services.journal.write(services.pipeline.recorder.entry(envelope, outcome))
    return outcome


def _numbers(run: Run) -> dict[str, str | int]:
    return {"read": run.first.read, "sent": run.sent, "missing": run.proof.missing, "proven": str(run.proven).lower()}


def _engine(services: Services) -> Engine:
    settings = services.settings

    def queue(envelopes: Sequence[Envelope]) -> None:
        enqueue(envelopes, services.sqs, settings, operation=OPERATION)

    def read(page: PageRequest, connection: Connection, deadline: Deadline) -> Page:
        return read_page(page, connection, services, deadline)

    def sendable(command: CustomerCommand, connection: Connection, deadline: Deadline) -> CustomerCommand:
        from loyalty_relay.pipeline.customers import sendable

        return sendable(command, connection, services.crm(connection), from_api=False)[0]

    def stores(connection: Connection) -> tuple[str, ...]:
        return listing_module(connection).shops(connection.source)

    def shows(store: str, source_id: str, connection: Connection, deadline: Deadline) -> bool:
        module = listing_module(connection)
        answer = read_platform(partial(module.one, store, source_id), connection, services, deadline)
        with _throttling():
            return module.is_there(answer.status, answer.body)

    def of_vendor(connection: Connection, ask: Callable[[Any], T]) -> T:
        return services.pipeline.read(connection, connection.destination.key, lambda live: ask(services.crm(live)))

    def member(loyalty_id: str, profile: str, connection: Connection, deadline: Deadline) -> Mapping[str, Any] | None:
        return of_vendor(connection, lambda crm: cast("ReadableCrm", crm).member(loyalty_id, profile, deadline))

    def members(
        page: int, connection: Connection, deadline: Deadline
    ) -> Sequence[tuple[str, Mapping[str, Any]]] | None:
        return of_vendor(connection, lambda crm: cast("ReadableCrm", crm).members(page, deadline))

    def mark(connection: str, name: str, text: str) -> str:
        return services.digests.field(connection, name, text)

    return Engine(
        runs=services.runs,
        customers=services.customers,
        journal=services.journal,
        clock=services.clock,
        stores=stores,
        read=read,
        sendable=sendable,
        enqueue=queue,
        shows=shows,
        member=member,
        members=members,
        mark=mark,
    )


def listing_module(connection: Connection) -> ListingSource:
    """Return the module of a connection's platform. Raises InvalidCommand where its customers cannot be listed."""
    module = source_module(connection.source.platform)
    if not isinstance(module, ListingSource):
        raise InvalidCommand(f"customers of {connection.source.platform} cannot be listed")
    return module


def read_page(page: PageRequest, connection: Connection, services: Services, deadline: Deadline) -> Page:
    """Read a page of a shop's customers.

    Raises RateLimited where the platform throttles, and what ``read_platform`` raises.
    """
    module = listing_module(connection)
    answer = read_platform(partial(module.listing, page), connection, services, deadline)
    with _throttling():
        return module.page(page, connection.source, answer.status, answer.headers, answer.body)


@contextmanager
def _throttling() -> Iterator[None]:
    try:
        yield
    except Throttled as throttled:
        raise RateLimited(retry_after=throttled.seconds) from None
