"""Parts that are broken on purpose, one at a time, to see that the storm notices."""

from __future__ import annotations

from typing import Any

PARTS = ("guard", "limiter", "key", "verifier")


def break_it(part: str) -> None:
    """Break a part of this process for good; nothing for an empty name. Raises KeyError for an unknown one."""
    if part:
        {"guard": _guard, "limiter": _limiter, "key": _key, "verifier": _verifier}[part]()


def _guard() -> None:
    """Versions are not compared: whatever comes last wins."""
    from loyalty_relay.commands import Version

    Version.older_than = lambda self, other: False  # type: ignore[method-assign]


def _limiter() -> None:
    """Twice the limit."""
    from loyalty_relay.state.slots import Rate

    really = Rate.of
    Rate.of = lambda per_minute: really(per_minute * 2)  # type: ignore[method-assign]


def _key() -> None:
    """Copies of an event have keys of their own, as if the delivery's id were the event's."""
    from loyalty_relay.commands import Envelope

    Envelope.key = property(lambda self: f"{self.delivery_id}#{self.position}")  # type: ignore[method-assign,assignment]


def _verifier() -> None:
    """Every signature is right."""
    from loyalty_relay.sources import source_module
    from loyalty_relay.sources.base import Verdict

    def verify(*args: Any) -> Verdict:
        return Verdict.AUTHENTIC

    for platform in ("shopify", "standard"):
        setattr(type(source_module(platform)), "verify", verify)  # noqa: B010 - a method of a class
