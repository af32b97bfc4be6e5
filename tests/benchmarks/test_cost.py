"""The cost model adds up, and grows with what it should grow with."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from benchmarks.cost import SCALES, Assumptions, Measured, Scale, bill, metrics, miss_ratio
from benchmarks.prices import DYNAMODB_WRITE_UNIT, tiered
from tests.support.stack import TEMPLATE
from tests.support.templates import whole

MEASURED = Measured(
    ingest_cpu_ms=2.5,
    operation_cpu_ms=10,
    ingest_cold_ms=300,
    operation_cold_ms=400,
    write_units={"register": 16, "update": 9, "unchanged": 9, "stale": 9, "duplicate": 3, "ignored": 2},
    ingest_log_bytes=360,
    operation_log_bytes=970,
    stored_bytes={"Journal": 500, "Idempotency": 300, "State": 1100},
)
SCALE = Scale(1_000_000, 100)


def test_the_default_mix_is_all_events() -> None:
    assert sum(Assumptions().mix.values()) == pytest.approx(1)


def test_a_price_falls_only_for_what_lies_above_a_tier() -> None:
    tiers = ((100.0, 3.0), (inf, 1.0))
    assert [tiered(amount, tiers) for amount in (0, 50, 100, 150)] == [0, 150, 300, 350]


def test_one_more_write_unit_per_event_costs_what_a_unit_costs() -> None:
    more = replace(MEASURED, write_units={kind: units + 1 for kind, units in MEASURED.write_units.items()})
    added = bill(more, SCALE).per_million("DynamoDB requests") - bill(MEASURED, SCALE).per_million("DynamoDB requests")
    assert added == pytest.approx(DYNAMODB_WRITE_UNIT * 1e6)


def test_twice_the_connections_keep_twice_the_secrets() -> None:
    twice = bill(MEASURED, replace(SCALE, connections=200))
    assert twice.items["Secrets kept"] == pytest.approx(2 * bill(MEASURED, SCALE).items["Secrets kept"])


def test_more_memory_shortens_the_work_but_not_the_waiting() -> None:
    slow, fast = (bill(MEASURED, SCALE, replace(Assumptions(), memory_mb=memory)) for memory in (512, 1024))
    assert fast.operation_executions < slow.operation_executions < 2 * fast.operation_executions


@pytest.mark.parametrize(("per_second", "connections"), [(0.0, 10), (0.001, 10)])
def test_a_connection_that_is_hardly_used_is_read_each_time(per_second: float, connections: int) -> None:
    assert miss_ratio(per_second, connections) > 0.9


def test_a_busy_connection_is_read_every_five_minutes() -> None:
    assert miss_ratio(10.0, 1) == pytest.approx(1 / 3001)


def test_more_connections_than_the_cache_holds_are_read_more_often() -> None:
    assert miss_ratio(50.0, 10_000) > miss_ratio(50.0, 512)


def test_connections_cost_metrics_only_where_the_stack_enables_them() -> None:
    assert Assumptions().connection_metrics is False
    assert metrics(10) == metrics(1000)
    enabled = Assumptions(connection_metrics=True)
    assert metrics(1000, enabled) - metrics(999, enabled) == pytest.approx(23)


def test_a_million_events_cost_less_where_there_are_more_of_them() -> None:
    smallest, *_, largest = [bill(MEASURED, scale).per_million() for scale in SCALES]
    assert largest < smallest


def test_a_bill_is_the_sum_of_its_items() -> None:
    whole = bill(MEASURED, SCALE)
    assert whole.per_million() == pytest.approx(sum(whole.per_million(item) for item in whole.items))


def test_every_alarm_of_the_stack_is_paid_for() -> None:
    resources = whole(TEMPLATE.read_text())["Resources"].values()
    assert Assumptions().alarms == sum(resource["Type"] == "AWS::CloudWatch::Alarm" for resource in resources)
