"""The console over HTTP: a browser that was let in, and a stack in process behind it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Cookies, Response
from starlette.types import ASGIApp

from devkit.console.app import build_app
from devkit.console.safety import Keys
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from tests.pipeline.conftest import Relay, relay
from tests.queries.makers import entry
from tests.support.stack import outside

__all__ = ["relay"]
"""The fixture of the pipeline's tests."""

PORT = 4580
HOSTILE = "<script>alert(1)</script>\u202eevil\"'><img src=x>{{ 7*7 }}" + "x" * 300
ORIGIN = f"http://127.0.0.1:{PORT}"


class Client:
    """Requests to an application without a socket, with the cookies of responses before."""

    def __init__(self, app: ASGIApp) -> None:
        self.cookies = Cookies()
        self._transport = ASGITransport(app)

    def request(self, method: str, path: str, **arguments: Any) -> Response:
        async def send() -> Response:
            async with AsyncClient(transport=self._transport, base_url=ORIGIN, cookies=self.cookies) as client:
                answer = await client.request(method, path, **arguments)
                self.cookies = client.cookies
                return answer

        return asyncio.run(send())

    def get(self, path: str, **arguments: Any) -> Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> Response:
        return self.request("POST", path, **arguments)


class Browser:
    """A browser with the console's cookie, which sends what browsers send."""

    def __init__(self, relay: Relay) -> None:
        self.keys = Keys()
        stack = relay.stack
        services = Services(Settings(environment=stack.environment), clock=stack.clock, client=stack.client)
        app = build_app(outside(stack), self.keys, PORT, services=services)
        self.client = Client(app)

    def open(self) -> Response:
        """Open the address that the console prints."""
        return self.client.get("/", params={"key": self.keys.access})

    def get(self, path: str, status: int = 200, **arguments: Any) -> str:
        answer = self.client.get(path, **arguments)
        assert answer.status_code == status, answer.text
        return answer.text

    def json(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Response:
        """Send a form of the console."""
        given = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", **headers}
        return self.client.post(path, data={"csrf": self.keys.form, **fields}, headers=given)


@pytest.fixture
def browser(relay: Relay) -> Browser:
    made = Browser(relay)
    made.open()
    return made


def shown(html: str) -> str:
    """Return the text of a page, without its tags, in one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def put(relay: Relay, age: float = 0, **members: Any) -> JournalEntry:
    at = relay.stack.clock.now - age
    made = replace(entry(new_delivery_id(at, bytes), received=at, **members), connection="shop-1")
    relay.stack.journal.write(made)
    return made
