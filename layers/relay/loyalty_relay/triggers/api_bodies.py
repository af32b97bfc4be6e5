"""Request bodies of the HTTP API, and the commands they become.

Names are the relay's own, in snake_case; vendor spellings stay in the clients. Unknown fields are refused by name. A
vendor's own rules for values (channel types, sources, dates) are checked by its client, and both kinds of problem have
one form in the response.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from loyalty_relay.model.commands import (
    MAX_ID,
    Credits,
    CustomerRef,
    Enrollment,
    Identifier,
    LinkStore,
    PatchCrmFields,
    RegisterCustomer,
    UpdateCustomer,
    Version,
    instant,
)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Id = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_ID)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4096)]
"""An e-mail address, a phone number, or a push token, which can be longer than 255 characters."""
Name = Annotated[str, StringConstraints(max_length=1000)]
Scalars = dict[Text, str | int | float | bool | None]


def _in_range(moment: datetime) -> datetime:
    try:
        instant(moment)
    except OverflowError:
        raise ValueError("must be in the years 1 to 9999 in UTC") from None
    return moment


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Moment = Annotated[datetime, AfterValidator(_in_range)]


class Body(BaseModel):
    """Base of all bodies: unknown fields are problems."""

    model_config = ConfigDict(extra="forbid", strict=False, str_max_length=10_000, allow_inf_nan=False)


class IdentifierBody(Body):
    """An identifier of the customer at the programme; the last five members are for cards."""

    type: Text = Field(examples=["email", "mobile", "external_id", "card_number", "cuid", "union_id", "line"])
    value: Text = Field(examples=["ana@example.com", "+447700900123"])
    series_id: int | None = None
    series_code: Text | None = None
    status_label: Text | None = Field(None, examples=["ACTIVE"])
    extended_fields: Scalars = Field(default_factory=dict)
    custom_fields: Scalars = Field(default_factory=dict)

    def to_identifier(self) -> Identifier:
        extra = self.model_dump(exclude={"type", "value"}, exclude_none=True)
        return Identifier(self.type, self.value, {name: value for name, value in extra.items() if value != {}})


class ChannelMeta(Body):
    """Where a channel reaches the customer."""

    residence: bool | None = None
    office: bool | None = None
    last_viewed_date: str | None = None


class ChannelBody(Body):
    """A communication channel."""

    type: Text = Field(examples=["mobile", "email", "wechat", "ios", "android", "line", "mobilePush", "cardnumber"])
    value: Address
    primary: bool | None = None
    verified: bool | None = None
    subscribed: bool | None = None
    meta: ChannelMeta | None = None


class SubscriptionBody(Body):
    """Consent to messages of one kind on one channel."""

    channel: Literal["sms", "email", "whatsapp"]
    priority: Literal["bulk", "trans"] = "bulk"
    subscribed: bool


class EnrollmentBody(Body):
    """A loyalty programme to enrol into. Points are credited once per Idempotency-Key."""

    program_id: int
    tier_number: int | None = Field(None, ge=1)
    loyalty_points: float | None = Field(None, ge=0)
    tier_expires_at: Moment | None = None
    points_expire_at: Moment | None = None

    def to_enrollment(self) -> Enrollment:
        return Enrollment(
            program_id=self.program_id,
            tier_number=self.tier_number,
            loyalty_points=self.loyalty_points,
            tier_expires_at=self.tier_expires_at.isoformat() if self.tier_expires_at else None,
            points_expire_at=self.points_expire_at.isoformat() if self.points_expire_at else None,
        )


class UserContext(Body):
    """Who makes the change, for the programme's audit log."""

    type: Text | None = None
    id: Text | None = None
    source: Text | None = None
    source_id: Text | None = None


class WriteOptions(Body):
    """Options of the request. ``use_async``: loyalty work runs in the background; no side effects in the response."""

    use_async: bool | None = None
    raw_side_effects: bool | None = None
    single_enroll: bool | None = None
    source: Text | None = Field(None, description="Instead of the connection's source of profiles.")
    account_id: Text | None = None
    user_context: UserContext | None = None


