"""Access tokens of the Kangaroo sandbox: the authorize page, the token endpoint, and who holds what.

Facts: Kangaroo API blueprint (OAuth) and the vendor's OAuth client. Refusals are in the style of Laravel
Passport, on which the vendor's server looks built; their bodies are not documented.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode, urlsplit

from devkit.sandbox.kangaroo.errors import Refusal, oauth_error
from devkit.sandbox.kangaroo.settings import Host, OAuthApp, Settings
from devkit.sandbox.vendor import JSON, Clock

CODE_SECONDS = 600
DAY_SECONDS = 86_400
SCOPE = "admin"


@dataclass(slots=True)
class Token:
    """One access token with the refresh token it came with, if any. Times are epoch seconds."""

    number: int
    access: str
    client_id: str
    holder: Literal["user", "client"]
    host: Host
    expires_at: float
    refresh: str = ""
    refresh_expires_at: float = 0.0
    refresh_used: bool = False
    revoked: bool = False


@dataclass(slots=True)
class _Code:
    client_id: str
    redirect_uri: str
    expires_at: float
    used: bool = False


class TokenDesk:
    """Issues and validates tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._refreshes: dict[str, Token] = {}
        self._codes: dict[str, _Code] = {}
        self._count = 0

    def reset(self) -> None:
        """Forget every token and code."""
        self._tokens.clear()
        self._refreshes.clear()
        self._codes.clear()

    def find(self, access: str) -> Token | None:
        """Return the live token of that value: known, not expired, not revoked."""
        token = self._tokens.get(access)
        if token is None or token.revoked or self._clock() >= token.expires_at:
            return None
        return token

    def expire_all(self) -> None:
        """Let every access token issued so far expire now; refresh tokens stay good."""
        for token in self._tokens.values():
            token.expires_at = min(token.expires_at, self._clock())

    def revoke_all(self) -> None:
        """Revoke every access and refresh token, as when the user revokes the application."""
        for token in self._tokens.values():
            token.revoked = token.refresh_used = True

    def state(self) -> list[JSON]:
        """Return every token by number, without its value."""
        return [
            {
                "number": token.number,
                "client_id": token.client_id,
                "holder": token.holder,
                "live": self.find(token.access) is not None,
                "refreshable": self._refreshable(token),
            }
            for token in self._tokens.values()
        ]

    def authorize(self, query: Mapping[str, str], settings: Settings) -> str:
        """Return the address to which the authorize page sends the browser: with `code`, or with `error`.

        Raises Refusal (401) for an unknown application or a redirect address that is not, to the letter, the
        registered one: there is then nowhere safe to send the browser.
        """
        app = _app(settings, query.get("client_id", ""), "api")
        if app is None or app.grant != "authorization_code" or query.get("redirect_uri") != app.redirect_uri:
            raise _invalid_client()
        answer: dict[str, str] = {}
        if query.get("response_type") != "code":
            answer["error"] = "unsupported_response_type"
        elif query.get("scope") != SCOPE:
            answer["error"] = "invalid_scope"
        elif settings.authorize == "deny":
            answer |= {"error": "access_denied", "message": "The resource owner denied the request."}
        else:
            self._count += 1
            code = f"def502-fake-code-{self._count:06d}"
            self._codes[code] = _Code(app.client_id, app.redirect_uri, self._clock() + CODE_SECONDS)
            answer["code"] = code
        if "state" in query:
            answer["state"] = query["state"]
        separator = "&" if urlsplit(app.redirect_uri).query else "?"
        return f"{app.redirect_uri}{separator}{urlencode(answer)}"

    def issue(self, form: Mapping[str, str], header_key: str, host: Host, settings: Settings) -> dict[str, JSON]:
        """Answer the token endpoint. `header_key` is the X-Application-Key header.

        Raises Refusal (400 or 401) with Passport's error body.
        """
        grant = form.get("grant_type", "")
        if not grant:
            raise _invalid_request("grant_type")
        if grant not in _GRANTS[host]:
            raise Refusal(400, oauth_error("unsupported_grant_type", _UNSUPPORTED, _CHECK_PARAMETERS))
        app = _app(settings, form.get("client_id", ""), host)
        if app is None or not _same(form.get("client_secret", ""), app.client_secret):
            raise _invalid_client()
        if grant not in (app.grant, "refresh_token") or (
            grant == "refresh_token" and app.grant == "client_credentials"
        ):
            raise _invalid_client()
        if grant == "refresh_token":
            return self._refresh(form, app, settings)
        if grant == "client_credentials":
            return self._grant(app, host, settings, holder="client")
        if form.get("scope") != SCOPE:
            raise Refusal(400, oauth_error("invalid_scope", _SCOPE_TEXT, "Check the `scope` parameter"))
        if grant == "password":
            self._check_password(form, header_key, settings)
        else:
            self._spend_code(form, app)
        return self._grant(app, host, settings, holder="user")

    def _check_password(self, form: Mapping[str, str], header_key: str, settings: Settings) -> None:
        for name in ("username", "password"):
            if not form.get(name):
                raise _invalid_request(name)
        given = form.get("application_key") or header_key
        if not given:
            raise _invalid_request("application_key")
        if not _same(given, settings.application_key):
            raise _invalid_client("Check the `application_key` parameter")
        known = form["username"].lower() == settings.username.lower()
        if not known or not _same(form["password"], settings.password):
            raise Refusal(400, oauth_error("invalid_grant", "The user credentials were incorrect."))

    def _spend_code(self, form: Mapping[str, str], app: OAuthApp) -> None:
        if not form.get("code"):
            raise _invalid_request("code")
        code = self._codes.get(form["code"])
        hint = ""
        if code is None:
            hint = "Cannot decrypt the authorization code"
        elif code.client_id != app.client_id:
            hint = "Authorization code was not issued to this client"
        elif code.used:
            hint = "Authorization code has been revoked"
        elif self._clock() >= code.expires_at:
            hint = "Authorization code has expired"
        if hint or code is None:
            raise Refusal(400, oauth_error("invalid_grant", _GRANT_TEXT, hint))
        if form.get("redirect_uri") != code.redirect_uri:
            raise _invalid_client()
        code.used = True

    def _refresh(self, form: Mapping[str, str], app: OAuthApp, settings: Settings) -> dict[str, JSON]:
        value = form.get("refresh_token", "")
        if not value:
            raise _invalid_request("refresh_token")
        token = self._refreshes.get(value)
        hint = ""
        if token is None:
            hint = "Cannot decrypt the refresh token"
        elif token.client_id != app.client_id:
            hint = "Token is not linked to client"
        elif token.refresh_used:
            hint = "Token has been revoked"
        elif self._clock() >= token.refresh_expires_at:
            hint = "Token has expired"
        if hint or token is None:
            error = "invalid_grant" if settings.refresh_refusal == 400 else "invalid_request"
            raise Refusal(settings.refresh_refusal, oauth_error(error, "The refresh token is invalid.", hint))
        token.refresh_used = True
        # Using a refresh token also ends the access token it was issued with, expired or not.
        token.revoked = True
        return self._grant(app, token.host, settings, holder=token.holder)

    def _refreshable(self, token: Token) -> bool:
        return bool(token.refresh) and not token.refresh_used and self._clock() < token.refresh_expires_at

    def _grant(
        self, app: OAuthApp, host: Host, settings: Settings, holder: Literal["user", "client"]
    ) -> dict[str, JSON]:
        self._count += 1
        now = self._clock()
        token = Token(
            number=self._count,
            access=f"eyJ0-fake-access-{self._count:06d}",
            client_id=app.client_id,
            holder=holder,
            host=host,
            expires_at=now + settings.expires_in,
        )
        body: dict[str, JSON] = {"token_type": "Bearer", "expires_in": settings.expires_in}
        body["access_token"] = token.access
        if holder == "user":
            token.refresh = f"def50-fake-refresh-{self._count:06d}"
            token.refresh_expires_at = now + settings.refresh_days * DAY_SECONDS
            self._refreshes[token.refresh] = token
            body["refresh_token"] = token.refresh
        self._tokens[token.access] = token
        return body


def _app(settings: Settings, client_id: str, host: Host) -> OAuthApp | None:
    return next((app for app in settings.apps if app.client_id == client_id and app.host == host), None)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _invalid_client(hint: str = "") -> Refusal:
    return Refusal(401, oauth_error("invalid_client", "Client authentication failed", hint))


def _invalid_request(parameter: str) -> Refusal:
    return Refusal(400, oauth_error("invalid_request", _REQUEST_TEXT, f"Check the `{parameter}` parameter"))


_GRANTS: Mapping[Host, frozenset[str]] = {
    "api": frozenset({"authorization_code", "password", "refresh_token"}),
    "integrations": frozenset({"client_credentials"}),
}
_UNSUPPORTED = "The authorization grant type is not supported by the authorization server."
_CHECK_PARAMETERS = "Check that all required parameters have been provided"
_SCOPE_TEXT = "The requested scope is invalid, unknown, or malformed"
_REQUEST_TEXT = "The request is missing a required parameter or has an invalid value."
_GRANT_TEXT = "The provided authorization grant or refresh token is invalid, expired or revoked."
