"""Capillary sandbox: V1.1 customer update, add, update_identity and get, in JSON and XML."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.sandbox.capillary_client import CapillaryApi, basic, registration

MOBILE = "447700900001"
OTHER = "447700900002"
EMAIL = "rita@example.com"


def send(capillary: CapillaryApi, *items: dict[str, Any], api: str = "update") -> dict[str, Any]:
    answer = capillary.call("POST", f"/v1.1/customer/{api}", json={"root": {"customer": list(items)}})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()["response"]
    return body


def item_of(body: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = body["customers"]["customer"][0]
    return item


def warnings_of(body: dict[str, Any]) -> list[str]:
    warnings: list[str] = item_of(body)["item_status"]["warnings"]["warning"]
    return warnings


def test_an_update_responds_in_the_documented_types(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE, externalId="X-6")
    body = send(
        capillary,
        {
            "mobile": MOBILE,
            "email": "",
            "external_id": "",
            "firstname": "Rita",
            "lastname": "Ames",
            "registered_on": "2019-09-11 10:12:00",
            "registered_till": "",
            "associated_with": "",
            "type": "LOYALTY",
            "fraud_status": {"status": "NONE"},
            "subscriptions": {
                "subscription": [{"priority": "TRANS", "scope": "all", "is_subscribed": "1", "channel": "email"}]
            },
            "extended_fields": {"field": [{"name": "gender", "value": "Female"}]},
            "custom_fields": {"field": [{"name": "age", "value": "46"}]},
        },
    )
    assert body["status"] == {
        "success": "true",
        "code": 200,
        "message": "Success",
        "total": "1",
        "success_count": "1",
    }
    assert item_of(body) == {
        "user_id": customer,
        "firstname": "Rita",
        "lastname": "Ames",
        "mobile": MOBILE,
        "email": None,
        "external_id": "X-6",
        "lifetime_points": 125,
        "loyalty_points": 125,
        "current_slab": "bronze",
        "tier_expiry_date": "2112-09-11 23:59:59",
        "points_summaries": {
            "points_summary": [
                {
                    "programId": "1016",
                    "redeemed": "0",
                    "expired": "0",
                    "returned": "0",
                    "adjusted": "0",
                    "lifetimePoints": "125",
                    "loyaltyPoints": "125",
                    "cumulativePurchases": "0",
                    "currentSlab": "bronze",
                    "nextSlab": "silver",
                    "nextSlabSerialNumber": "2",
                    "nextSlabDescription": "silver",
                    "slabSNo": "1",
                    "slabExpiryDate": "2112-09-11 23:59:59",
                    "totalPoints": "",
                }
            ]
        },
        "lifetime_purchases": 0,
        "registered_on": "2019-09-11 10:12:00",
        "updated_on": "2025-06-15 15:07:00",
        "type": "LOYALTY",
        "source": "instore",
        "fraud_status": "NONE",
        "reason": "",
        "custom_fields": {"field": [{"name": "age", "value": "46"}]},
        "extended_fields": {"field": [{"name": "gender", "value": "Female"}]},
        "subscriptions": {"subscription": [{"channel": "EMAIL", "priority": "TRANS", "scope": "ALL", "status": "1"}]},
        "side_effects": {
            "effect": [
                {
                    "awarded_points": 25,
                    "type": "points",
                    "total_points": 125,
                    "customer_id": str(customer),
                }
            ]
        },
        "item_status": {
            "success": "true",
            "code": "1000",
            "message": "Customer successfully updated",
            "warnings": {"warning": []},
        },
    }


def test_the_last_tier_has_no_next_one(capillary: CapillaryApi) -> None:
    capillary.org(programs=[{"id": 1016, "name": "base", "tiers": ["only"]}])
    capillary.register(mobile=MOBILE)
    summary = item_of(send(capillary, {"mobile": MOBILE}))["points_summaries"]["points_summary"][0]
    assert (summary["nextSlab"], summary["nextSlabSerialNumber"]) == ("", "-1")


@pytest.mark.parametrize("key", ["id", "mobile", "email", "external_id"])
def test_each_identifier_finds_the_customer(capillary: CapillaryApi, key: str) -> None:
    customer = capillary.register(mobile=MOBILE, email=EMAIL, externalId="X-6")
    value = {"id": str(customer), "mobile": MOBILE, "email": EMAIL, "external_id": "X-6"}[key]
    body = send(capillary, {key: value, "firstname": "Rita"})
    assert item_of(body)["user_id"] == customer
    assert capillary.customer(customer)["profiles"][0]["first_name"] == "Rita"


def test_a_single_object_is_taken_for_a_list_of_one(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    root = {
        "customer": {
            "mobile": MOBILE,
            "custom_fields": {"field": {"name": "age", "value": "46"}},
            "subscriptions": {"subscription": {"priority": "BULK", "channel": "sms", "is_subscribed": 0}},
        }
    }
    item = item_of(capillary.json("POST", "/v1.1/customer/update", json={"root": root})["response"])
    assert item["custom_fields"] == {"field": [{"name": "age", "value": "46"}]}
    assert item["subscriptions"]["subscription"][0]["status"] == "0"


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"mobile": OTHER}, "1012"),
        ({"id": "1"}, "1011"),
        ({"firstname": "Rita"}, "1015"),
        ({"mobile": "", "email": ""}, "1015"),
        ({"mobile": "12"}, "1001"),
        ({"email": "nonsense"}, "1002"),
        ({"external_id": "x" * 251}, "1003"),
        ({"mobile": MOBILE, "type": "NON_LOYALTY"}, "1046"),
        ({"mobile": MOBILE, "registered_on": "11/09/2019"}, "1034"),
        ({"mobile": MOBILE, "registered_on": "2099-01-01 00:00:00"}, "1034"),
    ],
)
def test_an_item_that_fails_is_a_500_inside_an_http_200(
    capillary: CapillaryApi, item: dict[str, Any], code: str
) -> None:
    capillary.register(mobile=MOBILE, firstName="Rita")
    body = send(capillary, {"firstname": "Other", **item} if code != "1015" else item)
    assert body["status"] == {
        "success": "false",
        "code": 500,
        "message": "All requests have failed due to errors",
        "total": "1",
        "success_count": "0",
    }
    assert item_of(body)["item_status"]["success"] == "false"
    assert item_of(body)["item_status"]["code"] == code
    assert capillary.customer(600000001)["profiles"][0]["first_name"] == "Rita"


def test_an_item_of_an_unknown_customer_may_be_an_empty_object(capillary: CapillaryApi) -> None:
    capillary.settings(v11_not_found_item="empty")
    assert send(capillary, {"mobile": OTHER})["customers"]["customer"] == [{}]


def test_update_takes_one_customer_only(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    body = send(capillary, {"mobile": MOBILE}, {"mobile": MOBILE})
    assert body["status"]["code"] == 500
    assert item_of(body)["item_status"]["code"] == "1060"


def test_a_batch_with_one_failure_is_201(capillary: CapillaryApi) -> None:
    body = send(capillary, {"mobile": MOBILE}, {"mobile": "12"}, api="add")
    assert (body["status"]["code"], body["status"]["success"]) == (201, "true")
    assert (body["status"]["total"], body["status"]["success_count"]) == ("2", "1")


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"custom_fields": {"field": [{"name": "unknown", "value": "1"}]}}, "1017"),
        ({"extended_fields": {"field": [{"name": "unknown", "value": "1"}]}}, "91015"),
        ({"registered_till": "nowhere"}, "91020"),
        ({"associated_with": "nowhere"}, "91021"),
        ({"fraud_status": {"status": "PERHAPS"}}, "618"),
        ({"subscriptions": {"subscription": [{"channel": "fax", "priority": "BULK"}]}}, "91022"),
    ],
)
def test_a_part_that_cannot_be_applied_is_a_bare_code_with_its_text_in_the_message(
    capillary: CapillaryApi, change: dict[str, Any], warning: str
) -> None:
    capillary.org(custom_fields=["age"])
    capillary.register(mobile=MOBILE)
    body = send(capillary, {"mobile": MOBILE, **change})
    status = item_of(body)["item_status"]
    assert status["warnings"] == {"warning": [warning]}
    assert status["message"].startswith("Customer successfully updated, ")
    assert status["success"] == "true"


def test_tills_and_fraud_status_are_stored(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    send(
        capillary,
        {
            "mobile": MOBILE,
            "registered_till": "demo.till02",
            "associated_with": "demo.till02",
            "fraud_status": {"status": "CONFIRMED"},
        },
    )
    kept = capillary.customer(customer)
    assert (kept["registered_till"], kept["associated_with"]) == ("demo.till02", "demo.till02")
    assert kept["fraud_status"] == "CONFIRMED"


def test_empty_extended_fields_are_dropped_in_silence(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    field = {"name": "city", "value": ""}
    assert warnings_of(send(capillary, {"mobile": MOBILE, "extended_fields": {"field": [field]}})) == []


def test_non_loyalty_becomes_loyalty(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE, body={"loyaltyInfo": {"loyaltyType": "non_loyalty"}})
    assert item_of(send(capillary, {"mobile": MOBILE, "type": "LOYALTY"}))["type"] == "LOYALTY"
    assert capillary.customer(customer)["loyalty_type"] == "loyalty"


@pytest.mark.parametrize(
    ("flag", "key", "kind", "value"),
    [
        ("allow_email_update", "email", "email", EMAIL),
        ("allow_external_id_update", "external_id", "externalId", "X-9"),
    ],
)
def test_an_empty_secondary_identifier_is_filled_only_where_the_switch_is_on(
    capillary: CapillaryApi, flag: str, key: str, kind: str, value: str
) -> None:
    customer = capillary.register(mobile=MOBILE)
    assert warnings_of(send(capillary, {"mobile": MOBILE, key: value})) == ["91006"]
    capillary.org(**{flag: True})
    assert warnings_of(send(capillary, {"mobile": MOBILE, key: value})) == []
    kept = capillary.customer(customer)["profiles"][0]["identifiers"]
    assert {each["type"]: each["value"] for each in kept} == {"mobile": MOBILE, kind: value}
    assert warnings_of(send(capillary, {"mobile": MOBILE, key: value + "x"})) == ["91006"]


def test_mobile_is_filled_by_its_switch_where_it_is_secondary(capillary: CapillaryApi) -> None:
    capillary.org(primary_identifier="email", allow_mobile_update=True)
    capillary.register(email=EMAIL)
    assert item_of(send(capillary, {"email": EMAIL, "mobile": MOBILE}))["mobile"] == MOBILE


def test_the_primary_identifier_is_never_changed(capillary: CapillaryApi) -> None:
    capillary.org(allow_mobile_update=True)
    capillary.register(mobile=MOBILE, email=EMAIL)
    body = send(capillary, {"mobile": OTHER, "email": EMAIL})
    assert warnings_of(body) == ["91005"]
    assert item_of(body)["mobile"] == MOBILE


def test_two_identifiers_of_two_customers_merge_them_or_warn(capillary: CapillaryApi) -> None:
    first = capillary.register(mobile=MOBILE)
    second = capillary.register(email=EMAIL)
    capillary.org(allow_merge=False)
    assert warnings_of(send(capillary, {"mobile": MOBILE, "email": EMAIL})) == ["91007"]
    capillary.org(allow_merge=True)
    item = item_of(send(capillary, {"mobile": MOBILE, "email": EMAIL}))
    assert (item["user_id"], item["email"]) == (first, EMAIL)
    assert capillary.customer(second)["merged_into"] == first


def test_a_merge_victims_id_leads_to_the_survivor_with_91009(capillary: CapillaryApi) -> None:
    first = capillary.register(mobile=MOBILE)
    second = capillary.register(email=EMAIL)
    send(capillary, {"mobile": MOBILE, "email": EMAIL})
    body = capillary.json("GET", f"/v1.1/customer/get?id={second}&user_id=true")["response"]
    assert item_of(body)["user_id"] == first
    assert warnings_of(body) == ["91009"]


def test_get_returns_several_customers(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    body = capillary.json("GET", f"/v1.1/customer/get?mobile={MOBILE},{OTHER}")["response"]
    assert body["status"]["code"] == 201
    found = [each["item_status"]["code"] for each in body["customers"]["customer"]]
    assert found == ["1000", "1012"]


def test_add_registers_and_updates_who_exists(capillary: CapillaryApi) -> None:
    first = item_of(send(capillary, {"mobile": MOBILE, "firstname": "Rita"}, api="add"))
    assert first["item_status"]["message"] == "Customer registration successful"
    assert first["side_effects"]["effect"][0]["awarded_points"] == 100
    again = item_of(send(capillary, {"mobile": MOBILE, "firstname": "Margarita"}, api="add"))
    assert (again["user_id"], again["firstname"]) == (first["user_id"], "Margarita")
    nobody = send(capillary, {"firstname": "Rita"}, api="add")
    assert item_of(nobody)["item_status"]["code"] == "1007"


def test_a_request_to_change_an_identity_is_filed_and_changes_nothing(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    asked = {"identifier": "mobile", "old_value": MOBILE, "new_value": OTHER}
    body = send(capillary, asked, api="update_identity")
    assert body["status"]["code"] == "200"
    item = body["customers"]["customer"]
    assert (item["updated"], item["item_status"]["code"]) == ("true", "1040")
    state = capillary.raw("GET", "/_sandbox/state/capillary").json()
    assert state["identity_requests"] == [{**asked, "org": "demo", "status": "pending"}]
    assert capillary.customer(customer)["profiles"][0]["identifiers"][0]["value"] == MOBILE


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"identifier": "mobile", "old_value": OTHER, "new_value": MOBILE}, "1041"),
        ({"identifier": "passport", "old_value": "1", "new_value": "2"}, "1042"),
    ],
)
def test_an_identity_request_that_cannot_be_filed(capillary: CapillaryApi, asked: dict[str, str], code: str) -> None:
    body = send(capillary, asked, api="update_identity")
    assert body["status"]["success"] == "false"
    assert body["customers"]["customer"]["item_status"]["code"] == code


@pytest.mark.parametrize(("region", "hour"), [("EMEA", "10:00:00"), ("ASIA1", "10:00:00")])
def test_v11_times_are_the_clusters_own(capillary: CapillaryApi, region: str, hour: str) -> None:
    capillary.settings(region=region)
    customer = capillary.register(mobile=MOBILE)
    item = item_of(send(capillary, {"mobile": MOBILE, "registered_on": f"2024-05-01 {hour}+02:00"}))
    assert item["registered_on"] == f"2024-05-01 {hour}"
    utc = {"EMEA": 1714557600.0, "ASIA1": 1714537800.0}[region]
    assert capillary.customer(customer)["registered_at"] == utc


@pytest.mark.parametrize("customers", [1, 2])
def test_xml_goes_in_and_out_without_wrappers(capillary: CapillaryApi, customers: int) -> None:
    mobiles = [MOBILE, OTHER][:customers]
    items = "".join(f"<customer><mobile>{each}</mobile><firstname>Rita</firstname></customer>" for each in mobiles)
    response = capillary.call(
        "POST",
        "/v1.1/customer/add",
        content=f"<root>{items}</root>".encode(),
        headers={"Content-Type": "application/xml"},
    )
    assert response.headers["content-type"].startswith("application/xml")
    root = ET.fromstring(response.text)  # noqa: S314 - the sandbox's own answer
    assert root.tag == "response"
    assert [each.text for each in root.findall("customers/customer/mobile")] == mobiles
    assert root.findtext("status/code") == "200"
    assert root.find(".//element") is None


def test_format_overrides_content_type_and_accept(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    json_body = {"root": {"customer": [{"mobile": MOBILE}]}}
    xml = capillary.call("POST", "/v1.1/customer/update?format=xml", json=json_body)
    assert xml.text.startswith("<?xml")
    accepted = capillary.call("POST", "/v1.1/customer/update", json=json_body, headers={"Accept": "application/xml"})
    assert accepted.text.startswith("<?xml")
    content = f"<root><customer><mobile>{MOBILE}</mobile></customer></root>".encode()
    back = capillary.call(
        "POST",
        "/v1.1/customer/update?format=json",
        content=content,
        headers={"Content-Type": "application/xml"},
    )
    assert item_of(back.json()["response"])["mobile"] == MOBILE


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"<root>", "application/xml", 400),
        (b"<!DOCTYPE x><root/>", "application/xml", 400),
        (b"<root/>", "application/xml", 400),
        (b"x", "text/plain", 415),
    ],
)
def test_bodies_that_cannot_be_read_are_refused_as_a_whole(
    capillary: CapillaryApi, content: bytes, kind: str, status: int
) -> None:
    response = capillary.call(
        "POST", "/v1.1/customer/update?format=json", content=content, headers={"Content-Type": kind}
    )
    assert response.status_code == status
    assert response.json()["response"]["status"]["success"] == "false"


def test_a_body_without_customers_is_400(capillary: CapillaryApi) -> None:
    bodies: list[Any] = [{}, {"root": {}}, {"root": {"customer": []}}, []]
    for body in bodies:
        assert capillary.call("POST", "/v1.1/customer/update", json=body).status_code == 400


def test_two_updates_of_one_customer_at_once_are_521_for_the_second(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    capillary.settings(write_ms=30)
    body = {"root": {"customer": [{"mobile": MOBILE}]}}

    async def both() -> list[httpx.Response]:
        async with capillary.client() as client:
            path = "/capillary/v1.1/customer/update"
            return await asyncio.gather(*(client.post(path, json=body, headers=basic()) for _ in range(2)))

    found = sorted(item_of(answer.json()["response"])["item_status"]["code"] for answer in asyncio.run(both()))
    assert found == ["1000", "521"]


def test_a_customer_of_another_source_is_found_by_v11(capillary: CapillaryApi) -> None:
    customer = capillary.json("POST", "/v2/customers", json=registration("WEBSITE", mobile=MOBILE))
    item = item_of(send(capillary, {"mobile": MOBILE, "firstname": "Rita"}))
    assert (item["user_id"], item["source"]) == (customer["createdId"], "website")


def test_user_context_is_kept_with_a_v11_write(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    capillary.call(
        "POST",
        "/v1.1/customer/update",
        json={"root": {"customer": [{"mobile": MOBILE}]}},
        headers={"USER-CONTEXT-ENTITY-ID": "relay"},
    )
    assert capillary.customer(customer)["audit"][-1]["userContext"] == {"entityId": "relay"}
