"""Square's reads: customers, locations, orders and payments (Square API reference: the objects of these names)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import Request

from devkit.sandbox.platforms.base import Entity, Handler, Platform, bearer, demo_orders
from devkit.sandbox.vendor import Answer, Clock, json_answer

LOCATION = "LDEMO00000001"
CUSTOMER = "DEMOCUSTOMER00000000000001"
_ERRORS: Mapping[int, tuple[str, str, str]] = {
    400: ("INVALID_REQUEST_ERROR", "BAD_REQUEST", "The request could not be understood."),
    401: ("AUTHENTICATION_ERROR", "UNAUTHORIZED", "This request could not be authorized."),
    403: ("AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES", "The access token lacks a permission."),
    404: ("INVALID_REQUEST_ERROR", "NOT_FOUND", "Resource not found."),
    405: ("INVALID_REQUEST_ERROR", "METHOD_NOT_ALLOWED", "The method is not allowed."),
    429: ("RATE_LIMIT_ERROR", "RATE_LIMITED", "The request was rate limited."),
    500: ("API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred."),
}

DEMO: Mapping[str, Entity] = {
    f"v2/locations/{LOCATION}": {
        "id": LOCATION,
        "name": "Demo Bakery",
        "address": {
            "address_line_1": "3 Sample Street",
            "locality": "San Francisco",
            "administrative_district_level_1": "CA",
            "postal_code": "94105",
            "country": "US",
        },
        "timezone": "America/Los_Angeles",
        "capabilities": ["CREDIT_CARD_PROCESSING"],
        "status": "ACTIVE",
        "created_at": "2024-03-01T09:00:00.000Z",
        "merchant_id": "MLDEMOMERCHANT",
        "country": "US",
        "language_code": "en-US",
        "currency": "USD",
        "phone_number": "+1 415-555-0100",
        "business_name": "Demo Bakery",
        "type": "PHYSICAL",
        "website_url": "https://bakery.example.com",
        "business_email": "owner@example.com",
    },
    f"v2/customers/{CUSTOMER}": {
        "id": CUSTOMER,
        "created_at": "2024-03-01T09:00:00.000Z",
        "updated_at": "2024-03-02T10:30:00Z",
        "given_name": "Sam",
        "family_name": "Quill",
        "nickname": "",
        "email_address": "sam.quill@example.com",
        "phone_number": "+1-415-555-0188",
        "birthday": "0000-02-28",
        "preferences": {"email_unsubscribed": False},
        "creation_source": "DIRECTORY",
        "group_ids": [],
        "version": 3,
    },
    **demo_orders("square"),
}


class Square(Platform):
    """connect.squareup.com. Empty fields of a customer are left out, as documented."""

    name = "square"
    prefix = "/square"
    entity_paths: Mapping[str, str] = {
        r"v2/locations/(?P<id>[^/]+)": "text",
        r"v2/customers/(?P<id>[^/]+)": "text",
        r"v2/orders/(?P<id>[^/]+)": "text",
        r"v2/payments/(?P<id>[^/]+)": "text",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "fake-square-token", {"version": "2026-07-15"})

    def handlers(self) -> Mapping[str, Handler]:
        """Return the resources, and the list of locations."""
        return {
            "/v2/locations": self._locations,
            "/v2/locations/{location}": self._location,
            "/v2/customers/{customer}": self._customer,
            "/v2/orders/{order}": self._order,
            "/v2/payments/{payment}": self._payment,
        }

    def token_of(self, request: Request) -> str:
        """Return a bearer token."""
        return bearer(request)

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a list of errors, each with category, code and detail."""
        category, code, text = _ERRORS.get(status, _ERRORS[500])
        error = {"category": category, "code": code, "detail": detail or text}
        return json_answer(status, {"errors": [error]})

    def _locations(self, request: Request) -> Answer:
        found = [it for path, it in self.entities().items() if path.startswith("v2/locations/")]
        return self._answer(request, {"locations": found} if found else {})

    def _location(self, request: Request) -> Answer:
        number = request.path_params["location"]
        found = self.find(f"v2/locations/{number}")
        if found is None:
            return self.error(404, f"Location with ID `{number}` not found.")
        return self._answer(request, {"location": found})

    def _customer(self, request: Request) -> Answer:
        number = request.path_params["customer"]
        found = self.find(f"v2/customers/{number}")
        if found is None:
            return self.error(404, f"Customer with ID `{number}` not found.")
        shown = {key: value for key, value in found.items() if value not in ("", None, [], {})}
        return self._answer(request, {"customer": shown})

    def _order(self, request: Request) -> Answer:
        number = request.path_params["order"]
        found = self.find(f"v2/orders/{number}")
        if found is None:
            return self.error(404, f"Order not found for id {number}")
        return self._answer(request, {"order": found})

    def _payment(self, request: Request) -> Answer:
        number = request.path_params["payment"]
        found = self.find(f"v2/payments/{number}")
        if found is None:
            return self.error(404, f"Could not find payment with id: {number}")
        return self._answer(request, {"payment": found})

    def _answer(self, request: Request, body: Entity) -> Answer:
        """Return the body with the version it has: the requested one, or the application's own."""
        version = request.headers.get("square-version", str(self.settings["version"]))
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", version) is None:
            return self.error(400, "The Square-Version header is not a version.")
        return json_answer(200, body, {"square-version": version})
