"""Square's reads (customers, locations, orders, payments) and webhook subscriptions (API reference: these names)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain, islice
from typing import Any

from starlette.requests import Request

from devkit.sandbox.platforms.base import Entity, Handler, Platform, Writer, bearer, deliverable, demo_orders
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import JSON, Answer, Clock, json_answer

HOOKS = "/v2/webhooks/subscriptions"
LOCATION = "LDEMO00000001"
CUSTOMER = "DEMOCUSTOMER00000000000001"
MOST_ROWS = 100
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
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
    """connect.squareup.com. Empty fields of a customer are left out, as documented.

    The setting `cursor_seconds` is how long a cursor of the search is good for; 0: for ever.
    """

    name = "square"
    prefix = "/square"
    list_path = "/v2/customers/search"
    entity_paths: Mapping[str, str] = {
        r"v2/locations/(?P<id>[^/]+)": "text",
        r"v2/customers/(?P<id>[^/]+)": "text",
        r"v2/orders/(?P<id>[^/]+)": "text",
        r"v2/payments/(?P<id>[^/]+)": "text",
        r"v2/webhooks/subscriptions/(?P<id>[^/]+)": "text",
    }

    def __init__(self, clock: Clock) -> None:
        settings: dict[str, JSON] = {
            "version": "2026-07-15",
            "cursor_seconds": 0,
            "application_token": "fake-square-application-token",
        }
        super().__init__(clock, DEMO, "fake-square-token", settings)

    def handlers(self) -> Mapping[str, Handler]:
        """Return the resources, and the list of locations."""
        return {
            "/v2/locations": self._locations,
            "/v2/locations/{location}": self._location,
            "/v2/customers/{customer}": self._customer,
            "/v2/orders/{order}": self._order,
            "/v2/payments/{payment}": self._payment,
            HOOKS: self._hooks,
            f"{HOOKS}/{{hook}}": self._hook,
        }

    def writers(self) -> Mapping[tuple[str, str], Writer]:
        """Return the search for customers, and the changes of webhook subscriptions."""
        one = f"{HOOKS}/{{hook}}"
        return {
            ("POST", self.list_path): self._search,
            ("POST", HOOKS): self._new_hook,
            ("PUT", one): self._change_hook,
            ("DELETE", one): self._remove_hook,
        }

    def allowed(self, request: Request) -> bool:
        """Return whether the token is the seller's; for webhook subscriptions, the application's own."""
        name = "application_token" if HOOKS in request.url.path else "access_token"
        return self.token_of(request) == self.settings[name]

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

    def _search(self, request: Request, body: Entity) -> Answer:
        """Return a page of customers by creation, and the cursor of the next one."""
        wanted = body.get("query") or {}
        if (wanted.get("sort") or {}).get("field", "DEFAULT") not in ("DEFAULT", "CREATED_AT"):
            return self.error(400, "sort.field must be DEFAULT or CREATED_AT")
        ranges = wanted.get("filter") or {}
        size = min(int(body.get("limit", MOST_ROWS)), MOST_ROWS)
        place = ("", 0)
        if body.get("cursor"):
            issued, number, at = base64.b64decode(body["cursor"]).decode().split(" ")
            lasts = float(str(self.settings["cursor_seconds"]))
            if lasts and self.clock() - float(issued) > lasts:
                error = {"category": "INVALID_REQUEST_ERROR", "code": "INVALID_CURSOR", "detail": "Invalid cursor."}
                return json_answer(400, {"errors": [error]})
            place = (at, int(number))
        rows = (row for row in self._by_creation(place) if _within(row, ranges))
        found = list(islice(rows, size + 1))
        answer: Entity = {"customers": [row for _, row in found[:size]]} if found else {}
        if len(found) > size:
            (last, place_of_last), _ = found[size - 1]
            answer["cursor"] = base64.b64encode(f"{self.clock()} {place_of_last} {last}".encode()).decode()
        if body.get("count"):
            answer["count"] = len(self.everyone(self._written()))
        return self._answer(request, answer)

    def _written(self) -> list[Entity]:
        entities = self.entities()
        found = [entities[path] for path in entities if path.startswith("v2/customers/")]
        return [{key: value for key, value in it.items() if value not in ("", None, [], {})} for it in found]

    def _by_creation(self, after: tuple[str, int]) -> Iterator[tuple[tuple[str, int], Entity]]:
        """Yield customers with their places; whoever is written down was created after those that are made."""
        at, number = after
        made = (((row["created_at"], int(row["id"][1:])), row) for row in self.everyone(()).beyond(number))
        written = sorted(((row["created_at"], 0), row) for row in self._written())
        return chain(made if not at or number else (), ((place, row) for place, row in written if place > after))

    def made(self, person: Person) -> Entity:
        """Return a customer as the search shows them."""
        return {
            "id": f"M{person.number}",
            "created_at": person.created.strftime(_MOMENT),
            "updated_at": person.changed.strftime(_MOMENT),
            "given_name": person.first_name,
            "family_name": person.last_name,
            "email_address": person.email,
            "preferences": {"email_unsubscribed": False},
            "version": 0 if person.saved is None else 1,
        }

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

    def _hooks(self, request: Request) -> Answer:
        """Return a page of the subscriptions, without their keys."""
        disabled = request.query_params.get("include_disabled") == "true"
        found = [hook for hook in self.under(f"{HOOKS[1:]}/") if disabled or hook["enabled"]]
        start, limit = int(request.query_params.get("cursor") or 0), int(request.query_params.get("limit") or 100)
        page = [{k: v for k, v in hook.items() if k != "signature_key"} for hook in found[start : start + limit]]
        more = {"cursor": str(start + limit)} if start + limit < len(found) else {}
        return self._answer(request, ({"subscriptions": page} if page else {}) | more)

    def _hook(self, request: Request) -> Answer:
        found = self.find(self._path(request))
        return self.error(404) if found is None else self._answer(request, {"subscription": found})

    def _new_hook(self, request: Request, given: Entity) -> Answer:
        wanted = given.get("subscription")
        if not isinstance(wanted, dict) or (refused := self._refused(wanted)):
            return self.error(400, refused if isinstance(wanted, dict) else None)
        number = self.new_number(HOOKS)
        hook = {"id": f"wbhk_{number}", "enabled": True, **wanted, "signature_key": f"fake-signature-key-{number}"}
        self.put_entity(f"{HOOKS[1:]}/{hook['id']}", hook)
        return self._answer(request, {"subscription": hook})

    def _change_hook(self, request: Request, given: Entity) -> Answer:
        found = self.find(self._path(request))
        if found is None:
            return self.error(404)
        changed = {**found, **given.get("subscription", {})}
        if refused := self._refused(changed):
            return self.error(400, refused)
        self.put_entity(self._path(request), changed)
        return self._answer(request, {"subscription": {k: v for k, v in changed.items() if k != "signature_key"}})

    def _remove_hook(self, request: Request, given: Entity) -> Answer:
        if self.find(self._path(request)) is None:
            return self.error(404)
        self.delete_entity(self._path(request))
        return self._answer(request, {})

    def _path(self, request: Request) -> str:
        return f"{HOOKS[1:]}/{request.path_params['hook']}"

    def _refused(self, hook: Entity) -> str:
        types = hook.get("event_types")
        if not isinstance(types, list) or not types or not all("." in str(kind) for kind in types):
            return "event_types must name event types."
        return "" if deliverable(hook.get("notification_url")) else "notification_url must be an HTTPS URL."

    def _answer(self, request: Request, body: Entity) -> Answer:
        """Return the body with the version it has: the requested one, or the application's own."""
        version = request.headers.get("square-version", str(self.settings["version"]))
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", version) is None:
            return self.error(400, "The Square-Version header is not a version.")
        return json_answer(200, body, {"square-version": version})


def _within(placed: tuple[tuple[str, int], Entity], ranges: Mapping[str, Any]) -> bool:
    """Return whether a customer is within the ranges of times of a search."""
    _, row = placed
    for name, between in ranges.items():
        at = datetime.fromisoformat(row[name])
        if "start_at" in between and at < datetime.fromisoformat(between["start_at"]):
            return False
        if "end_at" in between and at > datetime.fromisoformat(between["end_at"]):
            return False
    return True
