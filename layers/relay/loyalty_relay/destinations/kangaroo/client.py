"""Kangaroo Rewards as a CRM: registering customers, patching CRM fields and tags, linking stores, recording sales."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import httpx

from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt, Branch, Finding, Receipt, StoreLink
from loyalty_relay.destinations.definitions import DefinitionCache
from loyalty_relay.destinations.kangaroo.check import check, supports
from loyalty_relay.destinations.kangaroo.config import VENDOR
from loyalty_relay.destinations.kangaroo.errors import TAKEN, VendorError, credentials_refused, refuse
from loyalty_relay.destinations.kangaroo.fields import national_phone, our_name
from loyalty_relay.destinations.kangaroo.preflight import probe
from loyalty_relay.destinations.kangaroo.requests import Patch, Patcher, Registration, registration
from loyalty_relay.destinations.kangaroo.responses import (
    CrmField,
    Listing,
    Tag,
    customer_id,
    match_email,
    match_phone,
    shown_member,
)
from loyalty_relay.destinations.kangaroo.sales import Transactions, check_sale
from loyalty_relay.destinations.kangaroo.session import PAGE_SIZE, KangarooSession, shown, unwrapped
from loyalty_relay.destinations.kangaroo.stores import StoreLinks
from loyalty_relay.destinations.tokens import Tokens
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import json_of, path_segment
from loyalty_relay.model.commands import (
    Command,
    CustomerCommand,
    CustomerRef,
    Identifier,
    LinkStore,
    OrderCommand,
)
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    CustomerExists,
    CustomerNotFound,
    FieldProblem,
    InvalidCommand,
    RelayError,
    UnsupportedByDestination,
    UpstreamUnavailable,
    after_effect,
)
from loyalty_relay.model.outcomes import Notice
from loyalty_relay.model.phones import to_e164

CRM_NOT_GRANTED = "crm_fields_not_granted"
"""Reason of CredentialsRefused: the business sees no CRM fields; the vendor's CSR has to grant the module."""


