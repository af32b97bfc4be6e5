"""Bodies about sales become commands with every digit that was sent, and what cannot be true of a sale is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.commands import CustomerRef, Envelope, Event, Identifier, RecordRefund, RecordSale, Version
from loyalty_relay.model.errors import InvalidCommand
from loyalty_relay.model.orders import Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.triggers.api import ApiRequest, _parse
from loyalty_relay.triggers.sale_bodies import RefundBody, SaleBody, void_of

SALE: dict[str, Any] = {
    "order_id": "S-1001",
    "sold_at": "2026-03-10T14:05:00+01:00",
    "currency": "GBP",
    "total": "64.00",
    "tax": "10.00",
    "tips": "4.00",
}
REFUND: dict[str, Any] = {"refund_id": "R-1", "currency": "GBP", "total": "30"}


def parsed(model: Any, text: str) -> Any:
    request = ApiRequest(
        route="",
        path={},
        headers={},
        body=text.encode(),
        delivery_id="d",
        received_at=0.0,
        deadline=None,  # type: ignore[arg-type]
    )
    return _parse(request, model)


def sale(**members: Any) -> RecordSale:
    command = parsed(SaleBody, json.dumps({**SALE, **members})).to_command()
    assert isinstance(command, RecordSale)
    return command


def refund(**members: Any) -> RecordRefund:
    command = parsed(RefundBody, json.dumps({**REFUND, **members})).to_command("S-1001")
    assert isinstance(command, RecordRefund)
    return command


def problems(model: Any, body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidCommand) as wrong:
        parsed(model, json.dumps(body))
    return {problem.field: problem.message for problem in wrong.value.problems}


def test_what_no_part_names_is_the_goods() -> None:
    assert sale().order == Order(
        id="S-1001",
        currency="GBP",
        sale=Sale(
            amounts=Amounts(currency="GBP", goods=Decimal("50.00"), goods_tax=Decimal("10.00"), tips=Decimal("4.00")),
            sold_at="2026-03-10T13:05:00.000000Z",
            paid=True,
            fulfilled=True,
        ),
    )


def test_a_full_sale_is_read() -> None:
    command = sale(
        captured=20,
        fulfilled=False,
        test=True,
        number=" 77 ",
        channel="pos",
        location="store-1",
        till="3",
        employee="7",
        by_gift_card="5",
        by_store_credit=1.5,
        shipping=3,
        shipping_tax=0.6,
        lines=[
            {
                "id": "1",
                "item_code": "MUG",
                "description": "Mug",
                "quantity": 2,
                "rate": "12.50",
                "discount": "1",
                "tax": 5,
            },
            {"id": "2", "amount": "10.00", "tax": "0.40", "kind": "gift_card"},
        ],
        payments=[{"mode": "card", "amount": "64.00"}],
        shop={"currency": "EUR", "total": "70"},
        note="as asked",
        custom_fields={"till_name": "front"},
        extended_fields={"weight": 1.5},
        customer={
            "source_id": "c-1",
            "loyalty_id": "600000001",
            "identifiers": [{"type": "email", "value": "ana@example.com"}],
            "first_name": "Ana",
        },
        as_of="2026-03-10T14:06:00Z",
    )
    sold = command.order.sale
    assert sold is not None
    assert sold.amounts == Amounts(
        currency="GBP",
        goods=Decimal("37.00"),
        goods_tax=Decimal("9.00"),
        gift_cards=Decimal("10.00"),
        gift_cards_tax=Decimal("0.40"),
        shipping=Decimal(3),
        shipping_tax=Decimal("0.6"),
        tips=Decimal("4.00"),
        by_gift_card=Decimal(5),
        by_store_credit=Decimal("1.5"),
    )
    assert sold.shop_amounts == Amounts(currency="EUR", goods=Decimal(70))
    assert (sold.captured, sold.paid, sold.fulfilled, sold.test) == (Decimal(20), False, False, True)
    assert (sold.number, sold.channel, sold.location, sold.till, sold.employee) == ("77", "pos", "store-1", "3", "7")
    assert sold.lines[0] == Line(
        id="1",
        item_code="MUG",
        description="Mug",
        quantity=Decimal(2),
        rate=Decimal("12.50"),
        discount=Decimal(1),
        amount=Decimal("24.00"),
        tax=Decimal(5),
    )
    assert sold.payments == (Payment(mode="card", amount=Decimal("64.00")),)
    assert (command.order.note, command.order.custom_fields) == ("as asked", {"till_name": "front"})
    assert command.order.extended_fields == {"weight": 1.5}
    assert command.customer == CustomerRef(
        source_id="c-1", loyalty_id="600000001", identifiers=(Identifier("email", "ana@example.com"),)
    )
    assert (command.guest, command.fields) == (False, {"first_name": "Ana"})
    assert command.version == Version("as_of", "2026-03-10T14:06:00.000000Z")


def test_a_sale_without_a_customer_is_a_guests() -> None:
    command = sale()
    assert (command.customer, command.guest) == (None, True)


def test_a_refund_of_an_amount_has_no_parts_and_one_with_lines_has() -> None:
    assert refund().order.refunds == (Refund(id="R-1", amount=Decimal(30)),)
    by_line = refund(refunded_at="2026-03-11T10:00:00Z", lines=[{"id": "1", "rate": "25.00", "tax": "5.00"}], tax="5")
    (found,) = by_line.order.refunds
    assert found.amounts == Amounts(currency="GBP", goods=Decimal(25), goods_tax=Decimal(5))
    assert (found.at, found.lines[0].amount) == ("2026-03-11T10:00:00.000000Z", Decimal("25.00"))
    assert (by_line.order.id, by_line.order.currency) == ("S-1001", "GBP")


def test_a_void_names_the_order_alone() -> None:
    assert void_of("S-1001").order == Order(id="S-1001", voided=True)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"total": -1}, "total"),
        ({"total": True}, "total"),
        ({"total": None}, "total"),
        ({"total": "1e2"}, "total"),
        ({"total": "1,50"}, "total"),
        ({"total": 10**13}, "total"),
        ({"total": "64.00000001"}, "total"),
        ({"currency": "gbp"}, "currency"),
        ({"currency": "£"}, "currency"),
        ({"order_id": ""}, "order_id"),
        ({"order_id": "x" * 201}, "order_id"),
        ({"sold_at": "yesterday"}, "sold_at"),
        ({"tax": "65"}, "(body)"),
        ({"tips": "55"}, "(body)"),
        ({"by_gift_card": 60, "by_store_credit": 5}, "(body)"),
        ({"lines": [{"quantity": -1}]}, "lines.0.quantity"),
        ({"lines": [{"rate": 1, "discount": 2}]}, "lines.0"),
        ({"lines": [{"rate": 9_999_999_999_999, "quantity": 9_999_999_999_999}]}, "lines.0"),
        ({"lines": [{"kind": "service"}]}, "lines.0.kind"),
        ({"lines": [{}] * 2001}, "lines"),
        ({"payments": [{"mode": "", "amount": 1}]}, "payments.0.mode"),
        ({"payments": [{"mode": "card", "amount": 1}] * 101}, "payments"),
        ({"shop": {"currency": "EUR", "total": 1, "tips": 2}}, "shop"),
        ({"customer": {}}, "customer"),
        ({"customer": {"first_name": "Ana"}}, "customer"),
        ({"note": "x" * 1001}, "note"),
        ({"custom_fields": {str(n): "x" for n in range(101)}}, "custom_fields"),
        ({"location": "x" * 201}, "location"),
        ({"goods": 1}, "goods"),
    ],
)
def test_what_cannot_be_true_of_a_sale_is_refused_by_name(members: dict[str, Any], field: str) -> None:
    assert field in problems(SaleBody, {**SALE, **members})


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"refund_id": ""}, "refund_id"),
        ({"total": -5}, "total"),
        ({"shipping": 31}, "(body)"),
        ({"paid": True}, "paid"),
    ],
)
def test_what_cannot_be_true_of_a_refund_is_refused_by_name(members: dict[str, Any], field: str) -> None:
    assert field in problems(RefundBody, {**REFUND, **members})


def test_every_wrong_member_is_named_at_once() -> None:
    wrong = {**SALE, "total": "x", "currency": "", "lines": [{"tax": -1}], "tipps": 1}
    found = problems(SaleBody, wrong)
    assert found.keys() == {"total", "currency", "lines.0.tax", "tipps"}
    assert found["tipps"] == "unknown field tipps (did you mean tips?)"


AMOUNTS = st.decimals(0, 10**13 - 1, places=7) | st.decimals(0, 10**9, places=2) | st.integers(0, 10**12).map(Decimal)


@given(total=AMOUNTS, quantity=st.decimals(0, 1000, places=3), rate=st.decimals(0, 10**6, places=4))
def test_every_digit_arrives(total: Decimal, quantity: Decimal, rate: Decimal) -> None:
    """As a number or a text, through the body, the command and the queue's message."""
    number = format(total, "f")
    text = (
        f'{{"order_id":"1","sold_at":"2026-03-10T14:05:00Z","currency":"GBP","total":{number},'
        f'"shop":{{"currency":"EUR","total":"{number}"}},"lines":[{{"quantity":{quantity:f},"rate":"{rate:f}"}}]}}'
    )
    command = parsed(SaleBody, text).to_command()
    event = Event(source="api", topic="t", id="e", entity_id="")
    envelope = Envelope(delivery_id="d", connection="c", event=event, command=command)
    read = Envelope.from_json(envelope.to_json()).command
    assert isinstance(read, RecordSale)
    sold = read.order.sale
    assert sold is not None
    assert sold.shop_amounts is not None
    assert sold.amounts.total == sold.shop_amounts.total == total
    assert sold.lines[0].amount == quantity * rate
