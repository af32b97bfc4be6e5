"""Access to a DynamoDB table: attributes, conditional writes, transactions, and their errors."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.storage import aws

Item = dict[str, Any]
Actions = Mapping[str, Mapping[str, Any]]
"""Actions of one transaction, as ``Table.action`` makes them, by a label of the caller's."""

TRIES = 6
"""Of one transaction, while other writes to the same items are under way; of one batch that is returned in parts."""


class Refused(Exception):
    """A write's condition did not hold. ``item``: the item in the table; None when there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition did not hold")
        self.item = item


class Contended(Exception):
    """Another write to the same item is under way; nothing was written."""


class ConditionsFailed(Exception):
    """Conditions of a transaction did not hold; nothing was written. ``labels``: of the actions that must not fail."""

    def __init__(self, labels: Collection[str]) -> None:
        super().__init__("conditions did not hold")
        self.labels = frozenset(labels)


def pack(value: Any) -> dict[str, Any]:
    """Return a value as a DynamoDB attribute. Raises TypeError for types that no item of ours contains."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, set | frozenset):
        return {"SS": sorted(value)}
    if isinstance(value, list | tuple):
        return {"L": [pack(v) for v in value]}
    if isinstance(value, Mapping):
        return {"M": {k: pack(v) for k, v in value.items()}}
    raise TypeError(f"cannot store a {type(value).__name__}")


def pack_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item in DynamoDB's form."""
    return {name: pack(value) for name, value in values.items()}


