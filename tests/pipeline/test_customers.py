"""Register and update over the guard: order, duplicates and crashes stop mattering."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.customers import retirement
from loyalty_relay.customers.hold import Hold
from loyalty_relay.model.commands import (
    Credits,
    CustomerRef,
    Enrollment,
    Envelope,
    Identifier,
    RegisterCustomer,
    RetireCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    ConnectionFailed,
    CustomerExists,
    CustomerNotFound,
    CustomerUnknown,
    FieldProblem,
    InvalidCommand,
    LeaseBusy,
    RateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.outcomes import Result
from loyalty_relay.pipeline.customers import LATECOMER_SECONDS
from loyalty_relay.runtime.wiring import LEASE_SECONDS
from tests.pipeline.conftest import Relay, customer, version
from tests.support.crm import Member
from tests.support.tables import Crash

POINTS = Credits(enrollments=(Enrollment(program_id=1, loyalty_points=50),))


def writes(relay: Relay) -> list[str]:
    return [call[0] for call in relay.crm.calls if call[0] != "find"]


def test_an_unknown_customer_is_registered_and_known_from_then_on(relay: Relay) -> None:
    first = relay.run(customer({"first_name": "Ana"}, "1", kind=RegisterCustomer))
    second = relay.run(customer({"first_name": "Anna"}, "2"))
    assert (first.result, first.created, second.result) == (Result.APPLIED, True, Result.APPLIED)
    assert first.loyalty_id == second.loyalty_id
    assert writes(relay) == ["register", "update"]
    assert ("find",) not in relay.crm.calls[1:], "the identity map answers, not the vendor"


def test_the_same_event_three_times_has_one_effect(relay: Relay) -> None:
    outcomes = [relay.run(customer(), id="same").result for _ in range(3)]
    assert outcomes == [Result.APPLIED, Result.DUPLICATE, Result.DUPLICATE]
    assert writes(relay) == ["register"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_events_in_every_order_end_in_the_same_customer(relay: Relay, order: tuple[int, ...]) -> None:
    events = [
        customer({"first_name": "A", "last_name": "X"}, "1", kind=RegisterCustomer),
        customer({"first_name": "B"}, "2"),
        customer({"last_name": "Y", "first_name": "B"}, "3"),
        customer({"first_name": "C"}, "4"),
    ]
    for index in order:
        relay.run(events[index])
    (member,) = relay.crm.members.values()
    assert member.fields == {"first_name": "C", "last_name": "Y"}


@pytest.mark.attack("senders", "a replay of a captured delivery")
def test_a_stale_event_sends_nothing(relay: Relay) -> None:
    relay.run(customer({"first_name": "New"}, "2"))
    relay.crm.calls.clear()
    outcome = relay.run(customer({"first_name": "Old"}, "1"))
    assert outcome.result is Result.STALE
    assert relay.crm.calls == []


def test_an_unchanged_event_sends_nothing_and_still_moves_the_clock(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1"))
    relay.crm.calls.clear()
    assert relay.run(customer({"first_name": "Ana"}, "3")).result is Result.UNCHANGED
    assert relay.run(customer({"first_name": "Eva"}, "2")).result is Result.STALE
    assert relay.crm.calls == []


def test_equal_versions_are_ordered_by_event_time_not_by_arrival(relay: Relay) -> None:
    later = UpdateCustomer(
        customer=CustomerRef(source_id="7", identifiers=customer().customer.identifiers),
        fields={"first_name": "Later"},
        version=version("1", "t2"),
    )
    relay.run(later)
    earlier = UpdateCustomer(customer=later.customer, fields={"first_name": "Earlier"}, version=version("1", "t1"))
    assert relay.run(earlier).result is Result.STALE


def test_a_crash_after_the_effect_is_found_by_looking(relay: Relay) -> None:
    command = customer({"first_name": "Ana"}, "1", kind=RegisterCustomer)
    envelope = relay.envelope(command)
    relay.crm.after = [SystemExit("killed")]
    with pytest.raises(SystemExit):
        relay.run(envelope)
    relay.stack.clock.now += 3600
    relay.restarted()
    outcome = relay.run(envelope)
    assert outcome.result is Result.APPLIED
    assert len(relay.crm.members) == 1
    assert writes(relay) == ["register", "update"]


def test_after_an_interrupted_attempt_nothing_counts_as_unchanged(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1"))
    relay.crm.after = [UpstreamUnavailable(reached=True)]
    with pytest.raises(UpstreamUnavailable):
        relay.run(customer({"first_name": "Eva"}, "2"))
    outcome = relay.run(customer({"first_name": "Ana"}, "3"))
    assert outcome.result is Result.APPLIED
    (member,) = relay.crm.members.values()
    assert member.fields["first_name"] == "Ana"


@pytest.mark.attack(
    "senders",
    "an event that makes the worker fail each time",
    "an exception before a request was begun gives the customer back as before; after it, the next attempt looks",
    "G1",
)
def test_a_bug_before_a_request_leaves_no_doubt_and_no_lease(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1"))
    relay.crm.before = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        relay.run(customer({"first_name": "Eva"}, "2"))
    assert relay.run(customer({"first_name": "Ana"}, "3")).result is Result.UNCHANGED


def test_a_bug_before_a_request_leaves_points_to_the_next_attempt(relay: Relay) -> None:
    envelope = relay.envelope(customer(credits=POINTS))
    relay.crm.before = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        relay.run(envelope)
    assert relay.run(envelope).result is Result.APPLIED


def test_a_bug_after_a_request_leaves_it_in_doubt(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1"))
    relay.crm.after = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        relay.run(customer({"first_name": "Eva"}, "2"))
    assert relay.run(customer({"first_name": "Ana"}, "3")).result is Result.APPLIED


def test_a_bug_while_a_customer_is_taken_leaves_no_lease(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Hold, "_judge", lambda self, record: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            relay.run(customer())
    assert relay.run(customer()).result is Result.APPLIED


@pytest.mark.parametrize("step", ["_leave", "_keep"])
def test_a_bug_while_a_customer_is_retired_leaves_no_lease(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    relay.run(customer({"first_name": "Ana"}, "2"))
    at = version("1" if step == "_keep" else "3")
    gone = RetireCustomer(customer=CustomerRef(source_id="7"), reason="deleted", version=at)
    with monkeypatch.context() as patch:
        patch.setattr(retirement, step, lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            relay.run(gone)
    assert relay.run(gone).result is (Result.STALE if step == "_keep" else Result.APPLIED)


def test_a_refusal_after_a_first_request_that_worked_leaves_its_fields_in_doubt(relay: Relay) -> None:
    """A command may need two requests; the second one was refused."""
    relay.run(customer({"first_name": "Ana"}, "1"))
    refused = VendorRejected("the second request")
    refused.reached = True
    relay.crm.after = [refused]
    with pytest.raises(VendorRejected):
        relay.run(customer({"first_name": "Eva"}, "2"))
    assert relay.run(customer({"first_name": "Ana"}, "3")).result is Result.APPLIED
    assert [member.fields["first_name"] for member in relay.crm.members.values()] == ["Ana"]


def test_a_request_that_never_left_leaves_no_doubt(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1"))
    relay.crm.before = [ConnectionFailed()]
    with pytest.raises(ConnectionFailed):
        relay.run(customer({"first_name": "Eva"}, "2"))
    assert relay.run(customer({"first_name": "Ana"}, "3")).result is Result.UNCHANGED


def test_after_a_time_out_the_lease_runs_out_by_itself(relay: Relay) -> None:
    relay.crm.after = [UpstreamTimeout(reached=True)]
    envelope = relay.envelope(customer())
    with pytest.raises(UpstreamTimeout):
        relay.run(envelope)
    with pytest.raises(LeaseBusy):
        relay.run(envelope)
    relay.stack.clock.now += 60
    assert relay.run(envelope).result is Result.APPLIED
    assert len(relay.crm.members) == 1


def test_two_executions_for_one_customer_do_not_overlap(relay: Relay) -> None:
    seen: list[type[BaseException]] = []

    def meanwhile() -> None:
        relay.crm.during = None
        try:
            relay.run(customer({"last_name": "Other"}, "5"))
        except LeaseBusy as error:
            seen.append(type(error))

    relay.crm.during = meanwhile
    assert relay.run(customer()).result is Result.APPLIED
    assert seen == [LeaseBusy]


def test_points_are_credited_once_and_never_after_an_unknown_end(relay: Relay) -> None:
    envelope = relay.envelope(customer(kind=RegisterCustomer, credits=POINTS))
    relay.crm.after = [UpstreamUnavailable(reached=True)]
    with pytest.raises(UpstreamUnavailable):
        relay.run(envelope)
    with pytest.raises(AmbiguousOutcome):
        relay.run(envelope)
    (member,) = relay.crm.members.values()
    assert member.credits == [POINTS]


def test_the_doubt_about_points_outlives_another_event(relay: Relay) -> None:
    relay.run(customer())
    crediting = relay.envelope(customer({"last_name": "Ames"}, "2", credits=POINTS))
    relay.crm.after = [UpstreamUnavailable(reached=True)]
    with pytest.raises(UpstreamUnavailable):
        relay.run(crediting)
    assert relay.run(customer({"first_name": "Eva"}, "3")).result is Result.APPLIED
    with pytest.raises(AmbiguousOutcome):
        relay.run(crediting)
    (member,) = relay.crm.members.values()
    assert member.credits == [POINTS]


def test_a_register_that_turns_into_an_update_credits_nothing(relay: Relay) -> None:
    relay.run(customer(source_id="other"))
    outcome = relay.run(customer({"last_name": "Ames"}, "2", kind=RegisterCustomer, credits=POINTS, source_id="8"))
    (member,) = relay.crm.members.values()
    assert member.credits == []
    assert "credits_not_sent" in [n.code for n in outcome.notices]
    assert outcome.loyalty_id == member.id


def test_two_ids_of_one_person_meet_in_one_item(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "5", source_id="7"))
    by_api = UpdateCustomer(
        customer=CustomerRef(loyalty_id="1000"), fields={"first_name": "Eva"}, version=version("4"), if_missing="error"
    )
    assert relay.run(by_api).result is Result.STALE


def test_a_command_without_version_is_applied_now_and_moves_no_clock(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "5"))
    assert relay.run(customer({"first_name": "Api"}, None)).result is Result.APPLIED
    assert relay.run(customer({"first_name": "Old"}, "4")).result is Result.STALE
    assert relay.run(customer({"first_name": "New"}, "6")).result is Result.APPLIED


def test_an_api_register_of_a_known_customer_names_the_existing_id(relay: Relay) -> None:
    relay.run(customer())
    with pytest.raises(CustomerExists) as caught:
        relay.run(customer(None, None, kind=RegisterCustomer, source_id=None, if_exists="error"), source="api")
    assert caught.value.loyalty_id == "1000"


def test_the_id_in_the_vendors_text_is_not_believed_before_a_look(relay: Relay) -> None:
    """It may be another member's: who has the e-mail is looked up."""
    relay.crm.members["1000"] = Member("1000", {"email": "ana@example.com"})
    relay.crm.members["1001"] = Member("1001", {"email": "eva@example.com"})
    relay.crm.before = [CustomerExists("exists with id 1001", loyalty_id="1001")]
    assert relay.run(customer(kind=RegisterCustomer)).loyalty_id == "1000"
    assert relay.crm.members["1001"].fields == {}


