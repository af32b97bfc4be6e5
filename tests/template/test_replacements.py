"""No update of the stack replaces what holds data, accepted work or an address that others have noted.

replacements.json is the inventory: logical id, type, and the properties whose change has CloudFormation make a new
resource (or, for the digest secret, a new value) and delete or abandon the one before. CloudFormation also does that
when a logical id changes, disappears, or moves to another stack. An entry changes only together with a plan to move
what the resource holds; docs/deploy.md, "What must never be replaced".
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.templates import transformed

Json = dict[str, Any]

REPLACING = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema", "LocalSecondaryIndexes", "ImportSourceSpecification"),
    "AWS::SQS::Queue": ("QueueName", "FifoQueue"),
    # Not a replacement, and as bad: a changed GenerateSecretString generates a new value.
    "AWS::SecretsManager::Secret": ("Name", "GenerateSecretString"),
    "AWS::ApiGatewayV2::Api": ("ProtocolType", "Target"),
    "AWS::ApiGatewayV2::Stage": ("ApiId", "StageName"),
    "AWS::SNS::Topic": ("TopicName", "FifoTopic"),
    "AWS::Logs::LogGroup": ("LogGroupName",),
}
"""Properties that AWS's resource reference marks "Update requires: Replacement", of the types that are kept."""


def entry(resource: Json) -> Json:
    """Return what the inventory holds of one resource."""
    properties = resource.get("Properties", {})
    held = {name: properties[name] for name in REPLACING[resource["Type"]] if name in properties}
    if resource["Type"] == "AWS::DynamoDB::Table":
        # A definition may be added, for an index; one that changes replaces the table.
        held["AttributeDefinitions"] = {
            a["AttributeName"]: a["AttributeType"] for a in properties["AttributeDefinitions"]
        }
    # A condition that comes to be false deletes the resource.
    return {"Type": resource["Type"], "Condition": resource.get("Condition"), "Properties": held}


def inventory(resources: Json) -> dict[str, Json]:
    """Return logical id -> entry of everything in a transformed template that must not be replaced."""
    return {name: entry(found) for name, found in sorted(resources.items()) if found["Type"] in REPLACING}


def replacements(before: dict[str, Json], after: dict[str, Json]) -> Iterator[str]:
    """Yield what an update from one inventory to the next would replace or delete."""
    for name, held in before.items():
        now = copy.deepcopy(after.get(name))
        if now is None:
            yield f"{name} is gone"
            continue
        if "AttributeDefinitions" in held["Properties"]:
            known = held["Properties"]["AttributeDefinitions"]
            definitions = now["Properties"].get("AttributeDefinitions", {})
            now["Properties"]["AttributeDefinitions"] = {a: t for a, t in definitions.items() if a in known}
        if now != held:
            yield f"{name} is replaced: {held} becomes {now}"


@pytest.fixture(scope="module")
def checked_in() -> dict[str, Json]:
    """The inventory of what has been deployed."""
    found: dict[str, Json] = json.loads((Path(__file__).parent / "replacements.json").read_text())
    return found


@pytest.mark.parametrize("style", ["AllAtOnce", "Canary10Percent5Minutes"])
def test_an_update_replaces_no_table_queue_secret_log_or_address(
    text: str, checked_in: dict[str, Json], style: str
) -> None:
    assert list(replacements(checked_in, inventory(transformed(text, style)))) == []


def test_everything_that_must_not_be_replaced_is_in_the_inventory(text: str, checked_in: dict[str, Json]) -> None:
    assert inventory(transformed(text)) == checked_in


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("RegisterQueue", ("QueueName",), "a-name-of-its-own"),
        ("HydrateParkedQueue", ("FifoQueue",), True),
        ("JournalTable", ("KeySchema", 1, "AttributeName"), "other"),
        ("StateTable", ("AttributeDefinitions", 0, "AttributeType"), "B"),
        ("StateTable", ("TableName",), "state"),
        ("DigestSecret", ("Name",), "digest"),
        ("DigestSecret", ("GenerateSecretString", "PasswordLength"), 65),
        ("IngestLogGroup", ("LogGroupName",), "/elsewhere"),
    ],
)
def test_a_property_that_replaces_a_resource_is_found(
    text: str, checked_in: dict[str, Json], name: str, path: tuple[str | int, ...], value: object
) -> None:
    resources = copy.deepcopy(transformed(text))
    place = resources[name]["Properties"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    (found,) = replacements(checked_in, inventory(resources))
    assert found.startswith(f"{name} is replaced")


@pytest.mark.parametrize("name", ["CrmPatchQueue", "IngestParkedQueue", "IdempotencyTable", "DigestSecret", "HttpApi"])
def test_a_logical_id_that_disappears_or_changes_is_found(text: str, checked_in: dict[str, Json], name: str) -> None:
    resources = copy.deepcopy(transformed(text))
    resources[f"{name}Renamed"] = resources.pop(name)

    assert list(replacements(checked_in, inventory(resources))) == [f"{name} is gone"]


def test_a_condition_on_what_is_kept_is_found(text: str, checked_in: dict[str, Json]) -> None:
    resources = copy.deepcopy(transformed(text))
    resources["StateTable"]["Condition"] = "HasKmsKey"

    assert len(list(replacements(checked_in, inventory(resources)))) == 1


def test_an_added_index_and_an_added_queue_replace_nothing(text: str, checked_in: dict[str, Json]) -> None:
    resources = copy.deepcopy(transformed(text))
    table = resources["StateTable"]["Properties"]
    table["AttributeDefinitions"].append({"AttributeName": "more", "AttributeType": "S"})
    table["GlobalSecondaryIndexes"].append({"IndexName": "by_more"})
    resources["MoreQueue"] = {"Type": "AWS::SQS::Queue", "Properties": {}}

    assert list(replacements(checked_in, inventory(resources))) == []
