"""Bodies of V2 requests.

Sources: Capillary docs, Add customer; Update customer details; Change identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loyalty_relay.destinations.capillary.fields import (
    CARD_ATTRIBUTES,
    CONTACT_CHANNELS,
    MAX_EMAIL,
    MAX_NAME,
    META,
    SUBSCRIPTION_CHANNELS,
    channel_type,
    identifier_type,
    offset_moment,
    scalar,
    truth,
    v2_moment,
)
from loyalty_relay.destinations.capillary.options import Options
from loyalty_relay.model.commands import Credits, CustomerRef, Identifier
from loyalty_relay.model.outcomes import Notice
from loyalty_relay.model.phones import digits, to_e164


class Writer:
    """Builds V2 bodies. ``country``: where phone numbers without a country code are from; ``region``: the cluster."""

    def __init__(self, *, region: str | None, country: str | None) -> None:
        self.region = region
        self.country = country

    def create(
        self, customer: CustomerRef, fields: Mapping[str, Any], credits: Credits, options: Options
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the body of POST /v2/customers, and the names of the fields it carries.

        ``None`` values have nothing to empty on a new member and are left out. Bulk consent travels as ``subscribed``
        of its channel, and only where it was given: silence is no consent. What a POST cannot carry is not in the
        names.
        """
        reply = {name: value for name, value in fields.items() if value is not None}
        channels = self._channels(reply)
        identifiers = self._identifiers(customer, reply)
        consented = _consent(reply, channels, identifiers)
        profile: dict[str, Any] = {
            **_names(reply),
            "identifiers": identifiers,
            "commChannels": channels,
            "fields": _family(reply, "custom_fields"),
            "source": options.source,
        }
        if options.account_id:
            profile["accountId"] = options.account_id
        body: dict[str, Any] = {"profiles": [_filled(profile)]}
        if "loyalty_type" in reply:
            body["loyaltyInfo"] = {"loyaltyType": reply["loyalty_type"]}
        if "associated_with" in reply:
            body["associatedWith"] = reply["associated_with"]
        if extended := _family(reply, "extended_fields"):
            body["extendedFields"] = extended
        if credits.enrollments:
            body["loyaltyProgramEnrollments"] = _enrollments(credits)
        if credits.referral_code:
            body["referralCode"] = credits.referral_code
        if "status_label" in reply:
            body["statusLabel"] = reply["status_label"]
        if "registered_on" in reply:
            body["createDate"] = v2_moment(reply["registered_on"], self.region)
        carried = tuple(
            name
            for name in reply
            if name not in ("registered_till", "fraud_status")
            and (not name.startswith("subscriptions.") or name in consented)
        )
        return body, carried

    def update(self, fields: Mapping[str, Any], credits: Credits) -> dict[str, Any]:
        """Return the body of PUT /v2/customers/{id}. ``None`` empties a name or a custom field as an empty text."""
        channels = self._channels(fields)
        profile = {**_names(fields), "fields": _family(fields, "custom_fields"), "commChannels": channels}
        body: dict[str, Any] = {"profiles": [_filled(profile)]}
        if "loyalty_type" in fields:
            body["loyaltyInfo"] = {"loyaltyType": fields["loyalty_type"]}
        if extended := _family(fields, "extended_fields"):
            body["extendedFields"] = extended
        if credits.enrollments:
            body["loyaltyProgramEnrollments"] = _enrollments(credits)
        return body

    def identifier_value(self, kind: str, value: str) -> str:
        """Return a value in the form that Capillary keeps: mobiles as digits with country code."""
        return self.mobile(value) if kind == "mobile" else value.strip()

    def mobile(self, value: str) -> str:
        """Return the digits of a phone number; what is not one is sent as it is, for the vendor to name."""
        number = to_e164(value, self.country)
        return value.strip() if number is None else digits(number)

    def _identifiers(self, customer: CustomerRef, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return those of the command; a contact that is also state is the state's, which is newer."""
        listed = [
            *(Identifier(kind, fields[name]) for name, kind in CONTACT_CHANNELS.items() if fields.get(name)),
            *(i for i in customer.identifiers if not fields.get({"mobile": "phone", "email": "email"}.get(i.type, ""))),
        ]
        return [self._identifier(identifier) for identifier in listed]

    def _identifier(self, identifier: Identifier) -> dict[str, Any]:
        kind = identifier_type(identifier.type) or identifier.type
        extra = {
            theirs: identifier.attributes[ours]
            for ours, theirs in CARD_ATTRIBUTES.items()
            if identifier.attributes.get(ours) is not None
        }
        return {"type": kind, "value": self.identifier_value(kind, identifier.value), **extra}

    def _channels(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one entry per channel value.

        An e-mail or phone field is the primary channel of its type, unless ``channels.TYPE`` has it in more detail.
        """
        channels = []
        for name, value in fields.items():
            kind = channel_type(name.removeprefix("channels.")) if name.startswith("channels.") else None
            if kind is not None:
                channels += [self._channel(kind, entry) for entry in value or ()]
            elif name in CONTACT_CHANNELS and value and f"channels.{CONTACT_CHANNELS[name]}" not in fields:
                channels.append(self._channel(CONTACT_CHANNELS[name], {"value": value, "primary": True}))
        return channels

    def _channel(self, kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        channel: dict[str, Any] = {"type": kind, "value": self.identifier_value(kind, str(entry["value"]))}
        for flag in ("primary", "verified"):
            if entry.get(flag) is not None:
                channel[flag] = truth(entry[flag])
        if entry.get("subscribed") is not None:
            channel["subscribed"] = entry["subscribed"]
        if entry.get("meta") is not None:
            meta = {META.get(name, name): value for name, value in entry["meta"].items()}
            # The table calls these texts; lastViewedDate is one anyway.
            channel["meta"] = {name: scalar(value) for name, value in meta.items()}
        return channel


def _consent(
    fields: Mapping[str, Any], channels: list[dict[str, Any]], identifiers: list[dict[str, Any]]
) -> frozenset[str]:
    """Put bulk consent onto the channels; return the names that found one."""
    placed = set()
    for ours, kind in SUBSCRIPTION_CHANNELS.items():
        name = f"subscriptions.{ours}.bulk"
        if name not in fields:
            continue
        known = [channel for channel in channels if channel["type"] == kind]
        if not known:
            known = [{"type": kind, "value": i["value"]} for i in identifiers if i["type"] == kind][:1]
            channels += known
        for channel in known:
            channel.setdefault("subscribed", fields[name])
        if known:
            placed.add(name)
    return frozenset(placed)


def _names(fields: Mapping[str, Any]) -> dict[str, str]:
    named = {"first_name": "firstName", "last_name": "lastName"}
    return {theirs: fields[ours] or "" for ours, theirs in named.items() if ours in fields}


def _family(fields: Mapping[str, Any], family: str) -> dict[str, Any]:
    prefix = family + "."
    return {
        name.removeprefix(prefix): "" if value is None else scalar(value)
        for name, value in fields.items()
        if name.startswith(prefix)
    }


def _filled(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in profile.items() if value not in ([], {})}


def _enrollments(credits: Credits) -> list[dict[str, Any]]:
    listed = []
    for e in credits.enrollments:
        points = e.loyalty_points
        entry = {
            "programId": e.program_id,
            "tierNumber": e.tier_number,
            "loyaltyPoints": int(points) if points is not None and float(points).is_integer() else points,
            "tierExpiryDate": e.tier_expires_at and offset_moment(e.tier_expires_at),
            "pointsExpiryDate": e.points_expire_at and offset_moment(e.points_expire_at),
        }
        listed.append({name: value for name, value in entry.items() if value is not None})
    return listed


def length_notices(fields: Mapping[str, Any], identifiers: Iterable[Identifier] = ()) -> list[Notice]:
    """Return notices of values that Capillary cuts without notice (docs: Add customer). They are sent whole."""
    notices = [
        Notice("name_too_long", f"the programme keeps the first {MAX_NAME} characters", name)
        for name in ("first_name", "last_name")
        if isinstance(fields.get(name), str) and len(fields[name]) > MAX_NAME
    ]
    emails: dict[str, list[Any]] = {
        "email": [fields.get("email")],
        "identifiers.email": [i.value for i in identifiers if i.type == "email"],
    }
    emails["channels.email"] = [entry.get("value") for entry in fields.get("channels.email") or ()]
    notices += [
        Notice("email_too_long", f"the programme keeps the first {MAX_EMAIL} characters", name)
        for name, values in emails.items()
        if any(isinstance(value, str) and len(value) > MAX_EMAIL for value in values)
    ]
    return notices
