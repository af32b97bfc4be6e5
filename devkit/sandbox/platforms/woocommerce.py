"""WooCommerce's list of customers and its webhooks (WooCommerce REST API docs: "List all customers", "Webhooks")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from starlette.requests import Request

from devkit.sandbox.platforms.base import Entity, Handler, Platform, Writer, deliverable, page_number
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import Answer, Clock, json_answer

MOST_ROWS = 100
HOOKS = "wp-json/wc/v3/webhooks/"
RESOURCES = ("coupon", "customer", "order", "product")
_CODES: Mapping[int, tuple[str, str]] = {
    400: ("rest_invalid_param", "Invalid parameter(s)"),
    401: ("woocommerce_rest_authentication_error", "Invalid signature - provided signature does not match."),
    403: ("woocommerce_rest_cannot_view", "Sorry, you cannot list resources."),
    404: ("rest_no_route", "No route was found matching the URL and request method."),
    501: ("woocommerce_rest_trash_not_supported", "Webhooks do not support trashing."),
    429: ("too_many_requests", "Too many requests"),
    500: ("internal_server_error", "There has been a critical error on this website."),
}

DEMO: Mapping[str, Entity] = {
    "wp-json/wc/v3/customers/1": {
        "id": 1,
        "date_created_gmt": "2023-11-01T09:00:00",
        "date_modified_gmt": "2023-11-01T09:00:00",
        "email": "owner@example.com",
        "first_name": "Olga",
        "last_name": "Owner",
        "role": "administrator",
        "billing": {},
        "meta_data": [],
    },
    "wp-json/wc/v3/customers/25": {
        "id": 25,
        "date_created_gmt": "2023-12-01T09:00:00",
        "date_modified_gmt": "2023-12-02T10:30:00",
        "email": "wim.woo@example.com",
        "first_name": "Wim",
        "last_name": "Woo",
        "role": "customer",
        "billing": {"phone": "", "postcode": "N1 1AA", "country": "GB", "address_1": "1 Sample Street", "city": ""},
        "meta_data": [],
    },
}


class WooCommerce(Platform):
    """A shop's own site. The token is the consumer key and the consumer secret, with a colon between them.

    The setting `read_only` takes the right to write from it.
    """

    name = "woocommerce"
    prefix = "/woocommerce"
    list_path = "/wp-json/wc/v3/customers"
    entity_paths: Mapping[str, str] = {
        r"wp-json/wc/v3/customers/(?P<id>[0-9]+)": "number",
        r"wp-json/wc/v3/webhooks/(?P<id>[0-9]+)": "number",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "ck_fake:cs_fake", {"read_only": False})

    def handlers(self) -> Mapping[str, Handler]:
        """Return the lists of customers and of webhooks."""
        return {self.list_path: self._customers, "/wp-json/wc/v3/webhooks": self._hooks}

    def writers(self) -> Mapping[tuple[str, str], Writer]:
        """Return the changes of webhooks."""
        one = "/wp-json/wc/v3/webhooks/{id:int}"
        return {
            ("POST", "/wp-json/wc/v3/webhooks"): self._new_hook,
            ("PUT", one): self._change_hook,
            ("DELETE", one): self._remove_hook,
        }

    def allowed(self, request: Request) -> bool:
        """Return whether the key is good for the request's method."""
        writes = request.method != "GET"
        return super().allowed(request) and not (writes and self.settings["read_only"])

    def token_of(self, request: Request) -> str:
        """Return key and secret of HTTP's basic scheme."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            return base64.b64decode(token, validate=True).decode() if scheme.lower() == "basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a code with a message, and the status once more."""
        code, message = _CODES.get(status, _CODES[500])
        return json_answer(status, {"code": code, "message": detail or message, "data": {"status": status}})

    def _customers(self, request: Request) -> Answer:
        """Return a page by number: a list alone, with the counts in headers. One beyond the last is empty."""
        query = request.query_params
        size, page = page_number(query.get("per_page"), 10), page_number(query.get("page"), 1)
        if not 1 <= size <= MOST_ROWS or page < 1:
            return self.error(400)
        role = query.get("role", "customer")
        written = sorted(self.under("wp-json/wc/v3/customers/"), key=lambda row: int(row["id"]))
        everyone = self.everyone([row for row in written if role in ("all", row["role"])])
        rows = everyone[(page - 1) * size : page * size]
        headers = {"x-wp-total": str(len(everyone)), "x-wp-totalpages": str(-(-len(everyone) // size))}
        return json_answer(200, rows, headers)

    def made(self, person: Person) -> Entity:
        """Return a customer as the list shows them."""
        created, changed = (moment.strftime("%Y-%m-%dT%H:%M:%S") for moment in (person.created, person.changed))
        return {
            "id": person.number,
            "date_created_gmt": created,
            "date_modified_gmt": changed,
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "role": "customer",
            "billing": {"phone": "", "postcode": "", "country": "", "address_1": "", "city": ""},
            "meta_data": [],
        }

    def _hooks(self, request: Request) -> Answer:
        """Return a page; secrets are write-only."""
        found, query = self.under(HOOKS), request.query_params
        page, size = page_number(query.get("page"), 1), page_number(query.get("per_page"), 10)
        shown = [_shown(hook) for hook in found[(page - 1) * size : page * size]]
        headers = {"x-wp-total": str(len(found)), "x-wp-totalpages": str(-(-len(found) // size))}
        return json_answer(200, shown, headers)

    def _new_hook(self, request: Request, given: Entity) -> Answer:
        if refused := self._refused(given):
            return self.error(400, refused)
        number = self.new_number(HOOKS)
        hook = {"id": number, "status": "active", **given}
        self.put_entity(f"{HOOKS}{number}", hook)
        return json_answer(201, _shown(hook))

    def _change_hook(self, request: Request, given: Entity) -> Answer:
        path = f"{HOOKS}{request.path_params['id']}"
        if (found := self.find(path)) is None:
            return self.error(404)
        if refused := self._refused({**found, **given}):
            return self.error(400, refused)
        self.put_entity(path, {**found, **given})
        return json_answer(200, _shown({**found, **given}))

    def _remove_hook(self, request: Request, given: Entity) -> Answer:
        path = f"{HOOKS}{request.path_params['id']}"
        if (found := self.find(path)) is None:
            return self.error(404)
        if request.query_params.get("force") != "true":
            return self.error(501)
        self.delete_entity(path)
        return json_answer(200, _shown(found))

    def _refused(self, hook: Entity) -> str:
        resource, _, event = str(hook.get("topic", "")).partition(".")
        if (resource not in RESOURCES and resource != "action") or not event:
            return "Webhook topic must be valid."
        return "" if deliverable(hook.get("delivery_url")) else "Webhook delivery URL must be a valid URL."


def _shown(hook: Entity) -> Entity:
    return {key: value for key, value in hook.items() if key != "secret"}
