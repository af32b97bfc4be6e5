"""CloudEvents over HTTP: any till or shop that sends our published event schema in a CloudEvents envelope.

Sources: the CloudEvents specification 1.0: "HTTP Protocol Binding", "JSON Event Format", "HTTP 1.1 Web Hooks for Event
Delivery"; docs/event-schema.md for the data.

The specification has no signature. A bearer token identifies the sender and covers nothing of what is sent, so that an
event's identity is its ``source`` and ``id`` together with its data: an id that comes again with other data is new.
Tokens belong in the header; one in the URL ends up in logs, and is refused.

All three modes are read: binary (attributes in ``ce-`` headers), structured, and batched.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event
from loyalty_relay.model.errors import UnsupportedFormat, Untranslatable
from loyalty_relay.sources.base import (
    Change,
    NothingToDo,
    Reply,
    Request,
    SourceModule,
    Topic,
    Unreadable,
    Verdict,
    few,
    listed,
)
from loyalty_relay.sources.event_schema import Payload, changes, store_of
from loyalty_relay.sources.parsing import body_digest, json_object, json_value, member, moment, text_id, text_or_none
from loyalty_relay.sources.signatures import same

PLATFORM = "cloudevents"

TOPICS = (
    Topic(name="customer.created", becomes="register", fixture="customer-created", note="binary mode"),
    Topic(name="customer.created", becomes="register", fixture="customer-created-structured", note="structured mode"),
    Topic(name="customer.updated", becomes="update", fixture="customer-updated", note="registers an unknown customer"),
    Topic(name="customer.updated", becomes="update", fixture="customers-batch", note="batched mode"),
    Topic(name="customer.consent", becomes="consent", fixture="customer-consent"),
    Topic(name="customer.tags", becomes="tags", fixture="customer-tags"),
    Topic(name="customer.deleted", becomes="retire", fixture="customer-deleted"),
    Topic(name="customer.erased", becomes="erase", fixture="customer-erased"),
    Topic(name="customer.merged", becomes="retire", fixture="customer-merged", note="into the kept customer"),
    Topic(name="store.created", becomes="link-store", fixture="store-created"),
    Topic(name="store.updated", becomes="link-store", fixture="store-updated"),
    Topic(name="store.closed", becomes="ignored", fixture="store-closed", note="links are kept"),
    Topic(name="store.erased", becomes="erase", fixture="store-erased"),
    Topic(name="sale.completed", becomes="transaction", fixture="sale-completed"),
    Topic(name="sale.refunded", becomes="transaction", fixture="sale-refunded", note="by line"),
    Topic(name="sale.voided", becomes="transaction", fixture="sale-voided", note="all of it is given back"),
    Topic(name="ping", becomes="ignored", fixture="ping", note="for trying a connection out"),
    Topic(name="validation", becomes="handshake", fixture="validation", note="may this sender send here?"),
)

MIN_TOKEN = 16
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

_BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")
_ORIGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,252})")
_JSON_TYPE = re.compile(r"[a-z]{1,40}/(?:json|[a-z0-9!#$&^_.+-]{1,120}\+json)")
_REQUIRED = ("specversion", "id", "source", "type")


class CloudEvents(SourceModule):
    """``Authorization: Bearer`` with one of the connection's secrets. Neither body nor time is signed."""

    platform = PLATFORM
    topics = TOPICS
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "allowed_origins": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The senders whose validation request is answered, such as eventgrid.example.com; * for all",
        },
        "allowed_rate": {"type": "integer", "minimum": 1, "description": "The rate in that answer, a minute"},
        "type_prefix": {"type": "string", "description": "What the types begin with before our topics, with its dot"},
    }
    signs_body = False
    by_hand = (
        "At the sender enter {url}, and the token in source.secrets, which it has to send as Authorization: Bearer.",
        "A sender that requests permission first (OPTIONS with WebHook-Request-Origin) needs its name in "
        "source.options.allowed_origins.",
        "Let it send the events of docs/event-schema.md as CloudEvents 1.0, in binary or structured mode.",
    )

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return tokens that could be guessed, and origins that are no names."""
        for index, secret in enumerate(source.secrets):
            if not _TOKEN.fullmatch(secret.value):
                yield f"secrets.{index}.value", "must be printable ASCII without blanks"
            elif len(secret.value) < MIN_TOKEN:
                yield f"secrets.{index}.value", f"must have at least {MIN_TOKEN} characters"
        for name, value in source.options.items():
            if name == "allowed_origins" and not _origins(value):
                yield f"options.{name}", "must be a list of senders' names such as eventgrid.example.com, or of *"
            elif name == "allowed_rate" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                yield f"options.{name}", "must be an integer: requests per minute"
            elif name == "type_prefix" and text_or_none(value) != value:
                yield f"options.{name}", "must be a string such as com.example.till."

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Compare with every token, so that time does not reveal which it was."""
        header = request.header("authorization")
        if header is None:
            return Verdict.NO_SIGNATURE
        given = _BEARER.fullmatch(header)
        if given is None or "access_token" in request.query:
            return Verdict.MALFORMED
        found = [same(secret, given[1]) for secret in secrets]
        return Verdict.AUTHENTIC if any(found) else Verdict.WRONG

    def handshake(self, request: Request, source: Source) -> Reply | None:
        """Allow sending for the origins that the connection lists. A callback is not called: anybody could cause it."""
        origin = request.header("webhook-request-origin")
        allowed = source.options.get("allowed_origins", ())
        if request.method != "OPTIONS" or origin is None or not _ORIGIN.fullmatch(origin):
            return None
        if "*" not in allowed and origin.casefold() not in {name.casefold() for name in allowed}:
            return None
        headers = {
            "allow": "POST",
            "webhook-allowed-origin": origin,
            "webhook-allowed-rate": str(source.options.get("allowed_rate", "*")),
        }
        return Reply(status=200, headers=headers)

    def store(self, request: Request, source: Source) -> str | None:
        """Return the store that the data name, else the event's ``source``, where the connection lists stores.

        Of a batch, each event's store is checked by itself.
        """
        if not source.stores:
            return None
        try:
            events = _events(request)
            return None if isinstance(events, list) else _store(*events)
        except (Untranslatable, UnsupportedFormat):
            return None

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the changes of the delivery, each event by itself."""
        events = _events(request)
        if not isinstance(events, list):
            return _read(*events, source)
        digest = body_digest(request.body)
        return [
            change
            for position, event in enumerate(few(events))
            for change in _one_of_many(event, position, digest, source)
        ]

    def accepted(self, request: Request) -> Reply:
        """Reply that it is accepted, and not yet carried out."""
        return Reply(status=202)


def _origins(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) and (name == "*" or _ORIGIN.fullmatch(name)) for name in value
    )


# -- envelopes ----------------------------------------------------------------------------------------------------


def _events(request: Request) -> tuple[Mapping[str, Any], Any] | list[Any]:
    """Return (attributes, data) of one event, or the entries of a batch. Raises Untranslatable or UnsupportedFormat."""
    kind = _media_type(request.header("content-type"))
    if kind == BATCHED:
        batch = json_value(request.body)
        if not isinstance(batch, list):
            raise Untranslatable("bad_envelope", "a batch is a list")
        return batch
    if kind == STRUCTURED:
        return _structured(json_object(request.body))
    if kind.startswith("application/cloudevents"):
        raise UnsupportedFormat("CloudEvents must be JSON")
    return _binary(request, kind)


def _binary(request: Request, kind: str) -> tuple[Mapping[str, Any], Any]:
    attributes = {
        name.removeprefix("ce-"): _header_text(request.header(name) or "")
        for name in request.headers
        if name.startswith("ce-")
    }
    if "datacontenttype" in attributes:
        raise Untranslatable("bad_envelope", "in binary mode the data's type is the Content-Type")
    _check(attributes)
    if not request.body:
        return attributes, {}
    _expect_json(kind)
    return attributes, json_value(request.body)


def _structured(event: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    _check(event)
    encoded = event.get("data_base64")
    if encoded is not None and event.get("data") is not None:
        raise Untranslatable("bad_envelope", "data and data_base64 exclude each other")
    _expect_json(_media_type(event.get("datacontenttype")))
    if encoded is None:
        return event, event.get("data")
    try:
        return event, json_value(base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError):
        raise Untranslatable("bad_envelope", "data_base64 is not base64") from None


def _check(attributes: Mapping[str, Any]) -> None:
    for name in _REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Untranslatable("bad_envelope", f"the attribute {name} is missing")
    if attributes["specversion"].strip() != "1.0":
        raise Untranslatable("bad_envelope", "specversion is not 1.0")


def _media_type(value: Any) -> str:
    """Return the media type without parameters and in lower case; JSON where there is none."""
    return value.partition(";")[0].strip().lower() if isinstance(value, str) and value.strip() else "application/json"


def _expect_json(kind: str) -> None:
    if not _JSON_TYPE.fullmatch(kind):
        raise UnsupportedFormat("data must be JSON")


def _header_text(value: str) -> str:
    """Return an attribute out of its header: quotes undone, then percent-decoded, once."""
    text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote_to_bytes(text).decode()
    except ValueError:
        raise Untranslatable("bad_envelope", "a header's percent-encoding is not UTF-8") from None


# -- events -------------------------------------------------------------------------------------------------------


def _store(attributes: Mapping[str, Any], data: Any) -> str:
    return store_of(data) or str(attributes["source"]).strip()


def _read(attributes: Mapping[str, Any], data: Any, source: Source) -> list[Change]:
    time = moment(attributes.get("time"))
    if time is None and attributes.get("time") is not None:
        raise Untranslatable("bad_time", "time is not RFC 3339")
    prefix = source.options.get("type_prefix") or ""
    origin, event_id, kind = (str(attributes[name]).strip() for name in ("source", "id", "type"))
    payload = Payload(
        source=PLATFORM,
        type=kind.removeprefix(prefix),
        id=body_digest(origin, text_id(event_id), kind, json.dumps(data, sort_keys=True)),
        time=time or "",
        data=data if isinstance(data, dict) else {},
    )
    if payload.type == "ping":
        return [NothingToDo(event=payload.event(""), reason="ping")]
    return changes(payload)


def _one_of_many(entry: Any, position: int, digest: str, source: Source) -> list[Change]:
    """Return the changes of one event of a batch; an unreadable one does not hold up the others."""
    topic = text_or_none(member(entry, "type")) or ""
    named = Event(source=PLATFORM, topic=topic, id=body_digest(str(position), digest), entity_id="")
    try:
        if not isinstance(entry, dict):
            raise Untranslatable("not_an_object")
        attributes, data = _structured(entry)
        if source.stores and not listed(_store(attributes, data), source):
            return [NothingToDo(event=named, reason="store_not_connected")]
        return _read(attributes, data, source)
    except Untranslatable as problem:
        return [Unreadable(event=named, problem=problem)]
    except UnsupportedFormat as problem:
        return [Unreadable(event=named, problem=Untranslatable(problem.reason, str(problem)))]


SOURCE = CloudEvents()
