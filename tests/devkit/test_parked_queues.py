"""Parked work: looked at without being lost, copies as one, redriven under a new attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from devkit.queries.parked_queues import Parked, ParkedFilters, ParkedQueues
from devkit.stacks.errors import CommandError
from loyalty_relay.model.commands import CustomerRef, Envelope, Event, RegisterCustomer
from tests.support.stack import aws_client

ENVELOPE = Envelope(
    delivery_id="0199-delivery",
    connection="shop-gb",
    event=Event(source="shopify", topic="customers/create", id="event-1", entity_id="7"),
    command=RegisterCustomer(customer=CustomerRef(source_id="7"), fields={"first_name": "Ana"}),
    received_at=1000.0,
)


class Queues:
    """Real queues of moto's SQS: one operation's queue, its dead-letter queue, and that of ingest."""

    def __init__(self) -> None:
        self.sqs = aws_client("sqs")
        self.register = self.sqs.create_queue(QueueName="register")["QueueUrl"]
        self.parked = self.sqs.create_queue(QueueName="register-parked")["QueueUrl"]
        self.ingest = self.sqs.create_queue(QueueName="ingest-parked")["QueueUrl"]
        self.reader = ParkedQueues(self.sqs, {"register": self.parked, "ingest": self.ingest})

    def park(self, envelope: Envelope, **attributes: str) -> None:
        self.send(self.parked, envelope.to_json(), attributes)

    def send(self, queue: str, body: str, attributes: dict[str, str]) -> None:
        self.sqs.send_message(
            QueueUrl=queue,
            MessageBody=body,
            MessageAttributes={n: {"DataType": "String", "StringValue": v} for n, v in attributes.items()},
        )

    def waiting(self, queue: str) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield Queues()


def test_looking_gives_everything_back(queues: Queues) -> None:
    for number in range(23):
        queues.park(replace(ENVELOPE, event=replace(ENVELOPE.event, id=f"event-{number}")), reason="rejected")

    with queues.reader.opened() as parked:
        seen = len(parked)
        hidden = queues.waiting(queues.parked)

    assert (seen, hidden) == (23, [])
    with queues.reader.opened() as again:
        assert len(again) == 23


def test_everything_is_given_back_when_the_reader_fails(queues: Queues) -> None:
    queues.park(ENVELOPE, reason="rejected")

    with pytest.raises(RuntimeError), queues.reader.opened():
        raise RuntimeError("interrupted")

    assert len(queues.waiting(queues.parked)) == 1


def test_copies_of_one_command_are_one_piece_of_work_whatever_their_redrive(queues: Queues) -> None:
    queues.park(ENVELOPE, reason="rejected", code="3217", attempts="1", detail="no")
    queues.park(ENVELOPE, reason="rejected", code="3217", attempts="1")
    queues.park(ENVELOPE.redriven(), reason="ambiguous", receives="4")
    queues.park(replace(ENVELOPE, position=1), reason="rejected")

    with queues.reader.opened() as parked:
        found = {p.id: p for p in parked}

    assert set(found) == {"0199-delivery.0", "0199-delivery.1"}
    assert len(found["0199-delivery.0"].messages) == 3
    assert (found["0199-delivery.0"].reason, found["0199-delivery.0"].receives) == ("ambiguous", 4)


@pytest.mark.parametrize("name", ["receives", "attempts"])
def test_receives_are_read_under_the_name_of_this_and_of_earlier_versions(queues: Queues, name: str) -> None:
    queues.park(ENVELOPE, reason="rejected", **{name: "7"})

    with queues.reader.opened() as parked:
        assert [p.receives for p in parked] == [7]


def test_what_the_queue_moved_by_itself_is_crashed(queues: Queues) -> None:
    queues.park(ENVELOPE)

    with queues.reader.opened() as parked:
        assert [(p.reason, p.connection, p.topic) for p in parked] == [("crashed", "shop-gb", "customers/create")]


def test_a_redrive_sends_a_new_attempt_and_leaves_nothing_parked(queues: Queues) -> None:
    queues.park(ENVELOPE, reason="rejected")
    queues.park(ENVELOPE.redriven(), reason="rejected")

    with queues.reader.opened() as parked:
        queues.reader.redrive(parked[0], queues.register)

    sent = [Envelope.from_json(m["Body"]) for m in queues.waiting(queues.register)]
    assert sent == [replace(ENVELOPE, redrives=2)]
    assert sent[0].key not in (ENVELOPE.key, ENVELOPE.redriven().key)
    assert queues.waiting(queues.parked) == []


def test_a_redrive_that_crashed_halfway_is_repeated_under_the_same_key(queues: Queues) -> None:
    queues.park(ENVELOPE, reason="rejected")
    real = queues.reader.delete
    crash = RuntimeError("killed between send and delete")

    def killed(parked: object) -> None:
        raise crash

    queues.reader.delete = killed  # type: ignore[method-assign]
    with pytest.raises(RuntimeError), queues.reader.opened() as parked:
        queues.reader.redrive(parked[0], queues.register)
    queues.reader.delete = real  # type: ignore[method-assign]
    with queues.reader.opened() as parked:
        queues.reader.redrive(parked[0], queues.register)

    sent = [Envelope.from_json(m["Body"]) for m in queues.waiting(queues.register)]
    assert len(sent) == 2
    assert len({e.key for e in sent}) == 1


def test_what_holds_no_command_is_listed_and_not_redriven_as_one(queues: Queues) -> None:
    queues.send(
        queues.ingest,
        json.dumps({"body": "bm90IGpzb24=", "topic": "customers/create"}),
        {"reason": "not_json", "connection": "shop-gb", "delivery_id": "0199-raw"},
    )
    queues.send(queues.parked, "???", {"reason": "unreadable", "message_id": "m-1"})

    with queues.reader.opened() as parked:
        found = {p.reason: p for p in parked}
        raw = found["not_json"]
        assert (raw.id, raw.operation, raw.connection, raw.envelope) == ("0199-raw", "ingest", "shop-gb", None)
        with pytest.raises(CommandError, match="no command"):
            queues.reader.redrive(found["unreadable"], queues.register)

    assert len(queues.waiting(queues.parked)) == 1


def matching(parked: list[Parked], **filters: str) -> list[Parked]:
    return [p for p in parked if ParkedFilters(**filters).match(p)]


def test_work_is_chosen_by_connection_reason_and_id(queues: Queues) -> None:
    queues.park(ENVELOPE, reason="rejected")
    queues.park(replace(ENVELOPE, connection="shop-fr", delivery_id="0199-other"), reason="ambiguous")

    with queues.reader.opened() as parked:
        assert [p.connection for p in matching(parked, connection="shop-fr")] == ["shop-fr"]
        assert [p.connection for p in matching(parked, reason="rejected")] == ["shop-gb"]
        assert [p.connection for p in matching(parked, one="0199-other")] == ["shop-fr"]
        assert [p.connection for p in matching(parked, one="0199-delivery.0")] == ["shop-gb"]
        assert matching(parked, one="0199-delivery.0", connection="shop-fr") == []


def test_the_depth_counts_hidden_messages_too(queues: Queues) -> None:
    queues.park(ENVELOPE, reason="rejected")
    queues.park(replace(ENVELOPE, position=1), reason="rejected")
    queues.sqs.receive_message(QueueUrl=queues.parked, MaxNumberOfMessages=1, VisibilityTimeout=60)

    assert queues.reader.depth() == 2
