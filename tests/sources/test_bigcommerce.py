"""BigCommerce: what is believed, what is read from the store's API, and what that means."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import CredentialsRefused, TransientError, Untranslatable, VendorRejected
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, CustomerRetired, NothingToDo, Request, StoreChanged, Verdict
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import Canned, fetch_of, followed, outcome_of, thin_of
from tests.sources.samples import NOW, SECRETS, Sample, connection, load, source

BIGCOMMERCE = source_module("bigcommerce")
SECRET = SECRETS["bigcommerce"]
CUSTOMERS = "/stores/demohash1/v3/customers"


@pytest.fixture
def sandbox() -> SandboxClient:
    return SandboxClient(VENDOR)


def fixture(name: str) -> Sample:
    return load("bigcommerce", name)


def read(sample: Sample) -> Any:
    (change,) = BIGCOMMERCE.read(sample.signed(), source("bigcommerce"))
    return change


def data(name: str, **members: Any) -> Sample:
    """A fixture with members of its ``data`` replaced."""
    sample = fixture(name)
    return sample.changed(data=sample.json()["data"] | members)


def shown(name: str, body: Any, status: int = 200) -> Any:
    """The change once the platform has answered with this."""
    module, thin = thin_of(fixture(name), connection("bigcommerce"))
    (change,) = module.hydrated(thin, status, body)
    return change


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- signatures -----------------------------------------------------------------------------------------------------


def test_the_key_is_the_client_secrets_own_characters() -> None:
    """Worked out with the official Standard Webhooks library over the base64 of the secret, as BigCommerce shows it."""
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,QxTuWnhZh+582vatfCvQ9axfA7rfrKQJSDlgiWQ9tr0=",
    }
    request = Request(headers=headers, body=b'{"scope":"store/customer/created"}')
    to = source("bigcommerce")
    assert BIGCOMMERCE.verify(request, to, ["bc-client-secret-0001"], 1_700_000_000) is Verdict.AUTHENTIC
    assert BIGCOMMERCE.verify(request, to, ["bc-client-secret-0001"], 1_700_000_301) is Verdict.OUTSIDE_WINDOW
    assert BIGCOMMERCE.verify(request, to, ["bc-client-secret-0002"], 1_700_000_000) is Verdict.WRONG


@settings(max_examples=60, deadline=None)
@given(
    body=st.text(st.characters(codec="utf-8"), min_size=1),
    secret=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
)
def test_takes_what_the_official_library_signs(body: str, secret: str) -> None:
    signer = Webhook(base64.b64encode(secret.encode()).decode())
    signature = signer.sign("evt_1", datetime.fromtimestamp(NOW, UTC), body)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(NOW)), "webhook-signature": signature}
    request = Request(headers=headers, body=body.encode())
    assert BIGCOMMERCE.verify(request, source("bigcommerce"), [secret], NOW)
    assert not BIGCOMMERCE.verify(request, source("bigcommerce"), [f"{secret}x"], NOW)


@settings(max_examples=40, deadline=None)
@given(secret=st.text(st.characters(codec="ascii"), min_size=1, max_size=60))
def test_the_official_library_takes_what_is_signed_here(secret: str) -> None:
    request = fixture("customer-created").signed(secret, now=datetime.now(UTC).timestamp())
    Webhook(base64.b64encode(secret.encode()).decode()).verify(request.body, dict(request.headers))


@pytest.mark.parametrize("header", ["x-bc-signature", "x-webhook-signature", "svix-signature"])
def test_headers_of_hearsay_prove_nothing(header: str) -> None:
    request = fixture("customer-created").signed()
    headers = dict(request.headers)
    headers[header] = headers.pop("webhook-signature")
    judged = BIGCOMMERCE.verify(replace(request, headers=headers), source("bigcommerce"), [SECRET], NOW)
    assert judged is Verdict.NO_SIGNATURE


@pytest.mark.parametrize(
    ("producer", "store"),
    [
        ("stores/demohash1", "demohash1"),
        ("stores/other", "other"),
        ("demohash1", ""),
        ("apps/demohash1", ""),
        ("stores/demohash1/v3", "demohash1/v3"),
        ("stores/", ""),
        (None, ""),
        (..., ""),
        (7, ""),
        ({}, ""),
    ],
)
def test_the_store_is_the_signed_bodys(producer: Any, store: str) -> None:
    sample = fixture("customer-created").changed(producer=producer)
    assert BIGCOMMERCE.store(sample.signed(), source("bigcommerce")) == store
    assert BIGCOMMERCE.store(replace(sample, body=b"no json").signed(), source("bigcommerce")) is None


# -- what each scope becomes ----------------------------------------------------------------------------------------

CUSTOMER = ("hydrate", "customer", {"id": "1001"})
SUBSCRIBER = ("hydrate", "subscriber", {"id": "501"})
LOCATION = ("hydrate", "location", {"id": "7"})
UNUSED = (("ignored", "topic_not_used"),) * 2
ORDERS = [topic.fixture for topic in BIGCOMMERCE.topics if topic.name.startswith("store/order/")]

EXPECTED: dict[str, tuple[Canned, Canned]] = {
    "customer-created": (CUSTOMER, CUSTOMER),
    "customer-updated": (CUSTOMER, CUSTOMER),
    "customer-deleted": (("retire_customer", "demohash1:1001", "deleted", None),) * 2,
    "address-created": (CUSTOMER, CUSTOMER),
    "address-updated": (CUSTOMER, CUSTOMER),
    "address-deleted": (CUSTOMER, CUSTOMER),
    **dict.fromkeys(ORDERS, (("ignored", "sales_not_enabled"),) * 2),
    "login-access-updated": UNUSED,
    "default-instrument-updated": UNUSED,
    "subscriber-created": (SUBSCRIBER, SUBSCRIBER),
    "subscriber-updated": (SUBSCRIBER, SUBSCRIBER),
    "subscriber-deleted": (
        ("update_customer", "demohash1:subscriber:501", {}, {"subscriptions.email.bulk": False}),
        ("patch_crm_fields", "demohash1:subscriber:501", {}, {"subscriptions.email.bulk": False}),
    ),
    "information-updated": (("hydrate", "store", {"id": "demohash1"}),) * 2,
    "location-created": (LOCATION, LOCATION),
    "location-updated": (LOCATION, LOCATION),
    "channel-created": UNUSED,
    "channel-updated": UNUSED,
    "app-uninstalled": (("ignored", "app_uninstalled"),) * 2,
    "delivery-exception": UNUSED,
}


@pytest.mark.parametrize("name", [topic.fixture for topic in BIGCOMMERCE.topics])
def test_each_scope_becomes_these_commands(name: str) -> None:
    for vendor, expected in zip(("capillary", "kangaroo"), EXPECTED[name], strict=True):
        assert outcome_of(fixture(name), connection("bigcommerce", vendor)) == [expected], vendor


@pytest.mark.parametrize("scope", ["store/customer/address/update", "store/metafield/created", "store/order/archived"])
def test_scopes_of_other_things_and_the_vendors_own_mistakes_are_ignored(scope: str) -> None:
    change = read(fixture("customer-created").changed(scope=scope))
    assert isinstance(change, NothingToDo)
    assert change.reason == "topic_not_used"


def test_a_body_without_a_scope_or_an_id_is_untranslatable() -> None:
    assert untranslatable(fixture("customer-created").changed(scope=None)) == "no_topic"
    nothing: tuple[Any, ...] = (None, {}, [], "x", {"id": None}, {"id": True}, {"id": ""})
    for actual in nothing:
        for name in ("customer-created", "customer-deleted", "address-created", "subscriber-deleted"):
            assert untranslatable(fixture(name).changed(data=actual)) == "no_id"
    assert untranslatable(data("address-created", address={"customer_id": None})) == "no_id"
    assert untranslatable(fixture("customer-created").changed(producer="demohash1")) == "no_id"


# -- events, versions -----------------------------------------------------------------------------------------------


def test_the_signed_webhook_id_is_the_identity_and_the_attempts_time_is_not() -> None:
    sample = fixture("customer-created")
    first, again = (
        BIGCOMMERCE.read(sample.signed(now=now), source("bigcommerce"))[0].event for now in (NOW, NOW + 3600)
    )
    assert first == again
    assert first.id == sample.headers["webhook-id"]
    assert first.time == "2026-03-02T14:15:01.000000Z"


def test_a_deletion_is_newer_than_what_was_read_before_it() -> None:
    deleted = read(fixture("customer-deleted"))
    changed = shown("customer-updated", {"data": [{"id": 1001, "date_modified": "2026-03-02T14:16:01Z"}]})
    assert isinstance(deleted, CustomerRetired)
    assert changed.version.older_than(deleted.version)


def test_what_was_read_is_as_new_as_the_customer_and_at_least_as_the_event() -> None:
    later = shown("customer-updated", {"data": [{"id": 1001, "date_modified": "2026-09-01T00:00:00Z"}]})
    assert later.version == Version("bigcommerce", "2026-09-01T00:00:00.000000Z", later.event.time, later.event.id)
    # An address is moved without the customer's date_modified.
    for old in ("2020-01-01T00:00:00Z", None, "nonsense"):
        moved = shown("address-updated", {"data": [{"id": 1001, "date_modified": old}]})
        assert moved.version.value == "2026-03-02T14:18:01.000000Z"


def test_stores_count_their_customers_apart() -> None:
    both = replace(source("bigcommerce"), stores=("demohash1", "demohash2"))
    other = fixture("customer-deleted").changed(producer="stores/demohash2")
    (change,) = BIGCOMMERCE.read(other.signed(), both)
    assert isinstance(change, CustomerRetired)
    assert (change.source_id, change.store) == ("demohash2:1001", "demohash2")


def test_an_id_beyond_what_doubles_hold_stays_exact() -> None:
    fetch = fetch_of(data("customer-created", id=9007199254740993), connection("bigcommerce"))
    assert "id:in=9007199254740993&" in fetch.path
    assert read(data("customer-deleted", id=9007199254740993)).source_id == "demohash1:9007199254740993"


# -- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("customer-created", f"{CUSTOMERS}?id:in=1001&include=addresses,attributes,formfields"),
        ("address-updated", f"{CUSTOMERS}?id:in=1001&include=addresses,attributes,formfields"),
        ("subscriber-created", f"{CUSTOMERS}/subscribers/501"),
        ("information-updated", "/stores/demohash1/v2/store"),
        ("location-updated", "/stores/demohash1/v3/inventory/locations?location_id:in=7"),
    ],
)
def test_each_resource_is_read_from_its_store(name: str, path: str) -> None:
    fetch = fetch_of(fixture(name), connection("bigcommerce"))
    assert fetch.path == path
    assert dict(fetch.headers) == {"x-auth-token": "fake-bigcommerce-token", "accept": "application/json"}
    assert fetch.default_host == "https://api.bigcommerce.com"
    assert fetch.limit == (150, 30.0)


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    fetch = fetch_of(data("customer-created", id="1&x=/../2"), connection("bigcommerce"))
    assert fetch.path == f"{CUSTOMERS}?id:in=1%26x%3D%2F..%2F2&include=addresses,attributes,formfields"


def test_each_store_may_have_a_token_of_its_own() -> None:
    to = connection("bigcommerce")
    own = {"access_token.DemoHash1": "fake-own", "access_token.demohash2": "fake-two"}
    to = replace(to, source=replace(to.source, stores=("demohash1", "demohash2"), api_credentials=own))
    assert check_connection(to) == []
    assert fetch_of(fixture("customer-created"), to).headers["x-auth-token"] == "fake-own"
    module, thin = thin_of(fixture("customer-created"), to)
    with pytest.raises(CredentialsRefused):
        module.fetch(thin, replace(to.source, api_credentials={"access_token.demohash2": "fake-two"}))


# -- what the answers mean ------------------------------------------------------------------------------------------

READ = {
    "email": "bea.commerce@example.com",
    "first_name": "Bea",
    "last_name": "Commerce",
    "phone": "+14155550123",
    "notes": None,
    "address": "1 Sample Street, San Francisco, California",
    "postal_code": "94105",
    "country": "US",
}
WHO = {"email": "bea.commerce@example.com", "mobile": "+14155550123"}
BY_MAIL = {"email": "bea.commerce@example.com"}

FOLLOWED: dict[str, tuple[Canned, Canned]] = {
    "customer-created": (
        ("register_customer", "demohash1:1001", WHO, READ),
        ("patch_crm_fields", "demohash1:1001", WHO, READ),
    ),
    "customer-updated": (
        ("update_customer", "demohash1:1001", WHO, READ),
        ("patch_crm_fields", "demohash1:1001", WHO, READ),
    ),
    "address-deleted": (
        ("update_customer", "demohash1:1001", WHO, READ),
        ("patch_crm_fields", "demohash1:1001", WHO, READ),
    ),
    "subscriber-created": (
        ("update_customer", "demohash1:subscriber:501", BY_MAIL, {"subscriptions.email.bulk": True}),
        ("patch_crm_fields", "demohash1:subscriber:501", BY_MAIL, {"subscriptions.email.bulk": True}),
    ),
    "information-updated": (
        ("ignored", "no_stores_at_capillary"),
        ("link_store", "demohash1", "demohash1", "Demo Store", "https://store.example.com"),
    ),
    "location-created": (
        ("ignored", "no_stores_at_capillary"),
        (
            "link_store",
            "demohash1:7",
            "demohash1",
            "Demo Warehouse Shop",
            "https://store-demohash1.mybigcommerce.com",
        ),
    ),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_the_platform_returns_becomes_these_commands(name: str, sandbox: SandboxClient) -> None:
    for vendor, expected in zip(("capillary", "kangaroo"), FOLLOWED[name], strict=True):
        assert followed(fixture(name), connection("bigcommerce", vendor), sandbox) == [expected], vendor


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("customer-created", "v3/customers/1001"),
        ("address-updated", "v3/customers/1001"),
        ("subscriber-updated", "v3/customers/subscribers/501"),
        ("location-updated", "v3/inventory/locations/7"),
    ],
)
def test_what_was_deleted_meanwhile_is_an_outcome(name: str, path: str, sandbox: SandboxClient) -> None:
    sandbox.set("bigcommerce", entities={f"stores/demohash1/{path}": None})
    assert followed(fixture(name), connection("bigcommerce", "kangaroo"), sandbox) == [("ignored", "deleted_meanwhile")]


@pytest.mark.parametrize("name", ["customer-created", "subscriber-created", "information-updated", "location-created"])
def test_other_responses_are_refusals_or_may_pass(name: str) -> None:
    with pytest.raises(VendorRejected) as caught:
        shown(name, {"status": 422, "title": "The filter is invalid."}, 422)
    assert caught.value.code == "422"
    nothing: tuple[Any, ...] = (None, [], "x", {}, {"data": None}, {"data": "x"})
    for unreadable in nothing:
        with pytest.raises(TransientError):
            shown(name, unreadable)
    assert shown(name, None, 404).reason == "deleted_meanwhile"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("email", "email"),
        ("phone", "phone"),
        ("first_name", "first_name"),
        ("last_name", "last_name"),
        ("notes", "notes"),
    ],
)
def test_empty_and_null_are_empty_and_absent_is_unchanged(theirs: str, ours: str) -> None:
    for empty in ("", None, "  "):
        assert shown("customer-updated", {"data": [{"id": 1001, theirs: empty}]}).fields == {ours: None}
    assert shown("customer-updated", {"data": [{"id": 1001}]}).fields == {}


def test_the_first_address_counts_and_none_is_none() -> None:
    two = [{"address1": "1 Sample Street", "postal_code": "94105"}, {"address1": "2 Other Street"}]
    fields = shown("customer-updated", {"data": [{"id": 1001, "addresses": two}]}).fields
    assert fields == {"address": "1 Sample Street", "postal_code": "94105"}
    fields = shown("customer-updated", {"data": [{"id": 1001, "addresses": []}]}).fields
    assert fields == {"address": None, "postal_code": None}


def test_only_the_customer_who_was_requested_is_taken() -> None:
    assert (
        shown("customer-updated", {"data": [{"id": 1002, "email": "other@example.com"}]}).reason == "deleted_meanwhile"
    )
    both = {"data": [{"id": 1002, "first_name": "Other"}, {"id": 1001, "first_name": "Bea"}]}
    assert shown("customer-updated", both).fields == {"first_name": "Bea"}


def test_attributes_and_form_fields_go_where_a_mapping_puts_them(sandbox: SandboxClient) -> None:
    mapping = {
        "store/customer/*": {
            "birthday": "form_fields[?name=='Birthday'].value | [0]",
            "notes": "attributes[?attribute_id==`2`].attribute_value | [0]",
        }
    }
    to = connection("bigcommerce", "kangaroo", mapping=mapping)
    ((_, _, _, fields),) = followed(fixture("customer-updated"), to, sandbox)
    assert (fields["birthday"], fields["notes"]) == ("1990-02-28", "1990-02-28")


# -- consents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consents", "opted"),
    [
        (["marketing_newsletter"], True),
        (["abandoned_cart", "marketing_newsletter"], True),
        (["abandoned_cart"], False),
        ([], False),
    ],
)
def test_only_the_newsletter_consent_opts_in(consents: list[str], opted: bool) -> None:
    change = shown("subscriber-updated", {"data": {"id": 501, "email": "bea@example.com", "consents": consents}})
    assert isinstance(change, CustomerChanged)
    assert change.fields == {"subscriptions.email.bulk": opted}
    assert change.email == "bea@example.com"


@pytest.mark.parametrize("subscriber", [{"id": 501}, {"consents": None}, {"consents": "marketing_newsletter"}])
def test_without_a_choice_is_neither_opt_in_nor_out(subscriber: dict[str, Any]) -> None:
    assert shown("subscriber-updated", {"data": subscriber}).reason == "no_consent_given"


def test_abandoned_cart_mails_are_no_newsletter() -> None:
    actual = {"id": 1001, "accepts_product_review_abandoned_cart_emails": True}
    assert shown("customer-updated", {"data": [actual]}).fields == {}


def test_a_withdrawn_consent_is_newer_than_the_one_before() -> None:
    before = shown("subscriber-updated", {"data": {"id": 501, "consents": ["marketing_newsletter"]}})
    withdrawn = read(fixture("subscriber-deleted"))
    assert before.source_id == withdrawn.source_id
    assert before.version.older_than(withdrawn.version)


def test_a_subscriber_and_a_customer_of_one_number_are_two() -> None:
    (customer,) = outcome_of(data("customer-deleted", id=501), connection("bigcommerce"))
    (subscriber,) = outcome_of(fixture("subscriber-deleted"), connection("bigcommerce"))
    assert customer[1] != subscriber[1]


# -- stores ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "domain"),
    [
        ({"secure_url": "https://shop.example.com", "domain": "x.example.com"}, "https://shop.example.com"),
        ({"secure_url": "", "domain": "shop.example.com"}, "https://shop.example.com"),
        ({"secure_url": None}, "https://store-demohash1.mybigcommerce.com"),
    ],
)
def test_a_store_has_an_address_whatever_it_reports(store: dict[str, Any], domain: str) -> None:
    change = shown("information-updated", {"name": "Demo", **store})
    assert isinstance(change, StoreChanged)
    assert change.domain == domain


def test_a_closed_location_keeps_its_link() -> None:
    assert shown("location-updated", {"data": [{"id": 7, "label": "x", "enabled": False}]}).reason == "location_closed"


# -- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stores": ()}, "source.stores"),
        ({"stores": ("stores/demohash1",)}, "source.stores.0"),
        ({"api_credentials": {}}, "source.api_credentials.access_token"),
        (
            {"stores": ("demohash1", "demohash2"), "api_credentials": {"access_token.demohash1": "x"}},
            "source.api_credentials.access_token",
        ),
        ({"api_credentials": {"access_token": "x", "client_id": "y"}}, "source.api_credentials.client_id"),
        ({"api_credentials": {"access_token": "two words"}}, "source.api_credentials.access_token"),
        ({"api_host": "https://api.clover.com"}, "source.api_host"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(changes: dict[str, Any], field: str) -> None:
    good = connection("bigcommerce")
    broken = replace(good, source=replace(good.source, **changes))
    assert {problem.field for problem in check_connection(broken)} == {field}
