"""Provide Adobe's public keys: from the connection, or fetched from the host where Adobe publishes them.

Source: Adobe Developer docs "Webhook signature verification": keys lie below a fixed host, deliveries name their paths,
and a key may be kept for 24 hours.

The path comes from a header before any signature is verified, so it must have the exact form of a key's path, and the
host is never taken from it. Redirects are not followed. Nothing is fetched for a delivery that is not addressed to the
connection's client, and at most ten unknown paths a minute and connection: what strangers send to one connection takes
neither keys nor fetches from another, and keys that are known are kept and renewed whatever is invented.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from loyalty_relay.connections.model import Source
from loyalty_relay.sources.rsa import MAX_PEM, PublicKey, public_key

HOST = "https://static.adobeioevents.com"
PATH: Final = re.compile(r"/prod/keys/pub-key-[0-9a-f-]{1,64}\.pem")
KEEP = 24 * 3600.0
"""Seconds that a fetched key is good for."""

KEEP_MISSING = 300.0
"""Seconds until a key that does not exist is fetched again."""

MAX_FETCHES, WINDOW = 10, 60.0
"""Fetches of unknown paths per connection, and in how many seconds: invented headers may cause so many."""

MAX_MISSING = 64
"""Paths without a key that are remembered per connection."""

AGAIN = 6.0
"""Seconds between two fetches of a key whose last copy has expired. They do not count as those of unknown paths."""

TIMEOUT = 2.0
"""Seconds for each step of a fetch; Adobe waits ten for the response to its delivery."""


class KeyUnavailable(Exception):
    """The key cannot be fetched now."""


def fetch(url: str) -> bytes | None:
    """Return the content of a key's URL; None for 404 and 410. Raises OSError for everything else."""
    import http.client

    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        if answer.status in (404, 410):
            return None
        if answer.status != 200:
            raise OSError(f"status {answer.status}")
        return answer.read(MAX_PEM)
    except http.client.HTTPException as error:
        raise OSError(type(error).__name__) from error
    finally:
        connection.close()


@dataclass(slots=True)
class _Known:
    """What one connection has fetched. Only Adobe's own host adds keys, so that invented paths remove none."""

    keys: dict[str, tuple[float, PublicKey]] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    fetched_at: list[float] = field(default_factory=list)
    """When unknown paths were fetched."""
    tried_at: dict[str, float] = field(default_factory=dict)
    """When the keys that are known were last fetched."""

    def may_fetch(self, path: str, now: float) -> bool:
        """Return whether the path may be fetched now, and count the fetch."""
        if path in self.keys:
            allowed = not 0 <= now - self.tried_at.get(path, 0.0) < AGAIN
            self.tried_at[path] = now if allowed else self.tried_at[path]
            return allowed
        self.fetched_at = [at for at in self.fetched_at if 0 <= now - at < WINDOW]
        allowed = len(self.fetched_at) < MAX_FETCHES
        self.fetched_at += [now] if allowed else []
        return allowed

    def keep(self, path: str, key: PublicKey | None, now: float) -> None:
        """Remember what a path led to."""
        if key is not None:
            self.keys[path] = (now, key)
            self.missing.pop(path, None)
            return
        self.keys.pop(path, None)
        self.missing[path] = now
        if len(self.missing) > MAX_MISSING:
            del self.missing[min(self.missing, key=self.missing.__getitem__)]


class PublicKeys:
    """The keys by connection and path. One instance per process keeps what it has fetched."""

    def __init__(self, fetch: Callable[[str], bytes | None] = fetch) -> None:
        self._fetch = fetch
        self._known: dict[tuple[str, str], _Known] = {}

    def key(self, path: str, source: Source, now: float) -> PublicKey | None:
        """Return the key at a path that ``PATH`` matches: the connection's own copy, else Adobe's; None for no key.

        Raises KeyUnavailable when the key cannot be fetched now.
        """
        pinned = source.options.get("public_keys")
        if isinstance(pinned, dict) and path in pinned:
            return usable(pinned[path])
        host = source.api_host or HOST
        # A client id belongs to one connection.
        known = self._known.setdefault((host, str(source.options.get("client_id"))), _Known())
        if path in known.keys and 0 <= now - known.keys[path][0] < KEEP:
            return known.keys[path][1]
        if path in known.missing and 0 <= now - known.missing[path] < KEEP_MISSING:
            return None
        if not known.may_fetch(path, now):
            raise KeyUnavailable("too many keys were requested in a minute")
        try:
            found = self._fetch(f"{host}{path}")
            key = None if found is None else public_key(found.decode("ascii"))
        except (OSError, ValueError) as error:
            raise KeyUnavailable("the key cannot be fetched") from error
        known.keep(path, key, now)
        return key


def usable(pem: object) -> PublicKey | None:
    """Return the key in a connection's PEM text; None where it is none, which ``check`` reports when it is applied."""
    try:
        return public_key(pem) if isinstance(pem, str) else None
    except ValueError:
        return None
