"""The events of one order, as platforms send them, in any order and number: the ledger ends with the same money."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.orders.known import KnownOrder, fold
from loyalty_relay.orders.target import Target, target_of
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import OrderChanged
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import orders_of
from tests.sources.samples import load, source

ALL = EarningBase()
THIN = ("bigcommerce", "clover", "lightspeed", "square")
"""Platforms whose orders are read from their API."""
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
    ("square", ["payment-created", "payment-updated"], "19.70", "14.00"),
    ("square", ["payment-updated", "refund-created", "refund-updated"], "14.81", "9.50"),
    ("square", ["payment-updated", "refund-updated", "payment-updated-refunded"], "14.81", "9.50"),
    ("square", ["payment-updated", "payment-updated-refunded"], "17.27", "12.28"),
    ("square", ["payment-updated", "refund-updated-failed"], "19.70", "14.00"),
    ("square", ["payment-updated-split"], "10.00", "9.26"),
    ("square", ["payment-updated-split", "order-updated", "refund-updated-amount"], "19.10", "17.69"),
    ("square", ["payment-updated-exchange"], "24.57", "24.57"),
    ("square", ["order-updated-canceled"], "0", "0"),
    ("lightspeed", ["sale-updated"], "73.00", "63.48"),
    ("lightspeed", ["sale-updated", "sale-updated-return"], "8.00", "6.96"),
    ("lightspeed", ["sale-updated", "sale-updated-exchange"], "8.00", "6.96"),
    ("lightspeed", ["sale-updated", "sale-updated-voided"], "0", "0"),
    ("lightspeed", ["sale-updated-id-only"], "45.00", "34.78"),
    ("bigcommerce", ["order-created-unpaid"], "0", "0"),
    ("bigcommerce", ["order-created", "refund-created"], "21.10", "10.00"),
    ("bigcommerce", ["order-updated", "refund-created-amount"], "63.75", "53.57"),
    ("bigcommerce", ["order-status-cancelled"], "25.00", "25.00"),
    ("bigcommerce", ["order-status-refunded"], "0", "0"),
    ("clover", ["order-create", "payment-create", "payment-update"], "26.60", "20.00"),
    ("clover", ["order-update"], "3.70", "2.50"),
    ("clover", ["order-update-voided"], "0", "0"),
    ("standard", ["sale-completed"], "60.00", "50.00"),
    ("standard", ["sale-completed", "sale-refunded", "sale-refunded-amount"], "40.00", "33.33"),
    ("standard", ["sale-guest", "sale-voided"], "0", "0"),
    ("standard", ["sale-currencies"], "66.33", "60.30"),
]
"""Platform, samples of one order from the first to the last, what is earned of all of it, and of the goods alone."""


@cache
def reported(platform: str, name: str) -> OrderChanged:
    """What a sample reports of the order; of an exchange what it reports of the order that was sold before."""
    if platform in THIN:
        change = orders_of(load(platform, name), SandboxClient(VENDOR))[0]
    else:
        (change,) = source_module(platform).read(load(platform, name).signed(), source(platform))
    assert isinstance(change, OrderChanged)
    return change


def known_by(change: OrderChanged) -> set[str]:
    return {change.order.id, *change.order.aliases}


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
    assert set.intersection(*(known_by(reported(platform, name)) for name in names))
    shuffled = data.draw(st.permutations([*names, *data.draw(st.lists(st.sampled_from(names), max_size=2))]))
    for base, wanted in ((ALL, whole), (GOODS, goods)):
        target = ended(platform, shuffled, base)
        assert target.amount == Decimal(wanted)
        assert target.reason in ("", "not_earned_yet")
