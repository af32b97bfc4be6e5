"""The responses of the HTTP API, as models for its OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of responses: vendors may add to what is listed."""

    model_config = ConfigDict(extra="allow")


class NoticeAnswer(Answer):
    """A warning of the vendor or of the relay."""

    code: str = Field(examples=["8107", "name_too_long", "identifier_not_updated"])
    message: str | None = None
    field: str | None = None


class OutcomeAnswer(Answer):
    """What came of the command. A replay shows the ids, result and codes that were kept."""

    delivery_id: str
    result: str = Field(examples=["applied", "unchanged", "stale", "ignored"])
    replayed: bool
    created: bool
    fields: list[str]
    notices: list[NoticeAnswer]
    reason: str | None = None
    loyalty_id: str | None = None
    request_id: str | None = Field(None, description="The vendor's id of the request, for their support.")
    details: dict[str, Any] | None = Field(
        None, description="The vendor's answer in our words: side effects, points, CRM fields, the store link."
    )


class AcceptedAnswer(Answer):
    """The command is on the queue."""

    delivery_id: str
    result: str = Field(examples=["accepted"])


class CrmField(Answer):
    """A CRM field as the business has configured it."""

    name: str
    label: str | None = None
    value: Any = None
    is_hidden: bool | None = None
    is_required: bool | None = None
    field_type: str | None = None
    is_custom_field: bool | None = None
    display_order: int | None = None


class CrmFieldsAnswer(Answer):
    """The customer's CRM fields."""

    fields: list[CrmField]


class Tag(Answer):
    """A tag of the business."""

    id: int
    name: str | None = None
    abbreviation: str | None = None
    color: str | None = None
    created_at: str | None = None


class TagsAnswer(Answer):
    """All tags of the business."""

    tags: list[Tag]


class StoreLinkAnswer(Answer):
    """A shop joined to a branch. Later sales calls need ``branch_link_id``."""

    branch_link_id: int
    shop_id: str
    account_id: str
    branch_id: str
    integration_id: int
    store_name: str | None = None
    store_domain: str | None = None
    enabled: bool
    created_at: str | None = None


class StoreLinksAnswer(Answer):
    """The store links of a connection."""

    store_links: list[StoreLinkAnswer]


class SaleOutcome(OutcomeAnswer):
    """What came of a sale, a refund or a void. Of several bookings, the values follow one another with commas."""

    order_id: str | None = None
    kind: str | None = Field(None, examples=["sale", "return", "conversion"])
    amount: str | None = Field(None, description="What was booked.", examples=["64.00"])
    currency: str | None = None
    bill: str | None = None
    transaction_id: str | None = Field(None, description="The vendor's id of the booking.")


class BookingAnswer(Answer):
    """One entry of an order in the vendor's books. Amounts are decimal texts."""

    number: int
    kind: str = Field(examples=["sale", "return", "conversion"])
    amount: str = Field(examples=["64.00"])
    currency: str
    bill: str = Field(description="The bill number of the sale, or of the one that a return takes from.")
    at: str
    transaction_id: str | None = Field(None, description="The vendor's id of this booking.")
    refund_id: str | None = None
    loyalty_id: str | None = None


class SaleAnswer(Answer):
    """What is known of an order, and what was booked of it. Amounts are decimal texts."""

    order_id: str
    aliases: list[str]
    sale_known: bool = Field(description="false: only payments or refunds were reported so far.")
    paid_currency: str = Field(description="The customer's: of total, captured, refunded and refunds.")
    total: str | None = None
    captured: str
    refunded: str
    refunds: dict[str, str] = Field(description="Amount by the refund's id; 0 for one that failed or was withdrawn.")
    currency: str = Field(description="Of the bookings.")
    target: str = Field(description="What the bookings should add up to.")
    booked: str = Field(description="What they add up to: sales minus returns.")
    difference: str = Field(description="What is still to be booked; negative: to be taken back.")
    next: str = Field(examples=["nothing", "book", "take_back", "look_up", "wait"])
    reason: str | None = Field(None, description="Why nothing earns, or what the order waits for.")
    loyalty_id: str | None = None
    guest: bool
    bookings: list[BookingAnswer]
    intent: BookingAnswer | None = Field(None, description="A booking that may have been made.")
    kept_until: str


class StoreLinkOutcome(OutcomeAnswer):
    """What came of linking a shop."""

    branch_link_id: int
    integration_id: int
    branch_id: str


class ProblemError(Answer):
    """One wrong field."""

    field: str
    message: str


class Problem(Answer):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:loyalty-relay:problem:customer_exists"])
    title: str
    status: int
    detail: str
    delivery_id: str
    code: str | None = Field(None, description="The vendor's own error code.")
    request_id: str | None = None
    errors: list[ProblemError] | None = None
    loyalty_id: str | None = Field(None, description="The existing member, where that is the problem.")
    existing: dict[str, Any] | None = Field(None, description="The existing link, where that is the problem.")


class GatewayMessage(Answer):
    """A response of the gateway's own."""

    message: str


class WebhookRefusal(Answer):
    """A delivery that was refused. The reason is only in the operator's log."""

    title: str = Field(examples=["Unauthorized"])
    status: int
