"""The cost model adds up, and grows with what it should grow with."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from benchmarks.cost import SCALES, Assumptions, Measured, Scale, bill, metrics, miss_ratio
from benchmarks.prices import ALARM_METRIC_MONTH, DASHBOARD_MONTH, DYNAMODB_WRITE_UNIT, SECRET_MONTH, tiered
from tests.support.stack import TEMPLATE
from tests.support.templates import whole

MEASURED = Measured(
    ingest_cpu_ms=2.5,
    operation_cpu_ms=10,
    ingest_cold_ms=300,
    operation_cold_ms=400,
    write_units={"register": 16, "update": 9, "unchanged": 9, "stale": 9, "duplicate": 3, "ignored": 2},
    upstream={"register": 3, "update": 1, "unchanged": 0, "stale": 0, "duplicate": 0},
    pacing={"register": 2, "update": 1, "unchanged": 0, "stale": 0, "duplicate": 0},
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


def test_a_connection_keeps_a_secret_and_every_second_one_a_token() -> None:
    more = bill(MEASURED, replace(SCALE, connections=200)).items["Secrets kept"]
    assert more - bill(MEASURED, SCALE).items["Secrets kept"] == pytest.approx(100 * 1.5 * SECRET_MONTH)


def test_requests_before_a_registration_are_paid_for() -> None:
    one = replace(MEASURED, upstream={**MEASURED.upstream, "register": 1})
    assert bill(MEASURED, SCALE).items["Lambda"] > bill(one, SCALE).items["Lambda"]


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
    assert metrics(Scale(10_000, 10)) == metrics(Scale(10_000, 1000))
    enabled = Assumptions(connection_metrics=True)
    added = metrics(Scale(10_000, 1000), enabled) - metrics(Scale(10_000, 999), enabled)
    assert added == pytest.approx(enabled.metrics_per_connection)


def test_a_metric_costs_nothing_in_an_hour_without_its_event() -> None:
    busy, quiet, silent = (metrics(Scale(events, 1)) for events in (1e6, 100, 0))
    assert busy == pytest.approx(7)
    assert 0 < quiet < 0.7 * busy
    assert silent == 0


def test_full_monitoring_costs_its_alarms_and_the_dashboard() -> None:
    basic, full = (bill(MEASURED, SCALE, Assumptions(monitoring=value)) for value in ("basic", "full"))
    assert full.total - basic.total == pytest.approx(6.4)


def test_a_million_events_cost_less_where_there_are_more_of_them() -> None:
    smallest, *_, largest = [bill(MEASURED, scale).per_million() for scale in SCALES]
    assert largest < smallest


def test_a_bill_is_the_sum_of_its_items() -> None:
    whole = bill(MEASURED, SCALE)
    assert whole.per_million() == pytest.approx(sum(whole.per_million(item) for item in whole.items))


def test_every_metric_of_an_alarm_and_every_poller_is_paid_for() -> None:
    resources = whole(TEMPLATE.read_text())["Resources"].values()
    read: dict[bool, int] = {False: 0, True: 0}
    for resource in resources:
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            metrics = [metric for metric in resource["Properties"].get("Metrics", [{}]) if "Expression" not in metric]
            read["Condition" in resource] += len(metrics)
    polled = [
        event
        for resource in resources
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    ]

    assumed = Assumptions()
    assert (assumed.alarm_metrics, assumed.full_alarm_metrics) == (read[False], read[True])
    assert assumed.queues == len(polled)
    assert read[True] * ALARM_METRIC_MONTH + DASHBOARD_MONTH == pytest.approx(6.4)
