"""Sales and refunds become bookings: what is booked, to whom, and what is kept until what it needs arrives."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.destinations.registry import vendor as registered
from loyalty_relay.model.commands import CustomerRef, Hydrate, Identifier, RegisterCustomer
from loyalty_relay.model.errors import (
    AdjustmentNeeded,
    AmbiguousOutcome,
    CustomerNotFound,
    CustomerUnknown,
    FieldProblem,
    InvalidCommand,
    LeaseBusy,
    UnsupportedByDestination,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.orders import Capture, Line, Payment
from loyalty_relay.model.outcomes import Notice, Result
from loyalty_relay.orders.bills import bill_number, marker
from tests.orders.makers import amounts, at, record_refund, record_sale, refund, sale
from tests.support.sales import SUPPORT, SalesWorld
from tests.support.tables import Counted

BILL = bill_number("shop-1", "1", 50)


@pytest.fixture(autouse=True)
def vendor_with_sales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "loyalty_relay.pipeline.transaction.vendor", lambda name: replace(registered(name), sales=SUPPORT)
    )


@pytest.fixture
def world(dynamodb: Counted) -> SalesWorld:
    made = SalesWorld(dynamodb)
    made.has_member("7", "m-7")
    return made


def booked(world: SalesWorld) -> list[tuple[str, str, str]]:
    """Kind, amount and bill of every entry of the books."""
    return [(e.kind, str(e.amount), e.bill.replace(BILL, "BILL")) for e in world.crm.entries]


def members(world: SalesWorld) -> list[tuple[Any, ...]]:
    """Kind, amount and member of every entry of the books."""
    return [(e.kind, e.amount, e.loyalty_id) for e in world.crm.entries]


def state(world: SalesWorld, order_id: str = "1") -> Any:
    found = world.orders.lookup("shop-1", order_id)
    assert found is not None
    return found


# -- sales and returns --------------------------------------------------------------------------------------------


def test_a_sale_is_booked_once(world: SalesWorld) -> None:
    outcome = world.run(record_sale(version=at(1)))
    assert (outcome.result, outcome.loyalty_id, outcome.details) == (Result.APPLIED, "m-7", {"points": 1})
    assert outcome.ids == {
        "order_id": "1",
        "currency": "EUR",
        "kind": "sale",
        "bill": BILL,
        "transaction_id": "t-1",
        "amount": "100.00",
    }
    assert world.run(record_sale(version=at(1))).result is Result.UNCHANGED
    (entry,) = world.crm.entries
    assert (entry.loyalty_id, entry.marker, entry.number) == ("m-7", marker("shop-1", "1", 1), 1)


def test_the_journal_has_the_amount_and_no_personal_data(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    (entry,) = world.journal.show("d-2") or world.journal.show("d-3")
    assert entry.details["amount"] == "100.00"
    assert entry.details["kind"] == "sale"
    assert "ana" not in str(entry)


def test_the_same_event_again_is_a_duplicate(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)), event_id="same")
    assert world.run(record_sale(version=at(1)), event_id="same").result is Result.DUPLICATE
    assert len(world.crm.entries) == 1


def test_an_older_snapshot_is_stale(world: SalesWorld) -> None:
    world.run(record_sale(version=at(2)))
    outcome = world.run(record_sale(version=at(1), sale=sale("50")))
    assert (outcome.result, outcome.reason) == (Result.STALE, "older")


def test_a_refund_is_returned_with_its_id(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    outcome = world.run(record_refund(refunds=(refund("r-1", "30", at="2026-09-20T10:30:00.000000Z"),)))
    assert outcome.result is Result.APPLIED
    entry: Any = world.crm.entries[-1]
    assert (entry.kind, entry.amount, entry.bill, entry.refund_id, entry.of) == ("return", 30, BILL, "r-1", "t-1")
    assert entry.at == "2026-09-20T10:30:00.000000Z"
    assert not entry.whole


def test_the_last_refund_takes_the_remainder(world: SalesWorld) -> None:
    thirds = record_sale(version=at(1), sale=sale(amounts=amounts("100", "USD"), shop_amounts=amounts("91.01", "EUR")))
    world.run(thirds)
    for name, amount in (("a", "33.33"), ("b", "33.33"), ("c", "33.34")):
        world.run(record_refund(currency="USD", refunds=(refund(name, amount),)))
    assert world.crm.balance() == 0
    assert [str(e.amount) for e in world.crm.entries] == ["91.01", "30.33", "30.34", "30.34"]
    assert world.crm.entries[-1].whole


def test_two_refunds_of_one_event_are_one_return_without_an_id(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.run(record_refund(refunds=(refund("a", "10"), refund("b", "5"))))
    assert world.crm.entries[-1].amount == 15
    assert world.crm.entries[-1].refund_id == ""


def test_two_refunds_of_one_second_are_both_booked(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.run(record_refund(refunds=(refund("a", "10"),), version=at(5)))
    world.run(record_refund(refunds=(refund("b", "10"),), version=at(5)))
    assert booked(world)[1:] == [("return", "10.00", "BILL"), ("return", "10.00", "BILL")]


def test_a_difference_and_then_its_memo_are_one_return(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.run(record_sale(version=at(2), refunded=Decimal(30)))
    assert world.run(record_refund(refunds=(refund("memo", "30"),))).result is Result.UNCHANGED
    assert booked(world)[1:] == [("return", "30.00", "BILL")]


def test_a_failed_refund_is_a_supplementary_sale(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.run(record_refund(refunds=(refund("r", "30"),), version=at(2)))
    world.run(record_refund(refunds=(refund("r", "0"),), version=at(3)))
    assert booked(world) == [
        ("sale", "100.00", "BILL"),
        ("return", "30.00", "BILL"),
        ("sale", "30.00", "BILL-2"),
    ]


def test_a_return_goes_to_the_bill_that_has_enough_left_or_to_several(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), sale=sale("20")))
    world.run(record_sale(version=at(2), sale=sale("100")))
    world.run(record_refund(refunds=(refund("a", "70"),)))
    assert booked(world)[2:] == [("return", "70.00", "BILL-2")]
    outcome = world.run(record_refund(refunds=(refund("b", "30"),)))
    assert booked(world)[3:] == [("return", "20.00", "BILL"), ("return", "10.00", "BILL-2")]
    assert outcome.ids["amount"] == "20.00,10.00"
    assert world.crm.balance() == 0


def test_an_edit_and_a_later_capture_are_supplementary(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), sale=sale("100", paid=False, captured=Decimal(40))))
    world.run(record_sale(version=at(2), sale=sale("100", paid=False, captured=Decimal(100))))
    world.run(record_sale(version=at(3), sale=sale("120", captured=Decimal(120))))
    assert booked(world) == [("sale", "40.00", "BILL"), ("sale", "60.00", "BILL-2"), ("sale", "20.00", "BILL-3")]


def test_an_order_that_is_reopened_is_booked_again(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.run(record_sale(version=at(2), refunds=(refund("r", "100"),), all_refunds=True))
    world.run(record_sale(version=at(3), refunds=(), all_refunds=True))
    assert [amount for _, amount, _ in booked(world)] == ["100.00", "100.00", "100.00"]
    assert world.crm.balance() == 100


def test_a_cancellation_alone_takes_nothing_back(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    assert world.run(record_sale(version=at(2), sale=sale(cancelled=True))).result is Result.UNCHANGED
    world.run(record_sale(version=at(3), sale=sale(cancelled=True), refunded=Decimal(100)))
    assert world.crm.balance() == 0


def test_a_void_takes_everything_back(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.run(record_refund(voided=True))
    assert world.crm.balance() == 0
    assert world.run(record_sale(version=at(9))).result is Result.UNCHANGED


def test_refunds_before_the_first_booking_are_netted(world: SalesWorld) -> None:
    world.run(record_refund(refunds=(refund("r", "30"),)))
    world.run(record_sale(version=at(1)))
    assert booked(world) == [("sale", "70.00", "BILL")]


def test_a_vendor_that_rejects_a_return_needs_an_adjustment(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.crm.before = [VendorRejected("no", code="639")]
    with pytest.raises(AdjustmentNeeded, match=r"30\.00 EUR") as raised:
        world.run(record_refund(refunds=(refund("r", "30"),)))
    assert raised.value.code == "639"
    # What was reported is kept: the next event books it.
    world.run(record_refund(refunds=(refund("r2", "5"),)))
    assert world.crm.balance() == 65


def test_another_currency_after_the_first_booking_needs_an_adjustment(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    with pytest.raises(AdjustmentNeeded, match="USD"):
        world.run(record_sale(version=at(2), sale=sale("90", "USD")))


def test_an_order_without_amounts_in_the_destinations_currency_is_parked(dynamodb: Counted) -> None:
    world = SalesWorld(dynamodb, Sales(enabled=True, currency="GBP"))
    with pytest.raises(InvalidCommand) as raised:
        world.run(record_sale(version=at(1)))
    assert raised.value.code == "currency"


def test_a_refund_in_another_currency_than_its_sale_is_parked_and_changes_nothing(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    with pytest.raises(InvalidCommand) as raised:
        world.run(record_refund(currency="JPY", refunds=(refund("r", "30"),)))
    assert raised.value.code == "currency"
    assert state(world).refunded == 0
    world.run(record_refund("2", currency="JPY", refunds=(refund("r", "30"),)))
    with pytest.raises(InvalidCommand):
        world.run(record_sale("2", version=at(1)))
    assert world.crm.balance() == 100


# -- rules --------------------------------------------------------------------------------------------------------


def test_rules_are_frozen_at_the_first_booking(world: SalesWorld) -> None:
    of = amounts("110", tax="10")
    world.run(record_sale(version=at(1), sale=sale(amounts=of)))
    rules = Sales(enabled=True, earning_base=EarningBase(tax=False), minimum=Decimal(1000), earn_when="fulfilled")
    world.connection = replace(world.connection, sales=rules)
    assert world.run(record_sale(version=at(2), sale=sale(amounts=of))).result is Result.UNCHANGED
    world.run(record_refund(refunds=(refund("r", "55"),)))
    assert world.crm.balance() == 55
    world.run(record_sale("2", at(1), sale=sale(amounts=of)))
    assert state(world, "2").reason == "below_minimum"


@pytest.mark.parametrize(
    ("rules", "order", "reason", "result"),
    [
        (Sales(enabled=True), sale(test=True), "test_order", Result.IGNORED),
        (Sales(enabled=True, minimum=Decimal(101)), sale(), "below_minimum", Result.IGNORED),
        (Sales(enabled=True), sale(paid=False), "not_earned_yet", Result.RECORDED),
        (Sales(enabled=True, earn_when="fulfilled"), sale(), "not_earned_yet", Result.RECORDED),
        (Sales(enabled=True), sale("0"), "not_earned_yet", Result.RECORDED),
        (Sales(enabled=False), sale(), "sales_not_enabled", Result.IGNORED),
    ],
)
def test_an_excluded_order_books_nothing_and_has_a_reason(
    dynamodb: Counted, rules: Sales, order: Any, reason: str, result: Result
) -> None:
    world = SalesWorld(dynamodb, rules)
    outcome = world.run(record_sale(version=at(1), sale=order))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert world.crm.entries == []


def test_events_after_the_return_window_book_nothing(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.clock.now += 366 * 86_400
    outcome = world.run(record_refund(refunds=(refund("r", "30"),)))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "too_old")
    assert world.run(record_sale("2", at(1))).reason == "too_old"
    assert len(world.crm.entries) == 1
    assert sum("order_state" in item or "lease_token" in item for item in dynamodb_items(world)) == 1


def test_nothing_is_kept_of_an_order_where_no_sales_are_recorded(dynamodb: Counted) -> None:
    world = SalesWorld(dynamodb, Sales())
    assert world.run(record_sale(version=at(1))).reason == "sales_not_enabled"
    assert dynamodb_items(world) == []
    assert [entry.reason for entry in world.journal.list("shop-1")] == ["sales_not_enabled"]


def test_the_record_outlives_the_return_window_and_the_bill_numbers(dynamodb: Counted) -> None:
    world = SalesWorld(dynamodb, Sales(enabled=True, return_window_days=30, bill_days=400))
    world.has_member()
    world.run(record_sale(version=at(1)))
    assert state(world).until - world.clock.now > 400 * 86_400
    pk = next(i for i in dynamodb.client.scan(TableName="state")["Items"] if i["pk"]["S"].startswith("O#"))
    assert float(pk["expires_at"]["N"]) == int(state(world).until)


def test_places_come_from_the_connection(dynamodb: Counted) -> None:
    rules = Sales(enabled=True, stores={"loc-1": {"branch": "b-1"}, "till-2": {"branch": "b-2"}})
    world = SalesWorld(dynamodb, rules)
    world.has_member()
    world.run(record_sale("1", at(1), sale=sale(location="loc-1")))
    world.run(record_sale("2", at(1), sale=sale(location="loc-1", till="till-2")))
    world.run(record_refund("2", refunds=(refund("r", "1"),)))
    assert [entry.place for entry in world.crm.entries] == [{"branch": "b-1"}, {"branch": "b-2"}, {"branch": "b-2"}]


# -- the member ---------------------------------------------------------------------------------------------------


def identified(command: Any, *, verified: bool = True, **more: Any) -> Any:
    """The command with the customer's e-mail."""
    unverified = () if verified else ("email",)
    who = CustomerRef(source_id="8", identifiers=(Identifier("email", "bo@example.com"),), unverified=unverified)
    return replace(command, customer=who, guest=False, fields={"first_name": "Bo", "email": "bo@example.com"}, **more)


