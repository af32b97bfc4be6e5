"""BigCommerce's orders: exact amounts, what counts as paid, refunds that were really paid back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.model.errors import Untranslatable, UpstreamUnavailable, VendorRejected
from loyalty_relay.model.orders import Amounts
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import HydratingSource, NothingToDo, OrderChanged, ThinChange
from loyalty_relay.sources.bigcommerce.orders import PAGE
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import READ_AT, order_of, orders_of, queued, read_through, thin_of
from tests.sources.samples import Sample, connection, load

BIGCOMMERCE = source_module("bigcommerce")
STORE = "demohash1"


def fixture(name: str) -> Sample:
    return load("bigcommerce", name)


@pytest.fixture
def sandbox() -> SandboxClient:
    return SandboxClient(VENDOR)


def parts(currency: str = "USD", **values: str) -> Amounts:
    return Amounts(currency=currency, **{name: Decimal(value) for name, value in values.items()})


def order_is(sandbox: SandboxClient, number: int, **members: Any) -> None:
    path = f"stores/{STORE}/v2/orders/{number}"
    sandbox.set("bigcommerce", entities={path: sandbox.state("bigcommerce")[path] | members})


def refunds_are(sandbox: SandboxClient, number: int, *refunds: dict[str, Any]) -> None:
    path = f"stores/{STORE}/v3/orders/{number}/payment_actions/refunds"
    sandbox.set("bigcommerce", entities={path: {"refunds": list(refunds)}})


def products_are(sandbox: SandboxClient, number: int, *products: dict[str, Any]) -> None:
    path = f"stores/{STORE}/v2/orders/{number}/products"
    sandbox.set("bigcommerce", entities={path: {"products": list(products)}})


# -- what was sold --------------------------------------------------------------------------------------------------

CAP = parts(goods="25")
SOLD = {
    "order-created": (
        201,
        parts(goods="20", goods_tax="1.65", shipping="7.5", shipping_tax="0.6188", fees="2", fees_tax="0.165"),
        True,
    ),
    "order-created-unpaid": (203, CAP, False),
    "order-updated": (
        202,
        parts("EUR", goods="50.4202", goods_tax="9.5798", gift_cards="40", by_gift_card="20", by_store_credit="10"),
        True,
    ),
    "order-updated-migrated": (206, CAP, True),
    "order-status-cancelled": (204, CAP, True),
    "order-status-refunded": (205, CAP, True),
}


@pytest.mark.parametrize("name", SOLD)
def test_each_sale_has_exactly_these_amounts(sandbox: SandboxClient, name: str) -> None:
    number, amounts, paid = SOLD[name]
    change = order_of(fixture(name), sandbox)
    order = change.order
    assert order.sale is not None
    assert (order.id, change.event.entity_id) == (f"{STORE}:{number}",) * 2
    assert (order.currency, order.sale.amounts, order.sale.paid) == (amounts.currency, amounts, paid)
    shown = sandbox.state("bigcommerce")[f"stores/{STORE}/v2/orders/{number}"]
    assert order.sale.amounts.total == Decimal(shown["total_inc_tax"])
    assert (order.sale.captured, order.captures, order.all_refunds) == (None, (), True)


def test_a_sale_is_described_for_the_programme(sandbox: SandboxClient) -> None:
    change = order_of(fixture("order-created"), sandbox)
    sale = change.order.sale
    assert sale is not None
    assert (sale.sold_at, sale.number, sale.channel) == ("2026-03-05T08:40:00.000000Z", "201", "web")
    assert (sale.location, sale.till, sale.fulfilled, sale.test) == (STORE, "", True, False)
    (mug,) = sale.lines
    assert (mug.id, mug.item_code, mug.description) == ("11", "MUG-1", "Mug")
    assert [mug.quantity, mug.rate, mug.discount, mug.amount, mug.tax] == [
        2,
        Decimal("12.5"),
        5,
        20,
        Decimal("2.0625"),
    ]
    assert [(p.mode, p.amount) for p in sale.payments] == [("Credit Card", Decimal("31.9338"))]
    assert change.buyer is not None
    assert (change.buyer.source_id, change.buyer.email) == (f"{STORE}:1001", "bea.commerce@example.com")
    assert change.buyer.verified == {"email": False, "phone": False}
    assert change.store == STORE


def test_another_currency_is_converted_by_the_orders_own_rate(sandbox: SandboxClient) -> None:
    sale = order_of(fixture("order-updated"), sandbox).order.sale
    assert sale is not None
    assert sale.shop_amounts is not None
    assert (sale.shop_amounts.currency, sale.shop_amounts.total) == ("USD", Decimal(125))
    assert sale.shop_amounts.gift_cards == 50
    assert sale.shop_amounts.by_store_credit == Decimal("12.5")
    for members in (
        {"store_default_to_transactional_exchange_rate": "0.0000000000"},
        {"store_default_currency_code": "EUR"},
        {"store_default_currency_code": None},
    ):
        order_is(sandbox, 202, **members)
        sale = order_of(fixture("order-updated"), sandbox).order.sale
        assert sale is not None
        assert sale.shop_amounts is None


def test_prices_with_tax_are_the_lines_prices_where_the_shop_has_them(sandbox: SandboxClient) -> None:
    sale = order_of(fixture("order-updated"), sandbox).order.sale
    assert sale is not None
    shirt, card = sale.lines
    assert [shirt.amount, shirt.tax] == [60, 0]
    assert (card.kind, card.amount) == ("gift_card", Decimal(40))
    assert {p.mode: p.amount for p in sale.payments} == {
        "gift_certificate": Decimal(20),
        "store_credit": Decimal(10),
        "Credit Card": Decimal(70),
    }


def test_a_guest_has_unverified_contacts(sandbox: SandboxClient) -> None:
    buyer = order_of(fixture("order-updated"), sandbox).buyer
    assert buyer is not None
    assert (buyer.source_id, buyer.email, buyer.phone) == (None, "guest@example.com", "+4930123456")
    assert buyer.fields["country"] == "DE"


@pytest.mark.parametrize(
    ("payment", "status", "paid"),
    [
        ("captured", 11, True),
        ("paid", 1, True),
        ("partially refunded", 14, True),
        ("refunded", 4, True),
        ("captured", 5, True),
        ("authorized", 11, False),
        ("capture pending", 11, False),
        ("pending", 11, False),
        ("declined", 6, False),
        ("void", 5, False),
        ("", 11, True),
        (None, 10, True),
        (None, 2, True),
        ("", 7, False),
        ("", 1, False),
        ("", 5, False),
    ],
)
def test_the_payments_own_status_decides_what_is_paid(
    sandbox: SandboxClient, payment: str | None, status: int, paid: bool
) -> None:
    order_is(sandbox, 204, payment_status=payment, status_id=status)
    sale = order_of(fixture("order-status-cancelled"), sandbox).order.sale
    assert sale is not None
    assert (sale.paid, sale.cancelled) == (paid, status in (5, 6))


def test_a_cancellation_alone_takes_nothing_back(sandbox: SandboxClient) -> None:
    order = order_of(fixture("order-status-cancelled"), sandbox).order
    assert order.sale is not None
    assert (order.sale.cancelled, order.sale.paid, order.refunds, order.refunded) == (True, True, (), None)


def test_orders_that_were_imported_or_paid_with_the_test_gateway_are_tests(sandbox: SandboxClient) -> None:
    for name, test in (("order-updated-migrated", True), ("order-created", False)):
        sale = order_of(fixture(name), sandbox).order.sale
        assert sale is not None
        assert sale.test is test
    order_is(sandbox, 201, payment_method="Test Payment Gateway")
    sale = order_of(fixture("order-created"), sandbox).order.sale
    assert sale is not None
    assert sale.test


def test_fees_have_a_tax_of_their_own(sandbox: SandboxClient) -> None:
    order_is(sandbox, 203, fees=[{"id": 1, "cost_ex_tax": "4.0000", "cost_inc_tax": "5.0000"}], total_tax="1.0000")
    sale = order_of(fixture("order-created-unpaid"), sandbox).order.sale
    assert sale is not None
    assert sale.amounts == parts(goods="20", fees="4", fees_tax="1")


@pytest.mark.parametrize("value", ["1,5", True, [], "NaN"])
def test_an_amount_that_is_none_is_untranslatable(sandbox: SandboxClient, value: Any) -> None:
    order_is(sandbox, 201, total_inc_tax=value)
    with pytest.raises(Untranslatable) as caught:
        orders_of(fixture("order-created"), sandbox)
    assert caught.value.reason == "bad_amount"


# -- refunds --------------------------------------------------------------------------------------------------------


def test_a_refund_of_a_product_has_its_parts_and_a_declined_one_takes_nothing_back(sandbox: SandboxClient) -> None:
    mug, shipping = order_of(fixture("refund-created"), sandbox).order.refunds
    assert (mug.id, mug.amount, mug.at) == ("301", Decimal("10.83"), "2026-03-06T10:00:00.000000Z")
    assert mug.amounts == parts(goods="10", goods_tax="0.83")
    (line,) = mug.lines
    assert (line.id, line.quantity, line.amount) == ("11", Decimal(1), Decimal(10))
    assert (shipping.id, shipping.amount, shipping.amounts) == ("302", Decimal(0), None)


def test_a_refund_of_an_amount_has_no_parts_and_store_credit_counts(sandbox: SandboxClient) -> None:
    (refund,) = order_of(fixture("refund-created-amount"), sandbox).order.refunds
    assert (refund.id, refund.amount, refund.amounts, refund.lines) == ("303", Decimal(15), None, ())


def item(kind: str, id: int = 11) -> dict[str, Any]:
    return {"item_type": kind, "item_id": id, "quantity": 1, "requested_amount": None}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([item("SHIPPING")], {"shipping": "9", "shipping_tax": "1"}),
        ([item("HANDLING"), item("FEE"), item("GIFT_WRAPPING")], {"fees": "9", "fees_tax": "1"}),
        ([item("PRODUCT"), item("TAX")], {"goods": "9", "goods_tax": "1"}),
        ([item("PRODUCT"), item("SHIPPING")], None),
        ([item("ORDER")], None),
        ([item("NEW_KIND")], None),
        ([], None),
    ],
)
def test_the_parts_of_a_refund_are_those_of_its_items(
    sandbox: SandboxClient, items: list[dict[str, Any]], expected: dict[str, str] | None
) -> None:
    refunds_are(sandbox, 201, {"id": 9, "total_amount": 10, "total_tax": 1, "items": items, "payments": []})
    (refund,) = order_of(fixture("refund-created"), sandbox).order.refunds
    assert refund.amount == 10
    assert refund.amounts == (None if expected is None else parts(**expected))


def test_a_gift_certificate_that_comes_back_is_no_goods(sandbox: SandboxClient) -> None:
    refunds_are(sandbox, 202, {"id": 9, "total_amount": 40, "total_tax": 0, "items": [item("PRODUCT", 13)]})
    (refund,) = order_of(fixture("refund-created-amount"), sandbox).order.refunds
    assert refund.amounts == parts("EUR", gift_cards="40")


def test_a_refund_that_was_partly_declined_counts_with_what_was_paid(sandbox: SandboxClient) -> None:
    payments = [{"amount": 4, "is_declined": False}, {"amount": 6, "is_declined": True}]
    refunds_are(
        sandbox, 201, {"id": 9, "total_amount": 10, "total_tax": 1, "items": [item("PRODUCT")], "payments": payments}
    )
    (refund,) = order_of(fixture("refund-created"), sandbox).order.refunds
    assert (refund.amount, refund.amounts) == (Decimal(4), None)


def test_an_order_that_was_refunded_by_hand_has_given_everything_back(sandbox: SandboxClient) -> None:
    order = order_of(fixture("order-status-refunded"), sandbox).order
    assert (order.refunds, order.refunded) == ((), Decimal(25))
    refunds_are(sandbox, 205, {"id": 9, "total_amount": 20, "total_tax": 0, "items": [item("ORDER")]})
    order = order_of(fixture("order-status-refunded"), sandbox).order
    assert ([r.amount for r in order.refunds], order.refunded) == ([Decimal(20)], None)


def test_what_products_show_as_refunded_counts_where_there_are_no_refunds(sandbox: SandboxClient) -> None:
    path = f"stores/{STORE}/v2/orders/204/products"
    (cap,) = sandbox.state("bigcommerce")[path]["products"]
    products_are(sandbox, 204, cap | {"refund_amount": "5.0000"})
    assert order_of(fixture("order-status-cancelled"), sandbox).order.refunded == 5


# -- reading --------------------------------------------------------------------------------------------------------


def test_an_order_of_many_lines_is_read_page_by_page(sandbox: SandboxClient) -> None:
    path = f"stores/{STORE}/v2/orders/201/products"
    (mug,) = sandbox.state("bigcommerce")[path]["products"]
    products_are(sandbox, 201, *({**mug, "id": number} for number in range(2 * PAGE + 1)))
    sale = order_of(fixture("order-created"), sandbox).order.sale
    assert sale is not None
    assert len({line.id for line in sale.lines}) == 2 * PAGE + 1
    products_are(sandbox, 201, *({**mug, "id": number} for number in range(PAGE)))
    sale = order_of(fixture("order-created"), sandbox).order.sale
    assert sale is not None
    assert len(sale.lines) == PAGE


def test_an_order_without_products_has_no_lines(sandbox: SandboxClient) -> None:
    products_are(sandbox, 201)
    sale = order_of(fixture("order-created"), sandbox).order.sale
    assert sale is not None
    assert sale.lines == ()


@pytest.mark.parametrize(("members", "reason"), [({"status_id": 0}, "order_not_placed"), (None, "deleted_meanwhile")])
def test_what_is_no_order_is_an_outcome(sandbox: SandboxClient, members: Any, reason: str) -> None:
    if members is None:
        sandbox.set("bigcommerce", entities={f"stores/{STORE}/v2/orders/201": None})
    else:
        order_is(sandbox, 201, **members)
    (change,) = orders_of(fixture("order-created"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == reason


def test_responses_of_another_shape_may_pass(sandbox: SandboxClient) -> None:
    module, thin = thin_of(fixture("order-created"), connection("bigcommerce"))
    (products,) = module.hydrated(thin, 200, {"id": 201, "status_id": 11})
    assert isinstance(products, ThinChange)
    assert [type(change) for change in module.hydrated(products, 404, [{"status": 404}])] == [NothingToDo]
    with pytest.raises(VendorRejected):
        module.hydrated(products, 400, [{"status": 400}])
    with pytest.raises(UpstreamUnavailable):
        module.hydrated(products, 200, {"data": []})
    (refunds,) = module.hydrated(products, 204, None)
    assert isinstance(refunds, ThinChange)
    with pytest.raises(UpstreamUnavailable):
        module.hydrated(refunds, 200, {"data": None})
    with pytest.raises(UpstreamUnavailable):
        module.hydrated(thin, 200, {"id": 7})


def test_versions_are_the_orders_time_then_the_time_of_reading(sandbox: SandboxClient) -> None:
    version = order_of(fixture("refund-created"), sandbox).version
    assert version is not None
    assert (version.value, version.time) == ("2026-03-06T12:26:41.000000Z", READ_AT)
    order_is(sandbox, 201, date_modified="Sat, 07 Mar 2026 10:00:00 +0000")
    later = order_of(fixture("order-created"), sandbox).version
    assert later is not None
    assert later.value == "2026-03-07T10:00:00.000000Z"
    assert version.older_than(later)


@pytest.mark.parametrize("written", ["", None, "yesterday", "Thu, 99 Mar 2026 08:40:00 +0000", 5])
def test_a_time_that_is_none_is_left_out(sandbox: SandboxClient, written: Any) -> None:
    order_is(sandbox, 201, date_created=written)
    sale = order_of(fixture("order-created"), sandbox).order.sale
    assert sale is not None
    assert sale.sold_at == ""


def test_an_order_is_read_by_its_id(sandbox: SandboxClient) -> None:
    assert isinstance(BIGCOMMERCE, HydratingSource)
    thin = BIGCOMMERCE.order_of(f"{STORE}:201", None)
    assert isinstance(thin, ThinChange)
    (change,) = read_through(BIGCOMMERCE, queued(thin), connection("bigcommerce"), sandbox)
    assert isinstance(change, OrderChanged)
    assert change.order.id == f"{STORE}:201"
    assert BIGCOMMERCE.order_of("201", STORE) is None
