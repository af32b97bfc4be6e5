"""V1.1: the shapes of its responses, quirks included (Capillary docs: V1.1 customer/update)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from devkit.sandbox.capillary.codes import V11_TEXTS
from devkit.sandbox.capillary.config import Org
from devkit.sandbox.capillary.model import Customer
from devkit.sandbox.vendor import JSON

NEVER = "2112-09-11 23:59:59"
ALL_FAILED = "All requests have failed due to errors"
SOME_FAILED = "Some requests have failed due to errors"


def local_time(seconds: float, offset_minutes: int) -> str:
    """Return epoch seconds as the cluster's clock shows them, without an offset."""
    return (datetime.fromtimestamp(int(seconds), UTC) + timedelta(minutes=offset_minutes)).strftime("%Y-%m-%d %H:%M:%S")


def parse_local_time(text: str, offset_minutes: int) -> float:
    """Return epoch seconds of ``YYYY-MM-DD HH:MM:SS`` on the cluster's clock. Raises ValueError."""
    moment = datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return (moment - timedelta(minutes=offset_minutes)).timestamp()


def item_status(code: str, message: str, warnings: list[str], *, success: bool) -> dict[str, Any]:
    """Return an item_status: text booleans, warnings as bare codes whose texts end the message."""
    return {
        "success": "true" if success else "false",
        "code": code,
        "message": ", ".join([message, *(V11_TEXTS[warning] for warning in warnings)]),
        "warnings": {"warning": list(warnings)},
    }


def failed_item(code: str, given: dict[str, Any], *, empty: bool) -> dict[str, Any]:
    """Return a failed item; the vendor's own may be an empty object."""
    if empty:
        return {}
    identifiers = {name: given.get(name) or None for name in ("mobile", "email", "external_id")}
    return {**identifiers, "item_status": item_status(code, V11_TEXTS[code], [], success=False)}


def envelope(items: list[dict[str, Any]], succeeded: int) -> dict[str, Any]:
    """Return the answer to a list of items: 200 all succeeded, 201 some failed, 500 all failed."""
    code, message = 200, "Success"
    if succeeded < len(items):
        code, message = (201, SOME_FAILED) if succeeded else (500, ALL_FAILED)
    status = {
        "success": "true" if succeeded else "false",
        "code": code,
        "message": message,
        "total": str(len(items)),
        "success_count": str(succeeded),
    }
    return {"response": {"status": status, "customers": {"customer": items}}}


def refusal(code: int, message: str, *, client: bool) -> dict[str, Any]:
    """Return the answer to a request that was refused as a whole.

    A bad or expired token has success "true" (Capillary docs: Authentication); a client without access gets a
    number and a boolean in place of texts.
    """
    if code == 403 and client:
        inner: dict[str, Any] = {
            "code": 403,
            "message": message,
            "success": False,
            "warnings": {"warning": []},
        }
        return {"response": {"status": inner}}
    success = "true" if code in (401, 498) else "false"
    return {"response": {"status": {"success": success, "code": str(code), "message": message}, "customers": None}}


def customer_item(org: Org, customer: Customer, offset_minutes: int, effects: list[dict[str, JSON]]) -> dict[str, Any]:
    """Return a customer as an item of add, update and get, without its item_status."""
    profile = next((each for each in customer.profiles if each.source == "INSTORE"), customer.profiles[0])
    summaries = [
        _summary(org, customer, program)
        for program in org["programs"]
        if program is org["programs"][0] or program["id"] in customer.enrolments
    ]
    points = _number(customer.points)
    return {
        "user_id": customer.id,
        "firstname": profile.first_name,
        "lastname": profile.last_name,
        "mobile": customer.identifier("mobile"),
        "email": customer.identifier("email"),
        "external_id": customer.identifier("externalId"),
        "lifetime_points": points,
        "loyalty_points": points,
        "current_slab": summaries[0]["currentSlab"] if summaries else "",
        "tier_expiry_date": NEVER,
        "points_summaries": {"points_summary": summaries},
        "lifetime_purchases": _number(customer.lifetime_purchases),
        "registered_on": local_time(customer.registered_at, offset_minutes),
        "updated_on": local_time(customer.updated_at, offset_minutes),
        "type": customer.loyalty_type.upper(),
        "source": profile.source.lower(),
        "fraud_status": customer.fraud_status,
        "reason": "",
        "custom_fields": {"field": _fields(profile.fields)},
        "extended_fields": {"field": _fields(customer.extended_fields)},
        "subscriptions": {"subscription": list(customer.subscriptions)},
        "side_effects": {"effect": [_effect(customer, effect) for effect in effects]},
    }


def _summary(org: Org, customer: Customer, program: dict[str, Any]) -> dict[str, str]:
    enrolment = customer.enrolments.get(program["id"])
    tiers = program["tiers"]
    number = enrolment.tier_number if enrolment else 1
    following = tiers[number] if number < len(tiers) else ""
    base = program is org["programs"][0]
    points = str(_number(customer.points if base else enrolment.points if enrolment else 0))
    return {
        "programId": str(program["id"]),
        "redeemed": "0",
        "expired": "0",
        "returned": "0",
        "adjusted": "0",
        "lifetimePoints": points,
        "loyaltyPoints": points,
        "cumulativePurchases": str(_number(customer.lifetime_purchases)),
        "currentSlab": tiers[number - 1],
        "nextSlab": following,
        "nextSlabSerialNumber": str(number + 1) if following else "-1",
        "nextSlabDescription": following,
        "slabSNo": str(number),
        "slabExpiryDate": (enrolment.tier_expiry if enrolment else None) or NEVER,
        "totalPoints": "",
    }


def _effect(customer: Customer, effect: dict[str, JSON]) -> dict[str, JSON]:
    names = {
        "awardedPoints": "awarded_points",
        "awardedValue": "awarded_value",
        "couponCode": "coupon_code",
        "couponType": "coupon_type",
        "validTill": "valid_till",
        "description": "description",
        "id": "id",
        "type": "type",
    }
    view = {name: effect[key] for key, name in names.items() if key in effect}
    if effect["type"] == "points":
        view |= {"total_points": _number(customer.points), "customer_id": str(customer.id)}
    if "awarded_value" in view:
        view["awarded_value"] = str(view["awarded_value"])
    return view


def _fields(fields: dict[str, JSON]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in fields.items()]


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value