def test_an_unknown_customer_is_registered_first(world: SalesWorld) -> None:
    world.run(identified(record_sale(version=at(1)), verified=False))
    assert [call[0] for call in world.crm.calls if call[0] != "find"] == ["register", "book"]
    (entry,) = world.crm.entries
    assert world.crm.members[str(entry.loyalty_id)].fields["first_name"] == "Bo"
    results = [e.operation for e in world.journal.list("shop-1")]
    assert sorted(results) == ["register", "transaction"]


def test_an_order_that_earns_nothing_registers_no_customer(world: SalesWorld) -> None:
    world.run(identified(record_sale(version=at(1), sale=sale(paid=False))))
    assert [call for call in world.crm.calls if call[0] == "register"] == []


def test_a_known_member_is_found_by_a_proven_identifier_and_not_updated(world: SalesWorld) -> None:
    from tests.support.crm import Member

    world.crm.members["m-8"] = Member("m-8", {"email": "bo@example.com"})
    world.run(identified(record_sale(version=at(1))))
    assert world.crm.entries[0].loyalty_id == "m-8"
    assert world.crm.members["m-8"].fields == {}


def test_an_orders_unverified_email_leads_to_no_member(world: SalesWorld) -> None:
    from tests.support.crm import Member

    world.crm.members["m-8"] = Member("m-8", {"email": "bo@example.com"})
    outcome = world.run(identified(record_sale(version=at(1)), verified=False))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "identifier_unverified")
    assert world.crm.entries == []


