"""Lightspeed's sales: exact amounts in either shape, returns as refunds of their sale, exchanges as both."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import CredentialsRefused, Untranslatable
from loyalty_relay.model.orders import Amounts, in_currency
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Buyer, HydratingSource, NothingToDo, OrderChanged, ThinChange
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import READ_AT, as_queued, order_of, orders_of, queued, read_through, thin_of
from tests.sources.samples import Sample, connection, load

LIGHTSPEED = source_module("lightspeed")
CUSTOMER = "0af7b240-0000-11e7-aaaa-000000000001"
SOLD, SPLIT, RETURN, EXCHANGE, UNLINKED, READ = (
    f"0af7b240-0000-11e7-aaaa-00000000010{number}" for number in (1, 3, 4, 5, 6, 8)
)


def fixture(name: str) -> Sample:
    return load("lightspeed", name)


@pytest.fixture
def sandbox() -> SandboxClient:
    return SandboxClient(VENDOR)


def parts(currency: str = "", **values: str) -> Amounts:
    return Amounts(currency=currency, **{name: Decimal(value) for name, value in values.items()})


def sale_with(**members: Any) -> Sample:
    return fixture("sale-updated").changed(**members)


def both(sample: Sample, sandbox: SandboxClient) -> list[OrderChanged]:
    """The two orders of an exchange."""
    return [as_queued(change) for change in orders_of(sample, sandbox) if isinstance(change, OrderChanged)]


# -- what was sold --------------------------------------------------------------------------------------------------

SALES = {
    "sale-updated": parts(goods="63.47826", goods_tax="9.52174"),
    "sale-updated-walk-in": parts(goods="8.69565", goods_tax="1.30435"),
    "sale-updated-split": parts("NZD", goods="63.47826", goods_tax="9.52174", by_gift_card="50"),
    "sale-updated-2-0": parts(goods="40", goods_tax="6"),
    "sale-updated-id-only": parts(
        goods="34.78261",
        goods_tax="5.21739",
        gift_cards="50",
        tips="5",
        by_store_credit="20",
    ),
    "sale-updated-voided": parts(goods="63.47826", goods_tax="9.52174"),
}
TOTALS = {
    "sale-updated": "73",
    "sale-updated-walk-in": "10",
    "sale-updated-split": "73",
    "sale-updated-2-0": "46",
    "sale-updated-id-only": "95",
    "sale-updated-voided": "73",
}


@pytest.mark.parametrize("name", SALES)
def test_each_sale_has_exactly_these_amounts(sandbox: SandboxClient, name: str) -> None:
    order = order_of(fixture(name), sandbox).order
    assert order.sale is not None
    assert order.sale.amounts == SALES[name]
    assert order.sale.amounts.total == Decimal(TOTALS[name])
    assert order.currency == SALES[name].currency
    assert (order.captures, order.refunds, order.refunded) == ((), (), None)


def test_a_sale_is_described_for_the_programme(sandbox: SandboxClient) -> None:
    change = order_of(fixture("sale-updated"), sandbox)
    sale = change.order.sale
    assert sale is not None
    assert (sale.sold_at, sale.number, sale.channel) == ("2026-03-05T04:30:36.000000Z", "401", "pos")
    assert (sale.till, sale.employee) == (
        "0af7b240-0000-11e7-aaaa-000000000020",
        "0af7b240-0000-11e7-aaaa-000000000040",
    )
    assert (sale.paid, sale.fulfilled, sale.cancelled, sale.captured) == (True, True, False, None)
    dress, socks = sale.lines
    assert [dress.quantity, dress.rate, dress.amount, dress.tax] == [
        1,
        Decimal("56.52"),
        Decimal("56.52174"),
        Decimal("8.47826"),
    ]
    assert [socks.quantity, socks.discount, socks.amount] == [2, 1, Decimal("6.95652")]
    assert [(p.mode, p.amount) for p in sale.payments] == [("EFTPOS", Decimal(73))]
    assert change.buyer is not None
    assert (change.buyer.source_id, change.buyer.email) == (CUSTOMER, "zoe@example.com")
    assert change.buyer.fields["first_name"] == "Zoë"
    assert change.buyer.verified == {}
    assert (change.order.id, change.event.entity_id, change.store) == (SOLD, SOLD, "acme-test")


def test_a_sale_that_was_read_names_its_outlet(sandbox: SandboxClient) -> None:
    change = order_of(fixture("sale-updated-id-only"), sandbox)
    assert change.order.sale is not None
    assert change.order.sale.location == "0af7b240-0000-11e7-aaaa-000000000030"
    assert [line.kind for line in change.order.sale.lines] == ["product", "gift_card"]
    assert change.buyer is not None
    assert change.buyer.source_id == CUSTOMER


@pytest.mark.parametrize("name", ["sale-updated-walk-in", "sale-updated-2-0"])
def test_the_walk_in_customer_is_a_guest(sandbox: SandboxClient, name: str) -> None:
    assert order_of(fixture(name), sandbox).buyer == Buyer()


def test_a_customer_who_was_deleted_is_known_by_the_id(sandbox: SandboxClient) -> None:
    sandbox.set("lightspeed", entities={f"api/2.0/customers/{CUSTOMER}": None})
    assert order_of(fixture("sale-updated-id-only"), sandbox).buyer == Buyer(source_id=CUSTOMER)


def test_change_that_was_given_is_no_payment(sandbox: SandboxClient) -> None:
    sale = order_of(fixture("sale-updated-split"), sandbox).order.sale
    assert sale is not None
    assert {p.mode: p.amount for p in sale.payments} == {"Gift Card": Decimal(50), "Cash": Decimal(23)}


def test_products_may_be_named_as_gift_cards(sandbox: SandboxClient) -> None:
    to = connection("lightspeed")
    cards = replace(to.source, options={"gift_card_products": ["0af7b240-0000-11e7-aaaa-000000000201"]})
    (change,) = LIGHTSPEED.read(fixture("sale-updated").signed(), cards)
    assert isinstance(change, OrderChanged)
    assert change.order.sale is not None
    expected = parts(goods="6.95652", goods_tax="1.04348", gift_cards="56.52174", gift_cards_tax="8.47826")
    assert change.order.sale.amounts == expected
    wrong = replace(to, source=replace(to.source, options={"gift_card_products": "x"}))
    assert [p.field for p in check_connection(wrong)] == ["source.options.gift_card_products"]


@pytest.mark.parametrize(
    ("members", "closed"),
    [
        ({"status": "SAVED"}, False),
        ({"status": "OPEN"}, False),
        ({"status": "ONACCOUNT"}, False),
        ({"status": "LAYBY"}, False),
        ({"status": "SERVICE"}, False),
        ({"status": "ONACCOUNT_CLOSED"}, True),
        ({"status": "LAYBY_CLOSED"}, True),
        ({"status": "DISPATCHED_CLOSED"}, True),
        ({"status": ..., "state": "pending", "attributes": ["layby"]}, False),
        ({"status": ..., "state": "closed"}, True),
        ({"status": ...}, False),
    ],
)
def test_a_sale_counts_once_it_is_closed(sandbox: SandboxClient, members: dict[str, Any], closed: bool) -> None:
    (change,) = orders_of(sale_with(**members), sandbox)
    if closed:
        assert isinstance(change, OrderChanged)
        assert change.order.sale is not None
        assert change.order.sale.paid
    else:
        assert isinstance(change, NothingToDo)
        assert change.reason == "not_closed"


@pytest.mark.parametrize("status", ["AWAITING_PICKUP", "AWAITING_DISPATCH"])
def test_what_is_paid_and_not_handed_over_is_captured_and_not_fulfilled(sandbox: SandboxClient, status: str) -> None:
    sale = order_of(sale_with(status=status), sandbox).order.sale
    assert sale is not None
    assert (sale.captured, sale.paid, sale.fulfilled) == (Decimal(73), False, False)
    (change,) = orders_of(sale_with(status=status, attributes=["onaccount", "pickup"]), sandbox)
    assert isinstance(change, NothingToDo)


@pytest.mark.parametrize("members", [{"status": "VOIDED"}, {"state": "voided"}, {"deleted_at": "2026-03-09 04:30:36"}])
def test_a_void_takes_everything_back(sandbox: SandboxClient, members: dict[str, Any]) -> None:
    order = order_of(sale_with(**members), sandbox).order
    assert order.sale is not None
    assert (order.id, order.voided, order.sale.cancelled, order.sale.paid) == (SOLD, True, True, False)


def test_a_discount_that_is_a_line_is_part_of_the_total(sandbox: SandboxClient) -> None:
    sample = fixture("sale-updated")
    body = sample.json()
    line = body["register_sale_products"][0]
    discount = line | {"quantity": -1, "price_total": "-10.00000", "tax_total": "-1.50000"}
    body["register_sale_products"].append(discount)
    body["totals"] |= {"total_price": "53.47826", "total_tax": "8.02174"}
    order = order_of(sample.with_body(body), sandbox).order
    assert order.sale is not None
    assert order.sale.amounts == parts(goods="53.47826", goods_tax="8.02174")


@given(st.decimals(min_value=0, max_value=10**6, places=7), st.decimals(min_value=0, max_value=10**5, places=7))
def test_totals_are_exact_with_all_of_their_digits(price: Decimal, tax: Decimal) -> None:
    body = fixture("sale-updated").json() | {"total_price": 1, "total_tax": 2, "register_sale_products": []}
    sample = fixture("sale-updated").with_body(body)
    text = sample.form()["payload"].replace('"total_price": 1', f'"total_price": {price:f}')
    form = {**sample.form(), "payload": text.replace('"total_tax": 2', f'"total_tax": {tax:f}')}
    (change,) = LIGHTSPEED.read(
        replace(sample, body=_encoded(form)).signed(), replace(connection("lightspeed").source, secrets=())
    )
    assert isinstance(change, OrderChanged)
    assert change.order.sale is not None
    assert (change.order.sale.amounts.goods, change.order.sale.amounts.goods_tax) == (price, tax)


def _encoded(form: dict[str, str]) -> bytes:
    from urllib.parse import urlencode

    return urlencode(form).encode()


@pytest.mark.parametrize("value", ["1,5", True, {}, "NaN"])
def test_an_amount_that_is_none_is_untranslatable(sandbox: SandboxClient, value: Any) -> None:
    with pytest.raises(Untranslatable) as caught:
        orders_of(sale_with(total_price=value), sandbox)
    assert caught.value.reason == "bad_amount"


# -- returns --------------------------------------------------------------------------------------------------------


def test_a_return_is_a_refund_of_its_sale_under_its_own_id(sandbox: SandboxClient) -> None:
    change = order_of(fixture("sale-updated-return"), sandbox)
    order = change.order
    (refund,) = order.refunds
    assert (order.id, order.sale, order.unlinked, order.all_refunds) == (SOLD, None, False, False)
    assert (refund.id, refund.amount, refund.at) == (RETURN, Decimal(65), "2026-03-08T02:00:00.000000Z")
    assert refund.amounts == parts(goods="56.52174", goods_tax="8.47826")
    (line,) = refund.lines
    assert (line.quantity, line.amount, line.tax) == (Decimal(1), Decimal("56.52174"), Decimal("8.47826"))
    assert change.buyer is None
    assert change.version is not None
    assert refund.version == tuple(change.version.to_list())


@pytest.mark.parametrize("status", ["SAVED", "VOIDED"])
def test_a_return_that_is_parked_or_voided_takes_nothing_back(sandbox: SandboxClient, status: str) -> None:
    (change,) = orders_of(fixture("sale-updated-return").changed(status=status), sandbox)
    if isinstance(change, OrderChanged):
        assert [(r.id, r.amount, r.amounts) for r in change.order.refunds] == [(RETURN, Decimal(0), None)]
        assert not change.order.voided
    else:
        assert isinstance(change, NothingToDo)


def test_a_return_that_pays_less_back_than_its_lines_has_no_parts(sandbox: SandboxClient) -> None:
    order = order_of(fixture("sale-updated-return").changed(total_price=-50, total_tax=-7), sandbox).order
    (refund,) = order.refunds
    assert (refund.amount, refund.amounts, refund.lines) == (Decimal(57), None, ())


def test_an_exchange_is_a_refund_and_a_sale_that_the_goods_pay_for(sandbox: SandboxClient) -> None:
    back, new = both(fixture("sale-updated-exchange"), sandbox)
    (refund,) = back.order.refunds
    assert (back.order.id, refund.id, refund.amount) == (SOLD, EXCHANGE, Decimal(65))
    assert refund.amounts == parts(goods="56.52174", goods_tax="8.47826")
    assert new.order.sale is not None
    assert (new.order.id, new.order.sale.paid) == (EXCHANGE, True)
    assert new.order.sale.amounts == parts(goods="86.95652", goods_tax="13.04348")
    assert len(new.order.sale.lines) == 1
    assert new.order.sale.amounts.total - refund.amount == Decimal(35), "what the customer paid"
    assert [back.event.entity_id, new.event.entity_id] == [SOLD, EXCHANGE]


def test_a_voided_exchange_undoes_both(sandbox: SandboxClient) -> None:
    back, new = orders_of(fixture("sale-updated-exchange").changed(status="VOIDED"), sandbox)
    assert isinstance(back, OrderChanged)
    assert isinstance(new, OrderChanged)
    assert [r.amount for r in back.order.refunds] == [0]
    assert (back.order.voided, new.order.voided) == (False, True)


def test_a_return_without_its_sale_names_none(sandbox: SandboxClient) -> None:
    change = order_of(fixture("sale-updated-unlinked"), sandbox)
    order = change.order
    assert (order.id, order.unlinked, order.sale) == (UNLINKED, True, None)
    assert [(r.id, r.amount) for r in order.refunds] == [(UNLINKED, Decimal(20))]
    assert change.buyer is not None
    assert change.buyer.source_id == CUSTOMER


def test_a_return_that_was_read_needs_no_customer(sandbox: SandboxClient) -> None:
    path = f"api/2.0/sales/{READ}"
    line = {"quantity": -1, "price_total": -40, "tax_total": -6, "is_return": True}
    given_back = {"return_for": SOLD, "line_items": [line], "total_price": -40, "total_tax": -6}
    sandbox.set("lightspeed", entities={path: sandbox.state("lightspeed")[path] | given_back})
    order = order_of(fixture("sale-updated-id-only"), sandbox).order
    assert (order.id, order.refunds[0].amount) == (SOLD, Decimal(46))


# -- reading --------------------------------------------------------------------------------------------------------


def test_a_sale_is_read_at_the_retailers_own_host() -> None:
    to = connection("lightspeed")
    module, thin = thin_of(fixture("sale-updated-id-only"), to)
    fetch = module.fetch(thin, to.source)
    assert (fetch.default_host, fetch.path) == ("https://acme-test.retail.lightspeed.app", f"/api/2.0/sales/{READ}")
    assert fetch.headers["authorization"] == "Bearer fake-lightspeed-token"
    with pytest.raises(CredentialsRefused):
        module.fetch(thin, replace(to.source, api_credentials={}))


def test_what_waits_for_its_customer_leaves_other_people_out() -> None:
    _, thin = thin_of(fixture("sale-updated").changed(customer=...), connection("lightspeed"))
    assert thin.resource == "customer"
    assert "user" not in thin.data["sale"]


def test_versions_are_the_retailers_revision_then_the_time_of_reading(sandbox: SandboxClient) -> None:
    event = fixture("sale-updated-id-only")
    (read,) = orders_of(event, sandbox)
    assert isinstance(read, OrderChanged)
    assert read.version == Version("lightspeed.revision", f"{31415926709:020d}", READ_AT, read.event.id)
    actual = order_of(fixture("sale-updated"), sandbox).version
    assert actual is not None
    assert actual.older_than(read.version)


def test_a_sale_is_read_by_its_id(sandbox: SandboxClient) -> None:
    assert isinstance(LIGHTSPEED, HydratingSource)
    thin = LIGHTSPEED.order_of(READ, "acme-test")
    assert isinstance(thin, ThinChange)
    (change,) = read_through(LIGHTSPEED, queued(thin), connection("lightspeed"), sandbox)
    assert isinstance(change, OrderChanged)
    assert change.order.id == READ


def test_a_deleted_sale_is_an_outcome(sandbox: SandboxClient) -> None:
    sandbox.set("lightspeed", entities={f"api/2.0/sales/{READ}": None})
    (change,) = orders_of(fixture("sale-updated-id-only"), sandbox)
    assert isinstance(change, NothingToDo)
    assert change.reason == "deleted_meanwhile"


def test_a_customer_is_no_sale() -> None:
    sample = replace(fixture("customer-updated"), topic="sale.update")
    with pytest.raises(Untranslatable) as caught:
        LIGHTSPEED.read(sample.signed(), connection("lightspeed").source)
    assert caught.value.reason == "topic_mismatch"


# -- the currency ---------------------------------------------------------------------------------------------------


def test_a_sale_without_a_currency_is_in_that_of_the_connections_rules(sandbox: SandboxClient) -> None:
    back, new = both(fixture("sale-updated-exchange"), sandbox)
    named = in_currency(new.order, "NZD")
    assert named.sale is not None
    assert (named.currency, named.sale.amounts.currency) == ("NZD", "NZD")
    assert [r.amounts and r.amounts.currency for r in in_currency(back.order, "NZD").refunds] == ["NZD"]
    assert in_currency(new.order, "") == new.order
    split = order_of(fixture("sale-updated-split"), sandbox).order
    assert in_currency(split, "AUD") == split


def test_credentials_are_checked_only_where_there_are_any() -> None:
    to = connection("lightspeed")
    assert check_connection(replace(to, source=replace(to.source, api_credentials={}))) == []
    other = replace(to.source, api_credentials={"access_token.other": "x"})
    assert {p.field for p in check_connection(replace(to, source=other))} == {
        "source.api_credentials.access_token",
        "source.api_credentials.access_token.other",
    }
