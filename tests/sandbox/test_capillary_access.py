"""Capillary sandbox: credentials, tokens, access, rate limits, envelopes of refusal."""

from __future__ import annotations

import pytest

from tests.sandbox.capillary_client import CapillaryApi, basic, codes, registration

UPDATE_ITEM = {"root": {"customer": [{"mobile": "447700900001", "firstname": "Rita"}]}}


def token_of(capillary: CapillaryApi, key: str = "fake-client-key", secret: str = "fake-client-secret") -> str:
    answer = capillary.raw("POST", "/capillary/v3/oauth/token/generate", json={"key": key, "secret": secret})
    token: str = answer.json()["data"]["accessToken"]
    return token


def test_a_token_has_the_documented_shape_and_opens_the_api(capillary: CapillaryApi) -> None:
    answer = capillary.raw(
        "POST",
        "/capillary/v3/oauth/token/generate",
        json={"key": "fake-client-key", "secret": "fake-client-secret"},
    ).json()
    assert set(answer) == {"data", "errors"}
    assert answer["errors"] is None
    assert answer["data"]["ttlSeconds"] == 3600
    headers = {"X-CAP-API-OAUTH-TOKEN": answer["data"]["accessToken"]}
    assert capillary.call("GET", "/v2/extendedFields", headers=headers).status_code == 200


def test_wrong_client_secret_is_a_401_with_320001(capillary: CapillaryApi) -> None:
    answer = capillary.raw(
        "POST", "/capillary/v3/oauth/token/generate", json={"key": "fake-client-key", "secret": "other"}
    )
    assert answer.status_code == 401
    assert answer.json() == {
        "data": None,
        "errors": [{"code": 320001, "message": "Invalid client key and secret"}],
    }


def test_older_tokens_stay_valid_until_they_expire(capillary: CapillaryApi) -> None:
    first = token_of(capillary)
    second = token_of(capillary)
    assert first != second
    for token in (first, second):
        answer = capillary.call("GET", "/v2/extendedFields", headers={"X-CAP-API-OAUTH-TOKEN": token})
        assert answer.status_code == 200


@pytest.mark.parametrize(("mode", "status"), [(401, 401), (498, 498)])
def test_an_expired_token_gets_498_in_the_v2_body(capillary: CapillaryApi, mode: int, status: int) -> None:
    capillary.settings(token_ttl_seconds=300, expired_token_status=mode)
    token = token_of(capillary)
    capillary.clock.now += 300
    answer = capillary.call("GET", "/v2/extendedFields", headers={"X-CAP-API-OAUTH-TOKEN": token})
    assert answer.status_code == status
    assert codes(answer.json(), "errors") == [498]
    assert answer.json()["errors"][0]["message"] == "Token expired at 2025-06-15T15:12:00.000+0000"


def test_an_expired_token_has_success_true_in_the_v11_body(capillary: CapillaryApi) -> None:
    token = token_of(capillary)
    capillary.clock.now += 3600
    answer = capillary.call("POST", "/v1.1/customer/update", headers={"X-CAP-API-OAUTH-TOKEN": token}, json=UPDATE_ITEM)
    assert answer.status_code == 401
    assert answer.json()["response"]["status"]["success"] == "true"
    assert answer.json()["response"]["status"]["code"] == "498"


@pytest.mark.parametrize(
    "headers",
    [
        basic(password="other"),
        basic("demo.unknown"),
        {"Authorization": "Basic not-base64"},
        {"Authorization": "Bearer x"},
        {"X-CAP-API-OAUTH-TOKEN": "unknown"},
    ],
)
def test_unknown_credentials_are_401_in_both_envelopes(capillary: CapillaryApi, headers: dict[str, str]) -> None:
    v2 = capillary.call("POST", "/v2/customers", headers=headers, json=registration(mobile="447700900001"))
    assert v2.status_code == 401
    assert codes(v2.json(), "errors") == [401]
    v11 = capillary.call("POST", "/v1.1/customer/update", headers=headers, json=UPDATE_ITEM)
    assert v11.status_code == 401
    assert v11.json() == {
        "response": {
            "status": {"success": "true", "code": "401", "message": "Unauthorized"},
            "customers": None,
        }
    }
    assert capillary.raw("GET", "/_sandbox/state/capillary").json()["customers"] == []


def test_clear_text_password_is_not_accepted(capillary: CapillaryApi) -> None:
    import base64

    pair = base64.b64encode(b"demo.till01:fake-till-password").decode()
    answer = capillary.call("GET", "/v2/extendedFields", headers={"Authorization": f"Basic {pair}"})
    assert answer.status_code == 401


def test_a_till_without_write_access_reads_and_is_denied_writing(capillary: CapillaryApi) -> None:
    headers = basic("demo.readonly")
    assert capillary.call("GET", "/v2/extendedFields", headers=headers).status_code == 200
    denied = capillary.call("POST", "/v2/customers", headers=headers, json=registration(mobile="447700900001"))
    assert denied.status_code == 403
    assert codes(denied.json(), "errors") == [4000]
    assert capillary.raw("GET", "/_sandbox/state/capillary").json()["customers"] == []


