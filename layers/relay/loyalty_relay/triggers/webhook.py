"""ingest: an HTTP request of a platform becomes commands in queues, or is refused without a reason.

    size ─► connection ─► handshake ─► signature and window ─► store ─► read ─► translate ─► queues ─► success
     413     401, 503      its reply          401                401     └─ parked raw ─┘      503
                                                                         nothing to do: journal

Every refusal looks the same from outside, whatever its cause; the log names the cause and nothing of the request.
No destination is called here, and every import is paid for by a cold start.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from loyalty_relay.connections.model import CONNECTION_ID, Connection, WebhookSecret
from loyalty_relay.model.commands import Command, Envelope
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.errors import (
    BodyTooLarge,
    ConnectionInvalid,
    NotAuthentic,
    RelayError,
    StoreUnavailable,
    UnknownConnection,
    UnsupportedFormat,
    Untranslatable,
)
from loyalty_relay.model.outcomes import Result
from loyalty_relay.sources import may_read_from, platforms, source_module
from loyalty_relay.sources.base import (
    MAX_ENTITIES,
    Change,
    Reply,
    Request,
    SourceModule,
    Verdict,
    bounded,
    listed,
    not_later,
)
from loyalty_relay.sources.parsing import body_digest
from loyalty_relay.telemetry import logs, metrics
from loyalty_relay.translation.translate import Skip, translate
from loyalty_relay.triggers.enqueue import ATTRIBUTES, MAX_BYTES, enqueue

if TYPE_CHECKING:
    from loyalty_relay.triggers.collaborators import Collaborators

MAX_BODY = 2 * 1024 * 1024
"""Bytes. Platforms send a few kilobytes; what is larger is no event."""

REFUSED_SECONDS = 60.0
"""Between two writes of how many deliveries were refused."""

DELIVERY_HEADER = "x-relay-delivery"
"""Names the delivery in the answer to an authentic request, for the journal's readers."""

