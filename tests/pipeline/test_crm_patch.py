"""crm-patch: fields and tags over the guard."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.model.commands import CustomerRef, Identifier, PatchCrmFields
from loyalty_relay.model.errors import CustomerNotFound, UnsupportedByDestination
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


def test_a_customer_who_was_removed_at_the_vendor_is_registered_again_with_all_that_is_told(relay: Relay) -> None:
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


def test_a_caller_who_names_a_customer_that_is_gone_is_told(relay: Relay) -> None:
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


def test_a_destination_without_crm_fields_says_so(relay: Relay) -> None:
    relay.crm.operations = frozenset({"register", "update"})
    with pytest.raises(UnsupportedByDestination):
        relay.run(patch({"first_name": "Ana"}))


def test_a_destination_that_is_patched_takes_no_update_not_even_an_empty_one(relay: Relay) -> None:
    relay.crm.operations = frozenset({"register", "crm-patch"})
    with pytest.raises(UnsupportedByDestination):
        relay.run(customer({}, None, source_id=None), source="api")
