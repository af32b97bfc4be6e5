"""Points for sales, and points taken back: the intents `reward` and `return` of POST /transactions, and their list.

Facts: Kangaroo API blueprint (transactions, transaction details, customer transactions). There is no idempotency key
and no check for copies: a repeat counts twice. What a return is called, whether it may exceed the balance and how a
branch is refused is not documented; docs/sandbox-kangaroo.md states what is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from devkit.sandbox.kangaroo.checks import FieldCheck
from devkit.sandbox.kangaroo.customers import Customer, CustomerBook, compares, moment, timestamp
from devkit.sandbox.kangaroo.errors import Refusal, bad_request
from devkit.sandbox.kangaroo.settings import Settings
from devkit.sandbox.kangaroo.stores import branches
from devkit.sandbox.vendor import JSON, Clock

FIRST_TRANSACTION = 256_560
NAMES = {"reward": "Reward", "return": "Refund - Points"}
DETAILS = (
    "external_order_id",
    "custom_field_1",
    "custom_field_2",
    "custom_field_3",
    "custom_field_4",
    "custom_field_5",
)
MOST_CHARACTERS = 255
VALUES = ("points", "amount", "visits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction; `created_at` and `updated_at` are epoch seconds, `amount` is in the business's currency."""

    id: int
    intent: str
    amount: Decimal
    points: int
    customer: Customer
    branch_id: str
    created_at: float
    updated_at: float
    receipt_number: str | None
    employee: Mapping[str, str]
    details: Mapping[str, str | None] | None

    def as_json(self) -> dict[str, Any]:
        """Return the transaction object of the API, without its relationships."""
        return {
            "id": self.id,
            "amount": number(self.amount),
            "points": self.points,
            "name": NAMES[self.intent],
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
        }

    def related(self, names: frozenset[str]) -> dict[str, Any]:
        """Return what `relationships=` adds; details may be null."""
        customer = self.customer.as_json()
        found: dict[str, tuple[str, Callable[[], Any]]] = {
            "customer": ("customer", lambda: {name: customer[name] for name in _CUSTOMER}),
            "purchase.receipt": ("purchase", lambda: {"receipt": {"number": self.receipt_number}}),
            "transaction_details": ("transaction_details", lambda: self.details),
        }
        return {key: value() for name, (key, value) in found.items() if name in names}

    def state(self) -> dict[str, JSON]:
        """Return everything of it, for oracles; the amount is a text with all of its digits."""
        return {
            **self.as_json(),
            "intent": self.intent,
            "amount": format(self.amount, "f"),
            "customer_id": self.customer.id,
            "branch_id": self.branch_id,
            "receipt_number": self.receipt_number,
            "employee": dict(self.employee),
            "details": dict(self.details) if self.details is not None else None,
        }


