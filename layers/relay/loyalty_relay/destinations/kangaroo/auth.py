"""Kangaroo's token endpoint: the four grants, and renewing an access token.

Facts: Kangaroo API blueprint (OAuth), the vendor's OAuth client, and its Magento extension for client credentials on
the integrations host. The application key is sent in body and header on the password grant, because the vendor's own
samples use either. Without ``Accept: application/json`` the endpoint may answer with a form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.auth import TokenAuth
from loyalty_relay.destinations.kangaroo.errors import credentials_refused, unreadable, vendor_error
from loyalty_relay.destinations.kangaroo.redaction import excerpt
from loyalty_relay.destinations.tokens import Tokens, TokenSet
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import NotJson, build_request, json_of, raise_for_transient
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, UpstreamUnavailable

DEFAULT_LIFE = 3600.0
"""Assumed life of a token in seconds where the response has none; the documentation mentions a day."""

REFRESH_TOKEN_LOST = "refresh_token_lost"
"""Reason of CredentialsRefused: the stored refresh token is used up or expired; authorizing anew repairs it."""

NOT_AUTHORIZED = "not_authorized_yet"
"""Reason of CredentialsRefused: this connection was never authorized."""

_OUR_CREDENTIALS = frozenset({"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"})
"""OAuth errors that are not about the refresh token (RFC 6749 section 5.2)."""


class KangarooAuth(TokenAuth):
    """The bearer token of one destination, and the grants that obtain it. ``clock`` is epoch seconds."""

    def __init__(self, destination: Destination, client: Client, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._destination = destination
        self._given = destination.credentials
        self._client = client
        self._tokens = tokens
        self._clock = clock
        self.renewable = self.type != "token"

    @property
    def type(self) -> str:
        """password, authorization_code, client_credentials or token."""
        return self._given["type"]

    @property
    def key(self) -> str:
        """The key of the token: two applications of one business have one each."""
        return f"{self._destination.key}:{self.type}:{self._given.get('client_id', '')}"

    def token(self, deadline: Deadline, rejected: str | None) -> tuple[str, bool]:
        """See ``TokenAuth.token``; a plain token is the connection's own."""
        if not self.renewable:
            return self._given["access_token"], False
        return self._tokens.get(self.key, self.obtain, deadline, rejected=rejected)

    def headers(self, token: str) -> Mapping[str, str]:
        """See ``TokenAuth.headers``."""
        return {"Authorization": f"Bearer {token}"}

    def refuses(self, response: httpx.Response) -> bool:
        """See ``TokenAuth.refuses``."""
        refused = vendor_error(response)
        return refused is not None and refused.status == 401

    # -- grants ---------------------------------------------------------------------------------------------------

    def obtain(self, old: TokenSet | None, deadline: Deadline) -> TokenSet:
        """Return new tokens, from the old ones where they can be renewed.

        Raises CredentialsRefused; its ``reason`` is REFRESH_TOKEN_LOST or NOT_AUTHORIZED where only a person can help.
        """
        refresh = old.refresh_token if old is not None else None
        if self.type == "client_credentials":
            return self._ask(self.client_credentials_request(), deadline)
        if self.type == "authorization_code":
            if refresh is None:
                raise credentials_refused(
                    "this connection is not authorized; run relay connections authorize", reason=NOT_AUTHORIZED
                )
            return self._refreshed(refresh, deadline)
        if refresh is not None:
            try:
                return self._ask(self.refresh_request(refresh), deadline, keep=refresh)
            except CredentialsRefused:
                pass  # Used up, expired or revoked: user name and password give a new pair.
        return self._ask(self.password_request(), deadline)

    def exchange(self, code: str, deadline: Deadline) -> TokenSet:
        """Return the first tokens, for the code that the vendor's page sent back. Raises CredentialsRefused."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._given["redirect_uri"]}
        return self._ask(self._form(form), deadline)

    def authorize_url(self, state: str) -> str:
        """Return the vendor's page where a person of the business allows access; it returns ``code`` and ``state``."""
        query = {
            "client_id": self._given["client_id"],
            "redirect_uri": self._given["redirect_uri"],
            "response_type": "code",
            "scope": self._scope,
            "state": state,
        }
        return f"{self._destination.host}/oauth/authorize?{urlencode(query)}"

    # -- requests -------------------------------------------------------------------------------------------------

    def password_request(self) -> httpx.Request:
        form = {"grant_type": "password", "username": self._given["username"], "password": self._given["password"]}
        return self._form({**form, "application_key": self._given["application_key"]})

    def refresh_request(self, refresh_token: str) -> httpx.Request:
        return self._form({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def client_credentials_request(self) -> httpx.Request:
        """Return a request to the integrations host's own token endpoint: JSON, and the client id as a number."""
        client_id = self._given["client_id"]
        body: dict[str, Any] = {
            "grant_type": "client_credentials",
            "client_id": int(client_id) if client_id.isascii() and client_id.isdigit() else client_id,
            "client_secret": self._given["client_secret"],
            "scope": self._scope,
        }
        url = f"{self._destination.integrations_host}/oauth/token"
        return build_request(
            api="integrations", method="POST", url=url, headers=self._key_headers(), json=body, effect=False
        )

    def _form(self, form: dict[str, str]) -> httpx.Request:
        common = {"client_id": self._given["client_id"], "client_secret": self._given["client_secret"]}
        return build_request(
            api="api",
            method="POST",
            url=f"{self._destination.host}/oauth/token",
            headers=self._key_headers(),
            form={**form, **common, "scope": self._scope},
            effect=False,
        )

    def _key_headers(self) -> dict[str, str]:
        key = self._given.get("application_key")
        return {"Accept": "application/json", **({"X-Application-Key": key} if key else {})}

    @property
    def _scope(self) -> str:
        return self._given.get("scope", "admin")

    # -- responses ------------------------------------------------------------------------------------------------

    def _refreshed(self, refresh: str, deadline: Deadline) -> TokenSet:
        try:
            return self._ask(self.refresh_request(refresh), deadline, keep=refresh)
        except CredentialsRefused as error:
            if error.code in _OUR_CREDENTIALS:
                raise
            raise credentials_refused(
                "the stored refresh token is spent or dead; run relay connections authorize",
                code=error.code,
                reason=REFRESH_TOKEN_LOST,
            ) from None

    def _ask(self, request: httpx.Request, deadline: Deadline, *, keep: str | None = None) -> TokenSet:
        sent = (*(text for _, text in parse_qsl(request.content.decode())), *self._given.values())
        return parse_tokens(self._client.fetch(request, deadline), self._clock(), keep=keep, sent=sent)


def parse_tokens(answer: httpx.Response, now: float, *, keep: str | None = None, sent: Iterable[str] = ()) -> TokenSet:
    """Return the tokens of a response, JSON or form.

    ``keep``: the refresh token to keep when none is sent. ``sent``: what must not appear in an error's text,
    credentials above all.

    Raises CredentialsRefused for a refused in any shape, RateLimited and UpstreamUnavailable for passing faults.
    """
    refused = vendor_error(answer, sent)
    if refused is not None:
        raise_for_transient(answer, code=refused.code)
        raise credentials_refused(
            f"the token endpoint answered {answer.status_code}: {refused.message}", code=refused.code
        )
    body = json_of(answer)
    if isinstance(body, NotJson) and "form-urlencoded" in answer.headers.get("content-type", ""):
        body = dict(parse_qsl(answer.content.decode("utf-8", "replace")))
    if isinstance(body, NotJson):
        raise unreadable(answer, body)
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body = body["data"]
    access = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(access, str) or not access:
        raise UpstreamUnavailable(f"the token endpoint returned no token: {excerpt(answer)}")
    refresh = body.get("refresh_token")
    return TokenSet(
        access,
        refresh if isinstance(refresh, str) and refresh else keep,
        obtained_at=now,
        expires_at=now + _seconds(body.get("expires_in")),
    )


def _seconds(given: Any) -> float:
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        return DEFAULT_LIFE
    return seconds if 0 < seconds < 10 * 365 * 86_400 else DEFAULT_LIFE
