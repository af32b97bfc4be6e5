"""A source, the relay and a loyalty programme in one process, with a queue that redelivers and processes that die."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from loyalty_relay.model.commands import (
    Command,
    Credits,
    CustomerCommand,
    CustomerRef,
    Envelope,
    Event,
    Identifier,
    Version,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import TransientError
from loyalty_relay.model.outcomes import Outcome
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.wiring import Services
from loyalty_relay.storage.table import unpack_item
from loyalty_relay.triggers.queue import consume
from tests.faults.dying import Death, Fate, Mortal
from tests.faults.time_of_keys import keys_age_by
from tests.support.crm import FakeCrm
from tests.support.stack import Context, Stack, stack_in_process

CONNECTION = "shop-1"
VISIBILITY = 180.0
"""Seconds until a message whose process died is received again: six times the function's time-out."""


@dataclass
class MortalCrm(FakeCrm):
    """A programme, asked by processes that may die before or after the effect of a request."""

    fate: Fate = field(default_factory=Fate)
    outage: Callable[[], BaseException | None] = lambda: None
    """What every request fails with now, before it has an effect."""
    asked: int = 0
    """Requests, failed ones included."""

    def _ask(self, make: Callable[[], Any], *, writes: bool = False) -> Any:
        self.asked += 1
        error = self.outage()
        if error is not None:
            raise error
        return self.fate.request(make, writes=writes)

    def find(self, *args: Any) -> Any:
        return self._ask(lambda: FakeCrm.find(self, *args))

    def register(self, *args: Any) -> Any:
        return self._ask(lambda: FakeCrm.register(self, *args), writes=True)

    def update(self, *args: Any, **more: Any) -> Any:
        return self._ask(lambda: FakeCrm.update(self, *args, **more), writes=True)

    def patch_crm_fields(self, *args: Any, **more: Any) -> Any:
        return self._ask(lambda: FakeCrm.patch_crm_fields(self, *args, **more), writes=True)

    def find_integration(self, *args: Any) -> Any:
        return self._ask(lambda: FakeCrm.find_integration(self, *args))

    def create_integration(self, *args: Any) -> Any:
        return self._ask(lambda: FakeCrm.create_integration(self, *args), writes=True)

    def links(self, *args: Any) -> Any:
        return self._ask(lambda: FakeCrm.links(self, *args))

    def create_link(self, *args: Any) -> Any:
        return self._ask(lambda: FakeCrm.create_link(self, *args), writes=True)


@dataclass
class Message:
    """One message in the queue."""

    envelope: Envelope
    sent_at: float
    visible_at: float
    receives: int = 0

    def record(self) -> dict[str, Any]:
        return {
            "messageId": self.envelope.delivery_id,
            "receiptHandle": self.envelope.delivery_id,
            "body": self.envelope.to_json(),
            "attributes": {
                "ApproximateReceiveCount": str(self.receives),
                "SentTimestamp": str(int(self.sent_at * 1000)),
            },
        }


@dataclass(frozen=True)
class Misfortune:
    """What goes wrong with one execution: the process dies (``Fate.decide``), or the programme fails."""

    dies_at: int | None = None
    after: bool = False
    error: BaseException | None = None


FINE = Misfortune()


