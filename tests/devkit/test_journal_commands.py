"""``relay events``: which entries are chosen, and whom a text can mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from devkit.cli.events import selected, since_of
from devkit.cli.following import entry_dict, follow, settled
from devkit.queries.identifying import customer_hashes, readings
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.model.commands import CustomerRef, Identifier, RegisterCustomer
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from tests.support.stack import Stack as InProcess

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def entry(
    delivery: str, *, received: float = 100.0, result: Result = Result.APPLIED, **members: object
) -> JournalEntry:
    return JournalEntry(
        delivery_id=delivery,
        connection="shop-gb",
        result=result,
        received_at=received,
        **members,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", datetime(2026, 3, 10, 11, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 3, 10, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 3, 3, 12, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)
def test_since_is_a_time_ago_or_a_moment(text: str, moment: datetime) -> None:
    assert since_of(text, NOW) == moment


def test_a_time_that_is_none_explains_how_to_write_one() -> None:
    with pytest.raises(CommandError, match="yesterday") as caught:
        since_of("yesterday", NOW)

    assert "7d" in caught.value.do


def test_the_newest_entries_are_chosen_each_once() -> None:
    entries = [entry("a", received=1), entry("c", received=3), entry("b", received=2), entry("c", received=3)]

    found = selected(entries, since=datetime.fromtimestamp(2, UTC), result=None, limit=5)

    assert [e.delivery_id for e in found] == ["c", "b"]
    assert [e.delivery_id for e in selected(entries, since=datetime.fromtimestamp(0, UTC), result=None, limit=1)] == [
        "c"
    ]


def test_entries_are_chosen_by_their_outcome() -> None:
    entries = [entry("a"), entry("b", result=Result.PARKED)]

    found = selected(entries, since=datetime.fromtimestamp(0, UTC), result=Result.PARKED, limit=5)

    assert [e.delivery_id for e in found] == ["b"]


def test_only_retrying_is_no_outcome_yet() -> None:
    assert settled([entry("a"), entry("a", position=1, result=Result.PARKED)])
    assert not settled([entry("a"), entry("a", position=1, result=Result.RETRYING)])
    assert not settled([])


def test_an_entry_names_what_to_do_next() -> None:
    shown = entry_dict(entry("a", result=Result.PARKED, reason="rejected", code="3217"))

    assert (shown["outcome"], shown["reason"], shown["code"]) == ("parked", "rejected", "3217")
    assert "relay redrive" in shown["next"]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Ana@Example.com", {"email": "Ana@Example.com"}),
        ("+447700900123", {"mobile": "+447700900123"}),
        ("07700 900123", {"mobile": "+447700900123", "source_id": "07700 900123", "loyalty_id": "07700 900123"}),
        ("gid-7", {"source_id": "gid-7", "loyalty_id": "gid-7"}),
    ],
)
def test_a_text_is_read_as_whatever_it_can_be(text: str, kinds: dict[str, str]) -> None:
    assert dict(readings(text, "GB")) == kinds


CONNECTION = {
    "source": {"platform": "shopify", "stores": ["acme-test.myshopify.com"], "secrets": [{"value": "fake-secret"}]},
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
    "default_country": "GB",
}


def test_a_customer_is_found_by_everything_the_relay_met_them_under(stack: InProcess) -> None:
    services = stack.services()
    connection = parse_connection("shop-gb", CONNECTION)
    customer = CustomerRef(source_id="7", identifiers=(Identifier("email", "ana@example.com"),))
    fields = {"email": "ana@example.com", "phone": "+447700900123"}
    hold = services.customers.hold("shop-gb", RegisterCustomer(customer=customer, fields=fields), key="k")
    hold.commit(loyalty_id="600000001", sent=tuple(fields), entry=entry("a", received=services.clock()))

    for text in ("ANA@example.com", "07700 900123", "7", "600000001"):
        found = [e for h in customer_hashes(services, connection, text) for e in stack.journal.by_customer(h)]
        assert [e.delivery_id for e in found] == ["a"], text
    assert not [
        e for h in customer_hashes(services, connection, "bea@example.com") for e in stack.journal.by_customer(h)
    ]


class Patience:
    """A clock that moves when somebody sleeps; after three sleeps the journal gets its second entry."""

    def __init__(self, stack: InProcess) -> None:
        self.now = 0.0
        self._stack = stack

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if round(self.now / seconds) == 3:
            self._stack.services().journal.write(entry("d", received=self._stack.clock.now, position=1))


def outside(stack: InProcess) -> Stack:
    """The stack as commands see it, its clients being those of the tests."""
    outputs = {
        "SecretsPrefix": stack.environment["RELAY_SECRETS_PREFIX"],
        "DigestSecretArn": stack.environment["RELAY_DIGEST_SECRET"],
        "IdempotencyTableName": stack.environment["RELAY_IDEMPOTENCY_TABLE"],
        "StateTableName": stack.environment["RELAY_STATE_TABLE"],
        "JournalTableName": stack.environment["RELAY_JOURNAL_TABLE"],
    }
    made = Stack("test", outputs)
    made._clients.update(stack.clients)
    return made


def test_following_waits_for_every_entry_that_is_expected(stack: InProcess) -> None:
    patience = Patience(stack)
    stack.services().journal.write(entry("d", received=stack.clock.now))

    found = follow(outside(stack), "d", seconds=30, expected=2, clock=patience.clock, sleep=patience.sleep)

    assert [e.position for e in found] == [0, 1]
    assert patience.now < 1


def test_following_ends_when_the_time_is_over(stack: InProcess) -> None:
    patience = Patience(stack)
    stack.services().journal.write(entry("d", received=stack.clock.now))

    found = follow(outside(stack), "d", seconds=2, expected=3, clock=patience.clock, sleep=patience.sleep)

    assert [e.position for e in found] == [0, 1]
    assert 2 <= patience.now < 3
