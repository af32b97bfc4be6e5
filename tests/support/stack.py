"""The stack's tables, queues and secrets in process (moto), made from template.yaml, and the services wired to them."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from moto import mock_aws
from moto.sqs import models as moto_sqs

from devkit.localstack.template import read
from devkit.stacks.stack import Stack as Operators
from loyalty_relay.connections.model import Connection
from loyalty_relay.reliability.counters import Counters
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.storage import aws
from loyalty_relay.storage.table import unpack_item
from tests.support import sqs
from tests.support.faster_moto import hasten, table_of_moto
from tests.support.permissions import Names, Permitted, Use, allowed

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
REGION = "us-east-1"
OPERATIONS = ("register", "update", "crm-patch", "link-store", "transaction", "import-run", "hydrate")
START = 1_790_000_000.0
ACCOUNT = "123456789012"
"""Of moto's resources."""


hasten()


@dataclass
class Clock:
    """A wall clock and a monotonic one that change only when they are moved."""

    now: float = START
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Context:
    """Lambda's context, as far as functions look at it."""

    seconds: float = 30.0
    function_name: str = "function"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@dataclass
class Stack:
    """A stack in process. ``services(operation)`` is what that operation's function has."""

    clock: Clock
    environment: dict[str, str]
    clients: dict[str, Any]
    used: set[tuple[str, Use]] = field(default_factory=set)
    """(function, call): what the functions asked of AWS."""
    ends: ExitStack = field(default_factory=ExitStack)
    """Closed when the stack ends."""

    def watch(self, event: str, do: Callable[..., None]) -> None:
        """Call ``do`` at an event of botocore, with every client and until the stack ends."""
        for client in self.clients.values():
            client.meta.events.register(event, do)
            self.ends.callback(client.meta.events.unregister, event, do)

    def client(self, name: aws.Service) -> Any:
        """Return a client with an operator's rights."""
        return self.clients[name]

    def client_of(self, operation: str) -> Callable[[aws.Service], Any]:
        """Return the clients of an operation's function, which may do what the template allows it."""
        names = Names(self.environment)

        def client(service: aws.Service) -> Any:
            return Permitted(self.clients[service], service, operation, names, lambda f, use: self.used.add((f, use)))

        return client

    @property
    def journal(self) -> Journal:
        """The journal with an operator's rights."""
        return Journal(self.client("dynamodb"), self.environment["RELAY_JOURNAL_TABLE"], clock=self.clock)

    @property
    def counters(self) -> Counters:
        """The counts with an operator's rights."""
        return Counters(self.client("dynamodb"), self.environment["RELAY_JOURNAL_TABLE"], clock=self.clock)

    def entries(self) -> list[JournalEntry]:
        """All entries of the journal, whose table also holds counts and reports."""
        items = (unpack_item(item) or {} for item in self.items("journal"))
        return [JournalEntry.from_item(item) for item in items if "result" in item]

    def services(
        self,
        operation: str = "register",
        random: Callable[[], float] = lambda: 0.5,
        *,
        crm: Callable[[Connection], Any] | None = None,
        postpone: Callable[[str, Iterable[dict[str, Any]]], None] | None = None,
    ) -> Services:
        """``crm``: the client of a connection's destination, in place of the vendor's. ``postpone``: in place of
        changing the visibility of messages.
        """
        # The authorizer parks nothing.
        environment = {**self.environment, "RELAY_PARKED": self.environment.get(f"PARKED_{operation}", "")}
        return Services(
            Settings.from_env(environment),
            clock=self.clock,
            monotonic=self.clock,
            sleep=self.clock.sleep,
            random=random,
            client=self.client_of(operation),
            crm=crm,
            postpone=postpone,
        )

    def put_connection(self, id: str, data: dict[str, Any]) -> None:
        """Create the connection's secret, or give it a new version."""
        secrets, name = self.clients["secretsmanager"], f"test/connections/{id}"
        text = json.dumps(data)
        try:
            secrets.create_secret(Name=name, SecretString=text)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=name, SecretString=text)

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take everything out of a queue: ``register`` … or ``parked:register`` …"""
        url = self.environment[_variable(queue)]
        taken: list[dict[str, Any]] = []
        while True:
            got = self.clients["sqs"].receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
            )
            if "Messages" not in got:
                return taken
            for message in got["Messages"]:
                self.clients["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)

    def receive(self, queue: str, count: int = 10) -> dict[str, Any]:
        """Receive messages as Lambda's event source mapping hands them to a function."""
        got = self.clients["sqs"].receive_message(
            QueueUrl=self.environment[_variable(queue)],
            MaxNumberOfMessages=count,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return {"Records": [record(m) for m in got.get("Messages", [])]}

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table: ``state``, ``journal`` or ``idempotency``."""
        name = self.environment[f"RELAY_{table.upper()}_TABLE"]
        items: list[dict[str, Any]] = self.clients["dynamodb"].scan(TableName=name)["Items"]
        return items


def record(message: dict[str, Any]) -> dict[str, Any]:
    """A received message as a record of an SQS event."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": message.get("MessageAttributes", {}),
        "eventSource": "aws:sqs",
        "awsRegion": REGION,
    }


