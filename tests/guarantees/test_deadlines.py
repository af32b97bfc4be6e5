"""No request to a vendor outlives its invocation, and no lease ends before the request that it covers."""

from __future__ import annotations

from typing import Any

import pytest

from devkit.localstack.template import read
from loyalty_relay.destinations.tokens import LEASE_SECONDS as TOKEN_LEASE
from loyalty_relay.destinations.tokens import RENEWAL_SECONDS
from loyalty_relay.http.client import Client
from loyalty_relay.http.transports import Limits
from loyalty_relay.reliability.circuit_breaker import PROBE_SECONDS
from loyalty_relay.runtime.wiring import LEASE_SECONDS
from loyalty_relay.triggers.api import LONGEST
from loyalty_relay.triggers.queue import MARGIN
from tests.guarantees.world import World
from tests.sources.samples import load
from tests.support.stack import TEMPLATE, Context

OPERATION_FUNCTIONS = (
    "RegisterFunction",
    "UpdateFunction",
    "CrmPatchFunction",
    "LinkStoreFunction",
    "TransactionFunction",
    "ImportRunFunction",
    "HydrateFunction",
)


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    found: dict[str, Any] = read(TEMPLATE.read_text())["Resources"]
    return found


def timeout_of(resources: dict[str, Any], function: str) -> float:
    return float(resources[function]["Properties"]["Timeout"])


@pytest.mark.parametrize("function", OPERATION_FUNCTIONS)
def test_a_lease_outlives_every_invocation_that_can_hold_it(function: str, resources: dict[str, Any]) -> None:
    assert timeout_of(resources, function) < LEASE_SECONDS
    assert Limits().total + Limits().margin < timeout_of(resources, function) - MARGIN
    assert RENEWAL_SECONDS < TOKEN_LEASE
    assert Limits().least < PROBE_SECONDS


@pytest.mark.parametrize("function", OPERATION_FUNCTIONS)
def test_a_message_stays_hidden_for_longer_than_a_lease(function: str, resources: dict[str, Any]) -> None:
    """Six times the function's time-out (AWS docs: Lambda with SQS); a copy that came earlier would find the lease."""
    queue = resources[function.replace("Function", "Queue")]["Properties"]
    assert float(queue["VisibilityTimeout"]) >= 6 * timeout_of(resources, function) > LEASE_SECONDS


def test_a_caller_gets_a_response_before_the_gateway_gives_up() -> None:
    """An HTTP API ends a request after 30 s (AWS docs: Quotas for HTTP APIs)."""
    assert LONGEST + Limits().margin < 30


@pytest.mark.parametrize("seconds", [0.5, 3.0, 5.0])
def test_no_call_starts_that_could_not_end_inside_the_invocation(seconds: float, world: World) -> None:
    world.connect()
    world.deliver(load("shopify", "customers-create").signed())
    records = world.stack.receive("register")["Records"]
    assert world.work("register", records, context=Context(seconds)) == 1
    assert world.upstream() == []
    (entry,) = world.journal()
    assert (entry.result.value, entry.reason) == ("retrying", "deadline")
    world.again()
    assert world.outcomes() == ["applied"]


def test_a_caller_with_little_time_left_gets_a_504(world: World) -> None:
    world.connect()
    from loyalty_relay.triggers.api import answer

    event = {
        "routeKey": "POST /connections/{connection}/customers",
        "pathParameters": {"connection": "shop"},
        "headers": {"content-type": "application/json"},
        "body": '{"identifiers": [{"type": "email", "value": "a@example.com"}]}',
    }
    assert answer(event, Context(3), "register", world.functions["register"])["statusCode"] == 504
    assert world.upstream() == []


BRIEF = Limits(connect=0.5, read=0.4, total=0.8, least=0.1, margin=0.0)
"""The same limits, small enough to be waited for."""


@pytest.mark.attack("vendors", "an answer that drips", "a total time below the invocation's, kept by the sockets", "G8")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"drip": {"bytes": 1, "every_ms": 60}}, "timeout"),
        ({"latency_ms": 3000}, "timeout"),
        ({"truncate": 5}, "unavailable"),
        ({"reset": "before", "close": "fin"}, "unavailable"),
    ],
    ids=["drips", "is silent", "breaks off", "hangs up"],
)
def test_a_vendor_that_responds_too_slowly_or_not_at_all_is_left_in_time(
    fault: dict[str, Any], reason: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect()
    services = world.functions["register"]
    monkeypatch.setattr(
        services,
        "destination_client",
        lambda d: Client(services.pacing.limiter(d.key, {}, batch=lambda: 1), services.clock, limits=BRIEF),
    )
    world.fault({"vendor": "capillary", "method": "POST", "count": 1, **fault})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    # Left alone, the drip and the silence would end in an answer: that there was none is what the limit did.
    (entry,) = world.journal()
    assert (entry.result.value, entry.reason) == ("retrying", reason)


def test_a_connection_that_died_while_the_process_was_frozen_costs_nothing(world: World) -> None:
    """A kept connection that the vendor closed meanwhile: a look-up is repeated on a new one, unnoticed."""
    world.connect("shopify", "kangaroo")
    assert world.call("GET", "/tags")[0] == 200
    world.fault({"vendor": "kangaroo", "method": "GET", "reset": "before", "close": "fin", "count": 1})
    assert world.call("GET", "/tags")[0] == 200
    assert [r.status for r in world.upstream()] == [200, None, 200]