REFUSED = Reply(status=401, body='{"title":"Unauthorized","status":401}', headers={"content-type": "application/json"})
TOO_LARGE = Reply(
    status=413, body='{"title":"Content Too Large","status":413}', headers={"content-type": "application/json"}
)
UNSUPPORTED = Reply(
    status=415, body='{"title":"Unsupported Media Type","status":415}', headers={"content-type": "application/json"}
)
UNAVAILABLE = Reply(
    status=503,
    body='{"title":"Service Unavailable","status":503}',
    headers={"content-type": "application/json", "retry-after": "30"},
)

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
CREDENTIAL_QUERY = frozenset({"access_token", "token", "key", "signature"})


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle an API Gateway event of payload 2.0 or 1.0, or ``{"redrive": PARKED}`` from an operator's tool.

    API Gateway builds its events itself, so that no request from outside can look like the latter.
    """
    ingest = _ingest()
    if "redrive" in event and "requestContext" not in event:
        return ingest.redrive(event["redrive"])
    return ingest.answer(event)


@cache
def _ingest() -> Ingest:
    from loyalty_relay.runtime.wiring import shared

    return Ingest(shared())


class _Refusal(Exception):
    """Ends the handling of a request with a reply that gives no reason; ``reason`` is for the log."""

    def __init__(self, reason: str, reply: Reply = REFUSED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class _WrongStore(_Refusal):
    """The delivery is authentic, and of a store that the connection does not list."""

    def __init__(self) -> None:
        super().__init__("wrong_store")


class Ingest:
    """One instance per process; its only state is how many deliveries it has refused."""

    def __init__(self, services: Collaborators, new_id: Callable[[float], str] = new_delivery_id) -> None:
        self._services = services
        self._new_id = new_id
        self._refused: dict[str, int] = {}
        """By existing connection, since ``_counted_at``."""
        self._counted_at = 0.0

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one API Gateway event. Never raises for anything a sender can do."""
        connection_id = _path_parameter(event, "connection", 2)
        request = None
        try:
            request = _request(event)
            reply = self._handle(connection_id, request)
        except _Refusal as refusal:
            known = connection_id if CONNECTION_ID.fullmatch(connection_id) else None
            logs.warning("delivery refused", reason=refusal.reason, connection=known)
            metrics.count("Unavailable" if refusal.reply.status >= 500 else "Refused", reason=refusal.reason)
            reply = refusal.reply
            if reply is REFUSED and request is not None:
                reply = _greeting(request) or reply
        except Exception as error:  # noqa: BLE001 - the runtime would log its text, which may hold anything that was sent
            logs.unexpected("delivery failed", error)
            metrics.count("Unavailable", reason="crashed")
            reply = UNAVAILABLE
        self._services.write_counts()
        return {"statusCode": reply.status, "headers": dict(reply.headers), "body": reply.body}

    # -- who sends, and whether it is true ------------------------------------------------------------------------

    def _handle(self, connection_id: str, request: Request) -> Reply:
        if len(request.body) > MAX_BODY:
            raise _Refusal("too_large", TOO_LARGE)
        connection = self._connection(connection_id)
        try:
            return self._answered(connection, request)
        except _Refusal as refusal:
            if refusal.reply is REFUSED:
                self._refused[connection_id] = self._refused.get(connection_id, 0) + 1
            raise

    def _answered(self, connection: Connection, request: Request) -> Reply:
        module = source_module(connection.source.platform)
        host = connection.source.api_host
        if module.fetches_keys and host and not may_read_from(host, module, self._services.settings.sandbox_hosts):
            # ``relay connections apply`` refuses it, but secrets can be written by other tools.
            raise _Refusal("api_host", UNAVAILABLE)
        if (shaken := module.handshake(request, connection.source)) is not None:
            logs.info("handshake", connection=connection.id, source=module.platform, **shaken.note)
            return shaken
        if request.method != "POST":
            raise _Refusal("method")
        try:
            return self._taken(connection, module, request)
        except _WrongStore:
            # An operator may have just added the store, and some platforms never send again what was refused.
            if not self._services.connections.refetch(connection.id):
                raise
        return self._taken(self._connection(connection.id), module, request)

    def _taken(self, connection: Connection, module: SourceModule, request: Request) -> Reply:
        connection = self._authenticated(connection, module, request)
        delivery = _AuthenticDelivery(self._services, connection, module, request, self._new_id)
        try:
            delivery.accept()
        except NotAuthentic:
            raise _WrongStore() from None
        except BodyTooLarge:
            raise _Refusal("too_large", TOO_LARGE) from None
        except UnsupportedFormat as error:
            raise _Refusal(error.reason, UNSUPPORTED) from None
        except StoreUnavailable as error:
            logs.error("delivery not taken", reason=error.reason, connection=connection.id)
            metrics.count("Unavailable", reason=error.reason, connection=connection.id)
            return UNAVAILABLE
        self._count_refused()
        reply = module.accepted(request)
        return Reply(status=reply.status, body=reply.body, headers={**reply.headers, DELIVERY_HEADER: delivery.id})

    def _count_refused(self) -> None:
        # With an authentic delivery only: a refusal has no effect of its own, and takes as long as every other.
        if self._refused and self._services.clock() - self._counted_at >= REFUSED_SECONDS:
            for connection, count in self._refused.items():
                self._services.counters.refused(connection, count)
            self._refused.clear()
            self._counted_at = self._services.clock()

    def _connection(self, connection_id: str) -> Connection:
        if not CONNECTION_ID.fullmatch(connection_id):
            raise _Refusal("unknown_connection")
        self._services.connections.forget_revoked()
        try:
            return self._services.connections.get(connection_id)
        except UnknownConnection:
            raise _Refusal("unknown_connection") from None
        except (StoreUnavailable, ConnectionInvalid) as error:
            # An operator's mistake must not cost events: most senders try again after a 503.
            raise _Refusal(error.reason, UNAVAILABLE) from None

    def _authenticated(self, connection: Connection, module: SourceModule, request: Request) -> Connection:
        """Return the connection under whose secrets the request is authentic, read again if it has just changed."""
        if connection.source.unsigned:
            if not module.may_be_unsigned:
                raise _Refusal("no_secret")
        else:
            verdict, connection = self._verdict(connection, module, request)
            if not verdict:
                raise _Refusal(verdict.value, UNAVAILABLE if verdict is Verdict.UNDECIDED else REFUSED)
        store = module.store(request, connection.source)
        if store is not None and not listed(store, connection.source):
            raise _WrongStore()
        return connection

    def _verdict(self, connection: Connection, module: SourceModule, request: Request) -> tuple[Verdict, Connection]:
        """Try the current secrets, then the previous version's, then, once a minute, those read again."""
        now = self._services.clock()
        connections = self._services.connections
        verdict = _verify(module, request, connection, connection.source.secrets, now)
        if verdict is not Verdict.WRONG:
            return verdict, connection
        try:
            previous = connections.previous_webhook_secrets(connection.id)
            if found := _verify(module, request, connection, previous, now):
                return found, connection
            if connections.refetch(connection.id):
                connection = connections.get(connection.id)
                verdict = _verify(module, request, connection, connection.source.secrets, now)
        except UnknownConnection:
            raise _Refusal("unknown_connection") from None
        except (StoreUnavailable, ConnectionInvalid) as error:
            raise _Refusal(error.reason, UNAVAILABLE) from None
        if not connection.source.secrets and module.needs_secrets:
            raise _Refusal("no_secret")
        return verdict, connection

    # -- parked deliveries ----------------------------------------------------------------------------------------

    def redrive(self, parked: Mapping[str, Any]) -> dict[str, Any]:
        """Read, translate and send a delivery that was parked raw; it was authentic then.

        ``{"outcome": "sent" | "ignored" | "parked", "reason": ..., "delivery_id": ...}``. What still cannot be
        translated is not parked again: the parked copy is there. Raises StoreUnavailable, UnknownConnection or
        ConnectionInvalid.
        """
        connection = self._services.connections.get(parked["connection"])
        module = source_module(connection.source.platform)
        body = zlib.decompress(base64.b64decode(parked["body"]))
        request = Request(
            method=parked["method"],
            headers=parked["headers"],
            query=parked["query"],
            body=body,
            topic=parked.get("topic"),
        )
        delivery = _AuthenticDelivery(self._services, connection, module, request, lambda _: str(parked["delivery_id"]))
        delivery.received_at = float(parked["received_at"])
        try:
            reason = delivery.carry_out()
        except Untranslatable as error:
            return {"outcome": "parked", "reason": error.reason, "delivery_id": delivery.id}
        self._services.write_counts()
        return {"outcome": "ignored" if reason else "sent", "reason": reason, "delivery_id": delivery.id}


