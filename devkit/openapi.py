"""The HTTP API as an OpenAPI 3.1 document, made from the code that serves it.

Request bodies are the models of ``loyalty_relay.triggers.api_bodies``; responses are described by the models of
``devkit.openapi_answers``, which tests compare with what the functions return. ``python -m devkit.openapi``
writes docs/openapi.json; ``--check`` fails when the file is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from devkit.openapi_answers import (
    AcceptedAnswer,
    CrmFieldsAnswer,
    GatewayMessage,
    OutcomeAnswer,
    Problem,
    SaleAnswer,
    SaleOutcome,
    StoreLinkAnswer,
    StoreLinkOutcome,
    StoreLinksAnswer,
    TagsAnswer,
    WebhookRefusal,
)
from loyalty_relay.connections.model import CONNECTION_ID
from loyalty_relay.triggers import api_bodies, sale_bodies
from loyalty_relay.triggers.api import ENDPOINTS

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"
REFERENCE = "#/components/schemas/{model}"

PROBLEMS = {
    400: "The request is not of the form this API takes.",
    404: "No such customer, store link, order, connection or route.",
    409: "It exists already, is linked elsewhere, is being worked on, or may have been done.",
    410: "The customer was erased or deleted at the source.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Fields are wrong, unsupported by the destination, or rejected by the vendor.",
    429: "The destination's limit is used up; see Retry-After.",
    500: "An unforeseen error.",
    502: "The vendor refuses the connection's credentials.",
    503: "The destination or one of the relay's own stores is not available.",
    504: "No answer of the vendor in time; look up the delivery id.",
}

GATEWAY_TOO = (400, 404, 413, 429, 500, 502, 503, 504)
"""Statuses that the gateway returns as well, in its own form and before any function runs: an unreadable request,
no such route, too large, throttled, a function that failed or is not there, and one that took too long.
"""

OUTCOME_EXAMPLE = {
    "delivery_id": "0198c0de-0000-7000-8000-000000000001",
    "result": "applied",
    "replayed": False,
    "created": True,
    "loyalty_id": "600000001",
    "fields": ["first_name"],
    "notices": [{"code": "8107", "message": "Default customer status label not set"}],
}

ROUTES: dict[str, dict[str, Any]] = {
    "POST /connections/{connection}/customers": {
        "id": "registerCustomer",
        "summary": "Register a customer",
        "body": api_bodies.RegisterBody,
        "example": {
            "identifiers": [{"type": "email", "value": "ana@example.com"}],
            "first_name": "Ana",
            "custom_fields": {"employee": "true"},
        },
        "answers": {
            201: (OutcomeAnswer, "Registered."),
            200: (OutcomeAnswer, "Existed and was updated, or unchanged."),
        },
        "command": True,
    },
    "PUT /connections/{connection}/customers/{customer_id}": {
        "id": "updateCustomer",
        "summary": "Update a customer by loyalty id",
        "body": api_bodies.UpdateBody,
        "example": {"first_name": "Ana", "extended_fields": {"city": "Bristol"}},
        "answers": {200: (OutcomeAnswer, "Updated, unchanged or stale.")},
        "command": True,
    },
    "PUT /connections/{connection}/customers": {
        "id": "updateCustomerByIdentifier",
        "summary": "Update a customer by identifier",
        "body": api_bodies.UpdateByIdentifierBody,
        "example": {
            "identifiers": [{"type": "mobile", "value": "+447700900123"}],
            "last_name": "Ames",
            "subscriptions": [{"channel": "email", "priority": "bulk", "subscribed": True}],
        },
        "answers": {
            200: (OutcomeAnswer, "Updated, unchanged or stale."),
            201: (OutcomeAnswer, "Was missing and is registered now (if_missing: register)."),
        },
        "command": True,
    },
    "GET /connections/{connection}/customers/{customer_id}/crm-fields": {
        "id": "listCrmFields",
        "summary": "List a customer's CRM fields",
        "answers": {200: (CrmFieldsAnswer, "The fields, live.")},
    },
    "PATCH /connections/{connection}/customers/{customer_id}/crm-fields": {
        "id": "patchCrmFields",
        "summary": "Patch a customer's CRM fields and tags",
        "body": api_bodies.CrmFieldsBody,
        "example": {"fields": {"first_name": "Ana", "promotions_mail": True}, "tags": {"add": ["Red tag"]}},
        "answers": {200: (OutcomeAnswer, "Patched, unchanged or stale; details.fields holds the full list.")},
        "command": True,
    },
    "GET /connections/{connection}/tags": {
        "id": "listTags",
        "summary": "List the tags of the business",
        "answers": {200: (TagsAnswer, "All pages.")},
    },
    "POST /connections/{connection}/store-links": {
        "id": "linkStore",
        "summary": "Link a shop to a virtual branch",
        "body": api_bodies.StoreLinkBody,
        "example": {
            "shop_id": "1234",
            "account_id": "acme",
            "store_name": "High Street",
            "store_domain": "https://acme.example.com",
        },
        "answers": {
            201: (StoreLinkOutcome, "Linked."),
            200: (StoreLinkOutcome, "Was linked already."),
        },
        "command": True,
    },
    "GET /connections/{connection}/store-links": {
        "id": "listStoreLinks",
        "summary": "List store links",
        "answers": {200: (StoreLinksAnswer, "The links of this connection.")},
    },
    "GET /connections/{connection}/store-links/{shop_id}": {
        "id": "readStoreLink",
        "summary": "Read the link of a shop",
        "answers": {200: (StoreLinkAnswer, "The link.")},
    },
    "POST /connections/{connection}/sales": {
        "id": "recordSale",
        "summary": "Record a sale",
        "body": sale_bodies.SaleBody,
        "example": {
            "order_id": "S-1001",
            "sold_at": "2026-03-10T14:05:00Z",
            "currency": "GBP",
            "total": "64.00",
            "tax": "10.00",
            "tips": "4.00",
            "location": "store-1",
            "customer": {"identifiers": [{"type": "email", "value": "ana@example.com"}]},
            "lines": [{"id": "1", "item_code": "MUG-GRN", "quantity": 2, "rate": "25.00", "tax": "10.00"}],
            "payments": [{"mode": "card", "amount": "64.00"}],
        },
        "answers": {
            201: (SaleOutcome, "Booked, or recorded until what it needs arrives."),
            200: (SaleOutcome, "Nothing to book: the bookings are as they should be, or the sale earns nothing."),
        },
        "command": True,
    },
    "GET /connections/{connection}/sales/{order_id}": {
        "id": "readSale",
        "summary": "Read what is known and booked of a sale",
        "answers": {200: (SaleAnswer, "The order's ledger.")},
    },
    "POST /connections/{connection}/sales/{order_id}/refunds": {
        "id": "recordRefund",
        "summary": "Record a refund of a sale",
        "body": sale_bodies.RefundBody,
        "example": {
            "refund_id": "R-1",
            "currency": "GBP",
            "total": "30.00",
            "lines": [{"id": "1", "quantity": 1, "rate": "25.00", "tax": "5.00"}],
        },
        "answers": {
            201: (SaleOutcome, "Booked, or recorded until its sale arrives."),
            200: (SaleOutcome, "Nothing to book."),
        },
        "command": True,
    },
    "POST /connections/{connection}/sales/{order_id}/void": {
        "id": "voidSale",
        "summary": "Take back all of a sale",
        "answers": {
            201: (SaleOutcome, "Booked, or recorded until its sale arrives."),
            200: (SaleOutcome, "Nothing to book."),
        },
        "command": True,
    },
    "POST /connections/{connection}/returns": {
        "id": "recordReturn",
        "summary": "Record a return that names no sale",
        "body": sale_bodies.ReturnBody,
        "example": {
            "refund_id": "R-2",
            "currency": "GBP",
            "total": "12.50",
            "customer": {"source_id": "1001"},
        },
        "answers": {
            201: (SaleOutcome, "Booked."),
            200: (SaleOutcome, "Nothing to book, or the connection skips such returns."),
        },
        "command": True,
    },
}

WEBHOOK_METHODS = {
    "post": ("deliver", "Deliver an event"),
    "get": ("handshake", "Answer a platform's challenge"),
    "options": ("preflight", "Answer the validation request of CloudEvents webhooks"),
}
WEBHOOK_REFUSALS = {
    401: "Not authentic: the same answer for a bad signature, another store, an unknown connection and an old time.",
    413: "The body has more than 2 MB, or the delivery cannot be kept.",
    415: "Authentic, in a format that is not supported (CloudEvents).",
    503: "Something of the relay's own is not available; deliver again.",
}

PARAMETERS = {
    "connection": "The connection's id.",
    "customer_id": "The customer's loyalty id.",
    "shop_id": "The shop's id at the platform.",
    "order_id": "The order's id, or an alias of it.",
    "topic": "The topic, for sources that name it nowhere else.",
}


def document() -> dict[str, Any]:
    """Return the document as a dictionary. Raises AssertionError when routes and endpoints are not the same."""
    if ROUTES.keys() != ENDPOINTS.keys():
        raise AssertionError(f"documented and served routes differ: {ROUTES.keys() ^ ENDPOINTS.keys()}")
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route, described in ROUTES.items():
        method, path = route.split(" ", 1)
        paths.setdefault(path, {})[method.lower()] = _operation(path, described)
    for path, suffix in (("/webhooks/{connection}", ""), ("/webhooks/{connection}/{topic}", "OfTopic")):
        paths[path] = {m: _webhook(path, name + suffix, text) for m, (name, text) in WEBHOOK_METHODS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Loyalty Relay",
            "version": "1",
            "description": "Register and update customers, patch CRM fields, link stores, record sales. Keys are made "
            "with `relay connections new-key` and sent as x-api-key. Platforms deliver their webhooks to /webhooks.",
        },
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _models() -> list[type[BaseModel]]:
    models: dict[str, type[BaseModel]] = {
        m.__name__: m for m in (Problem, GatewayMessage, WebhookRefusal, AcceptedAnswer)
    }
    for described in ROUTES.values():
        if "body" in described:
            models[described["body"].__name__] = described["body"]
        for model, _ in described["answers"].values():
            models[model.__name__] = model
    return list(models.values())


def _schemas() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in _models()], ref_template=REFERENCE, title=None
    )
    return dict(definitions["$defs"])


def _operation(path: str, described: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": described["id"],
        "summary": described["summary"],
        "parameters": [_path_parameter(name) for name in PARAMETERS if f"{{{name}}}" in path],
        "responses": {},
    }
    if described.get("command"):
        operation["parameters"] += [
            _header("Idempotency-Key", "A replay of the same request returns the first one's result.", max_length=200),
            _header("Prefer", "respond-async: answer 202 at once and work from the queue."),
        ]
    if "body" in described:
        content = {"schema": _ref(described["body"]), "example": described["example"]}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    responses = operation["responses"]
    for status, (model, text) in described["answers"].items():
        content = {"schema": _ref(model)}
        if model is OutcomeAnswer:
            content["example"] = {**OUTCOME_EXAMPLE, "created": status == 201}
        responses[str(status)] = {"description": text, "content": {"application/json": content}}
        if described.get("command"):
            responses[str(status)]["headers"] = _answer_header(
                "Idempotent-Replayed", "true: this is what was kept of the first answer."
            )
    if described.get("command"):
        responses["202"] = {
            "description": "On the queue (Prefer: respond-async).",
            "content": {"application/json": {"schema": _ref(AcceptedAnswer)}},
        }
    for status, text in PROBLEMS.items():
        content = {"schema": _ref(Problem), "example": _problem_example(status, text)}
        responses[str(status)] = {"description": text, "content": {"application/problem+json": content}}
        if status in GATEWAY_TOO:
            responses[str(status)]["content"] |= _gateway()
        if status in (429, 503, 504):
            responses[str(status)]["headers"] = _answer_header("Retry-After", "Seconds to wait, where that is known.")
    for status, text in (("401", "No API key was sent."), ("403", "The API key is not one of this connection's.")):
        responses[status] = {"description": f"{text} Returned by the gateway.", "content": _gateway()}
    operation["responses"] = dict(sorted(responses.items()))
    return operation


def _webhook(path: str, name: str, summary: str) -> dict[str, Any]:
    """Return a route that platforms call. Its body is theirs to define, so the schema accepts anything."""
    responses: dict[str, Any] = {
        "2XX": {"description": "Taken, or a handshake's answer: status and body are those that this platform expects."}
    }
    for status, text in WEBHOOK_REFUSALS.items():
        schema = {"anyOf": [_ref(WebhookRefusal), _ref(GatewayMessage)]} if status != 401 else _ref(WebhookRefusal)
        responses[str(status)] = {"description": text, "content": {"application/json": {"schema": schema}}}
    for status in (400, 404, 429, 500, 502, 504):
        responses.setdefault(str(status), {"description": "Returned by the gateway.", "content": _gateway()})
    responses["503"]["headers"] = _answer_header("Retry-After", "Seconds to wait.")
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": [_path_parameter(p) for p in PARAMETERS if f"{{{p}}}" in path],
        "responses": dict(sorted(responses.items())),
    }
    if name.startswith("deliver"):
        operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    return operation


def _gateway() -> dict[str, Any]:
    return {"application/json": {"schema": _ref(GatewayMessage)}}


def _answer_header(name: str, text: str) -> dict[str, Any]:
    return {name: {"description": text, "required": False, "schema": {"type": "string"}}}


def _problem_example(status: int, text: str) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": "urn:loyalty-relay:problem:invalid" if status == 422 else f"urn:loyalty-relay:problem:{status}",
        "title": "invalid" if status == 422 else text.partition(",")[0].rstrip("."),
        "status": status,
        "detail": text,
        "delivery_id": OUTCOME_EXAMPLE["delivery_id"],
    }
    if status == 422:
        example["errors"] = [{"field": "identifiers.0.value", "message": "is not a valid mobile number"}]
    if status == 409:
        example |= {"code": "8006", "loyalty_id": "600000001"}
    return example


def _path_parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
    if name == "connection":
        schema = {"type": "string", "pattern": f"^{CONNECTION_ID.pattern}$"}
    return {"name": name, "in": "path", "required": True, "description": PARAMETERS[name], "schema": schema}


def _header(name: str, text: str, *, max_length: int = 100) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": text,
        "schema": {"type": "string", "maxLength": max_length},
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def text() -> str:
    """Return the document as docs/openapi.json contains it."""
    return json.dumps(document(), indent=2, sort_keys=False) + "\n"


def main() -> int:
    """Write the document, or with ``--check`` compare it. Returns the exit status."""
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(text())
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == text():
        return 0
    print("docs/openapi.json is out of date; run: make openapi", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
