"""The bills of the Capillary sandbox: what it keeps of a transaction, and its books per bill number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from devkit.sandbox.vendor import JSON

FIRST_BILL_ID = 2147000001
RETURNS = ("RETURN", "NOT_INTERESTED_RETURN")


@dataclass(kw_only=True)
class Bill:
    """One transaction. ``time`` is when it was sold or returned, ``created_at`` when it arrived, in epoch seconds."""

    id: int
    org: str
    type: str
    number: str
    amount: Decimal
    customer_id: int | None
    time: float
    created_at: float
    till: str
    store: str
    return_type: str = ""
    gross_amount: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    note: str = ""
    source: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    custom_fields: dict[str, JSON] = field(default_factory=dict)
    extended_fields: dict[str, JSON] = field(default_factory=dict)
    currency: str = ""
    points: Decimal = Decimal(0)
    of: int | None = None
    """The bill that a return takes from."""
    retro: bool = False
    converted_from: int | None = None
    """The id that it had as a guest's bill."""

    @property
    def is_return(self) -> bool:
        """Whether it takes back."""
        return self.type in RETURNS

    def as_json(self) -> dict[str, JSON]:
        """Return the bill as a JSON object, with amounts as texts."""
        return {
            "id": self.id,
            "type": self.type,
            "number": self.number,
            "amount": format(self.amount, "f"),
            "customer_id": self.customer_id,
            "time": self.time,
            "till": self.till,
            "store": self.store,
            "return_type": self.return_type,
            "note": self.note,
            "points": format(self.points, "f"),
            "lines": len(self.lines),
            "payments": [str(payment.get("mode")) for payment in self.payments],
            "custom_fields": self.custom_fields,
            "extended_fields": self.extended_fields,
            "currency": self.currency,
            "retro": self.retro,
        }


class BillStore:
    """The bills of all organisations, in the order in which they were booked."""

    def __init__(self) -> None:
        self.bills: list[Bill] = []
        self._numbered: dict[tuple[str, str], list[Bill]] = {}
        self._next_id = FIRST_BILL_ID

    def clear(self) -> None:
        """Forget all bills; ids start again."""
        self.bills.clear()
        self._numbered.clear()
        self._next_id = FIRST_BILL_ID

    def add(self, bill: Bill) -> None:
        """Book a bill or a return."""
        self.bills.append(bill)
        self._numbered.setdefault((bill.org, bill.number), []).append(bill)

    def next_id(self) -> int:
        """Return a new id."""
        self._next_id += 1
        return self._next_id - 1

    def numbered(self, org: str, number: str) -> list[Bill]:
        """Return the bills and returns of one number."""
        return list(self._numbered.get((org, number), ()))

    def by_id(self, org: str, bill_id: object) -> Bill | None:
        """Return the bill of an id."""
        return next((bill for bill in self.bills if bill.org == org and str(bill.id) == str(bill_id)), None)

    def returns_of(self, bill: Bill) -> list[Bill]:
        """Return what was taken back of a bill."""
        return [each for each in self.numbered(bill.org, bill.number) if each.of == bill.id]

    def left(self, bill: Bill) -> Decimal:
        """Return what is left of a bill's amount."""
        return bill.amount - sum((each.amount for each in self.returns_of(bill)), Decimal(0))

    def books(self) -> dict[str, JSON]:
        """Return per bill number what was sold, what was returned, and whose it is; amounts as texts."""
        found: dict[str, JSON] = {}
        for (_, number), entries in self._numbered.items():
            customers: list[JSON] = [*sorted({bill.customer_id for bill in entries if bill.customer_id is not None})]
            sold = _sum(entries, returns=False)
            returned = _sum(entries, returns=True)
            found[number] = {
                "sold": format(sold, "f"),
                "returned": format(returned, "f"),
                "net": format(sold - returned, "f"),
                "points": format(sum((bill.points for bill in entries), Decimal(0)), "f"),
                "customers": customers,
                "types": [bill.type for bill in entries],
                "notes": [bill.note for bill in entries],
            }
        return found

    def as_json(self) -> list[JSON]:
        """Return all bills."""
        return [bill.as_json() for bill in self.bills]


def _sum(bills: Iterable[Bill], *, returns: bool) -> Decimal:
    return sum((bill.amount for bill in bills if bill.is_return is returns), Decimal(0))


def quantities(lines: Sequence[dict[str, Any]]) -> dict[str, Decimal]:
    """Return the quantity per item code."""
    found: dict[str, Decimal] = {}
    for line in lines:
        code = str(line.get("itemCode"))
        found[code] = found.get(code, Decimal(0)) + line["qty"]
    return found
