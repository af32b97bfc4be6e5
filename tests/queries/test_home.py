"""How connections do: the numbers are those of the journal, and reading them costs little."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.counting import item_size
from devkit.queries.home import LISTED, Overview, overview, quantile
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.errors import UpstreamUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.circuit_breaker import THRESHOLD
from loyalty_relay.reliability.counters import HOUR
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runs.run import Counts, Kind, Run
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from tests.pipeline.conftest import CONNECTION
from tests.support.stack import Stack, outside


class Shop:
    """A stack with a connection, whose events are journalled as functions do."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        stack.put_connection("shop", CONNECTION)
        self.services = self.process()

    def process(self) -> Services:
        stack = self.stack
        return Services(Settings(environment=stack.environment), clock=stack.clock, client=stack.client)

    def happened(self, result: Result, *, hours: float = 0, took: float = 1.0, operation: str = "update") -> None:
        at = self.stack.clock() - hours * HOUR
        entry = JournalEntry(
            delivery_id=new_delivery_id(at),
            connection="shop",
            result=result,
            source="shopify",
            topic="customers/update",
            operation=operation,
            received_at=at,
            finished_at=at + took,
        )
        assert self.services.journal.write(entry)
        self.services.write_counts()

    def overview(self, **more: Any) -> Overview:
        return overview(outside(self.stack), self.process(), **more)


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop(stack)


def test_windows_hold_the_outcomes_of_their_hours(shop: Shop) -> None:
    for hours in (0, 0, 20, 100, 200):
        shop.happened(Result.APPLIED, hours=hours)
    shop.happened(Result.IGNORED, operation="ingest")
    shop.happened(Result.PARKED, hours=30)
    shop.happened(Result.RETRYING)
    (each,) = shop.overview().connections
    counted = {
        name: {result: count for result, count in span.outcomes.items() if count} for name, span in each.spans.items()
    }
    assert counted == {
        "hour": {"applied": 2, "ignored": 1, "retrying": 1},
        "day": {"applied": 3, "ignored": 1, "retrying": 1},
        "week": {"applied": 4, "ignored": 1, "retrying": 1, "parked": 1},
    }
    assert [sum(span.outcomes.values()) for span in each.hours][-1] == 4
    assert len(each.hours) == 24
    assert len(each.days) == 7
    assert sum(sum(span.outcomes.values()) for span in each.days) == 7


def test_a_number_is_that_of_the_list_that_it_leads_to(shop: Shop) -> None:
    for hours in (0, 1, 2, 23, 24, 25):
        shop.happened(Result.APPLIED, hours=hours)
        shop.happened(Result.PARKED, hours=hours)
    (each,) = shop.overview().connections
    for span in each.spans.values():
        for result in (Result.APPLIED, Result.PARKED):
            listed = [e for e in shop.services.journal.list("shop", limit=100) if e.received_at >= span.since]
            assert span.outcomes[result.value] == len([e for e in listed if e.result is result])


def test_what_waits_is_shown_with_its_oldest_and_leaves_when_it_is_done(shop: Shop) -> None:
    for hours in (3, 1):
        shop.happened(Result.RETRYING, hours=hours)
    shop.happened(Result.PARKED, hours=50)
    (each,) = shop.overview().connections
    assert (each.retrying.count, each.parked.count, each.retrying.more) == (2, 1, False)
    assert each.retrying.oldest == pytest.approx(shop.stack.clock() - 3 * HOUR, abs=0.01)
    parked = next(e for e in shop.services.journal.list("shop", limit=9) if e.result is Result.PARKED)
    assert shop.services.journal.write(replace(parked, result=Result.APPLIED, redrives=1))
    shop.services.write_counts()
    (each,) = shop.overview().connections
    assert (each.parked.count, each.parked.oldest, each.spans["week"].outcomes["applied"]) == (0, None, 1)


def test_latency_is_that_of_applied_events_and_last_is_the_newest(shop: Shop) -> None:
    for took in (0.9, 0.9, 0.9, 50):
        shop.happened(Result.APPLIED, hours=1, took=took)
    shop.happened(Result.STALE, took=500)
    (each,) = shop.overview().connections
    day = each.spans["day"]
    assert day.p50 is not None
    assert 0.8 < day.p50 < 1.0
    assert day.p95 is not None
    assert 45 < day.p95 <= 60
    assert each.last is not None
    assert each.last.result is Result.STALE


