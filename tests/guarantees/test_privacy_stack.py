"""G7 on the deployed template: samples of every platform with marked people, API calls that succeed and fail, and a
vendor that fails; then every function's log, the services' own log, every table and the attributes of every parked
message are searched.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from devkit.cli.running import RunningRelay
from devkit.localstack.template import read as read_template
from devkit.samples.delivery import deliver, webhook_url
from devkit.samples.fixtures import read
from devkit.sandbox.recording import RecordedRequest
from devkit.stacks.connection_store import new_key, store_of
from loyalty_relay.connections.model import Connection
from loyalty_relay.reliability.journal import Journal
from loyalty_relay.sources import source_module
from tests.guarantees.marking import WORD, Marker, leaks
from tests.sources.samples import load
from tests.support.stack import TEMPLATE

pytestmark = pytest.mark.stack

FUNCTIONS = (
    "ingest",
    "hydrate",
    "register",
    "update",
    "crm-patch",
    "link-store",
    "transaction",
    "import-run",
    "authorize",
)
QUEUES = ("Register", "Update", "CrmPatch", "LinkStore", "Transaction", "ImportRun", "Hydrate", "Ingest")
CUSTOMER = {
    "identifiers": [{"type": "email", "value": f"{WORD.lower()}98@example.com"}],
    "first_name": f"{WORD}98",
    "last_name": f"{WORD}98",
}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningRelay]:
    with RunningRelay.start() as relay:
        relay.connect()
        yield relay


def one_of_each(platform: str) -> Iterator[Any]:
    """The first topic of each kind of thing that the platform's topics become."""
    seen = set()
    for topic in source_module(platform).topics:
        if topic.becomes not in seen:
            seen.add(topic.becomes)
            yield topic


def send_samples(relay: RunningRelay, connections: list[Connection], marker: Marker) -> list[str]:
    """Every platform's samples, rightly and wrongly signed; the deliveries' ids."""
    ids = []
    for connection in {(c.source.platform, c.destination.vendor): c for c in connections}.values():
        platform = connection.source.platform
        for topic in one_of_each(platform):
            marked = marker.sample(load(platform, topic.fixture), shop=topic.becomes == "link-store")
            sample = replace(read(platform, topic), body=marked.body)
            answer = deliver(sample, connection, webhook_url(relay.stack, connection.id, sample))
            assert answer.accepted, (platform, topic.name, answer)
            assert not leaks([("answer", answer.body)], marker, [])
            ids += [answer.delivery_id] if answer.delivery_id else []
            if platform == "shopify":
                wrong = deliver(
                    sample, connection, webhook_url(relay.stack, connection.id, sample), secret="fake-other-secret"
                )
                assert wrong.status == 401
    return ids


def call_the_api(relay: RunningRelay, key: str, connection: str) -> list[str]:
    """Calls that succeed, fail on their own, and meet a vendor that repeats what it was sent; their answers."""
    url = f"{relay.state.api}/connections/{connection}"
    echo = {"errors": [{"code": 77123, "message": f"{WORD}98 {WORD.lower()}98@example.com +447700900998 refused"}]}
    answers = []
    with httpx.Client(headers={"x-api-key": key}, timeout=35) as http:
        answers.append(http.post(f"{url}/customers", json=CUSTOMER, headers={"idempotency-key": f"{WORD}@example.com"}))
        answers.append(http.post(f"{url}/customers", json={**CUSTOMER, "birthday": f"{WORD}"}))
        answers.append(http.put(f"{url}/customers/{WORD}98", json={"first_name": f"{WORD}98"}))
        answers.append(http.post(f"{url}/customers", json=CUSTOMER, headers={"x-api-key": f"{WORD}-wrong-key"}))
        rule = {"vendor": "capillary", "method": "POST", "path": "/v2/customers", "status": 400, "body": echo}
        http.put(f"{relay.state.sandbox}/_sandbox/faults", json=[rule])
        other = {**CUSTOMER, "identifiers": [{"type": "email", "value": f"{WORD.lower()}97@example.com"}]}
        answers.append(http.post(f"{url}/customers", json=other))
        http.delete(f"{relay.state.sandbox}/_sandbox/faults")
    assert [answer.status_code for answer in answers] == [201, 422, 404, 403, 422]
    return [answer.text for answer in answers]


