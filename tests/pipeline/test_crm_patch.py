"""crm-patch: fields and tags over the guard."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.model.commands import CustomerRef, Identifier, PatchCrmFields
from loyalty_relay.model.errors import CustomerNotFound, InvalidCommand, UnsupportedByDestination
from loyalty_relay.model.outcomes import Result
from tests.pipeline.conftest import Relay, customer, version
from tests.support.crm import Member

ANA = CustomerRef(source_id="7", identifiers=(Identifier("email", "ana@example.com"),))


def patch(fields: dict[str, Any], at: str | None = "1", **more: Any) -> PatchCrmFields:
    given = {"customer": ANA, **more}
    return PatchCrmFields(fields=fields, version=version(at) if at else None, **given)


def test_a_missing_customer_is_registered_then_patched(relay: Relay) -> None:
    outcome = relay.run(patch({"first_name": "Ana", "tags.Red": True}))
    assert (outcome.result, outcome.created) == (Result.APPLIED, True)
    assert [call[0] for call in relay.crm.calls] == ["find", "register", "patch"]
    assert relay.crm.members["1000"].tags == {"Red"}


def test_a_missing_customer_is_an_error_for_a_caller_and_ignored_for_a_shop(relay: Relay) -> None:
    with pytest.raises(CustomerNotFound):
        relay.run(patch({"first_name": "Ana"}, if_missing="error"), source="api")
    outcome = relay.run(patch({"first_name": "Ana"}, if_missing="error"))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "not_a_member")


def test_a_customer_who_was_removed_at_the_vendor_is_registered_again_with_all_that_is_reported(relay: Relay) -> None:
    relay.run(patch({"first_name": "Ana", "tags.Red": True}, "1"))
    del relay.crm.members["1000"]
    relay.crm.members["other"] = Member("other", {"email": "somebody.else@example.com"})
    outcome = relay.run(patch({"first_name": "Ana", "tags.Red": True, "tags.Blue": True}, "2"))
    assert (outcome.result, outcome.created, outcome.loyalty_id) == (Result.APPLIED, True, "1001")
    (member,) = [m for m in relay.crm.members.values() if m.identifiers["email"] == "ana@example.com"]
    assert (member.fields, member.tags) == ({"first_name": "Ana"}, {"Red", "Blue"})
    assert relay.run(patch({"first_name": "Ana"}, "3")).result is Result.UNCHANGED


def test_a_customer_who_was_replaced_at_the_vendor_is_found_by_what_identifies_them(relay: Relay) -> None:
    relay.run(patch({"first_name": "Ana", "tags.Red": True}, "1"))
    del relay.crm.members["1000"]
    relay.crm.members["2000"] = Member("2000", {"email": "ana@example.com"})
    outcome = relay.run(patch({"first_name": "Eva", "tags.Red": True}, "2"))
    assert (outcome.created, outcome.loyalty_id) == (False, "2000")
    assert (relay.crm.members["2000"].fields, relay.crm.members["2000"].tags) == ({"first_name": "Eva"}, {"Red"})


def test_a_caller_who_names_a_customer_that_is_deleted_gets_an_error(relay: Relay) -> None:
    relay.run(patch({"first_name": "Ana"}, "1"))
    del relay.crm.members["1000"]
    with pytest.raises(CustomerNotFound):
        relay.run(patch({"first_name": "Eva"}, None), source="api")


def test_tags_are_ordered_one_by_one(relay: Relay) -> None:
    relay.run(patch({"tags.Red": True}, "2"))
    assert relay.run(patch({"tags.Red": False}, "1")).result is Result.STALE
    assert relay.run(patch({"tags.Blue": True}, "1")).result is Result.APPLIED
    assert relay.crm.members["1000"].tags == {"Red", "Blue"}


def test_after_the_whole_set_was_replaced_no_single_tag_counts_as_sent(relay: Relay) -> None:
    relay.run(patch({"tags.Red": True}, "1"))
    relay.run(patch({}, None, replace_tags=()), source="api")
    assert relay.crm.members["1000"].tags == set()
    assert relay.run(patch({"tags.Red": True}, "2")).result is Result.APPLIED
    assert relay.crm.members["1000"].tags == {"Red"}


def test_a_destination_without_crm_fields_is_reported(relay: Relay) -> None:
    relay.crm.operations = frozenset({"register", "update"})
    with pytest.raises(UnsupportedByDestination):
        relay.run(patch({"first_name": "Ana"}))


def test_a_destination_that_is_patched_takes_no_update_not_even_an_empty_one(relay: Relay) -> None:
    relay.crm.operations = frozenset({"register", "crm-patch"})
    with pytest.raises(UnsupportedByDestination):
        relay.run(customer({}, None, source_id=None), source="api")


def test_a_field_that_the_vendor_refuses_of_a_webhook_does_not_hold_back_the_rest(relay: Relay) -> None:
    relay.crm.refused = frozenset({"first_name"})
    outcome = relay.run(patch({"first_name": "x" * 300, "subscriptions.email.bulk": False}))
    assert (outcome.result, outcome.created, outcome.fields) == (Result.APPLIED, True, ("subscriptions.email.bulk",))
    assert [(n.code, n.field) for n in outcome.notices] == [("value_refused", "first_name")]
    assert relay.crm.members["1000"].fields == {"subscriptions.email.bulk": False}


def test_a_refused_field_is_not_remembered_as_sent(relay: Relay) -> None:
    relay.crm.refused = frozenset({"first_name"})
    relay.run(patch({"first_name": "Ana", "notes": "x"}, "1"))
    relay.crm.refused = frozenset()
    assert relay.run(patch({"first_name": "Ana"}, "2")).fields == ("first_name",)


def test_a_customer_is_registered_also_where_every_field_is_refused(relay: Relay) -> None:
    relay.crm.refused = frozenset({"first_name"})
    outcome = relay.run(patch({"first_name": "Ana"}))
    assert (outcome.result, outcome.created, outcome.loyalty_id) == (Result.APPLIED, True, "1000")


def test_a_caller_learns_of_a_refused_field(relay: Relay) -> None:
    relay.crm.refused = frozenset({"first_name"})
    with pytest.raises(InvalidCommand):
        relay.run(patch({"first_name": "Ana", "notes": "x"}, None), source="api")


def test_an_address_that_the_vendor_refuses_is_not_sent_as_an_identifier_either(relay: Relay) -> None:
    relay.crm.refused = frozenset({"email"})
    mobile = CustomerRef(identifiers=(Identifier("email", "ana@example.com"), Identifier("mobile", "+447700900123")))
    outcome = relay.run(patch({"email": "ana@example.com", "notes": "x"}, customer=mobile))
    assert (outcome.result, outcome.created) == (Result.APPLIED, True)
    assert relay.crm.members["1000"].identifiers == {"mobile": "+447700900123"}


def test_an_event_that_nothing_but_the_refused_address_names_is_parked(relay: Relay) -> None:
    relay.crm.refused = frozenset({"email"})
    only = CustomerRef(identifiers=(Identifier("email", "ana@example.com"),))
    with pytest.raises(InvalidCommand):
        relay.run(patch({"email": "ana@example.com", "notes": "x"}, customer=only))
    assert relay.crm.members == {}


def test_a_field_that_the_vendor_shows_with_another_value_counts_as_unknown(relay: Relay) -> None:
    relay.crm.misread = frozenset({"first_name"})
    assert relay.run(patch({"first_name": "Ana"}, "2")).result is Result.APPLIED
    assert relay.run(patch({"first_name": "Eva"}, "1")).result is Result.STALE, "its version is known all the same"
    relay.crm.misread = frozenset()
    assert relay.run(patch({"first_name": "Ana"}, "3")).result is Result.APPLIED
    assert relay.run(patch({"first_name": "Ana"}, "4")).result is Result.UNCHANGED
