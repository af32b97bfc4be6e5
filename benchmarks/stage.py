"""Where functions are measured: AWS services and vendor sandbox on 127.0.0.1, with the stack's tables and queues.

The services are the local stack's (ministack); of the template only what holds something is made, and no function
is deployed to it, so that nothing but the measurement takes work out of a queue or time on a processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.config import Config
from botocore.session import get_session

from devkit.localstack.server import CREDENTIALS, REGION, Server
from devkit.localstack.template import read
from devkit.sandbox import destinations

CHECKOUT = Path(__file__).resolve().parents[1]
PREFIX = "bench"
SHOP = "acme-test.myshopify.com"
WEBHOOK_SECRET = "fake-shopify-app-secret"
OPERATIONS = ("register", "update", "crm-patch", "link-store", "transaction", "import-run", "hydrate")
CAPILLARY, KANGAROO, LIMITED, THIN = "bench-capillary", "bench-kangaroo", "bench-limited", "bench-thin"
API_KEY = "fake-api-key-for-measurements"

# Speed and limits are measured apart: here no limit of ours or the sandbox's holds anything up.
_NO_LIMIT = 1_000_000


class Stage:
    """The services, until ``stop``; a context manager. ``environment`` is what a function on it gets."""

    def __init__(self) -> None:
        """Start everything, in about two seconds. Raises LocalStackError when the local stack was never set up."""
        self.sandbox_url = ""
        self._sandbox: subprocess.Popen[str] | None = None
        self._clients: dict[str, Any] = {}
        self._server = Server(python=CHECKOUT / ".local/stack/bin/python", port=0, state_dir=None, persist=False)
        try:
            self._start_sandbox()
            self.environment = self._resources()
            for name, destination in _destinations(self.sandbox_url).items():
                self._connect(name, destination)
            self._connect(THIN, destinations.kangaroo(self.sandbox_url), _square(self.sandbox_url))
        except BaseException:
            self.stop()
            raise

    def client(self, service: str) -> Any:
        """Return a botocore client of these services, the same one each time."""
        if service not in self._clients:
            self._clients[service] = self.new_client(service)
        return self._clients[service]

    def new_client(self, service: str) -> Any:
        """Return a new client of its own, for counting what passes it."""
        session = get_session()
        session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        return session.create_client(
            service, region_name=REGION, endpoint_url=self._server.url, config=Config(max_pool_connections=25)
        )

    def function_environment(self, operation: str) -> dict[str, str]:
        """Return the environment of one operation's function (or ``ingest``)."""
        return {**self.environment, "RELAY_PARKED": self.environment[f"PARKED_{operation}"]}

    @contextmanager
    def answering_tables(self, milliseconds: float) -> Iterator[None]:
        """Give functions that start within it tables that accept every write after so many milliseconds.

        Requests are handled side by side (``benchmarks/answering.py``).
        """
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.answering", str(milliseconds)],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            self.environment["AWS_ENDPOINT_URL_DYNAMODB"] = process.stdout.readline().strip()
            try:
                yield
            finally:
                del self.environment["AWS_ENDPOINT_URL_DYNAMODB"]
                process.terminate()

    def latency(self, milliseconds: float) -> None:
        """Delay every vendor's response by so much from now on."""
        self._control("PUT", "faults", [{"latency_ms": milliseconds}] if milliseconds else [])

    def upstream(self) -> int:
        """Return how many requests have reached the vendors since the last call."""
        found = self._control("GET", "requests", None)["requests"]
        self._control("DELETE", "requests", None)
        return len(found)

    def _start_sandbox(self) -> None:
        # A process of its own: its work is not the function's.
        self._sandbox = subprocess.Popen(
            [sys.executable, "-m", "devkit.sandbox", "--port", "0"],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self._sandbox.stdout is not None
        self.sandbox_url = self._sandbox.stdout.readline().split()[-1]
        self._control("PUT", "settings/capillary", {"rate_limits_enabled": False})

    def _control(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own URL
            f"{self.sandbox_url}/_sandbox/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def _resources(self) -> dict[str, str]:
        template = read((CHECKOUT / "template.yaml").read_text())["Resources"]
        environment = {
            "AWS_ENDPOINT_URL": self._server.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            **CREDENTIALS,
            "RELAY_SECRETS_PREFIX": PREFIX,
            "RELAY_DIGEST_SECRET": f"{PREFIX}/digest",
            "RELAY_SANDBOX_HOSTS": self.sandbox_url.removeprefix("http://"),
            "RELAY_METRICS_BY_CONNECTION": "false",
            "POWERTOOLS_SERVICE_NAME": "bench",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        for table in ("Idempotency", "State", "Journal"):
            properties = template[f"{table}Table"]["Properties"]
            wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
            self.client("dynamodb").create_table(
                TableName=table, **{key: properties[key] for key in wanted if key in properties}
            )
            environment[f"RELAY_{table.upper()}_TABLE"] = table
        for operation in (*OPERATIONS, "ingest"):
            parked = self.client("sqs").create_queue(QueueName=f"{operation}-parked")["QueueUrl"]
            environment[f"PARKED_{operation}"] = parked
            if operation != "ingest":
                url = self.client("sqs").create_queue(QueueName=operation)["QueueUrl"]
                environment["RELAY_QUEUE_" + operation.upper().replace("-", "_")] = url
        self._secret(f"{PREFIX}/digest", "a digest key for measurements only")
        return environment

    def _connect(self, name: str, destination: Mapping[str, Any], source: Mapping[str, Any] | None = None) -> None:
        connection = {
            "source": source or {"platform": "shopify", "stores": [SHOP], "secrets": [{"value": WEBHOOK_SECRET}]},
            "destination": destination,
            "default_country": "GB",
            "api_keys": [{"id": "till", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest()}],
        }
        self._secret(f"{PREFIX}/connections/{name}", json.dumps(connection))

    def _secret(self, name: str, text: str) -> None:
        self.client("secretsmanager").create_secret(Name=name, SecretString=text)

    def stop(self) -> None:
        """End what was started. May be called again."""
        if self._sandbox is not None:
            self._sandbox.terminate()
            self._sandbox.wait(10)
            assert self._sandbox.stdout is not None
            self._sandbox.stdout.close()
            self._sandbox = None
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _destinations(sandbox: str) -> dict[str, dict[str, Any]]:
    till = destinations.capillary_till("demo.till02")
    return {
        CAPILLARY: destinations.capillary(sandbox, per_minute=_NO_LIMIT),
        LIMITED: destinations.capillary(sandbox, per_minute=1, credentials=till),
        KANGAROO: destinations.kangaroo(sandbox),
    }


def _square(sandbox: str) -> dict[str, Any]:
    """Return a source whose events are thin, so that hydrate has something to fetch."""
    return {
        "platform": "square",
        "stores": ["MLDEMOMERCHANT"],
        "secrets": [{"value": "fake-square-signature-key"}],
        "public_url": f"https://relay.example.com/webhooks/{THIN}",
        "api_host": f"{sandbox}/square",
        "api_credentials": {"access_token": "fake-square-token"},
    }


def clean_environment() -> None:
    """Take certificate bundles of this machine out of the environment: Lambda has none, and loading one takes time."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(name, None)
