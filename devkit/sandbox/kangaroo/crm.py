"""The customer's CRM fields: how the business configured them, listing them, patching them.

Facts: Kangaroo wiki "Customer CRM Fields - Update" and the API blueprint's CRM section; what neither documents is
decided in docs/sandbox-kangaroo.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from devkit.sandbox.kangaroo.checks import FieldCheck, is_birth_date, is_country_code, is_email, is_phone
from devkit.sandbox.kangaroo.customers import Customer, CustomerBook
from devkit.sandbox.kangaroo.errors import forbidden, invalid
from devkit.sandbox.kangaroo.settings import Settings


@dataclass(frozen=True, slots=True)
class CrmField:
    """One field as configured; a field that is not `writable` is listed but no attribute of the PATCH."""

    name: str
    label: str
    field_type: str
    display_order: int
    is_required: bool = False
    is_hidden: bool = False
    is_custom_field: bool = False
    writable: bool = True
    enabled: bool = True

    def shown(self, value: object) -> dict[str, Any]:
        """Return the field as the API lists it."""
        return {
            "name": self.name,
            "label": self.label,
            "value": value,
            "is_hidden": self.is_hidden,
            "is_required": self.is_required,
            "field_type": self.field_type,
            "is_custom_field": self.is_custom_field,
            "display_order": self.display_order,
        }


DEMO_FIELDS: Sequence[CrmField] = (
    CrmField("email", "Email", "text", 1, is_required=True),
    CrmField("phone", "Phone", "text", 2),
    CrmField("first_name", "First Name", "text", 3),
    CrmField("last_name", "Last Name", "text", 4),
    CrmField("gender", "Gender", "select", 5),
    CrmField("birth_date", "Birth Date", "text", 6),
    CrmField("country_code", "Country", "select", 7),
    CrmField("address", "Address", "text", 8, writable=False),
    CrmField("postal_code", "Postal Code", "text", 9),
    CrmField("notes", "Notes", "text", 10, is_hidden=True),
    CrmField("promotions_mail", "Promotions by Mail", "checkbox", 11),
    CrmField("tags", "Tags", "multi_select", 12),
    *(
        CrmField(f"custom_field_{n}", f"Custom Field Label {n}", "text", 12 + n, is_custom_field=True)
        for n in range(1, 6)
    ),
)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of the business."""

    id: int
    name: str
    abbreviation: str
    color: str
    created_at: str

    def as_json(self) -> dict[str, Any]:
        """Return the tag as GET /tags lists it."""
        return {
            "id": self.id,
            "name": self.name,
            "abbreviation": self.abbreviation,
            "color": self.color,
            "created_at": self.created_at,
        }


_TAG_NAMES = (
    "Red tag",
    "Black tag",
    "Wholesale",
    "VIP",
    "Staff",
    "Student",
    "Senior",
    "Newsletter",
    "Birthday club",
    "Beta tester",
    "Local",
    "Tourist",
    "Corporate",
    "Press",
    "Early bird",
    "Late payer",
    "Gift buyer",
    "Returner",
)

DEMO_TAGS: Sequence[Tag] = tuple(
    Tag(
        id=247 - index,
        name=name,
        abbreviation="".join(word[0] for word in name.split()).upper(),
        color="#0000ff",
        created_at=f"2024-01-01T{index:02d}:27:13+00:00",
    )
    for index, name in enumerate(_TAG_NAMES)
)

_IN_RECORD = frozenset({"email", "phone", "first_name", "last_name", "gender", "birth_date", "country_code"})
_GENDERS = frozenset({"male", "female", "nonbinary"})
_TUTORIAL_GENDERS = frozenset({"male", "female"})
_BOOLEANS: Mapping[object, bool] = {True: True, False: False, "1": True, "0": False}


