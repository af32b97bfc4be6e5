"""The demo's import: what must come of the runs, and each way in which one can turn out otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from devkit.demo.imports import LOST, PEOPLE, SAMPLE, document, read_problem, reads
from devkit.sandbox.platforms.population import check
from devkit.stacks.local import SAMPLES
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.runs.run import Counts, Run

PROVEN = Run(
    id="r",
    connection="imported-shop",
    kind="reconciliation",
    status="done",
    started_at=0.0,
    first=Counts(read=LOST, missing=LOST),
    proof=Counts(read=LOST, equal=LOST),
)


def test_a_run_that_ends_as_expected_has_no_problem() -> None:
    _, step = reads(now=1_790_000_000.0)
    assert read_problem(step, PROVEN, LOST) == ""


@pytest.mark.parametrize(
    ("run", "registered"),
    [
        (replace(PROVEN, status="stopped"), LOST),
        (replace(PROVEN, proof=Counts(read=LOST, missing=1)), LOST),
        (replace(PROVEN, first=Counts(read=LOST, missing=LOST + 1)), LOST),
        (PROVEN, LOST + 1),
    ],
)
def test_what_is_other_than_expected_is_reported(run: Run, registered: int) -> None:
    _, step = reads(now=1_790_000_000.0)
    assert read_problem(step, run, registered)


def test_the_shop_has_two_hundred_and_then_three_whose_webhooks_were_lost() -> None:
    shop, lost = reads(now=1_790_000_000.0)
    assert (shop.settings["customers"], lost.settings["customers"]) == (PEOPLE, PEOPLE + LOST)
    for step in (shop, lost):
        check(dict(step.settings))


def test_the_connection_of_the_import_is_valid() -> None:
    sample = json.loads((SAMPLES / f"{SAMPLE}.json").read_text().replace("${RELAY_SANDBOX_URL}", "http://127.0.0.1:1"))
    made = document(sample, "http://127.0.0.1:1")
    assert parse_connection("imported-shop", made, sandbox_hosts=frozenset({"127.0.0.1:1"})).source.api_credentials
