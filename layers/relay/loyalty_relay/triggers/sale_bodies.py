"""Request bodies of the HTTP API about sales, and the commands they become.

Members have the names of the relay's own event schema (docs/event-schema.md). Amounts are in major units, as decimal
texts or JSON numbers, and never negative.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from loyalty_relay.model.commands import CustomerRef, RecordRefund, RecordSale, Version, instant
from loyalty_relay.model.money import CURRENCY, ZERO, decimal_of, is_currency
from loyalty_relay.model.orders import MOST_LINES, PARTS, Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.parsing import LARGEST
from loyalty_relay.triggers.api_bodies import Body, Id, IdentifierBody, Moment, Name, Scalars, Text

MOST_PLACES = 7
"""Decimal places of an amount, so that the products and sums of a sale are exact in Python's own arithmetic."""

_TENDERS = ("by_gift_card", "by_store_credit")
_NAMES = (*(name for part in PARTS if part != "goods" for name in (part, f"{part}_tax")), *_TENDERS)


def _money(value: Any) -> Decimal:
    try:
        amount = decimal_of(value)
    except ValueError:
        raise ValueError("must be an amount such as 10.50") from None
    if not 0 <= amount < LARGEST:
        raise ValueError(f"must be between 0 and {LARGEST}")
    if amount != round(amount, MOST_PLACES):
        raise ValueError(f"must have at most {MOST_PLACES} decimal places")
    return amount


def _currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError("must be a code of ISO 4217 such as GBP")
    return code


