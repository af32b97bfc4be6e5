"""What every platform's module has in common: requests, replies, verdicts, and *changes* in our own terms.

A platform's module depends on its platform and nothing else: not the destination, not a client. It verifies requests,
replies to the platform's handshakes, and reads deliveries into changes; ``translate`` turns changes into commands.

Every module is laid out alike, top to bottom: the vendor's pages it follows, the ``topics`` table, the ``SourceModule``
with ``check``, ``verify``, ``handshake``, ``store``, ``read`` and ``accepted`` (those it needs, in this order), one
reader per shape of body in ``_READERS``, and ``SOURCE``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from importlib import import_module
from typing import Any, ClassVar, Literal, Protocol, cast

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import MAX_ID, Event, Version, instant_at
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.orders import MOST_LINES, Amounts, Order

MAX_HEADER = 8192
"""Characters of one header; the gateway takes 10,240 for all of them together."""

MAX_ENTITIES = 2000
"""More entities than any platform puts into one delivery."""


def few(entities: Sequence[Any]) -> Sequence[Any]:
    """Return the entities of a delivery. Raises Untranslatable('too_many_entities')."""
    if len(entities) > MAX_ENTITIES:
        raise Untranslatable("too_many_entities")
    return entities


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; none where it is no list. Raises Untranslatable('too_many_entities')."""
    return [entry for entry in few(value) if isinstance(entry, dict)] if isinstance(value, list) else []


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
        """Return a header without surrounding blanks; None when absent, empty or longer than any real one."""
        value = self.headers.get(name)
        return value.strip() or None if value is not None and len(value) <= MAX_HEADER else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response in the terms of the sending platform."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    note: Mapping[str, str] = field(default_factory=dict)
    """For a handshake whose content an operator needs: keys for the log line, out of the log's allow-list."""


class Verdict(StrEnum):
    """Whether a request is authentic, and for the log, why not. Only ``AUTHENTIC`` is true."""

    AUTHENTIC = "authentic"
    NO_SIGNATURE = "no_signature"
    MALFORMED = "malformed_signature"
    WRONG = "wrong_signature"
    OUTSIDE_WINDOW = "outside_window"
    """Rightly signed, but at another time: a replay, or a clock that is wrong."""
    UNDECIDED = "key_unavailable"
    """The platform's public key cannot be had now: the sender has to come back."""

    def __bool__(self) -> bool:
        return self is Verdict.AUTHENTIC


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChanged:
    """A customer has the values of ``fields`` (names: ``model.commands``). Absent: unchanged. None: cleared.

    ``source_id`` is unique within the connection: prefixed with the store where the platform's ids are not.
    ``fields`` may further hold ``country`` (ISO 3166-1 alpha-2), where a phone number without its country code is from.
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
    verified: Mapping[str, bool] = field(default_factory=dict)
    """``email`` and ``phone``: whether the platform reports the value as verified; absent where it reports nothing."""
    email: str | None = None
    """To find the customer by, where the event identifies by it without reporting a change (consent topics)."""
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRetired:
    """A customer was deleted at the source, erased for privacy, or merged.

    ``survivor``: the source's id of the kept customer of a merge.
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
    """A shop or location exists or has changed. ``domain`` is an absolute URL."""

    event: Event
    shop_id: str
    account_id: str
    name: str | None = None
    domain: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreErased:
    """A privacy request for everything of one shop, which is one of the connection's stores."""

    event: Event
    shop_id: str
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinChange:
    """The delivery only names a resource; ``HydratingSource.fetch`` returns how to read it.

    ``read_at``: when the reading began (``instant`` text), empty before it.
    """

    event: Event
    resource: str
    data: Mapping[str, Any]
    store: str | None = None
    read_at: str = ""
    sales: bool = False
    """Whether the resource is of use only where the connection records sales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who bought, as an order names them.

    ``fields`` and ``verified`` as in ``CustomerChanged``. An order's own e-mail and phone are unverified: anybody can
    have typed them in at the till or checkout.
    """

    source_id: str | None = None
    """As in ``CustomerChanged``; None for a guest."""
    email: str | None = None
    phone: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """An order is as ``order`` reports it: a snapshot, or captures and refunds by id.

    ``version`` orders snapshots; a delta needs none. ``payload`` is for the connection's mapping expressions.
    """

    event: Event
    order: Order
    buyer: Buyer | None = None
    """None where the event does not name the customer (a refund); a buyer without ``source_id`` is a guest."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    version: Version | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToDo:
    """Authentic, understood, and not our business. ``reason`` is a stable word for the journal."""

    event: Event
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """One of several entities of a delivery is not what it should be; the others go on, and the delivery is parked."""

    event: Event
    problem: Untranslatable


Change = (
    CustomerChanged
    | CustomerRetired
    | OrderChanged
    | StoreChanged
    | StoreErased
    | ThinChange
    | NothingToDo
    | Unreadable
)

MAX_AHEAD = 300.0
"""Seconds that a platform's clock may be ahead of ours."""


