"""Capillary sandbox: POST /v2/customers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sandbox.capillary_client import CapillaryApi, basic, codes, profile, registration

MOBILE = "447700900001"
EMAIL = "rita@example.com"


def test_a_new_customer_gets_an_id_the_label_warning_and_the_rules_points(capillary: CapillaryApi) -> None:
    response = capillary.call("POST", "/v2/customers", json=registration(mobile=MOBILE, email=EMAIL))
    assert response.status_code == 200
    assert response.json() == {
        "createdId": 600000001,
        "warnings": [{"status": False, "code": 8107, "message": "Default customer status label not set"}],
        "sideEffects": [{"entityType": "USER", "rawAwardedPoints": 100.0, "awardedPoints": 100, "type": "points"}],
    }
    assert capillary.customer(600000001)["points"] == 100


def test_a_default_status_label_silences_8107(capillary: CapillaryApi) -> None:
    capillary.org(default_status_label="active-1")
    answer = capillary.json("POST", "/v2/customers", json=registration(mobile=MOBILE))
    assert answer["warnings"] == []
    assert capillary.customer(answer["createdId"])["status_label"] == "active-1"


def test_a_status_label_is_stored_and_an_unknown_one_is_8086(capillary: CapillaryApi) -> None:
    body = registration(mobile=MOBILE, body={"statusLabel": "active-1"})
    answer = capillary.json("POST", "/v2/customers", json=body)
    assert answer["warnings"] == []
    body = registration(mobile="447700900002", body={"statusLabel": "unheard-of"})
    assert codes(capillary.json("POST", "/v2/customers", json=body), "errors") == [8086]
    assert len(capillary.raw("GET", "/_sandbox/state/capillary").json()["customers"]) == 1


def test_the_same_identifier_in_the_same_source_is_8006_with_the_id(capillary: CapillaryApi) -> None:
    first = capillary.register(mobile=MOBILE, firstName="Rita")
    response = capillary.call("POST", "/v2/customers", json=registration(mobile=MOBILE, firstName="Other"))
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {
            "status": False,
            "code": 8006,
            "message": f"Add failed, Customer already exists with id {first} for same source",
        }
    ]
    assert capillary.customer(first)["profiles"][0]["first_name"] == "Rita"


def test_identifiers_are_compared_without_plus_and_case(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE, email=EMAIL)
    again = capillary.json("POST", "/v2/customers", json=registration(mobile=f"+{MOBILE}"))
    assert codes(again, "errors") == [8006]
    again = capillary.json("POST", "/v2/customers", json=registration(email=EMAIL.upper()))
    assert codes(again, "errors") == [8006]


def test_the_same_identifier_in_another_source_combines_with_8050_and_the_old_id(
    capillary: CapillaryApi,
) -> None:
    first = capillary.register(mobile=MOBILE, firstName="Rita")
    response = capillary.call(
        "POST", "/v2/customers", json=registration("WEBSITE", mobile=MOBILE, firstName="Margarita")
    )
    assert response.status_code == 200
    assert response.json()["createdId"] == first
    assert codes(response.json()) == [8050]
    assert response.json()["sideEffects"] == []
    names = {each["source"]: each["first_name"] for each in capillary.customer(first)["profiles"]}
    assert names == {"INSTORE": "Rita", "WEBSITE": "Margarita"}


def test_identifiers_of_two_customers_are_8053_or_a_warning_by_switch(capillary: CapillaryApi) -> None:
    first = capillary.register(mobile=MOBILE)
    capillary.register(email=EMAIL)
    body = registration("WEBSITE", mobile=MOBILE, email=EMAIL)
    assert codes(capillary.json("POST", "/v2/customers", json=body), "errors") == [8053]
    capillary.settings(conflict="warning")
    answer = capillary.json("POST", "/v2/customers", json=body)
    assert answer["createdId"] == first
    assert codes(answer) == [8052, 8050]


def test_combining_into_a_source_that_has_a_profile_is_8066(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    capillary.register("WEBSITE", mobile=MOBILE, externalId="X-1")
    body = registration("INSTORE", externalId="X-1")
    assert codes(capillary.json("POST", "/v2/customers", json=body), "errors") == [8066]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"source": "SHOP"}, 3217),
        ({"source": "TMALL"}, 3217),
        ({"source": ""}, 8004),
        ({"source": "LINE"}, 8045),
        ({"source": "LINE", "accountId": "nobody"}, 3217),
        ({"source": "INSTORE", "accountId": "line-demo"}, 3217),
        ({"identifiers": []}, 8005),
        ({"identifiers": [{"type": "passport", "value": "1"}]}, 8005),
        ({"identifiers": [{"type": "mobile", "value": "12"}]}, 8014),
        ({"commChannels": [{"value": "1"}]}, 8106),
        ({"commChannels": [{"type": "pigeon", "value": "1"}]}, 8010),
    ],
)
def test_a_profile_that_cannot_be_taken_names_its_code_and_leaves_nothing(
    capillary: CapillaryApi, change: dict[str, Any], code: int
) -> None:
    body = {"profiles": [{**profile(mobile=MOBILE), **change}]}
    response = capillary.call("POST", "/v2/customers", json=body)
    assert response.status_code == 400
    assert codes(response.json(), "errors") == [code]
    assert capillary.raw("GET", "/_sandbox/state/capillary").json()["customers"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"loyaltyInfo": {"loyaltyType": "gold"}},
        {"profiles": []},
        {"profiles": "x"},
        {"createDate": "yesterday"},
        {"createDate": "1990-01-01T00:00:00+00:00"},
        {"createDate": "2035-01-01T00:00:00+00:00"},
    ],
)
def test_a_body_that_cannot_be_taken_leaves_nothing(capillary: CapillaryApi, change: dict[str, Any]) -> None:
    body = registration(mobile=MOBILE, body=change)
    expected = 8017 if "createDate" in change else 400
    assert codes(capillary.json("POST", "/v2/customers", json=body), "errors") == [expected]
    assert capillary.raw("GET", "/_sandbox/state/capillary").json()["customers"] == []


@pytest.mark.parametrize(("kind", "code"), [("mobile", 1006), ("email", 1039), ("externalId", 1043)])
def test_identifiers_that_the_organisation_requires(capillary: CapillaryApi, kind: str, code: int) -> None:
    capillary.org(required_identifiers=[kind])
    values: dict[str, Any] = {"mobile": MOBILE, "email": EMAIL, "externalId": "X-1"}
    missing: dict[str, Any] = {name: value for name, value in values.items() if name != kind}
    assert codes(capillary.json("POST", "/v2/customers", json=registration(**missing)), "errors") == [code]
    assert "createdId" in capillary.json("POST", "/v2/customers", json=registration(**values))


def test_external_ids_may_need_a_prefix_and_a_length(capillary: CapillaryApi) -> None:
    capillary.org(external_id_prefix="EX", external_id_length=5)
    for bad in ("AB123", "EX1234"):
        assert codes(capillary.json("POST", "/v2/customers", json=registration(externalId=bad)), "errors") == [8020]
    assert "createdId" in capillary.json("POST", "/v2/customers", json=registration(externalId="EX123"))


def test_an_invalid_secondary_identifier_is_dropped_with_a_warning(capillary: CapillaryApi) -> None:
    answer = capillary.json("POST", "/v2/customers", json=registration(mobile=MOBILE, email="not-an-email"))
    assert codes(answer) == [8055, 8107]
    capillary.org(primary_identifier="email")
    answer = capillary.json("POST", "/v2/customers", json=registration(mobile="12345", email=EMAIL))
    assert codes(answer) == [8056, 8107]
    stored = capillary.customer(answer["createdId"])["profiles"][0]["identifiers"]
    assert [each["type"] for each in stored] == ["email"]


@pytest.mark.parametrize(
    ("mobile", "valid"),
    [
        ("123456", False),
        ("1234567", True),
        ("1" * 15, True),
        ("1" * 16, False),
        ("44 7700 900001", False),
        ("+447700900001", True),
    ],
)
def test_a_mobile_is_7_to_15_digits_after_the_plus(capillary: CapillaryApi, mobile: str, valid: bool) -> None:
    answer = capillary.json("POST", "/v2/customers", json=registration(mobile=mobile))
    assert ("createdId" in answer) is valid


def test_invalid_channels_are_dropped_with_8057_and_8058(capillary: CapillaryApi) -> None:
    channels = [{"type": "email", "value": "nonsense"}, {"type": "mobile", "value": "1"}]
    answer = capillary.json("POST", "/v2/customers", json=registration(mobile=MOBILE, commChannels=channels))
    assert codes(answer) == [8057, 8058, 8107]
    assert capillary.customer(answer["createdId"])["profiles"][0]["channels"] == []


@pytest.mark.parametrize(("sent", "stored"), [("true", True), (True, True), ("false", False), (False, False)])
def test_booleans_come_as_texts_or_booleans_and_read_back_as_booleans(
    capillary: CapillaryApi, sent: Any, stored: bool
) -> None:
    channel = {
        "type": "email",
        "value": EMAIL,
        "primary": sent,
        "verified": sent,
        "subscribed": sent,
        "meta": {"residence": sent, "office": sent, "lastViewedDate": ""},
    }
    customer = capillary.register(mobile=MOBILE, commChannels=[channel])
    read = capillary.json("GET", f"/v2/customers/{customer}?source=INSTORE")["profiles"][0]["commChannels"]
    assert read == [
        {
            "type": "email",
            "value": EMAIL,
            "primary": stored,
            "verified": stored,
            "subscribed": stored,
            "meta": {"residence": stored, "office": stored, "lastViewedDate": ""},
            "attributes": {},
        }
    ]


def test_names_are_trimmed_and_cut_at_100_and_emails_at_255_in_silence(capillary: CapillaryApi) -> None:
    long_email = "a" * 200 + "@example.com" + "m" * 80
    answer = capillary.json(
        "POST",
        "/v2/customers",
        json=registration(mobile=MOBILE, email=long_email, firstName="  " + "N" * 120, lastName=" Ames "),
    )
    assert codes(answer) == [8107]
    stored = capillary.customer(answer["createdId"])["profiles"][0]
    assert stored["first_name"] == "N" * 100
    assert stored["last_name"] == "Ames"
    assert stored["identifiers"][1]["value"] == long_email[:255]


def test_extended_fields_that_are_empty_unknown_or_not_allowed_are_not_stored(capillary: CapillaryApi) -> None:
    fields = {"gender": "FEMALE", "city": "", "state": None, "zip": "null", "shoe_size": "9", "area": "North"}
    customer = capillary.register(mobile=MOBILE, body={"extendedFields": fields})
    assert capillary.customer(customer)["extended_fields"] == {"gender": "Female", "area": "North"}
    other = capillary.register(mobile="447700900002", body={"extendedFields": {"gender": "unheard-of"}})
    assert capillary.customer(other)["extended_fields"] == {}


def test_custom_fields_are_stored_as_the_organisation_has_them(capillary: CapillaryApi) -> None:
    capillary.org(custom_fields=["employee"])
    customer = capillary.register(mobile=MOBILE, fields={"employee": "true", "fax": "1"})
    assert capillary.customer(customer)["profiles"][0]["fields"] == {"employee": "true"}


def test_a_card_keeps_series_label_and_fields(capillary: CapillaryApi) -> None:
    card = {
        "type": "cardnumber",
        "value": "12345678",
        "seriesId": 73,
        "statusLabel": "ACTIVE",
        "extendedFields": {"custom_card_name": "Stays"},
    }
    body = {"profiles": [{"source": "INSTORE", "identifiers": [{"type": "mobile", "value": MOBILE}, card]}]}
    customer = capillary.json("POST", "/v2/customers", json=body)["createdId"]
    stored = capillary.customer(customer)["profiles"][0]["identifiers"][1]
    assert (stored["series_id"], stored["status_label"]) == (73, "ACTIVE")
    assert stored["extended_fields"] == {"custom_card_name": "Stays"}
    read = capillary.json("GET", f"/v2/customers/{customer}?source=INSTORE")
    assert read["cardDetails"] == [{"cardNumber": "12345678", "seriesId": 73, "statusLabel": "ACTIVE"}]
    card["seriesId"] = 999
    card["value"] = "87654321"
    body["profiles"][0]["identifiers"] = [{"type": "mobile", "value": "447700900002"}, card]
    assert codes(capillary.json("POST", "/v2/customers", json=body), "errors") == [400]


def test_associated_with_takes_a_till_and_warns_8077_about_another(capillary: CapillaryApi) -> None:
    good = registration(mobile=MOBILE, body={"associatedWith": "demo.till02"})
    answer = capillary.json("POST", "/v2/customers", json=good)
    assert codes(answer) == [8107]
    assert capillary.customer(answer["createdId"])["associated_with"] == "demo.till02"
    bad = registration(mobile="447700900002", body={"associatedWith": "nowhere.till"})
    answer = capillary.json("POST", "/v2/customers", json=bad)
    assert codes(answer) == [8107, 8077]
    assert capillary.customer(answer["createdId"])["associated_with"] is None
    capillary.org(associated_with_enabled=False)
    off = registration(mobile="447700900003", body={"associatedWith": "demo.till02"})
    assert codes(capillary.json("POST", "/v2/customers", json=off)) == [8107, 8077]


def test_enrolment_points_are_credited_and_shown(capillary: CapillaryApi) -> None:
    capillary.org(rules=[])
    enrolment = {
        "programId": 469,
        "tierNumber": 1,
        "loyaltyPoints": 75,
        "tierExpiryDate": "2035-02-11T16:36:17+05:30",
        "pointsExpiryDate": "2035-02-11T16:36:17+05:30",
    }
    body = registration(mobile=MOBILE, body={"loyaltyProgramEnrollments": [enrolment]})
    answer = capillary.json("POST", "/v2/customers", json=body)
    assert answer["sideEffects"] == [
        {"entityType": "USER", "rawAwardedPoints": 75.0, "awardedPoints": 75, "type": "points"}
    ]
    customer = capillary.customer(answer["createdId"])
    assert customer["points"] == 75
    assert customer["enrolments"]["469"]["tier_number"] == 1


def test_an_unknown_programme_is_warned_about_and_a_short_tier_with_1302(capillary: CapillaryApi) -> None:
    body = registration(mobile=MOBILE, body={"loyaltyProgramEnrollments": [{"programId": 1, "tierNumber": 1}]})
    assert codes(capillary.json("POST", "/v2/customers", json=body)) == [8107, 8089]
    program = {"id": 5, "name": "x", "tiers": ["one"], "membership_expiry": "2035-01-01"}
    capillary.org(programs=[program])
    enrolment = {"programId": 5, "tierNumber": 1, "tierExpiryDate": "2030-01-01T00:00:00+00:00"}
    body = registration(mobile="447700900002", body={"loyaltyProgramEnrollments": [enrolment]})
    answer = capillary.json("POST", "/v2/customers", json=body)
    assert answer["warnings"][-1] == {
        "status": False,
        "code": 1302,
        "message": "supplementary program expiry is before membership expiry",
    }


def test_rules_award_points_coupons_and_currencies_in_the_documented_shape(capillary: CapillaryApi) -> None:
    capillary.org(
        rules=[
            {"name": "p", "on": "register", "type": "points", "value": 200},
            {"name": "c", "on": "register", "type": "coupon", "code": "HELLO", "description": "10% off"},
            {
                "name": "a",
                "on": "register",
                "type": "alternate_currency",
                "value": 110,
                "identifier": "rgp",
                "currency_name": "ac1",
            },
        ]
    )
    effects = capillary.json("POST", "/v2/customers", json=registration(mobile=MOBILE))["sideEffects"]
    assert effects == [
        {"entityType": "USER", "rawAwardedPoints": 200.0, "awardedPoints": 200, "type": "points"},
        {
            "id": effects[1]["id"],
            "entityType": "USER",
            "couponType": "PE",
            "couponCode": "HELLO00001",
            "validTill": "2025-07-15T23:59:59Z",
            "description": "10% off",
            "discountCode": "NO_VALUE",
            "trimmedCouponCode": "HELLO00001",
            "type": "coupon",
        },
        {
            "entityType": "USER",
            "rawAwardedValue": 110.0,
            "alternateCurrencyIdentifier": "rgp",
            "alternateCurrencyName": "ac1",
            "awardedValue": 110,
            "type": "alternate_currency",
        },
    ]
    assert isinstance(effects[1]["id"], int)
    kept = capillary.customer(600000001)
    assert kept["points"] == 200
    assert [each["couponCode"] for each in kept["coupons"]] == ["HELLO00001"]
    assert kept["currencies"] == {"rgp": 110.0}


def test_a_referral_code_counts_when_it_exists(capillary: CapillaryApi) -> None:
    capillary.org(rules=[{"name": "friend", "on": "referral", "type": "points", "value": 10}])
    body = registration(mobile=MOBILE, body={"referralCode": "FRIEND-0001"})
    assert len(capillary.json("POST", "/v2/customers", json=body)["sideEffects"]) == 1
    for mobile, code in (("447700900002", ""), ("447700900003", "UNKNOWN")):
        body = registration(mobile=mobile, body={"referralCode": code})
        assert capillary.json("POST", "/v2/customers", json=body)["sideEffects"] == []


def test_a_non_loyalty_customer_gets_no_rules(capillary: CapillaryApi) -> None:
    body = registration(mobile=MOBILE, body={"loyaltyInfo": {"loyaltyType": "non_loyalty"}})
    answer = capillary.json("POST", "/v2/customers", json=body)
    assert answer["sideEffects"] == []
    assert capillary.customer(answer["createdId"])["loyalty_type"] == "non_loyalty"


@pytest.mark.parametrize("headers", [{"WAIT_FOR_DOWNSTREAM": "false"}, {"X-CAP-DIRECT-REPLAY": "true"}])
def test_background_side_effects_happen_and_are_not_returned(capillary: CapillaryApi, headers: dict[str, str]) -> None:
    answer = capillary.json("POST", "/v2/customers", headers=headers, json=registration(mobile=MOBILE))
    assert "sideEffects" not in answer
    assert capillary.customer(answer["createdId"])["points"] == 100
    capillary.settings(async_side_effects="empty")
    answer = capillary.json("POST", "/v2/customers", headers=headers, json=registration(mobile="447700900002"))
    assert answer["sideEffects"] == []


def test_waiting_for_downstream_returns_side_effects(capillary: CapillaryApi) -> None:
    headers = {"WAIT_FOR_DOWNSTREAM": "true"}
    answer = capillary.json("POST", "/v2/customers", headers=headers, json=registration(mobile=MOBILE))
    assert len(answer["sideEffects"]) == 1


def test_skipping_downstream_touches_no_loyalty(capillary: CapillaryApi) -> None:
    body = registration(mobile=MOBILE, body={"loyaltyProgramEnrollments": [{"programId": 469, "tierNumber": 1}]})
    answer = capillary.json("POST", "/v2/customers", headers={"SKIP-DOWNSTREAM": "true"}, json=body)
    customer = capillary.customer(answer["createdId"])
    assert answer["sideEffects"] == []
    assert (customer["points"], customer["enrolments"]) == (0, {})


def test_user_context_is_kept_with_the_write(capillary: CapillaryApi) -> None:
    headers = {
        "USER-CONTEXT-ENTITY-TYPE": "INTEGRATION",
        "USER-CONTEXT-ENTITY-ID": "relay",
        "USER-CONTEXT-ENTITY-SOURCE": "API",
        "USER-CONTEXT-ENTITY-SOURCE-ID": "shop-1",
    }
    response = capillary.call("POST", "/v2/customers", headers=headers, json=registration(mobile=MOBILE))
    entry = capillary.customer(response.json()["createdId"])["audit"][0]
    assert entry["userContext"] == {
        "entityType": "INTEGRATION",
        "entityId": "relay",
        "source": "API",
        "sourceId": "shop-1",
    }
    assert (entry["action"], entry["till"]) == ("register", "demo.till01")
    assert entry["requestId"] == response.headers["X-Cap-Requestid"]


def test_a_registration_date_with_offset_is_that_moment(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE, body={"createDate": "2024-05-01T05:30:00+05:30"})
    view = capillary.json("GET", f"/v2/customers/{customer}?source=INSTORE")
    assert view["loyaltyInfo"]["attributionV2"]["createDate"] == "2024-05-01T00:00:00Z"


def test_two_adds_of_one_identifier_at_once_are_521_for_the_second(capillary: CapillaryApi) -> None:
    capillary.settings(write_ms=50)

    async def both() -> list[dict[str, Any]]:
        async with capillary.client() as client:
            calls = [
                client.post("/capillary/v2/customers", json=registration(mobile=MOBILE), headers=basic())
                for _ in range(2)
            ]
            return [response.json() for response in await asyncio.gather(*calls)]

    answers = asyncio.run(both())
    assert sorted(codes(answer, "errors") for answer in answers) == [[], [521]]
    assert capillary.slept == [0.05]


@pytest.mark.parametrize(
    ("mode", "write", "read", "missing"),
    [
        ("documented", 400, 200, 400),
        ("all_200", 200, 200, 200),
        ("all_400", 400, 400, 400),
        ("not_found_404", 400, 404, 404),
    ],
)
def test_the_http_status_of_errors_follows_the_switch(
    capillary: CapillaryApi, mode: str, write: int, read: int, missing: int
) -> None:
    capillary.settings(status_mode=mode)
    capillary.register(mobile=MOBILE)
    exists = capillary.call("POST", "/v2/customers", json=registration(mobile=MOBILE))
    lookup = capillary.call(
        "GET", "/v2/customers/lookup?source=INSTORE&identifierName=mobile&identifierValue=447700900009"
    )
    unknown = capillary.call("PUT", "/v2/customers/1?source=INSTORE", json={})
    assert (exists.status_code, lookup.status_code, unknown.status_code) == (write, read, missing)
    assert codes(exists.json(), "errors") == [8006]
    assert codes(lookup.json(), "errors") == [8015]
    assert codes(unknown.json(), "errors") == [8015]
