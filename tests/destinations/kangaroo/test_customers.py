"""Registering and finding customers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from loyalty_relay.model.commands import CustomerRef, Identifier, PatchCrmFields, RegisterCustomer, UpdateCustomer
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CustomerExists,
    InvalidCommand,
    UnsupportedByDestination,
    UpstreamUnavailable,
)
from tests.destinations.kangaroo.support import CUSTOMER, Call, Script, answer, crm, deadline

CREATE = "POST /customers"
LIST = "GET /customers"
CREATED = {"data": {"id": CUSTOMER, "email": "ana@example.com", "phone": "5145550123", "first_name": "Ana"}}
WHO = CustomerRef(identifiers=(Identifier("email", "ana@example.com"), Identifier("mobile", "+15145550123")))


def listing(*customers: dict[str, Any]) -> httpx.Response:
    return answer(200, {"data": list(customers)})


def filtered(*customers: dict[str, Any]) -> Any:
    """The list with the vendor's filters ``email=eq|VALUE`` and ``phone=eq|VALUE``."""

    def respond(call: Call) -> httpx.Response:
        found = list(customers)
        for name in ("email", "phone"):
            if name in call.params:
                operator, _, value = str(call.params[name]).partition("|")
                assert operator == "eq"
                found = [c for c in found if c.get(name) == value]
        return listing(*found)

    return respond


def test_a_registration_sends_what_the_vendor_documents() -> None:
    vendor = Script({CREATE: answer(200, CREATED)})
    fields = {
        "email": "ana@example.com",
        "phone": "+15145550123",
        "first_name": "Ana",
        "last_name": "Gray",
        "language": "fr-CA",
        "gender": "Female",
        "birthday": "1990-12-31",
    }

    receipt = crm(vendor).register(RegisterCustomer(customer=WHO, fields=fields), fields, deadline())

    assert vendor.asked[0].url == "https://api.kangaroorewards.com/customers"
    assert vendor.asked[0].json == {
        "email": "ana@example.com",
        "phone": "5145550123",
        "country_code": "CA",
        "first_name": "Ana",
        "last_name": "Gray",
        "language": "fr",
        "gender": "female",
        "birth_date": "1990-12-31",
    }
    assert (receipt.loyalty_id, receipt.created) == (CUSTOMER, True)
    assert set(receipt.sent) == set(fields)


def test_identifiers_register_a_customer_whose_fields_come_by_patch() -> None:
    vendor = Script({CREATE: answer(201, CREATED)})
    fields = {"custom_fields.custom_field_1": "x", "tags.VIP": True, "gender": "nonbinary", "last_name": None}

    receipt = crm(vendor).register(PatchCrmFields(customer=WHO, fields=fields), fields, deadline())

    assert vendor.asked[0].json == {"email": "ana@example.com", "phone": "5145550123", "country_code": "CA"}
    assert receipt.sent == ()


def test_a_customer_needs_an_e_mail_or_a_phone() -> None:
    vendor = Script()

    with pytest.raises(InvalidCommand) as error:
        crm(vendor).register(RegisterCustomer(customer=CustomerRef(source_id="7")), {"first_name": "Ana"}, deadline())

    assert [p.field for p in error.value.problems] == ["email", "phone"]
    assert vendor.asked == []


def test_a_registration_is_checked_before_any_request() -> None:
    fields = {"email": "nobody", "language": "de", "gender": "nonbinary", "birthday": "1990", "tags.VIP": True}
    command = RegisterCustomer(customer=CustomerRef(), fields=fields)

    assert {p.field: p.message for p in crm(Script()).check(command)} == {
        "tags.VIP": "is not part of a registration at this destination; patch it afterwards",
        "email": "must be an e-mail address",
        "language": "must be one of en, fr, es",
        "birthday": "must be a date such as 1990-12-31",
        "gender": "must be one of male, female at registration",
    }


TAKEN = {"email": ["The email has already been taken."]}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, TAKEN),
        (422, {"phone": ["The phone has already been taken."], "email": ["The email has already been taken."]}),
        (422, {"message": "The given data was invalid.", "errors": TAKEN}),
        (400, {"error": {"status_code": 400, "message": "Bad Request", "description": "Customer already exists"}}),
        (422, {"errors": [{"status": "422", "title": "Invalid", "detail": "The email has already been taken."}]}),
        (409, {"status_code": 409, "message": "Conflict", "description": "This email is in use"}),
    ],
)
def test_a_customer_who_is_there_already_is_found(status: int, body: Any) -> None:
    existing = {"id": CUSTOMER, "email": "Ana@Example.com"}
    vendor = Script({CREATE: answer(status, body), LIST: listing(existing)})

    with pytest.raises(CustomerExists) as error:
        crm(vendor).register(RegisterCustomer(customer=WHO), {}, deadline())

    assert error.value.loyalty_id == CUSTOMER
    assert vendor.asked[1].params == {"email": "eq|ana@example.com"}


