"""API calls: the same operations, executed while the caller waits.

The gateway has routed and authorized the request. Here the body becomes a command, the command an outcome, and the
outcome an HTTP response; every failure is ``application/problem+json`` (RFC 9457).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from loyalty_relay.model.commands import MAX_ID, Command, Envelope, Event, instant, instant_at
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
from loyalty_relay.model.json_validation import unknown_field
from loyalty_relay.model.numbers import exact, no_constant
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.pipeline.context import API
from loyalty_relay.pipeline.execute import Executed
from loyalty_relay.pipeline.link_store import link_to_dict
from loyalty_relay.sources.base import MAX_AHEAD
from loyalty_relay.telemetry import logs, metrics
from loyalty_relay.triggers.enqueue import enqueue

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from loyalty_relay.connections.model import Connection
    from loyalty_relay.destinations.base import CrmFieldsCrm
    from loyalty_relay.pipeline.execute import Pipeline
    from loyalty_relay.runtime.wiring import Services
    from loyalty_relay.storage.digests import Digests

LONGEST = 25.0
"""Seconds after which a caller gets a 504; the gateway itself would cut the request at 30 s."""

MAX_BODY = 256 * 1024
MAX_IDEMPOTENCY_KEY = 200
_MAY_BE_UNSENDABLE = re.compile(r"\\u(?:[dD][89a-fA-F]|[fF]{3}[eEfF])|[\ufffe\uffff]")
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""Lone surrogates and non-characters, which no queue accepts (SQS API reference: SendMessage)."""
Answer = dict[str, Any]
M = TypeVar("M", bound="BaseModel")


class BadRequest(RelayError):
    """The request does not have the form that this API requires."""

    reason = "bad_request"
    status = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One API request."""

    route: str
    path: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    delivery_id: str
    received_at: float
    deadline: Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What endpoints work with."""

    pipeline: Pipeline
    digests: Callable[[], Digests]
    """Their key is read with the first call."""
    enqueue: Callable[[Envelope], None]
    """Send a command to its operation's queue."""

    def connection(self, request: ApiRequest) -> Connection:
        """Return the connection that the request's path names."""
        return self.pipeline.connections.get(request.path["connection"])


def answer(event: dict[str, Any], context: Any, operation: str, services: Services) -> Answer:
    """Return the response to an HTTP API request (payload 2.0). Never raises."""
    delivery_id = new_delivery_id(services.clock())
    connection = (event.get("pathParameters") or {}).get("connection", "")
    try:
        services.start(context)
        api = Api(
            pipeline=services.pipeline,
            digests=lambda: services.digests,
            enqueue=lambda envelope: enqueue([envelope], services.sqs, services.settings),
        )
        left = min(LONGEST, context.get_remaining_time_in_millis() / 1000 - 1)
        deadline = Deadline(services.monotonic() + left, services.monotonic)
        reply = _route(api, _request(event, delivery_id, services.clock(), deadline))
    except RelayError as error:
        metrics.count("Failures", operation=operation, connection=connection, reason=error.reason)
        reply = problem(error, delivery_id)
    except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a response and the log a line
        logs.unexpected("api call failed", error, operation=operation, delivery_id=delivery_id)
        reply = problem(RelayError("an unexpected error; the log has it under the delivery id"), delivery_id)
    logs.info("api", operation=operation, delivery_id=delivery_id, connection=connection, status=reply["statusCode"])
    services.write_counts(left=context.get_remaining_time_in_millis() / 1000)
    return reply


def _request(event: dict[str, Any], delivery_id: str, now: float, deadline: Deadline) -> ApiRequest:
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
    if len(body) > MAX_BODY:
        error = BadRequest(f"the body has more than {MAX_BODY} bytes")
        error.status = 413
        raise error
    path = event.get("pathParameters") or {}
    if too_long := [name for name, value in path.items() if len(value) > MAX_ID]:
        problems = [FieldProblem(name, f"must have at most {MAX_ID} characters") for name in too_long]
        raise InvalidCommand("the path is not valid", problems=problems)
    return ApiRequest(
        route=event.get("routeKey", ""),
        path=path,
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=body,
        delivery_id=delivery_id,
        received_at=now,
        deadline=deadline,
    )


def _route(api: Api, request: ApiRequest) -> Answer:
    endpoint = ENDPOINTS.get(request.route)
    if endpoint is None:
        error = BadRequest("there is no such route")
        error.status = 404
        raise error
    return endpoint(api, request)


# -- endpoints ----------------------------------------------------------------------------------------------------


