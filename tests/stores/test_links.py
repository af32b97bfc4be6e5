"""Store links: one lease at a time, and what was achieved survives whoever achieved it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.destinations.base import StoreLink
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import DeadlineTooShort, LeaseBusy, StoreUnavailable
from loyalty_relay.storage.lease import LeaseLost
from loyalty_relay.stores.links import Links
from tests.support.stack import Stack
from tests.support.tables import Counted

LINK = StoreLink(branch_link_id=17, shop_id="s1", account_id="acme", branch_id="b1", integration_id=20)


@pytest.fixture
def links(stack: Stack) -> Links:
    return stack.services("link-store").links


@pytest.fixture
def deadline(stack: Stack) -> Deadline:
    return Deadline(stack.clock.now + 3600, stack.clock)


def test_a_saved_link_is_found_by_shop_and_listed_by_connection(links: Links, deadline: Deadline) -> None:
    lease = links.take_shop("c1", "s1")
    assert links.get("c1", "s1") is None
    links.save_link(lease, LINK)
    links.release(lease)
    assert links.get("c1", "s1") == LINK
    assert links.list("c1", deadline) == [LINK]
    assert links.list("c2", deadline) == []
    assert links.get("c2", "s1") is None


def test_a_link_is_found_in_either_spelling_of_its_shop(links: Links, deadline: Deadline) -> None:
    """A shop event names ``MLDEMO``, and what belongs to the shop is kept in lower case."""
    shop = replace(LINK, shop_id="MLDEMO")
    lease = links.take_shop("c1", "MLDEMO")
    links.save_link(lease, shop)
    links.release(lease)
    assert links.get("c1", "mldemo") == links.get("c1", "MLDEMO") == shop
    assert [link.shop_id for link in links.list("c1", deadline)] == ["MLDEMO"]
    links.remove("c1", "mldemo")
    assert links.get("c1", "MLDEMO") is None


def test_two_callers_never_hold_one_shop(links: Links, stack: Stack, deadline: Deadline) -> None:
    links.take_shop("c1", "s1")
    with pytest.raises(LeaseBusy) as busy:
        links.take_shop("c1", "s1")
    assert busy.value.retry_after
    links.take_shop("c1", "s2")
    stack.clock.now += 46
    links.take_shop("c1", "s1")


def test_a_result_is_recorded_also_after_the_lease_was_lost(links: Links, stack: Stack, deadline: Deadline) -> None:
    late, late_integration = links.take_shop("c1", "s1"), links.take_integration("c1", "Relay")
    stack.clock.now += 46
    links.take_shop("c1", "s1")
    links.take_integration("c1", "Relay")
    links.save_link(late, LINK)
    links.save_integration(late_integration, 20)
    links.release(late)
    assert links.get("c1", "s1") == LINK
    with pytest.raises(LeaseBusy):
        links.take_shop("c1", "s1")


def test_a_late_result_replaces_no_other_and_revives_nothing(links: Links, stack: Stack, deadline: Deadline) -> None:
    late, later = links.take_shop("c1", "s1"), links.take_shop("c1", "s2")
    stack.clock.now += 46
    links.save_link(links.take_shop("c1", "s1"), replace(LINK, branch_link_id=18))
    with pytest.raises(LeaseLost):
        links.save_link(late, LINK)
    links.remove("c1", "s2")
    with pytest.raises(LeaseLost):
        links.save_link(later, LINK)
    assert [link.branch_link_id for link in links.list("c1", deadline)] == [18]


def test_nothing_is_intended_without_the_lease(links: Links, stack: Stack, deadline: Deadline) -> None:
    late = links.take_shop("c1", "s1")
    stack.clock.now += 46
    links.take_shop("c1", "s1")
    with pytest.raises(LeaseLost):
        links.intend(late)


def test_integrations_of_two_names_are_two(links: Links, deadline: Deadline) -> None:
    links.save_integration(links.take_integration("c1", "Relay"), 20)
    assert links.take_integration("c1", "Tills").integration_id is None


def test_an_integration_is_remembered(links: Links, deadline: Deadline) -> None:
    lease = links.take_integration("c1", "Relay")
    assert (lease.integration_id, lease.interrupted) == (None, False)
    links.intend(lease)
    links.save_integration(lease, 20)
    links.release(lease)
    again = links.take_integration("c1", "Relay")
    assert (again.integration_id, again.interrupted) == (20, False)


def test_the_intent_to_create_an_integration_survives_its_holder(links: Links, deadline: Deadline) -> None:
    lease = links.take_integration("c1", "Relay")
    links.intend(lease)
    links.release(lease)
    again = links.take_integration("c1", "Relay")
    assert again.interrupted
    links.withdraw(again)
    links.release(again)
    assert not links.take_integration("c1", "Relay").interrupted


def test_a_removed_link_is_not_found(links: Links, deadline: Deadline) -> None:
    lease = links.take_shop("c1", "s1")
    links.save_link(lease, LINK)
    links.remove("c1", "s1")
    assert links.get("c1", "s1") is None
    assert links.list("c1", deadline) == []


def saved(links: Links, count: int) -> list[StoreLink]:
    made = [replace(LINK, shop_id=f"s{number:03}", branch_link_id=number) for number in range(1, count + 1)]
    for link in made:
        lease = links.take_shop("c1", link.shop_id)
        links.save_link(lease, link)
        links.release(lease)
    return made


def test_links_are_read_a_hundred_at_a_time(links: Links, deadline: Deadline) -> None:
    made = saved(links, 101)
    links._table.dynamodb = counted = Counted(links._table.dynamodb)
    assert links.list("c1", deadline) == made
    assert counted.calls == ["query", "batch_get_item", "batch_get_item"]


def test_links_that_cannot_be_read_in_time_are_no_short_list(links: Links, stack: Stack) -> None:
    saved(links, 1)
    with pytest.raises(DeadlineTooShort):
        links.list("c1", Deadline(stack.clock.now + 0.1, stack.clock))


class InParts:
    """A client that leaves keys of a batch unprocessed, as DynamoDB may."""

    def __init__(self, client: Any, most: int) -> None:
        self._client, self._most = client, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, **arguments: Any) -> dict[str, Any]:
        ((table, request),) = arguments["RequestItems"].items()
        keys = request["Keys"]
        part = {"Keys": keys[: self._most], "ConsistentRead": True}
        answer: dict[str, Any] = (
            self._client.batch_get_item(RequestItems={table: part}) if part["Keys"] else {"Responses": {}}
        )
        left = keys[self._most :]
        return {**answer, "UnprocessedKeys": {table: {**part, "Keys": left}} if left else {}}


def test_a_batch_that_is_returned_in_parts_is_read_to_its_end_or_is_an_error(links: Links, deadline: Deadline) -> None:
    made = saved(links, 5)
    client = links._table.dynamodb
    links._table.dynamodb = InParts(client, 2)
    assert links.list("c1", deadline) == made
    links._table.dynamodb = InParts(client, 0)
    with pytest.raises(StoreUnavailable):
        links.list("c1", deadline)
