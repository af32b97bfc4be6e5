"""Operations over real tables (in process) and a CRM in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from loyalty_relay.model.commands import (
    Command,
    Credits,
    CustomerRef,
    Envelope,
    Event,
    Identifier,
    RegisterCustomer,
    UpdateCustomer,
    Version,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.outcomes import Outcome
from loyalty_relay.runtime.wiring import Services
from tests.support.crm import FakeCrm
from tests.support.stack import Stack

CONNECTION = {
    "source": {"platform": "shopify", "stores": ["acme.myshopify.com"], "secrets": [{"value": "fake-secret"}]},
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
    "default_country": "GB",
}


@dataclass
class Relay:
    """One connection, its CRM, and commands carried out as the queue would."""

    stack: Stack
    crm: FakeCrm
    services: Services
    numbers: list[int] = field(default_factory=lambda: [0])

    def envelope(self, command: Command, *, id: str | None = None, source: str = "shopify", **more: Any) -> Envelope:
        self.numbers[0] += 1
        number = self.numbers[0]
        event = Event(source=source, topic="customers/update", id=id or f"event-{number}", entity_id="7")
        given = {"delivery_id": f"delivery-{number}", "connection": "shop-1", "event": event, "command": command}
        return Envelope(**{**given, "received_at": self.stack.clock.now, **more})

    @property
    def deadline(self) -> Deadline:
        return Deadline(self.stack.clock.now + 28, self.stack.clock)

    def run(self, command: Command | Envelope, **more: Any) -> Outcome:
        envelope = command if isinstance(command, Envelope) else self.envelope(command, **more)
        return self.services.pipeline.execute(envelope, self.deadline).outcome

    def restarted(self) -> None:
        """The process died: what was in memory is gone, tables and the CRM are not.

        Powertools frees the key of a process that died by the real clock; the test's clock does it here.
        """
        self._forget(lambda item: item["status"]["S"] == "INPROGRESS")
        self.services = _services(self.stack, self.crm)

    def keys_lost(self) -> None:
        """The process died after its commit, before it could complete its key, and its time is over."""
        self._forget(lambda item: True)

    def _forget(self, which: Callable[[dict[str, Any]], bool]) -> None:
        table = self.stack.environment["RELAY_IDEMPOTENCY_TABLE"]
        for item in filter(which, self.stack.items("idempotency")):
            self.stack.client("dynamodb").delete_item(TableName=table, Key={"id": item["id"]})


def _services(stack: Stack, crm: FakeCrm) -> Services:
    return stack.services("update", crm=lambda connection: crm)


@pytest.fixture
def relay(stack: Stack) -> Relay:
    crm = FakeCrm()
    stack.put_connection("shop-1", CONNECTION)
    return Relay(stack, crm, _services(stack, crm))


def version(value: str, time: str = "", event_id: str = "", clock: str = "shopify") -> Version:
    return Version(clock, value, time, event_id)


def customer(
    fields: Mapping[str, Any] | None = None,
    at: str | None = "1",
    *,
    kind: type[RegisterCustomer] | type[UpdateCustomer] = UpdateCustomer,
    email: str | None = "ana@example.com",
    source_id: str | None = "7",
    credits: Credits | None = None,
    **more: Any,
) -> RegisterCustomer | UpdateCustomer:
    """A customer command as a shop's event makes it."""
    identifiers = (Identifier("email", email),) if email else ()
    return kind(
        customer=CustomerRef(source_id=source_id, identifiers=identifiers),
        fields={"first_name": "Ana"} if fields is None else fields,
        credits=credits or Credits(),
        version=version(at) if at is not None else None,
        **more,
    )