def not_later(change: Change, now: float, *, signed: bool) -> Change:
    """Return the change with no time later than ``now`` and what clocks may differ by.

    A version from the future would make every true one stale.

    ``signed``: whether the signature covers the event's time. Where it does not, that time is at most ``now``.
    """
    latest = instant_at(now + MAX_AHEAD)
    latest_event = latest if signed else instant_at(now)
    time = min(change.event.time, latest_event)
    event = change.event if time == change.event.time else replace(change.event, time=time)
    if isinstance(change, ThinChange | NothingToDo | Unreadable):
        return change if event is change.event else replace(change, event=event)

    def clamped(version: Version) -> Version:
        unsigned = not signed and version.value == change.event.time
        return version.at_most(time if unsigned else latest, latest_event)

    reported: dict[str, Any] = {"event": event, "version": change.version and clamped(change.version)}
    if isinstance(change, CustomerChanged):
        reported["versions"] = {name: clamped(version) for name, version in change.versions.items()}
    if isinstance(change, OrderChanged):
        reported["order"] = _with_versions(change.order, clamped)
    same = all(getattr(change, name) == value for name, value in reported.items())
    return change if same else replace(change, **reported)


def _with_versions(order: Order, clamped: Callable[[Version], Version]) -> Order:
    """Return the order with the versions of its captures and refunds clamped."""

    def one(entry: Any) -> Any:
        version = entry.version and tuple(clamped(Version.from_list(list(entry.version))).to_list())
        return entry if version == entry.version else replace(entry, version=version)

    return replace(order, captures=tuple(map(one, order.captures)), refunds=tuple(map(one, order.refunds)))


_NAMES = ("source_id", "survivor", "shop_id", "account_id", "store")


def bounded(change: Change) -> Change:
    """Return the change, or what is unreadable about it: a topic or an id that is too long, a negative amount."""
    event = change.event
    texts = {"topic": event.topic, "event id": event.id, "entity id": event.entity_id}
    texts |= {name: getattr(change, name, None) or "" for name in _NAMES}
    if isinstance(change, OrderChanged):
        texts |= _order_ids(change.order)
        if negative := _negative(change.order):
            problem = Untranslatable("bad_amount", f"{negative} is negative")
            return Unreadable(
                event=replace(event, topic=event.topic[:MAX_ID], id=event.id[:MAX_ID], entity_id=""), problem=problem
            )
    long = [name for name, text in texts.items() if len(text) > MAX_ID]
    if not long:
        return change
    short = replace(event, topic=event.topic[:MAX_ID], id=event.id[:MAX_ID], entity_id=event.entity_id[:MAX_ID])
    return Unreadable(
        event=short, problem=Untranslatable("too_long", f"the {long[0]} has more than {MAX_ID} characters")
    )


_MAY_BE_NEGATIVE = ("currency", "goods", "goods_tax")


def _negative(order: Order) -> str:
    """Return the name of an amount that is negative and must not be; "" where there is none."""
    sale = order.sale
    known = [("refunded", order.refunded), ("captured", sale.captured if sale else None)]
    known += [(f"a {kind}", entry.amount) for kind in ("capture", "refund") for entry in getattr(order, f"{kind}s")]
    parts = [refund.amounts for refund in order.refunds] + ([sale.amounts, sale.shop_amounts] if sale else [])
    names = [f.name for f in fields(Amounts) if f.name not in _MAY_BE_NEGATIVE]
    known += [(name, getattr(amounts, name)) for amounts in parts if amounts for name in names]
    return next((name for name, amount in known if amount is not None and amount < 0), "")


