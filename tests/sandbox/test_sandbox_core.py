"""The sandbox's core: records, faults, settings and state, over a small vendor of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from devkit.sandbox.app import create_app, discover
from devkit.sandbox.core import Sandbox
from devkit.sandbox.limits import RateMeter
from devkit.sandbox.vendor import JSON, Answer, Clock, UnknownFaultError, Vendor, json_answer


class Counting(Vendor):
    """A vendor that counts what reaches it."""

    name = "counting"
    prefix = "/counting"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, {"step": 1, "loud": False})
        self.count = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/items", self.add, methods=["POST", "GET"]),
            Route("/items/{item}", self.add, methods=["PUT"]),
        ]

    async def add(self, request: Request) -> Response:
        step = self.settings["step"]
        self.count += step if isinstance(step, int) else 0
        return JSONResponse({"count": self.count, "path": request.url.path})

    def reset(self) -> None:
        super().reset()
        self.count = 0

    def state(self) -> JSON:
        return {"count": self.count}

    def error_body(self, kind: str, status: int) -> Answer:
        known = {"rate_limit": 429, "not_found": 404, "method_not_allowed": 405, "teapot": 418}
        if kind not in known:
            raise UnknownFaultError(kind)
        return json_answer(status or known[kind], {"error": kind})


class Core:
    """The sandbox with the counting vendor, a standing clock and a sleep that only notes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.app = create_app([Counting(self.clock)], clock=self.clock, sleep=self.sleep)
        self.sandbox: Sandbox = self.app.state.sandbox

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def faults(self, *rules: dict[str, Any]) -> None:
        answer = self.call("PUT", "/_sandbox/faults", json=list(rules))
        assert answer.status_code == 200, answer.text

    def count(self) -> int:
        count: int = self.call("GET", "/_sandbox/state/counting").json()["count"]
        return count


@pytest.fixture
def core() -> Core:
    return Core()


def test_a_request_is_recorded_whole(core: Core) -> None:
    core.call("POST", "/counting/items?a=1&a=2&b=", json={"x": 1}, headers={"X-Trace": "t"})
    record = core.call("GET", "/_sandbox/requests").json()["requests"][0]
    assert record["headers"]["x-trace"] == "t"
    del record["headers"]
    assert record == {
        "number": 1,
        "time": 1000.0,
        "vendor": "counting",
        "prefix": "/counting",
        "method": "POST",
        "path": "/items",
        "query": {"a": ["1", "2"], "b": ""},
        "body": {"x": 1},
        "status": 200,
        "effect": True,
        "fault": None,
    }


@pytest.mark.parametrize(("content", "body"), [(b"", None), (b"a=1", "a=1"), (b"[1]", [1])])
def test_a_body_is_recorded_as_json_text_or_nothing(core: Core, content: bytes, body: Any) -> None:
    core.call("POST", "/counting/items", content=content)
    assert core.call("GET", "/_sandbox/requests").json()["requests"][0]["body"] == body


def test_a_body_in_several_pieces_is_recorded_whole(core: Core) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"x"', b": ", b"1}"):
            yield piece

    core.call("POST", "/counting/items", content=pieces())
    assert core.call("GET", "/_sandbox/requests").json()["requests"][0]["body"] == {"x": 1}


def test_an_answer_without_content_promises_none(core: Core) -> None:
    core.faults({"status": 204, "count": 1})
    assert "content-length" not in core.call("POST", "/counting/items").headers
    assert int(core.call("POST", "/counting/items").headers["content-length"]) > 0


def test_records_are_filtered_and_cleared(core: Core) -> None:
    core.call("POST", "/counting/items")
    core.call("PUT", "/counting/items/1")
    core.call("PUT", "/counting/items/2")

    def found(query: str) -> int:
        return len(core.call("GET", f"/_sandbox/requests?{query}").json()["requests"])

    assert found("") == 3
    assert found("method=put") == 2
    assert found("path=/items/*") == 2
    assert found("path=/items/2&method=PUT&vendor=counting") == 1
    assert found("vendor=other") == 0
    assert core.call("DELETE", "/_sandbox/requests").status_code == 204
    assert found("") == 0


def test_unknown_prefixes_routes_and_methods_are_distinguished(core: Core) -> None:
    assert core.call("GET", "/nobody/items").status_code == 404
    missing = core.call("GET", "/counting/nothing")
    assert (missing.status_code, missing.json()) == (404, {"error": "not_found"})
    wrong = core.call("DELETE", "/counting/items")
    assert (wrong.status_code, wrong.json()) == (405, {"error": "method_not_allowed"})
    assert "POST" in wrong.headers["allow"]


