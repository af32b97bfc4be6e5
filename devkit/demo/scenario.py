"""What the demo sends, and what must come of it: a story of one customer, then one of each kind for every platform.

A new platform needs no edit here: its rows follow from its catalogue, from the sample connection it has, and from
``sales.SALES``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from devkit.demo.expectations import Expectations
from devkit.demo.sales import sales
from devkit.demo.steps import REFUSED, ApiCall, Call, Delivery, Step
from devkit.samples.fixtures import read, topics
from loyalty_relay.connections.model import Connection
from loyalty_relay.sources.base import Topic

STORY = "shopify-capillary"
"""The connection of the first story."""
LINKED = "standard-kangaroo"
"""The connection whose store is linked twice."""

CUSTOMER_ID = "7012345678901"
CUSTOMER = {"email": "ana.nunez@example.com", "phone": "+447700900123", "last_name": "Núñez"}
"""The customer of the story, as the sample customers/create has them."""

REGISTERED = Call("POST", "/v2/customers", {"profiles.0.firstName": "Ana", "profiles.0.lastName": "Núñez"})


ORDER = (
    "handshake",
    "register",
    "hydrate",
    "update",
    "consent",
    "tags",
    "link-store",
    "transaction",
    "retire",
    "erase",
    "ignored",
)
"""What topics become, in the order of a customer's life."""

PARTLY_KNOWN = {("kangaroo", "customer-tags-added"): ('tags:=["VIP"]',)}
"""(vendor, sample) -> changes to a sample, where the sandbox's business lacks something that the sample names."""


def steps(connections: Iterable[Connection]) -> list[Step]:
    """Yield every step of the demo, in order, over the connections that there are."""
    known = {connection.id: connection for connection in connections}
    expectations = Expectations()
    planned: list[Step] = []
    shown: set[tuple[str, str]] = set()
    if STORY in known:
        planned += [*story(known[STORY]), *api_story()]
        shown.add(_pair(known[STORY]))
    for connection in known.values():
        if connection.id == STORY:
            continue
        rows = showcase(connection, expectations)
        planned += itertools.islice(rows, 1) if _pair(connection) in shown else rows
        shown.add(_pair(connection))
    if LINKED in known:
        planned += link_story()
    return planned


def _pair(connection: Connection) -> tuple[str, str]:
    return connection.source.platform, connection.destination.vendor


def story(connection: Connection) -> Iterator[Step]:
    """Yield the steps of one customer of one shop: registered, repeated, forged, changed, buying, erased."""

    def delivery(topic: str, fixture: str, expected: str, note: str, *calls: Call, **members: object) -> Delivery:
        return Delivery(
            connection=STORY,
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
    renamed = Call("PUT", r"/v2/customers/\d+", {"profiles": [{"firstName": "Anna"}]})
    topic, fixture = "customers/update", "customers-update"
    yield delivery(topic, fixture, "applied", "the name changes", renamed, assignments=newer)
    yield delivery(topic, fixture, "stale", "an older change comes late", assignments=older)
    yield delivery(topic, fixture, "unchanged", "nothing new in it", assignments=same)
    yield delivery(topic, fixture, "parked", "signed, but no customer", body=b'{"note":"no id"}')
    yield from sales(connection)
    yield delivery("customers/redact", "customers-redact", "applied", "a privacy request")


def update(**values: str) -> tuple[str, ...]:
    """Return the assignments that make the sample update one of the story's customer."""
    return (
        *(f"{name}={value}" for name, value in {**CUSTOMER, **values}.items()),
        f"admin_graphql_api_id=gid://shopify/Customer/{CUSTOMER_ID}",
        f"id={CUSTOMER_ID}",
    )


def api_story() -> Iterator[Step]:
    """Yield the steps of the HTTP API: a till registers a customer, loses the response, and repeats the request."""
    customer = {
        "identifiers": [{"type": "email", "value": "till.customer@example.com"}],
        "first_name": "Tilly",
        "last_name": "Example",
    }

    def call(note: str, *calls: Call, status: int = 201) -> ApiCall:
        return ApiCall(
            connection=STORY,
            method="POST",
            path="/customers",
            body=customer,
            expected="applied",
            status=status,
            calls=calls,
            note=note,
            idempotency_key="demo-till-1",
        )

    yield call("a till registers one", Call("POST", "/v2/customers", {"profiles.0.firstName": "Tilly"}))
    yield call("the till repeats it")


def link_story() -> Iterator[Step]:
    """Yield the steps that link the same store twice; the second link changes nothing."""
    yield Delivery(
        connection=LINKED,
        platform="standard",
        topic="store.updated",
        fixture="store-updated",
        expected="unchanged",
        note="the same store again",
    )


def showcase(connection: Connection, expectations: Expectations) -> Iterator[Delivery]:
    """Yield, for each kind of thing that topics become, the first such topic of the catalogue, and the sales."""
    platform, vendor = connection.source.platform, connection.destination.vendor
    first: dict[str, Topic] = {}
    for topic in topics(platform):
        if "then transaction" not in topic.note:
            first.setdefault(topic.becomes, topic)
    for becomes in ORDER:
        if becomes == "transaction":
            yield from sales(connection)
            continue
        if becomes not in first:
            continue
        topic = first[becomes]
        assignments = PARTLY_KNOWN.get((vendor, topic.fixture), ())
        sample = read(platform, topic).changed(None, assignments)
        expected = expectations.of(sample, topic, connection)
        yield Delivery(
            connection=connection.id,
            platform=platform,
            topic=topic.name,
            fixture=topic.fixture,
            expected=expected.outcome,
            calls=expected.calls,
            assignments=assignments,
            note=f"{becomes}, {topic.note}" if topic.note else becomes,
        )
