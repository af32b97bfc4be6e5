"""The error shapes of the Kangaroo API, numbered E1 to E7 in docs/sandbox-kangaroo.md.

One vendor, at least seven shapes (Kangaroo API blueprint: customers, transactions, offers, business rules,
imports, workflows, questions). Which one a resource uses depends on its age, so a client has to read all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

FieldErrors = Mapping[str, Sequence[str]]
ValidationShape = Literal["E1", "E2", "E3", "E6"]

_REASONS: Mapping[int, tuple[str, str]] = {
    400: ("Bad Request", "The request could not be understood."),
    401: ("Unauthenticated.", "Unauthenticated."),
    403: ("Forbidden", "The access token does not allow this request."),
    404: ("Not Found", "The requested resource doesn't exist."),
    405: ("Method Not Allowed", "The method is not supported for this resource."),
    406: ("Not Acceptable", "The requested media type is not available."),
    409: ("Conflict", "The request conflicts with the state of the resource."),
    422: ("Unprocessable Content", "The given data was invalid."),
    429: ("Too Many Requests", "Too Many Attempts."),
    500: ("Internal Server Error", "Something went wrong on the server."),
    503: ("Service Unavailable", "The service is unavailable."),
}

FAULTS: Mapping[str, str] = {
    "E1": "the error object in `error`",
    "E1-swapped": "the same with message and description the other way round",
    "E1-link": "the same with a link",
    "E2": "a bare map from field to messages",
    "E3": "the same map in `errors`",
    "E4": "a message alone",
    "E5": "the error as a text",
    "E6": "a list of errors with title and detail, the status a number",
    "E6-text": "the same with the status a text",
    "E7": "the error object without a wrapper",
    "oauth": "the token endpoint's error",
    "oauth-object": "the token endpoint's error as an object, which the vendor's own client expects too",
}


class Refusal(Exception):
    """A refusal of the business: an HTTP status, a JSON body in one of the vendor's shapes, maybe headers."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def error_body(kind: str, status: int) -> Any:
    """Return a ready-made body of one shape for any status; raises KeyError for a kind not in `FAULTS`."""
    message, description = _REASONS.get(status, ("Error", "The request failed."))
    wrapped: dict[str, Any] = {"status_code": status, "message": message, "description": description}
    bodies: dict[str, Any] = {
        "E1": {"error": wrapped},
        "E1-swapped": {"error": {**wrapped, "message": description, "description": message}},
        "E1-link": {"error": {**wrapped, "link": "https://api.kangaroorewards.com/docs"}},
        "E2": {"email": ["The email must be a valid email address."]},
        "E3": {"errors": {"email": ["The email must be a valid email address."]}},
        "E4": {"message": "This action is unauthorized." if status == 403 else message},
        "E5": {"error": "Unauthorized" if status == 401 else message},
        "E6": {"errors": [{"status": status, "title": message, "detail": description}]},
        "E6-text": {"errors": [{"status": str(status), "title": message, "detail": description}]},
        "E7": wrapped,
        "oauth": oauth_error("invalid_grant", "The provided authorization grant is invalid."),
        "oauth-object": {"error": {"message": message, "description": description}},
    }
    return bodies[kind]


def oauth_error(error: str, description: str, hint: str = "") -> dict[str, str]:
    """Return a token endpoint's error body, the way Laravel Passport writes it."""
    body = {"error": error, "error_description": description}
    if hint:
        body["hint"] = hint
    return body | {"message": description}


def not_found(what: str) -> Refusal:
    """Return a 404, E1: `{what} not found`."""
    description = _REASONS[404][1]
    return Refusal(404, {"error": {"status_code": 404, "message": f"{what} not found", "description": description}})


def bad_request(description: str) -> Refusal:
    """Return a 400, E1, with the specific text in `description`."""
    return Refusal(400, {"error": {"status_code": 400, "message": "Bad Request", "description": description}})


def unauthenticated() -> Refusal:
    """Return a 401, E1: no, an unknown, an expired or a revoked access token."""
    return Refusal(401, error_body("E1", 401))


def wrong_application_key() -> Refusal:
    """Return a 401, E1: the application key is absent or not this application's."""
    return Refusal(
        401,
        {"error": {"status_code": 401, "message": "Unauthorized", "description": "Invalid application key."}},
    )


def forbidden() -> Refusal:
    """Return 403, E4: the framework's response when a policy refuses."""
    return Refusal(403, {"message": "This action is unauthorized."})


def invalid(fields: FieldErrors, shape: ValidationShape = "E2") -> Refusal:
    """Return 422: validation messages per (dotted) field, in the requested shape; by default a bare map."""
    messages = {name: list(texts) for name, texts in fields.items()}
    if shape == "E1":
        first = next(iter(messages.values()))[0]
        wrapped = {"status_code": 422, "message": _REASONS[422][0], "description": first}
        return Refusal(422, {"error": wrapped})
    if shape == "E3":
        return Refusal(422, {"errors": messages})
    if shape == "E6":
        details = [text for texts in messages.values() for text in texts]
        title = _REASONS[422][0]
        return Refusal(422, {"errors": [{"status": "422", "title": title, "detail": it} for it in details]})
    return Refusal(422, messages)
