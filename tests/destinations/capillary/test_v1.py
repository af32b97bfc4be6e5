"""V1.1's envelope in all the shapes in which it has been seen."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.destinations.capillary import v1
from loyalty_relay.model.commands import CustomerRef, Identifier
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerNotFound,
    InvalidCommand,
    RateLimited,
    RelayError,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.outcomes import Notice
from tests.destinations.capillary.upstream import ANA, MOBILE, OAUTH, Canned, answer, deadline, reply, update

DONE = {"success": "true", "code": "1000", "message": "Customer successfully updated"}


def envelope(item: Any, **status: Any) -> dict[str, Any]:
    status_block = {"success": "true", "code": 200, "message": "Success", "total": "1", "success_count": "1", **status}
    return {"response": {"status": status_block, "customers": {"customer": [item]}}}


def updated(body: Any, status: int = 200, **options: Any) -> Any:
    crm = Canned(answer(body, status)).crm(**options)
    return crm.update(None, update(ANA), {"first_name": "Rita"}, deadline(), changed=frozenset())


def refused(body: Any, status: int = 200, *more: Any) -> RelayError:
    crm = Canned(answer(body, status), *(answer(m) for m in more)).crm()
    with pytest.raises(RelayError) as caught:
        crm.update(None, update(ANA), {"first_name": "Rita"}, deadline(), changed=frozenset())
    return caught.value


# Success


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("code", [200, "200", 201, "500"])
@pytest.mark.parametrize("success", ["true", True, "True", 1, "1"])
def test_the_item_decides_whether_it_was_updated(single: bool, code: Any, success: Any) -> None:
    body = envelope({"user_id": "600000001", "item_status": {**DONE, "success": success}}, code=code)
    if single:
        body["response"]["customers"]["customer"] = body["response"]["customers"]["customer"][0]
    assert updated(body).loyalty_id == "600000001"


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_success_is_one_under_any_http_status(status: int) -> None:
    assert updated(envelope({"user_id": 7, "item_status": DONE}), status).loyalty_id == "7"


@pytest.mark.parametrize("empty", [[], {}, None, {"field": []}, {"field": {}}, {"field": None}, ""])
def test_empty_collections_come_in_many_shapes(empty: Any) -> None:
    item = {
        "user_id": 7,
        "item_status": DONE,
        "points_summaries": empty,
        "custom_fields": empty,
        "extended_fields": empty,
        "subscriptions": empty,
        "side_effects": empty,
    }
    details = updated(envelope(item)).details
    assert details["points_summaries"] == details["subscriptions"] == details["side_effects"] == []
    assert details["custom_fields"] == details["extended_fields"] == {}


def test_single_members_of_collections_may_be_objects() -> None:
    item = {
        "user_id": 7,
        "item_status": DONE,
        "lifetime_points": "12",
        "fraud_status": {"status": "CONFIRMED"},
        "points_summaries": {"points_summary": {"programId": 1016, "loyaltyPoints": 5.0}},
        "custom_fields": {"field": {"name": "age", "value": "46"}},
        "subscriptions": {"subscription": {"channel": "SMS", "priority": "TRANS", "scope": "ALL", "status": 1}},
        "side_effects": {"effect": {"type": "points", "awarded_points": "25"}},
    }
    details = updated(envelope(item)).details
    assert details["lifetime_points"] == 12
    assert details["fraud_status"] == "CONFIRMED"
    assert details["points_summaries"] == [{"program_id": 1016, "loyalty_points": 5}]
    assert details["custom_fields"] == {"age": "46"}
    assert details["subscriptions"] == [{"channel": "sms", "priority": "trans", "scope": "all", "subscribed": True}]
    assert details["side_effects"] == [{"type": "points", "points": 25}]


@pytest.mark.parametrize(
    ("warnings", "codes"),
    [
        ({"warning": ["1017", "91015"]}, ["1017", "91015"]),
        ({"warning": "1017"}, ["1017"]),
        ({"warning": 1017}, ["1017"]),
        ({"warning": [{"code": 1017, "message": "Invalid"}]}, ["1017"]),
        ({"warning": []}, []),
        ([], []),
        (None, []),
    ],
)
def test_warnings_come_as_bare_codes_or_objects(warnings: Any, codes: list[str]) -> None:
    receipt = updated(envelope({"user_id": 7, "item_status": {**DONE, "warnings": warnings}}))
    assert [notice.code for notice in receipt.notices] == codes


def test_the_survivor_of_a_merge_is_the_member_from_now_on() -> None:
    item = {"user_id": 600000002, "item_status": {**DONE, "warnings": {"warning": ["91009"]}}}
    crm = Canned(answer(envelope(item))).crm()
    receipt = crm.update(
        "600000001", update(loyalty_id="600000001"), {"subscriptions.sms.bulk": True}, deadline(), changed=frozenset()
    )
    assert receipt.loyalty_id == "600000002"
    assert Notice("91009", "Customer successfully updated") in receipt.notices


# Failure


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1012", CustomerNotFound),
        (1011, CustomerNotFound),
        ("816", CustomerNotFound),
        ("1001", InvalidCommand),
        ("1002", InvalidCommand),
        ("1003", InvalidCommand),
        ("1015", InvalidCommand),
        ("1034", InvalidCommand),
        ("1046", InvalidCommand),
        ("618", InvalidCommand),
        ("1016", VendorRejected),
        ("1024", VendorRejected),
        ("10002", VendorRejected),
        ("521", UpstreamUnavailable),
    ],
)
def test_an_items_code_is_one_typed_error(code: Any, kind: type[RelayError]) -> None:
    item = {"mobile": "447700900301", "item_status": {"success": "false", "code": code, "message": "No, 447700900301"}}
    error = refused(envelope(item, success="false", code=500, success_count="0"))
    assert type(error) is kind
    assert error.code == str(code)
    assert "900301" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"response": {"status": {"success": "true", "code": "401", "message": "Unauthorized"}, "customers": None}},
        {"response": {"status": {"success": "true", "code": 498, "message": "Token expired"}, "customers": None}},
        {
            "response": {
                "status": {
                    "code": 403,
                    "message": "Client doesn't have access to the requested resource",
                    "success": False,
                    "warnings": {"warning": []},
                }
            }
        },
    ],
)
@pytest.mark.parametrize("status", [200, 401, 403, 498])
def test_success_true_on_a_refused_request_is_no_success(body: Any, status: int) -> None:
    assert isinstance(refused(body, status), CredentialsRefused)


@pytest.mark.parametrize(
    ("code", "kind"), [(429, RateLimited), ("521", UpstreamUnavailable), (503, UpstreamUnavailable)]
)
def test_a_request_level_code_can_pass(code: Any, kind: type[RelayError]) -> None:
    body = {"response": {"status": {"success": "false", "code": code, "message": "later"}, "customers": None}}
    assert type(refused(body)) is kind


def test_v2s_envelope_can_answer_a_v1_request() -> None:
    body = {"errors": [{"status": False, "code": 429, "message": "Request limit reached"}]}
    assert isinstance(refused(body, 429), RateLimited)
    body = {"errors": [{"status": False, "code": 4001, "message": "Authorization status unavailable!"}]}
    assert isinstance(refused(body, 503), UpstreamUnavailable)


FAILED = {"success": "false", "code": 500, "message": "All requests have failed due to errors", "success_count": "0"}


@pytest.mark.parametrize("item", [{}, [], None, {"item_status": {}}])
def test_a_failure_without_a_word_about_a_known_customer_is_permanent(item: Any) -> None:
    error = refused(envelope(item, **FAILED), 200, {"entity": 600000001})
    assert isinstance(error, VendorRejected)
    assert error.code == "500"


def test_a_failure_without_a_word_about_an_unknown_customer_means_just_that() -> None:
    absent = {"errors": [{"status": False, "code": 8015, "message": "Customer not found"}]}
    assert isinstance(refused(envelope({}, **FAILED), 200, absent), CustomerNotFound)


@pytest.mark.parametrize("code", ["500", 500])
def test_a_500_in_a_500_without_an_item_is_an_outage(code: Any) -> None:
    assert isinstance(refused(envelope({}, **{**FAILED, "code": code}), 500), UpstreamUnavailable)


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("body", [{"error": "try later"}, {"errors": ["try later"]}, {"success": False}])
def test_an_error_without_a_code_is_by_its_status(status: int, body: dict[str, Any]) -> None:
    assert isinstance(refused(body, status), UpstreamUnavailable)


@pytest.mark.parametrize("body", [b"", b"<html></html>", b'{"response": {"sta'])
def test_an_unreadable_answer_passes(body: bytes) -> None:
    error = refused(body)
    assert isinstance(error, UpstreamUnavailable)
    assert error.reached is True


def test_an_xml_answer_is_not_mistaken_for_a_success() -> None:
    crm = Canned(answer(b"<response><status/></response>", kind="application/xml")).crm()
    with pytest.raises(UpstreamUnavailable):
        crm.update(None, update(ANA), {"first_name": "Rita"}, deadline(), changed=frozenset())


def test_an_expired_token_is_replaced_once_and_the_update_sent_again() -> None:
    token = {"data": {"accessToken": "fake-1", "ttlSeconds": 300}, "errors": None}
    fresh = {"data": {"accessToken": "fake-2", "ttlSeconds": 300}, "errors": None}
    expired = {"response": {"status": {"success": "true", "code": "498", "message": "Token expired"}}}
    upstream = Canned(
        answer(token), answer(expired, 401), answer(fresh), answer(envelope({"user_id": 7, "item_status": DONE}))
    )
    receipt = upstream.crm(credentials=OAUTH).update(
        None, update(ANA), {"first_name": "Rita"}, deadline(), changed=frozenset()
    )
    assert receipt.loyalty_id == "7"
    assert upstream.requests[3].headers["X-CAP-API-OAUTH-TOKEN"] == "fake-2"


WORDS = (
    *("user_id", "item_status", "success", "code", "message", "warnings", "warning", "subscriptions", "subscription"),
    *("points_summaries", "points_summary", "custom_fields", "field", "name", "value", "side_effects", "effect"),
    *("type", "fraud_status", "status", "lifetime_points"),
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(WORDS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=15,
    ),
    st.booleans(),
)
def test_no_item_at_all_can_crash_the_reading(item: Any, done: bool) -> None:
    if done and isinstance(item, dict):
        item = {**copy.deepcopy(item), "item_status": DONE}
    with suppress(RelayError):
        assert isinstance(v1.read(reply(envelope(item))).details["side_effects"], list)


# Who is addressed

EXTERNAL = Identifier("external_id", " X-6 ")


def test_exactly_one_identifier_addresses_the_customer() -> None:
    customer = CustomerRef(identifiers=(ANA, MOBILE, EXTERNAL))
    assert v1.address(customer, None, allow_merge=False, country=None) == {"external_id": "X-6"}
    assert v1.address(CustomerRef(identifiers=(ANA, MOBILE)), None, allow_merge=False, country=None) == {
        "mobile": "447700900123"
    }


def test_several_do_only_where_merging_is_allowed() -> None:
    customer = CustomerRef(identifiers=(ANA, MOBILE))
    both = {"mobile": "447700900123", "email": "ana@example.com"}
    assert v1.address(customer, None, allow_merge=True, country=None) == both
    assert v1.address(customer, "7", allow_merge=True, country=None) == {"id": "7", **both}
    assert v1.address(customer, "7", allow_merge=False, country=None) == {"id": "7"}


def test_an_identifier_that_v1_does_not_have_addresses_no_customer() -> None:
    customer = CustomerRef(identifiers=(Identifier("line", "U1"),))
    assert v1.address(customer, None, allow_merge=True, country=None) is None


@pytest.mark.parametrize("allow", [False, True])
def test_what_the_command_allows_is_what_leaves(allow: bool) -> None:
    upstream = Canned(answer(envelope({"user_id": 7, "item_status": DONE})))
    command = update(ANA, MOBILE, allow_merge=allow)
    upstream.crm().update(None, command, {"first_name": "Rita"}, deadline(), changed=frozenset())
    customer = upstream.body()["root"]["customer"][0]
    assert ("email" in customer) is allow
    assert customer["mobile"] == "447700900123"


# Forms of values


@pytest.mark.parametrize(
    ("text", "region", "leaves"),
    [
        ("2030-09-11T10:12:00+00:00", "eu", "2030-09-11 10:12:00"),
        ("2030-09-11T10:12:00Z", "asia2", "2030-09-11 15:42:00"),
        ("2030-09-11T10:12:00+05:30", "asia1", "2030-09-11 10:12:00"),
        ("2030-09-11T10:12:00+05:30", "eu", "2030-09-11 04:42:00"),
        ("2030-09-11 10:12:00", "asia1", "2030-09-11 10:12:00"),
        ("2030-09-11", "eu", "2030-09-11 00:00:00"),
    ],
)
def test_a_registration_time_is_sent_on_the_clusters_clock(text: str, region: str, leaves: str) -> None:
    body = v1.update({"id": "7"}, {"registered_on": text}, region)
    assert body["root"]["customer"][0]["registered_on"] == leaves


def test_truths_and_numbers_of_fields_leave_as_texts_and_numbers() -> None:
    body = v1.update({"id": "7"}, {"custom_fields.member": True, "custom_fields.age": 46}, None)
    assert body["root"]["customer"][0]["custom_fields"]["field"] == [
        {"name": "member", "value": "true"},
        {"name": "age", "value": 46},
    ]
