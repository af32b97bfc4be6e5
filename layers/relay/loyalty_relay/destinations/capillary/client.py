"""Capillary as operations see it: find, register, update, book sales.

Sources: Capillary docs, Add customer; Update customer details; Customer update V1.1; Get customer id; Change
identifier; Status codes - customer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt, Finding, Receipt
from loyalty_relay.destinations.capillary import check as checks
from loyalty_relay.destinations.capillary import identifiers, preflight, v1
from loyalty_relay.destinations.capillary.auth import auth_of
from loyalty_relay.destinations.capillary.codes import COMBINED, passing, undone
from loyalty_relay.destinations.capillary.config import VENDOR
from loyalty_relay.destinations.capillary.errors import CapillaryReply, MergedAway, blaming_options, read_v2
from loyalty_relay.destinations.capillary.fields import CONTACT_CHANNELS, truth
from loyalty_relay.destinations.capillary.members import Members
from loyalty_relay.destinations.capillary.options import Options
from loyalty_relay.destinations.capillary.requests import Writer, length_notices
from loyalty_relay.destinations.capillary.responses import member_id, read_side_effects, read_warnings
from loyalty_relay.destinations.capillary.routes import Route, only_v1, route, supports
from loyalty_relay.destinations.capillary.sales import BillBook
from loyalty_relay.destinations.capillary.sales_requests import check_sale
from loyalty_relay.destinations.capillary.session import CapillarySession
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import build_request, path_segment
from loyalty_relay.model.commands import (
    Command,
    CustomerCommand,
    CustomerRef,
    Identifier,
    OrderCommand,
    RegisterCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    PartNotDone,
    RelayError,
    UpstreamUnavailable,
)
from loyalty_relay.model.outcomes import Notice


@dataclass(slots=True)
class _Progress:
    """What is known of one command from the responses so far."""

    loyalty_id: str | None = None
    created: bool = False
    sent: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    unfinished: PartNotDone | None = None
    notices: list[Notice] = field(default_factory=list)
    side_effects: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    requests: list[dict[str, str | None]] = field(default_factory=list)

    def add_request(self, api: str, reply: CapillaryReply) -> None:
        self.requests.append({"api": api, "request_id": reply.request_id})

    def add_fields(self, carried: Collection[str], warnings: Collection[Notice], reply: CapillaryReply) -> None:
        """Add the fields that a request carried; those that a warning reports as not done are not sent."""
        for warning in warnings:
            left = undone(warning.code, carried)
            self.unconfirmed += left
            self.notices.append(replace(warning, field=left[0]) if len(left) == 1 else warning)
        self.sent += [name for name in carried if name not in self.unconfirmed]
        code = passing((warning.code for warning in warnings), carried)
        if code is not None and self.unfinished is None:
            names = ", ".join(undone(code, carried))
            summary = f"{code}: the destination did not change {names}"
            self.unfinished = PartNotDone(summary, reached=True, code=code, request_id=reply.request_id)

    def receipt(self) -> Receipt:
        details = {**self.details, "side_effects": self.side_effects, "requests": self.requests}
        return Receipt(
            loyalty_id=self.loyalty_id or "",
            created=self.created,
            sent=tuple(self.sent),
            unconfirmed=tuple(dict.fromkeys(self.unconfirmed)),
            unfinished=self.unfinished,
            notices=tuple(dict.fromkeys(self.notices)),
            request_id=self.requests[-1]["request_id"] if self.requests else None,
            details=details,
        )

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Mark errors of the requests after the first: something of the command has had its effect."""
        try:
            yield
        except RelayError as error:
            if self.requests:
                error.reached = True
            raise


NO_SALES = Sales()


