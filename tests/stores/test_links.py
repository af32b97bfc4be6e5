"""Store links: one lease at a time, and what was achieved survives whoever achieved it."""

from __future__ import annotations

import pytest

from loyalty_relay.destinations.base import StoreLink
from loyalty_relay.model.errors import LeaseBusy
from loyalty_relay.storage.lease import LeaseLost
from loyalty_relay.stores.links import Links
from tests.support.stack import Stack

LINK = StoreLink(branch_link_id=17, shop_id="s1", account_id="acme", branch_id="b1", integration_id=20)


@pytest.fixture
def links(stack: Stack) -> Links:
    return stack.services("link-store").links


def test_a_saved_link_is_found_by_shop_and_listed_by_connection(links: Links) -> None:
    lease = links.take_shop("c1", "s1")
    assert links.get("c1", "s1") is None
    links.save_link(lease, LINK)
    links.release(lease)
    assert links.get("c1", "s1") == LINK
    assert links.list("c1") == [LINK]
    assert links.list("c2") == []
    assert links.get("c2", "s1") is None


def test_two_callers_never_hold_one_shop(links: Links, stack: Stack) -> None:
    links.take_shop("c1", "s1")
    with pytest.raises(LeaseBusy) as busy:
        links.take_shop("c1", "s1")
    assert busy.value.retry_after
    links.take_shop("c1", "s2")
    stack.clock.now += 46
    links.take_shop("c1", "s1")


def test_a_lease_that_was_overtaken_writes_nothing(links: Links, stack: Stack) -> None:
    late = links.take_shop("c1", "s1")
    stack.clock.now += 46
    links.take_shop("c1", "s1")
    with pytest.raises(LeaseLost):
        links.save_link(late, LINK)
    links.release(late)
    with pytest.raises(LeaseBusy):
        links.take_shop("c1", "s1")


def test_an_integration_is_remembered(links: Links) -> None:
    lease = links.take_integration("c1")
    assert (lease.integration_id, lease.interrupted) == (None, False)
    links.intend(lease)
    links.save_integration(lease, 20)
    links.release(lease)
    again = links.take_integration("c1")
    assert (again.integration_id, again.interrupted) == (20, False)


def test_the_intent_to_create_an_integration_survives_its_holder(links: Links) -> None:
    lease = links.take_integration("c1")
    links.intend(lease)
    links.release(lease)
    again = links.take_integration("c1")
    assert again.interrupted
    links.withdraw(again)
    links.release(again)
    assert not links.take_integration("c1").interrupted


def test_a_removed_link_is_gone(links: Links) -> None:
    lease = links.take_shop("c1", "s1")
    links.save_link(lease, LINK)
    links.remove("c1", "s1")
    assert links.get("c1", "s1") is None
    assert links.list("c1") == []
