"""The switches of the Capillary sandbox, and its organisations."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devkit.sandbox.vendor import JSON, SettingError

SINGLE_ACCOUNT_SOURCES = ("INSTORE", "ECOMMERCE", "WEBSITE", "MARTJACK", "TMALL", "TAOBAO", "JD")
MULTI_ACCOUNT_SOURCES = ("WECHAT", "LINE", "FACEBOOK", "WEB_ENGAGE", "MOBILE_APP")
SOURCES = SINGLE_ACCOUNT_SOURCES + MULTI_ACCOUNT_SOURCES

# Requests per minute and organisation (Capillary docs: Rate limits), the lower of two editions. None: no default.
PUBLISHED_LIMITS: Mapping[str, Mapping[str, int | None]] = {
    "v1.1.customer.add": {"ASIA2": 700, "ASIA1": 500, "EMEA": 400, "US": None},
    "v1.1.customer.update": {"ASIA2": 500, "ASIA1": 600, "EMEA": 300, "US": None},
    "v2.customers.post": {"ASIA2": 100, "ASIA1": 600, "EMEA": 100, "US": None},
    "v2.customers.put": {"ASIA2": 1000, "ASIA1": 600, "EMEA": 50, "US": None},
    "v2.transactions.post": {"ASIA2": 100, "ASIA1": 1200, "EMEA": 100, "US": None},
    "v1.1.transaction": {"ASIA2": 16, "ASIA1": 16, "EMEA": 16, "US": None},
}
# Minutes east of UTC of a cluster's clock (Capillary docs: Timezone management).
CLUSTER_OFFSETS: Mapping[str, int] = {"EMEA": 0, "US": 0, "ASIA1": 330, "ASIA2": 330}

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "region": tuple(CLUSTER_OFFSETS),
    "status_mode": ("documented", "all_200", "all_400", "not_found_404"),
    "async_side_effects": ("omit", "empty"),
    "put_identifiers": ("ignore", "strict"),
    "merged_customer": ("error", "survivor"),
    "conflict": ("error", "warning"),
    "v11_not_found_item": ("full", "empty"),
    "expired_token_status": (401, 498),
    "bill_points": ("give", "fail"),
    "return_points": ("take", "fail"),
}
DEFAULTS: dict[str, JSON] = {
    "region": "EMEA",
    "rate_limits_enabled": True,
    "rate_limit_scale": 1.0,
    "rate_limits": {},
    "rate_window_seconds": 60,
    "status_mode": "documented",
    "async_side_effects": "omit",
    "put_identifiers": "ignore",
    "merged_customer": "error",
    "conflict": "error",
    "v11_not_found_item": "full",
    "expired_token_status": 401,
    "authorization_service_down": False,
    "bill_points": "give",
    "return_points": "take",
    "returns_by_number": True,
    "notes_shown": True,
    "write_ms": 0,
    "token_ttl_seconds": 3600,
    "orgs": {},
}

DEMO_PASSWORD = "fake-till-password"


def md5_hex(password: str) -> str:
    """Return the form in which a till's password travels (Capillary docs: Basic authentication)."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


ORG_DEFAULTS: dict[str, JSON] = {
    "org_id": 0,
    "tills": [],
    "clients": [],
    "stores": [],
    "basic_enabled": True,
    "v2_enabled": True,
    "sources": {
        **{source: [] for source in ("INSTORE", "ECOMMERCE", "WEBSITE")},
        "WECHAT": ["wechat-demo"],
        "LINE": ["line-demo"],
        "FACEBOOK": ["facebook-demo"],
        "WEB_ENGAGE": ["webengage-demo"],
        "MOBILE_APP": ["mobileapp-demo"],
    },
    "primary_identifier": "mobile",
    "required_identifiers": [],
    "external_id_prefix": "",
    "external_id_length": 0,
    "default_status_label": "",
    "status_labels": {"active-1": "Active", "suspended-1": "Suspended", "fraud-1": "Fraud confirmed"},
    "extended_fields": {
        "gender": ["Male", "Female", "Other"],
        "city": None,
        "state": None,
        "area": None,
        "zip": None,
        "country_of_residence": None,
        "dob": None,
        "acquisition_channel": None,
        "preferred_language": None,
    },
    "custom_fields": None,
    "card_series": [73],
    "programs": [
        {"id": 1016, "name": "base", "tiers": ["bronze", "silver", "gold"]},
        {"id": 469, "name": "club", "tiers": ["member", "plus"]},
        {"id": 699, "name": "partner", "tiers": ["member", "plus"]},
    ],
    "rules": [
        {"name": "welcome", "on": "register", "type": "points", "value": 100},
        {"name": "profile", "on": "update", "type": "points", "value": 25},
    ],
    "referral_codes": ["FRIEND-0001"],
    "associated_with_enabled": True,
    "dual_eligibility": False,
    "instore_channels_editable": True,
    "allow_merge": True,
    "allow_mobile_update": False,
    "allow_email_update": False,
    "allow_external_id_update": False,
    "earliest_registration": "2000-01-01T00:00:00+00:00",
    "bill_unique_days": 30,
    "bill_unique_scope": "org",
    "bill_past_days": 0,
    "bill_future_days": 1,
    "tenders": [
        {"name": "Cash", "canonical_name": "CASH", "description": "payment in cash"},
        {"name": "Card", "canonical_name": "CARD", "description": "payment by card"},
    ],
    "currencies": [],
    "points_per_unit": 0.1,
    "points_return_enabled": True,
    "outlier_above": 0,
    "returns_allowed": ["FULL", "LINE_ITEM", "AMOUNT"],
    "allow_not_existing_bill_return": False,
    "not_interested_enabled": True,
    "retro_enabled": True,
    "retro_max_age_days": 0,
}
DEMO_ORG: dict[str, JSON] = {
    "org_id": 100001,
    "tills": [
        {"code": "demo.till01", "password_md5": md5_hex(DEMO_PASSWORD), "store": "demo.store01"},
        {"code": "demo.till02", "password_md5": md5_hex(DEMO_PASSWORD), "store": "demo.store02"},
        {
            "code": "demo.readonly",
            "password_md5": md5_hex(DEMO_PASSWORD),
            "store": "demo.store01",
            "access": ["read"],
        },
    ],
    "clients": [
        {"key": "fake-client-key", "secret": "fake-client-secret", "till": "demo.till01"},
        {
            "key": "fake-readonly-key",
            "secret": "fake-readonly-secret",
            "till": "demo.till01",
            "access": ["read"],
        },
    ],
    "stores": [
        {"code": "demo.store01", "name": "Demo Store 1", "external_id": "S-01"},
        {"code": "demo.store02", "name": "Demo Store 2", "external_id": "S-02"},
    ],
}