def test_a_quantile_lies_between_the_bounds_of_its_bucket() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({1_000: 10}, 0.5) == pytest.approx(0.9)
    assert quantile({100: 9, 60_000: 1}, 0.95) == pytest.approx(52.5)


def test_circuits_limits_and_runs_are_shown(shop: Shop) -> None:
    services = shop.services
    connection = services.connections.get("shop")
    account, _ = services.pipeline.circuits(connection)
    for _ in range(THRESHOLD):
        with pytest.raises(UpstreamUnavailable), services.circuit.call(account):
            raise UpstreamUnavailable
    api, most = next(iter(connection.destination.requests_per_minute.items()))
    services.pacing.reserve(account, api, most, 3)
    now = shop.stack.clock()
    ended: list[tuple[Kind, int]] = [("import", 0), ("reconciliation", 2)]
    for kind, missing in ended:
        run = Run(
            id=new_delivery_id(now),
            connection="shop",
            kind=kind,
            status="done",
            started_at=now,
            reviewed=kind == "reconciliation",
            subscriptions="missing: customers/update" if missing else "",
            proof=Counts(missing=missing),
        )
        services.runs.report(run)
        now += 10
    services.runs.begin(Run(id=new_delivery_id(now), connection="shop", kind="import", started_at=now))
    (each,) = shop.overview().connections
    assert each.circuit == "open: unavailable"
    assert {limit.api: limit.used for limit in each.limits}[api] == 3
    assert each.running is not None
    assert each.imported is not None
    assert each.imported.proven
    assert each.reconciled is not None
    assert not each.reconciled.proven
    shown = each.as_json()["subscriptions"]
    assert shown == {"at": each.reconciled.started_at, "amiss": "missing: customers/update"}


def test_a_connection_that_is_not_valid_is_shown_with_its_counts(shop: Shop) -> None:
    shop.happened(Result.APPLIED)
    shop.stack.put_connection("shop", {"source": {}})
    (each,) = shop.overview().connections
    assert each.problem
    assert each.spans["hour"].outcomes["applied"] == 1


def test_a_stack_with_many_connections_shows_some_and_reports_the_rest(shop: Shop) -> None:
    for number in range(3):
        shop.stack.put_connection(f"shop-{number}", CONNECTION)
    view = shop.overview(most=2)
    assert (len(view.connections), view.left_out) == (2, 2)
    (one,) = shop.overview(only=["shop-2"]).connections
    assert one.id == "shop-2"


def test_a_connection_costs_fewer_than_fifty_read_units(shop: Shop) -> None:
    """A busy week: six operations, each hour with every outcome and all latencies, and a long backlog."""
    services = shop.services
    now = shop.stack.clock()
    for hour in range(168):
        at = now - hour * HOUR
        for operation in ("register", "update", "transaction", "link-store", "ingest", "hydrate"):
            for number, result in enumerate(Result):
                entry = JournalEntry(
                    delivery_id=new_delivery_id(at),
                    connection="shop",
                    result=result,
                    operation=operation,
                    received_at=at,
                    finished_at=at + 0.1 * 3**number,
                )
                if result not in (Result.RETRYING, Result.PARKED):
                    for took in (0.05, 0.12, 0.18, 0.9, 1.4, 4, 9, 40, 100, 1000):
                        services.counters.settled(replace(entry, finished_at=at + took))
    services.write_counts()
    for _ in range(LISTED + 10):
        for result in (Result.RETRYING, Result.PARKED):
            services.journal.write(
                JournalEntry(
                    delivery_id=new_delivery_id(now),
                    connection="shop",
                    result=result,
                    operation="update",
                    received_at=now,
                )
            )
    units: list[float] = []

    def cost(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        found = parsed.get("Items") or ([parsed["Item"]] if "Item" in parsed else [])
        for items in parsed.get("Responses", {}).values():
            found += items
        size = sum(item_size(item) for item in found)
        units.append(max(1, math.ceil(size / 4096)) * (0.5 if model.name == "Query" else 1.0))

    shop.stack.watch("after-call.dynamodb", cost)
    (each,) = shop.overview().connections
    assert each.retrying.more
    assert each.retrying.count == LISTED
    assert 10 < sum(units) < 50
