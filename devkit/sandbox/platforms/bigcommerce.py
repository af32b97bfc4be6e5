"""BigCommerce's webhooks and reads: customers, subscribers, inventory locations, orders with all parts, the store.

BigCommerce docs: Customers V3, Subscribers, Inventory locations, Orders V2, Order refunds, Webhooks V3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request

from devkit.sandbox.platforms.base import (
    Entity,
    Handler,
    Platform,
    Writer,
    deliverable,
    demo_orders,
    listed,
    page_number,
)
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import Answer, Clock, json_answer

STORE = "demohash1"
MAX_LIMIT = 250
PLAIN_LIMIT = 50
MAX_HOOKS = 10
"""Webhooks of one scope."""
_TYPE = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes"
_TITLES: Mapping[int, str] = {
    400: "The request could not be understood.",
    401: "X-Auth-Token header is required",
    403: "You don't have a required scope to access the endpoint",
    404: "The requested resource was not found.",
    405: "Method not allowed.",
    422: "The filter is invalid.",
    429: "Too many requests",
    500: "Internal server error",
}
_ON_REQUEST: Mapping[str, str] = {
    "addresses": "addresses",
    "attributes": "attributes",
    "form_fields": "formfields",
}
"""Parts of a customer that come only when `include` names them, with that name."""

DEMO: Mapping[str, Entity] = {
    f"stores/{STORE}/v3/customers/1001": {
        "id": 1001,
        "email": "bea.commerce@example.com",
        "first_name": "Bea",
        "last_name": "Commerce",
        "company": "",
        "phone": "+14155550123",
        "notes": "",
        "tax_exempt_category": "",
        "customer_group_id": 2,
        "date_created": "2024-03-01T09:00:00Z",
        "date_modified": "2024-03-02T10:30:00Z",
        "origin_channel_id": 1,
        "channel_ids": [1],
        "accepts_product_review_abandoned_cart_emails": True,
        "addresses": [
            {
                "id": 11,
                "customer_id": 1001,
                "first_name": "Bea",
                "last_name": "Commerce",
                "address1": "1 Sample Street",
                "city": "San Francisco",
                "state_or_province": "California",
                "postal_code": "94105",
                "country": "United States",
                "country_code": "US",
                "phone": "+14155550123",
                "address_type": "residential",
            }
        ],
        "attributes": [{"id": 5, "attribute_id": 2, "customer_id": 1001, "attribute_value": "1990-02-28"}],
        "form_fields": [{"name": "Birthday", "value": "1990-02-28", "customer_id": 1001}],
    },
    f"stores/{STORE}/v3/customers/subscribers/501": {
        "id": 501,
        "email": "bea.commerce@example.com",
        "first_name": "Bea",
        "last_name": "Commerce",
        "source": "storefront",
        "order_id": None,
        "channel_id": 1,
        "consents": ["marketing_newsletter"],
        "date_created": "2024-03-01T09:00:00Z",
        "date_modified": "2024-03-01T09:00:00Z",
    },
    f"stores/{STORE}/v3/inventory/locations/7": {
        "id": 7,
        "code": "DEMO-7",
        "label": "Demo Warehouse Shop",
        "description": "",
        "managed_by_external_source": False,
        "type_id": "PHYSICAL",
        "enabled": True,
        "time_zone": "America/Los_Angeles",
        "created_at": "2024-03-01T09:00:00Z",
        "updated_at": "2024-03-02T10:30:00Z",
        "address": {
            "address1": "1 Sample Street",
            "city": "San Francisco",
            "state": "CA",
            "zip": "94105",
            "country_code": "US",
        },
        "storefront_visibility": True,
    },
    f"stores/{STORE}/v2/store": {
        "id": STORE,
        "name": "Demo Store",
        "domain": "store.example.com",
        "secure_url": "https://store.example.com",
        "status": "live",
        "address": "1 Sample Street, San Francisco",
        "country": "United States",
        "country_code": "US",
        "phone": "+14155550100",
        "admin_email": "owner@example.com",
        "order_email": "orders@example.com",
        "language": "en",
        "currency": "USD",
        "timezone": {"name": "America/Los_Angeles", "raw_offset": -28800, "dst_offset": -25200},
    },
    **demo_orders("bigcommerce"),
}


class BigCommerce(Platform):
    """api.bigcommerce.com. A token is good for the stores that have an entity here."""

    name = "bigcommerce"
    prefix = "/bigcommerce"
    list_path = "/stores/{store}/v3/customers"
    entity_paths: Mapping[str, str] = {
        r"stores/[^/]+/v3/customers/(?P<id>[0-9]+)": "number",
        r"stores/[^/]+/v3/customers/subscribers/(?P<id>[0-9]+)": "number",
        r"stores/[^/]+/v3/inventory/locations/(?P<id>[0-9]+)": "number",
        r"stores/(?P<id>[^/]+)/v2/store": "text",
        r"stores/[^/]+/v2/orders/(?P<id>[0-9]+)": "number",
        r"stores/[^/]+/v2/orders/(?P<id>[0-9]+)/products": "number",
        r"stores/[^/]+/v3/orders/(?P<id>[0-9]+)/payment_actions/refunds": "number",
        r"stores/[^/]+/v3/hooks/(?P<id>[0-9]+)": "number",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "fake-bigcommerce-token")

    def handlers(self) -> Mapping[str, Handler]:
        """Return the resources."""
        return {
            "/stores/{store}/v3/customers": self._customers,
            "/stores/{store}/v3/customers/subscribers": self._subscribers,
            "/stores/{store}/v3/customers/subscribers/{subscriber:int}": self._subscriber,
            "/stores/{store}/v3/inventory/locations": self._locations,
            "/stores/{store}/v2/store": self._store,
            "/stores/{store}/v2/orders/{order:int}": self._order,
            "/stores/{store}/v2/orders/{order:int}/products": self._products,
            "/stores/{store}/v3/orders/{order:int}/payment_actions/refunds": self._refunds,
            "/stores/{store}/v3/hooks": self._hooks,
        }

    def writers(self) -> Mapping[tuple[str, str], Writer]:
        """Return the changes of webhooks."""
        one = "/stores/{store}/v3/hooks/{hook:int}"
        return {
            ("POST", "/stores/{store}/v3/hooks"): self._new_hook,
            ("PUT", one): self._change_hook,
            ("DELETE", one): self._remove_hook,
        }

    def token_of(self, request: Request) -> str:
        """Return the X-Auth-Token; one of another store counts as none."""
        prefix = f"stores/{request.path_params['store']}/"
        known = any(path.startswith(prefix) for path in self.entities())
        return request.headers.get("x-auth-token", "") if known else ""

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a problem object; a 429 reports in milliseconds when the next window begins."""
        title = detail or _TITLES.get(status, "Error")
        headers: dict[str, str] = {}
        if status == 429:
            headers = {
                "x-rate-limit-requests-left": "0",
                "x-rate-limit-requests-quota": "150",
                "x-rate-limit-time-window-ms": "30000",
                "x-rate-limit-time-reset-ms": "15000",
            }
        return json_answer(status, {"status": status, "title": title, "type": _TYPE, "errors": {}}, headers)

    def _all(self, prefix: str) -> list[Entity]:
        found = self.entities()
        return [found[path] for path in found if path.startswith(prefix) and path[len(prefix) :].isdigit()]

    def _customers(self, request: Request) -> Answer:
        chosen = self._all(f"stores/{request.path_params['store']}/v3/customers/")
        query = request.query_params
        for name, key in (("id:in", "id"), ("email:in", "email")):
            if name not in query:
                continue
            wanted = listed(query[name])
            if key == "id" and not all(item.isdigit() for item in wanted):
                return self.error(422, "id:in must be a list of integers.")
            chosen = [it for it in chosen if str(it.get(key)).lower() in {item.lower() for item in wanted}]
        included = set(listed(query.get("include", "")))
        hidden = {key for key, name in _ON_REQUEST.items() if name not in included}
        shown = [{k: v for k, v in it.items() if k not in hidden} for it in chosen]
        everyone = shown if {"id:in", "email:in"} & query.keys() else self.everyone(shown)
        if since := query.get("date_modified:min"):
            everyone = [it for it in everyone if str(it["date_modified"]) >= since[:19]]
        return self._page(request, everyone)

    def _subscribers(self, request: Request) -> Answer:
        chosen = self._all(f"stores/{request.path_params['store']}/v3/customers/subscribers/")
        query = request.query_params
        if "email" in query:
            chosen = [it for it in chosen if str(it.get("email")).lower() == query["email"].lower()]
        if "id" in query or "id:in" in query:
            wanted = set(listed(query.get("id:in", query.get("id", ""))))
            chosen = [it for it in chosen if str(it.get("id")) in wanted]
        return self._page(request, chosen)

    def _subscriber(self, request: Request) -> Answer:
        store, number = request.path_params["store"], request.path_params["subscriber"]
        found = self.find(f"stores/{store}/v3/customers/subscribers/{number}")
        return self.error(404) if found is None else json_answer(200, {"data": found, "meta": {}})

    def _locations(self, request: Request) -> Answer:
        chosen = self._all(f"stores/{request.path_params['store']}/v3/inventory/locations/")
        query = request.query_params
        for name, key in (("location_id:in", "id"), ("location_code:in", "code")):
            if name in query:
                wanted = set(listed(query[name]))
                chosen = [it for it in chosen if str(it.get(key)) in wanted]
        return self._page(request, chosen)

    def _store(self, request: Request) -> Answer:
        found = self.find(f"stores/{request.path_params['store']}/v2/store")
        return self.error(404) if found is None else json_answer(200, found)

    def made(self, person: Person) -> Entity:
        """Return a customer as the list shows them."""
        created, changed = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (person.created, person.changed))
        return {
            "id": person.number,
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "phone": "",
            "notes": "",
            "date_created": created,
            "date_modified": changed,
        }

    def _order(self, request: Request) -> Answer:
        found = self.find("stores/{store}/v2/orders/{order}".format(**request.path_params))
        return _v2_error(404) if found is None else json_answer(200, found)

    def _products(self, request: Request) -> Answer:
        """Return a page as a bare list; one without anything is an answer without a body."""
        path = "stores/{store}/v2/orders/{order}".format(**request.path_params)
        if self.find(path) is None:
            return _v2_error(404)
        products = (self.find(f"{path}/products") or {}).get("products", [])
        page = max(1, page_number(request.query_params.get("page"), 1))
        limit = min(max(1, page_number(request.query_params.get("limit"), PLAIN_LIMIT)), MAX_LIMIT)
        chosen = products[(page - 1) * limit : page * limit]
        return json_answer(200, chosen) if chosen else (204, {}, b"")

    def _refunds(self, request: Request) -> Answer:
        path = "stores/{store}/v3/orders/{order}/payment_actions/refunds".format(**request.path_params)
        return json_answer(200, {"data": (self.find(path) or {}).get("refunds", []), "meta": {}})

    def _hooks(self, request: Request) -> Answer:
        return self._page(request, self.under("stores/{store}/v3/hooks/".format(**request.path_params)))

    def _new_hook(self, request: Request, given: Entity) -> Answer:
        prefix = "stores/{store}/v3/hooks/".format(**request.path_params)
        refused = self._refused(given)
        same = [hook for hook in self.under(prefix) if hook["scope"] == given.get("scope")]
        if not refused and any(hook["destination"] == given["destination"] for hook in same):
            refused = "a webhook of this scope and destination exists"
        if not refused and len(same) >= MAX_HOOKS:
            refused = "too many webhooks of this scope"
        if refused:
            return self.error(422, refused)
        number = self.new_number(prefix)
        hook = {"id": number, "store_hash": request.path_params["store"], "is_active": True, "headers": None, **given}
        self.put_entity(f"{prefix}{number}", hook)
        return json_answer(200, {"data": hook, "meta": {}})

    def _change_hook(self, request: Request, given: Entity) -> Answer:
        path = "stores/{store}/v3/hooks/{hook}".format(**request.path_params)
        found = self.find(path)
        if found is None:
            return self.error(404)
        changed = {**found, **given}
        if refused := self._refused(changed):
            return self.error(422, refused)
        self.put_entity(path, changed)
        return json_answer(200, {"data": changed, "meta": {}})

    def _remove_hook(self, request: Request, given: Entity) -> Answer:
        path = "stores/{store}/v3/hooks/{hook}".format(**request.path_params)
        found = self.find(path)
        if found is None:
            return self.error(404)
        self.delete_entity(path)
        return json_answer(200, {"data": found, "meta": {}})

    def _refused(self, hook: Entity) -> str:
        if not str(hook.get("scope", "")).startswith("store/"):
            return "scope must be an event"
        return "" if deliverable(hook.get("destination")) else "destination must be an HTTPS URL at port 443"

    def _page(self, request: Request, items: Sequence[Entity]) -> Answer:
        query = request.query_params
        page = max(1, page_number(query.get("page"), 1))
        limit = min(max(1, page_number(query.get("limit"), PLAIN_LIMIT)), MAX_LIMIT)
        data = items[(page - 1) * limit : page * limit]
        pages = -(-len(items) // limit)

        def link(number: int) -> str:
            return f"?{urlencode({'page': number, 'limit': limit})}"

        links = {"current": link(page)}
        if page > 1:
            links["previous"] = link(page - 1)
        if page < pages:
            links["next"] = link(page + 1)
        pagination = {
            "total": len(items),
            "count": len(data),
            "per_page": limit,
            "current_page": page,
            "total_pages": pages,
            "links": links,
        }
        return json_answer(200, {"data": data, "meta": {"pagination": pagination}})


def _v2_error(status: int) -> Answer:
    """Return an error as the older API writes it: a list."""
    return json_answer(status, [{"status": status, "message": _TITLES[status]}])