def test_without_registering_the_unknown_are_no_members(world: SalesWorld) -> None:
    world.connection = replace(world.connection, register_missing=False)
    outcome = world.run(identified(record_sale(version=at(1))))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "not_a_member")
    # The customer registers another way; the next event of the order books it.
    world.has_member("8", "m-8")
    world.run(identified(record_sale(version=at(2))))
    assert world.crm.entries[0].loyalty_id == "m-8"


def test_a_customer_whom_only_an_id_names_is_waited_for(world: SalesWorld) -> None:
    with pytest.raises(CustomerUnknown):
        world.run(record_sale(version=at(1), who="9"))
    world.has_member("9", "m-9")
    world.run(record_sale(version=at(1), who="9"))
    assert world.crm.entries[0].loyalty_id == "m-9"


def test_a_capture_without_a_customer_books_to_the_orders_customer(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), sale=sale(paid=False)))
    world.run(record_refund(captures=(Capture(id="p", amount=Decimal(100)),)))
    assert world.crm.entries[0].loyalty_id == "m-7"


def test_a_customer_attached_later_is_booked_then(world: SalesWorld) -> None:
    assert world.run(record_sale(version=at(1), who=None)).reason == "guest"
    world.run(record_sale(version=at(2)))
    assert world.crm.entries[0].loyalty_id == "m-7"


