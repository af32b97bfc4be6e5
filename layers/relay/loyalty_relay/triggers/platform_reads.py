"""Readings of a platform's own API: with circuit, pacing and fresh credentials, as for a destination."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loyalty_relay.model.errors import CredentialsRefused, InvalidCommand, Untranslatable, UpstreamUnavailable
from loyalty_relay.sources import may_read_from, source_module
from loyalty_relay.sources.parsing import json_value

if TYPE_CHECKING:
    import httpx

    from loyalty_relay.connections.model import Connection, Source
    from loyalty_relay.model.deadline import Deadline
    from loyalty_relay.runtime.wiring import Services
    from loyalty_relay.sources.base import Fetch


@dataclass(frozen=True, slots=True)
class PlatformAnswer:
    """A platform's response. ``body``: its JSON; None for none, and for an error that is not JSON."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)


def read_platform(
    fetch: Callable[[Source], Fetch], connection: Connection, services: Services, deadline: Deadline
) -> PlatformAnswer:
    """Return the response to a reading request.

    ``fetch``: the request under the present credentials; it may be built again after these were rotated.
    Raises CredentialsRefused, InvalidCommand for a host that is not the platform's, and the errors of every request.
    """
    first = fetch(connection.source)
    account = _account(_host(first, connection, services), connection)

    def send(live: Connection) -> httpx.Response:
        wanted = fetch(live.source)
        answer = _send(wanted, _host(wanted, live, services), live, services, deadline, effect=False)
        if answer.status_code in (401, 403):
            raise CredentialsRefused("the platform refuses the connection's api_credentials")
        return answer

    def credentials(live: Connection) -> str:
        # Each store of a connection may have a token of its own. Tokens are random, so the digest needs no key.
        return hashlib.sha256(json.dumps(sorted(fetch(live.source).headers.items())).encode()).hexdigest()

    return _read(services.pipeline.read(connection, account, send, credentials))


def manage_platform(
    wanted: Fetch, connection: Connection, services: Services, deadline: Deadline, *, effect: bool = False
) -> PlatformAnswer:
    """Return the response to a request of whoever manages the connection at its platform, a 401 or 403 included.

    Within the limits that reading has, and outside of its circuits: a right that is missing here stops no reading.
    ``effect``: whether it changes something at the platform.
    Raises InvalidCommand for a host that is not the platform's, and the errors of every request.
    """
    host = _host(wanted, connection, services)
    return _read(_send(wanted, host, connection, services, deadline, effect=effect))


def may_read_platform(
    fetch: Callable[[Source], Fetch], connection: Connection, services: Services, deadline: Deadline
) -> bool:
    """Return whether the platform lets the connection's credentials read something.

    The request is outside of the circuits, which a check must not open. Raises what ``read_platform`` raises else.
    """
    return manage_platform(fetch(connection.source), connection, services, deadline).status not in (401, 403)


def _host(wanted: Fetch, connection: Connection, services: Services) -> str:
    """Return where a request goes to. Raises InvalidCommand for a host that is not the platform's."""
    host = wanted.default_host if wanted.at_shop else connection.source.api_host or wanted.default_host
    module = source_module(connection.source.platform)
    if not may_read_from(host, module, services.settings.sandbox_hosts, at_shop=wanted.at_shop):
        raise InvalidCommand("the connection's api_host is not one of the platform's own", code="api_host")
    return host


def _account(host: str, connection: Connection) -> str:
    return f"{connection.source.platform}:{urlsplit(host).netloc}:{connection.id}"


def _send(
    wanted: Fetch, host: str, connection: Connection, services: Services, deadline: Deadline, *, effect: bool
) -> httpx.Response:
    from loyalty_relay.http.messages import build_request, raise_for_transient

    request = build_request(
        api="read",
        method=wanted.verb,
        url=host + wanted.path,
        headers=wanted.headers,
        json=wanted.json,
        idempotent=not effect,
        effect=effect,
    )
    answer = services.platform_client(_account(host, connection), wanted.limit).fetch(request, deadline)
    if answer.status_code not in (401, 403):
        raise_for_transient(answer)
    return answer


def _read(answer: httpx.Response) -> PlatformAnswer:
    if answer.status_code == 204:
        return PlatformAnswer(answer.status_code, answer.headers, None)
    try:
        return PlatformAnswer(answer.status_code, answer.headers, json_value(answer.content))
    except Untranslatable as error:
        if answer.status_code < 400:
            raise UpstreamUnavailable(f"the platform's answer cannot be read: {error.reason}") from None
        return PlatformAnswer(answer.status_code, answer.headers, None)
