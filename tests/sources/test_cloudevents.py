"""CloudEvents: three modes, a token that proves a sender and nothing more, and our published schema inside."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.connections.check import check_connection
from loyalty_relay.connections.model import WebhookSecret
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import UnsupportedFormat, Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, NothingToDo, Request, Unreadable, Verdict
from tests.sources.outcome_of import Canned, outcome_of
from tests.sources.samples import NOW, SECRETS, Sample, connection, load, source

CLOUDEVENTS = source_module("cloudevents")
TOKEN = SECRETS["cloudevents"]


def fixture(name: str) -> Sample:
    return load("cloudevents", name)


def read(sample: Sample, **members: Any) -> Any:
    (change,) = CLOUDEVENTS.read(sample.signed(), replace(source("cloudevents"), **members))
    return change


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


def binary(**attributes: str | None) -> Sample:
    """customer.updated in binary mode with attributes replaced; None removes one."""
    sample = fixture("customer-updated")
    headers = sample.headers | {f"ce-{name}": value for name, value in attributes.items() if value is not None}
    gone = {f"ce-{name}" for name, value in attributes.items() if value is None}
    return replace(sample, headers={name: value for name, value in headers.items() if name not in gone})


def structured(**members: Any) -> Sample:
    return fixture("customer-created-structured").changed(**members)


# -- tokens ---------------------------------------------------------------------------------------------------------


def verdict(header: str | None, query: dict[str, str] | None = None, secrets: tuple[str, ...] = (TOKEN,)) -> Verdict:
    headers = {} if header is None else {"authorization": header}
    return CLOUDEVENTS.verify(Request(headers=headers, query=query or {}), source("cloudevents"), secrets, NOW)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Bearer {TOKEN}", Verdict.AUTHENTIC),
        (f"bearer   {TOKEN}", Verdict.AUTHENTIC),
        (f"BEARER {TOKEN} ", Verdict.AUTHENTIC),
        (f"Bearer {TOKEN}x", Verdict.WRONG),
        (f"Bearer {TOKEN[:-1]}", Verdict.WRONG),
        (f"Bearer {TOKEN.upper()}", Verdict.WRONG),
        (f"Basic {TOKEN}", Verdict.MALFORMED),
        (f"Bearer{TOKEN}", Verdict.MALFORMED),
        (f"Bearer {TOKEN} {TOKEN}", Verdict.MALFORMED),
        (f"Bearer {TOKEN},Bearer x", Verdict.MALFORMED),
        (TOKEN, Verdict.MALFORMED),
        ("Bearer", Verdict.MALFORMED),
        ("Bearer \u00e9", Verdict.MALFORMED),
        (None, Verdict.NO_SIGNATURE),
        (" ", Verdict.NO_SIGNATURE),
    ],
)
def test_a_bearer_token_is_compared_as_a_whole(header: str | None, expected: Verdict) -> None:
    assert verdict(header) is expected


def test_a_token_in_the_url_is_refused_even_beside_a_good_one() -> None:
    assert verdict(None, {"access_token": TOKEN}) is Verdict.NO_SIGNATURE
    assert verdict(f"Bearer {TOKEN}", {"access_token": TOKEN}) is Verdict.MALFORMED


def test_an_older_token_of_another_length_is_looked_for_too() -> None:
    """Ingest tries the secrets of the version before when a token is wrong, not when it is malformed."""
    assert verdict("Bearer fake-token", secrets=("fake-longer-token-0001",)) is Verdict.WRONG
    assert verdict("Bearer fake-token", secrets=()) is Verdict.WRONG


# -- the handshake --------------------------------------------------------------------------------------------------


def handshake(origin: str | None = "till.example.com", method: str = "OPTIONS", **options: Any) -> Any:
    headers = (
        {} if origin is None else {"webhook-request-origin": origin, "webhook-request-callback": "https://x.example"}
    )
    known = source("cloudevents")
    known = replace(known, options={**known.options, **options})
    return CLOUDEVENTS.handshake(Request(method=method, headers=headers), known)


def test_a_listed_sender_is_given_leave() -> None:
    reply = handshake()
    assert reply.status == 200
    assert reply.headers == {
        "allow": "POST",
        "webhook-allowed-origin": "till.example.com",
        "webhook-allowed-rate": "*",
    }
    assert handshake(allowed_rate=120).headers["webhook-allowed-rate"] == "120"
    assert handshake("TILL.example.com").headers["webhook-allowed-origin"] == "TILL.example.com"
    assert handshake("any.example.org", allowed_origins=["*"]).headers["webhook-allowed-origin"] == "any.example.org"


@pytest.mark.parametrize("origin", [None, "", "other.example.com", "a b", "x\r\nset-cookie: y", "é", "*", "x" * 254])
def test_no_other_sender_is(origin: str | None) -> None:
    assert handshake(origin) is None
    if origin != "other.example.com":
        assert handshake(origin, allowed_origins=["*"]) is None


def test_only_options_requests_and_without_a_list_none_may() -> None:
    assert handshake(method="POST") is None
    assert handshake(method="GET") is None
    assert handshake(allowed_origins=[]) is None


def test_what_is_taken_is_not_yet_carried_out() -> None:
    assert CLOUDEVENTS.accepted(fixture("ping").signed()).status == 202


# -- what each topic becomes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "topic", [t for t in CLOUDEVENTS.topics if t.becomes != "handshake" and t.fixture != "customers-batch"], ids=str
)
def test_each_topic_becomes_what_it_becomes_in_standard_webhooks(topic: Any) -> None:
    twin = load("standard", topic.fixture.removesuffix("-structured"))
    for vendor in ("capillary", "kangaroo"):
        actual = outcome_of(fixture(topic.fixture), connection("cloudevents", vendor))
        assert actual == outcome_of(twin, connection("standard", vendor)), vendor


def test_a_batch_becomes_what_its_events_become() -> None:
    first: Canned = ("update_customer", "C-1001", {}, {"last_name": "Flynn", "notes": None})
    jose = {"email": "jose.nunez@example.org"}
    second: Canned = ("update_customer", "9007199254740993", jose, jose | {"first_name": "José"})
    batch = fixture("customers-batch")
    assert outcome_of(batch, connection("cloudevents")) == [first, second]
    patched = [("patch_crm_fields", *actual[1:]) for actual in (first, second)]
    assert outcome_of(batch, connection("cloudevents", "kangaroo")) == patched


def test_an_unknown_type_is_ignored() -> None:
    assert read(binary(type="com.example.sale.closed")).reason == "topic_not_used"


def test_types_may_have_a_prefix() -> None:
    named = binary(type="com.example.till.customer.updated")
    assert read(named).reason == "topic_not_used"
    actual = read(named, options={"type_prefix": "com.example.till."})
    assert isinstance(actual, CustomerChanged)
    assert actual.event.topic == "customer.updated"


# -- modes ----------------------------------------------------------------------------------------------------------

DATA = {"store_id": "store-1", "customer": {"id": "C-9", "email": "zoe@example.com", "first_name": "Zoë"}}


def by_library(data: Any = DATA, **attributes: Any) -> CloudEvent:
    named = {
        "type": "customer.updated",
        "source": "/tills/4",
        "id": "E-1",
        "datacontenttype": "application/json",
        "time": datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    }
    return CloudEvent(attributes=named | attributes, data=data)


def arrived(message: HTTPMessage) -> Request:
    headers = {name.lower(): value for name, value in message.headers.items()}
    return Request(headers=headers | {"authorization": f"Bearer {TOKEN}"}, body=message.body)


def test_the_official_librarys_modes_mean_the_same() -> None:
    event = by_library(subject="Zoë")
    in_headers, in_body = arrived(to_binary_event(event)), arrived(to_structured_event(event))
    assert "ce-id" in in_headers.headers
    assert in_body.headers["content-type"].startswith("application/cloudevents+json")
    actual = [CLOUDEVENTS.read(request, source("cloudevents")) for request in (in_headers, in_body)]
    assert actual[0] == actual[1]
    (change,) = actual[0]
    assert isinstance(change, CustomerChanged)
    assert change.fields == {"email": "zoe@example.com", "first_name": "Zoë"}
    assert change.event.time == "2026-03-02T09:00:00.000000Z"


@settings(max_examples=60, deadline=None)
@given(
    id=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60),
    origin=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60),
)
def test_attributes_of_any_script_are_the_same_in_both_of_the_librarys_modes(id: str, origin: str) -> None:
    event = by_library(id=id, source=origin)
    actual = [
        CLOUDEVENTS.read(arrived(message), source("cloudevents"))
        for message in (to_binary_event(event), to_structured_event(event))
    ]
    assert actual[0] == actual[1]


@pytest.mark.parametrize(
    "spelling",
    [
        "E%20%C3%A9%E2%82%AC",
        "E%20%c3%a9%e2%82%ac",
        '"E %C3%A9%E2%82%AC"',
        '"\\E \u00e9\u20ac"',
        "E \u00e9\u20ac",
        " E%20\u00e9%E2%82%AC ",
    ],
)
def test_headers_are_unquoted_and_percent_decoded_once(spelling: str) -> None:
    assert read(binary(id=spelling)).event == read(binary(id="E \u00e9\u20ac")).event
    assert read(binary(id="E%2520x")).event != read(binary(id="E x")).event


@pytest.mark.parametrize("broken", ["%FF", "%C3", "%ED%A0%80", "\ud800"])
def test_headers_that_are_no_utf_8_are_parked(broken: str) -> None:
    assert untranslatable(binary(id=broken)) == "bad_envelope"


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_what_an_event_must_have(name: str) -> None:
    for empty in (None, "", " "):
        assert untranslatable(binary(**{name: empty})) == "bad_envelope"
    absent: tuple[Any, ...] = (..., None, "", 7, {})
    for missing in absent:
        assert untranslatable(structured(**{name: missing})) == "bad_envelope"


@pytest.mark.parametrize("version", ["0.3", "1.1", "2.0", "1"])
def test_other_versions_of_the_specification_are_not_guessed_at(version: str) -> None:
    assert untranslatable(binary(specversion=version)) == "bad_envelope"
    assert untranslatable(structured(specversion=version)) == "bad_envelope"


def test_the_type_of_binary_data_is_in_one_place() -> None:
    assert untranslatable(binary(datacontenttype="application/json")) == "bad_envelope"


def content(kind: str | None, sample: Sample | None = None) -> Sample:
    sample = sample or fixture("customer-updated")
    headers = {name: value for name, value in sample.headers.items() if name.lower() != "content-type"}
    return replace(sample, headers=headers if kind is None else headers | {"Content-Type": kind})


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.till+json", ""]
)
def test_data_are_read_in_json(kind: str) -> None:
    assert isinstance(read(content(kind)), CustomerChanged)


@pytest.mark.parametrize(
    "kind",
    [
        "application/xml",
        "text/plain",
        "application/octet-stream",
        "application/jsonx",
        "application/cloudevents+xml",
        "application/cloudevents+avro",
        "application/cloudevents-batch+xml",
        "application/cloudevents",
        "APPLICATION/CLOUDEVENTS+PROTOBUF; x=1",
    ],
)
def test_other_formats_get_a_415(kind: str) -> None:
    with pytest.raises(UnsupportedFormat):
        read(content(kind))
    assert CLOUDEVENTS.store(content(kind).signed(), source("cloudevents")) is None


def test_other_formats_inside_an_envelope_get_a_415_too() -> None:
    with pytest.raises(UnsupportedFormat):
        read(structured(datacontenttype="application/xml", data="<customer/>"))
    assert isinstance(read(structured(datacontenttype="application/vnd.till+json")), CustomerChanged)
    assert isinstance(read(structured(datacontenttype=...)), CustomerChanged)


@pytest.mark.parametrize("kind", ["application/cloudevents+json", "Application/CloudEvents+JSON;charset=UTF-8 "])
def test_structured_mode_is_known_by_its_type_without_case_and_parameters(kind: str) -> None:
    assert isinstance(read(content(kind, fixture("customer-created-structured"))), CustomerChanged)


def test_data_may_come_as_base64() -> None:
    sample = structured()
    plain = sample.json()["data"]
    encoded = base64.b64encode(json.dumps(plain).encode()).decode()
    assert read(structured(data=..., data_base64=encoded)) == read(sample)
    assert untranslatable(structured(data_base64=encoded)) == "bad_envelope"
    no_base64: tuple[Any, ...] = ("%", "AAA", 7, {})
    for broken in no_base64:
        assert untranslatable(structured(data=..., data_base64=broken)) == "bad_envelope"
    no_json = base64.b64encode(b"no json").decode()
    assert untranslatable(structured(data=..., data_base64=no_json)) == "not_json"


@pytest.mark.parametrize(("body", "reason"), [(b"no json", "not_json"), (b"[]", "not_an_object"), (b"", "not_json")])
def test_a_structured_body_that_is_no_event_is_parked(body: bytes, reason: str) -> None:
    assert untranslatable(replace(structured(), body=body)) == reason


@pytest.mark.parametrize("data", [None, "text", [], 7, {"error": "not found"}, {"customer": None}])
def test_data_that_are_no_customer_are_parked(data: Any) -> None:
    assert untranslatable(structured(data=data)) == "no_customer"
    assert untranslatable(fixture("customer-updated").with_body(data)) == "no_customer"
    assert untranslatable(replace(fixture("customer-updated"), body=b"")) == "no_customer"


# -- batches --------------------------------------------------------------------------------------------------------


def batch(*events: Any) -> list[Any]:
    return CLOUDEVENTS.read(fixture("customers-batch").with_body(list(events)).signed(), source("cloudevents"))


def test_what_is_wrong_with_one_event_of_a_batch_holds_up_no_other() -> None:
    good, other = fixture("customers-batch").json()
    actual = batch(
        good,
        other | {"id": None},
        7,
        other | {"data": {"customer": {}, "store_id": "store-1"}},
        other | {"datacontenttype": "text/xml"},
        other,
    )
    assert [type(change) for change in actual] == [CustomerChanged, *(Unreadable,) * 4, CustomerChanged]
    reasons = [change.problem.reason for change in actual if isinstance(change, Unreadable)]
    assert reasons == ["bad_envelope", "not_an_object", "no_id", "unsupported_format"]
    assert len({change.event.id for change in actual}) == 6


def test_a_batch_is_a_list() -> None:
    assert batch() == []
    assert untranslatable(fixture("customers-batch").with_body({"events": []})) == "bad_envelope"


def test_each_event_of_a_batch_keeps_its_identity_wherever_it_is_and_in_whatever_mode() -> None:
    first, second = fixture("customers-batch").json()
    assert batch(first, second) == batch(second, first)[::-1]
    alone = replace(fixture("customer-created-structured"), body=json.dumps(first).encode())
    assert read(alone) == batch(first)[0]


# -- identity, versions, stores -------------------------------------------------------------------------------------


def test_an_event_is_its_source_and_id_together_with_its_data() -> None:
    """The token signs nothing, so that a known id does not vouch for other data."""
    first = read(binary()).event.id
    assert read(binary(time="2026-03-02T10:00:00Z", subject="x")).event.id == first
    assert read(binary(id="another")).event.id != first
    assert read(binary(source="/tills/5")).event.id != first
    sample = fixture("customer-updated")
    body = sample.json()
    body["customer"]["last_name"] = "Somebody-Else"
    assert read(sample.with_body(body)).event.id != first
    assert read(replace(sample, body=json.dumps(sample.json(), indent=3).encode())).event.id == first


def test_the_entitys_own_clock_orders_else_the_events_time() -> None:
    sample = fixture("customer-updated")
    actual = read(sample)
    expected = "2026-03-02T09:00:00.000000Z"
    assert actual.version == Version("cloudevents", expected, expected, actual.event.id)
    body = sample.json()
    body["customer"] |= {"revision": 7}
    assert read(sample.with_body(body)).version.clock == "cloudevents.revision"
    del body["customer"]["revision"], body["customer"]["updated_at"]
    assert read(sample.with_body(body)).version.value == expected
    assert read(replace(sample.with_body(body), headers=binary(time=None).headers)).version is None


@pytest.mark.parametrize("time", ["yesterday", "%20x", "1790000000"])
def test_a_time_that_is_none_is_parked(time: str) -> None:
    assert untranslatable(binary(time=time)) == "bad_time"
    assert untranslatable(structured(time=7)) == "bad_time"


def store(sample: Sample, **members: Any) -> str | None:
    return CLOUDEVENTS.store(sample.signed(), replace(source("cloudevents"), **members))


def test_the_store_is_that_of_the_data_else_the_source() -> None:
    assert store(binary()) == "store-1"
    assert store(structured()) == "store-1"
    sample = fixture("customer-updated")
    bare = sample.with_body({"customer": sample.json()["customer"]})
    assert store(bare) == "/tills/4"
    assert store(replace(bare, headers=binary(source="urn:till:%C3%A9").headers)) == "urn:till:é"
    assert store(fixture("customers-batch")) is None
    assert store(binary(id=None)) is None
    assert store(binary(), stores=()) is None


def test_each_event_of_a_batch_is_checked_for_its_store() -> None:
    good, other = fixture("customers-batch").json()
    elsewhere = json.loads(json.dumps(other))
    elsewhere["data"]["store_id"] = "store-9"
    actual = batch(good, elsewhere)
    assert [type(change) for change in actual] == [CustomerChanged, NothingToDo]
    assert actual[1].reason == "store_not_connected"


# -- connections ----------------------------------------------------------------------------------------------------


def problems(**members: Any) -> set[str]:
    good = connection("cloudevents")
    return {p.field for p in check_connection(replace(good, source=replace(good.source, **members)))}


def test_what_is_wrong_with_a_connection_is_reported_by_name() -> None:
    assert problems(secrets=(WebhookSecret("fake-token"),)) == {"source.secrets.0.value"}
    assert problems(secrets=(WebhookSecret("fake token with blanks"),)) == {"source.secrets.0.value"}
    assert problems(options={"origins": []}) == {"source.options.origins"}
    wrong: tuple[Any, ...] = ("till.example.com", [7], ["a b"], [""])
    for origins in wrong:
        assert problems(options={"allowed_origins": origins}) == {"source.options.allowed_origins"}
    for rate in (0, -1, "120", True, 1.5):
        assert problems(options={"allowed_rate": rate}) == {"source.options.allowed_rate"}
    for prefix in (7, "", " x"):
        assert problems(options={"type_prefix": prefix}) == {"source.options.type_prefix"}
    good = {"allowed_origins": ["*", "till.example.com:8443"], "allowed_rate": 60, "type_prefix": "com.example."}
    assert problems(options=good) == set()
    assert problems(stores=()) == set()