def test_a_fault_responds_without_the_effect(core: Core) -> None:
    core.faults({"status": 503, "body": {"down": True}, "headers": {"Retry-After": "7"}})
    answer = core.call("POST", "/counting/items")
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"down": True}, "7")
    assert core.count() == 0
    record = core.call("GET", "/_sandbox/requests").json()["requests"][0]
    assert (record["status"], record["effect"], record["fault"]) == (503, False, 0)


def test_a_fault_can_answer_after_the_effect(core: Core) -> None:
    core.faults({"status": 500, "effect": True})
    assert core.call("POST", "/counting/items").status_code == 500
    assert core.count() == 1


def test_a_fault_takes_the_vendors_own_error(core: Core) -> None:
    core.faults({"error": "teapot"}, {"error": "teapot", "status": 500})
    assert core.call("POST", "/counting/items").status_code == 418
    unknown = core.call("PUT", "/_sandbox/faults", json=[{"error": "nonsense"}])
    assert (unknown.status_code, unknown.json()["field"]) == (422, "error")


@pytest.mark.parametrize(
    ("rule", "hits"),
    [
        ({"method": "post"}, [True, False]),
        ({"path": "/items/*"}, [False, True]),
        ({"vendor": "counting", "path": "/items"}, [True, False]),
        ({}, [True, True]),
    ],
)
def test_a_fault_acts_on_what_it_matches(core: Core, rule: dict[str, Any], hits: list[bool]) -> None:
    core.faults({**rule, "status": 503})
    answers = [core.call("POST", "/counting/items"), core.call("PUT", "/counting/items/7")]
    assert [answer.status_code == 503 for answer in answers] == hits


def test_the_first_fault_that_fires_decides_and_counts_run_out(core: Core) -> None:
    core.faults({"status": 503, "skip": 1, "count": 2}, {"status": 500, "count": 1})
    statuses = [core.call("POST", "/counting/items").status_code for _ in range(5)]
    assert statuses == [500, 503, 503, 200, 200]
    rules = core.call("GET", "/_sandbox/faults").json()["rules"]
    assert [rule["fired"] for rule in rules] == [2, 1]
    assert rules[0]["skip"] == 1


def test_a_ratio_is_drawn_from_its_seed(core: Core) -> None:
    def run(seed: int) -> list[int]:
        core.faults({"status": 503, "ratio": 0.5, "seed": seed})
        return [core.call("POST", "/counting/items").status_code for _ in range(40)]

    first = run(1)
    assert 5 < first.count(503) < 35
    assert run(1) == first
    assert run(2) != first


def test_latency_is_slept_before_the_effect(core: Core) -> None:
    core.faults({"latency_ms": 250, "count": 1}, {"latency_ms": [100, 200], "seed": 3})
    assert core.call("POST", "/counting/items").json()["count"] == 1
    assert core.call("POST", "/counting/items").json()["count"] == 2
    assert core.slept[0] == 0.25
    assert 0.1 <= core.slept[1] <= 0.2


@pytest.mark.parametrize(
    ("rule", "status", "content_type", "text"),
    [
        ({"html": True}, 502, "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ({"html": True, "status": 200}, 200, "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ({"empty": True}, 200, "application/json", ""),
        ({"content_type": "text/plain"}, 200, "text/plain", '{"count":1'),
        ({"body": "not json", "status": 200}, 200, "application/json", "not json"),
        ({"status": 204}, 204, "application/json", ""),
    ],
)
def test_responses_can_be_wrong_in_form(
    core: Core, rule: dict[str, Any], status: int, content_type: str, text: str
) -> None:
    core.faults(rule)
    answer = core.call("POST", "/counting/items")
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert answer.text.startswith(text)
    assert (answer.text == "") == (text == "")


def test_a_fault_can_limit_the_rate(core: Core) -> None:
    core.faults({"rate_limit": {"requests": 2, "per_seconds": 10}})
    core.now = 1007.0
    assert [core.call("POST", "/counting/items").status_code for _ in range(3)] == [200, 200, 429]
    core.now = 1016.9
    assert core.call("POST", "/counting/items").status_code == 429
    core.now = 1017.0
    assert core.call("POST", "/counting/items").status_code == 200
    rejections = core.call("GET", "/_sandbox/rejections").json()
    assert (rejections["total"], rejections["by_faults"]) == (2, 2)


def test_a_fault_can_refuse_everything_as_over_the_limit(core: Core) -> None:
    core.faults({"rate_limit": True, "count": 1})
    answers = [core.call("POST", "/counting/items").status_code for _ in range(2)]
    assert answers == [429, 200]


def test_in_process_a_reset_is_a_connection_error(core: Core) -> None:
    core.faults({"reset": "after", "count": 1}, {"reset": "before"})
    for count in (1, 1):
        with pytest.raises(ConnectionResetError):
            core.call("POST", "/counting/items")
        assert core.count() == count
    statuses = [each["status"] for each in core.call("GET", "/_sandbox/requests").json()["requests"]]
    assert statuses == [None, None]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"colour": 1}, "colour"),
        ({"vendor": "nobody"}, "vendor"),
        ({"ratio": 2}, "ratio"),
        ({"count": -1}, "count"),
        ({"count": True}, "count"),
        ({"latency_ms": [5, 1]}, "latency_ms"),
        ({"latency_ms": [1, 2, 3]}, "latency_ms"),
        ({"status": 700}, "status"),
        ({"headers": {"a": 1}}, "headers"),
        ({"reset": "sometimes"}, "reset"),
        ({"drip": {"bytes": 0}}, "drip"),
        ({"drip": 1}, "drip"),
        ({"rate_limit": False}, "rate_limit"),
        ({"html": "yes"}, "html"),
        ({"error": 5}, "error"),
        ("x", "rule"),
    ],
)
def test_a_rule_that_cannot_be_understood_is_a_422_and_the_old_rules_stay(core: Core, rule: Any, field: str) -> None:
    core.faults({"status": 503})
    answer = core.call("PUT", "/_sandbox/faults", json=[{"status": 500}, rule])
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert core.call("POST", "/counting/items").status_code == 503


