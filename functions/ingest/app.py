"""Entry point of ingest: POST, GET and OPTIONS of /webhooks/{connection}."""

from loyalty_relay.triggers.startup import prepare
from loyalty_relay.triggers.webhook import handler

__all__ = ["handler"]

prepare("ingest")
