"""A connection's mapping: topic pattern -> destination field -> JMESPath over the source's own payload.

It lies over the defaults: a field that is mapped for a topic comes from its expression alone. Patterns are shell
patterns (``customers/*``); where several match, ``*`` yields to any other and an exact topic wins. What an
expression yields:

- null, or a number that is infinite or NaN: the field is absent, so that it stays unchanged;
- an empty text: the field is cleared;
- anything else: the value, in the form of the field (``coercion``). A value that cannot take that form goes on as it
  is, so that the operation refuses it by name instead of losing it.

Besides the fields of ``model.commands`` a mapping may name ``tags`` (a list, or a comma-separated text, of tags that
are set), and identifiers, credits and options as ``parts`` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from loyalty_relay.connections.model import Connection
from loyalty_relay.destinations.base import Vendor
from loyalty_relay.destinations.registry import vendor as vendor_named
from loyalty_relay.model.errors import FieldProblem, Untranslatable
from loyalty_relay.model.json_validation import unknown_field
from loyalty_relay.translation.coercion import NotCoercible, coerce

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult


SALE = "sale."
"""How the names of a sale's fields begin."""


@lru_cache(maxsize=512)
def compiled(expression: str) -> ParsedResult:
    """Return a JMESPath expression, compiled once per process. Raises jmespath.exceptions.JMESPathError."""
    import jmespath

    return jmespath.compile(expression)


def rules_for(topic: str, mapping: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return field -> expression of every pattern that matches, the more exact over the less."""
    matching = [pattern for pattern in mapping if fnmatchcase(topic, pattern)]
    matching.sort(key=lambda pattern: (pattern == topic, pattern != "*", len(pattern)))
    return {field: expression for pattern in matching for field, expression in mapping[pattern].items()}


def mapped(
    topic: str, payload: Mapping[str, Any], connection: Connection, *, sales: bool = False
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the values that the mapping makes of a topic's payload, and the names of all fields it maps.

    ``sales``: those of a sale (``sale.NAME``), and no others; else those of a customer.

    Raises Untranslatable('mapping_failed') when an expression cannot be evaluated on this payload.
    """
    rules = {f: rule for f, rule in rules_for(topic, connection.mapping).items() if f.startswith(SALE) == sales}
    values: dict[str, Any] = {}
    for field, expression in rules.items():
        found = _search(field, expression, payload)
        if found is None or not _finite(found):
            continue
        if field == "tags":
            values |= {f"tags.{tag}": True for tag in _listed(found)}
            continue
        try:
            values[field] = coerce(field, found)
        except NotCoercible:
            values[field] = found
    return values, frozenset(rules)


def _search(field: str, expression: str, payload: Mapping[str, Any]) -> Any:
    from jmespath.exceptions import JMESPathError

    try:
        return compiled(expression).search(payload)
    except JMESPathError as error:
        raise Untranslatable("mapping_failed", f"mapping of {field}: {type(error).__name__}") from error


def _finite(value: Any) -> bool:
    """Return whether every number in a value is one: ``to_number`` reads Infinity and NaN, which no JSON can carry."""
    if isinstance(value, dict | list):
        return all(_finite(child) for child in (value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or isfinite(value)


def _listed(value: Any) -> Iterable[str]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    return [text for part in parts if (text := str(part).strip())]


def check_mapping(connection: Connection) -> list[FieldProblem]:
    """Return every expression that does not compile, and every field the destination does not have, with reasons."""
    vendor = vendor_named(connection.destination.vendor)
    problems = []
    for pattern, rules in connection.mapping.items():
        for field, expression in rules.items():
            where = f"mapping.{pattern}.{field}"
            if not vendor.takes(field):
                problems.append(
                    FieldProblem(where, f"{unknown_field(field, vendor.fields)}; {vendor.name} has {_known(vendor)}")
                )
            if reason := _reason(expression):
                problems.append(FieldProblem(where, f"{expression!r} is not a JMESPath expression: {reason}"))
    return problems


def _known(vendor: Vendor) -> str:
    return ", ".join([*sorted(vendor.fields), *(written for _, written in vendor.field_patterns)])


def _reason(expression: str) -> str | None:
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    if not expression.strip():
        return "it is empty"
    try:
        tree = compiled(expression).parsed
    except JMESPathError as error:
        return str(error).splitlines()[0]
    known = Functions.FUNCTION_TABLE
    unknown = sorted({name for name in _functions(tree) if name not in known})
    return f"there is no function {', '.join(unknown)}" if unknown else None


def _functions(node: Any) -> Iterable[str]:
    """Yield the names of all functions called: an unknown one is only noticed when it is evaluated."""
    if isinstance(node, dict):
        if node.get("type") == "function_expression":
            yield node["value"]
        for child in node.get("children", ()):
            yield from _functions(child)