def test_an_api_update_of_an_unknown_customer_is_an_error(relay: Relay) -> None:
    with pytest.raises(CustomerNotFound):
        relay.run(customer(None, None, source_id=None, if_missing="error"), source="api")
    assert relay.crm.members == {}


def test_a_customer_without_any_identifier_is_ignored_with_the_reason(relay: Relay) -> None:
    outcome = relay.run(customer(email=None))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "no_identifier")
    assert relay.crm.calls == []


def test_ids_survive_a_merge_at_the_vendor(relay: Relay) -> None:
    relay.run(customer())
    relay.crm.members["2000"] = relay.crm.members.pop("1000")
    relay.crm.members["2000"].id = "2000"
    relay.crm.merged["1000"] = "2000"
    assert relay.run(customer({"first_name": "Eva"}, "2")).loyalty_id == "2000"
    relay.crm.merged.clear()
    assert relay.run(customer({"first_name": "Ida"}, "3")).loyalty_id == "2000"


def test_a_rejected_command_gives_the_guard_back(relay: Relay) -> None:
    relay.crm.before = [VendorRejected("no", code="8014")]
    with pytest.raises(VendorRejected):
        relay.run(customer())
    assert relay.run(customer()).result is Result.APPLIED


def test_problems_are_found_before_anything_is_sent(relay: Relay) -> None:
    relay.crm.problems = [FieldProblem("identifiers.0.value", "is not a valid mobile number")]
    with pytest.raises(InvalidCommand):
        relay.run(customer())
    assert relay.crm.calls == []


