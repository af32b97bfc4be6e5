"""What both Kangaroo hosts of the sandbox have in common: limits, error shapes, faults, settings."""

import pytest

from devkit.sandbox.app import create_app
from devkit.sandbox.kangaroo import VENDOR, KangarooHost
from devkit.sandbox.kangaroo.errors import FAULTS
from devkit.sandbox.vendor import UnknownFaultError
from tests.sandbox.kangaroo_client import START, KangarooClient


@pytest.fixture
def client() -> KangarooClient:
    client = KangarooClient(VENDOR)
    client.sign_in()
    return client


def limit_headers(answer: object) -> dict[str, str]:
    headers: dict[str, str] = answer.headers  # type: ignore[attr-defined]
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after")
    return {name: headers[name] for name in names if name in headers}


def test_every_reply_has_what_remains_and_the_reset_only_when_nothing_does(client: KangarooClient) -> None:
    client.set("kangaroo", rate_limit=2)
    client.now = START + 10
    first, second, third = (client.api("GET", "/me") for _ in range(3))
    assert limit_headers(first) == {"x-ratelimit-limit": "2", "x-ratelimit-remaining": "1"}
    end = str(1_700_000_040)  # the windows are the clock's own minutes
    spent = {"x-ratelimit-limit": "2", "x-ratelimit-remaining": "0", "x-ratelimit-reset": end}
    assert limit_headers(second) == spent
    assert third.status_code == 429
    assert third.json() == {"message": "Too Many Attempts."}
    assert limit_headers(third) == {**spent, "retry-after": "30"}


def test_the_limit_is_240_a_minute_and_the_next_window_is_free_again(client: KangarooClient) -> None:
    statuses = [client.api("GET", "/me").status_code for _ in range(241)]
    assert statuses == [200] * 240 + [429]
    report = client.send("GET", "/_sandbox/rejections").json()
    assert report["by_vendor"]["kangaroo"] == {"rate_limit": 1}
    assert report["limits"]["kangaroo"]["token 1"]["peak"] == 241
    client.now += 60
    fresh = client.api("GET", "/me")
    assert fresh.status_code == 200
    assert limit_headers(fresh) == {"x-ratelimit-limit": "240", "x-ratelimit-remaining": "239"}


def test_a_reset_forgets_what_was_counted(client: KangarooClient) -> None:
    client.api("GET", "/me")
    client.send("POST", "/_sandbox/reset")
    client.sign_in()
    assert limit_headers(client.api("GET", "/me"))["x-ratelimit-remaining"] == "239"
    report = client.send("GET", "/_sandbox/rejections").json()["limits"]["kangaroo"]
    assert sorted(meter["arrived"] for meter in report.values()) == [1, 1]


def test_each_token_and_each_host_has_a_limit_of_its_own(client: KangarooClient) -> None:
    client.set("kangaroo", rate_limit=1, integrations_rate_limit=2)
    assert client.api("GET", "/me").status_code == 200
    assert client.api("GET", "/me").status_code == 429
    assert client.integrations("GET", "/api/v1/branches").status_code == 200
    client.now += 60
    client.sign_in()
    assert client.api("GET", "/me").status_code == 200


def test_a_refused_request_has_no_effect_and_errors_carry_the_limit_too(client: KangarooClient) -> None:
    client.set("kangaroo", rate_limit=1)
    body = {"email": "ana@example.com"}
    missing = client.api("GET", "/customers/11e0")
    assert (missing.status_code, limit_headers(missing)["x-ratelimit-remaining"]) == (404, "0")
    assert client.api("POST", "/customers", json=body).status_code == 429
    assert len(client.state("kangaroo")["customers"]) == 2


def test_accept_is_not_enforced_until_it_is(client: KangarooClient) -> None:
    def status(accept: str) -> int:
        return client.send("GET", "/kangaroo/me", headers=client.headers(accept=accept)).status_code

    assert status("text/html") == 200
    client.set("kangaroo", enforce_accept=True)
    assert status("text/html") == 406
    for good in (
        "application/vnd.kangaroorewards.api.v1+json;",
        "application/vnd.kangaroorewards.api.v1+json",
        "application/json",
        "text/html, */*;q=0.1",
    ):
        assert status(good) == 200