class World:
    """Everything that outlives a process, and processes that come and go. ``close`` it at the end."""

    def __init__(self, random: Callable[[], float] = lambda: 0.5) -> None:
        self._random = random
        self._resources = ExitStack()
        self.stack: Stack = self._resources.enter_context(stack_in_process())
        self.clock = self.stack.clock
        self._resources.enter_context(keys_age_by(self.clock))
        self.fate = Fate()
        self.crm = MortalCrm(fate=self.fate)
        self.stack.put_connection(CONNECTION, _CONNECTION)
        self.stack.clients = {name: Mortal(client, self.fate) for name, client in self.stack.clients.items()}
        self.services = self._process()
        self.queue: list[Message] = []
        self.deaths = 0
        self._numbers = count(1)

    def close(self) -> None:
        self._resources.close()

    def _process(self) -> Services:
        return self.stack.services("update", self._random, crm=lambda connection: self.crm, postpone=self._postpone)

    # -- the source -----------------------------------------------------------------------------------------------

    def envelope(self, command: Command, *, event_id: str, source: str = "standard") -> Envelope:
        """One delivery of an event."""
        who = getattr(command, "customer", CustomerRef())
        return Envelope(
            delivery_id=f"delivery-{next(self._numbers)}",
            connection=CONNECTION,
            event=Event(source=source, topic="customer", id=event_id, entity_id=who.source_id or who.loyalty_id or ""),
            command=command,
            received_at=self.clock.now,
        )

    def send(self, command: Command, *, event_id: str, copies: int = 1, source: str = "standard") -> None:
        """So many deliveries of one event reach the queue."""
        for _ in range(copies):
            envelope = self.envelope(command, event_id=event_id, source=source)
            self.queue.append(Message(envelope, self.clock.now, self.clock.now))

    # -- the queue ------------------------------------------------------------------------------------------------

    def visible(self) -> list[Message]:
        return [message for message in self.queue if message.visible_at <= self.clock.now]

    def wait_for_the_next(self) -> None:
        """Until a message is visible, if there is one at all."""
        if self.queue:
            self.clock.now = max(self.clock.now, min(message.visible_at for message in self.queue))

    def deliver(self, message: Message, misfortune: Misfortune = FINE, *, meanwhile: Message | None = None) -> None:
        """Give a message to a process. ``meanwhile``: another that a second process gets while the first one's
        request is at the programme.
        """
        if meanwhile is not None and meanwhile is not message:
            self.crm.during = lambda: self._deliver_beside(meanwhile)
        self._faults(misfortune)
        self.fate.decide(misfortune.dies_at, after=misfortune.after)
        try:
            self._consume(message, self.services)
        except Death:
            self.deaths += 1
            self.services = self._process()
        finally:
            self.fate.decide(None)
            self._faults(FINE)
            self.crm.during = None

    def _deliver_beside(self, message: Message) -> None:
        self.crm.during = None
        kept, self.crm.fate = self.crm.fate, Fate()
        mortal = self.stack.clients
        self.stack.clients = {name: client._client for name, client in mortal.items()}
        after, self.crm.after = self.crm.after, []
        try:
            self._consume(message, self._process())
        finally:
            self.crm.fate, self.stack.clients, self.crm.after = kept, mortal, after

    def _consume(self, message: Message, services: Services) -> None:
        message.receives += 1
        message.visible_at = self.clock.now + VISIBILITY
        answer = consume({"Records": [message.record()]}, Context(), "update", services)
        if not answer["batchItemFailures"]:
            self.queue.remove(message)

    def _postpone(self, operation: str, entries: Iterable[Mapping[str, Any]]) -> None:
        for entry in entries:
            for message in self.queue:
                if message.envelope.delivery_id == entry["ReceiptHandle"]:
                    message.visible_at = self.clock.now + entry["VisibilityTimeout"]

    def drain(self, *, until: float | None = None, rounds: int = 10_000) -> None:
        """Let time pass until the queue is empty, or until a moment, with nothing further going wrong."""
        for _ in range(rounds):
            if not self.queue:
                return
            if until is not None and min(message.visible_at for message in self.queue) >= until:
                self.clock.now = until
                return
            self.wait_for_the_next()
            self.deliver(self.visible()[0])
        raise AssertionError(f"never drained: {self.queue}")

    # -- a caller of the API --------------------------------------------------------------------------------------

    def call(self, command: Command, *, key: str, misfortune: Misfortune = FINE) -> Outcome:
        """A caller who asks again, with the same key, until there is an answer."""
        envelope = self.envelope(command, event_id=key, source="api")
        self._faults(misfortune)
        self.fate.decide(misfortune.dies_at, after=misfortune.after)
        try:
            for _ in range(100):
                try:
                    self.services.start(Context(25.0))
                    deadline = Deadline(self.clock.now + 23, self.clock)
                    return self.services.pipeline.execute(envelope, deadline).outcome
                except Death:
                    self.deaths += 1
                    self.services = self._process()
                except TransientError:
                    pass
                self.fate.decide(None)
                self._faults(FINE)
                self.clock.now += 10
        finally:
            self.fate.decide(None)
            self._faults(FINE)
        raise AssertionError("the caller never got an answer")

    def _faults(self, misfortune: Misfortune) -> None:
        errors = [misfortune.error] if misfortune.error is not None else []
        self.crm.before = [] if misfortune.after else list(errors)
        self.crm.after = list(errors) if misfortune.after else []

    # -- what can be seen -----------------------------------------------------------------------------------------

    def journal(self) -> dict[str, JournalEntry]:
        return {entry.delivery_id: entry for entry in self.stack.entries()}

    def parked(self) -> list[dict[str, Any]]:
        return self.stack.messages("parked:update")

    def state(self) -> list[dict[str, Any]]:
        return [unpack_item(item) or {} for item in self.stack.items("state")]

    def keys_in_progress(self) -> int:
        return sum(item["status"]["S"] == "INPROGRESS" for item in self.stack.items("idempotency"))

    def loyalty_id(self, source_id: str) -> str | None:
        """The member whom the relay takes this customer of the source for."""
        known = self.services.customers.lookup(CONNECTION, CustomerRef(source_id=source_id))
        return known.loyalty_id if known else None


def customer(
    kind: type[CustomerCommand], source_id: str, fields: Mapping[str, Any], version: Version | None, **more: Any
) -> CustomerCommand:
    """A customer command as an event of the source makes it; every customer keeps one e-mail."""
    who = CustomerRef(source_id=source_id, identifiers=(Identifier("email", email(source_id)),))
    return kind(customer=who, fields=dict(fields), version=version, **more)


def email(source_id: str) -> str:
    return f"{source_id}@example.com"


def without_source_id(command: CustomerCommand, loyalty_id: str, credits: Credits | None = None) -> CustomerCommand:
    """The same command for a member who is named by loyalty id, as callers of the API do."""
    return replace(command, customer=CustomerRef(loyalty_id=loyalty_id), version=None, credits=credits or Credits())


_CONNECTION = {
    "source": {
        "platform": "standard",
        "secrets": [{"value": "whsec_ZmFrZS1zZWNyZXQtZm9yLXRlc3Rz"}],
        "verified_identifiers": ["email", "mobile"],
    },
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
}
