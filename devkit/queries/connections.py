"""Connections: all of them, one with the age of its secrets, what a check of it finds, and what its mapping makes.

No result has a value that authenticates; a preview has the values of its payload, which is why it is never kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from devkit.queries.checking import probe
from devkit.queries.hints import hint
from devkit.queries.subscriptions import findings_of
from devkit.queries.waking import wake
from devkit.samples.fixtures import Sample, load, topics
from devkit.samples.mapping import described, from_own_store, translation
from devkit.stacks.connection_store import PROMISE, ConnectionStore, redacted, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection, WebhookSecret
from loyalty_relay.model.errors import DeliveryRefused

CHECK_SECONDS = 20.0
"""For all probes of a check that a page waits for."""
LONGEST_PAYLOAD = 256 * 1024
"""Characters of an own payload in a preview."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """One connection of a list. ``state``: valid, or what is not."""

    id: str
    source: str
    destination: str
    state: str


@dataclass(frozen=True, slots=True)
class ConnectionRows:
    """The connections of a stack."""

    rows: Sequence[ConnectionRow]

    def as_json(self) -> list[dict[str, str]]:
        """Return what ``relay connections list --json`` prints."""
        return [asdict(row) for row in self.rows]


def list_connections(store: ConnectionStore) -> ConnectionRows:
    """Return every connection with its source and destination; one request each."""
    rows = []
    for name in store.ids():
        try:
            connection = store.read(name)
        except CommandError as error:
            wrong = ", ".join(detail["field"] for detail in error.details) or error.what
            rows.append(ConnectionRow(id=name, source="", destination="", state=f"not valid: {wrong}"))
            continue
        source, destination = connection.source, connection.destination
        rows.append(
            ConnectionRow(
                id=name,
                source=f"{source.platform} {' '.join(source.stores)}".strip(),
                destination=f"{destination.vendor} {destination.region or ''}".strip(),
                state="valid",
            )
        )
    return ConnectionRows(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAge:
    """One webhook secret without its value. Times are ISO 8601; ``state``: accepted, ends, ended or not yet."""

    name: str
    state: str
    begins: str = ""
    ends: str = ""
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView:
    """One connection, and how old its secrets are.

    ``data``: its JSON with whatever authenticates hidden. ``changed_at``: when its present version was stored, epoch
    seconds. ``problem``: why it is not valid.
    """

    id: str
    webhook_url: str
    data: Mapping[str, Any]
    changed_at: float
    previous_until: float | None
    """Until when webhook secrets of the version before are accepted as well; None where none are."""
    secrets: Sequence[SecretAge]
    problem: str = ""
    connection: Connection | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay connections show --json`` prints."""
        return {
            "id": self.id,
            "webhook_url": self.webhook_url,
            **self.data,
            "changed_at": self.changed_at,
            "previous_secrets_until": self.previous_until,
            "webhook_secrets": [asdict(secret) for secret in self.secrets],
            "problem": self.problem,
        }


def show_connection(stack: Stack, name: str, *, now: float) -> ConnectionView:
    """Return one connection. Raises NotFound."""
    store = store_of(stack)
    raw = store.raw(name)
    problem, connection = "", None
    try:
        connection = store.parse(name, raw)
    except CommandError as error:
        problem = ", ".join(f"{detail['field']}: {detail['message']}" for detail in error.details) or error.what
    changed_at = store.changed_at(name)
    previous_until = changed_at + PROMISE.total_seconds()
    before = store.previous(name) if now < previous_until else None
    return ConnectionView(
        id=name,
        webhook_url=webhook_url(stack, name),
        data=redacted(raw),
        changed_at=changed_at,
        previous_until=previous_until if before is not None else None,
        secrets=[secret_age(n, secret, now) for n, secret in enumerate(_secrets(connection), 1)],
        problem=problem,
        connection=connection,
    )


def webhook_url(stack: Stack, name: str) -> str:
    """Return the URL that the source delivers to; with a topic after it for sources that name none in the request."""
    return f"{stack.api_url}/webhooks/{name}"


def _secrets(connection: Connection | None) -> tuple[WebhookSecret, ...]:
    return connection.source.secrets if connection else ()


def secret_age(number: int, secret: WebhookSecret, now: float) -> SecretAge:
    """Return when a webhook secret is accepted. ``number``: its place in the connection's list."""
    if secret.not_before is not None and secret.not_before.timestamp() > now:
        state = "not yet"
    elif secret.not_after is None:
        state = "accepted"
    else:
        state = "ends" if secret.live(now) else "ended"
    return SecretAge(
        name=f"secret {number}",
        state=state,
        begins=_iso(secret.not_before),
        ends=_iso(secret.not_after),
        topics=secret.topics,
    )


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found. Each finding has ``what``, ``ok`` (None: unknown), ``message``, and ``who`` can fix it."""

    connection: str
    findings: Sequence[Mapping[str, Any]]
    woken: int = 0
    """Events that waited for the destination and are tried soon, as nothing is missing any more."""

    @property
    def ok(self) -> bool:
        """Whether nothing is known to be missing."""
        return all(finding["ok"] is not False for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay connections check --json`` prints."""
        return {
            "connection": self.connection,
            "ok": self.ok,
            "woken": self.woken,
            "findings": list(self.findings),
        }


def check_connection(stack: Stack, name: str, *, seconds: float = CHECK_SECONDS) -> Checked:
    """Return what a connection lacks at its destination and of its subscriptions.

    Requests that change nothing are sent to both ends; only where the connection allows it, subscriptions are revived.
    Where nothing is missing, events that wait for the destination are tried again within about a minute.
    """
    connection = store_of(stack).read(name)
    findings = probe(stack, connection, seconds=seconds) + findings_of(stack, connection, seconds=seconds)
    woken = wake(stack, name, works=connection) if all(finding["ok"] for finding in findings) else 0
    return Checked(connection=name, findings=findings, woken=woken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a body becomes under a connection, value by value. ``results``: see ``devkit.samples.mapping.described``."""

    connection: str
    destination: str
    results: Sequence[Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return what ``relay map --json`` prints."""
        return {"connection": self.connection, "destination": self.destination, "results": list(self.results)}


def preview(sample: Sample, connection: Connection) -> Preview:
    """Return what a sample becomes, by the code of ingest. Raises DeliveryRefused where it would be parked."""
    results = described(translation(sample, connection))
    return Preview(connection=connection.id, destination=connection.destination.vendor, results=results)


def preview_of(connection: Connection, topic: str, payload: str = "") -> Preview:
    """Return what a sample of a topic becomes, or a payload in the place of its body.

    Raises CommandError for a topic without a sample, and for a payload that is too long.
    """
    if len(payload) > LONGEST_PAYLOAD:
        raise CommandError("the payload is too long", where="payload", do=f"use at most {LONGEST_PAYLOAD} characters")
    sample = from_own_store(load(connection.source.platform, topic), connection)
    try:
        return preview(replace(sample, body=payload.encode()) if payload.strip() else sample, connection)
    except DeliveryRefused as error:
        what = f"this delivery would be parked: {error} ({error.reason})"
        raise CommandError(what, where="payload" if payload.strip() else topic, do=hint(error.reason)) from error


def topics_of(connection: Connection) -> list[str]:
    """Return the topics of which there are samples for a connection's platform."""
    return list(dict.fromkeys(topic.name for topic in topics(connection.source.platform)))
