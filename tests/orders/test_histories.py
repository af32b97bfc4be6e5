"""The events of one order, as platforms send them, in any order and number: the ledger ends with the same money."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.orders.known import KnownOrder, fold
from loyalty_relay.orders.target import Target, target_of
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import OrderChanged
from tests.sources.samples import load, source

ALL = EarningBase()
GOODS = EarningBase(tax=False, shipping=False, tips=False, duties=False, fees=False)

HISTORIES: list[tuple[str, list[str], str, str]] = [
    ("shopify", ["orders-create"], "0", "0"),
    ("shopify", ["orders-create", "orders-paid"], "90.20", "72.00"),
    ("shopify", ["orders-create", "orders-paid", "orders-fulfilled", "refunds-create"], "49.50", "45.00"),
    ("shopify", ["orders-paid", "refunds-create", "orders-updated"], "49.50", "45.00"),
    ("shopify", ["orders-paid", "refunds-create-pending", "refunds-create-removed"], "90.20", "72.00"),
    ("shopify", ["orders-paid", "refunds-create-shipping", "refunds-create-amount"], "78.70", "71.60"),
    ("shopify", ["orders-paid", "orders-updated-edited"], "90.20", "73.28"),
    ("shopify", ["orders-paid", "orders-updated-edited", "orders-updated-exchange"], "83.60", "67.91"),
    ("shopify", ["orders-cancelled"], "0", "0"),
    ("shopify", ["orders-cancelled-unpaid"], "0", "0"),
    ("woocommerce", ["order-created-cash"], "0", "0"),
    ("woocommerce", ["order-updated", "order-updated-refunded"], "14.16", "8.81"),
    ("woocommerce", ["order-updated", "order-updated-refunded", "order-updated-all-refunded"], "0", "0"),
    ("woocommerce", ["order-updated-cancelled"], "28.80", "24.00"),
    ("adobe", ["order-placed", "order-saved"], "40.00", "33.28"),
    ("adobe", ["order-placed", "order-saved", "invoice-committed"], "64.90", "54.00"),
    ("adobe", ["order-placed", "order-saved", "order-paid", "webhook-order-saved", "order-refunded"], "39.60", "32.95"),
    ("adobe", ["order-paid", "invoice-committed", "creditmemo-saved", "order-refunded"], "39.60", "36.00"),
    ("adobe", ["order-paid", "webhook-creditmemo-saved", "creditmemo-saved"], "39.60", "36.00"),
    ("adobe", ["order-refunded", "creditmemo-saved", "creditmemo-committed"], "34.60", "31.84"),
    ("adobe", ["order-gift-card", "invoice-saved"], "64.90", "54.00"),
    ("adobe", ["order-cancelled"], "0", "0"),
    ("standard", ["sale-completed"], "60.00", "50.00"),
    ("standard", ["sale-completed", "sale-refunded", "sale-refunded-amount"], "40.00", "33.33"),
    ("standard", ["sale-guest", "sale-voided"], "0", "0"),
    ("standard", ["sale-currencies"], "66.33", "60.30"),
]
"""Platform, samples of one order from the first to the last, what is earned of all of it, and of the goods alone."""


@cache
def reported(platform: str, name: str) -> OrderChanged:
    (change,) = source_module(platform).read(load(platform, name).signed(), source(platform))
    assert isinstance(change, OrderChanged)
    return change


def ended(platform: str, names: list[str], base: EarningBase) -> Target:
    known = KnownOrder()
    for name in names:
        change = reported(platform, name)
        known = fold(known, change.order, change.version)
    return target_of(known, Sales(enabled=True, earning_base=base))


@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize(
    ("platform", "names", "whole", "goods"), HISTORIES, ids=[f"{p}:{'+'.join(names)}" for p, names, *_ in HISTORIES]
)
@given(data=st.data())
def test_any_order_of_an_orders_events_ends_with_captured_minus_refunded(
    platform: str, names: list[str], whole: str, goods: str, data: st.DataObject
) -> None:
    assert len({reported(platform, name).order.id for name in names}) == 1
    shuffled = data.draw(st.permutations([*names, *data.draw(st.lists(st.sampled_from(names), max_size=2))]))
    for base, wanted in ((ALL, whole), (GOODS, goods)):
        target = ended(platform, shuffled, base)
        assert target.amount == Decimal(wanted)
        assert target.reason in ("", "not_earned_yet")
