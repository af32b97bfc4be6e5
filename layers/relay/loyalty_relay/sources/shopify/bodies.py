"""Shopify's webhook bodies, one reader per shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.base import Change, CustomerChanged, CustomerRetired, NothingToDo, StoreChanged, StoreErased
from loyalty_relay.sources.parsing import member, take, text_id, text_or_none, verified
from loyalty_relay.sources.shopify.delivery import (
    ShopifyDelivery,
    address,
    consent_of,
    entity_id,
    gid_of,
    retired,
    tags_of,
)

# -- customers ----------------------------------------------------------------------------------------------------

_FIELDS = {"email": "email", "phone": "phone", "first_name": "first_name", "last_name": "last_name", "note": "notes"}


def customer(delivery: ShopifyDelivery) -> Change:
    """Return the customer as a whole, as far as the payload's generation has them."""
    body = delivery.body
    gid = body.get("admin_graphql_api_id")
    is_customer = gid_of(gid, "Customer") if gid is not None else "verified_email" in body or "state" in body
    delivery.expect(bool(is_customer) and "updated_at" in body and "myshopify_domain" not in body)
    source_id = entity_id(body, "Customer")
    event = delivery.event(source_id)
    created = delivery.topic == "customers/create"
    fields = take(body, _FIELDS) | address(body, "default_address", "zip", "country_code")
    fields |= {f"tags.{tag}": True for tag in tags_of(body.get("tags"))}
    versions: dict[str, Version] = {}
    for member_name, field in (
        ("email_marketing_consent", "subscriptions.email.bulk"),
        ("sms_marketing_consent", "subscriptions.sms.bulk"),
    ):
        opted, as_of = consent_of(body.get(member_name), "state", "consent_updated_at")
        if opted is not None:
            fields[field] = opted
            if as_of:
                versions[field] = delivery.version(as_of, event)
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields=fields,
        payload=body,
        version=delivery.version(body["updated_at"], event),
        versions=versions,
        created=created,
        store=delivery.shop,
        verified=verified(email=body.get("verified_email")),
    )


def _deleted(delivery: ShopifyDelivery) -> Change:
    body = delivery.body
    known = {"id", "admin_graphql_api_id", "tax_exemptions", "tax_exempt", "phone", "addresses"}
    delivery.expect(body.keys() <= known and ("tax_exemptions" in body or "admin_graphql_api_id" in body))
    delivery.expect("admin_graphql_api_id" not in body or gid_of(body["admin_graphql_api_id"], "Customer") is not None)
    return retired(delivery, entity_id(body, "Customer"))


def _merged(delivery: ShopifyDelivery) -> Change:
    kept = gid_of(delivery.body.get("admin_graphql_api_customer_kept_id"), "Customer")
    merged = gid_of(delivery.body.get("admin_graphql_api_customer_deleted_id"), "Customer")
    if kept is None or merged is None:
        raise Untranslatable("topic_mismatch", "a merge names two customers")
    event = delivery.event(merged)
    status = str(delivery.body.get("status")).lower()
    if status != "completed":
        return NothingToDo(event=event, reason="merge_failed" if status == "failed" else "merge_not_completed")
    return CustomerRetired(
        event=event,
        source_id=merged,
        reason="merged",
        survivor=kept,
        version=delivery.final(event),
        store=delivery.shop,
    )


def _purchases(delivery: ShopifyDelivery) -> Change:
    body = delivery.body
    delivery.expect("numberOfOrders" in body or "amountSpent" in body)
    source_id = gid_of(body.get("customerId"), "Customer") or text_id(body.get("customerId"))
    event = delivery.event(source_id)
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields={},
        payload=body,
        version=delivery.version(body.get("occurredAt"), event),
        store=delivery.shop,
    )


# -- consents and tags --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ConsentTopic:
    """Three consent topics, three spellings of the same."""

    id: str
    contact: str
    consent: str
    time: str
    field: str

    def __call__(self, delivery: ShopifyDelivery) -> Change:
        body = delivery.body
        delivery.expect(self.consent in body and "updated_at" not in body)
        source_id = text_id(body.get(self.id))
        event = delivery.event(source_id)
        opted, as_of = consent_of(body[self.consent], "state", self.time)
        if opted is None:
            return NothingToDo(event=event, reason="no_consent_given")
        contact = text_or_none(body.get(self.contact))
        by_email = self.field.startswith("subscriptions.email")
        return CustomerChanged(
            event=event,
            source_id=source_id,
            fields={self.field: opted},
            payload=body,
            version=delivery.version(as_of, event),
            store=delivery.shop,
            email=contact if by_email else None,
            phone=None if by_email else contact,
        )


def _tagged(delivery: ShopifyDelivery) -> Change:
    """Return added or removed tags.

    Only the unsigned topic shows which, so both share one identity: the first one counts.
    """
    body = delivery.body
    delivery.expect("customerId" in body and isinstance(body.get("tags"), list) and "occurredAt" in body)
    source_id = gid_of(body["customerId"], "Customer") or text_id(body["customerId"])
    event = delivery.event(source_id, family="customer.tags")
    tags = tags_of(body["tags"])
    if not tags:
        return NothingToDo(event=event, reason="no_tags")
    return CustomerChanged(
        event=event,
        source_id=source_id,
        fields={f"tags.{tag}": delivery.topic == "customer.tags_added" for tag in tags},
        payload=body,
        version=delivery.version(body["occurredAt"], event),
        store=delivery.shop,
    )


