"""IAM as the template grants it: every AWS call of a function in process is evaluated against its role's policies.

Deny by default; actions, resources and the condition ``dynamodb:LeadingKeys`` are evaluated. A transaction is
authorized as the writes and condition checks that it consists of, a batch of SQS as its single action (IAM's service
authorization reference for DynamoDB and SQS).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from devkit.localstack.template import read

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
FUNCTIONS = {
    "ingest": "Ingest",
    "hydrate": "Hydrate",
    "register": "Register",
    "update": "Update",
    "crm-patch": "CrmPatch",
    "link-store": "LinkStore",
    "transaction": "Transaction",
    "import-run": "ImportRun",
    "authorize": "Authorize",
}
"""Operation -> the name that its function's resources begin with."""

PREFIX = "${SecretsPrefix}"


class AccessDenied(AssertionError):
    """A function made a call that its role does not allow."""


@dataclass(frozen=True)
class Grant:
    """One action on one resource. ``resource``: a logical id, with ``/index/NAME``, or a secret's name with ``*``.
    ``keys``: patterns of the leading keys, empty for any.
    """

    action: str
    resource: str
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Use:
    """One call. ``keys``: the leading keys it names."""

    action: str
    resource: str
    keys: tuple[str, ...] = ()

    def allowed_by(self, grant: Grant) -> bool:
        """Whether the grant covers the call. ForAllValues holds for no values, so a call must name its keys."""
        if self.action != grant.action or not _like(grant.resource, self.resource):
            return False
        return not grant.keys or (
            bool(self.keys) and all(any(_like(pattern, key) for pattern in grant.keys) for key in self.keys)
        )


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text, re.DOTALL) is not None


@cache
def resources() -> dict[str, Any]:
    """Return the resources of template.yaml with its loops written out."""
    found: dict[str, Any] = read(TEMPLATE.read_text())["Resources"]
    return found


@cache
def grants(function: str) -> frozenset[Grant]:
    """Return what the role of a function allows in template.yaml, without a key of one's own."""
    return frozenset(grants_in(resources(), function))


@cache
def allowed(function: str, use: Use) -> bool:
    """Whether the role of a function allows a call."""
    return any(use.allowed_by(grant) for grant in grants(function))


def grants_in(declared: Mapping[str, Any], function: str) -> Iterator[Grant]:
    """Return what the role of a function allows. ``declared``: the resources of a template."""
    name = f"{FUNCTIONS[function]}Role"
    properties = declared[name]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties["Policies"]]
    documents += [
        declared[managed["Ref"]]["Properties"]["PolicyDocument"]
        for managed in properties["ManagedPolicyArns"]
        if "Ref" in managed
    ]
    documents += [
        resource["Properties"]["PolicyDocument"]
        for resource in declared.values()
        if resource["Type"] == "AWS::IAM::ManagedPolicy" and {"Ref": name} in resource["Properties"].get("Roles", [])
    ]
    for statement in (s for document in documents for s in document["Statement"]):
        assert statement["Effect"] == "Allow", "this evaluation covers Allow only"
        assert not statement.keys() - {"Effect", "Action", "Resource", "Condition"}
        condition = statement.get("Condition", {})
        assert not condition or list(condition) == ["ForAllValues:StringLike"], "a condition not evaluated here"
        leading = condition.get("ForAllValues:StringLike", {})
        assert not leading or list(leading) == ["dynamodb:LeadingKeys"], "a condition key not evaluated here"
        keys = frozenset(_listed(leading.get("dynamodb:LeadingKeys", [])))
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                yield Grant(action, _name(resource), keys)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(resource: Any) -> str:
    """Return the logical id, or the name of the secret, that a policy's resource is about."""
    if "Ref" in resource:
        return str(resource["Ref"])
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    text = str(resource["Fn::Sub"])
    if table := re.fullmatch(r"\$\{(\w+)\.Arn\}(/index/\w+)", text):
        return table[1] + table[2]
    return text.partition(":secret:")[2].replace(PREFIX, "test")


