"""Shopify: what is believed, and what its bodies mean."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shopify_app import ShopifyApp

from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    Request,
    StoreChanged,
    StoreErased,
    Verdict,
)
from tests.sources.samples import NOW, SECRETS, Sample, connection, load, source

SHOPIFY = source_module("shopify")
SHOP = "acme-test.myshopify.com"


def fixture(name: str) -> Sample:
    return load("shopify", name)


def read(sample: Sample) -> Any:
    (change,) = SHOPIFY.read(sample.signed(), source("shopify"))
    return change


def fields(name: str) -> dict[str, Any]:
    return dict(read(fixture(name)).fields)


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- signatures -----------------------------------------------------------------------------------------------------


def test_shopifys_own_vector() -> None:
    """Shopify's library tests: secret, body and signature."""
    signature = "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g="
    request = Request(headers={"x-shopify-hmac-sha256": signature}, body=b'{"foo": "bar"}')
    assert SHOPIFY.verify(request, source("shopify"), ["test_secret_key"], NOW)
    assert not SHOPIFY.verify(request, source("shopify"), ["test_secret_kez"], NOW)


def oracle(request: Request, secret: str, old: str | None = None) -> bool:
    """Shopify's official library."""
    app = ShopifyApp(client_id="fake-client-id", client_secret=secret, old_client_secret=old)
    asked: Any = {"method": "POST", "url": "/", "headers": dict(request.headers), "body": request.body.decode()}
    return bool(app.verify_webhook_req(asked).ok)


@settings(max_examples=60, deadline=None)
@given(body=st.text(st.characters(codec="utf-8")), secret=st.text(st.characters(codec="ascii"), min_size=1))
def test_agrees_with_shopifys_library_on_what_is_signed(body: str, secret: str) -> None:
    sample = replace(fixture("customers-create"), body=body.encode())
    request = sample.signed(secret)
    for key in (secret, secret + "x"):
        assert bool(SHOPIFY.verify(request, source("shopify"), [key], NOW)) == oracle(request, key)


def test_old_and_new_secret_side_by_side_as_in_shopifys_library() -> None:
    request = fixture("customers-create").signed("fake-old-secret")
    assert oracle(request, "fake-new-secret", "fake-old-secret")
    assert SHOPIFY.verify(request, source("shopify"), ["fake-new-secret", "fake-old-secret"], NOW)


def test_escapes_and_non_ascii_survive_because_the_bytes_are_signed() -> None:
    request = fixture("customers-update").signed()
    assert b"\\/" in request.body
    assert "ö".encode() in request.body
    assert SHOPIFY.verify(request, source("shopify"), [SECRETS["shopify"]], NOW)


def test_a_signature_in_hex_is_refused() -> None:
    request = fixture("customers-create").signed()
    mac = hmac.new(SECRETS["shopify"].encode(), request.body, hashlib.sha256)
    for text in (mac.hexdigest(), base64.urlsafe_b64encode(mac.digest()).decode() + "=", mac.hexdigest().upper()):
        broken = replace(request, headers={**request.headers, "x-shopify-hmac-sha256": text})
        assert not SHOPIFY.verify(broken, source("shopify"), [SECRETS["shopify"]], NOW)


def test_events_headers_win_where_both_families_are_present() -> None:
    sample = fixture("events-customer-update")
    request = sample.signed()
    assert request.headers["x-shopify-topic"] == "customers/update"
    assert read(sample).event.topic == "Customer/update"
    headers = {**request.headers, "x-shopify-hmac-sha256": request.headers["shopify-hmac-sha256"]}
    wrong = replace(request, headers={**headers, "shopify-hmac-sha256": "A" * 44})
    assert SHOPIFY.verify(wrong, source("shopify"), [SECRETS["shopify"]], NOW) is Verdict.WRONG


# -- which shop -----------------------------------------------------------------------------------------------------


def test_the_shop_is_named_by_the_header_of_the_family() -> None:
    assert SHOPIFY.store(fixture("customers-create").signed(), source("shopify")) == SHOP
    assert SHOPIFY.store(fixture("events-customer-create").signed(), source("shopify")) == SHOP


