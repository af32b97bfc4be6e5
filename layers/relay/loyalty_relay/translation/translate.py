"""From changes to commands: what a source's report becomes at the connection's destination.

    customer created      capillary: register        kangaroo: patch CRM fields
    customer changed      capillary: update          kangaroo: patch CRM fields
    consent, tags         part of the same           part of the same
    customer retired      a tombstone of ours; no request to the destination
    store changed         nothing                    link the store
    order changed         record the sale, or the refund, where the connection records sales
    store erased          erasure of what we hold
    thin                  hydrate, then as above

Defaults a destination has no place for are left out; what a mapping names is always sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loyalty_relay.connections.model import Connection
from loyalty_relay.destinations.base import Vendor
from loyalty_relay.destinations.registry import vendor as vendor_named
from loyalty_relay.model.commands import (
    Command,
    CustomerRef,
    EraseStore,
    Hydrate,
    Identifier,
    LinkStore,
    PatchCrmFields,
    RecordRefund,
    RecordSale,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.orders import Order, in_currency
from loyalty_relay.sources.base import (
    Buyer,
    Change,
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    OrderChanged,
    StoreChanged,
    StoreErased,
    ThinChange,
    Unreadable,
    listed,
)
from loyalty_relay.translation.coercion import NotCoercible, coerce
from loyalty_relay.translation.parts import credits_of, divided, identifiers_of, options_of


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to send; ``reason`` is a stable word for the journal."""

    reason: str


def translate(change: Change, connection: Connection) -> list[Command] | Skip:
    """Return the commands of one change, in the order in which they are to be sent.

    Raises Untranslatable for what could not be read, and 'mapping_failed' when a mapping's expression fails on it.
    """
    match change:
        case NothingToDo():
            return Skip(change.reason)
        case Unreadable():
            raise change.problem
        case CustomerChanged():
            return _changed(change, connection)
        case CustomerRetired():
            return [_retired(change, connection)]
        case StoreErased():
            if connection.source.stores and not listed(change.shop_id, connection.source):
                return Skip("store_not_connected")
            return [EraseStore(shop_id=change.shop_id, version=change.version, store=_store(change.shop_id))]
        case StoreChanged():
            return _store_changed(change, connection)
        case OrderChanged():
            return _order_changed(change, connection)
        case ThinChange():
            if change.sales and (why := _no_sales(connection)):
                return Skip(why)
            return [Hydrate(resource=change.resource, store=change.store, data=change.data)]


def _store_changed(change: StoreChanged, connection: Connection) -> list[Command] | Skip:
    vendor = vendor_named(connection.destination.vendor)
    if vendor.commands.get("store_changed") is not LinkStore:
        return Skip(f"no_stores_at_{vendor.name}")
    return [
        LinkStore(
            shop_id=change.shop_id,
            account_id=change.account_id,
            store_name=change.name,
            store_domain=change.domain,
            version=change.version,
        )
    ]


def _no_sales(connection: Connection) -> str:
    """Return why a connection records no sales; "" where it does."""
    if not connection.sales.enabled:
        return "sales_not_enabled"
    vendor = vendor_named(connection.destination.vendor)
    return "" if "transaction" in vendor.operations else f"no_sales_at_{vendor.name}"


def _order_changed(change: OrderChanged, connection: Connection) -> list[Command] | Skip:
    if why := _no_sales(connection):
        return Skip(why)
    members: dict[str, Any] = {
        "order": in_currency(_with_mapped(change, connection), connection.sales.currency),
        "version": change.version,
        "store": _store(change.store),
    }
    if (buyer := change.buyer) is not None:
        vendor = vendor_named(connection.destination.vendor)
        fields = _defaults(buyer.fields, vendor)
        members["customer"] = _customer_ref(buyer, fields, {}, connection)
        members["guest"] = buyer.source_id is None
        members["fields"] = fields
    return [RecordSale(**members) if change.order.sale is not None else RecordRefund(**members)]


def _with_mapped(change: OrderChanged, connection: Connection) -> Order:
    """Return the order with what the mapping makes of ``sale.note``, ``sale.custom_fields.NAME`` and so on."""
    order = change.order
    if not connection.mapping:
        return order
    from loyalty_relay.translation.mapping import SALE, mapped

    values, _ = mapped(change.event.topic, change.payload, connection, sales=True)

    def named(prefix: str) -> dict[str, Any]:
        found = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
        return {name: value for name, value in found.items() if value is not None}

    return replace(
        order,
        note=str(values.get(f"{SALE}note", order.note) or ""),
        custom_fields=named(f"{SALE}custom_fields."),
        extended_fields=named(f"{SALE}extended_fields."),
    )


