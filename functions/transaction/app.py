"""Entry point of transaction: its routes of the HTTP API, and its queue."""

from loyalty_relay.triggers import function_for
from loyalty_relay.triggers.startup import prepare

handler = function_for("transaction")

prepare("transaction")
