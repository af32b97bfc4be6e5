"""Square: what is believed, what its bodies mean, and what a location event leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from square.utils.webhooks_helper import verify_signature

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import CredentialsRefused, TransientError, Untranslatable, VendorRejected
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, CustomerRetired, Request, StoreChanged, Verdict
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import Canned, fetch_of, followed, hydrated, outcome_of, thin_of
from tests.sources.samples import NOW, SECRETS, URL, Sample, connection, load, source

SQUARE = source_module("square")
KEY = SECRETS["square"]
CUSTOMER = "DEMOCUSTOMER00000000000001"
NEW = "DEMOCUSTOMER00000000000009"
LOCATION = "LDEMO00000001"
MERCHANT = "MLDEMOMERCHANT"


def fixture(name: str) -> Sample:
    return load("square", name)


def read(sample: Sample) -> Any:
    (change,) = SQUARE.read(sample.signed(), source("square"))
    return change


def customer(**members: Any) -> Sample:
    """customer.updated with members of the customer replaced; ``...`` removes one."""
    sample = fixture("customer-updated")
    body = sample.json()
    changed = body["data"]["object"]["customer"] | members
    body["data"]["object"]["customer"] = {name: value for name, value in changed.items() if value is not ...}
    return sample.with_body(body)


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- signatures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "url", "body", "signature"),
    [
        (
            "Ibxx_5AKakO-3qeNVR61Dw",
            "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9",
            b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification",'
            b'"event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z",'
            b'"data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}',
            "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=",
        ),
        (
            "signature-key",
            "https://webhook.site/webhooks",
            b'{"data":{"type":"webhooks","id":">id<"}}',
            "Cxt7+aTi4rKgcA0bC4g9EHdVtLSDWdqccmL5MvihU4U=",
        ),
    ],
)
def test_squares_own_vectors(key: str, url: str, body: bytes, signature: str) -> None:
    """From the tests of Square's official library."""
    request = Request(headers={"x-square-hmacsha256-signature": signature}, body=body)
    registered = replace(source("square"), public_url=url)
    assert SQUARE.verify(request, registered, [key], NOW) is Verdict.AUTHENTIC
    assert SQUARE.verify(request, replace(registered, public_url=f"{url}/"), [key], NOW) is Verdict.WRONG
    assert SQUARE.verify(replace(request, body=body + b"\n"), registered, [key], NOW) is Verdict.WRONG


@settings(max_examples=60, deadline=None)
@given(
    body=st.text(st.characters(codec="utf-8"), min_size=1),
    key=st.text(st.characters(codec="ascii"), min_size=1),
)
def test_agrees_with_squares_library_on_what_is_signed(body: str, key: str) -> None:
    request = replace(fixture("customer-created"), body=body.encode()).signed(key)
    given_signature = request.headers["x-square-hmacsha256-signature"]
    for tried in (key, f"{key}x"):
        assert bool(SQUARE.verify(request, source("square"), [tried], NOW)) == verify_signature(
            request_body=body, signature_header=given_signature, signature_key=tried, notification_url=URL
        )


@pytest.mark.parametrize(
    "registered",
    [
        "http://relay.example.com/webhooks/shop",
        "https://relay.example.com/webhooks/shop/",
        "https://RELAY.example.com/webhooks/shop",
        "https://relay.example.com/prod/webhooks/shop",
        "https://relay.example.com/webhooks/shop?x=1",
        None,
    ],
)
def test_the_url_counts_to_the_letter(registered: str | None) -> None:
    request = fixture("customer-created").signed()
    assert SQUARE.verify(request, replace(source("square"), public_url=registered), [KEY], NOW) is Verdict.WRONG


def test_the_legacy_signature_is_no_signature() -> None:
    request = fixture("customer-created").signed()
    legacy = {"x-square-signature": request.headers["x-square-hmacsha256-signature"]}
    assert SQUARE.verify(replace(request, headers=legacy), source("square"), [KEY], NOW) is Verdict.NO_SIGNATURE


