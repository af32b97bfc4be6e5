"""What the Kangaroo tests share: a destination, tokens in memory, a vendor that answers from a script, the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from devkit.sandbox.app import create_app
from devkit.sandbox.core import Sandbox
from devkit.sandbox.destinations import KANGAROO_PASSWORD
from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.destinations.definitions import DefinitionCache
from loyalty_relay.destinations.kangaroo.client import KangarooCrm
from loyalty_relay.destinations.tokens import Obtain, TokenSet
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import build_request
from loyalty_relay.model.deadline import Deadline
from tests.support.limiters import NullLimiter

CUSTOMER = "11eb5b4433edf7bfaaffb42e99312ac8"
SANDBOX = "127.0.0.1:9"
"""Nobody listens there: requests are handed to the application in process."""

PASSWORD = KANGAROO_PASSWORD
CODE = {
    "type": "authorization_code",
    "application_key": "fake-application-key",
    "client_id": "11",
    "client_secret": "fake-code-client-secret",
    "redirect_uri": "https://app.example.com/oauth/callback",
    "account": "demo",
}
MACHINE = {"type": "client_credentials", "client_id": "12", "client_secret": "fake-machine-client-secret"}
PLAIN = {
    "type": "token",
    "application_key": "fake-application-key",
    "access_token": "fake-access-token",
    "account": "demo",
}


def destination(
    credentials: Mapping[str, str] = PLAIN, *, sandbox: bool = False, options: Mapping[str, Any] | None = None
) -> Destination:
    """A Kangaroo destination, parsed the way a connection's secret is."""
    data: dict[str, Any] = {
        "source": {"platform": "standard", "unsigned": True},
        "destination": {"vendor": "kangaroo", "credentials": dict(credentials), "options": dict(options or {})},
    }
    if sandbox:
        data["destination"]["host"] = f"http://{SANDBOX}/kangaroo"
        data["destination"]["integrations_host"] = f"http://{SANDBOX}/kangaroo-integrations"
    return parse_connection("shop", data, sandbox_hosts=frozenset({SANDBOX})).destination


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class MemoryTokens:
    """Tokens of one process, without a store behind them."""

    clock: Callable[[], float]
    kept: dict[str, TokenSet] = field(default_factory=dict)
    obtained: int = 0

    def get(self, key: str, obtain: Obtain, deadline: Deadline, *, rejected: str | None = None) -> tuple[str, bool]:
        tokens = self.kept.get(key)
        if tokens is not None and tokens.access_token != rejected and tokens.fresh(self.clock()):
            return tokens.access_token, False
        self.kept[key] = obtain(tokens, deadline)
        self.obtained += 1
        return self.kept[key].access_token, True

    def put(self, key: str, tokens: TokenSet) -> None:
        self.kept[key] = tokens


def answer(
    status: int,
    body: Any = None,
    *,
    text: str | bytes | None = None,
    kind: str = "application/json",
    headers: Mapping[str, str] | None = None,
    now: float = 0.0,
) -> httpx.Response:
    """An answer of the vendor to a GET; ``text`` is its raw body instead of JSON."""
    raw = json.dumps(body).encode() if text is None else text.encode() if isinstance(text, str) else text
    return httpx.Response(
        status,
        headers={"content-type": kind, **(headers or {})},
        content=raw,
        request=build_request(api="api", method="GET", url="https://api.kangaroorewards.com/"),
        extensions={"received_at": now},
    )


class Call:
    """One request as the vendor received it, without the headers that every request has."""

    def __init__(self, request: httpx.Request) -> None:
        text = request.content.decode()
        is_form = "form-urlencoded" in request.headers.get("content-type", "")
        self.method = request.method
        self.url = str(request.url).partition("?")[0]
        self.params = dict(parse_qsl(request.url.query.decode()))
        self.form = dict(parse_qsl(text)) if is_form else {}
        self.json: Any = json.loads(text) if text and not is_form else None
        self.headers = {n: v for n, v in request.headers.items() if n not in ("host", "content-length", "user-agent")}
        self.api = request.extensions["api"]
        self.may_repeat = request.extensions["may_repeat"]
        self.has_effect = request.extensions["has_effect"]


Responder = Callable[[Call], httpx.Response]


@dataclass
class Script(httpx.BaseTransport):
    """A vendor with prepared responses by method and path, 404 for any other. Records the requests.

    A list of answers is given out one after the other, the last one again and again.
    """

    answers: dict[str, httpx.Response | list[httpx.Response] | Responder] = field(default_factory=dict)
    asked: list[Call] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call = Call(request)
        self.asked.append(call)
        known = self.answers.get(f"{request.method} {request.url.path}")
        if isinstance(known, list):
            return known.pop(0) if len(known) > 1 else known[0]
        if known is None:
            error = {"status_code": 404, "message": "Not Found", "description": "no such thing"}
            return answer(404, {"error": error})
        return known if isinstance(known, httpx.Response) else known(call)

    def client(self) -> Client:
        return Client(NullLimiter(), upstream=self)

    def paths(self) -> list[str]:
        return [f"{call.method} {urlsplit(call.url).path}" for call in self.asked]


def crm(
    upstream: httpx.BaseTransport,
    to: Destination | None = None,
    *,
    country: str | None = "CA",
    tokens: Any = None,
    clock: Callable[[], float] | None = None,
    cache: DefinitionCache | None = None,
    sales: Sales | None = None,
) -> KangarooCrm:
    """A client in front of a vendor."""
    time = clock or Clock()
    return KangarooCrm(
        to or destination(),
        Client(NullLimiter(), time, upstream=upstream),
        MemoryTokens(time) if tokens is None else tokens,
        default_country=country,
        cache=cache or DefinitionCache(time),
        clock=time,
        sales=sales or Sales(),
    )


def deadline(seconds: float = 60.0) -> Deadline:
    return Deadline(seconds, lambda: 0.0)


class InProcess(httpx.BaseTransport):
    """Hands requests to an ASGI application without a socket."""

    def __init__(self, app: Any) -> None:
        self._upstream = httpx.ASGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> tuple[int, Mapping[str, str], bytes]:
            response = await self._upstream.handle_async_request(request)
            return response.status_code, response.headers, await response.aread()

        status, headers, body = asyncio.run(ask())
        return httpx.Response(status, headers=headers, content=body)


@dataclass
class World:
    """The sandbox, and clients that talk to it."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        app = create_app(clock=self.clock)
        self.sandbox: Sandbox = app.state.sandbox
        self.tokens = MemoryTokens(self.clock)
        self.upstream = InProcess(app)

    def crm(
        self, credentials: Mapping[str, str] = PASSWORD, *, options: Mapping[str, Any] | None = None, tokens: Any = None
    ) -> KangarooCrm:
        to = destination(credentials, sandbox=True, options=options)
        return crm(self.upstream, to, tokens=tokens or self.tokens, clock=self.clock)

    def set(self, **settings: Any) -> None:
        self.sandbox.vendors["kangaroo"].configure(settings)

    def requests(self) -> list[str]:
        """Method and path of everything that reached the vendor, tokens aside."""
        return [f"{r.method} {r.path}" for r in self.sandbox.recorder.requests if r.path != "/oauth/token"]

    def token_requests(self) -> int:
        return sum(r.path == "/oauth/token" for r in self.sandbox.recorder.requests)

    def customers(self) -> dict[str, Any]:
        state: Any = self.sandbox.vendors["kangaroo"].state()
        return dict(state["customers"])
