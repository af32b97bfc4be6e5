"""Adobe Commerce: I/O Events, one or many in a delivery, and the synchronous webhooks, which a shopper waits for.

Sources: Adobe Developer docs "Introduction to Adobe I/O Events webhooks", "Webhook signature verification", "Retries";
Adobe Commerce docs "Events reference", "Webhooks signature verification", "Webhooks responses", "Hooks".

- I/O Events are signed by Adobe for all of its customers alike, so that the signature proves "Adobe" and only
  ``recipientclientid`` "for this client": both belong to the proof. Everything used is in the signed body.
- Commerce webhooks are signed by the shop. The body is what the merchant has selected, and the topic is in the path,
  which is not signed, so the body's shape must fit it.
- Only subscribed fields are present. Absent means unchanged, and only addresses have a phone number.
- I/O Events drops what gets a 4xx. A key that cannot be fetched is therefore a 503.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.adobe import bodies
from loyalty_relay.sources.adobe.bodies import PLATFORM, AdobeEvent, object_of
from loyalty_relay.sources.adobe.keys import PATH, KeyUnavailable, PublicKeys, usable
from loyalty_relay.sources.adobe.orders import READERS as ORDER_READERS
from loyalty_relay.sources.adobe.orders import is_of_a_sale, is_of_kind, sales_kind
from loyalty_relay.sources.base import (
    Change,
    ListingSource,
    NothingToDo,
    Reply,
    Request,
    Topic,
    Unreadable,
    Verdict,
    few,
)
from loyalty_relay.sources.parsing import body_digest, json_object, json_value, member, moment, text_id, text_or_none
from loyalty_relay.sources.rsa import public_key, verified

TOPICS = (
    Topic(name="observer.customer_save_commit_after", becomes="register", fixture="customer-created"),
    Topic(
        name="observer.customer_save_commit_after",
        becomes="update",
        fixture="customer-updated",
        note="registers an unknown customer",
    ),
    Topic(
        name="observer.customer_save_commit_after", becomes="update", fixture="customers-batch", note="several at once"
    ),
    Topic(name="observer.customer_save_after", becomes="update", fixture="customer-saved", note="before the commit"),
    Topic(name="observer.customer_register_success", becomes="register", fixture="customer-registered"),
    Topic(name="observer.customer_delete_commit_after", becomes="retire", fixture="customer-deleted"),
    Topic(name="observer.customer_login", becomes="ignored", fixture="customer-login"),
    Topic(name="observer.customer_address_save_commit_after", becomes="update", fixture="address-saved"),
    Topic(name="observer.store_save_commit_after", becomes="link-store", fixture="store-saved", note="a store view"),
    Topic(
        name="observer.store_group_save_commit_after",
        becomes="ignored",
        fixture="store-group-saved",
        note="its store views are linked",
    ),
    Topic(
        name="observer.store_group_delete_commit_after",
        becomes="ignored",
        fixture="store-group-deleted",
        note="links are kept",
    ),
    Topic(
        name="plugin.magento.customer.api.customer_repository.save",
        becomes="update",
        fixture="webhook-customer-saved",
        note="Commerce webhook",
    ),
    Topic(
        name="plugin.magento.customer.api.customer_repository.delete_by_id",
        becomes="retire",
        fixture="webhook-customer-deleted",
        note="Commerce webhook",
    ),
    Topic(
        name="plugin.magento.customer.api.address_repository.save",
        becomes="update",
        fixture="webhook-address-saved",
        note="Commerce webhook",
    ),
    Topic(
        name="observer.sales_order_save_commit_after",
        becomes="transaction",
        fixture="order-placed",
        note="not paid yet",
    ),
    Topic(
        name="observer.sales_order_save_commit_after",
        becomes="transaction",
        fixture="order-paid",
        note="configurable product",
    ),
    Topic(
        name="observer.sales_order_save_commit_after",
        becomes="transaction",
        fixture="order-guest",
        note="gift card bought, gift wrapping",
    ),
    Topic(
        name="observer.sales_order_save_commit_after",
        becomes="transaction",
        fixture="order-currencies",
        note="in two currencies",
    ),
    Topic(
        name="observer.sales_order_save_commit_after",
        becomes="transaction",
        fixture="order-gift-card",
        note="paid by gift card and store credit",
    ),
    Topic(
        name="observer.sales_order_save_commit_after",
        becomes="transaction",
        fixture="order-refunded",
        note="in part, cumulative",
    ),
    Topic(name="observer.sales_order_save_commit_after", becomes="transaction", fixture="order-cancelled"),
    Topic(
        name="observer.sales_order_save_after", becomes="transaction", fixture="order-saved", note="before the commit"
    ),
    Topic(name="observer.sales_order_invoice_save_commit_after", becomes="transaction", fixture="invoice-committed"),
    Topic(
        name="observer.sales_order_invoice_save_after",
        becomes="transaction",
        fixture="invoice-saved",
        note="before the commit",
    ),
    Topic(
        name="observer.sales_order_creditmemo_save_commit_after",
        becomes="transaction",
        fixture="creditmemo-committed",
        note="an amount alone",
    ),
    Topic(
        name="observer.sales_order_creditmemo_save_after",
        becomes="transaction",
        fixture="creditmemo-saved",
        note="by line, with shipping",
    ),
    Topic(
        name="plugin.magento.sales.api.order_repository.save",
        becomes="transaction",
        fixture="webhook-order-saved",
        note="Commerce webhook",
    ),
    Topic(
        name="plugin.magento.sales.api.invoice_repository.save",
        becomes="transaction",
        fixture="webhook-invoice-saved",
        note="Commerce webhook",
    ),
    Topic(
        name="plugin.magento.sales.api.creditmemo_repository.save",
        becomes="transaction",
        fixture="webhook-creditmemo-saved",
        note="Commerce webhook",
    ),
    Topic(name="challenge", becomes="handshake", fixture="challenge", note="when a registration is saved"),
    Topic(name="validation", becomes="handshake", fixture="validation-url", note="an operator opens the logged URL"),
)

COMMERCE_SIGNATURE = "x-adobe-commerce-webhook-signature"
EVENT_PREFIX = "com.adobe.commerce."
ADMIN = "0"
"""The store view of whatever is done in the Admin."""

MAX_SIGNATURE = 2048
"""Characters of base64; a signature of the longest key has fewer."""

_ADDRESS_MEMBERS = {"customer_id", "parent_id", "street", "city", "telephone", "postcode", "country_id", "region_id"}
"""Members that only an address has."""

_SIGNATURES = tuple((f"x-adobe-digital-signature-{n}", f"x-adobe-public-key{n}-path") for n in (1, 2))
_RECIPIENT = ("recipientclientid", "recipient_client_id")
_VALIDATION_URL = re.compile(r"https://(?:[a-z0-9-]{1,63}\.){1,8}adobe\.io(?:[/?][!-\[\]-~]{0,2000})?")
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class Adobe(ListingSource):
    """RSASSA-PKCS1-v1_5 with SHA-256, in base64. No time is signed.

    I/O Events: over the raw body under one of two keys of Adobe's. Commerce webhooks: over the body's base64 under the
    shop's own key, which is what ``secrets`` hold.
    """

    platform = PLATFORM
    topics = TOPICS
    runs_at_shops = True
    lists_changed = True
    listing_scopes = ("Magento_Customer::customer",)
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "client_id": {"type": "string", "description": "The client id of the I/O Events registration"},
        "provider": {"type": "string", "description": "The id of the event provider; others are refused"},
        "public_keys": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Adobe's public keys in PEM by their path, so that none is fetched",
        },
        "shop_url": {"type": "string", "description": "The shop's own address, to list its customers by its REST API"},
    }
    by_hand = (
        "In Adobe's Developer Console add an event registration to the project of source.options.client_id: the shop's "
        "event provider, the subscribed events, delivery method Webhook or Webhook (batch), and the URL {url}.",
        "The console shows whether the registration is active, unstable or disabled; a disabled one is enabled there.",
        "For Commerce webhooks: Stores, Configuration, Adobe Services, Webhooks: enable the signature, copy the public "
        "key into source.secrets, and add hooks of type after with the URL {url}/METHOD (docs/platforms/adobe.md).",
    )
    needs_secrets = False
    fetches_keys = True
    api_domains = ("static.adobeioevents.com",)

    def __init__(self, keys: PublicKeys | None = None) -> None:
        self._keys = keys or PublicKeys()

    def check(self, source: Source) -> Iterable[tuple[str, str]]:
        """Return problems: one of the mechanisms must be able to prove itself, with keys that prove something."""
        options = source.options
        for name in ("client_id", "provider"):
            if name in options and text_or_none(options[name]) != options[name]:
                yield f"options.{name}", "must be a string"
        if not source.secrets and "client_id" not in options:
            yield "options.client_id", "is required for I/O Events; Commerce webhooks need a public key in secrets"
        for index, secret in enumerate(source.secrets):
            if reason := _unusable(secret.value):
                yield f"secrets.{index}.value", reason
        pinned = options.get("public_keys", {})
        if not isinstance(pinned, dict):
            yield "options.public_keys", "must be an object of path -> public key in PEM"
            return
        for path, pem in pinned.items():
            if not PATH.fullmatch(path):
                yield f"options.public_keys.{path}", "must be a path such as /prod/keys/pub-key-0a1b2c.pem"
            elif reason := _unusable(pem):
                yield f"options.public_keys.{path}", reason

    def verify(self, request: Request, source: Source, secrets: Sequence[str], now: float) -> Verdict:
        """Accept one valid signature of an I/O event. ``secrets``: public keys of Commerce webhooks."""
        if _is_io_event(request):
            return self._io_event(request, source, now)
        given = request.header(COMMERCE_SIGNATURE)
        if given is None:
            return Verdict.NO_SIGNATURE
        signature = _decoded(given)
        if signature is None:
            return Verdict.MALFORMED
        text = base64.b64encode(request.body)
        keys = [key for secret in secrets if (key := usable(secret)) is not None]
        return Verdict.AUTHENTIC if any(verified(key, signature, text) for key in keys) else Verdict.WRONG

    def _io_event(self, request: Request, source: Source, now: float) -> Verdict:
        if not _addressed(request, source):
            return Verdict.WRONG
        verdict = Verdict.MALFORMED
        for signature_header, path_header in _SIGNATURES:
            signature, path = _decoded(request.header(signature_header)), request.header(path_header)
            if signature is None or path is None or not PATH.fullmatch(path):
                continue
            try:
                key = self._keys.key(path, source, now)
            except KeyUnavailable:
                verdict = Verdict.UNDECIDED
                continue
            if key is not None and verified(key, signature, request.body):
                return Verdict.AUTHENTIC
            verdict = verdict if verdict is Verdict.UNDECIDED else Verdict.WRONG
        return verdict

    def topic(self, request: Request) -> str:
        """Return the topic in the path of a Commerce webhook, which is not signed."""
        return "" if _is_io_event(request) or request.topic is None else _topic(request.topic)

    def greeting(self, request: Request) -> Reply | None:
        """Echo the challenge; log a validation URL for an operator to open.

        A URL that anybody could have sent is never followed from here.
        """
        if request.method == "GET" and _CHALLENGE.fullmatch(challenge := request.query.get("challenge", "")):
            headers = {"content-type": "application/json", "x-content-type-options": "nosniff"}
            return Reply(status=200, body=f'{{"challenge":"{challenge}"}}', headers=headers)
        if request.method == "POST" and not _is_io_event(request) and (url := _validation_url(request)):
            return Reply(status=200, note={"where": url})
        return None

    def handshake(self, request: Request, source: Source) -> Reply | None:
        """Answer the handshakes of I/O Events."""
        return self.greeting(request) if "client_id" in source.options else None

    def read(self, request: Request, source: Source) -> list[Change]:
        """Return the changes of the delivery, each event by itself."""
        if not _is_io_event(request):
            return [_hook(request, source)]
        body, digest = json_value(request.body), body_digest(request.body)
        if not isinstance(body, list):
            return [_event(body, digest, source)]
        return [_one_of_many(event, position, digest, source) for position, event in enumerate(few(body))]

    def accepted(self, request: Request) -> Reply:
        """Reply to a Commerce webhook that the shopper may go on."""
        if _is_io_event(request):
            return Reply(status=200)
        return Reply(status=200, body='{"op":"success"}', headers={"content-type": "application/json"})

    def shops(self, source: Source) -> tuple[str, ...]:
        """Return one: the API shows the customers of every store view."""
        return ("",)


def _is_io_event(request: Request) -> bool:
    return any(request.header(header) for header, _ in _SIGNATURES)


def _addressed(request: Request, source: Source) -> bool:
    """Return whether every event is for this connection's client, by both names that the member may have."""
    client = source.options.get("client_id")
    try:
        body = json_value(request.body)
    except Untranslatable:
        return False
    events = body if isinstance(body, list) else [body]
    return isinstance(client, str) and bool(client) and bool(events) and all(_for(client, event) for event in events)


