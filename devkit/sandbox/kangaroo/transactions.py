"""Points for customers: the `reward` intent of POST /transactions (Kangaroo API blueprint: transactions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devkit.sandbox.kangaroo.checks import FieldCheck
from devkit.sandbox.kangaroo.customers import Customer, CustomerBook, timestamp
from devkit.sandbox.kangaroo.errors import Refusal
from devkit.sandbox.kangaroo.settings import Settings
from devkit.sandbox.vendor import Clock

FIRST_TRANSACTION = 256_560


class Ledger:
    """Rewards, in the order in which they came; there is no idempotency key, so a repeat counts twice."""

    def __init__(self, clock: Clock, book: CustomerBook) -> None:
        self._clock = clock
        self._book = book
        self.rewards: list[dict[str, Any]] = []

    def clear(self) -> None:
        """Forget all."""
        self.rewards.clear()

    def add(self, body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
        """Reward a customer; one who is named by email or phone and unknown is created first.

        A point for each unit of the currency, rounded down. Raises Refusal (422); other intents than
        `reward` are not served here and refused as invalid.
        """
        check = FieldCheck()
        if check.required_text("intent", body) not in ("", "reward"):
            check.fail("intent", "The selected intent is invalid.")
        given = body.get("customer")
        customer = given if isinstance(given, Mapping) else {}
        if not any(customer.get(name) for name in ("id", "email", "phone")):
            check.fail("customer", "The customer field is required.")
        amount = _value(body, check)
        check.finish(settings.validation_shape)
        who = self._customer(customer, settings)
        points = int(amount) if "points" not in body else amount
        who.points += points
        self._book.touch(who)
        reward = {
            "id": FIRST_TRANSACTION + len(self.rewards),
            "created_at": str(body.get("created_at") or timestamp(self._clock())),
            "amount": body.get("amount"),
            "points": points,
            "name": "Reward",
        }
        self.rewards.append({**reward, "customer_id": who.id})
        return reward

    def _customer(self, given: Mapping[str, Any], settings: Settings) -> Customer:
        if given.get("id"):
            try:
                return self._book.get(str(given["id"]))
            except Refusal:
                check = FieldCheck()
                check.fail("customer.id", "The selected customer.id is invalid.")
                check.finish(settings.validation_shape)
                raise
        found = self._book.by_email(str(given["email"])) if given.get("email") else None
        if found is None and given.get("phone"):
            found = self._book.by_phone(str(given["phone"]))
        return found or self._book.create(given, settings)


def _value(body: Mapping[str, Any], check: FieldCheck) -> float:
    names = [name for name in ("points", "amount", "visits") if body.get(name) is not None]
    if not names:
        check.fail("amount", "The amount field is required when none of points / visits are present.")
        return 0
    value = body[names[0]]
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        check.fail(names[0], f"The {names[0]} must be greater than 0.")
        return 0
    return value
