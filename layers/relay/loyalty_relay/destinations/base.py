"""What a vendor is, and what operations need of its client. Nothing here depends on a vendor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

from loyalty_relay.connections.model import Connection, Destination
from loyalty_relay.model.commands import Command, CustomerCommand, CustomerRef, LinkStore, OrderCommand
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import FieldProblem, PartNotDone
from loyalty_relay.model.json_validation import Reader
from loyalty_relay.model.outcomes import Notice

if TYPE_CHECKING:
    from loyalty_relay.destinations.definitions import DefinitionCache
    from loyalty_relay.destinations.tokens import Tokens
    from loyalty_relay.http.client import Client

ChangeKind = Literal["customer_created", "customer_changed", "store_changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesSupport:
    """What a vendor can do with sales; a connection's ``sales`` is checked against it."""

    bill_number_length: int
    """Most characters of a bill or receipt number."""
    attributions: frozenset[str]
    """Members that an entry of ``sales.stores`` may have."""
    returns: frozenset[str] = frozenset({"amount"})
    unlinked_returns: frozenset[str] = frozenset({"skip", "park"})
    guests: frozenset[str] = frozenset({"skip", "hold"})
    unique_bills: bool = False
    """Whether a bill number that the organisation has already is refused."""
    linked_branch: Callable[[Destination], bool] = lambda destination: False
    """Whether a sale is attributed to the branch of its shop's link, where ``sales.stores`` has no entry for it."""


SUBSCRIPTION = r"subscriptions\.(?:sms|email|whatsapp)\.(?:bulk|trans)"
"""Pattern of every consent that commands can carry (``model.commands``)."""


class ClientParts(Protocol):
    """What a vendor's client may share with others of the process; each part is built on first use."""

    clock: Callable[[], float]
    """Epoch seconds."""

    @property
    def tokens(self) -> Tokens: ...

    @property
    def definitions(self) -> DefinitionCache: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor of loyalty CRMs: everything that others need of it before, or without, its client."""

    name: str
    parse: Callable[[Reader, frozenset[str]], Destination]
    """Read the ``destination`` object of a connection's secret; ``base_url`` of the reader takes the second argument,
    the sandbox hosts.
    """
    crm: Callable[[Connection, Client, ClientParts], Crm]
    """Build the vendor's client over an HTTP client; its modules are imported here and not before."""
    operations: frozenset[str]
    """The operations this vendor has; every other is a 422 ``unsupported_by_destination``."""
    commands: Mapping[ChangeKind, type[Command]]
    """What a source's change becomes; a change that is not listed is skipped."""
    fields: frozenset[str]
    """Plain fields that a mapping may name."""
    field_patterns: tuple[tuple[str, str], ...]
    """Fields with a name inside: expression, and how it is written for the operator."""
    registers_quietly: bool = False
    """Whether a registration never makes the vendor send the customer a message."""
    sales: SalesSupport | None = None
    """None: the vendor has no operation ``transaction``."""
    profile: Callable[[Destination, CustomerCommand], str] = lambda destination, command: ""
    """Name of the profile that a command is about, for a vendor that keeps several of one member: what was sent is
    remembered for each. Empty for a vendor that keeps one.
    """
    code_text: Callable[[str], str] = lambda code: ""
    """What the vendor documents about a code of its errors and warnings; empty where it documents nothing."""

    def takes(self, field: str) -> bool:
        """Return whether a mapping may name this field."""
        return field in self.fields or any(re.fullmatch(pattern, field) for pattern, _ in self.field_patterns)


