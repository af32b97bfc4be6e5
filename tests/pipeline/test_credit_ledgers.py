"""Points of a customer who goes: what an attempt has given, or may have, is known to the next one all the same."""

from __future__ import annotations

import pytest

from loyalty_relay.customers.retirement import REMEMBERED
from loyalty_relay.model.commands import Credits, CustomerRef, Enrollment, Identifier, RetireCustomer, UpdateCustomer
from loyalty_relay.model.errors import AmbiguousOutcome, UpstreamTimeout
from loyalty_relay.runtime.wiring import LEASE_SECONDS
from loyalty_relay.storage.table import unpack_item
from tests.pipeline.conftest import Relay, customer, version

POINTS = Credits(enrollments=(Enrollment(program_id=1, loyalty_points=50),))
BY_ID = CustomerRef(loyalty_id="1000")
BY_EMAIL = CustomerRef(identifiers=(Identifier("email", "ana@example.com"),))


def gone(reason: str) -> RetireCustomer:
    """The shop's customer is no more; of a merge, another one lives on."""
    survivor = "8" if reason == "merged" else None
    who = CustomerRef(source_id="7")
    return RetireCustomer(customer=who, reason=reason, survivor=survivor, version=version("5"))  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["deleted", "erased", "merged"])
@pytest.mark.parametrize("who", [BY_ID, BY_EMAIL], ids=["by id", "by e-mail"])
def test_points_that_are_in_doubt_stay_so_when_the_customer_goes(relay: Relay, who: CustomerRef, reason: str) -> None:
    relay.run(customer({"first_name": "Ana", "email": "ana@example.com"}, "1"))
    envelope = relay.envelope(UpdateCustomer(customer=who, credits=POINTS), source="api")
    relay.crm.after = [UpstreamTimeout(reached=True)]
    with pytest.raises(UpstreamTimeout):
        relay.run(envelope)
    relay.stack.clock.now += LEASE_SECONDS + 1
    relay.run(gone(reason))
    with pytest.raises(AmbiguousOutcome):
        relay.run(envelope)
    assert relay.crm.members["1000"].credits == [POINTS]


@pytest.mark.parametrize("reason", ["deleted", "erased", "merged"])
@pytest.mark.parametrize("who", [BY_ID, BY_EMAIL], ids=["by id", "by e-mail"])
def test_points_that_were_given_are_not_given_again_when_the_customer_goes(
    relay: Relay, who: CustomerRef, reason: str
) -> None:
    relay.run(customer({"first_name": "Ana", "email": "ana@example.com"}, "1"))
    envelope = relay.envelope(UpdateCustomer(customer=who, credits=POINTS), source="api")
    relay.run(envelope)
    relay.keys_lost()
    relay.run(gone(reason))
    relay.run(envelope)
    assert relay.crm.members["1000"].credits == [POINTS]


def test_points_in_doubt_of_a_first_registration_stay_so_when_the_customer_comes_back(relay: Relay) -> None:
    """Nothing but the shop's own id leads to the customer, and the tombstone is in its place."""
    envelope = relay.envelope(customer({}, None, credits=POINTS), source="api")
    relay.crm.after = [UpstreamTimeout(reached=True)]
    with pytest.raises(UpstreamTimeout):
        relay.run(envelope)
    relay.stack.clock.now += LEASE_SECONDS + 1
    relay.run(gone("deleted"))
    with pytest.raises(AmbiguousOutcome):
        relay.run(envelope)
    assert relay.crm.members["1000"].credits == [POINTS]


def test_the_credit_ledger_of_a_deleted_customer_is_forgotten_in_the_end(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana", "email": "ana@example.com"}, "1"))
    relay.run(relay.envelope(UpdateCustomer(customer=BY_ID, credits=POINTS), source="api"))
    relay.run(gone("deleted"))
    left = [unpack_item(item) or {} for item in relay.stack.items("state")]
    remains = [item for item in left if "credits" in item and "tombstone" not in item]
    assert remains
    assert all(item["expires_at"] <= relay.stack.clock.now + REMEMBERED for item in remains)
    relay.run(customer({"first_name": "New"}, None, email="ana@example.com", source_id=None))
    back = [unpack_item(item) or {} for item in relay.stack.items("state")]
    assert [item for item in back if "register" in item and "expires_at" in item] == [], "who lives is not forgotten"
