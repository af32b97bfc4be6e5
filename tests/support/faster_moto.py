"""moto's DynamoDB with less work for the same answers; it takes most of the time of the tests over the stack.

Nothing here changes what moto accepts, refuses or stores: expressions are parsed once instead of at each request, their
trees are walked without asking each node about each class, and a transaction keeps what it may have to restore instead
of its whole tables. tests/storage/test_faster_moto.py compares the two.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

from moto.core import models as moto_models
from moto.core import responses as moto_responses
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.validators import ActionCountValidator, OverlappingPathsValidator
from moto.sqs import models as moto_sqs

# moto leaves these modules out of type checks.
nodes: Any = import_module("moto.dynamodb.parsing.ast_nodes")
expressions: Any = import_module("moto.dynamodb.parsing.expressions")

KEPT = 10_000
"""Expressions that are remembered."""


def hasten() -> None:
    """Do this once per process, before moto is used."""
    # A thousand URLs for the library ``requests``, with which nothing here sends.
    moto_models.RESPONSES_METHODS.clear()
    # The methods of a class, and the names of attributes in another spelling.
    for module, name in (
        (moto_responses, "method_names_from_class"),
        (moto_responses, "camelcase_to_underscores"),
        (moto_sqs, "camelcase_to_underscores"),
    ):
        setattr(module, name, cache(getattr(module, name)))
    # moto works on copies of a tree, so that one is good for all requests with the expression.
    parser = expressions.UpdateExpressionParser
    parser.make = staticmethod(lru_cache(KEPT)(parser.make))
    replacements: tuple[tuple[Any, str, Any], ...] = (
        (ConditionExpressionParser, "_lex_one_node", _lexed(ConditionExpressionParser._lex_one_node)),
        (nodes.Node, "__deepcopy__", _copied),
        (nodes.Node, "find_clauses", _find_clauses),
        (nodes.DepthFirstTraverser, "traverse_node_recursively", _traverse),
        # What holds for a whole tree holds for each part of it.
        (ActionCountValidator, "traverse", ActionCountValidator.verify_action_counts),
        (OverlappingPathsValidator, "traverse", OverlappingPathsValidator.check_for_overlapping_paths),
        (BaseJSONSerializer, "_serialize_type_structure", _serialized(BaseJSONSerializer._serialize_type_structure)),
        (DynamoDBBackend, "transact_write_items", _transact(DynamoDBBackend.transact_write_items)),
        (Table, "__deepcopy__", _copy_of_table),
    )
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)


def _lexed(original: Any) -> Any:
    """``_lex_one_node``, which depends on its argument alone."""
    remembered: dict[str, Any] = {}

    def lex(self: Any, rest: str) -> Any:
        if rest not in remembered:
            if len(remembered) > KEPT:
                remembered.clear()
            remembered[rest] = original(self, rest)
        return remembered[rest]

    return lex


def _copied(node: Any, memo: Any) -> Any:
    """A copy of a tree of nodes, whose leaves are texts and numbers."""
    made = object.__new__(type(node))
    made.__dict__.update(node.__dict__)
    made.parent = None
    if node.children is not None:
        made.children = [_copied(child, memo) if _is_node(type(child)) else child for child in node.children]
        for child in made.children:
            if _is_node(type(child)):
                child.parent = made
    return made


_is_node: Callable[[Any], bool] = cache(lambda kind: issubclass(kind, nodes.Node))
_has_clauses: Callable[[Any], bool] = cache(
    lambda kind: issubclass(kind, (nodes.Expression, nodes.UpdateExpressionFunction))
)


def _find_clauses(node: Any, clause_types: Any) -> list[Any]:
    found: list[Any] = []
    for child in node.children or ():
        kind = type(child)
        if kind in clause_types:
            found.append(child)
        elif _has_clauses(kind):
            found.extend(_find_clauses(child, clause_types))
    return found


def _traverse(traverser: Any, node: Any, child_id: int = -1) -> Any:
    if not _is_node(type(node)):
        return node
    parent = node.parent
    if node.children is not None:
        # The list changes while it is walked.
        for i, child in enumerate(node.children):
            traverser.pre_processing_of_child(node, i)
            _traverse(traverser, child, i)
    process = _processor(traverser, type(node))
    if process is not None:
        node = process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


def _processor(traverser: Any, kind: Any) -> Any:
    """What a traverser does with nodes of a kind, None where that is nothing."""
    known = traverser.__dict__.setdefault("_processors", {})
    if kind not in known:
        known[kind] = next((do for base, do in traverser._processing_map().items() if issubclass(kind, base)), None)
    return known[kind]


def _serialized(original: Any) -> Any:
    """``_serialize_type_structure`` that looks at the one member of a DynamoDB value, not at all that it could have."""

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or type(value) is not dict:
            original(self, serialized, value, shape, key)
            return
        wrapper: dict[str, Any] = {}
        for member, found in value.items():
            inner = shape.members[member]
            inner.parent = shape
            if found is not None:
                self._serialize(wrapper, found, inner, member)
        self._default_serialize(serialized, wrapper, shape, key)

    return serialize


def _transact(original: Any) -> Any:
    """``transact_write_items`` that keeps the items it names; moto itself copies all tables, at each transaction."""

    def transact(self: Any, transact_items: list[dict[str, Any]]) -> None:
        named: dict[str, list[tuple[Any, Any]]] = {}
        for action in transact_items:
            for kind, body in action.items():
                table = self.tables.get(body.get("TableName"))
                if table is not None:
                    keys = _keys(table, body["Item" if kind == "Put" else "Key"])
                    named.setdefault(table.name, []).append(keys)
        for name, keys_of_items in named.items():
            self.tables[name].changing = keys_of_items
        try:
            original(self, transact_items)
        finally:
            for name in named:
                self.tables[name].__dict__.pop("changing", None)

    return transact


def _keys(table: Any, members: Mapping[str, Any]) -> tuple[Any, Any]:
    ranged = table.range_key_attr
    return (
        DynamoType(members[table.hash_key_attr]) if table.hash_key_attr in members else None,
        DynamoType(members[ranged]) if ranged in members else None,
    )


def _copy_of_table(table: Any, memo: Any) -> Any:
    """A copy whose items are those of the original, but for the ones that a transaction changes."""
    made = object.__new__(type(table))
    memo[id(table)] = made
    if "changing" not in table.__dict__:
        made.__dict__.update({name: copy.deepcopy(value, memo) for name, value in table.__dict__.items()})
        return made
    made.__dict__.update(table.__dict__)
    del made.__dict__["changing"]
    made.items = type(table.items)(table.items.default_factory)
    for hashed, item in table.items.items():
        made.items[hashed] = dict(item) if isinstance(item, dict) else item
    for hashed, ranged in table.changing:
        found = made.items.get(hashed)
        if isinstance(found, dict):
            if ranged in found:
                found[ranged] = copy.deepcopy(found[ranged])
        elif found is not None:
            made.items[hashed] = copy.deepcopy(found)
    return made


def table_of_moto(name: str, *, region: str = "us-east-1", **members: Any) -> None:
    """Make a table without a request; the members are those of CreateTable."""
    members = copy.deepcopy(members)
    dynamodb_backends["123456789012"][region].create_table(
        name,
        schema=members["KeySchema"],
        throughput=None,
        attr=members["AttributeDefinitions"],
        global_indexes=members.get("GlobalSecondaryIndexes", []),
        indexes=[],
        streams=None,
        billing_mode=members["BillingMode"],
        sse_specification=None,
        tags=[],
        deletion_protection_enabled=False,
        warm_throughput=None,
    )