def everything_left(relay: RunningRelay) -> Iterator[tuple[str, str]]:
    for function in FUNCTIONS:
        yield from ((f"log of {function}", line.message) for line in relay.aws.logs(function))
    yield "log of the services", relay.aws.log_file.read_text(errors="replace")
    for table in ("STATE", "JOURNAL", "IDEMPOTENCY"):
        items = relay.aws.client("dynamodb").scan(TableName=relay.state.environment[f"RELAY_{table}_TABLE"])["Items"]
        assert items, table
        yield from ((table.lower(), json.dumps(item, ensure_ascii=False)) for item in items)
    for queue in QUEUES:
        got = relay.aws.client("sqs").receive_message(
            QueueUrl=relay.state.outputs[f"{queue}ParkedQueueUrl"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        for message in got.get("Messages", []):
            yield f"parked {queue}", json.dumps({k: v for k, v in message.items() if k != "Body"}, default=str)


def proofs(requests: list[RecordedRequest]) -> set[str]:
    headers = ("authorization", "x-cap-api-oauth-token", "x-auth-token", "x-application-key")
    found = {r.headers.get(name, "").rpartition(" ")[2] for r in requests for name in headers}
    return {proof for proof in found if len(proof) > 5}


def test_no_person_and_no_secret_is_in_what_the_stack_leaves_behind(running: RunningRelay) -> None:
    store = store_of(running.stack)
    data, key = new_key(store.raw("shopify-capillary"), "sweep")
    store.write("shopify-capillary", data)
    connections = [store.read(name) for name in store.ids()]
    marker = Marker()
    ids = send_samples(running, connections, marker)
    answers = call_the_api(running, key, "shopify-capillary")
    journal = Journal(
        running.aws.client("dynamodb"), running.state.environment["RELAY_JOURNAL_TABLE"], clock=lambda: 0.0
    )
    tick = threading.Event()
    waiting = list(ids)
    for _ in range(400):
        waiting = [delivery for delivery in waiting if not journal.show(delivery)]
        if not waiting:
            break
        tick.wait(0.1)
    assert not waiting, "deliveries without an outcome"

    secrets = proofs(running.sandbox.sandbox.recorder.requests) | {key}
    for connection in connections:
        secrets |= {s.value for s in connection.source.secrets if "PUBLIC KEY" not in s.value}
    left = list(everything_left(running))
    assert sum(len(text) for place, text in left if place.startswith("log of")) > 10_000, "the logs were not found"
    assert leaks([*left, *(("answer", text) for text in answers)], marker, secrets) == []


def test_the_access_log_holds_no_path_header_or_query() -> None:
    """A path names customers; the local stack writes no access log, so the template is asked."""
    api = read_template(TEMPLATE.read_text())["Resources"]["HttpApi"]["Properties"]
    form = api["AccessLogSettings"]["Format"]
    for word in ("path", "header", "querystring", "body", "integration.error", "authorizer.error", "sourceIp"):
        assert word.lower() not in form.replace("authorizer_status", "").lower(), word


@pytest.mark.attack(
    "configuration",
    "a library that logs URLs and headers",
    "libraries write warnings only, and no function raises the root logger's level",
    "G7",
)
def test_no_function_lets_libraries_write_more_than_warnings() -> None:
    """Lambda's JSON log format sets the root logger's level, and libraries then write URLs and headers."""
    resources = read_template(TEMPLATE.read_text())["Resources"]
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert resource["Properties"]["LoggingConfig"].keys() == {"LogGroup"}, name
            variables = resource["Properties"].get("Environment", {}).get("Variables", {})
            assert not variables.keys() & {"POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_DEBUG", "AWS_LAMBDA_LOG_LEVEL"}
