"""Deletes, erasures and merges: what they forget, and what their tombstones keep out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.customers.tombstones import Reason, Tombstone
from loyalty_relay.model.commands import CustomerRef, Identifier, Version
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import LeaseBusy, StoreUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry
from tests.customers.test_ledger import JANE, Guarded, at, items
from tests.support.tables import Clock, Counted, make_customers

JOHN = CustomerRef(source_id="7002")
BY_EMAIL = CustomerRef(identifiers=(Identifier("email", "jane@example.com"),))
MEMBER = CustomerRef(loyalty_id="10")


@pytest.fixture
def customers(dynamodb: Counted, clock: Clock) -> CustomerLedger:
    return make_customers(dynamodb, clock)


@pytest.fixture
def guard(customers: CustomerLedger) -> Guarded:
    return Guarded(customers)


def retire(
    guard: Guarded,
    reason: Reason = "deleted",
    version: Version | None = None,
    *,
    who: CustomerRef = JANE,
    survivor: str | None = None,
    entry: JournalEntry | None = None,
) -> Result:
    return guard.customers.retire("shop", who, reason, version, survivor, entry)


def test_a_tombstone_makes_older_and_equal_events_stale_also_on_redrive(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "jane@example.com"}, at(1))
    assert retire(guard, "deleted", at(5)) is Result.APPLIED
    for number in (2, 5, 2):
        hold = guard.take({"city": "x", "email": "b"}, at(number), key=f"redrive-{number}")
        assert (hold.stale, hold.fields, hold.expires_at) == (("city", "email"), {}, 0.0)
        assert hold.tombstone is not None
        assert hold.tombstone.reason == "deleted"
        dynamodb.reset()
        hold.commit(loyalty_id=None, sent=(), entry=None)
        hold.release(interrupted=False)
        assert dynamodb.calls == []


def test_a_tombstone_holds_nothing_personal_and_has_no_end(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "jane@example.com", "phone": "+447700900123"}, at(1))
    retire(guard, "erased", at(5))
    (item,) = items(dynamodb).values()
    assert set(item) == {"pk", "connection", "customer", "tombstone", "updated_at"}
    assert json.loads(item["tombstone"]["S"]) == {
        "reason": "erased",
        "floor": [["shop", "005", "", "event-5"]],
        "survivor": None,
    }


def test_a_customer_of_whom_nothing_is_held_gets_a_tombstone_too(guard: Guarded) -> None:
    assert retire(guard, "deleted", at(5)) is Result.APPLIED
    assert guard.take({"email": "a"}, at(4)).tombstone is not None


def test_a_newer_event_revives_a_deleted_customer_and_older_ones_stay_out(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1))
    retire(guard, "deleted", at(5))
    hold = guard.take({"email": "a"}, at(6))
    assert (hold.tombstone, hold.fields) == (None, {"email": "a"})
    hold.commit(loyalty_id="10", sent=["email"], entry=None)
    # The city was never written since, but it is from before the deletion.
    assert guard.take({"city": "x"}, at(4)).stale == ("city",)


def test_a_reviving_attempt_that_ends_early_leaves_the_tombstone(guard: Guarded, dynamodb: Counted) -> None:
    retire(guard, "deleted", at(5))
    before = items(dynamodb)
    guard.take({"email": "a"}, at(6)).release(interrupted=False)
    assert items(dynamodb) == before
    guard.take({"email": "a"}, at(6)).release(interrupted=True)
    assert guard.take({"email": "a"}, at(5)).tombstone is not None
    assert guard.take({"email": "a"}, at(6)).interrupted


def test_a_customer_being_revived_is_under_lease(guard: Guarded) -> None:
    retire(guard, "deleted", at(5))
    guard.take({"email": "a"}, at(6))
    with pytest.raises(LeaseBusy):
        guard.take({"email": "a"}, at(7))


def test_an_erased_customer_comes_back_only_with_a_strictly_newer_version_of_the_same_clock(guard: Guarded) -> None:
    retire(guard, "erased", at(5))
    for version in (None, at(5), at(9, "other"), Version("other", "9", "2999-01-01", "e")):
        assert guard.take({"email": "a"}, version).tombstone is not None
    assert guard.take({"email": "a"}, at(6)).tombstone is None


def test_a_deleted_customer_yields_to_a_command_that_is_meant_now_and_to_a_later_event_of_another_clock() -> None:
    stone = Tombstone(reason="deleted", floor={"shop": Version("shop", "5", "2027-01-02", "e")})
    assert stone.yields_to(None)
    assert stone.yields_to(Version("other", "1", "2027-01-03", "e"))
    assert not stone.yields_to(Version("other", "1", "2027-01-01", "e"))
    assert not stone.yields_to(Version("other", "9", "", "e"))


def test_a_deletion_that_arrives_after_a_newer_event_is_stale_and_keeps_older_ones_out(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(7))
    assert retire(guard, "deleted", at(5)) is Result.STALE
    assert guard.take({"city": "x"}, at(4)).stale == ("city",)


@pytest.mark.parametrize("deletion_first", [True, False])
def test_a_deletion_and_a_newer_event_end_the_same_in_either_order(
    guard: Guarded, dynamodb: Counted, deletion_first: bool
) -> None:
    if deletion_first:
        retire(guard, "deleted", at(5))
    guard.apply({"email": "a"}, at(7))
    if not deletion_first:
        retire(guard, "deleted", at(5))
    item = next(i for i in items(dynamodb).values() if "register" in i)
    register = json.loads(item["register"]["S"])
    assert register["versions"][register["floor"][0]][1] == "005"
    assert "tombstone" not in item
    assert retire(guard, "deleted", at(5)) is Result.STALE


def test_an_erasure_that_a_newer_event_overtook_forgets_all_the_same(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(7))
    assert retire(guard, "erased", at(5)) is Result.STALE
    hold = guard.take({"email": "a"}, at(8))
    assert (hold.tombstone, hold.fields, hold.changed) == (None, {"email": "a"}, frozenset())


@pytest.mark.parametrize("order", [("deleted", "erased"), ("erased", "deleted")])
def test_an_erasure_and_a_deletion_leave_an_erasure_in_either_order(
    guard: Guarded, order: tuple[Reason, Reason]
) -> None:
    retire(guard, order[0], at(5))
    retire(guard, order[1], at(6))
    hold = guard.take({"email": "a"}, at(6))
    assert hold.tombstone is not None
    assert hold.tombstone.reason == "erased"


def test_the_pointers_of_a_retired_customer_are_removed(guard: Guarded) -> None:
    guard.apply({"email": "jane@example.com"}, at(1))
    retire(guard, "erased", at(5))
    for who in (BY_EMAIL, MEMBER):
        hold = guard.take({"city": "x"}, None, who=who)
        assert (hold.tombstone, hold.loyalty_id, hold.unchanged) == (None, None, ())


def test_a_pointer_that_passed_to_another_customer_survives_the_first_ones_erasure(guard: Guarded) -> None:
    guard.apply({"email": "jane@example.com"}, at(1), loyalty_id="10")
    guard.apply({"email": "jane@example.com"}, at(1), loyalty_id="20", who=JOHN)
    retire(guard, "erased", at(5))
    assert guard.take({"city": "x"}, None, who=BY_EMAIL).loyalty_id == "20"


def test_a_customer_who_is_being_worked_on_is_not_retired_and_the_retirement_reports_it(
    guard: Guarded, clock: Clock
) -> None:
    guard.take({"email": "a"}, at(1))
    with pytest.raises(LeaseBusy):
        retire(guard, "erased", at(5))
    clock.now += 45
    assert retire(guard, "erased", at(5)) is Result.APPLIED


def test_a_retirement_is_journalled_with_its_result_in_the_same_transaction(
    guard: Guarded, dynamodb: Counted, clock: Clock
) -> None:
    entry = JournalEntry(delivery_id="0190", connection="shop", result=Result.APPLIED)
    guard.apply({"email": "a"}, at(7))
    dynamodb.reset()
    retire(guard, "deleted", at(5), entry=entry)
    assert dynamodb.calls == ["update_item", "transact_write_items"]
    (written,) = Journal(dynamodb, "journal", clock=clock).show("0190")
    assert (written.result, written.customer) == (
        Result.STALE,
        guard.customers.customer_hash("shop", "source_id", "7001"),
    )


def test_a_retirement_that_could_not_be_written_gives_the_lease_back(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "a"}, at(1))
    before = items(dynamodb)
    dynamodb.fail(None, only="transact_write_items")
    with pytest.raises(StoreUnavailable):
        retire(guard, "deleted", at(5))
    assert items(dynamodb) == before


# -- merges ---------------------------------------------------------------------------------------------------------


def test_commands_for_a_merged_customer_go_to_the_survivor(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    guard.apply({"email": "b"}, at(1), loyalty_id="20", who=JOHN)
    retire(guard, "merged", at(5), survivor="7002")
    assert guard.take({"email": "z"}, at(4)).stale == ("email",)
    hold = guard.take({"email": "b"}, at(6))
    assert (hold.loyalty_id, hold.unchanged, hold.tombstone) == ("20", ("email",), None)


def test_a_survivor_without_loyalty_id_gets_the_merged_customers(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    retire(guard, "merged", at(5), survivor="7002")
    assert guard.take({"city": "x"}, at(6), who=MEMBER).loyalty_id == "10"
    with pytest.raises(LeaseBusy):
        guard.take({"city": "x"}, at(6), who=JOHN)


def test_a_survivor_with_a_loyalty_id_keeps_it_and_the_other_member_stays_alone(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    guard.apply({"email": "b"}, at(1), loyalty_id="20", who=JOHN)
    retire(guard, "merged", at(5), survivor="7002")
    assert guard.take({"city": "x"}, None, who=JOHN).loyalty_id == "20"
    assert guard.take({"city": "x"}, None, who=MEMBER).loyalty_id is None


def test_a_survivor_who_is_being_worked_on_defers_the_merge(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    guard.take({"email": "b"}, at(1), who=JOHN)
    before = items(dynamodb)
    with pytest.raises(LeaseBusy):
        retire(guard, "merged", at(5), survivor="7002")
    assert items(dynamodb) == before


def test_a_survivor_who_is_deleted_as_well_makes_the_command_stale(guard: Guarded) -> None:
    retire(guard, "merged", at(5), survivor="7002")
    retire(guard, "erased", at(8), who=JOHN)
    hold = guard.take({"email": "a"}, at(7))
    assert hold.tombstone is not None
    assert hold.tombstone.reason == "erased"


def test_two_customers_merged_into_each_other_do_not_go_round_for_ever(guard: Guarded) -> None:
    retire(guard, "merged", at(5), survivor="7002")
    retire(guard, "merged", at(6), who=JOHN, survivor="7001")
    assert guard.take({"email": "a"}, at(7)).fields == {"email": "a"}


def test_a_customer_merged_into_itself_is_deleted_but_points_nowhere(guard: Guarded) -> None:
    retire(guard, "merged", at(5), survivor="7001")
    assert guard.take({"email": "a"}, at(7)).fields == {"email": "a"}


# -- several source ids of one member -------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [JANE, JOHN])
@pytest.mark.parametrize("reason", ["deleted", "erased"])
def test_one_of_two_source_ids_of_a_member_ends_alone(guard: Guarded, gone: CustomerRef, reason: Reason) -> None:
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    guard.apply({"city": "x"}, at(1), loyalty_id="10", who=JOHN)
    left = JOHN if gone is JANE else JANE
    assert retire(guard, reason, at(5), who=gone) is Result.APPLIED
    assert guard.take({"email": "a"}, at(5), who=gone).tombstone is not None
    hold = guard.take({"email": "a", "notes": "n"}, at(4), who=left)
    assert (hold.tombstone, hold.loyalty_id) == (None, "10")
    assert hold.unchanged == (("email",) if reason == "deleted" else ())
    hold.commit(loyalty_id="10", sent=hold.fields, entry=None)
    assert guard.take({"email": "a"}, at(5), who=gone).tombstone is not None
    assert guard.take({"notes": "n"}, None, who=MEMBER).unchanged == ("notes",)


def test_two_source_ids_of_one_member_may_be_merged(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    guard.apply({"city": "x"}, at(1), loyalty_id="10", who=JOHN)
    retire(guard, "merged", at(5), survivor="7002")
    for who in (JANE, JOHN):
        hold = guard.take({"notes": "n"}, at(6), who=who)
        assert (hold.loyalty_id, hold.fields) == ("10", {"notes": "n"})
        hold.release(interrupted=False)


# -- shops ----------------------------------------------------------------------------------------------------------


def test_a_shop_is_erased_with_all_its_customers_and_no_other(guard: Guarded, dynamodb: Counted, clock: Clock) -> None:
    for number in range(5):
        who = CustomerRef(source_id=str(number))
        guard.apply({"email": f"c{number}@example.com"}, at(1), who=who, loyalty_id=str(number))
    guard.apply({"email": "other@example.com"}, at(1), who=JOHN, loyalty_id="99", store="other.myshopify.com")
    assert guard.customers.erase_store("shop", "demo.myshopify.com", Deadline(clock.now + 60, clock), version=at(5))
    live = [i for i in items(dynamodb).values() if "tombstone" not in i]
    assert len(live) == 3
    assert guard.take({"email": "a"}, at(4), who=CustomerRef(source_id="3")).tombstone is not None
    assert guard.take({"email": "a"}, at(6), who=CustomerRef(source_id="3")).tombstone is None
    assert guard.take({"email": "b"}, at(2), who=JOHN).loyalty_id == "99"


def test_erasing_a_shop_goes_on_where_its_time_ended(guard: Guarded, dynamodb: Counted, clock: Clock) -> None:
    for number in range(4):
        guard.apply({"email": f"c{number}@example.com"}, at(1), who=CustomerRef(source_id=str(number)))
    start = clock.now

    def slow(name: str, arguments: dict[str, Any]) -> None:
        if name == "transact_write_items":
            clock.now += 4

    dynamodb.after = slow
    assert not guard.customers.erase_store("shop", "demo.myshopify.com", Deadline(start + 10, clock))
    erased = sum("tombstone" in i for i in items(dynamodb).values())
    assert 0 < erased < 4
    assert guard.customers.erase_store("shop", "demo.myshopify.com", Deadline(clock.now + 60, clock))
    assert sum("tombstone" in i for i in items(dynamodb).values()) == 4


def test_a_shop_with_a_customer_who_is_being_worked_on_is_not_done_yet(guard: Guarded, clock: Clock) -> None:
    guard.apply({"email": "a"}, at(1))
    guard.apply({"email": "b"}, at(1), who=JOHN, loyalty_id="20")
    hold = guard.take({"email": "c"}, at(2))
    deadline = Deadline(clock.now + 60, clock)
    assert not guard.customers.erase_store("shop", "demo.myshopify.com", deadline)
    hold.release(interrupted=False)
    assert guard.customers.erase_store("shop", "demo.myshopify.com", deadline)
    assert guard.customers.erase_store("shop", "never-seen.myshopify.com", deadline)