def _for(client: str, event: Any) -> bool:
    reported = [event[name] for name in _RECIPIENT if name in event] if isinstance(event, dict) else []
    return bool(reported) and all(recipient == client for recipient in reported)


def _decoded(text: str | None) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if text and len(text) <= MAX_SIGNATURE else None
    except ValueError:
        return None


def _unusable(pem: Any) -> str | None:
    """Return why a text is no public key that proves anything; None when it is one."""
    try:
        public_key(pem if isinstance(pem, str) else "")
    except ValueError as error:
        return str(error)
    return None


def _validation_url(request: Request) -> str | None:
    """Return the URL of Adobe's own in a validation request; None for everything else.

    A person opens it, so it must be one that every browser reads alike: no user, port, backslash or blank.
    """
    try:
        url = json_object(request.body).get("validationUrl") if len(request.body) <= MAX_SIGNATURE else None
    except Untranslatable:
        return None
    return url if isinstance(url, str) and _VALIDATION_URL.fullmatch(url) else None


# -- I/O Events ---------------------------------------------------------------------------------------------------


def _event(event: Any, digest: str, source: Source) -> Change:
    if not isinstance(event, dict):
        raise Untranslatable("not_an_object")
    kind = text_or_none(event.get("type"))
    if kind is None:
        raise Untranslatable("no_topic")
    provider = (text_or_none(event.get("source")) or "").removeprefix("urn:uuid:")
    reported = next((event[name] for name in ("eventid", "event_id", "id") if event.get(name)), None)
    value, scope = member(event, "data", "value"), text_or_none(member(event, "data", "_metadata", "storeId"))
    delivery = AdobeEvent(
        topic=_topic(kind.removeprefix(EVENT_PREFIX)),
        value=value if isinstance(value, dict) else {},
        id=digest if reported is None else text_id(reported),
        time=moment(event.get("time")) or "",
        provider=provider,
        scope=scope if scope != ADMIN else None,
        stores=source.stores,
    )
    reader = READERS.get(delivery.topic)
    if reader is None:
        return NothingToDo(event=delivery.event(""), reason="topic_not_used")
    if provider != source.options.get("provider", provider):
        return NothingToDo(event=delivery.event(""), reason="store_not_connected")
    return reader(delivery)


