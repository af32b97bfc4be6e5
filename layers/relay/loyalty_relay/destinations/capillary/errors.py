"""Every error of Capillary's, as one typed error each; the body is read before the HTTP status.

Numbers are not unique over Capillary's APIs, so the vendor's text always travels along, without personal data.
Sources: Capillary docs, Status codes - customer; Authentication; Customer update V1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from loyalty_relay.destinations.capillary.redaction import excerpt, redact
from loyalty_relay.http.messages import NotJson, json_of, raise_for_transient, reached, retry_after
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerErased,
    CustomerExists,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    RateLimited,
    RelayError,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)


class MergedAway(VendorRejected):
    """This member was merged into another one, whose id the vendor may report."""

    survivor: str | None = None


REFUSED = frozenset({"401", "498"})
"""Bad or expired token."""
DENIED = frozenset({"403", "4000", "320001"})
PASSING = frozenset({"521", "461", "4001", "503", "500", "502", "504"})
"""521: several actions for one customer at once; 461: search engine busy; 4001: authorisation service down."""
MISSING = frozenset({"8015", "8009", "8065", "1011", "1012", "816"})
EXISTS = frozenset({"8006", "8028", "1014"})
MERGED = frozenset({"8067", "8069"})
ERASED = frozenset({"8026"})
WRONG_FIELD: Mapping[str, str] = {
    "1001": "phone",
    "1002": "email",
    "1003": "identifiers.external_id",
    "1006": "phone",
    "1007": "identifiers",
    "1015": "identifiers",
    "1034": "registered_on",
    "1039": "email",
    "1043": "identifiers.external_id",
    "1046": "loyalty_type",
    "3017": "status_label",
    "618": "fraud_status",
    "8002": "identifiers",
    "8005": "identifiers",
    "8010": "channels",
    "8013": "identifiers",
    "8014": "identifiers",
    "8017": "registered_on",
    "8018": "loyalty_type",
    "8020": "identifiers.external_id",
    "8055": "email",
    "8056": "phone",
    "8057": "channels.email",
    "8058": "channels.mobile",
    "8064": "identifiers.external_id",
    "8086": "status_label",
    "8106": "channels",
}
WRONG_PLACE: Mapping[str, str] = {
    "3217": "destination.account_id",
    "8001": "destination.source",
    "8003": "destination.source",
    "8004": "destination.source",
    "8011": "destination.account_id",
    "8012": "destination.source",
    "8016": "destination.source",
    "8045": "destination.account_id",
    "8127": "destination.account_id",
}
"""The connection names a source or account that the organisation does not have."""


@dataclass(frozen=True, slots=True)
class CapillaryReply:
    """One response, with our own values, so that echoes of them can be taken out of messages."""

    answer: httpx.Response
    values: tuple[str, ...] = ()

    @property
    def request_id(self) -> str | None:
        return self.answer.headers.get("x-cap-requestid") or None

    def text(self, message: object) -> str:
        return redact(str(message or ""), self.values)


def error_for(code: str, message: object, reply: CapillaryReply) -> RelayError:
    """Return the typed error for one code, whichever API version and part of the body it came in."""
    text = reply.text(message)
    summary = f"{code} {text}".strip()
    request_id = reply.request_id
    if code == "429":
        return RateLimited(summary, retry_after=retry_after(reply.answer), code=code, request_id=request_id)
    if code in PASSING:
        # A 521 means that nothing was done, because another request was under way.
        kind = UpstreamTimeout if code == "504" else UpstreamUnavailable
        return kind(
            summary,
            reached=reached(reply.answer) and code not in ("521", "4001"),
            retry_after=retry_after(reply.answer),
            code=code,
            request_id=request_id,
        )
    # 403 has two further meanings in V2: a missing mandatory field, which is the command's fault.
    if code in REFUSED or (code in DENIED and "mandatory" not in text.lower()):
        return CredentialsRefused(summary, code=code, request_id=request_id)
    if code in MISSING:
        return CustomerNotFound(summary, code=code, request_id=request_id)
    if code in EXISTS:
        exists = CustomerExists(summary, loyalty_id=told_id(message), code=code)
        exists.request_id = request_id
        return exists
    if code in MERGED:
        merged = MergedAway(summary, code=code, request_id=request_id)
        merged.survivor = told_id(message)
        return merged
    if code in ERASED:
        return CustomerErased(summary, code=code, request_id=request_id)
    if code in WRONG_FIELD:
        problem = FieldProblem(WRONG_FIELD[code], text or f"was refused with code {code}")
        return InvalidCommand(summary, code=code, request_id=request_id, problems=[problem])
    problems = [FieldProblem(WRONG_PLACE[code], text)] if code in WRONG_PLACE else []
    return VendorRejected(summary, code=code, request_id=request_id, problems=problems)


def told_id(message: object) -> str | None:
    """Return the member id in a text such as "Customer already exists with id 600000001 for same source"."""
    found = re.search(r"\b(?:id|with|customer)[\s:=]+\{?(\d{3,19})\b", str(message or ""), re.IGNORECASE)
    return found.group(1) if found and int(found.group(1)) > 0 else None


def worst(problems: Iterable[tuple[str, object]], reply: CapillaryReply) -> RelayError:
    """Return the error that decides over the request: credentials first, then what passes, then the first one."""
    errors = [error_for(code, message, reply) for code, message in problems]
    for kinds in (CredentialsRefused, (RateLimited, UpstreamUnavailable)):
        for error in errors:
            if isinstance(error, kinds):
                return error
    return errors[0]


def reported_errors(body: Any) -> list[tuple[str, object]]:
    """Return every error in a body about the request as a whole, as (code, message)."""
    if not isinstance(body, Mapping):
        return []
    found: list[tuple[str, object]] = []
    for name in ("errors", "error"):
        given = body.get(name)
        listed = given if isinstance(given, list) else [given]
        found += [_reported_error(item) for item in listed if item not in (None, "", {}, False)]
    if not found and body.get("errorCode") is not None:
        found.append((_code(body["errorCode"]), body.get("errorMessage")))
    if not found and body.get("success") is False:
        found.append(_reported_error(body))
    return found


def _reported_error(item: Any) -> tuple[str, object]:
    if not isinstance(item, Mapping):
        return "", item
    code = next((item[k] for k in ("code", "errorCode", "status_code") if item.get(k) is not None), "")
    return _code(code), next((item[k] for k in ("message", "errorMessage", "description") if item.get(k)), "")


def _code(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def refusal_status(body: Any) -> tuple[str, object] | None:
    """Return the envelope of V1.1 about the request and not about a customer: (code, message).

    ``success`` does not count: a refused token comes with "true" (Capillary docs: Authentication).
    """
    response = body.get("response") if isinstance(body, Mapping) else None
    status = response.get("status") if isinstance(response, Mapping) else None
    if not isinstance(status, Mapping) or status.get("code") is None:
        return None
    return _code(status["code"]), status.get("message")


def unreadable(reply: CapillaryReply, why: NotJson) -> RelayError:
    """Return the error for a body that is no JSON: an intermediary's page, or a broken response."""
    answer = reply.answer
    summary = re.search(rb"errorCode\s*=\s*(\d+)", answer.content[:2000])
    if summary:
        return error_for(summary.group(1).decode(), excerpt(None, answer.content, reply.values), reply)
    if str(answer.status_code) in REFUSED | DENIED:
        return error_for(str(answer.status_code), why.why, reply)
    try:
        raise_for_transient(answer, request_id=reply.request_id)
    except (RateLimited, UpstreamUnavailable) as error:
        return error
    if answer.status_code < 400:
        return UpstreamUnavailable(
            f"the destination answered {answer.status_code} with {why.why}",
            reached=reached(answer),
            code=str(answer.status_code),
            request_id=reply.request_id,
        )
    return unknown(reply, None)


