"""What every Capillary endpoint goes through: access, limits, body, the customer's lock, the answer's headers."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from devkit.sandbox.capillary.auth import Caller, Tokens, authenticate
from devkit.sandbox.capillary.bills import Bill, BillStore
from devkit.sandbox.capillary.codes import ApiError, error_status
from devkit.sandbox.capillary.config import CLUSTER_OFFSETS, PUBLISHED_LIMITS, Org
from devkit.sandbox.capillary.model import Customer
from devkit.sandbox.capillary.store import CustomerStore
from devkit.sandbox.limits import RateMeter
from devkit.sandbox.vendor import Clock

Sleep = Callable[[float], Awaitable[None]]
USER_CONTEXT = {
    "entityType": "user-context-entity-type",
    "entityId": "user-context-entity-id",
    "source": "user-context-entity-source",
    "sourceId": "user-context-entity-source-id",
}


@dataclass(frozen=True)
class Call:
    """One admitted request."""

    caller: Caller
    request_id: str
    headers: Headers
    query: QueryParams
    path: Mapping[str, Any]
    body: Any
    now: float

    @property
    def org(self) -> Org:
        """The caller's organisation."""
        return self.caller.org


class Engine:
    """State and switches that the endpoints of all versions share."""

    def __init__(self, clock: Clock, settings: Mapping[str, Any], orgs: dict[str, Org], sleep: Sleep) -> None:
        self.clock = clock
        self.settings = settings
        self.orgs = orgs
        self.store = CustomerStore()
        self.bills = BillStore()
        self.tokens = Tokens()
        self.meters: dict[str, RateMeter] = {}
        self.identity_requests: list[dict[str, Any]] = []
        self.rejections: Counter[str] = Counter()
        self._sleep = sleep
        self._locked: set[object] = set()

    def clear(self) -> None:
        """Forget all state."""
        self.store.clear()
        self.bills.clear()
        self.tokens.clear()
        self.meters.clear()
        self.identity_requests.clear()
        self._locked.clear()

    @property
    def offset_minutes(self) -> int:
        """The cluster's time zone, in minutes east of UTC."""
        return CLUSTER_OFFSETS[self.settings["region"]]

    def limit_of(self, api: str) -> int | None:
        """Return how many requests one window admits, after the scale; None is no limit."""
        if not self.settings["rate_limits_enabled"]:
            return None
        limit = self.settings["rate_limits"].get(api, PUBLISHED_LIMITS[api][self.settings["region"]])
        return None if limit is None else max(1, round(limit * self.settings["rate_limit_scale"]))

    async def admit(
        self,
        request: Request,
        *,
        write: bool,
        limit: str | None,
        request_id: str,
        read: Callable[[Request], Awaitable[Any]] | None = None,
    ) -> Call:
        """Let a request in; ``read`` reads the body of a write, by default as JSON.

        Raises ApiError for a caller, rate, content type or body that is refused.
        """
        if self.settings["authorization_service_down"]:
            raise ApiError(4001, http_status=503)
        now = self.clock()
        caller = authenticate(request.headers, self.orgs, self.tokens, now, int(self.settings["expired_token_status"]))
        if (write and "write" not in caller.access) or (not write and "read" not in caller.access):
            raise ApiError(403 if caller.client else 4000, http_status=403)
        if limit is not None:
            self._count(caller.org, limit, now)
        body = await (read or read_json)(request) if write else None
        return Call(caller, request_id, request.headers, request.query_params, request.path_params, body, now)

    def _count(self, org: Org, api: str, now: float) -> None:
        window = float(self.settings["rate_window_seconds"])
        meter = self.meters.setdefault(f"{org.name}:{api}", RateMeter(window))
        wait = meter.hit(now, self.limit_of(api))
        if wait is not None:
            self.rejections[f"{org.name}:{api}"] += 1
            raise ApiError(429, http_status=429, headers={"retry-after": str(max(1, int(wait + 0.999)))})

    @asynccontextmanager
    async def locked(self, keys: Iterable[object]) -> AsyncIterator[None]:
        """Hold a customer for the length of one write (``write_ms``). Raises ApiError 521 when it is held."""
        wanted = set(keys)
        if wanted & self._locked:
            raise ApiError(521)
        self._locked |= wanted
        try:
            if self.settings["write_ms"]:
                await self._sleep(self.settings["write_ms"] / 1000)
            yield
        finally:
            self._locked -= wanted

    def find(self, call: Call, raw_id: object) -> Customer:
        """Return the customer of an id in the path. Raises ApiError 8015, or 8069 for a merge victim."""
        text = str(raw_id)
        found = self.store.get(call.org.name, int(text)) if text.isdecimal() else None
        if found is None:
            raise ApiError(8015)
        if found.merged_into is not None:
            if self.settings["merged_customer"] == "error":
                raise ApiError(8069)
            return self.store.survivor(found)
        return found

    def owner(self, bill: Bill) -> Customer | None:
        """Return whose bill it is: of a merged customer the survivor, None of a guest's."""
        known = None if bill.customer_id is None else self.store.customers.get(bill.customer_id)
        return None if known is None else self.store.survivor(known)

    def audit(self, call: Call, customer: Customer, action: str) -> None:
        """Note a write with its user context (Capillary docs: Audit details)."""
        context = {name: call.headers.get(header) for name, header in USER_CONTEXT.items()}
        customer.updated_at = call.now
        customer.audit.append(
            {
                "action": action,
                "time": call.now,
                "requestId": call.request_id,
                "till": call.caller.till,
                "userContext": {name: value for name, value in context.items() if value is not None},
            }
        )


async def read_json(request: Request) -> Any:
    """Return the JSON body. Raises ApiError 415 for another content type and 400 for what is not JSON."""
    return await json_body(request, json.loads)


async def json_body(request: Request, load: Callable[[bytes], Any]) -> Any:
    """Return the body as ``load`` reads it; the same errors."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, http_status=415)
    try:
        return load(await request.body())
    except ValueError:
        raise ApiError(400, "Invalid input, the body is not JSON", http_status=400) from None


def new_request_id() -> str:
    """Make the request id that the vendor's support needs."""
    return uuid.uuid4().hex[:16]


def common_headers(request_id: str) -> dict[str, str]:
    """Return the headers that every answer carries (Capillary docs: samples)."""
    return {
        "x-cap-requestid": request_id,
        "server": "CapWS",
        "cache-control": "must-revalidate,no-cache,no-store",
    }


Handler = Callable[[Call], Awaitable[object]]
Endpoint = Callable[[Request], Awaitable[Response]]


def v2_endpoint(
    engine: Engine,
    handler: Handler,
    *,
    write: bool,
    limit: str | None = None,
    read: Callable[[Request], Awaitable[Any]] | None = None,
) -> Endpoint:
    """Wrap a V2 handler: its result is the body, an ApiError becomes the ``errors`` envelope.

    ``read``: as for ``Engine.admit``.
    """

    async def endpoint(request: Request) -> Response:
        request_id = new_request_id()
        headers = common_headers(request_id)
        status: int
        body: object
        try:
            call = await engine.admit(request, write=write, limit=limit, request_id=request_id, read=read)
            if not call.org["v2_enabled"]:
                raise ApiError(403, "V2 is not enabled for the organisation", http_status=403)
            status, body = 200, await handler(call)
        except ApiError as error:
            status = error_status(engine.settings["status_mode"], [error], write=write)
            body, headers = error.body(), {**headers, **error.headers}
        return Response(json.dumps(body, ensure_ascii=False), status, headers, media_type="application/json")

    return endpoint
