"""A function that is held to a share of a processor from the end of its initialisation on.

``HELD_HANDLER`` names the handler, ``HELD_GROUP`` the list of processes of a control group that has the share.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path

_module, _, _name = os.environ["HELD_HANDLER"].rpartition(".")
handler = getattr(import_module(_module), _name)

print(f"HELD {time.process_time_ns()}", file=sys.stderr, flush=True)
if _group := os.environ.get("HELD_GROUP"):
    Path(_group).write_text(str(os.getpid()))
