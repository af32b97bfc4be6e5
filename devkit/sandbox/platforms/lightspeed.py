"""Lightspeed X-Series' reads of sales and customers, and its webhooks.

X-Series API 2.0: Get a single sale, Get a single customer, List customers; Webhooks; Rate limiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import chain, islice

from starlette.requests import Request

from devkit.sandbox.platforms.base import (
    Entity,
    Handler,
    Platform,
    Writer,
    bearer,
    deliverable,
    demo_orders,
    page_number,
)
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import Answer, Clock, json_answer

HOOKS = "api/2.0/webhooks/"
TYPES = frozenset(
    {
        "sale.update",
        "product.update",
        "customer.update",
        "inventory.update",
        "register_closure.create",
        "consignment.send",
        "consignment.receive",
    }
)
_MESSAGES: Mapping[int, str] = {
    400: "The request could not be understood.",
    401: "Unauthorized",
    403: "The token lacks a scope.",
    404: "Not found",
    405: "Method not allowed",
    429: "Too many requests",
    500: "Internal server error",
}
MOST_ROWS = 200
WAIT = 15
"""Seconds that a throttled client is to wait."""
CHANGED = 40_000_000_000
"""Version from which on those are who were changed: whoever changes moves to the end of the list."""


class Lightspeed(Platform):
    """PREFIX.retail.lightspeed.app, of one retailer."""

    name = "lightspeed"
    prefix = "/lightspeed"
    list_path = "/api/2.0/customers"
    entity_paths: Mapping[str, str] = {
        r"api/2\.0/sales/(?P<id>[^/]+)": "text",
        r"api/2\.0/customers/(?P<id>[^/]+)": "text",
        r"api/2\.0/webhooks/(?P<id>[^/]+)": "text",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, demo_orders("lightspeed"), "fake-lightspeed-token")

    def handlers(self) -> Mapping[str, Handler]:
        """Return the resources, and the lists of customers and webhooks."""
        single: dict[str, Handler] = {
            f"/api/2.0/{kind}/{{id}}": partial(self._shown, kind) for kind in ("sales", "customers", "webhooks")
        }
        return {self.list_path: self._customers, "/api/2.0/webhooks": self._hooks, **single}

    def writers(self) -> Mapping[tuple[str, str], Writer]:
        """Return the changes of webhooks."""
        one = "/api/2.0/webhooks/{id}"
        return {
            ("POST", "/api/2.0/webhooks"): self._new_hook,
            ("PUT", one): self._change_hook,
            ("DELETE", one): self._remove_hook,
        }

    def token_of(self, request: Request) -> str:
        """Return a bearer token."""
        return bearer(request)

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a list of messages under the name of what they are about."""
        end = datetime.fromtimestamp(self.clock(), UTC) + timedelta(seconds=WAIT)
        headers = {"retry-after": format_datetime(end, usegmt=True)} if status == 429 else None
        return json_answer(status, {"errors": {"global": [detail or _MESSAGES.get(status, "Error")]}}, headers)

    def _shown(self, kind: str, request: Request) -> Answer:
        found = self.find(f"api/2.0/{kind}/{request.path_params['id']}")
        return self.error(404) if found is None else json_answer(200, {"data": found})

    def _customers(self, request: Request) -> Answer:
        """Return the customers after a version, by version."""
        after = page_number(request.query_params.get("after"), 0)
        size = min(page_number(request.query_params.get("page_size"), MOST_ROWS), MOST_ROWS)
        entities = self.entities()
        written = [entities[path] for path in entities if path.startswith("api/2.0/customers/")]
        made = self.everyone(())
        unchanged = (row for row in made.beyond(after) if int(row["version"]) < CHANGED)
        changed = (self.made(person) for person in made.saved())
        others = sorted([*written, *changed], key=lambda row: int(row["version"]))
        # Whoever was not changed has a lower version than those that are written down.
        rows = list(islice(chain(unchanged, (row for row in others if int(row["version"]) > after)), size))
        versions = [int(row["version"]) for row in rows]
        return json_answer(200, {"data": rows, "version": {"min": min(versions), "max": max(versions)} if rows else {}})

    def made(self, person: Person) -> Entity:
        """Return a customer as the list shows them."""
        version = person.number if person.saved is None else CHANGED + int(person.saved.timestamp() * 1000)
        return {
            "id": f"0af7b240-0000-11e7-bbbb-{person.number:012d}",
            "customer_code": f"{person.first_name}-{person.number}",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": person.email,
            "mobile": None,
            "phone": None,
            "do_not_email": False,
            "deleted_at": None,
            "created_at": person.created.isoformat(),
            "updated_at": person.changed.isoformat(),
            "version": version,
        }

    def _hooks(self, request: Request) -> Answer:
        return json_answer(200, {"data": self.under(HOOKS)})

    def _new_hook(self, request: Request, given: Entity) -> Answer:
        if refused := self._refused(given):
            return self.error(400, refused)
        if any((hook["type"], hook["url"]) == (given["type"], given["url"]) for hook in self.under(HOOKS)):
            return json_answer(409, {"error": "A webhook with this type and URL already exists."})
        hook = {"id": f"0a6f0000-0000-4000-8000-{self.new_number(HOOKS):012d}", **given}
        self.put_entity(f"{HOOKS}{hook['id']}", hook)
        return json_answer(201, {"data": hook})

    def _change_hook(self, request: Request, given: Entity) -> Answer:
        path = f"{HOOKS}{request.path_params['id']}"
        if (found := self.find(path)) is None:
            return json_answer(404, {"error": "Not Found"})
        if refused := self._refused(given):
            return self.error(400, refused)
        self.put_entity(path, {**found, **given})
        return json_answer(200, {"data": {**found, **given}})

    def _remove_hook(self, request: Request, given: Entity) -> Answer:
        path = f"{HOOKS}{request.path_params['id']}"
        if self.find(path) is None:
            return json_answer(404, {"error": "Not Found"})
        self.delete_entity(path)
        return json_answer(200, {})

    def _refused(self, hook: Entity) -> str:
        if hook.get("type") not in TYPES or not isinstance(hook.get("active"), bool):
            return "type and active are required."
        return "" if deliverable(hook.get("url")) else "url must be an HTTPS URL."
