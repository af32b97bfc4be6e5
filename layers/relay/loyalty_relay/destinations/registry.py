"""The vendors: one package beside this module each, found by its folder and not imported before it is needed.

A vendor is a package with a module ``config`` that has ``VENDOR``, a ``base.Vendor``. Adding one needs no other edit. A
folder elsewhere can be added to ``loyalty_relay.destinations.__path__`` before the first use; after it, call
``vendors.cache_clear()``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from loyalty_relay import destinations
from loyalty_relay.destinations.base import Vendor


@cache
def vendors() -> tuple[str, ...]:
    """Return the names of all vendors, sorted."""
    return tuple(sorted(module.name for module in iter_modules(destinations.__path__) if module.ispkg))


@cache
def vendor(name: str) -> Vendor:
    """Return a vendor; only its ``config`` is imported. Raises LookupError for a vendor that does not exist."""
    if name not in vendors():
        raise LookupError(f"there is no vendor {name!r}; there are {', '.join(vendors())}")
    found: Vendor = import_module(f"{destinations.__name__}.{name}.config").VENDOR
    return found
