"""The one module of the suite that imports the layer: connections and commands as JSON go in, plain JSON comes out.

Whatever is renamed or moved in the layer is adapted here, and no row changes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from loyalty_relay.connections.model import Connection, Destination
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.destinations.base import Booking
from loyalty_relay.http.client import Client
from loyalty_relay.http.transports import Limits
from loyalty_relay.model.commands import (
    CustomerCommand,
    CustomerRef,
    Envelope,
    Event,
    LinkStore,
    command_from_dict,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import ConnectionInvalid, CredentialsRefused, PermanentError, RelayError, TransientError
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services
from tests.support.limiters import NullLimiter
from tests.support.stack import Stack

BRIEF = Limits(connect=0.2, read=0.2, total=0.2, least=0.05, margin=0.0)
"""Time limits for a vendor that does not answer, so that nobody waits for seconds."""

_numbers = itertools.count(1)


class _Services(Services):
    """The relay's own services without a rate limit, and with short time limits where a row asks for them."""

    brief = False

    def destination_client(self, destination: Destination) -> Client:
        return Client(NullLimiter(), self.clock, limits=BRIEF if self.brief else None)


class Relay:
    """One connection whose destination is the stub."""

    def __init__(self, stack: Stack, host: str, destination: Mapping[str, Any], **connection: Any) -> None:
        self._stack = stack
        self.id = f"contract-{next(_numbers)}"
        self._data = {
            "source": {"platform": "standard", "unsigned": True},
            "destination": dict(destination),
            "default_country": "GB",
            **connection,
        }
        environment = {
            **stack.environment,
            "RELAY_PARKED": stack.environment["PARKED_register"],
            "RELAY_SANDBOX_HOSTS": host,
        }
        self.services = _Services(
            Settings.from_env(environment),
            clock=stack.clock,
            monotonic=stack.clock,
            sleep=stack.clock.sleep,
            random=lambda: 0.5,
            client=stack.client,
        )
        self._hosts = frozenset({host})

    def parsed(self) -> Connection:
        return parse_connection(self.id, self._data, sandbox_hosts=self._hosts)

    def configure(self) -> dict[str, Any]:
        """Whether the connection can be applied: the wrong fields, or nothing."""
        try:
            self.parsed()
        except ConnectionInvalid as error:
            return {problem.field: problem.message for problem in error.problems}
        return {}

    def applied(self, *, shop: Mapping[str, Any] | None = None, **destination: Any) -> None:
        """Apply the connection, or apply it again with another shop or other members of its destination."""
        self._data["source"] = shop or self._data["source"]
        self._data["destination"] = {**self._data["destination"], **destination}
        self._stack.put_connection(self.id, self._data)
        # A connection is read again once a minute.
        self._stack.clock.sleep(60)
        self.services.connections.refetch(self.id)

    # -- the client's protocol ------------------------------------------------------------------------------------

    def register(self, command: Mapping[str, Any]) -> dict[str, Any]:
        made = _customer_command("register_customer", command)
        return self._called(lambda crm, by: crm.register(made, made.fields, by))

    def update(self, loyalty_id: str | None, command: Mapping[str, Any], *, changed: tuple[str, ...] = ()) -> Any:
        who = {**command.get("customer", {}), **({"loyalty_id": loyalty_id} if loyalty_id else {})}
        made = _customer_command("update_customer", {"if_missing": "error", **command, "customer": who})
        return self._called(lambda crm, by: crm.update(loyalty_id, made, made.fields, by, changed=frozenset(changed)))

    def patch(self, loyalty_id: str, command: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
        made = _customer_command("patch_crm_fields", {"customer": {"loyalty_id": loyalty_id}, **command})
        tags = getattr(made, "replace_tags", None)
        return self._called(
            lambda crm, by: crm.patch_crm_fields(loyalty_id, made, made.fields, tags, by, strict=strict)
        )

    def find(self, customer: Mapping[str, Any]) -> dict[str, Any]:
        made = _customer_command("update_customer", {"customer": customer})
        ref: CustomerRef = made.customer
        return self._called(lambda crm, by: {"loyalty_id": crm.find(ref, by)})

    def check(self, kind: str, command: Mapping[str, Any]) -> dict[str, str]:
        """Fields that are refused before anything is sent."""
        made = _customer_command(kind, command)
        return {problem.field: problem.message for problem in self._crm().check(made)}

    def crm_fields(self, loyalty_id: str) -> dict[str, Any]:
        return self._called(lambda crm, by: {"fields": crm.crm_fields(loyalty_id, by)})

    def tags(self) -> dict[str, Any]:
        return self._called(lambda crm, by: {"tags": crm.tags(by)})

    def branches(self) -> dict[str, Any]:
        return self._called(lambda crm, by: {"branches": [dataclasses.asdict(b) for b in crm.branches(by)]})

    def create_integration(self, name: str) -> dict[str, Any]:
        return self._called(lambda crm, by: {"integration_id": crm.create_integration(name, by)})

    def links(self, integration_id: int) -> dict[str, Any]:
        return self._called(lambda crm, by: {"links": [dataclasses.asdict(x) for x in crm.links(integration_id, by)]})

    def create_link(self, command: Mapping[str, Any], branch_id: str, integration_id: int) -> dict[str, Any]:
        made = command_from_dict("link_store", command)
        assert isinstance(made, LinkStore)
        return self._called(lambda crm, by: crm.create_link(made, branch_id, integration_id, by))

    def book(self, booking: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
        command = command_from_dict("record_sale", {"order": {"id": "1001", **order}})
        return self._called(lambda crm, by: crm.book(_booking(booking), command, by))

    def find_booking(self, booking: Mapping[str, Any]) -> dict[str, Any]:
        return self._called(lambda crm, by: crm.find_booking(_booking(booking), by) or {"transaction_id": None})

    def probe(self) -> dict[str, Any]:
        return self._called(lambda crm, by: {"findings": [dataclasses.asdict(found) for found in crm.probe(by)]})

    # -- the whole way of a command -------------------------------------------------------------------------------

    def run(
        self, kind: str, command: Mapping[str, Any], *, source: str = "standard", force: bool = False
    ) -> dict[str, Any]:
        """Carry a command out as a queue does, or with source ``api`` as the HTTP API does."""
        number = next(_numbers)
        envelope = Envelope(
            delivery_id=f"delivery-{number}",
            connection=self.id,
            event=Event(source=source, topic="customer.updated", id=f"event-{number}", entity_id="7"),
            command=command_from_dict(kind, {"version": ["test", f"{number:020d}", "", ""], **command}),
            received_at=self._stack.clock(),
            force=force,
        )
        return _plain(lambda: self.services.pipeline.execute(envelope, self._deadline()).outcome)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _crm(self) -> Any:
        return self.services.crm(self.parsed())

    def _deadline(self) -> Deadline:
        return Deadline(self._stack.clock() + 28, self._stack.clock)

    def _called(self, call: Callable[[Any, Deadline], Any]) -> dict[str, Any]:
        return _plain(lambda: call(self._crm(), self._deadline()))


def _customer_command(kind: str, command: Mapping[str, Any]) -> CustomerCommand:
    made = command_from_dict(kind, {"customer": {}, **command})
    assert isinstance(made, CustomerCommand)
    return made


def _booking(given: Mapping[str, Any]) -> Booking:
    return Booking(**{**given, "amount": Decimal(given["amount"])})


def _plain(call: Callable[[], Any]) -> dict[str, Any]:
    """What came of a call as JSON; of an error its kind, reason, code and fields."""
    try:
        result = call()
    except RelayError as error:
        kinds = {TransientError: "transient", PermanentError: "permanent", CredentialsRefused: "credentials"}
        return {
            "kind": next((name for kind, name in kinds.items() if isinstance(error, kind)), type(error).__name__),
            "reason": error.reason,
            "code": error.code,
            "request_id": error.request_id,
            "reached": error.reached,
            "retry_after": getattr(error, "retry_after", None),
            "fields": [problem.field for problem in getattr(error, "problems", ())],
            "loyalty_id": getattr(error, "loyalty_id", None),
            "message": str(error),
        }
    made = result if isinstance(result, dict) else dataclasses.asdict(result)
    if "notices" in made:
        made["codes"] = [notice["code"] for notice in made["notices"]]
    return {"kind": "done", **made}