def test_a_client_without_write_access_gets_number_and_boolean_on_v11(capillary: CapillaryApi) -> None:
    token = token_of(capillary, "fake-readonly-key", "fake-readonly-secret")
    answer = capillary.call("POST", "/v1.1/customer/update", headers={"X-CAP-API-OAUTH-TOKEN": token}, json=UPDATE_ITEM)
    assert answer.status_code == 403
    status = answer.json()["response"]["status"]
    assert (status["code"], status["success"], status["warnings"]) == (403, False, {"warning": []})


def test_a_dead_authorisation_service_is_503_with_4001(capillary: CapillaryApi) -> None:
    capillary.settings(authorization_service_down=True)
    answer = capillary.call("GET", "/v2/extendedFields")
    assert answer.status_code == 503
    assert codes(answer.json(), "errors") == [4001]


def test_basic_authentication_can_be_switched_off(capillary: CapillaryApi) -> None:
    capillary.org(basic_enabled=False)
    assert capillary.call("GET", "/v2/extendedFields").status_code == 401


def test_v2_can_be_switched_off_for_an_organisation(capillary: CapillaryApi) -> None:
    capillary.org(v2_enabled=False)
    assert capillary.call("GET", "/v2/extendedFields").status_code == 403


def test_two_organisations_do_not_see_each_other(capillary: CapillaryApi) -> None:
    from devkit.sandbox.capillary.config import md5_hex

    till = {"code": "other.till01", "password_md5": md5_hex("fake-other-password")}
    capillary.settings(orgs={"other": {"org_id": 100002, "tills": [till]}})
    first = capillary.register(mobile="447700900001")
    headers = basic("other.till01", "fake-other-password")
    answer = capillary.json("POST", "/v2/customers", headers=headers, json=registration(mobile="447700900001"))
    assert answer["createdId"] != first
    assert codes(capillary.json("GET", f"/v2/customers/{first}?source=INSTORE", headers=headers), "errors") == [8015]


def test_attribution_headers_move_a_write_of_an_oauth_caller_to_another_till(
    capillary: CapillaryApi,
) -> None:
    headers = {
        "X-CAP-API-OAUTH-TOKEN": token_of(capillary),
        "X-CAP-API-ATTRIBUTION-ENTITY-TYPE": "TILL",
        "X-CAP-API-ATTRIBUTION-ENTITY-CODE": "demo.till02",
    }
    answer = capillary.json("POST", "/v2/customers", headers=headers, json=registration(mobile="447700900001"))
    assert capillary.customer(answer["createdId"])["registered_till"] == "demo.till02"
    headers["X-CAP-API-ATTRIBUTION-ENTITY-TYPE"] = "STORE_EXTERNAL_ID"
    headers["X-CAP-API-ATTRIBUTION-ENTITY-CODE"] = "S-01"
    answer = capillary.json("POST", "/v2/customers", headers=headers, json=registration(mobile="447700900002"))
    assert capillary.customer(answer["createdId"])["registered_till"] == "demo.till01"


def test_an_invalid_attribution_till_is_91021_unless_the_client_falls_back(capillary: CapillaryApi) -> None:
    client = {"key": "fake-strict-key", "secret": "fake-strict-secret", "till": "demo.till01"}
    capillary.org(clients=[{**client, "use_default_till": False}])
    headers = {
        "X-CAP-API-OAUTH-TOKEN": token_of(capillary, "fake-strict-key", "fake-strict-secret"),
        "X-CAP-API-ATTRIBUTION-ENTITY-CODE": "demo.nowhere",
    }
    body = registration(mobile="447700900001")
    assert codes(capillary.json("POST", "/v2/customers", headers=headers, json=body), "errors") == [91021]
    capillary.org(clients=[{**client, "use_default_till": True}])
    assert "createdId" in capillary.json("POST", "/v2/customers", headers=headers, json=body)


def test_half_a_lookup_header_pair_is_1061_and_a_bad_type_400(capillary: CapillaryApi) -> None:
    alone = capillary.call("GET", "/v2/extendedFields", headers={"X-CAP-API-ATTRIBUTION-LOOKUP": "x"})
    assert (alone.status_code, codes(alone.json(), "errors")) == (400, [1061])
    bad = capillary.call("GET", "/v2/extendedFields", headers={"X-CAP-API-ATTRIBUTION-LOOKUP-TYPE": "x"})
    assert (bad.status_code, codes(bad.json(), "errors")) == (400, [400])
    tolerated = {"X-CAP-API-ATTRIBUTION-LOOKUP-TYPE": "WECHAT"}
    assert capillary.call("GET", "/v2/extendedFields", headers=tolerated).status_code == 200


def test_every_answer_has_a_request_id_of_its_own(capillary: CapillaryApi) -> None:
    ids = {
        capillary.call("GET", path).headers["X-Cap-Requestid"]
        for path in ("/v2/extendedFields", "/v2/customers/1?source=INSTORE", "/v2/nothing")
    }
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("region", "put_limit", "post_limit"),
    [("EMEA", 50, 100), ("ASIA1", 600, 600), ("ASIA2", 1000, 100), ("US", None, None)],
)
def test_limits_default_to_the_published_ones_of_the_region(
    capillary: CapillaryApi, region: str, put_limit: int | None, post_limit: int | None
) -> None:
    capillary.settings(region=region)
    assert capillary.vendor.engine.limit_of("v2.customers.put") == put_limit
    assert capillary.vendor.engine.limit_of("v2.customers.post") == post_limit


