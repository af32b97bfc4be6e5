"""The guard: one test per rule of the design's section on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from loyalty_relay.customers.hold import Hold
from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.model.commands import Credits, CustomerRef, Identifier, UpdateCustomer, Version
from loyalty_relay.model.errors import InvalidCommand, LeaseBusy, StoreUnavailable, UpstreamTimeout
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.storage.lease import LeaseLost
from tests.support.tables import LEASE, STATE, Clock, Counted, make_customers, refusal

JANE = CustomerRef(source_id="7001")


def at(number: int, clock: str = "shop") -> Version:
    return Version(clock, f"{number:03d}", "", f"event-{number}")


class Guarded:
    """The guard as an operation uses it, with fewer words."""

    def __init__(self, customers: CustomerLedger) -> None:
        self.customers = customers
        self.number = 0

    def take(
        self,
        fields: Mapping[str, Any],
        version: Version | None = None,
        *,
        who: CustomerRef = JANE,
        key: str | None = None,
        credits: bool = False,
        versions: Mapping[str, Version] | None = None,
        store: str | None = "demo.myshopify.com",
    ) -> Hold:
        self.number += 1
        command = UpdateCustomer(
            customer=who,
            fields=fields,
            version=version,
            versions=versions or {},
            store=store,
            credits=Credits(referral_code="R" if credits else None),
        )
        return self.customers.hold("shop", command, key=key or f"key-{self.number}")

    def apply(
        self, fields: Mapping[str, Any], version: Version | None = None, *, loyalty_id: str = "10", **more: Any
    ) -> Hold:
        hold = self.take(fields, version, **more)
        hold.commit(loyalty_id=loyalty_id, sent=hold.fields, entry=None)
        return hold


@pytest.fixture
def customers(dynamodb: Counted, clock: Clock) -> CustomerLedger:
    return make_customers(dynamodb, clock)


@pytest.fixture
def guard(customers: CustomerLedger) -> Guarded:
    return Guarded(customers)


def items(dynamodb: Counted) -> dict[str, dict[str, Any]]:
    return {item["pk"]["S"]: item for item in dynamodb.client.scan(TableName=STATE)["Items"]}


def entry(**more: Any) -> JournalEntry:
    return JournalEntry(delivery_id="0190", connection="shop", result=Result.APPLIED, **more)


# -- the lease and the intent ---------------------------------------------------------------------------------------


def test_a_customer_is_worked_on_by_one_execution_at_a_time(guard: Guarded, clock: Clock) -> None:
    hold = guard.take({"email": "a"}, at(1))
    assert hold.expires_at == clock() + LEASE
    with pytest.raises(LeaseBusy) as caught:
        guard.take({"email": "b"}, at(2))
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 2
    guard.take({"email": "b"}, at(2), who=CustomerRef(source_id="7002"))


def test_the_lease_is_given_up_with_the_commit(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1))
    assert guard.take({"email": "b"}, at(2)).expires_at


def test_a_lease_that_ran_out_is_taken_over_and_its_holder_cannot_commit(guard: Guarded, clock: Clock) -> None:
    slow = guard.take({"email": "a"}, at(1))
    clock.now += LEASE
    guard.apply({"email": "b"}, at(2))
    with pytest.raises(LeaseLost) as caught:
        slow.commit(loyalty_id="10", sent=["email"], entry=None)
    assert caught.value.reached
    assert not guard.take({"email": "b"}, at(3)).fields


def test_the_item_is_taken_by_one_conditional_write_and_committed_by_one_transaction(
    guard: Guarded, dynamodb: Counted
) -> None:
    hold = guard.take({"email": "a"}, at(1))
    hold.commit(loyalty_id="10", sent=["email"], entry=entry())
    assert dynamodb.calls == ["update_item", "transact_write_items"]


@pytest.mark.parametrize(("version", "expected"), [(2, "unchanged"), (0, "stale")])
def test_stale_and_unchanged_commands_cost_two_requests_with_their_journal_entry(
    guard: Guarded, dynamodb: Counted, version: int, expected: str
) -> None:
    guard.apply({"email": "a"}, at(1))
    dynamodb.reset()
    hold = guard.take({"email": "a"}, at(version))
    assert getattr(hold, expected) == ("email",)
    hold.commit(loyalty_id=hold.loyalty_id, sent=(), entry=entry())
    assert len(dynamodb.calls) == 2


def test_the_intent_is_recorded_before_anything_is_sent(guard: Guarded, dynamodb: Counted) -> None:
    guard.take({"email": "a@example.com", "city": "x"}, at(1), key="key-9", credits=True)
    (item,) = items(dynamodb).values()
    (intent,) = item["intents"]["L"]
    assert json.loads(intent["S"])[1:] == ["key-9", "update", ["email", "city"], True]


def test_a_write_whose_answer_was_lost_is_recognised_as_our_own_lease(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "a"}, at(1))

    def twice(name: str, arguments: dict[str, Any]) -> None:
        # botocore repeats a request whose answer it did not get.
        if name == "update_item":
            dynamodb.before = None
            dynamodb.client.update_item(**arguments)

    dynamodb.before = twice
    hold = guard.take({"email": "a"}, at(2))
    assert (hold.unchanged, hold.interrupted, hold.loyalty_id) == (("email",), False, "10")
    hold.commit(loyalty_id="10", sent=(), entry=None)


def test_other_executions_writes_to_the_same_item_do_not_spoil_a_commit(
    guard: Guarded, dynamodb: Counted, clock: Clock
) -> None:
    from botocore.exceptions import ClientError

    hold = guard.take({"email": "a"}, at(1))
    left = [3]

    def conflict(name: str, arguments: dict[str, Any]) -> None:
        if left[0]:
            left[0] -= 1
            raise ClientError(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": ""},
                    "CancellationReasons": [{"Code": "TransactionConflict"}],
                },
                name,
            )

    dynamodb.before = conflict
    hold.commit(loyalty_id="10", sent=["email"], entry=None)
    dynamodb.heal()
    assert 0 < sum(clock.slept) < 1
    assert guard.take({"email": "a"}, at(2)).unchanged == ("email",)


def test_a_contended_item_is_busy_not_broken(guard: Guarded, dynamodb: Counted) -> None:
    dynamodb.fail("TransactionConflictException")
    with pytest.raises(LeaseBusy):
        guard.take({"email": "a"}, at(1))


def test_a_table_that_cannot_be_reached_is_unavailable_and_a_commit_reports_that_the_vendor_was_reached(
    guard: Guarded, dynamodb: Counted
) -> None:
    hold = guard.take({"email": "a"}, at(1))
    dynamodb.fail(None)
    with pytest.raises(StoreUnavailable) as before:
        guard.take({"email": "a"}, at(1), who=CustomerRef(source_id="7002"))
    with pytest.raises(StoreUnavailable) as after:
        hold.commit(loyalty_id="10", sent=["email"], entry=None)
    assert (before.value.reached, after.value.reached) == (False, True)


# -- fields ---------------------------------------------------------------------------------------------------------


def test_fields_older_than_the_items_are_dropped_and_newer_ones_stay(guard: Guarded) -> None:
    guard.apply({"email": "new"}, at(5))
    hold = guard.take({"email": "old", "city": "x"}, at(4))
    assert (hold.stale, hold.fields) == (("email",), {"city": "x"})


def test_fields_with_the_value_last_sent_need_no_call(guard: Guarded) -> None:
    guard.apply({"email": "a", "city": "x"}, at(1))
    hold = guard.take({"email": "a", "city": "y"}, at(2))
    assert (hold.unchanged, hold.fields, hold.changed) == (("email",), {"city": "y"}, frozenset({"city"}))


def test_unchanged_fields_advance_their_version_and_stale_ones_do_not(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1))
    guard.apply({"email": "a"}, at(5))
    assert guard.apply({"email": "b"}, at(4)).stale == ("email",)
    assert guard.take({"email": "b"}, at(6)).fields == {"email": "b"}


def test_fields_that_the_vendor_did_not_take_stay_unknown(guard: Guarded) -> None:
    hold = guard.take({"email": "a", "city": "x"}, at(1))
    hold.commit(loyalty_id="10", sent=["email"], entry=None)
    hold = guard.take({"email": "a", "city": "x"}, at(1))
    assert (hold.unchanged, hold.fields) == (("email",), {"city": "x"})


def test_tags_are_one_field_each(guard: Guarded) -> None:
    guard.apply({"tags.vip": True, "tags.new": True}, at(1))
    guard.apply({"tags.vip": False}, at(3))
    hold = guard.take({"tags.vip": True, "tags.new": False}, at(2))
    assert (hold.stale, hold.fields) == (("tags.vip",), {"tags.new": False})


def test_a_field_may_have_a_version_of_its_own(guard: Guarded) -> None:
    consent = "subscriptions.email.bulk"
    guard.apply({"email": "a", consent: True}, at(5), versions={consent: at(9, "consent")})
    hold = guard.take({"email": "b", consent: False}, at(6), versions={consent: at(8, "consent")})
    assert (hold.stale, hold.fields) == ((consent,), {"email": "b"})


def test_a_command_without_version_is_applied_now_and_moves_no_source_clock(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(5))
    guard.apply({"email": "b"}, None)
    assert guard.take({"email": "a"}, at(5)).stale == ("email",)


def test_a_command_without_version_does_not_hold_up_the_next_event(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(5))
    guard.apply({"email": "b"}, None)
    assert guard.take({"email": "c"}, at(6)).fields == {"email": "c"}


def test_equal_versions_are_ordered_by_event_time_then_event_id_and_never_by_arrival(guard: Guarded) -> None:
    first, second = Version("shop", "5", "10:00", "a"), Version("shop", "5", "10:00", "b")
    guard.apply({"email": "second"}, second)
    assert guard.take({"email": "first"}, first).stale == ("email",)


def test_no_value_is_kept(guard: Guarded, dynamodb: Counted) -> None:
    who = CustomerRef(source_id="jane@example.com", identifiers=(Identifier("mobile", "+447700900123"),))
    guard.apply({"email": "jane@example.com", "phone": "+447700900123", "first_name": "Jane"}, at(1), who=who)
    text = json.dumps(items(dynamodb))
    for secret in ("jane", "Jane", "447700900123"):
        assert secret not in text


def test_more_fields_than_a_register_keeps_are_refused_before_anything_is_written(
    guard: Guarded, dynamodb: Counted
) -> None:
    with pytest.raises(InvalidCommand):
        guard.take({f"custom_fields.{n}": n for n in range(501)}, at(1))
    with pytest.raises(InvalidCommand):
        guard.take({"x" * 256: 1}, at(1))
    with pytest.raises(InvalidCommand):
        guard.take({"email": "a"}, at(1), who=CustomerRef())
    assert dynamodb.calls == []


# -- what is left behind by an attempt that ended early ---------------------------------------------------------------


def test_after_a_crash_the_fields_of_the_uncommitted_intent_are_never_unchanged(guard: Guarded, clock: Clock) -> None:
    guard.apply({"email": "a", "city": "x"}, at(1))
    guard.take({"email": "b"}, at(2))
    clock.now += LEASE
    hold = guard.take({"email": "a", "city": "x"}, at(3))
    assert hold.interrupted
    assert (hold.fields, hold.unchanged) == ({"email": "a"}, ("city",))


def test_a_commit_of_other_fields_does_not_make_the_interrupted_ones_known(guard: Guarded, clock: Clock) -> None:
    guard.apply({"email": "a"}, at(1))
    guard.take({"email": "b"}, at(2))
    clock.now += LEASE
    guard.apply({"city": "x"}, at(3))
    hold = guard.take({"email": "a"}, at(4))
    assert (hold.fields, hold.interrupted) == ({"email": "a"}, False)


def test_a_deferral_before_anything_was_sent_gives_everything_back_as_before(
    guard: Guarded, dynamodb: Counted, clock: Clock
) -> None:
    guard.apply({"email": "a"}, at(1))
    before = items(dynamodb)
    guard.take({"email": "b"}, at(2)).release(interrupted=False)
    assert items(dynamodb) == before
    assert not guard.take({"email": "a"}, at(3)).interrupted


def test_a_customer_who_was_not_there_before_a_deferral_is_not_there_after_it(
    guard: Guarded, dynamodb: Counted
) -> None:
    guard.take({"email": "b"}, at(2)).release(interrupted=False)
    assert items(dynamodb) == {}


def test_a_deferral_keeps_an_earlier_attempts_intent(guard: Guarded, clock: Clock) -> None:
    guard.take({"email": "b"}, at(2))
    clock.now += LEASE
    guard.take({"city": "x"}, at(3)).release(interrupted=False)
    hold = guard.take({"email": "b", "city": "x"}, at(2))
    assert hold.interrupted
    hold.release(interrupted=True)
    assert guard.take({"email": "b"}, at(2)).interrupted


def test_a_deferral_that_may_have_reached_the_vendor_frees_the_lease_and_keeps_the_intent(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1))
    guard.take({"email": "b"}, at(2)).release(interrupted=True)
    hold = guard.take({"email": "a"}, at(3))
    assert hold.interrupted
    assert hold.fields == {"email": "a"}


def test_after_a_time_out_the_lease_is_left_to_run_out(guard: Guarded, dynamodb: Counted, clock: Clock) -> None:
    hold = guard.take({"email": "a"}, at(1))
    dynamodb.reset()
    with pytest.raises(UpstreamTimeout), hold:
        raise UpstreamTimeout(reached=True)
    assert dynamodb.calls == []
    with pytest.raises(LeaseBusy):
        guard.take({"email": "a"}, at(1))
    clock.now += LEASE
    assert guard.take({"email": "a"}, at(1)).interrupted


def test_a_hold_that_was_lost_or_cannot_be_given_back_does_no_harm(
    guard: Guarded, dynamodb: Counted, clock: Clock
) -> None:
    lost = guard.take({"email": "a"}, at(1))
    clock.now += LEASE
    held = guard.take({"email": "b"}, at(2))
    lost.release(interrupted=False)
    with pytest.raises(LeaseBusy):
        guard.take({"email": "c"}, at(3))
    dynamodb.fail(None)
    held.release(interrupted=False)


def test_many_crashed_attempts_do_not_grow_the_item(guard: Guarded, dynamodb: Counted, clock: Clock) -> None:
    for number in range(40):
        guard.take({"email": f"{number}"}, at(number), key=f"credit-{number % 3}", credits=True)
        clock.now += LEASE
    (item,) = items(dynamodb).values()
    assert len(item["intents"]["L"]) < 10
    hold = guard.take({"email": "0"}, at(50), key="credit-1", credits=True)
    assert hold.interrupted
    assert hold.interrupted_credits
    assert not guard.take({"email": "0"}, at(50), key="credit-1", who=CustomerRef(source_id="1")).interrupted_credits


# -- credits --------------------------------------------------------------------------------------------------------


def test_credits_of_an_interrupted_attempt_are_ambiguous_for_that_command_only(guard: Guarded, clock: Clock) -> None:
    guard.take({"email": "a"}, at(1), key="key-credit", credits=True)
    clock.now += LEASE
    other = guard.take({"email": "a"}, at(2), key="key-other", credits=True)
    assert not other.interrupted_credits
    other.release(interrupted=False)
    assert guard.take({"email": "a"}, at(1), key="key-credit", credits=True).interrupted_credits


def test_credits_stay_ambiguous_after_another_commands_commit(guard: Guarded, clock: Clock) -> None:
    guard.take({"email": "a"}, at(1), key="key-credit", credits=True)
    clock.now += LEASE
    guard.apply({"email": "b"}, at(2))
    assert guard.take({"email": "a"}, at(1), key="key-credit", credits=True).interrupted_credits


def test_credits_that_were_committed_are_known_when_only_the_key_was_not_completed(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1), key="key-credit", credits=True)
    again = guard.take({"email": "a"}, at(1), key="key-credit", credits=True)
    assert (again.credited, again.interrupted_credits) == (True, False)
    again.commit(loyalty_id="10", sent=(), entry=None)
    assert guard.take({"email": "a"}, at(1), key="key-credit", credits=True).credited


# -- who is meant ---------------------------------------------------------------------------------------------------


def test_the_loyalty_id_is_kept_with_the_customer(guard: Guarded) -> None:
    assert guard.take({"email": "a"}, at(1), store=None).loyalty_id is None
    guard.apply({"email": "a"}, at(1), who=CustomerRef(source_id="7002"), loyalty_id="10")
    assert guard.take({"email": "b"}, at(2), who=CustomerRef(source_id="7002")).loyalty_id == "10"


def test_commands_by_source_id_and_by_loyalty_id_meet_in_one_item(guard: Guarded) -> None:
    guard.apply({"email": "a"}, at(1))
    by_loyalty_id = guard.take({"email": "a", "city": "x"}, None, who=CustomerRef(loyalty_id="10"))
    assert (by_loyalty_id.unchanged, by_loyalty_id.loyalty_id) == (("email",), "10")
    with pytest.raises(LeaseBusy):
        guard.take({"city": "y"}, at(2))


@pytest.mark.parametrize("written", ["+447700900123", "447700900123", "+44 7700 900123"])
def test_commands_by_a_committed_email_or_phone_meet_in_the_same_item(guard: Guarded, written: str) -> None:
    guard.apply({"email": "Jane@Example.com", "phone": "+447700900123"}, at(1))
    for who in (Identifier("email", "jane@example.com"), Identifier("mobile", written)):
        hold = guard.take({"city": "x"}, None, who=CustomerRef(identifiers=(who,)))
        assert hold.loyalty_id == "10"
        hold.release(interrupted=False)


def test_channels_lead_to_the_customer_as_well(guard: Guarded) -> None:
    guard.apply({"channels.email": [{"value": "a@example.com"}, {"value": "b@example.com"}]}, at(1))
    who = CustomerRef(identifiers=(Identifier("email", "b@example.com"),))
    assert guard.take({"city": "x"}, None, who=who).loyalty_id == "10"


def test_an_email_that_was_replaced_leads_nowhere_any_more(guard: Guarded) -> None:
    guard.apply({"email": "old@example.com"}, at(1))
    guard.apply({"email": "new@example.com"}, at(2))
    old = CustomerRef(identifiers=(Identifier("email", "old@example.com"),))
    new = CustomerRef(identifiers=(Identifier("email", "new@example.com"),))
    assert guard.take({"city": "x"}, None, who=old).loyalty_id is None
    assert guard.take({"city": "x"}, None, who=new).loyalty_id == "10"


def test_an_email_that_passed_to_another_customer_leads_to_that_one(guard: Guarded) -> None:
    shared = "shop@example.com"
    guard.apply({"email": shared}, at(1), loyalty_id="10")
    guard.apply({"email": shared}, at(1), loyalty_id="20", who=CustomerRef(source_id="7002"))
    guard.apply({"email": "other@example.com"}, at(2), loyalty_id="10")
    who = CustomerRef(identifiers=(Identifier("email", shared),))
    assert guard.take({"city": "x"}, None, who=who).loyalty_id == "20"


def test_connections_share_no_customer(guard: Guarded, customers: CustomerLedger) -> None:
    guard.apply({"email": "a"}, at(1))
    command = UpdateCustomer(customer=JANE, fields={"email": "a"}, version=at(1))
    other = customers.hold("other", command, key="k")
    assert (other.fields, other.loyalty_id) == ({"email": "a"}, None)


def test_a_customer_first_met_by_loyalty_id_is_adopted_when_the_source_id_turns_out_to_be_them(
    guard: Guarded, dynamodb: Counted
) -> None:
    guard.apply({"email": "a", "city": "x"}, None, who=CustomerRef(loyalty_id="10"), loyalty_id="10")
    hold = guard.take({"email": "a", "city": "y"}, at(1))
    assert set(hold.fields) == {"email", "city"}
    hold.meet("10")
    assert (hold.unchanged, hold.fields, hold.loyalty_id) == (("email",), {"city": "y"}, "10")
    assert hold.changed == {"city"}
    with pytest.raises(LeaseBusy):
        guard.take({"city": "z"}, None, who=CustomerRef(loyalty_id="10"))
    hold.commit(loyalty_id="10", sent=["city"], entry=None)
    assert guard.take({"city": "y"}, None, who=CustomerRef(loyalty_id="10")).unchanged == ("city",)


def test_adopting_costs_one_request_and_none_when_the_id_is_known(guard: Guarded, dynamodb: Counted) -> None:
    hold = guard.take({"email": "a"}, at(1))
    dynamodb.reset()
    hold.meet("10")
    hold.meet("10")
    assert dynamodb.calls == ["update_item"]
    assert len(items(dynamodb)) == 1


def test_a_member_who_is_being_worked_on_under_another_key_is_not_adopted(guard: Guarded) -> None:
    other = guard.take({"email": "b"}, None, who=CustomerRef(loyalty_id="10"))
    hold = guard.take({"email": "a"}, at(1))
    with pytest.raises(LeaseBusy):
        hold.meet("10")
    hold.release(interrupted=False)
    other.release(interrupted=False)
    hold = guard.take({"email": "a"}, at(1))
    hold.meet("10")
    assert hold.loyalty_id == "10"


def test_releasing_a_hold_releases_the_records_that_it_absorbed(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "a"}, None, who=CustomerRef(loyalty_id="10"), loyalty_id="10")
    before = items(dynamodb)
    first = guard.take({"email": "a"}, at(1))
    first.meet("10")
    first.release(interrupted=False)
    assert items(dynamodb) == before


def test_a_commit_that_finds_the_loyalty_id_taken_joins_the_two_items(guard: Guarded) -> None:
    guard.apply({"city": "x"}, None, who=CustomerRef(loyalty_id="10"), loyalty_id="10")
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    hold = guard.take({"email": "a", "city": "x"}, None, who=CustomerRef(loyalty_id="10"))
    assert set(hold.unchanged) == {"email", "city"}
    assert hold.customer == guard.customers.customer_hash("shop", "source_id", "7001")


def test_two_source_ids_of_one_member_meet_in_one_item(guard: Guarded) -> None:
    guard.apply({"email": "a", "city": "x"}, at(5), loyalty_id="10")
    other = CustomerRef(source_id="7002")
    guard.apply({"email": "b"}, at(6), loyalty_id="10", who=other)
    assert guard.take({"email": "a"}, at(4)).stale == ("email",)


def test_a_member_of_another_loyalty_id_after_a_merge_at_the_vendor_is_known_by_both(guard: Guarded) -> None:
    guard.apply({"email": "a", "city": "x"}, at(1), loyalty_id="10")
    hold = guard.take({"city": "y"}, at(2))
    hold.commit(loyalty_id="11", sent=["city"], entry=None)
    for loyalty_id in ("10", "11"):
        hold = guard.take({"email": "a", "city": "y"}, None, who=CustomerRef(loyalty_id=loyalty_id))
        # The survivor's e-mail is not what was sent to the other member.
        assert (hold.loyalty_id, hold.unchanged, hold.fields) == ("11", ("city",), {"email": "a"})
        hold.release(interrupted=False)


# -- the journal and the tools --------------------------------------------------------------------------------------


def test_the_commit_journals_under_the_customers_hash(guard: Guarded, dynamodb: Counted, clock: Clock) -> None:
    journal = Journal(dynamodb, "journal", clock=clock)
    hold = guard.take({"email": "a"}, at(1))
    hold.commit(loyalty_id="10", sent=["email"], entry=entry())
    (written,) = journal.by_customer(guard.customers.customer_hash("shop", "source_id", "7001"))
    assert written.result is Result.APPLIED


def test_a_final_journal_entry_of_an_earlier_execution_does_not_hold_up_the_commit(
    guard: Guarded, dynamodb: Counted, clock: Clock
) -> None:
    journal = Journal(dynamodb, "journal", clock=clock)
    journal.write(entry(customer="h"))
    hold = guard.take({"email": "a"}, at(1))
    hold.commit(loyalty_id="10", sent=["email"], entry=entry(receives=2))
    assert [e.receives for e in journal.show("0190")] == [1]
    assert guard.take({"email": "a"}, at(1)).unchanged == ("email",)


def test_a_lookup_by_any_identifier_finds_the_customer_and_touches_nothing(guard: Guarded, dynamodb: Counted) -> None:
    guard.apply({"email": "jane@example.com", "city": "x"}, at(1))
    before = items(dynamodb)
    refs = [JANE, CustomerRef(loyalty_id="10"), CustomerRef(identifiers=(Identifier("email", "jane@example.com"),))]
    for ref in refs:
        known = guard.customers.lookup("shop", ref)
        assert known is not None
        assert known.customer == guard.customers.customer_hash("shop", "source_id", "7001")
        assert known.loyalty_id == "10"
        assert set(known.register.marks) == {"email", "city"}
        assert not known.lease_until
    assert guard.customers.lookup("shop", CustomerRef(source_id="nobody")) is None
    assert items(dynamodb) == before


def test_a_joined_customer_is_known_by_the_hashes_the_journal_used_before(guard: Guarded) -> None:
    guard.apply({"city": "x"}, None, who=CustomerRef(loyalty_id="10"), loyalty_id="10")
    guard.apply({"email": "a"}, at(1), loyalty_id="10")
    known = guard.customers.lookup("shop", JANE)
    assert known is not None
    assert guard.customers.customer_hash("shop", "loyalty_id", "10") in known.hashes


def test_refusals_of_aws_do_not_reach_logs_with_more_than_their_code(guard: Guarded, dynamodb: Counted) -> None:
    dynamodb.fail("ValidationException")
    with pytest.raises(StoreUnavailable) as caught:
        guard.take({"email": "jane@example.com"}, at(1))
    assert str(caught.value) == "a table does not answer: ValidationException"
    assert "ValidationException" in str(refusal("ValidationException", "update_item"))
