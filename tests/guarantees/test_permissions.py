"""Least privilege: a run through everything the functions do uses each permission that their roles grant.

The other half holds in every test over the stack in process: a call that the role of its function does not allow fails
there (tests/support/permissions.py).
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from devkit.sandbox.server import SandboxServer
from loyalty_relay.model.commands import Envelope, Event, RecordRefund
from loyalty_relay.model.orders import Order
from loyalty_relay.triggers.authorizer import authorize
from tests.guarantees.conftest import empty_world
from tests.guarantees.world import API_KEY, World
from tests.sources.samples import EVENTS, load
from tests.support.permissions import FUNCTIONS, Grant, Use, grants, grants_in, resources
from tests.support.stack import stack_in_process

OPERATIONS = ("register", "update", "crm-patch", "link-store", "transaction", "import-run")
ANA = {"identifiers": [{"type": "email", "value": "ana@example.com"}], "first_name": "Ana"}
SHOP = {
    "shop_id": "1234",
    "account_id": "acme",
    "store_name": "High Street",
    "store_domain": "https://acme.example.com",
}
SALE = {"order_id": "S-1", "sold_at": "2026-01-01T10:00:00Z", "currency": "EUR", "total": "10.00", "customer": ANA}
REFUND = {"refund_id": "R-1", "currency": "EUR", "total": "4.00"}
OAUTH = {"credentials": {"type": "oauth", "key": "fake-client-key", "secret": "fake-client-secret"}}

LAMBDAS_OWN = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:ReceiveMessage", "sqs:DeleteMessage"}
LAMBDAS_OWN |= {"sqs:GetQueueAttributes"}
"""What the Lambda service needs of the role, for the function's log and its event source mapping."""


def all_samples(world: World, platform: str) -> None:
    """Deliver every sample event of a platform and carry out what follows."""
    for path in sorted((EVENTS / platform).glob("*.json")):
        if "headers" in json.loads(path.read_text()):
            world.deliver(load(platform, path.stem).signed(now=world.stack.clock.now))
    world.settle()


def run_everything(world: World) -> None:
    """Both vendors, thin and full events, the API, refusals, outages, an expired token and an unreadable delivery."""
    world.connect("bigcommerce", "kangaroo")
    all_samples(world, "bigcommerce")
    world.call("POST", "/customers", ANA)
    world.connect("standard", "kangaroo")
    all_samples(world, "standard")
    world.connect(vendor="kangaroo")
    for prefer in ({}, {"prefer": "respond-async"}):
        world.call("POST", "/store-links", {**SHOP, "shop_id": f"1{len(prefer)}"}, headers=prefer)
        world.call("POST", "/customers", ANA, headers=prefer)
        world.call("PATCH", "/customers/{customer_id}/crm-fields", {"fields": {}}, customer_id="1", headers=prefer)
    world.call("GET", "/store-links")
    sell_everything(world)
    import_everything(world)
    document = world.connect(destination=OAUTH)
    all_samples(world, "shopify")
    world.call("PUT", "/customers", ANA, headers={"prefer": "respond-async"})
    troubles(world, "shopify", "capillary")
    world.connect("bigcommerce")
    all_samples(world, "bigcommerce")
    troubles(world, "bigcommerce", "bigcommerce")
    world.connect()
    world.stack.put_connection("shop", document | {"mapping": {"customers/create": {"custom_fields.n": "length(id)"}}})
    world.restart()
    world.deliver(load("shopify", "customers-create").signed(now=world.stack.clock.now))
    refuse_everything(world)
    request = {"headers": {"x-api-key": API_KEY}, "pathParameters": {"connection": "shop"}}
    assert authorize(request, world.stack.services("authorize").connections)["isAuthorized"]


