"""Register and update: one hold on the customer's record, two ways to reach the member.

    hold ── stale or unchanged ────────────────────────────────────────► skip
      │
      ├─ the loyalty id is known ──► update ─┐
      ├─ an earlier attempt may have          │
      │  reached the vendor: look first ──────┤
      └─ unknown ──► register ── exists ──► update
                                              └────────────────────────► commit

Credits (points, enrolments, referral codes) are sent only with a register that creates, or an update that includes
them; an update that a register turned into never has them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from loyalty_relay.connections.model import Connection
from loyalty_relay.customers.hold import Hold
from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.customers.record import ALIAS_FIELDS
from loyalty_relay.destinations.base import Crm, Receipt
from loyalty_relay.destinations.registry import vendor
from loyalty_relay.model.commands import (
    Credits,
    CustomerCommand,
    CustomerRef,
    PatchCrmFields,
    RegisterCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CustomerExists,
    CustomerNotFound,
    CustomerUnknown,
    FieldProblem,
    IdentifierUnverified,
    InvalidCommand,
    UnsupportedByDestination,
)
from loyalty_relay.model.outcomes import Notice, Outcome, Result
from loyalty_relay.model.phones import to_e164
from loyalty_relay.pipeline.context import Context

LATECOMER_SECONDS = 48 * 3600.0
"""The longest time for which a platform repeats a delivery (BigCommerce, Lightspeed X-Series: two days)."""

C = TypeVar("C", bound=CustomerCommand)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent of a command."""

    receipt: Receipt | None = None
    """None: nothing could be sent, or nothing was left to send."""
    loyalty_id: str | None = None
    """The member, if known without a receipt."""
    credits: bool = False
    notices: tuple[Notice, ...] = ()


def register(command: RegisterCustomer, context: Context, crm: Crm, customers: CustomerLedger) -> Outcome:
    """Register a customer; an existing one is updated, or is an error with the id, as the command demands."""
    return carry_out(command, context, crm, customers, _send)


def update(command: UpdateCustomer, context: Context, crm: Crm, customers: CustomerLedger) -> Outcome:
    """Update a customer; a missing one is registered, or is an error, as the command demands.

    Raises UnsupportedByDestination where customers are changed by patches only, also when there is nothing to change.
    """
    if "update" not in crm.operations:
        raise UnsupportedByDestination(f"{context.connection.destination.vendor} changes customers by CRM patches")
    return carry_out(command, context, crm, customers, _send)


def carry_out(
    command: C, context: Context, crm: Any, customers: CustomerLedger, send: Callable[[C, Hold, Context, Any], Sent]
) -> Outcome:
    """Carry out a command about one customer under a hold: skip it, or send it and commit what was sent.

    Raises the errors of ``loyalty_relay.model.errors``; the hold ends as each of them requires.
    """
    envelope = context.envelope
    command, notices = sendable(command, context.connection, crm, from_api=context.from_api)
    if envelope.force and command.credits:
        command = replace(command, credits=Credits())
        notices += (Notice("credits_not_sent", "force never sends points, enrolments or referral codes"),)
    with customers.hold(envelope.connection, command, key=envelope.key, force=envelope.force) as hold:

        def skip(result: Result, reason: str = "", loyalty_id: str | None = None) -> Outcome:
            known = loyalty_id or hold.loyalty_id
            outcome = Outcome(result=result, reason=reason, loyalty_id=known, notices=notices)
            hold.skip(loyalty_id=known, entry=context.entry(outcome, customer=hold.customer))
            return outcome

        if hold.tombstone is not None:
            return skip(Result.STALE, f"customer_{hold.tombstone.reason}")
        command = _without_sent_credits(command, hold)
        must_be_new = isinstance(command, RegisterCustomer) and command.if_exists == "error"
        sure = not (hold.interrupted or hold.by_identifier or hold.new_profile)
        if must_be_new and hold.loyalty_id is not None and sure:
            raise CustomerExists("the customer is registered already", loyalty_id=hold.loyalty_id)
        registers_profile = isinstance(command, RegisterCustomer) and hold.new_profile
        if not (_has_work(command, hold) or must_be_new or registers_profile) and (hold.loyalty_id or hold.stale):
            stale = bool(hold.stale) and not hold.unchanged
            return skip(Result.STALE, "older") if stale else skip(Result.UNCHANGED)
        try:
            sent = _without_refused(command, hold, context, crm, send)
        except IdentifierUnverified:
            if _may_be_named_later(command, context):
                raise CustomerUnknown("no event has proven whose e-mail or phone this is yet") from None
            return skip(Result.IGNORED, IdentifierUnverified.reason)
        except CustomerNotFound:
            registers = getattr(command, "if_missing", "register") == "register"
            if context.from_api or hold.loyalty_id is not None or registers:
                raise
            # The connection registers no new members, and a shop has more customers than the programme has members.
            return skip(Result.IGNORED, "not_a_member")
        receipt = sent.receipt
        notices += sent.notices
        known = sent.loyalty_id or hold.loyalty_id
        if receipt is None and known is None and _may_be_named_later(command, context):
            raise CustomerUnknown("no event has named this customer's e-mail or phone yet")
        if receipt is None or not (receipt.sent or receipt.unconfirmed or receipt.created or sent.credits):
            notices += receipt.notices if receipt else ()
            return skip(Result.UNCHANGED, loyalty_id=known) if known else skip(Result.IGNORED, "no_identifier")
        outcome = Outcome(
            result=Result.APPLIED,
            loyalty_id=receipt.loyalty_id,
            created=receipt.created,
            fields=receipt.sent,
            notices=(*notices, *receipt.notices),
            request_id=receipt.request_id,
            details=receipt.details,
        )
        entry = context.entry(outcome, customer=hold.customer)
        hold.commit(
            loyalty_id=receipt.loyalty_id,
            sent=receipt.sent,
            unconfirmed=receipt.unconfirmed,
            entry=entry,
            credits=sent.credits,
        )
        if receipt.unfinished is not None:
            raise receipt.unfinished
        return outcome


