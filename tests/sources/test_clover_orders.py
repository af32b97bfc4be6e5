"""Clover's orders: exact amounts of payments with tips, refunds, voids, and manual refunds that name no sale."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.orders import Amounts
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Buyer, HydratingSource, NothingToDo, OrderChanged, ThinChange
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import READ_AT, order_of, orders_of, queued, read_through, thin_of
from tests.sources.samples import Sample, connection, load

CLOVER = source_module("clover")
MERCHANT = "DEMOMERCHANT1"
CUSTOMER = f"{MERCHANT}:DEMOCUSTOMER1"
TABLE, COFFEE, VOIDED, TEST, MANUAL = (f"DEMOORDER000{number}" for number in range(1, 6))


def fixture(name: str) -> Sample:
    return load("clover", name)


@pytest.fixture
def sandbox() -> SandboxClient:
    return SandboxClient(VENDOR)


def usd(**values: str) -> Amounts:
    return Amounts(currency="USD", **{name: Decimal(value) for name, value in values.items()})


def shown(sandbox: SandboxClient, order: str) -> Any:
    return sandbox.state("clover")[f"v3/merchants/{MERCHANT}/orders/{order}"]


def order_is(sandbox: SandboxClient, order: str, **members: Any) -> None:
    path = f"v3/merchants/{MERCHANT}/orders/{order}"
    sandbox.set("clover", entities={path: shown(sandbox, order) | members})


# -- what was sold --------------------------------------------------------------------------------------------------

WHOLE = usd(goods="20", goods_tax="1.6", gift_cards="25", fees="2", tips="3", by_gift_card="20")
SOLD = {
    "order-create": (TABLE, WHOLE, "51.6"),
    "payment-create": (TABLE, WHOLE, "51.6"),
    "payment-update": (TABLE, WHOLE, "51.6"),
    "order-update": (COFFEE, usd(goods="5", goods_tax="0.4", tips="1"), "6.4"),
    "order-update-voided": (VOIDED, usd(goods="8"), "0"),
    "order-update-test": (TEST, usd(goods="3"), "3"),
}


@pytest.mark.parametrize("collections", ["elements", "array"])
@pytest.mark.parametrize("name", SOLD)
def test_each_sale_has_exactly_these_amounts(sandbox: SandboxClient, name: str, collections: str) -> None:
    sandbox.set("clover", collections=collections)
    order_id, amounts, captured = SOLD[name]
    change = order_of(fixture(name), sandbox)
    order = change.order
    assert order.sale is not None
    assert (order.id, change.event.entity_id) == (f"{MERCHANT}:{order_id}",) * 2
    assert (order.currency, order.sale.amounts, order.sale.captured) == ("USD", amounts, Decimal(captured))
    total = Decimal(shown(sandbox, order_id)["total"]).scaleb(-2)
    assert order.sale.amounts.total == total + amounts.tips, "tips are not in Clover's total"
    assert (order.captures, order.all_refunds) == ((), True)


def test_a_sale_is_described_for_the_programme(sandbox: SandboxClient) -> None:
    change = order_of(fixture("order-create"), sandbox)
    sale = change.order.sale
    assert sale is not None
    assert (sale.sold_at, sale.number, sale.channel) == ("2026-03-05T08:40:00.000000Z", "Table 7", "pos")
    assert (sale.location, sale.till, sale.employee) == (MERCHANT, "DEMODEVICE001", "DEMOEMPLOYEE1")
    assert (sale.fulfilled, sale.test) == (True, False)
    sandwich, salad, card = sale.lines
    assert (sandwich.id, sandwich.item_code) == ("DEMOLINE00001", "SANDWICH-1")
    assert [salad.quantity, salad.rate, salad.amount] == [Decimal("1.5"), 6, 9]
    assert (card.kind, card.amount) == ("gift_card", Decimal(25))
    assert [(p.mode, p.amount) for p in sale.payments] == [
        ("Gift Card", Decimal(20)),
        ("Credit Card", Decimal("31.6")),
    ]
    assert (change.buyer, change.store) == (Buyer(source_id=CUSTOMER), MERCHANT)


def test_a_test_order_of_a_guest(sandbox: SandboxClient) -> None:
    change = order_of(fixture("order-update-test"), sandbox)
    assert change.order.sale is not None
    assert change.order.sale.test
    assert change.buyer == Buyer()


@pytest.mark.parametrize(
    "result", ["FAIL", "INITIATED", "VOIDED", "VOIDING", "AUTH", "PENDING", "OFFLINE_RETRYING", None]
)
def test_a_payment_that_is_no_success_takes_no_money(sandbox: SandboxClient, result: str | None) -> None:
    first, second = shown(sandbox, TABLE)["payments"]
    order_is(sandbox, TABLE, payments=[first, second | {"result": result}])
    sale = order_of(fixture("order-create"), sandbox).order.sale
    assert sale is not None
    assert (sale.captured, sale.fulfilled) == (Decimal(20), False)
    assert sale.amounts.tips == 0
    assert [p.mode for p in sale.payments] == ["Gift Card"]


def test_the_tax_of_an_order_that_is_paid_in_part_is_its_share(sandbox: SandboxClient) -> None:
    order_is(sandbox, TABLE, payments=shown(sandbox, TABLE)["payments"][:1])
    sale = order_of(fixture("order-create"), sandbox).order.sale
    assert sale is not None
    assert (sale.amounts.total, sale.amounts.goods_tax) == (Decimal("48.6"), Decimal("1.60"))


def test_a_payment_that_was_voided_took_nothing(sandbox: SandboxClient) -> None:
    sale = order_of(fixture("order-update-voided"), sandbox).order.sale
    assert sale is not None
    assert (sale.captured, sale.paid, sale.payments) == (Decimal(0), False, ())


def test_an_open_order_is_nothing_until_money_moves(sandbox: SandboxClient) -> None:
    order_is(sandbox, VOIDED, voids=[])
    (change,) = orders_of(fixture("order-update-voided"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == "not_paid"


def test_an_order_whose_payment_has_changed_counts_also_without_one(sandbox: SandboxClient) -> None:
    order_is(sandbox, TABLE, payments=[])
    sale = order_of(fixture("payment-update"), sandbox).order.sale
    assert sale is not None
    assert sale.captured == 0


@pytest.mark.parametrize("value", ["100", 1.5, True, 10**19])
def test_an_amount_that_is_none_is_untranslatable(sandbox: SandboxClient, value: Any) -> None:
    order_is(sandbox, TABLE, total=value)
    with pytest.raises(Untranslatable) as caught:
        orders_of(fixture("order-create"), sandbox)
    assert caught.value.reason == "bad_amount"


def test_currencies_without_cents_are_whole(sandbox: SandboxClient) -> None:
    order_is(sandbox, TEST, currency="JPY")
    sale = order_of(fixture("order-update-test"), sandbox).order.sale
    assert sale is not None
    assert sale.amounts == Amounts(currency="JPY", goods=Decimal(300))


# -- refunds --------------------------------------------------------------------------------------------------------


def test_a_partial_refund_gives_no_tip_back_and_a_voided_one_nothing(sandbox: SandboxClient) -> None:
    part, void = order_of(fixture("order-update"), sandbox).order.refunds
    assert (part.id, part.amount, part.at) == ("DEMOREFUND001", Decimal("2.7"), "2026-03-05T08:40:01.800000Z")
    assert part.amounts == usd(goods="2.5", goods_tax="0.2")
    assert (void.id, void.amount, void.amounts) == ("DEMOREFUND002", Decimal(0), None)


def test_a_refund_of_a_whole_payment_gives_its_tip_back(sandbox: SandboxClient) -> None:
    refund = {"id": "R", "payment": {"id": "DEMOPAYMENT03"}, "amount": 540, "taxAmount": 40, "tipAmount": 100}
    order_is(sandbox, COFFEE, refunds=[refund])
    order = order_of(fixture("order-update"), sandbox).order
    assert order.sale is not None
    (whole,) = order.refunds
    assert (whole.amount, whole.amounts) == (order.sale.captured, usd(goods="5", goods_tax="0.4", tips="1"))


def test_a_refund_of_an_order_with_more_than_goods_has_no_parts(sandbox: SandboxClient) -> None:
    refund = {"id": "R", "payment": {"id": "DEMOPAYMENT01"}, "amount": 500, "taxAmount": 20}
    order_is(sandbox, TABLE, refunds=[refund])
    (found,) = order_of(fixture("order-create"), sandbox).order.refunds
    assert (found.amount, found.amounts) == (Decimal(5), None)


def test_a_manual_refund_names_no_sale(sandbox: SandboxClient) -> None:
    change = order_of(fixture("order-update-manual-refund"), sandbox)
    order = change.order
    assert (order.id, order.unlinked, order.sale) == (f"{MERCHANT}:credit:DEMOCREDIT001", True, None)
    assert [(r.id, r.amount) for r in order.refunds] == [("DEMOCREDIT001", Decimal(7))]
    assert change.buyer == Buyer(source_id=CUSTOMER)


def test_a_manual_refund_beside_a_sale_is_a_change_of_its_own(sandbox: SandboxClient) -> None:
    order_is(sandbox, TEST, credits=[{"id": "C1", "amount": 100}, {"id": "C2", "amount": 200, "voided": True}])
    sale, *unlinked = orders_of(fixture("order-update-test"), sandbox)
    assert isinstance(sale, OrderChanged)
    assert sale.order.refunds == ()
    assert [c.order.refunds[0].amount for c in unlinked if isinstance(c, OrderChanged)] == [1, 0]
    assert len({c.event.entity_id for c in (sale, *unlinked)}) == 3


# -- reading --------------------------------------------------------------------------------------------------------


def test_an_order_is_read_with_its_parts() -> None:
    to = connection("clover")
    module, thin = thin_of(fixture("order-create"), to)
    path = module.fetch(thin, to.source).path
    assert path.startswith(f"/v3/merchants/{MERCHANT}/orders/{TABLE}?expand=")
    assert {"lineItems", "payments", "refunds", "credits", "customers", "discounts"} <= set(
        path.partition("=")[2].split(",")
    )


def test_a_payment_that_cannot_be_read_is_an_outcome(sandbox: SandboxClient) -> None:
    (change,) = orders_of(fixture("payment-delete"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == "deleted_meanwhile"


def test_a_payment_without_an_order_is_an_outcome(sandbox: SandboxClient) -> None:
    sandbox.set("clover", entities={f"v3/merchants/{MERCHANT}/payments/DEMOPAYMENT99": {"amount": 1}})
    (change,) = orders_of(fixture("payment-delete"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == "no_order"


def test_versions_are_the_orders_time_then_the_time_of_reading(sandbox: SandboxClient) -> None:
    version = order_of(fixture("order-update"), sandbox).version
    assert version is not None
    assert (version.clock, version.value, version.time) == ("clover", "2026-03-05T08:40:01.900000Z", READ_AT)


def test_an_order_is_read_by_its_id(sandbox: SandboxClient) -> None:
    assert isinstance(CLOVER, HydratingSource)
    thin = CLOVER.order_of(f"{MERCHANT}:{TABLE}", None)
    assert isinstance(thin, ThinChange)
    (change,) = read_through(CLOVER, queued(thin), connection("clover"), sandbox)
    assert isinstance(change, OrderChanged)
    assert change.order.id == f"{MERCHANT}:{TABLE}"
    for other in (f"{MERCHANT}:credit:DEMOCREDIT001", MERCHANT):
        assert CLOVER.order_of(other, None) is None
