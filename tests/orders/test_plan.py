"""Any number of reports, in any order, ends in the bookings that the history of the order calls for (G11)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import AdjustmentNeeded
from loyalty_relay.model.orders import Order
from loyalty_relay.orders.known import fold
from loyalty_relay.orders.plan import bills, folded, next_booking
from loyalty_relay.orders.record import OrderRecord
from loyalty_relay.orders.target import target_of
from tests.orders.histories import PLACES, History, histories
from tests.orders.makers import SOLD_AT, amounts, at, refund, sale


def worked(record: OrderRecord, rules: Sales, order: Order, version: Version | None = None) -> OrderRecord:
    """The record once a report is folded and everything that is missing is booked."""
    record = folded(record, fold(record.known, order, version))
    while True:
        target = target_of(record.known, rules, begun=bool(record.bookings))
        if not record.bookings:
            record = replace(record, currency=target.currency, bill="b", rules=rules)
        booking = next_booking(record, target, rules, converts=False, at=SOLD_AT)
        if booking is None:
            return record.settled()
        booked = replace(booking, transaction_id=f"t{booking.number}")
        record = stored(replace(record, bookings=(*record.bookings, booked)))


def stored(record: OrderRecord) -> OrderRecord:
    """The record as it comes back from its item."""
    return OrderRecord.from_item({"pk": record.pk, **record.to_attributes()}, record.order_id)


def fresh() -> OrderRecord:
    return OrderRecord(pk="O#shop#1", connection="shop", order_id="1", loyalty_id="m")


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_any_order_and_number_of_reports_ends_in_what_the_history_calls_for(
    history: History, data: st.DataObject
) -> None:
    reports = history.reports()
    copies = reports + data.draw(st.lists(st.sampled_from(reports), max_size=4))
    record = fresh()
    for order, version in data.draw(st.permutations(copies)):
        record = worked(record, history.rules, order, version)
        assert record.booked >= 0
        assert all(bill.left >= 0 for bill in bills(record))
    assert record.booked == history.expected
    assert_sound(record)


def assert_sound(record: OrderRecord) -> None:
    """Every booking is positive, exact, and has a number, a marker and (sales) a bill of its own."""
    found = record.bookings
    assert [booking.number for booking in found] == list(range(1, len(found) + 1))
    assert len({booking.marker for booking in found}) == len(found)
    assert max(Counter(b.bill for b in found if b.kind == "sale").values(), default=1) == 1
    for booking in found:
        assert booking.amount > 0
        assert -int(booking.amount.as_tuple().exponent) == PLACES[booking.currency]


def test_a_return_carries_the_refund_that_explains_it_alone() -> None:
    record = worked(fresh(), Sales(), Order(id="1", sale=sale()), at(1))
    record = worked(record, Sales(), Order(id="1", refunds=(refund("a", "10"),)))
    record = worked(record, Sales(), Order(id="1", sale=sale(), refunded=Decimal(30)), at(2))
    record = worked(record, Sales(), Order(id="1", refunds=(refund("b", "20"), refund("c", "5"))))
    record = worked(
        record, Sales(), Order(id="1", sale=sale(), refunds=(refund("d", "7"),), refunded=Decimal(42)), at(3)
    )
    assert [(str(b.amount), b.refund_id) for b in record.bookings[1:]] == [
        ("10.00", "a"),
        ("20.00", ""),
        ("5.00", ""),
        ("7.00", "d"),
    ]


def test_a_refund_beside_an_edit_does_not_explain_the_return() -> None:
    record = worked(fresh(), Sales(), Order(id="1", sale=sale("100", captured=Decimal(100))), at(1))
    edited = Order(id="1", sale=sale("80", captured=Decimal(80)), refunds=(refund("a", "10"),))
    record = worked(record, Sales(), edited, at(2))
    assert [(str(b.amount), b.refund_id) for b in record.bookings[1:]] == [("30.00", "")]


def test_a_return_is_as_late_as_its_newest_refund() -> None:
    record = worked(fresh(), Sales(), Order(id="1", sale=sale()), at(1))
    early, late = "2026-09-21T00:00:00.000000Z", "2026-09-22T00:00:00.000000Z"
    record = worked(record, Sales(), Order(id="1", refunds=(refund("a", "1", at=late), refund("b", "1", at=early))))
    assert record.bookings[-1].at == late


def test_another_currency_than_before_cannot_be_booked() -> None:
    record = worked(fresh(), Sales(), Order(id="1", sale=sale()), at(1))
    with pytest.raises(AdjustmentNeeded):
        worked(record, Sales(), Order(id="1", sale=sale(currency="USD")), at(2))


def test_a_guests_sales_are_converted_one_by_one_unless_nothing_is_left() -> None:
    record = replace(fresh(), loyalty_id=None)
    for number, total in enumerate(("10", "30", "60"), 1):
        record = worked(record, Sales(), Order(id="1", sale=sale(total)), at(number))
    record = worked(record, Sales(), Order(id="1", refunds=(refund("r", "20"),)))
    record = replace(record, loyalty_id="m")
    made: list[Booking] = []
    while True:
        target = target_of(record.known, Sales(), begun=True)
        booking = next_booking(record, target, Sales(), converts=True, at=SOLD_AT)
        if booking is None:
            break
        made.append(booking)
        record = stored(replace(record, bookings=(*record.bookings, booking)))
    # The second sale was given back as a whole.
    assert [(b.kind, b.bill, b.loyalty_id) for b in made] == [("conversion", "b", "m"), ("conversion", "b-3", "m")]
    assert {bill.owner for bill in bills(record) if bill.left} == {"m"}


def test_a_record_survives_its_stored_form() -> None:
    record = worked(
        fresh(), Sales(returns="line"), Order(id="1", sale=sale(amounts=amounts("12.50", tax="2.50"))), at(1)
    )
    record = folded(record, fold(record.known, Order(id="1", refunds=(refund("a", "1"),)), None))
    intent = replace(record.bookings[0], number=2, kind="return", whole=True)
    record = replace(
        record,
        intent=intent,
        intent_at=12.5,
        aliases=("a", "b"),
        contacts=("c",),
        place={"branch": "1"},
        reason="x",
        until=5.0,
    )
    found = stored(record)
    assert found == replace(record, bookings=found.bookings)
    assert found.bookings[0].by_line
    assert found.unsettled == {"a": 0}