def test_another_sellers_event_is_of_another_store() -> None:
    sample = fixture("customer-created")
    assert SQUARE.store(sample.signed(), source("square")) == MERCHANT
    assert SQUARE.store(sample.changed(merchant_id="MLOTHER").signed(), source("square")) == "MLOTHER"
    nothing: tuple[Any, ...] = (..., None, "", {})
    for missing in nothing:
        assert SQUARE.store(sample.changed(merchant_id=missing).signed(), source("square")) == ""
    assert SQUARE.store(replace(sample, body=b"no json").signed(), source("square")) is None


# -- what each topic becomes ----------------------------------------------------------------------------------------

CREATED = {
    "first_name": "Zoë",
    "last_name": "Exemplaire",
    "email": "zoe@example.com",
    "phone": "+1-415-555-0188",
    "birthday": "1990-02-28",
    "notes": "Likes the window seat",
    "address": "3 Sample Street, Unit 4, San Francisco, CA",
    "postal_code": "94105",
    "country": "US",
}
UPDATED = {
    "first_name": "Zoë",
    "last_name": "Exemplaire",
    "email": "zoe@example.com",
    "phone": None,
    "notes": None,
    "address": None,
    "postal_code": "94105",
    "country": "US",
    "subscriptions.email.bulk": False,
}
BOTH = {"email": "zoe@example.com", "mobile": "+1-415-555-0188"}
MAIL = {"email": "zoe@example.com"}
HYDRATE = ("hydrate", "location", {"location_id": LOCATION})
ORDERS = [
    topic.fixture
    for topic in SQUARE.topics
    if topic.becomes == "hydrate" and topic.name.startswith(("payment.", "refund.", "order."))
]

EXPECTED: dict[str, tuple[Canned, Canned]] = {
    "customer-created": (
        ("register_customer", CUSTOMER, BOTH, CREATED),
        ("patch_crm_fields", CUSTOMER, BOTH, CREATED),
    ),
    "customer-created-by-merge": (
        ("register_customer", NEW, BOTH, CREATED),
        ("patch_crm_fields", NEW, BOTH, CREATED),
    ),
    "customer-updated": (
        ("update_customer", CUSTOMER, MAIL, UPDATED),
        ("patch_crm_fields", CUSTOMER, MAIL, UPDATED),
    ),
    "customer-deleted": (("retire_customer", CUSTOMER, "deleted", None),) * 2,
    "customer-deleted-by-merge": (("retire_customer", CUSTOMER, "merged", NEW),) * 2,
    **{
        f"custom-attribute-{kind}{what}": (("ignored", "nothing_mapped"),) * 2
        for kind in ("owned-", "visible-", "public-", "")
        for what in ("updated", "deleted")
    },
    **dict.fromkeys(ORDERS, (("ignored", "sales_not_enabled"),) * 2),
    "payment-updated-approved": (("ignored", "payment_not_completed"),) * 2,
    "refund-updated-pending": (("ignored", "refund_pending"),) * 2,
    "order-created": (("ignored", "topic_not_used"),) * 2,
    "location-created": (HYDRATE, HYDRATE),
    "location-updated": (HYDRATE, HYDRATE),
    "oauth-authorization-revoked": (("ignored", "app_uninstalled"),) * 2,
    "checkout-location-settings-updated": (("ignored", "topic_not_used"),) * 2,
    "checkout-merchant-settings-updated": (("ignored", "topic_not_used"),) * 2,
    "test-notification": (("ignored", "ping"),) * 2,
}


@pytest.mark.parametrize("name", [topic.fixture for topic in SQUARE.topics])
def test_each_topic_becomes_these_commands(name: str) -> None:
    for vendor, expected in zip(("capillary", "kangaroo"), EXPECTED[name], strict=True):
        assert outcome_of(fixture(name), connection("square", vendor)) == [expected], vendor


def test_an_unknown_topic_is_ignored() -> None:
    sample = fixture("customer-created").changed(type="loyalty.account.updated")
    assert outcome_of(sample, connection("square")) == [("ignored", "topic_not_used")]
    assert untranslatable(fixture("customer-created").changed(type=None)) == "no_topic"


# -- events, versions -----------------------------------------------------------------------------------------------


