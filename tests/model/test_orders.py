"""The parts of an order's total."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

from loyalty_relay.model.orders import PARTS, Amounts


def test_the_total_is_every_part_with_its_tax() -> None:
    parts = {name: Decimal(1) for part in PARTS for name in (part, f"{part}_tax")}
    assert {f.name for f in fields(Amounts)} == {"currency", "by_gift_card", "by_store_credit", *parts}
    assert Amounts(currency="EUR", by_gift_card=Decimal(5), **parts).total == len(parts)