def unpack(attribute: Mapping[str, Any]) -> Any:
    """Return the value of a DynamoDB attribute; numbers without a fraction become int."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            number = float(value)
            return int(value) if value.lstrip("-").isdigit() else number
        case "NULL":
            return None
        case "SS":
            return set(value)
        case "L":
            return [unpack(v) for v in value]
        case "M":
            return {k: unpack(v) for k, v in value.items()}
    raise TypeError(f"cannot read an attribute of type {kind}")


def unpack_item(attributes: Mapping[str, Any] | None) -> Item | None:
    """Return an item of plain values, None for none."""
    return None if not attributes else {name: unpack(value) for name, value in attributes.items()}


class Table:
    """One table, through a botocore client. Every method raises StoreUnavailable when the table cannot be reached."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        self.dynamodb = dynamodb
        self.name = name

    def get(self, key: Mapping[str, Any]) -> Item | None:
        """Return the item as it is now (a consistent read)."""
        answer = self._call("get_item", Key=pack_item(key), ConsistentRead=True)
        return unpack_item(answer.get("Item"))

    def update(
        self,
        key: Mapping[str, Any],
        expression: str,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Item | None:
        """Update an item and return it as it was before. Raises Refused with the item found, or Contended."""
        answer = self._call(
            "update_item",
            Key=pack_item(key),
            UpdateExpression=expression,
            ReturnValues="ALL_OLD",
            **_condition(condition, names, values),
        )
        return unpack_item(answer.get("Attributes"))

    def put(
        self,
        item: Mapping[str, Any],
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Put an item. Raises Refused with the item found, or Contended."""
        self._call("put_item", Item=pack_item(item), **_condition(condition, names, values))

    def delete(
        self,
        key: Mapping[str, Any],
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Delete an item. Raises Refused with the item found, or Contended."""
        self._call("delete_item", Key=pack_item(key), **_condition(condition, names, values))

    def get_many(self, keys: Sequence[Mapping[str, Any]]) -> list[Item]:
        """Return the items of up to 100 different keys that exist, in no order (consistent reads)."""
        found: list[Item] = []
        wanted: Any = [pack_item(key) for key in keys]
        for _ in range(TRIES):
            try:
                answer = self.dynamodb.batch_get_item(
                    RequestItems={self.name: {"Keys": wanted, "ConsistentRead": True}}
                )
            except aws.failures() as error:
                raise _unavailable(error) from error
            found += [unpack_item(item) or {} for item in answer["Responses"].get(self.name, [])]
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys")
            if not wanted:
                return found
        raise StoreUnavailable("a table does not return all items")

    def query(
        self,
        index: str | None,
        name: str,
        value: str,
        *,
        limit: int,
        newest_first: bool = False,
        between: tuple[str, Any, Any] | None = None,
        below: tuple[str, str] | None = None,
    ) -> list[Item]:
        """Return up to ``limit`` items of one partition, over as many pages as that takes.

        ``between``: the name of the sort key with the first and last value that are wanted. ``below``: its name with a
        value that all of them are less than; one of the two.
        """
        found: list[Item] = []
        condition, names, values = "#k = :v", {"#k": name}, {":v": value}
        if between is not None:
            condition += " AND #s BETWEEN :first AND :last"
            names["#s"] = between[0]
            values |= {":first": between[1], ":last": between[2]}
        if below is not None:
            condition += " AND #s < :below"
            names["#s"], values[":below"] = below
        more: dict[str, Any] = {}
        while len(found) < limit:
            answer = self._call(
                "query",
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=pack_item(values),
                ScanIndexForward=not newest_first,
                Limit=limit - len(found),
                **({"IndexName": index} if index else {}),
                **more,
            )
            found += [unpack_item(item) or {} for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                break
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found

    def action(
        self,
        kind: str,
        subject: Mapping[str, Any],
        *,
        expression: str | None = None,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return an action of a transaction. ``kind``: Put (``subject`` is an item), Update, Delete, ConditionCheck."""
        body: dict[str, Any] = {
            "TableName": self.name,
            "Item" if kind == "Put" else "Key": pack_item(subject),
            **({"UpdateExpression": expression} if expression else {}),
            **_condition(condition, names, values),
        }
        body.pop("ReturnValuesOnConditionCheckFailure", None)
        return {kind: body}

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self.dynamodb, operation)(TableName=self.name, **arguments)
        except aws.failures() as error:
            code = aws.error_code(error)
            if code == "ConditionalCheckFailedException":
                raise Refused(unpack_item(getattr(error, "response", {}).get("Item"))) from None
            if code == "TransactionConflictException":
                raise Contended from None
            raise _unavailable(error) from error
        return answer


def transact(
    dynamodb: Any, actions: Actions, *, optional: Callable[[str], bool], sleep: Callable[[float], None]
) -> frozenset[str]:
    """Write all actions in one transaction, without the optional ones whose condition does not hold.

    Return the labels of what was written.

    ``optional``: whether the action of a label may be left out. ``sleep``: waits between two tries while other writes
    to the same items are under way, a few hundredths of a second at most.

    Raises ConditionsFailed when an action that is not optional fails; Contended when other writes are under way at
    every try; StoreUnavailable when the transaction may or may not have been written. botocore gives each call a client
    request token and repeats it with the same one, so a transaction whose answer was lost is not carried out twice.
    """
    left = dict(actions)
    for _ in range(TRIES):
        try:
            dynamodb.transact_write_items(TransactItems=list(left.values()))
        except aws.failures() as error:
            if aws.error_code(error) != "TransactionCanceledException":
                raise _unavailable(error) from error
            reasons = getattr(error, "response", {}).get("CancellationReasons", [])
            failed = {
                label
                for label, reason in zip(left, reasons, strict=False)
                if reason.get("Code") == "ConditionalCheckFailed"
            }
            if required := {label for label in failed if not optional(label)}:
                raise ConditionsFailed(required) from None
            if not failed:
                sleep(random.uniform(0.01, 0.05))  # noqa: S311 - spreads writers, protects nothing
            left = {label: action for label, action in left.items() if label not in failed}
        else:
            return frozenset(left)
    raise Contended


def _unavailable(error: BaseException) -> StoreUnavailable:
    return StoreUnavailable(f"a table does not answer: {aws.error_code(error)}")


def _condition(
    condition: str | None, names: Mapping[str, str] | None, values: Mapping[str, Any] | None
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if condition:
        given["ConditionExpression"] = condition
        given["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if names:
        given["ExpressionAttributeNames"] = dict(names)
    if values:
        given["ExpressionAttributeValues"] = pack_item(values)
    return given
