"""The commands to a destination, and the envelope in which one travels through a queue.

A command separates three things, because each obeys another rule:

- ``customer`` is the identity of the person: never overwritten by an event;
- ``fields`` is state: a flat map from field name to value, ordered per field by version (last writer wins);
- ``credits`` are effects (points, enrolments, referral codes): done once per event, never derived from state.

Field names, the same for every source and destination:

    first_name last_name email phone birthday gender language postal_code address notes
    loyalty_type status_label associated_with registered_on registered_till fraud_status
    channels.TYPE                   list of {value, primary, verified, subscribed, meta}, instead of email or phone
    subscriptions.CHANNEL.PRIORITY  bool; CHANNEL sms, email, whatsapp; PRIORITY bulk (marketing), trans
    custom_fields.NAME            a custom field of the organisation or business
    extended_fields.NAME          Capillary's standardised fields
    tags.NAME                     bool: present or not

An absent field is unchanged; ``None`` clears it, because the source has it empty. Phones are E.164 with ``+`` where the
country is known, dates are ``YYYY-MM-DD``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from loyalty_relay.model.money import text_of
from loyalty_relay.model.orders import Order

SCHEMA = 1
"""Version of the envelope's JSON. A reader refuses a newer one, so that a roll-back parks rather than misreads."""

REVISION = ".revision"
"""How the names of clocks end that count instead of measuring time."""

MAX_ID = 200
"""Longest id of an entity, event or shop that is taken from a delivery."""


@dataclass(frozen=True, slots=True)
class Version:
    """When, or at which revision, something is true: comparable only with a version of the same clock.

    ``value``, ``time`` and ``event_id`` are texts that sort as they should (see ``instant`` and ``revision``). Equal
    values are ordered by the source's event time (what was read from a platform: by when it was read), then by event
    id, never by arrival.
    """

    clock: str
    value: str
    time: str = ""
    event_id: str = ""

    def at_most(self, value: str, time: str) -> Version:
        """Return this version with its times no later than these; a revision counts and is left as it is."""
        known = self.value if self.clock.endswith(REVISION) else min(self.value, value)
        return (
            self
            if (known, min(self.time, time)) == (self.value, self.time)
            else replace(self, value=known, time=min(self.time, time))
        )

    def key(self) -> tuple[str, str, str]:
        return (self.value, self.time, self.event_id)

    def older_than(self, other: Version) -> bool:
        """Return whether both are of the same clock and this one is strictly older."""
        return self.clock == other.clock and self.key() < other.key()

    def to_list(self) -> list[str]:
        return [self.clock, self.value, self.time, self.event_id]

    @classmethod
    def from_list(cls, parts: list[str]) -> Version:
        return cls(*parts)


def instant(moment: datetime) -> str:
    """Return a moment as text that sorts: UTC, microseconds, always the same length. Naive moments are taken as UTC."""
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def instant_at(seconds: float) -> str:
    """Return ``instant`` of epoch seconds. Raises ValueError, OverflowError or OSError outside the years 1 to 9999."""
    return instant(datetime.fromtimestamp(seconds, UTC))


