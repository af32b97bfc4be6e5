"""WooCommerce's orders: every amount to the digit, refunds out of snapshots, and what is no order."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.model.commands import command_from_dict, plain
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.model.money import of_minor_units, text_of
from loyalty_relay.model.orders import Amounts, Sale
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import NothingToDo, OrderChanged, bounded
from tests.sources.samples import Sample, load, source

WOO = source_module("woocommerce")
NAMES = [topic.fixture for topic in WOO.topics if topic.becomes == "transaction"]


def fixture(name: str) -> Sample:
    return load("woocommerce", name)


def read_any(sample: Sample) -> Any:
    (change,) = WOO.read(sample.signed(), source("woocommerce"))
    return change


def read(sample: Sample) -> OrderChanged:
    change = read_any(sample)
    assert isinstance(change, OrderChanged)
    return change


def sale_of(sample: Sample) -> Sale:
    sale = read(sample).order.sale
    assert sale is not None
    return sale


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read_any(sample)
    return caught.value.reason


def amounts(currency: str, **parts: str) -> Amounts:
    return Amounts.from_dict({"currency": currency, **parts})


# -- amounts --------------------------------------------------------------------------------------------------------

MUGS = amounts("GBP", goods="24.00", goods_tax="4.80")
WHOLE = amounts(
    "GBP", goods="20.60", goods_tax="4.12", shipping="5.00", shipping_tax="1.00", fees="2.00", fees_tax="0.40"
)
ORDERS = [
    ("order-created", MUGS, True),
    ("order-created-cash", MUGS, False),
    ("order-updated", WHOLE, True),
    ("order-updated-tax-inclusive", amounts("EUR", goods="16.80", goods_tax="3.19", gift_cards="25.00"), True),
    ("order-updated-refunded", WHOLE, True),
    ("order-updated-all-refunded", WHOLE, True),
    ("order-updated-cancelled", MUGS, True),
    ("order-restored", amounts("JPY", goods="2800", goods_tax="280"), True),
]


@pytest.mark.parametrize(("name", "wanted", "paid"), ORDERS)
def test_each_sample_order_has_exactly_these_amounts(name: str, wanted: Amounts, paid: bool) -> None:
    sale = sale_of(fixture(name))
    assert sale.amounts == wanted
    assert sale.amounts.total == Decimal(fixture(name).json()["total"])
    assert (sale.paid, sale.captured) == ((True, None) if paid else (False, Decimal(0)))
    assert sale.shop_amounts is None


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("currency", ["JPY", "GBP", "KWD"])
@given(units=st.lists(st.integers(min_value=0, max_value=10**10), min_size=6, max_size=6), included=st.booleans())
def test_parts_add_up_to_the_total_in_every_currency(currency: str, units: list[int], included: bool) -> None:
    goods, goods_tax, shipping, shipping_tax, fees, discount = (of_minor_units(number, currency) for number in units)
    total = goods + goods_tax + shipping + shipping_tax + fees - discount
    sample = fixture("order-updated").changed(
        currency=currency,
        prices_include_tax=included,
        total=text_of(total),
        total_tax=text_of(goods_tax + shipping_tax),
        shipping_total=text_of(shipping),
        shipping_tax=text_of(shipping_tax),
        fee_lines=[{"total": text_of(fees), "total_tax": ""}, {"total": text_of(-discount)}],
    )
    known = sale_of(sample).amounts
    assert known.total == total
    assert (known.goods, known.goods_tax, known.shipping, known.fees) == (goods - discount, goods_tax, shipping, fees)


REFUNDS = [
    ("order-updated", {}),
    ("order-updated-refunded", {"741": "6.00", "742": "12.96"}),
    ("order-updated-all-refunded", {"741": "6.00", "742": "12.96", "743": "14.16"}),
    ("order-updated-cancelled", {}),
]


@pytest.mark.parametrize(("name", "wanted"), REFUNDS)
def test_a_snapshot_lists_all_refunds_by_id(name: str, wanted: dict[str, str]) -> None:
    order = read(fixture(name)).order
    assert {refund.id: refund.amount for refund in order.refunds} == {
        key: Decimal(text) for key, text in wanted.items()
    }
    assert all(refund.amounts is None for refund in order.refunds)
    assert order.all_refunds


def test_a_full_refund_is_the_whole_total() -> None:
    order = read(fixture("order-updated-all-refunded")).order
    assert order.sale is not None
    assert sum(refund.amount for refund in order.refunds) == order.sale.amounts.total


@pytest.mark.parametrize(
    ("change", "paid"),
    [
        ({"status": "on-hold", "date_paid_gmt": None}, False),
        ({"status": "pending", "date_paid_gmt": None}, False),
        ({"status": "failed", "date_paid_gmt": None}, False),
        ({"status": "checkout-draft", "date_paid_gmt": ""}, False),
        ({"status": "processing", "date_paid_gmt": None}, True),
        ({"status": "processing", "date_paid_gmt": None, "payment_method": "cod"}, False),
        ({"status": "completed", "date_paid_gmt": ..., "payment_method": "cod"}, True),
        ({"status": "refunded"}, True),
        ({"status": "cancelled"}, True),
        ({"status": "ready-to-ship"}, True),
    ],
)
def test_money_counts_once_it_is_paid(change: dict[str, Any], paid: bool) -> None:
    sale = sale_of(fixture("order-updated").changed(**change))
    assert sale.paid is paid
    assert [payment.amount for payment in sale.payments] == ([Decimal("33.12")] if paid else [])


# -- what else they report ------------------------------------------------------------------------------------------


def test_an_order_in_our_words() -> None:
    change = read(fixture("order-updated"))
    sale = sale_of(fixture("order-updated"))
    assert (change.order.id, change.event.entity_id) == ("shop.example.com:729",) * 2
    assert (sale.number, sale.channel, sale.location) == ("729", "checkout", "shop.example.com")
    assert (sale.sold_at, sale.fulfilled, sale.cancelled) == ("2026-03-03T10:00:00.000000Z", False, False)
    (line,) = sale.lines
    assert (line.item_code, line.quantity, line.rate) == ("MUG-GRN", Decimal(2), Decimal("12.00"))
    assert (line.discount, line.amount, line.tax) == (Decimal("2.40"), Decimal("21.60"), Decimal("4.32"))
    assert sale_of(fixture("order-updated-tax-inclusive")).fulfilled
    assert sale_of(fixture("order-updated-cancelled")).cancelled
    assert [line.kind for line in sale_of(fixture("order-updated-tax-inclusive")).lines] == ["product", "gift_card"]


def test_customers_have_their_sites_id_and_unverified_contacts() -> None:
    buyer, guest = (read(fixture(name)).buyer for name in ("order-updated", "order-created"))
    assert buyer is not None
    assert (buyer.source_id, buyer.fields["email"]) == ("shop.example.com:26", "ana@example.com")
    assert guest is not None
    assert (guest.source_id, guest.fields["email"]) == (None, "guest@example.com")
    assert buyer.verified == guest.verified == {"email": False, "phone": False}


def test_of_two_refunds_in_one_second_the_snapshot_with_both_is_newer() -> None:
    both = fixture("order-updated-refunded")
    one = both.changed(refunds=both.json()["refunds"][:1])
    newer, older = read(both).version, read(one).version
    assert newer is not None
    assert older is not None
    assert (newer.value, older.older_than(newer)) == (older.value, True)


def test_the_same_order_under_two_topics_is_one_event() -> None:
    first, again = (
        read(fixture("order-updated").with_headers(X_WC_Webhook_Topic=topic))
        for topic in ("order.updated", "order.restored")
    )
    assert first.event.id == again.event.id
    assert first.order == again.order


def test_a_deleted_order_gives_no_money_back() -> None:
    deleted = fixture("order-updated").with_headers(X_WC_Webhook_Topic="order.deleted").with_body({"id": 729})
    change = read_any(deleted)
    assert isinstance(change, NothingToDo)
    assert (change.reason, change.event.entity_id) == ("order_deleted", "shop.example.com:729")


# -- what is believed, and what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_order_under_a_topic_of_something_else_is_refused(name: str) -> None:
    for topic in ("customer.created", "customer.updated", "customer.deleted", "order.deleted"):
        assert untranslatable(fixture(name).with_headers(X_WC_Webhook_Topic=topic)) == "topic_mismatch"


@pytest.mark.parametrize("topic", ["order.created", "order.updated", "order.restored"])
def test_other_bodies_are_no_orders(topic: str) -> None:
    for name in ("customer-created", "customer-deleted"):
        assert untranslatable(fixture(name).with_headers(X_WC_Webhook_Topic=topic)) == "topic_mismatch"
    subscription = fixture("order-updated").changed(billing_period="month")
    assert untranslatable(subscription.with_headers(X_WC_Webhook_Topic=topic)) == "topic_mismatch"


def test_a_body_of_another_site_is_not_believed() -> None:
    elsewhere = fixture("order-updated").changed(
        _links={"self": [{"href": "https://evil.example.net/wp-json/wc/v3/orders/729"}]}
    )
    with pytest.raises(NotAuthentic):
        read_any(elsewhere)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"refunds": None}, "topic_mismatch"),
        ({"total": "33,12"}, "bad_amount"),
        ({"currency": "pounds"}, "bad_currency"),
        ({"refunds": [{"id": None, "total": "-1.00"}]}, "no_id"),
        ({"date_created_gmt": None}, "bad_time"),
        ({"line_items": [{}] * 2001}, "too_many_entities"),
    ],
)
def test_an_order_that_cannot_be_booked_is_refused_by_name(change: dict[str, Any], reason: str) -> None:
    assert untranslatable(fixture("order-updated").changed(**change)) == reason


def test_an_error_instead_of_an_order_is_parked_unless_the_order_was_deleted() -> None:
    error = {"code": "woocommerce_rest_cannot_view", "message": "Sorry.", "data": {"status": 401}}
    assert untranslatable(fixture("order-updated").with_body(error)) == "error_object"


@pytest.mark.parametrize("name", NAMES)
def test_an_order_comes_out_of_the_queue_as_it_went_in(name: str) -> None:
    change = read(fixture(name))
    assert bounded(change) is change
    command = command_from_dict("record_sale", json.loads(json.dumps({"order": plain(change.order)})))
    assert getattr(command, "order", None) == change.order


def test_gift_cards_are_goods_where_no_sku_is_listed() -> None:
    bare = replace(source("woocommerce"), options={})
    (change,) = WOO.read(fixture("order-updated-tax-inclusive").signed(), bare)
    assert isinstance(change, OrderChanged)
    assert change.order.sale is not None
    assert (change.order.sale.amounts.goods, change.order.sale.amounts.gift_cards) == (Decimal("41.80"), Decimal(0))
