"""What a view costs in DynamoDB, as docs/console.md has it: requests are bounded, and no table is scanned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from loyalty_relay.model.commands import RegisterCustomer
from tests.console.conftest import Browser, put
from tests.devkit.test_sales_commands import record
from tests.orders.makers import record_sale, sale
from tests.pipeline.conftest import Relay, customer


@pytest.fixture
def reads(relay: Relay) -> Callable[[], dict[str, int]]:
    """What DynamoDB was requested since the last look, by operation."""
    seen: Counter[str] = Counter()
    relay.stack.watch("before-call.dynamodb", lambda model, **_: seen.update([model.name]))

    def since() -> dict[str, int]:
        found = dict(seen)
        seen.clear()
        return found

    return since


def test_views_read_what_the_page_about_the_console_states(
    browser: Browser, relay: Relay, reads: Callable[[], dict[str, int]]
) -> None:
    relay.run(customer({"email": "ana@example.com"}, kind=RegisterCustomer))
    record(relay, record_sale(sale=sale("64.00"), aliases=("payment:9",)))
    made = put(relay, 5)
    known_as = relay.services.customers.customer_hash("shop-1", "source_id", "7")

    def cost(path: str) -> dict[str, int]:
        reads()
        browser.get(path)
        return reads()

    assert cost("/events") == {"Query": 8}
    assert cost("/events?since=1s") == {"Query": 1}
    assert cost(f"/deliveries/{made.delivery_id}") == {"Query": 1}
    assert cost(f"/customers/shop-1/{known_as}") == {"GetItem": 1, "Query": 1}
    assert cost("/orders/shop-1/1") == {"GetItem": 1}
    assert cost("/orders/shop-1/payment:9") == {"GetItem": 2}
    assert cost("/search") == {}


def test_a_search_reads_a_few_items_of_each_connection(
    browser: Browser, relay: Relay, reads: Callable[[], dict[str, int]]
) -> None:
    def cost(text: str) -> dict[str, int]:
        reads()
        browser.post("/search", {"text": text})
        return reads()

    assert cost("ana@example.com") == {"GetItem": 1, "Query": 1}
    assert cost("+447700900123") == {"GetItem": 2, "Query": 1 + 8}
    assert cost("unknown") == {"GetItem": 3, "Query": 1 + 2 + 8}


def test_a_page_of_many_events_is_read_in_a_few_requests(
    browser: Browser, relay: Relay, reads: Callable[[], dict[str, Any]]
) -> None:
    for age in range(120):
        put(relay, age)
    reads()
    browser.get("/events")
    assert reads() == {"Query": 1}
