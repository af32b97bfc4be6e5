"""Our own published event schema: how any till or shop reports events, in bodies of its own making.

docs/event-schema.md is for the people who send it, ``events/sources/standard/schema.json`` for their tools. The
Standard Webhooks and the CloudEvents modules share it; they differ in the envelope only.

A body is taken as it is meant: unknown members are kept for mappings, a member of the wrong type parks the delivery
with the member's name, absent means unchanged, and null or an empty text means that the customer has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.model.commands import REVISION, Event, Version, revision
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    OrderChanged,
    StoreChanged,
    StoreErased,
)
from loyalty_relay.sources.parsing import member, moment, take, text_id, text_or_none, verified
from loyalty_relay.sources.sale_schema import buyer_of, refund_order, sale_order, void_order

CHANNELS = ("email", "sms", "whatsapp")
FIELDS = {
    name: name
    for name in (
        "email",
        "phone",
        "first_name",
        "last_name",
        "birthday",
        "gender",
        "language",
        "postal_code",
        "country",
        "address",
        "notes",
    )
}


@dataclass(frozen=True, slots=True)
class Payload:
    """An event of the schema, whatever envelope brought it. ``time``: ``instant`` text or empty."""

    source: str
    type: str
    id: str
    time: str
    data: Mapping[str, Any]

    def event(self, entity_id: str) -> Event:
        return Event(source=self.source, topic=self.type, id=self.id, entity_id=entity_id, time=self.time)

    def version(self, entity: Mapping[str, Any]) -> Version | None:
        """Return the version: the entity's revision, else its ``updated_at``, else the event's time.

        A sender keeps to one of them: revisions and times are clocks of their own.
        """
        number = entity.get("revision")
        if number is not None:
            if isinstance(number, bool) or not isinstance(number, int):
                raise Untranslatable("bad_revision", "revision is not an integer")
            try:
                return Version(f"{self.source}{REVISION}", revision(number), self.time, self.id)
            except ValueError as error:
                raise Untranslatable("bad_revision", str(error)) from None
        return self.as_of(entity.get("updated_at")) or self.as_of(self.time)

    def as_of(self, payload: Any) -> Version | None:
        value = moment(payload)
        if payload and value is None:
            raise Untranslatable("bad_time", "a time is not RFC 3339")
        return Version(self.source, value, self.time, self.id) if value else None


def changes(payload: Payload) -> list[Change]:
    """Return the changes of an event of the schema. Raises Untranslatable when it does not keep to the schema."""
    reader = _READERS.get(payload.type)
    if reader is None:
        return [NothingToDo(event=payload.event(""), reason="topic_not_used")]
    return [reader(payload)]


def store_of(data: Any) -> str | None:
    """Return the store that an event's data names; None when it names none."""
    return text_or_none(member(data, "store_id")) or text_or_none(member(data, "store", "account_id"))


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise Untranslatable(f"no_{name}", f"data.{name} is not an object")
    return value


def _customer(payload: Payload) -> Change:
    """Return the reported fields of a created or updated customer."""
    customer = _object(payload.data, "customer")
    fields = take(customer, FIELDS)
    for name in ("custom_fields", "extended_fields"):
        given = customer.get(name)
        if given is None:
            continue
        if not isinstance(given, dict):
            raise Untranslatable("bad_field", f"{name} is not an object")
        fields |= {f"{name}.{key}": value for key, value in given.items()}
    consents, versions = _consents(payload, customer.get("consents"))
    return _changed(payload, customer, fields | _tags(customer.get("tags")) | consents, versions)


def _part(payload: Payload) -> Change:
    """Return consent or tags alone; e-mail and phone identify the customer and are no change."""
    customer = _object(payload.data, "customer")
    if payload.type == "customer.tags":
        return _changed(payload, customer, _tags(customer.get("tags")), {})
    return _changed(payload, customer, *_consents(payload, customer.get("consents")))


def _changed(
    payload: Payload, customer: Mapping[str, Any], fields: Mapping[str, Any], versions: Mapping[str, Version]
) -> Change:
    source_id = text_id(customer.get("id"))
    created = payload.type == "customer.created"
    if not fields and not created:
        return NothingToDo(event=payload.event(source_id), reason="no_changes")
    return CustomerChanged(
        event=payload.event(source_id),
        source_id=source_id,
        fields=fields,
        payload=customer,
        version=payload.version(customer),
        versions=versions,
        created=created,
        store=store_of(payload.data),
        email=text_or_none(customer.get("email")),
        phone=text_or_none(customer.get("phone")),
        verified=verified(email=customer.get("email_verified"), phone=customer.get("phone_verified")),
    )


