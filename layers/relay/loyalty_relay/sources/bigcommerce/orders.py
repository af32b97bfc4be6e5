"""BigCommerce's orders: read with their products and refunds, page by page.

Sources: BigCommerce API reference, "Get an order" and "List order products" (v2), "Get refunds for order" (v3); docs
"Refunding orders", "Order status", "Multi-currency".

Amounts are texts with four decimals, each without and with tax, in ``default_currency_code``, the currency that is paid
in. Gift certificates and store credit pay a part of the total; they do not lower it. A refund is a list of what came
back and of payments that may have been declined. ``refunded_amount`` of the order is always zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from loyalty_relay.model.commands import instant
from loyalty_relay.model.money import ZERO, share
from loyalty_relay.model.orders import MOST_LINES, Amounts, Line, Order, Payment, Refund, Sale, times
from loyalty_relay.sources.base import Buyer, Change, NothingToDo, OrderChanged, ThinChange
from loyalty_relay.sources.hydrating import entity_of, objects, unit_price, unreadable, version_read
from loyalty_relay.sources.parsing import amount, currency, moment, text_id, text_or_none

CLOCK = "bigcommerce"
ORDER, PRODUCTS, REFUNDS = "order", "order_products", "order_refunds"
"""What is read, one after the other."""
PAGE = 250
"""Products of one page."""

_INCOMPLETE, _REFUNDED, _CANCELLED, _DECLINED = 0, 4, 5, 6
_PAID = frozenset({2, 3, 4, 8, 9, 10, 11, 13, 14})
"""Numbers of statuses of orders that were paid, for those whose payment has no status of its own."""
_CAPTURED = frozenset({"captured", "paid", "partially refunded", "refunded"})
_FULFILLED = frozenset({2, 10})
_RATE = Decimal(1).scaleb(-12)
"""How exact the rate of another currency is."""
_PARTS = {
    "PRODUCT": "goods",
    "TAX": "goods",
    "SHIPPING": "shipping",
    "HANDLING": "fees",
    "GIFT_WRAPPING": "fees",
    "FEE": "fees",
}
"""What a refund's items are parts of; an amount of the whole order (``ORDER``) is none of any."""


# -- reading ------------------------------------------------------------------------------------------------------


def order_read(thin: ThinChange, status: int, body: Any) -> Change:
    """Return the order's products to be read next."""
    order = entity_of(status, body)
    if order is None:
        return NothingToDo(event=thin.event, reason="deleted_meanwhile")
    if str(order.get("id")) != str(thin.data["id"]):
        raise unreadable()
    if order.get("status_id") == _INCOMPLETE:
        return NothingToDo(event=thin.event, reason="order_not_placed")
    data = {"id": thin.data["id"], "order": order, "products": [], "page": 1}
    return replace(thin, resource=PRODUCTS, data=data)


def products_read(thin: ThinChange, status: int, body: Any) -> Change:
    """Return the next page of products, or the order's refunds, to be read next. No products are an empty answer."""
    page = [] if status == 204 else body
    if status >= 400 and entity_of(status, body) is None:
        return NothingToDo(event=thin.event, reason="deleted_meanwhile")
    if not isinstance(page, list):
        raise unreadable()
    products = [*thin.data["products"], *objects(page)]
    data = {**thin.data, "products": products, "page": thin.data["page"] + 1}
    more = len(page) >= PAGE and len(products) <= MOST_LINES
    return replace(thin, resource=PRODUCTS if more else REFUNDS, data=data)


def refunds_read(thin: ThinChange, status: int, body: Any) -> Change:
    """Return the order, with everything that was read of it."""
    answer = {"data": []} if status == 204 else entity_of(status, body)
    if answer is None:
        return NothingToDo(event=thin.event, reason="deleted_meanwhile")
    refunds = answer.get("data")
    if not isinstance(refunds, list):
        raise unreadable()
    return _order_changed(thin, thin.data["order"], thin.data["products"], objects(refunds))


def _order_changed(
    thin: ThinChange, order: Mapping[str, Any], products: list[Mapping[str, Any]], refunds: list[Mapping[str, Any]]
) -> Change:
    code = currency(order.get("default_currency_code") or order.get("currency_code"))
    amounts = _amounts(order, products, code)
    modified = max(filter(None, (thin.event.time, _moment(order.get("date_modified")))), default="")
    version = version_read(CLOCK, modified, thin)
    return OrderChanged(
        event=thin.event,
        order=Order(
            id=thin.event.entity_id,
            currency=code,
            sale=_sale(order, products, amounts, thin.store or ""),
            refunds=tuple(_refund(refund, products, order, code) for refund in refunds),
            all_refunds=True,
            refunded=None if refunds else _refunded_by_hand(order, products, amounts),
        ),
        buyer=_buyer(order, thin.store or ""),
        payload=order,
        version=version,
        store=thin.store,
    )


