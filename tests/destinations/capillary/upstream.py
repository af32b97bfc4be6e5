"""The upstream of the client in these tests: the sandbox in process, or a list of prepared responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx

from devkit.sandbox.app import create_app
from devkit.sandbox.capillary import CapillaryVendor
from devkit.sandbox.core import Sandbox
from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.destinations.capillary.client import CapillaryCrm
from loyalty_relay.destinations.capillary.errors import CapillaryReply
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import build_request
from loyalty_relay.model.commands import CustomerRef, Identifier, RegisterCustomer, UpdateCustomer
from loyalty_relay.model.deadline import Deadline
from tests.support.limiters import NullLimiter

START = 1_750_000_020.0
HOST = "https://eu.api.capillarytech.com"
BASIC = {"type": "basic", "username": "demo.till01", "password": "fake-till-password"}
OAUTH = {"type": "oauth", "key": "fake-client-key", "secret": "fake-client-secret"}
ANA = Identifier("email", "ana@example.com")
MOBILE = Identifier("mobile", "+447700900123")


class Clock:
    """A clock that changes only when it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def deadline(seconds: float = 25.0) -> Deadline:
    return Deadline(seconds, lambda: 0.0)


def destination(**changes: Any) -> Destination:
    given: dict[str, Any] = {
        "vendor": "capillary",
        "host": HOST,
        "credentials": BASIC,
        "region": "eu",
        "source": "INSTORE",
        "options": {},
    }
    return Destination(**{**given, **changes})


def register(*identifiers: Identifier, **members: Any) -> RegisterCustomer:
    return RegisterCustomer(customer=CustomerRef(identifiers=identifiers or (ANA,)), **members)


def update(
    *identifiers: Identifier, loyalty_id: str | None = None, if_missing: Any = "error", **members: Any
) -> UpdateCustomer:
    customer = CustomerRef(loyalty_id=loyalty_id, identifiers=identifiers)
    return UpdateCustomer(customer=customer, if_missing=if_missing, **members)


class Canned(httpx.BaseTransport):
    """Return prepared responses in order and record the requests. An exception among them is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # A copy: the headers of a request change when it is sent again with another token.
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        self.requests.append(sent)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def crm(self, limiter: NullLimiter | None = None, **options: Any) -> CapillaryCrm:
        """A client that talks to it.

        ``options`` go to the destination, but for ``default_country``, ``clock`` and ``sales``.
        """
        country = options.pop("default_country", None)
        clock = options.pop("clock", Clock())
        sales = options.pop("sales", Sales())
        client = Client(limiter or NullLimiter(), clock, upstream=self)
        return CapillaryCrm(destination(**options), client, default_country=country, clock=clock, sales=sales)

    def body(self, index: int = 0) -> Any:
        return json.loads(self.requests[index].content)

    def seen(self) -> list[tuple[str, str]]:
        return [(request.method, request.url.path) for request in self.requests]


def answer(
    body: Any, status: int = 200, *, kind: str = "application/json", retry_after: str | None = None
) -> httpx.Response:
    given = {"content-type": kind, "x-cap-requestid": "0123456789abc"}
    if retry_after is not None:
        given["retry-after"] = retry_after
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, headers=given, content=content)


def reply(body: Any, status: int = 200) -> CapillaryReply:
    """What a reader gets of an answer to a POST."""
    response = httpx.Response(status, content=json.dumps(body).encode("utf-8", "replace"))
    response.request = build_request(api="v2-create", method="POST", url=HOST)
    return CapillaryReply(response)


def query(request: httpx.Request) -> dict[str, str]:
    return dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))


class SandboxUpstream(httpx.BaseTransport):
    """Capillary's sandbox, asked in process: what the client sends reaches the real routes, state and all."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.vendor = CapillaryVendor(self.clock, self._sleep)
        self.app = create_app([self.vendor], clock=self.clock, sleep=self._sleep)

    @staticmethod
    async def _sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    @property
    def sandbox(self) -> Sandbox:
        sandbox: Sandbox = self.app.state.sandbox
        return sandbox

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            upstream = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=upstream) as client:
                reply = await client.request(
                    request.method,
                    request.url.copy_with(raw_path=b"/capillary" + request.url.raw_path),
                    headers=request.headers,
                    content=request.read(),
                )
            return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

        try:
            return asyncio.run(ask())
        except ConnectionResetError as error:
            raise httpx.ReadError("reset") from error

    def crm(self, **options: Any) -> CapillaryCrm:
        country = options.pop("default_country", None)
        sales = options.pop("sales", Sales())
        client = Client(options.pop("limiter", NullLimiter()), self.clock, upstream=self)
        return CapillaryCrm(destination(**options), client, default_country=country, clock=self.clock, sales=sales)

    def configure(self, **settings: Any) -> None:
        self.vendor.configure(settings)

    def configure_org(self, **settings: Any) -> None:
        self.vendor.configure({"orgs": {"demo": settings}})

    def customers(self) -> list[Any]:
        state = self.vendor.state()
        assert isinstance(state, dict)
        found = state["customers"]
        assert isinstance(found, list)
        return found

    def requests(self) -> list[tuple[str, str]]:
        return [(r.method, r.path) for r in self.sandbox.recorder.requests]

    def books(self) -> Any:
        state = self.vendor.state()
        assert isinstance(state, dict)
        return state["books"]

    def details(self, crm: CapillaryCrm, loyalty_id: str) -> Mapping[str, Any]:
        customer = next(c for c in self.customers() if str(c["id"]) == loyalty_id)
        assert isinstance(customer, dict)
        return customer
