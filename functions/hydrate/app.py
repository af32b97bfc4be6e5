"""Entry point of hydrate: its queue."""

from loyalty_relay.triggers.hydrate import handler
from loyalty_relay.triggers.startup import prepare

__all__ = ["handler"]

prepare("hydrate")