def test_what_a_shop_got_wrong_is_left_out_with_a_notice(relay: Relay) -> None:
    relay.crm.problems = [FieldProblem("email", "is not an e-mail address"), FieldProblem("identifiers.email", "no")]
    outcome = relay.run(customer({"email": "nonsense", "first_name": "Ana"}, email="nonsense"))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "no_identifier")
    assert "email_invalid" in [n.code for n in outcome.notices]
    with pytest.raises(InvalidCommand):
        relay.run(customer({"first_name": "Ana"}, email="nonsense", source_id=None), source="api")


def test_a_phone_is_sent_in_one_form_whatever_the_shop_writes(relay: Relay) -> None:
    relay.run(customer({"phone": "07700 900123", "country": "GB"}, "1"))
    assert relay.run(customer({"phone": "+44 7700 900 123"}, "2")).result is Result.UNCHANGED
    (member,) = relay.crm.members.values()
    assert member.fields == {"phone": "+447700900123"}


def test_an_impossible_phone_of_a_shop_is_left_out_with_a_notice(relay: Relay) -> None:
    outcome = relay.run(customer({"phone": "12", "first_name": "Ana"}, "1"))
    assert [n.code for n in outcome.notices] == ["phone_invalid"]
    (member,) = relay.crm.members.values()
    assert member.fields == {"first_name": "Ana"}


