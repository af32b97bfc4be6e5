"""API calls: the same operations, synchronously, for callers who wait.

The gateway has routed and authorized the request. Here the body becomes a command, the command an outcome, and the
outcome an HTTP answer; every failure is ``application/problem+json`` (RFC 9457).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from loyalty_relay.model.commands import Command, Envelope, Event
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.errors import (
    CustomerExists,
    FieldProblem,
    InvalidCommand,
    PermanentError,
    RelayError,
    StoreConflict,
    TransientError,
    UnsupportedByDestination,
)
from loyalty_relay.model.numbers import exact
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.pipeline.context import API
from loyalty_relay.pipeline.execute import Executed
from loyalty_relay.pipeline.link_store import link_to_dict
from loyalty_relay.telemetry import logs, metrics
from loyalty_relay.triggers.enqueue import enqueue

if TYPE_CHECKING:
    from pydantic import BaseModel

    from loyalty_relay.connections.model import Connection
    from loyalty_relay.destinations.base import CrmFieldsCrm
    from loyalty_relay.runtime.wiring import Services

LONGEST = 25.0
"""Seconds after which a caller is answered 504; the gateway itself would cut the request at 30 s."""

MAX_BODY = 256 * 1024
MAX_IDEMPOTENCY_KEY = 200
_MAY_BE_UNSENDABLE = re.compile(r"\\u(?:[dD][89a-fA-F]|[fF]{3}[eEfF])|[\ufffe\uffff]")
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""Halves of letters and non-characters: no queue takes them (SQS API reference: SendMessage)."""
Answer = dict[str, Any]
M = TypeVar("M", bound="BaseModel")


