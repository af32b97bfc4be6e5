"""Reports are folded into one known order, whatever their number and order."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from loyalty_relay.model.commands import Version
from loyalty_relay.model.orders import Capture, Order
from loyalty_relay.orders.known import KnownOrder, fold, joined, replaces
from tests.orders.makers import at, refund, sale

Report = tuple[Order, Version | None]


def known(*reports: Report) -> KnownOrder:
    found = KnownOrder()
    for order, version in reports:
        found = fold(found, order, version)
    return found


def test_the_newest_snapshot_remains_without_its_lines() -> None:
    new, old = (Order(id="1", sale=sale("80")), at(2)), (Order(id="1", sale=sale("100")), at(1))
    assert known(new, old) == known(old, new)
    assert known(new, old).sale == sale("80")


def test_a_later_report_of_a_refund_replaces_an_earlier_one() -> None:
    reports: list[Report] = [
        (Order(id="1", sale=sale()), at(1)),
        (Order(id="1", refunds=(refund("r", "30"),)), at(2)),
        (Order(id="1", refunds=(refund("r", "0"),)), at(3)),
    ]
    assert {known(*order).refunded_money for order in permutations(reports)} == {Decimal(0)}


def test_two_refunds_of_one_second_both_count() -> None:
    first, second = refund("a", "10", version=at(5).to_list()), refund("b", "20", version=at(5).to_list())
    found = known((Order(id="1", refunds=(first,)), None), (Order(id="1", refunds=(second,)), None))
    assert found.refunded_money == 30


def test_a_list_of_all_refunds_removes_those_that_it_does_not_have() -> None:
    reports: list[Report] = [
        (Order(id="1", sale=sale(), refunds=(refund("a", "10"), refund("b", "20")), all_refunds=True), at(1)),
        (Order(id="1", sale=sale(), refunds=(refund("b", "20"),), all_refunds=True), at(2)),
    ]
    assert {known(*order).refunded_money for order in permutations(reports)} == {Decimal(20)}


def test_a_refund_that_was_deleted_and_restored_counts_again() -> None:
    lists = [("a",), (), ("a",)]
    reports: list[Report] = [
        (Order(id="1", sale=sale(), refunds=tuple(refund(n, "10") for n in names), all_refunds=True), at(number))
        for number, names in enumerate(lists, 1)
    ]
    assert {known(*order).refunded_money for order in permutations(reports)} == {Decimal(10)}


def test_a_cumulative_total_opens_an_amount_that_ids_consume() -> None:
    total: Report = (Order(id="1", refunded=Decimal(30)), at(1))
    memo: Report = (Order(id="1", refunds=(refund("memo", "30"),)), None)
    assert known(total).refunded_money == known(total, memo).refunded_money == known(memo, total).refunded_money == 30
    more: Report = (Order(id="1", refunds=(refund("memo-2", "5"),)), None)
    assert known(total, memo, more).refunded_money == 35


def test_captures_by_id_and_the_cumulative_total_meet_as_well() -> None:
    by_id: Report = (Order(id="1", captures=(Capture(id="p", amount=Decimal(40)),)), None)
    snapshot: Report = (Order(id="1", sale=sale("100", paid=False, captured=Decimal(60))), at(1))
    assert known(by_id, snapshot).captured_money == known(snapshot, by_id).captured_money == 60
    failed: Report = (Order(id="1", captures=(Capture(id="p", amount=Decimal(0)),)), at(9))
    unpaid: Report = (Order(id="1", sale=sale("100", paid=False)), at(1))
    assert known(unpaid, by_id, failed).captured_money == 0


def test_money_given_back_of_single_captures_counts() -> None:
    capture = Capture(id="p", amount=Decimal(100), refunded=Decimal(25))
    assert known((Order(id="1", sale=sale(paid=False), captures=(capture,)), at(1))).refunded_money == 25


def test_a_void_gives_everything_back_for_good() -> None:
    void: Report = (Order(id="1", voided=True), None)
    later: Report = (Order(id="1", sale=sale()), at(9))
    assert known(later, void).refunded_money == known(void, later).refunded_money == 100


def test_what_came_under_another_name_is_joined() -> None:
    orphan = known((Order(id="payment:9", refunds=(refund("r", "30"),), currency="EUR"), at(3)))
    found = joined(known((Order(id="1", sale=sale()), at(1))), orphan)
    assert found.refunded_money == 30
    assert found.sale == sale()


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (None, at(1), True),
        (at(1), None, True),
        (at(1), at(1), True),
        (at(1), at(2), False),
        (at(2, "other"), at(1), True),
        (at(1, "other"), at(2), False),
        (Version("other", "5"), at(2), True),
    ],
)
def test_versions_are_compared_within_their_clock_and_else_by_time(
    new: Version | None, old: Version | None, expected: bool
) -> None:
    assert replaces(new, old) is expected


def test_what_is_known_survives_its_stored_form() -> None:
    found = known(
        (Order(id="1", sale=sale("12.345", "KWD"), refunds=(refund("a", "0.005"),), all_refunds=True), at(1)),
        (Order(id="1", captures=(Capture(id="p", amount=Decimal("12.345")),), refunded=Decimal("0.005")), at(2)),
        (Order(id="1", voided=True), None),
    )
    assert KnownOrder.from_dict(found.to_dict()) == found