def test_the_request_over_the_limit_is_429_with_retry_after_until_the_minute_ends(
    capillary: CapillaryApi,
) -> None:
    customer = capillary.register(mobile="447700900001")
    capillary.settings(rate_limit_scale=0.06)  # 50 a minute become 3
    capillary.clock.now += 20
    path = f"/v2/customers/{customer}?source=INSTORE"
    statuses = [capillary.call("PUT", path, json={}).status_code for _ in range(3)]
    refused = capillary.call("PUT", path, json={})
    assert statuses == [200, 200, 200]
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "40"
    assert codes(refused.json(), "errors") == [429]
    assert "X-RateLimit-Limit" not in refused.headers
    rejections = capillary.raw("GET", "/_sandbox/rejections").json()
    assert rejections["total"] == 1
    assert rejections["by_vendor"] == {"capillary": {"demo:v2.customers.put": 1}}
    capillary.clock.now += 40
    assert capillary.call("PUT", path, json={}).status_code == 200


def test_limits_are_counted_per_api(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile="447700900001")
    capillary.settings(rate_limits={"v2.customers.put": 1})
    path = f"/v2/customers/{customer}?source=INSTORE"
    assert capillary.call("PUT", path, json={}).status_code == 200
    assert capillary.call("PUT", path, json={}).status_code == 429
    assert capillary.call("POST", "/v1.1/customer/update", json=UPDATE_ITEM).status_code == 200


def test_the_strict_checker_sees_a_burst_over_the_edge_of_two_minutes(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile="447700900001")
    capillary.settings(rate_limits={"v2.customers.put": 3})
    path = f"/v2/customers/{customer}?source=INSTORE"
    capillary.clock.now += 59
    first = [capillary.call("PUT", path, json={}).status_code for _ in range(3)]
    capillary.clock.now += 2
    second = [capillary.call("PUT", path, json={}).status_code for _ in range(3)]
    assert first + second == [200] * 6
    limits = capillary.raw("GET", "/_sandbox/rejections").json()["limits"]["capillary"]
    assert limits["demo:v2.customers.put"]["peak_in_any_window"] == 6
    assert limits["demo:v2.customers.put"]["limit"] == 3


def test_limits_can_be_switched_off(capillary: CapillaryApi) -> None:
    customer = capillary.register(mobile="447700900001")
    capillary.settings(rate_limits={"v2.customers.put": 1}, rate_limits_enabled=False)
    path = f"/v2/customers/{customer}?source=INSTORE"
    assert [capillary.call("PUT", path, json={}).status_code for _ in range(3)] == [200] * 3


def test_bodies_that_cannot_be_read_are_415_and_400(capillary: CapillaryApi) -> None:
    wrong_type = capillary.call("POST", "/v2/customers", content=b"x", headers={"Content-Type": "text/plain"})
    assert (wrong_type.status_code, codes(wrong_type.json(), "errors")) == (415, [415])
    json_type = {"Content-Type": "application/json"}
    broken = capillary.call("POST", "/v2/customers", content=b"{", headers=json_type)
    assert (broken.status_code, codes(broken.json(), "errors")) == (400, [400])
    v11 = capillary.call("POST", "/v1.1/customer/update", content=b"{", headers=json_type)
    assert v11.status_code == 400
    assert v11.json()["response"]["status"]["code"] == "400"


def test_unknown_routes_and_methods_answer_in_the_vendors_envelope(capillary: CapillaryApi) -> None:
    missing = capillary.call("GET", "/v2/promotion/customer")
    assert (missing.status_code, codes(missing.json(), "errors")) == (404, [404])
    wrong = capillary.call("DELETE", "/v2/customers")
    assert (wrong.status_code, codes(wrong.json(), "errors")) == (405, [405])


def test_a_store_names_the_till_that_is_in_it(capillary: CapillaryApi) -> None:
    stores = [
        {"code": "demo.store01", "name": "One", "external_id": "S-01"},
        {"code": "demo.store02", "name": "Two", "external_id": "S-02"},
    ]
    capillary.org(stores=stores)
    token = token_of(capillary)
    kinds = {"STORE_CODE": "demo.store02", "STORE_NAME": "Two", "STORE_EXTERNAL_ID_1": "S-02"}
    for number, (kind, code) in enumerate(kinds.items()):
        headers = {
            "X-CAP-API-OAUTH-TOKEN": token,
            "X-CAP-API-ATTRIBUTION-ENTITY-TYPE": kind,
            "X-CAP-API-ATTRIBUTION-ENTITY-CODE": code,
        }
        body = registration(mobile=f"44770090001{number}")
        answer = capillary.json("POST", "/v2/customers", headers=headers, json=body)
        assert capillary.customer(answer["createdId"])["registered_till"] == "demo.till02"
