"""Checks of the prerequisites of register and update, without changing anything at the vendor.

What cannot be checked is reported as unknown, with the place where it will show.
Sources: Capillary docs, Add customer (Prerequisites); Update customer details (Prerequisites); Extended fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.base import Finding
from loyalty_relay.destinations.capillary import v1
from loyalty_relay.destinations.capillary.errors import DENIED, WRONG_PLACE, read_v2
from loyalty_relay.destinations.capillary.options import Options
from loyalty_relay.destinations.capillary.session import CapillarySession
from loyalty_relay.http.messages import build_request
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    ConnectionFailed,
    CredentialsRefused,
    CustomerNotFound,
    PermanentError,
    RelayError,
    TransientError,
)

UNUSED_ID = "loyalty-relay-probe-unused"
"""An external id that no customer has."""

UNUSED_IDS_ID = "1"
"""A loyalty id far below those that organisations get."""

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
    """Return one finding per prerequisite. Stops early where nothing further can be checked."""
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
    findings.append(_write_v2(session, base, options, deadline))
    findings.append(_write_v1(session, base, options, deadline))
    findings.append(_extended_fields(session, base, deadline, extended_fields))
    findings += [
        _finding(
            "default status label",
            None,
            "cannot be checked: where none is set, each registration gets the warning 8107",
            ADMINISTRATOR,
        ),
        _finding(
            "mandatory registration fields",
            None,
            "cannot be checked: a registration that lacks one is refused with the field's code (1006: mobile)",
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
    if error.code in DENIED and error.code != "320001":
        summary = f"are known, but the access group may not read customers ({error})"
        return _finding("credentials", False, summary, ADMINISTRATOR)
    what = "key and secret" if destination.credentials.get("type") == "oauth" else "till and password"
    return _finding("credentials", False, f"{what} are refused ({error})", OPERATOR)


def _source(error: RelayError | None, options: Options) -> Finding:
    what = options.source + (f", account {options.account_id}" if options.account_id else "")
    if error is None or isinstance(error, CustomerNotFound):
        return _finding("source and account", True, f"{what} is known")
    if error.code in WRONG_PLACE:
        return _finding("source and account", False, f"{what} is not one of the organisation ({error})", ADMINISTRATOR)
    return _finding("source and account", None, f"{what}: the lookup failed with {error}", VENDOR)


def _write_v2(session: CapillarySession, base: str, options: Options, deadline: Deadline) -> Finding:
    request = build_request(
        api="v2-update",
        method="PUT",
        url=f"{base}/v2/customers/{UNUSED_IDS_ID}",
        params=dict(options.place()),
        json={"profiles": [{}]},
        idempotent=True,
    )
    error = _answer(lambda: session.exchange(request, lambda reply: read_v2(reply, "createdId"), deadline))
    return _write("write access, V2", error)


def _write_v1(session: CapillarySession, base: str, options: Options, deadline: Deadline) -> Finding:
    request = build_request(
        api="v1-update",
        method="POST",
        url=f"{base}/v1.1/customer/update",
        params={"format": "json"},
        json={"root": {"customer": [{"external_id": UNUSED_ID}]}},
        idempotent=True,
    )
    return _write("write access, V1.1", _answer(lambda: session.exchange(request, v1.read, deadline)))


def _write(name: str, error: RelayError | None) -> Finding:
    """Return a finding from an update of an unknown customer: refused for the customer means allowed to write."""
    if isinstance(error, CredentialsRefused):
        return _finding(name, False, f"the access group may not write customers ({error})", ADMINISTRATOR)
    if isinstance(error, TransientError):
        return _finding(name, None, f"could not be checked: {error}", VENDOR)
    if error is None or isinstance(error, CustomerNotFound | v1.AllFailed):
        return _finding(name, True, "is there: an update of an unknown customer was refused for the customer only")
    who = ADMINISTRATOR if isinstance(error, PermanentError) else VENDOR
    return _finding(name, None, f"an update of an unknown customer failed with {error}", who)


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
        summary = f"not enabled for customers: {', '.join(missing)}; what is sent for them is dropped in silence"
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
