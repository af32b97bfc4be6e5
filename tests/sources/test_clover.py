"""Clover: what is believed, many changes in one delivery, and what Clover's API returns for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import CredentialsRefused, TransientError, Untranslatable, VendorRejected
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    Request,
    StoreChanged,
    ThinChange,
    Unreadable,
    Verdict,
)
from loyalty_relay.telemetry.allow_list import ALLOWED
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import Canned, fetch_of, followed, outcome_of, thin_of
from tests.sources.samples import NOW, SECRETS, Sample, connection, load, source

CLOVER = source_module("clover")
TOKEN = SECRETS["clover"]
MERCHANT, CUSTOMER = "DEMOMERCHANT1", "DEMOCUSTOMER1"
TS = 1_772_460_901_123


@pytest.fixture
def sandbox() -> SandboxClient:
    return SandboxClient(VENDOR)


def fixture(name: str) -> Sample:
    return load("clover", name)


def update(object_id: Any = f"C:{CUSTOMER}", type: Any = "UPDATE", ts: Any = TS) -> dict[str, Any]:
    return {"objectId": object_id, "type": type, "ts": ts}


def read(merchants: Any, *, stores: tuple[str, ...] = (MERCHANT,)) -> list[Change]:
    sample = fixture("customer-update").changed(merchants=merchants)
    return CLOVER.read(sample.signed(), replace(source("clover"), stores=stores))


def one(*updates: Any) -> Any:
    (change,) = read({MERCHANT: list(updates)})
    return change


def shown(body: Any, status: int = 200, name: str = "customer-update") -> Any:
    """The change once Clover has answered with this."""
    module, thin = thin_of(fixture(name), connection("clover"))
    (change,) = module.hydrated(thin, status, body)
    return change


def customer(**members: Any) -> Any:
    return shown({"id": CUSTOMER, **members})


# -- the token ------------------------------------------------------------------------------------------------------


def test_the_token_is_compared_whole() -> None:
    request = fixture("customer-update").signed()
    for wrong in (TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), TOKEN[::-1], "é", "\ud800", TOKEN.replace("-", "")):
        judged = CLOVER.verify(replace(request, headers={"x-clover-auth": wrong}), source("clover"), [TOKEN], NOW)
        assert judged is Verdict.WRONG


def test_without_a_token_of_our_own_nothing_is_authentic() -> None:
    for given in (TOKEN, "x"):
        request = fixture("customer-update").signed(given)
        assert CLOVER.verify(request, source("clover"), [], NOW) is Verdict.WRONG
    assert CLOVER.verify(fixture("customer-update").unsigned(), source("clover"), [], NOW) is Verdict.NO_SIGNATURE


@pytest.mark.parametrize("header", ["x-clover-signature", "x-clover-auth-signature", "x-clover-authorization"])
def test_headers_of_hearsay_prove_nothing(header: str) -> None:
    request = Request(headers={header: TOKEN}, body=fixture("customer-update").body)
    assert CLOVER.verify(request, source("clover"), [TOKEN], NOW) is Verdict.NO_SIGNATURE


def test_the_token_is_not_kept_with_a_parked_delivery() -> None:
    assert CLOVER.secret_headers == {"x-clover-auth"}


# -- the verification of the URL ------------------------------------------------------------------------------------


def pending(**changes: Any) -> Any:
    return replace(source("clover"), options={"setup": True}, **changes)


def test_the_code_reaches_the_operator_only() -> None:
    reply = CLOVER.handshake(fixture("verification").unsigned(), pending())
    assert reply is not None
    assert (reply.status, reply.body) == (200, "")
    assert dict(reply.note) == {"code": fixture("verification").json()["verificationCode"]}
    assert set(reply.note) <= ALLOWED


@pytest.mark.parametrize("setup", [{}, {"setup": False}, {"setup": "true"}, {"setup": 1}])
def test_a_connection_that_is_set_up_takes_no_code(setup: dict[str, Any]) -> None:
    closed = replace(source("clover"), options=setup)
    assert CLOVER.handshake(fixture("verification").unsigned(), closed) is None
    assert CLOVER.handshake(fixture("verification").unsigned(), replace(closed, secrets=())) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"verificationCode":""}',
        b'{"verificationCode":null}',
        b'{"verificationCode":"a b"}',
        b'{"verificationCode":"a\\nb"}',
        b'{"verificationCode":"ana@example.com"}',
        b'{"verificationCode":"' + b"a" * 65 + b'"}',
        b'{"verificationCode":"abc","merchants":{}}',
        b"verificationCode=abc",
    ],
)
def test_only_a_code_alone_is_taken(body: bytes) -> None:
    assert CLOVER.handshake(Request(body=body), pending()) is None


def test_a_code_with_a_token_or_another_method_is_none() -> None:
    request = fixture("verification").unsigned()
    assert CLOVER.handshake(replace(request, headers={"x-clover-auth": "x"}), pending()) is None
    assert CLOVER.handshake(replace(request, method="GET"), pending()) is None


# -- what each key becomes ------------------------------------------------------------------------------------------

READ_CUSTOMER = ("hydrate", "customer", {"id": CUSTOMER})
READ_MERCHANT = ("hydrate", "merchant", {"id": MERCHANT})
UNUSED = ("ignored", "topic_not_used")

EXPECTED: dict[str, Canned] = {
    **{
        topic.fixture: ("ignored", "sales_not_enabled")
        for topic in CLOVER.topics
        if topic.becomes == "hydrate" and topic.name.startswith(("O:", "P:"))
    },
    "order-delete": ("ignored", "order_deleted"),
    "customer-create": READ_CUSTOMER,
    "customer-update": READ_CUSTOMER,
    "customer-delete": ("retire_customer", f"{MERCHANT}:{CUSTOMER}", "deleted", None),
    "merchant-create": READ_MERCHANT,
    "merchant-update": READ_MERCHANT,
    "merchant-delete": ("ignored", "location_closed"),
    "app-create": READ_MERCHANT,
    "app-update": UNUSED,
    "app-delete": ("ignored", "app_uninstalled"),
    "cash-adjustment-create": UNUSED,
}


@pytest.mark.parametrize("name", [topic.fixture for topic in CLOVER.topics if topic.becomes != "handshake"])
def test_each_key_becomes_these_commands(name: str) -> None:
    for vendor in ("capillary", "kangaroo"):
        assert outcome_of(fixture(name), connection("clover", vendor)) == [EXPECTED[name]], vendor


@pytest.mark.parametrize("key", ["CA:X", "E:X", "I:X", "IC:X", "OX:X", "PA:X", "SH:X", "NEW:X"])
def test_keys_of_other_things_are_ignored_also_where_they_begin_like_ours(key: str) -> None:
    for done in ("CREATE", "UPDATE", "DELETE"):
        change = one(update(key, done))
        assert isinstance(change, NothingToDo)
        assert change.reason == "topic_not_used"
        assert change.event.topic == f"{key.partition(':')[0]}:{done}"


def test_a_key_is_parted_at_its_first_colon() -> None:
    change = one(update("C:AB:CD"))
    assert isinstance(change, ThinChange)
    assert change.data == {"id": "AB:CD"}


# -- many in one ----------------------------------------------------------------------------------------------------


def test_each_update_of_each_merchant_is_a_change_of_its_own() -> None:
    changes = read(
        {
            MERCHANT: [update("C:ONE"), update("C:TWO", "DELETE"), update("I:THREE")],
            "DEMOMERCHANT2": [update("C:ONE"), update("M:DEMOMERCHANT2")],
        },
        stores=(MERCHANT, "demomerchant2"),
    )
    assert [(type(c).__name__, c.event.entity_id) for c in changes] == [
        ("ThinChange", f"{MERCHANT}:ONE"),
        ("CustomerRetired", f"{MERCHANT}:TWO"),
        ("NothingToDo", MERCHANT),
        ("ThinChange", "DEMOMERCHANT2:ONE"),
        ("ThinChange", "DEMOMERCHANT2"),
    ]
    assert len({change.event.id for change in changes}) == 5
    assert [c.store for c in changes if isinstance(c, ThinChange)] == [MERCHANT, "DEMOMERCHANT2", "DEMOMERCHANT2"]


def test_merchants_that_are_not_connected_have_no_effect_and_hold_up_no_other() -> None:
    changes = read({"OTHER": [update("C:ONE"), update("C:ONE", "DELETE")], MERCHANT: [update()]})
    assert [c.reason for c in changes if isinstance(c, NothingToDo)] == ["store_not_connected"] * 2
    assert isinstance(changes[2], ThinChange)
    assert all(not isinstance(c, CustomerRetired) for c in changes)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "C:X",
        {},
        update(None),
        update("C"),
        update("C:"),
        update(":X"),
        update("C:X", None),
        update("C:X", ""),
        update("C:X", "update"),
        update("c:X"),
        update("C:" + "X" * 300),
        update("ana@example.com:X"),
        update(["C:X"]),
    ],
)
def test_an_update_that_cannot_be_read_holds_up_no_other(broken: Any) -> None:
    changes = read({MERCHANT: [update("C:ONE"), broken, update("C:TWO")]})
    assert [type(change) for change in changes] == [ThinChange, Unreadable, ThinChange]
    assert changes[1].event.topic in ("", "C:UPDATE")


@pytest.mark.parametrize("merchants", [None, [], "x", ...])
def test_a_body_without_merchants_is_untranslatable(merchants: Any) -> None:
    with pytest.raises(Untranslatable) as caught:
        read(merchants)
    assert caught.value.reason == "no_merchants"


def test_a_delivery_of_nothing_is_nothing() -> None:
    assert read({}) == []
    assert read({MERCHANT: []}) == []


# -- events, versions -----------------------------------------------------------------------------------------------


def test_an_update_is_the_same_event_whatever_it_arrives_with() -> None:
    alone = one(update())
    among = read({"OTHER": [update("C:X")], MERCHANT: [update("C:ONE"), update()]})[2]
    assert alone.event == among.event
    assert alone.event.time == "2026-03-02T14:15:01.123000Z"


@pytest.mark.parametrize("other", [update("C:OTHER"), update(type="CREATE"), update(ts=TS + 1), update(ts=None)])
def test_another_object_type_or_time_is_another_event(other: dict[str, Any]) -> None:
    assert one(other).event.id != one(update()).event.id


def test_a_deletion_is_not_dated_by_its_own_time() -> None:
    change = one(update(type="DELETE", ts=253_402_300_799_000))
    assert isinstance(change, CustomerRetired)
    assert change.version is None


@pytest.mark.parametrize("ts", [None, "x", -(10**30), 10**30, True, {}])
def test_a_time_that_is_none_is_no_time(ts: Any) -> None:
    change = one(update(ts=ts))
    assert isinstance(change, ThinChange)
    assert change.event.time == ""


def test_what_was_read_is_dated_by_clovers_own_time() -> None:
    change = customer(metadata={"modifiedTime": 1_709_375_400_000})
    event = change.event
    assert change.version == Version("clover", "2024-03-02T10:30:00.000000Z", event.time, event.id)
    silences: tuple[dict[str, Any], ...] = ({}, {"metadata": {}}, {"metadata": {"modifiedTime": "x"}})
    for silent in silences:
        assert customer(**silent).version == Version("clover", event.time, event.time, event.id)


# -- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "customer-create",
            f"/v3/merchants/{MERCHANT}/customers/{CUSTOMER}?expand=addresses,emailAddresses,phoneNumbers,metadata",
        ),
        ("merchant-update", f"/v3/merchants/{MERCHANT}?expand=address"),
        ("app-create", f"/v3/merchants/{MERCHANT}?expand=address"),
    ],
)
def test_each_resource_is_read_with_what_must_be_requested_and_no_cards(name: str, path: str) -> None:
    fetch = fetch_of(fixture(name), connection("clover"))
    assert fetch.path == path
    assert dict(fetch.headers) == {"authorization": "Bearer fake-clover-token", "accept": "application/json"}
    assert (fetch.default_host, fetch.limit) == ("https://api.clover.com", (16, 1.0))


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    sample = fixture("customer-update").changed(merchants={MERCHANT: [update("C:../../OTHER?x#y")]})
    path = fetch_of(sample, connection("clover")).path
    assert path.startswith(f"/v3/merchants/{MERCHANT}/customers/..%2F..%2FOTHER%3Fx%23y?expand=")


def test_each_merchant_may_have_a_token_of_its_own() -> None:
    to = connection("clover")
    own = replace(to, source=replace(to.source, api_credentials={f"access_token.{MERCHANT}": "fake-own"}))
    assert check_connection(own) == []
    assert fetch_of(fixture("customer-update"), own).headers["authorization"] == "Bearer fake-own"
    module, thin = thin_of(fixture("customer-update"), own)
    with pytest.raises(CredentialsRefused):
        module.fetch(thin, replace(to.source, api_credentials={}))


# -- what the answers mean ------------------------------------------------------------------------------------------

WHO = f"{MERCHANT}:{CUSTOMER}"
BOTH = {"email": "cleo@example.com", "mobile": "4155550142"}
PLAIN = {
    "first_name": "Cleo",
    "last_name": "Verity",
    "email": "cleo@example.com",
    "phone": "4155550142",
    "address": "2 Sample Street, San Francisco, CA",
    "postal_code": "94105",
    "country": "US",
    "notes": None,
    "birthday": "1990-02-28",
    "subscriptions.email.bulk": True,
}
STORE = ("link_store", MERCHANT, MERCHANT, "Demo Cafe", "https://cafe.example.com")


@pytest.mark.parametrize("collections", ["elements", "array"])
def test_what_clover_returns_becomes_these_commands(collections: str, sandbox: SandboxClient) -> None:
    sandbox.set("clover", collections=collections)
    expected = {
        ("customer-create", "capillary"): ("register_customer", WHO, BOTH, PLAIN),
        ("customer-create", "kangaroo"): ("patch_crm_fields", WHO, BOTH, PLAIN),
        ("customer-update", "capillary"): ("update_customer", WHO, BOTH, PLAIN),
        ("customer-update", "kangaroo"): ("patch_crm_fields", WHO, BOTH, PLAIN),
        ("merchant-update", "capillary"): ("ignored", "no_stores_at_capillary"),
        ("merchant-update", "kangaroo"): STORE,
        ("app-create", "kangaroo"): STORE,
    }
    for (name, vendor), actual in expected.items():
        assert followed(fixture(name), connection("clover", vendor), sandbox) == [actual], (name, vendor)


def test_a_customer_who_was_deleted_meanwhile_is_an_outcome(sandbox: SandboxClient) -> None:
    sandbox.set("clover", entities={f"v3/merchants/{MERCHANT}/customers/{CUSTOMER}": None})
    assert followed(fixture("customer-update"), connection("clover", "kangaroo"), sandbox) == [
        ("ignored", "deleted_meanwhile")
    ]


def test_other_responses_are_refusals_or_may_pass() -> None:
    for name in ("customer-update", "merchant-update"):
        with pytest.raises(VendorRejected) as caught:
            shown({"message": "Bad Request"}, 400, name)
        assert caught.value.code == "400"
        nothing: tuple[Any, ...] = (None, [], "x", {}, {"id": "OTHER"}, {"id": None})
        for body in nothing:
            with pytest.raises(TransientError):
                shown(body, 200, name)


def test_what_was_not_reported_stays_and_what_is_empty_is_empty() -> None:
    assert customer().fields == {}
    assert customer(
        emailAddresses={"elements": []}, phoneNumbers=[], addresses=[], firstName="", lastName=None
    ).fields == {
        "first_name": None,
        "last_name": None,
        "email": None,
        "phone": None,
        "address": None,
        "postal_code": None,
    }
    strange: tuple[Any, ...] = (None, "x", {}, {"elements": None}, {"elements": "x"})
    for actual in strange:
        assert customer(emailAddresses=actual, phoneNumbers=actual, addresses=actual, metadata="x").fields == {}


@pytest.mark.parametrize(
    ("emails", "chosen"),
    [
        ([{"emailAddress": "a@example.com"}, {"emailAddress": "b@example.com", "primaryEmail": True}], "b@example.com"),
        ([{"emailAddress": "a@example.com"}, {"emailAddress": "b@example.com", "verifiedTime": 1}], "b@example.com"),
        ([{"emailAddress": "a@example.com"}, {"emailAddress": "b@example.com"}], "a@example.com"),
        (
            [
                {"emailAddress": "a@example.com", "verifiedTime": 1},
                {"emailAddress": "b@example.com", "primaryEmail": True},
            ],
            "b@example.com",
        ),
        ([None, {"emailAddress": "a@example.com"}], "a@example.com"),
        ([{"emailAddress": ""}], None),
    ],
)
def test_of_several_emails_the_primary_counts(emails: list[Any], chosen: str | None) -> None:
    assert customer(emailAddresses={"elements": emails}).fields == {"email": chosen}


@pytest.mark.parametrize(
    ("metadata", "birthday"),
    [
        ({"dobYear": 1990, "dobMonth": 2, "dobDay": 3}, "1990-02-03"),
        ({"dobYear": 1990, "dobMonth": 2}, None),
        ({"dobMonth": 2, "dobDay": 3}, None),
        ({"dobYear": 0, "dobMonth": 2, "dobDay": 3}, None),
        ({"dobYear": 1990, "dobMonth": 2, "dobDay": 30}, None),
        ({"dobYear": "x", "dobMonth": {}, "dobDay": [1]}, None),
    ],
)
def test_a_birthday_is_taken_only_whole(metadata: dict[str, Any], birthday: str | None, sandbox: SandboxClient) -> None:
    path = f"v3/merchants/{MERCHANT}/customers/{CUSTOMER}"
    sandbox.set("clover", entities={path: {"firstName": "Cleo", "metadata": metadata}})
    ((_, _, _, fields),) = followed(fixture("customer-update"), connection("clover", "kangaroo"), sandbox)
    assert fields.get("birthday") == birthday
    assert ("birthday" in fields) == (birthday is not None)


@pytest.mark.parametrize(
    ("allowed", "actual"),
    [
        (True, {"subscriptions.email.bulk": True}),
        (False, {"subscriptions.email.bulk": False}),
        (None, {}),
        ("true", {}),
        (1, {}),
    ],
)
def test_marketing_is_allowed_only_by_a_plain_yes(allowed: Any, actual: dict[str, bool]) -> None:
    assert customer(marketingAllowed=allowed).fields == actual


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("cafe.example.com", "https://cafe.example.com"),
        ("HTTP://cafe.example.com", "HTTP://cafe.example.com"),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_merchants_website_is_an_address(website: Any, domain: str | None) -> None:
    change = shown({"id": MERCHANT, "name": "Demo Cafe", "website": website}, 200, "merchant-update")
    assert isinstance(change, StoreChanged)
    assert change.domain == domain


def test_merchants_customers_are_known_apart() -> None:
    two = read({MERCHANT: [update(type="DELETE")], "M2": [update(type="DELETE")]}, stores=(MERCHANT, "M2"))
    assert len({change.source_id for change in two if isinstance(change, CustomerRetired)}) == 2


def test_created_customers_may_be_registered() -> None:
    created = shown({"id": CUSTOMER}, 200, "customer-create")
    assert isinstance(created, CustomerChanged)
    assert created.created
    assert not customer().created


# -- connections ----------------------------------------------------------------------------------------------------


def test_before_clover_has_made_its_token_a_connection_states_that_it_is_being_set_up() -> None:
    good = connection("clover")
    fresh = replace(good, source=replace(good.source, secrets=(), options={"setup": True}))
    assert check_connection(fresh) == []
    for options in ({}, {"setup": False}):
        forgotten = replace(fresh, source=replace(fresh.source, options=options))
        assert {problem.field for problem in check_connection(forgotten)} == {"source.secrets"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stores": ()}, "source.stores"),
        ({"api_credentials": {}}, "source.api_credentials.access_token"),
        ({"options": {"setup": "yes"}}, "source.options.setup"),
        ({"options": {"app_id": "x"}}, "source.options.app_id"),
        ({"api_host": "https://api.squareup.com"}, "source.api_host"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(changes: dict[str, Any], field: str) -> None:
    good = connection("clover")
    broken = replace(good, source=replace(good.source, **changes))
    assert {problem.field for problem in check_connection(broken)} == {field}
