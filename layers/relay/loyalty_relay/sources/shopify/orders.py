"""Shopify's orders and refunds, in both generations of payloads.

Sources: shopify.dev "Order" and "Refund" of the REST Admin API (the webhooks' bodies), "Exposing the order adjustments
connection on a refund" (2024-10). How totals follow added lines was compared
with responses that others have published; for removed lines no such response was found.

What the amounts mean:
- ``total_price`` has every line that was ever on the order, edits included, and no refund subtracted: the sale.
  ``current_total_price`` is what is left after refunds and removals, and ``total_outstanding`` is what of that is
  unpaid. Captured money is therefore the current total, minus what is outstanding, plus what was paid back. Money that
  is only authorized is none.
- A refund has no total of its own: its money are the transactions of kind ``refund`` that succeeded. A line that an
  edit removed is a refund without any, and a pending one becomes money in a later snapshot.
- Plain amounts are in the shop's currency, a transaction's in the customer's; ``..._set`` has both.
- Webhooks do not show how much of an order each gateway paid: gift cards and store credit are seen where they paid all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.model.money import ZERO, share
from loyalty_relay.model.orders import Amounts, Line, Order, Payment, Refund, Sale
from loyalty_relay.sources.base import Buyer, Change, NothingToDo, OrderChanged, objects
from loyalty_relay.sources.parsing import amount, currency, in_bounds, member, moment, short, take, text_id
from loyalty_relay.sources.shopify.delivery import ShopifyDelivery, entity_id, gid_of

_NEEDED = ("currency", "updated_at", "total_price", "total_tax", "line_items", "refunds")
_CAPTURED = ("paid", "partially_paid", "partially_refunded")
"""Statuses of an order of which money was captured; ``refunded`` is one too: all of it."""

_FIELDS = {"email": "email", "phone": "phone", "first_name": "first_name", "last_name": "last_name"}
_TENDERS = {"gift_card": "by_gift_card", "shopify_store_credit": "by_store_credit"}


@dataclass(frozen=True, slots=True)
class _Money:
    """One of an order's two currencies. ``rate``: (this, the shop's) amount of one total, for what has no set."""

    key: str
    currency: str
    rate: tuple[Decimal, Decimal] = (Decimal(1), Decimal(1))

    def of(self, data: Any, name: str) -> Decimal:
        """Return the amount of a member, from its set or else from its plain form. Raises Untranslatable."""
        known = member(data, f"{name}_set", self.key)
        if not isinstance(known, dict):
            return self.of_shop(amount(data, name))
        if known.get("currency_code", self.currency) != self.currency:
            raise Untranslatable("bad_currency", f"{name}_set is in another currency than the order")
        return amount(known, "amount")

    def of_shop(self, value: Decimal) -> Decimal:
        """Return an amount of the shop's currency in this one."""
        ours, shops = self.rate
        return value if ours == shops or not shops else share(value, ours, shops, self.currency)

    def sum(self, data: Any, name: str) -> Decimal:
        return sum((self.of(entry, name) for entry in objects(data)), ZERO)


_SHOP, _PRESENTMENT = "shop_money", "presentment_money"


# -- orders -------------------------------------------------------------------------------------------------------