def test_the_signed_event_id_is_the_identity() -> None:
    sample = fixture("customer-updated")
    change = read(sample)
    assert change.event.id == sample.json()["event_id"]
    assert change.event.time == "2026-03-03T08:30:01.900000Z"
    other = read(sample.with_headers(square_initial_delivery_timestamp="2027-01-01T00:00:00Z"))
    assert other.event == change.event
    assert read(sample.changed(event_id=None)).event.id == read(sample.changed(event_id=None)).event.id
    assert len(read(sample.changed(event_id=None)).event.id) == 64


def test_customers_are_ordered_by_their_version_and_not_by_the_events_time() -> None:
    newer = read(customer(version=12)).version
    older = read(customer(version=9).changed(created_at="2026-09-01T00:00:00Z", event_id="later")).version
    assert isinstance(newer, Version)
    assert newer.clock == "square.revision"
    assert older.older_than(newer)


def test_without_a_version_the_customers_own_time_counts() -> None:
    actual = read(customer(version=...)).version
    assert (actual.clock, actual.value) == ("square", "2026-03-03T08:30:00.000000Z")
    actual = read(customer(version=..., updated_at=...)).version
    assert actual.value == "2026-03-03T08:30:01.900000Z"


@pytest.mark.parametrize("version", [-1, 2**63, True, "3", 1.5])
def test_a_version_that_is_none_is_untranslatable(version: Any) -> None:
    assert untranslatable(customer(version=version)) == "bad_revision"


def test_the_largest_version_stays_exact() -> None:
    assert read(customer(version=2**63 - 1)).version.value == "00009223372036854775807"[-20:]


def test_a_deletion_outlives_older_updates_and_yields_to_a_recovery() -> None:
    deleted = read(fixture("customer-deleted"))
    assert isinstance(deleted, CustomerRetired)
    assert deleted.version is not None
    assert read(customer(version=3)).version.older_than(deleted.version)
    recovered = read(customer(version=5, creation_source="DELETION_RECOVERY")).version
    assert deleted.version.older_than(recovered)


# -- customers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("given_name", "first_name"),
        ("family_name", "last_name"),
        ("email_address", "email"),
        ("phone_number", "phone"),
        ("birthday", "birthday"),
        ("note", "notes"),
    ],
)
def test_what_is_absent_null_or_empty_is_empty_now(theirs: str, ours: str) -> None:
    for empty in (..., None, "", "  "):
        fields = read(customer(**{theirs: empty})).fields
        assert fields[ours] is None
    assert read(customer(**{theirs: "x"})).fields[ours] == "x"


def test_a_customer_without_an_address_has_none_now() -> None:
    nothing: tuple[Any, ...] = (..., None, {}, "nonsense")
    for empty in nothing:
        fields = read(customer(address=empty)).fields
        assert (fields["address"], fields["postal_code"]) == (None, None)
        assert "country" not in fields


def test_a_birthday_without_its_year_is_left_out() -> None:
    (command,) = outcome_of(customer(birthday="0000-02-28"), connection("square", "kangaroo"))
    assert "birthday" not in command[3]
    (command,) = outcome_of(customer(birthday="1988-02-29"), connection("square", "kangaroo"))
    assert command[3]["birthday"] == "1988-02-29"
    (command,) = outcome_of(customer(birthday=...), connection("square", "kangaroo"))
    assert command[3]["birthday"] is None


@pytest.mark.parametrize(
    ("preferences", "actual"),
    [
        ({"email_unsubscribed": True}, {"subscriptions.email.bulk": False}),
        ({"email_unsubscribed": False}, {}),
        ({"email_unsubscribed": None}, {}),
        ({"email_unsubscribed": "true"}, {}),
        ({}, {}),
        (None, {}),
        (..., {}),
    ],
)
def test_not_having_opted_out_is_no_opt_in(preferences: Any, actual: dict[str, bool]) -> None:
    fields = read(customer(preferences=preferences)).fields
    assert {name: value for name, value in fields.items() if name.startswith("subscriptions.")} == actual


