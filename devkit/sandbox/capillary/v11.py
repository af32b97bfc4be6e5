"""V1.1: customer add, update, update_identity and get, in JSON and XML (Capillary docs: V1.1 customer)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from devkit.sandbox.capillary.codes import V11_TEXTS, ApiError
from devkit.sandbox.capillary.engine import Call, Endpoint, Engine, common_headers, new_request_id, read_json
from devkit.sandbox.capillary.loyalty import Effects, run_rules
from devkit.sandbox.capillary.model import Identifier
from devkit.sandbox.capillary.store import normalise
from devkit.sandbox.capillary.v11_item import KINDS, ItemError, Items
from devkit.sandbox.capillary.v11_view import customer_item, envelope, failed_item, item_status, refusal
from devkit.sandbox.capillary.v11_xml import read_xml, write_xml

V11Handler = Callable[[Call], Awaitable[dict[str, Any]]]
XML_TYPES = ("application/xml", "text/xml")


def v11_endpoint(engine: Engine, handler: V11Handler, *, write: bool, limit: str | None = None) -> Endpoint:
    """Wrap a V1.1 handler. HTTP is 200 wherever there are items; access and unreadable bodies have their own."""

    async def endpoint(request: Request) -> Response:
        request_id = new_request_id()
        headers = common_headers(request_id)
        status = 200
        try:
            call = await engine.admit(request, write=write, limit=limit, request_id=request_id, read=_read_body)
            body = await handler(call)
        except ApiError as error:
            status = error.http_status or 200
            headers = {**headers, **error.headers}
            by_client = "x-cap-api-oauth-token" in request.headers
            body = error.body() if error.code == 429 else refusal(error.code, error.message, client=by_client)
        if _wants_xml(request) and "response" in body:
            return Response(write_xml(body), status, headers, media_type="application/xml")
        return Response(json.dumps(body, ensure_ascii=False), status, headers, media_type="application/json")

    return endpoint


async def _read_body(request: Request) -> Any:
    if _type(request, "content-type") in XML_TYPES:
        return read_xml(await request.body())
    return await read_json(request)


def _type(request: Request, header: str) -> str:
    return request.headers.get(header, "").partition(";")[0].strip().lower()


def _wants_xml(request: Request) -> bool:
    wanted = request.query_params.get("format")
    if wanted in ("json", "xml"):
        return wanted == "xml"
    if _type(request, "accept") in XML_TYPES:
        return True
    return _type(request, "content-type") in XML_TYPES and _type(request, "accept") != "application/json"


class V11:
    """The handlers of V1.1."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.items = Items(engine)

    async def add(self, call: Call) -> dict[str, Any]:
        """Serve POST /v1.1/customer/add: registers, or updates who exists already."""
        return await self._each(call, _customers(call.body), self._add)

    async def update(self, call: Call) -> dict[str, Any]:
        """Serve POST /v1.1/customer/update: one customer, who must exist."""
        given = _customers(call.body)
        if len(given) > 1:
            items = [failed_item("1060", item, empty=False) for item in given]
            return envelope(items, 0)
        return await self._each(call, given, self._update)

    async def _each(
        self,
        call: Call,
        given: list[dict[str, Any]],
        apply: Callable[[Call, dict[str, Any]], Awaitable[dict[str, Any]]],
    ) -> dict[str, Any]:
        items = []
        succeeded = 0
        for item in given:
            try:
                items.append(await apply(call, item))
                succeeded += 1
            except ItemError as error:
                empty = error.code in ("1011", "1012") and self.engine.settings["v11_not_found_item"] == "empty"
                items.append(failed_item(error.code, item, empty=empty))
            except ApiError as error:
                items.append(failed_item(str(error.code), item, empty=False))
        return envelope(items, succeeded)

    async def _update(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        warnings: list[str] = []
        self.items.check_identifiers(call, given)
        customer = self.items.find(call, given, warnings)
        if customer is None:
            raise ItemError("1012")
        async with self.engine.locked([customer.id]):
            effects = self.items.change(call, customer, given, warnings)
            customer = self.items.identify(call, customer, given, warnings)
            if customer.loyalty_type == "loyalty":
                effects += run_rules(call.org, customer, "update", call.now)
            self.engine.audit(call, customer, "update")
        item = customer_item(call.org, customer, self.engine.offset_minutes, effects)
        status = item_status("1000", "Customer successfully updated", warnings, success=True)
        return {**item, "item_status": status}

    async def _add(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        warnings: list[str] = []
        if not self.items.identifiers(given):
            raise ItemError("1007")
        self.items.check_identifiers(call, given)
        keys = [
            (call.org.name, identifier.type, normalise(identifier.type, identifier.value))
            for _, identifier in self.items.identifiers(given)
        ]
        async with self.engine.locked(keys):
            customer = self.items.find(call, given, warnings)
            event = "update"
            effects: Effects = []
            if customer is None:
                customer, event = self.items.create(call, given), "register"
                if str(given.get("type") or "").upper() == "NON_LOYALTY":
                    customer.loyalty_type = "non_loyalty"
            effects += self.items.change(call, customer, given, warnings)
            customer = self.items.identify(call, customer, given, warnings)
            if customer.loyalty_type == "loyalty":
                effects += run_rules(call.org, customer, event, call.now)
            self.engine.audit(call, customer, event)
        item = customer_item(call.org, customer, self.engine.offset_minutes, effects)
        status = item_status("1000", "Customer registration successful", warnings, success=True)
        return {**item, "item_status": status}

    async def update_identity(self, call: Call) -> dict[str, Any]:
        """Serve POST /v1.1/customer/update_identity: files a request and changes nothing."""
        given = next(iter(_customers(call.body)), {})
        kinds = {key: kind for key, kind, _, _ in KINDS}
        asked = {name: str(given.get(name) or "") for name in ("identifier", "old_value", "new_value")}
        kind = kinds.get(asked["identifier"])
        code = "1040"
        if kind is None or not asked["old_value"] or not asked["new_value"]:
            code = "1042"
        elif not self.engine.store.owners(call.org.name, Identifier(kind, asked["old_value"])):
            code = "1041"
        success = code == "1040"
        if success:
            self.engine.identity_requests.append({**asked, "org": call.org.name, "status": "pending"})
        status = {
            "success": "true" if success else "false",
            "code": "200" if success else "500",
            "message": "Success" if success else "All requests have failed due to errors",
            "total": "1",
            "success_count": "1" if success else "0",
        }
        item = {
            **asked,
            "updated": "true" if success else "false",
            "item_status": item_status(code, V11_TEXTS[code], [], success=success),
        }
        return {"response": {"status": status, "customers": {"customer": item}}}

    async def get(self, call: Call) -> dict[str, Any]:
        """Serve GET /v1.1/customer/get: customers by id or identifier, several separated by commas."""
        wanted = [
            {key: value.strip()}
            for key in ("id", "mobile", "email", "external_id")
            for value in (call.query.get(key) or "").split(",")
            if value.strip()
        ]
        return await self._each(call, wanted, self._get)

    async def _get(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        warnings: list[str] = []
        customer = self.items.find(call, given, warnings)
        if customer is None:
            raise ItemError("1012")
        item = customer_item(call.org, customer, self.engine.offset_minutes, [])
        return {**item, "item_status": item_status("1000", "Customer found", warnings, success=True)}


def _customers(body: object) -> list[dict[str, Any]]:
    """Return the items of a request: a list or a single object. Raises ApiError 400 where there are none."""
    root = body.get("root") if isinstance(body, dict) else None
    given = root.get("customer") if isinstance(root, dict) else None
    listed: list[object] = given if isinstance(given, list) else [given]
    items = [item for item in listed if isinstance(item, dict)]
    if not items or len(items) < len(listed):
        raise ApiError(400, "Invalid input, root.customer is required", http_status=400)
    return items
