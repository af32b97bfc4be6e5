"""Lightspeed Retail (X-Series), once Vend: customers and sales come whole, as JSON in a form.

Sources: X-Series API docs "Webhooks", "How to react to events", "Webhook example payloads", "Rate limiting"; the API
reference (2026-07 and 2.0) and API 1.0 for the two shapes that a customer or a sale may have.

- The request names no topic, so every webhook has a URL of its own with the topic after the connection. It is not
  signed; the body's shape must fit.
- Only webhooks of OAuth applications are signed. Those that were added by hand are not: the connection must state it,
  and its URL is then the only secret.
- The documentation leaves open how the signature is written and what exactly it covers. Either of hex and base64 over
  the form's own bytes is taken, unless the connection selects one.
- A customer's ``version`` only ever rises, and a deletion is a version too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import REVISION, Event, Version, revision
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    Fetch,
    HydratingSource,
    ListingSource,
    NothingToDo,
    Request,
    SaleRead,
    ThinChange,
    Topic,
    Verdict,
)
from loyalty_relay.sources.hydrating import needed_token, token_problems
from loyalty_relay.sources.lightspeed.customers import LightspeedCustomer
from loyalty_relay.sources.lightspeed.sales import (
    GIFT_CARDS,
    PLATFORM,
    SALE,
    customer_read,
    sale_changes,
    sale_read,
)
from loyalty_relay.sources.parsing import body_digest, json_object, member, moment, text_id, text_or_none
from loyalty_relay.sources.signatures import base64_text, hmac_sha256, matching

TOPICS = (
    Topic(name="customer.update", becomes="register", fixture="customer-created"),
    Topic(name="customer.update", becomes="update", fixture="customer-updated", note="registers an unknown customer"),
    Topic(name="customer.update", becomes="update", fixture="customer-updated-1-0", note="as API 1.0 has it"),
    Topic(name="customer.update", becomes="retire", fixture="customer-deleted", note="with deleted_at"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated-walk-in", note="a guest's"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated-split", note="two tenders"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated-return", note="a refund of the sale"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated-exchange", note="a refund and a sale"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated-unlinked", note="a return of no sale"),
    Topic(name="sale.update", becomes="transaction", fixture="sale-updated-voided", note="takes all back"),
    Topic(name="sale.update", becomes="hydrate", fixture="sale-updated-id-only", note="then transaction"),
    Topic(name="sale.update", becomes="hydrate", fixture="sale-updated-2-0", note="who bought; then transaction"),
    Topic(name="sale.update", becomes="ignored", fixture="sale-updated-parked", note="until it is closed"),
    Topic(name="product.update", becomes="ignored", fixture="product-updated"),
    Topic(name="inventory.update", becomes="ignored", fixture="inventory-updated"),
    Topic(name="register_closure.create", becomes="ignored", fixture="register-closed"),
    Topic(name="consignment.send", becomes="ignored", fixture="consignment-sent"),
    Topic(name="consignment.receive", becomes="ignored", fixture="consignment-received"),
)

ENCODINGS: Mapping[str, Callable[[bytes], str]] = {"hex": bytes.hex, "base64": base64_text}
COVERS = ("form", "payload")
LIMIT = (350, 300.0)
"""Requests and seconds: 50, and 300 for each register of the retailer, who has one at least."""
_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]*", re.IGNORECASE)


class Lightspeed(HydratingSource, ListingSource):
    """HMAC-SHA256 over the raw form under the app's client secret, as ``signature=…,algorithm=HMAC-SHA256``.

    No time is signed.
    """

    platform = PLATFORM
    topics = TOPICS
    listing_scopes = ("customers:read",)
    sale_reads = (SaleRead(SALE, {"id": "00000000-0000-0000-0000-000000000000"}, "sales:read"),)
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "signature_encoding": {"enum": list(ENCODINGS), "description": "How signatures are written; default: either"},
        "signature_covers": {"enum": list(COVERS), "description": "What is signed: the whole body, or its payload"},
        "retailers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The retailer id of each store, by domain prefix",
        },
        GIFT_CARDS: {
            "type": "array",
            "items": {"type": "string"},
            "description": "The ids of products that are gift cards",
        },
    }
    may_be_unsigned = True
    api_domains = ("retail.lightspeed.app", "vendhq.com")

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return retailers that are not listed by their domain prefix. A token is needed only for sales."""
        if not source.stores:
            yield "stores", "needs at least one retailer, by domain prefix"
        for index, store in enumerate(source.stores):
            if not _PREFIX.fullmatch(store):
                yield f"stores.{index}", "must be a domain prefix: the first part of PREFIX.retail.lightspeed.app"
        known = {store.casefold() for store in source.stores}
        for name, value in source.options.items():
            if name == "signature_encoding" and value not in ENCODINGS:
                yield f"options.{name}", f"must be one of {', '.join(ENCODINGS)}"
            elif name == "signature_covers" and value not in COVERS:
                yield f"options.{name}", f"must be one of {', '.join(COVERS)}"
            elif name == "retailers" and (
                not isinstance(value, dict)
                or not all(
                    prefix.casefold() in known and isinstance(reported, str) for prefix, reported in value.items()
                )
            ):
                yield f"options.{name}", "must be an object of domain prefix (one of stores) -> retailer id"
            elif name == GIFT_CARDS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
                yield f"options.{name}", "must be a list of product ids"
        if source.api_credentials:
            yield from token_problems(source)

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Accept any live secret."""
        header = request.header("x-signature")
        if header is None:
            return Verdict.NO_SIGNATURE
        given = _signature(header)
        if given is None:
            return Verdict.MALFORMED
        signed = request.body
        if source.options.get("signature_covers") == "payload":
            signed = _form(request).get("payload", "").encode("utf-8", "surrogatepass")
        chosen = source.options.get("signature_encoding")
        encodings = [encode for name, encode in ENCODINGS.items() if chosen in (None, name)]
        macs = [hmac_sha256(secret, signed) for secret in secrets]
        text = given.lower() if re.fullmatch(r"[0-9A-Fa-f]{64}", given) else given
        return matching(text, [encode(mac) for mac in macs for encode in encodings])

    def store(self, request: Request, source: Source) -> str | None:
        """Return the retailer, by the form's domain prefix, else by the payload's retailer id.

        Neither has to be there; where a connection has several retailers it cannot do without.
        """
        reported = text_or_none(_form(request).get("domain_prefix"))
        if reported is not None:
            return reported
        retailer = _retailer_id(request)
        known = next((prefix for prefix, found in _retailers(source).items() if found == retailer), None)
        return known if known is not None or len(source.stores) == 1 else ""

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the one change of a delivery; an exchange is a refund and a sale."""
        if request.topic is None:
            raise Untranslatable("no_topic")
        payload = _form(request).get("payload")
        if payload is None:
            raise Untranslatable("no_payload", "the form has no field payload")
        only = source.stores[0] if source.stores else None
        delivery = _LightspeedDelivery(
            topic=request.topic, body=json_object(payload), raw=payload, store=self.store(request, source) or only
        )
        delivery.same_retailer(source)
        if request.topic == "sale.update":
            return _sale(delivery, source)
        reader = _READERS.get(request.topic)
        if reader is None:
            return [NothingToDo(event=delivery.event(""), reason="topic_not_used")]
        return [reader(delivery)]

    def fetch(self, thin: ThinChange, source: Source) -> Fetch:
        """Return the request for a sale or a customer of the retailer."""
        token = needed_token(source, thin.store)
        return Fetch(
            path=f"/api/2.0/{thin.resource}s/{quote(str(thin.data['id']), safe='')}",
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            default_host=f"https://{thin.store}.retail.lightspeed.app",
            limit=LIMIT,
        )

    def hydrated(self, thin: ThinChange, status: int, body: Any) -> list[Change]:
        """Return what a sale is, or its customer to be read before it."""
        return sale_read(thin, status, body) if thin.resource == SALE else customer_read(thin, status, body)

    def order_of(self, order_id: str, store: str | None) -> ThinChange | None:
        """Return how to read a sale by its id."""
        event = Event(source=PLATFORM, topic="sale.update", id="", entity_id=order_id)
        return ThinChange(event=event, resource=SALE, data={"id": order_id}, store=store, sales=True)