def _greeting(request: Request) -> Reply | None:
    """Return the reply to a handshake that every id gets, existing or not; None for everything else."""
    return next((reply for name in platforms() if (reply := source_module(name).greeting(request))), None)


def _verify(
    module: SourceModule, request: Request, connection: Connection, secrets: tuple[WebhookSecret, ...], now: float
) -> Verdict:
    topic = module.topic(request)
    proves = connection.source.proves(topic)
    # A secret that is only for some topics verifies no others, and where there is one for the topic, no other does.
    fit = [secret for secret in secrets if secret.live(now) and (secret.signs(topic) if proves else not secret.topics)]
    live = [secret.value for secret in fit]
    if not live and module.needs_secrets:
        return Verdict.WRONG
    return module.verify(request, connection.source, live, now)


class _AuthenticDelivery:
    """An authentic delivery on its way to the queues."""

    def __init__(
        self,
        services: Collaborators,
        connection: Connection,
        module: SourceModule,
        request: Request,
        new_id: Callable[[float], str],
    ) -> None:
        self._services = services
        self._connection = connection
        self._module = module
        self._request = request
        self.received_at = services.clock()
        self.id = new_id(self.received_at)

    def accept(self) -> None:
        """Send what it leads to, or park it as it is.

        Raises NotAuthentic, BodyTooLarge, UnsupportedFormat or StoreUnavailable.
        """
        try:
            ignored = self.carry_out()
        except Untranslatable as error:
            self._park(error)
            return
        names: dict[str, Any] = {"connection": self._connection.id, "source": self._module.platform}
        metrics.count("Deliveries", outcome=Result.IGNORED.value if ignored else "accepted", **names)

    def carry_out(self) -> str:
        """Read, translate, enqueue, and journal what needs nothing. Return the reason when nothing was sent.

        Raises NotAuthentic, UnsupportedFormat, StoreUnavailable, and Untranslatable: of several entities those that can
        be translated have been sent by then, and sending them again is sending duplicates.
        """
        envelopes, skipped, problem = self._translated()
        enqueue(envelopes, self._services.sqs, self._services.settings)
        for reason, (position, change) in skipped.items():
            self._journal(Result.IGNORED, reason, position=position, change=change)
        if problem is not None:
            raise problem
        return "" if envelopes else next(iter(skipped), "no_changes")

    def _translated(self) -> tuple[list[Envelope], dict[str, tuple[int, Change]], Untranslatable | None]:
        """Return what to send, the first change of each reason for which nothing is sent, and the first problem.

        A bug of ours in reading a body is no reason to lose it: it is parked like a body that breaks the rules.
        """
        try:
            changes = [self._in_time(bounded(c)) for c in self._module.read(self._request, self._connection.source)]
            translated = [self._commands(change) for change in changes[: MAX_ENTITIES + 1]]
        except RelayError:
            raise
        except Exception as error:
            logs.unexpected("delivery not readable", error, connection=self._connection.id)
            raise Untranslatable("crashed") from error
        if len(translated) > MAX_ENTITIES:
            raise Untranslatable("too_many_entities")
        envelopes: list[Envelope] = []
        skipped: dict[str, tuple[int, Change]] = {}
        problem: Untranslatable | None = None
        for position, (change, commands) in enumerate(zip(changes, translated, strict=True)):
            if isinstance(commands, Untranslatable):
                commands.position = position
                problem = problem or commands
            elif isinstance(commands, Skip):
                skipped.setdefault(commands.reason, (position, change))
            else:
                envelopes += [self._envelope(change, command, position) for command in commands]
        longest = MAX_BYTES - ATTRIBUTES
        if len(self._request.body) > MAX_BYTES // 8 and any(len(e.to_json().encode()) > longest for e in envelopes):
            raise Untranslatable("too_large")
        return envelopes, skipped, problem

    def _in_time(self, change: Change) -> Change:
        kept = not_later(change, self.received_at, signed=self._module.signs_event_time)
        if kept is not change and self._module.signs_event_time:
            logs.warning("version from the future", connection=self._connection.id, source=self._module.platform)
        return kept

    def _commands(self, change: Change) -> list[Command] | Skip | Untranslatable:
        try:
            return translate(change, self._connection)
        except Untranslatable as error:
            return error

    def _envelope(self, change: Change, command: Command, position: int) -> Envelope:
        return Envelope(
            delivery_id=self.id,
            connection=self._connection.id,
            event=change.event,
            command=command,
            position=position,
            received_at=self.received_at,
        )

    def _park(self, problem: Untranslatable) -> None:
        parked = self._parked(problem)
        if len(json.dumps(parked)) > MAX_BYTES - ATTRIBUTES:
            raise BodyTooLarge()
        fingerprint = body_digest(self._connection.id, self._request.body)
        self._services.parking.park_raw(parked, self._connection.id, problem.reason, self.id, fingerprint)
        names: dict[str, Any] = {"connection": self._connection.id, "source": self._module.platform}
        logs.error("delivery parked", reason=problem.reason, delivery_id=self.id, **names)
        metrics.count("Deliveries", outcome=Result.PARKED.value, reason=problem.reason, **names)
        try:
            self._journal(Result.PARKED, problem.reason, position=problem.position)
        except StoreUnavailable:
            # The queue has it; refusing it now would only park it twice.
            logs.warning("journal not written", delivery_id=self.id, **names)

    def _parked(self, problem: Untranslatable) -> dict[str, Any]:
        """Return the delivery as an operator redrives it, without headers and parameters that are credentials."""
        request = self._request
        secret = CREDENTIAL_HEADERS | self._module.secret_headers
        return {
            "schema": 1,
            "kind": "delivery",
            "delivery_id": self.id,
            "connection": self._connection.id,
            "source": self._module.platform,
            "received_at": self.received_at,
            "reason": problem.reason,
            "detail": str(problem),
            "method": request.method,
            "topic": request.topic,
            "headers": {name: value for name, value in request.headers.items() if name not in secret},
            "query": {name: value for name, value in request.query.items() if name not in CREDENTIAL_QUERY},
            "body": base64.b64encode(zlib.compress(request.body, 6)).decode(),
        }

    def _journal(self, result: Result, reason: str, *, position: int = 0, change: Change | None = None) -> None:
        from loyalty_relay.reliability.journal import INGEST, JournalEntry

        event = change.event if change is not None else None
        self._services.journal.write(
            JournalEntry(
                delivery_id=self.id,
                position=position,
                connection=self._connection.id,
                result=result,
                reason=reason,
                source=self._module.platform,
                topic=event.topic if event else "",
                event_id=event.id if event else "",
                operation=INGEST,
                occurred_at=event.time if event else "",
                received_at=self.received_at,
                finished_at=self._services.clock(),
            )
        )


