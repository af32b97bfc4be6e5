"""Adobe's public keys: from the connection, or fetched from the one host where Adobe publishes them.

Source: Adobe Developer docs "Webhook signature verification": keys lie below a fixed host, deliveries name their paths,
and a key may be kept for 24 hours.

The path comes out of a header that nobody has signed yet, so it must look like a key's path to the letter, and the host
is never taken from it. Redirects are not followed. Nothing is fetched for a delivery that is not addressed to the
connection's client, and at most ten keys a minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from loyalty_relay.connections.model import Source
from loyalty_relay.sources.rsa import MAX_PEM, PublicKey, public_key

HOST = "https://static.adobeioevents.com"
PATH: Final = re.compile(r"/prod/keys/pub-key-[0-9a-f-]{1,64}\.pem")
KEEP = 24 * 3600.0
"""Seconds that a fetched key is good for."""

KEEP_MISSING = 300.0
"""Seconds until a key that does not exist is asked for again."""

MAX_FETCHES, WINDOW = 10, 60.0
"""Fetches that strangers' headers may cause, in how many seconds."""

MAX_KEPT = 64
TIMEOUT = 2.0
"""Seconds for each step of a fetch; Adobe waits ten for the answer to its delivery."""


class KeyUnavailable(Exception):
    """The key cannot be had now."""


def fetch(url: str) -> bytes | None:
    """What lies at a key's URL; None when nothing does. Raises OSError for everything else."""
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


class PublicKeys:
    """The keys by their paths. One instance per process keeps what it has fetched."""

    def __init__(self, fetch: Callable[[str], bytes | None] = fetch) -> None:
        self._fetch = fetch
        self._kept: dict[str, tuple[float, PublicKey | None]] = {}
        self._fetched_at: list[float] = []

    def key(self, path: str, source: Source, now: float) -> PublicKey | None:
        """The key at a path that ``PATH`` matches: the connection's own copy, else Adobe's; None when there is none.

        Raises KeyUnavailable when it cannot be told.
        """
        pinned = source.options.get("public_keys")
        if isinstance(pinned, dict) and path in pinned:
            return usable(pinned[path])
        url = f"{source.api_host or HOST}{path}"
        if url in self._kept:
            at, known = self._kept[url]
            if 0 <= now - at < (KEEP if known else KEEP_MISSING):
                return known
        self._kept[url] = (now, found := self._fetch_key(url, now))
        if len(self._kept) > MAX_KEPT:
            del self._kept[min(self._kept, key=lambda kept: self._kept[kept][0])]
        return found

    def _fetch_key(self, url: str, now: float) -> PublicKey | None:
        self._fetched_at = [at for at in self._fetched_at if 0 <= now - at < WINDOW]
        if len(self._fetched_at) >= MAX_FETCHES:
            raise KeyUnavailable("too many keys were asked for in a minute")
        self._fetched_at.append(now)
        try:
            found = self._fetch(url)
            return None if found is None else public_key(found.decode("ascii"))
        except (OSError, ValueError) as error:
            raise KeyUnavailable("the key cannot be fetched") from error


def usable(pem: object) -> PublicKey | None:
    """The key in a connection's PEM text; None where it is none, which ``check`` has told when it was applied."""
    try:
        return public_key(pem) if isinstance(pem, str) else None
    except ValueError:
        return None