def _order(delivery: ShopifyDelivery) -> Change:
    """Return the order as a whole; which of its topics brought it makes no difference."""
    body = delivery.body
    gid = body.get("admin_graphql_api_id")
    delivery.expect(gid is None or gid_of(gid, "Order") is not None)
    delivery.expect({"total_price", "financial_status", "line_items"} <= body.keys())
    delivery.expect(isinstance(body.get("refunds", []), list))
    if missing := [name for name in _NEEDED if name not in body]:
        raise Untranslatable("fields_left_out", f"the subscription leaves out {', '.join(missing)}")
    order_id = entity_id(body, "Order")
    event = delivery.event(order_id, family="orders")
    shop = _Money(_SHOP, currency(body["currency"]))
    buyers = _presentment(body, shop)
    refunds = [_refund(entry, buyers, shop.currency) for entry in objects(body["refunds"])]
    amounts = _amounts(body, buyers)
    sold_at = moment(body.get("processed_at")) or moment(body.get("created_at"))
    if sold_at is None:
        raise Untranslatable("bad_time", "processed_at is not a time")
    captured = _captured(body, buyers, amounts.total, sum((refund.amount for refund in refunds), ZERO))
    gateways = _gateways(body)
    return OrderChanged(
        event=event,
        order=Order(
            id=order_id,
            # Refunds name their order by its number alone, which a sender that computes with doubles has rounded.
            aliases=tuple({text_id(body["id"])} - {order_id}) if body.get("id") else (),
            currency=buyers.currency,
            sale=Sale(
                amounts=amounts,
                shop_amounts=_amounts(body, shop) if buyers.currency != shop.currency else None,
                sold_at=sold_at,
                captured=captured,
                paid=captured >= amounts.total,
                fulfilled=body.get("fulfillment_status") == "fulfilled",
                cancelled=moment(body.get("cancelled_at")) is not None,
                test=body.get("test") is True,
                number=short(body.get("name")),
                channel=short(body.get("source_name")),
                location=short(body.get("location_id")),
                till=short(body.get("device_id")),
                employee=short(body.get("user_id")),
                lines=_lines(body, buyers),
                payments=(Payment(mode=gateways[0], amount=captured),) if len(gateways) == 1 and captured else (),
            ),
            refunds=tuple(refunds),
            all_refunds=True,
        ),
        buyer=_buyer(body),
        payload=body,
        version=delivery.version(body["updated_at"], event),
        store=delivery.shop,
    )


def _presentment(body: Mapping[str, Any], shop: _Money) -> _Money:
    """Return the customer's currency, which older payloads do not have."""
    known = member(body, "total_price_set", _PRESENTMENT)
    code = currency(body.get("presentment_currency") or member(known, "currency_code") or shop.currency)
    if code == shop.currency:
        return shop
    if not isinstance(known, dict):
        raise Untranslatable("fields_left_out", "the subscription leaves out total_price_set")
    return _Money(_PRESENTMENT, code, (amount(known, "amount"), shop.of(body, "total_price")))


def _amounts(body: Mapping[str, Any], money: _Money) -> Amounts:
    included = body.get("taxes_included") is True
    shipping_tax = ZERO
    shipping = ZERO
    for line in objects(body.get("shipping_lines")):
        tax = money.sum(line.get("tax_lines"), "price")
        price = money.of(line, "price") - money.sum(line.get("discount_allocations"), "amount")
        shipping_tax += tax
        shipping += price - tax if included else price
    cards = [line for line in objects(body["line_items"]) if line.get("gift_card") is True]
    total = money.of(body, "total_price")
    parts = {
        "gift_cards": sum((_net(line, money) for line in cards), ZERO),
        "shipping": shipping,
        "shipping_tax": shipping_tax,
        "tips": money.of(body, "total_tip_received"),
        "duties": money.of(body, "original_total_duties"),
        "fees": money.of(body, "original_total_additional_fees"),
    }
    gateways = _gateways(body)
    if len(gateways) == 1 and (tender := _TENDERS.get(gateways[0])):
        parts[tender] = total
    return Amounts.of_total(money.currency, total, money.of(body, "total_tax"), **parts)


def _gateways(body: Mapping[str, Any]) -> list[str]:
    given = body.get("payment_gateway_names")
    return sorted({short(name) for name in given} - {""}) if isinstance(given, list) else []


def _captured(body: Mapping[str, Any], money: _Money, total: Decimal, refunded: Decimal) -> Decimal:
    """Return the money that was captured so far, in the customer's currency, refunds not subtracted."""
    status = body["financial_status"]
    if status == "refunded":
        return refunded
    if status not in _CAPTURED:
        return ZERO
    outstanding = money.of(body, "total_outstanding")
    if "current_total_price" not in body:
        unpaid = outstanding if "total_outstanding" in body else total
        return total - unpaid if status == "partially_paid" else total
    known = money.of(body, "current_total_price") - outstanding + refunded
    return min(total, max(known, ZERO))