class TransactionBook:
    """All transactions, in the order in which they came, and the customers that were created on the way."""

    def __init__(self, clock: Clock, customers: CustomerBook) -> None:
        self._clock = clock
        self._customers = customers
        self._made: list[Transaction] = []
        self.welcomed: list[str] = []
        """Ids of customers who were unknown to a transaction: each of them got a message."""

    def clear(self) -> None:
        """Forget all."""
        self._made.clear()
        self.welcomed.clear()

    def add(self, body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
        """Make a transaction; a customer who is named by email or phone and unknown is created and welcomed first.

        A point for each unit of the currency, rounded down. Raises Refusal: 422 by field, also for intents that are not
        served here; 400 for an employee that the rule about large amounts does not accept.
        """
        check = FieldCheck()
        intent = check.required_text("intent", body)
        if intent and intent not in NAMES:
            check.fail("intent", "The selected intent is invalid.")
        customer = _customer_given(body, check)
        name, value = _value(body, check)
        created_at = _created_at(body, check)
        branch_id = _branch(body, settings, check)
        receipt = _texts("receipt", body, ("number",), check)
        details = _texts("transaction_details", body, DETAILS, check)
        employee = _texts("employee", body, ("id", "pin_code"), check)
        check.finish(settings.validation_shape)
        _check_employee(employee or {}, value if name == "amount" else Decimal(0), settings)
        who = self._customer(customer, settings)
        points = int(value)
        who.points += points if intent == "reward" else -points
        self._customers.touch(who)
        now = self._clock()
        made = Transaction(
            id=FIRST_TRANSACTION + len(self._made),
            intent=intent,
            amount=value if name == "amount" else Decimal(0),
            points=points,
            customer=who,
            branch_id=branch_id,
            created_at=now if created_at is None else created_at,
            updated_at=now,
            receipt_number=(receipt or {}).get("number"),
            employee={key: text for key, text in (employee or {}).items() if text},
            details=details,
        )
        self._made.append(made)
        shown = made.as_json()
        return {key: shown[key] for key in ("id", "created_at", "amount", "points", "name")}

    def _customer(self, given: Mapping[str, Any], settings: Settings) -> Customer:
        if given.get("id"):
            try:
                return self._customers.get(str(given["id"]))
            except Refusal:
                if settings.unknown_customer == 404:
                    raise
            check = FieldCheck()
            check.fail("customer.id", "The selected customer.id is invalid.")
            check.finish(settings.validation_shape)
        found = self._customers.by_email(str(given["email"])) if given.get("email") else None
        if found is None and given.get("phone"):
            found = self._customers.by_phone(str(given["phone"]))
        if found is None:
            found = self._customers.create(given, settings)
            self.welcomed.append(found.id)
        return found

    def search(self, query: Sequence[tuple[str, str]]) -> list[Transaction]:
        """Return the transactions that pass every filter `field=operator|value` of a query, the newest first.

        Other parameters are no filters. Raises Refusal (400, E1) for a filter that cannot be read.
        """
        found = list(reversed(self._made))
        for name, text in query:
            if name not in _FILTERS:
                continue
            operators, make = _FILTERS[name]
            operator, bar, value = text.partition("|")
            if not bar or operator not in operators:
                raise bad_request(f"The {name} filter must be operator|value.")
            passes = make(name, operator, value)
            found = [it for it in found if passes(it)]
        return found

    def state(self) -> list[JSON]:
        """Return every transaction, in the order in which they came."""
        return [it.state() for it in self._made]


def number(amount: Decimal) -> int | float:
    """Return an amount as the JSON number that the API shows."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


_CUSTOMER = ("id", "email", "phone", "first_name", "last_name", "created_at", "updated_at")


def _object(name: str, body: Mapping[str, Any], check: FieldCheck) -> Mapping[str, Any] | None:
    given = body.get(name)
    if given is None or isinstance(given, Mapping):
        return given
    check.fail(name, f"The {name} must be an array.")
    return None


def _customer_given(body: Mapping[str, Any], check: FieldCheck) -> Mapping[str, Any]:
    customer = _object("customer", body, check) or {}
    if not any(customer.get(name) for name in ("id", "email", "phone")):
        check.fail("customer", "The customer field is required.")
    return customer


def _value(body: Mapping[str, Any], check: FieldCheck) -> tuple[str, Decimal]:
    names = [name for name in VALUES if body.get(name) is not None]
    if not names:
        check.fail("amount", "The amount field is required when none of points / visits are present.")
        return "amount", Decimal(0)
    name = names[0]
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        check.fail(name, f"The {name} must be a number.")
        return name, Decimal(0)
    if value <= 0:
        check.fail(name, f"The {name} must be greater than 0.")
    return name, Decimal(repr(value))


def _created_at(body: Mapping[str, Any], check: FieldCheck) -> float | None:
    given = body.get("created_at")
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        check.fail("created_at", "The created_at is not a valid date.")
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _branch(body: Mapping[str, Any], settings: Settings, check: FieldCheck) -> str:
    """Return the branch of a transaction: the first one of the business is its main branch."""
    known = branches(settings)
    given = _object("branch", body, check)
    if given is None or given.get("id") is None:
        return known[0].id if known else ""
    for branch in known:
        taken = settings.virtual_branch_sales or not branch.virtual
        if taken and branch.id == str(given["id"]).lower():
            return branch.id
    check.fail("branch.id", "The selected branch.id is invalid.")
    return ""


def _texts(
    name: str, body: Mapping[str, Any], members: Sequence[str], check: FieldCheck
) -> dict[str, str | None] | None:
    """Return the members of an object of texts, each null or with 1 to 255 characters; None without the object."""
    given = _object(name, body, check)
    if given is None:
        return None
    for member in members:
        value, where = given.get(member), f"{name}.{member}"
        if check.text(where, value) and value is not None and not 1 <= len(value) <= MOST_CHARACTERS:
            check.fail(where, f"The {where} must be between 1 and {MOST_CHARACTERS} characters.")
    return {member: given.get(member) for member in members}


def _check_employee(given: Mapping[str, str | None], amount: Decimal, settings: Settings) -> None:
    pin, wanted = given.get("pin_code"), settings.employee_pin
    if (pin is not None and pin != wanted) or (
        settings.employee_above and amount > settings.employee_above and not pin
    ):
        raise bad_request("Invalid Employee ID")


Test = Callable[[Transaction], bool]


def _is(name: str, operator: str, value: str) -> Test:
    wanted = set(value.split(",")) if operator == "in" else {value}
    if name == "customer.id":
        ids = {each.lower() for each in wanted}
        return lambda it: it.customer.id.lower() in ids
    return lambda it: it.details is not None and it.details["external_order_id"] in wanted


def _was(name: str, operator: str, value: str) -> Test:
    if operator == "between":
        first, _, last = value.partition(",")
        start, end = moment(first), moment(last)
        return lambda it: start <= int(getattr(it, name)) <= end
    at = moment(value)
    return lambda it: compares(operator, int(getattr(it, name)), at)


_ANY_OF = frozenset({"eq", "in"})
_TIMES = frozenset({"eq", "gt", "gte", "lt", "lte", "between"})
_FILTERS: Mapping[str, tuple[frozenset[str], Callable[[str, str, str], Test]]] = {
    "transaction_details.external_order_id": (_ANY_OF, _is),
    "customer.id": (_ANY_OF, _is),
    "created_at": (_TIMES, _was),
    "updated_at": (_TIMES, _was),
}
