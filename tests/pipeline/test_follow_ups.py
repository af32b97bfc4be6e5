"""What a command leads to later, with the rights and queues of the deployed functions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.connections.model import Connection
from loyalty_relay.model.commands import (
    CustomerRef,
    Envelope,
    Event,
    Hydrate,
    Identifier,
    RecordRefund,
    RegisterCustomer,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.orders import Order
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.reliability.follow_ups import FollowUps
from loyalty_relay.runtime.wiring import Services
from tests.orders.makers import at, record_refund, record_sale, refund
from tests.sources.samples import document
from tests.support.sales import FakeBooks
from tests.support.stack import Stack

ORDER = "stores/acme:118"


class Functions:
    """The functions of one connection, each with its own rights; the books are the same."""

    def __init__(self, stack: Stack, platform: str, **sales: Any) -> None:
        self.stack, self.books = stack, FakeBooks()
        stack.put_connection("shop", document(platform, "capillary") | {"sales": {"enabled": True, **sales}})
        stack.clock.now = 1_790_000_000.0

    def run(self, operation: str, envelope: Envelope) -> Outcome:
        services: Services = self.stack.services(operation, crm=self._crm)
        deadline = Deadline(self.stack.clock.now + 28, self.stack.clock)
        return services.pipeline.execute(envelope, deadline).outcome

    def _crm(self, connection: Connection) -> FakeBooks:
        return self.books

    def envelope(self, command: Any, number: int) -> Envelope:
        event = Event(source="shop", topic="x", id=f"e-{number}", entity_id="1")
        now = self.stack.clock.now
        return Envelope(delivery_id=f"d-{number}", connection="shop", event=event, command=command, received_at=now)

    def queued(self, operation: str) -> list[Envelope]:
        return [Envelope.from_json(message["Body"]) for message in self.stack.messages(operation)]

    def delayed(self, operation: str) -> int:
        url = self.stack.environment[f"RELAY_QUEUE_{operation.upper()}"]
        name = "ApproximateNumberOfMessagesDelayed"
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(answer["Attributes"][name])


def test_a_refund_without_its_sale_has_the_order_read(stack: Stack) -> None:
    functions = Functions(stack, "bigcommerce")
    outcome = functions.run("transaction", functions.envelope(record_refund(ORDER, refunds=(refund("r", "30"),)), 1))
    assert (outcome.result, outcome.reason) == (Result.RECORDED, "sale_missing")
    assert functions.delayed("transaction") == 1
    waking = RecordRefund(order=Order(id=ORDER))
    functions.run("transaction", functions.envelope(waking, 2))
    (reading,) = functions.queued("hydrate")
    assert isinstance(reading.command, Hydrate)
    assert reading.command.data == {"id": "118"}
    assert reading.event.id == "e-2"
    assert reading.key != functions.envelope(waking, 2).key


def test_a_platform_without_an_order_to_read_is_left_alone(stack: Stack) -> None:
    functions = Functions(stack, "shopify")
    functions.run("transaction", functions.envelope(record_refund(ORDER, refunds=(refund("r", "30"),)), 1))
    assert functions.delayed("transaction") == 0


def test_a_guest_who_registers_has_the_order_queued(stack: Stack) -> None:
    functions = Functions(stack, "shopify", guests="hold")
    guest = CustomerRef(identifiers=(Identifier("email", "gu@example.com"),), unverified=("email",))
    sale = replace(record_sale(version=at(1)), customer=guest, guest=True)
    assert functions.run("transaction", functions.envelope(sale, 1)).reason == "guest_held"
    who = CustomerRef(source_id="5", identifiers=(Identifier("email", "gu@example.com"),))
    signs_up = RegisterCustomer(customer=who, fields={"first_name": "Gu"})
    registered = functions.run("register", functions.envelope(signs_up, 2))
    (released,) = functions.queued("transaction")
    assert released.event.entity_id == "1"
    assert functions.run("transaction", released).result is Result.APPLIED
    assert functions.books.entries[0].loyalty_id == registered.loyalty_id


def test_a_queue_that_does_not_answer_is_a_passing_error() -> None:
    from botocore.exceptions import EndpointConnectionError

    from loyalty_relay.model.errors import StoreUnavailable

    class Down:
        def send_message(self, **arguments: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://sqs.eu-west-1.amazonaws.com")

    envelope = Envelope(
        delivery_id="d",
        connection="shop",
        event=Event(source="s", topic="t", id="e", entity_id="1"),
        command=RecordRefund(order=Order(id="1")),
    )
    with pytest.raises(StoreUnavailable):
        FollowUps(Down, lambda operation: "url").send(envelope)
    assert json.loads(envelope.to_json())["kind"] == "record_refund"
