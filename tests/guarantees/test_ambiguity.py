"""A request that may have reached the vendor is never answered by a blind repeat: whoever comes next looks first.

The vendor does its work and the connection is reset before the answer, over real sockets; then the message comes back.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest

from loyalty_relay.http.client import Client
from loyalty_relay.http.transports import Limits
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.runtime.wiring import LEASE_SECONDS
from tests.guarantees.world import World
from tests.sources.samples import load
from tests.support.limiters import NullLimiter

REGISTER = {"vendor": "capillary", "method": "POST", "path": "/v2/customers"}
EMAIL = "ana.nunez@example.com"
LOOKS = ("GET",)


def lost(rule: dict[str, Any], count: int = 1) -> dict[str, Any]:
    """The vendor does what it is asked, and the answer never arrives."""
    return {**rule, "reset": "after", "count": count}


def requests(world: World, vendor: str | None = None) -> list[tuple[str, str]]:
    return [(r.method, r.path) for r in world.upstream(vendor=vendor)]


def posts(world: World, path: str) -> int:
    return sum(request == ("POST", path) for request in requests(world))


class Impatient(Client):
    """Wait half a second for the first request of a path, and as long as ever for all others: a busy machine may be
    slow, too.
    """

    path: str

    def fetch(self, request: httpx.Request, deadline: Deadline, auth: httpx.Auth | None = None) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith(self.path):
            self.path = "every path but this"
            deadline = Deadline(time.monotonic() + 0.5, time.monotonic)
        return super().fetch(request, deadline, auth)


def impatient(world: World, operation: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    services = world.functions[operation]
    client = Impatient(NullLimiter(), services.clock, limits=Limits(least=0.1, margin=0.0))
    client.path = path
    monkeypatch.setattr(services, "destination_client", lambda d: client)


def until_it_has_its_effect(world: World, method: str, path: str) -> None:
    """The vendor is slow, not dead."""
    arrived = threading.Event()
    while not any(r.effect for r in world.upstream() if (r.method, r.path) == (method, path)):
        arrived.wait(0.05)


def test_a_registration_whose_answer_is_lost_is_looked_up(world: World) -> None:
    world.connect()
    world.fault(lost(REGISTER))
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert (world.outcomes(), posts(world, "/v2/customers")) == (["retrying"], 1)
    world.again()
    assert world.outcomes() == ["applied"]
    assert posts(world, "/v2/customers") == 1
    assert requests(world)[1][0] in LOOKS
    assert len(world.members()) == 1


def test_a_registration_that_never_arrived_is_sent_after_a_look(world: World) -> None:
    world.connect()
    world.fault({**REGISTER, "reset": "before", "count": 1})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    world.again()
    assert world.outcomes() == ["applied"]
    assert [method for method, _ in requests(world)] == ["POST", "GET", "POST"] or requests(world)[1][0] in LOOKS
    assert len(world.members()) == 1


def test_while_a_timed_out_registration_may_still_run_no_other_event_touches_the_customer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect()
    impatient(world, "register", "/v2/customers", monkeypatch)
    world.fault({**REGISTER, "latency_ms": 600, "count": 1})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert [(e.result.value, e.reason) for e in world.journal()] == [("retrying", "timeout")]
    until_it_has_its_effect(world, "POST", "/v2/customers")
    sent = requests(world)
    world.again(after=10)
    assert [(e.result.value, e.reason) for e in world.journal()] == [("retrying", "lease_busy")]
    assert requests(world) == sent, "nothing is sent while the lease runs"
    world.again(after=LEASE_SECONDS)
    assert world.outcomes() == ["applied"]
    assert posts(world, "/v2/customers") == 1
    assert len(world.members()) == 1


def test_behind_a_gateways_time_out_the_vendor_may_still_be_at_work(world: World) -> None:
    world.connect()
    world.fault({**REGISTER, "status": 504, "body": {"message": "gateway"}, "count": 1})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert [(e.result.value, e.reason) for e in world.journal()] == [("retrying", "timeout")]
    world.again(after=10)
    assert [(e.result.value, e.reason) for e in world.journal()] == [("retrying", "lease_busy")]
    world.again(after=LEASE_SECONDS)
    assert world.outcomes() == ["applied"]
    assert len(world.members()) == 1


@pytest.mark.attack(
    "callers",
    "the same points twice, by asking again",
    "Idempotency-Key; a credit whose end is not known is not repeated",
    "G2",
)
def test_points_whose_credit_is_uncertain_are_not_credited_again(world: World) -> None:
    world.connect()
    world.fault(lost(REGISTER))
    body = {
        "identifiers": [{"type": "email", "value": EMAIL}],
        "enrollments": [{"program_id": 1016, "tier_number": 1, "loyalty_points": 500}],
    }
    first = world.call("POST", "/customers", body, headers={"idempotency-key": "till-1"})
    assert first[0] == 503
    again = world.call("POST", "/customers", body, headers={"idempotency-key": "till-1"})
    assert (again[0], again[1]["type"]) == (409, "urn:loyalty-relay:problem:ambiguous")
    assert posts(world, "/v2/customers") == 1


def test_points_of_an_update_whose_answer_is_lost_are_not_credited_again(world: World) -> None:
    world.connect()
    _, made = world.call("POST", "/customers", {"identifiers": [{"type": "email", "value": EMAIL}]})
    world.fault(lost({"vendor": "capillary", "method": "PUT", "path": "/v2/customers/*"}))
    body = {"enrollments": [{"program_id": 1016, "tier_number": 1, "loyalty_points": 500}]}
    where = {"headers": {"idempotency-key": "till-2"}, "customer_id": made["loyalty_id"]}
    assert world.call("PUT", "/customers/{customer_id}", body, **where)[0] == 503
    assert world.call("PUT", "/customers/{customer_id}", body, **where)[0] == 409
    assert len([r for r in requests(world) if r[0] == "PUT"]) == 1


def test_an_update_is_state_and_arrives_at_the_same_state(world: World) -> None:
    world.connect()
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    world.fault(lost({"vendor": "capillary", "method": "PUT", "path": "/v2/customers/*"}, count=2))
    changed = load("shopify", "customers-update").changed(
        **{**load("shopify", "customers-create").json(), "first_name": "Ida", "updated_at": "2026-06-01T09:00:00Z"}
    )
    world.deliver(changed.signed())
    world.settle()
    assert sorted(world.outcomes()) == ["applied", "retrying"], "one repeat on a fresh connection was lost as well"
    world.again()
    assert world.outcomes() == ["applied", "applied"]
    (member,) = world.members()
    assert "Ida" in json.dumps(member)


def test_an_update_by_v1_is_repeated_as_state_and_its_side_effects_come_once(world: World) -> None:
    world.connect()
    world.call("POST", "/customers", {"identifiers": [{"type": "email", "value": EMAIL}]})
    world.fault(lost({"vendor": "capillary", "method": "POST", "path": "/v1.1/customer/update"}))
    body = {"identifiers": [{"type": "email", "value": EMAIL}], "last_name": "Ames"}
    status, answer = world.call("PUT", "/customers", body)
    assert (status, answer["result"]) == (200, "applied")
    (member,) = world.members()
    points = json.dumps(member).count('"on": "update"')
    assert points <= 1
    assert "Ames" in json.dumps(member)


def test_a_changed_identifier_whose_answer_is_lost_is_looked_at_before_it_is_changed_again(world: World) -> None:
    document = world.connect(destination={"options": {"identifier_change": True}})
    assert document["destination"]["options"]
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    world.fault(lost({"vendor": "capillary", "method": "POST", "path": "/v2/customers/*/changeIdentifier"}))
    given = load("shopify", "customers-create").json()
    changed = {**given, "email": "new@example.com", "updated_at": "2026-06-01T09:00:00Z"}
    world.deliver(load("shopify", "customers-update").changed(**changed).signed())
    world.settle()
    assert sorted(world.outcomes()) == ["applied", "retrying"]
    world.again()
    assert world.outcomes() == ["applied", "applied"]
    changes = [r for r in requests(world) if r[1].endswith("changeIdentifier")]
    assert len(changes) == 1
    (member,) = world.members()
    assert "new@example.com" in json.dumps(member)


# -- Kangaroo -------------------------------------------------------------------------------------------------------


def one_customer_after_a_lost_answer(world: World, rule: dict[str, Any]) -> None:
    world.connect("shopify", "kangaroo")
    world.fault(rule)
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert world.outcomes() == ["retrying"]
    world.again()
    assert world.outcomes() == ["applied"]
    assert posts(world, "/customers") == 1


def test_a_customer_of_a_patch_whose_registration_was_lost_is_found(world: World) -> None:
    one_customer_after_a_lost_answer(world, lost({"vendor": "kangaroo", "method": "POST", "path": "/customers"}))


def test_a_patch_is_state_and_arrives_at_the_same_state(world: World) -> None:
    rule = lost({"vendor": "kangaroo", "method": "PATCH", "path": "/customers/*"}, count=2)
    one_customer_after_a_lost_answer(world, rule)


@pytest.mark.parametrize("path", ["/api/v1/integrations", "/api/v1/branch-links"])
@pytest.mark.parametrize("reset", ["before", "after"])
def test_each_step_of_linking_a_store_leaves_one_integration_and_one_link(path: str, reset: str, world: World) -> None:
    world.connect("standard", "kangaroo")
    world.fault({"vendor": "kangaroo-integrations", "method": "POST", "path": path, "reset": reset, "count": 1})
    world.deliver(load("standard", "store-created").signed())
    world.settle()
    assert world.outcomes() == ["retrying"]
    world.again()
    assert world.outcomes() == ["unchanged" if (path, reset) == ("/api/v1/branch-links", "after") else "applied"]
    for step in ("/api/v1/integrations", "/api/v1/branch-links"):
        made = [r for r in world.upstream(vendor="kangaroo-integrations") if (r.method, r.path) == ("POST", step)]
        assert len([r for r in made if r.effect]) == 1, step


@pytest.mark.parametrize("path", ["/api/v1/integrations", "/api/v1/branch-links"])
def test_while_a_timed_out_step_of_linking_may_still_run_nothing_looks_for_it(
    path: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect("standard", "kangaroo")
    impatient(world, "link-store", path, monkeypatch)
    world.fault({"vendor": "kangaroo-integrations", "method": "POST", "path": path, "latency_ms": 600, "count": 1})
    world.deliver(load("standard", "store-created").signed())
    world.settle()
    assert [(e.result.value, e.reason) for e in world.journal()] == [("retrying", "timeout")]
    asked = len(world.upstream(vendor="kangaroo-integrations"))
    world.again(after=10)
    assert [(e.result.value, e.reason) for e in world.journal()] == [("retrying", "lease_busy")]
    assert len(world.upstream(vendor="kangaroo-integrations")) == asked, "nothing is sent while the lease runs"
    until_it_has_its_effect(world, "POST", path)
    world.again(after=LEASE_SECONDS)
    assert world.outcomes() in (["applied"], ["unchanged"])
    for step in ("/api/v1/integrations", "/api/v1/branch-links"):
        made = [r for r in world.upstream(vendor="kangaroo-integrations") if (r.method, r.path) == ("POST", step)]
        assert len([r for r in made if r.effect]) == 1, step


# -- tokens ---------------------------------------------------------------------------------------------------------


def token_requests(world: World) -> list[str]:
    found = world.vendors.sandbox.recorder.select(vendor="kangaroo", path="/oauth/token")
    return ["refresh" if "grant_type=refresh_token" in str(r.body) else "password" for r in found]


def test_a_refresh_whose_answer_is_lost_falls_back_to_the_password(world: World) -> None:
    world.connect("shopify", "kangaroo")
    assert world.call("GET", "/tags")[0] == 200
    world.stack.clock.now += 3900
    world.restart()
    world.fault(lost({"vendor": "kangaroo", "path": "/oauth/token"}))
    assert world.call("GET", "/tags")[0] == 503
    assert token_requests(world) == ["password", "refresh"], "the refresh is not repeated at once"
    assert world.call("GET", "/tags")[0] == 200
    assert token_requests(world)[-1] == "password"


def test_a_lost_refresh_token_parks_nothing_and_names_what_to_do(world: World) -> None:
    code = {
        "type": "authorization_code",
        "application_key": "fake-application-key",
        "client_id": "11",
        "client_secret": "fake-code-client-secret",
        "redirect_uri": "https://app.example.com/oauth/callback",
        "account": "demo",
    }
    world.connect("shopify", "kangaroo", destination={"credentials": code})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    (entry,) = world.journal()
    assert (entry.result.value, entry.reason) == ("retrying", "not_authorized_yet")
    world.again()
    assert world.parked("crm-patch") == []