def unknown(reply: CapillaryReply, body: Any) -> RelayError:
    """Return the error for a response of unknown shape: by its status where that is one, else permanent."""
    status = str(reply.answer.status_code)
    if status in REFUSED | DENIED:
        return error_for(status, excerpt(body, reply.answer.content, reply.values), reply)
    try:
        raise_for_transient(reply.answer, request_id=reply.request_id)
    except (RateLimited, UpstreamUnavailable) as error:
        return error
    return VendorRejected(
        f"the destination answered {status} with {excerpt(body, reply.answer.content, reply.values)}",
        code=status,
        request_id=reply.request_id,
    )


def read_v2(reply: CapillaryReply, *needs: str) -> dict[str, Any]:
    """Return the body of a V2 success, which has one of the members ``needs``. Raises the typed error else.

    Success and failure both occur under any HTTP status, so the status only decides where the body shows neither.
    """
    body = json_of(reply.answer)
    if isinstance(body, NotJson):
        raise unreadable(reply, body)
    found = reported_errors(body)
    status = refusal_status(body)
    if not found and status is not None and status[0] not in ("200", "201"):
        found = [status]
    if found:
        raise decided(found, reply)
    if isinstance(body, dict) and any(body.get(name) is not None for name in needs):
        return body
    raise unknown(reply, body)


def decided(found: Iterable[tuple[str, object]], reply: CapillaryReply) -> RelayError:
    """Return the error that decides over the request; where the body names no code, the HTTP status does."""
    error = worst(found, reply)
    return error if error.code else _by_status(reply, error)


def _by_status(reply: CapillaryReply, error: RelayError) -> RelayError:
    """Return the error of the HTTP status for one without a code, where the status has one."""
    status = reply.answer.status_code
    if str(status) in REFUSED | DENIED:
        return error_for(str(status), str(error), reply)
    try:
        raise_for_transient(reply.answer, request_id=reply.request_id)
    except (RateLimited, UpstreamUnavailable) as passing:
        return passing
    error.code = str(status)
    return error
