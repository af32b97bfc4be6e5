"""Adobe Commerce's entities, one reader per shape, whichever of the two mechanisms brings them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.model.commands import Event, Version
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import Change, CustomerChanged, CustomerRetired, NothingToDo, StoreChanged
from loyalty_relay.sources.parsing import address_line, member, moment, take, text_id, text_or_none

PLATFORM = "adobe"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdobeEvent:
    """One authentic event: the entity as far as its fields are subscribed, and the envelope's data about it."""

    topic: str
    value: Mapping[str, Any]
    id: str
    """The event's id in the signed envelope, else a digest of the body."""
    time: str = ""
    provider: str = ""
    scope: str | None = None
    """The store view in which it happened, which need not be the customer's own; None in the Admin."""
    stores: tuple[str, ...] = ()

    def event(self, entity_id: str) -> Event:
        return Event(
            source=PLATFORM,
            topic=self.topic,
            id=self.id,
            entity_id=entity_id,
            time=self.time,
        )

    def version(self, entity: Mapping[str, Any], event: Event) -> Version | None:
        """Return the version as of the entity's ``updated_at`` (UTC, although not written), or else of the event."""
        value = moment(entity.get("updated_at")) or self.time
        return Version(PLATFORM, value, self.time, event.id) if value else None

    def elsewhere(self, store: str | None) -> bool:
        """Return whether this store view is none of the listed ones. Addresses and hooks name none."""
        return bool(self.stores) and store is not None and store not in self.stores


def object_of(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the entity: a hook's result, a member of its name, or the value itself."""
    for found in (value.get("result"), value.get(name), member(value, "data", name)):
        if isinstance(found, dict):
            return found
    return value


# -- customers ----------------------------------------------------------------------------------------------------

_FIELDS = {"email": "email", "firstname": "first_name", "lastname": "last_name", "dob": "birthday"}
_GENDERS = {"1": "male", "2": "female", "3": None, "0": None}


def customer(delivery: AdobeEvent) -> Change:
    """Return a saved customer, who is new by ``_isNew`` or when created and last changed are the same."""
    saved = object_of(delivery.value, "customer")
    source_id = text_id(saved.get("id") or saved.get("entity_id"))
    event = delivery.event(source_id)
    store = text_or_none(saved.get("store_id")) or delivery.scope
    if delivery.elsewhere(store):
        return NothingToDo(event=event, reason="store_not_connected")
    fields = take(saved, _FIELDS)
    if "gender" in saved:
        reported = text_or_none(saved["gender"])
        fields["gender"] = _GENDERS.get(reported, reported) if reported else None
    if "addresses" in saved:
        fields |= _contact(_main_address(saved))
    opted = member(saved, "extension_attributes", "is_subscribed")
    if opted is None:
        opted = saved.get("is_subscribed")
    if opted in (True, False, 1, 0, "1", "0"):
        fields["subscriptions.email.bulk"] = opted in (True, 1, "1")
    made, changed = moment(saved.get("created_at")), moment(saved.get("updated_at"))
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=fields,
        payload=saved,
        version=delivery.version(saved, event),
        created=saved.get("_isNew") is True
        or delivery.topic in REGISTRATIONS
        or (made is not None and made == changed),
        store=store,
        # A key that is kept until the customer has opened the link in the shop's e-mail.
        verified={"email": False} if text_or_none(saved.get("confirmation")) else {},
    )


