"""The platforms events come from: one module or one package each, found by its file, imported only when it is needed.

A platform is a module or package of this package that has ``SOURCE``, an instance of its ``SourceModule``. Adding one
needs no other edit: its files here, a folder of fixtures under ``events/sources/`` and the rows of its own ``topics``
table, which is the catalogue. Imports ``model`` and ``connections.model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_relay.sources.platforms import platforms

if TYPE_CHECKING:
    from loyalty_relay.sources.base import SourceModule, Topic


def source_module(platform: str) -> SourceModule:
    """Return a platform's module; only this one is imported. Raises LookupError for an unknown platform."""
    if platform not in platforms():
        raise LookupError(f"there is no platform {platform!r}; there are {', '.join(platforms())}")
    from importlib import import_module

    source: SourceModule = import_module(f"{__name__}.{platform}").SOURCE
    return source


def catalogue() -> list[tuple[str, Topic]]:
    """Return every topic of every platform with what it becomes, for ``relay catalogue`` and tests."""
    return [(platform, topic) for platform in platforms() for topic in source_module(platform).topics]


def may_read_from(url: str, module: SourceModule, sandbox_hosts: frozenset[str], *, at_shop: bool = False) -> bool:
    """Return whether the platform's API may be read at this URL: on its own domains, or a host the stack allows.

    ``at_shop``: the URL is the shop's own address, as the connection has it.
    """
    from urllib.parse import urlsplit

    host = urlsplit(url)
    name = host.hostname or ""
    own = any(name == domain or name.endswith(f".{domain}") for domain in module.api_domains)
    own = own or (at_shop and module.runs_at_shops and _public(name))
    return host.netloc in sandbox_hosts or (own and host.scheme == "https")


def _public(name: str) -> bool:
    """Return whether a host is a name in DNS, rather than an address or a name of this network."""
    labels = name.rstrip(".").split(".")
    return len(labels) > 1 and not labels[-1].isdigit() and labels[-1] not in ("local", "localhost", "internal")


__all__ = ["catalogue", "may_read_from", "platforms", "source_module"]
