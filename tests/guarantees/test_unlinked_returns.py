"""Returns that name no sale: skipped, parked or booked as the connection has it, on every way by which they come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from loyalty_relay.model.outcomes import Result
from tests.guarantees.world import World
from tests.sources.samples import load

PLATFORMS = {
    "standard": ("customer-created", "sale-refunded-unlinked", "8.00"),
    "square": ("customer-created", "refund-updated-unlinked", "7.00"),
    "clover": ("customer-create", "order-update-manual-refund", "7.00"),
    "lightspeed": ("customer-created", "sale-updated-unlinked", "20.00"),
}
"""Samples of a customer and of the return, and the return's amount."""


def happened(world: World, platform: str, vendor: str, rule: str, *, twice: bool = False) -> None:
    customer, returned, _ = PLATFORMS[platform]
    copies = [returned] if twice else []
    sales = {"enabled": True, "unlinked_returns": rule, "start_date": "2020-01-01", "return_window_days": 3650}
    world.connect(platform, vendor, sales=sales)
    # The organisation takes returns of bills that it does not have; the return's own order names who came.
    world.control.put("/_sandbox/settings/capillary", json={"orgs": {"demo": {"allow_not_existing_bill_return": True}}})
    name = f"v2/orders/DEMOORDER{'R05':0>17}"
    order = world.control.get("/_sandbox/state/square").json()[name] | {"customer_id": "DEMOCUSTOMER00000000000001"}
    world.control.put("/_sandbox/settings/square", json={"entities": {name: order}}).raise_for_status()
    for name in (customer, returned, *copies):
        assert world.deliver(load(platform, name).signed(now=world.stack.clock.now))["statusCode"] == 200
        world.settle()


def returns(world: World, vendor: str) -> list[Any]:
    """Amounts of the returns in the vendor's books."""
    state = world.control.get(f"/_sandbox/state/{vendor}").json()
    if vendor == "capillary":
        return [Decimal(str(bill["amount"])) for bill in state["bills"] if bill["type"] == "RETURN"]
    return [Decimal(str(t["amount"])) for t in state["transactions"] if t["intent"] == "return"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_they_are_skipped_by_default(world: World, platform: str) -> None:
    happened(world, platform, "kangaroo", "skip")
    assert returns(world, "kangaroo") == []
    assert "unlinked_return" in {entry.reason for entry in world.journal()}
    assert world.parked("transaction") == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_they_are_parked_with_the_amount(world: World, platform: str) -> None:
    happened(world, platform, "kangaroo", "park")
    assert returns(world, "kangaroo") == []
    assert [entry.reason for entry in world.journal() if entry.result is Result.PARKED] == ["adjustment_needed"]
    assert len(world.parked("transaction")) == 1


@pytest.mark.parametrize("vendor", ["capillary", "kangaroo"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_they_are_booked_once_to_the_customer(world: World, platform: str, vendor: str) -> None:
    happened(world, platform, vendor, "return", twice=True)
    assert returns(world, vendor) == [Decimal(PLATFORMS[platform][2])]
    assert world.parked("transaction") == []


@pytest.mark.parametrize("rule", ["skip", "park", "return"])
def test_a_caller_of_the_api_gets_the_rules_answer(world: World, rule: str) -> None:
    world.connect("standard", "kangaroo", sales={"enabled": True, "unlinked_returns": rule})
    ana = {"identifiers": [{"type": "email", "value": "ana@example.com"}]}
    loyalty_id = world.call("POST", "/customers", ana)[1]["loyalty_id"]
    body = {"refund_id": "R-1", "currency": "GBP", "total": "12.50", "customer": {"loyalty_id": loyalty_id}}
    status, answer = world.call("POST", "/returns", body)
    expected = {"skip": (200, "unlinked_return"), "park": (409, "adjustment_needed"), "return": (201, "")}[rule]
    assert (status, answer.get("reason", answer.get("type", "").rpartition(":")[2])) == expected
    assert returns(world, "kangaroo") == ([Decimal("12.50")] if rule == "return" else [])
    if rule == "return":
        assert world.call("POST", "/returns", body)[0] == 200
        assert world.call("GET", "/sales/{order_id}", order_id="refund:R-1")[1]["target"] == "-12.50"
