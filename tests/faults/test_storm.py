"""The storm (``tests/faults/storm``, docs/soak.md): a small one here, long ones when asked for (``make soak``)."""

from __future__ import annotations

import os

import pytest

from tests.faults.storm.broken import PARTS
from tests.faults.storm.run import Storm, Weather

pytestmark = pytest.mark.stack

SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1 2 3").split()]


def test_a_small_storm_loses_nothing_and_does_nothing_twice() -> None:
    report = Storm(Weather(seed=1, events=500, customers=48, orders=40)).run()
    assert report.problems == [], str(report)
    # It was a storm indeed.
    assert report.kills.total() > 0
    assert report.results["duplicate"] > 100
    assert report.results["stale"] > 0
    assert report.faults["reset=after"] + report.faults["status=500 effect"] > 0
    assert min(report.books[name] for name in ("sales", "returns", "supplementary", "under frozen rules")) > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_storm_loses_nothing_and_does_nothing_twice(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    report = Storm(Weather(seed=seed, events=5000, customers=300, orders=400)).run()
    with capsys.disabled():
        print(f"\n{report}")  # noqa: T201 - the report is what a soak is for
    assert report.problems == [], str(report)


@pytest.mark.soak
@pytest.mark.parametrize("part", PARTS)
def test_a_broken_part_does_not_survive_the_storm(part: str) -> None:
    report = Storm(Weather(seed=3, events=300, customers=40, orders=60, broken=part)).run()
    signs = {
        "guard": ", not ",
        "limiter": "requests in 60 s",
        "key": "copies of events were not recognised",
        "verifier": "a forged delivery was answered",
        "intent": "the books have",
        "look-up": "the books have",
        "lease": "the books have",
    }
    assert any(signs[part] in problem for problem in report.problems), str(report)