def _moment(value: Any) -> str | None:
    """Return a time as the v2 API writes it (RFC 2822), or as v3 does."""
    try:
        return instant(parsedate_to_datetime(value)) if isinstance(value, str) else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return moment(value)


# -- what was sold ------------------------------------------------------------------------------------------------


def _sale(order: Mapping[str, Any], products: list[Mapping[str, Any]], amounts: Amounts, store: str) -> Sale:
    status = order.get("status_id")
    shipped, total = amount(order, "items_shipped"), amount(order, "items_total")
    source = text_or_none(order.get("order_source")) or ""
    method = text_or_none(order.get("payment_method")) or ""
    return Sale(
        amounts=amounts,
        shop_amounts=_shop_amounts(order, amounts),
        sold_at=_moment(order.get("date_created")) or "",
        paid=_paid(order),
        fulfilled=status in _FULFILLED or shipped >= total > 0,
        cancelled=status in (_CANCELLED, _DECLINED),
        # M-MIG are the orders of a former platform that came with its import.
        test=order.get("external_source") == "M-MIG" or method == "Test Payment Gateway",
        number=text_id(order.get("id")),
        channel="web" if source == "www" else source,
        location=store,
        lines=tuple(_line(product, order, amounts.currency) for product in products),
        payments=_payments(method, amounts),
    )


def _paid(order: Mapping[str, Any]) -> bool:
    """Return whether the money was taken: by the payment's own status, or by the order's where it has none."""
    payment = text_or_none(order.get("payment_status"))
    return order.get("status_id") in _PAID if payment is None else payment.lower() in _CAPTURED


def _amounts(order: Mapping[str, Any], products: list[Mapping[str, Any]], code: str) -> Amounts:
    """Return the parts of the total with tax; each part's tax is what its price with tax exceeds the other by."""
    shares = {
        "shipping": [_with_tax(order, "shipping_cost")],
        "fees": [
            _with_tax(order, "handling_cost"),
            _with_tax(order, "wrapping_cost"),
            *(_with_tax(fee, "cost") for fee in objects(order.get("fees"))),
        ],
        "gift_cards": [_with_tax(product, "total") for product in products if _is_gift_card(product)],
    }
    parts: dict[str, Decimal] = {}
    for name, found in shares.items():
        parts[name] = sum((net for net, _ in found), ZERO)
        parts[f"{name}_tax"] = sum((tax for _, tax in found), ZERO)
    amounts = Amounts.of_total(code, amount(order, "total_inc_tax"), amount(order, "total_tax"), **parts)
    return replace(
        amounts,
        by_gift_card=amount(order, "gift_certificate_amount"),
        by_store_credit=amount(order, "store_credit_amount"),
    )


def _with_tax(entity: Mapping[str, Any], name: str) -> tuple[Decimal, Decimal]:
    """Return a price without tax, and its tax."""
    net = amount(entity, f"{name}_ex_tax")
    return net, amount(entity, f"{name}_inc_tax") - net


def _shop_amounts(order: Mapping[str, Any], amounts: Amounts) -> Amounts | None:
    """Return the amounts in the store's own currency, if that is another and the order has its rate."""
    own = text_or_none(order.get("store_default_currency_code"))
    rate = amount(order, "store_default_to_transactional_exchange_rate")
    if own is None or currency(own) == amounts.currency or rate <= 0:
        return None
    return times(amounts, (1 / rate).quantize(_RATE), currency(own))


def _is_gift_card(product: Mapping[str, Any]) -> bool:
    return product.get("type") == "giftcertificate"


def _line(product: Mapping[str, Any], order: Mapping[str, Any], code: str) -> Line:
    """Return a line. Its price is the one that is exact: with tax where the shop's prices include it."""
    included = order.get("is_tax_inclusive_pricing") is True
    value = amount(product, "total_inc_tax" if included else "total_ex_tax")
    discount = sum((amount(item, "amount") for item in objects(product.get("applied_discounts"))), ZERO)
    quantity = amount(product, "quantity")
    return Line(
        id=text_or_none(product.get("id")) or "",
        item_code=text_or_none(product.get("sku")) or text_or_none(product.get("product_id")) or "",
        description=text_or_none(product.get("name")) or "",
        quantity=quantity,
        rate=unit_price(value, quantity, code),
        discount=discount,
        amount=value - discount,
        tax=ZERO if included else amount(product, "total_tax"),
        kind="gift_card" if _is_gift_card(product) else "product",
    )


