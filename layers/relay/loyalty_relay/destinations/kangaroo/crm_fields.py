"""CRM fields and tags: what a business has configured, and what a command may change of it.

Facts: Kangaroo wiki "Customer CRM Fields - Update", Kangaroo API blueprint (customer CRM fields), and the vendor's
OpenAPI fragments. Which fields exist, and which of them are required or hidden, differs from business to business, so
that nothing is sent before it was compared with the live list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NAMES = {
    "first_name": "first_name",
    "last_name": "last_name",
    "email": "email",
    "phone": "phone",
    "birthday": "birth_date",
    "gender": "gender",
    "postal_code": "postal_code",
    "notes": "notes",
    "subscriptions.email.bulk": "promotions_mail",
}
"""Our field names and the vendor's; custom fields and tags come on top."""

_OURS = {theirs: ours for ours, theirs in NAMES.items()} | {"country_code": "phone"}
_CUSTOM = re.compile(r"custom_fields\.(custom_field_[1-9]\d{0,2})")

GENDERS = ("male", "female", "nonbinary")
"""Kangaroo API blueprint; the wiki names the first two only."""


def their_name(name: str) -> str | None:
    """The CRM field that carries one of our fields; None when there is none. Tags have their own way."""
    match = _CUSTOM.fullmatch(name)
    return match.group(1) if match else NAMES.get(name)


def our_name(name: str) -> str:
    """Our name of a vendor's (dotted) field; ``tags.0.tag_name`` is about the tags."""
    head = name.split(".", maxsplit=1)[0]
    if head.startswith("custom_field_"):
        return f"custom_fields.{head}"
    return "tags" if head == "tags" else _OURS.get(head, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmField:
    """One field as the business configured it."""

    name: str
    label: str = ""
    type: str = "text"
    hidden: bool = False
    required: bool = False
    custom: bool = False
    read_only: bool = False
    options: tuple[str, ...] = ()
    """The values of a select, where the vendor lists them."""
    order: int = 0

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> CrmField | None:
        """None for an item without a name."""
        name = item.get("name")
        if not isinstance(name, str) or not name:
            return None
        return cls(
            name=name,
            label=str(item.get("label") or ""),
            type=str(item.get("field_type") or "text"),
            hidden=truth(item.get("is_hidden")),
            required=truth(item.get("is_required")),
            custom=truth(item.get("is_custom_field")),
            read_only=_read_only(item),
            options=_options(item),
            order=whole(item.get("display_order")) or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One tag of the business."""

    id: int | None
    name: str
    abbreviation: str = ""
    color: str = ""
    created_at: str | None = None

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> Tag | None:
        """None for an item without a name: tags are assigned by name."""
        name = item.get("name")
        if not isinstance(name, str) or not name:
            return None
        return cls(
            id=whole(item.get("id")),
            name=name,
            abbreviation=str(item.get("abbreviation") or ""),
            color=str(item.get("color") or ""),
            created_at=item["created_at"] if isinstance(item.get("created_at"), str) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "abbreviation": self.abbreviation,
            "color": self.color,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """The CRM fields of one customer: definitions and values."""

    fields: tuple[CrmField, ...]
    values: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, items: Iterable[Mapping[str, Any]]) -> Listing:
        """From the items of the list; items without a name are left out."""
        fields: list[CrmField] = []
        values: dict[str, Any] = {}
        for item in items:
            parsed = CrmField.parse(item)
            if parsed is not None:
                fields.append(parsed)
                values[parsed.name] = _value(parsed, item.get("value"))
        return cls(tuple(fields), values)

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the customer's tags."""
        value = self.values.get("tags")
        return tuple(value) if isinstance(value, list) else ()

    def to_dicts(self) -> list[dict[str, Any]]:
        """As the API shows it: ``name`` as in the vendor's list, ``field`` as in our commands; tags by their names."""
        return [
            {
                "name": each.name,
                "field": our_name(each.name),
                "label": each.label,
                "value": self.values.get(each.name),
                "field_type": each.type,
                "is_hidden": each.hidden,
                "is_required": each.required,
                "is_custom_field": each.custom,
                "is_read_only": each.read_only,
                "display_order": each.order,
                **({"options": list(each.options)} if each.options else {}),
            }
            for each in self.fields
        ]


def find_tag(name: str, tags: Sequence[Tag]) -> str | None:
    """The business's spelling of a tag's name; capitals count only where two tags differ in nothing else."""
    if any(tag.name == name for tag in tags):
        return name
    alike = {tag.name for tag in tags if tag.name.strip().casefold() == name.strip().casefold()}
    return alike.pop() if len(alike) == 1 else None


def truth(value: Any) -> bool:
    """A boolean in any of the vendor's spellings; everything else is no."""
    return value is True or str(value).strip().lower() in ("true", "1")


def whole(value: Any) -> int | None:
    """An integer that may come as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value) else None


def _value(of: CrmField, value: Any) -> Any:
    if of.name == "tags":
        return [name for each in value if (name := _tag_name(each))] if isinstance(value, list) else []
    if of.type == "checkbox":
        return truth(value)
    return value


def _tag_name(item: Any) -> str | None:
    name = item.get("tag_name", item.get("name")) if isinstance(item, Mapping) else item
    return name if isinstance(name, str) and name else None


def _read_only(item: Mapping[str, Any]) -> bool:
    """No sample has such a key; where the list has one of these, it is believed."""
    no = any(truth(item.get(key)) for key in ("is_read_only", "is_readonly", "read_only", "readonly", "is_disabled"))
    return no or any(key in item and not truth(item[key]) for key in ("is_editable", "editable", "is_writable"))


def _options(item: Mapping[str, Any]) -> tuple[str, ...]:
    """The values of a select: no sample lists them, the usual names are looked for."""
    listed = next((v for k in ("options", "values", "choices") if isinstance(v := item.get(k), list)), [])
    found = []
    for each in listed:
        value = next((each[k] for k in ("value", "name", "id") if k in each), None) if isinstance(each, dict) else each
        if isinstance(value, str | int) and not isinstance(value, bool):
            found.append(str(value))
    return tuple(found)