class BadRequest(RelayError):
    """The request is not of the form this API takes."""

    reason = "bad_request"
    status = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One API request with what its endpoint needs."""

    route: str
    path: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    delivery_id: str
    services: Services
    deadline: Deadline

    @property
    def connection(self) -> Connection:
        return self.services.connections.get(self.path["connection"])


def answer(event: dict[str, Any], context: Any, operation: str, services: Services) -> Answer:
    """An HTTP API request (payload 2.0) -> its answer. Never raises."""
    delivery_id = new_delivery_id(services.clock())
    connection = (event.get("pathParameters") or {}).get("connection", "")
    try:
        services.start(context)
        reply = _route(_request(event, context, delivery_id, services))
    except RelayError as error:
        metrics.count("Failures", operation=operation, connection=connection, reason=error.reason)
        reply = problem(error, delivery_id)
    except Exception as error:  # noqa: BLE001 - a caller gets an answer whatever happens, and we a log line
        logs.unexpected("api call failed", error, operation=operation, delivery_id=delivery_id)
        reply = problem(RelayError("an unforeseen error; it is logged under the delivery id"), delivery_id)
    logs.info("api", operation=operation, delivery_id=delivery_id, connection=connection, status=reply["statusCode"])
    return reply


def _request(event: dict[str, Any], context: Any, delivery_id: str, services: Services) -> ApiRequest:
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
    if len(body) > MAX_BODY:
        error = BadRequest(f"the body has more than {MAX_BODY} bytes")
        error.status = 413
        raise error
    left = min(LONGEST, context.get_remaining_time_in_millis() / 1000 - 1)
    return ApiRequest(
        route=event.get("routeKey", ""),
        path=event.get("pathParameters") or {},
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=body,
        delivery_id=delivery_id,
        services=services,
        deadline=Deadline(services.monotonic() + left, services.monotonic),
    )


def _route(request: ApiRequest) -> Answer:
    endpoint = ENDPOINTS.get(request.route)
    if endpoint is None:
        error = BadRequest("there is no such route here")
        error.status = 404
        raise error
    return endpoint(request)


# -- endpoints ----------------------------------------------------------------------------------------------------


def _register(request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import RegisterBody

    return _carry_out(request, _parse(request, RegisterBody).to_command())


def _update(request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import UpdateBody

    return _carry_out(request, _parse(request, UpdateBody).to_command(request.path["customer_id"]))


def _update_by_identifier(request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import UpdateByIdentifierBody

    return _carry_out(request, _parse(request, UpdateByIdentifierBody).to_update())


def _patch_crm_fields(request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import CrmFieldsBody

    body = _parse(request, CrmFieldsBody)
    crm = _crm(request, request.connection)
    try:
        return _carry_out(request, body.to_command(request.path["customer_id"], crm.command_field))
    except PermanentError as error:
        asked = {crm.command_field(name): f"fields.{name}" for name in body.fields}
        error.problems = tuple(replace(p, field=asked.get(p.field, p.field)) for p in error.problems)
        raise


def _link_store(request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import StoreLinkBody

    return _carry_out(request, _parse(request, StoreLinkBody).to_command())


def _crm_fields(request: ApiRequest) -> Answer:
    fields = _read(request, lambda crm: crm.crm_fields(request.path["customer_id"], request.deadline))
    return reply_json(200, {"fields": fields})


def _tags(request: ApiRequest) -> Answer:
    return reply_json(200, {"tags": _read(request, lambda crm: crm.tags(request.deadline))})


def _store_links(request: ApiRequest) -> Answer:
    connection = request.connection
    links = request.services.links.list(connection.id)
    return reply_json(200, {"store_links": [link_to_dict(link) for link in links]})


def _store_link(request: ApiRequest) -> Answer:
    link = request.services.links.get(request.connection.id, request.path["shop_id"])
    if link is None:
        error = PermanentError("no link of this shop is known")
        error.status, error.reason = 404, "store_link_not_found"
        raise error
    return reply_json(200, link_to_dict(link))


ENDPOINTS: dict[str, Callable[[ApiRequest], Answer]] = {
    "POST /connections/{connection}/customers": _register,
    "PUT /connections/{connection}/customers/{customer_id}": _update,
    "PUT /connections/{connection}/customers": _update_by_identifier,
    "GET /connections/{connection}/customers/{customer_id}/crm-fields": _crm_fields,
    "PATCH /connections/{connection}/customers/{customer_id}/crm-fields": _patch_crm_fields,
    "GET /connections/{connection}/tags": _tags,
    "POST /connections/{connection}/store-links": _link_store,
    "GET /connections/{connection}/store-links": _store_links,
    "GET /connections/{connection}/store-links/{shop_id}": _store_link,
}


def _crm(request: ApiRequest, connection: Connection) -> CrmFieldsCrm:
    crm = request.services.crm(connection)
    if "crm-patch" not in crm.operations:
        raise UnsupportedByDestination(f"{connection.destination.vendor} has no CRM fields")
    return cast("CrmFieldsCrm", crm)


def _read(request: ApiRequest, ask: Callable[[CrmFieldsCrm], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    connection = request.connection
    return request.services.pipeline.read(connection, connection.destination.key, lambda live: ask(_crm(request, live)))


# -- from body to answer ------------------------------------------------------------------------------------------


def _parse(request: ApiRequest, model: type[M]) -> M:
    from pydantic import ValidationError

    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        error = BadRequest("send application/json")
        error.status = 415
        raise error
    try:
        text = (request.body or b"null").decode()
        data = json.loads(text, parse_constant=_no_constant, parse_float=exact)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if _MAY_BE_UNSENDABLE.search(text) and _UNSENDABLE.search(json.dumps(data, ensure_ascii=False)):
        raise BadRequest("the body has code points that are no characters")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [
            FieldProblem(".".join(str(part) for part in item["loc"]) or "(body)", _sentence(item))
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidCommand("the body is not valid", problems=problems) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _sentence(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "is not a known name here"
    return str(item["msg"]).removeprefix("Value error, ")


def _carry_out(request: ApiRequest, command: Command) -> Answer:
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_IDEMPOTENCY_KEY:
        raise BadRequest(f"Idempotency-Key has more than {MAX_IDEMPOTENCY_KEY} characters")
    envelope = Envelope(
        delivery_id=request.delivery_id,
        connection=request.path["connection"],
        event=Event(source=API, topic=request.route, id=_event_id(request, key), entity_id=""),
        command=command,
        received_at=request.services.clock(),
    )
    if "respond-async" in request.headers.get("prefer", "").lower():
        return _enqueue(request, envelope)
    digest = (
        hashlib.sha256(json.dumps(request.path, sort_keys=True).encode() + request.body).hexdigest() if key else None
    )
    try:
        executed = request.services.pipeline.execute(envelope, request.deadline, payload_digest=digest)
    except RelayError as error:
        _, entry = request.services.pipeline.recorder.failed(envelope, error, Result.IGNORED)
        request.services.journal.write(entry)
        raise
    metrics.count(
        "Outcomes",
        operation=command.operation,
        destination=request.connection.destination.vendor,
        source=API,
        connection=envelope.connection,
        topic=request.route,
        outcome=executed.outcome.result.value,
    )
    return _reply(request, executed)


def _event_id(request: ApiRequest, key: str) -> str:
    """A caller's key may well be a customer's e-mail or a receipt's number, and the journal keeps event ids."""
    if not key:
        return request.delivery_id
    return "key:" + request.services.digests.identity(request.path["connection"], "idempotency_key", key)


