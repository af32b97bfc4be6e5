"""V1.1 customer update and get: pure functions between commands and the JSON that Capillary documents.

Its envelopes of transactions have the same form and are read here, too.

The update addresses one customer by exactly one identifier, because a second one that belongs to somebody else merges
the two for good. Its envelope has three parts: HTTP status, ``status`` of the request, ``item_status`` of the
customer; only the last one decides whether the customer was updated.

Sources: Capillary docs, Customer update V1.1; Get customer details V1.1; Authentication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.destinations.capillary.envelopes import xml_envelope
from loyalty_relay.destinations.capillary.errors import (
    CapillaryReply,
    decided,
    error_for,
    refusal_status,
    reported_errors,
    unknown,
    unreadable,
)
from loyalty_relay.destinations.capillary.fields import PRIORITIES, V1_IDENTIFIERS, scalar, v1_moment
from loyalty_relay.destinations.capillary.responses import member_id, number, side_effect, snake
from loyalty_relay.http.messages import NotJson, json_of
from loyalty_relay.model.commands import CustomerRef
from loyalty_relay.model.errors import RelayError, VendorRejected
from loyalty_relay.model.outcomes import Notice
from loyalty_relay.model.phones import digits, to_e164

SURVIVOR = "91009"
"""Warning: the customer was merged away and the survivor is shown."""

REQUEST_CODES = frozenset({"200", "201", "500"})
"""Codes that count items (all, some, none succeeded) and mean nothing for any of them."""

_PLAIN = {
    "first_name": "firstname",
    "last_name": "lastname",
    "registered_till": "registered_till",
    "associated_with": "associated_with",
}


class AllFailed(VendorRejected):
    """The request failed without a word about the customer: the item is missing or an empty object."""


def address(
    customer: CustomerRef, loyalty_id: str | None, *, allow_merge: bool, country: str | None
) -> dict[str, str] | None:
    """Return the customer in V1.1's members: by id, else by one identifier; by all of them to allow a merge.

    None when the customer has no identifier of V1.1's.
    """
    given = {}
    for ours, theirs in V1_IDENTIFIERS.items():
        value = customer.identifier(ours)
        if value:
            number = to_e164(value, country) if ours == "mobile" else None
            given[theirs] = digits(number) if number else value.strip()
    if loyalty_id is not None:
        return {"id": loyalty_id, **(given if allow_merge else {})}
    if not given:
        return None
    return given if allow_merge else dict([next(iter(given.items()))])


def update(who: Mapping[str, str], fields: Mapping[str, Any], region: str | None) -> dict[str, Any]:
    """Return the body of POST /v1.1/customer/update. Values are not None: V1.1 ignores an empty text."""
    customer: dict[str, Any] = dict(who)
    for ours, theirs in _PLAIN.items():
        if ours in fields:
            customer[theirs] = fields[ours]
    if "registered_on" in fields:
        customer["registered_on"] = v1_moment(fields["registered_on"], region)
    if "loyalty_type" in fields:
        customer["type"] = str(fields["loyalty_type"]).upper()
    if "fraud_status" in fields:
        customer["fraud_status"] = {"status": str(fields["fraud_status"]).upper()}
    if subscriptions := _subscriptions(fields):
        customer["subscriptions"] = {"subscription": subscriptions}
    for family in ("custom_fields", "extended_fields"):
        pairs = [
            {"name": name.removeprefix(family + "."), "value": scalar(value)}
            for name, value in fields.items()
            if name.startswith(family + ".")
        ]
        if pairs:
            customer[family] = {"field": pairs}
    return {"root": {"customer": [customer]}}


def _subscriptions(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    listed = []
    for name, value in fields.items():
        family, _, rest = name.partition(".")
        channel, _, priority = rest.partition(".")
        if family == "subscriptions" and priority in PRIORITIES:
            listed.append(
                {
                    "priority": PRIORITIES[priority],
                    "scope": "all",
                    "is_subscribed": "1" if value else "0",
                    "channel": channel,
                }
            )
    return listed


@dataclass(frozen=True, slots=True)
class Item:
    """One customer of an answer: the id, the vendor's warnings, and everything else in our words."""

    loyalty_id: str | None
    notices: tuple[Notice, ...]
    details: dict[str, Any]

    @property
    def survivor(self) -> bool:
        return any(notice.code == SURVIVOR for notice in self.notices)


def read(reply: CapillaryReply) -> Item:
    """Return the customer of a V1.1 response; see ``read_items``."""
    (item, *_), warnings = read_items(reply, "customers", "customer")
    return Item(member_id(item.get("user_id")), warnings, details(item))


def read_items(reply: CapillaryReply, group: str, kind: str) -> tuple[list[dict[str, Any]], tuple[Notice, ...]]:
    """Return the items of a V1.1 response that succeeded, of which there is at least one, and the first one's warnings.

    Raises the typed error of the first item for anything else.
    Taken in every form: JSON or XML; one item as object or in a list; numbers, booleans and codes as such or as texts;
    empty collections as ``[]``, ``{}``, ``{"field": []}`` or missing. Without ``item_status`` the status of the request
    decides, as in the table of the vendor's page: 200, and as many successes as customers.
    """
    body = _body(reply)
    items = _items(body, group, kind)
    status = items[0].get("item_status") if items else None
    if isinstance(status, Mapping) and status:
        if done := [item for item in items if _succeeded(item.get("item_status"))]:
            return done, _warnings(done[0]["item_status"], reply)
        code = _text(status.get("code"))
        raise (
            _all_failed(code, status.get("message"), reply)
            if code in REQUEST_CODES
            else error_for(code, status.get("message"), reply)
        )
    if found := reported_errors(body):
        raise decided(found, reply)
    summary = refusal_status(body)
    if summary is None:
        raise _shapeless(reply, body)
    code, message = summary
    if code == "200" and items and _all_succeeded(body["response"]["status"]):
        return items, ()
    raise _all_failed(code, message, reply) if code in REQUEST_CODES else error_for(code, message, reply)