def _one_of_many(event: Any, position: int, digest: str, source: Source) -> Change:
    """Return the changes of one event of a batch; an unreadable one does not hold up the others."""
    try:
        return _event(event, digest, source)
    except Untranslatable as problem:
        topic = text_or_none(member(event, "type")) or ""
        named = Event(source=PLATFORM, topic=topic, id=body_digest(str(position), digest), entity_id="")
        return Unreadable(event=named, problem=problem)


# -- Commerce webhooks --------------------------------------------------------------------------------------------


def _hook(request: Request, source: Source) -> Change:
    if request.topic is None:
        raise Untranslatable("no_topic")
    body = json_object(request.body)
    topic = _topic(request.topic)
    delivery = AdobeEvent(topic=topic, value=body, id=body_digest(topic, request.body), stores=source.stores)
    reader = READERS.get(delivery.topic)
    if reader is None:
        return NothingToDo(event=delivery.event(""), reason="topic_not_used")
    if (".delete" in delivery.topic or "_delete_" in delivery.topic) != _is_id_alone(body):
        raise Untranslatable("topic_mismatch", "a deletion has an id and nothing else, and only a deletion does")
    if _is_id_alone(body) and not source.proves(topic):
        # Whatever else the shop signs may hold an id alone, and the topic is not signed.
        return NothingToDo(event=delivery.event(""), reason="topic_not_proven")
    if kind := sales_kind(topic):
        if not is_of_kind(body, kind):
            raise Untranslatable("topic_mismatch", f"the body is not that of {topic}")
        return reader(delivery)
    if is_of_a_sale(body):
        raise Untranslatable("topic_mismatch", f"the body is not that of {topic}")
    entity = object_of(body, "address" if "address" in topic else "customer")
    if ("address" in topic) != bool(entity.keys() & _ADDRESS_MEMBERS) and not _is_id_alone(body):
        raise Untranslatable("topic_mismatch", "an address has a customer's id or a street, and a customer has none")
    return reader(delivery)


def _is_id_alone(body: Any) -> bool:
    """Return whether the body is a deletion's: a saved entity cannot be replayed as one, nor the reverse."""
    return isinstance(body, dict) and len(body) == 1 and not isinstance(next(iter(body.values())), dict)


def _topic(name: str) -> str:
    """Return the topic with ``magento.``, which cloud service installations leave out."""
    plugin, _, rest = name.partition(".")
    return f"plugin.magento.{rest}" if plugin == "plugin" and rest.startswith(("customer.", "sales.")) else name


READERS = bodies.READERS | ORDER_READERS


SOURCE = Adobe()
