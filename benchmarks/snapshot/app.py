"""ingest with everything loaded that its snapshot holds, for an emulator without snapshots."""

from __future__ import annotations

from importlib import import_module

from loyalty_relay.triggers.startup import SNAPSHOT
from loyalty_relay.triggers.webhook import handler

__all__ = ["handler"]

for name in SNAPSHOT:
    import_module(name)
