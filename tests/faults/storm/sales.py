"""What the storm's shops sell, and what the programmes' books must add up to, computed from the events alone.

An order has reports of two times: those before the connections' rules change, and those after it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from loyalty_relay.connections.model import EarningBase
from tests.faults.storm.events import SHOPS, Customer, Happening, Shop, created, rfc3339
from tests.orders.histories import PLACES, History, Moment

GUESTS = {
    "shop-a": "not_interested",
    "shop-b": "hold",
    "shop-k": "hold",
    "till-k": "skip",
    "till-b": "not_interested",
}
"""Connection -> what becomes of a guest's sale. A thin platform's orders are not part of the storm."""
BASES = (EarningBase(tax=True), EarningBase(tax=False, shipping=False, gift_card_products=True))
"""What earns at first, and after the rules have changed."""
BUYERS = 4
"""Of each connection. Two of them are customers before they buy; sales make members of the others."""
FIRST_BUYER = 900_000


def rules(connection: str, time: int) -> dict[str, Any]:
    """Return the ``sales`` of a connection at first (0), and after the rules have changed (1)."""
    base = BASES[time]
    given = {name: getattr(base, name) for name in ("tax", "shipping", "gift_card_products")}
    return {"enabled": True, "guests": GUESTS[connection], "earning_base": given}


@dataclass
class Bought:
    """One order. ``buyer``: its customer, or the guest, who may register later (``registers``)."""

    shop: Shop
    id: str
    buyer: Customer
    guest: bool
    registers: bool
    history: History
    voided: bool = False
    happenings: tuple[list[Happening], list[Happening]] = field(default_factory=lambda: ([], []))

    def expected(self, time: int) -> Decimal:
        """Return what its bookings add up to, by the rules of the time at which it was booked first."""
        held = GUESTS[self.shop.connection] != "not_interested"
        if self.voided or (self.guest and held and not (self.registers and GUESTS[self.shop.connection] == "hold")):
            return Decimal(0)
        return replace(self.history, base=BASES[time]).expected

    @property
    def owners(self) -> set[str | None]:
        """E-mail of the member to whom it may be booked; None for a bill without one."""
        return {None} if self.guest and not self.registers else {self.buyer.email}


@dataclass
class Season:
    """Orders, the buyers who are customers by themselves, and the guests who register after the rules have changed."""

    orders: list[Bought]
    buyers: list[Customer]
    registrations: list[Happening]

    def happenings(self, time: int) -> Iterator[Happening]:
        """Yield the events of one of the two times, in no particular order."""
        for order in self.orders:
            yield from order.happenings[time]
        if time:
            yield from self.registrations
        else:
            # An order of a guest who registers before it is known is an ordinary guest's.
            yield from (h for buyer in self.buyers for h in buyer.happenings if h not in self.registrations)


def season(seed: int, count: int, now: float) -> Season:
    """Return ``count`` orders that were placed in the days before ``now`` (epoch seconds)."""
    rng = random.Random(seed * 7919)
    began = datetime.fromtimestamp(now, UTC).replace(microsecond=0) - timedelta(days=2)
    shops = [shop for shop in SHOPS if shop.connection in GUESTS]
    buyers: dict[str, list[Customer]] = {}
    for place, shop in enumerate(shops):
        mine = [Customer(shop, FIRST_BUYER + place * 100 + number) for number in range(BUYERS)]
        buyers[shop.connection] = mine
        for buyer in mine[: BUYERS // 2]:
            buyer.happenings.append(created(buyer, {"first_name": "First1", "last_name": f"Last{buyer.number % 50}"}))
    found = Season([], [b for mine in buyers.values() for b in mine if b.happenings], [])
    for number in range(count):
        shop = shops[number % len(shops)]
        guest = rng.random() < 0.25
        guest_buyer = Customer(shop, FIRST_BUYER + 10_000 + number)
        registers = guest and rng.random() < 0.6
        order = Bought(
            shop=shop,
            id=str(6_000_000_000 + number),
            buyer=guest_buyer if guest else rng.choice(buyers[shop.connection]),
            guest=guest,
            registers=registers,
            history=_history(shop, rng),
        )
        _happen(order, began + timedelta(hours=number % 24), rng)
        found.orders.append(order)
        if registers:
            guest_buyer.happenings.append(created(guest_buyer, {"first_name": "First2", "last_name": "Last2"}))
            found.registrations += guest_buyer.happenings
            found.buyers.append(guest_buyer)
    return found


def _history(shop: Shop, rng: random.Random) -> History:
    shopify = shop.platform == "shopify"
    currency = rng.choice(("EUR", "EUR", "JPY", "KWD"))
    style = "lists" if shopify else rng.choice(("lists", "deltas", "cumulative"))
    shown = "EUR" if shop.programme == "kangaroo" else currency
    return History(currency, shown, Decimal("0.913"), BASES[0], style, ())


def _happen(order: Bought, at: datetime, rng: random.Random) -> None:
    """Let an order be placed, paid for, edited, refunded: some of it before the rules change, some after."""
    unit = Decimal(1).scaleb(-PLACES[order.history.currency])
    now = Moment(rng.randrange(1000, 90_000) * unit, rng.randrange(900) * unit, rng.choice((0, 495)) * unit,
                 rng.choice((0, 0, 2500)) * unit, Decimal(0))  # fmt: skip
    now = replace(now, captured=now.total if rng.random() < 0.7 else Decimal(0))
    # A guest's order is known before the guest registers.
    first = 0 if order.guest or rng.random() < 0.8 else 1
    change = rng.randrange(1, 5)
    moments: list[Moment] = []
    for number in range(rng.randrange(2, 6)):
        if number:
            now = _next(now, order, number, unit, rng)
        sold_at = at
        time = max(first, 1 if number >= change else 0)
        moments.append(now)
        before = moments[-2] if number else None
        order.happenings[time].extend(_reports(order, before, now, number, sold_at))
    if order.shop.platform == "standard" and rng.random() < 0.1:
        order.voided = True
        order.happenings[1].append(_standard(order, "sale.voided", {"sale": {"id": order.id}}, at, "void"))
    order.history = replace(order.history, moments=tuple(moments))


def _next(now: Moment, order: Bought, number: int, unit: Decimal, rng: random.Random) -> Moment:
    what = rng.choice(("pay", "refund", "refund", "all", "edit", "fail"))
    left = max(Decimal(0), now.captured - sum(now.refunds.values(), Decimal(0)))
    if what == "pay":
        return replace(now, captured=max(now.captured, now.total))
    if what == "edit":
        # Shopify's total keeps every line that was ever on the order.
        least = int(now.goods / unit) if order.shop.platform == "shopify" else 500
        return replace(now, goods=rng.randrange(least, least + 20_000) * unit)
    if what == "fail" and now.refunds:
        return replace(now, refunds={**now.refunds, rng.choice(sorted(now.refunds)): Decimal(0)})
    if not left:
        return replace(now, captured=max(now.captured, now.total))
    share = Decimal(1) if what == "all" else rng.choice((Decimal("0.1"), Decimal("0.33")))
    amount = (left * share).quantize(unit, ROUND_HALF_UP)
    return replace(now, refunds={**now.refunds, f"{order.id}{number}": amount})


# -- how the platforms report it --------------------------------------------------------------------------------------


def _reports(order: Bought, before: Moment | None, now: Moment, number: int, sold_at: datetime) -> Iterator[Happening]:
    """Yield a snapshot, and what is reported of refunds by themselves."""
    at = sold_at + timedelta(minutes=1 + 7 * number)
    changed = {
        name: amount for name, amount in now.refunds.items() if before is None or before.refunds.get(name) != amount
    }
    if order.shop.platform == "shopify":
        yield _shopify(order, "orders/updated" if number else "orders/create", _order(order, now, at, sold_at), at)
        for name, amount in changed.items():
            if amount:
                refund = {**_refund(order, name, amount, at), "order_id": int(order.id)}
                yield _shopify(order, "refunds/create", refund, at)
        return
    sale = _sale(order, now, at, sold_at)
    yield _standard(order, "sale.completed", {"sale": sale}, at, f"sale{number}")
    if order.history.style != "lists":
        for name, amount in changed.items():
            refund = {
                "id": name,
                "sale_id": order.id,
                "currency": order.history.currency,
                "total": str(amount),
                "refunded_at": rfc3339(at),
                "updated_at": rfc3339(at),
            }
            yield _standard(order, "sale.refunded", {"refund": refund}, at, f"refund{name}-{number}")


def _order(order: Bought, now: Moment, at: datetime, sold_at: datetime) -> dict[str, Any]:
    history = order.history
    refunded = sum(now.refunds.values(), Decimal(0))
    captured = min(now.captured, now.total)

    def money(name: str, amount: Decimal, shops: Decimal | None = None) -> dict[str, Any]:
        shop = amount if history.currency == history.shop_currency else history.converted(amount)
        shop = shop if shops is None else shops
        return {
            name: str(shop),
            f"{name}_set": {
                "shop_money": {"amount": str(shop), "currency_code": history.shop_currency},
                "presentment_money": {"amount": str(amount), "currency_code": history.currency},
            },
        }

    sale = history.sale(now)
    total = (sale.shop_amounts or sale.amounts).total
    status = "pending"
    if captured:
        status = "partially_paid" if captured < now.total else "partially_refunded" if refunded else "paid"
        status = "refunded" if refunded >= captured else status
    current = max(now.total - refunded, Decimal(0))
    line = {"id": int(f"{order.id}1"), "title": "Tea", "sku": "TEA", "quantity": 1, "gift_card": False}
    lines = [{**line, **money("price", now.goods), "tax_lines": [money("price", now.tax)]}]
    if now.gift_cards:
        card = {"id": int(f"{order.id}2"), "title": "Gift card", "sku": "", "quantity": 1, "gift_card": True}
        lines.append({**card, **money("price", now.gift_cards), "tax_lines": []})
    body: dict[str, Any] = {
        "id": int(order.id),
        "admin_graphql_api_id": f"gid://shopify/Order/{order.id}",
        "created_at": rfc3339(sold_at),
        "processed_at": rfc3339(sold_at),
        "updated_at": rfc3339(at),
        "currency": history.shop_currency,
        "presentment_currency": history.currency,
        "financial_status": status,
        "taxes_included": False,
        "payment_gateway_names": ["shopify_payments"],
        **money("total_price", now.total, total),
        **money("total_tax", now.tax),
        **money("current_total_price", current),
        **money("total_outstanding", current - (captured - refunded)),
        "line_items": lines,
        "shipping_lines": [money("price", now.shipping)] if now.shipping else [],
        "refunds": [_refund(order, name, amount, at) for name, amount in now.refunds.items()],
    }
    if order.guest:
        return {**body, "email": order.buyer.email, "customer": None}
    who = {"id": int(order.buyer.id), "admin_graphql_api_id": f"gid://shopify/Customer/{order.buyer.id}"}
    return {**body, "customer": {**who, "email": order.buyer.email, "verified_email": True}}


def _refund(order: Bought, name: str, amount: Decimal, at: datetime) -> dict[str, Any]:
    paid = {"kind": "refund", "status": "success", "amount": str(amount), "currency": order.history.currency}
    return {
        "id": int(name),
        "admin_graphql_api_id": f"gid://shopify/Refund/{name}",
        "created_at": rfc3339(at),
        "processed_at": rfc3339(at),
        "transactions": [paid if amount else {**paid, "status": "failure", "amount": "1"}],
        "refund_line_items": [],
        "order_adjustments": [],
    }


def _sale(order: Bought, now: Moment, at: datetime, sold_at: datetime) -> dict[str, Any]:
    sale = order.history.sale(now)

    def amounts(given: Any) -> dict[str, str]:
        return {
            "currency": given.currency,
            "total": str(given.total),
            "tax": str(given.goods_tax),
            "shipping": str(given.shipping),
            "gift_cards": str(given.gift_cards),
        }

    refunds = [{"id": name, "total": str(amount)} for name, amount in now.refunds.items()]
    who = {"email": order.buyer.email}
    body: dict[str, Any] = {
        "id": order.id,
        **amounts(sale.amounts),
        "captured": str(now.captured),
        "sold_at": rfc3339(sold_at),
        "updated_at": rfc3339(at),
        "customer": who if order.guest else {**who, "id": order.buyer.id, "email_verified": True},
    }
    if sale.shop_amounts is not None:
        body["shop"] = amounts(sale.shop_amounts)
    if order.history.style == "lists":
        body["refunds"] = refunds
    elif order.history.style == "cumulative":
        body["refunded"] = str(sum(now.refunds.values(), Decimal(0)))
    return body


def _shopify(order: Bought, topic: str, body: dict[str, Any], at: datetime) -> Happening:
    headers = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": order.shop.store,
        "X-Shopify-Triggered-At": rfc3339(at),
    }
    return Happening(order.shop, order.buyer.id, at, headers, json.dumps(body).encode())


def _standard(order: Bought, kind: str, data: dict[str, Any], at: datetime, name: str) -> Happening:
    body = {"type": kind, "timestamp": rfc3339(at), "data": {"store_id": order.shop.store, **data}}
    headers = {"webhook-id": f"msg_{order.id}_{name}"}
    return Happening(order.shop, order.buyer.id, at, headers, json.dumps(body).encode())
