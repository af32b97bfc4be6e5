"""Mappings: JMESPath over the platform's payload, laid over the defaults, checked when a connection is applied."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.commands import Credits, CustomerCommand, Enrollment, plain
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.translation.mapping import rules_for
from loyalty_relay.translation.translate import Skip, translate
from tests.sources.samples import Sample, connection, load

Mapping = dict[str, dict[str, str]]


def command(sample: Sample, mapping: Mapping, vendor: str = "capillary") -> CustomerCommand:
    shop = connection(sample.platform, vendor, mapping=mapping)
    (change,) = source_module(sample.platform).read(sample.signed(), shop.source)
    translated = translate(change, shop)
    assert not isinstance(translated, Skip), translated
    (made,) = translated
    assert isinstance(made, CustomerCommand)
    return made


def fields(sample: Sample, mapping: Mapping, vendor: str = "capillary") -> dict[str, Any]:
    return dict(command(sample, mapping, vendor).fields)


CREATE = load("shopify", "customers-create")
UPDATE = load("shopify", "customers-update")


def problems(mapping: Mapping, vendor: str = "capillary", platform: str = "shopify") -> dict[str, str]:
    found = check_connection(connection(platform, vendor, mapping=mapping))
    return {problem.field: problem.message for problem in found}


# -- what expressions yield -----------------------------------------------------------------------------------------


def test_a_payloads_member_becomes_a_custom_field() -> None:
    made = fields(CREATE, {"*": {"custom_fields.town": "default_address.city", "extended_fields.state": "state"}})
    assert made["custom_fields.town"] == "Exampleton"
    assert made["extended_fields.state"] == "disabled"
    assert made["first_name"] == "Ana"


def test_a_mapped_field_takes_the_place_of_its_default() -> None:
    assert fields(CREATE, {"*": {"first_name": "last_name"}})["first_name"] == "Núñez"


def test_null_leaves_a_field_untold_also_its_default() -> None:
    assert "notes" not in fields(CREATE, {"*": {"notes": "nosuch"}}, "kangaroo")
    assert "email" not in fields(CREATE, {"*": {"email": "`null`"}})


def test_an_empty_text_clears() -> None:
    assert fields(CREATE, {"*": {"notes": "''"}}, "kangaroo")["notes"] is None


def test_values_take_the_form_of_their_field() -> None:
    sample = CREATE.changed(metafields={"born": "1990/5/7", "sex": "F", "weekly": "yes"})
    made = fields(
        sample,
        {
            "*": {
                "birthday": "metafields.born",
                "gender": "metafields.sex",
                "subscriptions.email.bulk": "metafields.weekly",
            }
        },
        "kangaroo",
    )
    assert made["birthday"] == "1990-05-07"
    assert made["gender"] == "female"
    assert made["subscriptions.email.bulk"] is True


@pytest.mark.attack(
    "senders",
    "a text that a mapping's to_number reads as infinite or as no number, to make every attempt fail",
    "the field is left out where the mapping yields it",
    "G1",
)
@pytest.mark.parametrize("note", ["Infinity", "-inf", "nan", "1e999"])
def test_a_number_that_no_json_can_carry_is_absent(note: str) -> None:
    rules = {"*": {"custom_fields.x": "to_number(note)", "custom_fields.y": "[to_number(note)]", "notes": "'kept'"}}
    made = command(CREATE.changed(note=note), rules)
    assert made.fields["notes"] == "kept"
    assert not made.fields.keys() & {"custom_fields.x", "custom_fields.y"}
    json.dumps(plain(made), allow_nan=False)


def test_what_cannot_take_the_form_goes_on_to_be_refused_by_name() -> None:
    assert fields(CREATE, {"*": {"birthday": "'soon'"}}, "kangaroo")["birthday"] == "soon"


def test_a_list_of_tags_and_single_ones() -> None:
    made = fields(CREATE, {"*": {"tags": "[state, currency]", "tags.Verified": "verified_email"}}, "kangaroo")
    assert {name: made[name] for name in made if name.startswith("tags.")} == {
        "tags.disabled": True,
        "tags.GBP": True,
        "tags.Verified": True,
    }


def test_a_mapped_list_of_tags_takes_the_place_of_the_default_tags() -> None:
    made = fields(load("shopify", "customers-create-2024-10"), {"*": {"tags": '`["Only"]`'}}, "kangaroo")
    assert [name for name in made if name.startswith("tags.")] == ["tags.Only"]


def test_a_further_identifier_is_not_a_field() -> None:
    made = command(CREATE, {"*": {"identifiers.card_number": "multipass_identifier || id"}})
    assert made.customer.identifier("card_number") == "7012345678901"
    assert not [name for name in made.fields if name.startswith("identifiers.")]


@pytest.mark.parametrize("kind", ["martjack_id", "fb_id", "tmall_uname", "ali_uname", "jd_uname", "vip_uname", "line"])
def test_every_identifier_of_the_programme_can_be_mapped(kind: str) -> None:
    rules = {"*": {f"identifiers.{kind}": "id"}}
    assert command(CREATE, rules).customer.identifier(kind) == "7012345678901"
    assert problems(rules) == {}


def test_a_card_has_its_series_and_status() -> None:
    rules = {
        "*": {
            "identifiers.card_number": "id",
            "identifiers.card_number.series_id": "'12'",
            "identifiers.card_number.series_code": "'Gold'",
            "identifiers.card_number.status_label": "'ACTIVE'",
            "identifiers.card_number.custom_fields.shop": "state",
            "identifiers.card_external_id.series_id": "`1`",
        }
    }
    card = next(i for i in command(CREATE, rules).customer.identifiers if i.type == "card_number")
    assert card.attributes == {
        "series_id": 12,
        "series_code": "Gold",
        "status_label": "ACTIVE",
        "custom_fields": {"shop": "disabled"},
    }
    assert not command(CREATE, rules).customer.identifier("card_external_id")
    assert problems(rules) == {}


def test_enrolments_and_a_referral_code_are_credits() -> None:
    sample = CREATE.changed(metafields={"points": "12.50", "friend": "R1"})
    rules = {
        "customers/create": {
            "enrollments": "{program_id: `469`, tier_number: '2', loyalty_points: metafields.points}",
            "referral_code": "metafields.friend",
        }
    }
    made = command(sample, rules)
    assert made.credits == Credits(
        enrollments=(Enrollment(program_id=469, tier_number=2, loyalty_points=12.5),), referral_code="R1"
    )
    assert not made.fields.keys() & {"enrollments", "referral_code"}
    assert problems(rules) == {}


def test_several_enrolments_and_none() -> None:
    listed = command(CREATE, {"*": {"enrollments": "[{program_id: `1`}, {program_id: `2`}]"}})
    assert [e.program_id for e in listed.credits.enrollments] == [1, 2]
    assert not command(CREATE, {"*": {"enrollments": "nosuch", "referral_code": "''"}}).credits


def test_an_event_with_nothing_but_an_enrolment_has_an_effect() -> None:
    sample = load("shopify", "customers-purchasing-summary")
    made = command(sample, {"customers/purchasing_summary": {"enrollments": "{program_id: `469`}"}})
    assert made.credits.enrollments == (Enrollment(program_id=469),)


def test_source_account_and_background_work_can_be_chosen_per_event() -> None:
    rules = {
        "*": {"options.source": "'WEBSITE'", "options.account_id": "id", "options.use_async": "'yes'"},
        "customers/create": {"options.single_enroll": "nosuch"},
    }
    assert command(CREATE, rules).options == {"source": "WEBSITE", "account_id": "7012345678901", "use_async": True}
    assert problems(rules) == {}


def test_an_expression_that_fails_on_this_payload_is_untranslatable() -> None:
    with pytest.raises(Untranslatable) as caught:
        command(CREATE, {"*": {"custom_fields.x": "length(verified_email)"}})
    assert caught.value.reason == "mapping_failed"
    assert "custom_fields.x" in str(caught.value)


def test_a_topic_without_defaults_has_an_effect_once_it_is_mapped() -> None:
    sample = load("shopify", "customers-purchasing-summary")
    made = fields(sample, {"customers/purchasing_summary": {"custom_fields.spent": "amountSpent.amount"}})
    assert made == {"custom_fields.spent": "182.50"}


def test_tags_reach_capillary_once_they_are_mapped() -> None:
    sample = load("shopify", "customer-tags-added")
    made = fields(sample, {"customer.tags_added": {"custom_fields.tags": "join(',', tags)"}})
    assert made == {"custom_fields.tags": "VIP,Frühbucher"}


# -- which topic ----------------------------------------------------------------------------------------------------


def test_the_more_exact_pattern_wins() -> None:
    mapping = {
        "customers/create": {"first_name": "exact"},
        "*": {"first_name": "any", "notes": "any"},
        "customers/*": {"first_name": "family", "last_name": "family"},
    }
    assert rules_for("customers/create", mapping) == {"first_name": "exact", "last_name": "family", "notes": "any"}
    assert rules_for("customers/update", mapping) == {"first_name": "family", "last_name": "family", "notes": "any"}
    assert rules_for("shop/update", mapping) == {"first_name": "any", "notes": "any"}


def test_a_pattern_of_another_topic_has_no_effect() -> None:
    assert fields(UPDATE, {"customers/create": {"first_name": "'x'"}})["first_name"] == "Li"


# -- checked when applied -------------------------------------------------------------------------------------------


def test_a_good_mapping_has_no_problems() -> None:
    mapping = {
        "*": {"custom_fields.town": "default_address.city", "subscriptions.sms.bulk": "sms.ok", "status_label": "state"}
    }
    assert problems(mapping) == {}
    assert (
        problems({"customer.*": {"tags": "tags", "tags.VIP": "vip", "birthday": "dob"}}, "kangaroo", "standard") == {}
    )


@pytest.mark.parametrize("expression", ["", "  ", "a.", "a[", "length(", "a b", "'"])
def test_an_expression_that_does_not_compile_is_named_with_the_reason(expression: str) -> None:
    (message,) = problems({"customers/*": {"first_name": expression}}).values()
    assert repr(expression) in message
    assert message.rpartition(": ")[2]


def test_a_function_that_does_not_exist_is_found_before_it_is_needed() -> None:
    found = problems({"*": {"first_name": "a || uppercase(first_name)"}})
    assert "there is no function uppercase" in found["mapping.*.first_name"]


@pytest.mark.parametrize(
    ("vendor", "field"),
    [
        ("capillary", "nickname"),
        ("capillary", "tags"),
        ("capillary", "tags.VIP"),
        ("capillary", "birthday"),
        ("capillary", "custom_fields."),
        ("capillary", "subscriptions.push.bulk"),
        ("capillary", "identifiers.passport"),
        ("capillary", "identifiers.email.series_id"),
        ("capillary", "identifiers.card_number.colour"),
        ("capillary", "options.host"),
        ("kangaroo", "enrollments"),
        ("kangaroo", "options.source"),
        ("kangaroo", "extended_fields.city"),
        ("kangaroo", "custom_fields.town"),
        ("kangaroo", "language"),
        ("kangaroo", "subscriptions.sms.bulk"),
        ("kangaroo", "status_label"),
        ("kangaroo", "identifiers.card_number"),
        ("kangaroo", "First_Name"),
    ],
)
def test_a_field_the_destination_does_not_have_is_named(vendor: str, field: str) -> None:
    found = problems({"*": {field: "id"}}, vendor)
    assert found.keys() == {f"mapping.*.{field}"}
    assert f"{vendor} has" in found[f"mapping.*.{field}"]


def test_every_problem_is_named_at_once() -> None:
    assert len(problems({"*": {"nosuch": "a.", "first_name": "b["}, "customers/*": {"last_name": "c("}})) == 3