# -- API Gateway --------------------------------------------------------------------------------------------------


def _request(event: Mapping[str, Any]) -> Request:
    """Return the request in an event.

    Only the flag decides whether the body is base64: the gateway sets it by content type, not always as documented.
    """
    http = (event.get("requestContext") or {}).get("http") or {}
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            raw = base64.b64decode(body, validate=True)
        except ValueError:
            raise _Refusal("malformed_body") from None
    else:
        raw = body.encode("utf-8", "surrogatepass")
    headers: dict[str, str] = {}
    for name, value in (event.get("headers") or {}).items():
        headers[str(name).lower()] = str(value)
    return Request(
        method=str(http.get("method") or event.get("httpMethod") or "").upper(),
        headers=headers,
        query={str(name): str(value) for name, value in (event.get("queryStringParameters") or {}).items()},
        body=raw,
        topic=_path_parameter(event, "topic", 3) or None,
    )


def _path_parameter(event: Mapping[str, Any], name: str, index: int) -> str:
    """Return a parameter of ``/webhooks/{connection}/{topic}``, out of the path where the gateway names none."""
    parameters = event.get("pathParameters")
    if isinstance(parameters, Mapping) and parameters.get(name):
        return str(parameters[name])
    if isinstance(parameters, Mapping) and parameters.get("connection"):
        return ""
    parts = str(event.get("rawPath") or event.get("path") or "").split("/")
    at = parts.index("webhooks") if "webhooks" in parts else 0
    return parts[at + index - 1] if len(parts) > at + index - 1 else ""
