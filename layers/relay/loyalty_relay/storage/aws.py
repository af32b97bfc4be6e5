"""AWS clients, built nowhere else: on first use, once per process and service; and the errors of their calls.

botocore is used without boto3 on top: it builds the same clients in less start-up time. ``AWS_ENDPOINT_URL`` and the
other standard settings are read by botocore, so the local stack needs nothing here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from loyalty_relay.model.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

Service = Literal["dynamodb", "sqs", "secretsmanager"]

CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0
"""An AWS API inside a region responds in milliseconds; what takes longer is better tried again than waited for."""
ATTEMPTS = 3
POOL = 25
"""Connections kept per client: a batch of records runs side by side and each may have one request under way."""

_clients: dict[str, Any] = {}
_session: Any = None
_lock = threading.Lock()


def client(service: Service) -> Any:
    """Return the process's client for a service. Safe for threads, as are the clients."""
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
    built = _session.create_client(
        service,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=POOL,
            tcp_keepalive=True,
        ),
    )
    if built.meta.endpoint_url.startswith("https:"):
        _load_certificates_once(built._endpoint.http_session)
    return built


def _load_certificates_once(http: Any) -> None:
    """Make all connections of a client, and of all clients, use one TLS context that trusts the authorities.

    botocore has each new connection load their certificates again: 15 ms of a whole processor, for each record of a
    batch. Whoever names a bundle of their own (``AWS_CA_BUNDLE``) keeps botocore's way.
    """
    from botocore.httpsession import get_cert_path

    if http._verify is not True:
        return
    context = _trusting(get_cert_path(True))
    http._get_ssl_context = lambda: context
    http._manager.connection_pool_kw["ssl_context"] = context

    def required(connection: Any, url: str, verify: Any) -> None:
        connection.cert_reqs, connection.ca_certs = "CERT_REQUIRED", None

    http._setup_ssl_cert = required


@cache
def _trusting(bundle: str) -> Any:
    from botocore.httpsession import create_urllib3_context

    context = create_urllib3_context()
    context.load_verify_locations(bundle)
    return context


def forget() -> None:
    """Drop all clients, so that the next use builds them from the environment as it is then. For tools and tests."""
    global _session
    with _lock:
        _clients.clear()
        _session = None


def failures() -> tuple[type[Exception], ...]:
    """Return what an AWS call can raise; a function, so that botocore is not loaded before anything failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def error_code(error: BaseException) -> str:
    """Return AWS's code of a failed call, or the name of the exception when no answer came."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Raise StoreUnavailable when an AWS call in the block fails; its text has AWS's code and no more of the error.

    ``what``: what could not be done, as in "the digest secret could not be read".
    """
    try:
        yield
    except failures() as error:
        raise StoreUnavailable(f"{what}: {error_code(error)}") from error