def _variable(queue: str) -> str:
    if queue.startswith("parked:"):
        return f"PARKED_{queue.removeprefix('parked:')}"
    return "RELAY_QUEUE_" + queue.upper().replace("-", "_")


class OneAtATime:
    """A client whose calls come one at a time: moto loses writes of transactions side by side, DynamoDB does not.
    What SQS would refuse is refused.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if name in ("exceptions", "meta") or not callable(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            sqs.enforce(name, kwargs)
            with self._lock:
                return member(*args, **kwargs)

        return call


@cache
def _session() -> Any:
    # It keeps the parsed models of the services, which take most of the time that a client takes.
    return botocore.session.get_session()


def aws_client(service: str, region: str = REGION) -> Any:
    """Return a new client whose requests moto answers inside ``mock_aws``."""
    return _session().create_client(
        service,
        region_name=region,
        config=Config(signature_version=UNSIGNED, user_agent="tests", ignore_configured_endpoint_urls=True),
    )


@cache
def shared_client(service: str, region: str = REGION) -> Any:
    """Return the client of this process; events of it are for ``Stack.watch``."""
    return aws_client(service, region)


_numbers = itertools.count()


@cache
def _resources() -> dict[str, Any]:
    resources: dict[str, Any] = read(TEMPLATE.read_text())["Resources"]
    return resources


@contextmanager
def stack_in_process() -> Iterator[Stack]:
    """A fresh stack in moto; AWS is neither reached nor configured."""
    with mock_aws():
        aws.forget()
        clients = {name: OneAtATime(shared_client(name)) for name in ("dynamodb", "sqs", "secretsmanager")}
        environment = {
            "RELAY_SANDBOX_HOSTS": "127.0.0.1:9",
            **create_resources(clients, str(next(_numbers)), in_process=True),
        }
        stack = Stack(Clock(), environment, clients)
        with stack.ends:
            yield stack
        # Here as well, because a function may catch what a client raises.
        assert [use for use in stack.used if not allowed(*use)] == []


def create_resources(clients: dict[str, Any], suffix: str, *, in_process: bool = False) -> dict[str, str]:
    """The template's tables and queues, and the secret that keys digests; the environment that names them.

    ``in_process``: moto's objects are made without requests, which would take most of the time of making a stack.
    """

    def create(name: str) -> str:
        return queue_of_moto(name) if in_process else str(clients["sqs"].create_queue(QueueName=name)["QueueUrl"])

    def create_table(name: str, properties: dict[str, Any]) -> None:
        given = {key: properties[key] for key in TABLE if key in properties}
        if in_process:
            table_of_moto(name, **given)
        else:
            clients["dynamodb"].create_table(TableName=name, **given)

    environment = {"RELAY_SECRETS_PREFIX": "test", "RELAY_DIGEST_SECRET": "test/digest"}
    resources = _resources()
    for table in ("Idempotency", "State", "Journal"):
        name = f"{table}{suffix}"
        create_table(name, resources[f"{table}Table"]["Properties"])
        environment[f"RELAY_{table.upper()}_TABLE"] = name
    for operation in (*OPERATIONS, "ingest"):
        environment[f"PARKED_{operation}"] = create(f"{operation}-parked-{suffix}")
        if operation != "ingest":
            environment[_variable(operation)] = create(f"{operation}-{suffix}")
    clients["secretsmanager"].create_secret(Name="test/digest", SecretString="a digest key for tests only")
    return environment


def queue_of_moto(name: str) -> str:
    """Make a queue without a request and return its URL."""
    moto_sqs.sqs_backends[ACCOUNT][REGION].create_queue(name)
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


TABLE = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
"""What moto needs of a table in the template."""


def outside(stack: Stack) -> Operators:
    """The stack as commands see it, its clients being those of the tests."""
    outputs = {
        "SecretsPrefix": stack.environment["RELAY_SECRETS_PREFIX"],
        "DigestSecretArn": stack.environment["RELAY_DIGEST_SECRET"],
        "IdempotencyTableName": stack.environment["RELAY_IDEMPOTENCY_TABLE"],
        "StateTableName": stack.environment["RELAY_STATE_TABLE"],
        "JournalTableName": stack.environment["RELAY_JOURNAL_TABLE"],
        "ApiUrl": "https://relay.example.com",
    }
    for operation in (*OPERATIONS, "ingest"):
        name = operation.title().replace("-", "")
        outputs[f"{name}ParkedQueueUrl"] = stack.environment[f"PARKED_{operation}"]
        if operation != "ingest":
            outputs[f"{name}QueueUrl"] = stack.environment[_variable(operation)]
    made = Operators("test", outputs)
    made._clients.update(stack.clients)
    return made
