"""Which events a list has, and where it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from devkit.queries.events import LOOKED_AT, EventFilter, EventList, list_events, since_of
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import CommandError
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from tests.pipeline.conftest import CONNECTION
from tests.queries.makers import entry
from tests.support.stack import START, Stack, outside

DAY = 86_400.0

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", datetime(2026, 3, 10, 11, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 3, 10, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 3, 3, 12, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)
def test_since_is_a_time_ago_or_a_moment(text: str, moment: datetime) -> None:
    assert since_of(text, NOW) == moment


def test_a_time_that_is_none_explains_how_to_write_one() -> None:
    with pytest.raises(CommandError, match="yesterday") as caught:
        since_of("yesterday", NOW)

    assert "7d" in caught.value.do


def listed(stack: Stack, limit: int = 50, **wanted: Any) -> EventList:
    store = store_of(outside(stack))
    return list_events(stack.journal, store, EventFilter(**wanted), now=stack.clock.now, limit=limit)


def put(stack: Stack, age: float, connection: str = "shop-1", position: int = 0, **members: Any) -> JournalEntry:
    """Write an entry of a delivery that arrived so many seconds before the present."""
    at = START - age
    made = replace(entry(new_delivery_id(at, bytes), received=at, position=position, **members), connection=connection)
    stack.journal.write(made)
    return made


@pytest.fixture
def shops(stack: Stack) -> Stack:
    for name in ("shop-1", "shop-2"):
        stack.put_connection(name, CONNECTION)
    return stack


def test_events_of_all_connections_are_listed_newest_first_page_by_page(shops: Stack) -> None:
    made = [put(shops, age * 0.4 * DAY + n, f"shop-{n}") for age in range(8) for n in (1, 2)]
    made.sort(key=lambda e: e.order, reverse=True)
    found: list[JournalEntry] = []
    cursor, pages = "", 0
    while True:
        page = listed(shops, 3, cursor=cursor)
        found += page.entries
        pages += 1
        cursor = page.next
        if not cursor:
            break
    assert found == made
    assert pages == 6
    assert list(listed(shops, connection="shop-2").entries) == [e for e in made if e.connection == "shop-2"]


def test_a_list_begins_and_ends_at_the_moments_that_are_wanted(shops: Stack) -> None:
    made = [put(shops, age) for age in (60, 600, 7200, 20 * DAY)]
    assert list(listed(shops, since="1h").entries) == made[:2]
    assert list(listed(shops, since="1h", until="5m").entries) == made[1:2]
    assert list(listed(shops, since="90d").entries) == made
    assert list(listed(shops).entries) == made[:3]
    assert listed(shops, since="1h").as_json()["since"] == "2026-09-21T13:13:20.000000Z"


@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        ({"platform": "square"}, {"source": "square"}),
        ({"topic": "customer.updated"}, {"topic": "customer.updated"}),
        ({"operation": "crm-patch"}, {"operation": "crm-patch"}),
        ({"result": "parked"}, {"result": Result.PARKED}),
        ({"reason": "older"}, {"reason": "older"}),
    ],
)
def test_every_filter_chooses_the_events_that_have_it(
    shops: Stack, wanted: dict[str, Any], members: dict[str, Any]
) -> None:
    put(shops, 1)
    fitting = put(shops, 2, **members)
    put(shops, 3)
    assert listed(shops, **wanted).entries == (fitting,)


def test_a_page_that_looked_at_many_entries_goes_on_where_it_ended(
    shops: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOOKED_AT == 1000
    monkeypatch.setattr("devkit.queries.events.LOOKED_AT", 10)
    monkeypatch.setattr("devkit.queries.events.AT_ONCE", 4)
    made = [put(shops, age) for age in range(25)]
    parked = put(shops, 30, result=Result.PARKED)
    first = listed(shops, 5, result="parked")
    assert (first.entries, first.looked_at, first.next) == ((), 10, made[9].order)
    assert abs(first.reached - made[9].received_at) < 0.01
    second = listed(shops, 5, result="parked", cursor=first.next)
    third = listed(shops, 5, result="parked", cursor=second.next)
    assert (second.entries, third.entries, third.next) == ((), (parked,), "")


def test_the_events_of_a_customer_are_listed_by_the_keyed_hashes(shops: Stack) -> None:
    made = [put(shops, age, customer=f"hash-{age % 3}") for age in range(9)]
    put(shops, 30 * DAY, customer="hash-1")
    page = listed(shops, 4, customers=("hash-1", "hash-2"))
    rest = listed(shops, 4, customers=("hash-1", "hash-2"), cursor=page.next)
    assert [*page.entries, *rest.entries] == [e for e in made if e.customer != "hash-0"]
    assert listed(shops, customers=("hash-1",), connection="shop-2").entries == ()


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ({"result": "fine"}, "result"),
        ({"cursor": "x"}, "cursor"),
        ({"since": "yesterday"}, "since"),
        ({"until": "9999999d"}, "until"),
        ({"topic": "x" * 201}, "topic"),
        ({"customers": ("x" * 201,)}, "customers"),
        ({"customers": tuple(map(str, range(61)))}, "customers"),
    ],
)
def test_a_filter_that_cannot_be_one_is_an_error(shops: Stack, wanted: dict[str, Any], where: str) -> None:
    with pytest.raises(CommandError) as caught:
        listed(shops, **wanted)
    assert caught.value.where == where
    assert caught.value.do


def test_a_connection_that_there_is_not_is_an_error(shops: Stack) -> None:
    with pytest.raises(CommandError, match="did you mean shop-1"):
        listed(shops, connection="shop-11")


def test_the_list_as_json_has_where_to_go_on(shops: Stack) -> None:
    made = [put(shops, age) for age in range(3)]
    shown = listed(shops, 2).as_json()
    assert [e["delivery_id"] for e in shown["events"]] == [e.delivery_id for e in made[:2]]
    assert (shown["next"], shown["looked_at"], shown["until"]) == (made[1].order, 3, None)
    json.dumps(shown)
