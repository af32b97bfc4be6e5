"""Entry point of import-run: the queue of imports and reconciliations."""

from loyalty_relay.triggers.import_run import handler
from loyalty_relay.triggers.startup import prepare

__all__ = ["handler"]

prepare("import-run")