Money = Annotated[
    Decimal,
    BeforeValidator(_money),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^\d{{1,13}}(\.\d{{1,{MOST_PLACES}}})?$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": LARGEST},
            ],
            "examples": ["12.50"],
        }
    ),
]
Currency = Annotated[str, StringConstraints(pattern=f"^{CURRENCY.pattern}$"), AfterValidator(_currency)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
"""A name or number that may be empty."""


class LineBody(Body):
    """One line. ``amount`` is net of discounts and without tax: rate x quantity - discount where it is absent."""

    id: Short = Field("", description="In a refund: that of the sale's line.")
    item_code: Short = ""
    description: Short = ""
    quantity: Money = Decimal(1)
    rate: Money = ZERO
    discount: Money = Field(ZERO, description="Of the whole line.")
    amount: Money | None = None
    tax: Money = ZERO
    kind: Literal["product", "gift_card"] = "product"

    @model_validator(mode="after")
    def _not_negative(self) -> LineBody:
        if not 0 <= self.net() < LARGEST:
            raise ValueError(f"rate x quantity - discount must be between 0 and {LARGEST}")
        return self

    def net(self) -> Decimal:
        """Return the amount: it is exact, because a product that does not fit is refused."""
        return self.rate * self.quantity - self.discount if self.amount is None else self.amount

    def to_line(self) -> Line:
        return Line(**{**self.model_dump(), "amount": self.net()})


class AmountsBody(Body):
    """The parts of a total, net of discounts and without tax. What no part names is the goods."""

    currency: Currency = Field(examples=["GBP"])
    total: Money = Field(description="Everything, tax and tips included.")
    tax: Money | None = Field(None, description="All of the tax in the total; the parts' taxes where it is absent.")
    gift_cards: Money | None = Field(None, description="Gift cards that are bought; the lines' where it is absent.")
    gift_cards_tax: Money | None = None
    shipping: Money | None = None
    shipping_tax: Money | None = None
    tips: Money | None = None
    tips_tax: Money | None = None
    duties: Money | None = None
    duties_tax: Money | None = None
    fees: Money | None = Field(None, description="Surcharges, wrapping, handling.")
    fees_tax: Money | None = None
    by_gift_card: Money | None = Field(None, description="How much of the total is paid with gift cards.")
    by_store_credit: Money | None = Field(None, description="How much of the total is paid with store credit.")

    @model_validator(mode="after")
    def _within_the_total(self) -> AmountsBody:
        amounts = self.to_amounts()
        if amounts.goods < 0 or amounts.goods_tax < 0:
            raise ValueError("the parts must not exceed the total, nor their taxes the tax")
        if amounts.by_gift_card + amounts.by_store_credit > amounts.total:
            raise ValueError("by_gift_card and by_store_credit must not exceed the total")
        return self

    def to_amounts(self, lines: tuple[Line, ...] = ()) -> Amounts:
        """Return the amounts. ``lines``: the gift cards among them count where ``gift_cards`` is absent."""
        parts = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        cards = [line for line in lines if line.kind == "gift_card"]
        if cards and self.gift_cards is None:
            parts["gift_cards"] = sum((line.amount for line in cards), ZERO)
            parts["gift_cards_tax"] = sum((line.tax for line in cards), ZERO)
        taxes = sum((value for name, value in parts.items() if name.endswith("_tax")), ZERO)
        return Amounts.of_total(self.currency, self.total, taxes if self.tax is None else self.tax, **parts)


class WithLines(AmountsBody):
    """Amounts with the lines that they come of."""

    lines: list[LineBody] = Field(default_factory=list, max_length=MOST_LINES)

    def to_amounts(self, lines: tuple[Line, ...] = ()) -> Amounts:
        return super().to_amounts(lines or self.to_lines())

    def to_lines(self) -> tuple[Line, ...]:
        return tuple(line.to_line() for line in self.lines)


class PaymentBody(Body):
    """A tender; ``mode`` in your own words, which the connection's ``payment_modes`` translate."""

    mode: Text = Field(examples=["card"])
    amount: Money

    def to_payment(self) -> Payment:
        return Payment(mode=self.mode, amount=self.amount)


class BuyerBody(Body):
    """Who bought: by the shop's id, the loyalty id, identifiers, or several of them."""

    source_id: Id | None = Field(None, description="The customer's id at the shop.")
    loyalty_id: Id | None = None
    identifiers: list[IdentifierBody] = Field(default_factory=list, max_length=20)
    first_name: Name | None = Field(None, description="Registered with a customer who is not in the programme yet.")
    last_name: Name | None = None

    @model_validator(mode="after")
    def _somebody(self) -> BuyerBody:
        if not (self.source_id or self.loyalty_id or self.identifiers):
            raise ValueError("give source_id, loyalty_id or identifiers; for a guest, leave customer out")
        return self

    def to_ref(self) -> CustomerRef:
        return CustomerRef(
            source_id=self.source_id,
            loyalty_id=self.loyalty_id,
            identifiers=tuple(i.to_identifier() for i in self.identifiers),
        )

    def fields(self) -> dict[str, Any]:
        names = {"first_name": self.first_name, "last_name": self.last_name}
        return {name: value for name, value in names.items() if value}


class SaleBody(WithLines):
    """A sale as a whole, as sold: refunds are not subtracted. Sent again after a change, it replaces what was known."""

    order_id: Id = Field(description="Yours, and never used for another sale of this connection.")
    sold_at: Moment
    paid: bool = Field(True, description="Whether the whole total is paid; captured has what is paid so far instead.")
    captured: Money | None = None
    fulfilled: bool = Field(True, description="Whether the customer has everything.")
    test: bool = False
    number: Short = Field("", description="What is printed on the receipt.")
    channel: Short = Field("", examples=["pos", "web"])
    location: Short = Field("", description="A key of the connection's sales.stores.")
    till: Short = Field("", description="A key of the connection's sales.stores, which goes before the location's.")
    employee: Short = ""
    customer: BuyerBody | None = Field(None, description="Absent: a guest.")
    payments: list[PaymentBody] = Field(default_factory=list, max_length=100)
    shop: AmountsBody | None = Field(
        None, description="The same amounts in the shop's own currency, where the customer paid in another one."
    )
    note: Name = ""
    custom_fields: dict[Text, Name] = Field(default_factory=dict, max_length=100)
    extended_fields: Scalars = Field(default_factory=dict, max_length=100)
    as_of: Moment | None = Field(
        None, description="Time of this state. Older than what is known: it changes nothing. In the future: refused."
    )

    def to_command(self) -> RecordSale:
        sale = Sale(
            amounts=self.to_amounts(),
            shop_amounts=self.shop.to_amounts() if self.shop else None,
            sold_at=instant(self.sold_at),
            captured=self.captured,
            paid=self.paid and self.captured is None,
            fulfilled=self.fulfilled,
            test=self.test,
            number=self.number,
            channel=self.channel,
            location=self.location,
            till=self.till,
            employee=self.employee,
            lines=self.to_lines(),
            payments=tuple(payment.to_payment() for payment in self.payments),
        )
        order = Order(
            id=self.order_id,
            currency=self.currency,
            sale=sale,
            note=self.note,
            custom_fields=self.custom_fields,
            extended_fields=self.extended_fields,
        )
        return RecordSale(
            order=order,
            customer=self.customer.to_ref() if self.customer else None,
            guest=self.customer is None,
            fields=self.customer.fields() if self.customer else {},
            version=_as_of(self.as_of),
        )


class RefundBody(WithLines):
    """Money that was given back; it may come before its sale. Sent again, it replaces what was known of this refund.

    With parts or lines, what was not earned of is not taken back; ``currency`` and ``total`` alone are taken back in
    proportion.
    """

    refund_id: Id = Field(description="Yours, and never used for another refund of this sale.")
    total: Money = Field(description="What was really given back; 0 once it failed or was withdrawn.")
    refunded_at: Moment | None = None
    as_of: Moment | None = None

    def to_command(self, order_id: str) -> RecordRefund:
        known = bool(self.lines) or any(getattr(self, name) is not None for name in ("tax", *_NAMES))
        refund = Refund(
            id=self.refund_id,
            amount=self.total,
            amounts=self.to_amounts() if known else None,
            at=instant(self.refunded_at) if self.refunded_at else "",
            lines=self.to_lines(),
        )
        order = Order(id=order_id, currency=self.currency, refunds=(refund,))
        return RecordRefund(order=order, version=_as_of(self.as_of))


class ReturnBody(RefundBody):
    """Money that was given back for something that no sale is known of; ``sales.unlinked_returns`` decides about it."""

    refund_id: Id = Field(description="Yours, and never used for another return of this connection.")
    customer: BuyerBody | None = Field(None, description="Absent: nobody, and nothing is booked.")

    def to_return(self) -> RecordRefund:
        """Return the command; the return is an order of its own, ``refund:`` and its id."""
        command = self.to_command(f"refund:{self.refund_id}")
        return replace(
            command,
            order=replace(command.order, unlinked=True),
            customer=self.customer.to_ref() if self.customer else None,
            guest=self.customer is None,
            fields=self.customer.fields() if self.customer else {},
        )


def void_of(order_id: str) -> RecordRefund:
    """Return the command that takes back all of a sale."""
    return RecordRefund(order=Order(id=order_id, voided=True))


def _as_of(moment: datetime | None) -> Version | None:
    return Version("as_of", instant(moment)) if moment else None
