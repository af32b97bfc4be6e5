"""The only place that builds AWS clients: on first use, once per process and service.

botocore is used without boto3 on top: it builds the same clients in less start-up time. ``AWS_ENDPOINT_URL`` and the
other standard settings are botocore's own business, so the local stack needs nothing here.
"""

from __future__ import annotations

import threading
from typing import Any, Literal

Service = Literal["dynamodb", "sqs", "secretsmanager"]

CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0
"""An AWS API inside a region answers in milliseconds; what takes longer is better tried again than waited for."""
ATTEMPTS = 3
POOL = 25
"""Connections kept per client: a batch of records runs side by side and each may have one request under way."""

_clients: dict[str, Any] = {}
_session: Any = None
_lock = threading.Lock()


def client(service: Service) -> Any:
    """The process's client for a service. Safe to call from several threads; clients themselves are thread-safe."""
    found = _clients.get(service)
    if found is not None:
        return found
    with _lock:
        if service not in _clients:
            _clients[service] = _build(service)
        return _clients[service]


def _build(service: str) -> Any:
    global _session
    from botocore.config import Config
    from botocore.session import get_session

    if _session is None:
        # One session for all clients: it holds the parsed service models and the credentials.
        _session = get_session()
    return _session.create_client(
        service,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=POOL,
            tcp_keepalive=True,
        ),
    )


def forget() -> None:
    """Drop all clients, so that the next use builds them from the environment as it is then. For tools and tests."""
    global _session
    with _lock:
        _clients.clear()
        _session = None


def failures() -> tuple[type[Exception], ...]:
    """What an AWS call can raise. A function, so that catching it does not load botocore before anything failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def error_code(error: BaseException) -> str:
    """AWS's code of a failed call, or the name of the exception when no answer came."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__
