from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry
from tests.support.tables import JOURNAL, START, Clock, Counted

ENTRY = JournalEntry(
    delivery_id="0190-a",
    position=1,
    connection="shop",
    result=Result.APPLIED,
    source="shopify",
    topic="customers/update",
    event_id="evt-1",
    operation="update",
    customer="hash-1",
    loyalty_id="10",
    codes=("1001",),
    fields=("email", "tags.vip"),
    receives=3,
    occurred_at="2027-01-15T08:00:00.000000Z",
    received_at=START,
    finished_at=START + 1.25,
    request_id="req-1",
    details={"warning": "identifier_not_updated"},
)


@pytest.fixture
def journal(dynamodb: Counted, clock: Clock) -> Journal:
    return Journal(dynamodb, JOURNAL, clock=clock)


def test_an_entry_is_read_as_it_was_written(journal: Journal) -> None:
    assert journal.write(ENTRY)
    assert journal.show("0190-a") == [ENTRY]
    assert journal.show("0190-b") == []


def test_a_sparse_entry_is_read_as_it_was_written_and_a_delivery_shows_all_positions_in_order(journal: Journal) -> None:
    bare = JournalEntry(delivery_id="0190-a", connection="shop", result=Result.IGNORED)
    journal.write(replace(bare, position=10))
    journal.write(replace(bare, position=2))
    assert journal.show("0190-a") == [replace(bare, position=2), replace(bare, position=10)]


def test_entries_expire_after_ninety_days(dynamodb: Counted, journal: Journal) -> None:
    journal.write(ENTRY)
    (item,) = dynamodb.client.scan(TableName=JOURNAL)["Items"]
    assert int(item["expires_at"]["N"]) == START + 90 * 86_400


def test_a_retrying_entry_is_updated_in_place_until_the_final_result(journal: Journal) -> None:
    for receives in (1, 2):
        assert journal.write(replace(ENTRY, result=Result.RETRYING, receives=receives))
    assert [e.receives for e in journal.show("0190-a")] == [2]
    assert journal.write(replace(ENTRY, receives=3))
    assert [(e.result, e.receives) for e in journal.show("0190-a")] == [(Result.APPLIED, 3)]


@pytest.mark.parametrize("late", [Result.RETRYING, Result.DUPLICATE, Result.UNCHANGED, Result.PARKED])
def test_a_final_result_is_not_overwritten_by_a_late_copy(journal: Journal, late: Result) -> None:
    journal.write(ENTRY)
    assert not journal.write(replace(ENTRY, result=late))
    assert journal.show("0190-a") == [ENTRY]


def test_a_redrive_writes_over_what_was_parked_and_an_old_copy_does_not_write_over_the_redrive(
    journal: Journal,
) -> None:
    journal.write(replace(ENTRY, result=Result.PARKED, reason="rejected"))
    assert journal.write(replace(ENTRY, result=Result.RETRYING, redrives=1))
    assert not journal.write(replace(ENTRY, result=Result.PARKED))
    assert journal.write(replace(ENTRY, redrives=1))
    assert journal.show("0190-a") == [replace(ENTRY, redrives=1)]


@pytest.mark.parametrize("became", [Result.APPLIED, Result.RETRYING, Result.PARKED, Result.IGNORED])
def test_what_ingest_parked_raw_gives_way_to_the_command_that_it_became(journal: Journal, became: Result) -> None:
    journal.write(replace(ENTRY, result=Result.PARKED, operation="ingest", reason="mapping_failed"))
    assert journal.write(replace(ENTRY, result=became))
    assert journal.show("0190-a") == [replace(ENTRY, result=became)]


def test_a_command_that_ingest_parked_raw_before_is_final_when_it_is(journal: Journal) -> None:
    journal.write(replace(ENTRY, result=Result.PARKED, operation="ingest"))
    journal.write(replace(ENTRY, result=Result.PARKED))
    assert not journal.write(replace(ENTRY, result=Result.APPLIED))


def test_a_connections_entries_are_listed_newest_first_over_several_days(journal: Journal, clock: Clock) -> None:
    day = 86_400.0
    for age, delivery in ((9, "0190-a"), (2, "0190-b"), (0, "0190-c"), (0, "0190-d")):
        journal.write(replace(ENTRY, delivery_id=delivery, received_at=START - age * day))
    journal.write(replace(ENTRY, delivery_id="0190-e", connection="other"))
    assert [e.delivery_id for e in journal.list("shop")] == ["0190-d", "0190-c", "0190-b"]
    assert [e.delivery_id for e in journal.list("shop", limit=1)] == ["0190-d"]
    start = datetime.fromtimestamp(START, UTC)
    ten = start - timedelta(days=10)
    assert [e.delivery_id for e in journal.list("shop", since=ten)][-1] == "0190-a"
    assert [e.delivery_id for e in journal.list("shop", since=ten, until=start - timedelta(days=1))] == [
        "0190-b",
        "0190-a",
    ]


def test_a_customers_entries_are_listed_newest_first(journal: Journal) -> None:
    for delivery, customer in (("0190-a", "hash-1"), ("0190-b", "hash-2"), ("0190-c", "hash-1"), ("0190-d", "")):
        journal.write(replace(ENTRY, delivery_id=delivery, customer=customer))
    assert [e.delivery_id for e in journal.by_customer("hash-1")] == ["0190-c", "0190-a"]
    assert [e.delivery_id for e in journal.by_customer("hash-1", limit=1)] == ["0190-c"]


def test_a_journal_that_does_not_answer_is_unavailable(journal: Journal, dynamodb: Counted) -> None:
    dynamodb.fail("InternalServerError")
    for use in (lambda: journal.write(ENTRY), lambda: journal.show("0190-a"), lambda: journal.list("shop")):
        with pytest.raises(StoreUnavailable, match="InternalServerError"):
            use()


def test_lists_go_on_before_an_entry(journal: Journal) -> None:
    for position in range(3):
        journal.write(replace(ENTRY, position=position, customer="hash-1"))
    first = journal.list("shop", limit=1)[0]
    assert [e.position for e in journal.list("shop", before=first.order)] == [1, 0]
    assert [e.position for e in journal.by_customer("hash-1", before=first.order, limit=1)] == [1]
