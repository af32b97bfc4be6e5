"""What the demo shows of sales: a sale, a partial refund, a duplicate, a refund before its sale, and a guest.

The amounts are written here, not computed: they are what a merchant expects of the samples. An order that is read from
its platform has all of its refunds at the first event, whichever that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from devkit.demo.steps import Call, Delivery
from devkit.samples.fixtures import topics
from loyalty_relay.connections.model import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesRow:
    """One delivery about an order. ``sale`` or ``back``: the amount that is booked, in major units."""

    fixture: str
    note: str
    expected: str = "applied"
    reason: str | None = None
    sale: float | None = None
    back: float | None = None
    assignments: tuple[str, ...] = ()


def rows_of(
    sale: str, refund: str, guest: str, amounts: tuple[float, float, float], **changes: tuple[str, ...]
) -> tuple[SalesRow, ...]:
    """Return the rows of a platform that reports refunds by themselves.

    ``amounts``: booked of the sale, of its refund, and of the second order. ``changes``: assignments that make the
    samples the ``first`` order, its ``first_refund``, the ``second`` order, its ``second_refund``, or a ``guests``.
    """
    first_refund = changes.get("first_refund", ())
    return (
        SalesRow(fixture=sale, note="a sale", sale=amounts[0], assignments=changes.get("first", ())),
        SalesRow(fixture=refund, note="a partial refund", back=amounts[1], assignments=first_refund),
        SalesRow(fixture=refund, note="the same refund again", expected="duplicate", assignments=first_refund),
        SalesRow(
            fixture=refund,
            note="a refund before its sale",
            expected="recorded",
            reason="sale_missing",
            assignments=changes["second_refund"],
        ),
        SalesRow(fixture=sale, note="its sale: the difference", sale=amounts[2], assignments=changes["second"]),
        SalesRow(
            fixture=guest,
            note="a guest's sale",
            expected="ignored",
            reason="guest",
            assignments=changes.get("guests", ()),
        ),
    )


def own_schema(prefix: str, first: str, second: str) -> tuple[SalesRow, ...]:
    """Return the rows of the relay's own schema. ``prefix``: where a body has its sale or refund; then two orders."""
    return rows_of(
        "sale-completed",
        "sale-refunded",
        "sale-completed",
        (60.00, 15.00, 45.00),
        first=(f"{prefix}sale.id={first}",),
        first_refund=(f"{prefix}refund.sale_id={first}",),
        second=(f"{prefix}sale.id={second}",),
        second_refund=(f"{prefix}refund.id=R-5", f"{prefix}refund.sale_id={second}"),
        guests=(f"{prefix}sale.id=S-1006", f'{prefix}sale.customer:={{"email": "guest@example.com"}}'),
    )


SALES: Mapping[str, tuple[SalesRow, ...]] = {
    "standard": own_schema("data.", "S-1001", "S-1005"),
    "cloudevents": own_schema("", "S-2001", "S-2005"),
    "shopify": rows_of(
        "orders-paid",
        "refunds-create",
        "orders-paid-gift-card",
        (90.20, 40.70, 49.50),
        second=("id=6001234567101", "admin_graphql_api_id=gid://shopify/Order/6001234567101"),
        second_refund=("id=9001234567101", "order_id=6001234567101"),
    ),
    "woocommerce": (
        SalesRow(fixture="order-updated", note="a sale", sale=33.12),
        SalesRow(fixture="order-updated-refunded", note="a partial refund", back=18.96),
        SalesRow(fixture="order-updated-refunded", note="the same refund again", expected="duplicate"),
        SalesRow(
            fixture="order-updated-refunded", note="a refund before its sale", sale=14.16, assignments=("id=733",)
        ),
        SalesRow(fixture="order-updated", note="its sale, late", expected="stale", assignments=("id=733",)),
        SalesRow(fixture="order-created", note="a guest's sale", expected="ignored", reason="guest"),
    ),
    "adobe": rows_of(
        "order-paid",
        "creditmemo-saved",
        "order-guest",
        (64.90, 25.30, 39.60),
        second=("data.value.entity_id=96",),
        second_refund=("data.value.entity_id=83", "data.value.order_id=96"),
    ),
    "lightspeed": (
        *rows_of(
            "sale-updated",
            "sale-updated-return",
            "sale-updated-walk-in",
            (73.00, 65.00, 8.00),
            second=("id=0af7b240-0000-11e7-aaaa-000000000111",),
            second_refund=(
                "id=0af7b240-0000-11e7-aaaa-000000000114",
                "return_for=0af7b240-0000-11e7-aaaa-000000000111",
            ),
        ),
        SalesRow(fixture="sale-updated-id-only", note="a sale that is read", sale=45.00),
    ),
    "bigcommerce": (
        SalesRow(fixture="refund-created", note="a partial refund before its sale", sale=21.10),
        SalesRow(fixture="refund-created", note="the same refund again", expected="duplicate"),
        SalesRow(fixture="order-created", note="its sale, late", expected="stale"),
        SalesRow(fixture="order-updated", note="a guest's sale", expected="ignored", reason="guest"),
    ),
    "square": (
        SalesRow(fixture="refund-updated", note="a refund before its sale", expected="recorded", reason="sale_missing"),
        SalesRow(fixture="refund-updated", note="the same refund again", expected="duplicate"),
        SalesRow(fixture="payment-updated", note="its sale: the difference", sale=14.81),
        SalesRow(fixture="payment-updated-guest", note="a guest's sale", expected="ignored", reason="guest"),
    ),
    "clover": (
        SalesRow(fixture="order-create", note="a sale", sale=26.60),
        SalesRow(fixture="order-update", note="a partial refund before its sale", sale=3.70),
        SalesRow(fixture="order-update", note="the same refund again", expected="duplicate"),
        SalesRow(
            fixture="payment-update",
            note="its sale, late",
            expected="unchanged",
            assignments=("merchants.DEMOMERCHANT1.0.objectId=P:DEMOPAYMENT03",),
        ),
        SalesRow(
            fixture="order-create",
            note="a guest's sale",
            expected="ignored",
            reason="guest",
            assignments=("merchants.DEMOMERCHANT1.0.objectId=O:DEMOORDER0006",),
        ),
    ),
}


def sales(connection: Connection) -> Iterator[Delivery]:
    """Yield the deliveries about orders of a connection; its customer has been registered before."""
    platform, vendor = connection.source.platform, connection.destination.vendor
    names = {topic.fixture: topic.name for topic in topics(platform)}
    for row in SALES[platform]:
        yield Delivery(
            connection=connection.id,
            platform=platform,
            topic=names[row.fixture],
            fixture=row.fixture,
            expected=row.expected,
            reason=row.reason,
            calls=_booked(row, vendor),
            note=row.note,
            assignments=row.assignments,
        )


def _booked(row: SalesRow, vendor: str) -> tuple[Call, ...]:
    amount = row.back if row.sale is None else row.sale
    if amount is None:
        return ()
    if vendor == "kangaroo":
        return (Call("POST", "/transactions", {"amount": amount, "intent": "return" if row.back else "reward"}),)
    kind = "RETURN" if row.back else "REGULAR"
    return (Call("POST", "/v2/transactions", {"billAmount": amount, "type": kind}),)