def test_an_applied_event_costs_four_table_requests(relay: Relay) -> None:
    relay.run(customer())
    requests: list[str] = []
    relay.stack.watch("before-call.dynamodb.*", lambda model, **_: requests.append(model.name))
    relay.run(customer({"first_name": "Eva"}, "2"))
    applied, requests[:] = list(requests), []
    relay.run(customer({"first_name": "Old"}, "1"))
    stale, requests[:] = list(requests), []
    relay.run(customer({"first_name": "Eva"}, "3"), id="once")
    unchanged, requests[:] = list(requests), []
    relay.run(customer({"first_name": "Eva"}, "3"), id="once")
    assert (len(applied), len(stale), len(unchanged), len(requests)) == (4, 4, 4, 2)


def moved(relay: Relay, **more: Any) -> Envelope:
    """A command with points for an e-mail that one member had, and another has now."""
    relay.run(customer({"first_name": "Ana"}, "1", email="moved@example.com", source_id=None))
    relay.run(customer({"first_name": "Eva"}, "1", email="other@example.com", source_id="8"))
    relay.crm.members["1000"].identifiers["email"] = "gone@example.com"
    relay.crm.members["1001"].identifiers["email"] = "moved@example.com"
    command = customer({}, None, email="moved@example.com", source_id=None, credits=POINTS, **more)
    return relay.envelope(command, source="api")


def test_a_failure_at_the_member_to_whom_an_identifier_moved_leaves_nothing_in_doubt(relay: Relay) -> None:
    """The command holds another member than it began with: that one's lease and intent have to be given back."""
    envelope = moved(relay)
    relay.crm.before = [RateLimited(retry_after=1)]
    with pytest.raises(RateLimited):
        relay.run(envelope)
    assert relay.run(envelope).loyalty_id == "1001"
    assert relay.crm.members["1001"].credits == [POINTS]


@pytest.mark.parametrize("if_missing", ["register", "error"])
def test_points_for_the_member_to_whom_an_identifier_moved_are_uncertain_after_a_time_out(
    relay: Relay, if_missing: str
) -> None:
    envelope = moved(relay, if_missing=if_missing)
    relay.crm.after = [UpstreamTimeout(reached=True)]
    with pytest.raises(UpstreamTimeout):
        relay.run(envelope)
    relay.stack.clock.now += LEASE_SECONDS + 1
    with pytest.raises(AmbiguousOutcome):
        relay.run(envelope)
    assert relay.crm.members["1001"].credits == [POINTS]


@pytest.mark.parametrize("if_missing", ["register", "error"])
def test_points_for_the_member_to_whom_an_identifier_moved_come_once_though_the_process_died(
    relay: Relay, if_missing: str
) -> None:
    envelope = moved(relay, if_missing=if_missing)
    assert relay.run(envelope).loyalty_id == "1001"
    relay.keys_lost()
    relay.run(envelope)
    assert relay.crm.members["1001"].credits == [POINTS]


def move_again(relay: Relay) -> None:
    """A third member has the e-mail now."""
    relay.crm.members["1001"].identifiers["email"] = "gone.too@example.com"
    relay.crm.members["1002"] = Member("1002", {"email": "moved@example.com"})