def sell_everything(world: World) -> None:
    """Sales of a member, and of a guest who registers later; a refund whose sale is read from the platform."""
    sales = {"enabled": True, "guests": "hold"}
    world.connect("standard", "kangaroo", sales=sales)
    world.restart()
    all_samples(world, "standard")
    world.call("POST", "/customers", {"identifiers": [{"type": "email", "value": "guest@example.com"}]})
    for prefer in ({}, {"prefer": "respond-async"}):
        world.call("POST", "/sales", SALE, headers=prefer)
        world.call("POST", "/sales/{order_id}/refunds", REFUND, order_id="S-1", headers=prefer)
        world.call("POST", "/sales/{order_id}/void", order_id="S-1", headers=prefer)
    world.call("GET", "/sales/{order_id}", order_id="S-1")
    world.settle()
    world.connect("square", "kangaroo", sales=sales)
    world.restart()
    all_samples(world, "square")
    event = Event(source="square", topic="refund.updated", id="woken", entity_id="o-1")
    command = RecordRefund(order=Order(id="o-1"), store="MLDEMOMERCHANT")
    woken = Envelope(delivery_id="woken", connection="shop", event=event, command=command, received_at=1.0)
    queue = world.stack.environment["RELAY_QUEUE_TRANSACTION"]
    world.stack.client("sqs").send_message(QueueUrl=queue, MessageBody=woken.to_json())
    world.settle()


def import_everything(world: World) -> None:
    """A shop whose customers are new, one of them without a contact, to each vendor."""
    for vendor in ("kangaroo", "capillary"):
        world.connect("bigcommerce", vendor, sales={"enabled": True, "guests": "hold"})
        world.restart()
        world.control.put("/_sandbox/settings/bigcommerce", json={"customers": 3}).raise_for_status()
        world.run()
        world.run("reconciliation", since="2024-01-01T00:01:00.000000Z")


def troubles(world: World, platform: str, where: str) -> None:
    """An outage, refused credentials and a refused request, each over before the next."""
    for status in (503, 401, 400):
        world.fault({"vendor": where, "status": status, "body": {}})
        all_samples(world, platform)
        world.again(after=3600)
        world.fault()
        world.again(after=3600)


def refuse_everything(world: World) -> None:
    """Every operation's function gets a message that cannot be read, and one from a connection that is gone."""
    for operation in (*OPERATIONS, "hydrate"):
        queue = world.stack.environment["RELAY_QUEUE_" + operation.upper().replace("-", "_")]
        world.stack.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")
    world.settle()


@pytest.fixture(scope="module")
def used(vendors: SandboxServer, control: httpx.Client) -> frozenset[tuple[str, Use]]:
    with stack_in_process() as stack:
        run_everything(empty_world(stack, vendors, control))
        return frozenset(stack.used)


def unused(used: frozenset[tuple[str, Use]], declared: dict[str, Any]) -> set[tuple[str, Grant]]:
    """Return the grants of a template that no call used. The operations' roles are one declaration: what one of the
    four uses, it is for.
    """
    found: set[tuple[str, Grant]] = set()
    for function in FUNCTIONS:
        alike = OPERATIONS if function in OPERATIONS else (function,)
        for grant in grants_in(declared, function):
            if grant.action in LAMBDAS_OWN or any(_covers(function, grant, f, use) for f, use in used if f in alike):
                continue
            found.add((function, grant))
    return found


def _covers(function: str, grant: Grant, user: str, use: Use) -> bool:
    """Whether a call of one operation shows the use of another's grant: about the queue of its own, if about queues."""
    ours, theirs = FUNCTIONS[function], FUNCTIONS[user]
    if grant.resource in (f"{ours}Queue", f"{ours}ParkedQueue"):
        grant = replace(grant, resource=grant.resource.replace(ours, theirs))
    return use.allowed_by(grant)


def test_every_permission_is_used_and_one_that_nothing_uses_is_found(used: frozenset[tuple[str, Use]]) -> None:
    assert unused(used, resources()) == set()

    more = copy.deepcopy(resources())
    statement = {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": {"Fn::GetAtt": ["StateTable", "Arn"]}}
    more["IngestRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].append(statement)
    assert unused(used, more) == {("ingest", Grant("dynamodb:Scan", "StateTable"))}


@pytest.mark.attack(
    "configuration",
    "a function reached from the internet that reads or changes customers",
    "ingest and hydrate may touch only the kinds of items that they use",
)
def test_each_leading_key_that_is_granted_is_used(used: frozenset[tuple[str, Use]]) -> None:
    for function in ("ingest", "hydrate"):
        limited = [grant for grant in grants(function) if grant.keys]
        patterns = {(grant.resource, key) for grant in limited for key in grant.keys}
        actions = {(grant.action, grant.resource) for grant in limited}
        touched = {
            (use.resource, re.sub("(?<=#).*", "*", key))
            for f, use in used
            if f == function and (use.action, use.resource) in actions
            for key in use.keys
        }
        assert touched == patterns
