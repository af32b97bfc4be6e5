"""Imports and reconciliations: progress, reports, and how a run is ended or carried on."""

from __future__ import annotations

import pytest

from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.runs.run import Counts, Run
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from tests.console.conftest import Browser, shown
from tests.pipeline.conftest import Relay


@pytest.fixture
def services(relay: Relay) -> Services:
    stack = relay.stack
    return Services(Settings(environment=stack.environment), clock=stack.clock, client=stack.client)


def made(services: Services, **members: object) -> Run:
    now = services.clock()
    given = {"id": new_delivery_id(now), "connection": "shop-1", "kind": "import", "started_at": now, "total": 200}
    return Run(**{**given, **members})  # type: ignore[arg-type]


def test_a_run_under_way_shows_its_progress_and_how_long_it_takes(browser: Browser, services: Services) -> None:
    run = made(services, first=Counts(read=50, equal=25, missing=25), sent=25)
    services.runs.begin(run)
    text = shown(browser.get(f"/runs/shop-1/{run.id}"))
    assert "50 of 200 read" in text
    assert "Sending takes about" in text
    assert "25 %" in shown(browser.get("/runs"))
    found = browser.json(f"/runs/shop-1/{run.id}.json")
    assert (found["status"], found["sent"]) == ("running", 25)
    assert found["minutes_left"] == pytest.approx(100 / found["rate"])


def test_reports_show_what_was_proven_and_each_reason(browser: Browser, services: Services) -> None:
    counts = Counts(read=3, equal=2, skipped={"no_identifier": 1})
    for kind, missing in (("import", 0), ("reconciliation", 4)):
        services.runs.report(made(services, kind=kind, status="done", first=counts, proof=counts.plus(missing=missing)))
        services.clock.now += 10  # type: ignore[attr-defined]
    found = browser.json("/runs.json")
    assert [(run["kind"], run["proven"]) for run in found["ended"]] == [("reconciliation", False), ("import", True)]
    html = browser.get(f"/runs/shop-1/{found['ended'][0]['id']}")
    assert "not proven" in html
    assert "/events?connection=shop-1&amp;reason=no_identifier" in html


def test_a_run_is_cancelled_and_then_cannot_be_changed(browser: Browser, services: Services) -> None:
    run = made(services)
    services.runs.begin(run)
    path = f"/runs/shop-1/{run.id}"
    assert browser.client.get(f"{path}/cancel").status_code == 404
    assert browser.client.post(f"{path}/cancel", data={}).status_code == 403
    answer = browser.post(f"{path}/cancel", {})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert "cancelled by an operator" in browser.get(path)
    assert browser.post(f"{path}/resume", {}).status_code == 400


def test_a_run_is_carried_on_with_a_new_message(browser: Browser, services: Services, relay: Relay) -> None:
    run = made(services)
    services.runs.begin(run)
    assert browser.post(f"/runs/shop-1/{run.id}/resume", {}).status_code == 303
    found = services.runs.get("shop-1")
    assert found is not None
    assert found[0].generation == run.generation + 1
    assert len(relay.stack.messages("import-run")) == 1


def test_another_runs_address_changes_nothing(browser: Browser, services: Services) -> None:
    run = made(services)
    services.runs.begin(run)
    assert browser.post("/runs/shop-1/0190-other/cancel", {}).status_code == 404
    found = services.runs.get("shop-1")
    assert found is not None
    assert found[0].status == "running"


def test_without_runs_the_page_names_the_commands(browser: Browser) -> None:
    assert "relay import" in browser.get("/runs?connection=shop-1")
    assert "there is no connection nosuch" in browser.get("/runs?connection=nosuch", status=400)
