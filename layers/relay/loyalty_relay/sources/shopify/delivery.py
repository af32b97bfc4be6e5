"""A Shopify delivery, and what its bodies have in common: ids, addresses, tags, consents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.model.commands import Event, Version
from loyalty_relay.model.errors import NotAuthentic, Untranslatable
from loyalty_relay.sources.base import CustomerRetired
from loyalty_relay.sources.parsing import address_line, body_digest, member, moment, text_id, text_or_none

PLATFORM = "shopify"
CLOCK = "shopify"
MAX_GID = 512
"""Characters of a GraphQL id with its query."""


@dataclass(frozen=True, slots=True)
class ShopifyDelivery:
    """An authentic delivery: the signed body, and what the unsigned headers report about it."""

    topic: str
    body: dict[str, Any]
    raw: bytes
    time: str
    shop: str

    def event(self, entity_id: str, *, family: str | None = None) -> Event:
        """Return the event under the identity of its body.

        The webhook id is not signed, and whoever replays a body can invent one.

        ``family``: what replaces the topic in the identity, where two topics with opposite meanings share a shape of
        body.
        """
        return Event(
            source=PLATFORM,
            topic=self.topic,
            id=body_digest(family or self.topic, self.raw),
            entity_id=entity_id,
            time=self.time,
        )

    def version(self, signed_time: Any, event: Event) -> Version:
        """Return the version as of a time in the signed body. Raises Untranslatable('no_signed_time').

        The unsigned time of the delivery only orders events of one signed time.
        """
        value = moment(signed_time)
        if value is None:
            raise Untranslatable("no_signed_time", "the body has no time that the event could be ordered by")
        return Version(CLOCK, value, self.time, event.id)

    def final(self, event: Event) -> Version | None:
        """Return the version of what is final, and therefore may take the unsigned time of a body that has none."""
        return Version(CLOCK, self.time, self.time, event.id) if self.time else None

    def expect(self, expected: bool) -> None:
        """Raise Untranslatable('topic_mismatch') when this is another topic's body."""
        if not expected:
            raise Untranslatable("topic_mismatch", f"the body is not that of {self.topic}")

    def same_shop(self, reported: Any) -> None:
        """Raise NotAuthentic when the signed body names another shop than the header."""
        if not isinstance(reported, str) or reported.strip().casefold() != self.shop.casefold():
            raise NotAuthentic("the body is of another shop")


def gid_of(value: Any, kind: str) -> str | None:
    """Return the id in a GraphQL id of this kind; None when it is none."""
    if not isinstance(value, str) or len(value) > MAX_GID:
        return None
    found = re.fullmatch(rf"gid://shopify/{kind}/([^/?#\s]+)(?:\?.*)?", value.strip())
    return text_id(found[1]) if found else None


def entity_id(body: Mapping[str, Any], kind: str) -> str:
    """Return the id of a REST body: the GraphQL id's, which was never rounded, else the number."""
    return gid_of(body.get("admin_graphql_api_id"), kind) or text_id(body.get("id"))


def address(data: Mapping[str, Any], name: str, postcode: str, country: str) -> dict[str, Any]:
    """Return the default address; an empty one clears address and postal code."""
    if name not in data:
        return {}
    reported = data[name]
    if not isinstance(reported, dict) or not reported:
        return {"address": None, "postal_code": None}
    lines = (reported.get("address1"), reported.get("address2"), reported.get("city"), reported.get("province"))
    fields: dict[str, Any] = {"address": address_line(*lines), "postal_code": text_or_none(reported.get(postcode))}
    if code := text_or_none(reported.get(country)):
        fields["country"] = code.upper()
    return fields


def tags_of(value: Any) -> list[str]:
    """Return tags: REST writes them as one comma-separated text, GraphQL as a list."""
    listed = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return [text for tag in listed if (text := text_or_none(tag))]


def consent_of(consent: Any, state: str, time: str) -> tuple[bool | None, str | None]:
    """Return (opted in, as of when); opted in is None where nothing is reported.

    ``not_subscribed`` without a time means that there was never a choice, which is no reason to opt anybody out. Every
    state but ``subscribed`` (pending, unsubscribed, redacted, invalid, and what may come) means no.
    """
    reported = text_or_none(member(consent, state))
    as_of = moment(member(consent, time))
    if reported is None or (reported.lower() == "not_subscribed" and as_of is None):
        return None, None
    return reported.lower() == "subscribed", as_of


def retired(delivery: ShopifyDelivery, source_id: str) -> CustomerRetired:
    """Return a deletion; its body has no time, and being final it may take the unsigned one."""
    event = delivery.event(source_id)
    return CustomerRetired(
        event=event, source_id=source_id, reason="deleted", version=delivery.final(event), store=delivery.shop
    )
