"""Who is meant: members by loyalty id and by identifier, and who is left of a merge.

Sources: Capillary docs, Get customer id; Get customer details; Get customer details V1.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.capillary import v1
from loyalty_relay.destinations.capillary.errors import MergedAway, read_v2
from loyalty_relay.destinations.capillary.fields import LOOKUPS
from loyalty_relay.destinations.capillary.identifiers import owner
from loyalty_relay.destinations.capillary.options import Options, place_of
from loyalty_relay.destinations.capillary.requests import Writer
from loyalty_relay.destinations.capillary.responses import member_id
from loyalty_relay.destinations.capillary.session import CapillarySession
from loyalty_relay.http.messages import build_request, path_segment
from loyalty_relay.model.commands import CustomerRef, Identifier
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import AmbiguousOutcome, CustomerNotFound


class Members:
    """The members of one organisation, as one source account sees them."""

    def __init__(self, session: CapillarySession, destination: Destination, writer: Writer) -> None:
        self._session = session
        self._writer = writer
        self._profile = Options.of(destination, {}).profile
        self._v2 = f"{destination.host}/v2/customers"
        self._v1 = f"{destination.host}/v1.1/customer"
        self._source_id_is_external_id = bool(destination.options.get("source_id_as_external_id"))

    def find(self, customer: CustomerRef, deadline: Deadline) -> str | None:
        """Return the loyalty id in the customer's profile, of the survivor after a merge; None when unknown.

        The profile is by default that of the connection.
        Raises AmbiguousOutcome when the identifiers belong to different members: nothing is merged to find out.
        """
        if customer.loyalty_id is not None:
            found = self._by_id(customer.loyalty_id, customer, deadline)
            if found is not None:
                return found
        place = self._place(customer)
        owners = {self._lookup(identifier, place, deadline) for identifier in self._identifiers(customer)} - {None}
        if len(owners) > 1:
            raise AmbiguousOutcome("the identifiers belong to different members; nothing was changed")
        return owners.pop() if owners else None

    def shown(self, loyalty_id: str, customer: CustomerRef, deadline: Deadline) -> Mapping[str, Any] | None:
        """Return contacts and names in the customer's profile by our field names; None where no such member is."""
        request = self._request(loyalty_id, customer)
        try:
            return self._session.exchange(request, lambda reply: _shown(read_v2(reply, "id")), deadline)
        except (CustomerNotFound, MergedAway):
            return None

    def survivor(self, loyalty_id: str | None, customer: CustomerRef, deadline: Deadline) -> str | None:
        """Return the survivor of a merge: V1.1 shows it for a merged id, else the identifiers lead there."""
        if loyalty_id is not None:
            request = build_request(
                api="v1-read", method="GET", url=f"{self._v1}/get", params={"format": "json", "id": loyalty_id}
            )
            try:
                found = self._session.exchange(request, v1.read, deadline).loyalty_id
            except (CustomerNotFound, v1.AllFailed):
                found = None
            if found is not None and found != loyalty_id:
                return found
        return self.find(replace(customer, loyalty_id=None), deadline)

    def _place(self, customer: CustomerRef) -> dict[str, str]:
        return place_of(customer.profile or self._profile)

    def _by_id(self, loyalty_id: str, customer: CustomerRef, deadline: Deadline) -> str | None:
        request = self._request(loyalty_id, customer)
        try:
            return self._session.exchange(request, lambda reply: member_id(read_v2(reply, "id")["id"]), deadline)
        except CustomerNotFound:
            return None
        except MergedAway as merged:
            return merged.survivor or self.survivor(loyalty_id, CustomerRef(profile=customer.profile), deadline)

    def _request(self, loyalty_id: str, customer: CustomerRef) -> httpx.Request:
        return build_request(
            api="v2-read",
            method="GET",
            url=f"{self._v2}/{path_segment(loyalty_id)}",
            params=dict(self._place(customer)),
        )

    def _lookup(self, identifier: Identifier, place: Mapping[str, str], deadline: Deadline) -> str | None:
        kind = LOOKUPS[identifier.type]
        value = self._writer.identifier_value(kind, identifier.value)
        try:
            return owner(self._session, self._v2, kind, value, place, deadline)
        except MergedAway as merged:
            if merged.survivor is None:
                raise
            return merged.survivor

    def _identifiers(self, customer: CustomerRef) -> list[Identifier]:
        """Return those that can be looked up, each once, the most trusted first."""
        given = {(identifier.type, identifier.value) for identifier in customer.identifiers}
        if self._source_id_is_external_id and customer.source_id:
            given.add(("external_id", customer.source_id))
        order = list(LOOKUPS)
        known = [Identifier(kind, value) for kind, value in sorted(given) if kind in LOOKUPS]
        return sorted(known, key=lambda identifier: order.index(identifier.type))


def _shown(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return contacts and names of the one profile of a response, by our field names."""
    profiles = body.get("profiles")
    profile = profiles[0] if isinstance(profiles, list) and len(profiles) == 1 else None
    if not isinstance(profile, dict):
        return {}
    names = {"firstName": "first_name", "lastName": "last_name"}
    shown = {ours: profile[theirs] for theirs, ours in names.items() if theirs in profile}
    listed = profile.get("identifiers")
    identifiers = [i for i in listed if isinstance(i, dict)] if isinstance(listed, list) else []
    for kind, name in (("email", "email"), ("mobile", "phone")):
        values = [i.get("value") for i in identifiers if i.get("type") == kind]
        if len(values) == 1:
            shown[name] = values[0]
    return shown
