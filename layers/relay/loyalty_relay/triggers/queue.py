"""Queue messages: the records of a batch run side by side, each with its own result.

A record is done (acknowledged), retried later (its visibility is changed to the wait and it is reported as failed) or
parked (a copy with the reason goes to the operation's dead-letter queue, then it is acknowledged). No record's failure
affects the others.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import NoSlot, RelayError, TransientError
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.reliability import retry_policy
from loyalty_relay.telemetry import logs, metrics

if TYPE_CHECKING:
    from loyalty_relay.triggers.collaborators import BatchCollaborators

MAX_THREADS = 10
"""Records side by side: the batch size of the event source mapping."""

MARGIN = 2.0
"""Seconds of the invocation that are kept for commits and postponing after the last upstream call."""

Work = Callable[[Envelope, Deadline, int], Outcome]
"""Work on one envelope: before the deadline, at the n-th receive."""


def consume(event: dict[str, Any], context: Any, operation: str, services: BatchCollaborators) -> dict[str, Any]:
    """Execute the commands of an SQS batch and return ``{"batchItemFailures": [...]}``."""
    # Built here, before the records' threads would build it side by side.
    pipeline = services.pipeline

    def work(envelope: Envelope, deadline: Deadline, receives: int) -> Outcome:
        return pipeline.execute(envelope, deadline, receives=receives).outcome

    return consume_with(work, event, context, operation, services)


def consume_with(
    work: Work, event: dict[str, Any], context: Any, operation: str, services: BatchCollaborators
) -> dict[str, Any]:
    """Do the same with other work on the envelopes, such as hydration."""
    records = event["Records"]
    services.start(context)
    left = context.get_remaining_time_in_millis() / 1000
    deadline = Deadline(services.monotonic() + left - MARGIN, services.monotonic)
    services.begin_batch(len(records))
    batch = _Batch(work, operation, services, deadline)
    if len(records) <= 1:
        again = [batch.handle(record) for record in records]
    else:
        with ThreadPoolExecutor(min(len(records), MAX_THREADS), thread_name_prefix="record") as pool:
            again = list(pool.map(batch.handle, records))
    services.end_batch()
    batch.postpone_all()
    left = context.get_remaining_time_in_millis() / 1000
    services.write_counts(left=left)
    services.headroom.invocation(left=left, operation=operation)
    failures = [{"itemIdentifier": r["messageId"]} for r, failed in zip(records, again, strict=True) if failed]
    return {"batchItemFailures": failures}


class _Batch:
    def __init__(self, work: Work, operation: str, services: BatchCollaborators, deadline: Deadline) -> None:
        self.work = work
        self.operation = operation
        self.services = services
        self.deadline = deadline
        self._waits: list[tuple[str, float]] = []

    def postpone_all(self) -> None:
        """Hide each record that is tried again for its own wait; one request. A failure here costs only the wait."""
        entries = [
            {"Id": str(i), "ReceiptHandle": handle, "VisibilityTimeout": max(1, round(wait))}
            for i, (handle, wait) in enumerate(self._waits)
        ]
        for start in range(0, len(entries), 10):
            self.services.postpone(self.operation, entries[start : start + 10])

    def handle(self, record: dict[str, Any]) -> bool:
        """Work on one record and return whether it is tried again. Never raises."""
        try:
            return self._handle(record)
        except Exception as error:  # noqa: BLE001 - the record is tried again, and the others go on
            logs.unexpected(
                "record failed",
                error,
                again=_receives(record) > 1,
                operation=self.operation,
                message_id=record["messageId"],
            )
            return True

    def _handle(self, record: dict[str, Any]) -> bool:
        try:
            envelope = Envelope.from_json(record["body"])
        except ValueError:
            self.services.parking.park_unreadable(record, operation=self.operation)
            logs.error("message unreadable, parked", operation=self.operation, message_id=record["messageId"])
            return False
        started = self.services.monotonic()
        try:
            outcome = self.work(envelope, self.deadline, _receives(record))
        except Exception as error:  # noqa: BLE001 - a bug is retried like an outage, so nothing is lost to it
            if isinstance(error, RelayError) and not retry_policy.retryable(error):
                self._park(envelope, error, record)
                return False
            if not isinstance(error, RelayError):
                logs.unexpected("unforeseen", error, again=_receives(record) > 1, **_names(envelope))
            return self._later(envelope, error, record)
        self._report(envelope, outcome, self.services.monotonic() - started)
        return False

    def _later(self, envelope: Envelope, error: BaseException, record: dict[str, Any]) -> bool:
        services = self.services
        received = _receives(record)
        wait = retry_policy.delay(error, received, services.random())
        failure = error if isinstance(error, RelayError) else TransientError()
        outcome, entry = services.pipeline.recorder.failed(envelope, failure, Result.RETRYING)
        entry = replace(entry, next_at=round(services.clock() + wait, 3))
        if isinstance(error, retry_policy.MENDED):
            entry = replace(entry, receipt=record["receiptHandle"])
        waiting = wait if retry_policy.counts(error) else 0.0
        # Without a slot for its first request nothing was tried, as for a message that was not received yet: a journal
        # entry of each would cost more under backlog than the attempts that do something.
        untried = isinstance(error, NoSlot) and not error.reached
        tried = 0.0 if untried else services.journal.retrying(entry, waiting=waiting)
        # The wait that is still to come has not been tried yet.
        age = _age(record, services.clock())
        if retry_policy.give_up(error, tried=tried - waiting, age=age, receives=received):
            self._park(envelope, failure, record)
            return False
        services.headroom.waiting(tried=tried - waiting, age=age, receives=received, **_names(envelope))
        self._waits.append((record["receiptHandle"], wait))
        self._report(envelope, outcome, 0.0, delay=round(wait, 1), receives=received, code=failure.code)
        return True

    def _park(self, envelope: Envelope, error: RelayError, record: dict[str, Any]) -> None:
        receives = _receives(record)
        outcome, entry = self.services.pipeline.recorder.failed(envelope, error, Result.PARKED)
        self.services.parking.park(envelope, error, receives=receives)
        self.services.journal.write(replace(entry, receives=receives))
        self._report(envelope, outcome, 0.0, code=error.code)

    def _report(self, envelope: Envelope, outcome: Outcome, took: float, **keys: Any) -> None:
        services = self.services
        logs.info(
            "record",
            outcome=outcome.result.value,
            reason=outcome.reason or None,
            duration_ms=round(took * 1000),
            **_names(envelope),
            **keys,
        )
        names = _names(envelope) | {"destination": self._destination(envelope)}
        metrics.count("Outcomes", outcome=outcome.result.value, reason=outcome.reason or None, **names)
        if outcome.result in (Result.RETRYING, Result.PARKED):
            metrics.count("Failures", **names | {"reason": outcome.reason})
        # What hydrate fetched is on its way, not applied.
        if outcome.result is Result.APPLIED and envelope.received_at and self.operation != "hydrate":
            latency = max(0.0, services.clock() - envelope.received_at) * 1000
            metrics.count("Latency", round(latency), unit="Milliseconds", **names)

    def _destination(self, envelope: Envelope) -> str:
        """Return the vendor, for the metrics; hydrate reads from a platform, not a destination."""
        if self.operation == "hydrate":
            return "none"
        try:
            return self.services.connections.get(envelope.connection).destination.vendor
        except RelayError:
            return "none"


def _receives(record: dict[str, Any]) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


def _age(record: dict[str, Any], now: float) -> float:
    """Return the seconds since the message was sent; 0 where the record has no time."""
    sent = record.get("attributes", {}).get("SentTimestamp")
    return max(0.0, now - int(sent) / 1000) if sent else 0.0


def _names(envelope: Envelope) -> dict[str, Any]:
    return {
        "delivery_id": envelope.delivery_id,
        "position": envelope.position,
        "connection": envelope.connection,
        "operation": envelope.command.operation,
        "source": envelope.event.source,
        "topic": envelope.event.topic,
    }
