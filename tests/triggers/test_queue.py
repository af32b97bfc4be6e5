"""Queue messages: each record of a batch has its own end, and none is lost."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from loyalty_relay.model.commands import CustomerRef, Envelope, Event, Identifier, RetireCustomer, UpdateCustomer
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    ConnectionFailed,
    CredentialsRefused,
    NoSlot,
    RateLimited,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.reliability import retry_policy
from loyalty_relay.triggers.queue import consume
from tests.pipeline.conftest import CONNECTION, version
from tests.support.stack import Context, Stack
from tests.support.tables import Counted
from tests.triggers.conftest import Functions


def envelope(number: int = 1, **more: Any) -> Envelope:
    who = CustomerRef(source_id=str(number), identifiers=(Identifier("email", f"c{number}@example.com"),))
    given: dict[str, Any] = {
        "delivery_id": f"delivery-{number}",
        "connection": "shop-1",
        "event": Event(source="shopify", topic="customers/update", id=f"e{number}", entity_id=str(number)),
        "command": UpdateCustomer(customer=who, fields={"first_name": "Ana"}, version=version("1")),
        "received_at": 1_790_000_000.0,
    }
    return Envelope(**{**given, **more})


def send(functions: Functions, *envelopes: Envelope | str) -> None:
    services = functions.services("update")
    for each in envelopes:
        body = each if isinstance(each, str) else each.to_json()
        services.sqs.send_message(QueueUrl=services.settings.queue("update"), MessageBody=body)


def journal(functions: Functions, number: int = 1) -> list[tuple[str, str]]:
    entries = functions.stack.journal.show(f"delivery-{number}")
    return [(entry.result.value, entry.reason) for entry in entries]


def test_a_batch_of_customers_is_applied_and_acknowledged(functions: Functions) -> None:
    send(functions, *(envelope(n) for n in range(5)))
    assert functions.consume("update") == {"batchItemFailures": []}
    assert len(functions.crm.members) == 5
    assert [journal(functions, n) for n in range(5)] == [[("applied", "")]] * 5


def test_a_copy_of_an_event_is_a_duplicate(functions: Functions) -> None:
    send(functions, envelope())
    functions.consume("update")
    send(functions, replace(envelope(), delivery_id="delivery-2"))
    functions.consume("update")
    assert len(functions.crm.calls) == 2, "find and register, once"
    assert journal(functions, 2) == [("duplicate", "applied")]


def test_a_redelivered_message_does_not_hide_its_first_outcome(functions: Functions) -> None:
    send(functions, envelope(), envelope())
    functions.consume("update")
    functions.consume("update")
    assert journal(functions) == [("applied", "")]


def test_only_the_record_that_failed_comes_back(functions: Functions) -> None:
    send(functions, envelope(1), envelope(2))
    functions.crm.before = [UpstreamUnavailable()]
    assert len(functions.consume("update")["batchItemFailures"]) == 1
    assert sorted(journal(functions, 1) + journal(functions, 2)) == [("applied", ""), ("retrying", "unavailable")]
    assert [functions.stack.journal.show(f"delivery-{n}")[0].receives for n in (1, 2)] == [1, 1]


def test_a_permanent_error_is_parked_at_once_with_all_that_helps(functions: Functions) -> None:
    functions.crm.before = [VendorRejected("mobile validation failed", code="8014", request_id="cap-1")]
    send(functions, envelope())
    assert functions.consume("update") == {"batchItemFailures": []}
    (parked,) = functions.stack.messages("parked:update")
    attributes = {name: value["StringValue"] for name, value in parked["MessageAttributes"].items()}
    assert Envelope.from_json(parked["Body"]) == envelope()
    assert (attributes["reason"], attributes["code"], attributes["delivery_id"], attributes["receives"]) == (
        "rejected",
        "8014",
        "delivery-1",
        "1",
    )
    assert journal(functions) == [("parked", "rejected")]


def test_a_parked_event_is_parked_once_however_often_it_comes(functions: Functions) -> None:
    for number in range(3):
        functions.crm.before = [VendorRejected("no", code="8014")]
        send(functions, replace(envelope(), delivery_id=f"delivery-{number}"))
        functions.consume("update")
    assert len(functions.stack.messages("parked:update")) == 1


def test_redriven_work_is_carried_out_and_not_taken_for_a_duplicate(functions: Functions) -> None:
    functions.crm.before = [VendorRejected("no", code="8014")]
    send(functions, envelope())
    functions.consume("update")
    (parked,) = functions.stack.messages("parked:update")
    send(functions, Envelope.from_json(parked["Body"]).redriven())
    functions.consume("update")
    assert journal(functions) == [("applied", "")]


def test_a_redrive_that_fails_again_is_parked_again_once(functions: Functions) -> None:
    for again in range(2):
        functions.crm.before = [VendorRejected("no", code="8014")]
        send(functions, replace(envelope(), redrives=again))
        functions.consume("update")
    assert len(functions.stack.messages("parked:update")) == 2


def test_refused_credentials_park_nothing_and_stop_the_traffic(functions: Functions) -> None:
    functions.crm.before = [CredentialsRefused()]
    send(functions, envelope(1))
    functions.consume("update")
    send(functions, envelope(2))
    functions.consume("update")
    assert functions.stack.messages("parked:update") == []
    assert [call[0] for call in functions.crm.calls] == ["find", "register"], "the circuit is open"
    assert journal(functions, 2) == [("retrying", "circuit_open")]


def test_a_bug_of_ours_loses_nothing(functions: Functions) -> None:
    functions.crm.before = [ZeroDivisionError()]
    send(functions, envelope())
    assert len(functions.consume("update")["batchItemFailures"]) == 1
    assert functions.stack.messages("parked:update") == []


@pytest.mark.parametrize("body", ["", "no json", "{}", json.dumps({"schema": 99}), "[1]"])
def test_a_message_that_is_no_envelope_is_parked_as_it_is(functions: Functions, body: str) -> None:
    send(functions, body or " ")
    assert functions.consume("update") == {"batchItemFailures": []}
    (parked,) = functions.stack.messages("parked:update")
    assert parked["Body"] == (body or " ")


def test_an_unknown_connection_waits_instead_of_being_lost(functions: Functions) -> None:
    send(functions, replace(envelope(), connection="gone"))
    assert len(functions.consume("update")["batchItemFailures"]) == 1


def test_the_horizon_parks_what_was_tried_for_three_days(functions: Functions) -> None:
    services = functions.services("update")
    _, entry = services.pipeline.recorder.failed(envelope(), UpstreamUnavailable(), Result.RETRYING)
    services.journal.retrying(entry, waiting=retry_policy.HORIZON)
    functions.crm.before = [UpstreamUnavailable()]
    send(functions, envelope())
    assert functions.consume("update") == {"batchItemFailures": []}
    assert journal(functions) == [("parked", "unavailable")]


def test_what_is_on_its_way_to_being_parked_is_reported(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    send(functions, envelope())
    functions.crm.before = [UpstreamUnavailable()]
    capsys.readouterr()
    functions.consume("update", receives=retry_policy.NEAR_RECEIVES)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "NearBound" in line]
    assert [(line["bound"], line["connection"], line["delivery_id"]) for line in lines] == [
        ("receives", "shop-1", "delivery-1")
    ]


def test_the_last_receive_parks_with_the_reason(functions: Functions) -> None:
    send(functions, envelope())
    functions.crm.before = [CredentialsRefused()] * 2
    assert functions.consume("update", receives=retry_policy.MAX_RECEIVES) == {"batchItemFailures": []}
    (parked,) = functions.stack.messages("parked:update")
    attributes = {name: value["StringValue"] for name, value in parked["MessageAttributes"].items()}
    assert (attributes["reason"], attributes["receives"]) == ("credentials", str(retry_policy.MAX_RECEIVES))


def test_a_batch_that_ends_in_the_last_second_is_reported(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    send(functions, envelope())
    functions.consume("update", seconds=0.5)
    assert '"bound":"time"' in capsys.readouterr().out


def test_waiting_for_a_limit_does_not_use_up_the_horizon(functions: Functions) -> None:
    functions.crm.before = [RateLimited(retry_after=5)]
    send(functions, envelope())
    functions.consume("update")
    entry = functions.stack.journal.show("delivery-1")[0]
    services = functions.services("update")
    _, counted = services.pipeline.recorder.failed(envelope(), ConnectionFailed(), Result.RETRYING)
    assert services.journal.retrying(counted, waiting=10) == 10
    assert entry.reason == "rate_limited"


def test_an_event_that_waits_names_its_next_attempt_and_one_that_is_done_does_not(functions: Functions) -> None:
    functions.crm.before = [RateLimited(retry_after=5)]
    send(functions, envelope())
    functions.consume("update")
    (waiting,) = functions.stack.journal.show("delivery-1")
    assert waiting.next_at is not None
    assert 5 <= waiting.next_at - functions.stack.clock.now <= 10

    services = functions.services("update")
    services.journal.write(replace(waiting, result=Result.APPLIED, next_at=None))
    (done,) = functions.stack.journal.show("delivery-1")
    assert (done.result, done.next_at) == (Result.APPLIED, None)


def test_a_tombstone_makes_older_events_stale(functions: Functions) -> None:
    who = CustomerRef(source_id="1", identifiers=(Identifier("email", "c1@example.com"),))
    retire = RetireCustomer(customer=who, reason="deleted", version=version("5"))
    event = Event(source="shopify", topic="customers/delete", id="d", entity_id="1")
    send(functions, envelope(delivery_id="delivery-9", command=retire, event=event))
    functions.consume("update")
    send(functions, envelope(1))
    functions.consume("update")
    assert journal(functions, 9) == [("applied", "customer_deleted")]
    assert journal(functions, 1) == [("stale", "customer_deleted")]
    assert functions.crm.calls == []


def test_every_entry_about_a_customer_is_found_by_that_customer(functions: Functions) -> None:
    """Also those of executions that never took the guard: copies, waits and parked commands."""
    send(functions, envelope())
    functions.consume("update")
    send(functions, replace(envelope(), delivery_id="delivery-2"))
    functions.consume("update")
    functions.crm.before = [UpstreamUnavailable()]
    other = Event(source="shopify", topic="customers/update", id="e2", entity_id="1")
    later = replace(envelope().command, version=version("2"), fields={"first_name": "Eva"})  # type: ignore[call-arg]
    send(functions, replace(envelope(), delivery_id="delivery-3", event=other, command=later))
    functions.consume("update")
    services = functions.services("update")
    known = services.customers.customer_hash("shop-1", "source_id", "1")
    assert {e.result.value for e in functions.stack.journal.by_customer(known)} == {"applied", "duplicate", "retrying"}


class Throttled:
    """SQS, but visibility cannot be changed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def change_message_visibility_batch(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "ChangeMessageVisibilityBatch")