def _without_refused(
    command: C, hold: Hold, context: Context, crm: Any, send: Callable[[C, Hold, Context, Any], Sent]
) -> Sent:
    """Send a command. Where the vendor refuses fields of a webhook, leave them out with a notice and send the rest.

    A shop's customer cannot correct a value, and a refused request had no effect.
    """
    left_out: tuple[Notice, ...] = ()
    while True:
        try:
            sent = send(command, hold, context, crm)
        except InvalidCommand as refused:
            wrong = _refused_fields(command, refused)
            if context.from_api or not wrong:
                raise
            command = _without(command, wrong.keys())
            hold.leave_out(wrong)
            left_out += tuple(Notice("value_refused", text, name) for name, text in wrong.items())
        else:
            return replace(sent, notices=(*left_out, *sent.notices))


def _refused_fields(command: CustomerCommand, refused: InvalidCommand) -> dict[str, str]:
    """Return the fields that a refusal is about, with the reasons.

    Nothing where the command cannot be sent without them, or where it may have credited something already.
    """
    wrong = {problem.field: problem.message for problem in refused.problems}
    if "tags" in wrong:
        # The vendor's field holds all tags, and the refusal does not name one of them.
        text = wrong.pop("tags")
        wrong |= {name: text for name in command.fields if name.startswith("tags.")}
    credited = bool(command.credits) and refused.reached
    customer = _without(command, wrong.keys()).customer
    named = customer.identifiers or customer.source_id or customer.loyalty_id
    return wrong if named and not credited and wrong.keys() <= command.fields.keys() else {}


def _without(command: C, names: Collection[str]) -> C:
    """Return the command without these fields, and without the identifiers that are their values."""
    kinds = {ALIAS_FIELDS.get(name) for name in names}
    identifiers = tuple(i for i in command.customer.identifiers if i.type not in kinds)
    fields = {name: value for name, value in command.fields.items() if name not in names}
    return replace(command, fields=fields, customer=replace(command.customer, identifiers=identifiers))


def at_member(command: C, hold: Hold, loyalty_id: str) -> C:
    """Move the hold to the member whom the vendor named; return what of the command is left to send to them."""
    hold.meet(loyalty_id, credits=bool(command.credits))
    return _without_sent_credits(replace(command, customer=hold.who), hold)


def _without_sent_credits(command: C, hold: Hold) -> C:
    """Leave out the credits that an earlier attempt sent. Raises AmbiguousOutcome where it may have sent them."""
    if hold.interrupted_credits and command.credits:
        raise AmbiguousOutcome(
            "an earlier attempt may have credited points or an enrolment; compare the member's account, then redrive"
        )
    return replace(command, credits=Credits()) if hold.credited else command


def _has_work(command: CustomerCommand, hold: Hold) -> bool:
    """Return whether anything is left to send."""
    if isinstance(command, PatchCrmFields):
        return bool(hold.fields) or command.replace_tags is not None
    return bool(hold.fields or command.credits)


def _may_be_named_later(command: CustomerCommand, context: Context) -> bool:
    """Return whether a later event may name the customer.

    Tags and consent can arrive before it, as long as platforms repeat deliveries. A whole customer without contact is
    one who cannot be a member.
    """
    partial = all(name.startswith(("tags.", "subscriptions.")) for name in command.fields)
    age = context.now - context.envelope.received_at
    return partial and not context.from_api and age < LATECOMER_SECONDS


