"""link-store: whatever crashes in between, one integration and one link are left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.destinations.base import StoreLink
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    InvalidCommand,
    LeaseBusy,
    StoreConflict,
    UnsupportedByDestination,
    UpstreamUnavailable,
)
from loyalty_relay.model.outcomes import Result
from tests.pipeline.conftest import Relay
from tests.support.crm import branch


def shop(shop_id: str = "s1", **more: Any) -> LinkStore:
    given = {"account_id": "acme", "store_domain": "https://acme.example.com", **more}
    return LinkStore(shop_id=shop_id, **given)


def steps(relay: Relay) -> list[str]:
    return [call[0] for call in relay.crm.calls]


def test_a_shop_is_linked_to_the_only_virtual_branch(relay: Relay) -> None:
    outcome = relay.run(shop())
    assert (outcome.result, dict(outcome.ids)) == (
        Result.APPLIED,
        {"branch_link_id": 1, "integration_id": 20, "branch_id": "b1"},
    )
    assert steps(relay) == ["branches", "find_integration", "create_integration", "create_link"]


def test_linking_it_again_changes_nothing(relay: Relay) -> None:
    relay.run(shop())
    relay.crm.calls.clear()
    outcome = relay.run(shop())
    assert (outcome.result, outcome.ids["branch_link_id"]) == (Result.UNCHANGED, 1)
    assert relay.crm.calls == []


def test_a_second_shop_shares_the_integration(relay: Relay) -> None:
    relay.run(shop("s1"))
    relay.run(shop("s2"))
    assert len(relay.crm.integrations) == 1
    assert [link.shop_id for link in relay.crm.store_links] == ["s1", "s2"]


@pytest.mark.parametrize("step", ["create_integration", "create_link"])
@pytest.mark.parametrize("fault", [SystemExit("killed"), UpstreamUnavailable(reached=True)])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_any_step_leaves_one_integration_and_one_link(
    relay: Relay, step: str, fault: BaseException, when: str
) -> None:
    envelope = relay.envelope(shop())
    faults: list[BaseException | None] = [fault] if step == "create_integration" else [None, fault]
    setattr(relay.crm, when, faults)
    with pytest.raises(type(fault)):
        relay.run(envelope)
    relay.stack.clock.now += 3600
    relay.restarted()
    assert relay.run(envelope).ids["branch_link_id"] == 1
    assert (len(relay.crm.integrations), len(relay.crm.store_links)) == (1, 1)


@pytest.mark.parametrize("method", ["save_integration", "save_link", "release", "intend"])
def test_a_crash_between_any_two_writes_of_ours_leaves_one_of_each(
    relay: Relay, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelope = relay.envelope(shop())

    def killed(*args: object) -> None:
        raise SystemExit(method)

    with monkeypatch.context() as patched:
        patched.setattr(type(relay.services.links), method, killed)
        with pytest.raises(SystemExit):
            relay.run(envelope)
    relay.stack.clock.now += 3600
    relay.restarted()
    relay.run(envelope)
    assert (len(relay.crm.integrations), len(relay.crm.store_links)) == (1, 1)


def test_where_integrations_cannot_be_listed_an_unknown_end_is_ambiguous(relay: Relay) -> None:
    relay.crm.lists_integrations = False
    envelope = relay.envelope(shop())
    relay.crm.after = [UpstreamUnavailable(reached=True)]
    with pytest.raises(UpstreamUnavailable):
        relay.run(envelope)
    with pytest.raises(AmbiguousOutcome):
        relay.run(envelope)
    assert len(relay.crm.integrations) == 1
    given = relay.run(shop(integration_id=20))
    assert given.ids["integration_id"] == 20


def test_a_bug_before_anything_is_created_leaves_no_doubt(relay: Relay) -> None:
    relay.crm.lists_integrations = False
    relay.crm.before = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        relay.run(shop())
    assert relay.run(shop()).result is Result.APPLIED


def test_a_bug_after_something_was_created_is_ambiguous_where_nothing_is_listed(relay: Relay) -> None:
    relay.crm.lists_integrations = False
    relay.crm.after = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        relay.run(shop())
    with pytest.raises(AmbiguousOutcome):
        relay.run(shop())


def test_where_integrations_cannot_be_listed_the_first_attempt_still_creates_one(relay: Relay) -> None:
    relay.crm.lists_integrations = False
    assert relay.run(shop()).result is Result.APPLIED


def test_the_same_shop_on_another_branch_is_a_conflict_that_names_the_link(relay: Relay) -> None:
    relay.crm.branch_list.append(branch("b2", "Second"))
    relay.run(shop(branch_id="b1"))
    with pytest.raises(StoreConflict) as conflict:
        relay.run(shop(branch_id="b2"))
    assert conflict.value.existing["branch_id"] == "b1"


def test_a_link_the_relay_did_not_have_is_found_at_the_vendor(relay: Relay) -> None:
    relay.run(shop())
    relay.services.links.remove("shop-1", "s1")
    outcome = relay.run(shop())
    assert (outcome.result, len(relay.crm.store_links)) == (Result.UNCHANGED, 1)


def test_a_disabled_link_is_a_conflict_that_names_it(relay: Relay) -> None:
    relay.run(shop())
    relay.services.links.remove("shop-1", "s1")
    relay.crm.store_links[0] = replace(relay.crm.store_links[0], enabled=False)
    with pytest.raises(StoreConflict, match="disabled"):
        relay.run(shop())


def test_a_link_that_was_made_disabled_is_a_notice_until_it_is_enabled_at_the_vendor(relay: Relay) -> None:
    relay.crm.disabled_shops = frozenset({"s1"})
    outcome = relay.run(shop())
    assert (outcome.result, [n.code for n in outcome.notices]) == (Result.APPLIED, ["link_disabled"])
    with pytest.raises(StoreConflict, match="disabled"):
        relay.run(shop())
    relay.crm.store_links[0] = replace(relay.crm.store_links[0], enabled=True)
    assert relay.run(shop()).result is Result.UNCHANGED
    relay.crm.calls.clear()
    assert (relay.run(shop()).result, relay.crm.calls) == (Result.UNCHANGED, [])


def test_a_disabled_link_stays_a_conflict_where_links_cannot_be_listed(relay: Relay) -> None:
    relay.crm.disabled_shops = frozenset({"s1"})
    relay.run(shop())
    relay.crm.lists_links = False
    with pytest.raises(StoreConflict, match="disabled"):
        relay.run(shop())


def test_linking_needs_no_list_of_links(relay: Relay) -> None:
    relay.crm.lists_links = False
    assert relay.run(shop(integration_id=20)).result is Result.APPLIED
    assert relay.run(shop(integration_id=20)).result is Result.UNCHANGED


def test_without_a_list_a_link_whose_answer_was_lost_is_ambiguous(relay: Relay) -> None:
    relay.crm.lists_links = False
    relay.crm.after = [UpstreamUnavailable(reached=True)]
    envelope = relay.envelope(shop(integration_id=20))
    with pytest.raises(UpstreamUnavailable):
        relay.run(envelope)
    with pytest.raises(AmbiguousOutcome, match="earlier attempt"):
        relay.run(envelope)
    assert len(relay.crm.store_links) == 1


def test_without_a_list_a_link_that_was_never_made_is_made_later(relay: Relay) -> None:
    relay.crm.lists_links = False
    relay.crm.before = [UpstreamUnavailable(reached=True)]
    envelope = relay.envelope(shop(integration_id=20))
    with pytest.raises(UpstreamUnavailable):
        relay.run(envelope)
    assert relay.run(envelope).result is Result.APPLIED


def test_without_a_list_a_shop_that_somebody_else_linked_is_a_conflict(relay: Relay) -> None:
    relay.crm.lists_links = False
    relay.crm.store_links.append(
        StoreLink(branch_link_id=9, shop_id="s1", account_id="", branch_id="b9", integration_id=20)
    )
    for _ in range(2):
        with pytest.raises(StoreConflict, match="taken"):
            relay.run(shop(integration_id=20))


def test_an_integration_that_was_created_under_an_unknown_id_is_not_created_again(relay: Relay) -> None:
    relay.crm.lists_integrations = False
    created_without_id = AmbiguousOutcome("the response has no id")
    created_without_id.reached = True
    relay.crm.after = [created_without_id]
    envelope = relay.envelope(shop())
    for _ in range(2):
        with pytest.raises(AmbiguousOutcome):
            relay.run(envelope)
    assert len(relay.crm.integrations) == 1


def test_the_integration_is_chosen_by_name_or_by_id(relay: Relay) -> None:
    relay.run(shop("s1"))
    relay.run(shop("s2", integration_name="Tills"))
    relay.run(shop("s3", integration_name="Tills"))
    assert relay.crm.integrations == {20: "Loyalty Relay", 21: "Tills"}
    assert [link.integration_id for link in relay.crm.store_links] == [20, 21, 21]
    with pytest.raises(StoreConflict, match="another integration"):
        relay.run(shop("s1", integration_id=21))


def test_a_response_that_shows_another_link_is_a_notice_and_the_shop_is_found_again(relay: Relay) -> None:
    made = relay.crm.create_link
    relay.crm.create_link = lambda *a: replace(made(*a), shop_id="s9", branch_id="b9")  # type: ignore[method-assign]
    outcome = relay.run(shop())
    assert [n.code for n in outcome.notices] == ["link_differs"]
    assert [link.shop_id for link in relay.services.links.list("shop-1", relay.deadline)] == ["s1"]


def test_no_virtual_branch_is_an_error_that_names_what_to_check(relay: Relay) -> None:
    relay.crm.branch_list = [branch("b0", "Town", virtual=False)]
    with pytest.raises(InvalidCommand, match="Virtual Branch Group"):
        relay.run(shop())


def test_a_branch_that_is_not_virtual_cannot_be_chosen(relay: Relay) -> None:
    with pytest.raises(InvalidCommand) as caught:
        relay.run(shop(branch_id="b0"))
    assert [p.field for p in caught.value.problems] == ["branch_id"]


def test_a_branch_id_is_compared_whatever_its_case(relay: Relay) -> None:
    assert relay.run(shop(branch_id="B1")).ids["branch_id"] == "b1"


def test_an_e_commerce_shop_needs_its_domain(relay: Relay) -> None:
    with pytest.raises(InvalidCommand) as caught:
        relay.run(shop(store_domain=None))
    assert [p.field for p in caught.value.problems] == ["store_domain"]


def test_two_callers_do_not_link_one_shop_at_once(relay: Relay) -> None:
    relay.services.links.take_shop("shop-1", "s1")
    with pytest.raises(LeaseBusy):
        relay.run(shop())
    assert relay.crm.store_links == []


def test_a_destination_without_store_links_is_reported(relay: Relay) -> None:
    relay.crm.operations = frozenset({"register", "update"})
    with pytest.raises(UnsupportedByDestination):
        relay.run(shop())