def _signature(header: str) -> str | None:
    """Return the signature in ``signature=…,algorithm=HMAC-SHA256``; None for any other header."""
    parts = [part.partition("=") for part in header.split(",")]
    reported = {name.strip().lower(): value.strip() for name, _, value in parts}
    if (
        len(parts) != 2
        or reported.keys() != {"signature", "algorithm"}
        or reported["algorithm"].upper() != "HMAC-SHA256"
    ):
        return None
    return reported["signature"] or None


def _form(request: Request) -> dict[str, str]:
    """Return the form's fields; empty when the body is no form. Of a field that comes twice the first counts."""
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _retailer_id(request: Request) -> str | None:
    try:
        return text_or_none(json_object(_form(request).get("payload", "")).get("retailer_id"))
    except Untranslatable:
        return None


def _retailers(source: Source) -> dict[str, str]:
    """Return domain prefix -> retailer id, as configured in the connection."""
    reported = source.options.get("retailers")
    return {prefix.casefold(): retailer for prefix, retailer in reported.items()} if isinstance(reported, dict) else {}


@dataclass(frozen=True, slots=True)
class _LightspeedDelivery:
    """An authentic delivery: the form's payload, and what the path and the form report about it."""

    topic: str
    body: Mapping[str, Any]
    raw: str
    store: str | None

    def event(self, entity_id: str, time: str = "") -> Event:
        """Return the event under the identity of its payload."""
        return Event(
            source=PLATFORM, topic=self.topic, id=body_digest(self.topic, self.raw), entity_id=entity_id, time=time
        )

    def same_retailer(self, source: Source) -> None:
        """Raise NotAuthentic when the payload is of another retailer than the form."""
        reported = text_or_none(self.body.get("retailer_id"))
        expected = _retailers(source).get((self.store or "").casefold())
        if reported is not None and expected is not None and reported != expected:
            raise NotAuthentic("the payload is of another retailer")