def test_a_mapping_may_state_that_silence_is_consent() -> None:
    mapping = {"customer.*": {"subscriptions.email.bulk": "preferences.email_unsubscribed == `false`"}}
    for unsubscribed in (True, False):
        sample = customer(preferences={"email_unsubscribed": unsubscribed})
        (command,) = outcome_of(sample, connection("square", "kangaroo", mapping=mapping))
        assert command[3]["subscriptions.email.bulk"] is not unsubscribed


@pytest.mark.parametrize("object", [..., None, [], {"customer": None}, {"customer": {}}, {"customer": {"id": ""}}])
def test_an_event_without_its_customer_is_untranslatable(object: Any) -> None:
    data = {"type": "customer", "id": CUSTOMER, "object": object}
    if object is ...:
        del data["object"]
    for name in ("customer-created", "customer-updated", "customer-deleted"):
        assert untranslatable(fixture(name).changed(data=data)) in {"no_customer", "no_id"}


def test_non_ascii_names_stay_as_they_are() -> None:
    change = read(customer(given_name="Łukasz 🎉", family_name="山田"))
    assert (change.fields["first_name"], change.fields["last_name"]) == ("Łukasz 🎉", "山田")


# -- merges ---------------------------------------------------------------------------------------------------------


def test_a_merged_customer_points_to_the_new_one() -> None:
    gone = read(fixture("customer-deleted-by-merge"))
    kept = read(fixture("customer-created-by-merge"))
    assert isinstance(gone, CustomerRetired)
    assert isinstance(kept, CustomerChanged)
    assert (gone.reason, gone.survivor) == ("merged", kept.source_id)


@pytest.mark.parametrize("survivor", [None, "", CUSTOMER])
def test_a_merge_without_a_survivor_or_into_oneself_is_a_deletion(survivor: str | None) -> None:
    sample = fixture("customer-deleted-by-merge")
    body = sample.json()
    body["data"]["object"]["event_context"]["merge"]["to_customer_id"] = survivor
    gone = read(sample.with_body(body))
    assert (gone.reason, gone.survivor) == ("deleted", None)


# -- custom attributes ----------------------------------------------------------------------------------------------


def test_a_custom_attribute_goes_where_a_mapping_puts_it() -> None:
    mapping = {
        "customer.custom_attribute.*": {"custom_fields.roast": "ends_with(key, 'favourite_roast') && value || null"}
    }
    to = connection("square", mapping=mapping)
    assert outcome_of(fixture("custom-attribute-owned-updated"), to) == [
        ("update_customer", CUSTOMER, {}, {"custom_fields.roast": "Dünkel"})
    ]


def test_a_deleted_custom_attribute_empties_its_field() -> None:
    to = connection("square", mapping={"customer.custom_attribute.*": {"custom_fields.roast": "value"}})
    assert outcome_of(fixture("custom-attribute-visible-deleted"), to) == [
        ("update_customer", CUSTOMER, {}, {"custom_fields.roast": None})
    ]


def test_a_custom_attribute_is_ordered_by_its_time_and_deleted_last() -> None:
    updated = read(fixture("custom-attribute-owned-updated"))
    deleted = read(fixture("custom-attribute-owned-deleted"))
    assert updated.version.older_than(deleted.version)


@pytest.mark.parametrize("id", [None, "favourite_roast", "favourite_roast:LOCATION:L1", "favourite_roast:CUSTOMER:"])
def test_an_attribute_of_no_customer_is_untranslatable(id: str | None) -> None:
    sample = fixture("custom-attribute-updated")
    assert untranslatable(sample.changed(data=sample.json()["data"] | {"id": id})) == "no_id"


# -- locations ------------------------------------------------------------------------------------------------------

SHOWN: dict[str, Any] = {
    "location": {
        "id": LOCATION,
        "name": "Demo Bakery",
        "status": "ACTIVE",
        "merchant_id": MERCHANT,
        "website_url": "bakery.example.com",
    }
}


def test_a_location_is_fetched_at_the_sellers_account() -> None:
    fetch = fetch_of(fixture("location-created"), connection("square", "kangaroo"))
    assert fetch.path == f"/v2/locations/{LOCATION}"
    assert fetch.headers["authorization"] == "Bearer fake-square-token"
    assert fetch.default_host == "https://connect.squareup.com"