def _enqueue(request: ApiRequest, envelope: Envelope) -> Answer:
    request.services.connections.get(envelope.connection)
    enqueue([envelope], request.services.sqs, request.services.settings)
    return reply_json(202, {"delivery_id": envelope.delivery_id, "result": "accepted"})


def _reply(request: ApiRequest, executed: Executed) -> Answer:
    outcome = executed.outcome
    body = outcome_body(outcome, request.delivery_id, replayed=executed.replayed)
    headers = {"idempotent-replayed": "true"} if executed.replayed else {}
    return reply_json(201 if outcome.created else 200, body, headers)


def outcome_body(outcome: Outcome, delivery_id: str, *, replayed: bool = False) -> dict[str, Any]:
    """An outcome as the API shows it. A replay shows what was kept: no details, codes without messages."""
    body: dict[str, Any] = {"delivery_id": delivery_id, "result": outcome.result.value, "replayed": replayed}
    if outcome.reason:
        body["reason"] = outcome.reason
    if outcome.loyalty_id is not None:
        body["loyalty_id"] = outcome.loyalty_id
    body["created"] = outcome.created
    body["fields"] = list(outcome.fields)
    body["notices"] = [{k: v for k, v in asdict(notice).items() if v} for notice in outcome.notices]
    if outcome.request_id:
        body["request_id"] = outcome.request_id
    if outcome.details:
        body["details"] = dict(outcome.details)
    return {**body, **outcome.ids}


def problem(error: RelayError, delivery_id: str) -> Answer:
    """An error as RFC 9457 problem details."""
    body: dict[str, Any] = {
        "type": f"urn:loyalty-relay:problem:{error.reason}",
        "title": error.reason.replace("_", " "),
        "status": error.status,
        "detail": str(error),
        "delivery_id": delivery_id,
    }
    if error.code:
        body["code"] = error.code
    if error.request_id:
        body["request_id"] = error.request_id
    if isinstance(error, PermanentError) and error.problems:
        body["errors"] = [p.to_dict() for p in error.problems]
    if isinstance(error, CustomerExists) and error.loyalty_id is not None:
        body["loyalty_id"] = error.loyalty_id
    if isinstance(error, StoreConflict) and error.existing:
        body["existing"] = error.existing
    headers = {"content-type": "application/problem+json"}
    if isinstance(error, TransientError) and error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return {"statusCode": error.status, "headers": headers, "body": json.dumps(body)}


def reply_json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": json.dumps(body, ensure_ascii=False, default=str),
    }