def _payments(method: str, amounts: Amounts) -> tuple[Payment, ...]:
    rest = amounts.total - amounts.by_gift_card - amounts.by_store_credit
    paid = {
        "gift_certificate": amounts.by_gift_card,
        "store_credit": amounts.by_store_credit,
        method or "other": rest,
    }
    return tuple(Payment(mode=mode, amount=value) for mode, value in paid.items() if value > 0)


def _buyer(order: Mapping[str, Any], store: str) -> Buyer:
    """Return who bought: customer 0 is a guest. The billing address was typed in at the checkout."""
    address = order.get("billing_address")
    address = address if isinstance(address, dict) else {}
    names = {"first_name": "first_name", "last_name": "last_name", "email": "email", "phone": "phone"}
    fields: dict[str, Any] = {
        ours: value for theirs, ours in names.items() if (value := text_or_none(address.get(theirs)))
    }
    if country := text_or_none(address.get("country_iso2")):
        fields["country"] = country
    customer = text_or_none(order.get("customer_id"))
    known = customer is not None and customer != "0"
    return Buyer(
        source_id=f"{store}:{customer}" if known else None,
        email=fields.get("email"),
        phone=fields.get("phone"),
        fields=fields,
        verified={"email": False, "phone": False},
    )


# -- refunds ------------------------------------------------------------------------------------------------------


def _refund(
    refund: Mapping[str, Any], products: list[Mapping[str, Any]], order: Mapping[str, Any], code: str
) -> Refund:
    """Return a refund with what was really paid back: a payment that was declined takes nothing back."""
    total, tax = amount(refund, "total_amount"), amount(refund, "total_tax")
    payments = objects(refund.get("payments"))
    declined = sum((amount(payment, "amount") for payment in payments if payment.get("is_declined") is True), ZERO)
    paid_back = max(ZERO, total - declined)
    sold = {str(product.get("id")): product for product in products}
    items = objects(refund.get("items"))
    part = _part(items, sold)
    parts = None
    if part and paid_back and paid_back == total and ZERO <= tax <= total:
        parts = Amounts(currency=code, **{part: total - tax, f"{part}_tax": tax})
    return Refund(
        id=text_id(refund.get("id")),
        amount=paid_back,
        amounts=parts,
        at=_moment(refund.get("created")) or "",
        lines=_lines_back(items, sold, order, code) if parts else (),
    )


def _part(items: list[Mapping[str, Any]], sold: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the one part of the order that all items of a refund belong to, or "" where it is not just one."""

    def of(item: Mapping[str, Any]) -> str:
        if item.get("item_type") == "PRODUCT" and _is_gift_card(sold.get(str(item.get("item_id")), {})):
            return "gift_cards"
        return _PARTS.get(str(item.get("item_type")), "")

    found = {of(item) for item in items}
    return found.pop() if len(found) == 1 else ""


def _lines_back(
    items: list[Mapping[str, Any]], sold: Mapping[str, Mapping[str, Any]], order: Mapping[str, Any], code: str
) -> tuple[Line, ...]:
    """Return the products that came back, each with its share of the line that was sold."""
    lines = []
    for item in items:
        product, quantity = sold.get(str(item.get("item_id"))), amount(item, "quantity")
        if item.get("item_type") != "PRODUCT" or product is None or not amount(product, "quantity"):
            continue
        line = _line(product, order, code)
        lines.append(
            replace(
                line,
                quantity=quantity,
                amount=share(line.amount, quantity, line.quantity, code),
                discount=share(line.discount, quantity, line.quantity, code),
                tax=share(line.tax, quantity, line.quantity, code),
            )
        )
    return tuple(lines)


def _refunded_by_hand(order: Mapping[str, Any], products: list[Mapping[str, Any]], amounts: Amounts) -> Decimal | None:
    """Return what was given back outside of BigCommerce: as the order's status, or its products, report it."""
    if order.get("status_id") == _REFUNDED:
        return amounts.total
    given_back = sum((amount(product, "refund_amount") for product in products), ZERO)
    return given_back or None
