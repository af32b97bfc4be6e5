"""The API-key authorizer of the HTTP API.

A key belongs to a connection: its SHA-256 is in the connection's secret. The gateway caches no result, and a key is
accepted only after the secret's current version was read, so a revoked key stops working at once. A key that the cached
version does not have leads to one read per minute and connection, so a new key works within a minute, and a sender of
wrong keys costs no reads.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from loyalty_relay.connections.model import Connection
from loyalty_relay.connections.store import ConnectionStore
from loyalty_relay.model.errors import RelayError, UnknownConnection
from loyalty_relay.telemetry import logs

MAX_KEY = 200
_PATH = re.compile(r"/connections/([^/]+)(?:/|$)")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the simple response to a REQUEST authorizer event (payload 2.0)."""
    from loyalty_relay.runtime.wiring import shared

    return authorize(event, shared().connections)


def authorize(event: dict[str, Any], connections: ConnectionStore) -> dict[str, Any]:
    """Allow the request when its key is one of the named connection's. Failures look the same to the caller."""
    key = _header(event, "x-api-key")
    connection_id = (event.get("pathParameters") or {}).get("connection") or _from_path(event)
    if not key or len(key) > MAX_KEY or not connection_id:
        return {"isAuthorized": False}
    try:
        key_id = _accepted(connections, connection_id, key)
    except UnknownConnection:
        key_id = None
    except RelayError as error:
        logs.error("authorizer failed", reason=error.reason, connection=connection_id)
        raise
    except Exception as error:  # noqa: BLE001 - the runtime would log its text, which can contain what was sent
        logs.unexpected("authorizer failed", error)
        raise RelayError("an unexpected error; see the log line before") from None
    if key_id is None:
        logs.warning("api key refused", reason="not_authentic")
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"connection": connection_id, "key_id": key_id}}


def _accepted(connections: ConnectionStore, connection_id: str, key: str) -> str | None:
    """Return the name of the key if it is one of the connection's now. Raise the errors of ``ConnectionStore.get``."""
    try:
        cached = connections.cached(connection_id)
        likely = cached is None or _key_id(cached, key) is not None
    except UnknownConnection:
        likely = False
    if likely:
        return _key_id(connections.get(connection_id, fresh=True), key)
    return _key_id(connections.get(connection_id), key) if connections.refetch(connection_id) else None


def _key_id(connection: Connection, key: str) -> str | None:
    """Return the name of the matching key. Every key is compared, so the time does not depend on which one matches."""
    given = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    matching = [known.id for known in connection.api_keys if hmac.compare_digest(known.sha256, given)]
    return matching[0] if matching else None


def _header(event: dict[str, Any], name: str) -> str | None:
    for header, value in (event.get("headers") or {}).items():
        if header.lower() == name:
            return str(value).strip()
    return None


def _from_path(event: dict[str, Any]) -> str | None:
    found = _PATH.match(event.get("rawPath") or "")
    return found.group(1) if found else None
