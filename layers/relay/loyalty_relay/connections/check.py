"""Checks of a connection that need its platform's module and the mapping's expressions."""

from __future__ import annotations

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.sources import may_read_from, source_module
from loyalty_relay.translation.mapping import check_mapping


def check_connection(connection: Connection, sandbox_hosts: frozenset[str] = frozenset()) -> list[FieldProblem]:
    """Return the problems of a connection that only its platform's module and its mapping's expressions can find.

    Called when a connection is applied; ingest does not repeat it. ``sandbox_hosts``: as for ``parse_connection``.
    """
    source = connection.source
    module = source_module(source.platform)
    problems = [FieldProblem(f"source.{field}", message) for field, message in module.check(source)]
    if source.unsigned and not module.may_be_unsigned:
        problems.append(FieldProblem("source.unsigned", f"cannot be true: {module.platform} signs every delivery"))
    if not source.secrets and not source.unsigned and module.needs_secrets:
        problems.append(FieldProblem("source.secrets", "needs at least one secret"))
    if source.api_host and not may_read_from(source.api_host, module, sandbox_hosts):
        known = ", ".join(module.api_domains) or "none: this platform's API is not called"
        problems.append(FieldProblem("source.api_host", f"must be below the platform's own domains ({known})"))
    return problems + check_mapping(connection)
