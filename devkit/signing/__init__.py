"""Signing deliveries as the platforms do, for ``relay send``, the demo and the tests: one module per platform.

Written from the vendors' pages and sharing nothing with the verifiers, so that a mistake on one side shows on the
other. Every module has ``sign(fixture_headers, body, *, secret, url, now) -> headers``: the headers of a delivery
of ``body`` (the exact bytes) to ``url`` at ``now`` (epoch seconds), the fixture's own ones included.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol


class Signer(Protocol):
    """The one function of a platform's module here."""

    def __call__(
        self, fixture_headers: Mapping[str, str], body: bytes, *, secret: str, url: str, now: float
    ) -> dict[str, str]: ...


def signer(platform: str) -> Signer:
    """Return a platform's signer. Raises LookupError where there is none."""
    try:
        module = import_module(f"{__name__}.{platform}")
    except ModuleNotFoundError:
        raise LookupError(f"deliveries of {platform} cannot be signed here") from None
    sign: Signer = module.sign
    return sign
