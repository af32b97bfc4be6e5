"""A connection: one source joined to one destination. Data classes only; ``parse`` makes them from a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

CONNECTION_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""The form of a connection's id, which is part of a URL and of a secret's name."""


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """A secret of the source, used between its dates only."""

    value: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    topics: tuple[str, ...] = ()
    """Patterns of the topics whose deliveries, and no others, the platform signs with it; empty: unknown."""

    def signs(self, topic: str) -> bool:
        """Return whether the secret is only for topics of which this is one."""
        return any(fnmatchcase(topic, pattern) for pattern in self.topics)

    def live(self, now: float) -> bool:
        """Return whether the secret is valid at ``now`` (epoch seconds)."""
        moment = datetime.fromtimestamp(now, UTC)
        return (self.not_before is None or self.not_before <= moment) and (
            self.not_after is None or moment <= self.not_after
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The sending side. ``options`` belong to the platform's module, which checks them when a connection is applied."""

    platform: str
    stores: tuple[str, ...] = ()
    """Tenant identities that may send here (shop domain, site URL, merchant id ...); empty only where the platform
    has none.
    """
    secrets: tuple[WebhookSecret, ...] = ()
    unsigned: bool = False
    """Declared by the operator for a source that cannot sign; the URL is then the only secret."""
    verified_identifiers: tuple[str, ...] = ()
    """Types of identifiers (``email``, ``mobile`` ...) that the shop itself verifies although its platform does not
    report it; these may lead to existing members.
    """
    public_url: str | None = None
    """The URL as registered with the platform, where it is part of the signature (Square)."""
    api_host: str | None = None
    api_credentials: Mapping[str, str] = field(default_factory=dict)
    """For sources with thin events: access to the platform's own API."""
    subscriptions: Literal["report", "revive", "unmanaged"] = "report"
    """What a check does about webhook subscriptions that are missing or disabled; ``unmanaged``: does not look, because
    they are made where the platform's API does not list them.
    """
    options: Mapping[str, Any] = field(default_factory=dict)

    def proves(self, topic: str) -> bool:
        """Return whether a secret is only for such topics; deliveries of this topic are then verified with it alone."""
        return any(secret.signs(topic) for secret in self.secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The receiving side: one CRM account. Which members and options a vendor uses is decided by its ``config``."""

    vendor: str
    host: str
    credentials: Mapping[str, str]
    region: str | None = None
    integrations_host: str | None = None
    """The host of a second API, where the vendor has one."""
    source: str | None = None
    """The source of the profiles, where the vendor keeps several per member."""
    account_id: str | None = None
    requests_per_minute: Mapping[str, float] = field(default_factory=dict)
    """Limit by the client's API names; an API that is not listed has none."""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The organisation behind the credentials. Its connections share limits, tokens and the circuit of outages."""
        account = self.credentials.get("account") or self.credentials.get("username") or self.credentials.get("key")
        return f"{self.vendor}:{urlsplit(self.host).netloc}:{account or self.credentials.get('client_id', '')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarningBase:
    """Which parts of an order earn. What is not listed here, goods and their discounts, always counts."""

    tax: bool = True
    shipping: bool = True
    tips: bool = True
    duties: bool = True
    fees: bool = True
    gift_card_products: bool = False
    """Gift cards that are bought: they earn when they are spent."""
    gift_card_tender: bool = True
    """What is paid with gift cards."""
    store_credit: bool = True
    """What is paid with store credit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """How a connection records sales. The rules are frozen for an order at its first booking."""

    enabled: bool = False
    earn_when: Literal["paid", "fulfilled"] = "paid"
    earning_base: EarningBase = field(default_factory=EarningBase)
    returns: Literal["amount", "line"] = "amount"
    """How a return is booked: by amount, or by line where the lines' sums are exact."""
    unlinked_returns: Literal["skip", "park", "return"] = "skip"
    """What becomes of a return that names no sale."""
    guests: Literal["skip", "hold", "not_interested"] = "skip"
    """What becomes of a guest's sale; ``hold``: booked once the guest registers with that verified identifier."""
    hold_days: int = 30
    start_date: date | None = None
    """Orders sold before it never earn (UTC)."""
    return_window_days: int = 365
    """How long after its sale a refund is booked."""
    bill_days: int = 0
    """For how many days the vendor keeps bill numbers unique; 0: for ever."""
    bill_number: Literal["order", "receipt"] = "order"
    """From the shop and the order's id, or from the number on a till's receipt with store, till and date."""
    shop_key: str = ""
    """Part of the bill numbers of later orders: separates shops that other connections name alike."""
    currency: str = ""
    """The destination's currency, ISO 4217; empty: every order's own shop currency is booked as it is."""
    stores: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The platform's location or till -> where the vendor books the sale (``branch``, or ``till`` or ``store``)."""
    payment_modes: Mapping[str, str] = field(default_factory=dict)
    """The platform's name of a tender -> the vendor's payment mode; one that is not listed is not sent."""
    minimum: Decimal = Decimal(0)
    """Orders whose earning base is below it book zero."""
    test_orders: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller of the HTTP API: the name that is logged and the SHA-256 of the key, in hex."""

    id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One source joined to one destination."""

    id: str
    source: Source
    destination: Destination
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """Topic pattern or ``*`` -> destination field -> JMESPath over the source's payload."""
    default_country: str | None = None
    """ISO 3166-1 alpha-2, for phone numbers written without a country code."""
    register_missing: bool = True
    """Whether an event registers a customer who is not in the loyalty programme."""
    sales: Sales = field(default_factory=Sales)
    api_keys: tuple[ApiKey, ...] = ()
