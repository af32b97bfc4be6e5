"""The sales of our own event schema: every amount to the digit, and what is no sale is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.model.commands import command_from_dict, plain
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import of_minor_units, text_of
from loyalty_relay.model.orders import Amounts
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import OrderChanged, bounded, not_later
from tests.sources.samples import EVENTS, NOW, Sample, load, source

SCHEMA = json.loads((EVENTS / "standard" / "schema.json").read_text())


def read(sample: Sample) -> OrderChanged:
    (change,) = source_module(sample.platform).read(sample.signed(), source(sample.platform))
    assert isinstance(change, OrderChanged)
    return change


def fixture(name: str) -> Sample:
    return load("standard", name)


def with_entity(name: str, **members: Any) -> Sample:
    """A fixture with members of its sale or refund replaced; ``...`` removes one."""
    body = fixture(name).json()
    (kind,) = body["data"].keys() - {"store_id"}
    entity = body["data"][kind] | members
    body["data"][kind] = {key: value for key, value in entity.items() if value is not ...}
    return fixture(name).with_body(body)


def amounts(currency: str, **parts: str) -> Amounts:
    return Amounts.from_dict({"currency": currency, **parts})


# -- amounts --------------------------------------------------------------------------------------------------------

SALES = [
    ("sale-completed", amounts("GBP", goods="50.00", goods_tax="10.00"), "60.00"),
    (
        "sale-guest",
        amounts("EUR", goods="32.2", goods_tax="6.1", tips="4", shipping="4.2", shipping_tax="0.8"),
        "47.3",
    ),
    (
        "sale-gift-cards",
        amounts("KWD", goods="30.125", gift_cards="10.000", by_gift_card="25.500", by_store_credit="4.625"),
        "40.125",
    ),
    ("sale-currencies", amounts("JPY", goods="10000", goods_tax="1000"), "11000"),
]


@pytest.mark.parametrize(("name", "wanted", "total"), SALES)
def test_each_sample_sale_has_exactly_these_amounts(name: str, wanted: Amounts, total: str) -> None:
    order = read(fixture(name)).order
    assert order.sale is not None
    assert order.sale.amounts == wanted
    assert order.sale.amounts.total == Decimal(total)
    assert order.currency == wanted.currency
    lines = order.sale.lines
    assert sum(line.amount for line in lines) in (0, wanted.goods + wanted.gift_cards)


def test_the_shops_currency_has_the_same_parts() -> None:
    order = read(fixture("sale-currencies")).order
    assert order.sale is not None
    assert order.sale.shop_amounts == amounts("USD", goods="67.00", goods_tax="6.70")
    assert order.sale.captured == 11000
    assert not order.sale.paid
    (refund,) = order.refunds
    assert (refund.id, refund.amounts) == ("R-3", amounts("JPY", goods="1000", goods_tax="100"))
    assert order.all_refunds


REFUNDS = [
    ("sale-refunded", "S-1001", amounts("GBP", goods="12.50", goods_tax="2.50"), "15.00"),
    ("sale-refunded-amount", "S-1001", None, "5.00"),
    ("sale-refunded-unlinked", "refund:R-9", amounts("GBP", goods="6.67", goods_tax="1.33"), "8.00"),
]


@pytest.mark.parametrize(("name", "order_id", "parts", "total"), REFUNDS)
def test_each_sample_refund_has_exactly_these_amounts(
    name: str, order_id: str, parts: Amounts | None, total: str
) -> None:
    change = read(fixture(name))
    (refund,) = change.order.refunds
    assert change.order.id == order_id
    assert change.order.sale is None
    assert refund.amount == Decimal(total)
    assert refund.amounts == parts
    assert change.order.unlinked is (name == "sale-refunded-unlinked")
    assert (change.buyer is not None) is change.order.unlinked


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
@given(units=st.lists(st.integers(min_value=0, max_value=10**11), min_size=5, max_size=5), as_number=st.booleans())
def test_parts_add_up_to_the_total_in_every_currency(currency: str, units: list[int], as_number: bool) -> None:
    goods, tax, tips, shipping, shipping_tax = (of_minor_units(number, currency) for number in units)
    given_amounts = {
        "total": goods + tax + tips + shipping + shipping_tax,
        "tax": tax + shipping_tax,
        "tips": tips,
        "shipping": shipping,
        "shipping_tax": shipping_tax,
    }
    texts = {name: text_of(value) for name, value in given_amounts.items()}
    sample = with_entity("sale-completed", currency=currency, lines=None, payments=None, **texts)
    if as_number:
        body = sample.body.decode()
        for name, text in texts.items():
            body = body.replace(f'"{name}": "{text}"', f'"{name}": {text}')
        sample = replace(sample, body=body.encode())
    change = read(sample)
    assert change.order.sale is not None
    known = change.order.sale.amounts
    assert known.total == given_amounts["total"]
    assert (known.goods, known.goods_tax, known.tips) == (goods, tax, tips)


# -- what else they report ------------------------------------------------------------------------------------------


def test_a_sale_in_our_words() -> None:
    change = read(fixture("sale-completed"))
    sale = change.order.sale
    assert sale is not None
    assert (change.order.id, change.event.entity_id, change.store) == ("S-1001", "S-1001", "store-1")
    assert (sale.number, sale.channel, sale.location, sale.till) == ("4-000187", "pos", "store-1", "till-4")
    assert (sale.sold_at, sale.paid, sale.fulfilled, sale.captured) == ("2026-03-10T14:05:00.000000Z", True, True, None)
    assert (sale.test, sale.cancelled, change.order.all_refunds) == (False, False, False)
    assert change.version is not None
    assert change.version.clock == "standard.revision"
    assert change.buyer is not None
    assert change.buyer.source_id == "C-1001"
    assert change.buyer.fields["email"] == "dara@example.com"
    assert change.buyer.verified == {"email": False, "phone": True}
    assert [line.quantity for line in sale.lines] == [2, Decimal("0.5")]


def test_a_guests_contacts_are_unverified_whatever_the_sender_reports() -> None:
    buyer = read(fixture("sale-guest")).buyer
    assert buyer is not None
    assert buyer.source_id is None
    assert buyer.fields == {"email": "guest@example.com"}
    assert buyer.verified == {"email": False, "phone": False}
    for nobody in (None, ..., {}, {"id": ""}):
        other = read(with_entity("sale-completed", customer=nobody)).buyer
        assert other is not None
        assert (other.source_id, dict(other.fields)) == (None, {})


def test_a_void_needs_the_sale_and_nothing_else() -> None:
    change = read(fixture("sale-voided"))
    assert (change.order.id, change.order.voided, change.order.sale) == ("S-1002", True, None)
    assert change.buyer is None


def test_both_envelopes_report_the_same() -> None:
    for name in ("sale-completed", "sale-refunded", "sale-voided"):
        ours, theirs = read(fixture(name)), read(load("cloudevents", name))
        versionless = [
            replace(change.order, refunds=tuple(replace(refund, version=()) for refund in change.order.refunds))
            for change in (ours, theirs)
        ]
        assert versionless[0] == versionless[1]
        assert (theirs.buyer, theirs.store) == (ours.buyer, ours.store)


def test_a_refund_has_a_version_of_its_own_that_is_not_the_sales() -> None:
    (refund,) = read(with_entity("sale-refunded", revision=3)).order.refunds
    assert refund.version[0] == "standard.revision"
    (dated,) = read(fixture("sale-currencies")).order.refunds
    assert dated.version[1] == "2026-03-12T10:00:00.000000Z"


def test_a_refund_from_the_future_is_clamped() -> None:
    change = read(with_entity("sale-refunded", updated_at="9999-01-01T00:00:00Z"))
    kept = not_later(change, NOW, signed=True)
    assert isinstance(kept, OrderChanged)
    assert kept.order.refunds[0].version[1] < "2027"
    assert not_later(read(fixture("sale-refunded")), NOW, signed=True) == read(fixture("sale-refunded"))


@pytest.mark.parametrize("name", [name for name, *_ in (*SALES, *REFUNDS)] + ["sale-voided"])
def test_an_order_comes_out_of_the_queue_as_it_went_in(name: str) -> None:
    change = read(fixture(name))
    assert bounded(change) is change
    command = command_from_dict("record_sale", json.loads(json.dumps({"order": plain(change.order)})))
    assert getattr(command, "order", None) == change.order


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("sale-completed", {"id": ...}, "no_id"),
        ("sale-completed", {"total": ...}, "bad_amount"),
        ("sale-completed", {"total": ""}, "bad_amount"),
        ("sale-completed", {"total": "-1.00"}, "bad_amount"),
        ("sale-completed", {"total": "60,00"}, "bad_amount"),
        ("sale-completed", {"total": 10**13}, "bad_amount"),
        ("sale-completed", {"currency": ...}, "bad_currency"),
        ("sale-completed", {"currency": "POUND"}, "bad_currency"),
        ("sale-completed", {"paid": "yes"}, "bad_field"),
        ("sale-completed", {"lines": {}}, "bad_field"),
        ("sale-completed", {"lines": [7]}, "bad_field"),
        ("sale-completed", {"lines": [{}] * 2001}, "too_many_entities"),
        ("sale-completed", {"lines": [{"rate": -1}]}, "bad_amount"),
        ("sale-completed", {"lines": [{"kind": "tip"}]}, "bad_field"),
        ("sale-completed", {"customer": "C-1001"}, "bad_field"),
        ("sale-completed", {"shop": []}, "bad_field"),
        ("sale-completed", {"refunds": [{"id": "R-1"}]}, "bad_amount"),
        ("sale-refunded", {"id": ...}, "no_id"),
        ("sale-refunded", {"total": None}, "bad_amount"),
        ("sale-refunded", {"currency": None}, "bad_currency"),
        ("sale-voided", {"id": ...}, "no_id"),
    ],
)
def test_what_breaks_the_schema_is_untranslatable_by_name(name: str, change: dict[str, Any], reason: str) -> None:
    sample = with_entity(name, **change)
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    assert caught.value.reason == reason
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(sample.json(), SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tips": "60.01", "tax": 0}, "bad_amount"),
        ({"tax": "1.00", "shipping_tax": "1.01"}, "bad_amount"),
        ({"by_gift_card": "40", "by_store_credit": "20.01"}, "bad_amount"),
        ({"lines": [{"rate": "9999999999999", "quantity": "1000"}]}, "bad_amount"),
        ({"lines": [{"rate": "1", "discount": "2"}]}, "bad_amount"),
        ({"sold_at": "yesterday"}, "bad_time"),
        ({"id": "x" * 201}, "bad_id"),
        ({"currency": "ABC"}, "bad_currency"),
    ],
)
def test_what_the_json_schema_cannot_express_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        read(with_entity("sale-completed", **change))
    assert caught.value.reason == reason


def test_a_sale_needs_a_time_of_its_own_or_of_its_event() -> None:
    sample = with_entity("sale-completed", sold_at=...)
    assert read(sample).order.sale is not None
    with pytest.raises(Untranslatable):
        read(sample.changed(timestamp=...))
