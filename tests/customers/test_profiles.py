"""What was sent is remembered for each profile of a member, where the vendor keeps several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from loyalty_relay.customers.hold import Hold
from loyalty_relay.customers.ledger import CustomerLedger
from loyalty_relay.customers.lww_register import MAX_FIELDS
from loyalty_relay.model.commands import CustomerRef, UpdateCustomer, Version
from tests.support.tables import STATE, Clock, Counted, make_customers


def at(number: int) -> Version:
    return Version("shop", f"{number:03d}", "", f"event-{number}")


@pytest.fixture
def customers(dynamodb: Counted, clock: Clock) -> CustomerLedger:
    return make_customers(dynamodb, clock)


def take(
    customers: CustomerLedger, profile: str, fields: Mapping[str, Any], version: Version | None = None, who: str = "7"
) -> Hold:
    customer = CustomerRef(source_id=who, profile=profile)
    return customers.hold("shop", UpdateCustomer(customer=customer, fields=fields, version=version), key="key")


def apply(customers: CustomerLedger, profile: str, fields: Mapping[str, Any], version: Version | None = None) -> None:
    with take(customers, profile, fields, version) as hold:
        hold.commit(loyalty_id="10", sent=hold.fields, entry=None)


def look(customers: CustomerLedger, profile: str, fields: Mapping[str, Any], version: Version | None = None) -> Hold:
    with take(customers, profile, fields, version) as hold:
        hold.release(interrupted=False)
    return hold


ANA = {"first_name": "Ana"}


def test_a_value_is_unchanged_only_in_the_profile_that_has_it(customers: CustomerLedger) -> None:
    apply(customers, "INSTORE", ANA, at(1))
    second = look(customers, "WEBSITE", ANA, at(1))
    assert (second.fields, second.new_profile, second.loyalty_id) == (ANA, True, "10")
    apply(customers, "WEBSITE", {"first_name": "Anna"}, at(2))
    assert [look(customers, p, ANA).unchanged for p in ("INSTORE", "WEBSITE")] == [("first_name",), ()]
    assert look(customers, "WEBSITE", ANA).new_profile is False
    assert look(customers, "WEBSITE", ANA, at(1)).stale == ("first_name",)


def test_another_profile_costs_no_further_request(customers: CustomerLedger, dynamodb: Counted) -> None:
    apply(customers, "INSTORE", ANA)
    dynamodb.calls.clear()
    apply(customers, "WEBSITE", ANA)
    assert dynamodb.calls == ["update_item", "transact_write_items"]


def test_values_from_before_profiles_are_unknown_and_their_versions_hold(customers: CustomerLedger) -> None:
    apply(customers, "", ANA, at(5))
    for profile in ("INSTORE", "WEBSITE"):
        hold = look(customers, profile, ANA, at(5))
        assert (hold.fields, hold.changed, hold.new_profile) == (ANA, frozenset(), True)
        assert look(customers, profile, ANA, at(4)).stale == ("first_name",)


def test_an_attempt_that_was_cut_off_makes_its_fields_unknown_in_every_profile(customers: CustomerLedger) -> None:
    apply(customers, "INSTORE", ANA)
    apply(customers, "WEBSITE", ANA)
    with take(customers, "WEBSITE", {"first_name": "Bea"}) as hold:
        hold.release(interrupted=True)
    apply(customers, "INSTORE", ANA)
    assert look(customers, "WEBSITE", ANA).fields == ANA


def test_a_deletion_and_a_merge_are_about_all_profiles(customers: CustomerLedger) -> None:
    apply(customers, "INSTORE", ANA, at(1))
    apply(customers, "WEBSITE", ANA, at(1))
    customers.retire("shop", CustomerRef(source_id="7"), "deleted", at(3), None, None)
    apply(customers, "INSTORE", ANA, at(4))
    for profile in ("WEBSITE", "LINE#acc-1"):
        assert look(customers, profile, ANA, at(2)).stale == ("first_name",), profile
    with take(customers, "INSTORE", ANA) as hold:
        hold.meet("11")
        hold.commit(loyalty_id="11", sent=(), entry=None)
    assert look(customers, "INSTORE", ANA).fields == ANA


def test_two_records_of_one_member_are_joined_profile_by_profile(customers: CustomerLedger) -> None:
    apply(customers, "INSTORE", ANA)
    for profile in ("WEBSITE", "INSTORE"):
        with take(customers, profile, ANA, who="8") as hold:
            hold.commit(loyalty_id="11" if profile == "WEBSITE" else "10", sent=hold.fields, entry=None)
    assert look(customers, "INSTORE", ANA).unchanged == ("first_name",)
    assert look(customers, "WEBSITE", ANA).new_profile is False


def test_a_reset_forgets_every_profile(customers: CustomerLedger) -> None:
    apply(customers, "INSTORE", ANA, at(9))
    apply(customers, "WEBSITE", ANA, at(9))
    customers.reset("shop", CustomerRef(source_id="7"))
    for profile in ("INSTORE", "WEBSITE"):
        assert look(customers, profile, ANA, at(1)).fields == ANA


def test_an_item_keeps_as_many_fields_in_all_as_one_register(customers: CustomerLedger, dynamodb: Counted) -> None:
    many = {f"custom_fields.{number:03d}": "x" for number in range(MAX_FIELDS // 2)}
    for number in range(4):
        apply(customers, f"LINE#{number}", many)
    for number in range(40):
        apply(customers, f"WECHAT#{number}", ANA)
    (item,) = [i for i in dynamodb.client.scan(TableName=STATE)["Items"] if "register" in i]
    kept = [json.loads(text)["fields"] for text in json.loads(item["profiles"]["S"]).values()]
    assert len(kept) == 20
    assert sum(len(fields) for fields in kept) <= MAX_FIELDS
    assert look(customers, "WECHAT#39", ANA).unchanged == ("first_name",)
    assert look(customers, "LINE#0", many).fields == many
