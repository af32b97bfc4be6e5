"""Register and update: one way through the guard, two ways to reach the member.

    take the guard ── stale or unchanged ──────────────────────────────► commit
         │
         ├─ the loyalty id is known ──► update ─┐
         ├─ an earlier attempt may have          │
         │  reached the vendor: look first ──────┤
         └─ unknown ──► register ── exists ──► update
                                                 └────────────────────► commit

Credits (points, enrolments, referral codes) travel only in a register that creates, or in an update that asked for
them; an update that a register turned into never carries them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from loyalty_relay.customers.ledger import Customers, Hold
from loyalty_relay.destinations.base import Crm, Receipt
from loyalty_relay.model.commands import (
    Credits,
    CustomerCommand,
    CustomerRef,
    Identifier,
    RegisterCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    CustomerExists,
    CustomerNotFound,
    CustomerUnknown,
    FieldProblem,
    InvalidCommand,
    PermanentError,
    TransientError,
    UnsupportedByDestination,
    UpstreamTimeout,
)
from loyalty_relay.model.outcomes import Notice, Outcome, Result
from loyalty_relay.model.phones import to_e164
from loyalty_relay.pipeline.context import Context

LATECOMER_SECONDS = 48 * 3600.0
"""How long the longest-winded platform goes on repeating a delivery (BigCommerce, Lightspeed X-Series: two days)."""


def register(command: RegisterCustomer, context: Context, crm: Crm, customers: Customers) -> Outcome:
    """Register a customer; one who exists is updated, or is an error that names the id, as the command says."""
    return Guarded(command, context, crm, customers).run()


def update(command: UpdateCustomer, context: Context, crm: Crm, customers: Customers) -> Outcome:
    """Update a customer; one who is missing is registered, or is an error, as the command says.

    Raises UnsupportedByDestination where customers are changed by patches only, also when there is nothing to change.
    """
    if "update" not in crm.operations:
        raise UnsupportedByDestination(f"{context.connection.destination.vendor} changes customers by CRM patches")
    return Guarded(command, context, crm, customers).run()


class Guarded:
    """One customer command under the guard."""

    def __init__(self, command: CustomerCommand, context: Context, crm: Crm, customers: Customers) -> None:
        self.context = context
        self.crm = crm
        self.customers = customers
        self.notices: list[Notice] = []
        self.command = self._normalised(command)
        self._held: Hold
        """What is worked on, which has to be given back whatever goes wrong."""
        self._first: Hold | None = None
        """What a command with points began with, where the vendor named another member; see ``_at``."""

    def run(self) -> Outcome:
        """Raises the errors of ``loyalty_relay.model.errors``; the guard is given back as it must be for each."""
        problems = self.crm.check(self.command)
        if problems and not self.context.from_api:
            problems = self._left_out(problems)
        if problems:
            raise InvalidCommand("the command cannot be sent", problems=problems)
        hold = self._held = self._take()
        if hold.tombstone is not None:
            return self._skip(hold, Result.STALE, f"customer_{hold.tombstone.reason}")
        self._credit_once(hold)
        if self._exists_already(hold):
            self._release(interrupted=False)
            raise CustomerExists("the customer is registered already", loyalty_id=hold.loyalty_id)
        if not self._has_work(hold) and (hold.loyalty_id or hold.stale):
            stale = bool(hold.stale) and not hold.unchanged
            return self._skip(hold, Result.STALE if stale else Result.UNCHANGED, "older" if stale else "")
        try:
            hold, receipt = self._send(hold)
        except UpstreamTimeout as error:
            # The request may still be running at the vendor: then the lease is left to run out.
            self._release(interrupted=error.reached, keep_lease=error.reached)
            raise
        except TransientError as error:
            self._release(interrupted=error.reached)
            raise
        except CustomerNotFound:
            if self.context.from_api or self._held.loyalty_id is not None or self._registers:
                self._release(interrupted=False)
                raise
            # The connection registers nobody, and a shop has more customers than the programme has members.
            return self._skip(self._held, Result.IGNORED, "not_a_member")
        except (PermanentError, CredentialsRefused) as error:
            # A command may take two requests; what the first one set is no longer known from before.
            self._release(interrupted=error.reached)
            raise
        if receipt is None and self._may_come_later(hold):
            self._release(interrupted=False)
            raise CustomerUnknown("no event has named this customer's e-mail or phone yet")
        if receipt is None or not (receipt.sent or receipt.created or self.command.credits):
            self.notices += receipt.notices if receipt else ()
            return self._skip(
                hold, Result.IGNORED if hold.loyalty_id is None else Result.UNCHANGED, self._why_nothing(hold)
            )
        return self._commit(hold, receipt)

    def _credit_once(self, hold: Hold) -> None:
        """What an earlier attempt credited is left out. Raises AmbiguousOutcome where it may have."""
        if hold.interrupted_credits and self.command.credits:
            self._release(interrupted=False)
            raise AmbiguousOutcome(
                "an earlier attempt may have credited points or an enrolment; compare the member's account, "
                "then redrive"
            )
        if hold.credited:
            self.command = replace(self.command, credits=Credits())

    def _has_work(self, hold: Hold) -> bool:
        """Whether something is left to ask the vendor, besides fields that it has."""
        asks_who_exists = isinstance(self.command, RegisterCustomer) and self.command.if_exists == "error"
        return bool(hold.fields or self.command.credits) or asks_who_exists

    def _exists_already(self, hold: Hold) -> bool:
        return (
            isinstance(self.command, RegisterCustomer)
            and self.command.if_exists == "error"
            and hold.loyalty_id is not None
            and not hold.interrupted
            and not self._by_identifier
        )

    @property
    def _registers(self) -> bool:
        return getattr(self.command, "if_missing", "register") == "register"

    def _may_come_later(self, hold: Hold) -> bool:
        """Tags and consent of a customer nobody has heard of: the event that tells who they are may come after it,
        as long as platforms repeat deliveries. A whole customer without contact is one who cannot be a member.
        """
        partial = all(name.startswith(("tags.", "subscriptions.")) for name in self.command.fields)
        age = self.context.now - self.context.envelope.received_at
        return hold.loyalty_id is None and partial and not self.context.from_api and age < LATECOMER_SECONDS

    def _why_nothing(self, hold: Hold) -> str:
        return "" if hold.loyalty_id else "no_identifier"

    # -- the guard ------------------------------------------------------------------------------------------------

    def _take(self) -> Hold:
        envelope = self.context.envelope
        return self.customers.take(
            envelope.connection,
            self.command.customer,
            self.command.fields,
            self.command.version_of,
            key=envelope.key,
            operation=self.command.operation,
            credits=bool(self.command.credits),
            store=self.command.store,
        )

    def _release(self, *, interrupted: bool, keep_lease: bool = False) -> None:
        for hold in (self._held, self._first):
            if hold is not None:
                self.customers.release(hold, interrupted=interrupted, keep_lease=keep_lease)

    def _skip(self, hold: Hold, result: Result, reason: str) -> Outcome:
        outcome = Outcome(result=result, reason=reason, loyalty_id=hold.loyalty_id, notices=tuple(self.notices))
        customers = self.customers
        if self._first is not None:
            customers.release(self._first, interrupted=False)
        customers.commit(
            hold, loyalty_id=hold.loyalty_id, sent=(), entry=self.context.entry(outcome, customer=hold.customer)
        )
        return outcome

    def _commit(self, hold: Hold, receipt: Receipt) -> Outcome:
        if self._by_identifier and hold.loyalty_id not in (None, receipt.loyalty_id):
            hold = self._at(hold, receipt.loyalty_id)
        outcome = Outcome(
            result=Result.APPLIED,
            loyalty_id=receipt.loyalty_id,
            created=receipt.created,
            fields=receipt.sent,
            notices=(*self.notices, *receipt.notices),
            request_id=receipt.request_id,
            details=receipt.details,
        )
        customers = self.customers
        if self._first is not None:
            # First: whoever comes after a death in between knows that the points were given.
            customers.commit(self._first, loyalty_id=self._first.loyalty_id, sent=(), entry=None)
        customers.commit(
            hold,
            loyalty_id=receipt.loyalty_id,
            sent=receipt.sent,
            entry=self.context.entry(outcome, customer=hold.customer),
        )
        return outcome

    @property
    def _by_identifier(self) -> bool:
        """Only identifiers say who is meant. They can move from one member to another, so the vendor says whose."""
        return self.command.customer.source_id is None and self.command.customer.loyalty_id is None

    def _at(self, hold: Hold, loyalty_id: str) -> Hold:
        """The hold of the member whom the vendor named.

        A command with points keeps the one it began with, too: by the next attempt the e-mail may be a third member's,
        and only where every attempt begins can be seen what an earlier one has credited.
        """
        customers = self.customers
        if hold.loyalty_id == loyalty_id:
            return hold
        if hold.loyalty_id is None or not self._by_identifier:
            return customers.adopt(hold, loyalty_id)
        named = replace(self.command.customer, loyalty_id=loyalty_id)
        if self.command.credits:
            known = customers.lookup(hold.connection, CustomerRef(loyalty_id=loyalty_id))
            if known is not None and known.customer == hold.customer:
                return customers.adopt(hold, loyalty_id)
            self._first = hold
        else:
            customers.release(hold, interrupted=False)
        self.command = replace(self.command, customer=named)
        self._held = self._take()
        self._credit_once(self._held)
        return self._held

    # -- the member -----------------------------------------------------------------------------------------------

    def _send(self, hold: Hold) -> tuple[Hold, Receipt | None]:
        command, deadline = self.command, self.context.deadline
        loyalty_id = None if self._by_identifier else hold.loyalty_id or command.customer.loyalty_id
        must_exist = isinstance(command, UpdateCustomer) and command.if_missing == "error"
        if must_exist and self._by_identifier and not command.credits:
            # Who it is has to be known before points are sent, because what was credited is kept with the member.
            return hold, self._update(hold, None)
        if loyalty_id is None and not command.customer.identifiers:
            return hold, None
        if loyalty_id is None and (hold.interrupted or isinstance(command, UpdateCustomer)):
            loyalty_id = self.crm.find(command.customer, deadline)
        if loyalty_id is None:
            if must_exist:
                raise CustomerNotFound("no member has this e-mail or phone")
            try:
                return hold, self.crm.register(command, hold.fields, deadline)
            except CustomerExists as exists:
                loyalty_id = self._existing(exists)
        return self._update_existing(hold, loyalty_id)

    def _existing(self, exists: CustomerExists) -> str:
        """The id of the member in the way, by looking, because the id in the vendor's text may be of another one."""
        if isinstance(self.command, RegisterCustomer) and self.command.if_exists == "error":
            if exists.loyalty_id is None:
                exists.loyalty_id = self.crm.find(self.command.customer, self.context.deadline)
            raise exists
        found = self.crm.find(self.command.customer, self.context.deadline) or exists.loyalty_id
        if found is None:
            raise exists
        return found

    def _update_existing(self, hold: Hold, loyalty_id: str) -> tuple[Hold, Receipt | None]:
        hold = self._at(hold, loyalty_id)
        if isinstance(self.command, RegisterCustomer) and self.command.credits:
            self.command = replace(self.command, credits=Credits())
            self.notices.append(Notice("credits_not_sent", "the member existed: points and enrolments were not sent"))
        if not hold.fields and not self.command.credits:
            return replace(hold, loyalty_id=loyalty_id), None
        try:
            return hold, self._update(hold, loyalty_id)
        except CustomerNotFound:
            # The member we had was removed at the vendor; who they are now is for the vendor to say.
            if self.context.from_api or hold.loyalty_id is None or not self.command.customer.identifiers:
                raise
        found = self.crm.find(replace(self.command.customer, loyalty_id=None), self.context.deadline)
        if found is not None and found != loyalty_id:
            hold = self._at(hold, found)
            return hold, self._update(hold, found)
        return hold, self.crm.register(self.command, self.command.fields, self.context.deadline)

    def _update(self, hold: Hold, loyalty_id: str | None) -> Receipt:
        return self.crm.update(loyalty_id, self.command, hold.fields, self.context.deadline, changed=hold.changed)

    # -- the command ----------------------------------------------------------------------------------------------

    def _normalised(self, command: CustomerCommand) -> CustomerCommand:
        """Phones in E.164, and for webhooks only what this destination can take: a shop sends more than a CRM has."""
        fields = dict(command.fields)
        country = fields.pop("country", None) or self.context.connection.default_country
        if isinstance(fields.get("phone"), str):
            self._phone(fields, country)
        identifiers = tuple(self._identifiers(command.customer, country))
        if not self.context.from_api:
            fields = {name: value for name, value in fields.items() if self.crm.supports(name)}
        return replace(command, fields=fields, customer=replace(command.customer, identifiers=identifiers))

    def _left_out(self, problems: list[FieldProblem]) -> list[FieldProblem]:
        """What a shop sends and the destination cannot take is left out with a notice, as long as the customer can
        still be named; the problems that are left after that.
        """
        wrong = {problem.field: problem.message for problem in problems}
        command = self.command
        identifiers = tuple(i for i in command.customer.identifiers if f"identifiers.{i.type}" not in wrong)
        named = identifiers or command.customer.source_id or command.customer.loyalty_id
        droppable = {*command.fields, *(f"identifiers.{i.type}" for i in command.customer.identifiers)}
        if not named or not wrong.keys() <= droppable:
            return problems
        self.command = replace(
            command,
            fields={name: value for name, value in command.fields.items() if name not in wrong},
            customer=replace(command.customer, identifiers=identifiers),
        )
        self.notices += [Notice(f"{name.rpartition('.')[2]}_invalid", text, name) for name, text in wrong.items()]
        return self.crm.check(self.command)

    def _phone(self, fields: dict[str, Any], country: str | None) -> None:
        phone = to_e164(fields["phone"], country)
        if phone is not None:
            fields["phone"] = phone
        elif not self.context.from_api:
            del fields["phone"]
            self.notices.append(
                Notice("phone_invalid", "the phone number is not a valid one and was left out", "phone")
            )

    def _identifiers(self, customer: CustomerRef, country: str | None) -> Iterable[Identifier]:
        for identifier in customer.identifiers:
            if identifier.type != "mobile":
                yield identifier
                continue
            phone = to_e164(identifier.value, country)
            if phone is not None:
                yield replace(identifier, value=phone)
            elif self.context.from_api:
                yield identifier
