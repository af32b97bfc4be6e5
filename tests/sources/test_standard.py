"""Standard Webhooks, and our published event schema."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, NothingToDo, Request, StoreChanged, Verdict
from tests.sources.samples import EVENTS, NOW, SECRETS, Sample, connection, load, source

STANDARD = source_module("standard")
SECRET = SECRETS["standard"]
NAMES = [topic.fixture for topic in STANDARD.topics]
SCHEMA = json.loads((EVENTS / "standard" / "schema.json").read_text())


def fixture(name: str) -> Sample:
    return load("standard", name)


def read(sample: Sample) -> Any:
    (change,) = STANDARD.read(sample.signed(), source("standard"))
    return change


def with_customer(name: str, **members: Any) -> Sample:
    """A fixture with members of its customer replaced; ``...`` removes one."""
    body = fixture(name).json()
    customer = body["data"]["customer"] | members
    body["data"]["customer"] = {key: value for key, value in customer.items() if value is not ...}
    return fixture(name).with_body(body)


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- signatures -----------------------------------------------------------------------------------------------------


def test_the_specifications_own_vector() -> None:
    request = Request(
        headers={
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        body=b'{"test": 2432232314}',
    )
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert STANDARD.verify(request, source("standard"), [secret], 1614265330.0)
    assert STANDARD.verify(request, source("standard"), [secret.removeprefix("whsec_")], 1614265330.0)
    assert STANDARD.verify(request, source("standard"), [secret], NOW) is Verdict.OUTSIDE_WINDOW


@settings(max_examples=60, deadline=None)
@given(
    body=st.text(st.characters(codec="utf-8")),
    message_id=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    key=st.binary(min_size=1, max_size=64),
)
def test_takes_what_the_official_library_signs(body: str, message_id: str, key: bytes) -> None:
    import base64

    secret = "whsec_" + base64.b64encode(key).decode()
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(NOW, UTC), body)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(NOW)), "webhook-signature": signature}
    request = Request(headers=headers, body=body.encode())
    assert STANDARD.verify(request, source("standard"), [secret], NOW)
    assert not STANDARD.verify(replace(request, body=request.body + b" "), source("standard"), [secret], NOW)


def test_a_signature_may_begin_like_a_version() -> None:
    """The text after ``v1,`` is base64, which may be ``v8b...``."""
    signature = "v1,v8bPUBm7Ilf+taO7TLqT/ymy31actqAvmk37H4cVU5A="
    assert Webhook("whsec_AEg=").sign("sbbGUKZcM", datetime.fromtimestamp(NOW, UTC), "\x89å") == signature
    headers = {"webhook-id": "sbbGUKZcM", "webhook-timestamp": str(int(NOW)), "webhook-signature": signature}
    request = Request(headers=headers, body="\x89å".encode())
    assert STANDARD.verify(request, source("standard"), ["whsec_AEg="], NOW)


def test_the_official_library_takes_what_the_tools_sign() -> None:
    request = fixture("customer-created").signed(now=datetime.now(UTC).timestamp())
    assert Webhook(SECRET).verify(request.body.decode(), dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.decode() + " ", dict(request.headers))


def test_svix_headers_are_the_same_scheme() -> None:
    request = fixture("customer-created").signed()
    renamed = {name.replace("webhook-", "svix-"): value for name, value in request.headers.items()}
    assert STANDARD.verify(replace(request, headers=renamed), source("standard"), [SECRET], NOW)
    assert STANDARD.read(replace(request, headers=renamed), source("standard"))[0].event.id == "msg_fixture0001"


@pytest.mark.parametrize(
    "around", ["{} v1,AAAA", "v1,AAAA {}", "v1a,AAAA {} v2,x", "v1,AAAA,{}", "{},v1a,AAAA", "rubbish {}"]
)
def test_any_one_of_several_signatures_will_do(around: str) -> None:
    request = fixture("customer-created").signed()
    headers = {**request.headers, "webhook-signature": around.format(request.headers["webhook-signature"])}
    assert STANDARD.verify(replace(request, headers=headers), source("standard"), [SECRET], NOW)


def test_a_signature_of_another_version_proves_nothing() -> None:
    request = fixture("customer-created").signed()
    for version in ("v1a", "v0", "v2", "V1", ""):
        signature = request.headers["webhook-signature"].replace("v1,", f"{version},")
        headers = {**request.headers, "webhook-signature": signature}
        assert not STANDARD.verify(replace(request, headers=headers), source("standard"), [SECRET], NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_id_and_time_are_signed(name: str) -> None:
    request = fixture("customer-created").signed()
    for value in ("1790000001", "msg_other", "", "1790000000.0", "-1790000000", "١٧٩٠٠٠٠٠٠٠"):
        headers = {**request.headers, name: value}
        assert not STANDARD.verify(replace(request, headers=headers), source("standard"), [SECRET], NOW)


@pytest.mark.parametrize("value", ["whsec_not base64!", "whsec_", "whsec_c2hvcnQ="])
def test_a_secret_that_cannot_sign_is_named_when_the_connection_is_applied(value: str) -> None:
    shop = connection("standard")
    secret = replace(shop.source.secrets[0], value=value)
    problems = check_connection(replace(shop, source=replace(shop.source, secrets=(secret,))))
    assert [problem.field for problem in problems] == ["source.secrets.0.value"]


def test_an_undecodable_secret_accepts_nothing() -> None:
    assert not STANDARD.verify(fixture("customer-created").signed(), source("standard"), ["whsec_!"], NOW)


def test_the_store_is_named_in_the_signed_body() -> None:
    assert STANDARD.store(fixture("customer-created").signed(), source("standard")) == "store-1"
    body = fixture("customer-created").json()
    del body["data"]["store_id"]
    nowhere = fixture("customer-created").with_body(body).signed()
    assert STANDARD.store(nowhere, source("standard")) == ""
    assert STANDARD.store(nowhere, replace(source("standard"), stores=())) is None


# -- the schema -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_fixture_keeps_to_the_published_schema(name: str) -> None:
    jsonschema.validate(fixture(name).json(), SCHEMA, jsonschema.Draft202012Validator)


def test_the_published_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]["type"]["enum"]) == {topic.name for topic in STANDARD.topics}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("customer-created", {"id": ...}, "no_id"),
        ("customer-created", {"id": None}, "no_id"),
        ("customer-created", {"id": {"a": 1}}, "no_id"),
        ("customer-created", {"id": "x" * 201}, "bad_id"),
        ("customer-created", {"email": ["a@example.com"]}, "bad_field"),
        ("customer-created", {"first_name": True}, "bad_field"),
        ("customer-created", {"tags": "VIP"}, "bad_field"),
        ("customer-created", {"tags": {"VIP": "yes"}}, "bad_field"),
        ("customer-created", {"consents": []}, "bad_field"),
        ("customer-created", {"consents": {"email": {}}}, "bad_field"),
        ("customer-created", {"consents": {"sms": {"subscribed": "true"}}}, "bad_field"),
        ("customer-created", {"custom_fields": ["x"]}, "bad_field"),
        ("customer-created", {"revision": "2"}, "bad_revision"),
        ("customer-created", {"revision": -1}, "bad_revision"),
        ("customer-created", {"revision": 10**20}, "bad_revision"),
        ("customer-created", {"updated_at": "yesterday"}, "bad_time"),
        ("customer-merged", {"merged_into": ...}, "no_id"),
        ("customer-merged", {"merged_into": "C-1004"}, "bad_merge"),
    ],
)
def test_what_breaks_the_schema_is_untranslatable_by_name(name: str, change: dict[str, Any], reason: str) -> None:
    sample = with_customer(name, **change)
    assert untranslatable(sample) == reason
    if change != {"id": "x" * 201} and reason != "bad_merge" and change != {"updated_at": "yesterday"}:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(sample.json(), SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "no_customer"), ([], "no_customer"), ({"customer": 3}, "no_customer")]
)
def test_data_without_its_entity_is_untranslatable(data: Any, reason: str) -> None:
    assert untranslatable(fixture("customer-created").changed(data=data)) == reason


def test_types_and_times_of_the_envelope() -> None:
    assert read(fixture("customer-created").changed(type="order.created")).reason == "topic_not_used"
    assert untranslatable(fixture("customer-created").changed(type=...)) == "no_topic"
    assert untranslatable(fixture("customer-created").changed(type=7)) == "no_topic"
    assert untranslatable(fixture("customer-created").changed(timestamp="noon")) == "bad_time"
    assert read(fixture("ping")).reason == "ping"


# -- what it means --------------------------------------------------------------------------------------------------


def test_a_created_customer_in_our_words() -> None:
    change = cast("CustomerChanged", read(fixture("customer-created")))
    assert change.created
    assert change.event.id == "msg_fixture0001"
    assert change.fields["email"] == "dara@example.com"
    assert change.fields["notes"] is None
    assert change.fields["custom_fields.custom_field_1"] == "till 4"
    assert change.fields["tags.Wholesale"] is True
    assert change.fields["subscriptions.email.bulk"] is True
    assert change.fields["subscriptions.sms.bulk"] is False
    assert change.versions.keys() == {"subscriptions.email.bulk"}
    assert change.version is not None
    assert change.version.value == "2026-03-01T09:00:00.000000Z"


def test_absent_means_unchanged_and_empty_means_none() -> None:
    assert read(fixture("customer-updated")).fields == {"last_name": "Flynn", "notes": None}


def test_a_consent_event_has_consent_and_finds_the_customer_by_their_contacts() -> None:
    change = read(fixture("customer-consent"))
    assert change.fields == {"subscriptions.email.bulk": False}
    assert change.email == "dara@example.com"
    assert read(with_customer("customer-consent", consents=...)).reason == "no_changes"


def test_a_tags_event_has_for_each_tag_whether_it_is_set() -> None:
    assert read(fixture("customer-tags")).fields == {"tags.VIP": True, "tags.Wholesale": False}
    assert read(with_customer("customer-tags", tags=["A", " B "])).fields == {"tags.A": True, "tags.B": True}


def test_a_revision_is_a_clock_of_its_own() -> None:
    third, tenth = (read(with_customer("customer-updated", revision=number)).version for number in (3, 10))
    assert third.clock == "standard.revision"
    assert third.older_than(tenth)
    assert not third.older_than(read(fixture("customer-updated")).version)


def test_without_a_time_of_its_own_an_entity_is_as_of_its_event() -> None:
    assert read(fixture("customer-tags")).version.value == "2026-03-04T09:00:00.000000Z"
    assert read(fixture("customer-tags").changed(timestamp=...)).version is None


def test_a_store_is_linked_and_a_closed_one_is_not() -> None:
    change = cast("StoreChanged", read(fixture("store-updated")))
    assert (change.shop_id, change.account_id, change.name) == ("store-1", "acct-9", "Acme Exampleton Quay")
    assert isinstance(read(fixture("store-closed")), NothingToDo)
