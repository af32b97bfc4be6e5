"""Entry point of the HTTP API's authorizer."""

from loyalty_relay.triggers.authorizer import handler

__all__ = ["handler"]
