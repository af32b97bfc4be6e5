"""What the Capillary sandbox keeps of a customer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from devkit.sandbox.vendor import JSON


def source_key(source: str, account_id: str) -> str:
    """Name a source account: identifiers are unique within one."""
    return f"{source}/{account_id}" if account_id else source


@dataclass
class Identifier:
    """One identifier of a profile; a card has a series, a status label and fields of its own."""

    type: str
    value: str
    series_id: int | None = None
    series_code: str | None = None
    status_label: str | None = None
    extended_fields: dict[str, JSON] = field(default_factory=dict)
    custom_fields: dict[str, JSON] = field(default_factory=dict)


@dataclass
class Channel:
    """One communication channel; the flags are real booleans however they were sent."""

    type: str
    value: str
    primary: bool = False
    verified: bool = False
    subscribed: bool | None = None
    meta: dict[str, JSON] = field(default_factory=dict)


@dataclass
class Profile:
    """One source account's data of a customer. ``created_at`` and ``modified_at`` are epoch seconds."""

    source: str
    account_id: str
    first_name: str = ""
    last_name: str = ""
    identifiers: list[Identifier] = field(default_factory=list)
    former_identifiers: list[Identifier] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    fields: dict[str, JSON] = field(default_factory=dict)
    created_at: float = 0.0
    created_by: str = ""
    modified_at: float = 0.0
    modified_by: str = ""
    conflicts: list[int] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The source account."""
        return source_key(self.source, self.account_id)

    def identifier(self, kind: str) -> Identifier | None:
        """Return the first identifier of that type."""
        return next((item for item in self.identifiers if item.type == kind), None)


@dataclass
class Enrolment:
    """Membership of one loyalty programme; dates as they were sent."""

    program_id: int
    tier_number: int
    points: float
    tier_expiry: str | None = None
    points_expiry: str | None = None


@dataclass
class Customer:
    """One customer of one organisation. A merge victim keeps its id and names its survivor."""

    id: int
    org: str
    loyalty_type: str = "loyalty"
    profiles: list[Profile] = field(default_factory=list)
    extended_fields: dict[str, JSON] = field(default_factory=dict)
    associated_with: str | None = None
    status_label: str | None = None
    registered_at: float = 0.0
    registered_till: str = ""
    updated_at: float = 0.0
    enrolments: dict[int, Enrolment] = field(default_factory=dict)
    points: float = 0.0
    lifetime_purchases: float = 0.0
    currencies: dict[str, float] = field(default_factory=dict)
    coupons: list[dict[str, JSON]] = field(default_factory=list)
    rules_done: list[str] = field(default_factory=list)
    referral_code: str | None = None
    fraud_status: str = "NONE"
    subscriptions: list[dict[str, str]] = field(default_factory=list)
    merged_into: int | None = None
    victims: list[int] = field(default_factory=list)
    audit: list[dict[str, JSON]] = field(default_factory=list)

    def profile(self, key: str) -> Profile | None:
        """Return the profile of one source account."""
        return next((profile for profile in self.profiles if profile.key == key), None)

    def identifier(self, kind: str) -> str | None:
        """Return the identifier of that type, of the INSTORE profile before any other."""
        ordered = sorted(self.profiles, key=lambda profile: profile.source != "INSTORE")
        for profile in ordered:
            found = profile.identifier(kind)
            if found is not None:
                return found.value
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the customer as a JSON object."""
        return asdict(self)