SHAPES = {
    "E1": {"error": {"status_code": 404, "message": str, "description": str}},
    "E1-swapped": {"error": {"status_code": 404, "message": str, "description": str}},
    "E1-link": {"error": {"status_code": 404, "message": str, "description": str, "link": str}},
    "E2": {"email": [str]},
    "E3": {"errors": {"email": [str]}},
    "E4": {"message": str},
    "E5": {"error": str},
    "E6": {"errors": [{"status": 404, "title": str, "detail": str}]},
    "E6-text": {"errors": [{"status": "404", "title": str, "detail": str}]},
    "E7": {"status_code": 404, "message": str, "description": str},
    "oauth": {"error": "invalid_grant", "error_description": str, "message": str},
    "oauth-object": {"error": {"message": str, "description": str}},
}


def fits(value: object, shape: object) -> bool:
    if isinstance(shape, dict) and isinstance(value, dict):
        return set(value) == set(shape) and all(fits(value[name], shape[name]) for name in shape)
    if isinstance(shape, list) and isinstance(value, list):
        return len(value) == len(shape) and all(map(fits, value, shape))
    return isinstance(value, str) if shape is str else value == shape


@pytest.mark.parametrize("kind", FAULTS)
def test_every_error_shape_can_be_had_as_a_fault(client: KangarooClient, kind: str) -> None:
    rule = {"vendor": "kangaroo", "path": "/customers/*", "error": kind, "status": 404, "count": 1}
    assert client.send("PUT", "/_sandbox/faults", json=[rule]).status_code == 200
    faulty = client.api("GET", "/customers/11e0")
    assert faulty.status_code == 404
    assert fits(faulty.json(), SHAPES[kind])
    assert client.api("GET", "/customers").status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [("E1", 400), ("E2", 422), ("E4", 403), ("E5", 401), ("rate_limit", 429), ("not_found", 404)],
)
def test_a_fault_without_a_status_has_the_shapes_own(client: KangarooClient, kind: str, status: int) -> None:
    client.send("PUT", "/_sandbox/faults", json=[{"vendor": "kangaroo-integrations", "error": kind}])
    assert client.integrations("GET", "/api/v1/branches").status_code == status
    assert client.api("GET", "/me").status_code == 200


def test_an_unknown_fault_is_no_fault() -> None:
    host = VENDOR(lambda: START)[0]
    with pytest.raises(UnknownFaultError):
        host.error_body("E8", 0)


def test_an_unknown_route_and_a_wrong_method_are_reported_in_the_vendors_shapes(client: KangarooClient) -> None:
    missing = client.api("GET", "/nothing")
    assert (missing.status_code, missing.json()["error"]["status_code"]) == (404, 404)
    wrong = client.api("DELETE", "/tags")
    assert (wrong.status_code, set(wrong.json())) == (405, {"message"})


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"expires_in": "3920"}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"tags_mode": "merge"}, "tags_mode"),
        ({"validation_shape": {}}, "validation_shape"),
        ({"crm_enabled": 1}, "crm_enabled"),
        ({"disabled_shops": "a"}, "disabled_shops"),
        ({"crm_fields": {"email": {"colour": "red"}}}, "crm_fields"),
        ({"apps": [{"client_id": "1"}]}, "apps"),
        ({"apps": "none"}, "apps"),
    ],
)
def test_a_bad_setting_is_refused_and_changes_nothing(
    client: KangarooClient, settings: dict[str, object], field: str
) -> None:
    before = client.send("GET", "/_sandbox/settings/kangaroo").json()
    answer = client.send("PUT", "/_sandbox/settings/kangaroo", json={"branches": 1, **settings})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert client.send("GET", "/_sandbox/settings/kangaroo").json() == before


def test_settings_belong_to_the_business_and_a_reset_restores_them(client: KangarooClient) -> None:
    apps = [{"client_id": "77", "client_secret": "fake-secret-77", "grant": "password"}]
    client.set("kangaroo-integrations", apps=apps, branches=1)
    assert client.send("GET", "/_sandbox/settings/kangaroo").json()["branches"] == 1
    form = client.token_form(client_id="77", client_secret="fake-secret-77")
    assert client.token(form).status_code == 200
    client.send("POST", "/_sandbox/reset")
    assert client.send("GET", "/_sandbox/settings/kangaroo").json()["branches"] == 16
    assert client.token(form).status_code == 401
    client.sign_in()


def test_the_sandbox_finds_both_hosts_by_itself() -> None:
    vendors = create_app(clock=lambda: START).state.sandbox.vendors
    assert isinstance(vendors["kangaroo"], KangarooHost)
    assert vendors["kangaroo"].business is vendors["kangaroo-integrations"].business
    assert vendors["kangaroo-integrations"].prefix == "/kangaroo-integrations"