def _register(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import RegisterBody

    return _carry_out(api, request, _parse(request, RegisterBody).to_command())


def _update(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import UpdateBody

    body = _parse(request, UpdateBody)
    return _carry_out(api, request, body.to_command(request.path["customer_id"]), force=body.force)


def _update_by_identifier(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import UpdateByIdentifierBody

    body = _parse(request, UpdateByIdentifierBody)
    return _carry_out(api, request, body.to_update(), force=body.force)


def _patch_crm_fields(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import CrmFieldsBody

    body = _parse(request, CrmFieldsBody)
    crm = _crm(api, api.connection(request))
    try:
        command = body.to_command(request.path["customer_id"], crm.command_field)
        return _carry_out(api, request, command, force=body.force)
    except PermanentError as error:
        asked = {crm.command_field(name): f"fields.{name}" for name in body.fields}
        error.problems = tuple(replace(p, field=asked.get(p.field, p.field)) for p in error.problems)
        raise


def _link_store(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.api_bodies import StoreLinkBody

    return _carry_out(api, request, _parse(request, StoreLinkBody).to_command())


def _record_sale(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.sale_bodies import SaleBody

    body = _parse(request, SaleBody)
    _not_later(request, sold_at=body.sold_at)
    return _carry_out(api, request, body.to_command())


def _record_refund(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.sale_bodies import RefundBody

    body = _parse(request, RefundBody)
    _not_later(request, refunded_at=body.refunded_at)
    return _carry_out(api, request, body.to_command(request.path["order_id"]))


def _record_return(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.sale_bodies import ReturnBody

    body = _parse(request, ReturnBody)
    _not_later(request, refunded_at=body.refunded_at)
    return _carry_out(api, request, body.to_return())


def _void_sale(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.triggers.sale_bodies import void_of

    return _carry_out(api, request, void_of(request.path["order_id"]))


def _sale(api: Api, request: ApiRequest) -> Answer:
    from loyalty_relay.pipeline.order_view import order_to_dict

    state = api.pipeline.sales().orders.lookup(api.connection(request).id, request.path["order_id"])
    if state is None:
        error = PermanentError("nothing is known of this order")
        error.status, error.reason = 404, "order_not_found"
        raise error
    return reply_json(200, order_to_dict(state))


def _crm_fields(api: Api, request: ApiRequest) -> Answer:
    fields = _read(api, request, lambda crm: crm.crm_fields(request.path["customer_id"], request.deadline))
    return reply_json(200, {"fields": fields})


def _tags(api: Api, request: ApiRequest) -> Answer:
    return reply_json(200, {"tags": _read(api, request, lambda crm: crm.tags(request.deadline))})


def _store_links(api: Api, request: ApiRequest) -> Answer:
    links = api.pipeline.links.list(api.connection(request).id, request.deadline)
    return reply_json(200, {"store_links": [link_to_dict(link) for link in links]})


def _store_link(api: Api, request: ApiRequest) -> Answer:
    link = api.pipeline.links.get(api.connection(request).id, request.path["shop_id"])
    if link is None:
        error = PermanentError("no link of this shop is known")
        error.status, error.reason = 404, "store_link_not_found"
        raise error
    return reply_json(200, link_to_dict(link))


ENDPOINTS: dict[str, Callable[[Api, ApiRequest], Answer]] = {
    "POST /connections/{connection}/customers": _register,
    "PUT /connections/{connection}/customers/{customer_id}": _update,
    "PUT /connections/{connection}/customers": _update_by_identifier,
    "GET /connections/{connection}/customers/{customer_id}/crm-fields": _crm_fields,
    "PATCH /connections/{connection}/customers/{customer_id}/crm-fields": _patch_crm_fields,
    "GET /connections/{connection}/tags": _tags,
    "POST /connections/{connection}/store-links": _link_store,
    "GET /connections/{connection}/store-links": _store_links,
    "GET /connections/{connection}/store-links/{shop_id}": _store_link,
    "POST /connections/{connection}/sales": _record_sale,
    "POST /connections/{connection}/sales/{order_id}/refunds": _record_refund,
    "POST /connections/{connection}/sales/{order_id}/void": _void_sale,
    "GET /connections/{connection}/sales/{order_id}": _sale,
    "POST /connections/{connection}/returns": _record_return,
}


SALES = frozenset(
    route for route in ENDPOINTS if route.startswith("POST") and ("/sales" in route or "returns" in route)
)
"""Routes whose success is that something was booked or recorded."""


def _crm(api: Api, connection: Connection) -> CrmFieldsCrm:
    crm = api.pipeline.crm(connection)
    if "crm-patch" not in crm.operations:
        raise UnsupportedByDestination(f"{connection.destination.vendor} has no CRM fields")
    return cast("CrmFieldsCrm", crm)


def _read(api: Api, request: ApiRequest, ask: Callable[[CrmFieldsCrm], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    connection = api.connection(request)
    return api.pipeline.read(connection, connection.destination.key, lambda live: ask(_crm(api, live)))


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
        data = json.loads(text, parse_constant=no_constant, parse_float=exact)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if _MAY_BE_UNSENDABLE.search(text) and _UNSENDABLE.search(json.dumps(data, ensure_ascii=False)):
        raise BadRequest("the body has code points that are not characters")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [
            FieldProblem(".".join(str(part) for part in item["loc"]) or "(body)", _message(item, model))
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidCommand("the body is not valid", problems=problems) from None


def _message(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return the message for one validation error of a body."""
    if item["type"] != "extra_forbidden":
        return str(item["msg"]).removeprefix("Value error, ")
    *path, name = item["loc"]
    known: Any = model
    for part in path:
        if isinstance(part, str) and known is not None:
            known = _model_of(known.model_fields[part].annotation)
    return unknown_field(str(name), known.model_fields if known else ())


def _model_of(annotation: Any) -> Any:
    """Return the body model inside an annotation such as ``list[Model] | None``."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_of, get_args(annotation))), None)


def _not_later(request: ApiRequest, **moments: datetime | None) -> None:
    """Raise InvalidCommand for a moment after the present, by more than clocks may differ."""
    latest = instant_at(request.received_at + MAX_AHEAD)
    late = [name for name, moment in moments.items() if moment is not None and instant(moment) > latest]
    if late:
        problems = [FieldProblem(name, "must not be in the future") for name in late]
        raise InvalidCommand("the body is not valid", problems=problems)


def _carry_out(api: Api, request: ApiRequest, command: Command, *, force: bool = False) -> Answer:
    latest = instant_at(request.received_at + MAX_AHEAD)
    if command.version is not None and command.version.value > latest:
        # Such a version would make every later event stale.
        raise InvalidCommand("the body is not valid", problems=[FieldProblem("as_of", "must not be in the future")])
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_IDEMPOTENCY_KEY:
        raise BadRequest(f"Idempotency-Key has more than {MAX_IDEMPOTENCY_KEY} characters")
    envelope = Envelope(
        delivery_id=request.delivery_id,
        connection=request.path["connection"],
        event=Event(source=API, topic=request.route, id=_event_id(api, request, key), entity_id=""),
        command=command,
        received_at=request.received_at,
        force=force,
        payload_digest=_payload_digest(api, request) if key else None,
    )
    if "respond-async" in request.headers.get("prefer", "").lower():
        return _enqueue(api, envelope)
    try:
        executed = api.pipeline.execute(envelope, request.deadline)
    except RelayError as error:
        _, entry = api.pipeline.recorder.failed(envelope, error, Result.IGNORED)
        api.pipeline.recorder.journal.write(entry)
        raise
    metrics.count(
        "Outcomes",
        operation=command.operation,
        destination=api.connection(request).destination.vendor,
        source=API,
        connection=envelope.connection,
        topic=request.route,
        outcome=executed.outcome.result.value,
    )
    return _reply(request, executed)


def _event_id(api: Api, request: ApiRequest, key: str) -> str:
    """Return the event's id, which the journal keeps: a caller's key can be a customer's e-mail or phone."""
    if not key:
        return request.delivery_id
    return "key:" + api.digests().identity(request.path["connection"], "idempotency_key", key)


def _payload_digest(api: Api, request: ApiRequest) -> str:
    """Return the digest of what a replay must repeat. It is kept with the key, so it must not disclose a short body."""
    payload = hashlib.sha256(json.dumps(request.path, sort_keys=True).encode() + request.body).hexdigest()
    return api.digests().identity(request.path["connection"], "payload", payload)


def _enqueue(api: Api, envelope: Envelope) -> Answer:
    api.pipeline.connections.get(envelope.connection)
    api.enqueue(envelope)
    return reply_json(202, {"delivery_id": envelope.delivery_id, "result": "accepted"})


def _reply(request: ApiRequest, executed: Executed) -> Answer:
    outcome = executed.outcome
    body = outcome_body(outcome, request.delivery_id, replayed=executed.replayed)
    headers = {"idempotent-replayed": "true"} if executed.replayed else {}
    new = outcome.result in (Result.APPLIED, Result.RECORDED) if request.route in SALES else outcome.created
    return reply_json(201 if new else 200, body, headers)


def outcome_body(outcome: Outcome, delivery_id: str, *, replayed: bool = False) -> dict[str, Any]:
    """Return an outcome as the API shows it. A replay has what was kept: no details, and codes without messages."""
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
    """Return an error as RFC 9457 problem details."""
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
    """Return a JSON response."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": json.dumps(body, ensure_ascii=False, default=str),
    }