def test_a_wait_that_cannot_be_set_costs_the_wait_and_not_the_batch(functions: Functions) -> None:
    send(functions, envelope(1), envelope(2))
    functions.crm.before = [UpstreamUnavailable()]
    event = functions.stack.receive("update")
    services = functions.services("update")
    services.sqs = Throttled(services.sqs)
    reply = consume(event, Context(30), "update", services)
    assert len(reply["batchItemFailures"]) == 1
    assert sorted(journal(functions, 1) + journal(functions, 2)) == [("applied", ""), ("retrying", "unavailable")]


def test_an_attempt_without_a_slot_costs_one_request_and_leaves_nothing(stack: Stack) -> None:
    document: dict[str, Any] = copy.deepcopy(CONNECTION)
    document["destination"]["requests_per_minute"] = {"v2-update": 1}
    stack.put_connection("shop-1", document)
    services = stack.services("update")
    services.dynamodb = dynamodb = Counted(services.dynamodb)
    live = services.connections.get("shop-1").destination
    limiter = services.pacing.limiter(live.key, live.requests_per_minute)
    limiter.acquire("v2-update", Deadline(stack.clock.now + 30, stack.clock))

    for number in (1, 2):
        dynamodb.reset()
        services.sqs.send_message(QueueUrl=services.settings.queue("update"), MessageBody=envelope(number).to_json())
        event = stack.receive("update")
        assert len(consume(event, Context(30), "update", services)["batchItemFailures"]) == 1

    # The first one has read the circuits, which are cached.
    assert dynamodb.calls == ["update_item"]
    assert stack.items("journal") == stack.items("idempotency") == []
    assert {item["pk"]["S"][:2] for item in stack.items("state")} == {"R#"}


