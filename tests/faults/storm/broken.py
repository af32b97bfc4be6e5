"""Parts that are broken on purpose, one at a time, to see that the storm notices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

PARTS = ("guard", "limiter", "key", "verifier", "intent", "look-up", "lease")


def break_it(part: str, put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Break a part; nothing for an empty name. ``put`` sets an attribute: for good, or as long as a test's monkeypatch
    says. Raises KeyError for an unknown part.
    """
    if part:
        {
            "guard": _guard,
            "limiter": _limiter,
            "key": _key,
            "verifier": _verifier,
            "intent": _intent,
            "look-up": _look_up,
            "lease": _lease,
        }[part](put)


def _guard(put: Callable[[Any, str, Any], None]) -> None:
    """Versions are not compared: whatever comes last wins."""
    from loyalty_relay.model.commands import Version

    put(Version, "older_than", lambda self, other: False)


def _limiter(put: Callable[[Any, str, Any], None]) -> None:
    """Twice the limit."""
    from loyalty_relay.reliability.sliding_window import Rate

    really = Rate.of
    put(Rate, "of", lambda per_minute: really(per_minute * 2))


def _key(put: Callable[[Any, str, Any], None]) -> None:
    """Copies of an event have keys of their own, as if the delivery's id were the event's."""
    from loyalty_relay.model.commands import Envelope

    put(Envelope, "key", property(lambda self: f"{self.delivery_id}#{self.position}"))


def _verifier(put: Callable[[Any, str, Any], None]) -> None:
    """Every signature is right."""
    from loyalty_relay.sources import source_module
    from loyalty_relay.sources.base import Verdict

    for platform in ("shopify", "standard"):
        put(type(source_module(platform)), "verify", lambda *args: Verdict.AUTHENTIC)


def _intent(put: Callable[[Any, str, Any], None]) -> None:
    """A booking is requested without being recorded first."""
    from loyalty_relay.orders.hold import OrderHold

    put(OrderHold, "intend", lambda self, booking, now: None)


def _look_up(put: Callable[[Any, str, Any], None]) -> None:
    """What an earlier attempt intended is taken for not booked, without asking the programme."""
    from loyalty_relay.pipeline.transaction import _Work

    def forgotten(self: Any) -> None:
        self.record = replace(self.record, intent=None, intent_at=0.0)

    put(_Work, "settle_intent", forgotten)


def _lease(put: Callable[[Any, str, Any], None]) -> None:
    """Whoever comes works on an order, and writes it whatever another execution has written meanwhile."""
    from loyalty_relay.orders.records import OrderRecords
    from loyalty_relay.storage import lease

    really = OrderRecords._update

    def update(self: OrderRecords, *args: Any) -> dict[str, Any]:
        action = really(self, *args)
        action["condition"] += " OR attribute_exists(pk)"
        return action

    put(OrderRecords, "_update", update)
    put(lease, "CONDITION", f"({lease.CONDITION} OR attribute_exists(pk))")