def limits(read: Reader, published: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    """Return requests per minute by API name: the vendor's published limits, overridden by the secret's own."""
    given = read.object("requests_per_minute")
    found = dict(published)
    for name in names:
        if given.has(name):
            found[name] = given.number(name, 0, minimum=0.1, maximum=1_000_000)
    given.done()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The vendor's response to a write, in our own terms."""

    loyalty_id: str
    created: bool = False
    sent: tuple[str, ...] = ()
    """Names of the fields that the request carried and the vendor took."""
    unconfirmed: tuple[str, ...] = ()
    """Names of the fields that the request carried and whose value at the vendor is not known, because the response
    shows another one or reports that this part was not done. The ledger then has nothing of them, so the next event
    that carries them sends them again.
    """
    unfinished: PartNotDone | None = None
    """Why a part that may succeed later was not done: raised once the rest is committed."""
    notices: tuple[Notice, ...] = ()
    request_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check of one of the vendor's prerequisites found."""

    name: str
    ok: bool | None
    """None: it could not be checked; the message has the reason."""
    message: str
    who: str = ""
    """Who can change it: ``operator`` of the relay, the ``business`` in the vendor's portal, or the ``vendor``."""


class Crm(Protocol):
    """A loyalty CRM account as operations use it. Every method may raise the errors of ``model.errors``."""

    operations: frozenset[str]
    """The operations this vendor has; every other is a 422 ``unsupported_by_destination``."""

    def check(self, command: CustomerCommand) -> list[FieldProblem]:
        """Return what is wrong with the command before anything is sent: formats, enums, unknown fields."""
        ...

    def supports(self, field: str) -> bool:
        """Return whether a field of a webhook's command can be sent to this vendor at all."""
        ...

    def probe(self, deadline: Deadline) -> list[Finding]:
        """Return one finding per prerequisite of the vendor, without changing anything."""
        ...

    def slot(self, command: Command, deadline: Deadline) -> AbstractContextManager[None]:
        """Hold a slot of the API that most likely carries the command, for its first request within the block.

        Raises NoSlot, before anything was done for the command, when there is none soon.
        """
        ...

    def find(self, customer: CustomerRef, deadline: Deadline) -> str | None:
        """Return the loyalty id by loyalty id or identifiers, the surviving one after a merge; None when unknown."""
        ...

    def register(self, command: CustomerCommand, fields: Mapping[str, Any], deadline: Deadline) -> Receipt:
        """Create the member. Raises CustomerExists, with the id where the vendor reports it."""
        ...

    def update(
        self,
        loyalty_id: str | None,
        command: CustomerCommand,
        fields: Mapping[str, Any],
        deadline: Deadline,
        *,
        changed: frozenset[str],
    ) -> Receipt:
        """Update the member; by identifier when ``loyalty_id`` is None. Raises CustomerNotFound.

        ``changed``: fields of which another value is known to have been sent before (an identifier change shows there).
        """
        ...


class ReadableCrm(Crm, Protocol):
    """A CRM whose members can be read back."""

    def member(self, loyalty_id: str, profile: str, deadline: Deadline) -> Mapping[str, Any] | None:
        """Return e-mail, phone (with its country code) and names of a member, by our field names; None for no member.

        What the vendor does not show is absent. ``profile``: the command's, where the vendor keeps several.
        """
        ...

    def members(self, page: int, deadline: Deadline) -> list[tuple[str, Mapping[str, Any]]] | None:
        """Return the same of a page of all members, with their ids; empty after the last, None where none are listed.

        ``page``: from 1.
        """
        ...


class CrmFieldsCrm(Crm, Protocol):
    """A CRM with CRM fields and tags (Kangaroo)."""

    def command_field(self, crm_field: str) -> str:
        """Return the name in commands of a CRM field as the live list names it; an unknown one stays as it is."""
        ...

    def crm_fields(self, loyalty_id: str, deadline: Deadline) -> list[dict[str, Any]]:
        """Return the customer's CRM fields, live."""
        ...

    def tags(self, deadline: Deadline) -> list[dict[str, Any]]:
        """Return all tags of the business, all pages."""
        ...

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
        """Validate against the live definitions, then patch; ``details['fields']`` is the full list after it.

        ``strict``: a field that the business has not enabled is an error; otherwise it is left out with a notice,
        since a shop sends more than a business has enabled.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLink:
    """A shop of the source joined to a branch of the destination; ``branch_link_id`` is what later sales calls need."""

    branch_link_id: int
    shop_id: str
    account_id: str
    branch_id: str
    integration_id: int
    store_name: str | None = None
    store_domain: str | None = None
    enabled: bool = True
    created_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch of the business; only a virtual one can be linked."""

    id: str
    name: str | None
    virtual: bool


class StoreLinkCrm(Protocol):
    """A CRM whose branches shops are linked to (Kangaroo's integrations API)."""

    operations: frozenset[str]

    def branches(self, deadline: Deadline) -> list[Branch]:
        """Return all branches, all pages."""
        ...

    def find_integration(self, name: str, deadline: Deadline) -> int | None:
        """Return the integration of this name. Raises AmbiguousOutcome where the vendor has no list route."""
        ...

    def create_integration(self, name: str, deadline: Deadline) -> int: ...

    def links(self, integration_id: int, deadline: Deadline) -> list[StoreLink]: ...

    def create_link(self, command: LinkStore, branch_id: str, integration_id: int, deadline: Deadline) -> StoreLink: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One entry of an order in the vendor's books: a sale, a return of a part of one, or the conversion of a guest's.

    The ledger writes it as an intent before the request and keeps it after. It has everything that a look-up compares.
    """

    number: int
    """1, 2 ... within the order."""
    kind: Literal["sale", "return", "conversion"]
    amount: Decimal
    """Positive, in whole minor units of ``currency``."""
    currency: str
    bill: str
    """The bill number of this sale; of a return or conversion: that of the sale that it changes."""
    marker: str
    """A text of at most 50 ASCII letters, digits and hyphens that no other booking of the connection has."""
    order_id: str
    """What the vendor may show people as the order's id: the platform's own number or id."""
    at: str
    """When it happened, as ``instant`` text; of a return: when the money was given back."""
    sold_at: str
    """When the order was sold, as ``instant`` text; empty for a return that names no sale."""
    loyalty_id: str | None = None
    """The member; None for a guest's sale (Capillary: NOT_INTERESTED)."""
    refund_id: str = ""
    """The refund that a return books, where it books exactly one."""
    transaction_id: str = ""
    """The vendor's id of this booking, once it is known."""
    of: str = ""
    """Of a return or conversion: the vendor's transaction id of the sale."""
    whole: bool = False
    """Whether a return takes back everything that is left of its sale."""
    place: Mapping[str, str] = field(default_factory=dict)
    """Where the order was sold: the entry of ``sales.stores`` for its till or location; of its returns as well."""
    linked_branch: str = ""
    """Without ``place``: the branch of the shop's link, where ``SalesSupport.linked_branch`` is true."""
    by_line: bool = False
    """Whether returns of the order are booked by line where that is exact: the rule at its first booking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingReceipt:
    """What the vendor reports of a booking."""

    transaction_id: str
    points: Decimal | None = None
    """Points given, or taken where negative; None where the vendor does not report them."""
    notices: tuple[Notice, ...] = ()
    """Such as a bill that was booked without points."""
    request_id: str | None = None


class SalesCrm(Crm, Protocol):
    """A CRM that records sales and returns."""

    def check_sale(self, command: OrderCommand) -> list[FieldProblem]:
        """Return what is wrong with the parts of an order that are sent as they are: custom fields, note."""
        ...

    def book(self, booking: Booking, command: OrderCommand, deadline: Deadline) -> BookingReceipt:
        """Make one booking with one request that changes something.

        ``command``: the event that led to it; lines and payments are sent only if they are exactly this booking's.
        Raises CustomerNotFound for a member who does not exist (any more), AmbiguousOutcome where the vendor reports a
        copy that is not this booking, VendorRejected with the vendor's code, and the errors of every request.
        """
        ...

    def find_booking(self, booking: Booking, deadline: Deadline) -> BookingReceipt | None:
        """Return the vendor's record of a booking whose answer was lost; None when the vendor has none.

        A record is the booking's if marker, kind, amount and member are the same. Raises AmbiguousOutcome when the
        vendor cannot show it, or shows one that differs.
        """
        ...
