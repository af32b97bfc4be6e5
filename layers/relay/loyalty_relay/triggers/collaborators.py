"""What ingest needs of the services, as types only: tests give it less than ``Services`` has, and a cold start
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from loyalty_relay.connections.model import Connection, WebhookSecret
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.settings import Settings


class Connections(Protocol):
    """What ingest needs of ``connections.ConnectionStore``."""

    def get(self, id: str) -> Connection: ...
    def previous_webhook_secrets(self, id: str) -> tuple[WebhookSecret, ...]: ...
    def refetch(self, id: str) -> bool: ...


class JournalWriter(Protocol):
    """What ingest needs of ``state.journal.Journal``."""

    def write(self, entry: JournalEntry) -> bool: ...


class RawParking(Protocol):
    """What ingest needs of ``state.parking.Parking``."""

    def park_raw(
        self, body: dict[str, Any], connection: str, reason: str, delivery_id: str, fingerprint: str
    ) -> bool: ...


class Collaborators(Protocol):
    """What ingest needs of ``services.Services``; each is built when it is first asked for."""

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