def _segment(delivery: ShopifyDelivery) -> Change:
    """Ignore segments: the signed body has neither time nor direction, so nothing could be relied on."""
    delivery.expect("segment_id" in delivery.body)
    source_id = gid_of(delivery.body.get("customer_id"), "Customer") or text_id(delivery.body.get("customer_id"))
    return NothingToDo(event=delivery.event(source_id), reason="segments_not_used")


# -- privacy ------------------------------------------------------------------------------------------------------


def _redacted(delivery: ShopifyDelivery) -> Change:
    body = delivery.body
    delivery.expect("customer" in body and "data_request" not in body and "orders_requested" not in body)
    delivery.same_shop(body.get("shop_domain"))
    source_id = text_id(member(body, "customer", "id"))
    event = delivery.event(source_id)
    return CustomerRetired(
        event=event,
        source_id=source_id,
        reason="erased",
        version=delivery.final(event),
        email=text_or_none(member(body, "customer", "email")),
        phone=text_or_none(member(body, "customer", "phone")),
        store=delivery.shop,
    )


def _data_request(delivery: ShopifyDelivery) -> Change:
    delivery.expect("data_request" in delivery.body or "orders_requested" in delivery.body)
    delivery.same_shop(delivery.body.get("shop_domain"))
    return NothingToDo(event=delivery.event(text_id(member(delivery.body, "customer", "id"))), reason="data_request")


def _shop_redacted(delivery: ShopifyDelivery) -> Change:
    """Return the erasure of a shop, sent 48 h after an app was uninstalled.

    A shop that comes back and leaves again sends the same body: for the 30 days that events are remembered it is a
    duplicate, and has no effect.
    """
    body = delivery.body
    delivery.expect(body.keys() <= {"shop_id", "shop_domain"})
    delivery.same_shop(body.get("shop_domain"))
    shop = delivery.shop.lower()
    event = delivery.event(shop)
    return StoreErased(event=event, shop_id=shop, version=delivery.final(event))


# -- shops and locations ------------------------------------------------------------------------------------------


def _location(delivery: ShopifyDelivery) -> Change:
    body = delivery.body
    gid = body.get("admin_graphql_api_id")
    delivery.expect(gid_of(gid, "Location") is not None if gid is not None else "name" in body and "active" in body)
    source_id = entity_id(body, "Location")
    event = delivery.event(source_id)
    if body.get("active") is False:
        return NothingToDo(event=event, reason="location_closed")
    if body.get("legacy") is True:
        return NothingToDo(event=event, reason="fulfilment_service")
    return StoreChanged(
        event=event,
        shop_id=source_id,
        account_id=delivery.shop.lower(),
        name=text_or_none(body.get("name")),
        domain=f"https://{delivery.shop.lower()}",
        payload=body,
        version=delivery.version(body.get("updated_at"), event),
    )


def _location_closed(delivery: ShopifyDelivery) -> Change:
    """Keep the link: no event undoes one, and past sales are attributed by it."""
    gid = delivery.body.get("admin_graphql_api_id")
    delivery.expect(gid is None or gid_of(gid, "Location") is not None)
    return NothingToDo(event=delivery.event(entity_id(delivery.body, "Location")), reason="location_closed")


def _shop(delivery: ShopifyDelivery) -> Change:
    body = delivery.body
    delivery.expect("myshopify_domain" in body)
    delivery.same_shop(body["myshopify_domain"])
    shop = delivery.shop.lower()
    event = delivery.event(shop)
    if delivery.topic == "app/uninstalled":
        return NothingToDo(event=event, reason="app_uninstalled")
    return StoreChanged(
        event=event,
        shop_id=shop,
        account_id=shop,
        name=text_or_none(body.get("name")),
        domain=f"https://{text_or_none(body.get('domain')) or shop}",
        payload=body,
        version=delivery.version(body.get("updated_at"), event),
    )


def _unused(delivery: ShopifyDelivery) -> Change:
    return NothingToDo(event=delivery.event(""), reason="topic_not_used")


READERS: dict[str, Callable[[ShopifyDelivery], Change]] = {
    "customers/create": customer,
    "customers/update": customer,
    "customers/enable": customer,
    "customers/disable": customer,
    "customers/delete": _deleted,
    "customers/merge": _merged,
    "customers/purchasing_summary": _purchases,
    "customers/redact": _redacted,
    "customers/data_request": _data_request,
    "customers_email_marketing_consent/update": _ConsentTopic(
        "customer_id", "email_address", "email_marketing_consent", "consent_updated_at", "subscriptions.email.bulk"
    ),
    "customers_marketing_consent/update": _ConsentTopic(
        "id", "phone", "sms_marketing_consent", "consent_updated_at", "subscriptions.sms.bulk"
    ),
    "customers_whats_app_marketing_consent/update": _ConsentTopic(
        "customer_id", "phone_number", "whats_app_marketing_consent", "updated_at", "subscriptions.whatsapp.bulk"
    ),
    "customer.tags_added": _tagged,
    "customer.tags_removed": _tagged,
    "customer.joined_segment": _segment,
    "customer.left_segment": _segment,
    "locations/create": _location,
    "locations/update": _location,
    "locations/activate": _location,
    "locations/deactivate": _location_closed,
    "locations/delete": _location_closed,
    "shop/update": _shop,
    "shop/redact": _shop_redacted,
    "app/uninstalled": _shop,
    "app/scopes_update": _unused,
}
