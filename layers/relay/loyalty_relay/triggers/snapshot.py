"""The modules that ingest loads before Lambda takes the snapshot from which it starts.

AWS docs: Improving startup performance with Lambda SnapStart.

Whatever exists at that moment is the same in every execution environment that is started from the snapshot, and may
be days old. So modules only: no client, because it holds credentials; no secret, no time, no id, no connection. The
one thing that modules bring along is the state of Python's random numbers, which is made new after every start.
"""

from __future__ import annotations

import os
from importlib import import_module

MODULES = (
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
"""What a first delivery would import; the module of its platform is found by its connection."""


def prepare() -> bool:
    """Load the modules if a snapshot is about to be taken, and return whether that is so.

    Without SnapStart nothing happens: a cold start then pays only for what its delivery needs.
    """
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return False
    for name in MODULES:
        import_module(name)
    import random

    # Part of Lambda's runtime, not of the layer.
    import_module("snapshot_restore_py").register_after_restore(random.seed)
    return True