def test_a_number_that_is_kept_in_the_international_form_is_found_once_it_is_in_the_way() -> None:
    phone_only = CustomerRef(identifiers=(Identifier("mobile", "+15145550123"),))
    existing = {"id": CUSTOMER, "phone": "+15145550123", "country_code": "CA"}
    taken = answer(422, {"phone": ["The phone has already been taken."]})
    vendor = Script({CREATE: taken, LIST: filtered(existing)})

    with pytest.raises(CustomerExists) as error:
        crm(vendor).register(RegisterCustomer(customer=phone_only), {}, deadline())

    assert error.value.loyalty_id == CUSTOMER


def test_other_refusals_of_a_registration_name_their_fields() -> None:
    refusal = answer(422, {"birth_date": ["The birth_date must be in the past."]})
    vendor = Script({CREATE: refusal})

    with pytest.raises(InvalidCommand) as error:
        crm(vendor).register(RegisterCustomer(customer=WHO), {"birthday": "2031-01-01"}, deadline())

    assert [p.field for p in error.value.problems] == ["birthday"]


@pytest.mark.parametrize("reply", [answer(200, text=""), answer(200, {"data": {}}), answer(202, {})])
def test_a_customer_who_was_created_is_not_lost_with_a_broken_answer(reply: httpx.Response) -> None:
    created = {"id": CUSTOMER, "email": "ana@example.com", "phone": "5145550123"}
    vendor = Script({CREATE: reply, LIST: filtered(created)})

    receipt = crm(vendor).register(RegisterCustomer(customer=WHO), {}, deadline())

    assert (receipt.loyalty_id, receipt.created) == (CUSTOMER, True)


def test_a_registration_without_an_id_anywhere_may_have_had_an_effect() -> None:
    vendor = Script({CREATE: answer(200, {}), LIST: listing()})

    with pytest.raises(UpstreamUnavailable) as error:
        crm(vendor).register(RegisterCustomer(customer=WHO), {}, deadline())

    assert error.value.reached


# -- finding ----------------------------------------------------------------------------------------------------------


def find(vendor: Script, *identifiers: tuple[str, str], loyalty_id: str | None = None) -> str | None:
    who = CustomerRef(loyalty_id=loyalty_id, identifiers=tuple(Identifier(t, v) for t, v in identifiers))
    return crm(vendor).find(who, deadline())


def test_by_loyalty_id() -> None:
    upper = CUSTOMER.upper()
    vendor = Script({f"GET /customers/{CUSTOMER}": answer(200, {"data": {"id": upper}})})

    assert find(vendor, loyalty_id=CUSTOMER) == upper


def test_an_unknown_id_falls_back_to_identifiers() -> None:
    vendor = Script({LIST: listing({"id": "other", "email": "ana@example.com"})})

    assert find(vendor, ("email", "ana@example.com"), loyalty_id=CUSTOMER) == "other"
    assert find(Script(), loyalty_id=CUSTOMER) is None


def test_by_e_mail_then_phone() -> None:
    vendor = Script({LIST: filtered({"id": CUSTOMER, "phone": "5145550123", "country_code": "CA"})})

    assert find(vendor, ("email", "ana@example.com"), ("mobile", "+15145550123")) == CUSTOMER
    assert [call.params for call in vendor.asked] == [{"email": "eq|ana@example.com"}, {"phone": "eq|5145550123"}]


def test_a_filter_that_is_not_understood_returns_no_other_customer() -> None:
    everybody = listing({"id": "x", "email": "x@example.com", "phone": "5145550199"}, {"id": "y"})
    vendor = Script({LIST: everybody})

    assert find(vendor, ("email", "ana@example.com"), ("mobile", "+15145550123")) is None


def test_a_number_of_another_country_with_the_same_digits_is_somebody_else() -> None:
    vendor = Script({LIST: listing({"id": "x", "phone": "7700900123", "country_code": "RU"})})

    assert find(vendor, ("mobile", "+447700900123")) is None


def test_several_customers_with_one_number_are_not_guessed_between() -> None:
    twins = [{"id": n, "phone": "5145550123", "country_code": "CA"} for n in ("a", "b")]

    with pytest.raises(AmbiguousOutcome):
        find(Script({LIST: listing(*twins)}), ("mobile", "+15145550123"))


def test_the_same_id_in_two_spellings_is_one_customer() -> None:
    twice = [{"id": spelling, "email": "ana@example.com"} for spelling in (CUSTOMER, CUSTOMER.upper())]

    assert find(Script({LIST: listing(*twice)}), ("email", "ana@example.com")) == CUSTOMER.upper()


def test_there_is_no_update() -> None:
    command = UpdateCustomer(customer=WHO)

    with pytest.raises(UnsupportedByDestination):
        crm(Script()).update(CUSTOMER, command, {"first_name": "Ana"}, deadline(), changed=frozenset())
    assert "update" not in crm(Script()).operations
