"""V1.1: apply one item of add or update to a customer (Capillary docs: V1.1 customer/update)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from devkit.sandbox.capillary import payload
from devkit.sandbox.capillary.engine import Call, Engine
from devkit.sandbox.capillary.loyalty import Effects, run_rules
from devkit.sandbox.capillary.model import Customer, Identifier, Profile
from devkit.sandbox.capillary.v2_identifiers import merge_customers
from devkit.sandbox.capillary.v11_view import parse_local_time

# The item's key, the identifier's type, the code when its value is invalid, the switch that lets it be filled.
KINDS = (
    ("mobile", "mobile", "1001", "allow_mobile_update"),
    ("email", "email", "1002", "allow_email_update"),
    ("external_id", "externalId", "1003", "allow_external_id_update"),
)
EXTERNAL_ID_LIMIT = 250
FRAUD_STATUSES = ("CONFIRMED", "NONE", "NORMAL", "OUTLIER", "FRAUD", "INTERNAL", "INVALID")


class ItemError(Exception):
    """The item fails with this V1.1 code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Items:
    """Applies items; each method returns the customer, with the warnings it caused added to ``warnings``."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def find(self, call: Call, given: dict[str, Any], warnings: list[str]) -> Customer | None:
        """Return the customer that the item's id or identifiers name; a merge victim leads to its survivor."""
        text = str(given.get("id") or given.get("user_id") or "")
        if text:
            found = self.engine.store.get(call.org.name, int(text)) if text.isdecimal() else None
            if found is None:
                raise ItemError("1011")
            if found.merged_into is not None:
                warnings.append("91009")
            return self.engine.store.survivor(found)
        primary = call.org["primary_identifier"]
        for _, identifier in sorted(self.identifiers(given), key=lambda pair: pair[1].type != primary):
            owners = self.engine.store.owners(call.org.name, identifier)
            if owners:
                return self.engine.store.customers[owners.get("INSTORE", min(owners.values()))]
        return None

    @staticmethod
    def identifiers(given: dict[str, Any]) -> list[tuple[str, Identifier]]:
        """Return the identifiers that the item passes, each with its key; an empty text is not passed."""
        passed = []
        for key, kind, _, _ in KINDS:
            value = payload.clean_value(kind, given.get(key))
            if value:
                passed.append((key, Identifier(kind, value)))
        return passed

    def check_identifiers(self, call: Call, given: dict[str, Any]) -> None:
        """Raise ItemError for an item without identifier (1015), or with an invalid one."""
        passed = self.identifiers(given)
        if not passed and not given.get("id") and not given.get("user_id"):
            raise ItemError("1015")
        codes = {key: code for key, _, code, _ in KINDS}
        for key, identifier in passed:
            too_long = len(identifier.value) > EXTERNAL_ID_LIMIT and identifier.type == "externalId"
            if too_long or not payload.is_valid(identifier.type, identifier.value):
                raise ItemError(codes[key])

    def create(self, call: Call, given: dict[str, Any]) -> Customer:
        """Register a customer in INSTORE."""
        customer = self.engine.store.create(call.org.name)
        profile = Profile("INSTORE", "", created_at=call.now, created_by=call.caller.till)
        customer.profiles.append(profile)
        customer.registered_at, customer.registered_till = call.now, call.caller.till
        for _, identifier in self.identifiers(given):
            self.engine.store.attach(customer, profile, identifier)
        return customer

    def identify(self, call: Call, customer: Customer, given: dict[str, Any], warnings: list[str]) -> Customer:
        """Fill or merge by the further identifiers of an item; what a customer has is never changed."""
        flags = {kind: flag for _, kind, _, flag in KINDS}
        for _, identifier in self.identifiers(given):
            kind, current = identifier.type, customer.identifier(identifier.type)
            owners = set(self.engine.store.owners(call.org.name, identifier).values())
            if customer.id in owners:
                continue
            if owners:
                if not call.org["allow_merge"]:
                    warnings.append("91007")
                    continue
                other = self.engine.store.customers[min(owners)]
                customer = merge_customers(self.engine, customer, other, [])
            elif kind == call.org["primary_identifier"]:
                warnings.append("91005")
            elif current is not None or not call.org[flags[kind]]:
                warnings.append("91006")
            else:
                self.engine.store.attach(customer, instore_profile(customer), identifier)
        return customer

    def change(self, call: Call, customer: Customer, given: dict[str, Any], warnings: list[str]) -> Effects:
        """Apply everything but the identifiers. Raises ItemError 1046 or 1034 before anything is changed."""
        kind = str(given.get("type") or "").upper()
        if kind == "NON_LOYALTY" and customer.loyalty_type == "loyalty":
            raise ItemError("1046")
        registered_at = self._registered_at(call, given)
        profile = instore_profile(customer)
        if given.get("firstname"):
            profile.first_name = payload.name_text(given["firstname"])
        if given.get("lastname"):
            profile.last_name = payload.name_text(given["lastname"])
        if registered_at is not None:
            customer.registered_at = registered_at
        self._tills(call, customer, given, warnings)
        self._fields(call, customer, profile, given, warnings)
        self._fraud(customer, given, warnings)
        self._subscriptions(customer, given, warnings)
        profile.modified_at, profile.modified_by = call.now, call.caller.till
        effects: Effects = []
        if kind == "LOYALTY" and customer.loyalty_type != "loyalty":
            customer.loyalty_type = "loyalty"
            effects += run_rules(call.org, customer, "convert", call.now)
        return effects

    def _registered_at(self, call: Call, given: dict[str, Any]) -> float | None:
        text = given.get("registered_on")
        if not text:
            return None
        try:
            seconds = parse_local_time(str(text), self.engine.offset_minutes)
        except ValueError:
            raise ItemError("1034") from None
        earliest = datetime.fromisoformat(call.org["earliest_registration"]).timestamp()
        if not earliest <= seconds <= call.now:
            raise ItemError("1034")
        return seconds

    def _tills(self, call: Call, customer: Customer, given: dict[str, Any], warnings: list[str]) -> None:
        till = given.get("registered_till")
        if till:
            if till in call.org.tills:
                customer.registered_till = till
            else:
                warnings.append("91020")
        till = given.get("associated_with")
        if till:
            if till in call.org.tills:
                customer.associated_with = till
            else:
                warnings.append("91021")

    def _fields(
        self, call: Call, customer: Customer, profile: Profile, given: dict[str, Any], warnings: list[str]
    ) -> None:
        custom = _pairs(given.get("custom_fields"))
        stored = payload.read_custom_fields(call.org, custom)
        profile.fields.update(stored)
        if len(stored) < len(custom):
            warnings.append("1017")
        extended = _pairs(given.get("extended_fields"))
        kept = payload.read_extended_fields(call.org, extended)
        customer.extended_fields.update(kept)
        if any(name not in kept and value not in (None, "", "null") for name, value in extended.items()):
            warnings.append("91015")

    def _fraud(self, customer: Customer, given: dict[str, Any], warnings: list[str]) -> None:
        fraud = given.get("fraud_status")
        status = str(fraud.get("status") if isinstance(fraud, dict) else fraud or "").upper()
        if not status:
            return
        if status in FRAUD_STATUSES:
            customer.fraud_status = status
        else:
            warnings.append("618")

    def _subscriptions(self, customer: Customer, given: dict[str, Any], warnings: list[str]) -> None:
        for item in _list(given.get("subscriptions"), "subscription"):
            channel, priority = str(item.get("channel", "")).upper(), str(item.get("priority", "")).upper()
            flag = str(item.get("is_subscribed", ""))
            if channel not in ("SMS", "EMAIL") or priority not in ("TRANS", "BULK") or flag not in ("0", "1"):
                warnings.append("91022")
                continue
            customer.subscriptions = [
                each for each in customer.subscriptions if (each["channel"], each["priority"]) != (channel, priority)
            ]
            scope = str(item.get("scope") or "all").upper()
            customer.subscriptions.append({"channel": channel, "priority": priority, "scope": scope, "status": flag})


def instore_profile(customer: Customer) -> Profile:
    """Return the INSTORE profile, or the first one of a customer that has none."""
    return customer.profile("INSTORE") or customer.profiles[0]


def _list(value: Any, key: str) -> list[dict[str, Any]]:
    inner = value.get(key) if isinstance(value, dict) else None
    items = inner if isinstance(inner, list) else [inner]
    return [item for item in items if isinstance(item, dict)]


def _pairs(value: Any) -> dict[str, Any]:
    return {str(item["name"]): item.get("value") for item in _list(value, "field") if item.get("name")}
