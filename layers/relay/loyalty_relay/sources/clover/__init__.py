"""Clover: one delivery for many merchants and many changes, each of which only names what has changed.

Sources: docs.clover.com "Webhooks" (set-up, event type keys, ``X-Clover-Auth``), "Expandable fields", "API usage and
rate limits"; the REST API reference for customers, merchants, orders and payments.

Clover does not sign. It sends a fixed token with every delivery, which identifies the sender and covers nothing of
what is sent: whoever has seen one delivery could send any other. Therefore little but ids is taken from a delivery.
What they name is read from Clover itself and dated by Clover's own time, so that an invented or repeated change has no
effect. A deletion cannot be read. It is dated by when it is carried out and not by its own time, so that an invented
one is lifted by the customer's next change.

One callback URL serves every merchant who has installed the app, so that merchants whom the connection does not list
are normal: their changes have no effect, and those of the listed ones in the same delivery go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import (
    Change,
    CustomerRetired,
    Fetch,
    HydratingSource,
    ListingSource,
    NothingToDo,
    Reply,
    Request,
    SaleRead,
    ThinChange,
    Topic,
    Unreadable,
    Verdict,
    few,
    listed,
)
from loyalty_relay.sources.clover.orders import MILLISECOND, ORDER, PAYMENT
from loyalty_relay.sources.clover.resources import HOST, LIMIT, PLATFORM, RESOURCES
from loyalty_relay.sources.hydrating import needed_token, token_problems
from loyalty_relay.sources.parsing import body_digest, epoch, json_object, text_id, text_or_none
from loyalty_relay.sources.signatures import same

TOKEN_HEADER = "x-clover-auth"
SETUP = "setup"

TOPICS = (
    Topic(name="C:CREATE", becomes="hydrate", fixture="customer-create", note="then register"),
    Topic(name="C:UPDATE", becomes="hydrate", fixture="customer-update", note="then update"),
    Topic(name="C:DELETE", becomes="retire", fixture="customer-delete"),
    Topic(name="M:CREATE", becomes="hydrate", fixture="merchant-create", note="then link-store"),
    Topic(name="M:UPDATE", becomes="hydrate", fixture="merchant-update", note="then link-store"),
    *(
        Topic(name=name, becomes="hydrate", fixture=fixture, note=f"then transaction{note}")
        for name, fixture, note in (
            ("O:CREATE", "order-create", ""),
            ("O:UPDATE", "order-update", ", with a refund"),
            ("O:UPDATE", "order-update-voided", ", whose payment was voided"),
            ("O:UPDATE", "order-update-test", ", a test order"),
            ("O:UPDATE", "order-update-manual-refund", ", of no sale"),
            ("P:CREATE", "payment-create", ", one of two tenders"),
            ("P:UPDATE", "payment-update", ", with a tip"),
            ("P:DELETE", "payment-delete", ", if its order is found"),
        )
    ),
    Topic(name="O:DELETE", becomes="ignored", fixture="order-delete", note="what was paid counts"),
    Topic(name="M:DELETE", becomes="ignored", fixture="merchant-delete", note="links are kept"),
    Topic(name="A:CREATE", becomes="hydrate", fixture="app-create", note="installed; then link-store"),
    Topic(name="A:UPDATE", becomes="ignored", fixture="app-update", note="another subscription"),
    Topic(name="A:DELETE", becomes="ignored", fixture="app-delete", note="uninstalled; links are kept"),
    Topic(name="CA:CREATE", becomes="ignored", fixture="cash-adjustment-create", note="as all other keys"),
    Topic(name="verification", becomes="handshake", fixture="verification", note="while the option setup is true"),
)

_CODE = re.compile(r"[0-9A-Za-z-]{1,64}")
_WORD = re.compile(r"[A-Z][A-Z_]{0,31}")


class Clover(HydratingSource, ListingSource):
    """A fixed token in ``X-Clover-Auth``. Neither body nor time is signed."""

    platform = PLATFORM
    topics = TOPICS
    listing_scopes = ("read customers",)
    sale_reads = (
        SaleRead(ORDER, {"id": "0000000000000"}, "read orders"),
        SaleRead(PAYMENT, {"id": "0000000000000"}, "read payments"),
    )
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        SETUP: {"type": "boolean", "description": "true until Clover has shown the token of X-Clover-Auth"}
    }
    signs_body = False
    needs_secrets = False
    """Only after the set-up: before it Clover has not made the token yet. ``check`` requires it then."""
    secret_headers = frozenset({TOKEN_HEADER})
    api_domains = ("clover.com",)
    by_hand = (
        'Apply the connection with "options": {{"setup": true}}.',
        "In Clover's developer dashboard, App settings, Webhooks: enter {url} and request the verification code.",
        "relay logs ingest shows the code in the line `handshake`; type it into the dashboard.",
        "Copy the Clover Auth Code that the dashboard shows into source.secrets, take setup out, and apply again.",
        "Subscribe to Customers, Merchants and Apps, for sales also to Orders and Payments. The app needs the "
        "permissions Read customers and Read merchant, for sales Read orders and Read payments; merchants who "
        "installed it before have to install it again.",
    )

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return merchants without a token: every delivery leads to a read."""
        if not source.stores:
            yield "stores", "needs at least one merchant, by id"
        setup = source.options.get(SETUP, False)
        if not isinstance(setup, bool):
            yield f"options.{SETUP}", "must be true or false"
        elif not source.secrets and not setup:
            yield "secrets", "needs the token of X-Clover-Auth, or options.setup: true until Clover has shown it"
        yield from token_problems(source)

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Compare the token with every live one, in constant time."""
        given = request.header(TOKEN_HEADER)
        if given is None:
            return Verdict.NO_SIGNATURE
        found = [same(secret, given) for secret in secrets]
        return Verdict.AUTHENTIC if any(found) else Verdict.WRONG

    def handshake(self, request: Request, source: Source) -> Reply | None:
        """Log the code by which Clover checks the URL before it makes the token.

        An operator types it into Clover's dashboard. Accepted only while the connection is being set up.
        """
        if source.options.get(SETUP) is not True or request.method != "POST" or request.header(TOKEN_HEADER):
            return None
        try:
            body = json_object(request.body)
        except Untranslatable:
            return None
        code = body.get("verificationCode")
        if body.keys() != {"verificationCode"} or not isinstance(code, str) or not _CODE.fullmatch(code):
            return None
        return Reply(status=200, note={"code": code})

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return every update of every merchant, in the order of the body."""
        body = json_object(request.body)
        merchants = body.get("merchants")
        if not isinstance(merchants, dict):
            raise Untranslatable("no_merchants", "merchants is not an object")
        updates = [
            (merchant, update)
            for merchant, listed_here in merchants.items()
            for update in (listed_here if isinstance(listed_here, list) else [listed_here])
        ]
        return [_change(_CloverUpdate.of(merchant, update), source) for merchant, update in few(updates)]

    def fetch(self, thin: ThinChange, source: Source) -> Fetch:
        """Return the request for the customer or the merchant, with the parts that must be requested by name."""
        token = needed_token(source, thin.store)
        return Fetch(
            path=RESOURCES[thin.resource].path(thin),
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            default_host=HOST,
            limit=LIMIT,
        )

    def hydrated(self, thin: ThinChange, status: int, body: Any) -> list[Change]:
        """Return the change in Clover's response."""
        return RESOURCES[thin.resource].changes(thin, status, body)

    def order_of(self, order_id: str, store: str | None) -> ThinChange | None:
        """Return how to read an order by its merchant's id and its own. A manual refund names no order."""
        merchant, _, object_id = order_id.partition(":")
        if not object_id or ":" in object_id:
            return None
        event = Event(source=PLATFORM, topic="O:UPDATE", id="", entity_id=order_id)
        return ThinChange(event=event, resource=ORDER, data={"id": object_id}, store=merchant, sales=True)


