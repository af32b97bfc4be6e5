"""The parser of a connection's secret.

It checks everything that needs no request, and reports every wrong field at once. It is plain Python, and loads only
the configuration of the vendor that the secret names, because ingest parses connections on its cold path.
``docs/connections.md`` shows a full example.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from loyalty_relay.connections.model import CONNECTION_ID, ApiKey, Connection, Destination, Source, WebhookSecret
from loyalty_relay.destinations.registry import vendor, vendors
from loyalty_relay.model.errors import ConnectionInvalid, FieldProblem
from loyalty_relay.model.json_validation import Reader
from loyalty_relay.sources.platforms import platforms


def parse_connection(id: str, data: Any, *, sandbox_hosts: frozenset[str] = frozenset()) -> Connection:
    """Return the connection of a secret's JSON.

    ``sandbox_hosts``: ``host:port`` texts that may replace a vendor's host; every other host must be on the vendor's
    own domains. Raises ConnectionInvalid with every wrong field.
    """
    connection, problems = as_far_as_valid(id, data, sandbox_hosts)
    if problems:
        raise ConnectionInvalid(id, problems)
    return connection


def as_far_as_valid(id: str, data: Any, sandbox_hosts: frozenset[str]) -> tuple[Connection, list[FieldProblem]]:
    """Return what is valid of a connection, and every wrong field. An unknown platform or vendor is an empty name."""
    read = Reader(data)
    return read_connection(id, read, sandbox_hosts), read.problems


def read_connection(id: str, read: Reader, sandbox_hosts: frozenset[str]) -> Connection:
    """Return what is valid of the connection that a reader holds; the reader collects the problems."""
    if not CONNECTION_ID.fullmatch(id):
        read.problem(
            "id",
            "must be 1-63 lower-case letters, digits and hyphens, not starting or ending with a hyphen",
        )
    country = read.optional_text("default_country")
    if country is not None and not re.fullmatch(r"[A-Z]{2}", country):
        read.problem("default_country", "must be an ISO 3166-1 alpha-2 code such as GB")
    connection = Connection(
        id=id,
        source=_source(read.object("source", required=True), sandbox_hosts),
        destination=_destination(read.object("destination", required=True), sandbox_hosts),
        mapping=_mapping(read),
        default_country=country,
        register_missing=read.flag("register_missing", True),
        api_keys=tuple(_api_key(r) for r in read.objects("api_keys")),
    )
    read.done()
    return connection


def _source(read: Reader, sandbox_hosts: frozenset[str]) -> Source:
    platform = read.choice("platform", platforms())
    source = Source(
        platform=platform if read.raw("platform") in platforms() else "",
        stores=read.texts("stores"),
        secrets=tuple(_secret(r) for r in read.objects("secrets")),
        unsigned=read.flag("unsigned"),
        verified_identifiers=read.texts("verified_identifiers"),
        public_url=read.url("public_url"),
        api_host=read.base_url("api_host", None, (), sandbox_hosts),
        api_credentials=_credentials(read, "api_credentials"),
        options=read.mapping("options"),
    )
    for index, kind in enumerate(source.verified_identifiers):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", kind):
            read.problem(f"verified_identifiers.{index}", "must be a type of identifier such as email or mobile")
    if source.secrets and source.unsigned:
        read.problem("unsigned", "cannot be true while secrets are given")
    read.done()
    return source


def _secret(read: Reader) -> WebhookSecret:
    secret = WebhookSecret(
        read.text("value"),
        read.parsed("not_before", moment),
        read.parsed("not_after", moment),
        read.texts("topics"),
    )
    read.done()
    return secret


def _destination(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    name = read.choice("vendor", vendors())
    if read.raw("vendor") not in vendors():
        # The other members belong to a vendor that is not known: nothing can be reported of them.
        return Destination(vendor="", host="", credentials={})
    destination = vendor(name).parse(read, sandbox_hosts)
    read.done()
    return destination


def _mapping(read: Reader) -> dict[str, Any]:
    """Check the shape only; ``check_connection`` compiles the expressions."""
    rules = read.mapping("mapping")
    wrong = [t for t, f in rules.items() if not isinstance(f, dict) or not all(isinstance(v, str) for v in f.values())]
    for topic in wrong:
        read.problem(f"mapping.{topic}", "must be an object of destination field -> JMESPath text")
        del rules[topic]
    return rules


def _api_key(read: Reader) -> ApiKey:
    key = ApiKey(read.text("id", max_length=64), read.text("sha256"))
    if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
        read.problem("sha256", "must be the SHA-256 of the key as 64 lower-case hex digits")
    read.done()
    return key


def _credentials(read: Reader, name: str) -> dict[str, str]:
    values = read.mapping(name)
    for key in [key for key, value in values.items() if not isinstance(value, str) or not value]:
        read.problem(f"{name}.{key}", "must be a non-empty string")
        del values[key]
    return values


def moment(text: str) -> datetime:
    """Return an ISO 8601 moment with an offset. Raises ValueError with a message for the operator."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be an ISO 8601 moment such as 2026-01-31T12:00:00Z") from None
    if value.tzinfo is None:
        raise ValueError("needs an offset, for example Z")
    return value