class CapillaryCrm:
    """One Capillary organisation, seen through one source account. Safe to use from several threads.

    ``default_country``: where phone numbers without a country code are from. ``clock``: epoch seconds. ``sales``: how
    the connection records sales.

    ``Receipt.details``: ``side_effects`` (see ``responses.read_side_effects``), ``requests`` (api and request id of
    each write, in order), and where V1.1 was used, the customer as ``v1.details`` describes.
    """

    operations = VENDOR.operations

    def __init__(
        self,
        destination: Destination,
        client: Client,
        *,
        default_country: str | None = None,
        clock: Callable[[], float] = time.time,
        sales: Sales = NO_SALES,
    ) -> None:
        self._destination = destination
        self._sales = sales
        self._country = default_country
        self._client = client
        self._writer = Writer(region=destination.region, country=default_country)
        self._session = CapillarySession(client, auth_of(destination, client, clock))
        self._members = Members(self._session, destination, self._writer)
        self._bills = BillBook(self._session, destination, self._members, sales)
        self._v2 = f"{destination.host}/v2/customers"
        self._v1 = f"{destination.host}/v1.1/customer"

    def check(self, command: CustomerCommand) -> list[FieldProblem]:
        """Return everything wrong with the command: identifiers, types, enums, dates, options, impossible mixes."""
        return checks.check(command, self._destination, self._country)

    def supports(self, field: str) -> bool:
        """Return whether Capillary has such a field; see ``routes.supports``."""
        return supports(field)

    def probe(self, deadline: Deadline, extended_fields: Collection[str] = ()) -> list[Finding]:
        """Return whether the prerequisites of the operations are met; only reads are sent.

        ``extended_fields``: names that the connection's mapping uses.
        """
        options = Options.of(self._destination, {})
        return preflight.run(self._session, self._destination, options, deadline, extended_fields, self._sales)

    def slot(self, command: Command, deadline: Deadline) -> AbstractContextManager[None]:
        """See ``Crm.slot``; an update's API follows from its fields, see ``routes``."""
        if isinstance(command, OrderCommand):
            return self._client.limiter.hold("v2-transaction", deadline)
        fields = command.fields if isinstance(command, RegisterCustomer | UpdateCustomer) else {}
        update = "v1-update" if any(map(only_v1, fields)) else "v2-update"
        api = "v2-create" if isinstance(command, RegisterCustomer) else update
        return self._client.limiter.hold(api, deadline)

    def find(self, customer: CustomerRef, deadline: Deadline) -> str | None:
        """See ``members.Members.find``."""
        return self._members.find(customer, deadline)

    def member(self, loyalty_id: str, profile: str, deadline: Deadline) -> Mapping[str, Any] | None:
        """See ``ReadableCrm.member``; one who was merged away is none."""
        return self._members.shown(loyalty_id, CustomerRef(profile=profile), deadline)

    def members(self, page: int, deadline: Deadline) -> None:
        """Return None: Capillary lists no members."""

    def register(self, command: CustomerCommand, fields: Mapping[str, Any], deadline: Deadline) -> Receipt:
        """Register by POST /v2/customers, and V1.1 for what that cannot carry. Raises CustomerExists with its id.

        ``created`` is False when the member existed in another source and the profile was added to them. Where the
        response has no usable id, the member is looked up.
        """
        with blaming_options(command.options):
            return self._register(command, fields, deadline)

    def _register(self, command: CustomerCommand, fields: Mapping[str, Any], deadline: Deadline) -> Receipt:
        options = Options.of(self._destination, command.options)
        identifiers = (*command.customer.identifiers, *self._external_id(command))
        customer = replace(command.customer, identifiers=identifiers, profile=options.profile)
        body, carried = self._writer.create(customer, fields, command.credits, options)
        if not body["profiles"][0].get("identifiers"):
            raise InvalidCommand(
                "the customer has no identifier", problems=[FieldProblem("identifiers", "at least one is required")]
            )
        progress = _Progress(notices=length_notices(fields, customer.identifiers))
        values = self._values(customer, fields)
        params: dict[str, str | int] = {}
        if options.raw_side_effects is not None:
            params["rawSideEffects"] = truth(options.raw_side_effects)
        if options.single_enroll is not None:
            params["mlp_single_enroll"] = truth(options.single_enroll)
        headers = options.headers()
        if options.use_async is not None:
            headers["WAIT_FOR_DOWNSTREAM"] = truth(not options.use_async)

        request = build_request(api="v2-create", method="POST", url=self._v2, headers=headers, params=params, json=body)
        answer, reply = self._session.exchange(
            request, lambda reply: (read_v2(reply, "createdId", write=True), reply), deadline, values=values
        )
        self._v2_answer("v2-create", answer, reply, progress, carried)
        progress.created = not any(notice.code in COMBINED for notice in progress.notices)
        if progress.loyalty_id is None:
            with progress.going_on():
                progress.loyalty_id = self._read_back(customer, reply, deadline)
        rest = {name: value for name, value in fields.items() if value is not None and name not in carried}
        with progress.going_on():
            self._rest_of_registration(command, rest, options, progress, deadline)
        return progress.receipt()

    def _read_back(self, customer: CustomerRef, reply: CapillaryReply, deadline: Deadline) -> str:
        """Return the id of the member just registered."""
        found = self.find(customer, deadline)
        if found is None:
            summary = "the registration was accepted, and no member has these identifiers yet"
            raise UpstreamUnavailable(summary, reached=True, request_id=reply.request_id)
        return found

    def _rest_of_registration(
        self,
        command: CustomerCommand,
        rest: Mapping[str, Any],
        options: Options,
        progress: _Progress,
        deadline: Deadline,
    ) -> None:
        plan = route(rest, credits=False, by_id=False)
        progress.notices += plan.notices
        if plan.v1:
            self._update_v1(command, plan.v1, options, progress, deadline)

    def update(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        *,
        changed: frozenset[str],
    ) -> Receipt:
        """Update by PUT /v2/customers/{id} or POST /v1.1/customer/update, or both (``routes.py``).

        Raises CustomerNotFound. A member who was merged away is followed to the survivor once, with a notice
        ``merged``. Where the second of two requests fails, the error's ``reached`` is True whatever it is.
        """
        with blaming_options(command.options):
            return self._update_survivor(loyalty_id, command, fields, deadline, changed)

    def check_sale(self, command: OrderCommand) -> list[FieldProblem]:
        """See ``SalesCrm.check_sale``."""
        return check_sale(command.order)

    def book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        """See ``sales.BillBook.book``."""
        return self._bills.book(booking, command, deadline)

    def find_booking(self, booking: Booking, deadline: Deadline) -> BookingReceipt | None:
        """See ``sales.BillBook.find``."""
        return self._bills.find(booking, deadline)

    def _update_survivor(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        changed: frozenset[str],
    ) -> Receipt:
        try:
            return self._update(loyalty_id, command, fields, deadline, changed)
        except MergedAway as merged:
            survivor = merged.survivor or self._members.survivor(loyalty_id, command.customer.proven, deadline)
            if survivor is None or survivor == loyalty_id:
                raise
            receipt = self._update(survivor, command, fields, deadline, changed)
            notice = Notice("merged", "the member had been merged into another one, who was updated")
            return replace(receipt, notices=(notice, *receipt.notices))

    def _update(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        changed: frozenset[str],
    ) -> Receipt:
        options = Options.of(self._destination, command.options)
        command = replace(command, customer=replace(command.customer, profile=options.profile))
        plan = self._route(loyalty_id, command, fields, options)
        progress = _Progress(loyalty_id=loyalty_id, notices=[*plan.notices, *length_notices(fields)])
        if command.credits.referral_code:
            progress.notices.append(Notice("not_updatable", "can be given on registration only", "referral_code"))
        progress.notices += _unsent_options(command.options, plan)
        addressed = loyalty_id or v1.address(command.customer, None, allow_merge=False, country=self._country)
        if loyalty_id is None and (plan.by_v2 or not plan.v1 or not addressed or not options.in_v1):
            progress.loyalty_id = self.find(command.customer, deadline)
            if progress.loyalty_id is None:
                raise CustomerNotFound("no member has these identifiers")
        if plan.v1:
            self._update_v1(command, plan.v1, options, progress, deadline)
        if plan.by_v2:
            with progress.going_on():
                self._update_v2(command, plan.v2, options, progress, deadline, changed)
        return progress.receipt()

    def _route(
        self, loyalty_id: str | None, command: CustomerCommand, fields: Mapping[str, Any], options: Options
    ) -> Route:
        if loyalty_id is None:
            # An address by which the member is found is theirs already.
            known = {"email": command.customer.identifier("email"), "phone": command.customer.identifier("mobile")}
            fields = {n: v for n, v in fields.items() if n not in known or v is None or v != known[n]}
        prefer_v2 = not options.in_v1 or any(command.options.get(name) is not None for name in V2_OPTIONS)
        return route(
            fields, credits=bool(command.credits.enrollments), by_id=loyalty_id is not None, prefer_v2=prefer_v2
        )

    def _update_v2(
        self,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        options: Options,
        progress: _Progress,
        deadline: Deadline,
        changed: frozenset[str],
    ) -> None:
        loyalty_id = progress.loyalty_id or ""
        for name in CONTACT_CHANNELS:
            if name in changed and fields.get(name):
                self._change_identifier(name, fields[name], command, progress, deadline)
        params: dict[str, str | int] = dict(options.place())
        if options.use_async is not None:
            params["use_async"] = truth(options.use_async)
        if options.single_enroll is not None:
            params["mlp_single_enroll"] = truth(options.single_enroll)
        request = build_request(
            api="v2-update",
            method="PUT",
            url=f"{self._v2}/{path_segment(loyalty_id)}",
            headers=options.headers(),
            params=params,
            json=self._writer.update(fields, command.credits),
            idempotent=not command.credits.enrollments,
        )

        answer, reply = self._session.exchange(
            request,
            lambda reply: (read_v2(reply, "createdId", "success", write=True), reply),
            deadline,
            values=self._values(command.customer, fields),
        )
        self._v2_answer("v2-update", answer, reply, progress, fields)

    def _change_identifier(
        self, name: str, value: str, command: CustomerCommand, progress: _Progress, deadline: Deadline
    ) -> None:
        """Change the identifier with its channel, where the connection enables it; an update alone does not."""
        if not self._destination.options.get("identifier_change"):
            summary = "the channel was updated; the member is still found by the old one"
            progress.notices.append(Notice("identifier_not_updated", summary, name))
            return
        kind = CONTACT_CHANNELS[name]
        options = Options.of(self._destination, command.options)
        wanted = identifiers.Change(
            kind, self._writer.identifier_value(kind, value), progress.loyalty_id or "", options
        )
        changed = identifiers.change(self._session, self._v2, wanted, name, deadline)
        progress.notices.append(changed.notice)
        if changed.refused:
            progress.unconfirmed.append(name)
        if changed.reply is not None:
            progress.add_request("v2-identifier", changed.reply)

    def _update_v1(
        self,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        options: Options,
        progress: _Progress,
        deadline: Deadline,
    ) -> None:
        allow_merge = bool(getattr(command, "allow_merge", False))
        who = v1.address(command.customer, progress.loyalty_id, allow_merge=allow_merge, country=self._country)
        request = build_request(
            api="v1-update",
            method="POST",
            url=f"{self._v1}/update",
            headers=options.headers(),
            params={"format": "json"},
            json=v1.update(who or {}, fields, self._destination.region),
            # The same state twice is the same state.
            idempotent=True,
        )

        values = (*self._values(command.customer, fields), *(who or {}).values())
        try:
            item, reply = self._session.exchange(
                request, lambda reply: (v1.read(reply), reply), deadline, values=values
            )
        except v1.AllFailed:
            # An empty item can also mean at V1.1 that there is no such customer.
            ref = replace(command.customer, loyalty_id=progress.loyalty_id)
            if self.find(ref, deadline) is None:
                raise CustomerNotFound("no member has these identifiers", code="500") from None
            raise
        progress.add_request("v1-update", reply)
        progress.loyalty_id = item.loyalty_id or progress.loyalty_id
        progress.add_fields(fields, item.notices, reply)
        typed = dict(item.details)
        progress.side_effects += typed.pop("side_effects")
        progress.details |= typed

    def _v2_answer(
        self, api: str, answer: Mapping[str, Any], reply: CapillaryReply, progress: _Progress, carried: Collection[str]
    ) -> None:
        progress.add_request(api, reply)
        progress.add_fields(carried, read_warnings(answer, reply.values), reply)
        progress.side_effects += read_side_effects(answer)
        # ``createdId`` is also the id of who was updated (Capillary docs: Update customer details).
        progress.loyalty_id = member_id(answer.get("createdId")) or progress.loyalty_id

    def _external_id(self, command: CustomerCommand) -> tuple[Identifier, ...]:
        """Return the source's own id as external id, where the connection enables it and the command has no other."""
        customer = command.customer
        wanted = self._destination.options.get("source_id_as_external_id") and customer.source_id
        if not wanted or customer.identifier("external_id"):
            return ()
        return (Identifier("external_id", customer.source_id or ""),)

    def _values(self, customer: CustomerRef, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return every text about the customer in a request, in the forms in which a vendor's message can echo it."""
        texts = [i.value for i in customer.identifiers] + [v for v in fields.values() if isinstance(v, str)]
        for name, value in fields.items():
            if name.startswith("channels."):
                texts += [str(entry.get("value", "")) for entry in value or () if isinstance(entry, Mapping)]
        return tuple(texts)


V2_OPTIONS = ("use_async", "single_enroll")
"""Options for which an update takes V2 wherever it can: V1.1 has no place for them."""


def _unsent_options(given: Mapping[str, Any], plan: Route) -> list[Notice]:
    """Return a notice for each option of a command that no request of its update carries."""
    unsent = ("raw_side_effects",) if plan.by_v2 else ("raw_side_effects", *V2_OPTIONS)
    text = "no request that carries this update has such an option"
    return [Notice("option_not_sent", text, f"options.{name}") for name in unsent if given.get(name) is not None]
