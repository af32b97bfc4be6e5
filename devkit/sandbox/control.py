"""The control endpoints under ``/_sandbox``: read recorded requests, and change how the sandbox behaves."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devkit.sandbox.core import Sandbox
from devkit.sandbox.faults import FaultError, parse_fault
from devkit.sandbox.vendor import JSON, SettingError, UnknownFaultError, Vendor

BUILT_IN_FAULTS = ("rate_limit", "not_found", "method_not_allowed")


def control_routes(sandbox: Sandbox) -> list[Route]:
    """Return the control routes of one sandbox."""
    control = _Control(sandbox)
    return [
        Route("/_sandbox", control.overview, methods=["GET"]),
        Route("/_sandbox/requests", control.requests, methods=["GET", "DELETE"]),
        Route("/_sandbox/faults", control.faults, methods=["GET", "PUT", "DELETE"]),
        Route("/_sandbox/reset", control.reset, methods=["POST"]),
        Route("/_sandbox/rejections", control.rejections, methods=["GET"]),
        Route("/_sandbox/state/{vendor}", control.state, methods=["GET"]),
        Route("/_sandbox/settings/{vendor}", control.settings, methods=["GET", "PUT"]),
    ]


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.response = JSONResponse({"error": message, "field": field}, status_code=status)


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def overview(self, request: Request) -> Response:
        return JSONResponse(
            {
                vendor.name: {
                    "prefix": vendor.prefix,
                    "faults": {**dict.fromkeys(BUILT_IN_FAULTS, ""), **vendor.faults},
                }
                for vendor in self.sandbox.vendors.values()
            }
        )

    async def requests(self, request: Request) -> Response:
        recorder = self.sandbox.recorder
        if request.method == "DELETE":
            recorder.clear()
            return Response(status_code=204)
        query = request.query_params
        chosen = recorder.select(query.get("vendor"), query.get("method"), query.get("path"))
        return JSONResponse({"requests": [record.as_json() for record in chosen]})

    async def faults(self, request: Request) -> Response:
        sandbox = self.sandbox
        if request.method == "DELETE":
            sandbox.faults.clear()
            return Response(status_code=204)
        if request.method == "PUT":
            try:
                given = await _json(request)
                rules = given.get("rules") if isinstance(given, dict) else given
                if not isinstance(rules, list):
                    raise _RefusedError(422, "the body must be a list of rules", "rules")
                faults = [parse_fault(rule) for rule in rules]
                for fault in faults:
                    self._check_error_name(fault.vendor, fault.error)
            except _RefusedError as refused:
                return refused.response
            except FaultError as error:
                return _RefusedError(422, error.message, error.field).response
            sandbox.faults[:] = faults
        return JSONResponse({"rules": [fault.as_json() for fault in sandbox.faults]})

    def _check_error_name(self, vendor: str | None, error: str | None) -> None:
        sandbox = self.sandbox
        if vendor is not None and vendor not in sandbox.vendors:
            raise FaultError("vendor", f"is not one of {', '.join(sandbox.vendors)}")
        if error is None:
            return
        asked = sandbox.vendors.values() if vendor is None else [sandbox.vendors[vendor]]
        for each in asked:
            try:
                each.error_body(error, 0)
            except UnknownFaultError as unknown:
                raise FaultError("error", f"{each.name} has no error {error!r}") from unknown

    async def reset(self, request: Request) -> Response:
        try:
            given = await _json(request)
        except _RefusedError as refused:
            return refused.response
        keep = isinstance(given, dict) and given.get("keep_settings") is True
        self.sandbox.reset(keep_settings=keep)
        return Response(status_code=204)

    async def rejections(self, request: Request) -> Response:
        vendors = self.sandbox.vendors.values()
        by_vendor: dict[str, JSON] = {vendor.name: dict(vendor.rejections) for vendor in vendors}
        by_faults = self.sandbox.fault_rejections
        total = by_faults + sum(vendor.rejections.total() for vendor in vendors)
        limits: dict[str, JSON] = {vendor.name: vendor.limits() for vendor in vendors}
        return JSONResponse({"total": total, "by_vendor": by_vendor, "by_faults": by_faults, "limits": limits})

    async def state(self, request: Request) -> Response:
        try:
            state = self._vendor(request).state()
        except _RefusedError as refused:
            return refused.response
        part = request.query_params.get("part")
        if part is not None and isinstance(state, dict):
            if part not in state:
                return _RefusedError(404, f"the state has no {part}", "part").response
            state = state[part]
        return JSONResponse(state)

    async def settings(self, request: Request) -> Response:
        try:
            vendor = self._vendor(request)
            if request.method == "PUT":
                changes = await _json(request)
                if not isinstance(changes, dict):
                    raise _RefusedError(422, "the body must be an object of settings")
                vendor.configure(changes)
        except _RefusedError as refused:
            return refused.response
        except SettingError as error:
            return _RefusedError(422, error.message, error.field).response
        return JSONResponse(vendor.settings)

    def _vendor(self, request: Request) -> Vendor:
        name = request.path_params["vendor"]
        vendor = self.sandbox.vendors.get(name)
        if vendor is None:
            raise _RefusedError(404, f"the sandbox has no vendor {name}", "vendor")
        return vendor


async def _json(request: Request) -> JSON:
    raw = await request.body()
    if not raw:
        return None
    try:
        value: JSON = json.loads(raw)
    except ValueError as error:
        raise _RefusedError(400, "the body is not JSON") from error
    return value
