"""Capillary sandbox: request samples of the vendor's pages (with values of our own) and their answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.capillary_client import CapillaryApi, codes

MOBILE = "447700900123"
EMAIL = "tom@example.com"
ENROLMENT = {
    "programId": 469,
    "tierNumber": 1,
    "loyaltyPoints": 0,
    "tierExpiryDate": "2034-05-11T16:36:17+05:30",
    "pointsExpiryDate": "2034-05-11T16:36:17+05:30",
}


def channel(kind: str, value: str) -> dict[str, Any]:
    return {
        "type": kind,
        "value": value,
        "primary": "true",
        "verified": "true",
        "meta": {"residence": "true"},
    }


CARD = {
    "type": "cardnumber",
    "value": "12345678",
    "seriesId": 73,
    "statusLabel": "ACTIVE",
    "extendedFields": {"custom_card_name": "Stays"},
}
INSTORE_FULL: dict[str, Any] = {
    "profiles": [
        {
            "firstName": "Customer_add_1",
            "lastName": "Test123",
            "identifiers": [{"type": "mobile", "value": MOBILE}, {"type": "email", "value": EMAIL}],
            "commChannels": [channel("mobile", MOBILE), channel("email", EMAIL)],
            "fields": {},
            "source": "INSTORE",
        }
    ],
    "extendedFields": {},
    "loyaltyProgramEnrollments": [ENROLMENT],
    "referralCode": "",
}
MOBILE_APP: dict[str, Any] = {
    "loyaltyInfo": {"loyaltyType": "loyalty"},
    "associatedWith": "demo.till02",
    "profiles": [
        {
            "firstName": "Mark12",
            "lastName": "Twain",
            "identifiers": [
                {"type": "mobile", "value": MOBILE},
                {"type": "cuid", "value": f"cuid_{MOBILE}"},
                {"type": "unionId", "value": f"unionId_{MOBILE}"},
            ],
            "commChannels": [
                {
                    "type": "mobilePush",
                    "meta": {
                        "lastViewedDate": "2019-10-10T22:04:38+05:30",
                        "residence": False,
                        "office": False,
                    },
                    "verified": "true",
                    "primary": "true",
                    "value": "abc123456",
                },
                {
                    "type": "mobile",
                    "value": MOBILE,
                    "primary": True,
                    "verified": True,
                    "meta": {"lastViewedDate": "", "residence": True, "office": False},
                },
            ],
            "source": "MOBILE_APP",
            "accountId": "testpush1",
            "fields": {"employee": "true", "dateofbirth": "22-10-2000"},
        }
    ],
    "extendedFields": {"gender": "Male", "city": "Bangalore"},
    "loyaltyProgramEnrollments": [{**ENROLMENT, "loyaltyPoints": 75}],
}
LINE: dict[str, Any] = {
    "profiles": [
        {
            "firstName": "Mark",
            "lastName": "Twain",
            "identifiers": [
                {"type": "email", "value": EMAIL},
                {"type": "line", "value": "Ud7b7ec422d4914011f9c14b51ff48519"},
            ],
            "commChannels": [channel("line", "Ud7b7ec422dd34914011f9c14b51ff48519")],
            "fields": {"gender": "", "city": ""},
            "source": "LINE",
            "accountId": "2000000000001",
        }
    ],
    "extendedFields": {},
    "referralCode": "",
}
INSTORE_CARD: dict[str, Any] = {
    "profiles": [
        {
            "firstName": "Tom",
            "lastName": "Sawyer",
            "identifiers": [
                {"type": "email", "value": EMAIL},
                {"type": "mobile", "value": "5550100"},
                CARD,
            ],
            "fields": {
                "kanjifirstname": "Tom",
                "email2": "tom2@example.com",
                "fax": "12345678",
                "customer_address": "abc123",
            },
            "source": "INSTORE",
            "commChannels": [
                {
                    "type": "email",
                    "value": EMAIL,
                    "primary": True,
                    "verified": True,
                    "subscribed": True,
                    "meta": {},
                }
            ],
        }
    ],
    "extendedFields": {
        "zip": "123456",
        "area": "Test1",
        "city": "Test2",
        "state": "Test3",
        "country_of_residence": "Japan",
        "gender": "Male",
        "dob": "1988/05/10",
        "acquisition_channel": "Microsite",
        "preferred_language": "Japanese",
    },
}
EXTERNAL_ID: dict[str, Any] = {
    "profiles": [{"identifiers": [{"type": "externalId", "value": "879577211225"}], "source": "INSTORE"}]
}
LABELLED: dict[str, Any] = {
    "profiles": [
        {
            "firstName": "Customer_add_23",
            "lastName": "Test123",
            "identifiers": [
                {"type": "mobile", "value": MOBILE},
                {"type": "email", "value": EMAIL},
                CARD,
            ],
            "commChannels": [channel("mobile", MOBILE), channel("email", EMAIL)],
            "fields": {"employee": "true", "dateofbirth": "22-10-2000"},
            "source": "INSTORE",
        }
    ],
    "extendedFields": {"acquisition_channel": "Facebook"},
    "referralCode": "",
    "statusLabel": "active-1",
}
UPDATE: dict[str, Any] = {
    "profiles": [
        {
            "firstName": "Tom",
            "lastName": "Sawyer",
            "fields": {"gender": "Male", "city": "Bangalore"},
            "commChannels": [channel("mobile", MOBILE), channel("email", EMAIL)],
        }
    ],
    "loyaltyInfo": {"loyaltyType": "loyalty"},
    "extendedFields": {"gender": "MALE", "city": "Bangalore"},
    "loyaltyProgramEnrollments": [{**ENROLMENT, "programId": 699}],
}


@pytest.fixture
def api(capillary: CapillaryApi) -> CapillaryApi:
    capillary.org(sources={"INSTORE": [], "MOBILE_APP": ["testpush1"], "LINE": ["2000000000001"]})
    return capillary


@pytest.mark.parametrize(
    ("body", "warnings", "points"),
    [
        (INSTORE_FULL, [8107], [100]),
        (MOBILE_APP, [8107], [100, 75]),
        (LINE, [8107], [100]),
        (INSTORE_CARD, [8107], [100]),
        (EXTERNAL_ID, [8107], [100]),
        (LABELLED, [], [100]),
    ],
)
def test_every_sample_of_the_add_page_is_accepted(
    api: CapillaryApi, body: dict[str, Any], warnings: list[int], points: list[int]
) -> None:
    response = api.call("POST", "/v2/customers", json=body)
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {"createdId", "warnings", "sideEffects"}
    assert isinstance(answer["createdId"], int)
    assert codes(answer) == warnings
    assert [each["awardedPoints"] for each in answer["sideEffects"]] == points


def test_what_a_sample_carries_is_read_back(api: CapillaryApi) -> None:
    customer = api.json("POST", "/v2/customers", json=MOBILE_APP)["createdId"]
    view = api.json("GET", f"/v2/customers/{customer}?source=MOBILE_APP&accountId=testpush1")
    profile = view["profiles"][0]
    assert (profile["firstName"], profile["lastName"]) == ("Mark12", "Twain")
    assert (profile["source"], profile["accountId"]) == ("MOBILE_APP", "testpush1")
    assert [each["type"] for each in profile["identifiers"]] == ["mobile", "cuid", "unionId"]
    assert [each["type"] for each in profile["commChannels"]] == ["mobilePush", "mobile"]
    assert profile["fields"] == {"employee": "true", "dateofbirth": "22-10-2000"}
    assert view["extendedFields"] == {"gender": "Male", "city": "Bangalore"}
    assert view["associatedWith"] == "demo.till02"


def test_the_sample_of_the_update_page_is_accepted(api: CapillaryApi) -> None:
    customer = api.json("POST", "/v2/customers", json=INSTORE_FULL)["createdId"]
    response = api.call("PUT", f"/v2/customers/{customer}?source=INSTORE&use_async=false", json=UPDATE)
    assert response.status_code == 200
    assert response.json() == {
        "createdId": customer,
        "warnings": [],
        "sideEffects": [{"entityType": "USER", "rawAwardedPoints": 25.0, "awardedPoints": 25, "type": "points"}],
    }
    kept = api.customer(customer)
    assert kept["extended_fields"] == {"gender": "Male", "city": "Bangalore"}
    assert sorted(kept["enrolments"]) == ["469", "699"]
