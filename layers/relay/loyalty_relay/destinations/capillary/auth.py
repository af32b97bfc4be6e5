"""Who we are to Capillary: a till's Basic credentials, or a client's OAuth token (Capillary docs: Authentication,
OAuth).
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.capillary.errors import Said, complaints, decided, unknown, unreadable
from loyalty_relay.destinations.capillary.v2 import number
from loyalty_relay.http.client import Call, NotJson, Transport
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, RelayError

EARLY_SECONDS = 60.0
EARLY_SHARE = 0.2
"""A token is replaced this long, or this share of its life, before it ends, whichever is less."""

_DIGEST = re.compile(r"(?:md5:)?([0-9a-fA-F]{32})")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float


class Tokens:
    """Access tokens by client, for this process.

    Nothing is shared beyond it: every request for a token yields a new one, and older ones keep working until they end
    (Capillary docs: OAuth), so two processes cannot take each other's away.
    """

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str, str], _Token] = {}
        self._locks: dict[tuple[str, str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, client: tuple[str, str, str], now: float, refused: str | None, generate: Callable[[], _Token]) -> str:
        """A token that is not ``refused`` and not about to end; one thread at a time asks for a new one."""
        with self._lock:
            lock = self._locks.setdefault(client, threading.Lock())
        with lock:
            token = self._tokens.get(client)
            if token is None or token.text == refused or now >= token.renew_at:
                token = self._tokens[client] = generate()
            return token.text


def basic(username: str, password: str) -> str:
    """The Authorization header of a till. The password travels as the MD5 of the clear text, in lower-case hex; a
    connection may hold it as clear text or as ``md5:`` and the digest.
    """
    told = _DIGEST.fullmatch(password) if password.startswith("md5:") else None
    digest = told.group(1).lower() if told else hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    return "Basic " + base64.b64encode(f"{username}:{digest}".encode()).decode()


class Credentials:
    """The headers that authenticate a request to one destination."""

    def __init__(
        self, destination: Destination, transport: Transport, clock: Callable[[], float], tokens: Tokens
    ) -> None:
        self._given = destination.credentials
        self._host = destination.host
        self._transport = transport
        self._clock = clock
        self._tokens = tokens

    @property
    def renewable(self) -> bool:
        """Whether a new token may help where this one was refused."""
        return self._given.get("type") == "oauth"

    def headers(self, deadline: Deadline, *, refused: str | None = None) -> dict[str, str]:
        """The headers; ``refused`` is a token that must not be used again. May ask for a token first.

        Raises CredentialsRefused when the key and secret are wrong, and the errors of the transport.
        """
        if not self.renewable:
            return {"Authorization": basic(self._given["username"], self._given["password"])}
        client = (self._host, self._given["key"], self._given["secret"])
        token = self._tokens.get(client, self._clock(), refused, lambda: self._generate(deadline))
        headers = {"X-CAP-API-OAUTH-TOKEN": token}
        if code := self._given.get("attribution_code"):
            headers["X-CAP-API-ATTRIBUTION-ENTITY-TYPE"] = self._given.get("attribution_type", "TILL")
            headers["X-CAP-API-ATTRIBUTION-ENTITY-CODE"] = code
        return headers

    def _generate(self, deadline: Deadline) -> _Token:
        now = self._clock()
        answer = self._transport.send(
            Call(
                api="oauth",
                method="POST",
                url=f"{self._host}/v3/oauth/token/generate",
                json={"key": self._given["key"], "secret": self._given["secret"]},
                idempotent=True,
                effect=False,
            ),
            deadline,
        )
        said = Said(answer, (self._given["key"], self._given["secret"]))
        body = answer.json()
        if isinstance(body, NotJson):
            raise _refused(unreadable(said, body))
        if found := complaints(body):
            raise _refused(decided(found, said))
        data: Any = body.get("data") if isinstance(body, dict) else None
        token = data.get("accessToken") if isinstance(data, dict) else None
        if not isinstance(token, str) or not token:
            raise _refused(unknown(said, {} if isinstance(data, dict) else body))
        lifetime = max(0.0, float(number(data.get("ttlSeconds")) or 0))
        return _Token(token, now + lifetime - min(EARLY_SECONDS, lifetime * EARLY_SHARE))


def _refused(error: RelayError) -> RelayError:
    """Whatever is not passing about a request for a token is about the credentials, never about a customer."""
    if hasattr(error, "retry_after"):
        return error
    return CredentialsRefused(f"no token was given: {error}", code=error.code, request_id=error.request_id)
