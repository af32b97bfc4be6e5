"""What is refused before anything is sent, and which API carries what is not."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.destinations.capillary.routes import route
from loyalty_relay.model.commands import Credits, CustomerRef, Enrollment, Identifier, RegisterCustomer, UpdateCustomer
from loyalty_relay.model.errors import CustomerNotFound, InvalidCommand
from loyalty_relay.model.outcomes import Notice
from tests.destinations.capillary.upstream import ANA, MOBILE, Canned, answer, deadline, register, update


def problems(command: Any, **options: Any) -> dict[str, str]:
    return {p.field: p.message for p in Canned().crm(**options).check(command)}


# Check


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_at_the_end_of_the_calendar_is_a_problem_and_no_crash(moment: str) -> None:
    assert set(problems(register(ANA, fields={"registered_on": moment}))) == {"registered_on"}


def test_every_problem_is_named_at_once() -> None:
    command = register(
        Identifier("email", "not-an-email"),
        Identifier("mobile", "12"),
        Identifier("passport", "1"),
        Identifier("email", "ana@example.com", {"series_id": 7}),
        fields={
            "phone": "x",
            "loyalty_type": "gold",
            "registered_on": "yesterday",
            "first_name": 7,
            "extended_fields.city": [],
            "subscriptions.sms.bulk": "yes",
            "gender": "Female",
            "tags.vip": True,
            "channels.fax": [],
            "subscriptions.whatsapp.bulk": True,
            "associated_with": " ",
            "registered_till": "t" * 51,
            "fraud_status": "MAYBE",
        },
        credits=Credits(
            enrollments=(
                Enrollment(program_id=1, tier_number=0, loyalty_points=-1, tier_expires_at="2031-01-01T00:00:00"),
            )
        ),
        options={"source": "SHOP", "use_async": "yes", "fast": True, "user_context": {"id": "a\nb", "who": "x"}},
    )
    found = problems(command)
    assert set(found) == {
        "identifiers.email",
        "identifiers.mobile",
        "identifiers.passport",
        "identifiers.email.series_id",
        "phone",
        "loyalty_type",
        "registered_on",
        "first_name",
        "extended_fields.city",
        "subscriptions.sms.bulk",
        "gender",
        "tags.vip",
        "channels.fax",
        "subscriptions.whatsapp.bulk",
        "associated_with",
        "registered_till",
        "fraud_status",
        "enrollments.0.tier_number",
        "enrollments.0.loyalty_points",
        "enrollments.0.tier_expires_at",
        "options.source",
        "options.use_async",
        "options.fast",
        "options.user_context.id",
        "options.user_context.who",
    }
    assert not any(value in message for message in found.values() for value in ("not-an-email", "yesterday", "MAYBE"))


@pytest.mark.parametrize(
    "entry",
    [
        "x",
        {"value": ""},
        {},
        {"value": "12"},
        {"value": "+447700900123", "primary": "true"},
        {"value": "+447700900123", "meta": {"floor": 1}},
        {"value": "+447700900123", "colour": "red"},
    ],
)
def test_a_channel_that_cannot_be_sent_is_named_by_its_place(entry: Any) -> None:
    found = problems(register(fields={"channels.mobile": [entry]}))
    assert found
    assert all(name.startswith("channels.mobile.0") for name in found)


@pytest.mark.parametrize("value", [{}, "a", 4])
def test_channels_are_a_list(value: Any) -> None:
    assert set(problems(register(fields={"channels.email": value}))) == {"channels.email"}


def test_a_customer_without_any_identity_is_refused() -> None:
    assert set(problems(RegisterCustomer(customer=CustomerRef()))) == {"identifiers"}
    assert problems(RegisterCustomer(customer=CustomerRef(source_id="7"))) == {}
    assert problems(update(loyalty_id="7")) == {}
    assert problems(RegisterCustomer(customer=CustomerRef(), fields={"email": "ana@example.com"})) == {}


def test_a_member_cannot_be_looked_up_by_everything() -> None:
    assert set(problems(update(Identifier("line", "U1")))) == {"identifiers"}
    assert problems(update(Identifier("card_number", "1"))) == {}


def test_a_source_with_several_accounts_needs_one() -> None:
    assert set(problems(register(options={"source": "WECHAT"}))) == {"options.account_id"}
    assert problems(register(options={"source": "WECHAT", "account_id": "w"})) == {}
    assert problems(register(options={"source": "WECHAT"}), source="WECHAT", account_id="w") == {}


def test_national_numbers_are_understood_with_a_default_country_only() -> None:
    command = register(Identifier("mobile", "07700 900123"))
    assert problems(command, default_country="GB") == {}
    assert set(problems(command)) == {"identifiers.mobile"}


def test_what_an_update_cannot_set_is_refused_unless_it_may_register() -> None:
    fields = {"status_label": "active-1", "loyalty_type": "non_loyalty", "channels.card_number": [{"value": "1"}]}
    owed = Credits(referral_code="FRIEND-0001")
    assert set(problems(update(loyalty_id="7", fields=fields, credits=owed))) == {*fields, "referral_code"}
    assert problems(update(ANA, fields=fields, credits=owed, if_missing="register")) == {}


def test_a_mix_that_no_request_can_carry_names_the_fields_on_both_sides() -> None:
    fields = {
        "fraud_status": "CONFIRMED",
        "registered_on": "2030-01-01",
        "channels.line": [{"value": "U1"}],
        "first_name": "A",
    }
    owed = Credits(enrollments=(Enrollment(program_id=1),))
    found = problems(update(loyalty_id="7", fields=fields, credits=owed))
    assert set(found) == {"fraud_status", "registered_on", "channels.line", "enrollments"}


def test_by_identifier_channels_and_enrolments_can_be_sent_too() -> None:
    owed = Credits(enrollments=(Enrollment(program_id=1),))
    fields = {"channels.line": [{"value": "U1"}]}
    assert problems(update(ANA, fields=fields, credits=owed)) == {}


def test_consent_may_come_with_anything() -> None:
    fields = {"subscriptions.email.bulk": True, "channels.line": [{"value": "U1"}], "email": "ana@example.com"}
    assert problems(update(loyalty_id="7", fields=fields)) == {}


@pytest.mark.parametrize(
    ("field", "supported"),
    [
        ("first_name", True),
        ("email", True),
        ("channels.mobile", True),
        ("channels.mobilePush", True),
        ("channels.fax", False),
        ("subscriptions.sms.bulk", True),
        ("subscriptions.email.trans", True),
        ("subscriptions.whatsapp.bulk", False),
        ("subscriptions.sms", False),
        ("custom_fields.x", True),
        ("custom_fields.", False),
        ("extended_fields.gender", True),
        ("gender", False),
        ("notes", False),
        ("tags.vip", False),
        ("status_label", True),
        ("fraud_status", True),
    ],
)
def test_what_a_shop_reports_is_sent_where_the_programme_has_a_place_for_it(field: str, supported: bool) -> None:
    assert Canned().crm().supports(field) is supported


# Routes


@pytest.mark.parametrize(
    ("names", "credits", "by_id", "v1", "v2"),
    [
        (("first_name",), False, True, (), ("first_name",)),
        (("first_name",), False, False, ("first_name",), ()),
        (("first_name", "subscriptions.sms.bulk"), False, True, ("first_name", "subscriptions.sms.bulk"), ()),
        (("fraud_status",), False, True, ("fraud_status",), ()),
        (("first_name", "email"), False, False, (), ("first_name", "email")),
        (
            ("first_name", "email", "subscriptions.email.bulk"),
            False,
            True,
            ("subscriptions.email.bulk",),
            ("first_name", "email"),
        ),
        (("first_name",), True, False, (), ("first_name",)),
        (("subscriptions.sms.bulk",), True, True, ("subscriptions.sms.bulk",), ()),
        (("extended_fields.city", "custom_fields.x"), False, True, (), ("extended_fields.city", "custom_fields.x")),
    ],
)
def test_one_request_carries_an_update_wherever_one_can(
    names: tuple[str, ...], credits: bool, by_id: bool, v1: tuple[str, ...], v2: tuple[str, ...]
) -> None:
    plan = route({name: True if "." in name else "x" for name in names}, credits=credits, by_id=by_id)
    assert (set(plan.v1), set(plan.v2)) == (set(v1), set(v2))
    assert plan.by_v2 is bool(v2 or credits)
    assert plan.notices == ()


def test_what_cannot_be_emptied_is_reported_and_what_can_is_emptied_by_v2() -> None:
    empties = (
        "first_name",
        "custom_fields.x",
        "email",
        "extended_fields.city",
        "subscriptions.sms.bulk",
        "loyalty_type",
    )
    plan = route(dict.fromkeys(empties), credits=False, by_id=False)
    assert (set(plan.v1), set(plan.v2)) == (set(), {"first_name", "custom_fields.x"})
    assert {(n.code, n.field) for n in plan.notices} == {("not_cleared", name) for name in empties[2:]}


def test_an_emptied_name_leaves_as_an_empty_text() -> None:
    upstream = Canned(answer({"createdId": 7}))
    fields = {"last_name": None, "custom_fields.x": None, "extended_fields.city": None}
    receipt = upstream.crm().update("7", update(loyalty_id="7"), fields, deadline(), changed=frozenset())
    assert upstream.body() == {"profiles": [{"lastName": "", "fields": {"x": ""}}]}
    assert [n.code for n in receipt.notices] == ["not_cleared"]
    assert receipt.sent == ("last_name", "custom_fields.x")


def test_what_only_a_registration_can_set_is_left_out_with_a_notice() -> None:
    upstream = Canned(answer({"createdId": 7}))
    fields = {"status_label": "active-1", "loyalty_type": "non_loyalty", "gender": "x", "first_name": "Ana"}
    receipt = upstream.crm().update("7", update(loyalty_id="7"), fields, deadline(), changed=frozenset())
    assert upstream.body() == {"profiles": [{"firstName": "Ana"}]}
    assert {(n.code, n.field) for n in receipt.notices} == {
        ("not_updatable", "status_label"),
        ("not_updatable", "loyalty_type"),
        ("unsupported_field", "gender"),
    }


def test_nothing_left_to_send_sends_nothing() -> None:
    upstream = Canned()
    receipt = upstream.crm().update("7", update(loyalty_id="7"), {"email": None}, deadline(), changed=frozenset())
    assert (receipt.loyalty_id, receipt.sent) == ("7", ())
    assert upstream.requests == []


def test_names_and_addresses_that_the_vendor_would_cut_leave_whole_and_are_reported() -> None:
    upstream = Canned(answer({"createdId": 7}), answer({"createdId": 7}))
    long_email = "a" * 250 + "@example.com"
    crm = upstream.crm()
    receipt = crm.register(
        register(Identifier("email", long_email)), {"first_name": "n" * 101, "last_name": "n" * 100}, deadline()
    )
    assert {(n.code, n.field) for n in receipt.notices} == {
        ("name_too_long", "first_name"),
        ("email_too_long", "identifiers.email"),
    }
    assert len(upstream.body()["profiles"][0]["firstName"]) == 101
    receipt = crm.update("7", update(loyalty_id="7"), {"email": long_email}, deadline(), changed=frozenset())
    assert [(n.code, n.field) for n in receipt.notices] == [("email_too_long", "email")]
    assert upstream.body(1)["profiles"][0]["commChannels"][0]["value"] == long_email


def test_a_contact_is_identifier_and_primary_channel_of_a_new_member_and_channel_of_a_known_one() -> None:
    upstream = Canned(answer({"createdId": 7}), answer({"createdId": 7}))
    crm = upstream.crm()
    fields = {"email": "ana@example.com", "phone": "+447700900123"}
    crm.register(register(Identifier("email", "older@example.com")), fields, deadline())
    profile = upstream.body()["profiles"][0]
    channels = [
        {"type": "email", "value": "ana@example.com", "primary": "true"},
        {"type": "mobile", "value": "447700900123", "primary": "true"},
    ]
    assert sorted((i["type"], i["value"]) for i in profile["identifiers"]) == [
        ("email", "ana@example.com"),
        ("mobile", "447700900123"),
    ]
    assert profile["commChannels"] == channels
    crm.update("7", update(loyalty_id="7"), fields, deadline(), changed=frozenset())
    assert upstream.body(1)["profiles"] == [{"commChannels": channels}]


def test_channels_replace_a_contact_field() -> None:
    upstream = Canned(answer({"createdId": 7}))
    fields = {"email": "ana@example.com", "channels.email": [{"value": "other@example.com", "verified": False}]}
    upstream.crm().update("7", update(loyalty_id="7"), fields, deadline(), changed=frozenset())
    assert upstream.body()["profiles"][0]["commChannels"] == [
        {"type": "email", "value": "other@example.com", "verified": "false"}
    ]


@pytest.mark.parametrize("consent", [True, False])
def test_marketing_consent_of_a_new_member_is_set_on_the_channel(consent: bool) -> None:
    upstream = Canned(answer({"createdId": 7}))
    fields = {"email": "ana@example.com", "subscriptions.email.bulk": consent}
    receipt = upstream.crm().register(register(ANA, MOBILE), fields, deadline())
    channels = upstream.body()["profiles"][0]["commChannels"]
    assert [(c["type"], c.get("subscribed")) for c in channels] == [("email", consent)]
    assert set(receipt.sent) == set(fields)


def test_silence_is_no_consent() -> None:
    upstream = Canned(answer({"createdId": 7}))
    upstream.crm().register(register(ANA, MOBILE), {"email": "ana@example.com", "phone": "+447700900123"}, deadline())
    assert all("subscribed" not in c for c in upstream.body()["profiles"][0]["commChannels"])


def test_the_shops_own_id_is_the_external_id_where_the_connection_enables_it() -> None:
    upstream = Canned(answer({"createdId": 7}), answer({"createdId": 7}))
    command = RegisterCustomer(customer=CustomerRef(source_id="4711", identifiers=(ANA,)))
    upstream.crm(options={"source_id_as_external_id": True}).register(command, {}, deadline())
    upstream.crm().register(command, {}, deadline())
    kinds = [[i["type"] for i in upstream.body(n)["profiles"][0]["identifiers"]] for n in (0, 1)]
    assert kinds == [["email", "externalId"], ["email"]]


def test_a_registration_without_identifier_is_not_sent() -> None:
    with pytest.raises(InvalidCommand):
        Canned().crm().register(RegisterCustomer(customer=CustomerRef(source_id="7")), {"first_name": "A"}, deadline())


def test_an_update_by_an_identifier_that_v1_does_not_have_finds_the_id_first() -> None:
    upstream = Canned(answer({"entity": 7}), answer({"createdId": 7}))
    card = Identifier("card_number", "10000001")
    item = {"response": {"customers": {"customer": [{"user_id": 7, "item_status": {"success": "true"}}]}}}
    upstream.answers[1] = answer(item)
    receipt = upstream.crm().update(None, update(card), {"first_name": "A"}, deadline(), changed=frozenset())
    assert upstream.seen() == [("GET", "/v2/customers/lookup"), ("POST", "/v1.1/customer/update")]
    assert upstream.body(1)["root"]["customer"] == [{"id": "7", "firstname": "A"}]
    assert receipt.loyalty_id == "7"


def test_an_unknown_identifier_is_not_found_before_anything_is_written() -> None:
    absent = {"errors": [{"status": False, "code": 8015, "message": "Customer not found"}]}
    upstream = Canned(answer(absent))
    command = UpdateCustomer(customer=CustomerRef(identifiers=(ANA,)))
    with pytest.raises(CustomerNotFound):
        upstream.crm().update(None, command, {"phone": "+447700900123"}, deadline(), changed=frozenset())
    assert upstream.seen() == [("GET", "/v2/customers/lookup")]


def test_a_changed_contact_without_the_option_is_a_notice() -> None:
    upstream = Canned(answer({"createdId": 7}))
    receipt = upstream.crm().update(
        "7",
        update(loyalty_id="7"),
        {"email": "new@example.com"},
        deadline(),
        changed=frozenset({"email", "first_name"}),
    )
    assert [(n.code, n.field) for n in receipt.notices] == [("identifier_not_updated", "email")]
    assert isinstance(receipt.notices[0], Notice)
