"""What every source module shares: the request it is given, the changes it reads out of it, and the protocol it
follows.

A source module knows its platform and nothing else: not the destination, not a client. It says whether a request is
authentic, answers the platform's handshakes, and reads deliveries into *changes* in our words. ``translate`` turns
changes into commands.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from loyalty_relay.commands import Event, Version
from loyalty_relay.connections import Source, WebhookSecret
from loyalty_relay.errors import Untranslatable


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One inbound HTTP request: header names in lower case, the body as the exact bytes that were sent."""

    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    topic: str | None = None
    """The topic in the path, for sources that name none in the request."""

    def header(self, name: str) -> str | None:
        """A header without surrounding blanks; None when absent or empty."""
        value = self.headers.get(name)
        return value.strip() or None if value is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer in the terms of the sending platform."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChanged:
    """A customer is as ``fields`` says (names: ``loyalty_relay.commands``). Absent: not told. None: told to be empty.

    ``source_id`` is unique within the connection: prefixed with the store where the platform's ids are not.
    ``payload`` is the platform's own entity, for the connection's mapping expressions.
    """

    event: Event
    source_id: str
    fields: Mapping[str, Any]
    payload: Mapping[str, Any] = field(default_factory=dict)
    version: Version | None = None
    versions: Mapping[str, Version] = field(default_factory=dict)
    created: bool = False
    store: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRetired:
    """A customer is gone at the source: deleted, erased for privacy, or merged into ``survivor`` (the kept
    customer's source id).
    """

    event: Event
    source_id: str
    reason: Literal["deleted", "erased", "merged"]
    survivor: str | None = None
    version: Version | None = None
    email: str | None = None
    phone: str | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChanged:
    """A shop or location exists or has changed."""

    event: Event
    shop_id: str
    account_id: str
    name: str | None = None
    domain: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreErased:
    """A privacy request for everything of one shop."""

    event: Event
    shop_id: str
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinChange:
    """The delivery only names a resource; ``Hydrating.fetch`` says how to read it."""

    event: Event
    resource: str
    data: Mapping[str, Any]
    version: Version | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToDo:
    """Authentic, understood, and not our business. ``reason`` is a stable word for the journal."""

    event: Event
    reason: str


Change = CustomerChanged | CustomerRetired | StoreChanged | StoreErased | ThinChange | NothingToDo


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One row of the catalogue: a topic of a platform and what it becomes.

    ``becomes``: register, update, consent, tags, retire, erase, link-store, hydrate, ignored, handshake.
    ``fixture`` names the sample under ``events/sources/PLATFORM/`` (without ``.json``) that tests and ``relay
    send`` use.
    """

    name: str
    becomes: str
    fixture: str
    note: str = ""


class SourceModule(Protocol):
    """What a platform's module offers as ``SOURCE``."""

    platform: str
    signs_time: bool
    """True when the platform signs a time, so that replays outside ``window`` are refused."""
    topics: tuple[Topic, ...]

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Problems of the connection's source section that only this platform knows: (dotted field, sentence)."""
        ...

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> bool:
        """Whether one of ``secrets`` authenticates the request. Never raises; False for anything malformed."""
        ...

    def handshake(self, request: Request, source: Source) -> Reply | None:
        """The answer to a documented handshake or ping that comes before or without a signature; None for
        everything else.
        """
        ...

    def store(self, request: Request, source: Source) -> str | None:
        """Which store the delivery is from, to be found in the connection's ``stores``; None where it names none."""
        ...

    def read(self, request: Request, source: Source) -> list[Change]:
        """The changes of an authentic delivery. Raises Untranslatable when the body is not what its topic promises."""
        ...

    def accepted(self, request: Request) -> Reply:
        """The success answer that this platform understands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A GET at the platform's own API: path with query below the source's ``api_host``, and headers with the
    credentials.
    """

    path: str
    headers: Mapping[str, str]
    default_host: str
    requests_per_minute: float | None = None


class HydratingSource(SourceModule, Protocol):
    """A source with thin events."""

    def fetch(self, thin: ThinChange, source: Source) -> Fetch:
        """How to read the resource."""
        ...

    def hydrated(self, thin: ThinChange, status: int, body: Any) -> Change:
        """The change, from the platform's answer. What was deleted meanwhile is ``NothingToDo('gone')``, not an
        error.
        """
        ...


def live_secrets(secrets: Iterable[WebhookSecret], now: float) -> list[str]:
    return [secret.value for secret in secrets if secret.live(now)]


def same(expected: bytes | str, given: bytes | str | None) -> bool:
    """Constant-time equality that never raises: texts are compared as UTF-8."""
    if given is None:
        return False
    left = expected.encode("utf-8", "surrogatepass") if isinstance(expected, str) else expected
    right = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    return hmac.compare_digest(left, right)


def body_digest(*parts: str | bytes) -> str:
    """The identity of a delivery whose platform signs no event id: SHA-256 over the parts that make it."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()


MAX_DEPTH = 64
"""Deeper JSON than any platform sends is refused before it can hurt."""


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; integers stay exact. Raises Untranslatable('not_json' or 'not_an_object')."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise Untranslatable("not_an_object")
    return value


def json_value(body: bytes) -> Any:
    """The body as JSON. Raises Untranslatable('not_json')."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Untranslatable("not_json") from error
    if _too_deep(value):
        raise Untranslatable("too_deep")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def text_id(value: Any) -> str:
    """An id as text, whether the platform writes a number or a text. Raises Untranslatable('no_id')."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise Untranslatable("no_id")
    text = str(value).strip()
    if len(text) > 200 or any(ord(c) < 0x20 or c == "\x7f" for c in text):
        raise Untranslatable("bad_id")
    return text
