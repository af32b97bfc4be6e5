"""Clover's reads: customers, the merchant, orders and payments (Clover docs: REST API v3)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from devkit.sandbox.platforms.base import Entity, Handler, Platform, bearer, demo_orders, listed
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import JSON, Answer, Clock, SettingError, json_answer

MERCHANT = "DEMOMERCHANT1"
CUSTOMER = "DEMOCUSTOMER1"
COLLECTIONS = frozenset(
    {
        *("addresses", "emailAddresses", "phoneNumbers", "cards", "orders"),
        *("lineItems", "payments", "refunds", "credits", "customers", "discounts", "voids"),
    }
)
EXPANDABLE = COLLECTIONS | {"metadata", "serviceCharge"}
MERCHANT_EXPANDABLE = frozenset({"address", "owner", "properties"})
MOST_ROWS = 1000
_MESSAGES: Mapping[int, str] = {
    400: "Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "Not Found",
    405: "HTTP 405 Method Not Allowed",
    429: "429 Too Many Requests",
    500: "Internal Server Error",
}

DEMO: Mapping[str, Entity] = {
    f"v3/merchants/{MERCHANT}": {
        "id": MERCHANT,
        "name": "Demo Cafe",
        "phoneNumber": "4155550100",
        "website": "https://cafe.example.com",
        "createdTime": 1_700_000_000_000,
        "address": {
            "address1": "2 Sample Street",
            "city": "San Francisco",
            "state": "CA",
            "zip": "94105",
            "country": "US",
        },
    },
    f"v3/merchants/{MERCHANT}/customers/{CUSTOMER}": {
        "id": CUSTOMER,
        "firstName": "Cleo",
        "lastName": "Verity",
        "marketingAllowed": True,
        "customerSince": 1_700_000_000_000,
        "addresses": [
            {
                "id": "DEMOADDRESS01",
                "address1": "2 Sample Street",
                "city": "San Francisco",
                "state": "CA",
                "zip": "94105",
                "country": "US",
            }
        ],
        "emailAddresses": [
            {"id": "DEMOEMAIL0001", "emailAddress": "cleo.old@example.com", "primaryEmail": False},
            {
                "id": "DEMOEMAIL0002",
                "emailAddress": "cleo@example.com",
                "verifiedTime": 1_700_000_100_000,
                "primaryEmail": True,
            },
        ],
        "phoneNumbers": [{"id": "DEMOPHONE0001", "phoneNumber": "4155550142"}],
        "cards": [],
        "metadata": {
            "note": "",
            "dobYear": 1990,
            "dobMonth": 2,
            "dobDay": 28,
            "modifiedTime": 1_709_375_400_000,
        },
    },
    **demo_orders("clover"),
}


class Clover(Platform):
    """api.clover.com. What an entity's `expand` does not name is not in the answer.

    The setting `collections` selects how an expanded list is written: `elements`, an object that holds it, as
    the API does in practice, or `array`, as the reference's schema has it.
    """

    name = "clover"
    prefix = "/clover"
    list_path = "/v3/merchants/{merchant}/customers"
    entity_paths: Mapping[str, str] = {
        r"v3/merchants/[^/]+/customers/(?P<id>[^/]+)": "text",
        r"v3/merchants/(?P<id>[^/]+)": "text",
        r"v3/merchants/[^/]+/orders/(?P<id>[^/]+)": "text",
        r"v3/merchants/[^/]+/payments/(?P<id>[^/]+)": "text",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "fake-clover-token", {"collections": "elements"})

    def configure(self, changes: Mapping[str, JSON]) -> None:
        """Change settings. Raises SettingError."""
        if changes.get("collections", "elements") not in ("elements", "array"):
            raise SettingError("collections", "must be one of elements, array")
        super().configure(changes)

    def handlers(self) -> Mapping[str, Handler]:
        """Return the resources."""
        return {
            "/v3/merchants/{merchant}": self._merchant,
            "/v3/merchants/{merchant}/customers": self._customers,
            "/v3/merchants/{merchant}/customers/{customer}": self._customer,
            "/v3/merchants/{merchant}/orders/{order}": self._order,
            "/v3/merchants/{merchant}/payments/{payment}": self._payment,
        }

    def token_of(self, request: Request) -> str:
        """Return a bearer token; one of another merchant counts as none."""
        known = self.find(f"v3/merchants/{request.path_params['merchant']}") is not None
        return bearer(request) if known else ""

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a message alone."""
        headers = {"retry-after": "1", "x-ratelimit-tokenlimit": "16"} if status == 429 else None
        return json_answer(status, {"message": detail or _MESSAGES.get(status, "Error")}, headers)

    def _merchant(self, request: Request) -> Answer:
        found = self.find(f"v3/merchants/{request.path_params['merchant']}") or {}
        expanded = set(listed(request.query_params.get("expand", "")))
        return json_answer(200, {k: v for k, v in found.items() if k not in MERCHANT_EXPANDABLE or k in expanded})

    def _customers(self, request: Request) -> Answer:
        prefix = f"v3/merchants/{request.path_params['merchant']}/customers/"
        written = [entity for path, entity in self.entities().items() if path.startswith(prefix)]
        query = request.query_params
        limit, offset = (int(query.get(name, default)) for name, default in (("limit", "100"), ("offset", "0")))
        shown = self.everyone(written)[offset : offset + min(limit, MOST_ROWS)]
        return json_answer(200, {"elements": [self._shown(request, f"{prefix}{it['id']}", it) for it in shown]})

    def _customer(self, request: Request) -> Answer:
        merchant, customer = request.path_params["merchant"], request.path_params["customer"]
        path = f"v3/merchants/{merchant}/customers/{customer}"
        found = self.find(path)
        return self.error(404) if found is None else json_answer(200, self._shown(request, path, found))

    def _order(self, request: Request) -> Answer:
        path = "v3/merchants/{merchant}/orders/{order}".format(**request.path_params)
        found = self.find(path)
        return self.error(404) if found is None else json_answer(200, self._shown(request, path, found))

    def _payment(self, request: Request) -> Answer:
        path = "v3/merchants/{merchant}/payments/{payment}".format(**request.path_params)
        found = self.find(path)
        return self.error(404) if found is None else json_answer(200, self._shown(request, path, found))

    def made(self, person: Person) -> Entity:
        """Return a customer as the list shows them."""
        return {
            "id": f"C{person.number}",
            "firstName": person.first_name,
            "lastName": person.last_name,
            "marketingAllowed": False,
            "addresses": [],
            "emailAddresses": [{"id": f"E{person.number}", "emailAddress": person.email, "primaryEmail": True}],
            "phoneNumbers": [],
            "metadata": {"modifiedTime": int(person.changed.timestamp() * 1000)},
        }

    def _shown(self, request: Request, path: str, found: Entity) -> Entity:
        """Return an entity with what the request expands."""
        expanded = set(listed(request.query_params.get("expand", "")))
        shown: Entity = {"href": f"{request.url.scheme}://{request.headers.get('host', '')}{self.prefix}/{path}"}
        for key, value in found.items():
            if key in COLLECTIONS and key in expanded and self.settings["collections"] == "elements":
                shown[key] = {"elements": value}
            elif key not in EXPANDABLE or key in expanded:
                shown[key] = value
        return shown
