"""The benchmark's counters count right: requests where botocore makes them, and DynamoDB's units by its rules."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.counting import Meter, Requests, Units, item_size
from benchmarks.deliveries import delivery, later, new_customer
from tests.support.stack import Stack, aws_client

TABLES: dict[str, Any] = {
    "plain": {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]},
    "indexed": {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "all",
                "KeySchema": [{"AttributeName": "group", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            },
            {
                "IndexName": "keys",
                "KeySchema": [{"AttributeName": "store", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    },
}


@pytest.fixture
def looking(stack: Stack) -> Any:
    """An unmetered client, of the in-process services that hold two small tables."""
    client = aws_client("dynamodb")
    for name in TABLES:
        client.create_table(
            TableName=name,
            KeySchema=TABLES[name]["KeySchema"],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return client


@pytest.fixture
def meter(looking: Any) -> Meter:
    return Meter(looking, TABLES)


@pytest.fixture
def metered(meter: Meter) -> Any:
    return meter.watch(aws_client("dynamodb"))


def _item(pk: str, **members: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, **{name: {"S": value} for name, value in members.items()}}


def test_every_request_of_a_watched_client_is_counted_once(stack: Stack, looking: Any) -> None:
    requests = Requests()
    watched = requests.watch(aws_client("dynamodb"))
    watched.put_item(TableName="plain", Item=_item("a"))
    watched.get_item(TableName="plain", Key=_item("a"))
    watched.get_item(TableName="plain", Key=_item("b"))
    looking.get_item(TableName="plain", Key=_item("a"))
    assert requests.take() == {"PutItem": 1, "GetItem": 2}
    assert requests.take() == {}


def test_a_request_that_botocore_repeats_counts_again(stack: Stack, looking: Any) -> None:
    requests = Requests()
    watched = requests.watch(aws_client("dynamodb"))
    lost = iter([True, False])

    def lose_once(request: Any, **_: Any) -> None:
        if next(lost):
            from botocore.exceptions import ConnectionClosedError

            raise ConnectionClosedError(endpoint_url=request.url)

    watched.meta.events.register_first("before-send.dynamodb", lose_once)
    watched.put_item(TableName="plain", Item=_item("a"))
    assert requests.take() == {"PutItem": 2}


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"pk": {"S": "é"}}, 4),
        ({"n": {"N": "1795262400"}}, 7),
        ({"b": {"BOOL": True}}, 2),
        ({"l": {"L": [{"S": "ab"}, {"S": "c"}]}}, 9),
        ({"s": {"SS": ["ab", "c"]}}, 4),
    ],
)
def test_an_item_is_as_large_as_dynamodb_counts_it(item: dict[str, Any], size: int) -> None:
    assert item_size(item) == size


@pytest.mark.parametrize(("letters", "units"), [(10, 1), (1010, 1), (1025, 2), (5000, 5)])
def test_a_write_costs_a_unit_per_kilobyte_begun(meter: Meter, metered: Any, letters: int, units: int) -> None:
    metered.put_item(TableName="plain", Item=_item("a", text="x" * letters))
    assert meter.take() == Units(write=units)


def test_an_update_costs_by_the_whole_item_not_by_what_changed(meter: Meter, metered: Any) -> None:
    metered.put_item(TableName="plain", Item=_item("a", text="x" * 3000))
    meter.take()
    metered.update_item(
        TableName="plain",
        Key=_item("a"),
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    assert meter.take() == Units(write=3)


def test_replacing_a_large_item_by_a_small_one_costs_the_large_one(meter: Meter, metered: Any) -> None:
    metered.put_item(TableName="plain", Item=_item("a", text="x" * 3000))
    meter.take()
    metered.put_item(TableName="plain", Item=_item("a"))
    assert meter.take() == Units(write=3)


def test_a_transaction_costs_twice(meter: Meter, metered: Any) -> None:
    metered.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "plain", "Item": _item("a")}},
            {"Put": {"TableName": "plain", "Item": _item("b", text="x" * 1500)}},
        ]
    )
    assert meter.take() == Units(write=2 + 4)


def test_a_condition_that_does_not_hold_costs_the_existing_item(meter: Meter, metered: Any) -> None:
    metered.put_item(TableName="plain", Item=_item("a", text="x" * 1500))
    meter.take()
    with pytest.raises(metered.exceptions.ConditionalCheckFailedException):
        metered.put_item(TableName="plain", Item=_item("a"), ConditionExpression="attribute_not_exists(pk)")
    assert meter.take() == Units(write=2)


def test_an_index_costs_when_its_entry_changes(meter: Meter, metered: Any) -> None:
    metered.put_item(TableName="indexed", Item=_item("a", group="g", store="s"))
    assert meter.take() == Units(write=1 + 2)
    metered.put_item(TableName="indexed", Item=_item("a", group="g", store="s", text="new"))
    assert meter.take() == Units(write=1 + 1)
    metered.put_item(TableName="indexed", Item=_item("a", group="h", store="s", text="new"))
    assert meter.take() == Units(write=1 + 2)
    metered.put_item(TableName="indexed", Item=_item("b"))
    assert meter.take() == Units(write=1)


def test_a_consistent_read_costs_a_unit_per_four_kilobytes(meter: Meter, metered: Any) -> None:
    metered.put_item(TableName="plain", Item=_item("a", text="x" * 5000))
    meter.take()
    metered.get_item(TableName="plain", Key=_item("a"), ConsistentRead=True)
    metered.get_item(TableName="plain", Key=_item("nobody"), ConsistentRead=True)
    assert meter.take() == Units(read=2 + 1)


def test_an_operation_without_a_rule_is_no_silent_zero(metered: Any) -> None:
    with pytest.raises(ValueError, match="Query"):
        metered.query(TableName="plain", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}})


def test_customers_of_a_run_are_all_different() -> None:
    made = [new_customer() for _ in range(300)]
    for member in ("id", "email", "phone"):
        assert len({customer[member] for customer in made}) == 300


def test_a_changed_customer_makes_another_delivery() -> None:
    customer = new_customer()
    changed = later(customer, 5, first_name="Bea")
    assert changed["updated_at"] > customer["updated_at"]
    assert delivery(customer)["body"] != delivery(changed)["body"]