def test_points_are_still_uncertain_when_the_identifier_moves_again(relay: Relay) -> None:
    envelope = moved(relay)
    relay.crm.after = [UpstreamTimeout(reached=True)]
    with pytest.raises(UpstreamTimeout):
        relay.run(envelope)
    move_again(relay)
    relay.stack.clock.now += LEASE_SECONDS + 1
    with pytest.raises(AmbiguousOutcome):
        relay.run(envelope)
    assert relay.crm.members["1002"].credits == []


def test_points_that_were_given_are_not_given_again_when_the_identifier_moves_again(relay: Relay) -> None:
    envelope = moved(relay)
    relay.run(envelope)
    relay.keys_lost()
    move_again(relay)
    relay.run(envelope)
    assert [m.credits for m in relay.crm.members.values()] == [[], [POINTS], []]


def test_points_are_known_though_the_process_died_between_the_commits_of_both_members(relay: Relay) -> None:
    """The record that every attempt begins with is committed first: nothing is uncertain any more."""
    envelope = moved(relay)
    transactions: list[str] = []

    def die(model: Any, **_: Any) -> None:
        transactions.append(model.name)
        if len(transactions) == 2:
            raise Crash

    relay.stack.watch("before-call.dynamodb.TransactWriteItems", die)
    with pytest.raises(Crash):
        relay.run(envelope)
    relay.restarted()
    move_again(relay)
    relay.stack.clock.now += LEASE_SECONDS + 1
    relay.run(envelope)
    assert [m.credits for m in relay.crm.members.values()] == [[], [POINTS], []]


def test_points_that_were_not_sent_to_an_existing_member_are_not_taken_for_sent(relay: Relay) -> None:
    """Nothing was left to send to the member who has the e-mail now; later nobody has it, and a member is made."""
    envelope = moved(relay, kind=RegisterCustomer)
    assert relay.run(envelope).result is Result.UNCHANGED
    relay.keys_lost()
    relay.crm.members["1001"].identifiers = {}
    relay.run(envelope)
    assert [m.credits for m in relay.crm.members.values()] == [[], [], [POINTS]]


def test_points_are_not_given_again_when_the_member_turns_out_to_be_a_shops_customer(relay: Relay) -> None:
    relay.crm.members["1000"] = Member("1000", {"email": "ana@example.com"})
    command = UpdateCustomer(customer=CustomerRef(loyalty_id="1000"), credits=POINTS)
    envelope = relay.envelope(command, source="api")
    relay.run(envelope)
    relay.keys_lost()
    assert relay.run(customer()).loyalty_id == "1000"
    relay.run(envelope)
    assert relay.crm.members["1000"].credits == [POINTS]


