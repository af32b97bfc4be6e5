"""The connections, as Secrets Manager holds them.

Powertools Parameters is not used here. Its cache identifies a secret by its name only, so that AWSPREVIOUS read after
AWSCURRENT is the current value; it drops a good value when Secrets Manager fails at the moment it expires; and it
has one error for "does not exist" and "could not be read", of which the first is a 401 and the second a 503 here.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from loyalty_relay.connections.model import CONNECTION_ID, Connection, WebhookSecret
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.model.errors import ConnectionInvalid, FieldProblem, RelayError, StoreUnavailable, UnknownConnection
from loyalty_relay.storage import aws

CACHE_SECONDS = 300.0
REFUSAL_SECONDS = 60.0
"""How long an unknown or invalid connection is remembered as such."""
REFETCH_SECONDS = 60.0
PREVIOUS_HOURS = 24
FAILING_SECONDS = 5.0
"""While Secrets Manager fails, an outdated value is served this long before it is read again."""
LOOK_SECONDS = 45.0
"""How often a process looks for a revocation: less than the minute within which one takes effect."""
MAX_CONNECTIONS = 5_000
"""About 2.5 KB each. A connection that is pushed out is read again, and reading costs 5 dollars a million times: with a
tenth of this, a thousand busy connections would make it the dearest part of an event.
"""
MAX_REFUSALS = 2048
"""Apart from the connections, so that invented ids cannot push real ones out."""

# GetSecretValue fails with InvalidRequestException for a secret that is scheduled for deletion.
_GONE = ("ResourceNotFoundException", "InvalidRequestException")

K = TypeVar("K")
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """A dictionary that keeps only the entries last used."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self._size:
                self._items.popitem(last=False)

    def pop(self, key: K) -> None:
        with self._lock:
            self._items.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._items.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)


@dataclass(frozen=True, slots=True)
class _Held:
    connection: Connection
    version_id: str
    changed_at: datetime
    until: float


@dataclass(frozen=True, slots=True)
class _Previous:
    secrets: tuple[WebhookSecret, ...]
    of_version: str
    """The current version's id when this was read: a newer current version makes it outdated."""
    until: float


