"""The platforms events come from: one module each, found by its file, imported only when it is needed.

A platform is a module of this package that has ``SOURCE``, an instance of its ``SourceModule``. Adding one needs no
other edit: this module, a folder of fixtures under ``events/sources/`` and the rows of the module's own ``topics``
table, which is the catalogue.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loyalty_relay.connections import Connection
    from loyalty_relay.errors import FieldProblem
    from loyalty_relay.sources.base import SourceModule, Topic

SHARED = frozenset({"base", "coercion", "mapping", "published", "translate", "wire"})
"""Modules of this package that are not platforms."""


@cache
def platforms() -> tuple[str, ...]:
    """The names of all platforms, without importing any."""
    from pkgutil import iter_modules

    return tuple(sorted(m.name for m in iter_modules(__path__) if m.name not in SHARED and not m.name.startswith("_")))


def source_module(platform: str) -> SourceModule:
    """A platform's module; only this one is imported. Raises LookupError for a platform that does not exist."""
    if platform not in platforms():
        raise LookupError(f"there is no platform {platform!r}; there are {', '.join(platforms())}")
    from importlib import import_module

    source: SourceModule = import_module(f"{__name__}.{platform}").SOURCE
    return source


def catalogue() -> list[tuple[str, Topic]]:
    """Every topic of every platform with what it becomes: what ``relay catalogue`` prints and tests iterate over."""
    return [(platform, topic) for platform in platforms() for topic in source_module(platform).topics]


def check_connection(connection: Connection) -> list[FieldProblem]:
    """What is wrong with a connection that only its platform's module and its mapping's expressions can tell.

    Called when a connection is applied; ingest does not repeat it.
    """
    from loyalty_relay.errors import FieldProblem
    from loyalty_relay.sources.mapping import check_mapping

    module = source_module(connection.source.platform)
    problems = [FieldProblem(f"source.{field}", message) for field, message in module.check(connection.source)]
    if connection.source.unsigned and not module.may_be_unsigned:
        problems.append(FieldProblem("source.unsigned", f"cannot be true: {module.platform} signs every delivery"))
    return problems + check_mapping(connection)