@dataclass(frozen=True, slots=True)
class _CloverUpdate:
    """One update out of a delivery, as far as it can be read. ``kind`` and ``type``: ``C`` and ``CREATE``."""

    merchant: str
    kind: str
    type: str
    object_id: str
    time: str
    identity: str

    @classmethod
    def of(cls, merchant: str, update: Any) -> _CloverUpdate:
        """Return an update; members that are missing or of the wrong type are empty texts."""
        reported: Mapping[str, Any] = update if isinstance(update, dict) else {}
        key, done = text_or_none(reported.get("objectId")) or "", text_or_none(reported.get("type")) or ""
        kind, _, object_id = key.partition(":")
        return cls(
            merchant=merchant,
            kind=kind,
            type=done,
            object_id=object_id,
            time=epoch(reported.get("ts"), unit=MILLISECOND) or "",
            identity=body_digest(merchant, key, done, str(reported.get("ts"))),
        )

    @property
    def topic(self) -> str:
        """Clover's own key and type, as in ``C:CREATE``; an empty text when either is none."""
        whole = _WORD.fullmatch(self.kind) and _WORD.fullmatch(self.type)
        return f"{self.kind}:{self.type}" if whole else ""

    def event(self, entity_id: str) -> Event:
        """Return the event: what Clover sends twice has the same merchant, object, type and time."""
        return Event(source=PLATFORM, topic=self.topic, id=self.identity, entity_id=entity_id, time=self.time)

    def thin(self, resource: str, object_id: str, entity_id: str) -> Change:
        """Return a request to read the entity."""
        return ThinChange(event=self.event(entity_id), resource=resource, data={"id": object_id}, store=self.merchant)


