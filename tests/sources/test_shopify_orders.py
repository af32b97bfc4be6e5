"""Shopify's orders and refunds: every amount to the digit, and money that was only promised is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.model.commands import RecordSale, command_from_dict, plain
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import of_minor_units, text_of
from loyalty_relay.model.orders import Amounts
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import NothingToDo, OrderChanged, Unreadable, bounded
from loyalty_relay.translation.translate import translate
from tests.sources.samples import Sample, connection, load, source

ORDER = "6001234567001"
NAMES = [topic.fixture for topic in source_module("shopify").topics if topic.becomes == "transaction"]


def fixture(name: str) -> Sample:
    return load("shopify", name)


def read_any(sample: Sample) -> Any:
    (change,) = source_module("shopify").read(sample.signed(), source("shopify"))
    return change


def read(sample: Sample) -> OrderChanged:
    change = read_any(sample)
    assert isinstance(change, OrderChanged)
    return change


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read_any(sample)
    return caught.value.reason


def amounts(currency: str, **parts: str) -> Amounts:
    return Amounts.from_dict({"currency": currency, **parts})


def altered(name: str, alter: Callable[[dict[str, Any]], Any]) -> Sample:
    body = json.loads(json.dumps(fixture(name).json()))
    alter(body)
    return fixture(name).with_body(body)


# -- orders ---------------------------------------------------------------------------------------------------------

USUAL = amounts("USD", goods="72.00", goods_tax="7.20", shipping="10.00", shipping_tax="1.00")
EDITED = amounts("USD", goods="84.00", goods_tax="8.40", shipping="10.00", shipping_tax="1.00")
ORDERS = [
    ("orders-create", USUAL, "0"),
    ("orders-create-test", USUAL, "90.20"),
    ("orders-paid", USUAL, "90.20"),
    (
        "orders-paid-tax-inclusive",
        amounts(
            "GBP",
            goods="36.00",
            goods_tax="7.20",
            gift_cards="25.00",
            shipping="5.00",
            shipping_tax="1.00",
            tips="3.00",
        ),
        "77.20",
    ),
    ("orders-paid-pos", amounts("USD", goods="46.50", goods_tax="4.65", tips="5.00"), "56.15"),
    ("orders-paid-gift-card", amounts("USD", goods="15.50", goods_tax="1.55", by_gift_card="17.05"), "17.05"),
    (
        "orders-paid-currencies",
        amounts("JPY", goods="6000", goods_tax="600", shipping="750", shipping_tax="75"),
        "7425",
    ),
    ("orders-updated", USUAL, "90.20"),
    ("orders-updated-edited", EDITED, "90.20"),
    ("orders-updated-exchange", EDITED, "90.20"),
    ("orders-updated-2019", USUAL, "90.20"),
    ("orders-fulfilled", USUAL, "90.20"),
    ("orders-cancelled", USUAL, "90.20"),
    ("orders-cancelled-unpaid", USUAL, "0"),
]


@pytest.mark.parametrize(("name", "wanted", "captured"), ORDERS)
def test_each_sample_order_has_exactly_these_amounts(name: str, wanted: Amounts, captured: str) -> None:
    change = read(fixture(name))
    sale, body = change.order.sale, fixture(name).json()
    assert sale is not None
    assert sale.amounts == wanted
    known = body.get("total_price_set", {}).get("presentment_money", {"amount": body["total_price"]})
    assert sale.amounts.total == Decimal(known["amount"])
    assert sale.captured == Decimal(captured)
    assert change.order.all_refunds


def test_the_shops_currency_has_its_own_amounts() -> None:
    sale = read(fixture("orders-paid-currencies")).order.sale
    assert sale is not None
    assert sale.shop_amounts == amounts("USD", goods="40.00", goods_tax="4.00", shipping="5.00", shipping_tax="0.50")
    for name in ("orders-paid", "orders-updated-2019"):
        other = read(fixture(name)).order.sale
        assert other is not None
        assert other.shop_amounts is None


@pytest.mark.parametrize(
    ("status", "current", "outstanding", "captured"),
    [
        ("pending", "90.20", "90.20", "0"),
        ("authorized", "90.20", "0.00", "0"),
        ("voided", "0.00", "0.00", "0"),
        ("expired", "90.20", "90.20", "0"),
        (None, "90.20", "0.00", "0"),
        ("something_new", "90.20", "0.00", "0"),
        ("partially_paid", "90.20", "50.20", "40.00"),
        ("paid", "90.20", "0.00", "90.20"),
        ("paid", "70.40", "0.00", "70.40"),
        ("paid", "70.40", "-19.80", "90.20"),
        ("paid", "95.00", "0.00", "90.20"),
    ],
)
def test_only_captured_money_counts(status: str | None, current: str, outstanding: str, captured: str) -> None:
    sample = fixture("orders-paid").changed(
        financial_status=status, current_total_price=current, current_total_price_set=..., total_outstanding=outstanding
    )
    sale = read(sample).order.sale
    assert sale is not None
    assert sale.captured == Decimal(captured)


@pytest.mark.parametrize(
    ("status", "outstanding", "captured"),
    [("partially_paid", "50.20", "40.00"), ("partially_paid", ..., "0"), ("paid", ..., "90.20")],
)
def test_an_older_shape_shows_captured_money_by_its_status(status: str, outstanding: Any, captured: str) -> None:
    sample = fixture("orders-updated-2019").changed(financial_status=status, total_outstanding=outstanding, refunds=[])
    sale = read(sample).order.sale
    assert sale is not None
    assert sale.captured == Decimal(captured)


def test_after_a_full_refund_of_an_amount_alone_nothing_is_left() -> None:
    """Whether or not the platform subtracts it from the current total."""
    refund = fixture("refunds-create-amount").json()
    refund["transactions"][0]["amount"] = "90.20"
    for current in ("0.00", "90.20"):
        sample = fixture("orders-paid").changed(
            financial_status="refunded", current_total_price=current, current_total_price_set=..., refunds=[refund]
        )
        order = read(sample).order
        assert order.sale is not None
        assert order.sale.captured == sum(known.amount for known in order.refunds) == Decimal("90.20")


@pytest.mark.parametrize("outstanding", ["0.00", "-19.80"])
def test_a_line_removed_after_payment_gives_back_what_is_paid_back_and_no_more(outstanding: str) -> None:
    """``total_price`` keeps the line, so that its money counts as captured again once it is refunded."""
    removed = fixture("refunds-create-removed").json()
    paid_back = fixture("refunds-create-pending").json()
    paid_back["transactions"][0]["status"] = "success"
    for refunds, owed, wanted in (([removed], outstanding, "0"), ([removed, paid_back], "0.00", "19.80")):
        order = read(
            fixture("orders-paid").changed(
                refunds=refunds, total_outstanding=owed, current_total_price="70.40", current_total_price_set=...
            )
        ).order
        assert order.sale is not None
        assert order.sale.captured is not None
        refunded = sum((known.amount for known in order.refunds), Decimal(0))
        assert refunded == Decimal(wanted)
        left = Decimal("90.20") if owed == "-19.80" else Decimal("70.40")
        assert order.sale.captured - refunded == left


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("currency", ["JPY", "USD", "KWD"])
@given(units=st.lists(st.integers(min_value=0, max_value=10**10), min_size=6, max_size=6), included=st.booleans())
def test_parts_add_up_to_the_total_in_every_currency(currency: str, units: list[int], included: bool) -> None:
    goods, goods_tax, shipping, shipping_tax, tips, cards = (of_minor_units(number, currency) for number in units)
    total = goods + goods_tax + shipping + shipping_tax + tips + cards

    def alter(body: dict[str, Any]) -> None:
        for name in [name for name in body if name.endswith("_set")]:
            del body[name]
        body.update(currency=currency, presentment_currency=currency, taxes_included=included)
        body.update(total_price=text_of(total), current_total_price=text_of(total))
        body.update(total_tax=text_of(goods_tax + shipping_tax), total_tip_received=text_of(tips))
        body["line_items"] = [{"id": 1, "price": text_of(cards), "quantity": 1, "gift_card": True}]
        price = shipping + shipping_tax if included else shipping
        body["shipping_lines"] = [{"price": text_of(price), "tax_lines": [{"price": text_of(shipping_tax)}]}]

    sale = read(altered("orders-paid", alter)).order.sale
    assert sale is not None
    assert sale.amounts.total == total == sale.captured
    assert (sale.amounts.goods, sale.amounts.goods_tax, sale.amounts.shipping) == (goods, goods_tax, shipping)
    assert (sale.amounts.tips, sale.amounts.gift_cards) == (tips, cards)


def test_an_order_in_our_words() -> None:
    change = read(fixture("orders-paid-pos"))
    sale = change.order.sale
    assert sale is not None
    assert (change.order.id, change.event.entity_id, change.store) == ("6001234567004",) * 2 + (
        "acme-test.myshopify.com",
    )
    assert (sale.number, sale.channel, sale.location, sale.till, sale.employee) == (
        "#1504",
        "pos",
        "88022581419",
        "4711",
        "903",
    )
    assert (sale.sold_at, sale.paid, sale.fulfilled, sale.test) == ("2026-03-05T09:58:00.000000Z", True, True, False)
    assert [(payment.mode, payment.amount) for payment in sale.payments] == [("cash", Decimal("56.15"))]
    (line,) = sale.lines
    assert (line.item_code, line.quantity, line.rate, line.amount, line.tax) == (
        "CNDL",
        Decimal(3),
        Decimal("15.50"),
        Decimal("46.50"),
        Decimal("4.65"),
    )
    assert change.version is not None
    assert change.version.value == "2026-03-05T10:00:00.000000Z"


def test_a_line_has_its_tax_beside_it_unless_prices_contain_it() -> None:
    beside, contained = (read(fixture(name)).order.sale for name in ("orders-paid", "orders-paid-tax-inclusive"))
    assert beside is not None
    assert contained is not None
    assert [(line.amount, line.discount, line.tax) for line in beside.lines] == [
        (Decimal("54.00"), Decimal("6.00"), Decimal("5.40")),
        (Decimal("18.00"), Decimal("2.00"), Decimal("1.80")),
    ]
    assert [(line.kind, line.amount, line.tax) for line in contained.lines] == [
        ("product", Decimal("43.20"), Decimal(0)),
        ("gift_card", Decimal("25.00"), Decimal(0)),
    ]


def test_test_and_cancelled_orders_are_marked() -> None:
    tested, cancelled = (read(fixture(name)).order.sale for name in ("orders-create-test", "orders-cancelled"))
    assert tested is not None
    assert tested.test
    assert cancelled is not None
    assert cancelled.cancelled
    assert not cancelled.test


def test_the_customer_is_the_shops_and_a_guest_has_unverified_contacts() -> None:
    buyer, guest = (read(fixture(name)).buyer for name in ("orders-paid", "orders-paid-gift-card"))
    assert buyer is not None
    assert buyer.source_id == "7012345678901"
    assert buyer.verified == {"email": True, "phone": False}
    assert guest is not None
    assert (guest.source_id, dict(guest.fields)) == (None, {"email": "guest@example.com", "phone": "+15555550143"})
    assert guest.verified == {"email": False, "phone": False}
    unproven = read(fixture("orders-paid").changed(customer={"id": 7, "email": "a@example.com"})).buyer
    assert unproven is not None
    assert unproven.verified == {"email": False, "phone": False}


def test_the_same_order_under_two_topics_is_one_event() -> None:
    paid, updated = (
        read(fixture("orders-paid").with_headers(X_Shopify_Topic=topic)) for topic in ("orders/paid", "orders/updated")
    )
    assert paid.event.id == updated.event.id
    assert paid.order == updated.order


def test_an_edit_is_taken_from_the_order_that_follows() -> None:
    change = read_any(fixture("orders-edited"))
    assert isinstance(change, NothingToDo)
    assert (change.reason, change.event.entity_id) == ("order_update_follows", ORDER)


@pytest.mark.parametrize("vendor", ["capillary", "kangaroo"])
def test_a_mapping_names_what_goes_with_the_sale(vendor: str) -> None:
    mapping = {"orders/*": {"sale.note": "name", "sale.custom_fields.channel": "join('-', [source_name, currency])"}}
    to = connection("shopify", vendor, sales={"enabled": True}, mapping=mapping)
    commands = translate(read(fixture("orders-paid-pos")), to)
    assert isinstance(commands, list)
    (command,) = commands
    assert isinstance(command, RecordSale)
    assert (command.order.note, dict(command.order.custom_fields)) == ("#1504", {"channel": "pos-USD"})
    assert command.customer is not None
    assert (command.customer.source_id, command.guest, command.customer.unverified) == (
        "7012345678901",
        False,
        ("mobile",),
    )


# -- refunds --------------------------------------------------------------------------------------------------------

MUG = amounts("USD", goods="27.00", goods_tax="2.70", shipping="10.00", shipping_tax="1.00")
REFUNDS = [
    ("refunds-create", MUG, "40.70"),
    ("refunds-create-2023", amounts("USD", goods="27.00", goods_tax="2.70", shipping="8.00"), "37.70"),
    ("refunds-create-amount", None, "0.50"),
    ("refunds-create-shipping", amounts("USD", shipping="10.00", shipping_tax="1.00"), "11.00"),
    ("refunds-create-pending", None, "0"),
    ("refunds-create-removed", None, "0"),
    ("refunds-create-currencies", amounts("JPY", goods="3000", goods_tax="300"), "3300"),
    ("orders-updated", MUG, "40.70"),
    ("orders-updated-exchange", None, "6.60"),
    ("orders-updated-2019", amounts("USD", goods="27.00", goods_tax="2.70", shipping="8.00"), "37.70"),
    ("orders-cancelled", USUAL, "90.20"),
    ("orders-cancelled-unpaid", None, "0"),
]


@pytest.mark.parametrize(("name", "parts", "amount"), REFUNDS)
def test_each_sample_refund_has_exactly_these_amounts(name: str, parts: Amounts | None, amount: str) -> None:
    (refund,) = read(fixture(name)).order.refunds
    assert refund.amount == Decimal(amount)
    assert refund.amounts == parts
    assert parts is None or parts.total == refund.amount


def test_a_refund_names_its_order_and_no_customer() -> None:
    change = read(fixture("refunds-create"))
    assert (change.order.id, change.order.sale, change.buyer) == (ORDER, None, None)
    assert not change.order.all_refunds
    (refund,) = change.order.refunds
    assert (refund.id, refund.at) == ("9001234567001", "2026-03-06T15:00:00.000000Z")
    assert [(line.id, line.quantity, line.item_code) for line in refund.lines] == [("18771", Decimal(1), "MUG-GRN")]


def test_a_refund_is_the_same_in_its_own_event_and_in_its_order() -> None:
    (own,) = read(fixture("refunds-create")).order.refunds
    (listed,) = read(fixture("orders-updated")).order.refunds
    assert (own.id, own.amount, own.amounts, own.lines) == (listed.id, listed.amount, listed.amounts, listed.lines)
    order = read(fixture("orders-updated"))
    assert order.version is not None
    assert tuple(own.version) < tuple(order.version.to_list())


def test_a_refund_whose_tax_is_in_its_prices_has_the_same_parts() -> None:
    def alter(body: dict[str, Any]) -> None:
        (line,) = body["refund_line_items"]
        line.update(subtotal="29.70", subtotal_set=...)
        line["subtotal_set"] = {
            k: {"amount": "29.70", "currency_code": "USD"} for k in ("shop_money", "presentment_money")
        }
        (shipping,) = body["refund_shipping_lines"]
        for money in shipping["subtotal_amount_set"].values():
            money["amount"] = "11.00"

    (refund,) = read(altered("refunds-create", alter)).order.refunds
    assert refund.amounts == MUG
    assert [(line.amount, line.tax) for line in refund.lines] == [(Decimal("29.70"), Decimal(0))]


@pytest.mark.parametrize(
    ("kind", "status", "amount"),
    [("refund", "failure", "0"), ("refund", "error", "0"), ("void", "success", "0"), ("refund", "success", "40.70")],
)
def test_only_money_that_was_paid_back_counts(kind: str, status: str, amount: str) -> None:
    def alter(body: dict[str, Any]) -> None:
        body["transactions"][0].update(kind=kind, status=status)

    (refund,) = read(altered("refunds-create", alter)).order.refunds
    assert refund.amount == Decimal(amount)


def test_a_restocking_fee_makes_a_refund_an_amount_alone() -> None:
    def alter(body: dict[str, Any]) -> None:
        body["transactions"][0]["amount"] = "35.70"

    (refund,) = read(altered("refunds-create", alter)).order.refunds
    assert (refund.amount, refund.amounts) == (Decimal("35.70"), None)


def test_money_in_the_shops_currency_becomes_the_customers() -> None:
    def alter(body: dict[str, Any]) -> None:
        body["transactions"][0].update(amount="22.00", currency="USD")

    order = read(altered("refunds-create-currencies", alter)).order
    assert (order.currency, order.refunds[0].amount) == ("JPY", Decimal(3300))

    def third(body: dict[str, Any]) -> None:
        body["transactions"][0]["currency"] = "EUR"

    assert untranslatable(altered("refunds-create-currencies", third)) == "bad_currency"


# -- what is believed, and what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_body_under_another_topic_is_refused(name: str) -> None:
    other = "refunds/create" if name.startswith("orders") else "orders/paid"
    assert untranslatable(fixture(name).with_headers(X_Shopify_Topic=other)) == "topic_mismatch"
    for topic in ("customers/update", "customers/delete", "orders/edited"):
        assert untranslatable(fixture(name).with_headers(X_Shopify_Topic=topic)) == "topic_mismatch"


def test_drafts_and_checkouts_are_no_orders() -> None:
    draft = fixture("orders-paid").changed(admin_graphql_api_id="gid://shopify/DraftOrder/1")
    assert untranslatable(draft) == "topic_mismatch"
    checkout = fixture("orders-paid").changed(admin_graphql_api_id=..., financial_status=...)
    assert untranslatable(checkout) == "topic_mismatch"
    fulfilment = fixture("refunds-create").changed(refund_line_items=..., admin_graphql_api_id=...)
    assert untranslatable(fulfilment) == "topic_mismatch"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"refunds": ...}, "fields_left_out"),
        ({"total_tax": ...}, "fields_left_out"),
        ({"updated_at": None}, "no_signed_time"),
        ({"processed_at": None, "created_at": ""}, "bad_time"),
        ({"currency": None}, "bad_currency"),
        ({"total_price": "1,00", "total_price_set": ...}, "bad_amount"),
        ({"total_price_set": ..., "presentment_currency": "EUR"}, "fields_left_out"),
        ({"total_tax_set": {"shop_money": {"amount": "1.00", "currency_code": "EUR"}}}, "bad_currency"),
        ({"line_items": [{}] * 2001}, "too_many_entities"),
    ],
)
def test_an_order_that_cannot_be_booked_is_refused_by_name(change: dict[str, Any], reason: str) -> None:
    assert untranslatable(fixture("orders-paid").changed(**change)) == reason


def test_a_negative_part_is_refused() -> None:
    assert isinstance(bounded(read(fixture("orders-paid").changed(total_tip_received="-5.00"))), Unreadable)


@pytest.mark.parametrize("name", NAMES)
def test_an_order_comes_out_of_the_queue_as_it_went_in(name: str) -> None:
    change = read(fixture(name))
    assert bounded(change) is change
    command = command_from_dict("record_sale", json.loads(json.dumps({"order": plain(change.order)})))
    assert getattr(command, "order", None) == change.order
