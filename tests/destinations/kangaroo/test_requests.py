"""What is asked is compared with the live list before anything is sent, and everything wrong is named at once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.destinations.base import Receipt
from loyalty_relay.model.commands import Credits, CustomerRef, Identifier, PatchCrmFields
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerNotFound,
    InvalidCommand,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.sources.parsing import json_value
from tests.destinations.kangaroo.support import CUSTOMER, Call, Clock, Script, answer, crm, deadline

PATH = f"/customers/{CUSTOMER}/crm-fields"


def field(name: str, value: Any = "", kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"name": name, "label": name.title(), "value": value, "field_type": kind, "is_hidden": False, **more}


FIELDS = [
    field("first_name"),
    field("last_name", is_required=True),
    field("email", is_required=True),
    field("phone"),
    field("country_code", kind="select"),
    field("gender", kind="select"),
    field("birth_date"),
    field("notes", is_hidden=True),
    field("promotions_mail", False, "checkbox"),
    field("tags", [{"tag_name": "Red"}, {"tag_name": "Blue"}], "multi_select"),
    field("custom_field_1", is_custom_field=True),
    field("custom_field_2", is_custom_field=True, is_read_only=True),
    field("custom_field_3", kind="select", is_custom_field=True, options=["Small", "Large"]),
    field("custom_field_4", kind="checkbox", is_custom_field=True),
]
TAGS = [{"id": n, "name": name} for n, name in enumerate(("Red", "Blue", "Green", "VIP", "vip"))]


def vendor(fields: list[dict[str, Any]] | None = None, answers: dict[str, Any] | None = None) -> Script:
    """A vendor that shows what was sent."""
    listed = FIELDS if fields is None else fields

    def patched(call: Call) -> httpx.Response:
        return answer(200, {"data": [{**each, "value": call.json.get(each["name"], each["value"])} for each in listed]})

    known = {f"GET {PATH}": answer(200, {"data": listed}), "GET /tags": answer(200, {"data": TAGS})}
    return Script({**known, f"PATCH {PATH}": patched, **(answers or {})})


def patch(
    script: Script, fields: dict[str, Any], replace_tags: tuple[str, ...] | None = None, *, strict: bool = True
) -> Receipt:
    command = PatchCrmFields(customer=CustomerRef(loyalty_id=CUSTOMER), fields=fields, replace_tags=replace_tags)
    return crm(script).patch_crm_fields(CUSTOMER, command, fields, replace_tags, deadline(), strict=strict)


def problems(script: Script, fields: dict[str, Any], replace_tags: tuple[str, ...] | None = None) -> dict[str, str]:
    with pytest.raises(InvalidCommand) as error:
        patch(script, fields, replace_tags)
    assert not [p for p in script.paths() if p.startswith("PATCH")]
    return {problem.field: problem.message for problem in error.value.problems}


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"first_name": "Ana", "birthday": "1990-12-31"}, {"first_name": "Ana", "birth_date": "1990-12-31"}),
        ({"phone": "+15145550123"}, {"phone": "5145550123", "country_code": "CA"}),
        ({"phone": "+12025550123"}, {"phone": "2025550123", "country_code": "US"}),
        ({"phone": "+447700900123"}, {"phone": "7700900123", "country_code": "GB"}),
        ({"phone": None}, {"phone": ""}),
        ({"gender": "Female"}, {"gender": "female"}),
        ({"gender": "Non-Binary"}, {"gender": "nonbinary"}),
        ({"first_name": ""}, {"first_name": ""}),
        ({"subscriptions.email.bulk": False}, {"promotions_mail": False}),
        ({"subscriptions.email.bulk": None}, {"promotions_mail": False}),
        ({"subscriptions.email.bulk": " False "}, {"promotions_mail": False}),
        ({"subscriptions.email.bulk": "true"}, {"promotions_mail": True}),
        ({"custom_fields.custom_field_1": 42}, {"custom_field_1": "42"}),
        ({"custom_fields.custom_field_1": 4.5}, {"custom_field_1": "4.5"}),
        ({"custom_fields.custom_field_1": 19999.99}, {"custom_field_1": "19999.99"}),
        ({"custom_fields.custom_field_1": 1234567.5}, {"custom_field_1": "1234567.5"}),
        ({"custom_fields.custom_field_1": True}, {"custom_field_1": "true"}),
        ({"custom_fields.custom_field_3": "small"}, {"custom_field_3": "Small"}),
        ({"custom_fields.custom_field_4": "true"}, {"custom_field_4": True}),
        ({"email": "ana@example.com"}, {"email": "ana@example.com"}),
    ],
)
def test_fields_go_out_under_the_vendors_names_and_in_its_forms(fields: dict[str, Any], body: dict[str, Any]) -> None:
    script = vendor()

    receipt = patch(script, fields)

    assert script.asked[-1].json == body
    assert script.asked[-1].may_repeat
    assert receipt.sent == tuple(fields)


@given(st.from_regex(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_a_number_keeps_its_digits_from_the_webhooks_bytes_to_the_vendor(written: str) -> None:
    script = vendor()

    receipt = patch(script, {"custom_fields.custom_field_1": json_value(f"[{written}]".encode())[0]}, strict=False)

    (sent,) = script.asked[-1].json.values()
    assert (Decimal(sent), "e" in sent.lower()) == (Decimal(written), False)
    assert receipt.notices == ()


def test_everything_that_is_wrong_is_named_at_once() -> None:
    wrong = problems(
        vendor(),
        {
            "first_name": 7,
            "last_name": None,
            "email": "nobody",
            "phone": "12",
            "gender": "robot",
            "birthday": "31.12.1990",
            "notes": "hidden",
            "postal_code": "H2X",
            "address": "1 Sample Street",
            "subscriptions.email.bulk": "perhaps",
            "custom_fields.custom_field_1": ["a", "list"],
            "custom_fields.custom_field_2": "read-only",
            "custom_fields.custom_field_3": "Medium",
            "custom_fields.custom_field_9": "unknown",
            "custom_fields.shoe_size": "44",
            "tags.Purple": True,
            "tags.Red": "yes",
        },
    )

    assert wrong == {
        "first_name": "must be a string",
        "last_name": "is required at the destination and cannot be emptied",
        "email": "must be an e-mail address",
        "phone": "must be a valid phone number with its country code",
        "gender": "must be one of male, female, nonbinary",
        "birthday": "must be a date such as 1990-12-31",
        "notes": "is hidden in the destination's CRM settings",
        "postal_code": "is not a CRM field of the destination",
        "address": "is not something this destination's CRM fields can carry",
        "subscriptions.email.bulk": "must be true or false",
        "custom_fields.custom_field_1": "must be a string",
        "custom_fields.custom_field_2": "is read-only at the destination",
        "custom_fields.custom_field_3": "must be one of Small, Large",
        "custom_fields.custom_field_9": "is not a CRM field of the destination",
        "custom_fields.shoe_size": "is not something this destination's CRM fields can carry",
        "tags.Purple": "is not a tag of the destination",
        "tags.Red": "must be true or false",
    }


def test_live_options_of_gender_win_over_the_documented_ones() -> None:
    script = vendor([field("gender", kind="select", options=[{"value": "male"}, {"value": "female"}])])

    assert problems(script, {"gender": "nonbinary"}) == {"gender": "must be one of male, female"}


def test_a_patch_needs_at_least_one_attribute() -> None:
    script = vendor()

    assert problems(script, {}) == {"fields": "needs at least one"}
    assert script.asked == []


def test_a_shop_may_send_what_the_business_has_not_enabled() -> None:
    script = vendor()
    fields = {"first_name": "Ana", "postal_code": "H2X", "notes": "x", "last_name": None, "gender": "other"}

    receipt = patch(script, fields, strict=False)

    assert script.asked[-1].json == {"first_name": "Ana"}
    assert receipt.sent == ("first_name",)
    assert [(n.code, n.field) for n in receipt.notices] == [
        ("not_in_crm_fields", "postal_code"),
        ("not_in_crm_fields", "notes"),
        ("required_not_emptied", "last_name"),
        ("gender_not_known", "gender"),
    ]


def test_nothing_is_sent_when_the_business_has_enabled_none_of_it() -> None:
    script = vendor()

    receipt = patch(script, {"postal_code": "H2X"}, strict=False)

    assert receipt.sent == ()
    assert script.paths() == [f"GET {PATH}"]


def test_a_business_without_the_crm_module_is_for_an_operator_and_parks_nothing() -> None:
    with pytest.raises(CredentialsRefused) as error:
        patch(vendor([]), {"first_name": "Ana"})

    assert error.value.reason == "crm_fields_not_granted"
    assert "CSR" in str(error.value)


# -- tags -------------------------------------------------------------------------------------------------------------


def tag_body(*names: str) -> dict[str, Any]:
    return {"tags": [{"tag_name": name} for name in names]}


@pytest.mark.parametrize(
    ("fields", "replace_tags", "body"),
    [
        ({"tags.Green": True}, None, tag_body("Red", "Blue", "Green")),
        ({"tags.Red": False}, None, tag_body("Blue")),
        ({"tags.green": True, "tags.red": False, "tags.blue": None}, None, tag_body("Green")),
        ({}, ("Green", "Blue", "Green"), tag_body("Green", "Blue")),
        ({"tags.VIP": True, "tags.Green": False}, ("Green", "Red"), tag_body("Red", "VIP")),
        ({}, (), tag_body()),
    ],
)
def test_the_whole_set_of_tags_is_sent(
    fields: dict[str, Any], replace_tags: tuple[str, ...] | None, body: dict[str, Any]
) -> None:
    script = vendor()

    receipt = patch(script, fields, replace_tags)

    assert script.asked[-1].json == body
    assert set(receipt.sent) == set(fields) | ({"tags"} if replace_tags is not None else set())


def test_a_set_that_is_the_same_already_needs_no_patch() -> None:
    script = vendor()

    receipt = patch(script, {"tags.Red": True, "tags.Green": False, "tags.Never heard of": False})

    assert not [p for p in script.paths() if p.startswith("PATCH")]
    assert receipt.sent == ("tags.Red", "tags.Green", "tags.Never heard of")
    assert receipt.details["fields"][0]["name"] == "first_name"


def test_capitals_count_where_two_tags_differ_in_nothing_else() -> None:
    assert problems(vendor(), {"tags.Vip": True}) == {"tags.Vip": "is not a tag of the destination"}


def test_unknown_tags_of_a_whole_set_are_named() -> None:
    assert problems(vendor(), {}, ("Red", "Purple")) == {"replace_tags": "has no such tag: Purple"}


def test_a_required_set_of_tags_keeps_one() -> None:
    fields = [field("tags", [{"tag_name": "Red"}], "multi_select", is_required=True)]

    assert problems(vendor(fields), {"tags.Red": False}) == {
        "tags.Red": "is required at the destination: one tag must stay"
    }


def test_a_vendor_that_appends_tags_is_noticed() -> None:
    script = vendor(answers={f"PATCH {PATH}": answer(200, {"data": FIELDS})})

    receipt = patch(script, {"tags.Red": False, "tags.blue": True, "tags.Green": True})

    assert [(notice.code, notice.field) for notice in receipt.notices] == [("tags_differ", "tags")]
    assert (receipt.sent, receipt.unconfirmed) == (("tags.blue",), ("tags.Red", "tags.Green"))


def test_a_whole_set_of_tags_that_is_shown_differently_is_noticed() -> None:
    script = vendor(answers={f"PATCH {PATH}": answer(200, {"data": FIELDS})})

    receipt = patch(script, {}, ("Green",))

    assert [notice.code for notice in receipt.notices] == ["tags_differ"]
    assert (receipt.sent, receipt.unconfirmed) == ((), ("tags",))


# -- what the response shows ------------------------------------------------------------------------------------------


def showing(name: str, value: Any) -> Script:
    listed = [{**each, "value": value} if each["name"] == name else each for each in FIELDS]
    return vendor(answers={f"PATCH {PATH}": answer(200, {"data": listed})})


@pytest.mark.parametrize(
    ("fields", "name", "shown"),
    [
        ({"first_name": "Ana"}, "first_name", " Ana "),
        ({"first_name": None}, "first_name", None),
        ({"email": "Ana@Example.com"}, "email", "ana@example.com"),
        ({"phone": "+15145550123"}, "phone", "+1 514-555-0123"),
        ({"phone": "+15145550123"}, "phone", 5145550123),
        ({"birthday": "1990-12-31"}, "birth_date", "1990-12-31T00:00:00+00:00"),
        ({"gender": "Female"}, "gender", "Female"),
        ({"subscriptions.email.bulk": True}, "promotions_mail", "1"),
        ({"subscriptions.email.bulk": None}, "promotions_mail", False),
        ({"custom_fields.custom_field_1": 46}, "custom_field_1", 46),
        ({"custom_fields.custom_field_1": 19999.99}, "custom_field_1", 19999.99),
        ({"custom_fields.custom_field_1": True}, "custom_field_1", True),
    ],
)
def test_the_same_value_in_another_form_is_confirmed(fields: dict[str, Any], name: str, shown: Any) -> None:
    receipt = patch(showing(name, shown), fields)

    assert (receipt.sent, receipt.unconfirmed, receipt.notices) == (tuple(fields), (), ())


@pytest.mark.parametrize(
    ("fields", "name", "shown"),
    [
        ({"first_name": "Anastasia"}, "first_name", "Anasta"),
        ({"first_name": "Ana"}, "first_name", None),
        ({"first_name": None}, "first_name", "Ana"),
        ({"phone": "+15145550123"}, "phone", "5145550124"),
        ({"phone": None}, "phone", "5145550124"),
        ({"birthday": "1990-12-31"}, "birth_date", "1990-12-30"),
        ({"subscriptions.email.bulk": False}, "promotions_mail", True),
        ({"custom_fields.custom_field_1": 19999.99}, "custom_field_1", "20000"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_another_value_than_was_sent_is_a_notice_and_not_confirmed(
    fields: dict[str, Any], name: str, shown: Any, strict: bool
) -> None:
    receipt = patch(
        showing(name, shown), {**fields, "last_name": "Doe", "custom_fields.custom_field_4": True}, strict=strict
    )

    assert receipt.sent == ()
    assert receipt.unconfirmed == (*fields, "last_name", "custom_fields.custom_field_4")
    assert [(n.code, n.field) for n in receipt.notices] == [("value_differs", ours) for ours in receipt.unconfirmed]


def test_a_field_that_the_response_does_not_show_is_confirmed() -> None:
    script = vendor(answers={f"PATCH {PATH}": answer(200, {"data": [field("last_name", "x")]})})

    assert patch(script, {"first_name": "Ana"}).sent == ("first_name",)


SILENT = [
    answer(204, text=""),
    answer(200, text=""),
    answer(200, text=" \n"),
    answer(200, {}),
    answer(200, {"data": []}),
    answer(200, {"message": "Updated."}),
    answer(202, {}),
    answer(202, {"status_code": 202, "message": "Accepted", "description": "Queued"}),
]


@pytest.mark.parametrize("reply", SILENT)
def test_a_success_without_fields_is_one_and_is_read_back_for_a_caller(reply: httpx.Response) -> None:
    script = vendor(answers={f"PATCH {PATH}": reply})
    client = crm(script)
    command = PatchCrmFields(customer=CustomerRef(loyalty_id=CUSTOMER))
    client.patch_crm_fields(CUSTOMER, command, {"last_name": ""}, None, deadline(), strict=False)
    script.asked.clear()

    webhook = client.patch_crm_fields(
        CUSTOMER, command, {"custom_fields.custom_field_1": ""}, None, deadline(), strict=False
    )
    assert script.paths() == [f"PATCH {PATH}"]
    assert (webhook.sent, webhook.details) == (("custom_fields.custom_field_1",), {})

    caller = client.patch_crm_fields(CUSTOMER, command, {"custom_fields.custom_field_1": ""}, None, deadline())
    assert script.paths()[1:] == [f"PATCH {PATH}", f"GET {PATH}"]
    assert caller.sent == ("custom_fields.custom_field_1",)
    assert caller.details["fields"][0]["name"] == "first_name"


def test_what_is_read_back_is_compared_unless_the_change_is_still_under_way() -> None:
    done = patch(vendor(answers={f"PATCH {PATH}": answer(204, text="")}), {"first_name": "Ana"})
    pending = patch(vendor(answers={f"PATCH {PATH}": answer(202, {})}), {"first_name": "Ana"})

    assert (done.unconfirmed, [n.code for n in done.notices]) == (("first_name",), ["value_differs"])
    assert (pending.sent, pending.notices) == (("first_name",), ())


def test_a_patch_that_cannot_be_read_back_is_a_success_all_the_same() -> None:
    listed = answer(200, {"data": FIELDS})
    script = vendor(answers={f"PATCH {PATH}": answer(204, text=""), f"GET {PATH}": [listed, answer(503, {})]})

    receipt = patch(script, {"first_name": "Ana"})

    assert (receipt.sent, [n.code for n in receipt.notices]) == (("first_name",), ["not_read_back"])


@pytest.mark.parametrize("text", ["<html>Sorry</html>", '{"data": [{"na'])
def test_a_success_that_cannot_be_read_is_unclear(text: str) -> None:
    with pytest.raises(UpstreamUnavailable) as error:
        patch(vendor(answers={f"PATCH {PATH}": answer(200, text=text)}), {"first_name": "Ana"})

    assert error.value.reached


# -- what cannot be emptied -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [None, ""])
def test_a_choice_is_emptied_only_where_the_vendor_has_an_empty_one(empty: str | None) -> None:
    wanted = {"gender": empty, "custom_fields.custom_field_3": empty}
    assert problems(vendor(), wanted) == {
        "gender": "cannot be emptied: must be one of male, female, nonbinary",
        "custom_fields.custom_field_3": "cannot be emptied: must be one of Small, Large",
    }

    script = vendor()
    receipt = patch(script, {**wanted, "subscriptions.email.bulk": False}, strict=False)
    assert script.asked[-1].json == {"promotions_mail": False}
    assert [(n.code, n.field) for n in receipt.notices] == [("choice_not_emptied", name) for name in wanted]

    script = vendor([field("gender", kind="select", options=["", "male", "female"])])
    patch(script, {"gender": empty})
    assert script.asked[-1].json == {"gender": ""}


# -- what is read, and how often --------------------------------------------------------------------------------------


def test_definitions_are_read_once_for_many_customers() -> None:
    script = vendor()
    client = crm(script)

    for n in range(3):
        script.answers[f"PATCH /customers/c{n}/crm-fields"] = script.answers[f"PATCH {PATH}"]
        script.answers[f"GET /customers/c{n}/crm-fields"] = script.answers[f"GET {PATH}"]
        command = PatchCrmFields(customer=CustomerRef(loyalty_id=f"c{n}"))
        client.patch_crm_fields(f"c{n}", command, {"first_name": "Ana"}, ("Red",), deadline())

    assert script.paths().count("GET /tags") == 1
    assert sum(path.startswith("GET /customers") for path in script.paths()) == 1


def test_a_tag_that_is_new_at_the_vendor_works_at_once() -> None:
    script = vendor()
    client = crm(script)
    command = PatchCrmFields(customer=CustomerRef(loyalty_id=CUSTOMER))
    client.patch_crm_fields(CUSTOMER, command, {}, ("Red",), deadline())
    script.answers["GET /tags"] = answer(200, {"data": [*TAGS, {"id": 9, "name": "Purple"}]})

    client.patch_crm_fields(CUSTOMER, command, {}, ("Purple",), deadline())

    assert script.asked[-1].json == tag_body("Purple")


def test_definitions_are_believed_for_five_minutes() -> None:
    clock = Clock()
    script = vendor()
    client = crm(script, clock=clock)
    command = PatchCrmFields(customer=CustomerRef(loyalty_id=CUSTOMER))
    for seconds in (0, 299):
        clock.now += seconds
        script.answers[f"PATCH {PATH}"] = answer(422, {"first_name": ["The first_name is too long."]})
        with pytest.raises(InvalidCommand):
            client.patch_crm_fields(CUSTOMER, command, {"first_name": "Ana"}, None, deadline())
    assert sum(path == f"GET {PATH}" for path in script.paths()) == 1

    clock.now += 1
    with pytest.raises(InvalidCommand):
        client.patch_crm_fields(CUSTOMER, command, {"first_name": "Ana"}, None, deadline())

    assert sum(path == f"GET {PATH}" for path in script.paths()) == 2


# -- refusals of the vendor -------------------------------------------------------------------------------------------


def test_a_refusal_names_the_fields_in_our_words_and_gives_no_value_away() -> None:
    refusal = {
        "birth_date": ["The birth_date 1990-12-31 is odd."],
        "country_code": ["The selected country_code is invalid."],
        "custom_field_1": ["Secretvalue is not allowed."],
        "tags.0.tag_name": ["The selected tags.0.tag_name is invalid."],
    }
    script = vendor(answers={f"PATCH {PATH}": answer(422, refusal)})

    with pytest.raises(InvalidCommand) as error:
        patch(script, {"birthday": "1990-12-31", "custom_fields.custom_field_1": "Secretvalue"})

    assert error.value.code == "422"
    assert [p.field for p in error.value.problems] == ["birthday", "phone", "custom_fields.custom_field_1", "tags"]
    assert "Secretvalue" not in str([p.message for p in error.value.problems])
    assert "1990" not in str([p.message for p in error.value.problems])


def test_an_unknown_customer() -> None:
    missing = answer(404, {"error": {"status_code": 404, "message": "Customer not found", "description": "x"}})
    script = vendor(answers={f"GET {PATH}": missing})

    with pytest.raises(CustomerNotFound):
        patch(script, {"first_name": "Ana"})


NOT_SERVED = [
    answer(405, {"message": "The PATCH method is not supported for this route."}),
    answer(405, text="<html>Method Not Allowed</html>", kind="text/html"),
    answer(404, {"message": "The route customers/1/crm-fields could not be found."}),
    answer(404, text="<html>Not Found</html>", kind="text/html"),
]


@pytest.mark.parametrize("reply", NOT_SERVED)
def test_a_path_that_the_vendor_does_not_serve_points_to_the_option(reply: httpx.Response) -> None:
    with pytest.raises(VendorRejected, match="crm_fields_path"):
        patch(vendor(answers={f"PATCH {PATH}": reply}), {"first_name": "Ana"})


@pytest.mark.parametrize("reply", NOT_SERVED)
def test_other_paths_that_the_vendor_does_not_serve_do_not(reply: httpx.Response) -> None:
    script = vendor(answers={f"GET {PATH}": reply, "GET /tags": reply, "POST /customers": reply})
    client = crm(script)
    ana = CustomerRef(identifiers=(Identifier("email", "ana@example.com"),))
    asks: list[Callable[[], Any]] = [
        lambda: client.crm_fields(CUSTOMER, deadline()),
        lambda: client.tags(deadline()),
        lambda: client.register(PatchCrmFields(customer=ana), {}, deadline()),
    ]
    for ask in asks:
        with pytest.raises(VendorRejected) as error:
            ask()
        assert "crm_fields_path" not in str(error.value)


def test_a_tag_that_the_vendor_refuses_is_named_and_read_anew() -> None:
    refusal = answer(422, {"tags.2.tag_name": ["The selected tags.2.tag_name is invalid."]})
    script = vendor(answers={f"PATCH {PATH}": refusal})
    client = crm(script)
    command = PatchCrmFields(customer=CustomerRef(loyalty_id=CUSTOMER))
    fields = {"tags.green": True, "tags.VIP": True}

    for _ in range(2):
        with pytest.raises(InvalidCommand) as error:
            client.patch_crm_fields(CUSTOMER, command, fields, None, deadline(), strict=False)
        assert [p.field for p in error.value.problems] == ["tags.green"]

    assert script.paths().count("GET /tags") == 2


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    with pytest.raises(InvalidCommand):
        crm(vendor()).crm_fields("..", deadline())


# -- before anything is asked -----------------------------------------------------------------------------------------


def test_what_needs_no_request_is_found_before_one() -> None:
    command = PatchCrmFields(
        customer=CustomerRef(loyalty_id=CUSTOMER),
        fields={
            "email": "nobody",
            "phone": "12",
            "birthday": "soon",
            "language": "fr",
            "first_name": None,
            "gender": "female",
            "tags.Red": 1,
            "custom_fields.custom_field_1": "x",
        },
        credits=Credits(referral_code="X"),
    )

    found = crm(Script()).check(command)

    assert [p.field for p in found] == ["credits", "email", "phone", "birthday", "language", "tags.Red"]


def test_which_fields_a_shops_command_can_carry_at_all() -> None:
    client = crm(Script())

    assert all(map(client.supports, ("first_name", "birthday", "tags.Anything", "custom_fields.custom_field_6")))
    assert not any(
        map(client.supports, ("address", "language", "loyalty_type", "custom_fields.x", "extended_fields.a"))
    )


@pytest.mark.parametrize(
    ("crm_field", "command_field"),
    [
        ("birth_date", "birthday"),
        ("promotions_mail", "subscriptions.email.bulk"),
        ("custom_field_6", "custom_fields.custom_field_6"),
        ("country_code", "country"),
        ("first_name", "first_name"),
        ("shoe_size", "shoe_size"),
    ],
)
def test_a_caller_may_use_the_names_of_the_live_list(crm_field: str, command_field: str) -> None:
    assert crm(Script()).command_field(crm_field) == command_field


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"tags.Unheard": True}, "unknown_tag"),
        ({"tags.Red": "maybe"}, "value_not_taken"),
        ({"custom_fields.custom_field_1": ["a", "list"]}, "value_not_taken"),
        ({"email": "not an address"}, "value_not_taken"),
        ({"birthday": "31.12.1990"}, "value_not_taken"),
        ({"custom_fields.custom_field_3": "Huge"}, "value_not_taken"),
    ],
)
def test_one_bad_value_of_a_webhook_does_not_hold_back_the_rest(bad: dict[str, Any], code: str) -> None:
    script = vendor()
    receipt = patch(script, {**bad, "subscriptions.email.bulk": False}, strict=False)
    assert script.asked[-1].json == {"promotions_mail": False}
    assert receipt.sent == ("subscriptions.email.bulk",)
    assert [notice.code for notice in receipt.notices] == [code]
