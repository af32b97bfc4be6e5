"""V2: add a customer, update one, change identifiers (Capillary docs: Add customer, Update customer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devkit.sandbox.capillary import payload
from devkit.sandbox.capillary.codes import ApiError, issue
from devkit.sandbox.capillary.engine import Call, Engine
from devkit.sandbox.capillary.loyalty import Effects, enrol, run_rules
from devkit.sandbox.capillary.model import Channel, Customer, Identifier, Profile, source_key
from devkit.sandbox.capillary.store import normalise
from devkit.sandbox.capillary.v2_lookup import find_by_identifier, query_source
from devkit.sandbox.vendor import JSON


@dataclass
class _NewProfile:
    source: str
    account_id: str
    identifiers: list[Identifier]
    channels: list[Channel]
    raw: dict[str, Any]

    @property
    def key(self) -> str:
        return source_key(self.source, self.account_id)


class V2Writes:
    """The handlers of the V2 writes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def add(self, call: Call) -> object:
        """Serve POST /v2/customers."""
        body = payload.body_object(call.body)
        warnings: payload.Warnings = []
        new = self._read_profiles(call, body, warnings)
        loyalty_type = payload.read_loyalty_type(body)
        label, label_warnings = payload.read_status_label(call.org, body)
        created_at = payload.read_create_date(call.org, body.get("createDate"), call.now)
        keys = [(call.org.name, each.type, normalise(each.type, each.value)) for p in new for each in p.identifiers]
        async with self.engine.locked(keys):
            existing = self._existing(call, new, warnings)
            customer = existing or self.engine.store.create(call.org.name)
            self._attach(call, customer, new)
            effects: Effects = []
            if existing is None:
                customer.loyalty_type = loyalty_type or "loyalty"
                customer.status_label = label
                customer.registered_at, customer.registered_till = created_at, call.caller.till
                customer.extended_fields = payload.read_extended_fields(call.org, body.get("extendedFields"))
                warnings += label_warnings
                self._associate(call, customer, body, warnings)
                self._downstream(call, customer, body, effects, warnings)
            self.engine.audit(call, customer, "combine" if existing else "register")
        return self._answer(customer.id, warnings, effects, hidden=_hides_effects(call))

    def _read_profiles(self, call: Call, body: dict[str, Any], warnings: payload.Warnings) -> list[_NewProfile]:
        raw_profiles = payload.profiles_of(body)
        if not raw_profiles:
            raise ApiError(400, "Invalid input, profiles is required")
        new = []
        for raw in raw_profiles:
            source, account_id = payload.check_source(
                call.org,
                raw.get("source") or call.query.get("source"),
                raw.get("accountId") or call.query.get("accountId"),
                missing=ApiError(8004),
                unknown=3217,
                account=3217,
            )
            identifiers, bad_identifiers = payload.read_identifiers(call.org, raw.get("identifiers"))
            channels, bad_channels = payload.read_channels(raw.get("commChannels"))
            warnings += bad_identifiers + bad_channels
            new.append(_NewProfile(source, account_id, identifiers, channels, raw))
        return new

    def _existing(self, call: Call, new: list[_NewProfile], warnings: payload.Warnings) -> Customer | None:
        """Return the customer to combine with. Raises 8006 (same source), 8053 (two owners) or 8066."""
        elsewhere: list[int] = []
        for profile in new:
            for identifier in profile.identifiers:
                owners = self.engine.store.owners(call.org.name, identifier)
                if profile.key in owners:
                    raise ApiError(8006, id=owners[profile.key])
                elsewhere += [owner for owner in owners.values() if owner not in elsewhere]
        if not elsewhere:
            return None
        if len(elsewhere) > 1:
            if self.engine.settings["conflict"] == "error":
                raise ApiError(8053)
            warnings.append(issue(8052))
        customer = self.engine.store.customers[min(elsewhere)]
        if any(customer.profile(profile.key) is not None for profile in new):
            raise ApiError(8066)
        warnings.append(issue(8050))
        return customer

    def _attach(self, call: Call, customer: Customer, new: list[_NewProfile]) -> None:
        for each in new:
            profile = Profile(
                each.source,
                each.account_id,
                payload.name_text(each.raw.get("firstName")),
                payload.name_text(each.raw.get("lastName")),
                channels=each.channels,
                fields=payload.read_custom_fields(call.org, each.raw.get("fields")),
                created_at=call.now,
                created_by=call.caller.till,
                modified_at=call.now,
                modified_by=call.caller.till,
            )
            customer.profiles.append(profile)
            for identifier in each.identifiers:
                others = self.engine.store.owners(call.org.name, identifier).values()
                profile.conflicts += [owner for owner in others if owner != customer.id]
                self.engine.store.attach(customer, profile, identifier)

    def _associate(self, call: Call, customer: Customer, body: dict[str, Any], warnings: payload.Warnings) -> None:
        till = body.get("associatedWith")
        if not till:
            return
        if call.org["associated_with_enabled"] and till in call.org.tills:
            customer.associated_with = till
        else:
            warnings.append(issue(8077))

    def _downstream(
        self,
        call: Call,
        customer: Customer,
        body: dict[str, Any],
        effects: Effects,
        warnings: payload.Warnings,
    ) -> None:
        if payload.is_true(call.headers.get("skip-downstream")):
            return
        if customer.loyalty_type == "loyalty":
            effects += run_rules(call.org, customer, "register", call.now)
        enrolled, refused = enrol(call.org, customer, body.get("loyaltyProgramEnrollments"))
        effects += enrolled
        warnings += refused
        code = body.get("referralCode")
        if code and code in call.org["referral_codes"]:
            customer.referral_code = code
            effects += run_rules(call.org, customer, "referral", call.now)

    async def update(self, call: Call) -> object:
        """Serve PUT /v2/customers/{id}."""
        source, account_id = query_source(call, unknown=3217, account=3217)
        customer = self.engine.find(call, call.path["customer_id"])
        return await self._update(call, customer, source_key(source, account_id))

    async def update_by_identifier(self, call: Call) -> object:
        """Serve PUT /v2/customers/lookup."""
        source, account_id = query_source(call, unknown=3217, account=3217)
        customer = find_by_identifier(self.engine, call, source_key(source, account_id))
        return await self._update(call, customer, source_key(source, account_id))

    async def _update(self, call: Call, customer: Customer, key: str) -> object:
        body = payload.body_object(call.body)
        profile = customer.profile(key)
        if profile is None:
            raise ApiError(8065)
        raw = next(iter(payload.profiles_of(body)), {})
        channels, warnings = payload.read_channels(raw.get("commChannels"))
        loyalty_type = payload.read_loyalty_type(body)
        if loyalty_type == "non_loyalty" and customer.loyalty_type == "loyalty":
            raise ApiError(8018)
        if self.engine.settings["put_identifiers"] == "strict":
            self._refuse_identifiers(call, customer, key, raw)
        async with self.engine.locked([customer.id]):
            if "firstName" in raw:
                profile.first_name = payload.name_text(raw["firstName"])
            if "lastName" in raw:
                profile.last_name = payload.name_text(raw["lastName"])
            profile.fields.update(payload.read_custom_fields(call.org, raw.get("fields")))
            editable = call.org["instore_channels_editable"] or call.org["dual_eligibility"]
            if profile.source != "INSTORE" or editable:
                _update_channels(profile, channels)
            customer.extended_fields.update(payload.read_extended_fields(call.org, body.get("extendedFields")))
            effects: Effects = []
            if loyalty_type == "loyalty" and customer.loyalty_type != "loyalty":
                customer.loyalty_type = "loyalty"
                effects += run_rules(call.org, customer, "convert", call.now)
            if customer.loyalty_type == "loyalty":
                effects += run_rules(call.org, customer, "update", call.now)
            enrolled, refused = enrol(call.org, customer, body.get("loyaltyProgramEnrollments"))
            effects += enrolled
            warnings += refused
            profile.modified_at, profile.modified_by = call.now, call.caller.till
            self.engine.audit(call, customer, "update")
        return self._answer(customer.id, warnings, effects, hidden=payload.is_true(call.query.get("use_async")))

    def _refuse_identifiers(self, call: Call, customer: Customer, key: str, raw: dict[str, Any]) -> None:
        for item in raw.get("identifiers") or []:
            identifier = Identifier(item.get("type"), payload.clean_value(item.get("type"), item.get("value")))
            owner = self.engine.store.owners(call.org.name, identifier).get(key)
            if owner is not None and owner != customer.id:
                raise ApiError(8007)
            if owner is None:
                raise ApiError(8008)

    def _answer(
        self, customer_id: int, warnings: payload.Warnings, effects: Effects, *, hidden: bool
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {"createdId": customer_id, "warnings": warnings}
        if not hidden:
            answer["sideEffects"] = effects
        elif self.engine.settings["async_side_effects"] == "empty":
            answer["sideEffects"] = []
        return answer


def _hides_effects(call: Call) -> bool:
    """POST hides side effects when they happen in the background or later (Capillary docs: Add customer)."""
    wait: JSON = call.headers.get("wait_for_downstream")
    waits = wait is None or payload.is_true(wait)
    return not waits or payload.is_true(call.headers.get("x-cap-direct-replay"))


def _update_channels(profile: Profile, channels: list[Channel]) -> None:
    """Replace a profile's channels by type: the last value sent for a type is the one it has."""
    for channel in channels:
        previous = next((old for old in profile.channels if old.type == channel.type), None)
        if previous is not None:
            channel.meta = {**previous.meta, **channel.meta} if previous.value == channel.value else channel.meta
            if channel.subscribed is None and previous.value == channel.value:
                channel.subscribed = previous.subscribed
            profile.channels.remove(previous)
    profile.channels.extend(channels)