def _tags(given: Any) -> dict[str, bool]:
    """Return tags by name: a list names those that are set, an object has true or false for each."""
    if given is None:
        return {}
    if isinstance(given, list):
        given = dict.fromkeys((tag for tag in given if isinstance(tag, str)), True)
    if not isinstance(given, dict) or not all(isinstance(value, bool) for value in given.values()):
        raise Untranslatable("bad_field", "tags is neither a list of names nor an object of name -> true or false")
    return {f"tags.{name.strip()}": value for name, value in given.items() if name.strip()}


def _consents(payload: Payload, given: Any) -> tuple[dict[str, bool], dict[str, Version]]:
    if given is None:
        return {}, {}
    if not isinstance(given, dict):
        raise Untranslatable("bad_field", "consents is not an object")
    fields: dict[str, bool] = {}
    versions: dict[str, Version] = {}
    for channel in CHANNELS:
        consent = given.get(channel)
        if consent is None:
            continue
        opted = member(consent, "subscribed")
        if not isinstance(opted, bool):
            raise Untranslatable("bad_field", f"consents.{channel}.subscribed is neither true nor false")
        field = f"subscriptions.{channel}.bulk"
        fields[field] = opted
        if version := payload.as_of(member(consent, "updated_at")):
            versions[field] = version
    return fields, versions


def _retired(payload: Payload) -> Change:
    customer = _object(payload.data, "customer")
    source_id = text_id(customer.get("id"))
    return CustomerRetired(
        event=payload.event(source_id),
        source_id=source_id,
        reason="erased" if payload.type == "customer.erased" else "deleted",
        version=payload.version(customer),
        email=text_or_none(customer.get("email")),
        phone=text_or_none(customer.get("phone")),
        store=store_of(payload.data),
    )


def _merged(payload: Payload) -> Change:
    customer = _object(payload.data, "customer")
    source_id = text_id(customer.get("id"))
    survivor = text_id(customer.get("merged_into"))
    if survivor == source_id:
        raise Untranslatable("bad_merge", "a customer cannot be merged into itself")
    return CustomerRetired(
        event=payload.event(source_id),
        source_id=source_id,
        reason="merged",
        survivor=survivor,
        version=payload.version(customer),
        store=store_of(payload.data),
    )


def _store(payload: Payload) -> Change:
    store = _object(payload.data, "store")
    shop_id = text_id(store.get("id"))
    if payload.type == "store.closed":
        return NothingToDo(event=payload.event(shop_id), reason="location_closed")
    if payload.type == "store.erased":
        return StoreErased(event=payload.event(shop_id), shop_id=shop_id, version=payload.version(store))
    return StoreChanged(
        event=payload.event(shop_id),
        shop_id=shop_id,
        account_id=text_or_none(store.get("account_id")) or store_of(payload.data) or shop_id,
        name=text_or_none(store.get("name")),
        domain=text_or_none(store.get("domain")),
        payload=store,
        version=payload.version(store),
    )


def _sale(payload: Payload) -> Change:
    """Return a sale as a whole, or that it was voided."""
    sale, store = _object(payload.data, "sale"), store_of(payload.data)
    voided = payload.type == "sale.voided"
    order = void_order(sale) if voided else sale_order(sale, payload.time, store, payload.version)
    return OrderChanged(
        event=payload.event(order.id),
        order=order,
        buyer=None if voided else buyer_of(sale.get("customer"), FIELDS),
        payload=sale,
        version=None if voided else payload.version(sale),
        store=store,
    )


def _refund(payload: Payload) -> Change:
    """Return one refund; the sale's customer is known from the sale, so that only a refund of none names one."""
    refund = _object(payload.data, "refund")
    order = refund_order(refund, payload.version)
    return OrderChanged(
        event=payload.event(order.id),
        order=order,
        buyer=buyer_of(refund.get("customer"), FIELDS) if order.unlinked else None,
        payload=refund,
        store=store_of(payload.data),
    )


_READERS: dict[str, Callable[[Payload], Change]] = {
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.consent": _part,
    "customer.tags": _part,
    "customer.deleted": _retired,
    "customer.erased": _retired,
    "customer.merged": _merged,
    "store.created": _store,
    "store.updated": _store,
    "store.closed": _store,
    "store.erased": _store,
    "sale.completed": _sale,
    "sale.refunded": _refund,
    "sale.voided": _sale,
}
