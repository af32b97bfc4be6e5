"""Which customers a run reads."""

from __future__ import annotations

from dataclasses import replace

from loyalty_relay.model.commands import instant_at
from loyalty_relay.runs.plan import OVERLAP_SECONDS, scheduled_since, since_last_proof
from loyalty_relay.runs.run import Counts, Run

NOW = 1_790_000_000.0
DAY = 86_400.0
PROVEN = Run(id="1", connection="acme", kind="import", status="done", started_at=NOW - DAY)


def test_a_reconciliation_begins_somewhat_before_the_last_proof() -> None:
    lacking = replace(PROVEN, proof=Counts(missing=1), started_at=NOW - 60)
    part = replace(PROVEN, limit=5, started_at=NOW - 60)
    assert since_last_proof([lacking, part, PROVEN]) == instant_at(NOW - DAY - OVERLAP_SECONDS)
    assert since_last_proof([lacking]) == ""


def test_a_schedule_reads_everyone_once_a_week() -> None:
    changed = replace(PROVEN, since=instant_at(NOW - 2 * DAY))
    recent, old = replace(PROVEN, started_at=NOW - 6 * DAY), replace(PROVEN, started_at=NOW - 7 * DAY)
    assert scheduled_since([changed, recent], NOW, lists_changed=True) == instant_at(NOW - DAY - OVERLAP_SECONDS)
    assert scheduled_since([changed, old], NOW, lists_changed=True) == ""
    assert scheduled_since([changed], NOW, lists_changed=True) == ""


def test_everyone_is_read_of_a_platform_that_lists_no_changes() -> None:
    assert scheduled_since([PROVEN], NOW, lists_changed=False) == ""
