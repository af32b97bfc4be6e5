"""The fixtures under events/sources, signed, and a connection for each platform to receive them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from devkit.signing import signer
from loyalty_relay.connections.model import Connection, Source
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.sources.base import Request

EVENTS = Path(__file__).resolve().parents[2] / "events" / "sources"
NOW = 1_790_000_000.0
URL = "https://relay.example.com/webhooks/shop"

PLATFORMS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).with_name("platforms").glob("*.json"))
}
"""Per platform: ``secret`` to sign with, ``another_secret`` of the same kind, ``source`` members of its connection, and
where the connection does not hold what signs (a public key), ``secrets`` as the connection has them.
"""

SECRETS = {platform: known["secret"] for platform, known in PLATFORMS.items()}

CAPILLARY: dict[str, Any] = {
    "vendor": "capillary",
    "region": "eu",
    "source": "ECOMMERCE",
    "credentials": {"type": "basic", "username": "fake.till", "password": "fake-till-password"},
}
KANGAROO: dict[str, Any] = {
    "vendor": "kangaroo",
    "credentials": {"type": "token", "application_key": "fake-key", "access_token": "fake-token", "account": "acme"},
}
DESTINATIONS = {"capillary": CAPILLARY, "kangaroo": KANGAROO}


@dataclass(frozen=True)
class Sample:
    """One fixture: its headers, and the exact bytes of its body."""

    platform: str
    name: str
    headers: dict[str, str]
    body: bytes
    topic: str | None = None
    method: str = "POST"
    query: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body's JSON; of a form, that of its field ``payload``."""
        return json.loads(self.form().get("payload", self.body))

    def form(self) -> dict[str, str]:
        """The body's fields, where it is a form that carries an entity."""
        return dict(parse_qsl(self.body.decode())) if self.body.startswith(b"payload=") else {}

    def changed(self, **members: Any) -> Sample:
        """The same with top-level members of its body replaced; ``...`` removes one."""
        data = self.json() | members
        return self.with_body({name: value for name, value in data.items() if value is not ...})

    def with_body(self, data: Any) -> Sample:
        """Another body, in a form where it was in one."""
        text = json.dumps(data, ensure_ascii=False)
        form = self.form()
        return replace(self, body=urlencode({**form, "payload": text}).encode() if form else text.encode())

    def with_headers(self, **headers: str) -> Sample:
        """Further or other headers; underscores stand for hyphens."""
        return replace(self, headers=self.headers | {name.replace("_", "-"): text for name, text in headers.items()})

    def signed(self, secret: str | None = None, now: float = NOW) -> Request:
        """The request as it would arrive."""
        secret = SECRETS[self.platform] if secret is None else secret
        return self._request(signer(self.platform)(self.headers, self.body, secret=secret, url=URL, now=now))

    def unsigned(self) -> Request:
        """The request without any proof, as handshakes come."""
        return self._request(self.headers)

    def _request(self, headers: Mapping[str, str]) -> Request:
        return Request(
            method=self.method,
            headers={name.lower(): value for name, value in headers.items()},
            query=self.query,
            body=self.body,
            topic=self.topic,
        )


def proofs(sample: Sample) -> list[str]:
    """The headers that signing adds: what proves who sent it."""
    given = {name.lower() for name in sample.headers} | {"content-type"}
    return sorted(set(sample.signed().headers) - given)


def live(platform: str) -> list[str]:
    """The connection's secrets, as the verifier is given them."""
    return [secret.value for secret in source(platform).secrets]


@cache
def load(platform: str, name: str) -> Sample:
    data = json.loads((EVENTS / platform / f"{name}.json").read_text())
    body = data["raw"].encode() if "raw" in data else json.dumps(data.get("body"), ensure_ascii=False).encode()
    return Sample(
        platform, name, data["headers"], body, data.get("topic"), data.get("method", "POST"), data.get("query", {})
    )


def connection(platform: str, vendor: str = "capillary", **more: Any) -> Connection:
    """A connection of this platform with the test secret."""
    return parse_connection("shop", document(platform, vendor, **more))


def document(platform: str, vendor: str = "capillary", **more: Any) -> dict[str, Any]:
    """The JSON of that connection's secret."""
    known = PLATFORMS[platform]
    topics = {"topics": known["topics"]} if "topics" in known else {}
    secrets = [{"value": value, **topics} for value in known.get("secrets", [known["secret"]])]
    source = {"platform": platform, "secrets": secrets, **known["source"]}
    return {"source": source, "destination": DESTINATIONS[vendor], **more}


def source(platform: str) -> Source:
    return connection(platform).source
