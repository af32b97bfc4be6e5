"""ingest over the stack's own secrets, queues and tables, in process; and what a cold start loads."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.triggers.webhook import Ingest
from tests.sources.samples import NOW, SECRETS, document, load
from tests.support.stack import Stack
from tests.triggers.test_webhook import gateway_event

ROOT = Path(__file__).resolve().parents[2]
INGEST = ROOT / "events" / "ingest"
ANSWERS = {
    "shopify-text": (200, "register"),
    "shopify-base64": (200, "update"),
    "shopify-rest-api": (200, "register"),
    "standard-topic-path": (200, "register"),
    "shopify-tampered": (401, None),
    "preflight": (401, None),
}


@pytest.fixture
def ingest(stack: Stack) -> Ingest:
    stack.clock.now = NOW
    stack.put_connection("shop", document("shopify"))
    stack.put_connection("till", document("standard"))
    return Ingest(stack.services("ingest"))


def post(ingest: Ingest, fixture: str, to: str = "shop") -> dict[str, Any]:
    request = load("shopify" if to == "shop" else "standard", fixture).signed()
    return ingest.answer(gateway_event(request.headers, request.body, to))


@pytest.fixture
def samples(stack: Stack) -> None:
    """The sample connections that the sample events name."""
    stack.environment["RELAY_SANDBOX_HOSTS"] = "127.0.0.1:9"
    for name in ("shopify-capillary", "standard-capillary"):
        text = (ROOT / "events" / "connections" / f"{name}.json").read_text()
        stack.put_connection(name, json.loads(text.replace("${RELAY_SANDBOX_URL}", "http://127.0.0.1:9")))


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("path", sorted(INGEST.glob("*.json")), ids=lambda path: path.stem)
def test_each_sample_event_gets_its_response(stack: Stack, ingest: Ingest, path: Path) -> None:
    status, operation = ANSWERS[path.stem]
    assert ingest.answer(json.loads(path.read_text()))["statusCode"] == status
    for name in ("register", "update", "crm-patch", "link-store", "transaction", "import-run", "hydrate"):
        assert len(stack.messages(name)) == (1 if name == operation else 0)


def test_every_answer_has_a_sample_event() -> None:
    assert {path.stem for path in INGEST.glob("*.json")} == ANSWERS.keys()


def test_a_message_carries_the_envelope_and_its_connections_group(stack: Stack, ingest: Ingest) -> None:
    answer = post(ingest, "customers-create")
    (message,) = stack.messages("register")
    envelope = Envelope.from_json(message["Body"])
    assert envelope.delivery_id == answer["headers"]["x-relay-delivery"]
    assert message["Attributes"]["MessageGroupId"] == "shop"


def test_an_ignored_delivery_is_in_the_journal_without_personal_data(stack: Stack, ingest: Ingest) -> None:
    post(ingest, "customers-data-request")
    (entry,) = stack.entries()
    assert (entry.result.value, entry.reason) == ("ignored", "data_request")
    assert "ana.nunez" not in json.dumps(stack.items("journal"))


def test_an_unreadable_delivery_is_parked_with_its_reason_and_can_be_redriven(stack: Stack, ingest: Ingest) -> None:
    sample = load("shopify", "customers-create").changed(updated_at=...)
    request = sample.signed()
    assert ingest.answer(gateway_event(request.headers, request.body))["statusCode"] == 200
    (message,) = stack.messages("parked:ingest")
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes["reason"] == "topic_mismatch"
    assert attributes["connection"] == "shop"
    parked = json.loads(message["Body"])
    assert zlib.decompress(base64.b64decode(parked["body"])) == request.body
    assert [entry.result.value for entry in stack.entries()] == ["parked"]
    assert ingest.redrive(parked)["outcome"] == "parked"


def test_a_rotated_secret_refuses_no_delivery_on_either_side(stack: Stack, ingest: Ingest) -> None:
    new = document("shopify")
    new["source"]["secrets"] = [{"value": "fake-rotated-secret"}]
    assert post(ingest, "customers-create")["statusCode"] == 200
    stack.put_connection("shop", new)
    assert post(ingest, "customers-update")["statusCode"] == 200
    request = load("shopify", "customers-enable").signed("fake-rotated-secret")
    stack.clock.now += 61
    assert ingest.answer(gateway_event(request.headers, request.body))["statusCode"] == 200
    assert post(ingest, "customers-disable")["statusCode"] == 200
    assert len(stack.messages("register") + stack.messages("update")) == 4


def test_an_unknown_connection_is_read_once_a_minute_and_looks_like_a_wrong_secret(ingest: Ingest) -> None:
    request = load("shopify", "customers-create").signed()
    unknown = ingest.answer(gateway_event(request.headers, request.body, "nosuch"))
    forged = ingest.answer(gateway_event({**request.headers, "x-shopify-hmac-sha256": "A" * 44}, request.body))
    assert unknown == forged


def test_a_lost_queue_is_a_503(stack: Stack) -> None:
    stack.clock.now = NOW
    stack.put_connection("shop", document("shopify"))
    stack.environment["RELAY_QUEUE_REGISTER"] += "-gone"
    assert post(Ingest(stack.services("ingest")), "customers-create")["statusCode"] == 503


def test_one_delivery_takes_one_request_to_aws_once_the_connection_is_known(stack: Stack, ingest: Ingest) -> None:
    post(ingest, "customers-create")
    asked: list[str] = []
    stack.watch("before-call", lambda model, **_: asked.append(model.name))
    post(ingest, "customers-update")
    assert asked == ["SendMessageBatch"]
    asked.clear()
    post(ingest, "customers-data-request")
    assert asked == ["PutItem", "UpdateItem"], "the journal, and the hour's counts"


# -- delivery ids ---------------------------------------------------------------------------------------------------


def test_delivery_ids_are_version_7_and_sort_by_time() -> None:
    import uuid

    ids = [new_delivery_id(NOW + step / 1000) for step in range(50)]
    assert ids == sorted(ids)
    for number, text in enumerate(ids):
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)
        assert parsed.int >> 80 == int((NOW + number / 1000) * 1000)
    assert new_delivery_id(NOW) != new_delivery_id(NOW)
    zero = new_delivery_id(0.0, lambda count: b"\x00" * count)
    assert zero == "00000000-0000-7000-8000-000000000000"
    assert new_delivery_id(0.0, lambda count: b"\xff" * count) == "00000000-0000-7fff-bfff-ffffffffffff"


# -- cold start -----------------------------------------------------------------------------------------------------

COLD = """
import sys
from loyalty_relay.triggers import webhook
from loyalty_relay.sources import source_module
source_module("shopify")
heavy = ("pydantic", "httpx", "phonenumbers", "jmespath", "boto3", "botocore", "aws_lambda_powertools",
         "loyalty_relay.operations", "loyalty_relay.clients", "loyalty_relay.sources.standard")