def test_a_changed_customer_is_a_notice_and_no_rebooking(world: SalesWorld) -> None:
    world.has_member("8", "m-8")
    world.run(record_sale(version=at(1)))
    outcome = world.run(record_sale(version=at(2), who="8"))
    assert [notice.code for notice in outcome.notices] == ["customer_changed"]
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert world.crm.balance("m-7") == 70


def test_a_customer_changed_before_anything_was_booked_replaces_the_first(world: SalesWorld) -> None:
    world.has_member("8", "m-8")
    world.run(record_sale(version=at(1), sale=sale(paid=False)))
    world.run(record_sale(version=at(2), who="8"))
    assert world.crm.entries[0].loyalty_id == "m-8"


def test_returns_follow_a_merge_at_the_vendor(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    world.crm.members["m-9"] = world.crm.members.pop("m-7")
    world.crm.merged["m-7"] = "m-9"
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert world.crm.entries[-1].loyalty_id == "m-9"
    assert state(world).loyalty_id == "m-9"


def test_a_member_deleted_at_the_vendor_is_an_error(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    del world.crm.members["m-7"]
    with pytest.raises(CustomerNotFound):
        world.run(record_refund(refunds=(refund("r", "30"),)))
    assert state(world).intent is None


def retire(world: SalesWorld, reason: Any) -> None:
    who = CustomerRef(source_id="7")
    world.customers.retire("shop-1", who, reason=reason, version=None, survivor=None, entry=None)


def test_a_return_is_booked_after_the_shops_account_was_deleted(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    retire(world, "deleted")
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert world.crm.balance("m-7") == 70


def test_nothing_is_booked_after_an_erasure(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    retire(world, "erased")
    outcome = world.run(record_refund(refunds=(refund("r", "30"),)))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "customer_erased")
    assert world.crm.balance() == 100
    assert world.run(record_sale("2", at(1))).reason == "customer_erased"


def test_a_sale_of_a_merged_customer_goes_to_the_survivor(world: SalesWorld) -> None:
    world.has_member("8", "m-8")
    who = CustomerRef(source_id="7")
    world.customers.retire("shop-1", who, reason="merged", version=None, survivor="8", entry=None)
    world.run(record_sale(version=at(1)))
    assert world.crm.entries[0].loyalty_id == "m-8"


def test_a_caller_of_the_api_may_name_the_member(world: SalesWorld) -> None:
    command = replace(record_sale(version=None), customer=CustomerRef(loyalty_id="m-7"))
    assert world.run(command, source="api").result is Result.APPLIED
    assert world.crm.entries[0].loyalty_id == "m-7"


# -- guests -------------------------------------------------------------------------------------------------------


def guest(command: Any, email: str = "gu@example.com") -> Any:
    who = CustomerRef(identifiers=(Identifier("email", email),), unverified=("email",))
    return replace(command, customer=who, guest=True)


def signs_up(email: str = "gu@example.com", *, verified: bool = True) -> RegisterCustomer:
    unproven = () if verified else ("email",)
    who = CustomerRef(source_id="5", identifiers=(Identifier("email", email),), unproven=unproven)
    return RegisterCustomer(customer=who, fields={"first_name": "Gu"})


def holding(dynamodb: Counted, guests: Any = "hold") -> SalesWorld:
    return SalesWorld(dynamodb, Sales(enabled=True, guests=guests))


def test_a_held_sale_is_booked_net_of_refunds_when_the_guest_registers(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    outcome = world.run(guest(record_sale(version=at(1))))
    assert (outcome.result, outcome.reason) == (Result.RECORDED, "guest_held")
    assert world.run(record_refund(refunds=(refund("r", "30"),))).reason == "guest_held"
    world.run(signs_up(" GU@example.com "))
    (released,) = world.run_due()
    assert released.result is Result.APPLIED
    assert members(world) == [("sale", 70, released.loyalty_id)]
    # The contact's item is gone.
    world.run(signs_up())
    assert world.run_due() == []


def test_no_unverified_or_other_email_releases_a_sale(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    world.run(guest(record_sale(version=at(1))))
    world.run(signs_up(verified=False))
    world.run(signs_up("other@example.com"))
    assert world.run_due() == []


def test_a_held_sale_waits_for_a_number_of_days(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    world.run(guest(record_sale(version=at(1))))
    world.clock.now += 31 * 86_400
    world.run(signs_up())
    assert world.run_due() == []


def test_only_keyed_digests_of_a_guest_are_kept(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    world.run(guest(record_sale(version=at(1))))
    assert "gu@example" not in str(dynamodb.client.scan(TableName="state")["Items"])


def test_guests_are_skipped_by_default(world: SalesWorld) -> None:
    outcome = world.run(guest(record_sale(version=at(1))))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "guest")
    world.run(signs_up())
    assert world.queue.messages == []


def test_a_guests_sale_is_converted_when_the_guest_registers(dynamodb: Counted) -> None:
    world = holding(dynamodb, "not_interested")
    world.run(guest(record_sale(version=at(1))))
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert members(world) == [("sale", 100, None), ("return", 30, None)]
    world.run(signs_up())
    (released,) = world.run_due()
    member = released.loyalty_id
    entry = world.crm.entries[-1]
    assert (entry.kind, entry.bill, entry.of, entry.loyalty_id) == ("conversion", BILL, "t-1", member)
    world.run(record_refund(refunds=(refund("r2", "20"),)))
    assert (world.crm.entries[-1].kind, world.crm.entries[-1].loyalty_id) == ("return", member)
    assert world.crm.balance() == 50


def test_a_conversion_that_the_vendor_refuses_does_not_stop_the_returns(dynamodb: Counted) -> None:
    world = holding(dynamodb, "not_interested")
    world.run(guest(record_sale(version=at(1))))
    world.run(signs_up())
    ((_, release),) = world.queue.messages
    world.crm.before = [VendorRejected("not enabled", code="1631")]
    with pytest.raises(VendorRejected):
        world.run(release)
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert members(world) == [("sale", 100, None), ("return", 30, None)]
    # Enabled meanwhile, and redriven.
    assert world.run(release).result is Result.APPLIED
    assert world.crm.entries[-1].kind == "conversion"


# -- a refund before its sale, aliases ----------------------------------------------------------------------------


def test_a_refund_before_its_sale_is_kept(world: SalesWorld) -> None:
    outcome = world.run(record_refund(refunds=(refund("r", "30"),)))
    assert (outcome.result, outcome.reason) == (Result.RECORDED, "sale_missing")
    world.clock.now += 899
    assert world.run_due() == []


def test_after_fifteen_minutes_without_the_sale_the_order_is_read(world: SalesWorld) -> None:
    world.run(record_refund(refunds=(refund("r", "30"),)))
    world.run(record_refund(refunds=(refund("r2", "5"),)))
    world.clock.now += 900
    (woken,) = world.run_due()
    assert woken.reason == "sale_missing"
    ((_, reading),) = world.queue.messages
    assert isinstance(reading.command, Hydrate)
    assert reading.command.data == {"id": "1"}


def test_a_sale_that_came_meanwhile_is_not_read(world: SalesWorld) -> None:
    world.run(record_refund(refunds=(refund("r", "30"),)))
    world.run(record_sale(version=at(1)))
    world.clock.now += 900
    assert [outcome.result for outcome in world.run_due()] == [Result.UNCHANGED]
    assert world.queue.messages == []


def test_where_orders_cannot_be_read_nothing_is_queued(world: SalesWorld) -> None:
    world.reads_orders = False
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert world.queue.messages == []


def test_events_by_an_alias_are_the_orders(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), aliases=("payment:9",)))
    world.run(record_refund("payment:9", refunds=(refund("r", "30"),)))
    assert world.crm.balance() == 70
    assert state(world, "payment:9").order_id == "1"


def test_what_came_by_an_alias_before_the_order_is_absorbed(world: SalesWorld) -> None:
    world.run(record_refund("payment:9", refunds=(refund("r", "30"),)))
    world.run(record_sale(version=at(1), aliases=("payment:9",)))
    assert booked(world) == [("sale", "70.00", "BILL")]
    world.run(record_refund("payment:9", refunds=(refund("r2", "10"),)))
    assert world.crm.balance() == 60


def test_an_alias_under_which_another_sale_was_reported_stays_its_own(world: SalesWorld) -> None:
    world.run(record_sale("2", at(1)))
    world.run(record_sale("1", at(1), aliases=("2",)))
    assert world.crm.balance() == 200
    assert state(world, "2").order_id == "2"


# -- returns that name no sale ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["skip", "park", "return"])
def test_returns_without_a_sale_follow_the_rule(dynamodb: Counted, rule: Any) -> None:
    world = SalesWorld(dynamodb, Sales(enabled=True, unlinked_returns=rule))
    world.has_member()
    command = replace(
        record_refund("9", unlinked=True, refunds=(refund("r", "12.50"),)), customer=CustomerRef(source_id="7")
    )
    if rule == "park":
        with pytest.raises(AdjustmentNeeded, match=r"12\.50 EUR"):
            world.run(command)
        return
    outcome = world.run(command)
    if rule == "skip":
        assert (outcome.result, outcome.reason) == (Result.IGNORED, "unlinked_return")
        assert world.crm.entries == []
    else:
        (entry,) = world.crm.entries
        assert (entry.kind, entry.amount, entry.of, entry.loyalty_id) == ("return", Decimal("12.50"), "", "m-7")
        assert world.run(command).result is Result.UNCHANGED


def test_a_return_that_is_skipped_may_be_in_any_currency(dynamodb: Counted) -> None:
    world = SalesWorld(dynamodb, Sales(enabled=True, currency="GBP"))
    assert world.run(record_refund("9", unlinked=True, refunds=(refund("r", "5"),))).reason == "unlinked_return"
    assert state(world, "9").difference == 0


# -- answers that are lost ----------------------------------------------------------------------------------------


def lost() -> UpstreamTimeout:
    return UpstreamTimeout("no answer", reached=True)


def test_after_a_lost_answer_the_booking_is_looked_up_before_anything_is_booked(world: SalesWorld) -> None:
    world.crm.after = [lost()]
    with pytest.raises(UpstreamTimeout):
        world.run(record_sale(version=at(1)))
    assert state(world).intent is not None
    outcome = world.run(record_sale(version=at(1)))
    assert (outcome.result, outcome.ids["transaction_id"]) == (Result.APPLIED, "t-1")
    assert len(world.crm.entries) == 1


def test_an_empty_look_up_proves_nothing_while_the_request_may_be_at_work(world: SalesWorld) -> None:
    world.crm.before = [lost()]
    with pytest.raises(UpstreamTimeout):
        world.run(record_sale(version=at(1)))
    world.clock.now += 100
    with pytest.raises(LeaseBusy) as raised:
        world.run(record_sale(version=at(1)))
    assert raised.value.retry_after == 200
    world.clock.now += 200
    assert world.run(record_sale(version=at(1))).result is Result.APPLIED
    assert len(world.crm.entries) == 1


def test_a_vendor_that_cannot_show_the_booking_makes_it_ambiguous(world: SalesWorld) -> None:
    world.crm.after = [lost()]
    with pytest.raises(UpstreamTimeout):
        world.run(record_sale(version=at(1)))
    world.crm.shows_bookings = False
    with pytest.raises(AmbiguousOutcome):
        world.run(record_sale(version=at(1)))
    assert len(world.crm.entries) == 1


def test_a_copy_that_is_not_ours_is_ambiguous_and_stays_so(world: SalesWorld) -> None:
    world.run(record_sale("2", at(1)))
    world.crm.entries[0] = replace(world.crm.entries[0], bill=BILL)
    for _ in range(2):
        with pytest.raises((AmbiguousOutcome, LeaseBusy)):
            world.run(record_sale(version=at(1)))
    assert len(world.crm.entries) == 1


def test_a_request_that_was_refused_leaves_nothing_behind(world: SalesWorld) -> None:
    world.crm.before = [UpstreamUnavailable("down")]
    with pytest.raises(UpstreamUnavailable):
        world.run(record_sale(version=at(1)))
    assert state(world).intent is None
    assert world.run(record_sale(version=at(1))).result is Result.APPLIED


def test_an_amount_that_changed_meanwhile_is_booked_once(world: SalesWorld) -> None:
    world.crm.after = [lost()]
    with pytest.raises(UpstreamTimeout):
        world.run(record_sale(version=at(1)))
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert booked(world) == [("sale", "100.00", "BILL"), ("return", "30.00", "BILL")]


def test_two_executions_do_not_work_on_one_order_side_by_side(world: SalesWorld) -> None:
    seen: list[type[BaseException]] = []

    def meanwhile() -> None:
        world.crm.during = None
        with pytest.raises(LeaseBusy) as raised:
            world.run(record_refund(refunds=(refund("r", "30"),)))
        seen.append(raised.type)

    world.crm.during = meanwhile
    world.run(record_sale(version=at(1)))
    assert seen == [LeaseBusy]


# -- what is sent -------------------------------------------------------------------------------------------------


def test_the_vendor_gets_the_known_sale_with_every_booking(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), sale=sale(till="t-1")))
    world.run(record_refund(refunds=(refund("r", "30"),)))
    assert [command.order.sale.till for command in world.crm.sent if command.order.sale] == ["t-1", "t-1"]


def test_parts_that_the_vendor_cannot_take_are_left_out_of_a_webhooks_sale(world: SalesWorld) -> None:
    world.crm.sale_problems = [FieldProblem("sale.custom_fields.size", "is too long")]
    command = record_sale(version=at(1), custom_fields={"size": "x", "colour": "y"})
    outcome = world.run(command)
    assert [notice.code for notice in outcome.notices] == ["size_invalid"]
    assert world.crm.sent[0].order.custom_fields == {"colour": "y"}
    with pytest.raises(InvalidCommand):
        world.run(record_sale("2", custom_fields={"size": "x"}), source="api")


def test_notices_of_the_vendor_are_in_the_outcome(world: SalesWorld) -> None:
    world.crm.notices = (Notice("no_points"),)
    outcome = world.run(record_sale(version=at(1)))
    assert [notice.code for notice in outcome.notices] == ["no_points"]


def test_a_destination_without_sales_supports_no_transaction(world: SalesWorld) -> None:
    world.crm.operations = frozenset({"register"})
    with pytest.raises(UnsupportedByDestination):
        world.run(record_sale())


# -- requests ------------------------------------------------------------------------------------------------------


def test_a_booked_sale_takes_six_requests_and_one_that_changes_nothing_four(world: SalesWorld) -> None:
    world.run(record_sale("2", version=at(1)))
    world.dynamodb.reset()
    world.run(record_sale(version=at(1)))
    # Key, lease, customer, intent, commit with journal, key.
    assert world.dynamodb.calls == [
        "put_item",
        "update_item",
        "get_item",
        "update_item",
        "transact_write_items",
        "update_item",
    ]
    world.dynamodb.reset()
    world.run(record_sale(version=at(1)))
    assert len(world.dynamodb.calls) == 4


# -- size ---------------------------------------------------------------------------------------------------------


def test_a_thousand_lines_and_five_hundred_refunds_fit(world: SalesWorld) -> None:
    lines = tuple(
        Line(id=f"gid://shopify/LineItem/{n}", amount=Decimal("1.00"), description="x" * 40) for n in range(1000)
    )
    refunds = tuple(
        refund(f"gid://shopify/Refund/{n:012d}", "0.50", at=at(1).value, amounts=amounts("0.50", tax="0.05"))
        for n in range(500)
    )
    world.run(record_sale(version=at(1), sale=sale("1000", lines=lines)))
    for start in range(0, 500, 100):
        world.run(record_refund(refunds=refunds[start : start + 100], version=at(2)))
    assert world.crm.balance() == 750
    items = dynamodb_items(world)
    assert max(len(item["order_state"]["S"]) for item in items if "order_state" in item) < 300_000


def test_more_refunds_than_fit_are_refused_before_anything_is_booked(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1)))
    many = tuple(refund("x" * 150 + str(n), "0.01", at=at(1).value) for n in range(2000))
    with pytest.raises(InvalidCommand) as raised:
        world.run(record_refund(refunds=many, version=at(2)))
    assert raised.value.code == "too_many_refunds"


