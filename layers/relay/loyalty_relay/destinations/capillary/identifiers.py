"""The owner of an identifier, and giving a member another one.

A member's identifier is replaced only when no other member has the new one anywhere: Capillary would merge the two
members for good (Capillary docs: Change identifier).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loyalty_relay.destinations.capillary.codes import undone
from loyalty_relay.destinations.capillary.errors import CapillaryReply, MergedAway, read_v2
from loyalty_relay.destinations.capillary.options import Options
from loyalty_relay.destinations.capillary.responses import member_id, read_warnings
from loyalty_relay.destinations.capillary.session import CapillarySession
from loyalty_relay.http.messages import build_request, path_segment
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CustomerNotFound, InvalidCommand, VendorRejected
from loyalty_relay.model.outcomes import Notice


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a change.

    ``reply``: the response where the vendor accepted the request. ``refused``: the vendor did not carry it out.
    """

    notice: Notice
    reply: CapillaryReply | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """``value`` is to be the member's only identifier of ``kind`` in the source of ``options``."""

    kind: str
    value: str
    loyalty_id: str
    options: Options


def owner(
    session: CapillarySession, customers: str, kind: str, value: str, place: Mapping[str, str], deadline: Deadline
) -> str | None:
    """Return the member with this identifier in ``place`` (a source, or ALL), or None: GET /v2/customers/lookup."""
    request = build_request(
        api="v2-read",
        method="GET",
        url=f"{customers}/lookup",
        params={**place, "identifierName": kind, "identifierValue": value},
    )
    try:
        return session.exchange(
            request, lambda reply: member_id(read_v2(reply, "entity")["entity"]), deadline, values=(value,)
        )
    except CustomerNotFound:
        return None


def change(session: CapillarySession, customers: str, wanted: Change, field: str, deadline: Deadline) -> Changed:
    """Replace the identifier.

    A refusal by the vendor, as an error or as a warning, is not raised: the channel can still be updated.
    """
    place, url = wanted.options.place(), f"{customers}/{path_segment(wanted.loyalty_id)}"
    try:
        other = owner(session, customers, wanted.kind, wanted.value, {"source": "ALL"}, deadline)
    except MergedAway as merged:
        other = merged.survivor or "merged"
    if other is not None and other != wanted.loyalty_id:
        return Changed(Notice("identifier_not_updated", "another member has it; the two are not merged", field))
    current = _current(session, url, wanted, deadline)
    if wanted.value in current:
        return Changed(Notice("identifier_unchanged", "the member is found by it already", field))
    body = {
        "add": [{"type": wanted.kind, "value": wanted.value}],
        **({"remove": [{"type": wanted.kind, "value": value} for value in current]} if current else {}),
    }
    request = build_request(
        api="v2-identifier",
        method="POST",
        url=f"{url}/changeIdentifier",
        headers=wanted.options.headers(),
        params=dict(place),
        json=body,
    )

    def read(reply: CapillaryReply) -> tuple[CapillaryReply, tuple[Notice, ...]]:
        return reply, read_warnings(read_v2(reply, "createdId", "success", write=True), reply.values)

    try:
        reply, warnings = session.exchange(request, read, deadline, values=(wanted.value, *current))
    except (VendorRejected, InvalidCommand) as refused:
        return _refused(refused.code, field)
    names = (field, f"identifiers.{wanted.kind}")
    if code := next((warning.code for warning in warnings if undone(warning.code, names)), None):
        return _refused(code, field, reply)
    return Changed(Notice("identifier_changed", "the member is found by the new one now", field), reply)


def _refused(code: str | None, field: str, reply: CapillaryReply | None = None) -> Changed:
    summary = f"the programme refused the change with code {code}"
    return Changed(Notice("identifier_not_updated", summary, field), reply, refused=True)


def _current(session: CapillarySession, url: str, wanted: Change, deadline: Deadline) -> list[str]:
    """Return the member's identifiers of the kind in this source account."""
    options = wanted.options
    request = build_request(api="v2-read", method="GET", url=url, params=dict(options.place()))
    body = session.exchange(request, lambda reply: read_v2(reply, "id"), deadline, values=(wanted.value,))
    found = []
    profiles = body.get("profiles")
    for profile in profiles if isinstance(profiles, list) else ():
        if not isinstance(profile, Mapping) or profile.get("source") not in (None, options.source):
            continue
        if profile.get("accountId") and profile["accountId"] != options.account_id:
            continue
        listed = profile.get("identifiers")
        found += [
            str(entry.get("value"))
            for entry in (listed if isinstance(listed, list) else ())
            if isinstance(entry, Mapping) and entry.get("type") == wanted.kind and entry.get("value")
        ]
    return list(dict.fromkeys(found))
