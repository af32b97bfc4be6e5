"""crm-patch: fields and tags over the guard."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.commands import CustomerRef, Identifier, PatchCrmFields
from loyalty_relay.errors import CustomerNotFound, UnsupportedByDestination
from loyalty_relay.outcomes import Result
from tests.operations.conftest import Relay, customer, version

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