def _lines(body: Mapping[str, Any], money: _Money) -> tuple[Line, ...]:
    return tuple(
        _line(line, money, taxed=body.get("taxes_included") is not True)
        for line in objects(body["line_items"])
        if not line.get("tip")
    )


def _line(line: Mapping[str, Any], money: _Money, *, taxed: bool) -> Line:
    """Return a line; its tax is beside its amount, unless that contains it."""
    return Line(
        id=short(line.get("id")),
        item_code=_code(line),
        description=short(line.get("title") or line.get("name")),
        quantity=amount(line, "quantity"),
        rate=money.of(line, "price"),
        discount=money.sum(line.get("discount_allocations"), "amount"),
        amount=_net(line, money),
        tax=money.sum(line.get("tax_lines"), "price") if taxed else ZERO,
        kind="gift_card" if line.get("gift_card") is True else "product",
    )


def _code(line: Mapping[str, Any]) -> str:
    return short(line.get("sku")) or short(line.get("variant_id")) or short(line.get("product_id"))


def _net(line: Mapping[str, Any], money: _Money) -> Decimal:
    """Return price times quantity minus the line's share of all discounts."""
    gross = money.of(line, "price") * amount(line, "quantity")
    return in_bounds(gross - money.sum(line.get("discount_allocations"), "amount"), "price")


def _buyer(body: Mapping[str, Any]) -> Buyer:
    """Return the shop's customer, or a guest with the contacts that were typed in at the checkout."""
    customer = body.get("customer")
    if not isinstance(customer, dict) or not customer.get("id"):
        contacts = {"email": body.get("email") or body.get("contact_email"), "phone": body.get("phone")}
        return Buyer(
            fields=take({name: value for name, value in contacts.items() if value}, _FIELDS),
            verified={"email": False, "phone": False},
        )
    return Buyer(
        source_id=entity_id(customer, "Customer"),
        fields=take(customer, _FIELDS),
        verified={"email": customer.get("verified_email") is True, "phone": False},
    )


# -- refunds ------------------------------------------------------------------------------------------------------


def _refunded(delivery: ShopifyDelivery) -> Change:
    """Return one refund; its order is another event's, and so is the customer."""
    body = delivery.body
    gid = body.get("admin_graphql_api_id")
    delivery.expect(gid is None or gid_of(gid, "Refund") is not None)
    delivery.expect({"order_id", "refund_line_items", "transactions"} <= body.keys())
    order_id = text_id(body["order_id"])
    event = delivery.event(order_id)
    money, shops = _currencies(body)
    known = _refund(body, money, shops)
    as_of = delivery.version(body.get("created_at"), event)
    return OrderChanged(
        event=event,
        order=Order(
            id=order_id,
            currency=money.currency,
            refunds=(
                Refund(
                    id=known.id,
                    amount=known.amount,
                    amounts=known.amounts,
                    at=known.at,
                    lines=known.lines,
                    version=tuple(as_of.to_list()),
                ),
            ),
        ),
        payload=body,
        store=delivery.shop,
    )


def _currencies(body: Mapping[str, Any]) -> tuple[_Money, str]:
    """Return the customer's currency of a refund that comes without its order, and the code of the shop's."""
    for entries, name in (
        ("refund_line_items", "subtotal_set"),
        ("refund_shipping_lines", "subtotal_amount_set"),
        ("order_adjustments", "amount_set"),
    ):
        for entry in objects(body.get(entries)):
            theirs, shops = (member(entry, name, key) for key in (_PRESENTMENT, _SHOP))
            if isinstance(theirs, dict) and isinstance(shops, dict):
                rate = (abs(amount(theirs, "amount")), abs(amount(shops, "amount")))
                shop = currency(shops.get("currency_code"))
                ours = currency(theirs.get("currency_code"))
                return _Money(_SHOP if ours == shop else _PRESENTMENT, ours, rate), shop
    code = next((currency(t["currency"]) for t in objects(body["transactions"]) if t.get("currency")), "")
    return _Money(_SHOP, code), code


