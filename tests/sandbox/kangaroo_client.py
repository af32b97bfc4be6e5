"""A client of the sandbox in this process, with a clock that a test turns, and Kangaroo's credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from devkit.sandbox.app import create_app
from devkit.sandbox.vendor import Clock, Vendor

VENDOR_TYPE = "application/vnd.kangaroorewards.api.v1+json;"
START = 1_700_000_000.0


class SandboxClient:
    """Sends requests to the ASGI application; `now` is the sandbox's time in epoch seconds."""

    def __init__(self, make: Callable[[Clock], Sequence[Vendor]]) -> None:
        self.now = START
        self.app = create_app(make(self._clock), clock=self._clock)

    def _clock(self) -> float:
        return self.now

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(once())

    def set(self, vendor: str, **settings: Any) -> None:
        answer = self.send("PUT", f"/_sandbox/settings/{vendor}", json=settings)
        assert answer.status_code == 200, answer.text

    def state(self, vendor: str) -> Any:
        return self.send("GET", f"/_sandbox/state/{vendor}").json()


class KangarooClient(SandboxClient):
    """The same, signed in to the demo business."""

    def token_form(self, **changes: str) -> dict[str, str]:
        return {
            "grant_type": "password",
            "client_id": "10",
            "client_secret": "fake-password-client-secret",
            "username": "demo@example.com",
            "password": "fake-password",
            "scope": "admin",
            "application_key": "fake-application-key",
        } | changes

    def token(self, form: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        data = self.token_form() if form is None else dict(form)
        return self.send("POST", "/kangaroo/oauth/token", data=data, **options)

    def refresh(self, refresh_token: str, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": "10",
            "client_secret": "fake-password-client-secret",
            "scope": "admin",
        }
        return self.token(form | changes)

    def sign_in(self) -> None:
        self.access = self.token().json()["access_token"]

    def headers(self, **changes: str | None) -> dict[str, str]:
        found: dict[str, str | None] = {
            "authorization": f"Bearer {self.access}",
            "x-application-key": "fake-application-key",
            "accept": VENDOR_TYPE,
            "content-type": "application/json",
        }
        found |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in found.items() if value is not None}

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.send(method, f"/kangaroo{path}", headers=self.headers(), **options)

    def integrations(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.send(method, f"/kangaroo-integrations{path}", headers=self.headers(), **options)

    def add_customer(self, **fields: Any) -> str:
        answer = self.api("POST", "/customers", json=fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["id"])
