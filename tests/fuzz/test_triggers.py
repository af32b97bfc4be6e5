"""The whole of ingest and of the API: no request ends in a 5xx, and nothing that ingest accepts surprises a worker."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.openapi import ROUTES
from loyalty_relay.sources import platforms
from loyalty_relay.telemetry import logs
from loyalty_relay.triggers.authorizer import authorize
from loyalty_relay.triggers.webhook import Ingest
from tests.fuzz.documents import bodies, fuzz
from tests.fuzz.test_parsers import TEXTS, deliveries
from tests.sources.samples import NOW, document
from tests.support.crm import FakeCrm
from tests.support.stack import stack_in_process
from tests.triggers.conftest import Functions

API = [(name, route) for name, route in sorted(ROUTES.items()) if "/connections" in name]


@pytest.fixture(scope="module")
def functions() -> Iterator[Functions]:
    """A stack with one connection per platform, in which every unforeseen error is a failure of the test."""

    def unexpected(event: str, problem: BaseException, **keys: Any) -> None:
        raise AssertionError(f"{event}: unforeseen") from problem

    with pytest.MonkeyPatch.context() as patch, stack_in_process() as stack:
        patch.setattr(logs, "unexpected", unexpected)
        stack.clock.now = NOW
        for platform in platforms():
            data = document(platform, "capillary", default_country="GB")
            stack.put_connection(platform, data)
        stack.put_connection("shop-1", document("standard", "kangaroo", default_country="GB"))
        yield Functions(stack, FakeCrm())


def worked_off(functions: Functions) -> None:
    """Work off every queue but hydrate's, whose platforms are not there."""
    functions.stack.messages("hydrate")
    for operation in ("register", "update", "crm-patch", "link-store", "transaction"):
        while (
            functions.stack.client("sqs").get_queue_attributes(
                QueueUrl=functions.stack.environment["RELAY_QUEUE_" + operation.upper().replace("-", "_")],
                AttributeNames=["ApproximateNumberOfMessages"],
            )["Attributes"]["ApproximateNumberOfMessages"]
            != "0"
        ):
            functions.consume(operation)


@pytest.mark.parametrize("platform", platforms())
@fuzz(3)
@given(data=st.data())
def test_ingest(functions: Functions, platform: str, data: st.DataObject) -> None:
    request = data.draw(deliveries(platform))
    path = data.draw(st.just(platform) | st.just(platform) | st.just(platform) | TEXTS)
    event = {
        "version": "2.0",
        "rawPath": f"/webhooks/{path}",
        "headers": dict(request.headers),
        "queryStringParameters": data.draw(st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2)),
        "pathParameters": {"connection": path, **({"topic": request.topic} if request.topic else {})},
        "requestContext": {"http": {"method": data.draw(st.sampled_from(("POST", "POST", "POST", "GET", "OPTIONS")))}},
        "body": base64.b64encode(request.body).decode(),
        "isBase64Encoded": True,
    }
    answer = Ingest(functions.services("ingest")).answer(event)
    assert answer["statusCode"] < 500, answer
    worked_off(functions)


@pytest.mark.parametrize(("name", "route"), API, ids=[name for name, _ in API])
@fuzz(3)
@given(data=st.data())
def test_api(functions: Functions, name: str, route: dict[str, Any], data: st.DataObject) -> None:
    headers = data.draw(st.sampled_from(({}, {"prefer": "respond-async"}, {"idempotency-key": "k"})))
    raw = data.draw(bodies([route["example"]])).decode("utf-8", "replace") if "example" in route else None
    path: dict[str, Any] = {
        part[1:-1]: data.draw(TEXTS) for part in name.split("/") if part[:1] == "{" and part != "{connection}"
    }
    operation = "crm-patch" if "crm-fields" in name or "tags" in name else "link-store" if "store" in name else "update"
    status, body, _ = functions.call(name, headers=dict(headers), operation=operation, raw=raw, **path)
    assert status < 500, body
    worked_off(functions)


@fuzz(20)
@given(key=TEXTS, path=TEXTS, connection=st.none() | TEXTS | st.sampled_from(platforms()))
def test_authorizer(functions: Functions, key: str, path: str, connection: str | None) -> None:
    event = {
        "headers": {"x-api-key": key},
        "rawPath": path,
        "pathParameters": connection and {"connection": connection},
    }
    assert authorize(event, functions.services("register").connections) == {"isAuthorized": False}