def test_a_delivery_without_its_shop_names_an_empty_one() -> None:
    request = fixture("customers-create").signed()
    headers = {name: value for name, value in request.headers.items() if "domain" not in name}
    assert SHOPIFY.store(replace(request, headers=headers), source("shopify")) == ""


@pytest.mark.parametrize(
    "name", ["customers-redact", "customers-data-request", "shop-redact", "shop-update", "app-uninstalled"]
)
def test_a_signed_body_of_another_shop_is_not_authentic(name: str) -> None:
    member = "myshopify_domain" if name in ("shop-update", "app-uninstalled") else "shop_domain"
    with pytest.raises(NotAuthentic):
        read(fixture(name).changed(**{member: "other-shop.myshopify.com"}))
    assert read(fixture(name).changed(**{member: SHOP.upper()}))


@pytest.mark.parametrize("stores", [[], ["shop.example.com"], ["acme.myshopify.com.example.com"]])
def test_a_connection_needs_its_shops_by_their_permanent_names(stores: list[str]) -> None:
    shop = connection("shopify")
    problems = check_connection(replace(shop, source=replace(shop.source, stores=tuple(stores))))
    assert [problem.field.partition(".")[2].partition(".")[0] for problem in problems] == ["stores"]


# -- identity and order ---------------------------------------------------------------------------------------------


@pytest.mark.attack(
    "senders",
    "a replay with an invented webhook id or trigger time (Shopify signs neither)",
    "a copy is known by its signed body; what has an order needs a time in the signed body",
    "G4",
)
@pytest.mark.parametrize("topic", sorted({topic.fixture for topic in SHOPIFY.topics}))
def test_a_copy_with_fresh_headers_is_the_same_event(topic: str) -> None:
    """Neither the webhook id nor the time is signed: who replays a body can change them."""
    sample = fixture(topic)
    copy = sample.with_headers(X_Shopify_Webhook_Id="fresh", shopify_webhook_id="fresh")
    assert read(copy).event.id == read(sample).event.id


@pytest.mark.attack("senders", "a replay with an invented webhook id or trigger time (Shopify signs neither)")
@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("customers-update", "updated_at"),
        ("customer-tags-added", "occurredAt"),
        ("customers-purchasing-summary", "occurredAt"),
        ("locations-update", "updated_at"),
        ("shop-update", "updated_at"),
    ],
)
def test_an_event_that_order_matters_for_needs_a_signed_time(name: str, member: str) -> None:
    with pytest.raises(Untranslatable, match="no time") as refused:
        read(fixture(name).changed(**{member: None}))
    assert refused.value.reason == "no_signed_time"


@pytest.mark.attack("senders", "a replay with an invented webhook id or trigger time (Shopify signs neither)")
def test_an_event_whose_query_has_no_time_is_refused() -> None:
    """With a webhook id and a trigger time of its own, a replay of such a body would be the newest event."""
    sample = fixture("events-customer-update")
    body = sample.json()
    del body["data"]["customer"]["updatedAt"]
    with pytest.raises(Untranslatable) as refused:
        read(sample.with_body(body))
    assert refused.value.reason == "no_signed_time"


def test_added_and_removed_tags_share_an_identity_so_that_the_topic_cannot_be_turned_round() -> None:
    sample = fixture("customer-tags-added")
    turned = sample.with_headers(X_Shopify_Topic="customer.tags_removed")
    assert read(turned).event.id == read(sample).event.id


def test_versions_are_instants_whatever_the_offset() -> None:
    create = read(fixture("customers-create"))
    assert create.version.clock == "shopify"
    assert create.version.value == "2026-03-02T14:15:00.000000Z"
    assert create.version.time == create.event.time == "2026-03-02T14:15:01.482000Z"
    later = read(fixture("customers-create").changed(updated_at="2026-03-02T14:15:01Z"))
    assert create.version.older_than(later.version)


def test_consent_has_the_time_it_is_true_as_of() -> None:
    change = read(fixture("customers-create-2024-10"))
    assert change.versions["subscriptions.email.bulk"].value == "2026-03-02T14:59:58.000000Z"
    assert read(fixture("email-consent")).version.value == "2026-03-09T10:00:00.000000Z"
    assert read(fixture("whats-app-consent")).version.value == "2026-03-09T10:10:00.000000Z"


