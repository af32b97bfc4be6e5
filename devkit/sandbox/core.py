"""The sandbox behind its vendors' prefixes: routing, faults and records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devkit.sandbox.faults import HTML_PAGE, Fault
from devkit.sandbox.recording import RecordedRequest, Recorder
from devkit.sandbox.vendor import Answer, Clock, Vendor, json_answer

ABORT = "loyalty_relay.abort"
"""ASGI extension by which the server lets an application break the connection: ``abort(reset: bool)``."""
CLOSED = "loyalty_relay.closed"
"""ASGI extension that reports whether the client has disconnected: ``closed() -> bool``."""

Sleep = Callable[[float], Awaitable[None]]


class Sandbox:
    """All vendors with what they share. It is an ASGI application for every path below a vendor's prefix."""

    def __init__(self, vendors: Sequence[Vendor], clock: Clock, sleep: Sleep) -> None:
        self.vendors = {vendor.name: vendor for vendor in vendors}
        if len(self.vendors) != len(vendors):
            raise ValueError("two vendors of the sandbox have the same name")
        self.clock = clock
        self.recorder = Recorder()
        self.faults: list[Fault] = []
        self.fault_rejections = 0
        self._sleep = sleep
        self._routers: list[tuple[Vendor, Router]] = [
            (vendor, Router(routes=list(vendor.routes()), redirect_slashes=False, default=_no_route))
            for vendor in sorted(vendors, key=lambda vendor: len(vendor.prefix), reverse=True)
        ]

    def reset(self, *, keep_settings: bool = False) -> None:
        """Forget all state, records and faults, and put the settings back unless they are to be kept."""
        self.recorder.clear()
        self.faults.clear()
        self.fault_rejections = 0
        for vendor in self.vendors.values():
            if not keep_settings:
                vendor.restore_settings()
            vendor.reset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request to a vendor."""
        path = scope["path"]
        for vendor, router in self._routers:
            if path == vendor.prefix or path.startswith(vendor.prefix + "/"):
                await self._serve(vendor, router, scope, receive, send)
                return
        await _send_answer(send, json_answer(404, {"error": f"the sandbox serves no vendor at {path}"}))

    async def _serve(self, vendor: Vendor, router: Router, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        path = scope["path"][len(vendor.prefix) :] or "/"
        record = self.recorder.begin(
            time=self.clock(),
            vendor=vendor.name,
            prefix=vendor.prefix,
            method=scope["method"],
            path=path,
            query_string=scope["query_string"],
            headers=scope["headers"],
            body=body,
        )
        fault = self._choose_fault(vendor, record)
        if fault is None:
            answer = await self._ask(vendor, router, scope, path, body, record)
            record.status = answer[0]
            await _send_answer(send, answer)
            return
        await self._serve_fault(fault, vendor, router, scope, path, body, record, receive, send)

    def _choose_fault(self, vendor: Vendor, record: RecordedRequest) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if fault.takes(vendor.name, record.method, record.path, record.time):
                record.fault = index
                return fault
        return None

    async def _serve_fault(
        self,
        fault: Fault,
        vendor: Vendor,
        router: Router,
        scope: Scope,
        path: str,
        body: bytes,
        record: RecordedRequest,
        receive: Receive,
        send: Send,
    ) -> None:
        latency = fault.latency_seconds()
        if latency > 0:
            await self._sleep(latency)
        if fault.reset == "before":
            await _break(scope, receive, fault.close == "rst")
            return
        answer: Answer | None = None
        if fault.effect or fault.reset == "after" or not fault.replaces:
            answer = await self._ask(vendor, router, scope, path, body, record)
        if fault.reset == "after":
            await _break(scope, receive, fault.close == "rst")
            return
        if fault.replaces or answer is None:
            answer = self._replacement(fault, vendor)
        status, headers, content = answer
        headers = {**headers, **fault.headers}
        if fault.content_type is not None:
            headers["content-type"] = fault.content_type
        if fault.empty:
            content = b""
        record.status = status
        await self._send_damaged(send, (status, headers, content), fault, scope, receive)

    def _replacement(self, fault: Fault, vendor: Vendor) -> Answer:
        if fault.rate_limit is not None:
            self.fault_rejections += 1
            return vendor.error_body("rate_limit", fault.status or 0)
        if fault.error is not None:
            return vendor.error_body(fault.error, fault.status or 0)
        if fault.html:
            return fault.status or 502, {"content-type": "text/html; charset=utf-8"}, HTML_PAGE
        return fault.status or 200, {"content-type": "application/json"}, fault.body or b""

    async def _send_damaged(self, send: Send, answer: Answer, fault: Fault, scope: Scope, receive: Receive) -> None:
        status, headers, content = answer
        await _send_start(send, status, headers, len(content))
        end = len(content) if fault.truncate is None else min(fault.truncate, len(content))
        cut = end < len(content)
        step, pause = fault.drip or (end or 1, 0.0)
        closed = scope.get("extensions", {}).get(CLOSED, _never)
        for start in range(0, end, step):
            if closed():
                return
            last = start + step >= end
            chunk = content[start : min(start + step, end)]
            await send({"type": "http.response.body", "body": chunk, "more_body": cut or not last})
            if not last:
                await self._sleep(pause)
        if cut:
            # The promised content length never arrives: the client must see the connection end early.
            await asyncio.sleep(0)
            await _break(scope, receive, reset=False)
        elif end == 0:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _ask(
        self, vendor: Vendor, router: Router, scope: Scope, path: str, body: bytes, record: RecordedRequest
    ) -> Answer:
        record.effect = True
        inner = dict(scope)
        # Starlette handles a wrong method itself only without an application around it.
        inner.pop("app", None)
        inner["path"] = path
        inner["raw_path"] = scope.get("raw_path", path.encode())[len(vendor.prefix) :]
        inner["root_path"] = ""
        inner["state"] = {"request_number": record.number}
        status, headers, content = await _capture(router, inner, body)
        if "x-sandbox-no-route" in headers:
            return vendor.error_body("not_found", 0)
        if status == 405 and not headers.get("content-type", "").startswith("application/"):
            code, fields, text = vendor.error_body("method_not_allowed", 0)
            return code, {**fields, "allow": headers.get("allow", "")}, text
        return status, headers, content


def _never() -> bool:
    return False


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    await _send_answer(send, (404, {"x-sandbox-no-route": "1"}, b""))


async def _read_body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _capture(app: ASGIApp, scope: Scope, body: bytes) -> Answer:
    status = 500
    headers: dict[str, str] = {}
    content = bytearray()
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.update((name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"])
        else:
            content.extend(message.get("body", b""))

    await app(scope, receive, send)
    headers.pop("content-length", None)
    return status, headers, bytes(content)


async def _send_start(send: Send, status: int, headers: dict[str, str], length: int) -> None:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    if status != 204:
        fields.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def _send_answer(send: Send, answer: Answer) -> None:
    status, headers, content = answer
    await _send_start(send, status, headers, len(content))
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def _break(scope: Scope, receive: Receive, reset: bool) -> None:
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is None:
        # In process there is no socket to close; the caller sees what a client would have made of it.
        raise ConnectionResetError("connection closed by a sandbox fault")
    abort(reset)
    while (await receive())["type"] != "http.disconnect":
        pass
