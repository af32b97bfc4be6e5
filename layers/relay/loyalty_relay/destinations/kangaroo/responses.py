"""The contents of Kangaroo's responses: customers, the CRM fields that a business has configured, and its tags.

Facts: Kangaroo API blueprint (customers, customer CRM fields), Kangaroo wiki "Customer CRM Fields - Update", and the
vendor's OpenAPI fragments. Which fields exist, and which of them are required or hidden, differs between businesses, so
every command is compared with the live list before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loyalty_relay.destinations.kangaroo.fields import our_name
from loyalty_relay.model.errors import AmbiguousOutcome
from loyalty_relay.model.numbers import plain
from loyalty_relay.model.phones import to_e164


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
        """Return a field; None for an item without a name."""
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
        """Return a tag; None for an item without a name: tags are assigned by name."""
        name = item.get("name")
        if not isinstance(name, str) or not name:
            return None
        return cls(
            id=number_id(item.get("id")),
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
        """Return the listing of these items; items without a name are left out."""
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
        """Return the API's form: ``name`` as in the vendor's list, ``field`` as in commands; tags by their names."""
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
    """Return the business's spelling of a tag's name; capitals count only where they are the only difference."""
    if any(tag.name == name for tag in tags):
        return name
    alike = {tag.name for tag in tags if tag.name.strip().casefold() == name.strip().casefold()}
    return alike.pop() if len(alike) == 1 else None


def truth(value: Any) -> bool:
    """Return a boolean in any of the vendor's spellings; everything else is False."""
    return value is True or str(value).strip().lower() in ("true", "1")


def whole(value: Any) -> int | None:
    """Return an integer that may come as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value) else None


def number_id(value: Any) -> int | None:
    """Return the id of a tag, an integration or a link, which may come as text. 0, -1 and 5.0 are no ids."""
    number = whole(value)
    return number if number is not None and 0 < number < 10**18 else None


def text_id(value: Any) -> str | None:
    """Return the id of a customer or a branch, which may come as a number. 0, "-1" and 5.0 are no ids."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    numeric = re.fullmatch(r"-?[0-9.]+", text) is not None
    return None if not text or (numeric and not text.strip("0").isdecimal()) else text


def same_value(name: str, sent: Any, shown: Any) -> bool:
    """Return whether the vendor shows what was sent, in whichever form.

    An empty text or null, a number or its text, an address in small letters, a phone with or without its country, a day
    with a time.
    """
    if isinstance(sent, bool):
        return truth(shown) == sent
    ours, theirs = str(sent).strip(), _text(shown)
    if name in ("email", "gender"):
        ours, theirs = ours.casefold(), theirs.casefold()
    if name == "birth_date":
        theirs = theirs[: len(ours)]
    if name == "phone" and ours:
        return re.sub(r"\D", "", theirs).endswith(ours)
    return ours == theirs


def _text(shown: Any) -> str:
    if isinstance(shown, bool):
        return "true" if shown else "false"
    if isinstance(shown, int | float):
        return plain(shown)
    return "" if shown is None else str(shown).strip()


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
    """Return whether a field is read-only: no sample has such a key; where the list has one, it counts."""
    no = any(truth(item.get(key)) for key in ("is_read_only", "is_readonly", "read_only", "readonly", "is_disabled"))
    return no or any(key in item and not truth(item[key]) for key in ("is_editable", "editable", "is_writable"))


def _options(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of a select: no sample lists them, the usual names are looked for."""
    listed = next((v for k in ("options", "values", "choices") if isinstance(v := item.get(k), list)), [])
    found = []
    for each in listed:
        value = next((each[k] for k in ("value", "name", "id") if k in each), None) if isinstance(each, dict) else each
        if isinstance(value, str | int) and not isinstance(value, bool):
            found.append(str(value))
    return tuple(found)


def customer_id(item: Mapping[str, Any]) -> str | None:
    """Return the id of a customer object; ids are hexadecimal texts in either case."""
    return text_id(item.get("id"))


def shown_member(item: Mapping[str, Any], country: str | None) -> Mapping[str, Any]:
    """Return contacts and names of a customer object by our field names; what it does not have is absent."""
    shown = {name: item[name] for name in ("email", "first_name", "last_name") if name in item}
    if isinstance(phone := item.get("phone"), str) and phone.strip():
        shown["phone"] = to_e164(phone, item.get("country_code") or country) or phone
    return shown


def match_email(items: Iterable[Mapping[str, Any]], email: str) -> str | None:
    """Return the customer with that address. Raises AmbiguousOutcome for several."""
    wanted = email.strip().casefold()
    return _only(i for i in items if isinstance(i.get("email"), str) and i["email"].strip().casefold() == wanted)


def match_phone(items: Iterable[Mapping[str, Any]], e164: str, country: str) -> str | None:
    """Return the customer with that number, in whichever form. Raises AmbiguousOutcome for several."""
    return _only(
        item
        for item in items
        if isinstance(item.get("phone"), str) and to_e164(item["phone"], item.get("country_code") or country) == e164
    )


def _only(items: Iterable[Mapping[str, Any]]) -> str | None:
    ids = {found.lower(): found for item in items if (found := customer_id(item))}
    if len(ids) > 1:
        raise AmbiguousOutcome("several customers at the destination have this identifier")
    return next(iter(ids.values()), None)