def test_a_deletion_is_as_of_its_event_because_the_body_has_no_time() -> None:
    change = read(fixture("customers-delete"))
    assert change.version.value == "2026-04-01T09:00:00.000000Z"
    bare = fixture("customers-delete").with_headers(X_Shopify_Triggered_At="yesterday")
    assert read(bare).version is None


# -- customers ------------------------------------------------------------------------------------------------------


def test_a_created_customer_in_our_words() -> None:
    change = read(fixture("customers-create"))
    assert change.created
    assert change.source_id == "7012345678901"
    assert change.store == SHOP
    assert change.fields == {
        "email": "ana.nunez@example.com",
        "phone": "+447700900123",
        "first_name": "Ana",
        "last_name": "Núñez",
        "notes": "Prefers the Exampleton shop",
        "address": "1 Harbour Street, Flat 2, Exampleton, Devon",
        "postal_code": "EX1 1AA",
        "country": "GB",
    }
    assert change.payload["state"] == "disabled"


def test_the_new_generation_has_no_tags_and_consents() -> None:
    actual = fields("customers-create")
    assert not [name for name in actual if name.startswith(("tags.", "subscriptions."))]


def test_the_old_generation_has_tags_and_consents() -> None:
    actual = fields("customers-create-2024-10")
    assert actual["tags.VIP"] is True
    assert actual["tags.newsletter"] is True
    assert actual["subscriptions.email.bulk"] is True
    assert "subscriptions.sms.bulk" not in actual


def test_without_a_choice_there_is_no_opt_out() -> None:
    actual = fields("customers-update-2024-10")
    assert actual["subscriptions.email.bulk"] is False
    assert "subscriptions.sms.bulk" not in actual


def test_null_clears_and_absent_does_not() -> None:
    assert fields("customers-create-2024-10")["phone"] is None
    absent = read(fixture("customers-create").changed(phone=..., note=..., default_address=...))
    assert absent.fields.keys() == {"email", "first_name", "last_name"}
    empty = read(fixture("customers-create").changed(phone="", default_address=None))
    assert empty.fields["phone"] is None
    assert empty.fields["address"] is None
    assert empty.fields["postal_code"] is None


def test_the_graphql_id_is_right_where_the_number_was_rounded() -> None:
    assert fixture("customers-update").json()["id"] == 690933842000000000
    assert read(fixture("customers-update")).source_id == "690933842000000017"


def test_a_number_beyond_what_a_double_holds_is_kept_exactly() -> None:
    sample = fixture("customers-create").changed(id=2**63 + 1, admin_graphql_api_id=...)
    assert read(sample).source_id == str(2**63 + 1)


@pytest.mark.parametrize(
    "gid", ["gid://shopify/Customer/", "gid://shopify/Customer/1/2", "gid://shopify/Order/1", "7", 7, ""]
)
def test_an_odd_graphql_id_is_not_believed(gid: Any) -> None:
    assert untranslatable(fixture("customers-create").changed(admin_graphql_api_id=gid)) == "topic_mismatch"


@pytest.mark.parametrize("id", [None, True, 1.5, "", [], {"a": 1}])
def test_a_customer_without_an_id_is_untranslatable(id: Any) -> None:
    assert untranslatable(fixture("customers-create").changed(id=id, admin_graphql_api_id=...)) == "no_id"


def test_a_merge_names_the_survivor_and_a_failed_one_is_ignored() -> None:
    merged = cast("CustomerRetired", read(fixture("customers-merge")))
    assert (merged.reason, merged.source_id, merged.survivor) == ("merged", "7012345678904", "7012345678901")
    assert read(fixture("customers-merge-failed")) == NothingToDo(
        event=read(fixture("customers-merge-failed")).event, reason="merge_failed"
    )
    assert read(fixture("customers-merge").changed(status="in_progress")).reason == "merge_not_completed"


def test_a_redaction_names_whom_to_forget() -> None:
    change = read(fixture("customers-redact"))
    assert isinstance(change, CustomerRetired)
    assert (change.reason, change.source_id) == ("erased", "7012345678906")
    assert (change.email, change.phone) == ("gone@example.com", "+447700900126")


