"""What a function imports and builds before its first event.

Lambda gives a function a whole processor while it is initialised, and its memory's share of one (29 % at 512 MB) while
it handles an event. So what a typical first event needs is made here; the rest is made when it is needed. One request
is sent: an operation reads the key of the digests.

A snapshot (AWS docs: Improving startup performance with Lambda SnapStart) gets the modules only. Whatever exists when
it is taken is the same in every execution environment that is started from it, and may be days old: no client, because
it holds credentials; no secret, no time, no id, no connection. All of that is built after the restore, when the state
of Python's random numbers, which modules bring along, is made new as well.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from loyalty_relay.model.errors import RelayError

if TYPE_CHECKING:
    from loyalty_relay.runtime.wiring import Services

SNAPSHOT = (
    "aws_lambda_powertools.logging",
    "botocore.client",
    "botocore.endpoint",
    "botocore.httpsession",
    "botocore.retries.standard",
    "botocore.session",
    "loyalty_relay.connections.store",
    "loyalty_relay.runtime.wiring",
    "loyalty_relay.reliability.journal",
    "loyalty_relay.reliability.dead_letters",
)
"""Modules that a snapshot of ingest holds."""

_CUSTOMERS = ("loyalty_relay.pipeline.customers", "phonenumbers")
HANDLERS = {
    "register": _CUSTOMERS,
    "update": _CUSTOMERS,
    "crm-patch": ("loyalty_relay.pipeline.crm_patch", "phonenumbers"),
    "link-store": ("loyalty_relay.pipeline.link_store",),
    "transaction": ("loyalty_relay.pipeline.transaction", "loyalty_relay.reliability.follow_ups", "phonenumbers"),
    "import-run": ("loyalty_relay.pipeline.customers", "loyalty_relay.pipeline.crm_patch", "phonenumbers"),
}
"""What an operation's handler is, or loads with its first command."""


def prepare(function: str) -> None:
    """Make what the first event of a function needs. ``function``: ingest, hydrate, authorize or an operation.

    Before a snapshot, only the modules are loaded, and the rest is made after each start from it.
    """
    gc.disable()
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        import random

        for name in SNAPSHOT:
            import_module(name)
        # Part of Lambda's runtime, not of the layer.
        restored = import_module("snapshot_restore_py").register_after_restore
        restored(random.seed)
        restored(_build, function)
    else:
        _build(function)
    gc.enable()
    # What exists now stays as long as the process: no collection has to look at it again.
    gc.freeze()


def _build(function: str) -> None:
    from loyalty_relay.runtime.wiring import shared

    services = shared()
    services.connections  # noqa: B018 - builds it, and what it needs
    # A host's name is encoded for its first connection.
    import_module("encodings.idna")
    if function == "authorize":
        return
    from loyalty_relay.telemetry import logs

    logs.logger()
    if function in ("ingest", "hydrate"):
        services.sqs  # noqa: B018
    if function != "ingest":
        _requests(services)
    if function not in ("ingest", "hydrate"):
        _operation(services, function)


def _requests(services: Services) -> None:
    """Make what a function needs that sends requests to a destination or platform, for messages of its queue."""
    from loyalty_relay.http.sockets import shared_pool

    for name in (
        "loyalty_relay.http.client",
        "loyalty_relay.http.messages",
        "loyalty_relay.triggers.queue",
        "resource",
    ):
        import_module(name)
    shared_pool()
    services.pipeline, services.pacing, services.headroom  # noqa: B018


def _operation(services: Services, operation: str) -> None:
    for name in HANDLERS.get(operation, ()):
        import_module(name)
    services.load_destinations(operation)
    services.idempotency.prepare(operation)
    services.counters  # noqa: B018
    with suppress(RelayError):
        # The first event meets what is wrong, and reports it.
        services.digests  # noqa: B018
