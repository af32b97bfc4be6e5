"""Checks of a connection that need its platform's module and the mapping's expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from loyalty_relay.connections.model import Connection
from loyalty_relay.connections.parse import as_far_as_valid
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.model.json_validation import did_you_mean, unknown_field
from loyalty_relay.sources import may_read_from, source_module
from loyalty_relay.sources.base import SourceModule
from loyalty_relay.translation.mapping import check_mapping

MIN_DIGITS = 6
"""Different digits among 32 random ones; fewer do not happen by chance."""


def inspected(id: str, data: Any, sandbox_hosts: frozenset[str]) -> tuple[Connection, list[FieldProblem]]:
    """Return what is valid of a connection, and every problem that is found without a request, each field once."""
    connection, problems = as_far_as_valid(id, data, sandbox_hosts)
    named = {problem.field for problem in problems}
    return connection, problems + [p for p in check_connection(connection, sandbox_hosts) if p.field not in named]


def check_connection(connection: Connection, sandbox_hosts: frozenset[str] = frozenset()) -> list[FieldProblem]:
    """Return the problems of a connection that only its platform's module and its mapping's expressions can find.

    Called when a connection is applied; ingest does not repeat it. ``sandbox_hosts``: as for ``parse_connection``.
    """
    source = connection.source
    problems = check_mapping(connection) if connection.destination.vendor else []
    if not source.platform:
        return problems
    module = source_module(source.platform)
    problems += [FieldProblem(f"source.{field}", message) for field, message in module.check(source)]
    problems += [
        FieldProblem(f"source.options.{name}", unknown_field(name, module.options))
        for name in source.options
        if name not in module.options
    ]
    problems += _patterns(connection, module)
    if source.unsigned and not module.may_be_unsigned:
        problems.append(FieldProblem("source.unsigned", f"cannot be true: {module.platform} signs every delivery"))
    elif source.unsigned and not _unguessable(connection.id):
        message = "an unsigned source's URL is its only secret: use an id of `relay connections new-id NAME`"
        problems.append(FieldProblem("id", message))
    if not source.secrets and not source.unsigned and module.needs_secrets:
        problems.append(FieldProblem("source.secrets", "needs at least one secret"))
    if source.api_host and not may_read_from(source.api_host, module, sandbox_hosts):
        known = ", ".join(module.api_domains) or "none: this platform's API is not called"
        problems.append(FieldProblem("source.api_host", f"must be below the platform's own domains ({known})"))
    return problems


def with_equal_bills(connection: Connection, others: Iterable[Connection]) -> list[Connection]:
    """Return those of the others whose orders could get the bill numbers of this connection's, at the same host.

    Bill numbers are made of shops and orders' ids, or of what receipts have; two organisations may share a host.
    """
    return [
        other
        for other in others
        if other.id != connection.id
        and other.sales.enabled
        and connection.sales.enabled
        and (other.destination.vendor, other.destination.host)
        == (connection.destination.vendor, connection.destination.host)
        and other.sales.shop_key == connection.sales.shop_key
        and _shops(other) & _shops(connection)
    ]


def _shops(connection: Connection) -> set[str]:
    """Return what a connection's bill numbers are made of besides orders' ids or receipts' numbers."""
    places = connection.sales.stores if connection.sales.bill_number == "receipt" else ()
    return {name.casefold() for name in (connection.id, *connection.source.stores, *places)}


def _unguessable(id: str) -> bool:
    """Return whether an id ends in 128 bits of hexadecimal digits that look random."""
    random = id.rpartition("-")[2]
    return re.fullmatch(r"[0-9a-f]{32,}", random) is not None and len(set(random)) >= MIN_DIGITS


def _patterns(connection: Connection, module: SourceModule) -> Iterator[FieldProblem]:
    topics = {topic.name for topic in module.topics}
    groups = {name[: end + 1] + "*" for name in topics for end, sign in enumerate(name) if sign in "/.:"}
    for pattern in connection.mapping:
        if not any(fnmatchcase(topic, pattern) for topic in topics):
            near = did_you_mean(pattern, sorted(topics | groups))
            message = f"matches no topic of {module.platform}{near}; relay catalogue {module.platform} lists them"
            yield FieldProblem(f"mapping.{pattern}", message)
