"""docs/sales.md: the examples' numbers are what the sample deliveries lead to at a programme, row by row."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from loyalty_relay.sources import platforms
from tests.guarantees.world import World
from tests.sources.samples import load

PAGE = Path(__file__).parents[2] / "docs" / "sales.md"
HEADING = re.compile(r"^### .*\(`(?P<platform>[a-z]+)`\)$", re.MULTILINE)
ROW = re.compile(r"^\| `(?P<sample>[a-z0-9-]+)` \|.*\| (?P<booked>-?[\d.]+) \| (?P<total>[\d.]+) \|$", re.MULTILINE)
SAME_SCHEMA = {"cloudevents"}
"""Platforms whose events have the schema of another one's example."""


def examples() -> list[tuple[str, list[tuple[str, Decimal, Decimal]]]]:
    """Platform and samples in their order, with what each books and what is booked after it; a table is a history."""
    _, *parts = HEADING.split(PAGE.read_text(encoding="utf-8"))
    return [
        (platform, [(name, Decimal(booked), Decimal(total)) for name, booked, total in ROW.findall(table)])
        for platform, text in zip(parts[::2], parts[1::2], strict=True)
        for table in text.split("| sample |")[1:]
    ]


def booked(world: World) -> Decimal:
    """What the bills at the programme come to, returns subtracted."""
    bills = world.control.get("/_sandbox/state/capillary").json()["bills"]
    signs = {"RETURN": -1, "REGULAR": 1}
    return sum((signs[bill["type"]] * Decimal(str(bill["amount"])) for bill in bills), Decimal(0))


def test_every_platform_has_an_example() -> None:
    assert {platform for platform, _ in examples()} | SAME_SCHEMA == set(platforms())


@pytest.mark.parametrize(("platform", "rows"), examples(), ids=lambda value: value if isinstance(value, str) else "")
def test_an_example_has_the_numbers_that_its_events_lead_to(
    world: World, platform: str, rows: list[tuple[str, Decimal, Decimal]]
) -> None:
    world.connect(platform, sales={"enabled": True, "start_date": "2020-01-01", "return_window_days": 3650})
    found, before = [], Decimal(0)
    for name, _, _ in rows:
        assert world.deliver(load(platform, name).signed(now=world.stack.clock.now))["statusCode"] == 200
        world.settle()
        total = booked(world)
        found.append((name, total - before, total))
        before = total

    assert found == rows
    assert world.parked("transaction") == []