def test_a_data_request_is_left_to_the_operator() -> None:
    assert read(fixture("customers-data-request")).reason == "data_request"


# -- consents and tags ----------------------------------------------------------------------------------------------


def test_three_consent_topics_with_three_spellings() -> None:
    email, sms, whatsapp = (read(fixture(f"{kind}-consent")) for kind in ("email", "sms", "whats-app"))
    assert {c.source_id for c in (email, sms, whatsapp)} == {"7012345678901"}
    assert email.fields == {"subscriptions.email.bulk": True}
    assert sms.fields == {"subscriptions.sms.bulk": False}
    assert whatsapp.fields == {"subscriptions.whatsapp.bulk": True}
    assert (email.email, email.phone) == ("ana.nunez@example.com", None)
    assert (sms.email, sms.phone) == (None, "+447700900124")


@pytest.mark.parametrize(
    "state", ["unsubscribed", "pending", "redacted", "invalid", "not_subscribed", "brand_new_state", "SUBSCRIBED?"]
)
def test_only_subscribed_opts_in(state: str) -> None:
    consent = {"state": state, "consent_updated_at": "2026-03-09T06:00:00-04:00"}
    change = read(fixture("email-consent").changed(email_marketing_consent=consent))
    assert change.fields == {"subscriptions.email.bulk": False}


@pytest.mark.parametrize(
    "consent", [None, {}, {"state": None}, {"state": "not_subscribed", "consent_updated_at": None}, "yes"]
)
def test_an_empty_consent_changes_nothing(consent: Any) -> None:
    assert read(fixture("email-consent").changed(email_marketing_consent=consent)).reason == "no_consent_given"


def test_tags_are_added_and_removed_one_by_one() -> None:
    assert fields("customer-tags-added") == {"tags.VIP": True, "tags.Frühbucher": True}
    assert fields("customer-tags-removed") == {"tags.VIP": False}
    assert read(fixture("customer-tags-added").changed(tags=[])).reason == "no_tags"


# -- the topic is not signed ----------------------------------------------------------------------------------------

SHAPES = {
    "customers-create": "customer",
    "customers-create-2024-10": "customer",
    "customers-update": "customer",
    "customers-update-2024-10": "customer",
    "customers-enable": "customer",
    "customers-disable": "customer",
    "customer-tags-added": "tags",
    "customer-tags-removed": "tags",
    "customer-joined-segment": "segment",
    "customer-left-segment": "segment",
    "customers-merge": "merge",
    "customers-merge-failed": "merge",
    "locations-create": "location",
    "locations-update": "location",
    "locations-activate": "location",
    "locations-deactivate": "location",
    "shop-update": "shop",
    "app-uninstalled": "shop",
} | {t.fixture: t.name.partition("/")[0] for t in SHOPIFY.topics if t.becomes == "transaction"}
"""Fixtures whose bodies have the same shape; every other body's shape is its own."""

HARMLESS = {"app/scopes_update", "locations/delete", "locations/deactivate"}
"""Topics that have no effect whatever the body."""


@pytest.mark.attack(
    "senders", "a replay under another topic", "unsigned headers are held against the signed body", "G4"
)
@pytest.mark.parametrize("name", [t.fixture for t in SHOPIFY.topics if not t.fixture.startswith("events-")])
def test_a_signed_body_cannot_be_replayed_under_another_topic(name: str) -> None:
    sample = fixture(name)
    for other in SHOPIFY.topics:
        if other.name in HARMLESS or SHAPES.get(other.fixture, other.fixture) == SHAPES.get(name, name):
            continue
        if other.name.startswith("Customer/"):
            action = other.name.partition("/")[2]
            turned = replace(
                sample, headers={**sample.headers, "shopify-topic": "Customer", "shopify-action": action}
            ).with_headers(shopify_shop_domain=SHOP)
        else:
            turned = sample.with_headers(X_Shopify_Topic=other.name)
        with pytest.raises((Untranslatable, NotAuthentic)):
            read(turned)


