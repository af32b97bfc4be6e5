"""Every error of Capillary's, as one typed error each; the body is read before the HTTP status.

``codes`` has the meaning of each code; the vendor's text is kept, without personal data.
Sources: Capillary docs, Status codes - customer; Authentication; Customer update V1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from loyalty_relay.destinations.capillary.codes import AsError, meaning
from loyalty_relay.destinations.capillary.redaction import excerpt, redact
from loyalty_relay.http.messages import NotJson, is_bare_success, json_of, raise_for_transient, reached, retry_after
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerErased,
    CustomerExists,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    PermanentError,
    RateLimited,
    RelayError,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)


class MergedAway(VendorRejected):
    """This member was merged into another one, whose id the vendor may report."""

    survivor: str | None = None


@dataclass(frozen=True, slots=True)
class CapillaryReply:
    """One response, with our own values, so that echoes of them can be taken out of messages."""

    answer: httpx.Response
    values: tuple[str, ...] = ()
    sale: bool = False
    """Whether it is one of the APIs of transactions, where codes have meanings of their own."""

    @property
    def request_id(self) -> str | None:
        headers = self.answer.headers
        return headers.get("x-cap-requestid") or headers.get("x-cap-request-id") or None

    def text(self, message: object) -> str:
        return redact(str(message or ""), self.values)


def error_for(code: str, message: object, reply: CapillaryReply) -> RelayError:
    """Return the typed error for one code, whichever API version and part of the body it came in."""
    text = reply.text(message)
    summary = f"{code} {text}".strip()
    request_id = reply.request_id
    known = meaning(code, sale=reply.sale)
    kind = known.error
    if code in ("429", "517"):
        return RateLimited(summary, retry_after=retry_after(reply.answer), code=code, request_id=request_id)
    if kind is AsError.PASSING:
        # A 521 means that nothing was done, because another action was under way.
        passing = UpstreamTimeout if code == "504" else UpstreamUnavailable
        return passing(
            summary,
            reached=reached(reply.answer) and code not in ("521", "4001"),
            retry_after=retry_after(reply.answer),
            code=code,
            request_id=request_id,
        )
    # 403 has a further meaning in V2: a missing mandatory field, which is the command's fault.
    if kind is AsError.TOKEN or (kind is AsError.DENIED and "mandatory" not in text.lower()):
        return CredentialsRefused(summary, code=code, request_id=request_id)
    if kind is AsError.MISSING:
        return CustomerNotFound(summary, code=code, request_id=request_id)
    if kind is AsError.EXISTS:
        exists = CustomerExists(summary, loyalty_id=named_id(message), code=code)
        exists.request_id = request_id
        return exists
    if kind is AsError.MERGED:
        merged = MergedAway(summary, code=code, request_id=request_id)
        merged.survivor = named_id(message)
        return merged
    if kind is AsError.ERASED:
        return CustomerErased(summary, code=code, request_id=request_id)
    blamed = known.blames
    if code == "3217" and "account" in text.lower():
        blamed = WRONG_ACCOUNT
    problems = [FieldProblem(blamed, text or f"was refused with code {code}")] if blamed else []
    refusal = VendorRejected if not blamed or blamed.startswith(_CONFIGURATION) else InvalidCommand
    return refusal(summary, code=code, request_id=request_id, problems=problems)


WRONG_ACCOUNT = "destination.account_id"
_CONFIGURATION = ("destination.", "sales.")
"""What is blamed and is the connection's, not the command's."""


UNDECIDED = (AsError.LOOKED_UP, AsError.LOOKED_UP_AGAIN)
"""Errors after which a transaction may be booked all the same."""


def names_place(code: str | None) -> bool:
    """Return whether a code reports a source or account that the organisation does not have."""
    return meaning(code or "").blames.startswith("destination.")


def is_denial(code: str | None) -> bool:
    """Return whether a code reports credentials that are known and not allowed to do this."""
    return meaning(code or "").error is AsError.DENIED


def is_bad_token(code: str | None) -> bool:
    """Return whether a code reports a token that is not, or not any more, valid."""
    return meaning(code or "").error is AsError.TOKEN


def _refuses_credentials(status: int) -> bool:
    return is_denial(str(status)) or is_bad_token(str(status))


@contextmanager
def blaming_options(options: Mapping[str, Any]) -> Iterator[None]:
    """Name the command's own option, where it has one, in place of the connection's source or account."""
    try:
        yield
    except PermanentError as error:
        named = {f"destination.{name}": f"options.{name}" for name in ("source", "account_id") if options.get(name)}
        error.problems = tuple(FieldProblem(named.get(p.field, p.field), p.message) for p in error.problems)
        raise


def named_id(message: object) -> str | None:
    """Return the member id in a text such as "Customer already exists with id 600000001 for same source"."""
    found = re.search(r"\b(?:id|with|customer)[\s:=]+\{?(\d{3,19})\b", str(message or ""), re.IGNORECASE)
    return found.group(1) if found and int(found.group(1)) > 0 else None


def worst(problems: Iterable[tuple[str, object]], reply: CapillaryReply) -> RelayError:
    """Return the error that decides over the request.

    Credentials first, then what passes, then what may be booked all the same, then the first one.
    """
    errors = [error_for(code, message, reply) for code, message in problems]
    errors.sort(key=lambda error: meaning(error.code or "", sale=reply.sale).error not in UNDECIDED)
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
    if _refuses_credentials(answer.status_code):
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
    if _refuses_credentials(reply.answer.status_code):
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


def read_v2(reply: CapillaryReply, *needs: str, write: bool = False) -> dict[str, Any]:
    """Return the body of a V2 success, which has one of the members ``needs``. Raises the typed error else.

    ``write``: a success without a body (204, 202, ``{}``) is one, too.
    Success and failure both occur under any HTTP status, so the status only decides where the body shows neither.
    """
    if write and is_bare_success(reply.answer):
        return {}
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
    if _refuses_credentials(status):
        return error_for(str(status), str(error), reply)
    try:
        raise_for_transient(reply.answer, request_id=reply.request_id)
    except (RateLimited, UpstreamUnavailable) as passing:
        return passing
    error.code = str(status)
    return error