def read_organisation(reply: CapillaryReply, group: str, kind: str) -> list[dict[str, Any]]:
    """Return a list of the organisation's: tills, payment modes, settings. Raises the typed error of a refusal."""
    body = _body(reply)
    if found := reported_errors(body):
        raise decided(found, reply)
    summary = refusal_status(body)
    if summary is None:
        raise _shapeless(reply, body)
    if summary[0] != "200":
        raise error_for(*summary, reply)
    organisation = body["response"].get("organization")
    return listed(organisation.get(group), kind) if isinstance(organisation, Mapping) else []


def _body(reply: CapillaryReply) -> Any:
    unread = json_of(reply.answer)
    if not isinstance(unread, NotJson):
        return unread
    body = xml_envelope(reply.answer.content)
    if body is None:
        raise unreadable(reply, unread)
    return body


def _shapeless(reply: CapillaryReply, body: Any) -> RelayError:
    unread = json_of(reply.answer)
    return unreadable(reply, unread) if isinstance(unread, NotJson) else unknown(reply, body)


def _succeeded(status: Any) -> bool:
    return isinstance(status, Mapping) and _true(status.get("success"))


def _all_succeeded(status: Mapping[str, Any]) -> bool:
    """Return whether the counts of a request's status, where it has them, count every customer as a success."""
    total, succeeded = number(status.get("total")), number(status.get("success_count"))
    counted = succeeded is None or succeeded >= (total or 1)
    return counted and (status.get("success") is None or _true(status["success"]))


def _all_failed(code: str, message: Any, reply: CapillaryReply) -> RelayError:
    """Return the error for a 500, by which V1.1 reports that every item failed; an outage is an HTTP status."""
    if reply.answer.status_code >= 500:
        return error_for(str(reply.answer.status_code), message, reply)
    return AllFailed(f"{code} {reply.text(message)}".strip(), code=code, request_id=reply.request_id)


def _items(body: Any, group: str, kind: str) -> list[dict[str, Any]]:
    response = body.get("response") if isinstance(body, Mapping) else None
    return listed(response.get(group), kind) if isinstance(response, Mapping) else []


def listed(value: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects below a member of a collection, which comes as a list, an object, or not at all."""
    inner = value.get(name) if isinstance(value, Mapping) else value
    items = inner if isinstance(inner, list) else [inner]
    return [dict(item) for item in items if isinstance(item, Mapping) and item]


def _warnings(status: Mapping[str, Any], reply: CapillaryReply) -> tuple[Notice, ...]:
    """Return bare codes, whose texts are appended to the item's message; some responses have objects instead."""
    given = status.get("warnings")
    inner = given.get("warning") if isinstance(given, Mapping) else given
    notices = []
    for warning in inner if isinstance(inner, list) else [inner]:
        if isinstance(warning, Mapping):
            notices.append(Notice(_text(warning.get("code")), reply.text(warning.get("message"))))
        elif warning not in (None, ""):
            notices.append(Notice(_text(warning), reply.text(status.get("message"))))
    return tuple(notices)


def details(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the customer as V1.1 has them, typed: points, slabs, summaries, fields, subscriptions, side effects.

    Times are ``YYYY-MM-DD HH:MM:SS`` of the cluster's clock, as the vendor gives them.
    """
    typed: dict[str, Any] = {
        name: number(item[name])
        for name in ("lifetime_points", "loyalty_points", "lifetime_purchases")
        if number(item.get(name)) is not None
    }
    for name in ("current_slab", "tier_expiry_date", "registered_on", "updated_on", "type", "source"):
        if item.get(name):
            typed[name] = str(item[name]).lower() if name == "type" else str(item[name])
    fraud = item.get("fraud_status")
    fraud = fraud.get("status") if isinstance(fraud, Mapping) else fraud
    if fraud:
        typed["fraud_status"] = str(fraud)
    typed["points_summaries"] = [_summary(s) for s in listed(item.get("points_summaries"), "points_summary")]
    for family in ("custom_fields", "extended_fields"):
        typed[family] = {str(f["name"]): f.get("value") for f in listed(item.get(family), "field") if f.get("name")}
    typed["subscriptions"] = [
        {
            "channel": _text(s.get("channel")).lower(),
            "priority": _text(s.get("priority")).lower(),
            "scope": _text(s.get("scope")).lower(),
            "subscribed": _true(s.get("status", s.get("is_subscribed"))),
        }
        for s in listed(item.get("subscriptions"), "subscription")
    ]
    typed["side_effects"] = [side_effect(e) for e in listed(item.get("side_effects"), "effect")]
    return typed


_SUMMARY_TEXTS = ("current_slab", "next_slab", "next_slab_description", "slab_expiry_date")


def _summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a points summary; no next slab, which the vendor writes as "" and "-1", is None."""
    typed: dict[str, Any] = {}
    for name, value in summary.items():
        ours = {"slabSNo": "slab_serial_number"}.get(name) or snake(name)
        if ours in _SUMMARY_TEXTS:
            typed[ours] = str(value) if value else None
        elif ours == "next_slab_serial_number" and number(value) == -1:
            typed[ours] = None
        else:
            typed[ours] = number(value)
    return typed


def _true(value: Any) -> bool:
    return value is True or str(value).strip().lower() in ("true", "1")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
