"""The dead-letter queue: what cannot succeed is kept once, with all that helps to judge it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.model.commands import CustomerRef, Envelope, Event, UpdateCustomer
from loyalty_relay.model.errors import StoreUnavailable, VendorRejected
from loyalty_relay.reliability.dead_letters import KEPT
from loyalty_relay.triggers.enqueue import ATTRIBUTES, MAX_BYTES
from tests.support.stack import Stack
from tests.support.tables import Counted

ENVELOPE = Envelope(
    delivery_id="d1",
    connection="shop-1",
    event=Event(source="shopify", topic="customers/update", id="e1", entity_id="7"),
    command=UpdateCustomer(customer=CustomerRef(source_id="7"), fields={"first_name": "Ana"}),
)


def test_a_command_is_parked_once_per_key(stack: Stack) -> None:
    parking = stack.services("update").parking
    assert parking.park(ENVELOPE, VendorRejected("no", code="8014"), receives=2)
    assert not parking.park(replace(ENVELOPE, delivery_id="d2"), VendorRejected("no"), receives=1)
    assert parking.park(ENVELOPE.redriven(), VendorRejected("no"), receives=1)
    assert len(stack.messages("parked:update")) == 2


def test_a_crash_between_message_and_marker_parks_twice_rather_than_never(stack: Stack) -> None:
    services = stack.services("update")

    class Dies:
        def __getattr__(self, name: str) -> object:
            if name == "put_item":
                raise SystemExit("killed")
            return getattr(stack.client("dynamodb"), name)

    services.parking._table.dynamodb = Dies()
    with pytest.raises(SystemExit):
        services.parking.park(ENVELOPE, VendorRejected("no"), receives=1)
    stack.services("update").parking.park(ENVELOPE, VendorRejected("no"), receives=1)
    keys = {m["MessageAttributes"]["key"]["StringValue"] for m in stack.messages("parked:update")}
    assert keys == {ENVELOPE.key}


@pytest.mark.parametrize("raw", [False, True], ids=["command", "raw delivery"])
def test_a_crash_before_the_message_was_sent_parks_it_at_the_next_attempt(stack: Stack, raw: bool) -> None:
    """A marker that was written first would stand for a message that nobody has."""

    class Dies:
        def send_message(self, **_: object) -> object:
            raise SystemExit("killed")

    def park() -> bool:
        if raw:
            return services.parking.park_raw({"body": "x"}, "shop-1", "not_json", "d1", "print")
        return services.parking.park(ENVELOPE, VendorRejected("no"), receives=1)

    services = stack.services("update")
    services.parking._sqs = Dies()
    with pytest.raises(SystemExit):
        park()
    services = stack.services("update")
    assert park()
    assert len(stack.messages("parked:update")) == 1


def test_the_marker_ends_before_the_queue_forgets_the_message(stack: Stack) -> None:
    stack.services("update").parking.park(ENVELOPE, VendorRejected("no"), receives=1)
    (marker,) = [i for i in stack.items("state") if i["pk"]["S"].startswith("P#")]
    assert float(marker["expires_at"]["N"]) <= stack.clock.now + KEPT < stack.clock.now + 14 * 86_400
    stack.clock.now += KEPT + 1
    assert stack.services("update").parking.park(ENVELOPE, VendorRejected("no"), receives=1), (
        "although its message is still in the queue"
    )


def test_a_copy_of_an_untranslatable_delivery_is_parked_once(stack: Stack) -> None:
    parking = stack.services("ingest").parking
    assert parking.park_raw({"body": "x"}, "shop-1", "not_json", "d1", "print")
    assert not parking.park_raw({"body": "x"}, "shop-1", "not_json", "d2", "print")
    assert parking.park_raw({"body": "y"}, "shop-1", "not_json", "d3", "other")
    assert len(stack.messages("parked:ingest")) == 2


@pytest.mark.parametrize(
    ("service", "call"), [("sqs", "send_message"), ("dynamodb", "get_item"), ("dynamodb", "put_item")]
)
@pytest.mark.parametrize("code", ["AccessDenied", None])
def test_a_failure_of_queue_or_table_is_an_error_of_the_relay(
    stack: Stack, service: str, call: str, code: str | None
) -> None:
    def client(name: Any) -> Any:
        counted = Counted(stack.client(name))
        if name == service:
            counted.fail(code, only=call)
        return counted

    services = stack.services("update")
    services._client = client
    with pytest.raises(StoreUnavailable, match=code or "EndpointConnectionError"):
        services.parking.park(ENVELOPE, VendorRejected("no"), receives=1)
    record = {"messageId": "m1", "body": "no envelope"}
    if service == "sqs":
        with pytest.raises(StoreUnavailable):
            services.parking.park_unreadable(record, operation="update")


REFUSED_BY_SQS = "\x00\x08\x0b\x1f\ud800\udfff\ufffe\uffff"


def test_a_vendors_text_does_not_hinder_the_parking(stack: Stack) -> None:
    """Every character that SQS refuses, and more text than an attribute may have."""
    text = f"No{REFUSED_BY_SQS} such{''.join(map(chr, range(32)))} member \U0001f642" + "é" * 100_000
    error = VendorRejected(text, code=text, request_id=REFUSED_BY_SQS)
    stack.services("update").parking.park(ENVELOPE, error, receives=1)
    (message,) = stack.messages("parked:update")
    detail = message["MessageAttributes"]["detail"]["StringValue"]
    assert detail.startswith("No such\t\n\r member \U0001f642é")
    assert "request_id" not in message["MessageAttributes"]


def test_the_longest_envelope_can_be_parked_with_its_attributes(stack: Stack) -> None:
    long = replace(ENVELOPE, command=UpdateCustomer(customer=CustomerRef(source_id="7"), fields={"first_name": ""}))
    room = MAX_BYTES - ATTRIBUTES - len(long.to_json().encode())
    long = replace(long, command=UpdateCustomer(customer=CustomerRef(source_id="7"), fields={"first_name": "x" * room}))
    assert len(long.to_json().encode()) == MAX_BYTES - ATTRIBUTES
    stack.services("update").parking.park(long, VendorRejected("é" * 1000, code="c" * 1000), receives=1)
    assert len(stack.messages("parked:update")) == 1