# -- the member ---------------------------------------------------------------------------------------------------


def _send(command: CustomerCommand, hold: Hold, context: Context, crm: Crm) -> Sent:
    deadline = context.deadline
    loyalty_id = None if hold.by_identifier else hold.loyalty_id or command.customer.loyalty_id
    who = command.customer
    if hold.new_profile and isinstance(command, RegisterCustomer) and who.identifiers and not who.doubtful.identifiers:
        # The member is known; a registration adds the profile, or the vendor reports that it exists. With an identifier
        # of somebody else it would add the profile to that member.
        loyalty_id = None
    must_exist = isinstance(command, UpdateCustomer) and command.if_missing == "error"
    if must_exist and hold.by_identifier and not command.credits:
        # With credits the member has to be known first, because what was credited is recorded with the member.
        return Sent(receipt=crm.update(None, command, hold.fields, deadline, changed=hold.changed))
    if loyalty_id is None and not command.customer.identifiers:
        return Sent()
    look = hold.interrupted or isinstance(command, UpdateCustomer) or command.customer.doubtful.identifiers
    if loyalty_id is None and look:
        loyalty_id = find_member(command.customer, hold, context, crm)
    if loyalty_id is None:
        if must_exist:
            raise CustomerNotFound("no member has this e-mail or phone")
        try:
            # The whole command: what is known to have been sent went to a member or profile that is not there.
            return Sent(receipt=crm.register(command, command.fields, deadline), credits=bool(command.credits))
        except CustomerExists as exists:
            loyalty_id = _existing(command, exists, hold, context, crm)
    return _update_existing(command, hold, loyalty_id, context, crm)


def find_member(customer: CustomerRef, hold: Hold, context: Context, crm: Crm) -> str | None:
    """Return the member to whom identifiers lead that are proven; None when no member has any of them.

    Raises IdentifierUnverified when a member has one that is not: somebody else may have typed it in at the source, and
    a registration would end at that member. An interrupted attempt may have registered the customer itself, so that
    every identifier counts after one.
    """
    deadline = context.deadline
    doubtful = customer.doubtful
    if hold.interrupted or not doubtful.identifiers:
        return crm.find(customer, deadline)
    proven = customer.proven
    found = crm.find(proven, deadline) if proven.identifiers else None
    if found is None:
        try:
            other = crm.find(doubtful, deadline)
        except AmbiguousOutcome:
            other = "several"
        if other is not None:
            raise IdentifierUnverified("a member has this e-mail or phone, which the source has not verified")
    return found


def _existing(command: CustomerCommand, exists: CustomerExists, hold: Hold, context: Context, crm: Crm) -> str:
    """Return the id of the existing member, by looking, because the id in the vendor's text may be another one's."""
    if isinstance(command, RegisterCustomer) and command.if_exists == "error":
        exists.loyalty_id = exists.loyalty_id or crm.find(command.customer, context.deadline)
        raise exists
    return existing_member(command.customer, exists, hold, context, crm)


def existing_member(customer: CustomerRef, exists: CustomerExists, hold: Hold, context: Context, crm: Crm) -> str:
    """Return the id of the member who prevented a registration. Raises IdentifierUnverified, or ``exists`` again."""
    found = find_member(customer, hold, context, crm)
    if found is None and customer.doubtful.identifiers and not hold.interrupted:
        raise IdentifierUnverified("the vendor has a member with an e-mail or phone that the source has not verified")
    found = found or exists.loyalty_id
    if found is None:
        raise exists
    return found


def leave_out_unverified(command: CustomerCommand, hold: Hold) -> tuple[Notice, ...]:
    """Leave contacts that the source reports as not verified out of what an existing member is sent."""
    kinds = command.customer.unverified
    names = [name for name in hold.fields if ALIAS_FIELDS.get(name) in kinds]
    hold.leave_out(names)
    return tuple(Notice("not_verified", "was left out, because the source has not verified it", n) for n in names)


def _update_existing(command: CustomerCommand, hold: Hold, loyalty_id: str, context: Context, crm: Crm) -> Sent:
    deadline = context.deadline
    command = at_member(command, hold, loyalty_id)
    notices = leave_out_unverified(command, hold)
    if isinstance(command, RegisterCustomer) and command.credits:
        command = replace(command, credits=Credits())
        notices += (Notice("credits_not_sent", "the member existed: points and enrolments were not sent"),)
    if not _has_work(command, hold):
        return Sent(loyalty_id=loyalty_id, notices=notices)
    try:
        receipt = crm.update(loyalty_id, command, hold.fields, deadline, changed=hold.changed)
    except CustomerNotFound:
        # The member was removed at the vendor, which may have the customer under another id now.
        adds_profile = hold.new_profile and getattr(command, "if_missing", "register") == "register"
        waits = context.from_api and not adds_profile
        if waits or hold.loyalty_id is None or not command.customer.identifiers:
            raise
        found = find_member(replace(command.customer, loyalty_id=None), hold, context, crm)
        if found is not None and found != loyalty_id:
            command = at_member(command, hold, found)
            receipt = crm.update(found, command, hold.fields, deadline, changed=hold.changed)
        else:
            receipt = crm.register(command, command.fields, deadline)
    return Sent(receipt=receipt, credits=bool(command.credits), notices=notices)