def _changed(change: CustomerChanged, connection: Connection) -> list[Command] | Skip:
    vendor = vendor_named(connection.destination.vendor)
    kind = vendor.commands.get("customer_created" if change.created else "customer_changed")
    if kind is None:
        return Skip(f"no_customers_at_{vendor.name}")
    fields = _defaults(change.fields, vendor)
    if connection.mapping:
        from loyalty_relay.translation.mapping import mapped

        values, names = mapped(change.event.topic, change.payload, connection)
        fields = {name: value for name, value in fields.items() if not _overridden(name, names)} | values
    fields, parts = divided(fields)
    owed = credits_of(parts)
    if not (fields.keys() - {"country"} or owed or change.created):
        return Skip(_why_nothing(change, vendor.name))
    members: dict[str, Any] = {
        "customer": _customer_ref(change, fields, parts, connection),
        "fields": fields,
        "credits": owed,
        "options": options_of(parts),
        "version": change.version,
        "versions": {name: version for name, version in change.versions.items() if name in fields},
        "store": _store(change.store),
    }
    if kind is RegisterCustomer:
        return [RegisterCustomer(**members)]
    members["if_missing"] = "register" if change.created or connection.register_missing else "error"
    return [PatchCrmFields(**members) if kind is PatchCrmFields else UpdateCustomer(**members)]


def _store(name: str | None) -> str | None:
    """Return a store as commands name it: one spelling, so that erasing it finds what belongs to it."""
    return name.casefold() if name else None


def _defaults(reported: Mapping[str, Any], vendor: Vendor) -> dict[str, Any]:
    """Return the reported fields in their own forms. A default that cannot take its form is left out."""
    fields: dict[str, Any] = {}
    for name, value in reported.items():
        if name.startswith(("tags.", "subscriptions.")) and not vendor.takes(name):
            continue
        try:
            fields[name] = coerce(name, value)
        except NotCoercible:
            continue
    return fields


def _overridden(name: str, mapped_names: frozenset[str]) -> bool:
    return name in mapped_names or (name.startswith("tags.") and "tags" in mapped_names)


def _why_nothing(change: CustomerChanged, vendor: str) -> str:
    if not change.fields:
        return "nothing_mapped"
    if all(name.startswith("tags.") for name in change.fields):
        return f"no_tags_at_{vendor}"
    if all(name.startswith("subscriptions.") for name in change.fields):
        return f"no_such_consent_at_{vendor}"
    return f"nothing_for_{vendor}"


def _customer_ref(
    change: CustomerChanged | Buyer, fields: Mapping[str, Any], parts: Mapping[str, Any], connection: Connection
) -> CustomerRef:
    found: dict[str, Any] = {
        "email": fields.get("email") or change.email,
        "mobile": fields.get("phone") or change.phone,
    }
    if connection.destination.options.get("source_id_as_external_id"):
        found["external_id"] = change.source_id
    identifiers = identifiers_of(found, parts)
    verified = {i.type: _verified(i, change, connection) for i in identifiers}
    return CustomerRef(
        source_id=change.source_id,
        identifiers=identifiers,
        unverified=tuple(kind for kind, known in verified.items() if known is False),
        unproven=tuple(kind for kind, known in verified.items() if known is None),
    )


_CONTACTS = {"email": "email", "mobile": "phone"}
"""Types of identifiers that platforms have fields for."""


def _verified(identifier: Identifier, change: CustomerChanged | Buyer, connection: Connection) -> bool | None:
    """Return whether an identifier is verified; None if unknown.

    A platform's report is about its own value; a mapping may have put another one in its place.
    """
    kind = identifier.type
    name = _CONTACTS.get(kind, "")
    reported = change.verified.get(name)
    own = change.fields.get(name) or (change.email if kind == "email" else change.phone)
    if reported is False or (reported and str(own).strip() == identifier.value):
        return reported
    if kind == "external_id" and identifier.value == change.source_id:
        return True
    return True if kind in connection.source.verified_identifiers else None


def _retired(change: CustomerRetired, connection: Connection) -> RetireCustomer:
    found = {"email": change.email, "mobile": change.phone}
    return RetireCustomer(
        customer=CustomerRef(
            source_id=change.source_id,
            identifiers=tuple(Identifier(kind, value) for kind, value in found.items() if value),
        ),
        reason=change.reason,
        survivor=change.survivor,
        version=change.version,
        store=_store(change.store),
    )
