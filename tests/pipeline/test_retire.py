"""Retiring customers and erasing shops: what is held goes, the destination is not asked, and nothing comes back by
itself.
"""

from __future__ import annotations

import json
from typing import Literal

from loyalty_relay.model.commands import CustomerRef, EraseStore, LinkStore, RetireCustomer
from loyalty_relay.model.outcomes import Result
from tests.pipeline.conftest import Relay, customer, version


def retire(reason: Literal["erased", "merged"], at: str, survivor: str | None = None) -> RetireCustomer:
    return RetireCustomer(customer=CustomerRef(source_id="7"), reason=reason, version=version(at), survivor=survivor)


def test_an_erased_customer_leaves_no_alias_and_no_digest(relay: Relay) -> None:
    relay.run(customer({"email": "ana@example.com", "first_name": "Ana"}))
    before = json.dumps(relay.stack.items("state"))
    outcome = relay.run(retire("erased", "2"))
    assert (outcome.result, outcome.reason) == (Result.APPLIED, "customer_erased")
    hashed = relay.services.customers.customer_hash("shop-1", "email", "ana@example.com")
    assert hashed in before
    assert hashed not in json.dumps(relay.stack.items("state"))
    assert relay.run(customer({"first_name": "Late"}, "1")).result is Result.STALE
    assert len(relay.crm.members) == 1, "the member keeps the account and the points"


def test_commands_for_a_merged_customer_reach_the_survivor(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, "1"))
    relay.run(retire("merged", "2", survivor="8"))
    outcome = relay.run(customer({"first_name": "Eva"}, "3", source_id="8", email=None))
    assert outcome.loyalty_id == "1000"


def test_erasing_a_shop_forgets_its_customers_and_links_and_no_others(relay: Relay) -> None:
    relay.run(customer({"first_name": "Ana"}, store="one.example", source_id="1", email="a@example.com"))
    relay.run(customer({"first_name": "Bea"}, store="two.example", source_id="2", email="b@example.com"))
    for shop in ("one.example", "two.example"):
        relay.run(LinkStore(shop_id=shop, account_id="acme", store_domain=f"https://{shop}"))
    outcome = relay.run(EraseStore(shop_id="one.example", version=version("5")))
    assert outcome.reason == "store_erased"
    assert [link.shop_id for link in relay.services.links.list("shop-1", relay.deadline)] == ["two.example"]
    late = customer({"first_name": "Late"}, "2", store="one.example", source_id="1", email="a@example.com")
    assert relay.run(late).result is Result.STALE
    other = customer({"first_name": "Bea"}, "2", store="two.example", source_id="2", email="b@example.com")
    assert relay.run(other).result is Result.UNCHANGED
