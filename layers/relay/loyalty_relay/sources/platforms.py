"""Find the platforms by their files, without importing them.

A connection names a platform, and reading a connection must not load its module.
"""

from __future__ import annotations

from functools import cache

SHARED = frozenset(
    {
        "base",
        "event_schema",
        "hydrating",
        "listing",
        "parsing",
        "platforms",
        "rsa",
        "sale_schema",
        "signatures",
        "subscriptions",
    }
)
"""Modules of this package that are not platforms; every other module or package of it is one."""


@cache
def platforms() -> tuple[str, ...]:
    """Return the names of all platforms, sorted."""
    from pathlib import Path
    from pkgutil import iter_modules

    return tuple(sorted(m.name for m in iter_modules([str(Path(__file__).parent)]) if m.name not in SHARED))
