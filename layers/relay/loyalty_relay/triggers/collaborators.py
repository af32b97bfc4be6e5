"""What ingest needs of the composition root, as types only: nothing is imported for it at a cold start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from loyalty_relay.connections.model import Connection, WebhookSecret
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.settings import Settings


class Connections(Protocol):
    """What ingest needs of ``connections.store.ConnectionStore``."""

    def get(self, id: str) -> Connection: ...
    def previous_webhook_secrets(self, id: str) -> tuple[WebhookSecret, ...]: ...
    def forget_revoked(self) -> None: ...
    def refetch(self, id: str) -> bool: ...


class JournalWriter(Protocol):
    """What ingest needs of ``reliability.journal.Journal``."""

    def write(self, entry: JournalEntry) -> bool: ...


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
