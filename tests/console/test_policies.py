"""The policies of docs/console.md: what the pages request of AWS is allowed, and reading pages changes nothing."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import botocore
import pytest

from devkit.samples.fixtures import load
from devkit.stacks.local import CHECKOUT, SAMPLES
from devkit.stacks.stack import PARKING
from tests.console.conftest import shown
from tests.console.test_parked import Desk
from tests.devkit.conftest import Relay
from tests.devkit.conftest import relay as commands
from tests.devkit.test_parked_views import Parking
from tests.support.permissions import Names, Use, uses

__all__ = ["commands"]
"""The fixture of the commands' tests."""

GET = (
    "/",
    "/connections",
    "/connections/shopify-capillary",
    "/connections/shopify-capillary/mapping",
    "/runs",
    "/runs?connection=shopify-capillary",
    "/runs/shopify-capillary/nope",
    "/customers/shopify-capillary/nope",
    "/orders/shopify-capillary/1",
    "/events",
    "/deliveries/01a223b4-dfb8-76d9-a4d7-70ff3e5f4403",
    "/search",
    "/events?connection=shopify-capillary&result=parked",
    "/parked",
    "/parked/redrive",
    "/parked/register/0199-a.0",
    "/docs/runbooks/parked.md",
)


def granted(name: str) -> list[tuple[str, str]]:
    """Return (action, pattern of a resource) of a policy of docs/."""
    policy = json.loads((CHECKOUT / "docs" / f"console-{name}-policy.json").read_text())
    found = []
    for statement in policy["Statement"]:
        assert statement.keys() == {"Sid", "Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        actions, resources = ([v] if isinstance(v, str) else v for v in (statement["Action"], statement["Resource"]))
        found += [(action, resource) for action in actions for resource in resources]
    return found


def refused(policy: str, calls: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the calls that a policy does not allow."""

    def like(pattern: str, resource: str) -> bool:
        return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), resource) is not None

    return {
        (action, resource)
        for action, resource in calls
        if not any(action == allowed and like(pattern, resource) for allowed, pattern in granted(policy))
    }


class Account:
    """What the console requested of AWS: actions, and resources as they are called in an account."""

    def __init__(self, parking: Parking) -> None:
        env = parking.env
        given = {name: env[name] for name in env if name.startswith("RELAY_QUEUE_") or name.endswith("_TABLE")}
        parked = {f"PARKED_{name}": env[f"RELAY_PARKED_{name.upper().replace('-', '_')}"] for name in PARKING}
        self._names = Names({**given, **parked})
        self._prefix, self._digest = env["RELAY_SECRETS_PREFIX"], env["RELAY_DIGEST_SECRET"]
        self.calls: set[tuple[str, str]] = set()
        for service in ("dynamodb", "sqs", "secretsmanager"):
            parking.stack.client(service).meta.events.register("provide-client-params", self._seen)

    def _seen(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        service = model.service_model.endpoint_prefix
        for use in uses(service, botocore.xform_name(model.name), params, self._names):
            self.calls.add((use.action, self._arn(use)))

    def _arn(self, use: Use) -> str:
        service, resource = use.action.partition(":")[0], use.resource
        if service == "secretsmanager":
            name = "DigestSecret-1" if resource == self._digest else resource.replace(self._prefix, "PREFIX")
            return "*" if resource == "*" else f"arn:aws:secretsmanager:eu-west-1:ACCOUNT:secret:{name}"
        if service == "sqs":
            return f"arn:aws:sqs:eu-west-1:ACCOUNT:STACK-{resource}-1"
        table, _, index = resource.partition("/")
        return f"arn:aws:dynamodb:eu-west-1:ACCOUNT:table/STACK-{table}-1" + (f"/{index}" if index else "")


@pytest.fixture
def parking(commands: Relay) -> Parking:
    made = Parking(commands)
    assert commands("connections", "apply", str(SAMPLES / "shopify-capillary.json")).exit_code == 0
    made.stack.client("secretsmanager").create_secret(Name=commands.env["RELAY_DIGEST_SECRET"], SecretString="0" * 64)
    made.park("0199-a", connection="shopify-capillary")
    return made


def test_pages_need_only_what_the_reading_policy_allows(parking: Parking) -> None:
    desk, account = Desk(parking), Account(parking)

    for path in GET:
        # Some name what does not exist, which is read all the same.
        assert (answer := desk.client.get(path)).status_code in (200, 404), f"{path} {shown(answer.text)}"
    assert desk.post("/search", {"text": "ana@example.com"}).status_code == 303

    assert refused("read", account.calls) == set()
    assert refused("operator", account.calls) == set()
    assert {action for action, _ in account.calls} >= {"sqs:ReceiveMessage", "dynamodb:Query"}


def test_changes_need_the_operators_policy(parking: Parking) -> None:
    desk, account = Desk(parking), Account(parking)
    raw = {"connection": "shopify-capillary", "delivery_id": "0199-b", "received_at": 0, "method": "POST"}
    sample = load("shopify", "customers/create")
    raw |= {"headers": {name.lower(): value for name, value in sample.headers.items()}, "query": {}}
    raw["body"] = base64.b64encode(zlib.compress(sample.body)).decode()
    parking.send("INGEST", json.dumps(raw), reason="bad_field", connection="shopify-capillary", delivery_id="0199-b")

    broken = {**raw, "body": "AAAA", "delivery_id": "0199-c"}
    parking.send("INGEST", json.dumps(broken), reason="bad_field", delivery_id="0199-c")

    assert desk.post("/parked/register/0199-a.0/body", {}).status_code == 200
    done = desk.json(desk.sent("/parked/redrive", {"at_most": "3"}) + ".json")

    assert [work["outcome"] for work in done["redriven"]] == ["redrive 1", "sent"]
    assert [problem["field"] for problem in done["failed"]] == ["0199-c"]
    assert refused("operator", account.calls) == set()
    assert {action for action, _ in refused("read", account.calls)} >= {
        "dynamodb:PutItem",
        "sqs:SendMessage",
        "sqs:DeleteMessage",
    }


def test_a_reader_changes_no_item_message_or_secret() -> None:
    verbs = {action.partition(":")[2] for action, _ in granted("read")}

    assert verbs == {
        "DescribeStacks", "GetItem", "BatchGetItem", "Query", "GetQueueAttributes", "ReceiveMessage",
        "ChangeMessageVisibility", "GetSecretValue", "DescribeSecret", "ListSecrets",
    }  # fmt: skip
    assert set(granted("read")) <= set(granted("operator"))
