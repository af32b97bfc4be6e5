"""Shopify's GraphQL Admin API, as far as the relay reads it: customers (Shopify docs: "customers", "API limits")."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devkit.sandbox.platforms.base import Entity, Handler, Platform
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import JSON, Answer, Clock, json_answer

COST = 5
"""Points of one customer with e-mail, phone and address."""
MOST_COST = 1000
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"

DEMO: Mapping[str, Entity] = {
    "customers/706405506930370000": {
        "id": "gid://shopify/Customer/706405506930370000",
        "legacyResourceId": "706405506930370000",
        "firstName": "Bob",
        "lastName": "Biller",
        "note": "This customer loves ice cream",
        "tags": [],
        "state": "DISABLED",
        "verifiedEmail": True,
        "createdAt": "2023-12-31T10:00:00Z",
        "updatedAt": "2023-12-31T19:00:00Z",
        "defaultEmailAddress": {
            "emailAddress": "bob@example.com",
            "marketingState": "NOT_SUBSCRIBED",
            "marketingUpdatedAt": None,
        },
        "defaultPhoneNumber": None,
        "defaultAddress": None,
    },
}


class Shopify(Platform):
    """NAME.myshopify.com. One route, whose query is recognised by the connection that it reads.

    Settings: `customers` are made in addition to those that are written down, `restore_rate` limits what queries cost
    (in points a second; 0: no limit), `denied` refuses as without the scope read_customers.
    """

    name = "shopify"
    prefix = "/shopify"
    entity_paths: Mapping[str, str] = {r"customers/(?P<id>[0-9]+)": "number"}

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "fake-shopify-token", {"restore_rate": 0})
        self._points = float(MOST_COST * 2)
        self._seen = clock()

    def handlers(self) -> Mapping[str, Handler]:
        """Return none: every query is posted."""
        return {}

    def routes(self) -> Sequence[BaseRoute]:
        """Return the one route of GraphQL."""
        return [Route("/admin/api/{version}/graphql.json", self._graphql(), methods=["POST"])]

    def token_of(self, request: Request) -> str:
        """Return the X-Shopify-Access-Token."""
        return request.headers.get("x-shopify-access-token", "")

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return the errors that are not those of GraphQL."""
        return json_answer(status, {"errors": detail or "[API] Invalid API key or access token"})

    def _graphql(self) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if self.token_of(request) != self.settings["access_token"]:
                status, headers, body = self.error(401)
            else:
                status, headers, body = self._answer(await request.body())
            return Response(body, status, headers)

        return endpoint

    def _answer(self, body: bytes) -> Answer:
        try:
            asked = json.loads(body)
            query, variables = asked["query"], asked.get("variables") or {}
        except (ValueError, KeyError, TypeError):
            return json_answer(400, {"errors": "query is required"})
        if "customers(" not in query:
            return json_answer(200, {"errors": [{"message": "the sandbox serves customers only"}]})
        if self.settings["denied"]:
            denied = {"message": "Access denied for customers field.", "extensions": {"code": "ACCESS_DENIED"}}
            return json_answer(200, {"data": None, "errors": [denied]})
        size = int(variables.get("size", 10))
        cost = 2 + size * COST
        status = self._spend(cost)
        extensions: dict[str, Any] = {"cost": {"requestedQueryCost": cost, "throttleStatus": status}}
        if status["currentlyAvailable"] < 0:
            extensions["cost"]["throttleStatus"]["currentlyAvailable"] = int(self._points)
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return json_answer(200, {"errors": [throttled], "extensions": extensions})
        return json_answer(200, {"data": self._customers(size, variables), "extensions": extensions})

    def _spend(self, cost: int) -> dict[str, Any]:
        rate, now = float(str(self.settings["restore_rate"])), self.clock()
        if not rate:
            return {"maximumAvailable": MOST_COST * 2, "currentlyAvailable": MOST_COST * 2, "restoreRate": 100}
        self._points = min(self._points + (now - self._seen) * rate, MOST_COST * 2.0)
        self._seen = now
        left = self._points - cost
        if left >= 0:
            self._points = left
        return {"maximumAvailable": MOST_COST * 2, "currentlyAvailable": int(left), "restoreRate": rate}

    def _customers(self, size: int, variables: Mapping[str, Any]) -> dict[str, Any]:
        text = str(variables.get("filter") or "")
        after = re.search(r"\bid:>([0-9]{1,20})", text)
        since = re.search(r"updated_at:>='([^']{1,40})'", text)
        first = int(after[1]) if after else 0
        written = sorted(self.entities().values(), key=lambda node: int(node["legacyResourceId"]))
        everyone = self.everyone(written)
        nodes: list[JSON] = []
        more = False
        # The ids that are written down are higher than those that are made.
        for node in chain(everyone.beyond(first), (n for n in written if int(n["legacyResourceId"]) > first)):
            if since and node["updatedAt"] < since[1][:19]:
                continue
            if len(nodes) == size:
                more = True
                break
            nodes.append(node)
        found: dict[str, Any] = {"customers": {"pageInfo": {"hasNextPage": more}, "nodes": nodes}}
        if variables.get("counted"):
            found["customersCount"] = {"count": len(everyone)}
        return found

    def made(self, person: Person) -> Entity:
        """Return a customer as GraphQL shows them."""
        created, changed = person.created.strftime(_MOMENT), person.changed.strftime(_MOMENT)
        return {
            "id": f"gid://shopify/Customer/{person.number}",
            "legacyResourceId": str(person.number),
            "firstName": person.first_name,
            "lastName": person.last_name,
            "note": None,
            "tags": [],
            "state": "DISABLED",
            "verifiedEmail": True,
            "createdAt": created,
            "updatedAt": changed,
            "defaultEmailAddress": {
                "emailAddress": person.email,
                "marketingState": "NOT_SUBSCRIBED",
                "marketingUpdatedAt": None,
            },
            "defaultPhoneNumber": None,
            "defaultAddress": None,
        }
