"""Capillary sandbox: PUT /v2/customers, lookups, reads, identifier changes and merges."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sandbox.capillary_client import CapillaryApi, basic, codes, registration

MOBILE = "447700900001"
OTHER = "447700900002"
EMAIL = "rita@example.com"


def put(capillary: CapillaryApi, customer: int, body: dict[str, Any], query: str = "") -> dict[str, Any]:
    return capillary.json("PUT", f"/v2/customers/{customer}?source=INSTORE{query}", json=body)


def lookup(capillary: CapillaryApi, query: str) -> dict[str, Any]:
    return capillary.json("GET", f"/v2/customers/lookup?{query}")


def change(capillary: CapillaryApi, customer: int, source: str = "INSTORE", **body: Any) -> dict[str, Any]:
    return capillary.json("POST", f"/v2/customers/{customer}/changeIdentifier?source={source}", json=body)


def merged(capillary: CapillaryApi) -> tuple[int, int]:
    """Return survivor and victim of a merge."""
    older = capillary.register(mobile=MOBILE)
    newer = capillary.register("WEBSITE", email=EMAIL)
    answer = change(capillary, newer, "WEBSITE", add=[{"type": "mobile", "value": MOBILE}])
    assert answer["createdId"] == older
    return older, newer


def test_an_update_changes_what_is_sent_and_leaves_the_rest(capillary: CapillaryApi) -> None:
    customer = capillary.register(
        mobile=MOBILE,
        firstName="Rita",
        lastName="Ames",
        fields={"age": "46"},
        body={"extendedFields": {"gender": "Female", "city": "Leeds"}},
    )
    body = {
        "profiles": [{"lastName": "Bell", "fields": {"employee": "true"}}],
        "extendedFields": {"city": "York"},
    }
    answer = put(capillary, customer, body)
    assert (answer["createdId"], answer["warnings"]) == (customer, [])
    kept = capillary.customer(customer)
    profile = kept["profiles"][0]
    assert (profile["first_name"], profile["last_name"]) == ("Rita", "Bell")
    assert profile["fields"] == {"age": "46", "employee": "true"}
    assert kept["extended_fields"] == {"gender": "Female", "city": "York"}


def test_points_for_an_update_are_given_once_per_rule_and_customer(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    first = put(capillary, customer, {"profiles": [{"firstName": "Rita"}]})
    second = put(capillary, customer, {"profiles": [{"firstName": "Rita"}]})
    assert [each["awardedPoints"] for each in first["sideEffects"]] == [25]
    assert second["sideEffects"] == []
    assert capillary.customer(customer)["points"] == 125


def test_use_async_hides_side_effects_that_happen_all_the_same(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    assert "sideEffects" not in put(capillary, customer, {}, "&use_async=true")
    assert capillary.customer(customer)["points"] == 125
    capillary.settings(async_side_effects="empty")
    assert put(capillary, customer, {}, "&use_async=true")["sideEffects"] == []
    assert put(capillary, customer, {}, "&use_async=false")["sideEffects"] == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, 400),
        ("source=SHOP", 400, 3217),
        ("source=TMALL", 400, 3217),
        ("source=LINE", 400, 8045),
        ("source=LINE&accountId=nobody", 400, 3217),
        ("source=WEBSITE", 400, 8065),
    ],
)
def test_an_update_in_a_source_that_does_not_fit_names_its_code(
    capillary: CapillaryApi, query: str, status: int, code: int
) -> None:
    customer = capillary.register(mobile=MOBILE, firstName="Rita")
    body = {"profiles": [{"firstName": "Other"}]}
    response = capillary.call("PUT", f"/v2/customers/{customer}?{query}", json=body)
    assert (response.status_code, codes(response.json(), "errors")) == (status, [code])
    assert capillary.customer(customer)["profiles"][0]["first_name"] == "Rita"


@pytest.mark.parametrize("customer", ["1", "nobody", "600000009"])
def test_an_unknown_customer_is_8015(capillary: CapillaryApi, customer: str) -> None:
    answer = capillary.json("PUT", f"/v2/customers/{customer}?source=INSTORE", json={})
    assert codes(answer, "errors") == [8015]


def test_loyalty_cannot_be_left_and_can_be_joined(capillary: CapillaryApi) -> None:
    loyal = capillary.register(mobile=MOBILE, firstName="Rita")
    body = {"profiles": [{"firstName": "Other"}], "loyaltyInfo": {"loyaltyType": "non_loyalty"}}
    assert codes(put(capillary, loyal, body), "errors") == [8018]
    assert capillary.customer(loyal)["profiles"][0]["first_name"] == "Rita"
    other = capillary.register(mobile=OTHER, body={"loyaltyInfo": {"loyaltyType": "non_loyalty"}})
    capillary.org(rules=[{"name": "joined", "on": "convert", "type": "points", "value": 5}])
    answer = put(capillary, other, {"loyaltyInfo": {"loyaltyType": "loyalty"}})
    assert [each["awardedPoints"] for each in answer["sideEffects"]] == [5]
    assert capillary.customer(other)["loyalty_type"] == "loyalty"


def test_a_programme_is_joined_once(capillary: CapillaryApi) -> None:
    capillary.org(rules=[])
    customer = capillary.register(mobile=MOBILE)
    body = {"loyaltyProgramEnrollments": [{"programId": 699, "tierNumber": 1, "loyaltyPoints": 40}]}
    assert len(put(capillary, customer, body)["sideEffects"]) == 1
    body["loyaltyProgramEnrollments"][0]["tierNumber"] = 2
    assert put(capillary, customer, body)["sideEffects"] == []
    assert capillary.customer(customer)["points"] == 40
    assert capillary.customer(customer)["enrolments"]["699"]["tier_number"] == 1


def test_a_channel_is_replaced_by_type_and_identifiers_stay(capillary: CapillaryApi) -> None:
    channel = {"type": "email", "value": EMAIL, "primary": "true", "subscribed": True}
    customer = capillary.register(email=EMAIL, mobile=MOBILE, commChannels=[channel])
    new = {"type": "email", "value": "new@example.com", "primary": "true", "verified": "false"}
    body = {
        "profiles": [
            {
                "commChannels": [new],
                "identifiers": [{"type": "email", "value": "new@example.com"}],
            }
        ]
    }
    assert put(capillary, customer, body)["warnings"] == []
    profile = capillary.customer(customer)["profiles"][0]
    assert [each["value"] for each in profile["channels"]] == ["new@example.com"]
    assert {each["value"] for each in profile["identifiers"]} == {EMAIL, MOBILE}


def test_identifiers_in_an_update_are_refused_in_strict_mode(capillary: CapillaryApi) -> None:
    capillary.settings(put_identifiers="strict")
    customer = capillary.register(mobile=MOBILE)
    capillary.register(mobile=OTHER)
    for value, code in ((OTHER, 8007), ("447700900009", 8008)):
        body = {"profiles": [{"identifiers": [{"type": "mobile", "value": value}]}]}
        assert codes(put(capillary, customer, body), "errors") == [code]
    body = {"profiles": [{"identifiers": [{"type": "mobile", "value": MOBILE}]}]}
    assert "createdId" in put(capillary, customer, body)


def test_instore_channels_need_dual_eligibility_where_the_organisation_enables_it(
    capillary: CapillaryApi,
) -> None:
    capillary.org(instore_channels_editable=False)
    customer = capillary.register(mobile=MOBILE)
    body = {"profiles": [{"commChannels": [{"type": "email", "value": EMAIL}]}]}
    put(capillary, customer, body)
    assert capillary.customer(customer)["profiles"][0]["channels"] == []
    capillary.org(dual_eligibility=True)
    put(capillary, customer, body)
    assert capillary.customer(customer)["profiles"][0]["channels"][0]["value"] == EMAIL


def test_an_update_by_identifier_finds_the_customer(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    path = "/v2/customers/lookup?source=INSTORE&identifierName=mobile&identifierValue="
    body = {"profiles": [{"firstName": "Rita"}]}
    assert capillary.json("PUT", path + MOBILE, json=body)["createdId"] == customer
    assert capillary.customer(customer)["profiles"][0]["first_name"] == "Rita"
    missing = capillary.call("PUT", path + OTHER, json=body)
    assert (missing.status_code, codes(missing.json(), "errors")) == (400, [8015])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("identifierName=mobile&identifierValue=447700900001", 8003),
        ("source=SHOP&identifierName=mobile&identifierValue=447700900001", 8003),
        ("source=LINE&identifierName=mobile&identifierValue=447700900001", 8045),
        ("source=LINE&accountId=nobody&identifierName=mobile&identifierValue=447700900001", 8011),
        ("source=INSTORE&identifierName=passport&identifierValue=447700900001", 8013),
        ("source=INSTORE&identifierName=mobile,email&identifierValue=447700900001,a", 8013),
        ("source=INSTORE&identifierName=mobile&identifierValue=447700900009", 8015),
        ("source=WEBSITE&identifierName=mobile&identifierValue=447700900001", 8065),
    ],
)
def test_a_lookup_that_fails_names_its_code(capillary: CapillaryApi, query: str, code: int) -> None:
    capillary.register(mobile=MOBILE)
    response = capillary.call("GET", f"/v2/customers/lookup?{query}")
    assert (response.status_code, codes(response.json(), "errors")) == (200, [code])


def test_a_lookup_finds_in_its_source_and_in_all(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    query = f"identifierName=mobile&identifierValue=%2B{MOBILE}"
    assert lookup(capillary, f"source=INSTORE&{query}") == {"entity": customer, "warnings": []}
    assert lookup(capillary, f"source=ALL&{query}") == {"entity": customer, "warnings": []}


def test_multi_account_sources_keep_their_accounts_apart(capillary: CapillaryApi) -> None:
    capillary.org(sources={"INSTORE": [], "LINE": ["line-1", "line-2"]})
    first = capillary.register("LINE", line="U1", accountId="line-1")
    second = capillary.json("POST", "/v2/customers", json=registration("LINE", line="U1", accountId="line-2"))
    assert (second["createdId"], codes(second)) == (first, [8050])
    accounts = [each["account_id"] for each in capillary.customer(first)["profiles"]]
    assert accounts == ["line-1", "line-2"]
    body = {"profiles": [{"firstName": "Rita"}]}
    path = f"/v2/customers/{first}?source=LINE&accountId=line-2"
    assert "createdId" in capillary.json("PUT", path, json=body)
    names = [each["first_name"] for each in capillary.customer(first)["profiles"]]
    assert names == ["", "Rita"]


def test_dual_eligibility_finds_no_customer_without_the_primary_identifier(capillary: CapillaryApi) -> None:
    capillary.org(dual_eligibility=True)
    customer = capillary.register(mobile=MOBILE, email=EMAIL)
    capillary.register(mobile=OTHER, email="other@example.com")
    alone = lookup(capillary, f"source=INSTORE&identifierName=email&identifierValue={EMAIL}")
    assert codes(alone, "errors") == [8015]
    both = f"source=INSTORE&identifierName=mobile,email&identifierValue={MOBILE},{EMAIL}"
    assert lookup(capillary, both)["entity"] == customer
    crossed = f"source=INSTORE&identifierName=mobile,email&identifierValue={OTHER},{EMAIL}"
    assert codes(lookup(capillary, crossed), "errors") == [8015]


def test_customer_details_have_the_documented_keys(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE, firstName="Rita", body={"extendedFields": {"city": "Leeds"}})
    query = f"source=INSTORE&identifierName=mobile&identifierValue={MOBILE}&embed=points,customerstatus"
    view = capillary.json("GET", f"/v2/customers/lookup/customerDetails?{query}")
    assert view["id"] == customer
    profile = view["profiles"][0]
    assert set(profile) >= {
        "firstName",
        "lastName",
        "attribution",
        "fields",
        "allFields",
        "identifiers",
        "commChannels",
        "source",
        "userId",
        "accountId",
        "conflictingProfileList",
        "autoUpdateTime",
        "identifiersAll",
    }
    assert (profile["accountId"], profile["source"]) == ("", "INSTORE")
    assert profile["identifiers"] == [{"type": "mobile", "value": MOBILE}]
    assert view["loyaltyInfo"]["loyaltyType"] == "loyalty"
    assert view["extendedFields"] == {"city": "Leeds"}
    assert view["points"] == 100
    assert view["customerStatus"] == {"label": None}
    plain = capillary.json("GET", f"/v2/customers/{customer}?source=INSTORE")
    assert "points" not in plain
    assert "customerStatus" not in plain


def test_a_read_needs_a_source_of_the_customer(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    path = f"/v2/customers/{customer}"
    assert codes(capillary.json("GET", path), "errors") == [8016]
    assert codes(capillary.json("GET", f"{path}?source=SHOP"), "errors") == [8012]
    assert codes(capillary.json("GET", f"{path}?source=WEBSITE"), "errors") == [8065]
    assert capillary.json("GET", f"{path}?source=ALL")["id"] == customer


@pytest.mark.parametrize(("region", "text"), [("EMEA", "2025-06-15T15:07:00Z"), ("ASIA1", "2025-06-15T20:37:00+05:30")])
def test_v2_times_are_in_the_clusters_zone(capillary: CapillaryApi, region: str, text: str) -> None:
    capillary.settings(region=region)
    customer = capillary.register(mobile=MOBILE)
    view = capillary.json("GET", f"/v2/customers/{customer}?source=INSTORE")
    assert view["profiles"][0]["attribution"]["createDate"] == text


def test_extended_fields_of_the_organisation_are_listed(capillary: CapillaryApi) -> None:
    answer = capillary.json("GET", "/v2/extendedFields")
    assert (answer["warnings"], answer["errors"], answer["success"]) == ([], [], True)
    fields = {each["name"]: each["dataType"] for each in answer["entity"]["CUSTOMER"]}
    assert fields["gender"] == "STANDARD_ENUM"
    assert fields["city"] == "STRING"


def test_identifiers_are_added_and_removed(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE, email=EMAIL)
    answer = change(
        capillary,
        customer,
        add=[{"type": "email", "value": "new@example.com"}],
        remove=[{"type": "email", "value": EMAIL}],
    )
    assert answer == {"createdId": customer, "warnings": []}
    assert (
        lookup(capillary, "source=INSTORE&identifierName=email&identifierValue=new@example.com")["entity"] == customer
    )
    assert "createdId" in capillary.json("POST", "/v2/customers", json=registration(email=EMAIL))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"add": [{"type": "mobile", "value": MOBILE}]}, 8071),
        ({"add": [{"type": "email", "value": EMAIL}]}, 8072),
        ({"add": [{"type": "externalId", "value": "X-1"}]}, 8073),
        ({"add": [{"type": "passport", "value": "1"}]}, 8074),
        ({"add": [{"type": "mobile", "value": "1"}]}, 8056),
        ({"add": [{"type": "email", "value": "x"}]}, 8055),
        ({"remove": [{"type": "mobile", "value": OTHER}]}, 8075),
    ],
)
def test_an_identifier_change_without_effect_is_a_warning(
    capillary: CapillaryApi, body: dict[str, Any], expected: int
) -> None:
    customer = capillary.register(mobile=MOBILE, email=EMAIL, externalId="X-1")
    assert codes(change(capillary, customer, **body)) == [expected]


def test_identifier_changes_that_fail_name_their_code(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    capillary.register(mobile=OTHER)
    assert codes(change(capillary, customer), "errors") == [8070]
    taken = [{"type": "mobile", "value": OTHER}]
    assert codes(change(capillary, customer, add=taken), "errors") == [8007]
    assert codes(change(capillary, customer, "LINE", add=taken), "errors") == [8045]
    assert codes(change(capillary, customer, "WEBSITE", add=taken), "errors") == [8065]
    assert codes(change(capillary, 1, add=taken), "errors") == [8015]
    capillary.register("WEBSITE", email=EMAIL)
    capillary.org(allow_merge=False)
    elsewhere = [{"type": "email", "value": EMAIL}]
    assert codes(change(capillary, customer, add=elsewhere), "errors") == [8053]


def test_two_profiles_in_one_source_cannot_be_merged(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    other = capillary.register(mobile=OTHER)
    capillary.json("POST", "/v2/customers", json=registration("WEBSITE", mobile=OTHER, email=EMAIL))
    answer = change(capillary, customer, add=[{"type": "email", "value": EMAIL}])
    assert codes(answer, "errors") == [8066]
    assert capillary.customer(other)["merged_into"] is None


def test_an_identifier_held_in_another_source_merges_into_the_older_customer(capillary: CapillaryApi) -> None:
    older = capillary.register(mobile=MOBILE, firstName="Rita")
    newer = capillary.register("WEBSITE", email=EMAIL)
    answer = change(capillary, newer, "WEBSITE", add=[{"type": "mobile", "value": MOBILE}])
    assert answer["createdId"] == older
    assert answer["warnings"] == [{"status": False, "code": 8051, "message": f"Merging with customer {older}"}]
    survivor = capillary.customer(older)
    assert [each["source"] for each in survivor["profiles"]] == ["INSTORE", "WEBSITE"]
    assert survivor["points"] == 200
    assert survivor["victims"] == [newer]
    assert lookup(capillary, f"source=WEBSITE&identifierName=email&identifierValue={EMAIL}")["entity"] == older


def test_a_merged_customer_gives_8069_or_its_survivor_by_switch(capillary: CapillaryApi) -> None:
    older, newer = merged(capillary)
    assert codes(put(capillary, newer, {}), "errors") == [8069]
    assert codes(capillary.json("GET", f"/v2/customers/{newer}?source=INSTORE"), "errors") == [8069]
    capillary.settings(merged_customer="survivor")
    assert put(capillary, newer, {})["createdId"] == older


def test_two_updates_of_one_customer_at_once_are_521_for_the_second(capillary: CapillaryApi) -> None:
    first, second = capillary.register(mobile=MOBILE), capillary.register(mobile=OTHER)
    capillary.settings(write_ms=30)

    async def together(*customers: int) -> list[dict[str, Any]]:
        async with capillary.client() as client:
            calls = [
                client.put(f"/capillary/v2/customers/{each}?source=INSTORE", json={}, headers=basic())
                for each in customers
            ]
            return [response.json() for response in await asyncio.gather(*calls)]

    assert sorted(codes(answer, "errors") for answer in asyncio.run(together(first, first))) == [[], [521]]
    assert [codes(answer, "errors") for answer in asyncio.run(together(first, second))] == [[], []]


def test_reset_forgets_customers_and_puts_the_switches_back(capillary: CapillaryApi) -> None:
    capillary.register(mobile=MOBILE)
    capillary.settings(status_mode="all_200", orgs={"demo": {"dual_eligibility": True}})
    assert capillary.raw("POST", "/_sandbox/reset", json={"keep_settings": True}).status_code == 204
    assert capillary.raw("GET", "/_sandbox/settings/capillary").json()["status_mode"] == "all_200"
    assert capillary.register(mobile=MOBILE) == 600000001
    assert capillary.raw("POST", "/_sandbox/reset").status_code == 204
    settings = capillary.raw("GET", "/_sandbox/settings/capillary").json()
    assert settings["status_mode"] == "documented"
    assert settings["orgs"]["demo"]["dual_eligibility"] is False
    customer = capillary.register(mobile=MOBILE, email=EMAIL)
    by_email = f"source=INSTORE&identifierName=email&identifierValue={EMAIL}"
    assert lookup(capillary, by_email)["entity"] == customer
    capillary.raw("POST", "/_sandbox/reset")
    assert capillary.raw("GET", "/_sandbox/state/capillary").json()["customers"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status_mode": "sometimes"}, "status_mode"),
        ({"region": "MOON"}, "region"),
        ({"write_ms": "long"}, "write_ms"),
        ({"colour": 1}, "colour"),
        ({"orgs": {"demo": {"colour": 1}}}, "orgs.demo.colour"),
        ({"orgs": {"demo": {"sources": {"SHOP": []}}}}, "orgs.demo.sources.SHOP"),
        ({"orgs": {"demo": {"tills": [{"password_md5": "x"}]}}}, "orgs.demo"),
        ({"orgs": []}, "orgs"),
    ],
)
def test_a_setting_that_cannot_be_is_a_422_that_names_it_and_changes_nothing(
    capillary: CapillaryApi, changes: dict[str, Any], field: str
) -> None:
    before = capillary.raw("GET", "/_sandbox/settings/capillary").json()
    answer = capillary.raw("PUT", "/_sandbox/settings/capillary", json={"write_ms": 5, **changes})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert capillary.raw("GET", "/_sandbox/settings/capillary").json() == before


def test_an_organisation_can_be_taken_away(capillary: CapillaryApi) -> None:
    capillary.settings(orgs={"demo": None})
    assert capillary.call("GET", "/v2/extendedFields").status_code == 401


def test_a_channel_that_is_sent_again_keeps_its_subscription(capillary: CapillaryApi) -> None:
    channel = {"type": "email", "value": EMAIL, "subscribed": True, "meta": {"office": True}}
    customer = capillary.register(mobile=MOBILE, commChannels=[channel])

    def channels_after(value: str) -> list[dict[str, Any]]:
        put(capillary, customer, {"profiles": [{"commChannels": [{"type": "email", "value": value}]}]})
        channels: list[dict[str, Any]] = capillary.customer(customer)["profiles"][0]["channels"]
        return channels

    kept = channels_after(EMAIL)[0]
    assert (kept["subscribed"], kept["meta"]) == (True, {"office": True})
    new = channels_after("new@example.com")[0]
    assert (new["subscribed"], new["meta"]) == (None, {})


def test_every_write_leaves_an_audit_entry(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile=MOBILE)
    put(capillary, customer, {})
    change(capillary, customer, add=[{"type": "externalId", "value": "X-1"}])
    capillary.json("POST", "/v2/customers", json=registration("WEBSITE", mobile=MOBILE))
    actions = [entry["action"] for entry in capillary.customer(customer)["audit"]]
    assert actions == ["register", "update", "change_identifier", "combine"]


def test_a_merge_moves_what_the_survivor_lacks(capillary: CapillaryApi) -> None:
    capillary.org(rules=[{"name": "hello", "on": "register", "type": "coupon"}])
    enrolled = {"loyaltyProgramEnrollments": [{"programId": 469, "tierNumber": 1, "loyaltyPoints": 10}]}
    older = capillary.register(
        mobile=MOBILE, firstName="Rita", fields={"a": "1"}, body={"extendedFields": {"city": "Leeds"}}
    )
    newer = capillary.register(
        email=EMAIL,
        externalId="X-1",
        firstName="Margarita",
        lastName="Ames",
        fields={"a": "2", "b": "2"},
        commChannels=[{"type": "email", "value": EMAIL}],
        body={**enrolled, "extendedFields": {"city": "York", "area": "North"}},
    )
    item = {"mobile": MOBILE, "email": EMAIL}
    capillary.json("POST", "/v1.1/customer/update", json={"root": {"customer": [item]}})
    kept, victim = capillary.customer(older), capillary.customer(newer)
    profile = kept["profiles"][0]
    assert (profile["first_name"], profile["last_name"]) == ("Rita", "Ames")
    assert profile["fields"] == {"a": "1", "b": "2"}
    assert kept["extended_fields"] == {"city": "Leeds", "area": "North"}
    assert [each["value"] for each in profile["identifiers"]] == [MOBILE, EMAIL, "X-1"]
    assert [each["value"] for each in profile["channels"]] == [EMAIL]
    assert (list(kept["enrolments"]), kept["points"], len(kept["coupons"])) == (["469"], 10, 2)
    assert kept["rules_done"] == ["hello"]
    assert (victim["profiles"], victim["points"], victim["merged_into"]) == ([], 0, older)
    found = lookup(capillary, "source=INSTORE&identifierName=externalId&identifierValue=X-1")
    assert found["entity"] == older