print(sorted(name for name in sys.modules if name.startswith(heavy)))
"""


def test_a_cold_start_loads_nothing_that_ingest_may_not_need() -> None:
    command = [sys.executable, "-c", COLD]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "layers" / "relay")}
    )
    assert done.stdout.strip() == "[]"


def test_only_the_secret_of_the_connection_counts(ingest: Ingest) -> None:
    shopify = load("shopify", "customers-create")
    request = shopify.signed(SECRETS["standard"])
    assert ingest.answer(gateway_event(request.headers, request.body))["statusCode"] == 401
    crossed = replace(load("standard", "customer-created")).signed()
    assert ingest.answer(gateway_event(crossed.headers, crossed.body, "shop"))["statusCode"] == 401


def test_what_needs_nothing_is_counted_with_a_write_of_its_own(stack: Stack, ingest: Ingest) -> None:
    post(ingest, "customers-create")
    post(ingest, "customers-data-request")
    (hour,) = stack.counters.hours("shop")
    assert hour.outcomes == {("ingest", "ignored"): 1}


def test_refused_deliveries_are_counted_with_the_next_authentic_one(stack: Stack, ingest: Ingest) -> None:
    request = load("shopify", "customers-create").signed()
    for to in ("shop", "nosuch", "shop"):
        forged = gateway_event({**request.headers, "x-shopify-hmac-sha256": "A" * 44}, request.body, to)
        assert ingest.answer(forged)["statusCode"] == 401
    assert stack.items("journal") == [], "a refusal has no effect"
    post(ingest, "customers-create")
    assert [hour.refused for hour in stack.counters.hours("shop")] == [2]
    assert stack.counters.hours("nosuch") == []
