"""Orders that are only named: read in several requests, they arrive once and as they are, all the way to the books."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from loyalty_relay.http.client import Client
from tests.faults.dying import Death, Fate, Mortal
from tests.guarantees.world import World
from tests.sources.samples import load


def delivered(world: World, platform: str, *names: str) -> None:
    """Deliveries of these samples, each worked off before the next comes."""
    for name in names:
        request = load(platform, name).signed(now=world.stack.clock.now)
        assert world.deliver(request)["statusCode"] == 200
        world.settle()


def booked(world: World) -> Decimal:
    """What the bills at the programme come to, returns subtracted."""
    bills = world.control.get("/_sandbox/state/capillary").json()["bills"]
    signs = {"RETURN": -1, "REGULAR": 1}
    return sum((signs[bill["type"]] * Decimal(str(bill["amount"])) for bill in bills), Decimal(0))


def recording(world: World, platform: str) -> World:
    world.connect(platform, sales={"enabled": True, "start_date": "2020-01-01", "return_window_days": 3650})
    return world


HISTORIES = [
    ("square", ["customer-created", "payment-updated"], "19.70"),
    ("square", ["customer-created", "payment-updated", "refund-updated", "payment-updated-refunded"], "14.81"),
    ("square", ["customer-created", "refund-updated", "payment-updated"], "14.81"),
    ("lightspeed", ["customer-created", "sale-updated", "sale-updated-exchange"], "108.00"),
    ("lightspeed", ["customer-created", "sale-updated-id-only"], "45.00"),
    ("bigcommerce", ["customer-created", "order-created", "refund-created"], "21.10"),
    ("clover", ["customer-create", "payment-update", "order-create"], "26.60"),
]


@pytest.mark.parametrize(("platform", "names", "earned"), HISTORIES, ids=lambda v: v if isinstance(v, str) else "")
def test_an_order_that_is_read_is_booked_with_what_was_paid_and_not_refunded(
    world: World, platform: str, names: list[str], earned: str
) -> None:
    recording(world, platform)
    delivered(world, platform, *names, *names)
    assert booked(world) == Decimal(earned)
    assert world.parked("transaction") == []
    assert world.parked("hydrate") == []


def test_a_connection_without_sales_reads_no_orders(world: World) -> None:
    world.connect("bigcommerce")
    delivered(world, "bigcommerce", "order-created", "refund-created")
    assert world.upstream(vendor="bigcommerce") == []
    assert {entry.reason for entry in world.journal()} == {"sales_not_enabled"}


class Undelayed:
    """A client of SQS whose delayed messages can be received at once."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send_message(self, **message: Any) -> Any:
        return self._client.send_message(**{name: value for name, value in message.items() if name != "DelaySeconds"})


@pytest.mark.parametrize(
    ("platform", "names", "earned"),
    [
        ("square", ["customer-created", "refund-updated"], "14.81"),
        ("square", ["customer-created", "refund-updated-failed"], "17.27"),
    ],
    ids=["by the order", "by the payment"],
)
def test_a_refund_whose_sale_does_not_come_has_the_order_read(
    world: World, platform: str, names: list[str], earned: str
) -> None:
    recording(world, platform)
    world.stack.clients["sqs"] = Undelayed(world.stack.clients["sqs"])
    world.restart()
    delivered(world, platform, *names)
    world.settle()
    assert booked(world) == Decimal(earned)
    assert world.parked("transaction") == []


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after the request"])
def test_a_process_that_dies_between_two_readings_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    recording(world, "bigcommerce")
    delivered(world, "bigcommerce", "customer-created")
    fate = Fate()
    really = Client.fetch
    monkeypatch.setattr(Client, "fetch", lambda self, *args: fate.request(lambda: really(self, *args)))
    world.stack.clients = {name: Mortal(client, fate) for name, client in world.stack.clients.items()}
    world.restart()
    deaths = 0
    for at in range(1, 100):
        event: dict[str, Any] = {"webhook_id": f"event-{at}"}
        request = load("bigcommerce", "order-created").with_headers(**event).signed(now=world.stack.clock.now)
        assert world.deliver(request)["statusCode"] == 200
        (record,) = world.stack.receive("hydrate")["Records"]
        fate.decide(at, after=after)
        died = False
        try:
            world.work("hydrate", [record])
        except Death:
            died = True
        fate.decide(None)
        if not died:
            break
        deaths += 1
        world.restart()
        assert world.work("hydrate", [record]) == 0
        world.settle()
        assert booked(world) == Decimal("21.10")
    assert deaths > 5, "it reads the connection and three resources, and writes to a queue at the least"
    assert world.parked("hydrate") == []
