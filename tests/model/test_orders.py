"""The parts of an order's total."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.money import of_minor_units
from loyalty_relay.model.orders import PARTS, Amounts


def test_the_total_is_every_part_with_its_tax() -> None:
    parts = {name: Decimal(1) for part in PARTS for name in (part, f"{part}_tax")}
    assert {f.name for f in fields(Amounts)} == {"currency", "by_gift_card", "by_store_credit", *parts}
    assert Amounts(currency="EUR", by_gift_card=Decimal(5), **parts).total == len(parts)


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
@given(units=st.lists(st.integers(min_value=0, max_value=10**12), min_size=6, max_size=6))
def test_goods_take_what_the_parts_leave_of_total_and_tax(currency: str, units: list[int]) -> None:
    total, tax, *rest = (of_minor_units(number, currency) for number in units)
    parts = dict(zip(("shipping", "shipping_tax", "tips", "fees_tax"), rest, strict=True))
    amounts = Amounts.of_total(currency, total, tax, **parts)
    assert amounts.total == total
    assert sum(getattr(amounts, f"{name}_tax") for name in PARTS) == tax
    assert all(getattr(amounts, name) == value for name, value in parts.items())
