"""Orders' records in the table: leases, pointers, what is kept when an execution ends early, and look-ups."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from loyalty_relay.model.commands import RecordSale
from loyalty_relay.model.errors import LeaseBusy, StoreUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.orders.ledger import OrderLedger
from loyalty_relay.orders.records import OrderRecords
from loyalty_relay.orders.waiting import MOST_WAITING, WaitingOrder, WaitingOrders
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.lease import LeaseLost
from loyalty_relay.storage.table import Table
from tests.orders.makers import at, record_refund, record_sale, refund
from tests.support.tables import JOURNAL, LEASE, STATE, Clock, Counted


@pytest.fixture
def orders(dynamodb: Counted, clock: Clock) -> OrderLedger:
    numbers = count()
    return OrderLedger(
        OrderRecords(
            dynamodb,
            STATE,
            Digests(b"fake-digest-key-for-tests"),
            journal=Journal(dynamodb, JOURNAL, clock=clock),
            clock=clock,
            lease_seconds=LEASE,
            new_token=lambda: f"token-{next(numbers)}",
            sleep=clock.sleep,
        )
    )


def entry(delivery: str = "d") -> JournalEntry:
    return JournalEntry(delivery_id=delivery, connection="shop", result=Result.APPLIED)


def report(orders: OrderLedger, command: Any, name: str = "1") -> None:
    with orders.hold("shop", name) as hold:
        hold.fold(command)
        hold.commit(hold.record, entry())


def break_off(orders: OrderLedger, command: Any) -> None:
    """An execution that ends between its fold and its commit."""
    with orders.hold("shop", "1") as hold:
        hold.fold(command)
        raise ValueError("broken off")


def items(dynamodb: Counted) -> list[str]:
    return sorted(item["pk"]["S"][:2] for item in dynamodb.client.scan(TableName=STATE)["Items"])


def test_one_execution_at_a_time_works_on_an_order(orders: OrderLedger, clock: Clock) -> None:
    with orders.hold("shop", "1"):
        with pytest.raises(LeaseBusy):
            orders.hold("shop", "1")
        with orders.hold("shop", "2"), orders.hold("another", "1"):
            pass
    with orders.hold("shop", "1"):
        pass


def test_an_execution_that_lost_its_lease_writes_nothing(orders: OrderLedger, clock: Clock) -> None:
    first = orders.hold("shop", "1")
    first.fold(record_sale(version=at(1)))
    clock.now += LEASE
    report(orders, record_refund(refunds=(refund("r", "30"),)))
    with pytest.raises(LeaseLost):
        first.commit(first.record, entry("other"))
    state = orders.lookup("shop", "1")
    assert state is not None
    assert not state.sale_known


def test_a_block_that_ends_early_leaves_what_was_there(orders: OrderLedger, dynamodb: Counted) -> None:
    with pytest.raises(ValueError, match="broken off"):
        break_off(orders, record_sale(version=at(1)))
    assert items(dynamodb) == []
    report(orders, record_sale(version=at(1)))
    with pytest.raises(ValueError, match="broken off"):
        break_off(orders, record_sale(version=at(2)))
    with orders.hold("shop", "1") as hold:
        assert hold.record.known.version == at(1)


def test_an_alias_that_another_execution_works_on_is_waited_for(orders: OrderLedger) -> None:
    with orders.hold("shop", "payment:9") as other:
        other.fold(record_refund("payment:9", refunds=(refund("r", "30"),)))
        other.save()
    with orders.hold("shop", "payment:9"), orders.hold("shop", "1") as hold, pytest.raises(LeaseBusy):
        hold.fold(record_sale(version=at(1), aliases=("payment:9",)))
    report(orders, record_sale(version=at(1), aliases=("payment:9",)))
    state = orders.lookup("shop", "payment:9")
    assert state is not None
    assert state.order_id == "1"
    assert state.refunds == {"r": 30}


def test_a_name_that_came_up_meanwhile_is_tried_again(orders: OrderLedger) -> None:
    with orders.hold("shop", "1") as hold:
        hold.fold(record_sale(version=at(1), aliases=("payment:9",)))
        report(orders, record_refund("payment:9", refunds=(refund("r", "30"),)), "payment:9")
        with pytest.raises(LeaseBusy):
            hold.commit(hold.record, entry())
    report(orders, record_sale(version=at(1), aliases=("payment:9",)))
    state = orders.lookup("shop", "1")
    assert state is not None
    assert state.refunded == 30


def test_the_record_and_the_journals_entry_are_one_write(orders: OrderLedger, dynamodb: Counted) -> None:
    dynamodb.fail("ProvisionedThroughputExceededException", only="transact_write_items")
    with orders.hold("shop", "1") as hold:
        hold.fold(record_sale(version=at(1)))
        with pytest.raises(StoreUnavailable):
            hold.commit(hold.record, entry())
    dynamodb.heal()
    assert orders.lookup("shop", "1") is None
    assert dynamodb.client.scan(TableName=JOURNAL)["Items"] == []


def test_a_look_up_shows_what_is_known_and_touches_nothing(orders: OrderLedger, dynamodb: Counted) -> None:
    assert orders.lookup("shop", "1") is None
    command: RecordSale = record_sale(version=at(1), refunds=(refund("r", "30"),), aliases=("payment:9",))
    report(orders, command)
    dynamodb.reset()
    state = orders.lookup("shop", "1")
    assert state is not None
    assert dynamodb.calls == ["get_item"]
    assert [state.total, state.captured, state.refunded, state.booked] == [100, 100, 30, 0]
    assert state.aliases == ("payment:9",)
    assert state.guest


def test_orders_that_wait_for_a_contact(dynamodb: Counted, clock: Clock) -> None:
    waiting = WaitingOrders(Table(dynamodb, STATE))
    assert waiting.of("shop", "digest") == []
    waiting.add("shop", "digest", "1", 50.0)
    waiting.add("shop", "digest", "2", 60.0)
    waiting.add("shop", "digest", "1", 50.0)
    assert waiting.of("shop", "digest") == [WaitingOrder("1", 50.0), WaitingOrder("2", 60.0)]
    waiting.remove("shop", "digest", 1)
    assert len(waiting.of("shop", "digest")) == 2
    waiting.remove("shop", "digest", 3)
    assert waiting.of("shop", "digest") == []
    for number in range(MOST_WAITING + 1):
        waiting.add("shop", "many", str(number), 50.0)
    assert len(waiting.of("shop", "many")) == MOST_WAITING
