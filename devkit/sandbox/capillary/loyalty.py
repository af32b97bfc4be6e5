"""The loyalty engine of the Capillary sandbox: rules, enrolments, and the side effects they cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from devkit.sandbox.capillary.codes import issue
from devkit.sandbox.capillary.config import Org
from devkit.sandbox.capillary.model import Customer, Enrolment
from devkit.sandbox.vendor import JSON

Effects = list[dict[str, JSON]]
FIRST_COUPON_ID = 1239000001


def run_rules(org: Org, customer: Customer, event: str, now: float) -> Effects:
    """Run the organisation's rules for an event ("register", "update", "convert", "referral").

    A rule acts once per customer, so a repeated update has no new effect (an assumption of the sandbox).
    """
    effects: Effects = []
    for rule in org["rules"]:
        if rule["on"] == event and rule["name"] not in customer.rules_done:
            customer.rules_done.append(rule["name"])
            effects.append(_effect(customer, rule, now))
    return effects


def award_points(customer: Customer, points: float) -> dict[str, JSON]:
    """Credit points, and return the side effect."""
    customer.points += points
    return {
        "entityType": "USER",
        "rawAwardedPoints": float(points),
        "awardedPoints": int(points),
        "type": "points",
    }


def _effect(customer: Customer, rule: dict[str, Any], now: float) -> dict[str, JSON]:
    kind = rule.get("type", "points")
    if kind == "alternate_currency":
        identifier = str(rule.get("identifier", "cur1"))
        value = float(rule["value"])
        customer.currencies[identifier] = customer.currencies.get(identifier, 0.0) + value
        return {
            "entityType": "USER",
            "rawAwardedValue": value,
            "alternateCurrencyIdentifier": identifier,
            "alternateCurrencyName": str(rule.get("currency_name", rule["name"])),
            "awardedValue": int(value),
            "type": "alternate_currency",
        }
    if kind == "coupon":
        code = f"{rule.get('code', 'WELCOME')}{customer.id % 100000:05d}"
        until = datetime.fromtimestamp(now, UTC) + timedelta(days=float(rule.get("valid_days", 30)))
        coupon: dict[str, JSON] = {
            "id": FIRST_COUPON_ID + (customer.id % 1000000) * 100 + len(customer.coupons),
            "entityType": "USER",
            "couponType": "PE",
            "couponCode": code,
            "validTill": until.strftime("%Y-%m-%dT23:59:59Z"),
            "description": str(rule.get("description", rule["name"])),
            "discountCode": "NO_VALUE",
            "trimmedCouponCode": code,
            "type": "coupon",
        }
        customer.coupons.append(coupon)
        return coupon
    return award_points(customer, float(rule["value"]))


def enrol(org: Org, customer: Customer, raw: object) -> tuple[Effects, list[dict[str, JSON]]]:
    """Enrol a customer in programmes; one already joined is left alone.

    Points of an enrolment are credited. An unknown programme or tier is warned about with 8089 (an assumption),
    a tier that ends before the programme's own membership with 1302.
    """
    effects: Effects = []
    warnings: list[dict[str, JSON]] = []
    for item in raw if isinstance(raw, list) else []:
        program = org.program(item.get("programId")) if isinstance(item, dict) else None
        tier = item.get("tierNumber", 1) if isinstance(item, dict) else None
        if program is None or not isinstance(tier, int) or not 1 <= tier <= len(program["tiers"]):
            warnings.append(issue(8089))
            continue
        if program["id"] in customer.enrolments:
            continue
        points = item.get("loyaltyPoints") or 0
        tier_expiry = item.get("tierExpiryDate")
        membership = program.get("membership_expiry")
        if membership and tier_expiry and str(tier_expiry)[:10] < str(membership)[:10]:
            warnings.append(issue(1302))
        customer.enrolments[program["id"]] = Enrolment(
            program["id"], tier, float(points), tier_expiry, item.get("pointsExpiryDate")
        )
        if points:
            effects.append(award_points(customer, float(points)))
    return effects, warnings
