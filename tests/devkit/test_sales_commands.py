"""``relay sales``: money, bookings, the difference and what is next, without personal data."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from devkit.cli.app import app
from devkit.queries.order import STEPS
from loyalty_relay.destinations.base import Booking
from loyalty_relay.model.commands import OrderCommand
from loyalty_relay.orders.ledger import OrderState
from loyalty_relay.orders.target import WAITS
from loyalty_relay.pipeline.order_view import Step, next_step, order_to_dict
from tests.orders.makers import SOLD_AT, record_refund, record_sale, refund, sale
from tests.pipeline.conftest import Relay, relay

__all__ = ["relay"]
"""The fixture of the pipeline's tests."""

BOOKED = Booking(
    number=1,
    kind="sale",
    amount=Decimal("64.00"),
    currency="EUR",
    bill="ab12cd-1",
    marker="LR-1",
    order_id="1",
    at=SOLD_AT,
    sold_at=SOLD_AT,
    loyalty_id="600000001",
    transaction_id="t-1",
)
NOTHING = {"target": Decimal(0), "booked": Decimal(0)}
STATE = OrderState(
    order_id="1",
    aliases=("payment:9",),
    sale_known=True,
    paid_currency="EUR",
    total=Decimal("64.00"),
    captured=Decimal("64.00"),
    refunded=Decimal("4.50"),
    refunds={"r-1": Decimal("4.50")},
    currency="EUR",
    target=Decimal("59.50"),
    booked=Decimal("64.00"),
    reason="",
    loyalty_id="600000001",
    guest=False,
    bookings=(BOOKED,),
    intent=None,
    until=1790000000.0,
)


def run(relay: Relay, *arguments: str) -> Result:
    env = {**relay.stack.environment, "AWS_DEFAULT_REGION": "us-east-1", "RELAY_STACK": "", "COLUMNS": "200"}
    return CliRunner().invoke(app, ["sales", *arguments], env=env, catch_exceptions=False)


def record(relay: Relay, command: OrderCommand, **changes: Any) -> None:
    """Fold a report into the order's ledger and commit it, with changes of the record."""
    with relay.services.orders.hold("shop-1", command.order.id) as hold:
        hold.fold(command)
        hold.record = replace(hold.record, until=1790000000.0, **changes)
        hold.save()


def test_an_order_is_shown_with_its_bookings_and_what_is_next(relay: Relay) -> None:
    record(relay, record_sale(sale=sale("64.00"), aliases=("payment:9",)))
    record(
        relay,
        record_refund(refunds=(refund("r-1", "4.50"),)),
        bookings=(BOOKED,),
        currency="EUR",
        target=Decimal("59.50"),
        loyalty_id="600000001",
    )

    shown = json.loads(run(relay, "show", "shop-1", "payment:9", "--json").stdout)

    assert shown["difference"] == "-4.50"
    assert (shown["next"], shown["refunds"], shown["captured"]) == ("take_back", {"r-1": "4.50"}, "64.00")
    assert [(b["kind"], b["amount"], b["transaction_id"]) for b in shown["bookings"]] == [("sale", "64.00", "t-1")]
    assert shown["aliases"] == ["payment:9"]
    printed = run(relay, "show", "shop-1", "1").stdout
    for text in ("-4.50 EUR", "take back the difference", "64.00 EUR", "t-1", "ab12cd-1"):
        assert text in printed


def test_a_refund_without_its_sale_waits_for_it(relay: Relay) -> None:
    record(relay, record_refund(refunds=(refund("r-1", "4.50"),)), reason="sale_missing")

    shown = json.loads(run(relay, "show", "shop-1", "1", "--json").stdout)

    assert (shown["sale_known"], shown["next"], shown["reason"]) == (False, "wait", "sale_missing")
    assert "total" not in shown
    assert "waits for the sale" in run(relay, "show", "shop-1", "1").stdout


def test_an_unknown_order_is_an_error(relay: Relay) -> None:
    result = run(relay, "show", "shop-1", "none", "--json")
    assert (result.exit_code, "no such order" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({}, "take_back"),
        ({"target": Decimal("64.00")}, "nothing"),
        ({"target": Decimal(70)}, "book"),
        ({"target": Decimal(70), "intent": BOOKED}, "look_up"),
        ({**NOTHING, "reason": "test_order"}, "nothing"),
        *(({**NOTHING, "reason": reason}, "wait") for reason in sorted({*WAITS, "guest_held"})),
    ],
)
def test_what_is_next_follows_from_the_ledger(changes: dict[str, Any], step: Step) -> None:
    assert next_step(replace(STATE, **changes)) == step
    assert step in STEPS


def test_amounts_are_texts_with_all_their_digits() -> None:
    shown = order_to_dict(replace(STATE, target=Decimal("1E+3"), intent=BOOKED))
    assert (shown["target"], shown["difference"]) == ("1000", "936.00")
    assert shown["kept_until"] == "2026-09-21T14:13:20.000000Z"
    assert shown["intent"]["bill"] == "ab12cd-1"
    assert "refund_id" not in shown["intent"]
    json.dumps(shown)