def _refund(body: Mapping[str, Any], money: _Money, shop: str) -> Refund:
    """Return a refund with its parts, as far as they explain the money that was paid back."""
    paid = [t for t in objects(body.get("transactions")) if (t.get("kind"), t.get("status")) == ("refund", "success")]
    total = sum((_paid_back(transaction, money, shop) for transaction in paid), ZERO)
    lines = [(entry, member(entry, "line_item")) for entry in objects(body.get("refund_line_items"))]
    amounts, taxed = _refunded_parts(body, money, total)
    return Refund(
        id=entity_id(body, "Refund"),
        amount=total,
        amounts=amounts,
        at=moment(body.get("processed_at")) or moment(body.get("created_at")) or "",
        lines=tuple(
            Line(
                id=short(entry.get("line_item_id")),
                item_code=_code(line) if isinstance(line, dict) else "",
                description=short(member(line, "title")),
                quantity=amount(entry, "quantity"),
                rate=money.of(line, "price"),
                amount=money.of(entry, "subtotal"),
                tax=money.of(entry, "total_tax") if taxed else ZERO,
                kind="gift_card" if member(line, "gift_card") is True else "product",
            )
            for entry, line in lines
        ),
    )


def _paid_back(transaction: Mapping[str, Any], money: _Money, shop: str) -> Decimal:
    code, value = currency(transaction.get("currency") or money.currency), amount(transaction, "amount")
    if code == money.currency:
        return value
    if code == shop:
        return money.of_shop(value)
    raise Untranslatable("bad_currency", "a transaction is in another currency than the order")


def _refunded_parts(body: Mapping[str, Any], money: _Money, total: Decimal) -> tuple[Amounts | None, bool]:
    """Return a refund's parts, and whether its lines have their tax beside them.

    There are none where the parts do not add up to the money that was paid back, as with a restocking fee, an exchange
    or a pending transaction: the refund is then an amount alone.
    """
    lines = objects(body.get("refund_line_items"))
    cards = [entry for entry in lines if member(entry, "line_item", "gift_card") is True]
    shipped = [a for a in objects(body.get("order_adjustments")) if a.get("kind") == "shipping_refund"]
    shipping = money.sum(body.get("refund_shipping_lines"), "subtotal_amount") or -money.sum(shipped, "amount")
    shipping_tax = -money.sum(shipped, "tax_amount")
    duties = money.sum(body.get("duties"), "amount")
    goods, tax = money.sum(lines, "subtotal"), money.sum(lines, "total_tax") + shipping_tax
    if shipping and not lines and not duties:
        shipping = total - shipping_tax
    explained = goods + shipping + duties
    included = tax > 0 and explained == total
    if not total or not (included or explained + tax == total):
        return None, not included
    amounts = Amounts.of_total(
        money.currency,
        total,
        tax,
        shipping=shipping - shipping_tax if included else shipping,
        shipping_tax=shipping_tax,
        duties=duties,
        gift_cards=money.sum(cards, "subtotal"),
    )
    return amounts, not included


# -- edits --------------------------------------------------------------------------------------------------------


def _edited(delivery: ShopifyDelivery) -> Change:
    """Ignore the list of changes: ``orders/updated`` brings the edited order with its new totals."""
    delivery.expect(isinstance(delivery.body.get("order_edit"), dict))
    order_id = text_id(member(delivery.body, "order_edit", "order_id"))
    return NothingToDo(event=delivery.event(order_id), reason="order_update_follows")


READERS: dict[str, Callable[[ShopifyDelivery], Change]] = {
    "orders/create": _order,
    "orders/paid": _order,
    "orders/updated": _order,
    "orders/fulfilled": _order,
    "orders/cancelled": _order,
    "orders/edited": _edited,
    "refunds/create": _refunded,
}
