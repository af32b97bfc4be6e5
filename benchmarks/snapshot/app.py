"""ingest with everything loaded that its snapshot holds, for an emulator without snapshots."""

from __future__ import annotations

from importlib import import_module

from loyalty_relay.triggers.snapshot import MODULES
from loyalty_relay.triggers.webhook import handler

__all__ = ["handler"]

for name in MODULES:
    import_module(name)
