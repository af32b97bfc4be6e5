"""The business's customers: what one is, and finding, creating, changing and deleting them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from devkit.sandbox.kangaroo.checks import FieldCheck, digits, is_birth_date, is_country_code, is_email, is_phone
from devkit.sandbox.kangaroo.errors import bad_request, not_found
from devkit.sandbox.kangaroo.settings import Settings
from devkit.sandbox.vendor import JSON, Clock


def timestamp(seconds: float) -> str:
    """Return epoch seconds the way most of the API writes a time: `2024-03-02T10:00:00+00:00`."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def make_id(source: random.Random) -> str:
    """Return a 32-digit hexadecimal id; the vendor's begin with 11e and come in either case."""
    value = f"11e{source.getrandbits(116):029x}"
    return value.upper() if source.random() < 0.25 else value


@dataclass(slots=True)
class Customer:
    """One customer. Times are epoch seconds; `crm` holds the values that only the CRM fields show."""

    id: str
    created_at: float
    updated_at: float
    email: str | None = None
    phone: str | None = None
    country_code: str | None = None
    first_name: str = ""
    last_name: str = ""
    gender: str | None = None
    birth_date: str | None = None
    language: str = "en"
    enabled: bool = True
    points: float = 0
    note: str = ""
    address: dict[str, Any] = field(default_factory=dict)
    crm: dict[str, Any] = field(default_factory=dict)
    consents: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the customer object of the API."""
        return {
            "id": self.id,
            "email": self.email,
            "phone": self.phone,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "qrcode": f"https://qr.example.com/{self.id[:12]}",
            "gender": self.gender,
            "birth_date": self.birth_date,
            "language": self.language,
            "country_code": self.country_code,
            "profile_photo": None,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "enabled": self.enabled,
            "email_verified": False,
            "phone_verified": False,
        }

    def embedded(self, include: frozenset[str]) -> dict[str, Any]:
        """Return what `include=` adds: in `included` of a single customer, beside the fields of a listed one."""
        known: dict[str, tuple[str, Any]] = {
            "balance": ("balance", {"points": self.points}),
            "consent": ("user_consent", self.consents[-1] if self.consents else None),
            "note": ("user_note", self.note),
        }
        return {key: value for name, (key, value) in known.items() if name in include}


class CustomerBook:
    """All customers, by id without regard to case, in the order of their creation."""

    def __init__(self, clock: Clock, ids: random.Random) -> None:
        self._clock = clock
        self._ids = ids
        self._by_id: dict[str, Customer] = {}
        self._consents = 0

    def clear(self) -> None:
        """Forget all."""
        self._by_id.clear()

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Customer]:
        """Return every customer."""
        return list(self._by_id.values())

    def get(self, customer_id: str) -> Customer:
        """Return one customer. Raises Refusal (404, E1)."""
        customer = self._by_id.get(customer_id.lower())
        if customer is None:
            raise not_found("Customer")
        return customer

    def delete(self, customer_id: str) -> None:
        """Delete one. Raises Refusal (404, E1)."""
        del self._by_id[self.get(customer_id).id.lower()]

    def by_email(self, email: str) -> Customer | None:
        """Return the customer with that address, without regard to case."""
        wanted = email.strip().lower()
        return next((it for it in self._by_id.values() if it.email and it.email.lower() == wanted), None)

    def by_phone(self, phone: str) -> Customer | None:
        """Return the customer whose number has the same digits."""
        wanted = digits(phone)
        return next((it for it in self._by_id.values() if it.phone and wanted and digits(it.phone) == wanted), None)

    def taken(self, customer: Customer | None, email: str | None, phone: str | None) -> dict[str, list[str]]:
        """Return validation messages for identifiers that another customer has."""
        messages: dict[str, list[str]] = {}
        owners = {
            "email": self.by_email(email) if email else None,
            "phone": self.by_phone(phone) if phone else None,
        }
        for name, owner in owners.items():
            if owner is not None and owner is not customer:
                messages[name] = [f"The {name} has already been taken."]
        return messages

    def create(self, body: Mapping[str, Any], settings: Settings) -> Customer:
        """Create a customer from `POST /customers`. Raises Refusal (422); nothing is written then."""
        check = FieldCheck()
        if not body.get("email") and not body.get("phone"):
            check.fail("email", "The email field is required when phone is not present.")
            check.fail("phone", "The phone field is required when email is not present.")
        changes = _checked(body, None, check)
        check.merge(self.taken(None, changes.get("email"), changes.get("phone")))
        check.finish(settings.validation_shape)
        now = self._clock()
        customer = Customer(make_id(self._ids), now, now)
        for name, value in changes.items():
            setattr(customer, name, value)
        self._by_id[customer.id.lower()] = customer
        if isinstance(body.get("consent"), Mapping):
            self._consent(customer, body["consent"])
        return customer

    def change(self, customer_id: str, body: Mapping[str, Any], settings: Settings) -> Customer:
        """Change what `PUT /customers/{id}` names and leave the rest. Raises Refusal (404, 422)."""
        customer = self.get(customer_id)
        check = FieldCheck()
        changes = _checked(body, customer, check)
        check.merge(self.taken(customer, changes.get("email"), changes.get("phone")))
        check.finish(settings.validation_shape)
        for name, value in changes.items():
            setattr(customer, name, value)
        self.touch(customer)
        return customer

    def touch(self, customer: Customer) -> None:
        """Note that the customer changed now."""
        customer.updated_at = self._clock()

    def consents(self, customer_id: str) -> Sequence[dict[str, Any]]:
        """Return the consent records of a customer, newest first. Raises Refusal (404)."""
        return list(reversed(self.get(customer_id).consents))

    def add_consent(self, customer_id: str, body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
        """Record a consent: a change is always a new record. Raises Refusal (404, 422)."""
        customer = self.get(customer_id)
        check = FieldCheck()
        for name in _CONSENTS:
            if name not in body:
                check.fail(name, f"The {name} field is required.")
            elif not isinstance(body[name], bool):
                check.fail(name, f"The {name} field must be true or false.")
        check.finish(settings.validation_shape)
        return self._consent(customer, body)

    def _consent(self, customer: Customer, body: Mapping[str, Any]) -> dict[str, Any]:
        self._consents += 1
        record: dict[str, Any] = {"id": self._consents}
        record |= {name: bool(body.get(name, False)) for name in _CONSENTS}
        record["created_at"] = timestamp(self._clock())
        customer.consents.append(record)
        return record

    def search(self, query: Sequence[tuple[str, str]]) -> list[Customer]:
        """Return the customers that pass every filter `field=operator|value` of a query.

        `email` and `phone` take `eq`; `created_at` and `updated_at` take eq, gt, gte, lt and lte. Other
        parameters are no filters. Raises Refusal (400, E1) for a filter that cannot be read.
        """
        found = self.all()
        for name, text in query:
            if name not in _FILTERS:
                continue
            operator, bar, value = text.partition("|")
            if not bar or operator not in _FILTERS[name]:
                raise bad_request(f"The {name} filter must be operator|value.")
            if name == "email":
                match = self.by_email(value)
                found = [it for it in found if it is match]
            elif name == "phone":
                match = self.by_phone(value)
                found = [it for it in found if it is match]
            else:
                at = moment(value)
                found = [it for it in found if compares(operator, int(getattr(it, name)), at)]
        return found

    def state(self) -> dict[str, JSON]:
        """Return every customer with its CRM values, points and last consent, by id in lower case."""
        return {
            key: {
                **it.as_json(),
                "address": it.address,
                "points": it.points,
                "crm": it.crm,
                "consent": it.consents[-1] if it.consents else None,
            }
            for key, it in self._by_id.items()
        }


_CONSENTS = ("allow_sms", "allow_email", "allow_push")
_TIME_OPERATORS = frozenset({"eq", "gt", "gte", "lt", "lte"})
_FILTERS: Mapping[str, frozenset[str]] = {
    "email": frozenset({"eq"}),
    "phone": frozenset({"eq"}),
    "created_at": _TIME_OPERATORS,
    "updated_at": _TIME_OPERATORS,
}
_ADDRESS = ("street", "city", "region", "country", "country_code", "lat", "long", "zip_code")


def _checked(body: Mapping[str, Any], customer: Customer | None, check: FieldCheck) -> dict[str, Any]:
    """Return the known fields of a body, checked and converted; null and "" clear an optional field."""
    changes: dict[str, Any] = {}
    for name in ("first_name", "last_name", "note"):
        if name in body and check.text(name, body[name]):
            changes[name] = body[name] or ""
    for name, valid, message in (
        ("email", is_email, "The email must be a valid email address."),
        ("phone", is_phone, "The phone format is invalid."),
        ("country_code", is_country_code, "The selected country_code is invalid."),
        ("birth_date", is_birth_date, "The birth_date does not match the format Y-m-d."),
        ("gender", {"male", "female"}.__contains__, "The selected gender is invalid."),
        ("language", {"en", "fr", "es"}.__contains__, "The selected language is invalid."),
    ):
        if name in body and check.optional(name, body[name], valid, message):
            changes[name] = body[name] or None
    if changes.get("language", "en") is None:
        changes["language"] = "en"
    country = changes.get("country_code", customer.country_code if customer else None)
    if changes.get("phone") and not country and "country_code" not in check.messages:
        check.fail("country_code", "The country_code field is required when phone is present.")
    if "enabled" in body:
        if not isinstance(body["enabled"], bool):
            check.fail("enabled", "The enabled field must be true or false.")
        else:
            changes["enabled"] = body["enabled"]
    if "address" in body:
        if not isinstance(body["address"], Mapping):
            check.fail("address", "The address must be an array.")
        else:
            changes["address"] = {key: body["address"][key] for key in _ADDRESS if key in body["address"]}
    return changes


def moment(value: str) -> int:
    """Return the epoch seconds of a filter's time. Raises Refusal (400, E1)."""
    # An unescaped "+" of the offset reaches the server as a space.
    text = value.strip().replace(" ", "+")
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_request("The filter's date could not be read.") from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def compares(operator: str, left: int, right: int) -> bool:
    """Return whether a filter's operator holds between two numbers."""
    return {
        "eq": left == right,
        "gt": left > right,
        "gte": left >= right,
        "lt": left < right,
        "lte": left <= right,
    }[operator]
