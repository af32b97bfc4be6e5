"""Adobe's orders, invoices and credit memos: every amount to the digit, totals and ids, and what is which."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.model.commands import command_from_dict, plain
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import of_minor_units
from loyalty_relay.model.orders import Amounts, Sale
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import NothingToDo, OrderChanged, bounded
from tests.sources.samples import Sample, load, source

ADOBE = source_module("adobe")
NAMES = [topic.fixture for topic in ADOBE.topics if topic.becomes == "transaction"]
HOOKS = {topic.fixture: topic.name for topic in ADOBE.topics if topic.fixture.startswith("webhook-")}


def fixture(name: str) -> Sample:
    return load("adobe", name)


def read_any(sample: Sample) -> Any:
    (change,) = ADOBE.read(sample.signed(), source("adobe"))
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


def with_entity(name: str, **members: Any) -> Sample:
    """An I/O event with members of its entity replaced; ``...`` removes one."""
    body = json.loads(json.dumps(fixture(name).json()))
    entity = body["data"]["value"] | members
    body["data"]["value"] = {key: value for key, value in entity.items() if value is not ...}
    return fixture(name).with_body(body)


# -- orders ---------------------------------------------------------------------------------------------------------

USUAL = {"goods": "54.0", "goods_tax": "5.4", "shipping": "5.0", "shipping_tax": "0.5"}
ORDERS = [
    ("order-placed", amounts("USD", **USUAL), "64.9", "0"),
    ("order-paid", amounts("USD", **USUAL), "64.9", "64.9"),
    (
        "order-guest",
        amounts("USD", goods="10.0", goods_tax="1.0", gift_cards="25.0", fees="3.0", fees_tax="0.3"),
        "39.3",
        "39.3",
    ),
    (
        "order-currencies",
        amounts("EUR", goods="45.0", goods_tax="4.5", shipping="4.5", shipping_tax="0.45"),
        "54.45",
        "54.45",
    ),
    ("order-gift-card", amounts("USD", **USUAL, by_gift_card="20.0", by_store_credit="10.0"), "64.9", "64.9"),
    ("order-refunded", amounts("USD", **USUAL), "64.9", "64.9"),
    ("order-cancelled", amounts("USD", **USUAL), "64.9", "0"),
    ("order-saved", amounts("USD", **USUAL), "64.9", "40.0"),
    ("webhook-order-saved", amounts("USD", **USUAL), "64.9", "64.9"),
]


@pytest.mark.parametrize(("name", "wanted", "total", "captured"), ORDERS)
def test_each_sample_order_has_exactly_these_amounts(name: str, wanted: Amounts, total: str, captured: str) -> None:
    sale = sale_of(fixture(name))
    assert sale.amounts == wanted
    assert sale.amounts.total == Decimal(total)
    assert sale.captured == Decimal(captured)
    assert (sale.shop_amounts is not None) is (name == "order-currencies")


def test_base_amounts_are_the_shops() -> None:
    shop = amounts("USD", goods="50.0", goods_tax="5.0", shipping="5.0", shipping_tax="0.5")
    assert sale_of(fixture("order-currencies")).shop_amounts == shop


def test_the_total_is_what_is_owed_before_gift_cards_and_store_credit() -> None:
    sale = sale_of(fixture("order-gift-card"))
    known = fixture("order-gift-card").json()["data"]["value"]
    assert (
        sale.amounts.total
        == Decimal(str(known["grand_total"])) + sale.amounts.by_gift_card + sale.amounts.by_store_credit
    )


@pytest.mark.parametrize(
    ("change", "captured"),
    [
        ({"total_paid": None}, "0"),
        ({"total_paid": 10.0, "gift_cards_invoiced": 0, "customer_balance_invoiced": 0}, "10.0"),
        ({"total_paid": 10.0}, "40.0"),
        ({"total_paid": 34.9}, "64.9"),
        ({"total_paid": 0, "grand_total": 0, "state": "processing"}, "30.0"),
        ({"total_paid": 0, "grand_total": 0, "state": "canceled"}, "0"),
    ],
)
def test_captured_is_what_was_paid_tenders_included(change: dict[str, Any], captured: str) -> None:
    change = {"gift_cards_invoiced": 20.0, "customer_balance_invoiced": 10.0} | change
    if change["total_paid"] is None:
        change |= {"gift_cards_invoiced": 0, "customer_balance_invoiced": 0}
    sale = sale_of(with_entity("order-gift-card", **change))
    assert sale.captured == Decimal(captured)


def test_without_what_was_paid_invoices_decide() -> None:
    sale = sale_of(with_entity("order-paid", total_paid=...))
    assert (sale.captured, sale.paid) == (None, False)


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("currency", ["JPY", "USD", "KWD"])
@given(units=st.lists(st.integers(min_value=0, max_value=10**10), min_size=6, max_size=6))
def test_parts_add_up_to_the_total_in_every_currency(currency: str, units: list[int]) -> None:
    goods, tax, shipping, shipping_tax, wrapping, gift_card = (of_minor_units(n, currency) for n in units)
    total = goods + tax + shipping + shipping_tax + wrapping + gift_card
    sample = with_entity(
        "order-paid",
        order_currency_code=currency,
        base_currency_code=currency,
        grand_total=str(total - gift_card),
        total_paid=str(total - gift_card),
        gift_cards_amount=str(gift_card),
        tax_amount=str(tax + shipping_tax),
        shipping_amount=str(shipping),
        shipping_tax_amount=str(shipping_tax),
        extension_attributes={"gw_price": str(wrapping)},
    )
    sale = sale_of(sample)
    assert sale.amounts.total == total == sale.captured
    assert (sale.amounts.goods, sale.amounts.goods_tax) == (goods + gift_card, tax)
    assert (sale.amounts.shipping, sale.amounts.fees, sale.amounts.by_gift_card) == (shipping, wrapping, gift_card)


def test_gift_wrapping_has_an_amount_in_the_shops_currency() -> None:
    """Adobe Commerce names it gw_base_price, unlike its other amounts of the shop."""
    wrapping = {"gw_price": "5.0000", "gw_base_price": "4.0000", "gw_items_base_tax_amount": "0.4000"}
    sample = with_entity("order-paid", base_currency_code="EUR", extension_attributes=wrapping)
    sale = sale_of(sample)
    assert sale.shop_amounts is not None
    found = (sale.amounts.fees, sale.shop_amounts.fees, sale.shop_amounts.fees_tax)
    assert found == (Decimal(5), Decimal(4), Decimal("0.4"))


def test_the_parents_of_configurable_products_are_the_lines() -> None:
    assert [(line.id, line.quantity, line.amount) for line in sale_of(fixture("order-paid")).lines] == [
        ("501", Decimal(2), Decimal("36.0")),
        ("503", Decimal(1), Decimal("18.0")),
    ]
    assert [line.kind for line in sale_of(fixture("order-guest")).lines] == ["gift_card", "product"]


def test_a_discount_that_contains_tax_is_compensated() -> None:
    items = [{"item_id": 1, "qty_ordered": 1, "price": 100, "row_total": 100, "discount_amount": 12}]
    items[0]["discount_tax_compensation_amount"] = 2
    (line,) = sale_of(with_entity("order-paid", items=items)).lines
    assert (line.discount, line.amount) == (Decimal(10), Decimal(90))
    free = with_entity(
        "order-paid", shipping_discount_amount=6.0, shipping_tax_amount=0, tax_amount=5.4, grand_total=59.4
    )
    assert (sale_of(free).amounts.shipping, sale_of(free).amounts.total) == (Decimal(0), Decimal("59.4"))


def test_an_order_in_our_words() -> None:
    change = read(fixture("order-refunded"))
    sale = sale_of(fixture("order-refunded"))
    assert (change.order.id, change.event.entity_id, change.store) == ("91", "91", "1")
    assert (sale.number, sale.location, sale.sold_at) == ("000000091", "1", "2026-03-10T09:00:00.000000Z")
    assert (sale.fulfilled, sale.cancelled) == (True, False)
    assert sale_of(fixture("order-cancelled")).cancelled
    assert change.order.refunded == Decimal("25.3")
    assert not change.order.all_refunds
    assert change.version is not None
    assert change.version.value == "2026-03-12T10:00:01.000000Z"


def test_customers_are_the_shops_and_an_orders_contacts_are_unverified() -> None:
    buyer, guest = (read(fixture(name)).buyer for name in ("order-paid", "order-guest"))
    assert buyer is not None
    assert (buyer.source_id, buyer.fields["email"]) == ("42", "zoe.mueller@example.com")
    assert guest is not None
    assert (guest.source_id, guest.fields["email"]) == (None, "guest@example.com")
    assert buyer.verified == guest.verified == {"email": False, "phone": False}


# -- invoices and credit memos --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "order_id", "id_", "amount"),
    [
        ("invoice-committed", "91", "71", "64.9"),
        ("invoice-saved", "94", "72", "64.9"),
        ("webhook-invoice-saved", "91", "71", "64.9"),
    ],
)
def test_an_invoice_is_a_capture_tenders_included(name: str, order_id: str, id_: str, amount: str) -> None:
    order = read(fixture(name)).order
    (capture,) = order.captures
    assert (order.id, order.currency, capture.id, capture.amount) == (order_id, "USD", id_, Decimal(amount))


CAP = amounts("USD", goods="18.0", goods_tax="1.8", shipping="5.0", shipping_tax="0.5")


@pytest.mark.parametrize(
    ("name", "id_", "amount", "parts"),
    [
        ("creditmemo-saved", "81", "25.3", CAP),
        ("creditmemo-committed", "82", "5.0", None),
        ("webhook-creditmemo-saved", "81", "25.3", CAP),
    ],
)
def test_a_credit_memo_is_a_refund(name: str, id_: str, amount: str, parts: Amounts | None) -> None:
    change = read(fixture(name))
    (refund,) = change.order.refunds
    assert (change.order.id, change.buyer, refund.id, refund.amount) == ("91", None, id_, Decimal(amount))
    assert refund.amounts == parts
    assert parts is None or parts.total == refund.amount
    assert [(line.id, line.amount) for line in refund.lines] == ([("503", Decimal("18.0"))] if parts else [])


def test_the_refund_of_a_memo_is_the_difference_of_the_orders_totals() -> None:
    """So that whichever comes first, both add up to the same."""
    before, after = (read(fixture(name)).order.refunded for name in ("order-paid", "order-refunded"))
    assert before is not None
    assert after is not None
    (refund,) = read(fixture("creditmemo-saved")).order.refunds
    assert refund.amount == after - before
    with_tenders = with_entity("order-refunded", gift_cards_refunded=4.0, customer_balance_refunded=1.0)
    memo = with_entity("creditmemo-saved", gift_cards_amount=4.0, customer_balance_amount=1.0)
    assert read(with_tenders).order.refunded == read(memo).order.refunds[0].amount == Decimal("30.3")


@pytest.mark.parametrize("name", ["invoice-committed", "creditmemo-saved"])
@pytest.mark.parametrize("state", [1, 3, None, "open"])
def test_only_paid_invoices_and_refunded_memos_are_money(name: str, state: Any) -> None:
    order = read(with_entity(name, state=state)).order
    assert [capture.amount for capture in order.captures] + [refund.amount for refund in order.refunds] == [0]


def test_a_fee_makes_a_refund_an_amount_alone() -> None:
    memo = with_entity("creditmemo-saved", adjustment=-3.0, adjustment_negative=3.0, grand_total=22.3)
    (refund,) = read(memo).order.refunds
    assert (refund.amount, refund.amounts) == (Decimal("22.3"), None)


# -- what is believed, and what is refused --------------------------------------------------------------------------


@pytest.mark.attack(
    "senders", "an invoice replayed as a credit memo", "the signed body must be of the kind that the path names", "G4"
)
@pytest.mark.parametrize("name", HOOKS)
def test_a_hooks_body_under_another_path_is_refused(name: str) -> None:
    for other in set(HOOKS.values()) - {HOOKS[name]}:
        if ".sales." not in HOOKS[name] + other:
            continue
        moved = Sample("adobe", name, fixture(name).headers, fixture(name).body, other)
        assert untranslatable(moved) == "topic_mismatch", other


@pytest.mark.parametrize("kind", ["invoice", "creditmemo"])
@pytest.mark.parametrize("wrapped", [lambda entity: entity, lambda entity: {"result": entity}, lambda e: {"entity": e}])
def test_without_a_name_around_it_a_body_needs_members_of_its_kind(kind: str, wrapped: Callable[[Any], Any]) -> None:
    bare = {"entity_id": 1, "order_id": 91, "state": 2, "order_currency_code": "USD", "grand_total": 5, "store_id": 1}
    topic = f"plugin.magento.sales.api.{kind}_repository.save"
    sample = Sample("adobe", kind, {}, b"", topic)
    marks = {"invoice": {"total_qty": 1}, "creditmemo": {"adjustment": 0}}
    assert untranslatable(sample.with_body(wrapped(bare))) == "topic_mismatch"
    assert untranslatable(sample.with_body(wrapped(bare | marks["invoice"] | marks["creditmemo"]))) == "topic_mismatch"
    assert read(sample.with_body(wrapped(bare | marks[kind]))).order.id == "91"
    other = marks["creditmemo" if kind == "invoice" else "invoice"]
    assert untranslatable(sample.with_body(wrapped(bare | other))) == "topic_mismatch"


def test_the_short_name_of_a_hook_is_the_same_topic() -> None:
    short = Sample("adobe", "x", {}, fixture("webhook-order-saved").body, "plugin.sales.api.order_repository.save")
    assert read(short).event.topic == "plugin.magento.sales.api.order_repository.save"


@pytest.mark.parametrize("name", ["order-paid", "invoice-committed", "creditmemo-saved"])
def test_another_store_view_is_not_ours(name: str) -> None:
    change = read_any(with_entity(name, store_id=7))
    assert isinstance(change, NothingToDo)
    assert change.reason == "store_not_connected"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("order-paid", {"grand_total": ...}, "fields_left_out"),
        ("order-paid", {"tax_amount": ...}, "fields_left_out"),
        ("order-paid", {"created_at": ...}, "fields_left_out"),
        ("order-paid", {"base_currency_code": ...}, "fields_left_out"),
        ("order-currencies", {"base_grand_total": ...}, "fields_left_out"),
        ("order-paid", {"entity_id": None}, "no_id"),
        ("order-paid", {"grand_total": "64,90"}, "bad_amount"),
        ("order-paid", {"items": [{}] * 2001}, "too_many_entities"),
        ("invoice-committed", {"state": ...}, "fields_left_out"),
        ("invoice-committed", {"order_id": None}, "no_id"),
        ("invoice-committed", {"entity_id": ...}, "no_id"),
        ("creditmemo-saved", {"grand_total": ...}, "fields_left_out"),
        ("creditmemo-saved", {"order_currency_code": ...}, "fields_left_out"),
        ("creditmemo-saved", {"order_currency_code": "dollars"}, "bad_currency"),
    ],
)
def test_what_cannot_be_booked_is_refused_by_name(name: str, change: dict[str, Any], reason: str) -> None:
    assert untranslatable(with_entity(name, **change)) == reason


@pytest.mark.parametrize("name", NAMES)
def test_an_order_comes_out_of_the_queue_as_it_went_in(name: str) -> None:
    change = read(fixture(name))
    assert bounded(change) is change
    command = command_from_dict("record_sale", json.loads(json.dumps({"order": plain(change.order)})))
    assert getattr(command, "order", None) == change.order
