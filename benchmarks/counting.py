"""Counting what passes an AWS client: requests, and the DynamoDB units that they cost.

Requests are counted where botocore makes one, so that its own repeats count. Units are worked out from the items, by
the rules of AWS ("DynamoDB read and write operations"): a write costs one unit per KB begun of the larger of the item
before and after, in a transaction two; each index whose entry changes costs one more per KB, or two when its key
changes. A condition that does not hold costs the same. A consistent read costs one unit per 4 KB begun.
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KB = 1024
READS = {"GetItem"}
WRITES = {"PutItem": "Item", "UpdateItem": "Key", "DeleteItem": "Key"}


class Requests:
    """How many requests of which operation passed the clients it watches. Safe for threads."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._lock = threading.Lock()

    def watch(self, client: Any) -> Any:
        """Count the requests of this client from now on; returns the client."""
        service = client.meta.service_model.service_name
        client.meta.events.register(f"request-created.{service}", self._count)
        return client

    def _count(self, operation_name: str, **_: Any) -> None:
        with self._lock:
            self.counted[operation_name] += 1

    def take(self) -> Counter[str]:
        """Return what was counted since the last time."""
        with self._lock:
            counted, self.counted = self.counted, Counter()
        return counted


@dataclass(frozen=True, slots=True)
class Units:
    """What some requests to DynamoDB cost: on-demand request units."""

    write: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True)
class _Touched:
    table: str
    key: dict[str, Any]
    before: dict[str, Any] | None
    copies: int
    """What a write of it costs in units per KB: 2 in a transaction."""


@dataclass
class Meter:
    """The DynamoDB units that pass one client, seen through another one that is not counted.

    For one invocation at a time: the items' sizes are looked up before each request and at the end.
    """

    looking: Any
    tables: Mapping[str, Mapping[str, Any]]
    """The ``AWS::DynamoDB::Table`` properties by table name."""
    _touched: list[_Touched] = field(default_factory=list)
    _reads: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def watch(self, client: Any) -> Any:
        """Meter the requests of this client from now on; return the client."""
        client.meta.events.register("before-parameter-build.dynamodb", self._see)
        return client

    def take(self) -> Units:
        """Return the units of the requests since the last time."""
        write = sum(self._cost(touched) for touched in self._touched)
        read = sum(max(1, math.ceil(item_size(self._get(t, k)) / (4 * KB))) for t, k in self._reads)
        self._touched, self._reads = [], []
        return Units(write, read)

    @property
    def pacing(self) -> int:
        """How many of the requests since the last ``take`` were for pacing or counts: for a batch, not for an event."""
        keys = (str(value.get("S", "")) for t in self._touched for value in t.key.values())
        return sum(key.startswith(("R#", "counts#")) for key in keys)

    def stored(self) -> dict[str, float]:
        """Return the bytes of the items that the requests since the last ``take`` have written, by table."""
        sizes: dict[str, float] = {}
        for table, key in {(t.table, json.dumps(t.key)) for t in self._touched}:
            sizes[table] = sizes.get(table, 0.0) + item_size(self._get(table, json.loads(key)))
        return sizes

    def _see(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name in READS:
            self._reads.append((params["TableName"], params["Key"]))
        elif model.name in WRITES:
            self._touch(params, params[WRITES[model.name]], 1)
        elif model.name == "TransactWriteItems":
            for action in params["TransactItems"]:
                ((kind, body),) = action.items()
                self._touch(body, body["Item" if kind == "Put" else "Key"], 2)
        else:
            raise ValueError(f"no rule for the units of {model.name}")

    def _touch(self, body: Mapping[str, Any], subject: Mapping[str, Any], copies: int) -> None:
        table = body["TableName"]
        names = [part["AttributeName"] for part in self.tables[table]["KeySchema"]]
        key = {name: subject[name] for name in names}
        self._touched.append(_Touched(table, key, self._get(table, key), copies=copies))

    def _get(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.looking.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return found

    def _cost(self, touched: _Touched) -> int:
        after = self._get(touched.table, touched.key)
        units = touched.copies * max(1, math.ceil(max(item_size(touched.before), item_size(after)) / KB))
        for index in self.tables[touched.table].get("GlobalSecondaryIndexes", ()):
            units += _index_cost(index, self.tables[touched.table]["KeySchema"], touched.before, after)
        return units


def _index_cost(
    index: Mapping[str, Any], key: list[dict[str, str]], before: dict[str, Any] | None, after: dict[str, Any] | None
) -> int:
    names = [part["AttributeName"] for part in index["KeySchema"]]
    old, new = (_entry(item, names, index, key) for item in (before, after))
    if old == new:
        return 0
    if old and new and any(old[name] != new[name] for name in names):
        return sum(max(1, math.ceil(item_size(entry) / KB)) for entry in (old, new))
    return max(1, math.ceil(max(item_size(old), item_size(new)) / KB))


def _entry(
    item: dict[str, Any] | None, names: list[str], index: Mapping[str, Any], key: list[dict[str, str]]
) -> dict[str, Any] | None:
    """Return what an index holds of an item: nothing when the item lacks one of the index's keys."""
    if item is None or any(name not in item for name in names):
        return None
    if index["Projection"]["ProjectionType"] == "ALL":
        return item
    kept = {*names, *(part["AttributeName"] for part in key)}
    return {name: value for name, value in item.items() if name in kept}


def item_size(item: Mapping[str, Any] | None) -> int:
    """Return an item's bytes as DynamoDB counts them (AWS docs: "DynamoDB item sizes and formats"); 0 for none."""
    if item is None:
        return 0
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return math.ceil(len(content.strip("-").replace(".", "")) / 2) + 1
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "L":
            return 3 + sum(1 + _value_size(part) for part in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(part) for name, part in content.items())
        case "B":
            return len(content)
    return 1