def dynamodb_items(world: SalesWorld) -> list[Any]:
    found: list[Any] = world.dynamodb.client.scan(TableName="state")["Items"]
    return found


# -- lines of sales that are booked later -------------------------------------------------------------------------

LINES = (Line(id="l-1", item_code="mug", amount=Decimal(60)), Line(id="l-2", item_code="tea", amount=Decimal(40)))
PAYMENTS = (Payment(mode="card", amount=Decimal(100)),)


def sent_lines(world: SalesWorld) -> list[tuple[str, ...]]:
    """The articles of the sale that was sent with every booking."""
    sales = [command.order.sale for command in world.crm.sent]
    return [tuple(line.item_code for line in sale.lines) if sale else () for sale in sales]


def kept_lines(world: SalesWorld) -> int:
    return sum("lines" in item for item in dynamodb_items(world))


def test_a_held_sale_is_booked_with_its_lines_and_payments(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    world.run(guest(record_sale(version=at(2), sale=sale(lines=LINES, payments=PAYMENTS))))
    world.run(guest(record_sale(version=at(1), sale=sale("50", lines=LINES[:1]))))
    world.run(signs_up())
    world.run_due()
    (command,) = world.crm.sent
    assert command.order.sale is not None
    assert (command.order.sale.lines, command.order.sale.payments) == (LINES, PAYMENTS)
    assert kept_lines(world) == 0


def test_a_sale_that_is_paid_later_is_booked_with_the_lines_of_its_newest_report(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), sale=sale("60", paid=False, lines=LINES[:1])))
    world.run(record_sale(version=at(2), sale=sale(paid=False, lines=LINES)))
    world.run(record_refund(captures=(Capture(id="p", amount=Decimal(100)),)))
    assert sent_lines(world) == [("mug", "tea")]
    world.run(record_sale("2", version=at(1), sale=sale(paid=False, lines=LINES)))
    world.run(record_sale("2", version=at(2), sale=sale(paid=False)))
    world.run(record_refund("2", captures=(Capture(id="p", amount=Decimal(100)),)))
    assert sent_lines(world)[1:] == [()]


