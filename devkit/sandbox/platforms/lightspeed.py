"""Lightspeed X-Series' reads: sales and customers (X-Series API 2.0: Get a single sale, Get a single customer)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.requests import Request

from devkit.sandbox.platforms.base import Handler, Platform, bearer, demo_orders
from devkit.sandbox.vendor import Answer, Clock, json_answer

_MESSAGES: Mapping[int, str] = {
    400: "The request could not be understood.",
    401: "Unauthorized",
    403: "The token lacks a scope.",
    404: "Not found",
    405: "Method not allowed",
    429: "Too many requests",
    500: "Internal server error",
}


class Lightspeed(Platform):
    """PREFIX.retail.lightspeed.app, of one retailer."""

    name = "lightspeed"
    prefix = "/lightspeed"
    entity_paths: Mapping[str, str] = {
        r"api/2\.0/sales/(?P<id>[^/]+)": "text",
        r"api/2\.0/customers/(?P<id>[^/]+)": "text",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, demo_orders("lightspeed"), "fake-lightspeed-token")

    def handlers(self) -> Mapping[str, Handler]:
        """Return the two resources."""
        return {f"/api/2.0/{kind}/{{id}}": partial(self._shown, kind) for kind in ("sales", "customers")}

    def token_of(self, request: Request) -> str:
        """Return a bearer token."""
        return bearer(request)

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a list of messages under the name of what they are about."""
        headers = {"retry-after": "15"} if status == 429 else None
        return json_answer(status, {"errors": {"global": [detail or _MESSAGES.get(status, "Error")]}}, headers)

    def _shown(self, kind: str, request: Request) -> Answer:
        found = self.find(f"api/2.0/{kind}/{request.path_params['id']}")
        return self.error(404) if found is None else json_answer(200, {"data": found})
