"""What tests/support/faster_moto.py leaves out is not missed: each of its short cuts, where it could be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.stack import Stack


@pytest.fixture
def table(stack: Stack) -> str:
    return stack.environment["RELAY_JOURNAL_TABLE"]


def key(name: str) -> dict[str, Any]:
    return {"delivery_id": {"S": name}, "position": {"N": "0"}}


def item(stack: Stack, table: str, name: str) -> Any:
    return stack.client("dynamodb").get_item(TableName=table, Key=key(name)).get("Item")


def update(stack: Stack, table: str, name: str, expression: str, values: Any = None, **more: Any) -> Any:
    given = {"ExpressionAttributeValues": values} if values else {}
    return stack.client("dynamodb").update_item(
        TableName=table, Key=key(name), UpdateExpression=expression, ReturnValues="ALL_NEW", **given, **more
    )["Attributes"]


def test_one_expression_serves_several_items_and_values(stack: Stack, table: str) -> None:
    expression = "SET a = :a, list_of = list_append(if_not_exists(list_of, :none), :l) ADD n :n REMOVE gone"
    for turn in range(3):
        for name in ("first", "second"):
            value = {"M": {"in": {"L": [{"S": f"{name}{turn}"}, {"NULL": True}, {"BOOL": False}, {"B": b"x"}]}}}
            values = {":a": value, ":n": {"N": "2"}, ":none": {"L": []}, ":l": {"L": [{"N": str(turn)}]}}
            found = update(stack, table, name, expression, values)
            assert found["a"] == value
            assert found["n"] == {"N": str(2 * (turn + 1))}
            assert found["list_of"] == {"L": [{"N": str(n)} for n in range(turn + 1)]}


@pytest.mark.parametrize(
    "expression",
    ["SET a = :a, a = :a", "SET a.b = :a, a.b.c = :a", "SET a = :a SET b = :a", "SET delivery_id = :a", "SET a"],
)
def test_what_dynamodb_refuses_is_refused_each_time(stack: Stack, table: str, expression: str) -> None:
    for _ in range(2):
        with pytest.raises(ClientError, match="ValidationException"):
            update(stack, table, "first", expression, {":a": {"S": "x"}})
    assert item(stack, table, "first") is None


def test_a_transaction_that_fails_changes_nothing_and_the_next_one_does(stack: Stack, table: str) -> None:
    state, dynamodb = stack.environment["RELAY_STATE_TABLE"], stack.client("dynamodb")
    update(stack, table, "first", "SET m = :m", {":m": {"M": {"deep": {"L": [{"S": "old"}]}}}})
    update(stack, table, "other", "SET a = :a", {":a": {"S": "kept"}})
    dynamodb.put_item(TableName=state, Item={"pk": {"S": "known"}, "a": {"S": "old"}})
    before = [item(stack, table, name) for name in ("first", "other")]

    def transact(condition: str) -> None:
        changed = {"UpdateExpression": "SET m.deep[0] = :n", "ExpressionAttributeValues": {":n": {"S": "new"}}}
        dynamodb.transact_write_items(
            TransactItems=[
                {"Update": {"TableName": table, "Key": key("first"), **changed}},
                {"Put": {"TableName": table, "Item": {**key("made"), "a": {"S": "new"}}}},
                {"Delete": {"TableName": state, "Key": {"pk": {"S": "known"}}}},
                {"Put": {"TableName": state, "Item": {"pk": {"S": "new"}}}},
                {"ConditionCheck": {"TableName": table, "Key": key("other"), "ConditionExpression": condition}},
            ]
        )

    for _ in range(2):
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            transact("attribute_not_exists(a)")
        assert [item(stack, table, name) for name in ("first", "other")] == before
        assert item(stack, table, "made") is None
        assert [found["pk"] for found in stack.items("state")] == [{"S": "known"}]

    transact("attribute_exists(a)")
    assert item(stack, table, "first")["m"] == {"M": {"deep": {"L": [{"S": "new"}]}}}
    assert item(stack, table, "made")["a"] == {"S": "new"}
    assert [found["pk"] for found in stack.items("state")] == [{"S": "new"}]


def test_a_condition_is_read_anew_with_other_names_and_values(stack: Stack, table: str) -> None:
    for value in ("1", "2", "1"):
        update(stack, table, "first", "SET a = :a", {":a": {"S": value}})
        for wanted in ("1", "2"):
            given: dict[str, Any] = {
                "ConditionExpression": "#n = :v",
                "ExpressionAttributeNames": {"#n": "a"},
                "ExpressionAttributeValues": {":v": {"S": wanted}, ":b": {"S": "x"}},
            }
            if value == wanted:
                stack.client("dynamodb").update_item(
                    TableName=table, Key=key("first"), UpdateExpression="SET b = :b", **given
                )
            else:
                with pytest.raises(ClientError, match="ConditionalCheckFailed"):
                    stack.client("dynamodb").update_item(
                        TableName=table, Key=key("first"), UpdateExpression="SET b = :b", **given
                    )
