"""What the demo sends, and what must come of it: a story of one customer, then one of each kind for every platform.

A new platform needs no edit here: its rows follow from its catalogue and from the sample connection it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from devkit.cli.fixtures import topics
from devkit.demo.steps import ANSWERED, REFUSED, Call, Delivery, Step
from loyalty_relay.connections import Connection
from loyalty_relay.sources.base import Topic

POINTS = r"/v2/customers"
MEMBER = r"/v2/customers/\d+"
BY_IDENTIFIER = r"/v1\.1/customer/update"
CRM_FIELDS = r"/customers/[^/]+/crm-fields"

EXPECTED: dict[str, dict[str, tuple[str, tuple[Call, ...]]]] = {
    "capillary": {
        "register": ("applied", (Call("POST", POINTS),)),
        "update": ("applied", (Call("POST", POINTS),)),
        "consent": ("applied", (Call("POST", BY_IDENTIFIER),)),
        "tags": ("ignored", ()),
        "retire": ("applied", ()),
        "erase": ("applied", ()),
        "link-store": ("ignored", ()),
        "hydrate": ("applied", (Call("POST", POINTS),)),
        "ignored": ("ignored", ()),
        "handshake": (ANSWERED, ()),
    },
    "kangaroo": {
        "register": ("applied", (Call("POST", "/customers"), Call("PATCH", CRM_FIELDS))),
        "update": ("applied", (Call("POST", "/customers"), Call("PATCH", CRM_FIELDS))),
        "consent": ("applied", (Call("PATCH", CRM_FIELDS),)),
        "tags": ("applied", (Call("PATCH", CRM_FIELDS),)),
        "retire": ("applied", ()),
        "erase": ("applied", ()),
        "link-store": ("applied", (Call("POST", ".*"),)),
        "hydrate": ("applied", (Call("POST", "/customers"), Call("PATCH", CRM_FIELDS))),
        "ignored": ("ignored", ()),
        "handshake": (ANSWERED, ()),
    },
}
"""Vendor -> what a topic becomes -> the outcome, and the requests upstream, for a customer whom nobody knows yet."""

CUSTOMER_ID = "7012345678901"
CUSTOMER = {"email": "ana.nunez@example.com", "phone": "+447700900123", "last_name": "Núñez"}
"""The customer of the story, as the sample customers/create has them."""

REGISTERED = Call("POST", POINTS, {"profiles.0.firstName": "Ana", "profiles.0.lastName": "Núñez"})


def steps(connections: Iterable[Connection]) -> list[Step]:
    """Every step of the demo, in order, over the connections that there are."""
    known = {connection.id: connection for connection in connections}
    told: list[Step] = list(story()) if "shopify-capillary" in known else []
    return [*told, *(step for connection in showcases(known.values()) for step in one_of_each(connection))]


def story() -> Iterator[Step]:
    """One customer of one shop: registered, repeated, forged, changed, out of order, erased."""

    def delivery(topic: str, fixture: str, expected: str, note: str, *calls: Call, **members: object) -> Delivery:
        return Delivery(
            connection="shopify-capillary",
            platform="shopify",
            topic=topic,
            fixture=fixture,
            expected=expected,
            note=note,
            calls=calls,
            **members,  # type: ignore[arg-type]
        )

    yield delivery("customers/create", "customers-create", "applied", "a customer registers", REGISTERED)
    yield delivery("customers/create", "customers-create", "duplicate", "the same event again")
    yield delivery("customers/create", "customers-create", REFUSED, "a wrong signature", wrong_secret=True)
    newer = update(first_name="Anna", updated_at="2026-03-08T12:00:00Z")
    older = update(first_name="Anne", updated_at="2026-03-07T12:00:00Z")
    same = update(first_name="Anna", updated_at="2026-03-09T12:00:00Z")
    renamed = Call("PUT", MEMBER, {"profiles.0.fields.firstname": None, "profiles.0.firstName": "Anna"})
    topic, fixture = "customers/update", "customers-update"
    yield delivery(topic, fixture, "applied", "the name changes", renamed, assignments=newer)
    yield delivery(topic, fixture, "stale", "an older change comes late", assignments=older)
    yield delivery(topic, fixture, "unchanged", "nothing new in it", assignments=same)
    yield delivery(topic, fixture, "parked", "signed, but no customer", body=b'{"note":"no id"}')
    yield delivery("customers/redact", "customers-redact", "applied", "a privacy request")


def update(**values: str) -> tuple[str, ...]:
    """Assignments that make the sample update one of the story's customer."""
    return (
        *(f"{name}={value}" for name, value in {**CUSTOMER, **values}.items()),
        f"admin_graphql_api_id=gid://shopify/Customer/{CUSTOMER_ID}",
        f"id={CUSTOMER_ID}",
    )


def showcases(connections: Iterable[Connection]) -> Iterator[Connection]:
    """The connections whose platforms are shown, apart from the story's own."""
    return (connection for connection in connections if connection.id != "shopify-capillary")


def one_of_each(connection: Connection) -> Iterator[Delivery]:
    """The first topic of the platform's catalogue for each kind of thing that topics become."""
    platform, vendor = connection.source.platform, connection.destination.vendor
    first: dict[str, Topic] = {}
    for topic in topics(platform):
        first.setdefault(topic.becomes, topic)
    for becomes, topic in first.items():
        expected, calls = EXPECTED[vendor][becomes]
        yield Delivery(
            connection=connection.id,
            platform=platform,
            topic=topic.name,
            fixture=topic.fixture,
            expected=expected,
            calls=calls,
            note=f"becomes {becomes}" if becomes not in ("ignored", "handshake") else becomes,
        )