def test_an_event_is_read_from_its_signed_body_not_its_headers() -> None:
    assert untranslatable(fixture("events-customer-update").with_headers(shopify_action="delete")) == "topic_mismatch"
    assert untranslatable(fixture("events-customer-delete").with_headers(shopify_action="create")) == "topic_mismatch"


# -- Events ---------------------------------------------------------------------------------------------------------


def test_an_events_customer_in_our_words() -> None:
    change = read(fixture("events-customer-create"))
    assert change.created
    assert change.source_id == "7012345678910"
    assert change.fields == {
        "first_name": "Eva",
        "last_name": "Øster",
        "notes": None,
        "language": "fr-CA",
        "email": "eva@example.org",
        "phone": "+447700900130",
        "address": "8 Mill Lane, Sampleford, Kent",
        "postal_code": "SF2 2BB",
        "country": "GB",
        "tags.Wholesale": True,
        "subscriptions.email.bulk": True,
    }


def test_an_events_query_reports_its_own_fields_and_no_more() -> None:
    change = read(fixture("events-customer-update"))
    assert change.fields == {
        "first_name": "Eva Marie",
        "email": "eva@example.org",
        "subscriptions.email.bulk": False,
    }
    assert change.versions["subscriptions.email.bulk"].value == "2026-03-16T09:00:00.000000Z"


def test_an_events_query_without_a_customer_is_reported() -> None:
    sample = fixture("events-customer-update")
    assert untranslatable(sample.changed(data={"shop": {"id": "x"}})) == "no_customer_in_query"
    assert untranslatable(sample.changed(data=None, query_variables=None, fields_changed=None)) == "no_id"


def test_a_deleted_customer_is_known_by_the_signed_body_alone() -> None:
    sample = fixture("events-customer-delete").with_headers(shopify_resource_id="gid://shopify/Customer/666")
    assert read(sample).source_id == "7012345678910"


# -- shops ----------------------------------------------------------------------------------------------------------


def test_a_location_is_a_shop_of_its_store() -> None:
    change = cast("StoreChanged", read(fixture("locations-update")))
    assert (change.shop_id, change.account_id, change.name) == ("61000000001", SHOP, "Acme Exampleton Quay")
    assert change.domain == f"https://{SHOP}"


def test_a_closed_location_and_a_fulfilment_service_are_no_shops() -> None:
    assert read(fixture("locations-update").changed(active=False)).reason == "location_closed"
    assert read(fixture("locations-update").changed(legacy=True)).reason == "fulfilment_service"


def test_the_online_shop_is_linked_by_its_permanent_name() -> None:
    change = cast("StoreChanged", read(fixture("shop-update")))
    assert (change.shop_id, change.account_id, change.domain) == (SHOP, SHOP, "https://shop.example.com")


def test_a_redacted_shop_is_one_of_the_connections_stores() -> None:
    change = read(fixture("shop-redact"))
    assert isinstance(change, StoreErased)
    assert change.shop_id in source("shopify").stores


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"<customer/>", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "too_deep"),
        (b"[" * 100_000, "not_json"),
    ],
)
def test_a_signed_body_that_is_no_object_is_untranslatable(body: bytes, reason: str) -> None:
    assert untranslatable(replace(fixture("customers-create"), body=body)) == reason


def test_an_unused_topic_is_ignored_and_none_is_reported() -> None:
    change: Change = read(fixture("customers-create").with_headers(X_Shopify_Topic="products/create"))
    assert isinstance(change, NothingToDo)
    assert change.reason == "topic_not_used"
    assert untranslatable(fixture("customers-create").with_headers(X_Shopify_Topic="")) == "no_topic"


def test_a_field_that_is_no_text_parks_rather_than_guesses() -> None:
    assert untranslatable(fixture("customers-create").changed(first_name={"a": 1})) == "bad_field"


def test_half_an_emoji_does_not_cost_the_customer() -> None:
    sample = fixture("customers-create")
    body = sample.body.replace(b'"Ana"', b'"Ana \\ud83d"')
    change = read(replace(sample, body=body))
    assert isinstance(change, CustomerChanged)
    assert change.fields["first_name"] == "Ana \ufffd"
