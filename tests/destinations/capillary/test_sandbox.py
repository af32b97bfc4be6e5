"""The client against the sandbox: real routes, real state, in every mode in which the vendor may answer."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.model.commands import Credits, CustomerRef, Enrollment, Identifier
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    CustomerExists,
    CustomerNotFound,
    InvalidCommand,
    RateLimited,
    UpstreamUnavailable,
    VendorRejected,
)
from tests.destinations.capillary.upstream import (
    ANA,
    BASIC,
    MOBILE,
    OAUTH,
    SandboxUpstream,
    deadline,
    register,
    update,
)
from tests.support.limiters import NullLimiter

MODES = ["documented", "all_200", "all_400", "not_found_404"]
NEW = Identifier("email", "new@example.com")
NOTHING: frozenset[str] = frozenset()


@pytest.fixture(params=MODES)
def capillary(request: pytest.FixtureRequest) -> SandboxUpstream:
    """The sandbox, once per way of answering errors."""
    upstream = SandboxUpstream()
    upstream.configure(status_mode=request.param)
    return upstream


@pytest.fixture
def plain() -> SandboxUpstream:
    """The sandbox as it is."""
    return SandboxUpstream()


def fault(upstream: SandboxUpstream, **rule: Any) -> None:
    from devkit.sandbox.faults import Fault

    upstream.sandbox.faults.append(Fault(vendor="capillary", **rule))


def test_a_customer_is_registered_found_and_updated_by_each_address(capillary: SandboxUpstream) -> None:
    crm = capillary.crm()
    fields = {"first_name": "Ana", "email": "ana@example.com", "phone": "+447700900123"}
    receipt = crm.register(register(ANA, MOBILE), fields, deadline())
    loyalty_id = receipt.loyalty_id
    assert receipt.created
    assert receipt.details["side_effects"] == [
        {"type": "points", "entity_type": "USER", "raw_points": 100, "points": 100}
    ]
    for customer in (CustomerRef(loyalty_id=loyalty_id), CustomerRef(identifiers=(ANA, MOBILE))):
        assert crm.find(customer, deadline()) == loyalty_id
    crm.update(loyalty_id, update(loyalty_id=loyalty_id), {"first_name": "Bea"}, deadline(), changed=NOTHING)
    profile = capillary.details(crm, loyalty_id)["profiles"][0]
    assert profile["first_name"] == "Bea"
    receipt = crm.update(None, update(MOBILE), {"last_name": "Cole"}, deadline(), changed=NOTHING)
    assert receipt.loyalty_id == loyalty_id
    profile = capillary.details(crm, loyalty_id)["profiles"][0]
    assert (profile["first_name"], profile["last_name"]) == ("Bea", "Cole")
    assert [r for r in capillary.requests() if r[0] != "GET"] == [
        ("POST", "/v2/customers"),
        ("PUT", f"/v2/customers/{loyalty_id}"),
        ("POST", "/v1.1/customer/update"),
    ]


def test_a_second_registration_names_the_first_ones_id(capillary: SandboxUpstream) -> None:
    crm = capillary.crm()
    first = crm.register(register(ANA), {}, deadline())
    with pytest.raises(CustomerExists) as caught:
        crm.register(register(ANA), {"first_name": "X"}, deadline())
    assert caught.value.loyalty_id == first.loyalty_id == crm.find(CustomerRef(identifiers=(ANA,)), deadline())


@pytest.mark.parametrize("empty", ["full", "empty"])
def test_an_unknown_customer_is_unknown_by_each_address(capillary: SandboxUpstream, empty: str) -> None:
    capillary.configure(v11_not_found_item=empty)
    crm = capillary.crm()
    assert crm.find(CustomerRef(loyalty_id="600000999"), deadline()) is None
    assert crm.find(CustomerRef(identifiers=(ANA, MOBILE)), deadline()) is None
    with pytest.raises(CustomerNotFound):
        crm.update("600000999", update(loyalty_id="600000999"), {"first_name": "A"}, deadline(), changed=NOTHING)
    with pytest.raises(CustomerNotFound):
        crm.update(None, update(ANA), {"first_name": "A"}, deadline(), changed=NOTHING)
    with pytest.raises(CustomerNotFound):
        crm.update("600000999", update(loyalty_id="600000999"), {"fraud_status": "NONE"}, deadline(), changed=NOTHING)


def test_a_customer_of_another_source_is_combined_and_not_new(capillary: SandboxUpstream) -> None:
    first = capillary.crm().register(register(ANA), {}, deadline())
    shop = capillary.crm(source="ECOMMERCE")
    assert shop.find(CustomerRef(identifiers=(ANA,)), deadline()) is None
    second = shop.register(register(ANA), {"first_name": "Ana"}, deadline())
    assert (second.loyalty_id, second.created) == (first.loyalty_id, False)
    assert "8050" in [n.code for n in second.notices]


def test_identifiers_of_two_members_are_ambiguous_and_merge_no_members(capillary: SandboxUpstream) -> None:
    crm = capillary.crm()
    crm.register(register(ANA), {}, deadline())
    crm.register(register(MOBILE), {}, deadline())
    with pytest.raises(AmbiguousOutcome):
        crm.find(CustomerRef(identifiers=(ANA, MOBILE)), deadline())
    crm.update(None, update(ANA, MOBILE), {"first_name": "A"}, deadline(), changed=NOTHING)
    assert [customer["merged_into"] for customer in capillary.customers()] == [None, None]


def merged(upstream: SandboxUpstream) -> tuple[str, str]:
    """A survivor and a victim, merged by V1.1 because the caller allowed it."""
    crm = upstream.crm()
    survivor = crm.register(register(ANA), {}, deadline()).loyalty_id
    victim = crm.register(register(MOBILE), {}, deadline()).loyalty_id
    crm.update(None, update(ANA, MOBILE, allow_merge=True), {"first_name": "A"}, deadline(), changed=NOTHING)
    assert [c["merged_into"] for c in upstream.customers()] == [None, int(survivor)]
    return survivor, victim


@pytest.mark.parametrize("way", ["error", "survivor"])
def test_a_merged_member_leads_to_the_survivor(capillary: SandboxUpstream, way: str) -> None:
    survivor, victim = merged(capillary)
    capillary.configure(merged_customer=way)
    crm = capillary.crm()
    assert crm.find(CustomerRef(loyalty_id=victim), deadline()) == survivor
    receipt = crm.update(victim, update(loyalty_id=victim), {"first_name": "Bea"}, deadline(), changed=NOTHING)
    assert receipt.loyalty_id == survivor
    assert ("merged" in [n.code for n in receipt.notices]) is (way == "error")
    assert capillary.details(crm, survivor)["profiles"][0]["first_name"] == "Bea"
    receipt = crm.update(victim, update(loyalty_id=victim), {"fraud_status": "NONE"}, deadline(), changed=NOTHING)
    assert receipt.loyalty_id == survivor


def test_consent_and_a_new_address_take_two_requests_in_a_fixed_order(plain: SandboxUpstream) -> None:
    crm = plain.crm()
    loyalty_id = crm.register(register(ANA), {}, deadline()).loyalty_id
    fields = {"email": "new@example.com", "first_name": "Bea", "subscriptions.email.bulk": False}
    receipt = crm.update(loyalty_id, update(loyalty_id=loyalty_id), fields, deadline(), changed=NOTHING)
    assert plain.requests()[1:] == [("POST", "/v1.1/customer/update"), ("PUT", f"/v2/customers/{loyalty_id}")]
    assert [r["api"] for r in receipt.details["requests"]] == ["v1-update", "v2-update"]
    assert receipt.request_id == receipt.details["requests"][1]["request_id"]
    assert set(receipt.sent) == set(fields)
    member = plain.details(crm, loyalty_id)
    assert member["subscriptions"] == [{"channel": "EMAIL", "priority": "BULK", "scope": "ALL", "status": "0"}]
    assert member["profiles"][0]["channels"][0]["value"] == "new@example.com"


@pytest.mark.parametrize("error", ["concurrent", "invalid_source", "unauthorized", "rate_limit"])
def test_a_second_request_that_fails_reports_that_the_first_one_worked(plain: SandboxUpstream, error: str) -> None:
    crm = plain.crm()
    loyalty_id = crm.register(register(ANA), {}, deadline()).loyalty_id
    fault(plain, method="PUT", error=error)
    fields = {"email": "new@example.com", "subscriptions.email.bulk": False}
    with pytest.raises((UpstreamUnavailable, VendorRejected, CredentialsRefused, RateLimited)) as caught:
        crm.update(loyalty_id, update(loyalty_id=loyalty_id), fields, deadline(), changed=NOTHING)
    assert caught.value.reached is True


def test_a_first_request_that_is_refused_reports_that_nothing_happened(plain: SandboxUpstream) -> None:
    crm = plain.crm()
    loyalty_id = crm.register(register(ANA), {}, deadline()).loyalty_id
    fault(plain, method="POST", error="concurrent")
    fields = {"email": "new@example.com", "subscriptions.email.bulk": False}
    with pytest.raises(UpstreamUnavailable) as caught:
        crm.update(loyalty_id, update(loyalty_id=loyalty_id), fields, deadline(), changed=NOTHING)
    assert caught.value.reached is False


def test_what_a_registration_cannot_carry_follows_once_the_id_is_known(plain: SandboxUpstream) -> None:
    crm = plain.crm()
    fields = {"email": "ana@example.com", "subscriptions.email.bulk": True, "subscriptions.sms.trans": False}
    receipt = crm.register(register(ANA), {**fields, "fraud_status": "CONFIRMED"}, deadline())
    assert plain.requests() == [("POST", "/v2/customers"), ("POST", "/v1.1/customer/update")]
    assert receipt.created
    assert set(receipt.sent) == {*fields, "fraud_status"}
    member = plain.details(crm, receipt.loyalty_id)
    assert member["fraud_status"] == "CONFIRMED"
    assert member["profiles"][0]["channels"][0]["subscribed"] is True


def test_a_registration_whose_second_request_fails_reports_that_it_registered(plain: SandboxUpstream) -> None:
    fault(plain, path="/v1.1/customer/update", error="v11_all_failed")
    with pytest.raises(VendorRejected) as caught:
        plain.crm().register(register(ANA), {"fraud_status": "CONFIRMED"}, deadline())
    assert caught.value.reached is True


# Identifiers


def changing(upstream: SandboxUpstream, loyalty_id: str, value: str = "new@example.com") -> list[str]:
    crm = upstream.crm(options={"identifier_change": True})
    fields = {"email": value}
    receipt = crm.update(loyalty_id, update(loyalty_id=loyalty_id), fields, deadline(), changed=frozenset({"email"}))
    return [n.code for n in receipt.notices]


def test_a_changed_address_becomes_the_identifier_where_the_connection_enables_it(capillary: SandboxUpstream) -> None:
    crm = capillary.crm()
    loyalty_id = crm.register(register(ANA, MOBILE), {}, deadline()).loyalty_id
    assert changing(capillary, loyalty_id) == ["identifier_changed"]
    assert crm.find(CustomerRef(identifiers=(NEW,)), deadline()) == loyalty_id
    assert crm.find(CustomerRef(identifiers=(ANA,)), deadline()) is None
    assert crm.find(CustomerRef(identifiers=(MOBILE,)), deadline()) == loyalty_id
    assert changing(capillary, loyalty_id) == ["identifier_unchanged"]


@pytest.mark.parametrize("source", ["INSTORE", "ECOMMERCE"])
def test_an_address_of_somebody_else_is_not_taken_and_no_member_is_merged(
    capillary: SandboxUpstream, source: str
) -> None:
    crm = capillary.crm()
    loyalty_id = crm.register(register(ANA), {}, deadline()).loyalty_id
    capillary.crm(source=source).register(register(NEW), {}, deadline())
    assert changing(capillary, loyalty_id) == ["identifier_not_updated"]
    assert [customer["merged_into"] for customer in capillary.customers()] == [None, None]
    channel = capillary.details(crm, loyalty_id)["profiles"][0]["channels"][0]
    assert channel["value"] == "new@example.com"


def test_a_member_without_such_an_identifier_gets_it(capillary: SandboxUpstream) -> None:
    loyalty_id = capillary.crm().register(register(MOBILE), {}, deadline()).loyalty_id
    assert changing(capillary, loyalty_id) == ["identifier_changed"]
    assert capillary.crm().find(CustomerRef(identifiers=(NEW,)), deadline()) == loyalty_id


def test_a_refused_change_does_not_keep_the_channel_from_being_updated(capillary: SandboxUpstream) -> None:
    crm = capillary.crm()
    loyalty_id = crm.register(register(ANA), {}, deadline()).loyalty_id
    fault(capillary, path="*/changeIdentifier", error="invalid_source")
    assert changing(capillary, loyalty_id) == ["identifier_not_updated"]
    assert capillary.details(crm, loyalty_id)["profiles"][0]["channels"][0]["value"] == "new@example.com"


def test_an_update_that_fails_after_the_change_reports_that_something_happened(plain: SandboxUpstream) -> None:
    loyalty_id = plain.crm().register(register(ANA), {}, deadline()).loyalty_id
    fault(plain, method="PUT", error="concurrent")
    with pytest.raises(UpstreamUnavailable) as caught:
        changing(plain, loyalty_id)
    assert caught.value.reached is True


# Access, credits, limits


def test_a_token_that_expired_meanwhile_is_replaced(capillary: SandboxUpstream) -> None:
    crm = capillary.crm(credentials=OAUTH)
    loyalty_id = crm.register(register(ANA), {}, deadline()).loyalty_id
    capillary.vendor.engine.tokens.clear()
    crm.update(loyalty_id, update(loyalty_id=loyalty_id), {"first_name": "A"}, deadline(), changed=NOTHING)
    capillary.clock.now += 86_400
    crm.update(None, update(ANA), {"first_name": "B"}, deadline(), changed=NOTHING)
    assert capillary.requests().count(("POST", "/v3/oauth/token/generate")) == 3


@pytest.mark.parametrize(
    "credentials",
    [
        {**BASIC, "password": "fake-wrong"},
        {**BASIC, "username": "demo.readonly"},
        {**OAUTH, "secret": "fake-wrong"},
        {"type": "oauth", "key": "fake-readonly-key", "secret": "fake-readonly-secret"},
    ],
)
def test_credentials_that_may_not_write_are_refused(capillary: SandboxUpstream, credentials: dict[str, str]) -> None:
    crm = capillary.crm(credentials=credentials)
    with pytest.raises(CredentialsRefused):
        crm.register(register(ANA), {}, deadline())
    with pytest.raises(CredentialsRefused):
        crm.update(None, update(ANA), {"first_name": "A"}, deadline(), changed=NOTHING)


def test_an_account_that_the_organisation_does_not_have_is_named(capillary: SandboxUpstream) -> None:
    with pytest.raises(VendorRejected) as caught:
        capillary.crm(source="WECHAT", account_id="wrong").register(register(ANA), {}, deadline())
    assert caught.value.code == "3217"
    assert [p.field for p in caught.value.problems] == ["destination.account_id"]


def test_a_status_label_of_somebody_else_is_named(capillary: SandboxUpstream) -> None:
    with pytest.raises(InvalidCommand) as caught:
        capillary.crm().register(register(ANA), {"status_label": "gold-9"}, deadline())
    assert [p.field for p in caught.value.problems] == ["status_label"]


def test_an_enrolment_credits_points(plain: SandboxUpstream) -> None:
    crm = plain.crm()
    owed = Credits(enrollments=(Enrollment(program_id=469, tier_number=1, loyalty_points=75),))
    receipt = crm.register(register(ANA, credits=owed), {}, deadline())
    member = plain.details(crm, receipt.loyalty_id)
    assert list(member["enrolments"]) == ["469"] or 469 in member["enrolments"]


def test_a_429_is_reported_to_the_limiter(plain: SandboxUpstream) -> None:
    penalties: list[tuple[str, float | None]] = []

    class Watching(NullLimiter):
        def penalise(self, api: str, retry_after: float | None) -> None:
            penalties.append((api, retry_after))

        def acquire(self, api: str, deadline: Deadline) -> None:
            assert deadline.remaining() > 0

    plain.configure(rate_limits={"v2.customers.post": 1})
    crm = plain.crm(limiter=Watching())
    crm.register(register(ANA), {}, deadline())
    with pytest.raises(RateLimited) as caught:
        crm.register(register(MOBILE), {}, deadline())
    assert penalties == [("v2-create", caught.value.retry_after)]
    assert caught.value.retry_after is not None


@pytest.mark.parametrize(
    ("rule", "reached"),
    [
        ({"html": True, "status": 502}, True),
        ({"html": True, "status": 200}, True),
        ({"truncate": 12}, True),
        ({"status": 302}, True),
        ({"reset": "before"}, True),
        ({"reset": "after"}, True),
        ({"error": "authorization_unavailable"}, False),
    ],
)
def test_broken_responses_pass_and_report_whether_it_may_have_worked(
    plain: SandboxUpstream, rule: dict[str, Any], reached: bool
) -> None:
    fault(plain, method="POST", **rule)
    with pytest.raises(UpstreamUnavailable) as caught:
        plain.crm().register(register(ANA), {}, deadline())
    assert caught.value.reached is reached


# Probe


def test_a_healthy_connection_has_no_complaint_and_nothing_is_changed(capillary: SandboxUpstream) -> None:
    findings = capillary.crm().probe(deadline(), ["gender"])
    assert {f.name: f.ok for f in findings} == {
        "host": True,
        "credentials": True,
        "source and account": True,
        "V1.1": True,
        "write access": None,
        "extended fields": True,
        "default status label": None,
        "mandatory registration fields": None,
    }
    assert capillary.customers() == []


@pytest.mark.parametrize(
    ("options", "name", "who"),
    [
        ({"credentials": {**BASIC, "password": "fake-wrong"}}, "credentials", "operator"),
        ({"credentials": {**OAUTH, "secret": "fake-wrong"}}, "credentials", "operator"),
        ({"source": "WECHAT", "account_id": "wrong"}, "source and account", "business"),
    ],
)
def test_what_is_missing_is_named_with_who_can_fix_it(
    capillary: SandboxUpstream, options: dict[str, Any], name: str, who: str
) -> None:
    (found,) = [f for f in capillary.crm(**options).probe(deadline()) if f.name == name]
    assert (found.ok, found.who) == (False, who)


def test_extended_fields_that_the_mapping_uses_must_be_enabled(plain: SandboxUpstream) -> None:
    (found,) = [f for f in plain.crm().probe(deadline(), ["gender", "shoe_size"]) if f.name == "extended fields"]
    assert found.ok is False
    assert "shoe_size" in found.message
    assert "gender" not in found.message


def test_a_host_that_is_down_ends_the_probe(plain: SandboxUpstream) -> None:
    fault(plain, html=True, status=503)
    findings = plain.crm().probe(deadline())
    assert [(f.name, f.ok) for f in findings] == [("host", False)]
