"""What triggers need of the composition root, as types only: nothing is imported for it at a cold start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from loyalty_relay.connections.model import Connection, WebhookSecret
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.settings import Settings

if TYPE_CHECKING:
    from loyalty_relay.pipeline.execute import Pipeline
    from loyalty_relay.reliability.dead_letters import DeadLetterQueue
    from loyalty_relay.reliability.headroom import Headroom
    from loyalty_relay.reliability.journal import Journal


class Connections(Protocol):
    """What ingest needs of ``connections.store.ConnectionStore``."""

    def get(self, id: str) -> Connection: ...
    def previous_webhook_secrets(self, id: str) -> tuple[WebhookSecret, ...]: ...
    def forget_revoked(self) -> None: ...
    def refetch(self, id: str) -> bool: ...


class JournalWriter(Protocol):
    """What ingest needs of ``reliability.journal.Journal``."""

    def write(self, entry: JournalEntry) -> bool: ...


class RefusalCounter(Protocol):
    """What ingest needs of ``reliability.counters.Counters``."""

    def refused(self, connection: str, count: int) -> None: ...


class RawParking(Protocol):
    """What ingest needs of ``reliability.dead_letters.DeadLetterQueue``."""

    def park_raw(
        self, body: dict[str, Any], connection: str, reason: str, delivery_id: str, fingerprint: str
    ) -> bool: ...


class Collaborators(Protocol):
    """What ingest needs of ``runtime.wiring.Services``; each member is built on first use."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def connections(self) -> Connections: ...
    @property
    def sqs(self) -> Any: ...
    @property
    def journal(self) -> JournalWriter: ...
    @property
    def parking(self) -> RawParking: ...
    @property
    def counters(self) -> RefusalCounter: ...

    def write_counts(self) -> None: ...


class BatchCollaborators(Protocol):
    """What a queue's batch needs of ``runtime.wiring.Services``; each member is built on first use."""

    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def monotonic(self) -> Callable[[], float]: ...
    @property
    def random(self) -> Callable[[], float]: ...
    @property
    def postpone(self) -> Callable[[str, Iterable[dict[str, Any]]], None]: ...
    @property
    def connections(self) -> Connections: ...
    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def parking(self) -> DeadLetterQueue: ...
    @property
    def headroom(self) -> Headroom: ...

    def start(self, context: Any) -> None: ...
    def begin_batch(self, records: int) -> None: ...
    def end_batch(self) -> None: ...
    def write_counts(self, *, left: float) -> None: ...
