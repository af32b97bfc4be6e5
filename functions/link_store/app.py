"""Entry point of link-store: its routes of the HTTP API, and its queue."""

from loyalty_relay.triggers import function_for

handler = function_for("link-store")