def test_a_booking_that_fails_keeps_the_lines_for_the_next_attempt(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    world.run(guest(record_sale(version=at(1), sale=sale(lines=LINES))))
    world.run(signs_up())
    (_, released), *_ = world.queue.messages
    world.crm.before = [UpstreamUnavailable("down")]
    with pytest.raises(UpstreamUnavailable):
        world.run(released)
    world.crm.before = [VendorRejected("no", code="601")]
    with pytest.raises(VendorRejected):
        world.run(released)
    world.begin_process()
    world.run(released)
    assert sent_lines(world) == [("mug", "tea")]


def test_a_return_by_line_names_the_articles_of_a_sale_that_was_booked_before(dynamodb: Counted) -> None:
    world = SalesWorld(dynamodb, Sales(enabled=True, returns="line"))
    world.has_member()
    world.run(record_sale(version=at(1), sale=sale(lines=LINES)))
    world.run(record_refund(refunds=(refund("r", "40", lines=(Line(id="l-2", amount=Decimal(40)),)),)))
    assert sent_lines(world) == [("mug", "tea"), ("mug", "tea")]


def test_lines_are_kept_only_where_a_booking_may_still_need_them(world: SalesWorld) -> None:
    world.run(record_sale(version=at(1), sale=sale(lines=LINES)))
    world.run(record_sale("2", at(1), sale=sale(test=True, lines=LINES)))
    world.run(guest(record_sale("3", at(1), sale=sale(lines=LINES))))
    assert kept_lines(world) == 0


def test_a_vendor_without_lines_has_none_kept(world: SalesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    without = replace(SUPPORT, returns=frozenset({"amount"}))
    monkeypatch.setattr(
        "loyalty_relay.pipeline.transaction.vendor", lambda name: replace(registered(name), sales=without)
    )
    world.run(record_sale(version=at(1), sale=sale(paid=False, lines=LINES)))
    assert kept_lines(world) == 0


def test_a_thousand_lines_of_a_held_sale_are_kept_in_one_item(dynamodb: Counted) -> None:
    world = holding(dynamodb)
    lines = tuple(
        Line(id=f"gid://shopify/LineItem/{n}", item_code=f"SKU-{n}", amount=Decimal("1.00"), description="x" * 200)
        for n in range(1000)
    )
    world.run(guest(record_sale(version=at(1), sale=sale("1000", lines=lines))))
    assert kept_lines(world) == 1
    world.run(signs_up())
    world.run_due()
    assert len(sent_lines(world)[0]) == 1000


def test_more_lines_than_an_item_holds_are_not_kept_and_the_sale_is_booked_by_amount(
    dynamodb: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loyalty_relay.orders.lines.MOST_BYTES", 100)
    world = holding(dynamodb)
    world.run(guest(record_sale(version=at(1), sale=sale(lines=LINES))))
    world.run(signs_up())
    world.run_due()
    assert sent_lines(world) == [()]


# -- any order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_reports_in_any_order_end_in_the_same_balance(dynamodb: Counted, order: tuple[int, ...]) -> None:
    world = SalesWorld(dynamodb)
    world.has_member()
    commands: list[Any] = [
        record_sale(version=at(1)),
        record_sale(version=at(2), sale=sale("120", captured=Decimal(120))),
        record_refund(refunds=(refund("a", "30"),), version=at(3)),
        record_sale(version=at(4), sale=sale("120", captured=Decimal(120)), refunded=Decimal(30)),
    ]
    for number in order:
        world.run(commands[number])
    assert world.crm.balance() == 90