def _main_address(customer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the default billing address, else that for shipping, else the first.

    Empty when there is none, which means nothing: shops collect an address with the first order.
    """
    listed = customer["addresses"]
    if listed is not None and not isinstance(listed, list):
        raise Untranslatable("bad_field", "addresses is not a list")
    addresses = [address for address in listed or [] if isinstance(address, dict)]
    for kind in ("default_billing", "default_shipping"):
        named = text_or_none(customer.get(kind))
        for address in addresses:
            if address.get(kind) in (True, 1, "1") or (named and text_or_none(address.get("id")) == named):
                return address
    return addresses[0] if addresses else {}


def _contact(address: Mapping[str, Any]) -> dict[str, Any]:
    """Return what only addresses have: phone number and country, as far as they are subscribed."""
    fields: dict[str, Any] = {}
    if "telephone" in address:
        fields["phone"] = text_or_none(address["telephone"])
    if address.keys() & {"street", "city"}:
        street, region = address.get("street"), address.get("region")
        lines = street if isinstance(street, list) else str(street or "").splitlines()
        region = region.get("region") if isinstance(region, dict) else region
        fields["address"] = address_line(*lines, address.get("city"), region)
    if "postcode" in address:
        fields["postal_code"] = text_or_none(address["postcode"])
    if country := text_or_none(address.get("country_id")):
        fields["country"] = country
    return fields


def _address(delivery: AdobeEvent) -> Change:
    """Return one address of a customer; only the default one for billing is the customer's."""
    address = object_of(delivery.value, "address")
    source_id = text_id(address.get("customer_id") or address.get("parent_id"))
    event = delivery.event(source_id)
    if delivery.elsewhere(text_or_none(address.get("store_id")) or delivery.scope):
        return NothingToDo(event=event, reason="store_not_connected")
    if not any(address.get(name) in (True, 1, "1") for name in ("default_billing", "is_default_billing")):
        return NothingToDo(event=event, reason="not_the_main_address")
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=_contact(address),
        payload=address,
        version=delivery.version(address, event),
        store=delivery.scope,
    )


def _deleted(delivery: AdobeEvent) -> Change:
    """Return a deletion. By default only the id is subscribed, and hooks get it alone."""
    customer = object_of(delivery.value, "customer")
    names = ("id", "entity_id", "customerId", "customer_id")
    source_id = text_id(next((customer[name] for name in names if customer.get(name)), None))
    event = delivery.event(source_id)
    store = text_or_none(customer.get("store_id"))
    if delivery.elsewhere(store):
        return NothingToDo(event=event, reason="store_not_connected")
    as_of = delivery.time
    return CustomerRetired(
        event=event,
        source_id=source_id,
        reason="deleted",
        version=Version(PLATFORM, as_of, as_of, event.id) if as_of else None,
        store=store,
    )


def _login(delivery: AdobeEvent) -> Change:
    """Ignore a login: what changed before it has been reported."""
    customer = object_of(delivery.value, "customer")
    return NothingToDo(event=delivery.event(text_id(customer.get("id"))), reason="topic_not_used")


# -- stores -------------------------------------------------------------------------------------------------------


def _store(delivery: AdobeEvent) -> Change:
    """Return a store view: what customers and orders name as their store."""
    store = object_of(delivery.value, "store")
    shop_id = text_id(store.get("store_id") or store.get("id"))
    event = delivery.event(shop_id)
    if delivery.elsewhere(shop_id):
        return NothingToDo(event=event, reason="store_not_connected")
    if store.get("is_active") in (False, 0, "0"):
        return NothingToDo(event=event, reason="location_closed")
    return StoreChanged(
        event=event,
        shop_id=shop_id,
        account_id=delivery.provider or text_or_none(store.get("website_id")) or shop_id,
        name=text_or_none(store.get("name")),
        payload=store,
        version=delivery.version(store, event),
    )


def _group(delivery: AdobeEvent) -> Change:
    """Store groups hold store views; these are linked, each by itself."""
    return NothingToDo(
        event=delivery.event(text_or_none(delivery.value.get("group_id")) or ""), reason="topic_not_used"
    )


REGISTRATIONS = frozenset({"observer.customer_register_success"})
READERS: dict[str, Callable[[AdobeEvent], Change]] = {
    "observer.customer_save_commit_after": customer,
    "observer.customer_save_after": customer,
    "observer.customer_register_success": customer,
    "observer.customer_delete_commit_after": _deleted,
    "observer.customer_login": _login,
    "observer.customer_address_save_commit_after": _address,
    "observer.store_save_commit_after": _store,
    "observer.store_group_save_commit_after": _group,
    "observer.store_group_delete_commit_after": _group,
    "plugin.magento.customer.api.customer_repository.save": customer,
    "plugin.magento.customer.api.customer_repository.delete_by_id": _deleted,
    "plugin.magento.customer.api.address_repository.save": _address,
}
