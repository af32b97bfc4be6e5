"""The demo's comparisons: each way in which an event can turn out otherwise than expected is noticed."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from devkit.cli.running import RunningRelay
from devkit.demo.expectations import Expectations
from devkit.demo.run import keep_running
from devkit.demo.sales import sales
from devkit.demo.scenario import LINKED, STORY, steps
from devkit.demo.steps import Call, Delivery, in_short, upstream_problem, value_at
from devkit.samples.fixtures import load
from devkit.samples.mapping import file_connection, sample_connection
from devkit.sandbox.recording import RecordedRequest
from devkit.sandbox.vendor import JSON
from devkit.stacks.local import SAMPLES
from loyalty_relay.sources import platforms, source_module

REGISTER = Call("POST", "/v2/customers", {"profiles.0.firstName": "Ana"}, contains=("ana@example.com",))
BODY: JSON = {"profiles": [{"firstName": "Ana", "identifiers": [{"type": "email", "value": "ana@example.com"}]}]}
STEP = Delivery(
    connection="shop",
    platform="shopify",
    topic="customers/create",
    fixture="customers-create",
    expected="applied",
    calls=(REGISTER,),
)


def request(**members: object) -> RecordedRequest:
    usual = RecordedRequest(
        number=1,
        time=0.0,
        vendor="capillary",
        prefix="/capillary",
        method="POST",
        path="/v2/customers",
        body=BODY,
        status=200,
    )
    return dataclasses.replace(usual, **members)  # type: ignore[arg-type]


def test_the_expected_request_alone_is_as_expected() -> None:
    token = request(path="/v3/oauth/token/generate", body=None)
    looked_up = request(method="GET", path="/v1.1/customer/get", body=None)

    assert upstream_problem(STEP, [token, looked_up, request()]) == ""


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "made: none"),
        ([request(), request()], "expected 1 changing"),
        ([request(method="PUT")], "was PUT"),
        ([request(path="/v2/customers/7")], "was POST /v2/customers/7"),
        ([request(body={"profiles": [{"firstName": "Bea"}]})], "firstName should be 'Ana', was 'Bea'"),
        ([request(body={"profiles": [{"firstName": "Ana"}]})], "'ana@example.com' is missing"),
        ([request(status=500)], "got the status 500"),
        ([request(status=None)], "got the status None"),
        ([request(), request(vendor="kangaroo-integrations", path="/api/v1/integrations")], "expected 1 changing"),
    ],
)
def test_any_other_request_is_noticed(made: list[RecordedRequest], message: str) -> None:
    assert message in upstream_problem(STEP, made)


@pytest.mark.parametrize(
    ("paths", "fine"),
    [
        (["/v1.1/customer/update"], True),
        (["/v2/customers"], True),
        (["/v1.1/customer/update", "/v2/customers"], True),
        (["/v2/customers", "/v1.1/customer/update"], False),
        (["/v2/customers", "/v2/customers"], False),
        (["/v2/points"], False),
        ([], False),
    ],
)
def test_of_two_ways_to_update_at_least_one_is_taken_in_their_order(paths: list[str], fine: bool) -> None:
    calls = tuple(Call("POST", path, perhaps=True) for path in (r"/v1\.1/customer/update", "/v2/customers"))
    step = dataclasses.replace(STEP, calls=calls)

    assert (upstream_problem(step, [request(path=path) for path in paths]) == "") is fine


def test_a_step_without_effect_allows_reading_only() -> None:
    silent = dataclasses.replace(STEP, expected="stale", calls=())

    assert upstream_problem(silent, [request(method="GET")]) == ""
    assert upstream_problem(silent, [request()]) != ""


def test_a_table_cell_shows_what_changed_something_and_shortens_ids() -> None:
    patched = request(method="PATCH", path="/customers/11e724b2e558919b10ada7b666d1179c/crm-fields")

    assert in_short([request(method="GET", path="/tags"), patched]) == "PATCH /customers/…/crm-fields 200"
    assert in_short([]) == "–"


@pytest.mark.parametrize(
    ("path", "found"), [("profiles.0.firstName", "Ana"), ("profiles.4.firstName", None), ("x.y", None)]
)
def test_values_are_found_by_path(path: str, found: str | None) -> None:
    assert value_at(BODY, path) == found


def test_a_customer_is_created_once_and_updated_from_then_on() -> None:
    connection = sample_connection("standard")
    created, updated = (load("standard", f"customer.{what}") for what in ("created", "updated"))
    rows = {topic.name: topic for topic in source_module("standard").topics}
    expectations = Expectations()

    unknown = Expectations().of(updated, rows["customer.updated"], connection)
    shop = sample_connection("shopify")
    stranger = load("shopify", "customers/update")
    first_seen = Expectations().of(stranger, source_module("shopify").topics[2], shop)
    first = expectations.of(created, rows["customer.created"], connection)
    second = expectations.of(updated, rows["customer.updated"], connection)

    assert connection.destination.vendor == "capillary"
    assert (unknown.outcome, unknown.calls) == ("retrying", ())
    assert [call.method for call in first_seen.calls] == [call.method for call in first.calls] == ["POST"]
    assert [(call.method, call.perhaps) for call in second.calls] == [("POST", True), ("PUT", True)]
    assert "Dara" in first.calls[0].contains


def test_every_platform_has_a_sample_connection_and_a_row_in_the_demo() -> None:
    connections = [file_connection(path) for path in sorted(SAMPLES.glob("*.json"))]

    planned = steps(connections)

    assert {connection.source.platform for connection in connections} == set(platforms())
    assert {step.platform for step in planned if isinstance(step, Delivery)} == set(platforms())
    assert {STORY, LINKED} <= {step.connection for step in planned}
    expected = {step.expected for step in planned}
    assert {"applied", "duplicate", "stale", "unchanged", "ignored", "parked", "refused"} <= expected


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_platform_shows_a_sale_a_refund_a_duplicate_a_refund_before_its_sale_and_a_guest(path: Path) -> None:
    connection = file_connection(path)

    rows = list(sales(connection))

    notes = " ".join(row.note for row in rows)
    assert connection.sales.enabled
    assert {"duplicate", "ignored", "applied"} <= {row.expected for row in rows}
    assert {row.reason for row in rows} >= {"guest"}
    assert "refund before its sale" in notes
    assert any(row.calls for row in rows)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_kept_prints_the_consoles_address_and_ends_on_a_signal(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[bool] = []

    class Server:
        url = "http://127.0.0.1:4580/?key=fake"

        def __init__(self, stack: object) -> None:
            signal.raise_signal(number)

        def stop(self) -> None:
            stopped.append(True)

    monkeypatch.setattr("devkit.console.serve.ConsoleServer", Server)
    state = SimpleNamespace(api="http://127.0.0.1:1", sandbox="http://127.0.0.1:2")
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        keep_running(cast("RunningRelay", SimpleNamespace(state=state, stack=None)), as_json=True)
    finally:
        for n, handler in handlers.items():
            signal.signal(n, handler)

    assert json.loads(capsys.readouterr().out)["console"] == Server.url
    assert stopped == [True]
