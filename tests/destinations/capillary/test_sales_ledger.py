"""The order ledger over this client and the sandbox's books: these are paid minus refunded, whatever is lost (G11)."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from devkit.sandbox.faults import Fault
from loyalty_relay.connections.model import Sales
from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.errors import AdjustmentNeeded, AmbiguousOutcome, LeaseBusy, TransientError
from loyalty_relay.model.orders import Line
from loyalty_relay.model.outcomes import Outcome, Result
from tests.destinations.capillary.upstream import MOBILE, SandboxUpstream, deadline, register
from tests.orders.makers import at, record_refund, record_sale, refund, sale
from tests.support.sales import SalesWorld
from tests.support.tables import IDEMPOTENCY, JOURNAL, STATE, Counted

BOOKINGS = {"method": "POST", "path": "/v2/transactions"}


class Shop:
    """A shop whose orders are booked at the sandbox."""

    def __init__(self, dynamodb: Counted, **sales: Any) -> None:
        rules = Sales(enabled=True, **sales)
        self.vendor = SandboxUpstream()
        self.world = SalesWorld(dynamodb, rules)
        # One clock for both.
        self.vendor.clock.now = self.world.clock.now
        self.member = self.vendor.crm().register(register(MOBILE), {}, deadline()).loyalty_id
        crm: Any = self.vendor.crm(sales=rules)
        self.world.crm = crm
        self._know()

    def _know(self) -> None:
        from loyalty_relay.model.commands import CustomerRef, UpdateCustomer

        command = UpdateCustomer(customer=CustomerRef(source_id="7"), fields={"first_name": "A"})
        with self.world.customers.hold("shop-1", command, key="known-7") as hold:
            hold.commit(loyalty_id=self.member, sent=("first_name",), entry=None)

    def fault(self, **rule: Any) -> None:
        self.vendor.sandbox.faults.append(Fault(vendor="capillary", **{**BOOKINGS, **rule}))

    def run(self, command: Any, attempts: int = 5) -> Outcome:
        """Carry a command out as the queue does: again after every passing error, each time by a new process."""
        envelope: Envelope = self.world.envelope(command)
        for _ in range(attempts):
            try:
                return self.world.run(envelope)
            except TransientError as error:
                self.world.clock.now += error.retry_after or (1 if isinstance(error, LeaseBusy) else 60)
                self.vendor.clock.now = self.world.clock.now
                self.world.begin_process()
        raise AssertionError("the command is still tried again")

    @property
    def net(self) -> Decimal:
        return sum((Decimal(book["net"]) for book in self.vendor.books().values()), Decimal(0))

    @property
    def types(self) -> list[str]:
        return [kind for book in self.vendor.books().values() for kind in book["types"]]


@pytest.fixture
def shop(dynamodb: Counted) -> Shop:
    return Shop(dynamodb)


EVENTS = (
    record_sale(version=at(1)),
    record_refund(refunds=(refund("r-1", "30.01"),)),
    record_refund(refunds=(refund("r-2", "20"),)),
)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_events_in_any_order_and_twice_end_in_paid_minus_refunded(shop: Shop, order: tuple[int, ...]) -> None:
    for number in (*order, *order):
        shop.run(EVENTS[number])
    assert shop.net == Decimal("49.99")


@pytest.mark.parametrize("by_number", [True, False], ids=["V2 lists returns", "V1.1 lists returns"])
@pytest.mark.parametrize("lost", range(3))
@pytest.mark.parametrize("fault", [{"reset": "after"}, {"error": "server_error", "effect": True}, {"empty": True}])
def test_an_answer_that_is_lost_books_nothing_twice(
    shop: Shop, lost: int, fault: dict[str, Any], by_number: bool
) -> None:
    shop.vendor.configure(returns_by_number=by_number)
    shop.fault(skip=lost, count=1, **fault)
    for event in EVENTS:
        shop.run(event)
    assert shop.net == Decimal("49.99")
    assert shop.types == ["REGULAR", "RETURN", "RETURN"]


def test_a_number_that_somebody_else_took_is_parked_and_books_nothing(shop: Shop) -> None:
    shop.fault(count=1, error="bill_exists")
    with pytest.raises(AmbiguousOutcome):
        shop.run(EVENTS[0])
    assert shop.vendor.books() == {}


def test_a_look_up_that_fails_is_repeated_before_anything_is_booked(shop: Shop) -> None:
    shop.fault(count=1, error="points_not_reverted", effect=True)
    shop.fault(method="GET", path="/v2/transactions/*", count=2, reset="before")
    outcome = shop.run(EVENTS[0])
    assert outcome.result is Result.APPLIED
    assert shop.net == 100
    assert shop.types == ["REGULAR"]


def test_a_request_that_was_never_served_is_made_again(shop: Shop) -> None:
    shop.fault(count=1, reset="before")
    assert shop.run(EVENTS[0]).result is Result.APPLIED
    assert shop.types == ["REGULAR"]


def test_a_full_refund_is_returned_as_a_whole(shop: Shop) -> None:
    shop.run(EVENTS[0])
    shop.run(record_refund(refunds=(refund("r-1", "100"),)))
    assert shop.net == 0
    bills = shop.vendor.vendor.engine.bills.bills
    assert [bill.return_type for bill in bills] == ["", "FULL"]


def test_an_edit_is_a_supplementary_bill_and_a_refund_takes_from_both(shop: Shop) -> None:
    shop.run(EVENTS[0])
    shop.run(record_sale(version=at(2), sale=sale("150")))
    assert len(shop.vendor.books()) == 2
    shop.run(record_refund(refunds=(refund("r-1", "150"),)))
    assert shop.net == 0


def test_a_guests_sale_earns_once_the_guest_is_a_member(dynamodb: Counted) -> None:
    shop = Shop(dynamodb, guests="not_interested")
    assert shop.run(record_sale(version=at(1), who=None)).result is Result.APPLIED
    assert shop.types == ["NOT_INTERESTED"]
    shop.run(record_sale(version=at(2)))
    assert shop.types == ["REGULAR"]
    shop.run(record_refund(refunds=(refund("r-1", "40"),)))
    assert shop.net == 60
    (book,) = shop.vendor.books().values()
    assert (book["types"], book["customers"]) == (["REGULAR", "RETURN"], [int(shop.member)])


def test_a_conversion_whose_answer_is_lost_is_made_once(dynamodb: Counted) -> None:
    shop = Shop(dynamodb, guests="not_interested")
    shop.run(record_sale(version=at(1), who=None))
    shop.fault(path="/v1.1/transaction/update", count=1, reset="after")
    shop.run(record_sale(version=at(2)))
    assert shop.types == ["REGULAR"]
    assert [book["points"] for book in shop.vendor.books().values()] == ["10"]


def test_a_refund_whose_points_stay_is_no_plain_success(shop: Shop) -> None:
    shop.run(EVENTS[0])
    shop.vendor.configure(return_points="fail")
    outcome = shop.run(EVENTS[1])
    assert outcome.result is Result.APPLIED
    assert [notice.code for notice in outcome.notices] == ["637", "points_not_done"]
    assert shop.net == Decimal("69.99")


def test_what_the_vendor_does_not_take_back_is_parked_with_its_amount(shop: Shop) -> None:
    shop.run(EVENTS[0])
    shop.vendor.configure_org(returns_allowed=[])
    with pytest.raises(AdjustmentNeeded) as caught:
        shop.run(EVENTS[1])
    assert caught.value.code == "673"
    assert "30.01 EUR" in str(caught.value)
    assert shop.net == 100


def test_lines_are_returned_where_the_connection_books_by_line(dynamodb: Counted) -> None:
    shop = Shop(dynamodb, returns="line")
    lines = (
        Line(id="a", item_code="A", quantity=Decimal(2), rate=Decimal(30), amount=Decimal(60)),
        Line(id="b", item_code="B", rate=Decimal(40), amount=Decimal(40)),
    )
    sold = sale(lines=lines)
    shop.run(record_sale(version=at(1), sale=sold))
    half = Line(id="a", quantity=Decimal(1), amount=Decimal(30))
    shop.run(record_sale(version=at(2), sale=sold, refunds=(refund("r-1", "30", lines=(half,)),)))
    assert shop.net == 70
    assert shop.vendor.vendor.engine.bills.bills[-1].return_type == "LINE_ITEM"


def test_a_member_who_was_merged_away_is_followed(shop: Shop) -> None:
    shop.run(EVENTS[0])
    store = shop.vendor.vendor.engine.store
    other = store.create("demo")
    store.merge(other, store.customers[int(shop.member)])
    shop.fault(skip=1, count=1, reset="after")
    shop.run(EVENTS[1])
    shop.run(EVENTS[2])
    assert shop.net == Decimal("49.99")


def test_no_personal_data_is_logged(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """G7: nothing of an order's texts or of the vendor's records about a person is in a log line or in the journal."""
    shop.fault(count=1, reset="after")
    shop.run(record_sale(version=at(1), note="Gift for Rita Ames", custom_fields={"to": "rita@example.com"}))
    seen = capsys.readouterr()
    tables = [shop.world.dynamodb.scan(TableName=name)["Items"] for name in (STATE, JOURNAL, IDEMPOTENCY)]
    assert all(tables)
    for text in ("Rita", "rita@example.com", "447700900123"):
        assert text not in seen.out + seen.err
        assert text not in str(tables)
