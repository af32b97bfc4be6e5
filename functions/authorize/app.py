"""Entry point of the HTTP API's authorizer."""

from loyalty_relay.triggers.authorizer import handler
from loyalty_relay.triggers.startup import prepare

__all__ = ["handler"]

prepare("authorize")
