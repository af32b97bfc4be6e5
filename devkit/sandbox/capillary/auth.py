"""Who is calling: Basic till credentials and OAuth tokens (Capillary docs: Authentication, OAuth)."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import Headers

from devkit.sandbox.capillary.codes import ApiError
from devkit.sandbox.capillary.config import Org
from devkit.sandbox.vendor import JSON

TOKEN_HEADER = "x-cap-api-oauth-token"
ENTITY_TYPES = ("TILL", "STORE_CODE", "STORE_NAME", "STORE_EXTERNAL_ID", "STORE_EXTERNAL_ID_1", "STORE_EXTERNAL_ID_2")
LOOKUP_TYPES = ("WECHAT", "MOBILE_TRIGGER")


@dataclass(frozen=True)
class Caller:
    """An authenticated caller, and the till that its writes are attributed to."""

    org: Org
    till: str
    client: str | None
    access: frozenset[str]


@dataclass(frozen=True)
class Token:
    """One access token; ``expires_at`` is epoch seconds."""

    org: str
    client_key: str
    expires_at: float


class Tokens:
    """The access tokens that were handed out: each call makes a new one, older ones live until they expire."""

    def __init__(self) -> None:
        self.issued: dict[str, Token] = {}

    def clear(self) -> None:
        """Forget all tokens."""
        self.issued.clear()

    def generate(self, orgs: Mapping[str, Org], key: object, secret: object, now: float, ttl: int) -> JSON:
        """Return the V3 envelope with a new token, or None when key and secret do not fit."""
        for org in orgs.values():
            client = org.clients.get(key) if isinstance(key, str) else None
            if client is None or client.secret != secret:
                continue
            claims = {
                "iss": "Capillary",
                "iat": int(now),
                "exp": int(now) + ttl,
                "jti": str(uuid.uuid4()),
                "sub": client.key,
                "client_id": client.id,
                "org_id": org.org_id,
                "token_use": "token_access",
                "scopes": "[]",
            }
            text = ".".join((_part({"alg": "RS256", "kid": "sandbox"}), _part(claims), "fake-signature"))
            self.issued[text] = Token(org.name, client.key, now + ttl)
            return {"data": {"accessToken": text, "ttlSeconds": ttl}, "errors": None}
        return None


def _part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def authenticate(headers: Headers, orgs: Mapping[str, Org], tokens: Tokens, now: float, expired_status: int) -> Caller:
    """Return who calls. Raises ApiError 401 (unknown), 498 (expired token) or 91021 (invalid till)."""
    token = headers.get(TOKEN_HEADER)
    caller = _by_token(token, orgs, tokens, now, expired_status) if token else _by_till(headers, orgs)
    return _attributed(caller, headers)


def _by_till(headers: Headers, orgs: Mapping[str, Org]) -> Caller:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    try:
        code, colon, digest = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise ApiError(401, http_status=401) from None
    if scheme.lower() == "basic" and colon:
        for org in orgs.values():
            till = org.tills.get(code)
            if till is not None and till.password_md5 == digest and org["basic_enabled"]:
                return Caller(org, till.code, None, till.access)
    raise ApiError(401, http_status=401)


def _by_token(text: str, orgs: Mapping[str, Org], tokens: Tokens, now: float, expired_status: int) -> Caller:
    token = tokens.issued.get(text)
    org = orgs.get(token.org) if token else None
    client = org.clients.get(token.client_key) if org and token else None
    if token is None or org is None or client is None:
        raise ApiError(401, http_status=401)
    if now >= token.expires_at:
        at = datetime.fromtimestamp(token.expires_at, UTC)
        moment = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"
        raise ApiError(498, f"Token expired at {moment}", http_status=expired_status)
    return Caller(org, client.till, client.key, client.access)


def _attributed(caller: Caller, headers: Headers) -> Caller:
    """Apply the attribution headers; the entity headers are for OAuth callers only."""
    lookup_type = headers.get("x-cap-api-attribution-lookup-type")
    if headers.get("x-cap-api-attribution-lookup") and not lookup_type:
        raise ApiError(1061, http_status=400)
    if lookup_type and lookup_type not in LOOKUP_TYPES:
        raise ApiError(400, "Invalid attribution lookup type", http_status=400)
    if caller.client is None:
        return caller
    code = headers.get("x-cap-api-attribution-entity-code") or headers.get("x-cap-api-attribution-till-code")
    if not code:
        return caller
    till = _attribution_till(caller.org, headers.get("x-cap-api-attribution-entity-type", "TILL"), code)
    if till is None:
        if caller.org.clients[caller.client].use_default_till:
            return caller
        raise ApiError(91021)
    return Caller(caller.org, till, caller.client, caller.access)


def _attribution_till(org: Org, kind: str, code: str) -> str | None:
    if kind not in ENTITY_TYPES or kind == "TILL":
        return code if code in org.tills else None
    key = {"STORE_CODE": "code", "STORE_NAME": "name"}.get(kind, "external_id")
    for store in org["stores"]:
        if store.get(key) == code:
            return next((till.code for till in org.tills.values() if till.store == store["code"]), None)
    return None
