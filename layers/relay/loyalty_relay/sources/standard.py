"""Standard Webhooks: any till or shop that signs with an off-the-shelf library and sends our published event schema.

Sources: the Standard Webhooks specification; docs/event-schema.md for the bodies. Svix's header names are taken too.

The id is signed and stays the same over retries, so it is the event's identity. The time is that of the attempt,
and is only good for refusing replays. Signatures of other versions than ``v1`` (such as the asymmetric ``v1a``) are
passed over.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import Change, NothingToDo, Request, SourceModule, Topic, Verdict
from loyalty_relay.sources.event_schema import Payload, changes, store_of
from loyalty_relay.sources.parsing import json_object, moment, text_id
from loyalty_relay.sources.signatures import standard_webhooks_verdict

TOPICS = (
    Topic(name="customer.created", becomes="register", fixture="customer-created"),
    Topic(name="customer.updated", becomes="update", fixture="customer-updated", note="registers an unknown customer"),
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
    Topic(name="sale.completed", becomes="transaction", fixture="sale-guest", note="a guest, with tip and discounts"),
    Topic(name="sale.completed", becomes="transaction", fixture="sale-gift-cards", note="a gift card bought, and used"),
    Topic(name="sale.completed", becomes="transaction", fixture="sale-currencies", note="two currencies, refunds"),
    Topic(name="sale.refunded", becomes="transaction", fixture="sale-refunded", note="by line"),
    Topic(name="sale.refunded", becomes="transaction", fixture="sale-refunded-amount", note="an amount alone"),
    Topic(name="sale.refunded", becomes="transaction", fixture="sale-refunded-unlinked", note="of no known sale"),
    Topic(name="sale.voided", becomes="transaction", fixture="sale-voided", note="all of it is given back"),
    Topic(name="ping", becomes="ignored", fixture="ping", note="for trying a connection out"),
)

_FAMILIES = ("webhook", "svix")


def signing_key(secret: str) -> bytes | None:
    """Return the key in a ``whsec_`` secret: the rest, base64-decoded (padding may lack); None when it is none."""
    text = secret.removeprefix("whsec_").strip()
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or None
    except ValueError:
        return None


class StandardWebhooks(SourceModule):
    """HMAC-SHA256 over ``id.timestamp.body``, in base64, behind ``v1,``. Several signatures are separated by blanks."""

    platform = "standard"
    topics = TOPICS
    signs_time = True
    by_hand = (
        "At the sender enter {url}, and as its secret the one in source.secrets: whsec_ and the base64 of 24 to 64 "
        "random bytes (relay connections rotate replaces it).",
        "Let it send each event of docs/event-schema.md by POST with the headers webhook-id, webhook-timestamp and "
        "webhook-signature, as the libraries of Standard Webhooks make them; its ping has no effect.",
    )

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return secrets that no library could sign with, rather than refuse deliveries later."""
        for index, secret in enumerate(source.secrets):
            key = signing_key(secret.value)
            if key is None:
                yield f"secrets.{index}.value", "must be whsec_ followed by base64"
            elif len(key) < 16:
                yield f"secrets.{index}.value", "must hold at least 16 bytes; the specification requires 24 to 64"

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Accept one matching signature."""
        keys = [key for secret in secrets if (key := signing_key(secret)) is not None]
        return standard_webhooks_verdict(request, _family(request), keys, now)

    def store(self, request: Request, source: Source) -> str | None:
        """Return the store that the event names, where the connection lists stores; "" when it names none."""
        if not source.stores:
            return None
        try:
            return store_of(json_object(request.body).get("data")) or ""
        except Untranslatable:
            return None

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the one event of a delivery."""
        body = json_object(request.body)
        kind = body.get("type")
        if not isinstance(kind, str) or not kind.strip():
            raise Untranslatable("no_topic")
        data = body.get("data")
        time = moment(body.get("timestamp"))
        if time is None and body.get("timestamp") is not None:
            raise Untranslatable("bad_time", "timestamp is not RFC 3339")
        payload = Payload(
            source=self.platform,
            type=kind.strip(),
            id=text_id(request.header(f"{_family(request)}-id")),
            time=time or "",
            data=data if isinstance(data, dict) else {},
        )
        if payload.type == "ping":
            return [NothingToDo(event=payload.event(""), reason="ping")]
        return changes(payload)


def _family(request: Request) -> str:
    """Return the one of the two header families that the request uses; the specification's own first."""
    return next((family for family in _FAMILIES if request.header(f"{family}-signature")), _FAMILIES[0])


SOURCE = StandardWebhooks()
