"""Orders through their ledger into a vendor's books: what is booked there is what was paid minus what was refunded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.sandbox.faults import parse_fault
from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import StoreLink
from loyalty_relay.model.errors import TransientError
from loyalty_relay.model.outcomes import Result
from tests.destinations.kangaroo.support import PASSWORD, World, destination
from tests.fuzz.documents import fuzz
from tests.orders.makers import at, record_refund, record_sale, refund, sale
from tests.support.sales import SalesWorld
from tests.support.tables import Counted


class Shop:
    """One connection to the sandbox's business, whose first customer is the shop's customer 7."""

    def __init__(self, dynamodb: Counted, sales: Sales, **options: Any) -> None:
        self.vendor = World()
        self.relay = SalesWorld(dynamodb, sales)
        self.vendor.clock.now = self.relay.clock.now
        self.vendor.set(rate_limit=0)
        self.member = next(iter(self.vendor.customers()))
        self.relay.has_member("7", self.member)
        to = destination(PASSWORD, sandbox=True, options=options)
        self.relay.connection = replace(self.relay.connection, destination=to)
        crm: Any = self.vendor.crm(options=options)
        self.relay.crm = crm

    @property
    def books(self) -> list[dict[str, Any]]:
        state: Any = self.vendor.sandbox.vendors["kangaroo"].state()
        return list(state["transactions"])

    def balance(self) -> Decimal:
        signs = {"reward": 1, "return": -1}
        return sum((signs[it["intent"]] * Decimal(it["amount"]) for it in self.books), Decimal(0))

    def deliver(self, command: Any, *, event_id: str) -> Any:
        """Carry a command out until it ends, as the queue does."""
        for _ in range(5):
            with suppress(TransientError):
                return self.relay.run(command, event_id=event_id)
            self.relay.clock.now += 400
            self.vendor.clock.now += 400
        raise AssertionError("the command does not end")

    def fault(self, **rule: Any) -> None:
        self.vendor.sandbox.faults.append(parse_fault({"method": "POST", "path": "/transactions", "count": 1, **rule}))


def test_a_sale_a_refund_and_an_edit_at_the_branch_of_their_store(dynamodb: Counted) -> None:
    shop = Shop(dynamodb, Sales(enabled=True))
    branch = shop.vendor.crm().branches(shop.relay.deadline)[3].id
    shop.relay.connection = replace(
        shop.relay.connection, sales=Sales(enabled=True, stores={"L-1": {"branch": branch}})
    )
    sold = sale("40.10", location="L-1")

    first = shop.deliver(record_sale(sale=sold, version=at(1)), event_id="e-1")
    shop.deliver(record_refund(refunds=(refund("r-9", "10.10"),)), event_id="e-2")
    edited = shop.deliver(record_sale(sale=sale("45.60", location="L-1"), version=at(3)), event_id="e-3")

    assert (first.result, first.loyalty_id, first.details) == (Result.APPLIED, shop.member, {"points": 40})
    assert edited.result is Result.APPLIED
    assert shop.balance() == Decimal("35.50")
    assert {it["branch_id"] for it in shop.books} == {branch}
    one, back, more = (it["details"] for it in shop.books)
    assert one["external_order_id"] == back["external_order_id"] != more["external_order_id"]
    assert (one["custom_field_2"], back["custom_field_2"]) == (None, "r-9")
    assert len({it["custom_field_1"] for it in (one, back, more)}) == 3


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("taken", [True, False])
def test_the_branch_of_a_link_has_its_shops_sales_where_that_is_wanted_and_taken(
    dynamodb: Counted, wanted: bool, taken: bool
) -> None:
    shop = Shop(dynamodb, Sales(enabled=True), sales_at_linked_branch=wanted)
    shop.vendor.set(virtual_branch_sales=taken)
    branches = shop.vendor.crm().branches(shop.relay.deadline)
    online = next(branch.id for branch in branches if branch.virtual)
    links = shop.relay.parts.links
    link = StoreLink(branch_link_id=1, shop_id="L-9", account_id="a", branch_id=online, integration_id=20)
    links.save_link(links.take_shop("shop-1", "L-9"), link)

    outcome = shop.deliver(record_sale(sale=sale(location="L-9"), version=at(1)), event_id="e-1")
    shop.deliver(record_refund(refunds=(refund("r", "10"),)), event_id="e-2")

    assert {it["branch_id"] for it in shop.books} == {online if wanted and taken else branches[0].id}
    assert [it["intent"] for it in shop.books] == ["reward", "return"]
    assert ("branch_refused" in [notice.code for notice in outcome.notices]) is (wanted and not taken)


@pytest.mark.parametrize("fault", [{"status": 500, "effect": True}, {"status": 500}])
def test_a_lost_response_leads_to_one_booking(dynamodb: Counted, fault: dict[str, Any]) -> None:
    shop = Shop(dynamodb, Sales(enabled=True))
    shop.fault(**fault)

    outcome = shop.deliver(record_sale(version=at(1)), event_id="e-1")

    assert outcome.result in (Result.APPLIED, Result.UNCHANGED)
    assert shop.balance() == 100
    assert len(shop.books) == 1


FAULTS = st.none() | st.sampled_from(({"status": 500, "effect": True}, {"status": 503}, {"status": 500}))
ORDERS = count(1)
CENTS = st.decimals(min_value="0.01", max_value="60", places=2)


@fuzz(6)
@given(data=st.data())
def test_the_books_end_at_what_was_paid_minus_what_was_refunded(dynamodb: Counted, data: st.DataObject) -> None:
    shop = Shop(dynamodb, Sales(enabled=True))
    order = f"o-{next(ORDERS)}"
    total = data.draw(st.decimals(min_value="61", max_value="200", places=2))
    refunds = data.draw(st.lists(CENTS, max_size=3))
    events: list[Any] = [record_sale(order, sale=sale(total), version=at(1))]
    events += [record_refund(order, refunds=(refund(f"r-{n}", amount),)) for n, amount in enumerate(refunds)]
    copies = data.draw(st.lists(st.sampled_from(range(len(events))), max_size=3))
    for number in data.draw(st.permutations([*range(len(events)), *copies])):
        if (fault := data.draw(FAULTS)) is not None:
            shop.fault(**fault)
        shop.deliver(events[number], event_id=f"{order}-{number}")
        shop.vendor.sandbox.faults.clear()

    assert shop.balance() == max(Decimal(0), total - sum(refunds, Decimal(0)))
    markers = [it["details"]["custom_field_1"] for it in shop.books]
    assert len(markers) == len(set(markers))
    state: Any = shop.vendor.sandbox.vendors["kangaroo"].state()
    assert state["welcomed"] == []
