"""Entry point of the HTTP API's authorizer."""

from loyalty_relay.triggers.authorize import handler

__all__ = ["handler"]
