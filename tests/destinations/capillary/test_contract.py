"""Every documented request and response, sent and read: the samples have the documented shapes and invented values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loyalty_relay.model.commands import Credits, CustomerRef, Enrollment, Identifier, RegisterCustomer, UpdateCustomer
from loyalty_relay.model.outcomes import Notice
from tests.destinations.capillary.upstream import ANA, OAUTH, Canned, answer, deadline, query, register, update

SAMPLES = Path(__file__).parent / "samples"


def load(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def parts(sample: dict[str, Any]) -> tuple[tuple[Identifier, ...], Credits]:
    owed = Credits(
        enrollments=tuple(Enrollment(**e) for e in sample.get("enrollments", ())),
        referral_code=sample.get("referral_code"),
    )
    return tuple(Identifier(**i) for i in sample.get("identifiers", ())), owed


def notices(sample: dict[str, Any]) -> tuple[Notice, ...]:
    return tuple(Notice(code, message) for code, message in sample.get("notices", ()))


@pytest.mark.parametrize("sample", load("add_requests"), ids=lambda s: s["name"])
def test_a_registration_leaves_as_documented(sample: dict[str, Any]) -> None:
    upstream = Canned(answer({"createdId": 1001}))
    crm = upstream.crm(source=sample.get("source", "INSTORE"), account_id=sample.get("account_id"))
    identifiers, owed = parts(sample)
    command = RegisterCustomer(customer=CustomerRef(identifiers=identifiers), credits=owed)
    assert crm.check(RegisterCustomer(customer=command.customer, fields=sample.get("fields", {}), credits=owed)) == []
    receipt = crm.register(command, sample.get("fields", {}), deadline())
    assert upstream.seen() == [("POST", "/v2/customers")]
    assert query(upstream.requests[0]) == {}
    assert upstream.body() == sample["body"]
    assert receipt.sent == tuple(sample.get("fields", {}))


@pytest.mark.parametrize("sample", load("add_responses"), ids=lambda s: s["name"])
def test_an_answer_to_a_registration_is_read_as_documented(sample: dict[str, Any]) -> None:
    receipt = Canned(answer(sample["body"])).crm().register(register(ANA), {}, deadline())
    assert receipt.loyalty_id == str(sample["body"]["createdId"])
    assert receipt.created is sample.get("created", True)
    assert receipt.notices == notices(sample)
    assert receipt.details["side_effects"] == sample["side_effects"]
    assert receipt.request_id == "0123456789abc"


def test_an_update_by_loyalty_id_leaves_and_is_read_as_documented() -> None:
    sample = load("update_request")
    upstream = Canned(answer(sample["response"]))
    _, owed = parts(sample)
    command = update(loyalty_id=sample["loyalty_id"], fields=sample["fields"], credits=owed, options=sample["options"])
    crm = upstream.crm()
    assert crm.check(command) == []
    receipt = crm.update(sample["loyalty_id"], command, sample["fields"], deadline(), changed=frozenset())
    assert upstream.seen() == [(sample["method"], sample["path"])]
    assert query(upstream.requests[0]) == sample["query"]
    assert upstream.body() == sample["body"]
    assert receipt.details["side_effects"] == sample["side_effects"]
    assert (receipt.loyalty_id, receipt.created) == (sample["loyalty_id"], False)
    assert sorted(receipt.sent) == sorted(sample.get("fields", {}))


def test_an_update_by_identifier_leaves_and_is_read_as_documented() -> None:
    sample = load("v1_update")
    upstream = Canned(answer(sample["response"]))
    identifiers, _ = parts(sample)
    command = UpdateCustomer(customer=CustomerRef(identifiers=identifiers), fields=sample["fields"], if_missing="error")
    crm = upstream.crm()
    assert crm.check(command) == []
    receipt = crm.update(None, command, sample["fields"], deadline(), changed=frozenset())
    assert upstream.seen() == [("POST", sample["path"])]
    assert query(upstream.requests[0]) == sample["query"]
    assert upstream.body() == sample["body"]
    assert receipt.loyalty_id == sample["loyalty_id"]
    assert [(n.code, n.message) for n in receipt.notices] == [(n.code, n.message) for n in notices(sample)]
    actual = {name: value for name, value in receipt.details.items() if name != "requests"}
    assert actual == sample["details"]
    assert receipt.unconfirmed == ("custom_fields.age",), "warning 1017"
    assert sorted((*receipt.sent, *receipt.unconfirmed)) == sorted(sample["fields"])


def test_an_update_by_identifier_of_what_only_v2_can_change_looks_the_member_up() -> None:
    upstream = Canned(answer({"entity": 1001}), answer({"createdId": 1001}))
    fields = {"channels.android": [{"value": "t" * 400}]}
    owed = Credits(enrollments=(Enrollment(program_id=469),))
    command = update(Identifier("email", "ana@example.com"), fields=fields, credits=owed)
    receipt = upstream.crm().update(None, command, fields, deadline(), changed=frozenset())
    assert upstream.seen() == [("GET", "/v2/customers/lookup"), ("PUT", "/v2/customers/1001")]
    assert upstream.body(1)["profiles"][0]["commChannels"] == [{"type": "android", "value": "t" * 400}]
    assert upstream.body(1)["loyaltyProgramEnrollments"] == [{"programId": 469}]
    assert receipt.loyalty_id == "1001"


def test_a_members_account_travels_with_an_update() -> None:
    upstream = Canned(answer({"createdId": 1001}))
    crm = upstream.crm(source="WECHAT", account_id="wx-1")
    crm.update("1001", update(loyalty_id="1001"), {"first_name": "Ana"}, deadline(), changed=frozenset())
    assert query(upstream.requests[0]) == {"source": "WECHAT", "accountId": "wx-1"}


def test_a_commands_own_source_replaces_the_connections_and_does_not_borrow_its_account() -> None:
    upstream = Canned(answer({"createdId": 1001}), answer({"createdId": 1001}))
    crm = upstream.crm(source="WECHAT", account_id="wx-1")
    options = {"source": "INSTORE"}
    crm.update("1001", update(loyalty_id="1001", options=options), {"first_name": "A"}, deadline(), changed=frozenset())
    assert query(upstream.requests[0]) == {"source": "INSTORE"}
    crm.register(register(options={"source": "LINE", "account_id": "L-1"}), {}, deadline())
    profile = upstream.body(1)["profiles"][0]
    assert (profile["source"], profile["accountId"]) == ("LINE", "L-1")


@pytest.mark.parametrize(("use_async", "wait"), [(True, "false"), (False, "true")])
def test_background_work_is_a_header_on_post_and_a_parameter_on_put(use_async: bool, wait: str) -> None:
    upstream = Canned(answer({"createdId": 1001}), answer({"createdId": 1001}))
    crm, options = upstream.crm(), {"use_async": use_async}
    crm.register(register(options=options), {}, deadline())
    crm.update("1001", update(loyalty_id="1001", options=options), {"first_name": "A"}, deadline(), changed=frozenset())
    assert upstream.requests[0].headers["WAIT_FOR_DOWNSTREAM"] == wait
    assert "use_async" not in query(upstream.requests[0])
    assert query(upstream.requests[1])["use_async"] == str(use_async).lower()
    assert "WAIT_FOR_DOWNSTREAM" not in upstream.requests[1].headers


def test_by_default_the_vendor_decides_about_background_work() -> None:
    upstream = Canned(answer({"createdId": 1001}))
    upstream.crm().register(register(), {}, deadline())
    assert "WAIT_FOR_DOWNSTREAM" not in upstream.requests[0].headers


def test_the_connections_wish_for_background_work_holds_unless_the_command_sets_it() -> None:
    upstream = Canned(answer({"createdId": 1001}), answer({"createdId": 1001}))
    crm = upstream.crm(options={"use_async": True})
    crm.register(register(), {}, deadline())
    crm.register(register(options={"use_async": False}), {}, deadline())
    assert [r.headers["WAIT_FOR_DOWNSTREAM"] for r in upstream.requests] == ["false", "true"]


def test_raw_side_effects_and_single_enrolment_are_query_parameters() -> None:
    upstream = Canned(answer({"createdId": 1001}), answer({"createdId": 1001}))
    crm, options = upstream.crm(), {"raw_side_effects": True, "single_enroll": True}
    crm.register(register(options=options), {}, deadline())
    crm.update("1001", update(loyalty_id="1001", options=options), {"first_name": "A"}, deadline(), changed=frozenset())
    assert query(upstream.requests[0]) == {"rawSideEffects": "true", "mlp_single_enroll": "true"}
    assert query(upstream.requests[1]) == {"source": "INSTORE", "mlp_single_enroll": "true"}


def test_the_user_context_travels_in_headers_of_every_write_of_both_versions() -> None:
    upstream = Canned(answer({"createdId": 1001}), answer({"createdId": 1001}), answer(load("v1_update")["response"]))
    crm = upstream.crm(options={"user_context": {"type": "EMPLOYEE", "source": "API"}})
    own = {"user_context": {"type": "AGENT", "id": "7", "source": "MEMBER_CARE", "source_id": "desk-1"}}
    crm.register(register(), {}, deadline())
    crm.update("1001", update(loyalty_id="1001", options=own), {"first_name": "A"}, deadline(), changed=frozenset())
    crm.update(None, update(ANA, options=own), {"first_name": "A"}, deadline(), changed=frozenset())
    actual = [
        {name: value for name, value in request.headers.items() if name.startswith("user-context")}
        for request in upstream.requests
    ]
    mine = {
        "user-context-entity-type": "AGENT",
        "user-context-entity-id": "7",
        "user-context-entity-source": "MEMBER_CARE",
        "user-context-entity-source-id": "desk-1",
    }
    assert actual == [{"user-context-entity-type": "EMPLOYEE", "user-context-entity-source": "API"}, mine, mine]


def test_the_attribution_of_an_oauth_client_travels_with_its_token_only() -> None:
    token = {"data": {"accessToken": "fake-token", "ttlSeconds": 3600}, "errors": None}
    upstream = Canned(answer(token), answer({"createdId": 1001}))
    crm = upstream.crm(credentials={**OAUTH, "attribution_type": "STORE_CODE", "attribution_code": "demo.store01"})
    crm.register(register(), {}, deadline())
    assert upstream.body(0) == {"key": "fake-client-key", "secret": "fake-client-secret"}
    assert upstream.requests[0].url.path == "/v3/oauth/token/generate"
    headers = upstream.requests[1].headers
    assert headers["X-CAP-API-OAUTH-TOKEN"] == "fake-token"
    assert headers["X-CAP-API-ATTRIBUTION-ENTITY-TYPE"] == "STORE_CODE"
    assert headers["X-CAP-API-ATTRIBUTION-ENTITY-CODE"] == "demo.store01"
    assert "authorization" not in headers