def test_a_slot_that_is_missing_after_something_was_done_is_journalled(functions: Functions) -> None:
    send(functions, envelope())
    functions.crm.before = [NoSlot(retry_after=3, reached=True)]
    functions.consume("update")
    assert journal(functions) == [("retrying", "rate_limited")]


def test_a_batch_is_counted_with_one_write(functions: Functions) -> None:
    asked: list[str] = []
    functions.stack.watch("before-call", lambda model, params, **_: asked.append(str(params.get("body", ""))))
    received = functions.stack.clock()
    send(functions, *(envelope(n, received_at=received) for n in range(5)))
    functions.consume("update")
    assert len([body for body in asked if "counts#" in body]) == 1
    (hour,) = functions.stack.counters.hours("shop-1")
    assert (hour.outcomes, sum(hour.latencies.values())) == ({("update", "applied"): 5}, 5)


def test_counts_wait_for_the_next_batch_where_the_invocation_is_about_to_end(functions: Functions) -> None:
    services = functions.services("update")
    late = envelope(received_at=functions.stack.clock())
    services.journal.write(services.pipeline.recorder.entry(late, Outcome(result=Result.STALE)))
    services.write_counts(left=4.0)
    assert functions.stack.counters.hours("shop-1") == []
    services.write_counts(left=28.0)
    assert [hour.outcomes for hour in functions.stack.counters.hours("shop-1")] == [{("update", "stale"): 1}]