def _change(delivery: _CloverUpdate, source: Source) -> Change:
    """Return the change of one update; an unreadable one does not hold up the others."""
    try:
        merchant = text_id(delivery.merchant)
        if not listed(merchant, source):
            return NothingToDo(event=delivery.event(merchant), reason="store_not_connected")
        if not delivery.topic or not delivery.object_id:
            raise Untranslatable("bad_update", "an update has no objectId of the form KEY:ID, or no type")
        reader = _READERS.get(delivery.topic, _unused)
        return reader(delivery)
    except Untranslatable as problem:
        return Unreadable(event=delivery.event(""), problem=problem)


# -- customers ----------------------------------------------------------------------------------------------------


def _customer(delivery: _CloverUpdate) -> Change:
    object_id = text_id(delivery.object_id)
    return delivery.thin("customer", object_id, text_id(f"{delivery.merchant}:{object_id}"))


def _deleted(delivery: _CloverUpdate) -> Change:
    source_id = text_id(f"{delivery.merchant}:{text_id(delivery.object_id)}")
    event = delivery.event(source_id)
    return CustomerRetired(event=event, source_id=source_id, reason="deleted", store=delivery.merchant)


# -- orders -------------------------------------------------------------------------------------------------------


def _order(delivery: _CloverUpdate) -> Change:
    return _sales(delivery, ORDER, text_id(delivery.object_id))


def _payment(delivery: _CloverUpdate) -> Change:
    """Read the payment, which names its order, and then the order as a whole."""
    return _sales(delivery, PAYMENT, text_id(delivery.object_id))


def _sales(delivery: _CloverUpdate, resource: str, object_id: str) -> Change:
    event = delivery.event(text_id(f"{delivery.merchant}:{object_id}"))
    return ThinChange(event=event, resource=resource, data={"id": object_id}, store=delivery.merchant, sales=True)


def _order_deleted(delivery: _CloverUpdate) -> Change:
    """Leave what was booked: only refunds take back, and those of a deleted order cannot be read."""
    return NothingToDo(event=delivery.event(delivery.merchant), reason="order_deleted")


# -- merchants ----------------------------------------------------------------------------------------------------


def _merchant(delivery: _CloverUpdate) -> Change:
    """Return the merchant as a whole, whichever of its properties the id names."""
    return delivery.thin("merchant", delivery.merchant, delivery.merchant)


def _uninstalled(delivery: _CloverUpdate) -> Change:
    """Keep the links: the merchant may come back, and past sales are attributed by them."""
    return NothingToDo(event=delivery.event(delivery.merchant), reason="app_uninstalled")


def _closed(delivery: _CloverUpdate) -> Change:
    return NothingToDo(event=delivery.event(delivery.merchant), reason="location_closed")


def _unused(delivery: _CloverUpdate) -> Change:
    return NothingToDo(event=delivery.event(delivery.merchant), reason="topic_not_used")


_READERS: dict[str, Callable[[_CloverUpdate], Change]] = {
    "C:CREATE": _customer,
    "C:UPDATE": _customer,
    "C:DELETE": _deleted,
    "O:CREATE": _order,
    "O:UPDATE": _order,
    "O:DELETE": _order_deleted,
    "P:CREATE": _payment,
    "P:UPDATE": _payment,
    "P:DELETE": _payment,
    "M:CREATE": _merchant,
    "M:UPDATE": _merchant,
    "M:DELETE": _closed,
    "A:CREATE": _merchant,
    "A:UPDATE": _unused,
    "A:DELETE": _uninstalled,
    "CA:CREATE": _unused,
}

SOURCE = Clover()
