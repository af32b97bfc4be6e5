"""Shopify's GraphQL Admin API, as far as the relay uses it: customers and webhook subscriptions.

Shopify docs: "customers", "API limits", "webhookSubscriptions" and its mutations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devkit.sandbox.platforms.base import Entity, Handler, Platform, deliverable
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import JSON, Answer, Clock, json_answer

COST = 5
"""Points of one customer with e-mail, phone and address."""
MOST_COST = 1000
SCOPES: Mapping[str, str] = {
    "CUSTOMER": "read_customers",
    "LOCATIONS": "read_locations",
    "ORDERS": "read_orders",
    "REFUNDS": "read_orders",
}
"""What a topic begins with -> the scope that it needs."""
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
    (in points a second; 0: no limit), `denied` refuses as without the scope read_customers, `scopes` are those of the
    token.
    """

    name = "shopify"
    prefix = "/shopify"
    entity_paths: Mapping[str, str] = {
        r"customers/(?P<id>[0-9]+)": "number",
        r"subscriptions/(?P<id>[0-9]+)": "number",
    }

    def __init__(self, clock: Clock) -> None:
        scopes: JSON = ["read_customers", "read_locations", "read_orders"]
        super().__init__(clock, DEMO, "fake-shopify-token", {"restore_rate": 0, "scopes": scopes})
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
        if "webhookSubscription" in query:
            return json_answer(200, self._subscriptions(query, variables))
        if "customers(" not in query:
            return json_answer(200, {"errors": [{"message": "the sandbox serves customers and webhooks only"}]})
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
        written = sorted(self.under("customers/"), key=lambda node: int(node["legacyResourceId"]))
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

    def _subscriptions(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the list of webhook subscriptions, or the payload of a mutation under the alias `made`."""
        for name, mutate in (("Create", self._create), ("Update", self._update), ("Delete", self._delete)):
            if f"webhookSubscription{name}(" in query:
                problem = mutate(variables)
                errors = [{"field": ["webhookSubscription"], "message": problem}] if problem else []
                return {"data": {"made": {"userErrors": errors}}}
        found, size = self.under("subscriptions/"), int(variables["size"])
        start = int(variables.get("after") or 0)
        page: dict[str, Any] = {"hasNextPage": start + size < len(found), "endCursor": str(start + size)}
        nodes = [{"id": _gid(hook), "topic": hook["topic"], "uri": hook["uri"]} for hook in found[start : start + size]]
        data: dict[str, Any] = {"webhookSubscriptions": {"pageInfo": page, "nodes": nodes}}
        if variables.get("first"):
            handles = [{"handle": scope} for scope in cast("list[str]", self.settings["scopes"])]
            data["currentAppInstallation"] = {"accessScopes": handles}
        return {"data": data}

    def _create(self, variables: Mapping[str, Any]) -> str:
        wanted = {"topic": variables["topic"], "uri": variables["subscription"].get("uri")}
        if problem := self._refused(wanted, 0):
            return problem
        self.put_entity(f"subscriptions/{self.new_number('subscriptions')}", wanted)
        return ""

    def _update(self, variables: Mapping[str, Any]) -> str:
        number = variables["id"].rpartition("/")[2]
        found = self.find(f"subscriptions/{number}")
        if found is None:
            return "Webhook subscription does not exist"
        changed = {**found, "uri": variables["subscription"].get("uri")}
        if problem := self._refused(changed, int(number)):
            return problem
        self.put_entity(f"subscriptions/{number}", changed)
        return ""

    def _delete(self, variables: Mapping[str, Any]) -> str:
        number = variables["id"].rpartition("/")[2]
        if self.find(f"subscriptions/{number}") is None:
            return "Webhook subscription does not exist"
        self.delete_entity(f"subscriptions/{number}")
        return ""

    def _refused(self, wanted: Entity, number: int) -> str:
        """Return what is wrong with a subscription; the same topic at the same address is taken once."""
        if not deliverable(wanted["uri"]):
            return "Address is not a valid URL"
        scope = next((scope for start, scope in SCOPES.items() if wanted["topic"].startswith(start)), "")
        if scope and scope not in cast("list[str]", self.settings["scopes"]):
            return "You do not have permission to create or update webhooks with this topic"
        others = [hook for hook in self.under("subscriptions/") if hook["id"] != number]
        if any((hook["topic"], hook["uri"]) == (wanted["topic"], wanted["uri"]) for hook in others):
            return "Address for this topic has already been taken"
        return ""

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


def _gid(hook: Entity) -> str:
    return f"gid://shopify/WebhookSubscription/{hook['id']}"
