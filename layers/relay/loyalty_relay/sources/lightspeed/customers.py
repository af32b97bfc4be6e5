"""Lightspeed's customers in either shape: flat, or as API 1.0 has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources.parsing import address_line, text_or_none

_FIELDS = {
    "first_name": ("first_name",),
    "last_name": ("last_name",),
    "email": ("email",),
    "birthday": ("date_of_birth",),
    "gender": ("gender", "sex"),
    "notes": ("note",),
    "postal_code": ("physical_postcode",),
}
_ADDRESS = (
    ("physical_address_1", "physical_address1"),
    ("physical_address_2", "physical_address2"),
    ("physical_suburb",),
    ("physical_city",),
    ("physical_state",),
)


@dataclass(frozen=True, slots=True)
class LightspeedCustomer:
    """A customer in either shape: flat, or as API 1.0 has it with contact details in an object of their own."""

    body: Mapping[str, Any]

    def reported(self, *names: str) -> tuple[bool, Any]:
        """Return whether a member is present by any of its names, and its value; values that are not empty first."""
        contact = self.body.get("contact")
        places = [self.body, contact] if isinstance(contact, dict) else [self.body]
        found = [place[name] for name in names for place in places if name in place]
        return bool(found), next((value for value in found if value not in (None, "")), None)

    def text(self, *names: str) -> str | None:
        """Return a member as text. Raises Untranslatable('bad_field') when it is none."""
        value = self.reported(*names)[1]
        if isinstance(value, bool | dict | list):
            raise Untranslatable("bad_field", f"{names[0]} is not a string")
        return text_or_none(value)

    def fields(self) -> dict[str, Any]:
        """Return the fields that the customer has or has not; what is absent is unchanged."""
        fields: dict[str, Any] = {
            ours: self.text(*names) for ours, names in _FIELDS.items() if self.reported(*names)[0]
        }
        if self.reported("mobile", "phone")[0]:
            fields["phone"] = self.text("mobile", "phone")
        if any(self.reported(*names)[0] for names in _ADDRESS):
            fields["address"] = address_line(*(self.text(*names) for names in _ADDRESS))
        if country := self.text("physical_country_id"):
            fields["country"] = country
        if self.reported("do_not_email")[1] in (True, 1, "1"):
            fields["subscriptions.email.bulk"] = False
        sms = self.reported("enable_promotional_sms")[1]
        if isinstance(sms, bool):
            fields["subscriptions.sms.bulk"] = sms
        return fields
