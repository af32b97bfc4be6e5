"""Which platforms there are: one module of the sources each, found by its file and not imported.

It stands among the words because a connection names a platform, and connections must not load one to be read.
"""

from __future__ import annotations

from functools import cache

SHARED = frozenset({"base", "coercion", "mapping", "published", "translate", "wire"})
"""Modules of the sources that are not platforms; neither are those whose names begin with an underscore."""


@cache
def platforms() -> tuple[str, ...]:
    """The names of all platforms, sorted."""
    from pathlib import Path
    from pkgutil import iter_modules

    found = iter_modules([str(Path(__file__).with_name("sources"))])
    return tuple(sorted(m.name for m in found if m.name not in SHARED and not m.name.startswith("_")))