class Names:
    """What the test's tables, queues and secrets are called in the template."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._names = {"test/digest": "DigestSecret"}
        for operation, name in FUNCTIONS.items():
            if parked := environment.get(f"PARKED_{operation}"):
                self._names[parked] = f"{name}ParkedQueue"
            if queue := environment.get("RELAY_QUEUE_" + operation.upper().replace("-", "_")):
                self._names[queue] = f"{name}Queue"
        for table in ("Idempotency", "State", "Journal"):
            self._names[environment[f"RELAY_{table.upper()}_TABLE"]] = f"{table}Table"

    def of(self, actual: str) -> str:
        """Return the logical id of a table or queue; the name of a connection's or a token's secret."""
        return self._names.get(actual, actual)


PARTITION_KEYS = {"StateTable": "pk", "JournalTable": "delivery_id", "IdempotencyTable": "id"}

_SINGLE = {
    "get_item": "GetItem",
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "delete_item": "DeleteItem",
    "scan": "Scan",
}
_OF_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_QUEUES = {
    "send_message": "SendMessage",
    "send_message_batch": "SendMessage",
    "receive_message": "ReceiveMessage",
    "delete_message": "DeleteMessage",
    "change_message_visibility": "ChangeMessageVisibility",
    "change_message_visibility_batch": "ChangeMessageVisibility",
    "get_queue_attributes": "GetQueueAttributes",
}


def uses(service: str, operation: str, arguments: Mapping[str, Any], names: Names) -> Iterator[Use]:
    """Return what a call of a botocore client is authorized as."""
    if service == "dynamodb":
        yield from _table_uses(operation, arguments, names)
    elif service == "sqs":
        yield Use(f"sqs:{_QUEUES[operation]}", names.of(arguments["QueueUrl"]))
    else:
        action = "".join(word.title() for word in operation.split("_"))
        yield Use(f"secretsmanager:{action}", names.of(arguments.get("SecretId") or arguments.get("Name") or "*"))


def _table_uses(operation: str, arguments: Mapping[str, Any], names: Names) -> Iterator[Use]:
    if operation == "transact_write_items":
        for item in arguments["TransactItems"]:
            ((kind, body),) = item.items()
            yield _table_use(_OF_TRANSACTION[kind], body, names)
    elif operation == "batch_get_item":
        for name, request in arguments["RequestItems"].items():
            for key in request["Keys"]:
                yield _table_use("BatchGetItem", {"TableName": name, "Key": key}, names)
    elif operation == "query":
        table = names.of(arguments["TableName"])
        index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
        values = (str(next(iter(v.values()))) for v in arguments["ExpressionAttributeValues"].values())
        yield Use("dynamodb:Query", table + index, tuple(values))
    else:
        yield _table_use(_SINGLE[operation], arguments, names)


def _table_use(action: str, arguments: Mapping[str, Any], names: Names) -> Use:
    table = names.of(arguments["TableName"])
    subject = arguments.get("Key") or arguments.get("Item") or {}
    leading = subject.get(PARTITION_KEYS[table], {}).get("S")
    return Use(f"dynamodb:{action}", table, (leading,) if leading else ())


class Permitted:
    """A client of a function: calls that its role does not allow raise AccessDenied.

    ``used``: receives every call, the denied ones as well.
    """

    def __init__(
        self, client: Any, service: str, function: str, names: Names, used: Callable[[str, Use], None]
    ) -> None:
        self._client = client
        self._service = service
        self._function = function
        self._names = names
        self._used = used

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if name in ("exceptions", "meta") or not callable(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            for use in uses(self._service, name, kwargs, self._names):
                self._used(self._function, use)
                if not allowed(self._function, use):
                    raise AccessDenied(f"{self._function} may not {use.action} on {use.resource} {use.keys}")
            return member(*args, **kwargs)

        return call
