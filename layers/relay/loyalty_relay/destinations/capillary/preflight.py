"""Check the prerequisites of register and update by reading requests only, so that nothing can change.

What no read shows is unknown, and the finding names where it will show.
Sources: Capillary docs, Add customer (Prerequisites); Update customer details (Prerequisites); Get customer id; Get
customer details V1.1; Extended fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from loyalty_relay.connections.model import Destination
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

OPERATOR = "operator"
ADMINISTRATOR = "business"
VENDOR = "vendor"


def run(
    session: CapillarySession,
    destination: Destination,
    options: Options,
    deadline: Deadline,
    extended_fields: Collection[str],
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
