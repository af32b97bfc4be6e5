"""Histories of orders: what happened, what a platform reports of it, and what should be booked in the end.

``expected`` is computed from the history alone, by the promise G11 and not by the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.model.commands import Version
from loyalty_relay.model.orders import Amounts, Capture, Order, Refund, Sale
from tests.orders.makers import SOLD_AT, at

PLACES = {"JPY": 0, "EUR": 2, "KWD": 3}
STYLES = ("deltas", "lists", "cumulative", "captures")
"""How platforms report refunds: each by its id; all in every snapshot; a total and later the ids; per capture."""


@dataclass(frozen=True)
class Moment:
    """The order at one time. ``refunds``: amount by id, 0 for one that failed; what was deleted is not there."""

    goods: Decimal
    tax: Decimal
    shipping: Decimal
    gift_cards: Decimal
    captured: Decimal
    refunds: dict[str, Decimal] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        return self.goods + self.tax + self.shipping + self.gift_cards


@dataclass(frozen=True)
class History:
    """What happened to one order. ``rate``: of the customer's currency in the shop's."""

    currency: str
    shop_currency: str
    rate: Decimal
    base: EarningBase
    style: str
    moments: tuple[Moment, ...]

    @property
    def rules(self) -> Sales:
        return Sales(enabled=True, earning_base=self.base)

    def reports(self) -> list[tuple[Order, Version | None]]:
        """Return one or more reports of each moment, in the order in which they were made."""
        found: list[tuple[Order, Version | None]] = []
        for number, moment in enumerate(self.moments, 1):
            found += self.reported(moment, at(number))
        return found

    def reported(self, moment: Moment, version: Version) -> list[tuple[Order, Version | None]]:
        """Return the reports of one moment: a snapshot, then what the platform reports besides."""
        refunds = tuple(Refund(id=name, amount=amount) for name, amount in moment.refunds.items())
        refunded = sum(moment.refunds.values(), Decimal(0))
        snapshot = Order(id="1", sale=self.sale(moment))
        if self.style == "lists":
            return [(replace(snapshot, refunds=refunds, all_refunds=True), version)]
        if self.style == "cumulative":
            ids = [(Order(id="1", refunds=(replace(r, version=tuple(version.to_list())),)), None) for r in refunds]
            return [(replace(snapshot, refunded=refunded), version), *ids]
        if self.style == "captures":
            capture = Capture(id="p", amount=moment.captured, refunded=refunded)
            unpaid = replace(self.sale(moment), captured=None)
            return [(replace(snapshot, sale=unpaid), version), (Order(id="1", captures=(capture,)), version)]
        return [(snapshot, version), *((Order(id="1", refunds=(refund,)), version) for refund in refunds)]

    def sale(self, moment: Moment) -> Sale:
        parts = Amounts(
            currency=self.currency,
            goods=moment.goods,
            goods_tax=moment.tax,
            shipping=moment.shipping,
            gift_cards=moment.gift_cards,
        )
        shop = None
        if self.shop_currency != self.currency:
            shop = Amounts(
                currency=self.shop_currency,
                goods=self.converted(moment.goods),
                goods_tax=self.converted(moment.tax),
                shipping=self.converted(moment.shipping),
                gift_cards=self.converted(moment.gift_cards),
            )
        return Sale(amounts=parts, shop_amounts=shop, sold_at=SOLD_AT, captured=moment.captured)

    def converted(self, amount: Decimal) -> Decimal:
        return _whole(Fraction(amount * self.rate), self.shop_currency)

    @property
    def expected(self) -> Decimal:
        """Return what bookings minus returns come to in the end."""
        last = self.moments[-1]
        refunded = sum(last.refunds.values(), Decimal(0))
        if last.total <= 0 or refunded >= last.captured:
            return Decimal(0)
        one_currency = self.shop_currency == self.currency
        earns = [last.goods, *([last.tax] if self.base.tax else []), *([last.shipping] if self.base.shipping else [])]
        earns += [last.gift_cards] if self.base.gift_card_products else []
        base = sum(earns if one_currency else map(self.converted, earns), Decimal(0))
        kept = min(Fraction(1), Fraction(last.captured - refunded) / Fraction(last.total))
        return _whole(Fraction(base) * kept, self.shop_currency)


def _whole(amount: Fraction, currency: str) -> Decimal:
    """Round to the currency's places, halves up; amounts are not negative."""
    scaled = amount * 10 ** PLACES[currency]
    exact = Decimal(scaled.numerator) / Decimal(scaled.denominator)
    down = scaled.numerator // scaled.denominator
    assert abs(exact - down) < 2
    units = down + (1 if scaled - down >= Fraction(1, 2) else 0)
    return Decimal(units).scaleb(-PLACES[currency]).quantize(Decimal(1).scaleb(-PLACES[currency]), ROUND_HALF_UP)


@st.composite
def histories(draw: st.DrawFn, styles: tuple[str, ...] = STYLES) -> History:
    currency = draw(st.sampled_from(sorted(PLACES)))
    unit = Decimal(1).scaleb(-PLACES[currency])
    style = draw(st.sampled_from(styles))

    def money(most: int = 20_000) -> Decimal:
        return draw(st.integers(0, most)) * unit

    now = Moment(money(), money(2000), money(2000), draw(st.sampled_from([0, 5000])) * unit, Decimal(0))
    moments = [now]
    for number in range(draw(st.integers(1, 5))):
        what = draw(st.sampled_from(["capture", "capture", "edit", "refund", "refund", "fail", "delete", "rest"]))
        if what == "capture":
            now = replace(now, captured=draw(st.sampled_from([now.total, max(now.captured, now.total / 2)])))
            now = replace(now, captured=now.captured.quantize(unit, ROUND_HALF_UP))
        elif what == "edit":
            now = replace(now, goods=money())
        elif what == "refund":
            left = max(Decimal(0), now.captured - sum(now.refunds.values(), Decimal(0)))
            share = draw(st.sampled_from([Decimal("0.1"), Decimal("0.33"), Decimal(1)]))
            amount = (left * share).quantize(unit, ROUND_HALF_UP)
            now = replace(now, refunds={**now.refunds, f"r{number}": amount})
        elif now.refunds and what == "fail":
            now = replace(now, refunds={**now.refunds, draw(st.sampled_from(sorted(now.refunds))): Decimal(0)})
        elif now.refunds and what == "delete" and style in ("lists", "cumulative", "captures"):
            # A platform that reports single refunds reports a deleted one as an amount of zero.
            name = draw(st.sampled_from(sorted(now.refunds)))
            kept = {known: amount for known, amount in now.refunds.items() if known != name}
            now = replace(now, refunds=kept if style != "cumulative" else {**now.refunds, name: Decimal(0)})
        elif what == "rest":
            now = replace(now, captured=now.total)
        moments.append(now)
    booleans: Any = st.booleans()
    return History(
        currency=currency,
        shop_currency=draw(st.sampled_from([currency, "EUR"])),
        rate=draw(st.sampled_from([Decimal("0.0067"), Decimal("0.913"), Decimal("2.91")])),
        base=EarningBase(tax=draw(booleans), shipping=draw(booleans), gift_card_products=draw(booleans)),
        style=style,
        moments=tuple(moments),
    )
