"""V2 reads: customers by identifier and by id, and the extended fields of the organisation."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from devkit.sandbox.capillary.codes import ApiError
from devkit.sandbox.capillary.engine import Call, Engine
from devkit.sandbox.capillary.model import Channel, Customer, Identifier, Profile, source_key
from devkit.sandbox.capillary.v2_lookup import find_by_identifier, query_source
from devkit.sandbox.vendor import JSON


def v2_time(seconds: float, offset_minutes: int) -> str:
    """Return epoch seconds in the cluster's zone: ``…Z`` on a UTC cluster, an offset elsewhere."""
    zone = timezone(timedelta(minutes=offset_minutes))
    text = datetime.fromtimestamp(int(seconds), zone).isoformat()
    return text.replace("+00:00", "Z")


class V2Reads:
    """The handlers of the V2 reads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def _find(self, call: Call) -> tuple[Customer, str]:
        source, account_id = query_source(call, unknown=8003, account=8011, missing=8003, allow_all=True)
        key = source_key(source, account_id)
        return find_by_identifier(self.engine, call, key), key

    async def lookup(self, call: Call) -> object:
        """Serve GET /v2/customers/lookup."""
        return {"entity": self._find(call)[0].id, "warnings": []}

    async def details(self, call: Call) -> object:
        """Serve GET /v2/customers/lookup/customerDetails."""
        customer, key = self._find(call)
        return self._view(call, customer, key)

    async def by_id(self, call: Call) -> object:
        """Serve GET /v2/customers/{id}."""
        source, account_id = query_source(call, unknown=8012, account=8011, missing=8016, allow_all=True)
        customer = self.engine.find(call, call.path["customer_id"])
        key = source_key(source, account_id)
        if key != "ALL" and customer.profile(key) is None:
            raise ApiError(8065)
        return self._view(call, customer, key)

    async def extended_fields(self, call: Call) -> object:
        """Serve GET /v2/extendedFields (Capillary docs: Get org extended fields)."""
        fields: list[JSON] = [
            {
                "id": 7 + index,
                "name": name,
                "createdBy": -1,
                "createdOn": "2017-04-14",
                "modifiedBy": -1,
                "modifiedOn": "2017-04-14",
                "label": name.replace("_", " ").title(),
                "entityType": "CUSTOMER",
                "dataType": "STRING" if allowed is None else "STANDARD_ENUM",
                "parentId": -1,
            }
            for index, (name, allowed) in enumerate(call.org["extended_fields"].items())
        ]
        return {"entity": {"CUSTOMER": fields}, "warnings": [], "errors": [], "success": True}

    def _view(self, call: Call, customer: Customer, key: str) -> dict[str, Any]:
        profiles = [profile for profile in customer.profiles if key in ("ALL", profile.key)]
        view: dict[str, Any] = {
            "id": customer.id,
            "profiles": [self._profile(customer, profile) for profile in profiles],
            "loyaltyInfo": {
                "loyaltyType": customer.loyalty_type,
                "attributionV2": {
                    "createDate": v2_time(customer.registered_at, self.engine.offset_minutes),
                    "createdBy": {"code": customer.registered_till, "type": "TILL"},
                },
                "lifetimePurchases": customer.lifetime_purchases,
            },
            "segments": {},
            "associatedWith": customer.associated_with,
            "extendedFields": customer.extended_fields,
            "cardDetails": [
                {"cardNumber": card.value, "seriesId": card.series_id, "statusLabel": card.status_label}
                for profile in customer.profiles
                for card in profile.identifiers
                if card.type == "cardnumber"
            ],
            "warnings": [],
        }
        embed = {name.strip() for name in (call.query.get("embed") or "").split(",")}
        if "points" in embed:
            view["loyaltyPrograms"] = [
                {"programId": each.program_id, "tierNumber": each.tier_number, "points": each.points}
                for each in customer.enrolments.values()
            ]
            view["points"] = customer.points
        if "customerstatus" in embed:
            view["customerStatus"] = {"label": customer.status_label}
        if "subscriptions" in embed:
            view["subscriptions"] = customer.subscriptions
        return view

    def _profile(self, customer: Customer, profile: Profile) -> dict[str, Any]:
        offset = self.engine.offset_minutes
        return {
            "firstName": profile.first_name,
            "lastName": profile.last_name,
            "attribution": {
                "createDate": v2_time(profile.created_at, offset),
                "createdBy": {"code": profile.created_by, "type": "TILL"},
                "modifiedBy": {"code": profile.modified_by, "type": "TILL"},
                "modifiedDate": v2_time(profile.modified_at, offset),
            },
            "fields": profile.fields,
            "allFields": profile.fields,
            "identifiers": [{"type": each.type, "value": each.value} for each in profile.identifiers],
            "commChannels": [_channel(channel) for channel in profile.channels],
            "source": profile.source,
            "userId": customer.id,
            "accountId": profile.account_id,
            "conflictingProfileList": profile.conflicts,
            "autoUpdateTime": v2_time(profile.modified_at, offset),
            "identifiersAll": [_all_identifier(each) for each in profile.identifiers + profile.former_identifiers],
        }


def _channel(channel: Channel) -> dict[str, JSON]:
    view: dict[str, JSON] = {
        "type": channel.type,
        "value": channel.value,
        "primary": channel.primary,
        "verified": channel.verified,
        "meta": {"residence": False, "office": False, **channel.meta},
        "attributes": {},
    }
    if channel.subscribed is not None:
        view["subscribed"] = channel.subscribed
    return view


def _all_identifier(identifier: Identifier) -> dict[str, JSON]:
    return {"type": identifier.type, "value": identifier.value, "seriesId": identifier.series_id}