def test_rules_can_be_wrapped_and_bodies_must_be_json(core: Core) -> None:
    assert core.call("PUT", "/_sandbox/faults", json={"rules": [{"status": 503}]}).status_code == 200
    assert core.call("PUT", "/_sandbox/faults", content=b"{").status_code == 400
    assert core.call("PUT", "/_sandbox/faults", json={"status": 503}).status_code == 422
    assert core.call("DELETE", "/_sandbox/faults").status_code == 204
    assert core.call("POST", "/counting/items").status_code == 200


def test_settings_change_by_name_and_kind(core: Core) -> None:
    assert core.call("PUT", "/_sandbox/settings/counting", json={"step": 5}).json() == {
        "step": 5,
        "loud": False,
    }
    assert core.call("POST", "/counting/items").json()["count"] == 5
    for changes, field in (({"step": "x"}, "step"), ({"loud": 1}, "loud"), ({"other": 1}, "other")):
        answer = core.call("PUT", "/_sandbox/settings/counting", json=changes)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert core.call("PUT", "/_sandbox/settings/counting", json=[]).status_code == 422
    assert core.call("GET", "/_sandbox/settings/nobody").status_code == 404
    assert core.call("GET", "/_sandbox/state/nobody").status_code == 404


def test_reset_forgets_everything_or_keeps_the_settings(core: Core) -> None:
    core.call("PUT", "/_sandbox/settings/counting", json={"step": 5})
    core.faults({"rate_limit": True})
    core.call("POST", "/counting/items")
    assert core.call("POST", "/_sandbox/reset", json={"keep_settings": True}).status_code == 204
    assert core.call("GET", "/_sandbox/requests").json()["requests"] == []
    assert core.call("GET", "/_sandbox/faults").json()["rules"] == []
    assert core.call("GET", "/_sandbox/rejections").json()["total"] == 0
    assert core.call("POST", "/counting/items").json()["count"] == 5
    core.call("POST", "/_sandbox/reset")
    assert core.call("POST", "/counting/items").json()["count"] == 1


def test_the_overview_names_vendors_and_faults(core: Core) -> None:
    overview = core.call("GET", "/_sandbox").json()
    assert overview["counting"]["prefix"] == "/counting"
    assert "rate_limit" in overview["counting"]["faults"]


def test_two_vendors_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        create_app([Counting(lambda: 0.0), Counting(lambda: 0.0)])


def test_every_vendor_of_the_package_is_found_with_a_prefix_of_its_own() -> None:
    vendors = discover(lambda: 0.0)
    assert "capillary" in [vendor.name for vendor in vendors]
    assert len({vendor.prefix for vendor in vendors}) == len(vendors)
    for vendor in vendors:
        for kind in ("rate_limit", "not_found", "method_not_allowed", *vendor.faults):
            status, headers, body = vendor.error_body(kind, 0)
            assert 200 <= status <= 599, (vendor.name, kind)
            assert isinstance(body, bytes)
            assert all(name == name.lower() for name in headers)
            assert vendor.error_body(kind, 507)[0] == 507
        with pytest.raises(UnknownFaultError):
            vendor.error_body("no such fault", 0)


def test_a_meter_counts_fixed_windows_and_watches_sliding_ones() -> None:
    meter = RateMeter(60.0)
    assert [meter.hit(now, 2) for now in (58.0, 59.0, 59.5)] == [None, None, 0.5]
    assert meter.hit(60.0, 2) is None
    assert (meter.arrived, meter.admitted, meter.refused, meter.peak) == (4, 3, 1, 4)
    assert meter.hit(118.0, 2) is None
    assert meter.peak == 4
