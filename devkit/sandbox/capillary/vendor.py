"""The Capillary host: its routes, switches, own error bodies and state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devkit.sandbox.capillary.codes import ApiError, issue
from devkit.sandbox.capillary.config import CHOICES, build_orgs, default_settings, merge_orgs
from devkit.sandbox.capillary.engine import (
    Engine,
    Sleep,
    common_headers,
    new_request_id,
    read_json,
    v2_endpoint,
)
from devkit.sandbox.capillary.transactions import Transactions, read_exact
from devkit.sandbox.capillary.v2_identifiers import V2Identifiers
from devkit.sandbox.capillary.v2_read import V2Reads
from devkit.sandbox.capillary.v2_write import V2Writes
from devkit.sandbox.capillary.v11 import V11, v11_endpoint
from devkit.sandbox.capillary.v11_transactions import V11Transactions
from devkit.sandbox.capillary.v11_view import ALL_FAILED, refusal
from devkit.sandbox.vendor import (
    JSON,
    Answer,
    Clock,
    SettingError,
    UnknownFaultError,
    Vendor,
    json_answer,
)

# Fault name: the V2 status and body, and what it is for a reader of the overview.
V2_FAULTS: Mapping[str, tuple[int, int, str]] = {
    "rate_limit": (429, 429, "request limit reached (assumed status and body)"),
    "not_found": (404, 404, "incorrect resource"),
    "method_not_allowed": (405, 405, "method not supported"),
    "concurrent": (400, 521, "several actions run for the same customer"),
    "unauthorized": (401, 401, "unknown credentials, V2 form (assumed)"),
    "authorization_unavailable": (503, 4001, "the authorisation service is down"),
    "access_denied": (403, 4000, "the access group denies"),
    "not_existing": (400, 8015, "customer not found"),
    "exists": (400, 8006, "the customer exists in this source"),
    "invalid_source": (400, 3217, "the source account is invalid"),
    "merged": (400, 8069, "the customer was merged away"),
    "server_error": (500, 500, "an internal error with an envelope"),
    "bill_exists": (400, 604, "the bill number exists"),
    "bill_unknown": (400, 625, "the bill number does not exist"),
    "points_not_reverted": (400, 637, "the points of a return could not be taken back"),
    "errors_in_200": (200, 8015, "errors inside an HTTP 200"),
}
V11_FAULTS: Mapping[str, tuple[int, dict[str, Any], str]] = {
    "v11_unauthorized": (401, refusal(401, "Unauthorized", client=True), 'V1.1: 401 with success "true"'),
    "v11_token_expired": (
        401,
        refusal(498, "Token expired at 2020-01-01T00:00:00.000+0000", client=True),
        'V1.1: expired token, success "true"',
    ),
    "v11_client_forbidden": (
        403,
        refusal(403, "Client doesn't have access to the requested resource", client=True),
        "V1.1: the client lacks the resource; number and boolean for texts",
    ),
    "v11_all_failed": (
        200,
        {
            "response": {
                "status": {
                    "success": "false",
                    "code": 500,
                    "message": ALL_FAILED,
                    "total": "1",
                    "success_count": "0",
                },
                "customers": {"customer": [{}]},
            }
        },
        "V1.1: all failed, the item is an empty object",
    ),
}


class CapillaryVendor(Vendor):
    """Capillary's customer APIs V2 and V1.1 with OAuth, under ``/capillary``."""

    name = "capillary"
    prefix = "/capillary"

    def __init__(self, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(clock, default_settings())
        self.engine = Engine(clock, self.settings, build_orgs(self.settings["orgs"]), sleep)
        self.engine.rejections = self.rejections
        self.faults = {
            **{name: text for name, (_, _, text) in V2_FAULTS.items()},
            **{name: text for name, (_, _, text) in V11_FAULTS.items()},
            "access_denied_text": "the access group denies, in the key=value text of the docs",
        }

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of the vendor."""
        engine = self.engine
        writes, reads, identifiers = V2Writes(engine), V2Reads(engine), V2Identifiers(engine)
        v11, v11_path = V11(engine), "/v1.1/customer"
        one, find = "/v2/customers/{customer_id}", "/v2/customers/lookup"
        put, post = "v2.customers.put", "v2.customers.post"
        return [
            Route(
                f"{v11_path}/add",
                v11_endpoint(engine, v11.add, write=True, limit="v1.1.customer.add"),
                methods=["POST"],
            ),
            Route(
                f"{v11_path}/update",
                v11_endpoint(engine, v11.update, write=True, limit="v1.1.customer.update"),
                methods=["POST"],
            ),
            Route(
                f"{v11_path}/update_identity",
                v11_endpoint(engine, v11.update_identity, write=True),
                methods=["POST"],
            ),
            Route(f"{v11_path}/get", v11_endpoint(engine, v11.get, write=False), methods=["GET"]),
            Route("/v3/oauth/token/generate", self.generate_token, methods=["POST"]),
            Route("/v2/customers", v2_endpoint(engine, writes.add, write=True, limit=post), methods=["POST"]),
            Route(find, v2_endpoint(engine, reads.lookup, write=False), methods=["GET"]),
            Route(
                find,
                v2_endpoint(engine, writes.update_by_identifier, write=True, limit=put),
                methods=["PUT"],
            ),
            Route(f"{find}/customerDetails", v2_endpoint(engine, reads.details, write=False), methods=["GET"]),
            Route(one, v2_endpoint(engine, reads.by_id, write=False), methods=["GET"]),
            Route(one, v2_endpoint(engine, writes.update, write=True, limit=put), methods=["PUT"]),
            Route(
                f"{one}/changeIdentifier",
                v2_endpoint(engine, identifiers.change, write=True),
                methods=["POST"],
            ),
            *self._sales_routes(),
            Route("/v2/extendedFields", v2_endpoint(engine, reads.extended_fields, write=False), methods=["GET"]),
        ]

    def _sales_routes(self) -> list[BaseRoute]:
        engine = self.engine
        bills, v11 = Transactions(engine), V11Transactions(engine)
        v11_limit = "v1.1.transaction"
        return [
            Route(
                "/v2/transactions",
                v2_endpoint(engine, bills.add, write=True, limit="v2.transactions.post", read=read_exact),
                methods=["POST"],
            ),
            Route(
                "/v2/transactions/getByBillNumber/{number:path}",
                v2_endpoint(engine, bills.by_number, write=False),
                methods=["GET"],
            ),
            Route("/v2/transactions/{bill_id}", v2_endpoint(engine, bills.by_id, write=False), methods=["GET"]),
            Route(
                "/v1.1/transaction/update",
                v11_endpoint(engine, v11.update, write=True, limit=v11_limit),
                methods=["POST"],
            ),
            Route("/v1.1/transaction/get", v11_endpoint(engine, v11.get, write=False), methods=["GET"]),
            *(
                Route(f"/v1.1/organization/{name}", v11_endpoint(engine, handler, write=False), methods=["GET"])
                for name, handler in (("entities", v11.entities), ("tenders", v11.tenders), ("configs", v11.configs))
            ),
        ]

    async def generate_token(self, request: Request) -> Response:
        """Serve POST /v3/oauth/token/generate; a refusal is a 401 with code 320001 (status assumed)."""
        headers = common_headers(new_request_id())
        status: int
        body: JSON
        try:
            given = await read_json(request)
        except ApiError as error:
            status = error.http_status or 400
            body = {"data": None, "errors": [{"code": error.code, "message": error.message}]}
            return Response(json.dumps(body), status, headers, media_type="application/json")
        fields = given if isinstance(given, dict) else {}
        ttl = self.settings["token_ttl_seconds"]
        token = self.engine.tokens.generate(
            self.engine.orgs,
            fields.get("key"),
            fields.get("secret"),
            self.clock(),
            int(ttl) if isinstance(ttl, int | float) else 3600,
        )
        status, body = 200, token
        if token is None:
            status = 401
            body = {
                "data": None,
                "errors": [{"code": 320001, "message": "Invalid client key and secret"}],
            }
        return Response(json.dumps(body), status, headers, media_type="application/json")

    def reset(self) -> None:
        """Forget all customers, tokens and counts."""
        super().reset()
        self.engine.clear()

    def restore_settings(self) -> None:
        """Put every switch back, the organisations too."""
        super().restore_settings()
        self.engine.orgs = build_orgs(self.settings["orgs"])

    def configure(self, changes: Mapping[str, JSON]) -> None:
        """Change switches; ``orgs`` is laid over the current organisations, switch by switch."""
        for name, allowed in CHOICES.items():
            if name in changes and changes[name] not in allowed:
                raise SettingError(name, f"must be one of {', '.join(map(str, allowed))}")
        wanted = dict(changes)
        orgs = self.engine.orgs
        if "orgs" in wanted:
            current = self.settings["orgs"]
            merged = merge_orgs(current if isinstance(current, dict) else {}, wanted["orgs"])
            orgs = build_orgs(merged)
            wanted["orgs"] = merged
        super().configure(wanted)
        self.engine.orgs = orgs

    def error_body(self, kind: str, status: int) -> Answer:
        """Return a V2 error envelope by the name of its fault."""
        headers = common_headers(new_request_id())
        if kind in V11_FAULTS:
            default, body, _ = V11_FAULTS[kind]
            return json_answer(status or default, body, headers)
        if kind == "access_denied_text":
            text = b"errorCode=4000, errorMessage=Not authorized. Access is denied!"
            return status or 403, {**headers, "content-type": "text/plain"}, text
        if kind not in V2_FAULTS:
            raise UnknownFaultError(kind)
        default, code, _ = V2_FAULTS[kind]
        if kind == "rate_limit":
            headers["retry-after"] = "1"
        return json_answer(status or default, {"errors": [issue(code, None, id=0)]}, headers)

    def limits(self) -> JSON:
        """Return per organisation and API what arrived, was refused, and the worst sliding window."""
        return {
            key: {
                "limit": self.engine.limit_of(key.partition(":")[2]),
                "arrived": meter.arrived,
                "refused": meter.refused,
                "peak_in_any_window": meter.peak,
                "window_seconds": meter.window,
            }
            for key, meter in self.engine.meters.items()
        }

    def state(self) -> JSON:
        """Return customers, bills with the books per number, identity requests and the number of live tokens."""
        return {
            "customers": self.engine.store.as_json(),
            "bills": self.engine.bills.as_json(),
            "books": self.engine.bills.books(),
            "identity_requests": list(self.engine.identity_requests),
            "tokens_issued": len(self.engine.tokens.issued),
            "limits": self.limits(),
        }