def test_a_member_who_gave_up_an_identifier_stays_the_customer_they_were(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana", "email": "moved@example.com"}, "1", email="moved@example.com"))
    relay.crm.members["1000"].identifiers = {}
    relay.run(customer({"first_name": "Bea"}, "1", email="bea@example.com", source_id="8"))
    relay.crm.members["1001"].identifiers["email"] = "moved@example.com"
    api = customer({"first_name": "Api"}, None, email="moved@example.com", source_id=None, if_missing="error")
    assert relay.run(api, source="api").loyalty_id == "1001"
    assert relay.run(customer({"first_name": "Eva"}, "2", email=None)).loyalty_id == "1000"
    assert relay.crm.members["1001"].fields["first_name"] == "Api"


def test_an_identifier_that_moved_to_another_member_reaches_that_member(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1", email="moved@example.com"))
    relay.crm.members["1000"].identifiers = {}
    relay.run(customer({"first_name": "Bea"}, "1", email="bea@example.com", source_id="8"))
    relay.crm.members["1001"].identifiers["email"] = "moved@example.com"
    outcome = relay.run(
        customer({"first_name": "Api"}, None, email="moved@example.com", source_id=None, if_missing="error"),
        source="api",
    )
    assert outcome.loyalty_id == "1001"
    assert (relay.crm.members["1000"].fields, relay.crm.members["1001"].fields) == (
        {"first_name": "Ana"},
        {"first_name": "Api"},
    )
    assert relay.run(customer({"first_name": "Eva"}, "2", email=None)).loyalty_id == "1000"


def test_tags_that_come_before_their_customer_wait_for_them(relay: Relay) -> None:
    early = relay.envelope(customer({"subscriptions.email.bulk": True}, "2", email=None))
    with pytest.raises(CustomerUnknown):
        relay.run(early)
    relay.run(customer({"first_name": "Ana"}, "1", kind=RegisterCustomer))
    assert relay.run(early).result is Result.APPLIED
    (member,) = relay.crm.members.values()
    assert member.fields == {"first_name": "Ana", "subscriptions.email.bulk": True}


def test_tags_of_a_customer_who_never_comes_are_ignored_in_the_end(relay: Relay) -> None:
    early = relay.envelope(customer({"tags.Red": True}, email=None))
    with pytest.raises(CustomerUnknown):
        relay.run(early)
    relay.stack.clock.now += LATECOMER_SECONDS
    assert relay.run(early).result is Result.IGNORED


def test_a_connection_that_registers_no_members_ignores_who_is_not_a_member(relay: Relay) -> None:
    outcome = relay.run(customer(if_missing="error"))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "not_a_member")
    assert relay.crm.members == {}


@pytest.mark.parametrize("kind", [RegisterCustomer, UpdateCustomer])
def test_a_field_that_the_vendor_refuses_of_a_webhook_does_not_hold_back_the_rest(
    relay: Relay, kind: type[RegisterCustomer] | type[UpdateCustomer]
) -> None:
    relay.crm.refused = frozenset({"custom_fields.size"})
    fields = {"custom_fields.size": "x", "subscriptions.email.bulk": False}
    outcome = relay.run(customer(fields, kind=kind, credits=POINTS))
    assert (outcome.result, outcome.fields) == (Result.APPLIED, ("subscriptions.email.bulk",))
    (member,) = relay.crm.members.values()
    assert (member.fields, member.credits) == ({"subscriptions.email.bulk": False}, [POINTS])


def test_a_wrong_part_of_a_webhook_takes_nothing_else_with_it(relay: Relay) -> None:
    relay.crm.problems = [
        FieldProblem("enrollments.0.program_id", "must be an integer"),
        FieldProblem("identifiers.card_number.series_id", "must be an integer"),
        FieldProblem("options.use_async", "must be true or false"),
        FieldProblem("channels.line.0.value", "is required"),
    ]
    command = customer({"first_name": "Ana", "channels.line": [{}]}, kind=RegisterCustomer)
    card = Identifier("card_number", "7", {"series_id": "x", "status_label": "ACTIVE"})
    who = replace(command.customer, identifiers=(*command.customer.identifiers, card))
    owed = Credits(enrollments=(Enrollment(program_id=0), Enrollment(program_id=2)))
    outcome = relay.run(replace(command, customer=who, credits=owed, options={"use_async": "x"}))
    assert outcome.result is Result.APPLIED
    assert [n.field for n in outcome.notices] == [problem.field for problem in relay.crm.problems]
    member = relay.crm.members["1000"]
    assert (member.fields, member.identifiers["card_number"]) == ({"first_name": "Ana"}, "7")
    assert member.credits == [Credits(enrollments=(Enrollment(program_id=2),))]


def test_an_unknown_profile_parks_the_event(relay: Relay) -> None:
    relay.crm.problems = [FieldProblem("options.source", "must be one of INSTORE")]
    with pytest.raises(InvalidCommand):
        relay.run(replace(customer(), options={"source": "SHOP"}))
    assert relay.crm.calls == []


def test_force_sends_what_is_unchanged_and_no_credit(relay: Relay) -> None:
    owed = Credits(referral_code="R1")
    relay.run(customer(kind=RegisterCustomer, credits=owed))
    relay.crm.members["1000"].fields["first_name"] = "changed at the vendor"
    outcome = relay.run(relay.envelope(customer(credits=owed), force=True))
    assert (outcome.result, [n.code for n in outcome.notices]) == (Result.APPLIED, ["credits_not_sent"])
    assert relay.crm.members["1000"].fields["first_name"] == "Ana"
    assert relay.crm.members["1000"].credits == [owed]


def test_force_sends_a_value_that_a_command_without_version_confirmed_since(relay: Relay) -> None:
    relay.run(customer())
    relay.run(customer(at=None))
    assert relay.run(relay.envelope(customer(), force=True)).result is Result.APPLIED


def test_force_sends_nothing_older(relay: Relay) -> None:
    relay.run(customer({"first_name": "Eva"}, "2"))
    assert relay.run(relay.envelope(customer({"first_name": "Ana"}, "1"), force=True)).result is Result.STALE
    assert relay.crm.members["1000"].fields["first_name"] == "Eva"
