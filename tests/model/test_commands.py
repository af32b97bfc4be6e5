"""Commands and their envelope: what travels through a queue arrives as it was sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.commands import (
    KINDS,
    AdvanceRun,
    Command,
    Credits,
    CustomerRef,
    Enrollment,
    Envelope,
    EraseStore,
    Event,
    Hydrate,
    Identifier,
    LinkStore,
    PatchCrmFields,
    RecordRefund,
    RecordSale,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
    Version,
    instant,
    revision,
)
from loyalty_relay.model.orders import Amounts, Capture, Line, Order, Payment, Refund, Sale, times

WHO = CustomerRef(source_id="7", identifiers=(Identifier("card_number", "99", {"series_id": 3}),))
VERSION = Version("shopify", "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:01.000000Z", "e1")
AMOUNTS = Amounts(currency="KWD", goods=Decimal("10.125"), goods_tax=Decimal("0.500"), by_gift_card=Decimal(3))
ORDER = Order(
    id="shop:1001",
    aliases=("payment:p1",),
    sale=Sale(
        amounts=AMOUNTS,
        shop_amounts=times(AMOUNTS, Decimal("3.25"), "USD"),
        sold_at="2026-11-28T10:00:00.000000Z",
        captured=Decimal("5.000"),
        paid=True,
        lines=(Line(id="l1", item_code="SKU", quantity=Decimal("0.375"), amount=Decimal("10.125")),),
        payments=(Payment(mode="cash", amount=Decimal("10.625")),),
    ),
    captures=(Capture(id="p1", amount=Decimal("5.000"), refunded=Decimal("1.250"), version=("clover", "1", "", "e")),),
    refunds=(Refund(id="r1", amount=Decimal("1.250"), amounts=Amounts(currency="KWD", goods=Decimal("1.25"))),),
    refunded=Decimal("1.250"),
    custom_fields={"channel": "web"},
)
COMMANDS: list[Command] = [
    RegisterCustomer(
        customer=WHO,
        fields={"first_name": None, "tags.Red": True, "channels.email": [{"value": "ana@example.com"}]},
        credits=Credits(enrollments=(Enrollment(program_id=1, loyalty_points=2.5),), referral_code="R"),
        options={"user_context": {"type": "till"}},
        version=VERSION,
        versions={"tags.Red": VERSION},
        store="shop",
        if_exists="error",
    ),
    UpdateCustomer(customer=CustomerRef(loyalty_id="5"), allow_merge=True, if_missing="error"),
    PatchCrmFields(customer=WHO, replace_tags=()),
    PatchCrmFields(customer=WHO, replace_tags=None, fields={"tags.Ä": False}),
    RetireCustomer(customer=WHO, reason="merged", survivor="8", version=VERSION),
    EraseStore(shop_id="s"),
    LinkStore(shop_id="s", account_id="a", integration_id=4),
    RecordSale(order=ORDER, customer=CustomerRef(source_id="7"), fields={"first_name": "Ana"}, version=VERSION),
    RecordSale(order=ORDER, customer=WHO, guest=True, store="shop"),
    RecordRefund(order=Order(id="payment:p1", currency="KWD", refunds=ORDER.refunds)),
    RecordRefund(order=Order(id="shop:1001", voided=True), version=VERSION),
    AdvanceRun(run="018f", generation=2),
    Hydrate(resource="customer", data={"id": 2**63}, version=VERSION),
]


def envelope(command: Command, **members: object) -> Envelope:
    event = Event(source="shopify", topic="customers/update", id="e", entity_id="7")
    given: dict[str, object] = {"delivery_id": "d", "connection": "c", "event": event, "command": command, **members}
    return Envelope(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.kind)
def test_every_command_survives_the_queue(command: Command) -> None:
    sent = envelope(command, position=3, received_at=12.5, redrives=1)
    assert Envelope.from_json(sent.to_json()) == sent


def test_what_an_api_call_adds_survives_the_queue() -> None:
    sent = replace(envelope(COMMANDS[0]), force=True, payload_digest="d")
    assert Envelope.from_json(sent.to_json()) == sent


def test_every_kind_of_command_is_tested_here() -> None:
    assert {c.kind for c in COMMANDS} == set(KINDS)


def test_the_difference_between_no_tags_and_no_word_about_tags_survives() -> None:
    none, empty = (
        Envelope.from_json(envelope(PatchCrmFields(customer=WHO, replace_tags=t)).to_json()) for t in (None, ())
    )
    assert isinstance(none.command, PatchCrmFields)
    assert isinstance(empty.command, PatchCrmFields)
    assert none.command.replace_tags is None
    assert empty.command.replace_tags == ()


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"schema":1}', '{"schema":"1"}', "\x00", '{"schema":1,"event":{"x":1}}']
)
def test_what_is_no_envelope_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Envelope.from_json(text)


def test_a_newer_schema_is_refused_rather_than_misread() -> None:
    body = json.loads(envelope(EraseStore(shop_id="s")).to_json()) | {"schema": 2}
    with pytest.raises(ValueError, match="newer"):
        Envelope.from_json(json.dumps(body))


def test_copies_of_an_event_share_a_key_whatever_brought_them() -> None:
    first = envelope(COMMANDS[0])
    again = envelope(COMMANDS[0], delivery_id="other", received_at=99.0)
    assert first.key == again.key


def test_redrives_are_read_under_the_name_of_this_and_of_earlier_versions() -> None:
    redriven = envelope(COMMANDS[0]).redriven()
    body = json.loads(redriven.to_json())
    assert body["redrives"] == body["attempt"] == 1, "earlier versions run beside this one during a deployment"
    for name in ("redrives", "attempt"):
        assert Envelope.from_json(json.dumps({k: v for k, v in body.items() if k != name})) == redriven


def test_connection_operation_event_entity_position_and_redrive_each_change_the_key() -> None:
    base = envelope(COMMANDS[0])
    other = Event(source="shopify", topic="customers/update", id="f", entity_id="7")
    entity = Event(source="shopify", topic="customers/update", id="e", entity_id="8")
    variants = [
        envelope(COMMANDS[0], connection="x"),
        envelope(COMMANDS[1]),
        envelope(COMMANDS[0], event=other),
        envelope(COMMANDS[0], event=entity),
        envelope(COMMANDS[0], position=1),
        base.redriven(),
    ]
    assert len({base.key, *(v.key for v in variants)}) == len(variants) + 1


def test_parts_of_a_key_cannot_be_shifted_into_each_other() -> None:
    left = envelope(COMMANDS[0], event=Event(source="s", topic="t", id="ab", entity_id="c"))
    right = envelope(COMMANDS[0], event=Event(source="s", topic="t", id="a", entity_id="bc"))
    assert left.key != right.key


def test_versions_of_different_clocks_are_never_older() -> None:
    assert not Version("a", "1").older_than(Version("b", "2"))


def test_equal_values_are_ordered_by_event_time_then_event_id() -> None:
    early, late = Version("c", "1", "t1", "z"), Version("c", "1", "t2", "a")
    assert early.older_than(late)
    assert Version("c", "1", "t1", "a").older_than(early)
    assert not early.older_than(early)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_instants_sort_like_the_moments_they_are(a: datetime, b: datetime) -> None:
    assert (instant(a) < instant(b)) == (a < b)


def test_an_instant_is_utc_whatever_the_offset() -> None:
    moment = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=1)))
    assert instant(moment) == "2026-01-01T00:00:00.000000Z"


@given(st.integers(0, 10**20 - 1), st.integers(0, 10**20 - 1))
def test_revisions_sort_like_the_numbers_they_are(a: int, b: int) -> None:
    assert (revision(a) < revision(b)) == (a < b)


@pytest.mark.parametrize("number", [-1, 10**20])
def test_a_revision_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="revision"):
        revision(number)