def _order_ids(order: Order) -> dict[str, str]:
    """Return the longest text of each kind of id of an order. Raises Untranslatable for too many of a kind."""
    listed = {
        "alias": order.aliases,
        "capture's id": [capture.id for capture in order.captures],
        "refund's id": [refund.id for refund in order.refunds],
    }
    if max(map(len, (*listed.values(), order.sale.lines if order.sale else ()))) > MOST_LINES:
        raise Untranslatable("too_many_entities")
    return {"order's id": order.id} | {name: max(ids, key=len, default="") for name, ids in listed.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One row of the catalogue: a topic of a platform and what it becomes.

    ``fixture`` names the sample under ``events/sources/PLATFORM/`` (without ``.json``) that tests and ``relay
    send`` use; a topic with several shapes of body has a row for each.
    """

    name: str
    becomes: Literal[
        "register",
        "update",
        "consent",
        "tags",
        "retire",
        "erase",
        "link-store",
        "transaction",
        "hydrate",
        "ignored",
        "handshake",
    ]
    fixture: str
    note: str = ""


class SourceModule(ABC):
    """A platform.

    The defaults are those of a platform that signs every delivery, needs no handshake and is content with an empty 200.
    """

    platform: ClassVar[str]
    topics: ClassVar[tuple[Topic, ...]]
    signs_time: ClassVar[bool] = False
    """True when the platform signs a time, so that ``verify`` refuses replays outside a window."""
    signs_event_time: ClassVar[bool] = True
    """False when the signature does not cover the event's time, which then never decides over what is signed."""
    signs_body: ClassVar[bool] = True
    """False when the proof is a token that identifies the sender, but covers nothing of what is sent."""
    may_be_unsigned: ClassVar[bool] = False
    """True when an operator may state that this source cannot sign; the URL is then the only secret."""
    needs_secrets: ClassVar[bool] = True
    """False when deliveries prove themselves by something that is no secret of the connection, such as the platform's
    public key.
    """
    fetches_keys: ClassVar[bool] = False
    """True when ``verify`` may fetch the platform's public key, from the source's ``api_host`` where it names one."""
    secret_headers: ClassVar[frozenset[str]] = frozenset()
    """Headers that are credentials themselves; they are not kept with a parked delivery."""
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The members of a connection's ``source.options``, each as JSON Schema describes it."""
    runs_at_shops: ClassVar[bool] = False
    """Whether the platform's API is at each shop's own address."""
    api_domains: ClassVar[tuple[str, ...]] = ()
    """The platform's own domains, below which a connection's ``api_host`` must be."""
    by_hand: ClassVar[tuple[str, ...]] = ()
    """What only a person can do so that the platform delivers here, one step each; ``{url}`` is the webhook URL."""

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return problems of the source section that only this platform can find: (dotted field, sentence)."""
        return ()

    def topic(self, request: Request) -> str:
        """Return the topic that the request names outside of its signed body; "" where the body names it."""
        return ""

    @abstractmethod
    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Return whether one of ``secrets`` authenticates the request. Never raises. ``now``: epoch seconds."""

    def greeting(self, request: Request) -> Reply | None:
        """Return the reply to a handshake that needs nothing of a connection; None for everything else.

        Whoever sends one to an id that does not exist gets the same reply, so that none of them reveals a connection.
        """
        return None

    def handshake(self, request: Request, source: Source) -> Reply | None:
        """Return the reply to a documented handshake or ping that comes before or without a signature, else None.

        A handshake has no effect.
        """
        return self.greeting(request)

    def store(self, request: Request, source: Source) -> str | None:
        """Return the store that sent the delivery, to be found in the connection's ``stores`` (letter case aside).

        None where the platform names none with the delivery; an empty text where it should have and did not. Called
        after ``verify``; never raises.
        """
        return None

    @abstractmethod
    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the changes of an authentic delivery, in an order that a second reading repeats.

        Raises Untranslatable when the body is not what its topic promises, NotAuthentic when the signed body
        contradicts the unsigned headers about the store, and UnsupportedFormat when the reply may name the
        unsupported format.
        """

    def accepted(self, request: Request) -> Reply:
        """Return the success response that this platform understands."""
        return Reply(status=200)


def listed(store: str, source: Source) -> bool:
    """Return whether the store is one of the connection's, letter case aside.

    Ingest checks the delivery's store; a module whose deliveries have several stores checks each entity's and returns
    ``NothingToDo('store_not_connected')`` for the others.
    """
    return store.casefold() in {known.casefold() for known in source.stores}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A request to the platform's own API: path with query below the source's ``api_host``.

    ``headers`` include the credentials. ``json``: the body of a POST, for platforms that are read so; None for a GET.
    ``limit``: at most so many requests in so many seconds, wherever these begin.
    """

    path: str
    headers: Mapping[str, str]
    default_host: str
    json: Mapping[str, Any] | None = None
    limit: tuple[int, float] | None = None
    at_shop: bool = False
    """Whether ``default_host`` is the shop itself, where no ``api_host`` takes its place."""
    method: str = ""
    """Where it is neither the POST of a ``json`` nor a GET."""

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return self.method or ("GET" if self.json is None else "POST")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """One page of a shop's customers that is to be read."""

    store: str
    """One of the connection's stores, as the connection writes it; empty where the platform has none."""
    cursor: str = ""
    """What the page before returned; empty for the first page."""
    since: str = ""
    """Only customers changed since then (``instant`` text), where the platform can; empty for all."""
    read_at: str = ""
    """When the reading began (``instant`` text)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one page of a listing shows. The event ids of ``changes`` are empty: the reading run gives them."""

    changes: tuple[Change, ...]
    cursor: str = ""
    """Of the next page; empty after the last."""
    total: int | None = None
    """How many customers there are in all, where the platform reports it."""


class Throttled(Exception):
    """The platform refused a request with a 200 because too many were sent. ``seconds``: until the next."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the platform throttles")
        self.seconds = seconds


class Lister(Protocol):
    """A platform's module ``listing``."""

    def request(self, page: PageRequest, source: Source) -> Fetch:
        """Return the request that reads a page."""
        ...

    def one(self, store: str, number: str, source: Source) -> Fetch:
        """Return the request that reads one customer, by the platform's own id."""
        ...

    def is_there(self, status: int, body: Any) -> bool:
        """Return whether a response shows a customer. Raises for an error that does not prove an absence."""
        ...

    def page_of(self, page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
        """Return what a response shows, in stable order, so that no customer is left out.

        Customers are ``CustomerChanged`` under the topic of a changed customer, with the payload that this topic's
        mapping expects. Fields that the response does not have are absent, not None. A row that cannot be read is
        ``Unreadable``.
        """
        ...


class ListingSource(SourceModule):
    """A platform whose customers can be listed by its API: its package has a module ``listing``, see ``Lister``."""

    lists_changed: ClassVar[bool] = False
    """Whether the platform lists customers changed since a moment."""
    listing_scopes: ClassVar[tuple[str, ...]] = ()
    """What the API credentials have to be allowed, in the platform's own words."""

    def shops(self, source: Source) -> tuple[str, ...]:
        """Return the stores that are listed one by one; one empty text where the platform's API has them all."""
        return source.stores or ("",)

    def listing(self, page: PageRequest, source: Source) -> Fetch:
        """Return the request that reads a page. Raises CredentialsRefused when the connection has no credentials."""
        return self._module().request(page, source)

    def page(self, page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
        """Return what the platform's response shows. Raises Throttled, UpstreamUnavailable, VendorRejected."""
        return self._module().page_of(page, source, status, headers, body)

    def one(self, store: str, source_id: str, source: Source) -> Fetch:
        """Return the request that reads one listed customer. ``source_id``: as ``CustomerChanged`` has it."""
        return self._module().one(store, source_id.rpartition(":")[2], source)

    def is_there(self, status: int, body: Any) -> bool:
        """Return whether the response to that request shows the customer; False only where it proves an absence.

        Raises Throttled, UpstreamUnavailable, VendorRejected.
        """
        return self._module().is_there(status, body)

    def _module(self) -> Lister:
        # Imported only by what lists: ingest loads the platforms' modules on its cold path.
        return cast("Lister", import_module(f"{__package__}.{self.platform}.listing"))


@dataclass(frozen=True, slots=True)
class SaleRead:
    """One kind of reading that sales take, of something that no shop has."""

    resource: str
    data: Mapping[str, Any]
    scope: str
    """What the API credentials have to be allowed, in the platform's own words."""

    def thin(self, platform: str, store: str) -> ThinChange:
        """Return it as a change of a store, to be fetched."""
        event = Event(source=platform, topic="", id="", entity_id="")
        return ThinChange(event=event, resource=self.resource, data=self.data, store=store, sales=True)


class HydratingSource(SourceModule):
    """A platform with thin events."""

    sale_reads: ClassVar[tuple[SaleRead, ...]] = ()
    """What sales are read by."""

    @abstractmethod
    def fetch(self, thin: ThinChange, source: Source) -> Fetch:
        """Return the request that reads the resource."""

    @abstractmethod
    def hydrated(self, thin: ThinChange, status: int, body: Any) -> list[Change]:
        """Return the changes in the platform's response, in an order that a second reading repeats.

        A ``ThinChange`` alone requests a further reading at once, as part of the same one; what was read so far goes
        along in its ``data``. What was deleted meanwhile is ``NothingToDo('deleted_meanwhile')``, not an error.
        """

    def order_of(self, order_id: str, store: str | None) -> ThinChange | None:
        """Return how to read an order by its ``Order.id``; None where that cannot be read.

        The event has no id and no time: each reading gives it its own.
        """
        return None
