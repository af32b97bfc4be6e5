"""Errors of the Kangaroo API, whichever of its shapes they come in, as the relay's own errors.

    E1     {"error": {"status_code", "message", "description"}}     customers, transactions, offers, questions
    E2     {FIELD: [TEXT, ...], ...}                                validation of the older resources
    E3     {"errors": {FIELD: [TEXT, ...]}}                         imports
    E4     {"message": TEXT}                                        policies of the framework
    E5     {"error": TEXT}                                          imports
    E6     {"errors": [{"status", "title", "detail"}]}              workflows
    E7     {"status_code", "message", "description"}                imports
    oauth  {"error": CODE, "error_description", "hint", "message"}  token endpoint, ``error`` a text or an object

Kangaroo API blueprint; the vendor's OAuth client for the last. Texts of the vendor may repeat what was sent, so that
every text here has been through ``redact``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import httpx

from loyalty_relay.destinations.kangaroo.redaction import FIELD_NAME, excerpt, redact, shortened
from loyalty_relay.http.messages import NotJson, json_of, raise_for_transient, reached
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    UpstreamUnavailable,
    VendorRejected,
)

_OAUTH_CODES = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
        "access_denied",
        "server_error",
        "temporarily_unavailable",
    }
)

_NAMED_FIELD = re.compile(
    r"The (?:selected )?([a-z_][\w.]*) (?:fields?|must|has|does|is|format|may|cannot|should)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class VendorError:
    """One error.

    ``status`` is the one in the body, else the HTTP status; ``shape`` a name of the table above, or ``unknown``;
    ``problems`` are under the vendor's field names.
    """

    shape: str
    status: int
    message: str
    code: str
    problems: tuple[FieldProblem, ...] = field(default=())

    def matches(self, pattern: re.Pattern[str]) -> bool:
        """Whether any of its texts matches."""
        return any(pattern.search(text) for text in (self.message, *(p.message for p in self.problems)))

    def about(self, *names: str) -> tuple[FieldProblem, ...]:
        """Return the problems of these fields."""
        return tuple(problem for problem in self.problems if problem.field in names)


def vendor_error(answer: httpx.Response, sent: Iterable[str] = ()) -> VendorError | None:
    """Return the error in a response, None when there is none. ``sent``: values that must not be in a text.

    A 2xx with an error inside is an error; any other status is one whatever its body holds.
    """
    body = json_of(answer)
    hide = tuple(sent)
    good = 200 <= answer.status_code < 300
    if isinstance(body, Mapping):
        found = _read(body, answer.status_code, hide, good)
        if found is not None:
            return found
    if good:
        return None
    message = f"the destination answered {answer.status_code} in a form that is not known: {excerpt(answer, hide)}"
    return VendorError("unknown", answer.status_code, message, str(answer.status_code))


def _read(body: Mapping[str, Any], status: int, hide: tuple[str, ...], good: bool) -> VendorError | None:
    error, errors = body.get("error"), body.get("errors")
    if isinstance(error, Mapping) and error:
        refused = _status(error.get("status_code"), status)
        return VendorError("E1", refused, _text(error, hide, refused), _code(error, refused))
    if isinstance(error, str) and error:
        if error in _OAUTH_CODES or "error_description" in body or "hint" in body:
            return VendorError("oauth", _status(None, status), _oauth_text(body, hide), _code_word(error))
        refused = _status(body.get("status_code"), status)
        return VendorError("E5", refused, redact(error, hide), str(refused))
    if isinstance(errors, list) and errors:
        return _listed(errors, status, hide)
    if isinstance(errors, Mapping) and errors:
        return _mapped("E3", errors, _status(body.get("status_code"), status), hide)
    flat = _status(body.get("status_code"), 0)
    if flat >= 400 or (not good and "status_code" in body and isinstance(body.get("message"), str)):
        refused = flat if flat >= 400 else status
        return VendorError("E7", refused, _text(body, hide, refused), str(refused))
    if good:
        return None
    if body and all(isinstance(v, list) and v and all(isinstance(t, str) for t in v) for v in body.values()):
        return _mapped("E2", body, status, hide)
    if isinstance(body.get("message"), str):
        return VendorError("E4", status, _text(body, hide, status), str(status))
    return None


def _mapped(shape: str, fields: Mapping[str, Any], status: int, hide: tuple[str, ...]) -> VendorError:
    problems: list[FieldProblem] = []
    for name, texts in fields.items():
        known = name if FIELD_NAME.fullmatch(name) else "(unnamed)"
        listed = texts if isinstance(texts, list) else [texts]
        problems.extend(FieldProblem(known, redact(str(text), hide)) for text in listed or [""])
    named = ", ".join(dict.fromkeys(problem.field for problem in problems))
    return VendorError(shape, status, f"the destination rejects {named}", str(status), tuple(problems))


def _listed(errors: list[Any], status: int, hide: tuple[str, ...]) -> VendorError:
    items = [item if isinstance(item, Mapping) else {"detail": item} for item in errors]
    refused = next((s for item in items if (s := _status(item.get("status"), 0))), _status(None, status))
    texts: list[str] = []
    problems: list[FieldProblem] = []
    for item in items:
        text = redact(str(item.get("detail") or item.get("title") or item.get("message") or "(no text)"), hide)
        texts.append(text)
        name = _pointed(item) or ((match := _NAMED_FIELD.match(text)) and match.group(1))
        if name:
            problems.append(FieldProblem(name, text))
    return VendorError("E6", refused, shortened("; ".join(dict.fromkeys(texts))), str(refused), tuple(problems))


def _pointed(item: Mapping[str, Any]) -> str | None:
    source = item.get("source")
    pointer = source.get("pointer") or source.get("parameter") if isinstance(source, Mapping) else None
    name = pointer.rsplit("/", 1)[-1] if isinstance(pointer, str) else ""
    return name if FIELD_NAME.fullmatch(name) else None


def _status(given: Any, otherwise: int) -> int:
    """Return a status in a body, as number or text; an error inside a 2xx that names none counts as 422."""
    if isinstance(given, int | str) and re.fullmatch(r"[45]\d\d", str(given)):
        return int(given)
    return 422 if 200 <= otherwise < 300 else otherwise


def _text(refused: Mapping[str, Any], hide: tuple[str, ...], status: int) -> str:
    """Return message and description, which swap their roles between resources."""
    texts = [t for key in ("message", "description", "detail") if isinstance(t := refused.get(key), str) and t.strip()]
    return shortened(": ".join(dict.fromkeys(redact(t, hide) for t in texts))) or f"the destination answered {status}"


def _oauth_text(refused: Mapping[str, Any], hide: tuple[str, ...]) -> str:
    parts = [refused.get("error_description") or refused.get("message"), refused.get("hint")]
    return shortened(": ".join(redact(part, hide) for part in parts if isinstance(part, str) and part)) or "refused"


def _code(error: Mapping[str, Any], status: int) -> str:
    given = error.get("code") or error.get("type")
    return _code_word(given) if isinstance(given, str) else str(status)


def _code_word(text: str) -> str:
    return text if re.fullmatch(r"[\w.-]{1,60}", text) else "error"


TAKEN = re.compile(r"\b(?:taken|already|in use|exists|duplicate)\b", re.IGNORECASE)
"""The vendor's texts for something that exists already: its validation errors have no codes."""

