"""``relay connections check`` of a connection with sales: whether the platform's token may read them."""

from __future__ import annotations

from typing import Any

import pytest

from devkit.queries import checking
from devkit.stacks.stack import Stack
from tests.guarantees.world import World

SCOPES = {
    "bigcommerce": ["Orders: read-only", "Order transactions: read-only"],
    "clover": ["read orders", "read payments"],
    "lightspeed": ["sales:read"],
    "square": ["ORDERS_READ", "PAYMENTS_READ"],
}


def found(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the check finds at the platform, by the permission."""
    services = world.stack.services("hydrate")
    monkeypatch.setattr(checking, "services_of", lambda stack: services)
    findings = checking.probe(Stack("test", {}), services.connections.get("shop"), seconds=30)
    return {f["what"].partition(": ")[2]: f["ok"] for f in findings if f["what"].startswith("sales of ")}


@pytest.mark.parametrize("platform", SCOPES)
def test_each_permission_that_sales_take_is_checked(
    world: World, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    world.connect(platform, "kangaroo", sales={"enabled": True})
    assert found(world, monkeypatch) == dict.fromkeys(SCOPES[platform], True)
    world.fault({"vendor": platform, "error": "forbidden"})
    assert found(world, monkeypatch) == dict.fromkeys(SCOPES[platform], False)
    world.fault({"vendor": platform, "error": "server_error"})
    assert found(world, monkeypatch) == dict.fromkeys(SCOPES[platform])


def test_a_refused_check_leaves_the_circuits_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.connect("square", "kangaroo", sales={"enabled": True})
    world.fault({"vendor": "square", "error": "forbidden"})
    found(world, monkeypatch)
    assert not [item for item in world.stack.items("state") if item["pk"]["S"].startswith("B#")]


def test_nothing_is_read_without_sales_or_of_a_platform_that_sends_whole_orders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect("square", "kangaroo")
    assert found(world, monkeypatch) == {}
    world.connect("shopify", "kangaroo", sales={"enabled": True})
    assert found(world, monkeypatch) == {}