# -- customers ----------------------------------------------------------------------------------------------------


def _customer(delivery: _LightspeedDelivery) -> Change:
    """Return a customer as they are now: new, changed or deleted."""
    body = delivery.body
    if "customer_code" not in body:
        raise Untranslatable("topic_mismatch", f"the body is not that of {delivery.topic}")
    source_id = text_id(body.get("id"))
    time = moment(body.get("updated_at")) or ""
    event = delivery.event(source_id, time)
    if text_or_none(body.get("deleted_at")) is not None:
        deleted = moment(body["deleted_at"]) or time
        return CustomerRetired(
            event=event,
            source_id=source_id,
            reason="deleted",
            version=_version(body, event, max(time, deleted)),
            store=delivery.store,
        )
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=LightspeedCustomer(body).fields(),
        payload=body,
        version=_version(body, event, time),
        created=bool(time) and moment(body.get("created_at")) == time,
        store=delivery.store,
    )


def _version(body: Mapping[str, Any], event: Event, time: str) -> Version | None:
    """Return the retailer's revision where there is one, else the time of the last change."""
    number = body.get("version")
    if number is None:
        return Version(PLATFORM, time, event.time, event.id) if time else None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**63:
        raise Untranslatable("bad_revision", "version is not an integer of 63 bits")
    return Version(f"{PLATFORM}{REVISION}", revision(number), event.time, event.id)


# -- sales --------------------------------------------------------------------------------------------------------


def _sale(delivery: _LightspeedDelivery, source: Source) -> list[Change]:
    """Return what a sale is. One that is only named is read, and so is a customer of whom nothing but the id is there.

    Of a sale that is on its way to its customer, the parts that name people are left out.
    """
    body = delivery.body
    if "customer_code" in body:
        raise Untranslatable("topic_mismatch", f"the body is not that of {delivery.topic}")
    sale_id = text_id(body.get("id"))
    time = moment(body.get("updated_at")) or ""
    event = delivery.event(sale_id, time)
    cards = source.options.get(GIFT_CARDS, [])
    thin = ThinChange(
        event=event, resource=SALE, data={"id": sale_id, GIFT_CARDS: cards}, store=delivery.store, sales=True
    )
    if not isinstance(body.get("register_sale_products", body.get("line_items")), list):
        return [thin]
    return sale_changes(thin, body, _version(body, event, time))


# -- everything else ----------------------------------------------------------------------------------------------


def _unused(delivery: _LightspeedDelivery) -> Change:
    return NothingToDo(event=delivery.event(text_or_none(member(delivery.body, "id")) or ""), reason="topic_not_used")


def listed_customer(row: dict[str, Any], store: str) -> Change:
    """Return a customer of the API, whose shape is that of a webhook's payload."""
    return _customer(_LightspeedDelivery(topic="customer.update", body=row, raw="", store=store))


_READERS: dict[str, Callable[[_LightspeedDelivery], Change]] = {
    "customer.update": _customer,
    "product.update": _unused,
    "inventory.update": _unused,
    "register_closure.create": _unused,
    "consignment.send": _unused,
    "consignment.receive": _unused,
}

SOURCE = Lightspeed()
