"""API calls: bodies become commands, outcomes answers, and every failure problem details."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from loyalty_relay.model.errors import (
    ConnectionFailed,
    CredentialsRefused,
    FieldProblem,
    RateLimited,
    UpstreamTimeout,
    VendorRejected,
)
from loyalty_relay.triggers.api import ENDPOINTS
from tests.support.crm import branch
from tests.triggers.conftest import Functions

REGISTER = "POST /connections/{connection}/customers"
UPDATE = "PUT /connections/{connection}/customers/{customer_id}"
BY_IDENTIFIER = "PUT /connections/{connection}/customers"
FIELDS = "/connections/{connection}/customers/{customer_id}/crm-fields"
LINKS = "/connections/{connection}/store-links"
ANA: dict[str, Any] = {"identifiers": [{"type": "email", "value": "ana@example.com"}], "first_name": "Ana"}


def fields_of(problem: dict[str, Any]) -> set[str]:
    return {error["field"] for error in problem["errors"]}


def test_a_register_is_201_with_the_new_id(functions: Functions) -> None:
    status, body, _ = functions.call(REGISTER, ANA)
    assert (status, body["result"], body["loyalty_id"], body["created"]) == (201, "applied", "1000", True)
    assert functions.crm.members["1000"].fields == {"first_name": "Ana"}


def test_a_replay_returns_what_the_first_call_returned_and_does_nothing(functions: Functions) -> None:
    first = functions.call(REGISTER, ANA, headers={"Idempotency-Key": "k1"})
    again = functions.call(REGISTER, ANA, headers={"idempotency-key": "k1"})
    assert (again[0], again[1]["loyalty_id"], again[1]["replayed"]) == (201, first[1]["loyalty_id"], True)
    assert len(functions.crm.calls) == 1


def test_the_same_key_with_another_body_is_422(functions: Functions) -> None:
    functions.call(REGISTER, ANA, headers={"Idempotency-Key": "k1"})
    status, body, _ = functions.call(REGISTER, {**ANA, "first_name": "Eva"}, headers={"Idempotency-Key": "k1"})
    assert (status, body["type"]) == (422, "urn:loyalty-relay:problem:idempotency_key_reused")
    assert functions.crm.members["1000"].fields == {"first_name": "Ana"}


@pytest.mark.attack(
    "callers",
    "an Idempotency-Key used again for another customer, after an asynchronous call",
    "the request's digest travels with the command and is kept with the key",
    "G2",
)
def test_a_key_of_an_asynchronous_call_belongs_to_its_request(functions: Functions) -> None:
    def put(customer_id: str, **headers: str) -> tuple[int, dict[str, Any]]:
        given = {"Idempotency-Key": "k1", **headers}
        status, body, _ = functions.call(
            UPDATE, {"first_name": "Eva"}, operation="update", headers=given, customer_id=customer_id
        )
        return status, body

    functions.call(REGISTER, ANA)
    functions.call(REGISTER, {**ANA, "identifiers": [{"type": "email", "value": "eva@example.com"}]})
    assert put("1000", Prefer="respond-async")[0] == 202
    functions.consume("update")
    status, body = put("1001")
    assert (status, body["type"]) == (422, "urn:loyalty-relay:problem:idempotency_key_reused")
    assert put("1000")[1]["replayed"]
    assert functions.crm.members["1001"].fields == {"first_name": "Ana"}


def test_an_asynchronous_call_with_a_used_key_is_parked(functions: Functions) -> None:
    key = {"Idempotency-Key": "k1"}
    functions.call(REGISTER, ANA, headers=key)
    functions.call(REGISTER, {**ANA, "first_name": "Eva"}, headers={**key, "Prefer": "respond-async"})
    functions.consume("register")
    (message,) = functions.stack.messages("parked:register")
    assert message["MessageAttributes"]["reason"]["StringValue"] == "idempotency_key_reused"
    assert functions.crm.members["1000"].fields == {"first_name": "Ana"}


def test_without_a_key_each_call_is_its_own(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    status, body, _ = functions.call(REGISTER, ANA)
    assert (status, body["loyalty_id"]) == (409, "1000")
    assert body["type"] == "urn:loyalty-relay:problem:customer_exists"


def test_if_exists_update_updates(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    status, body, _ = functions.call(REGISTER, {**ANA, "first_name": "Eva", "if_exists": "update"})
    assert (status, body["result"], body["loyalty_id"]) == (200, "applied", "1000")
    assert functions.crm.members["1000"].fields == {"first_name": "Eva"}


def test_respond_async_is_202_and_the_queue_does_it(functions: Functions) -> None:
    status, body, _ = functions.call(REGISTER, ANA, headers={"Prefer": "respond-async"})
    assert (status, body["result"]) == (202, "accepted")
    assert functions.crm.calls == []
    assert functions.consume("register") == {"batchItemFailures": []}
    assert list(functions.crm.members) == ["1000"]


def test_every_wrong_field_is_named_at_once(functions: Functions) -> None:
    wrong = {
        "identifiers": [{"type": "email"}],
        "firstname": "Ana",
        "loyalty_type": "gold",
        "enrollments": [{"program_id": "x"}],
        "as_of": "yesterday",
    }
    status, body, headers = functions.call(REGISTER, wrong)
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert fields_of(body) == {
        "identifiers.0.value",
        "firstname",
        "loyalty_type",
        "enrollments.0.program_id",
        "as_of",
    }
    assert functions.crm.calls == []


def test_an_unknown_field_is_named_with_the_one_that_is_meant(functions: Functions) -> None:
    wrong = {
        "identifiers": [{"type": "email", "value": "ana@example.com", "seriesid": 1}],
        "firstname": "Ana",
        "options": {"user_context": {"typ": "till"}},
        "channels": [{"type": "email", "value": "a@example.com", "xyz": 1}],
    }
    _, body, _ = functions.call(REGISTER, wrong)
    assert {error["field"]: error["message"] for error in body["errors"]} == {
        "identifiers.0.seriesid": "unknown field seriesid (did you mean series_id?)",
        "firstname": "unknown field firstname (did you mean first_name?)",
        "options.user_context.typ": "unknown field typ (did you mean type?)",
        "channels.0.xyz": "unknown field xyz",
    }


EXTREMES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")


@pytest.mark.parametrize("moment", EXTREMES)
@pytest.mark.attack("callers", "times at the ends of the calendar", "refused by name before they are converted", "G1")
def test_a_time_that_no_clock_can_show_is_422(functions: Functions, moment: str) -> None:
    enrolment = {"program_id": 1, "tier_expires_at": moment, "points_expire_at": moment}
    body = {**ANA, "as_of": moment, "registered_on": moment, "enrollments": [enrolment]}
    status, problem, _ = functions.call(REGISTER, body)
    where = {"as_of", "registered_on", "enrollments.0.tier_expires_at", "enrollments.0.points_expire_at"}
    assert (status, fields_of(problem)) == (422, where)
    patch = {"fields": {"first_name": "Ana"}, "as_of": moment}
    status, problem, _ = functions.call(f"PATCH {FIELDS}", patch, operation="crm-patch", customer_id="1000")
    assert (status, fields_of(problem)) == (422, {"as_of"})


@pytest.mark.attack("callers", "a version from the future over the API", "more than five minutes ahead is a 422", "G3")
def test_a_state_of_the_future_is_422(functions: Functions) -> None:
    def at(seconds: float) -> tuple[int, dict[str, Any]]:
        as_of = datetime.fromtimestamp(functions.stack.clock.now + seconds, UTC).isoformat()
        status, body, _ = functions.call(REGISTER, {**ANA, "as_of": as_of})
        return status, body

    status, body = at(400)
    assert (status, fields_of(body)) == (422, {"as_of"})
    assert at(200)[0] == 201


@pytest.mark.attack("callers", "an id in the path that is too long for a key", "422 by name", "G1")
def test_an_id_that_no_shop_has_is_422(functions: Functions) -> None:
    status, body, _ = functions.call(f"GET {LINKS}/{{shop_id}}", operation="link-store", shop_id="x" * 3000)
    assert (status, fields_of(body)) == (422, {"shop_id"})
    shop = {"shop_id": "x" * 3000, "account_id": "acme", "store_domain": "https://acme.example.com"}
    status, body, _ = functions.call(f"POST {LINKS}", shop, operation="link-store")
    assert (status, fields_of(body)) == (422, {"shop_id"})
    status, body, _ = functions.call(UPDATE, {"first_name": "Eva"}, operation="update", customer_id="9" * 3000)
    assert (status, fields_of(body)) == (422, {"customer_id"})


def test_an_empty_referral_code_is_none(functions: Functions) -> None:
    assert functions.call(REGISTER, {**ANA, "referral_code": ""})[0] == 201
    assert functions.crm.members["1000"].credits == []


def test_a_push_token_may_be_long(functions: Functions) -> None:
    channel = {"type": "android", "value": "t" * 1000}
    assert functions.call(REGISTER, {**ANA, "channels": [channel]})[0] == 201
    assert functions.crm.members["1000"].fields["channels.android"] == [{"value": "t" * 1000}]


def test_a_customer_without_an_identifier_is_422(functions: Functions) -> None:
    status, body, _ = functions.call(REGISTER, {"identifiers": []})
    assert (status, fields_of(body)) == (422, {"identifiers"})


def test_no_answer_repeats_a_value_of_the_request(functions: Functions) -> None:
    secret = "ana.secret@example.com"
    for body in ({"identifiers": secret}, {"identifiers": [{"type": secret}]}, {**ANA, "as_of": secret}):
        _, problem, _ = functions.call(REGISTER, body)
        assert secret not in json.dumps(problem)


@pytest.mark.parametrize("raw", ["", "{", "[]", "null", "3", '{"a":' * 2000, "\ud800"])
def test_what_is_no_json_object_is_a_4xx(functions: Functions, raw: str) -> None:
    event_body = raw.encode("utf-8", "replace").decode()
    status, _, headers = functions.call(REGISTER, raw=event_body)
    assert status in (400, 422)
    assert headers["content-type"] == "application/problem+json"


def test_another_content_type_is_415(functions: Functions) -> None:
    assert functions.call(REGISTER, ANA, headers={"content-type": "text/plain"})[0] == 415


def test_a_huge_body_is_413(functions: Functions) -> None:
    assert functions.call(REGISTER, {**ANA, "first_name": "x" * 300_000})[0] == 413


def test_an_update_by_id_reaches_that_member(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    body = {"first_name": "Eva", "custom_fields": {"city": "Bristol"}, "extended_fields": {"zip": "BS1"}}
    status, answer, _ = functions.call(UPDATE, body, operation="update", customer_id="1000")
    assert (status, answer["loyalty_id"]) == (200, "1000")
    assert functions.crm.members["1000"].fields == {
        "first_name": "Eva",
        "custom_fields.city": "Bristol",
        "extended_fields.zip": "BS1",
    }


def test_an_update_of_an_unknown_customer_is_404_with_the_vendors_code(functions: Functions) -> None:
    status, body, _ = functions.call(UPDATE, {"first_name": "Eva"}, operation="update", customer_id="9")
    assert (status, body["code"]) == (404, "8015")


def test_several_identifiers_need_allow_merge(functions: Functions) -> None:
    both = [{"type": "email", "value": "a@example.com"}, {"type": "mobile", "value": "+447700900123"}]
    status, body, _ = functions.call(BY_IDENTIFIER, {"identifiers": both, "last_name": "A"}, operation="update")
    assert status == 422
    assert "allow_merge" in body["errors"][0]["message"]


def test_an_update_by_identifier_is_sent_by_identifier(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    functions.call(BY_IDENTIFIER, {**ANA, "first_name": "Eva", "fraud_status": "NONE"}, operation="update")
    assert functions.crm.calls[-1][:2] == ("update", None)


def test_enrolments_and_referral_codes_travel_as_credits(functions: Functions) -> None:
    enrolment = {"program_id": 469, "tier_number": 1, "loyalty_points": 75, "tier_expires_at": "2027-01-01T00:00:00Z"}
    functions.call(REGISTER, {**ANA, "enrollments": [enrolment], "referral_code": "R1"})
    (credited,) = functions.crm.members["1000"].credits
    assert credited.referral_code == "R1"
    assert credited.enrollments[0].loyalty_points == 75


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionFailed(), 503),
        (UpstreamTimeout(reached=True), 504),
        (RateLimited(retry_after=7), 429),
        (CredentialsRefused(), 502),
        (VendorRejected("no", code="8014", problems=[FieldProblem("identifiers", "no")]), 422),
    ],
)
def test_vendor_errors_have_their_status_and_a_journal_entry(
    functions: Functions, error: Exception, status: int
) -> None:
    functions.crm.before = [error]
    answered, body, headers = functions.call(REGISTER, ANA)
    assert answered == body["status"] == status
    entries = functions.stack.journal.show(body["delivery_id"])
    assert [e.reason for e in entries] == [error.reason]  # type: ignore[attr-defined]
    if status == 429:
        assert headers["retry-after"] == "7"


def test_an_unforeseen_error_shows_nothing_but_the_delivery_id(functions: Functions) -> None:
    functions.crm.before = [ZeroDivisionError("ana@example.com")]
    status, body, _ = functions.call(REGISTER, ANA)
    assert status == 500
    assert "ana" not in json.dumps(body)


def test_too_little_time_is_a_504_that_names_the_delivery(functions: Functions) -> None:
    functions.crm.before = [UpstreamTimeout(reached=True)]
    status, body, _ = functions.call(REGISTER, ANA, seconds=2)
    assert status == 504
    assert body["delivery_id"]


def test_force_undoes_what_was_changed_at_the_vendor(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("update", UPDATE, {"first_name": "Ana"}),
        ("update", BY_IDENTIFIER, ANA),
        ("crm-patch", f"PATCH {FIELDS}", {"fields": {"first_name": "Ana"}}),
    ]
    for operation, route, body in calls:
        functions.crm.members["1000"].fields["first_name"] = "changed at the vendor"
        if route != BY_IDENTIFIER:
            _, plain, _ = functions.call(route, body, operation=operation, customer_id="1000")
            assert plain["result"] == "unchanged"
        _, forced, _ = functions.call(route, {**body, "force": True}, operation=operation, customer_id="1000")
        assert (forced["result"], forced["fields"]) == ("applied", ["first_name"])
        assert functions.crm.members["1000"].fields["first_name"] == "Ana"


def test_force_sends_nothing_that_is_stale(functions: Functions) -> None:
    functions.call(REGISTER, {**ANA, "as_of": "2026-01-02T00:00:00Z"})
    old = {"first_name": "Eva", "as_of": "2026-01-01T00:00:00Z", "force": True}
    _, body, _ = functions.call(UPDATE, old, operation="update", customer_id="1000")
    assert (body["result"], functions.crm.members["1000"].fields) == ("stale", {"first_name": "Ana"})


def test_force_with_a_credit_is_422(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    for credit in ({"enrollments": [{"program_id": 469}]}, {"referral_code": "R1"}):
        status, body, _ = functions.call(UPDATE, {**credit, "force": True}, operation="update", customer_id="1000")
        assert status == 422
        assert "force" in body["errors"][0]["message"]


def test_a_replay_of_a_forced_call_sends_nothing(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    key = {"Idempotency-Key": "k1"}
    body = {"first_name": "Ana", "force": True}
    functions.call(UPDATE, body, operation="update", headers=key, customer_id="1000")
    sent = len(functions.crm.calls)
    _, again, _ = functions.call(UPDATE, body, operation="update", headers=key, customer_id="1000")
    assert (again["replayed"], len(functions.crm.calls)) == (True, sent)


def test_force_travels_through_the_queue(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    functions.crm.members["1000"].fields["first_name"] = "changed at the vendor"
    body = {"first_name": "Ana", "force": True}
    functions.call(UPDATE, body, operation="update", headers={"Prefer": "respond-async"}, customer_id="1000")
    functions.consume("update")
    assert functions.crm.members["1000"].fields["first_name"] == "Ana"


def test_a_crm_patch_with_tags_is_one_patch(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    body = {"fields": {"first_name": "Eva", "custom_field_1": "x"}, "tags": {"add": ["Red"], "remove": ["Blue"]}}
    status, _, _ = functions.call(f"PATCH {FIELDS}", body, operation="crm-patch", customer_id="1000")
    assert status == 200
    assert functions.crm.members["1000"].tags == {"Red"}
    assert functions.crm.members["1000"].fields["custom_fields.custom_field_1"] == "x"


def test_an_empty_set_of_tags_is_a_patch_and_no_word_about_tags_is_not(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    functions.crm.members["1000"].tags = {"Red"}

    def patch(body: dict[str, Any]) -> int:
        return functions.call(f"PATCH {FIELDS}", body, operation="crm-patch", customer_id="1000")[0]

    assert patch({"fields": {}}) == 422
    assert patch({"tags": {"replace": []}}) == 200
    assert functions.crm.members["1000"].tags == set()


def test_a_wrong_crm_field_is_named_as_the_caller_named_it(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    functions.crm.problems = [FieldProblem("custom_fields.custom_field_9", "is not a CRM field")]
    status, body, _ = functions.call(
        f"PATCH {FIELDS}", {"fields": {"custom_field_9": "x"}}, operation="crm-patch", customer_id="1000"
    )
    assert (status, fields_of(body)) == (422, {"fields.custom_field_9"})


def test_crm_fields_and_tags_can_be_listed(functions: Functions) -> None:
    functions.call(REGISTER, ANA)
    status, body, _ = functions.call(f"GET {FIELDS}", operation="crm-patch", customer_id="1000")
    assert (status, body) == (200, {"fields": [{"name": "first_name", "value": "Ana"}]})
    status, body, _ = functions.call("GET /connections/{connection}/tags", operation="crm-patch")
    assert (status, body["tags"][0]["name"]) == (200, "Red")


def test_what_the_destination_does_not_have_is_a_422_that_names_it(functions: Functions) -> None:
    functions.crm.operations = frozenset({"register", "update"})
    status, body, _ = functions.call("GET /connections/{connection}/tags", operation="crm-patch")
    assert (status, body["title"]) == (422, "unsupported by destination")


def test_a_store_is_linked_once_and_can_be_read(functions: Functions) -> None:
    shop = {"shop_id": "1234", "account_id": "acme", "store_domain": "https://acme.example.com"}
    first = functions.call(f"POST {LINKS}", shop, operation="link-store")
    again = functions.call(f"POST {LINKS}", shop, operation="link-store")
    assert (first[0], again[0], again[1]["result"]) == (201, 200, "unchanged")
    assert first[1]["branch_link_id"] == again[1]["branch_link_id"] == 1
    _, listed, _ = functions.call(f"GET {LINKS}", operation="link-store")
    _, read, _ = functions.call(f"GET {LINKS}/{{shop_id}}", operation="link-store", shop_id="1234")
    assert listed["store_links"] == [read]
    assert read["branch_link_id"] == 1


def test_an_unknown_store_link_is_404(functions: Functions) -> None:
    assert functions.call(f"GET {LINKS}/{{shop_id}}", operation="link-store", shop_id="9")[0] == 404


def test_several_virtual_branches_are_listed_for_the_caller_to_choose(functions: Functions) -> None:
    functions.crm.branch_list.append(branch("b2", "Second"))
    shop = {"shop_id": "1234", "account_id": "acme", "store_domain": "https://acme.example.com"}
    status, body, _ = functions.call(f"POST {LINKS}", shop, operation="link-store")
    assert (status, fields_of(body)) == (422, {"branch_id"})
    assert "b1" in body["errors"][0]["message"]
    assert "b2" in body["errors"][0]["message"]


def test_a_caller_chooses_the_integration_by_name_or_by_id(functions: Functions) -> None:
    shop = {"shop_id": "1234", "account_id": "acme", "store_domain": "https://acme.example.com"}
    status, body, _ = functions.call(f"POST {LINKS}", {**shop, "integration_name": "Tills"}, operation="link-store")
    assert (status, functions.crm.integrations) == (201, {body["integration_id"]: "Tills"})
    for wrong in ({"integration_id": 20, "integration_name": "Tills"}, {"integration_id": 10**18}):
        assert functions.call(f"POST {LINKS}", {**shop, **wrong}, operation="link-store")[0] == 422
    assert len(functions.crm.store_links) == 1


def test_an_unknown_connection_is_404(functions: Functions) -> None:
    assert functions.call(REGISTER, ANA, connection="nobody")[0] == 404


def test_an_unknown_route_is_404(functions: Functions) -> None:
    assert functions.call("DELETE /connections/{connection}/customers", ANA)[0] == 404


def test_every_endpoint_is_a_route_of_the_template(stack_routes: set[str]) -> None:
    assert ENDPOINTS.keys() == {route for route in stack_routes if "/webhooks/" not in route}


@pytest.fixture
def stack_routes() -> set[str]:
    from devkit.localstack.template import read
    from tests.support.stack import TEMPLATE

    routes = set()
    for resource in read(TEMPLATE.read_text())["Resources"].values():
        for event in (resource.get("Properties", {}).get("Events") or {}).values():
            if event["Type"] == "HttpApi":
                routes.add(f"{event['Properties']['Method'].upper()} {event['Properties']['Path']}")
    return routes
