"""Check the prerequisites of the operations by reading requests only, so that nothing can change.

What no read shows is unknown, and the finding names where it will show.
Sources: Capillary docs, Add customer (Prerequisites); Update customer details (Prerequisites); Get customer id; Get
customer details V1.1; Extended fields. For sales: Get transaction details using bill number; Get org entities, Get org
configurations and Get configured payment modes V1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.destinations.base import Finding
from loyalty_relay.destinations.capillary import v1
from loyalty_relay.destinations.capillary.errors import is_denial, names_place, read_v2
from loyalty_relay.destinations.capillary.options import Options
from loyalty_relay.destinations.capillary.session import CapillarySession
from loyalty_relay.http.messages import build_request
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    ConnectionFailed,
    CredentialsRefused,
    CustomerNotFound,
    RelayError,
    TransientError,
)

UNUSED_ID = "loyalty-relay-probe-unused"
"""An external id that no customer has."""

LISTED = 200
"""Tills or stores that V1.1 lists at once."""

OPERATOR = "operator"
ADMINISTRATOR = "business"
VENDOR = "vendor"


def run(
    session: CapillarySession,
    destination: Destination,
    options: Options,
    deadline: Deadline,
    extended_fields: Collection[str],
    sales: Sales,
) -> list[Finding]:
    """Return one finding per prerequisite; end early where nothing further can be read."""
    base = destination.host
    lookup = build_request(
        api="v2-read",
        method="GET",
        url=f"{base}/v2/customers/lookup",
        params={**options.place(), "identifierName": "externalId", "identifierValue": UNUSED_ID},
    )
    error = _answer(lambda: session.exchange(lookup, lambda reply: read_v2(reply, "entity"), deadline))
    findings = [_host(error, destination)]
    if not findings[0].ok:
        return findings
    findings.append(_credentials(error, destination))
    if not findings[-1].ok:
        return findings
    findings.append(_source(error, options))
    findings.append(_v1(session, base, deadline))
    findings.append(_extended_fields(session, base, deadline, extended_fields))
    findings += [
        _finding(
            "write access",
            None,
            "no read shows it: without it the first registration or update is refused with 403 or 4000, which opens"
            " the circuit and raises the alarm for refused credentials",
            ADMINISTRATOR,
        ),
        _finding(
            "default status label",
            None,
            "no read shows it: where none is set, each registration is answered with warning 8107",
            ADMINISTRATOR,
        ),
        _finding(
            "mandatory registration fields",
            None,
            "no read shows it: a registration that lacks one is refused with the field's code, such as 1006 for mobile",
            ADMINISTRATOR,
        ),
    ]
    if sales.enabled:
        findings += _sales(session, base, deadline, sales)
    return findings


def _finding(name: str, ok: bool | None, message: str, who: str = "") -> Finding:
    return Finding(name=name, ok=ok, message=message, who=who)


def _answer(ask: Callable[[], Any]) -> RelayError | None:
    try:
        ask()
    except RelayError as error:
        return error
    return None


def _host(error: RelayError | None, destination: Destination) -> Finding:
    if isinstance(error, ConnectionFailed):
        summary = f"{destination.host} cannot be reached: is the region {destination.region} right?"
        return _finding("host", False, summary, OPERATOR)
    if isinstance(error, TransientError):
        return _finding("host", False, f"{destination.host} does not serve now: {error}", VENDOR)
    return _finding("host", True, f"{destination.host} responds")


def _credentials(error: RelayError | None, destination: Destination) -> Finding:
    if not isinstance(error, CredentialsRefused):
        return _finding("credentials", True, "are accepted")
    if is_denial(error.code) and error.code != "320001":
        summary = f"are known, but the access group may not read customers ({error})"
        return _finding("credentials", False, summary, ADMINISTRATOR)
    what = "key and secret" if destination.credentials.get("type") == "oauth" else "till and password"
    return _finding("credentials", False, f"{what} are refused ({error})", OPERATOR)


def _source(error: RelayError | None, options: Options) -> Finding:
    what = options.source + (f", account {options.account_id}" if options.account_id else "")
    if error is None or isinstance(error, CustomerNotFound):
        return _finding("source and account", True, f"{what} is known")
    if names_place(error.code):
        return _finding("source and account", False, f"{what} is not one of the organisation ({error})", ADMINISTRATOR)
    return _finding("source and account", None, f"{what}: the lookup failed with {error}", VENDOR)


def _v1(session: CapillarySession, base: str, deadline: Deadline) -> Finding:
    name = "V1.1"
    request = build_request(
        api="v1-read",
        method="GET",
        url=f"{base}/v1.1/customer/get",
        params={"format": "json", "external_id": UNUSED_ID},
    )
    error = _answer(lambda: session.exchange(request, v1.read, deadline))
    if isinstance(error, CredentialsRefused):
        return _finding(name, False, f"consents and tills need it, and it may not be used ({error})", ADMINISTRATOR)
    if isinstance(error, TransientError):
        return _finding(name, None, f"could not be read: {error}", VENDOR)
    if error is None or isinstance(error, CustomerNotFound | v1.AllFailed):
        return _finding(name, True, "may be used")
    return _finding(name, None, f"a look-up of an unknown customer was answered with {error}", ADMINISTRATOR)


def _extended_fields(session: CapillarySession, base: str, deadline: Deadline, wanted: Collection[str]) -> Finding:
    name = "extended fields"
    request = build_request(api="v2-read", method="GET", url=f"{base}/v2/extendedFields")
    try:
        body = session.exchange(request, lambda reply: read_v2(reply, "entity", "extendedFields", "data"), deadline)
    except RelayError as error:
        return _finding(name, None, f"the list could not be read: {error}", ADMINISTRATOR)
    enabled = enabled_fields(body)
    missing = sorted(set(wanted) - enabled)
    if missing:
        summary = f"not enabled for customers: {', '.join(missing)}; what is sent for them is dropped without an error"
        return _finding(name, False, summary, VENDOR)
    return _finding(name, True, f"enabled: {', '.join(sorted(enabled)) or 'none'}")


def enabled_fields(body: Mapping[str, Any]) -> set[str]:
    """Return the names of the customer-level extended fields in a response of GET /v2/extendedFields.

    The list may come by entity type (``{"CUSTOMER": [...]}``) or flat with an ``entityType`` per field.
    """
    given = next((body[k] for k in ("entity", "extendedFields", "data") if body.get(k) is not None), None)
    if isinstance(given, Mapping):
        given = given.get("CUSTOMER", [field for group in given.values() for field in (group or ())])
    return {
        str(field["name"])
        for field in (given if isinstance(given, list) else ())
        if isinstance(field, Mapping) and field.get("name") and field.get("entityType", "CUSTOMER") == "CUSTOMER"
    }


def _sales(session: CapillarySession, base: str, deadline: Deadline, sales: Sales) -> list[Finding]:
    read = _Organisation(session, base, deadline)
    findings = [read.bills(), *(read.places(kind, sales) for kind in ("till", "store")), read.payment_modes(sales)]
    return [*(found for found in findings if found is not None), *read.settings(sales)]


class _Organisation:
    """What the organisation has that sales need; V1.1 lists it."""

    def __init__(self, session: CapillarySession, base: str, deadline: Deadline) -> None:
        self._session = session
        self._base = base
        self._deadline = deadline

    def bills(self) -> Finding:
        """Return whether bills can be read, without which a booking whose answer was lost is parked."""
        name = "reading of transactions"
        request = build_request(
            api="v2-read", method="GET", url=f"{self._base}/v2/transactions/getByBillNumber/{UNUSED_ID}"
        )
        error = _answer(lambda: self._session.exchange(request, lambda reply: read_v2(reply, "data"), self._deadline))
        if isinstance(error, CredentialsRefused):
            summary = f"is not allowed, so a booking whose response is lost is parked as ambiguous ({error})"
            return _finding(name, False, summary, ADMINISTRATOR)
        if isinstance(error, TransientError):
            return _finding(name, None, f"failed with {error}", VENDOR)
        return _finding(name, True, "is allowed")

    def places(self, kind: str, sales: Sales) -> Finding | None:
        """Return whether the tills or stores of the configuration are the organisation's; None without any."""
        wanted = {place[kind] for place in sales.stores.values() if place.get(kind)}
        name = f"{kind}s of sales"
        return self._known(name, "sales.stores", "entities", {"type": kind}, "entities", "entity", "code", wanted)

    def payment_modes(self, sales: Sales) -> Finding | None:
        """Return whether the payment modes of the configuration are the organisation's; None without any."""
        wanted = set(sales.payment_modes.values())
        return self._known("payment modes", "sales.payment_modes", "tenders", {}, "tenders", "tender", "name", wanted)

    def settings(self, sales: Sales) -> list[Finding]:
        """Return what the settings of the organisation mean for the configuration."""
        try:
            listed = self._listed("configs", {}, "configs", "config")
        except RelayError as error:
            summary = f"could not be read: {error}; are bill numbers unique for {sales.bill_days or 'all'} days?"
            return [_finding("settings of transactions", None, summary, ADMINISTRATOR)]
        found = {str(entry.get("key")): str(entry.get("value", "")).strip() for entry in listed}
        findings = []
        days = found.get("CONF_LOYALTY_BILL_NUMBER_UNIQUE_IN_DAYS", "")
        if not days.isdecimal():
            summary = "no setting was read: after how many days may a bill number come again?"
            findings.append(_finding("unique bill numbers", None, summary, ADMINISTRATOR))
        elif not 0 < sales.bill_days <= int(days):
            summary = f"for {days} days only: set sales.bill_days to {days}, so that no older order is booked"
            findings.append(_finding("unique bill numbers", False, summary, OPERATOR))
        else:
            findings.append(_finding("unique bill numbers", True, f"for {days} days"))
        for name, key, needed, without in (
            (
                "conversion of guests' bills",
                "CONF_RETRO_TRANSACTION_ENABLE",
                sales.guests == "not_interested",
                "a guest's bill stays without points (code 1631)",
            ),
            ("returns take points back", "CONF_POINTS_RETURN_ENABLED", True, "points of what is returned stay"),
        ):
            if needed and key in found:
                on = found[key].lower() in ("1", "true")
                text = "is enabled" if on else f"is not enabled: {without}"
                findings.append(_finding(name, on, text, "" if on else ADMINISTRATOR))
        return findings

    def _known(
        self,
        name: str,
        setting: str,
        resource: str,
        params: Mapping[str, str],
        group: str,
        kind: str,
        member: str,
        wanted: set[str],
    ) -> Finding | None:
        if not wanted:
            return None
        try:
            listed = self._listed(resource, params, group, kind)
        except RelayError as error:
            return _finding(name, None, f"the list could not be read: {error}", ADMINISTRATOR)
        missing = sorted(wanted - {str(entry.get(member)) for entry in listed})
        if missing and len(listed) >= LISTED:
            summary = f"not among the first {len(listed)} that are listed: {', '.join(missing)}"
            return _finding(name, None, summary, OPERATOR)
        if missing:
            summary = f"{setting} names what the organisation does not have: {', '.join(missing)}"
            return _finding(name, False, summary, OPERATOR)
        return _finding(name, True, f"known: {', '.join(sorted(wanted))}")

    def _listed(self, resource: str, params: Mapping[str, str], group: str, kind: str) -> list[dict[str, Any]]:
        request = build_request(
            api="v1-read",
            method="GET",
            url=f"{self._base}/v1.1/organization/{resource}",
            params={"format": "json", **params},
        )
        return self._session.exchange(request, lambda reply: v1.read_organisation(reply, group, kind), self._deadline)
