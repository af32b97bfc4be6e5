"""Entry point of hydrate: its queue."""

from loyalty_relay.triggers.hydrate import handler

__all__ = ["handler"]
