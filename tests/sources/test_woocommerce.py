"""WooCommerce: what is believed, and what its bodies mean."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.connections.check import check_connection
from loyalty_relay.connections.model import WebhookSecret
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, CustomerRetired, NothingToDo, Request, Verdict, listed
from loyalty_relay.sources.woocommerce import signing_key, site_of
from tests.sources.outcome_of import Canned, outcome_of
from tests.sources.samples import NOW, Sample, connection, load, source

WOO = source_module("woocommerce")
SITE = "shop.example.com"
SIGNATURE = "x-wc-webhook-signature"


def fixture(name: str) -> Sample:
    return load("woocommerce", name)


def read(sample: Sample, **options: Any) -> Any:
    (change,) = WOO.read(sample.signed(), replace(source("woocommerce"), options=options))
    return change


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- signatures -----------------------------------------------------------------------------------------------------

BODY = b'{"id":7,"email":"ana@example.org"}'
OF_A_AND_B = "+svQV+3qDPU9PkKZhKdL5AUebrs7HOYpcIusgqaoLME="


@pytest.mark.parametrize("copied", ["a&b", "a&amp;b", "a&#038;b", "a&#38;b", "a&#x26;b", "a&#X0026;b"])
def test_a_secret_signs_as_what_its_entities_mean(copied: str) -> None:
    request = Request(headers={SIGNATURE: OF_A_AND_B}, body=BODY)
    assert WOO.verify(request, source("woocommerce"), [copied], NOW) is Verdict.AUTHENTIC


def test_a_secret_is_not_taken_literally() -> None:
    literal = Request(headers={SIGNATURE: "8Eer8LwFFCbuleBmWYzxsxY6rEScMKCZkBBPIkLUUEo="}, body=BODY)
    assert WOO.verify(literal, source("woocommerce"), ["a&amp;b"], NOW) is Verdict.WRONG


@pytest.mark.parametrize(
    ("stored", "signs"),
    [
        ("a&amp;amp;b", "a&amp;b"),
        ("&lt;&gt;&quot;&#039;&#x27;&#034;", "<>\"''\""),
        ("&#060;&#62;&#x22;", '<>"'),
        ("&eacute;&#65;&#x41;&nbsp;&amp", "&eacute;&#65;&#x41;&nbsp;&amp"),
        ("&AMP;", "&AMP;"),
        ("plain", "plain"),
    ],
)
def test_entities_are_decoded_as_wordpress_does_it(stored: str, signs: str) -> None:
    """wp_specialchars_decode with ENT_QUOTES: once, and only what WordPress escapes."""
    assert signing_key(stored) == signs


@pytest.mark.parametrize("secret", ["fake-secret", "fake&<secret>", "fäke-secret"])
def test_agrees_with_openssl_over_the_bytes_as_they_came(secret: str) -> None:
    body = fixture("customer-created").body
    assert b"\\/" in body
    mac = HMAC(secret.encode(), SHA256())
    mac.update(body)
    request = Request(headers={SIGNATURE: base64.b64encode(mac.finalize()).decode()}, body=body)
    assert WOO.verify(request, source("woocommerce"), [secret], NOW)
    assert not WOO.verify(replace(request, body=body.replace(b"\\/", b"/")), source("woocommerce"), [secret], NOW)


# -- the ping -------------------------------------------------------------------------------------------------------


def test_the_ping_needs_exactly_200_and_no_signature() -> None:
    request = fixture("ping").signed()
    assert SIGNATURE not in request.headers
    reply = WOO.handshake(request, source("woocommerce"))
    assert reply is not None
    assert (reply.status, reply.body, dict(reply.note)) == (200, "", {})


@pytest.mark.parametrize(
    "body", [b"", b"webhook_id=", b"webhook_id=x", b"webhook_id=1&id=2", b"webhook_id=1\n", b" webhook_id=1", b"{}"]
)
def test_other_forms_are_no_ping(body: bytes) -> None:
    assert WOO.handshake(replace(fixture("ping").unsigned(), body=body), source("woocommerce")) is None


def test_a_ping_that_claims_a_topic_a_signature_or_another_method_is_none() -> None:
    ping = fixture("ping").unsigned()
    for name in (SIGNATURE, "x-wc-webhook-topic"):
        assert WOO.handshake(replace(ping, headers={**ping.headers, name: "x"}), source("woocommerce")) is None
    assert WOO.handshake(replace(ping, method="GET"), source("woocommerce")) is None


# -- sites ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com/",
        "https://shop.example.com",
        "http://shop.example.com//",
        "HTTPS://Shop.Example.com/?lang=de",
        "shop.example.com",
    ],
)
def test_a_site_is_known_however_its_address_is_written(url: str) -> None:
    assert site_of(url) == SITE
    sample = fixture("customer-created").with_headers(X_WC_Webhook_Source=url)
    for written in ("https://shop.example.com", "http://SHOP.example.com/", "shop.example.com"):
        to = replace(source("woocommerce"), stores=(written,))
        store = WOO.store(sample.signed(), to)
        assert store is not None
        assert listed(store, to)
        (change,) = WOO.read(sample.signed(), to)
        assert isinstance(change, CustomerChanged)
        assert change.source_id == f"{SITE}:26"


@pytest.mark.parametrize("url", ["https://evil.example.net/", "https://shop.example.com.evil.example/", "x", "", "/"])
def test_another_site_is_no_store_of_the_connection(url: str) -> None:
    sample = fixture("customer-created").with_headers(X_WC_Webhook_Source=url)
    store = WOO.store(sample.signed(), source("woocommerce"))
    assert store is not None
    assert not listed(store, source("woocommerce"))


def test_a_body_of_one_site_is_not_believed_of_another() -> None:
    to = replace(source("woocommerce"), stores=("https://shop.example.com", "https://shop.example.com/outlet"))
    outlet = fixture("customer-created").with_headers(X_WC_Webhook_Source="https://shop.example.com/outlet/")
    with pytest.raises(NotAuthentic):
        WOO.read(outlet.signed(), to)
    body = outlet.json()
    body["_links"]["self"][0]["href"] = "https://shop.example.com/outlet/wp-json/wc/v3/customers/26"
    (change,) = WOO.read(outlet.with_body(body).signed(), to)
    assert isinstance(change, CustomerChanged)
    assert change.source_id == f"{SITE}/outlet:26"
    main = outlet.with_body(body).with_headers(X_WC_Webhook_Source="https://shop.example.com/")
    with pytest.raises(NotAuthentic):
        WOO.read(main.signed(), to)


def test_a_body_that_links_to_an_unlisted_site_is_not_believed() -> None:
    body = fixture("customer-created").json()
    body["_links"]["self"][0]["href"] = "https://other.example.net/wp-json/wc/v3/customers/26"
    with pytest.raises(NotAuthentic):
        read(fixture("customer-created").with_body(body))


@pytest.mark.parametrize("links", [..., None, {}, {"self": []}, {"self": [{}]}, {"self": "x"}, {"self": [{"href": 1}]}])
def test_a_body_without_links_proves_nothing_about_its_site(links: Any) -> None:
    assert isinstance(read(fixture("customer-created").changed(_links=links)), CustomerChanged)


@pytest.mark.parametrize(
    "href",
    [
        "https://shop.example.com/?rest_route=/wc/v3/customers/26",
        "https://shop.example.com/de/wp-json/wc/v3/customers/26",
    ],
)
def test_plain_permalinks_and_translated_sites_are_the_same_site(href: str) -> None:
    assert isinstance(read(fixture("customer-created").changed(_links={"self": [{"href": href}]})), CustomerChanged)


# -- what each topic becomes ----------------------------------------------------------------------------------------

WHO = f"{SITE}:26"
CREATED = {
    "email": "ana@example.com",
    "first_name": "Ana",
    "last_name": "Núñez",
    "phone": "020 7946 0018",
    "address": "5 Sample Street, Exampleton",
    "postal_code": "EX1 2MP",
    "country": "GB",
}
UPDATED = {
    "email": "ana@example.com",
    "first_name": "Ana",
    "last_name": None,
    "phone": None,
    "address": None,
    "postal_code": None,
    "country": "GB",
}
BOTH = {"email": "ana@example.com", "mobile": "020 7946 0018"}
MAIL = {"email": "ana@example.com"}

EXPECTED: dict[str, tuple[Canned, Canned]] = {
    "customer-created": (("register_customer", WHO, BOTH, CREATED), ("patch_crm_fields", WHO, BOTH, CREATED)),
    "customer-created-staff": (("ignored", "role_not_wanted"),) * 2,
    "customer-updated": (("update_customer", WHO, MAIL, UPDATED), ("patch_crm_fields", WHO, MAIL, UPDATED)),
    "customer-updated-gone": (("ignored", "deleted_meanwhile"),) * 2,
    "customer-deleted": (("retire_customer", WHO, "deleted", None),) * 2,
    "order-updated-gone": (("ignored", "deleted_meanwhile"),) * 2,
} | {topic.fixture: (("ignored", "sales_not_enabled"),) * 2 for topic in WOO.topics if topic.becomes == "transaction"}


@pytest.mark.parametrize("name", [topic.fixture for topic in WOO.topics if topic.becomes != "handshake"])
def test_each_topic_becomes_these_commands(name: str) -> None:
    for vendor, expected in zip(("capillary", "kangaroo"), EXPECTED[name], strict=True):
        assert outcome_of(fixture(name), connection("woocommerce", vendor)) == [expected], vendor


@pytest.mark.parametrize("topic", ["product.restored", "coupon.created", "action.woocommerce_new_customer", "x"])
def test_topics_of_other_things_are_ignored(topic: str) -> None:
    change = read(fixture("customer-created").with_headers(X_WC_Webhook_Topic=topic))
    assert isinstance(change, NothingToDo)
    assert change.reason == "topic_not_used"


def test_a_delivery_without_a_topic_is_untranslatable() -> None:
    assert untranslatable(fixture("customer-created").with_headers(X_WC_Webhook_Topic="")) == "no_topic"


# -- the unsigned topic ---------------------------------------------------------------------------------------------


def test_a_signed_update_cannot_be_replayed_as_a_deletion_or_the_other_way() -> None:
    updated = fixture("customer-updated").with_headers(X_WC_Webhook_Topic="customer.deleted")
    assert untranslatable(updated) == "topic_mismatch"
    for topic in ("customer.created", "customer.updated"):
        deleted = fixture("customer-deleted").with_headers(X_WC_Webhook_Topic=topic)
        assert untranslatable(deleted) == "topic_mismatch"


def test_an_order_is_no_customer() -> None:
    order = fixture("order-created").with_headers(X_WC_Webhook_Topic="customer.updated")
    assert untranslatable(order) == "topic_mismatch"


# -- events, versions -----------------------------------------------------------------------------------------------


def test_a_resend_under_a_new_delivery_id_is_the_same_event() -> None:
    first, again = (
        read(fixture("customer-updated").with_headers(X_WC_Webhook_Delivery_ID=new, X_WC_Webhook_ID=new)).event
        for new in ("1", "2")
    )
    assert first == again


def test_two_customers_of_one_second_are_two_events_despite_their_common_delivery_id() -> None:
    one = read(fixture("customer-deleted").changed(id=26)).event
    other = read(fixture("customer-deleted").changed(id=27)).event
    assert one.id != other.id
    assert one.entity_id != other.entity_id


def test_created_and_updated_with_one_body_are_one_event() -> None:
    created = read(fixture("customer-updated").with_headers(X_WC_Webhook_Topic="customer.created")).event
    assert created.id == read(fixture("customer-updated")).event.id


def test_the_version_is_the_gmt_time_of_the_last_change() -> None:
    change = read(fixture("customer-updated"))
    time = "2026-03-03T08:30:00.000000Z"
    assert change.version == Version("woocommerce", time, time, change.event.id)
    assert change.event.time == time


def test_who_was_never_changed_is_as_old_as_the_account() -> None:
    for never in (None, "", ...):
        change = read(fixture("customer-created").changed(date_modified_gmt=never))
        assert change.version.value == "2026-03-02T14:15:00.000000Z"
    assert read(fixture("customer-created").changed(date_modified_gmt=None, date_created_gmt=None)).version is None


# -- customers ------------------------------------------------------------------------------------------------------


def test_an_id_beyond_what_doubles_hold_stays_exact() -> None:
    assert read(fixture("customer-created").changed(id=9007199254740993)).source_id == f"{SITE}:9007199254740993"


@pytest.mark.parametrize("id", [None, True, 1.5, "", [], "x" * 300])
def test_an_id_that_is_none_is_untranslatable(id: Any) -> None:
    for name in ("customer-updated", "customer-deleted"):
        assert untranslatable(fixture(name).changed(id=id)) in {"no_id", "bad_id"}


def test_without_a_billing_address_nothing_is_reported_of_it() -> None:
    nothing: tuple[Any, ...] = (..., None, [], "x")
    for billing in nothing:
        fields = read(fixture("customer-updated").changed(billing=billing)).fields
        assert fields.keys() == {"email", "first_name", "last_name"}


def test_null_is_empty() -> None:
    fields = read(fixture("customer-created").changed(first_name=None, email=None)).fields
    assert (fields["first_name"], fields["email"]) == (None, None)


def test_a_field_of_the_wrong_type_is_untranslatable() -> None:
    assert untranslatable(fixture("customer-created").changed(email=["a@example.com"])) == "bad_field"


def test_meta_data_goes_where_a_mapping_puts_it() -> None:
    mapping = {
        "customer.*": {
            "birthday": "meta_data[?key=='birthday'].value | [0]",
            "subscriptions.email.bulk": "meta_data[?key=='newsletter'].value.opted_in | [0]",
        }
    }
    ((_, _, _, fields),) = outcome_of(
        fixture("customer-created"), connection("woocommerce", "kangaroo", mapping=mapping)
    )
    assert (fields["birthday"], fields["subscriptions.email.bulk"]) == ("1990-02-28", True)


@pytest.mark.parametrize("role", ["administrator", "editor", "author", "contributor", "shop_manager"])
def test_staff_are_no_customers(role: str) -> None:
    assert isinstance(read(fixture("customer-created").changed(role=role)), NothingToDo)
    assert isinstance(read(fixture("customer-created").changed(role=role), roles=[role]), CustomerChanged)


@pytest.mark.parametrize("role", ["customer", "subscriber", "wholesale_customer", "", None])
def test_everybody_else_is_one_unless_the_connection_lists_roles(role: str | None) -> None:
    sample = fixture("customer-created").changed(role=role)
    assert isinstance(read(sample), CustomerChanged)
    narrowed = read(sample, roles=["customer"])
    assert isinstance(narrowed, CustomerChanged if role in ("customer", "", None) else NothingToDo)


def test_a_deleted_customer_is_retired_for_good() -> None:
    change = read(fixture("customer-deleted"))
    assert isinstance(change, CustomerRetired)
    assert (change.reason, change.source_id, change.version) == ("deleted", WHO, None)


# -- errors instead of customers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("woocommerce_rest_cannot_view", 401),
        ("woocommerce_rest_cannot_view", 403),
        ("rest_no_route", 404),
        ("internal_server_error", 500),
        ("x", None),
    ],
)
def test_an_error_that_an_operator_must_see_is_parked(code: str, status: int | None) -> None:
    error = {"code": code, "message": "Sorry, you cannot view this resource.", "data": {"status": status}}
    for name in ("customer-created", "customer-updated"):
        assert untranslatable(fixture(name).with_body(error)) == "error_object"
    assert untranslatable(fixture("customer-deleted").with_body(error)) == "topic_mismatch"


@settings(max_examples=100, deadline=None)
@given(secret=st.text(max_size=40))
def test_decoding_a_secret_never_makes_it_longer_and_never_fails(secret: str) -> None:
    assert len(signing_key(secret)) <= len(secret)


# -- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stores": ()}, "source.stores"),
        ({"stores": ("https://",)}, "source.stores.0"),
        ({"stores": ("https://shop.example.com", "my shop")}, "source.stores.1"),
        ({"options": {"role": ["customer"]}}, "source.options.role"),
        ({"options": {"roles": "customer"}}, "source.options.roles"),
        ({"options": {"roles": [1]}}, "source.options.roles"),
        ({"options": {"gift_card_skus": "GIFT-25"}}, "source.options.gift_card_skus"),
        ({"secrets": (WebhookSecret("fake", topics=("customer.*", "order.*")),)}, "source.secrets.0.topics"),
        ({"secrets": (WebhookSecret("fake", topics=("*",)),)}, "source.secrets.0.topics"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(changes: dict[str, Any], field: str) -> None:
    good = connection("woocommerce")
    broken = replace(good, source=replace(good.source, **changes))
    assert {problem.field for problem in check_connection(broken)} == {field}
