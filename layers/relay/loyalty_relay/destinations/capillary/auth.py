"""Authentication at Capillary: a till's Basic credentials, or a client's OAuth token.

Sources: Capillary docs, Authentication; OAuth.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from typing import Any

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.auth import TokenAuth
from loyalty_relay.destinations.capillary.errors import (
    CapillaryReply,
    decided,
    is_bad_token,
    reported_errors,
    unknown,
    unreadable,
)
from loyalty_relay.destinations.capillary.responses import number
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import NotJson, build_request, json_of
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, RelayError

EARLY_SECONDS = 60.0
EARLY_SHARE = 0.2
"""A token is replaced this long, or this share of its life, before it ends, whichever is less."""

_DIGEST = re.compile(r"md5:([0-9a-fA-F]{32})")


def auth_of(destination: Destination, client: Client, clock: Callable[[], float]) -> httpx.Auth:
    """Return what authenticates requests to the destination."""
    given = destination.credentials
    if given.get("type") == "oauth":
        return OAuth(destination, client, clock)
    return httpx.BasicAuth(given["username"], password_digest(given["password"]))


def password_digest(password: str) -> str:
    """Return the form in which a till's password travels: the MD5 of the clear text, in lower-case hex.

    A connection may hold it as clear text or as ``md5:`` and the digest.
    """
    given = _DIGEST.fullmatch(password)
    return given.group(1).lower() if given else hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


class OAuth(TokenAuth):
    """A client's access token, generated from its key and secret and kept in this process.

    Nothing is shared beyond it: every request for a token yields a new one, and older ones keep working until they end
    (Capillary docs: OAuth), so two processes cannot take each other's away.
    """

    def __init__(self, destination: Destination, client: Client, clock: Callable[[], float]) -> None:
        self._given = destination.credentials
        self._host = destination.host
        self._client = client
        self._clock = clock
        self._token, self._renew_at = "", 0.0
        self._lock = threading.Lock()

    def token(self, deadline: Deadline, rejected: str | None) -> tuple[str, bool]:
        """See ``TokenAuth.token``; one thread at a time generates one.

        Raises CredentialsRefused when the key or the secret is wrong.
        """
        with self._lock:
            generate = self._token in ("", rejected) or self._clock() >= self._renew_at
            if generate:
                self._token, self._renew_at = self._generate(deadline)
            return self._token, generate

    def headers(self, token: str) -> dict[str, str]:
        """See ``TokenAuth.headers``."""
        headers = {"X-CAP-API-OAUTH-TOKEN": token}
        if code := self._given.get("attribution_code"):
            headers["X-CAP-API-ATTRIBUTION-ENTITY-TYPE"] = self._given.get("attribution_type", "TILL")
            headers["X-CAP-API-ATTRIBUTION-ENTITY-CODE"] = code
        return headers

    def refuses(self, response: httpx.Response) -> bool:
        """See ``TokenAuth.refuses``: what the request's own reader finds, since the API versions differ."""
        try:
            response.request.extensions["read"](CapillaryReply(response))
        except RelayError as error:
            return isinstance(error, CredentialsRefused) and is_bad_token(error.code)
        return False

    def _generate(self, deadline: Deadline) -> tuple[str, float]:
        now = self._clock()
        request = build_request(
            api="oauth",
            method="POST",
            url=f"{self._host}/v3/oauth/token/generate",
            json={"key": self._given["key"], "secret": self._given["secret"]},
            idempotent=True,
            effect=False,
        )
        reply = CapillaryReply(self._client.fetch(request, deadline), (self._given["key"], self._given["secret"]))
        body = json_of(reply.answer)
        if isinstance(body, NotJson):
            raise _refused(unreadable(reply, body))
        if found := reported_errors(body):
            raise _refused(decided(found, reply))
        data: Any = body.get("data") if isinstance(body, dict) else None
        token = data.get("accessToken") if isinstance(data, dict) else None
        if not isinstance(token, str) or not token:
            raise _refused(unknown(reply, {} if isinstance(data, dict) else body))
        lifetime = max(0.0, float(number(data.get("ttlSeconds")) or 0))
        return token, now + lifetime - min(EARLY_SECONDS, lifetime * EARLY_SHARE)


def _refused(error: RelayError) -> RelayError:
    """Return the error for a token that was not given: a lasting one is about the credentials, never a customer."""
    if hasattr(error, "retry_after"):
        return error
    return CredentialsRefused(f"no token was given: {error}", code=error.code, request_id=error.request_id)