# -- the command --------------------------------------------------------------------------------------------------


def sendable(command: C, connection: Connection, crm: Crm, *, from_api: bool) -> tuple[C, tuple[Notice, ...]]:
    """Return the command as this destination can take it, with notices of what was left out.

    A shop sends more than a CRM has. Nothing is read or sent. Raises InvalidCommand for what cannot be left out, and
    for all problems of a caller of the API.
    """
    command, notices = _normalised(command, connection, crm, from_api=from_api)
    problems = crm.check(command)
    if problems and not from_api:
        command, left_out = _without_problems(command, problems)
        notices += left_out
        problems = crm.check(command) if left_out else problems
    if problems:
        raise InvalidCommand("the command cannot be sent", problems=problems)
    return command, notices


def _normalised(command: C, connection: Connection, crm: Crm, *, from_api: bool) -> tuple[C, tuple[Notice, ...]]:
    """Return the command with phones in E.164, and for webhooks only with fields that the destination has."""
    fields = dict(command.fields)
    notices: tuple[Notice, ...] = ()
    country = fields.pop("country", None) or connection.default_country
    if isinstance(fields.get("phone"), str):
        phone = to_e164(fields["phone"], country)
        if phone is not None:
            fields["phone"] = phone
        elif not from_api:
            del fields["phone"]
            notices = (Notice("phone_invalid", "the phone number is not a valid one and was left out", "phone"),)
    if not from_api:
        fields = {name: value for name, value in fields.items() if crm.supports(name)}
    identifiers = []
    for identifier in command.customer.identifiers:
        phone = to_e164(identifier.value, country) if identifier.type == "mobile" else identifier.value
        if phone is not None or from_api:
            identifiers.append(replace(identifier, value=phone or identifier.value))
    destination = connection.destination
    profile = vendor(destination.vendor).profile(destination, command)
    customer = replace(command.customer, identifiers=tuple(identifiers), profile=profile)
    return replace(command, fields=fields, customer=customer), notices


def _without_problems(command: C, problems: list[FieldProblem]) -> tuple[C, tuple[Notice, ...]]:
    """Return the command without the parts that have problems, as long as it still names the customer.

    Else return the same command and no notice.
    """
    parts, gone = _parts(command), set()
    for problem in problems:
        name = problem.field
        part = max((p for p in parts if name == p or name.startswith(f"{p}.")), key=len, default=None)
        if part is None:
            return command, ()
        gone.add(part)
    customer = command.customer
    identifiers = tuple(
        replace(i, attributes={n: v for n, v in i.attributes.items() if f"identifiers.{i.type}.{n}" not in gone})
        for i in customer.identifiers
        if f"identifiers.{i.type}" not in gone
    )
    if not (identifiers or customer.source_id or customer.loyalty_id):
        return command, ()
    enrollments = enumerate(command.credits.enrollments)
    kept = replace(
        command,
        customer=replace(customer, identifiers=identifiers),
        fields={name: value for name, value in command.fields.items() if name not in gone},
        credits=Credits(
            enrollments=tuple(e for n, e in enrollments if not gone & {"enrollments", f"enrollments.{n}"}),
            referral_code=None if "referral_code" in gone else command.credits.referral_code,
        ),
        options={name: value for name, value in command.options.items() if f"options.{name}" not in gone},
    )
    wrong = {problem.field: problem.message for problem in problems}
    return kept, tuple(Notice(f"{name.rpartition('.')[2]}_invalid", text, name) for name, text in wrong.items())


def _parts(command: CustomerCommand) -> set[str]:
    """Return the names of the parts without which a webhook's command can be sent.

    Source and account are none of them: they are the profile that is meant, and another one must not be changed.
    """
    parts = {*command.fields, "enrollments", "referral_code"}
    parts |= {f"enrollments.{number}" for number in range(len(command.credits.enrollments))}
    parts |= {f"options.{name}" for name in command.options if name not in ("source", "account_id")}
    for identifier in command.customer.identifiers:
        parts |= {f"identifiers.{identifier.type}"}
        parts |= {f"identifiers.{identifier.type}.{name}" for name in identifier.attributes}
    return parts
