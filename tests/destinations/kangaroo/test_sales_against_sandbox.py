"""Sales and returns against a vendor with books: what is in them after lost answers, refusals and options."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devkit.sandbox.faults import parse_fault
from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import RecordSale
from loyalty_relay.model.errors import AmbiguousOutcome, CustomerNotFound, InvalidCommand, UpstreamUnavailable
from loyalty_relay.model.orders import Order
from tests.destinations.kangaroo.support import PASSWORD, World, deadline
from tests.destinations.kangaroo.test_sales import RETURN, SALE

COMMAND = RecordSale(order=Order(id="1001", custom_fields={"custom_field_5": "till 4"}))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def member(world: World) -> str:
    return next(iter(world.customers()))


def state(world: World) -> dict[str, Any]:
    found: Any = world.sandbox.vendors["kangaroo"].state()
    return dict(found)


def books(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = state(world)["transactions"]
    return found


def of(booking: Booking, member: str, **changes: Any) -> Booking:
    return replace(booking, loyalty_id=member, **changes)


def test_a_sale_and_its_return_are_in_the_books_as_they_were_sent(world: World, member: str) -> None:
    crm = world.crm()

    sold = crm.book(of(SALE, member, amount=Decimal("40.10")), COMMAND, deadline())
    given_back = crm.book(of(RETURN, member, amount=Decimal("10.10")), COMMAND, deadline())

    sale, back = books(world)
    assert (str(sale["id"]), sale["intent"], sale["amount"], sale["customer_id"]) == (
        sold.transaction_id,
        "reward",
        "40.1",
        world.customers()[member]["id"],
    )
    assert (back["intent"], back["amount"], back["created_at"]) == ("return", "10.1", "2026-11-03T00:00:00+00:00")
    assert back["details"] == sale["details"] | {"custom_field_1": "m-2", "custom_field_2": "r-9"}
    assert [sold.points, given_back.points, world.customers()[member]["points"]] == [40, -10, 30]
    assert (sold.notices, given_back.notices) == ((), ())


@pytest.mark.parametrize("booking", [SALE, RETURN])
def test_a_booking_whose_answer_was_lost_is_found(world: World, member: str, booking: Booking) -> None:
    crm = world.crm()
    lost = of(booking, member)
    assert crm.find_booking(lost, deadline()) is None
    world.sandbox.faults.append(parse_fault({"path": "/transactions", "status": 500, "effect": True, "count": 1}))

    with pytest.raises(UpstreamUnavailable) as caught:
        crm.book(lost, COMMAND, deadline())

    assert caught.value.reached
    assert len(books(world)) == 1
    found = crm.find_booking(lost, deadline())
    assert found is not None
    assert found.transaction_id == str(books(world)[0]["id"])
    assert found.points == (5 if booking.kind == "sale" else -5)


def test_each_booking_of_an_order_is_found_among_its_others(world: World, member: str) -> None:
    crm = world.crm()
    world.set(rate_limit=0)
    bookings = [
        of(SALE if number % 3 else RETURN, member, number=number, marker=f"m-{number}", amount=Decimal(number))
        for number in range(1, 121)
    ]
    ids = [crm.book(booking, COMMAND, deadline()).transaction_id for booking in bookings]

    found = [crm.find_booking(bookings[index], deadline()) for index in (0, 2, 59, 119)]

    assert [it.transaction_id for it in found if it] == [ids[index] for index in (0, 2, 59, 119)]
    assert crm.find_booking(of(SALE, member, marker="m-121"), deadline()) is None


def test_a_booking_that_was_repeated_unseen_is_reported(world: World, member: str) -> None:
    crm = world.crm()
    for _ in range(2):
        crm.book(of(SALE, member), COMMAND, deadline())

    with pytest.raises(AmbiguousOutcome):
        crm.find_booking(of(SALE, member), deadline())


@pytest.mark.parametrize("status", [404, 422])
@pytest.mark.parametrize("shape", ["E1", "E2", "E3", "E6"])
def test_an_unknown_customer_is_neither_booked_nor_created(world: World, status: int, shape: str) -> None:
    world.set(unknown_customer=status, validation_shape=shape)
    before = world.customers()

    with pytest.raises(CustomerNotFound):
        world.crm().book(of(SALE, "11e00000000000000000000000000000"), COMMAND, deadline())

    assert (books(world), state(world)["welcomed"], world.customers()) == ([], [], before)


def branches(world: World, *, virtual: bool) -> list[str]:
    return [branch.id for branch in world.crm().branches(deadline()) if branch.virtual is virtual]


def test_sales_are_booked_at_the_branch_of_their_store(world: World, member: str) -> None:
    third = branches(world, virtual=False)[2]

    world.crm().book(of(SALE, member, place={"branch": third}), COMMAND, deadline())
    world.crm().book(of(SALE, member), COMMAND, deadline())

    assert [it["branch_id"] for it in books(world)] == [third, branches(world, virtual=False)[0]]


@pytest.mark.parametrize("shape", ["E1", "E2", "E3", "E6"])
def test_where_virtual_branches_take_no_sales_the_main_one_does(world: World, member: str, shape: str) -> None:
    crm = world.crm()
    online = branches(world, virtual=True)[0]
    taken = crm.book(of(SALE, member, linked_branch=online), COMMAND, deadline())
    world.set(virtual_branch_sales=False, validation_shape=shape)

    moved = crm.book(of(SALE, member, linked_branch=online, marker="m-9"), COMMAND, deadline())

    assert [it["branch_id"] for it in books(world)] == [online, branches(world, virtual=False)[0]]
    assert [[n.code for n in receipt.notices] for receipt in (taken, moved)] == [[], ["branch_refused"]]
    with pytest.raises(InvalidCommand):
        crm.book(of(SALE, member, place={"branch": online}), COMMAND, deadline())
    assert len(books(world)) == 2


def test_the_rule_about_large_amounts_wants_the_configured_pin_code(world: World, member: str) -> None:
    world.set(employee_above=100)
    large = of(SALE, member, amount=Decimal("100.01"))

    with pytest.raises(InvalidCommand) as caught:
        world.crm().book(large, COMMAND, deadline())
    world.crm(PASSWORD | {"employee_pin_code": "3333"}).book(large, COMMAND, deadline())

    assert [p.field for p in caught.value.problems] == ["employee"]
    assert [it["employee"] for it in books(world)] == [{"pin_code": "3333"}]