class ProfileBody(Body):
    """State of a customer: an absent field is left as it is, null clears it."""

    first_name: Name | None = None
    last_name: Name | None = None
    birthday: date | None = None
    gender: Text | None = None
    language: Text | None = None
    channels: list[ChannelBody] = Field(default_factory=list, max_length=50)
    custom_fields: Scalars = Field(default_factory=dict)
    extended_fields: Scalars = Field(default_factory=dict)
    subscriptions: list[SubscriptionBody] = Field(default_factory=list, max_length=20)
    loyalty_type: Literal["loyalty", "non_loyalty"] | None = None
    status_label: Text | None = None
    associated_with: Text | None = Field(None, description="Till code associated with the customer.")
    enrollments: list[EnrollmentBody] = Field(default_factory=list, max_length=20)
    referral_code: Annotated[Text | None, BeforeValidator(_none_if_blank)] = Field(
        None, description="An empty string is the same as none."
    )
    options: WriteOptions = Field(default_factory=WriteOptions)
    as_of: Moment | None = Field(
        None, description="Time of this state. Older than what was applied: stale. In the future: refused."
    )

    def fields(self) -> dict[str, Any]:
        """Return the state as the command's flat fields."""
        flat: dict[str, Any] = {}
        for name in _PLAIN:
            if name in self.model_fields_set and hasattr(self, name):
                value = getattr(self, name)
                flat[name] = value.isoformat() if isinstance(value, date) else value
        for channel in self.channels:
            flat.setdefault(f"channels.{channel.type}", []).append(
                channel.model_dump(exclude={"type"}, exclude_none=True)
            )
        for kind in ("custom_fields", "extended_fields"):
            flat.update({f"{kind}.{name}": value for name, value in getattr(self, kind).items()})
        for consent in self.subscriptions:
            flat[f"subscriptions.{consent.channel}.{consent.priority}"] = consent.subscribed
        return flat

    def credits(self) -> Credits:
        return Credits(enrollments=tuple(e.to_enrollment() for e in self.enrollments), referral_code=self.referral_code)

    def version(self) -> Version | None:
        return Version("as_of", instant(self.as_of)) if self.as_of else None

    def switches(self) -> dict[str, Any]:
        return self.options.model_dump(exclude_none=True)


_PLAIN = (
    "first_name",
    "last_name",
    "birthday",
    "gender",
    "language",
    "loyalty_type",
    "status_label",
    "associated_with",
    "registered_on",
    "registered_till",
    "fraud_status",
)


class RegisterBody(ProfileBody):
    """Register a customer."""

    identifiers: list[IdentifierBody] = Field(min_length=1, max_length=20)
    source_id: Id | None = Field(
        None, description="The customer's id at the shop, by which its webhooks find the customer."
    )
    registered_on: Moment | None = None
    if_exists: Literal["error", "update"] = "error"

    def to_command(self) -> RegisterCustomer:
        return RegisterCustomer(
            customer=CustomerRef(
                source_id=self.source_id, identifiers=tuple(i.to_identifier() for i in self.identifiers)
            ),
            fields=self.fields(),
            credits=self.credits(),
            options=self.switches(),
            version=self.version(),
            if_exists=self.if_exists,
        )


Force = Annotated[bool, Field(description="Send also what the relay has sent before; never what is stale.")]


class UpdateBody(ProfileBody):
    """Update a customer by loyalty id."""

    force: Force = False

    registered_on: Moment | None = None
    registered_till: Text | None = None
    fraud_status: Text | None = None

    @model_validator(mode="after")
    def _state_only(self) -> UpdateBody:
        if self.force and self.credits():
            raise ValueError("force sends state only; send enrollments and referral_code without it")
        return self

    def to_command(self, loyalty_id: str) -> UpdateCustomer:
        return UpdateCustomer(
            customer=CustomerRef(loyalty_id=loyalty_id),
            fields=self.fields(),
            credits=self.credits(),
            options=self.switches(),
            version=self.version(),
            if_missing="error",
        )


