"""What an error of the Kangaroo API says, whichever of its shapes it comes in.

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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from loyalty_relay.http.messages import NotJson, json_of
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.model.redaction import without, without_markup

MAX_TEXT = 200
"""Characters of the vendor's text that are kept."""

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

_EMAIL = re.compile(r"(?<![^\s@'\"<>(),;:])[^\s@'\"<>(),;:]+@[^\s@'\"<>(),;:]+")
_TOKEN = re.compile(r"\b(?:[0-9a-fA-F]{16,}\b|eyJ[\w.-]+|def50[0-9a-zA-Z-]+)")
_DIGITS = re.compile(r"\+?\d(?:[\s().\-/]{0,2}\d){3,}")
_QUOTED = (re.compile(r"\"[^\"]*\""), re.compile(r"“[^”]*(?:”|\Z)"), re.compile(r"(?<!\w)'[^']*'(?!\w)"))
_FIELD = re.compile(r"[A-Za-z_][\w.*-]{0,99}")
_NAMED_FIELD = re.compile(
    r"The (?:selected )?([a-z_][\w.]*) (?:fields?|must|has|does|is|format|may|cannot|should)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error. ``status`` is what the body says, else the HTTP status; ``shape`` a name of the table above, or
    ``unknown``; ``problems`` are under the vendor's field names.
    """

    shape: str
    status: int
    message: str
    code: str
    problems: tuple[FieldProblem, ...] = field(default=())

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether any of its texts matches."""
        return any(pattern.search(text) for text in (self.message, *(p.message for p in self.problems)))

    def about(self, *names: str) -> tuple[FieldProblem, ...]:
        """The problems of these fields."""
        return tuple(problem for problem in self.problems if problem.field in names)


def complaint(answer: httpx.Response, sent: Iterable[str] = ()) -> Complaint | None:
    """The error that an answer carries, None when it carries none. ``sent``: values that must not come back in a text.

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
    return Complaint("unknown", answer.status_code, message, str(answer.status_code))


def _read(body: Mapping[str, Any], status: int, hide: tuple[str, ...], good: bool) -> Complaint | None:
    error, errors = body.get("error"), body.get("errors")
    if isinstance(error, Mapping) and error:
        said = _status(error.get("status_code"), status)
        return Complaint("E1", said, _text(error, hide, said), _code(error, said))
    if isinstance(error, str) and error:
        if error in _OAUTH_CODES or "error_description" in body or "hint" in body:
            return Complaint("oauth", _status(None, status), _oauth_text(body, hide), _code_word(error))
        said = _status(body.get("status_code"), status)
        return Complaint("E5", said, redact(error, hide), str(said))
    if isinstance(errors, list) and errors:
        return _listed(errors, status, hide)
    if isinstance(errors, Mapping) and errors:
        return _mapped("E3", errors, _status(body.get("status_code"), status), hide)
    flat = _status(body.get("status_code"), 0)
    if flat >= 400 or (not good and "status_code" in body and isinstance(body.get("message"), str)):
        said = flat if flat >= 400 else status
        return Complaint("E7", said, _text(body, hide, said), str(said))
    if good:
        return None
    if body and all(isinstance(v, list) and v and all(isinstance(t, str) for t in v) for v in body.values()):
        return _mapped("E2", body, status, hide)
    if isinstance(body.get("message"), str):
        return Complaint("E4", status, _text(body, hide, status), str(status))
    return None


def _mapped(shape: str, fields: Mapping[str, Any], status: int, hide: tuple[str, ...]) -> Complaint:
    problems: list[FieldProblem] = []
    for name, texts in fields.items():
        known = name if _FIELD.fullmatch(name) else "(unnamed)"
        listed = texts if isinstance(texts, list) else [texts]
        problems.extend(FieldProblem(known, redact(str(text), hide)) for text in listed or [""])
    named = ", ".join(dict.fromkeys(problem.field for problem in problems))
    return Complaint(shape, status, f"the destination rejects {named}", str(status), tuple(problems))


def _listed(errors: list[Any], status: int, hide: tuple[str, ...]) -> Complaint:
    items = [item if isinstance(item, Mapping) else {"detail": item} for item in errors]
    said = next((s for item in items if (s := _status(item.get("status"), 0))), _status(None, status))
    texts: list[str] = []
    problems: list[FieldProblem] = []
    for item in items:
        text = redact(str(item.get("detail") or item.get("title") or item.get("message") or "(no text)"), hide)
        texts.append(text)
        name = _pointed(item) or ((match := _NAMED_FIELD.match(text)) and match.group(1))
        if name:
            problems.append(FieldProblem(name, text))
    return Complaint("E6", said, _shortened("; ".join(dict.fromkeys(texts))), str(said), tuple(problems))


def _pointed(item: Mapping[str, Any]) -> str | None:
    source = item.get("source")
    pointer = source.get("pointer") or source.get("parameter") if isinstance(source, Mapping) else None
    name = pointer.rsplit("/", 1)[-1] if isinstance(pointer, str) else ""
    return name if _FIELD.fullmatch(name) else None


def _status(given: Any, otherwise: int) -> int:
    """A status in a body, as number or text; an error inside a 2xx that names none counts as 422."""
    if isinstance(given, int | str) and re.fullmatch(r"[45]\d\d", str(given)):
        return int(given)
    return 422 if 200 <= otherwise < 300 else otherwise


def _text(said: Mapping[str, Any], hide: tuple[str, ...], status: int) -> str:
    """Message and description, which swap their roles between resources."""
    texts = [t for key in ("message", "description", "detail") if isinstance(t := said.get(key), str) and t.strip()]
    return _shortened(": ".join(dict.fromkeys(redact(t, hide) for t in texts))) or f"the destination answered {status}"


def _oauth_text(said: Mapping[str, Any], hide: tuple[str, ...]) -> str:
    parts = [said.get("error_description") or said.get("message"), said.get("hint")]
    return _shortened(": ".join(redact(part, hide) for part in parts if isinstance(part, str) and part)) or "refused"


def _code(error: Mapping[str, Any], status: int) -> str:
    given = error.get("code") or error.get("type")
    return _code_word(given) if isinstance(given, str) else str(status)


def _code_word(text: str) -> str:
    return text if re.fullmatch(r"[\w.-]{1,60}", text) else "error"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def redact(text: str, sent: Iterable[str] = ()) -> str:
    """A text of the vendor without e-mails, runs of digits, tokens, ids, quotations and the values that were sent."""
    text = without(text, (value.strip() for value in sent if len(value.strip()) > 2), "…")
    for pattern in (_EMAIL, *_QUOTED, _TOKEN, _DIGITS):
        text = pattern.sub("…", text)
    return _shortened(re.sub(r"\s+", " ", text).strip())


def excerpt(answer: httpx.Response, sent: Iterable[str] = ()) -> str:
    """Enough of a body to recognise it: the outline of JSON, the first words of anything else."""
    body = json_of(answer)
    if not isinstance(body, NotJson):
        return _shortened(_outline(body, 3))
    if not answer.content.lstrip().startswith(b"<"):
        return body.why  # A piece of anything but a web page may hold anything.
    words = redact(without_markup(answer.content[:4000].decode("utf-8", "replace")), sent)[:80]
    return f"{body.why}: {words}" if words else body.why


def _outline(value: Any, depth: int) -> str:
    """JSON without its values: they may be anybody's name."""
    if isinstance(value, Mapping):
        if depth == 0:
            return "{…}"
        names = [(k if _FIELD.fullmatch(k) else "…", v) for k, v in list(value.items())[:8]]
        more = ", …" if len(value) > 8 else ""
        return "{" + ", ".join(f"{redact(k)}: {_outline(v, depth - 1)}" for k, v in names) + more + "}"
    if isinstance(value, list):
        return f"[{_outline(value[0], depth - 1) if value and depth else ''}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return "number" if isinstance(value, int | float) else "text"


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value: what a request sent, for ``redact``."""
    if isinstance(value, str):
        yield value
        # A filter is operator|value, and only the value comes back.
        if "|" in value:
            yield value.partition("|")[2]
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from texts_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member)