@dataclass(slots=True)
class _Gate:
    """Admits one thread to fetch a connection, while the others wait for its result."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    refetched_at: float | None = None


class ConnectionStore:
    """Connections by id, cached in the process.

    ``prefix``: of the secrets' names, which are ``{prefix}/connections/{id}``. ``clock``: epoch seconds.
    ``latest_revocation``: as ``Revocations.latest``. Safe for threads.
    """

    def __init__(
        self,
        secrets_client: Any,
        prefix: str,
        sandbox_hosts: frozenset[str],
        clock: Callable[[], float],
        latest_revocation: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._secrets = secrets_client
        self._prefix = prefix
        self._sandbox_hosts = sandbox_hosts
        self._clock = clock
        self._latest_revocation = latest_revocation
        self._looked_at = clock()
        self._revocation: str | None = None
        self._held: _Recent[str, _Held] = _Recent(MAX_CONNECTIONS)
        self._refused: _Recent[str, tuple[RelayError, float]] = _Recent(MAX_REFUSALS)
        self._previous: _Recent[str, _Previous] = _Recent(MAX_CONNECTIONS)
        self._gates: _Recent[str, _Gate] = _Recent(MAX_CONNECTIONS + MAX_REFUSALS)

    def get(self, id: str, *, fresh: bool = False) -> Connection:
        """Return the connection of this id.

        Cached for five minutes; an outdated one is served while Secrets Manager fails. ``fresh`` reads Secrets Manager
        in any case and never returns an outdated value: revoking an API key relies on it.

        Raises UnknownConnection, ConnectionInvalid (both remembered for a minute) or StoreUnavailable.
        """
        if not CONNECTION_ID.fullmatch(id):
            raise UnknownConnection("there is no such connection")
        if not fresh and (found := self.cached(id)) is not None:
            return found
        with self._gate(id).lock:
            if not fresh and (found := self.cached(id)) is not None:
                return found
            try:
                return self._fetch(id).connection
            except StoreUnavailable:
                held = self._held.get(id)
                if fresh or held is None:
                    raise
                self._held.put(id, replace(held, until=self._clock() + FAILING_SECONDS))
                return held.connection

    def cached(self, id: str) -> Connection | None:
        """Return what is cached and not outdated; reads nothing. Raises what ``get`` remembers of this id."""
        now = self._clock()
        refused = self._refused.get(id)
        if refused is not None and now < refused[1]:
            raise refused[0].with_traceback(None)
        held = self._held.get(id)
        return held.connection if held is not None and now < held.until else None

    def previous_webhook_secrets(self, id: str) -> tuple[WebhookSecret, ...]:
        """Return the webhook secrets of the version before the current one, for 24 hours after the change.

        They have that end as ``not_after``; secrets that the current version lists are left out, ended ones too. Raises
        what ``get`` raises: a delivery signed with the old secret must not be refused because Secrets Manager could not
        be read.
        """
        self.get(id)
        held = self._held.get(id)
        if held is None:
            return ()
        now = self._clock()
        ends = held.changed_at + timedelta(hours=PREVIOUS_HOURS)
        if datetime.fromtimestamp(now, UTC) >= ends:
            return ()
        known = self._previous.get(id)
        if known is not None and known.of_version == held.version_id and now < known.until:
            return known.secrets
        try:
            secrets = self._read_previous(id, held, ends)
        except StoreUnavailable:
            if known is not None and known.of_version == held.version_id:
                return known.secrets
            raise
        self._previous.put(id, _Previous(secrets, held.version_id, now + CACHE_SECONDS))
        return secrets

    def forget_revoked(self) -> None:
        """Forget what is cached if a webhook secret of any connection was revoked; looks every 45 seconds at most.

        Verification of webhooks calls this first. Never raises: while the table does not answer, a revocation takes
        effect when the cache ends.
        """
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            latest = self._latest_revocation()
        except StoreUnavailable:
            return
        if latest not in (None, self._revocation):
            self._held.clear()
            self._previous.clear()
        self._revocation = latest

    def refetch(self, id: str) -> bool:
        """Read Secrets Manager again, at most once a minute per connection; return whether the connection changed.

        For a failed signature or an upstream 401, which may mean that a secret was rotated a moment ago. Never raises:
        what is cached stays in use when nothing better is to be had. A secret that is replaced without overlap within
        the minute after a refetch is found when the minute is over.
        """
        if not CONNECTION_ID.fullmatch(id):
            return False
        gate = self._gate(id)
        with gate.lock:
            now = self._clock()
            if gate.refetched_at is not None and now - gate.refetched_at < REFETCH_SECONDS:
                return False
            gate.refetched_at = now
            before = self._held.get(id)
            try:
                after = self._fetch(id)
            except StoreUnavailable:
                return False
            except RelayError:
                return before is not None
            return before is None or before.version_id != after.version_id

    def list(self) -> list[str]:
        """Return the ids of all connections, sorted. Needs permission to list secrets, which only the tools have."""
        folder = f"{self._prefix}/connections/"
        ids = []
        try:
            pages = self._secrets.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [folder]}])
            for page in pages:
                for secret in page["SecretList"]:
                    name = secret["Name"].removeprefix(folder)
                    if secret["Name"].startswith(folder) and CONNECTION_ID.fullmatch(name):
                        ids.append(name)
        except aws.failures() as error:
            raise StoreUnavailable(f"secrets could not be listed: {aws.error_code(error)}") from error
        return sorted(ids)

    def _gate(self, id: str) -> _Gate:
        gate = self._gates.get(id)
        if gate is None:
            gate = _Gate()
            self._gates.put(id, gate)
        return gate

    def _fetch(self, id: str) -> _Held:
        try:
            answer = self._read(id, "AWSCURRENT")
            connection = self._parse(id, answer)
        except (UnknownConnection, ConnectionInvalid) as error:
            self._held.pop(id)
            self._refused.put(id, (error, self._clock() + REFUSAL_SECONDS))
            raise
        held = _Held(
            connection,
            str(answer.get("VersionId", "")),
            answer.get("CreatedDate") or datetime.fromtimestamp(self._clock(), UTC),
            self._clock() + CACHE_SECONDS,
        )
        self._held.put(id, held)
        self._refused.pop(id)
        return held

    def _read(self, id: str, stage: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._secrets.get_secret_value(
                SecretId=f"{self._prefix}/connections/{id}", VersionStage=stage
            )
        except aws.failures() as error:
            code = aws.error_code(error)
            if code in _GONE:
                raise UnknownConnection("there is no such connection") from error
            raise StoreUnavailable(f"the connection's secret could not be read: {code}") from error
        return answer

    def _parse(self, id: str, answer: dict[str, Any]) -> Connection:
        try:
            data = json.loads(answer.get("SecretString") or "")
        except ValueError:
            # Not chained: the decoder's exception carries the secret's whole text.
            raise ConnectionInvalid(id, [FieldProblem("(document)", "is not JSON")]) from None
        return parse_connection(id, data, sandbox_hosts=self._sandbox_hosts)

    def _read_previous(self, id: str, held: _Held, ends: datetime) -> tuple[WebhookSecret, ...]:
        try:
            before = self._parse(id, self._read(id, "AWSPREVIOUS"))
        except (UnknownConnection, ConnectionInvalid):
            return ()
        current = {secret.value for secret in held.connection.source.secrets}
        return tuple(
            replace(secret, not_after=min(secret.not_after or ends, ends))
            for secret in before.source.secrets
            if secret.value not in current
        )