@dataclass(frozen=True)
class Till:
    """One till and its store; ``access`` holds "read" and "write"."""

    id: int
    code: str
    password_md5: str
    store: str
    access: frozenset[str]


@dataclass(frozen=True)
class Client:
    """One API client (Capillary docs: OAuth); ``use_default_till`` is what it does with an invalid till."""

    id: int
    key: str
    secret: str
    till: str
    access: frozenset[str]
    use_default_till: bool


@dataclass(frozen=True)
class Org:
    """One organisation: its credentials, and its registration and loyalty configuration."""

    name: str
    org_id: int
    tills: Mapping[str, Till]
    clients: Mapping[str, Client]
    config: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return one switch of ``ORG_DEFAULTS``."""
        return self.config[name]

    def program(self, program_id: object) -> Mapping[str, Any] | None:
        """Return the loyalty programme of that id."""
        found: Mapping[str, Any]
        for found in self.config["programs"]:
            if found["id"] == program_id:
                return found
        return None


def default_settings() -> dict[str, JSON]:
    """Return all switches at their defaults, with the one demo organisation."""
    return {**copy.deepcopy(DEFAULTS), "orgs": {"demo": {**copy.deepcopy(ORG_DEFAULTS), **copy.deepcopy(DEMO_ORG)}}}


def merge_orgs(current: Mapping[str, JSON], changes: JSON) -> dict[str, JSON]:
    """Lay the changed switches of each organisation over its current ones; null takes an organisation away."""
    if not isinstance(changes, dict):
        raise SettingError("orgs", "must be an object of organisations")
    merged = dict(current)
    for name, change in changes.items():
        if change is None:
            merged.pop(name, None)
            continue
        if not isinstance(change, dict):
            raise SettingError(f"orgs.{name}", "must be an object")
        unknown = sorted(set(change) - set(ORG_DEFAULTS))
        if unknown:
            raise SettingError(f"orgs.{name}.{unknown[0]}", "is not a setting of an organisation")
        before = merged.get(name, copy.deepcopy(ORG_DEFAULTS))
        merged[name] = {**(before if isinstance(before, dict) else {}), **change}
    return merged


def build_orgs(orgs: Any) -> dict[str, Org]:
    """Make the organisations of the ``orgs`` setting. Raises SettingError where one cannot be understood."""
    built = {}
    for name, config in orgs.items():
        try:
            built[name] = _build_org(name, config)
        except (KeyError, TypeError, AttributeError) as error:
            raise SettingError(f"orgs.{name}", f"cannot be understood: {error!r}") from error
    return built


def _build_org(name: str, config: Mapping[str, Any]) -> Org:
    everything = ["read", "write"]
    tills = {
        till["code"]: Till(
            75000001 + index,
            till["code"],
            till["password_md5"],
            till.get("store", ""),
            frozenset(till.get("access", everything)),
        )
        for index, till in enumerate(config["tills"])
    }
    clients = {
        client["key"]: Client(
            501 + index,
            client["key"],
            client["secret"],
            client["till"],
            frozenset(client.get("access", everything)),
            bool(client.get("use_default_till", True)),
        )
        for index, client in enumerate(config["clients"])
    }
    unknown = sorted(set(config["sources"]) - set(SOURCES))
    if unknown:
        raise SettingError(f"orgs.{name}.sources.{unknown[0]}", "is not a source of the vendor")
    return Org(name, int(config["org_id"]), tills, clients, config)