def test_each_seller_may_have_a_token_of_its_own() -> None:
    own = connection("square")
    credentials = {"access_token": "fake-other", f"access_token.{MERCHANT}": "fake-own"}
    own = replace(own, source=replace(own.source, api_credentials=credentials))
    assert fetch_of(fixture("location-created"), own).headers["authorization"] == "Bearer fake-own"


def test_a_location_id_cannot_leave_its_path() -> None:
    sample = fixture("location-created")
    sample = sample.changed(data={"type": "location", "id": "../../v2/customers?x#y"})
    assert fetch_of(sample, connection("square")).path == "/v2/locations/..%2F..%2Fv2%2Fcustomers%3Fx%23y"


def test_a_fetched_location_is_linked_where_there_are_stores() -> None:
    sample = fixture("location-updated")
    assert hydrated(sample, connection("square", "kangaroo"), 200, SHOWN) == [
        ("link_store", LOCATION, MERCHANT, "Demo Bakery", "https://bakery.example.com")
    ]
    assert hydrated(sample, connection("square"), 200, SHOWN) == [("ignored", "no_stores_at_capillary")]


def test_the_sandboxs_location_is_linked() -> None:
    sandbox = SandboxClient(VENDOR)
    to = connection("square", "kangaroo")
    assert followed(fixture("location-created"), to, sandbox) == [
        ("link_store", LOCATION, MERCHANT, "Demo Bakery", "https://bakery.example.com")
    ]
    sandbox.set("square", entities={f"v2/locations/{LOCATION}": None})
    assert followed(fixture("location-created"), to, sandbox) == [("ignored", "deleted_meanwhile")]


def test_a_location_that_is_deleted_or_inactive_is_an_outcome() -> None:
    to = connection("square", "kangaroo")
    assert hydrated(fixture("location-updated"), to, 404, {"errors": []}) == [("ignored", "deleted_meanwhile")]
    closed = {"location": SHOWN["location"] | {"status": "INACTIVE"}}
    assert hydrated(fixture("location-updated"), to, 200, closed) == [("ignored", "location_closed")]


@pytest.mark.parametrize("body", [None, [], {}, {"location": None}, {"location": {}}, {"location": {"id": ""}}])
def test_an_answer_that_is_no_location_may_pass(body: Any) -> None:
    with pytest.raises(TransientError):
        hydrated(fixture("location-updated"), connection("square", "kangaroo"), 200, body)


def test_a_refusal_of_the_platform_is_reported_with_its_status() -> None:
    with pytest.raises(VendorRejected) as caught:
        hydrated(fixture("location-updated"), connection("square", "kangaroo"), 400, {"errors": []})
    assert caught.value.code == "400"


def test_without_a_token_locations_are_not_read() -> None:
    bare = connection("square", "kangaroo")
    bare = replace(bare, source=replace(bare.source, api_credentials={}))
    assert check_connection(bare) == []
    assert outcome_of(fixture("location-created"), bare) == [("ignored", "no_access_token")]
    module, thin = thin_of(fixture("location-created"), connection("square"))
    with pytest.raises(CredentialsRefused):
        module.fetch(thin, bare.source)


def test_a_locations_version_is_the_events() -> None:
    module, thin = thin_of(fixture("location-updated"), connection("square", "kangaroo"))
    (change,) = module.hydrated(thin, 200, SHOWN)
    assert isinstance(change, StoreChanged)
    assert change.version == Version("square", thin.event.time, thin.event.time, thin.event.id)


# -- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stores": ()}, "source.stores"),
        ({"public_url": None}, "source.public_url"),
        ({"api_credentials": {"token": "x"}}, "source.api_credentials.token"),
        ({"api_credentials": {"access_token.MLOTHER": "x"}}, "source.api_credentials.access_token"),
        ({"api_credentials": {"access_token": "a\r\nb: c"}}, "source.api_credentials.access_token"),
        ({"api_host": "https://connect.squareup.com.example.net"}, "source.api_host"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(changes: dict[str, Any], field: str) -> None:
    good = connection("square")
    broken = replace(good, source=replace(good.source, **changes))
    assert field in {problem.field for problem in check_connection(broken)}