def revision(number: int) -> str:
    """Return a revision number as text that sorts. Raises ValueError when negative or above 20 digits."""
    if not 0 <= number < 10**20:
        raise ValueError("a revision is between 0 and 10^20")
    return f"{number:020d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a delivery reports about one entity.

    ``id`` is the identity that makes a second copy a duplicate: the source's event id where it is covered by the
    signature, else a digest of the raw body. ``time`` is the source's event time (``instant`` text) or empty.
    """

    source: str
    topic: str
    id: str
    entity_id: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier of a customer in a loyalty programme, in our own terms.

    ``type``: email, mobile, external_id, card_number, cuid, union_id, line, wechat, facebook, or another of the
    vendor's.
    """

    type: str
    value: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Cards: series_id, series_code, status_label, extended_fields, custom_fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRef:
    """Who is meant: by the source's id, the loyalty id, identifiers, or several of them."""

    source_id: str | None = None
    loyalty_id: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    profile: str = ""
    """Which of the member's profiles at the destination, where it keeps several; the operation fills it in."""
    unverified: tuple[str, ...] = ()
    """Types of identifiers that the source reports as not verified."""
    unproven: tuple[str, ...] = ()
    """Types of identifiers whose verification the source does not report, and which the connection does not trust."""

    @property
    def doubtful(self) -> CustomerRef:
        """The identifiers that anybody could have typed in at the source; they must not lead to a member."""
        types = {*self.unverified, *self.unproven}
        return CustomerRef(identifiers=tuple(i for i in self.identifiers if i.type in types), profile=self.profile)

    @property
    def proven(self) -> CustomerRef:
        """The same customer by the other identifiers."""
        types = {*self.unverified, *self.unproven}
        return replace(self, identifiers=tuple(i for i in self.identifiers if i.type not in types))

    def identifier(self, type: str) -> str | None:
        return next((i.value for i in self.identifiers if i.type == type), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """A loyalty programme to enrol into, with points and tier. Dates are ISO 8601 with offset."""

    program_id: int
    tier_number: int | None = None
    loyalty_points: float | None = None
    tier_expires_at: str | None = None
    points_expire_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """Effects, sent only when the caller included them and only once per event."""

    enrollments: tuple[Enrollment, ...] = ()
    referral_code: str | None = None

    def __bool__(self) -> bool:
        return bool(self.enrollments or self.referral_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Base of the commands. ``version`` is that of the event; ``versions`` overrides it for single fields."""

    kind: ClassVar[str]
    operation: ClassVar[str]
    """The operation (function and queue) that carries the command out."""

    version: Version | None = None
    versions: Mapping[str, Version] = field(default_factory=dict)
    store: str | None = None
    """Which shop of the source the event came from, where a connection has several."""

    def version_of(self, name: str) -> Version | None:
        return self.versions.get(name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCommand(Command):
    """A command about one customer. ``options`` are the vendor's request switches in our spelling."""

    customer: CustomerRef
    fields: Mapping[str, Any] = field(default_factory=dict)
    credits: Credits = field(default_factory=Credits)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterCustomer(CustomerCommand):
    """Register a customer; when the programme has it already: update it, or fail naming the existing id."""

    kind: ClassVar[str] = "register_customer"
    operation: ClassVar[str] = "register"

    if_exists: Literal["update", "error"] = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCustomer(CustomerCommand):
    """Update a customer; when the programme has none: register it, or fail."""

    kind: ClassVar[str] = "update_customer"
    operation: ClassVar[str] = "update"

    if_missing: Literal["register", "error"] = "register"
    allow_merge: bool = False
    """Two identifiers in one request can merge two members for good; never set for webhooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchCrmFields(CustomerCommand):
    """Patch a customer's CRM fields.

    ``replace_tags`` is the whole set of tags; ``fields['tags.NAME']`` adds or removes one.
    """

    kind: ClassVar[str] = "patch_crm_fields"
    operation: ClassVar[str] = "crm-patch"

    if_missing: Literal["register", "error"] = "register"
    replace_tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireCustomer(Command):
    """Forget what we hold of a customer and leave a tombstone.

    Nothing is sent to the destination: a member keeps the points.

    ``reason``: deleted, erased (a privacy request), merged (then ``survivor`` is the source's id of the kept customer).
    """

    kind: ClassVar[str] = "retire_customer"
    operation: ClassVar[str] = "update"

    customer: CustomerRef
    reason: Literal["deleted", "erased", "merged"]
    survivor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseStore(Command):
    """Erase what we hold of a whole shop (a privacy request for a shop). Nothing is sent to the destination."""

    kind: ClassVar[str] = "erase_store"
    operation: ClassVar[str] = "update"

    shop_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStore(Command):
    """Link a shop of the source to a virtual branch of the destination."""

    kind: ClassVar[str] = "link_store"
    operation: ClassVar[str] = "link-store"

    shop_id: str
    account_id: str
    store_name: str | None = None
    store_domain: str | None = None
    branch_id: str | None = None
    integration_id: int | None = None
    integration_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCommand(Command):
    """A report about one order, which the order ledger turns into bookings. ``store``: of the source, as elsewhere."""

    order: Order
    customer: CustomerRef | None = None
    """Who bought; None for a guest of whom nothing is reported, and where the event does not name the customer."""
    guest: bool = False
    """Whether the source reports no customer: ``customer`` then has contacts only, all unverified."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What is registered of a customer who is not in the programme yet. A sale never updates a profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSale(OrderCommand):
    """Record an order as it is: book, or take back, what differs from what was booked so far."""

    kind: ClassVar[str] = "record_sale"
    operation: ClassVar[str] = "transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRefund(OrderCommand):
    """Record captures or refunds of an order whose sale another event reports."""

    kind: ClassVar[str] = "record_refund"
    operation: ClassVar[str] = "transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceRun(Command):
    """Go on with the import or reconciliation of a connection. The message stays in its queue until the run ends.

    ``generation``: of the message; one of an earlier generation is of no use any more. ``begins``: whether the message,
    a schedule's, begins the run itself, unless another one of the connection is under way. ``webhook_url``: of the
    connection, in a schedule's message; its subscriptions are reviewed before the run.
    """

    kind: ClassVar[str] = "advance_run"
    operation: ClassVar[str] = "import-run"

    run: str
    generation: int = 0
    begins: bool = False
    webhook_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hydrate(Command):
    """Fetch the resource that a thin event only names, then go on.

    ``data`` is what the source's module needs to find it.
    """

    kind: ClassVar[str] = "hydrate"
    operation: ClassVar[str] = "hydrate"

    resource: str
    data: Mapping[str, Any] = field(default_factory=dict)


KINDS: dict[str, type[Command]] = {
    c.kind: c
    for c in (
        RegisterCustomer,
        UpdateCustomer,
        PatchCrmFields,
        RetireCustomer,
        EraseStore,
        LinkStore,
        RecordSale,
        RecordRefund,
        AdvanceRun,
        Hydrate,
    )
}
OPERATIONS = ("register", "update", "crm-patch", "link-store", "transaction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A command on its way: which delivery brought it, for which connection, from which event."""

    delivery_id: str
    connection: str
    event: Event
    command: Command
    position: int = 0
    received_at: float = 0.0
    """When ingest accepted the delivery, epoch seconds."""
    redrives: int = 0
    """How often the command was redriven. Part of the key, so redriven work is no duplicate."""
    payload_digest: str | None = None
    """Keyed digest of the API request, which must be the same when an Idempotency-Key is used again."""
    force: bool = False
    """Send also what the ledger considers unchanged. Never stale fields, and never credits."""

    @property
    def key(self) -> str:
        """The idempotency key: equal for every copy of the same event, whatever brought it."""
        parts = [
            self.connection,
            self.command.operation,
            self.event.id,
            self.event.entity_id,
            str(self.position),
            str(self.redrives),
        ]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def redriven(self) -> Envelope:
        return replace(self, redrives=self.redrives + 1)

    def to_json(self) -> str:
        body = {
            "schema": SCHEMA,
            "delivery_id": self.delivery_id,
            "connection": self.connection,
            "event": plain(self.event),
            "position": self.position,
            "received_at": self.received_at,
            "redrives": self.redrives,
            # The name that earlier versions read, which run beside this one during a deployment.
            "attempt": self.redrives,
            "kind": self.command.kind,
            "command": plain(self.command),
        }
        if self.force:
            body["force"] = True
        if self.payload_digest is not None:
            body["payload_digest"] = self.payload_digest
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Envelope:
        """Return the envelope. Raises ValueError when the text is not one of a supported schema."""
        try:
            body = json.loads(text)
            if body["schema"] > SCHEMA:
                raise ValueError(f"envelope schema {body['schema']} is newer than {SCHEMA}")
            return cls(
                delivery_id=body["delivery_id"],
                connection=body["connection"],
                event=Event(**body["event"]),
                position=body["position"],
                received_at=body["received_at"],
                redrives=body["redrives" if "redrives" in body else "attempt"],
                payload_digest=body.get("payload_digest"),
                force=body.get("force", False),
                command=command_from_dict(body["kind"], body["command"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an envelope: {error!r}") from error


def plain(value: Any) -> Any:
    """Return dataclasses as JSON-ready dictionaries, without members that hold their default."""
    if isinstance(value, Version):
        return value.to_list()
    if isinstance(value, Decimal):
        return text_of(value)
    if hasattr(value, "__dataclass_fields__"):
        out = {}
        for f in fields(value):
            member = getattr(value, f.name)
            if member == (f.default if f.default_factory is MISSING else f.default_factory()):
                continue
            out[f.name] = plain(member)
        return out
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def command_from_dict(kind: str, data: Mapping[str, Any]) -> Command:
    """Return the command of its ``plain`` form. Raises KeyError for an unknown kind, TypeError for unknown members."""
    given = dict(data)
    if given.get("version") is not None:
        given["version"] = Version.from_list(given["version"])
    if "versions" in given:
        given["versions"] = {k: Version.from_list(v) for k, v in given["versions"].items()}
    if "order" in given:
        given["order"] = Order.from_dict(given["order"])
    if given.get("customer") is not None:
        who = dict(given["customer"])
        who["identifiers"] = tuple(Identifier(**i) for i in who.get("identifiers", ()))
        who |= {name: tuple(who[name]) for name in ("unverified", "unproven") if name in who}
        given["customer"] = CustomerRef(**who)
    if "credits" in given:
        owed = dict(given["credits"])
        owed["enrollments"] = tuple(Enrollment(**e) for e in owed.get("enrollments", ()))
        given["credits"] = Credits(**owed)
    if given.get("replace_tags") is not None:
        given["replace_tags"] = tuple(given["replace_tags"])
    return KINDS[kind](**given)
