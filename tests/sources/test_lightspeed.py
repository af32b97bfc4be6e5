"""Lightspeed X-Series: a signature that is documented by halves, a form, and customers in two shapes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import CustomerChanged, CustomerRetired, Request, Verdict
from tests.sources.outcome_of import Canned, outcome_of
from tests.sources.samples import NOW, SECRETS, Sample, connection, load, source

LIGHTSPEED = source_module("lightspeed")
SECRET = SECRETS["lightspeed"]
CUSTOMER = "0af7b240-0000-11e7-aaaa-000000000001"
RETAILER = "0af7b240-0000-11e7-aaaa-0000000000ff"


def fixture(name: str) -> Sample:
    return load("lightspeed", name)


def read(sample: Sample, **members: Any) -> Any:
    (change,) = LIGHTSPEED.read(sample.signed(), replace(source("lightspeed"), **members))
    return change


def customer(**members: Any) -> Sample:
    return fixture("customer-updated").changed(**members)


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- signatures -----------------------------------------------------------------------------------------------------

BODY = b"payload=%7B%22id%22%3A%220af7b240-0000-11e7-aaaa-000000000001%22%7D&domain_prefix=example"
HEX = "0b3e2a1c16567dea8184c08e557b81bc994d362ebdc84d107217c00d08b0fcbc"
BASE64 = "Cz4qHBZWfeqBhMCOVXuBvJlNNi69yE0QchfADQiw/Lw="


def verdict(header: str | None, body: bytes = BODY, **options: Any) -> Verdict:
    headers = {} if header is None else {"x-signature": header}
    known = replace(source("lightspeed"), options=options)
    return LIGHTSPEED.verify(Request(headers=headers, body=body), known, ["xs-client-secret"], NOW)


def test_openssl_makes_the_same_signature() -> None:
    command = ["openssl", "dgst", "-sha256", "-hmac", "xs-client-secret", "-hex"]
    done = subprocess.run(command, input=BODY, capture_output=True, check=True)
    assert done.stdout.decode().split()[-1] == HEX


@pytest.mark.parametrize(
    "header",
    [
        f"signature={HEX},algorithm=HMAC-SHA256",
        f"signature={HEX.upper()},algorithm=HMAC-SHA256",
        f"signature={BASE64},algorithm=HMAC-SHA256",
        f"algorithm=hmac-sha256, signature={HEX}",
        f" Signature = {HEX} , Algorithm = HMAC-SHA256 ",
    ],
)
def test_hex_and_base64_are_taken(header: str) -> None:
    assert verdict(header) is Verdict.AUTHENTIC
    assert verdict(header, BODY + b"&environment=prod") is Verdict.WRONG


@pytest.mark.parametrize(
    "header",
    [
        HEX,
        f"signature={HEX}",
        f"signature={HEX},algorithm=HMAC-SHA1",
        f"signature={HEX},algorithm=none",
        f"signature={HEX},algorithm=HMAC-SHA256,signature={HEX}",
        f"signature={HEX},signature={HEX}",
        f"signature=,algorithm=HMAC-SHA256,{HEX}",
        "signature=897hRT893qkA783M093ha903f,algorithm=HMAC-SHA256",
        "algorithm=HMAC-SHA256",
    ],
)
def test_anything_else_is_malformed(header: str) -> None:
    assert verdict(header) is Verdict.MALFORMED


def test_a_connection_may_state_how_its_signatures_are_written() -> None:
    in_hex, in_base64 = (f"signature={text},algorithm=HMAC-SHA256" for text in (HEX, BASE64))
    assert verdict(in_hex, signature_encoding="hex") is Verdict.AUTHENTIC
    assert verdict(in_base64, signature_encoding="hex") is Verdict.MALFORMED
    assert verdict(in_base64, signature_encoding="base64") is Verdict.AUTHENTIC
    assert verdict(in_hex, signature_encoding="base64") is Verdict.MALFORMED


def test_a_connection_may_state_that_the_payload_alone_is_signed() -> None:
    payload = '{"id":"Zoë"}'
    command = ["openssl", "dgst", "-sha256", "-hmac", "xs-client-secret", "-hex"]
    mac = subprocess.run(command, input=payload.encode(), capture_output=True, check=True).stdout.decode().split()[-1]
    header = f"signature={mac},algorithm=HMAC-SHA256"
    body = urlencode({"domain_prefix": "example", "payload": payload}).encode()
    assert verdict(header, body) is Verdict.WRONG
    assert verdict(header, body, signature_covers="payload") is Verdict.AUTHENTIC
    assert verdict(header, body.replace(b"Zo", b"Za"), signature_covers="payload") is Verdict.WRONG
    assert verdict(header, b"no form", signature_covers="payload") is Verdict.WRONG


def test_no_signature_is_no_signature() -> None:
    assert verdict(None) is Verdict.NO_SIGNATURE
    assert verdict(" ") is Verdict.NO_SIGNATURE


# -- who sends ------------------------------------------------------------------------------------------------------


def store(sample: Sample, **members: Any) -> str | None:
    return LIGHTSPEED.store(sample.signed(), replace(source("lightspeed"), **members))


def test_the_retailer_is_found_by_the_form_or_the_payload_or_not_at_all() -> None:
    named, bare = fixture("customer-updated"), fixture("customer-updated-1-0")
    assert store(named) == "acme-test"
    assert store(bare) is None
    assert store(bare, stores=("acme-test", "other")) == ""
    both = {"stores": ("acme-test", "other"), "options": {"retailers": {"Acme-Test": RETAILER}}}
    by_id = bare.changed(retailer_id=RETAILER)
    assert store(by_id, **both) == "acme-test"
    assert store(bare.changed(retailer_id="unknown"), **both) == ""
    assert store(replace(named, body=b"no form")) is None
    assert store(replace(named, body=b"\xff")) is None


def test_the_store_is_kept_with_the_customer() -> None:
    assert read(fixture("customer-updated")).store == "acme-test"
    assert read(fixture("customer-updated-1-0")).store == "acme-test"


def test_a_payload_of_another_retailer_is_not_authentic() -> None:
    options = {"retailers": {"acme-test": RETAILER}}
    assert isinstance(read(fixture("customer-updated"), options=options), CustomerChanged)
    assert isinstance(read(fixture("customer-updated-1-0"), options=options), CustomerChanged)
    for name in ("customer-updated", "customer-updated-1-0"):
        with pytest.raises(NotAuthentic):
            read(fixture(name).changed(retailer_id="another"), options=options)


# -- what each topic becomes ----------------------------------------------------------------------------------------

CREATED = {
    "first_name": "Zoë",
    "last_name": "Exemplaire",
    "email": "zoe@example.com",
    "phone": "021 555 0188",
    "birthday": "1990-05-17",
    "gender": "female",
    "notes": "Wears size 39",
    "address": "3 Sample Street, Te Aro, Wellington",
    "postal_code": "6011",
    "country": "NZ",
    "subscriptions.sms.bulk": True,
}
UPDATED = CREATED | {
    "last_name": "Exemplaire-Test",
    "email": None,
    "phone": "(04) 499 0123",
    "gender": None,
    "notes": None,
    "subscriptions.email.bulk": False,
    "subscriptions.sms.bulk": False,
}
OLD_SHAPE = {name: actual for name, actual in CREATED.items() if not name.startswith("subscriptions.")} | {
    "phone": "(04) 499 0123",
    "notes": None,
}
BOTH = {"email": "zoe@example.com", "mobile": "021 555 0188"}


def at_kangaroo(fields: dict[str, Any]) -> dict[str, Any]:
    """Kangaroo has consents for e-mail only."""
    return {name: actual for name, actual in fields.items() if name != "subscriptions.sms.bulk"}


def changes(kind: str, who: dict[str, str], fields: dict[str, Any]) -> tuple[Canned, Canned]:
    return (kind, CUSTOMER, who, fields), ("patch_crm_fields", CUSTOMER, who, at_kangaroo(fields))


UNUSED = (("ignored", "topic_not_used"),) * 2
SALES = ["sale-updated"]
SALES += [f"sale-updated-{kind}" for kind in ("walk-in", "split", "return", "unlinked", "voided", "id-only", "2-0")]
EXPECTED: dict[str, tuple[Canned, Canned]] = {
    "customer-created": changes("register_customer", BOTH, CREATED),
    "customer-updated": changes("update_customer", {"mobile": "(04) 499 0123"}, UPDATED),
    "customer-updated-1-0": changes(
        "update_customer", {"email": "zoe@example.com", "mobile": "(04) 499 0123"}, OLD_SHAPE
    ),
    "customer-deleted": (("retire_customer", CUSTOMER, "deleted", None),) * 2,
    **dict.fromkeys(SALES, (("ignored", "sales_not_enabled"),) * 2),
    "sale-updated-parked": (("ignored", "not_closed"),) * 2,
    "product-updated": UNUSED,
    "inventory-updated": UNUSED,
    "register-closed": UNUSED,
    "consignment-sent": UNUSED,
    "consignment-received": UNUSED,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_topic_becomes_these_commands(name: str) -> None:
    for vendor, expected in zip(("capillary", "kangaroo"), EXPECTED[name], strict=True):
        assert outcome_of(fixture(name), connection("lightspeed", vendor)) == [expected], vendor


def test_an_exchange_is_two_changes() -> None:
    actual = outcome_of(fixture("sale-updated-exchange"), connection("lightspeed"))
    assert actual == [("ignored", "sales_not_enabled")] * 2


def test_the_topic_is_in_the_path_and_the_body_must_fit_it() -> None:
    assert untranslatable(replace(fixture("customer-updated"), topic=None)) == "no_topic"
    assert untranslatable(replace(fixture("sale-updated"), topic="customer.update")) == "topic_mismatch"
    unknown = replace(fixture("customer-updated"), topic="outlet.update")
    assert outcome_of(unknown, connection("lightspeed")) == [("ignored", "topic_not_used")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no_payload"),
        (b"domain_prefix=acme-test", "no_payload"),
        (b'{"id":"1"}', "no_payload"),
        (b"payload=", "not_json"),
        (b"payload=%5B%5D", "not_an_object"),
        (b"payload=%FF", "no_payload"),
        (b"payload=%7B%22error%22%3A%22not+found%22%7D", "topic_mismatch"),
        (b"payload=%7B%22customer_code%22%3A%22x%22%7D", "no_id"),
    ],
)
def test_a_body_that_is_no_customer_is_parked(body: bytes, reason: str) -> None:
    assert untranslatable(replace(fixture("customer-updated"), body=body)) == reason


# -- events, versions -----------------------------------------------------------------------------------------------


def test_customers_are_ordered_by_their_revision() -> None:
    change = read(fixture("customer-updated"))
    assert change.version == Version(
        "lightspeed.revision", "00000000031415926600", "2026-03-02T10:00:00.000000Z", change.event.id
    )
    created, deleted = read(fixture("customer-created")), read(fixture("customer-deleted"))
    assert created.version.older_than(change.version)
    assert change.version.older_than(deleted.version)
    assert read(customer(version=2**62)).version.value == f"{2**62:020d}"


def test_without_a_revision_the_last_change_orders() -> None:
    actual = read(fixture("customer-updated-1-0")).version
    assert (actual.clock, actual.value) == ("lightspeed", "2026-03-02T10:00:00.000000Z")
    assert read(fixture("customer-updated-1-0").changed(updated_at=None)).version is None
    late = fixture("customer-deleted").changed(version=..., deleted_at="2026-03-06 00:00:00")
    assert read(late).version.value == "2026-03-06T00:00:00.000000Z"


@pytest.mark.parametrize("number", ["7", 7.5, True, -1, 2**63, []])
def test_a_revision_that_is_none_is_parked(number: Any) -> None:
    assert untranslatable(customer(version=number)) == "bad_revision"


def test_a_copy_is_the_same_event_and_another_payload_is_not() -> None:
    sample = fixture("customer-updated")
    first = read(sample).event
    payload = sample.form()["payload"]
    resent = replace(sample, body=urlencode({"payload": payload, "environment": "test"}).encode())
    assert read(resent).event.id == first.id
    assert read(customer(note="x")).event.id != first.id
    assert read(customer(version=1)).event.id != first.id


def test_a_new_customer_is_as_old_as_their_last_change() -> None:
    assert read(fixture("customer-created")).created is True
    assert read(fixture("customer-updated")).created is False
    assert read(fixture("customer-created").changed(created_at=None, updated_at=None)).created is False


# -- fields ---------------------------------------------------------------------------------------------------------


def test_absent_means_unchanged_and_null_or_empty_means_none() -> None:
    assert "email" not in read(customer(email=...)).fields
    for empty in (None, "", " "):
        assert read(customer(email=empty)).fields["email"] is None
    assert (
        "address"
        not in read(
            customer(**{f"physical_{n}": ... for n in ("address_1", "address_2", "suburb", "city", "state")})
        ).fields
    )


def test_what_is_sent_twice_counts_once() -> None:
    contact = {"email": "contact@example.com", "mobile": "021 555 0199"}
    assert read(customer(email=None, contact=contact)).fields["email"] == "contact@example.com"
    assert read(customer(email="flat@example.com", contact=contact)).fields["email"] == "flat@example.com"
    assert read(customer(contact=None)).fields["phone"] == "(04) 499 0123"


def test_a_mobile_number_comes_before_a_land_line() -> None:
    assert read(customer(mobile="021 555 0188")).fields["phone"] == "021 555 0188"
    assert read(customer(mobile="", phone="")).fields["phone"] is None
    assert "phone" not in read(customer(mobile=..., phone=...)).fields


@pytest.mark.parametrize("broken", [{"email": {}}, {"first_name": []}, {"mobile": True}, {"physical_city": {}}])
def test_a_field_of_another_kind_is_parked(broken: dict[str, Any]) -> None:
    assert untranslatable(customer(**broken)) == "bad_field"


@pytest.mark.parametrize(("actual", "opted"), [(True, False), (False, None), (None, None), (1, False), ("1", False)])
def test_do_not_email_opts_out_and_its_absence_is_no_opt_in(actual: Any, opted: bool | None) -> None:
    assert read(customer(do_not_email=actual)).fields.get("subscriptions.email.bulk") is opted


@pytest.mark.parametrize(("actual", "opted"), [(True, True), (False, False), (None, None), ("yes", None), (..., None)])
def test_promotional_sms_is_a_consent_of_its_own(actual: Any, opted: bool | None) -> None:
    assert read(customer(enable_promotional_sms=actual)).fields.get("subscriptions.sms.bulk") is opted


def test_unknown_genders_are_left_out() -> None:
    sent = outcome_of(customer(gender="unspecified"), connection("lightspeed"))[0][3]
    assert "gender" not in sent


def test_ids_keep_every_digit() -> None:
    assert read(customer(id=9007199254740993)).source_id == "9007199254740993"
    assert untranslatable(customer(id=None)) == "no_id"


def test_escapes_and_plus_signs_of_forms_are_undone() -> None:
    sample = fixture("customer-created")
    assert "\\u00eb" in sample.form()["payload"]
    plus = customer(note="a+b & c=d %41")
    assert read(plus).fields["notes"] == "a+b & c=d %41"


@pytest.mark.parametrize("empty", [None, "", ...])
def test_who_is_not_deleted_is_not_retired(empty: Any) -> None:
    assert isinstance(read(customer(deleted_at=empty)), CustomerChanged)
    assert isinstance(read(customer(deleted_at="2026-03-05 12:00:00")), CustomerRetired)


# -- connections ----------------------------------------------------------------------------------------------------


def problems(**members: Any) -> set[str]:
    good = connection("lightspeed")
    return {p.field for p in check_connection(replace(good, source=replace(good.source, **members)))}


def test_what_is_wrong_with_a_connection_is_reported_by_name() -> None:
    assert problems(stores=()) == {"source.stores"}
    assert problems(stores=("https://acme.retail.lightspeed.app",)) == {"source.stores.0"}
    assert problems(options={"signature": "hex"}) == {"source.options.signature"}
    assert problems(options={"signature_encoding": "hexadecimal"}) == {"source.options.signature_encoding"}
    assert problems(options={"signature_covers": "body"}) == {"source.options.signature_covers"}
    wrong: tuple[Any, ...] = ([], {"other": RETAILER}, {"acme-test": 7})
    for retailers in wrong:
        assert problems(options={"retailers": retailers}) == {"source.options.retailers"}
    good = {"signature_encoding": "hex", "signature_covers": "form", "retailers": {"ACME-test": RETAILER}}
    assert problems(options=good) == set()
    assert problems(secrets=(), unsigned=True) == {"id"}
    assert problems(secrets=()) == {"source.secrets"}


def test_fixtures_are_forms_as_the_platform_sends_them() -> None:
    for topic in LIGHTSPEED.topics:
        sample = fixture(topic.fixture)
        assert sample.topic == topic.name
        assert isinstance(json.loads(sample.form()["payload"]), dict)
