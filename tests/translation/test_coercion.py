"""Values in the form their fields want."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.translation.coercion import NotCoercible, coerce


@pytest.mark.parametrize(
    ("field", "given", "wanted"),
    [
        ("birthday", "1990-05-17", "1990-05-17"),
        ("birthday", "1990/5/7", "1990-05-07"),
        ("birthday", "1990.05.17", "1990-05-17"),
        ("birthday", "1990-05-17T00:00:00Z", "1990-05-17"),
        ("birthday", "1990-05-17 12:00:00", "1990-05-17"),
        ("birthday", {"year": 1990, "month": 5, "day": 17}, "1990-05-17"),
        ("registered_on", "2026-03-02T09:15:00-05:00", "2026-03-02T14:15:00.000000Z"),
        ("registered_on", "2026-03-02", "2026-03-02"),
        ("gender", "F", "female"),
        ("gender", " Male ", "male"),
        ("gender", "non-binary", "nonbinary"),
        ("subscriptions.email.bulk", "yes", True),
        ("subscriptions.email.bulk", 0, False),
        ("subscriptions.sms.bulk", "Subscribed", True),
        ("subscriptions.sms.bulk", "pending", False),
        ("tags.VIP", "TRUE", True),
        ("country", "gb", "GB"),
        ("first_name", " Ana ", "Ana"),
        ("postal_code", 12345, "12345"),
        ("notes", True, "true"),
        ("identifiers.card_number", 42, "42"),
        ("custom_fields.age", 46, 46),
        ("sale.note", 46, "46"),
        ("sale.note", "", None),
        ("sale.custom_fields.till", True, "true"),
        ("sale.extended_fields.weight", 1.5, 1.5),
        ("custom_fields.birthday", "0000-05-17", "0000-05-17"),
        ("extended_fields.flags", [1], [1]),
    ],
)
def test_a_value_takes_the_form_of_its_field(field: str, given: Any, wanted: Any) -> None:
    assert coerce(field, given) == wanted
    assert type(coerce(field, given)) is type(wanted)


@pytest.mark.parametrize("field", ["birthday", "gender", "subscriptions.email.bulk", "first_name", "custom_fields.x"])
@pytest.mark.parametrize("empty", [None, "", "  "])
def test_empty_is_none_whatever_the_field(field: str, empty: Any) -> None:
    assert coerce(field, empty) is None


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("birthday", "0000-05-17"),
        ("birthday", "17 May"),
        ("birthday", "1990-02-30"),
        ("birthday", {"month": 5, "day": 17}),
        ("birthday", {"year": None, "month": 5, "day": 17}),
        ("birthday", 19900517),
        ("birthday", []),
        ("gender", "unknown"),
        ("gender", 1),
        ("subscriptions.email.bulk", "perhaps"),
        ("subscriptions.email.bulk", 2),
        ("subscriptions.email.bulk", 1.0),
        ("country", "GBR"),
        ("country", "England"),
        ("first_name", {"a": 1}),
        ("email", ["a@example.com"]),
    ],
)
def test_what_cannot_take_the_form_is_refused(field: str, given: Any) -> None:
    with pytest.raises(NotCoercible):
        coerce(field, given)


@pytest.mark.parametrize(("value", "sent"), [("1001.10.12", "1001.10.12"), ("till-7", "till-7"), (1234, "1234")])
def test_the_till_of_a_registration_is_a_name_and_no_date(value: object, sent: str) -> None:
    assert coerce("registered_till", value) == sent
