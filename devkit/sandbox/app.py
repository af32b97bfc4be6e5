"""The sandbox's ASGI application: every vendor of this package, and the control endpoints."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import time
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import Mount

from devkit.sandbox.control import control_routes
from devkit.sandbox.core import Sandbox, Sleep
from devkit.sandbox.vendor import Clock, Vendor


def discover(clock: Clock) -> list[Vendor]:
    """Make the vendors of every module in this package that defines ``VENDOR``.

    ``VENDOR(clock)`` returns one Vendor, or several that may share a state (a vendor with two hosts).
    """
    import devkit.sandbox as package

    vendors: list[Vendor] = []
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        if module.name.startswith("_"):
            continue
        factory = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "VENDOR", None)
        if factory is None:
            continue
        made = factory(clock)
        vendors.extend([made] if isinstance(made, Vendor) else made)
    return vendors


def create_app(
    vendors: Sequence[Vendor] | None = None,
    *,
    clock: Clock = time.time,
    sleep: Sleep = asyncio.sleep,
) -> Starlette:
    """Make the sandbox. Without ``vendors`` it has every vendor of this package, each on ``clock``.

    The application's ``state.sandbox`` is the Sandbox itself, for oracles in the same process.
    """
    sandbox = Sandbox(discover(clock) if vendors is None else vendors, clock, sleep)
    app = Starlette(routes=[*control_routes(sandbox), Mount("/", app=sandbox)])
    app.state.sandbox = sandbox
    return app