class KangarooCrm:
    """``base.CrmFieldsCrm``, ``StoreLinkCrm`` and ``SalesCrm`` for one destination. Safe to use from several threads.

    ``default_country``: ISO 3166-1 alpha-2, for phones written without a country. ``cache`` keeps definitions of fields
    and tags between commands. ``clock``: epoch seconds. ``sales``: how the connection records sales, for ``probe``.
    """

    operations = VENDOR.operations

    def __init__(
        self,
        destination: Destination,
        client: Client,
        tokens: Tokens,
        *,
        default_country: str | None,
        cache: DefinitionCache,
        clock: Callable[[], float],
        sales: Sales,
    ) -> None:
        self._destination = destination
        self._sales = sales
        self._country = default_country
        self._client = client
        self._cache = cache
        self._tokens = tokens
        self._session = KangarooSession(destination, client, tokens, clock)
        self._stores = StoreLinks(destination, self._session)
        self._transactions = Transactions(destination, self._session)
        # An access token of its own may be the only difference of two businesses.
        own = destination.credentials.get("access_token", "")
        self._name = f"{self._session.auth.key}:{hashlib.sha256(own.encode()).hexdigest()}"

    # -- customers ------------------------------------------------------------------------------------------------

    def check(self, command: CustomerCommand) -> list[FieldProblem]:
        """See ``check.check``; a patch is also compared with the live field list."""
        return check(command, self._country)

    def supports(self, field: str) -> bool:
        """See ``check.supports``."""
        return supports(field)

    def slot(self, command: Command, deadline: Deadline) -> AbstractContextManager[None]:
        """See ``Crm.slot``; stores have an API of their own."""
        return self._client.limiter.hold("integrations" if isinstance(command, LinkStore) else "api", deadline)

    def find(self, customer: CustomerRef, deadline: Deadline) -> str | None:
        """See ``Crm.find``: by id, then e-mail, then phone. Raises AmbiguousOutcome when several have the phone."""
        if customer.loyalty_id is not None:
            path = f"/customers/{path_segment(customer.loyalty_id)}"
            try:
                body = self._session.read(self._session.request("api", "GET", path), deadline, customer=True)
            except CustomerNotFound:
                pass
            else:
                return customer_id(unwrapped(body)) or customer.loyalty_id
        if email := customer.identifier("email"):
            found = match_email(self._filtered("email", email.strip(), deadline), email)
            if found is not None:
                return found
        mobile = customer.identifier("mobile")
        e164 = to_e164(mobile, self._country) if mobile else None
        national = national_phone(e164, self._country) if e164 else None
        if e164 is None or national is None:
            return None
        return match_phone(self._filtered("phone", national[0], deadline), e164, national[1])

    def member(self, loyalty_id: str, profile: str, deadline: Deadline) -> Mapping[str, Any] | None:
        """See ``ReadableCrm.member``."""
        request = self._session.request("api", "GET", f"/customers/{path_segment(loyalty_id)}")
        try:
            return shown_member(unwrapped(self._session.read(request, deadline, customer=True)), self._country)
        except CustomerNotFound:
            return None

    def members(self, page: int, deadline: Deadline) -> list[tuple[str, Mapping[str, Any]]] | None:
        """See ``ReadableCrm.members``: ``GET /customers``, a hundred a page."""
        request = self._session.request("api", "GET", "/customers", params={"page": str(page), "per_page": "100"})
        rows = self._session.page(request, deadline)
        return [(found, shown_member(row, self._country)) for row in rows if (found := customer_id(row))]

    def _filtered(self, name: str, value: str, deadline: Deadline) -> list[dict[str, Any]]:
        """Return the first page of ``GET /customers`` with one filter (Kangaroo API blueprint: Filtering)."""
        request = self._session.request("api", "GET", "/customers", params={name: f"eq|{value}"})
        return self._session.page(request, deadline)

    def register(self, command: CustomerCommand, fields: Mapping[str, Any], deadline: Deadline) -> Receipt:
        """See ``Crm.register``; ``sent`` names what the registration could carry (``POST /customers``)."""
        made = registration(command, fields, self._country)
        if made.problems:
            raise InvalidCommand("the customer cannot be registered", problems=made.problems)
        answer, refused = self._session.ask(
            self._session.request("api", "POST", "/customers", json=made.body), deadline
        )
        if refused is not None:
            self._refuse_registration(answer, refused, made, deadline)
        found = customer_id(unwrapped(json_of(answer)))
        with after_effect():
            found = found or self.find(_contacts(made), deadline)
            if found is None:
                raise UpstreamUnavailable("the customer was registered, but the response has no id")
        return Receipt(loyalty_id=found, created=True, sent=tuple(made.sent))

    def _refuse_registration(
        self, answer: httpx.Response, refused: VendorError, made: Registration, deadline: Deadline
    ) -> NoReturn:
        about = refused.about("email", "phone")
        taken = any(TAKEN.search(p.message) for p in about) or (not refused.problems and refused.matches(TAKEN))
        if refused.status in (400, 409, 422) and taken:
            raise CustomerExists(
                "the destination has a customer with this e-mail or phone",
                loyalty_id=self._in_the_way(made, deadline),
                code=refused.code,
            )
        refuse(answer, refused, names=our_name)

    def _in_the_way(self, made: Registration, deadline: Deadline) -> str | None:
        found = self.find(_contacts(made), deadline)
        if found is None and "phone" in made.body:
            # The number is there, so it may be kept in the other form.
            country = made.body["country_code"]
            e164 = to_e164(made.body["phone"], country) or ""
            found = match_phone(self._filtered("phone", e164, deadline), e164, country)
        return found

    def update(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        *,
        changed: frozenset[str],
    ) -> Receipt:
        """Raise UnsupportedByDestination: known customers are changed by a patch."""
        raise UnsupportedByDestination("kangaroo changes customers through their CRM fields: use crm-patch")

    # -- CRM fields -----------------------------------------------------------------------------------------------

    def command_field(self, crm_field: str) -> str:
        """See ``CrmFieldsCrm.command_field``. A command's ``country`` is for reading its phone, no field."""
        return "country" if crm_field == "country_code" else our_name(crm_field)

    def crm_fields(self, loyalty_id: str, deadline: Deadline) -> list[dict[str, Any]]:
        """See ``CrmFieldsCrm.crm_fields``; the members are those of ``Listing.to_dicts``. Raises CustomerNotFound."""
        return self._listing(loyalty_id, deadline).to_dicts()

    def tags(self, deadline: Deadline) -> list[dict[str, Any]]:
        """See ``CrmFieldsCrm.tags``: id, name, abbreviation, color, created_at."""
        return [tag.to_dict() for tag in self._read_tags(deadline)]

    def patch_crm_fields(
        self,
        loyalty_id: str,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        replace_tags: tuple[str, ...] | None,
        deadline: Deadline,
        *,
        strict: bool = True,
    ) -> Receipt:
        """See ``CrmFieldsCrm.patch_crm_fields``. ``strict`` is ``Patcher``'s.

        Single tags are added to or removed from the customer's tags as they are just before, because the vendor
        replaces the whole set and has no conditional write. Our own executions are kept apart by the customer's lease;
        a tag that somebody sets in the business portal in that moment is lost.

        Nothing is sent when nothing is left to change: then ``sent`` is what holds already, and ``details`` has the
        fields only where they were read. A success that shows no fields (204, an empty body, 202) is one; with
        ``strict`` the fields are read afterwards. ``unconfirmed`` are fields that are shown with another value.

        Raises InvalidCommand with every wrong field, and CredentialsRefused with reason CRM_NOT_GRANTED when the
        business sees no CRM fields at all.
        """
        if not fields and replace_tags is None:
            raise InvalidCommand(
                "a patch needs at least one attribute", problems=[FieldProblem("fields", "needs at least one")]
            )
        listing = self._listing(loyalty_id, deadline) if any(n.startswith("tags.") for n in fields) else None
        patch = self._patch(fields, replace_tags, listing, loyalty_id, deadline, strict=strict, fresh=False)
        if patch.problems:
            # Before anything is refused, look again: the definitions may have changed since they were cached.
            listing = listing or self._listing(loyalty_id, deadline)
            patch = self._patch(fields, replace_tags, listing, loyalty_id, deadline, strict=strict, fresh=True)
        if patch.problems:
            raise InvalidCommand("the CRM fields cannot be patched as asked", problems=patch.problems)
        after, pending = self._send(loyalty_id, patch, deadline) if patch.body else (listing, False)
        notices = list(patch.notices)
        if after is None and strict:
            try:
                after = self._listing(loyalty_id, deadline)
            except RelayError:
                notices.append(Notice("not_read_back", "the fields were sent; they could not be read afterwards"))
        differing = patch.differing(after) if after is not None and not pending else []
        for name in dict.fromkeys("tags" if name.startswith("tags") else name for name in differing):
            code = "tags_differ" if name == "tags" else "value_differs"
            notices.append(Notice(code, "the destination shows another value than was sent", name))
        return Receipt(
            loyalty_id=loyalty_id,
            sent=tuple(name for name in patch.sent if name not in differing),
            unconfirmed=tuple(differing),
            notices=tuple(notices),
            details={} if after is None else {"fields": after.to_dicts()},
        )

    def _patch(
        self,
        fields: Mapping[str, Any],
        replace_tags: tuple[str, ...] | None,
        listing: Listing | None,
        loyalty_id: str,
        deadline: Deadline,
        *,
        strict: bool,
        fresh: bool,
    ) -> Patch:
        definitions = listing.fields if listing else self._definitions(loyalty_id, deadline)
        if not definitions:
            raise credentials_refused(
                "the business sees no CRM fields: the vendor's CSR has to grant the CRM module", reason=CRM_NOT_GRANTED
            )
        wants_tags = replace_tags is not None or any(name.startswith("tags.") for name in fields)
        known_tags = self._known_tags(deadline, fresh=fresh) if wants_tags else ()
        current = listing.tags if listing else ()
        patcher = Patcher(definitions, known_tags, current, default_country=self._country, strict=strict)
        return patcher.make(fields, replace_tags)

    def _send(self, loyalty_id: str, patch: Patch, deadline: Deadline) -> tuple[Listing | None, bool]:
        """Send a patch; return the fields in the response, if any, and whether the change is still under way (202).

        The fields may then be those before the change.
        """
        path = f"/customers/{path_segment(loyalty_id)}/{self._destination.options.get('crm_fields_path', 'crm-fields')}"
        request = self._session.request("api", "PATCH", path, json=patch.body, idempotent=True)
        answer, refused = self._session.ask(request, deadline)
        if refused is not None:
            if any(p.field.split(".")[0] == "tags" for p in refused.problems):
                self._cache.drop(self._name, "tags")
            refuse(answer, refused, customer=True, names=patch.our_name, no_route="see the option crm_fields_path")
        items = shown(answer)
        return self._keep(Listing.parse(items)) if items else None, answer.status_code == 202

    def _listing(self, loyalty_id: str, deadline: Deadline) -> Listing:
        request = self._session.request("api", "GET", f"/customers/{path_segment(loyalty_id)}/crm-fields")
        return self._keep(Listing.parse(self._session.pages(request, deadline, customer=True)))

    def _keep(self, listing: Listing) -> Listing:
        if listing.fields:
            self._cache.put(self._name, "crm-fields", listing.fields)
        return listing

    def _definitions(self, loyalty_id: str, deadline: Deadline) -> tuple[CrmField, ...]:
        kept: tuple[CrmField, ...] | None = self._cache.get(self._name, "crm-fields")
        return self._listing(loyalty_id, deadline).fields if kept is None else kept

    def _known_tags(self, deadline: Deadline, *, fresh: bool) -> tuple[Tag, ...]:
        kept: tuple[Tag, ...] | None = None if fresh else self._cache.get(self._name, "tags")
        return self._read_tags(deadline) if kept is None else kept

    def _read_tags(self, deadline: Deadline) -> tuple[Tag, ...]:
        request = self._session.request("api", "GET", "/tags", params={"per_page": PAGE_SIZE})
        tags = tuple(t for item in self._session.pages(request, deadline) if (t := Tag.parse(item)) is not None)
        self._cache.put(self._name, "tags", tags)
        return tags

    # -- stores ---------------------------------------------------------------------------------------------------

    def branches(self, deadline: Deadline) -> list[Branch]:
        """See ``StoreLinkCrm.branches``."""
        return self._stores.branches(deadline)

    def find_integration(self, name: str, deadline: Deadline) -> int | None:
        """See ``StoreLinkCrm.find_integration``; a configured ``integration_id`` is believed."""
        return self._stores.find_integration(name, deadline)

    def create_integration(self, name: str, deadline: Deadline) -> int:
        """See ``StoreLinks.create_integration``."""
        return self._stores.create_integration(name, deadline)

    def links(self, integration_id: int, deadline: Deadline) -> list[StoreLink]:
        """See ``StoreLinks.links``."""
        return self._stores.links(integration_id, deadline)

    def create_link(self, command: LinkStore, branch_id: str, integration_id: int, deadline: Deadline) -> StoreLink:
        """See ``StoreLinks.create_link``."""
        return self._stores.create_link(command, branch_id, integration_id, deadline)

    # -- sales ----------------------------------------------------------------------------------------------------

    def check_sale(self, command: OrderCommand) -> list[FieldProblem]:
        """See ``sales.check_sale``."""
        return check_sale(command)

    def book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        """See ``Transactions.book``."""
        return self._transactions.book(booking, command, deadline)

    def find_booking(self, booking: Booking, deadline: Deadline) -> BookingReceipt | None:
        """See ``Transactions.find_booking``."""
        return self._transactions.find_booking(booking, deadline)

    # -- for operators --------------------------------------------------------------------------------------------

    def probe(self, deadline: Deadline) -> list[Finding]:
        """Check the vendor's prerequisites by reading requests only; never raises the relay's errors."""
        return probe(self._session, self._stores, self._destination, self._sales, deadline)

    def authorize_url(self, state: str) -> str:
        """Return the vendor's page on which the business allows access. Raises InvalidCommand for another grant."""
        self._needs_authorization()
        return self._session.auth.authorize_url(state)

    def authorize(self, code: str, deadline: Deadline) -> None:
        """Exchange the code of that page and keep the tokens; also repairs a lost refresh token.

        Raises CredentialsRefused for a code that is spent or of another application, StoreUnavailable, and
        InvalidCommand for another kind of grant.
        """
        self._needs_authorization()
        auth = self._session.auth
        self._tokens.put(auth.key, auth.exchange(code, deadline))

    def _needs_authorization(self) -> None:
        if self._session.auth.type != "authorization_code":
            raise InvalidCommand(
                f"a connection with {self._session.auth.type} credentials needs no authorization",
                problems=[FieldProblem("destination.credentials.type", "is not authorization_code")],
            )


def _contacts(made: Registration) -> CustomerRef:
    """Return the customer of a registration, by what it sent."""
    found = []
    if "email" in made.body:
        found.append(Identifier("email", made.body["email"]))
    if "phone" in made.body and (e164 := to_e164(made.body["phone"], made.body["country_code"])):
        found.append(Identifier("mobile", e164))
    return CustomerRef(identifiers=tuple(found))
