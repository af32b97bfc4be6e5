"""Square's orders, payments and refunds: exact amounts, what was captured, and what was given back, once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import CredentialsRefused, Untranslatable
from loyalty_relay.model.orders import Amounts
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Buyer, HydratingSource, NothingToDo, OrderChanged, ThinChange
from loyalty_relay.sources.square.orders import MOST_PAYMENTS
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import READ_AT, order_of, orders_of, queued, read_through, thin_of
from tests.sources.samples import Sample, connection, load

SQUARE = source_module("square")
CUSTOMER = "DEMOCUSTOMER00000000000001"
LOCATION = "LDEMO00000001"
CAFE, BEANS, EXCHANGE, GUEST, CANCELED = (f"DEMOORDER{name:0>17}" for name in ("A01", "B01", "E01", "G01", "C01"))
PAID = {name: f"DEMOPAYMENT{name:0>15}" for name in ("A01", "B01", "B02", "E01", "G01", "C01")}
COFFEE = f"{PAID['A01']}_DEMOREFUND0R01"


def fixture(name: str) -> Sample:
    return load("square", name)


@pytest.fixture
def sandbox() -> SandboxClient:
    return SandboxClient(VENDOR)


def usd(**parts: str) -> Amounts:
    return Amounts(currency="USD", **{name: Decimal(value) for name, value in parts.items()})


def shown(sandbox: SandboxClient, path: str) -> Any:
    return sandbox.state("square")[f"v2/{path}"]


def changed(sandbox: SandboxClient, path: str, **members: Any) -> None:
    sandbox.set("square", entities={f"v2/{path}": shown(sandbox, path) | members})


# -- what was sold --------------------------------------------------------------------------------------------------

SOLD = {
    "payment-updated": (
        CAFE,
        usd(goods="14", goods_tax="1.2", gift_cards="20", tips="3", fees="1.5"),
        {"A01": ("39.7", "0")},
    ),
    "payment-updated-refunded": (
        CAFE,
        usd(goods="14", goods_tax="1.2", gift_cards="20", tips="3", fees="1.5"),
        {"A01": ("39.7", "4.89")},
    ),
    "payment-updated-split": (BEANS, usd(goods="20", goods_tax="1.6", by_gift_card="10"), {"B01": ("10", "0")}),
    "order-updated": (
        BEANS,
        usd(goods="20", goods_tax="1.6", by_gift_card="10"),
        {"B01": ("10", "0"), "B02": ("11.6", "2.5")},
    ),
    "payment-updated-exchange": (EXCHANGE, usd(goods="30"), {"E01": ("24.57", "0")}),
    "payment-updated-guest": (GUEST, Amounts(currency="JPY", goods=Decimal(1500)), {"G01": ("1500", "0")}),
    "order-updated-canceled": (CANCELED, usd(goods="12"), {}),
}


@pytest.mark.parametrize("name", SOLD)
def test_each_sale_has_exactly_these_amounts_and_captures(sandbox: SandboxClient, name: str) -> None:
    change = order_of(fixture(name), sandbox)
    order_id, amounts, captures = SOLD[name]
    order = change.order
    assert order.sale is not None
    assert (order.id, order.currency, order.sale.amounts) == (order_id, amounts.currency, amounts)
    assert order.sale.amounts.total == Decimal(shown(sandbox, f"orders/{order_id}")["total_money"]["amount"]).scaleb(
        0 if amounts.currency == "JPY" else -2
    )
    assert {c.id: (c.amount, c.refunded) for c in order.captures} == {
        PAID[name]: (Decimal(amount), Decimal(refunded)) for name, (amount, refunded) in captures.items()
    }
    assert (order.refunds, order.refunded, order.all_refunds) == ((), None, False)
    assert change.event.entity_id == order_id


def test_a_sale_is_described_for_the_programme(sandbox: SandboxClient) -> None:
    change = order_of(fixture("payment-updated"), sandbox)
    sale = change.order.sale
    assert sale is not None
    assert (sale.sold_at, sale.number, sale.channel) == (
        "2026-03-05T09:09:00.000000Z",
        "Table 4",
        "Square Point of Sale",
    )
    assert (sale.location, sale.till, sale.employee) == (LOCATION, "DEVICE_DEMO_1", "TMDEMO01")
    assert (sale.paid, sale.fulfilled, sale.cancelled) == (True, True, False)
    coffee, cake, card = sale.lines
    assert (coffee.id, coffee.item_code) == ("line-coffee", "DEMOVARIATION01")
    assert [coffee.quantity, coffee.rate, coffee.amount, coffee.tax] == [2, Decimal("4.5"), 9, Decimal("0.77")]
    assert [cake.rate, cake.discount, cake.amount] == [6, 1, 5]
    assert (card.kind, card.amount) == ("gift_card", Decimal(20))
    assert sum(line.amount + line.tax for line in sale.lines) == Decimal("35.20")
    assert [(p.mode, p.amount) for p in sale.payments] == [("CARD", Decimal("39.70"))]
    assert change.buyer == Buyer(source_id=CUSTOMER, verified={"email": False, "phone": False})
    assert change.store == "MLDEMOMERCHANT"


def test_a_guest_has_unverified_contacts(sandbox: SandboxClient) -> None:
    change = order_of(fixture("payment-updated-guest"), sandbox)
    contacts = Buyer(email="guest@example.com", phone="+81312345678", verified={"email": False, "phone": False})
    assert change.buyer == contacts
    assert change.order.sale is not None
    assert (change.order.sale.paid, change.order.sale.fulfilled) == (False, False)


def test_the_customer_may_be_that_of_a_tender_or_of_the_payment(sandbox: SandboxClient) -> None:
    changed(sandbox, f"orders/{CAFE}", customer_id=None)
    assert order_of(fixture("payment-updated"), sandbox).buyer == order_of(fixture("payment-created"), sandbox).buyer
    changed(sandbox, f"orders/{CAFE}", customer_id=None, tenders=[])
    change = order_of(fixture("payment-updated"), sandbox)
    assert change.buyer is not None
    assert change.buyer.source_id == CUSTOMER
    assert change.order.aliases == (f"payment:{PAID['A01']}",)


def test_of_an_exchange_only_its_payments_count(sandbox: SandboxClient) -> None:
    sale = order_of(fixture("payment-updated-exchange"), sandbox).order.sale
    assert sale is not None
    assert (sale.paid, sale.fulfilled) == (False, True)


def test_an_order_that_came_to_nothing_has_no_money(sandbox: SandboxClient) -> None:
    order = order_of(fixture("order-updated-canceled"), sandbox).order
    assert order.sale is not None
    assert (order.sale.cancelled, order.sale.paid, order.sale.payments, order.captures) == (True, False, (), ())


def test_tips_come_on_top_of_a_total_that_is_just_lines_and_charges(sandbox: SandboxClient) -> None:
    changed(sandbox, f"orders/{CAFE}", total_money={"amount": 3670, "currency": "USD"})
    sale = order_of(fixture("payment-updated"), sandbox).order.sale
    assert sale is not None
    assert sale.amounts == SOLD["payment-updated"][1]


def test_a_gratuity_that_is_charged_by_itself_is_a_tip_and_an_apportioned_charge_is_in_the_lines(
    sandbox: SandboxClient,
) -> None:
    (charge,) = shown(sandbox, f"orders/{CAFE}")["service_charges"]
    for kind, parts in (
        ({"type": "AUTO_GRATUITY"}, {"tips": "4.5", "fees": "0"}),
        ({"calculation_phase": "APPORTIONED_AMOUNT_PHASE"}, {"goods": "15.5", "fees": "0"}),
    ):
        changed(sandbox, f"orders/{CAFE}", service_charges=[charge | kind])
        sale = order_of(fixture("payment-updated"), sandbox).order.sale
        assert sale is not None
        assert {name: getattr(sale.amounts, name) for name in parts} == {
            n: Decimal(value) for n, value in parts.items()
        }
        assert sale.amounts.total == Decimal("39.7")


@pytest.mark.parametrize(
    ("members", "reason"),
    [({"state": "DRAFT"}, "order_not_placed"), ({"line_items": []}, "nothing_sold"), (None, "deleted_meanwhile")],
)
def test_what_is_no_sale_is_an_outcome(sandbox: SandboxClient, members: Any, reason: str) -> None:
    path = f"v2/orders/{CAFE}"
    sandbox.set("square", entities={path: None if members is None else shown(sandbox, f"orders/{CAFE}") | members})
    (change,) = orders_of(fixture("payment-updated"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == reason


def test_the_order_that_belongs_to_a_refund_is_no_sale(sandbox: SandboxClient) -> None:
    body = fixture("order-updated").json()
    body["data"]["object"]["order_updated"]["order_id"] = f"DEMOORDER{'R01':0>17}"
    (change,) = orders_of(fixture("order-updated").with_body(body), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == "return_order"


@pytest.mark.parametrize("value", ["3970", 39.7, True, [], 10**19])
def test_an_amount_that_is_none_is_untranslatable(sandbox: SandboxClient, value: Any) -> None:
    changed(sandbox, f"orders/{CAFE}", total_tip_money={"amount": value, "currency": "USD"})
    with pytest.raises(Untranslatable) as caught:
        orders_of(fixture("payment-updated"), sandbox)
    assert caught.value.reason == "bad_amount"


def test_one_order_has_one_currency(sandbox: SandboxClient) -> None:
    changed(sandbox, f"orders/{CAFE}", total_tip_money={"amount": 300, "currency": "CAD"})
    with pytest.raises(Untranslatable) as caught:
        orders_of(fixture("payment-updated"), sandbox)
    assert caught.value.reason == "bad_currency"


# -- payments -------------------------------------------------------------------------------------------------------


def test_an_order_names_its_payments_so_that_their_refunds_find_it(sandbox: SandboxClient) -> None:
    order = order_of(fixture("order-updated"), sandbox).order
    assert order.aliases == (f"payment:{PAID['B01']}", f"payment:{PAID['B02']}")


def test_a_payment_that_is_not_completed_takes_no_money(sandbox: SandboxClient) -> None:
    for status in ("APPROVED", "PENDING", "CANCELED", "FAILED", None):
        body = fixture("payment-updated").json()
        body["data"]["object"]["payment"]["status"] = status
        (change,) = orders_of(fixture("payment-updated").with_body(body), sandbox)
        assert isinstance(change, NothingToDo)
        assert change.reason == "payment_not_completed"
    changed(sandbox, f"payments/{PAID['B02']}", status="CANCELED")
    assert [c.id for c in order_of(fixture("order-updated"), sandbox).order.captures] == [PAID["B01"]]


def test_a_later_state_of_a_payment_is_ordered_by_its_own_time(sandbox: SandboxClient) -> None:
    first = order_of(fixture("payment-updated"), sandbox).order.captures[0]
    later = order_of(fixture("payment-updated-refunded"), sandbox).order.captures[0]
    assert Version.from_list(list(first.version)).older_than(Version.from_list(list(later.version)))


def test_of_too_many_tenders_the_orders_own_state_counts(sandbox: SandboxClient) -> None:
    (tender,) = shown(sandbox, f"orders/{CAFE}")["tenders"]
    many = [tender | {"id": f"P{number}"} for number in range(MOST_PAYMENTS + 1)]
    changed(sandbox, f"orders/{BEANS}", tenders=many)
    order = order_of(fixture("order-updated"), sandbox).order
    assert order.sale is not None
    assert (order.captures, order.sale.paid) == ((), True)


# -- refunds --------------------------------------------------------------------------------------------------------


def test_a_refund_of_a_line_has_its_parts_and_names_the_order_that_was_sold(sandbox: SandboxClient) -> None:
    change = order_of(fixture("refund-updated"), sandbox)
    order = change.order
    assert (order.id, order.aliases, order.sale, order.unlinked) == (CAFE, (f"payment:{PAID['A01']}",), None, False)
    (refund,) = order.refunds
    assert (refund.id, refund.amount, refund.at) == (COFFEE, Decimal("4.89"), "2026-03-06T10:00:00.000000Z")
    assert refund.amounts == usd(goods="4.5", goods_tax="0.39")
    (line,) = refund.lines
    assert (line.id, line.quantity, line.amount, line.tax) == (
        "line-coffee",
        Decimal(1),
        Decimal("4.5"),
        Decimal("0.39"),
    )
    assert change.buyer is None


def test_a_refund_that_is_reported_twice_is_one_and_the_later_state_wins(sandbox: SandboxClient) -> None:
    (created,) = order_of(fixture("refund-created"), sandbox).order.refunds
    (updated,) = order_of(fixture("refund-updated"), sandbox).order.refunds
    assert (created.id, created.amount) == (updated.id, updated.amount)
    assert Version.from_list(list(created.version)).older_than(Version.from_list(list(updated.version)))


def test_a_refund_of_an_amount_has_no_parts(sandbox: SandboxClient) -> None:
    order = order_of(fixture("refund-updated-amount"), sandbox).order
    (refund,) = order.refunds
    assert (order.id, refund.amount, refund.amounts, refund.lines) == (BEANS, Decimal("2.5"), None, ())


def test_a_refund_that_is_one_of_several_for_its_goods_has_no_parts(sandbox: SandboxClient) -> None:
    body = fixture("refund-updated").json()
    body["data"]["object"]["refund"]["amount_money"]["amount"] = 400
    (refund,) = order_of(fixture("refund-updated").with_body(body), sandbox).order.refunds
    assert (refund.amount, refund.amounts, refund.lines) == (Decimal(4), None, ())


@pytest.mark.parametrize("status", ["FAILED", "REJECTED"])
def test_a_refund_that_failed_takes_nothing_back(sandbox: SandboxClient, status: str) -> None:
    body = fixture("refund-updated-failed").json()
    body["data"]["object"]["refund"]["status"] = status
    order = order_of(fixture("refund-updated-failed").with_body(body), sandbox).order
    (refund,) = order.refunds
    assert (order.id, refund.amount, refund.amounts) == (f"payment:{PAID['A01']}", Decimal(0), None)


def test_a_refund_that_is_pending_takes_nothing_back_yet(sandbox: SandboxClient) -> None:
    (change,) = orders_of(fixture("refund-updated-pending"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == "refund_pending"


def test_without_its_order_a_refund_names_the_payment(sandbox: SandboxClient) -> None:
    body = fixture("refund-updated").json()
    body["data"]["object"]["refund"]["order_id"] = None
    sample = fixture("refund-updated").with_body(body)
    (change,) = SQUARE.read(sample.signed(), connection("square").source)
    assert isinstance(change, OrderChanged)
    assert (change.order.id, change.order.refunds[0].amount) == (f"payment:{PAID['A01']}", Decimal("4.89"))


def test_an_unlinked_refund_names_no_sale(sandbox: SandboxClient) -> None:
    change = order_of(fixture("refund-updated-unlinked"), sandbox)
    assert (change.order.id, change.order.unlinked) == ("refund:DEMOREFUND0000000R05", True)
    assert change.order.refunds[0].amount == 7
    assert change.buyer is None
    changed(sandbox, f"orders/DEMOORDER{'R05':0>17}", customer_id=CUSTOMER)
    assert order_of(fixture("refund-updated-unlinked"), sandbox).buyer == Buyer(source_id=CUSTOMER)


# -- versions, and reading by id ------------------------------------------------------------------------------------


def test_snapshots_are_ordered_by_revision_then_by_when_they_were_read(sandbox: SandboxClient) -> None:
    version = order_of(fixture("payment-updated"), sandbox).version
    event = fixture("payment-updated").json()["event_id"]
    assert version == Version("square.revision", f"{4:020d}", READ_AT, event)
    version = order_of(fixture("order-updated"), sandbox).version
    assert version is not None
    assert (version.clock, version.value, version.time) == ("square", "2026-03-05T09:10:03.000000Z", READ_AT)


@pytest.mark.parametrize("order_id", [CAFE, f"payment:{PAID['A01']}"])
def test_an_order_is_read_by_its_id_or_that_of_a_payment(sandbox: SandboxClient, order_id: str) -> None:
    assert isinstance(SQUARE, HydratingSource)
    thin = SQUARE.order_of(order_id, "MLDEMOMERCHANT")
    assert isinstance(thin, ThinChange)
    (change,) = read_through(SQUARE, queued(thin), connection("square"), sandbox)
    assert isinstance(change, OrderChanged)
    assert change.order.id == CAFE
    assert [c.refunded for c in change.order.captures] == [Decimal("4.89")]
    assert thin.sales


def test_a_deleted_payment_has_no_order(sandbox: SandboxClient) -> None:
    assert isinstance(SQUARE, HydratingSource)
    thin = SQUARE.order_of("payment:NONE", "MLDEMOMERCHANT")
    assert thin is not None
    (change,) = read_through(SQUARE, queued(thin), connection("square"), sandbox)
    assert isinstance(change, NothingToDo)


def test_orders_need_a_token(sandbox: SandboxClient) -> None:
    bare = connection("square")
    module, thin = thin_of(fixture("order-updated"), bare)
    with pytest.raises(CredentialsRefused):
        module.fetch(thin, replace(bare.source, api_credentials={}))


def test_what_is_kept_of_a_payment_until_its_order_is_read_has_no_card(sandbox: SandboxClient) -> None:
    _, thin = thin_of(fixture("payment-updated"), connection("square"))
    assert "card_details" not in thin.data["payment"]
    assert "note" not in thin.data["payment"]
