"""Changes become commands, by destination."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.registry import vendor as vendor_named
from loyalty_relay.model.commands import (
    Command,
    CustomerCommand,
    Envelope,
    EraseStore,
    Event,
    Hydrate,
    LinkStore,
    OrderCommand,
    PatchCrmFields,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.orders import Amounts, Order, Sale
from loyalty_relay.sources import catalogue, source_module
from loyalty_relay.sources.base import CustomerChanged, OrderChanged, ThinChange, Topic
from loyalty_relay.translation import translate as translation
from loyalty_relay.translation.translate import Skip, translate
from tests.sources.samples import connection, load

BECOMES: dict[str, dict[str, type[Command] | str]] = {
    "capillary": {
        "register": RegisterCustomer,
        "update": UpdateCustomer,
        "consent": UpdateCustomer,
        "tags": "no_tags_at_capillary",
        "link-store": "no_stores_at_capillary",
        "retire": RetireCustomer,
        "hydrate": Hydrate,
    },
    "kangaroo": {
        "register": PatchCrmFields,
        "update": PatchCrmFields,
        "consent": PatchCrmFields,
        "tags": PatchCrmFields,
        "link-store": LinkStore,
        "retire": RetireCustomer,
        "hydrate": Hydrate,
    },
}
NOTHING = {
    ("shopify", "customers-purchasing-summary", "capillary"): "nothing_mapped",
    ("shopify", "customers-purchasing-summary", "kangaroo"): "nothing_mapped",
    ("shopify", "sms-consent", "kangaroo"): "no_such_consent_at_kangaroo",
    ("shopify", "whats-app-consent", "kangaroo"): "no_such_consent_at_kangaroo",
}
ERASED = {"customers-redact": RetireCustomer, "customer-erased": RetireCustomer}
"""Erasures of a customer; the others are of a store."""


def expected(vendor: str, platform: str, topic: Topic) -> type[Command] | str | None:
    """The command, the reason why there is none, or None where the source itself has nothing to do."""
    if topic.becomes == "ignored":
        return None
    if topic.becomes == "erase":
        return ERASED.get(topic.fixture, EraseStore)
    if topic.becomes == "transaction":
        return OrderCommand
    return NOTHING.get((platform, topic.fixture, vendor)) or BECOMES[vendor][topic.becomes]


def translated(platform: str, fixture: str, vendor: str = "capillary", **more: Any) -> list[Command] | Skip:
    shop = connection(platform, vendor, **more)
    (change,) = source_module(platform).read(load(platform, fixture).signed(), shop.source)
    return translate(change, shop)


def one(platform: str, fixture: str, vendor: str = "capillary", **more: Any) -> Any:
    found = translated(platform, fixture, vendor, **more)
    assert not isinstance(found, Skip), found
    (command,) = found
    return command


@pytest.mark.parametrize("vendor", ["capillary", "kangaroo"])
@pytest.mark.parametrize(
    ("platform", "topic"),
    [pytest.param(p, t, id=f"{p}:{t.fixture}") for p, t in catalogue() if p in ("shopify", "standard")],
)
def test_each_row_becomes_what_the_destination_can_do_with_it(vendor: str, platform: str, topic: Topic) -> None:
    found = translated(platform, topic.fixture, vendor, sales={"enabled": True})
    wanted = expected(vendor, platform, topic)
    if isinstance(wanted, type):
        assert isinstance(found, list)
        (command,) = found
        assert isinstance(command, wanted)
    else:
        assert isinstance(found, Skip)
        assert wanted in (None, found.reason)


@pytest.mark.parametrize("vendor", ["capillary", "kangaroo"])
@pytest.mark.parametrize(
    ("platform", "topic"),
    [pytest.param(p, t, id=f"{p}:{t.fixture}") for p, t in catalogue() if p in ("shopify", "standard")],
)
def test_an_order_is_nothing_to_a_connection_without_sales(vendor: str, platform: str, topic: Topic) -> None:
    if topic.becomes == "transaction":
        assert translated(platform, topic.fixture, vendor) == Skip("sales_not_enabled")


@pytest.mark.parametrize("vendor", ["capillary", "kangaroo"])
@pytest.mark.parametrize(
    ("platform", "topic"),
    [pytest.param(p, t, id=f"{p}:{t.fixture}") for p, t in catalogue() if p in ("shopify", "standard")],
)
def test_commands_survive_the_queue(vendor: str, platform: str, topic: Topic) -> None:
    found = translated(platform, topic.fixture, vendor, sales={"enabled": True})
    for command in found if isinstance(found, list) else []:
        event = Event(source=platform, topic=topic.name, id="e", entity_id="c")
        envelope = Envelope(delivery_id="d", connection="shop", event=event, command=command)
        assert Envelope.from_json(envelope.to_json()) == envelope


def test_a_customer_is_meant_by_source_id_and_contacts() -> None:
    customer = one("shopify", "customers-create").customer
    assert customer.source_id == "7012345678901"
    assert customer.identifier("email") == "ana.nunez@example.com"
    assert customer.identifier("mobile") == "+447700900123"
    assert customer.identifier("external_id") is None


def test_the_sources_id_is_an_external_id_where_the_connection_enables_it() -> None:
    destination = {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "fake.till", "password": "fake-till-password"},
        "options": {"source_id_as_external_id": True},
    }
    assert (
        one("shopify", "customers-create", destination=destination).customer.identifier("external_id")
        == "7012345678901"
    )


def test_a_consent_finds_its_customer_by_contact_without_changing_it() -> None:
    command = one("shopify", "email-consent")
    assert command.customer.identifier("email") == "ana.nunez@example.com"
    assert command.fields == {"subscriptions.email.bulk": True}


def test_missing_customers_are_registered_only_where_the_connection_allows() -> None:
    assert one("shopify", "customers-update").if_missing == "register"
    assert one("shopify", "customers-update", register_missing=False).if_missing == "error"
    assert one("shopify", "customers-update", "kangaroo", register_missing=False).if_missing == "error"
    assert one("shopify", "customers-create", "kangaroo", register_missing=False).if_missing == "register"


def test_versions_travel_by_field() -> None:
    command = one("shopify", "customers-create-2024-10")
    assert command.version_of("first_name").value == "2026-03-02T15:00:00.000000Z"
    assert command.version_of("subscriptions.email.bulk").value == "2026-03-02T14:59:58.000000Z"
    assert command.versions.keys() <= command.fields.keys()


def test_the_country_goes_along_for_the_phone() -> None:
    assert one("standard", "customer-created").fields["country"] == "GB"
    assert one("standard", "customer-created").fields["phone"] == "07700 900140"


def test_a_default_that_cannot_take_its_form_is_left_out() -> None:
    shop = connection("standard", "kangaroo")
    event = Event(source="standard", topic="customer.updated", id="e", entity_id="c")
    change = CustomerChanged(
        event=event, source_id="c", fields={"birthday": "0000-05-17", "gender": "unknown", "first_name": "Ana"}
    )
    (command,) = translate(change, shop)  # type: ignore[misc]
    assert isinstance(command, PatchCrmFields)
    assert command.fields == {"first_name": "Ana"}


def test_a_merge_and_an_erasure_name_whom() -> None:
    merge = one("shopify", "customers-merge")
    assert (merge.reason, merge.customer.source_id, merge.survivor) == ("merged", "7012345678904", "7012345678901")
    erasure = one("shopify", "customers-redact", "kangaroo")
    assert erasure.reason == "erased"
    assert erasure.customer.identifier("mobile") == "+447700900126"


def test_a_store_is_linked_with_its_domain() -> None:
    command = one("shopify", "locations-create", "kangaroo")
    assert (command.shop_id, command.account_id) == ("61000000001", "acme-test.myshopify.com")
    assert command.store_domain == "https://acme-test.myshopify.com"


def test_a_thin_event_is_fetched_first() -> None:
    event = Event(source="standard", topic="t", id="e", entity_id="c")
    thin = ThinChange(event=event, resource="customer", data={"id": 7}, store="s")
    assert translate(thin, connection("standard")) == [Hydrate(resource="customer", data={"id": 7}, store="s")]


@pytest.mark.parametrize(
    ("vendor", "inside"),
    [
        ("capillary", {"custom_fields.x", "extended_fields.x", "subscriptions.sms.bulk", "channels.email"}),
        ("kangaroo", {"custom_fields.custom_field_1", "subscriptions.email.bulk", "tags.VIP"}),
    ],
)
def test_a_mapping_may_name_only_what_the_vendors_client_supports(vendor: str, inside: set[str]) -> None:
    """Otherwise what an operator mapped would be left out in silence."""
    from loyalty_relay.destinations.capillary.routes import supports
    from loyalty_relay.destinations.kangaroo.fields import their_name

    def supported(field: str) -> bool:
        if vendor == "capillary":
            return supports(field)
        return field.startswith("tags") or their_name(field) is not None

    assert all(vendor_named(vendor).takes(field) for field in inside)
    assert [field for field in inside | vendor_named(vendor).fields - {"country"} if not supported(field)] == []


@pytest.mark.attack(
    "senders",
    "an erasure of another shop, admitted by a field that names one's own",
    "the shop that is erased must be one of the connection's stores itself",
    "G4",
)
@pytest.mark.parametrize("platform", ["standard", "cloudevents"])
def test_only_a_store_of_the_connection_is_erased(platform: str) -> None:
    sample = load(platform, "store-erased")
    body = sample.json()
    store = body["data"]["store"]
    known = connection(platform)
    mine = replace(known, source=replace(known.source, stores=(str(store["id"]), "mine")))
    module = source_module(platform)
    (own,) = module.read(sample.signed(), mine.source)
    assert translate(own, mine) != Skip("store_not_connected")
    body["data"]["store_id"] = "mine"
    store["id"] = "another"
    (other,) = module.read(sample.with_body(body).signed(), mine.source)
    assert translate(other, mine) == Skip("store_not_connected")


# -- whose e-mail it is ------------------------------------------------------------------------------------------------


@pytest.mark.attack("senders", "an account at the shop with a member's e-mail or phone, to change that member")
@pytest.mark.parametrize(
    ("platform", "fixture", "changes", "unverified", "unproven"),
    [
        ("shopify", "customers-create", {}, (), ("mobile",)),
        ("shopify", "customers-create", {"verified_email": False}, ("email",), ("mobile",)),
        ("shopify", "customers-create", {"verified_email": ...}, (), ("email", "mobile")),
        ("woocommerce", "customer-created", {}, (), ("email", "mobile")),
        ("lightspeed", "customer-created", {}, (), ("email", "mobile")),
        ("square", "customer-created", {}, (), ("email", "mobile")),
    ],
)
def test_only_what_the_platform_reports_as_verified_is_proven(
    platform: str, fixture: str, changes: dict[str, Any], unverified: tuple[str, ...], unproven: tuple[str, ...]
) -> None:
    known = connection(platform)
    silent = replace(known, source=replace(known.source, verified_identifiers=()))
    request = load(platform, fixture).changed(**changes).signed()
    (change,) = source_module(platform).read(request, silent.source)
    (command,) = _commands(translate(change, silent))
    assert isinstance(command, CustomerCommand)
    assert (command.customer.unverified, command.customer.unproven) == (unverified, unproven)
    assert Envelope.from_json(_envelope(command).to_json()).command == command
    trusting = replace(known, source=replace(known.source, verified_identifiers=("email", "mobile")))
    (command,) = _commands(translate(change, trusting))
    assert isinstance(command, CustomerCommand)
    assert (command.customer.unverified, command.customer.unproven) == (unverified, ())


def test_an_identifier_of_a_mapping_is_not_proven_and_the_shops_own_id_is() -> None:
    known = connection("shopify", mapping={"*": {"identifiers.card_number": "'12345'"}})
    options = {**known.destination.options, "source_id_as_external_id": True}
    known = replace(known, destination=replace(known.destination, options=options))
    (change,) = source_module("shopify").read(load("shopify", "customers-create").signed(), known.source)
    (command,) = _commands(translate(change, known))
    assert isinstance(command, CustomerCommand)
    assert command.customer.unproven == ("mobile", "card_number")


def _commands(translated: Any) -> list[Command]:
    assert not isinstance(translated, Skip)
    return list(translated)


def _envelope(command: Command) -> Envelope:
    event = Event(source="shop", topic="t", id="e", entity_id="7")
    return Envelope(delivery_id="d", connection="shop", event=event, command=command)


def sale_with(mapping: dict[str, str], payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The order that comes of a mapping, at a vendor with an operation for sales."""
    vendor = vendor_named("capillary")
    sells = replace(vendor, operations=vendor.operations | {"transaction"})
    monkeypatch.setattr(translation, "vendor_named", lambda name: sells)
    shop = replace(connection("standard", "capillary", mapping={"*": mapping}), sales=Sales(enabled=True))
    sale = Sale(amounts=Amounts(currency="EUR"), sold_at="2026-01-01T00:00:00.000000Z")
    event = Event(source="standard", topic="sale.completed", id="e-1", entity_id="o-1")
    change = OrderChanged(event=event, order=Order(id="o-1", sale=sale, note="as sold"), payload=payload)
    found: Any = translate(change, shop)
    return found[0].order


def test_a_mapping_of_a_sale_fills_its_note_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = {
        "sale.note": "remark",
        "sale.custom_fields.till.name": "till",
        "sale.custom_fields.empty": "nothing",
        "sale.extended_fields.weight": "weight",
        "custom_fields.of_the_customer": "till",
    }
    order = sale_with(mapping, {"remark": 12, "till": 3, "nothing": "", "weight": 1.5}, monkeypatch)
    assert (order.note, order.custom_fields, order.extended_fields) == ("12", {"till.name": "3"}, {"weight": 1.5})


@pytest.mark.parametrize(("payload", "note"), [({"remark": ""}, ""), ({}, "as sold")])
def test_an_empty_note_clears_and_a_missing_one_does_not(
    payload: dict[str, Any], note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sale_with({"sale.note": "remark"}, payload, monkeypatch).note == note