_ROUTE = re.compile(r"\broute\b", re.IGNORECASE)


_CREDENTIALS = re.compile(
    r"\b(?:unauthenticated|(?:access|bearer|refresh|invalid|expired|revoked) tokens?|tokens? (?:has|is|was|does|cannot)"
    r"|scopes?|application[ -]key|client (?:authentication|credentials|id|secret|app))\b",
    re.IGNORECASE,
)
"""Words of a 403 that is about the credentials. Without them a 403 in a shape of the vendor's is a policy's answer
about one resource ("This action is unauthorized.", Kangaroo API blueprint: transactions, offers); a business may call
its customers clients, and its points tokens.
"""

ONE_REQUEST = "page"
"""The shape of a 403 in an unknown shape where the same credentials may do something else: a firewall's page about what
this request contains. Otherwise it would come for every event and counts against the credentials.
"""


def credentials_refused(message: str, *, code: str | None = None, reason: str | None = None) -> CredentialsRefused:
    """Return the error, with a ``reason`` for the operator's next step where there is one."""
    error = CredentialsRefused(message, code=code)
    if reason is not None:
        error.reason = reason
    return error


def refuse(
    answer: httpx.Response,
    refused: VendorError,
    *,
    customer: bool = False,
    names: Callable[[str], str] | None = None,
    no_route: str = "",
) -> NoReturn:
    """Raise the exception for a vendor error.

    ``customer``: whether the path named one, so that 404 is about them. ``names``: our name of a vendor's field, where
    the caller has another. ``no_route``: what an operator can do where the vendor does not serve the request's path or
    method.

    RateLimited and UpstreamUnavailable for what passes by itself, CredentialsRefused for 401 and for a 403 about the
    credentials, CustomerNotFound, InvalidCommand where fields are named, VendorRejected for the rest.
    """
    raise_for_transient(answer, status=refused.status, code=refused.code)
    if refused.status == 401 or (
        refused.status == 403 and (refused.shape in ("oauth", "unknown") or refused.matches(_CREDENTIALS))
    ):
        raise credentials_refused(f"the destination answered {refused.status}: {refused.message}", code=refused.code)
    if (
        customer
        and refused.status == 404
        and refused.shape != "unknown"
        and refused.message
        and not refused.matches(_ROUTE)
    ):
        raise CustomerNotFound("the destination has no such customer", code=refused.code)
    if refused.problems:
        problems = [FieldProblem(names(p.field) if names else p.field, p.message) for p in refused.problems]
        raise InvalidCommand(refused.message, code=refused.code, problems=problems)
    absent = refused.status == 405 or (
        refused.status == 404 and (refused.shape == "unknown" or refused.matches(_ROUTE))
    )
    hint = f"; {no_route}" if absent and no_route else ""
    raise VendorRejected(f"{refused.message}{hint}", code=refused.code)


def unreadable(answer: httpx.Response, why: NotJson) -> UpstreamUnavailable:
    """Return the error for a success whose body cannot be read: the effect took place."""
    return UpstreamUnavailable(
        f"the destination answered {answer.status_code} with a body that cannot be read ({why.why})",
        reached=reached(answer),
    )
