"""Destinations at the sandbox as connections hold them, opened by its demo accounts."""

from __future__ import annotations

from typing import Any

from devkit.sandbox.capillary.config import DEMO_PASSWORD

KANGAROO_PASSWORD = {
    "type": "password",
    "application_key": "fake-application-key",
    "client_id": "10",
    "client_secret": "fake-password-client-secret",
    "username": "demo@example.com",
    "password": "fake-password",
}
"""The demo business, by its owner's password."""


def capillary_till(code: str = "demo.till01") -> dict[str, str]:
    """Return a till of the demo organisation."""
    return {"type": "basic", "username": code, "password": DEMO_PASSWORD}


def capillary(url: str, *, per_minute: float | None = None, **members: Any) -> dict[str, Any]:
    """Return the demo organisation of the sandbox at ``url``.

    ``per_minute``: requests of each API, where it is not the published limit; ``members``: in place of or besides
    these.
    """
    place = {"region": "eu", "host": f"{url}/capillary", "source": "ECOMMERCE"}
    limits = _limits(("v2-create", "v2-update", "v1-add", "v1-update", "v2-transaction", "v1-transaction"), per_minute)
    return {"vendor": "capillary", **place, "credentials": capillary_till(), **limits, **members}


def kangaroo(url: str, *, per_minute: float | None = None, **members: Any) -> dict[str, Any]:
    """Return the demo business; the same."""
    hosts = {"host": f"{url}/kangaroo", "integrations_host": f"{url}/kangaroo-integrations"}
    limits = _limits(("api", "integrations"), per_minute)
    return {"vendor": "kangaroo", **hosts, "credentials": dict(KANGAROO_PASSWORD), **limits, **members}


def _limits(apis: tuple[str, ...], per_minute: float | None) -> dict[str, Any]:
    return {} if per_minute is None else {"requests_per_minute": dict.fromkeys(apis, per_minute)}