class UpdateByIdentifierBody(UpdateBody):
    """Update a customer by identifier.

    Several identifiers can merge two members for good, so they need ``allow_merge``.
    """

    identifiers: list[IdentifierBody] = Field(min_length=1, max_length=4)
    allow_merge: bool = False
    if_missing: Literal["error", "register"] = "error"

    @model_validator(mode="after")
    def _one_identifier(self) -> UpdateByIdentifierBody:
        if len(self.identifiers) > 1 and not self.allow_merge:
            raise ValueError("give exactly one identifier, or allow_merge: true")
        return self

    def to_update(self) -> UpdateCustomer:
        return UpdateCustomer(
            customer=CustomerRef(identifiers=tuple(i.to_identifier() for i in self.identifiers)),
            fields=self.fields(),
            credits=self.credits(),
            options=self.switches(),
            version=self.version(),
            if_missing=self.if_missing,
            allow_merge=self.allow_merge,
        )


class TagsBody(Body):
    """Tags by name: ``replace`` is the whole set, ``add`` and ``remove`` change it."""

    replace: list[Text] | None = Field(None, max_length=500)
    add: list[Text] = Field(default_factory=list, max_length=500)
    remove: list[Text] = Field(default_factory=list, max_length=500)

    @model_validator(mode="after")
    def _not_both(self) -> TagsBody:
        if self.replace is not None and (self.add or self.remove):
            raise ValueError("give replace, or add and remove, not both")
        if set(self.add) & set(self.remove):
            raise ValueError("a tag cannot be added and removed at once")
        return self


class CrmFieldsBody(Body):
    """Patch CRM fields. Names are those of GET crm-fields."""

    fields: dict[Text, str | bool | int | float | None] = Field(default_factory=dict)
    tags: TagsBody | None = None
    as_of: Moment | None = None
    force: Force = False

    @model_validator(mode="after")
    def _something(self) -> CrmFieldsBody:
        tags = self.tags
        if not self.fields and (tags is None or (tags.replace is None and not tags.add and not tags.remove)):
            raise ValueError("at least one field or tag is needed")
        return self

    def to_command(self, loyalty_id: str, command_field: Callable[[str], str]) -> PatchCrmFields:
        """Return the command. ``command_field``: from a CRM field's name to the command's."""
        tags = self.tags or TagsBody(replace=None)
        flat: dict[str, Any] = {command_field(name): value for name, value in self.fields.items()}
        flat.update({f"tags.{name}": True for name in tags.add})
        flat.update({f"tags.{name}": False for name in tags.remove})
        return PatchCrmFields(
            customer=CustomerRef(loyalty_id=loyalty_id),
            fields=flat,
            replace_tags=tuple(tags.replace) if tags.replace is not None else None,
            version=Version("as_of", instant(self.as_of)) if self.as_of else None,
            if_missing="error",
        )


class StoreLinkBody(Body):
    """Link a shop to a virtual branch."""

    shop_id: Id = Field(description="The unique id of the location at the platform.")
    account_id: Text = Field(description="The account at the platform.")
    store_name: Text | None = None
    store_domain: Text | None = Field(None, description="Required for e-commerce platforms.")
    branch_id: Text | None = Field(None, description="Needed where the business has several virtual branches.")
    integration_id: int | None = Field(None, ge=1, lt=10**18)
    integration_name: Text | None = Field(None, description="The integration of this name; it is created if missing.")

    @model_validator(mode="after")
    def _one_integration(self) -> StoreLinkBody:
        if self.integration_id is not None and self.integration_name is not None:
            raise ValueError("give integration_id or integration_name, not both")
        return self

    def to_command(self) -> LinkStore:
        return LinkStore(**self.model_dump())
