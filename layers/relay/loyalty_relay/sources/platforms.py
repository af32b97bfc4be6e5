"""The platforms: one module of this package each, found by its file and not imported.

A connection names a platform, and reading a connection must not load its module.
"""

from __future__ import annotations

from functools import cache

SHARED = frozenset({"base", "event_schema", "parsing", "platforms", "rsa"})
"""Modules of this package that are not platforms; neither are those whose names begin with an underscore."""


@cache
def platforms() -> tuple[str, ...]:
    """Return the names of all platforms, sorted."""
    from pathlib import Path
    from pkgutil import iter_modules

    found = iter_modules([str(Path(__file__).parent)])
    return tuple(sorted(m.name for m in found if m.name not in SHARED and not m.name.startswith("_")))