class CrmModule:
    """The CRM fields of all customers."""

    def __init__(self, book: CustomerBook) -> None:
        self._book = book

    def configured(self, settings: Settings) -> list[CrmField]:
        """Return the fields that the business has enabled, in display order."""
        found = []
        for each in DEMO_FIELDS:
            override: Any = settings.crm_fields.get(each.name, {})
            found.append(replace(each, **override))
        return sorted((it for it in found if it.enabled), key=lambda it: it.display_order)

    def values(self, customer_id: str, settings: Settings) -> list[dict[str, Any]]:
        """Return every field with the customer's value; none where the module is not granted.

        Raises Refusal (404).
        """
        customer = self._book.get(customer_id)
        if not settings.crm_enabled:
            return []
        return [it.shown(_value(customer, it)) for it in self.configured(settings)]

    def patch(self, customer_id: str, body: Mapping[str, Any], settings: Settings) -> list[dict[str, Any]]:
        """Change the named fields and return all of them.

        Unknown, hidden and read-only attributes are ignored, and a body with no other counts as empty. Any
        refusal (404, 403 without the module, 422) leaves the customer as it was.
        """
        customer = self._book.get(customer_id)
        if not settings.crm_enabled:
            raise forbidden()
        writable = {it.name: it for it in self.configured(settings) if it.writable and not it.is_hidden}
        given = {name: value for name, value in body.items() if name in writable}
        if not given:
            message = "At least one CRM field attribute is required."
            raise invalid({"attributes": [message]}, settings.validation_shape)
        check = FieldCheck()
        changes = {name: _checked(name, value, check, settings) for name, value in given.items()}
        for name, value in changes.items():
            if writable[name].is_required and value in ("", []) and name not in check.messages:
                check.fail(name, f"The {name} field is required.")
        country = changes.get("country_code", customer.country_code)
        if changes.get("phone") and not country and "country_code" not in check.messages:
            check.fail("country_code", "The country_code field is required when phone is present.")
        check.merge(self._book.taken(customer, changes.get("email"), changes.get("phone")))
        check.finish(settings.validation_shape)
        self._apply(customer, changes, settings)
        return self.values(customer_id, settings)

    def _apply(self, customer: Customer, changes: Mapping[str, Any], settings: Settings) -> None:
        for name, value in changes.items():
            if name == "tags" and settings.tags_mode == "append":
                before = customer.crm.get("tags", [])
                customer.crm["tags"] = [*before, *(tag for tag in value if tag not in before)]
            elif name in _IN_RECORD:
                empty = "" if name in ("first_name", "last_name") else None
                setattr(customer, name, value or empty)
            else:
                customer.crm[name] = value
        self._book.touch(customer)


def _value(customer: Customer, crm_field: CrmField) -> object:
    name = crm_field.name
    if name in _IN_RECORD:
        return getattr(customer, name) or ""
    if name == "address":
        parts = (customer.address.get(key) for key in ("street", "city", "region", "country"))
        return ", ".join(str(part) for part in parts if part)
    if name == "tags":
        return [{"tag_name": tag} for tag in customer.crm.get("tags", [])]
    return customer.crm.get(name, False if crm_field.field_type == "checkbox" else "")


def _checked(name: str, value: Any, check: FieldCheck, settings: Settings) -> Any:
    """Return one value, checked and converted; null is the same as an empty value."""
    if name == "tags":
        return _tags(value, check)
    if name == "promotions_mail":
        if value is None:
            return False
        # A list or an object cannot be looked up, and 1.0 is no boolean.
        if not isinstance(value, bool | int | str) or value not in _BOOLEANS:
            check.fail(name, f"The {name} field must be true or false.")
            return False
        return _BOOLEANS[value]
    genders = _TUTORIAL_GENDERS if settings.strict_gender else _GENDERS
    rules: Mapping[str, tuple[Any, str]] = {
        "email": (is_email, "The email must be a valid email address."),
        "phone": (is_phone, "The phone format is invalid."),
        "country_code": (is_country_code, "The selected country_code is invalid."),
        "birth_date": (is_birth_date, "The birth_date does not match the format Y-m-d."),
        "gender": (genders.__contains__, "The selected gender is invalid."),
    }
    valid, message = rules.get(name, (bool, ""))
    return (value or "") if check.optional(name, value, valid, message) else ""


def _tags(value: Any, check: FieldCheck) -> list[str]:
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        check.fail("tags", "The tags must be an array.")
        return []
    known = {tag.name for tag in DEMO_TAGS}
    names: list[str] = []
    for index, item in enumerate(value):
        path = f"tags.{index}.tag_name"
        name = item.get("tag_name") if isinstance(item, Mapping) else None
        if not name:
            check.fail(path, f"The {path} field is required.")
        elif not isinstance(name, str) or name not in known:
            check.fail(path, f"The selected {path} is invalid.")
        elif name not in names:
            names.append(name)
    return names
