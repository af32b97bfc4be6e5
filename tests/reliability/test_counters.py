"""Counters: each outcome once, in the hour of its arrival, with one write per batch and hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.counters import BOUNDS_MS, HOUR, Counters, HourCounts
from loyalty_relay.reliability.journal import Journal, JournalEntry
from tests.support.tables import JOURNAL, START, Clock, Counted

ENTRY = JournalEntry(
    delivery_id="0190-a",
    connection="shop",
    result=Result.APPLIED,
    operation="update",
    received_at=START,
    finished_at=START + 1.1,
)
NOW = int(START) // HOUR * HOUR


@pytest.fixture
def counters(dynamodb: Counted, clock: Clock) -> Counters:
    return Counters(dynamodb, JOURNAL, clock=clock)


@pytest.fixture
def journal(dynamodb: Counted, clock: Clock, counters: Counters) -> Journal:
    return Journal(dynamodb, JOURNAL, clock=clock, settled=counters.settled)


def test_a_batch_is_counted_with_one_write(journal: Journal, counters: Counters, dynamodb: Counted) -> None:
    for number in range(10):
        journal.write(replace(ENTRY, position=number, result=Result.STALE if number == 9 else Result.APPLIED))
    dynamodb.reset()
    counters.write()
    counters.write()
    assert dynamodb.calls == ["update_item"]
    assert counters.hours("shop") == [
        HourCounts(starts_at=NOW, outcomes={("update", "applied"): 9, ("update", "stale"): 1}, latencies={1_250: 9})
    ]


def test_counts_of_several_processes_add_up(journal: Journal, counters: Counters, dynamodb: Counted) -> None:
    other = Counters(dynamodb, JOURNAL, clock=counters._clock)
    other.settled(ENTRY)
    other.write()
    journal.write(ENTRY)
    counters.write()
    (hour,) = counters.hours("shop")
    assert (hour.outcomes, hour.latencies) == ({("update", "applied"): 2}, {1_250: 2})


def test_only_what_the_journal_took_is_counted(journal: Journal, counters: Counters) -> None:
    journal.write(ENTRY)
    assert not journal.write(replace(ENTRY, result=Result.DUPLICATE)), "a late copy"
    counters.write()
    assert counters.hours("shop")[0].outcomes == {("update", "applied"): 1}


def test_what_is_not_final_is_counted_when_it_is(journal: Journal, counters: Counters, dynamodb: Counted) -> None:
    journal.retrying(replace(ENTRY, result=Result.RETRYING), waiting=1.0)
    journal.write(replace(ENTRY, result=Result.PARKED))
    counters.write()
    assert counters.hours("shop") == []
    assert journal.unfinished("shop", Result.RETRYING, limit=10) == []
    assert journal.unfinished("shop", Result.PARKED, limit=10) == [("0190-a", 0)]
    journal.write(replace(ENTRY, redrives=1))
    counters.write()
    assert counters.hours("shop")[0].outcomes == {("update", "applied"): 1}
    assert journal.unfinished("shop", Result.PARKED, limit=10) == []


def test_what_is_retrying_is_listed_by_connection_the_oldest_first(journal: Journal) -> None:
    for delivery, connection in (("0190-b", "shop"), ("0190-a", "shop"), ("0190-c", "other")):
        entry = replace(ENTRY, delivery_id=delivery, connection=connection, result=Result.RETRYING)
        journal.retrying(entry, waiting=1.0)
    assert journal.unfinished("shop", Result.RETRYING, limit=10) == [("0190-a", 0), ("0190-b", 0)]
    assert journal.unfinished("shop", Result.RETRYING, limit=1) == [("0190-a", 0)]


def test_an_hour_holds_the_deliveries_that_arrived_in_it_and_hours_are_read_in_order(counters: Counters) -> None:
    for hours in (0, 1, 30, 167, 168):
        counters.settled(replace(ENTRY, received_at=START - hours * HOUR))
    counters.write()
    assert [hour.starts_at for hour in counters.hours("shop")] == [NOW - n * HOUR for n in (167, 30, 1, 0)]
    assert [hour.starts_at for hour in counters.hours("shop", hours=2)] == [NOW - HOUR, NOW]
    assert [hour.starts_at for hour in counters.hours("shop", hours=1)] == [NOW]


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0, 100), (0.1, 100), (0.1001, 150), (1.0, 1_000), (86_400 * 9, BOUNDS_MS[-1]), (-5, 100)]
)
def test_a_time_is_counted_in_the_first_bucket_that_holds_it(counters: Counters, seconds: float, bound: int) -> None:
    counters.settled(replace(ENTRY, finished_at=START + seconds))
    counters.write()
    assert counters.hours("shop")[0].latencies == {bound: 1}


def test_times_of_imports_are_not_counted(dynamodb: Counted, clock: Clock) -> None:
    background = Counters(dynamodb, JOURNAL, clock=clock, timed=False)
    background.settled(ENTRY)
    background.write()
    (hour,) = background.hours("shop")
    assert (hour.outcomes, hour.latencies) == ({("update", "applied"): 1}, {})


def test_no_list_of_the_journal_shows_counts(journal: Journal, counters: Counters) -> None:
    journal.write(replace(ENTRY, customer="hash-1"))
    counters.write()
    assert [entry.delivery_id for entry in journal.list("shop")] == ["0190-a"]
    assert [entry.delivery_id for entry in journal.by_customer("hash-1")] == ["0190-a"]
    start = datetime.fromtimestamp(START, UTC)
    assert journal.show(f"counts#shop#{start.year - 1}-W53") == []
    assert [entry.delivery_id for entry in journal.list("shop", since=start - timedelta(days=90))] == ["0190-a"]


def test_counts_are_kept_as_long_as_the_journals_entries(counters: Counters, dynamodb: Counted) -> None:
    counters.settled(ENTRY)
    counters.write()
    (item,) = dynamodb.client.scan(TableName=JOURNAL)["Items"]
    assert int(item["expires_at"]["N"]) == NOW + 90 * 86_400
    assert item["delivery_id"]["S"] == "counts#shop#2027-W02"


def test_what_cannot_be_written_is_lost_and_nothing_else_is(counters: Counters, dynamodb: Counted) -> None:
    dynamodb.fail("ProvisionedThroughputExceededException")
    counters.settled(ENTRY)
    counters.write()
    dynamodb.heal()
    counters.settled(ENTRY)
    counters.write()
    assert counters.hours("shop")[0].outcomes == {("update", "applied"): 1}


def test_refused_deliveries_are_counted_apart(counters: Counters) -> None:
    counters.refused("shop", 50)
    counters.refused("shop", 1)
    counters.write()
    assert [(hour.refused, hour.outcomes) for hour in counters.hours("shop")] == [(51, {})]
