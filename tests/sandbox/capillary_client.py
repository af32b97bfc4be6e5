"""Talk to the Capillary sandbox in process, with a clock that tests move."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import httpx

from devkit.sandbox.app import create_app
from devkit.sandbox.capillary import CapillaryVendor
from devkit.sandbox.capillary.config import DEMO_PASSWORD, md5_hex

START = 1_750_000_020.0  # a moment at the beginning of a clock minute


def basic(till: str = "demo.till01", password: str = DEMO_PASSWORD) -> dict[str, str]:
    """Return the header of till credentials."""
    pair = f"{till}:{md5_hex(password)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def profile(source: str = "INSTORE", **values: Any) -> dict[str, Any]:
    """Return a V2 profile; ``mobile``, ``email`` and so on become identifiers, the rest is taken as it is."""
    kinds = ("mobile", "email", "externalId", "line", "cardnumber")
    identifiers = [{"type": kind, "value": values.pop(kind)} for kind in kinds if kind in values]
    return {"source": source, "identifiers": identifiers, **values}


def registration(source: str = "INSTORE", *, body: Mapping[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    """Return the body of an add with one profile; ``body`` comes on top."""
    return {"profiles": [profile(source, **values)], **(body or {})}


class FakeClock:
    """A clock that changes only when it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class CapillaryApi:
    """The sandbox with Capillary alone."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.slept: list[float] = []
        self.vendor = CapillaryVendor(self.clock, self._sleep)
        self.app = create_app([self.vendor], clock=self.clock, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def client(self) -> httpx.AsyncClient:
        """Return a client of the whole sandbox."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://sandbox")

    def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request to any path of the sandbox."""

        async def send() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Send one request to Capillary with the demo till, unless ``headers`` has other credentials."""
        given = dict(headers or {})
        if "X-CAP-API-OAUTH-TOKEN" not in given and "Authorization" not in given:
            given |= basic()
        return self.raw(method, f"/capillary{path}", headers=given, **options)

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Send one request and return the body of the answer."""
        body: dict[str, Any] = self.call(method, path, **options).json()
        return body

    def register(self, source: str = "INSTORE", **values: Any) -> int:
        """Register a customer and return the id."""
        answer = self.json("POST", "/v2/customers", json=registration(source, **values))
        assert "createdId" in answer, answer
        created: int = answer["createdId"]
        return created

    def settings(self, **changes: Any) -> None:
        """Change switches."""
        answer = self.raw("PUT", "/_sandbox/settings/capillary", json=changes)
        assert answer.status_code == 200, answer.text

    def org(self, **changes: Any) -> None:
        """Change switches of the demo organisation."""
        self.settings(orgs={"demo": changes})

    def customer(self, customer_id: int) -> dict[str, Any]:
        """Return what the sandbox keeps of a customer."""
        state = self.raw("GET", "/_sandbox/state/capillary").json()
        found: dict[str, Any] = next(each for each in state["customers"] if each["id"] == customer_id)
        return found


def codes(answer: Mapping[str, Any], kind: str = "warnings") -> list[int]:
    """Return the codes of ``warnings`` or ``errors``."""
    return [item["code"] for item in answer.get(kind, [])]
