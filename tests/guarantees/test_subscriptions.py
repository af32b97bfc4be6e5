"""After creating a connection's subscriptions every topic that it needs is delivered here, whatever was before."""

from __future__ import annotations

import time
from typing import Any

import pytest

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    InvalidCommand,
    RateLimited,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.sources.subscriptions import Condition, subscribing
from loyalty_relay.triggers.subscriptions import CREATED, REVIVED, Review, attempt, plan, removals, review
from tests.guarantees.world import World

URL = "https://relay.example.com/webhooks/shop"
FORMER = "https://former.example.com/webhooks/shop"
PLATFORMS = ("adobe", "bigcommerce", "lightspeed", "shopify", "square", "woocommerce")
REMOVABLE = tuple(name for name in PLATFORMS if name != "adobe")
CREDENTIALS: dict[str, dict[str, str]] = {
    "square": {"access_token": "fake-square-token", "application_token": "fake-square-application-token"},
    "woocommerce": {"consumer_key": "ck_fake", "consumer_secret": "cs_fake"},
}
PATHS = {
    "adobe": "rest/all/V1/eventing/events/",
    "bigcommerce": "stores/demohash1/v3/hooks/",
    "lightspeed": "api/2.0/webhooks/",
    "shopify": "subscriptions/",
    "square": "v2/webhooks/subscriptions/",
    "woocommerce": "wp-json/wc/v3/webhooks/",
}
"""Where the sandbox keeps a platform's subscriptions."""
MEMBERS = {"bigcommerce": "destination", "lightspeed": "url", "shopify": "uri", "square": "notification_url"}
DISABLED: dict[str, dict[str, Any]] = {
    "bigcommerce": {"is_active": False},
    "lightspeed": {"active": False},
    "square": {"enabled": False},
    "woocommerce": {"status": "disabled"},
}


def connected(world: World, platform: str, vendor: str = "kangaroo", **more: Any) -> Connection:
    document = world.connect(platform, vendor, **{"sales": {"enabled": True}, **more})
    source = document["source"]
    source["api_credentials"] = CREDENTIALS.get(platform) or {"access_token": f"fake-{platform}-token"}
    if platform == "woocommerce":
        source["api_host"] = f"{world.vendors.url}/woocommerce"
    if platform == "adobe":
        source["options"] = {**source.get("options", {}), "shop_url": f"{world.vendors.url}/adobe"}
    world.stack.put_connection("shop", document)
    world.restart()
    return world.functions["import-run"].connections.get("shop")


def deadline(seconds: float = 600.0) -> Deadline:
    end = time.monotonic() + seconds
    return Deadline(end, time.monotonic)


def seen(world: World, connection: Connection, url: str = URL) -> Review:
    return review(connection, world.functions["import-run"], deadline(), url=url)


def mend(world: World, connection: Connection, conditions: frozenset[Condition] = CREATED) -> list[str]:
    """Return the problems of what was attempted."""
    services = world.functions["import-run"]
    changes = plan(seen(world, connection), conditions, connection, services)
    return [one.problem for one in attempt(changes, connection, services, deadline()) if one.problem]


def conditions(found: Review) -> set[str]:
    return {row.condition.value for row in found.rows}


def kept(world: World, platform: str) -> dict[str, Any]:
    """Return the platform's subscriptions by their paths."""
    state = world.control.get(f"/_sandbox/state/{platform}").json()
    return {path: one for path, one in state.items() if path.startswith(PATHS[platform])}


def put(world: World, platform: str, **changes: Any) -> None:
    """Change all of the platform's subscriptions as somebody else would."""
    entities = {path: {**one, **changes} for path, one in kept(world, platform).items()}
    world.control.put(f"/_sandbox/settings/{platform}", json={"entities": entities}).raise_for_status()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_missing_is_created_and_creating_again_changes_nothing(world: World, platform: str) -> None:
    connection = connected(world, platform)
    assert conditions(seen(world, connection)) == {"missing"}
    assert mend(world, connection) == []
    found = seen(world, connection)
    assert found.bad == () or conditions(found) == {"other_key"}
    before = kept(world, platform)
    assert before
    assert mend(world, connection) == []
    assert kept(world, platform) == before


@pytest.mark.parametrize("platform", DISABLED)
def test_what_the_platform_disabled_is_noticed_and_revived(world: World, platform: str) -> None:
    connection = connected(world, platform)
    mend(world, connection)
    put(world, platform, **DISABLED[platform])
    found = seen(world, connection)
    assert conditions(found) == {"disabled"}
    assert not found.good
    assert mend(world, connection, REVIVED) == []
    assert conditions(seen(world, connection)) <= {"present", "other_key"}


@pytest.mark.parametrize("platform", [*MEMBERS, "woocommerce"])
def test_what_delivers_to_a_former_address_is_moved_here(world: World, platform: str) -> None:
    connection = connected(world, platform)
    services = world.functions["import-run"]
    attempt(plan(seen(world, connection, FORMER), CREATED, connection, services), connection, services, deadline())
    assert conditions(seen(world, connection)) == {"elsewhere"}
    number = len(kept(world, platform))
    assert mend(world, connection, REVIVED) == []
    assert conditions(seen(world, connection)) <= {"present", "other_key"}
    assert len(kept(world, platform)) == number


@pytest.mark.parametrize("platform", REMOVABLE)
def test_only_what_delivers_here_is_removed(world: World, platform: str) -> None:
    connection = connected(world, platform)
    services = world.functions["import-run"]
    other = "https://relay.example.com/webhooks/another"
    attempt(plan(seen(world, connection, other), CREATED, connection, services), connection, services, deadline())
    others = kept(world, platform)
    mend(world, connection)
    attempt(removals(seen(world, connection), connection, superfluous=False), connection, services, deadline())
    assert kept(world, platform) == others
    assert conditions(seen(world, connection)) == {"missing"}


@pytest.mark.parametrize("platform", REMOVABLE)
def test_what_is_needed_no_longer_is_superfluous_and_can_be_removed_alone(world: World, platform: str) -> None:
    mend(world, connected(world, platform))
    connection = connected(world, platform, sales={"enabled": False})
    services = world.functions["import-run"]
    found = seen(world, connection)
    assert "superfluous" in conditions(found)
    assert found.bad == () or platform == "square"
    attempt(removals(found, connection, superfluous=True), connection, services, deadline())
    assert conditions(seen(world, connection)) <= {"present", "other_key"}


def test_the_subscriptions_of_adobe_serve_others_and_are_never_removed(world: World) -> None:
    connection = connected(world, "adobe")
    mend(world, connection)
    with pytest.raises(InvalidCommand, match="serve others"):
        removals(seen(world, connection), connection, superfluous=False)


def test_adobes_subscription_that_leaves_out_fields_is_completed(world: World) -> None:
    connection = connected(world, "adobe")
    mend(world, connection)
    put(world, "adobe", fields=[{"name": "entity_id"}])
    assert "incomplete" in conditions(seen(world, connection))
    assert mend(world, connection, REVIVED) == []
    assert conditions(seen(world, connection)) == {"present"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_failure_half_way_leaves_the_rest_and_repeating_does_only_that(world: World, platform: str) -> None:
    connection = connected(world, platform)
    # Shopify's list is posted, too; Square has one subscription for everything.
    skipped = {"shopify": 2, "square": 0}.get(platform, 1)
    world.fault({"vendor": platform, "method": "POST", "status": 500, "skip": skipped, "count": 1})
    problems = mend(world, connection)
    assert len(problems) == 1
    assert "500" in problems[0]
    done = kept(world, platform)
    assert mend(world, connection) == []
    assert conditions(seen(world, connection)) <= {"present", "other_key"}
    assert done.items() <= kept(world, platform).items()


@pytest.mark.parametrize("platform", ["bigcommerce", "shopify", "woocommerce", "square"])
def test_lists_are_read_to_their_end(world: World, platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connected(world, platform)
    services = world.functions["import-run"]
    others = [f"https://relay.example.com/webhooks/other-{n}" for n in range(3)]
    for url in others:
        attempt(plan(seen(world, connection, url), CREATED, connection, services), connection, services, deadline())
    mend(world, connection)
    monkeypatch.setattr(f"loyalty_relay.sources.{platform}.subscriptions.SIZE", 2)
    assert conditions(seen(world, connection)) <= {"present", "other_key"}


def test_a_list_without_end_is_given_up(world: World) -> None:
    connection = connected(world, "square")
    world.fault({"vendor": "square", "method": "GET", "body": {"subscriptions": [], "cursor": "again"}})
    with pytest.raises(UpstreamUnavailable, match="does not end"):
        seen(world, connection)


def test_squares_key_is_taken_from_the_subscription_that_delivers_here(world: World) -> None:
    connection = connected(world, "square")
    mend(world, connection)
    found = seen(world, connection)
    assert conditions(found) == {"other_key"}
    (key,) = found.keys
    assert key.startswith("fake-signature-key-")
    assert key not in repr(found)
    document = world.connect("square", "kangaroo", sales={"enabled": True})
    document["source"]["api_credentials"] = CREDENTIALS["square"]
    document["source"]["secrets"] = [{"value": key}]
    world.stack.put_connection("shop", document)
    world.restart()
    connection = world.functions["import-run"].connections.get("shop")
    found = seen(world, connection)
    assert (conditions(found), found.keys, found.good) == ({"present"}, (), True)


def test_woocommerces_webhooks_are_signed_with_the_secret_that_verifies_their_topic(world: World) -> None:
    document = world.connect("woocommerce", "kangaroo", sales={"enabled": True})
    secrets = [{"value": "fake-orders"}, {"value": "fake-customers", "topics": ["customer.*"]}]
    document["source"] |= {
        "secrets": secrets,
        "api_host": f"{world.vendors.url}/woocommerce",
        "api_credentials": CREDENTIALS["woocommerce"],
    }
    world.stack.put_connection("shop", document)
    world.restart()
    connection = world.functions["import-run"].connections.get("shop")
    mend(world, connection)
    given = {one["topic"]: one["secret"] for one in kept(world, "woocommerce").values()}
    assert given == {
        "customer.created": "fake-customers",
        "customer.updated": "fake-customers",
        "customer.deleted": "fake-customers",
        "order.created": "fake-orders",
        "order.updated": "fake-orders",
        "order.restored": "fake-orders",
    }
    changes = plan(seen(world, connection, FORMER), REVIVED, connection, world.functions["import-run"])
    assert changes
    assert "fake-customers" not in repr(changes)


def test_shopify_reports_the_scopes_that_the_token_lacks(world: World) -> None:
    connection = connected(world, "shopify")
    world.control.put("/_sandbox/settings/shopify", json={"scopes": ["write_customers"]}).raise_for_status()
    found = seen(world, connection)
    assert found.lacking == ("read_locations", "read_orders")
    assert any("Shopify refuses" in problem for problem in mend(world, connection))
    assert conditions(seen(world, connection)) == {"present", "missing"}


@pytest.mark.parametrize(("platform", "status"), [("bigcommerce", 403), ("shopify", 401), ("woocommerce", 401)])
def test_credentials_without_the_right_are_refused_and_stop_no_reading(
    world: World, platform: str, status: int
) -> None:
    connection = connected(world, platform)
    world.fault({"vendor": platform, "status": status})
    with pytest.raises(VendorRejected) as refused:
        seen(world, connection)
    assert refused.value.code == str(status)
    world.fault()
    circuits = [item for item in world.stack.items("state") if "circuit" in str(item).lower()]
    assert circuits == []


def test_a_platforms_limit_is_waited_for_within_reason(world: World) -> None:
    connection = connected(world, "bigcommerce")
    world.fault({"vendor": "bigcommerce", "status": 429, "count": 1, "headers": {"retry-after": "7"}})
    assert conditions(seen(world, connection)) == {"missing"}
    assert sum(world.stack.clock.slept) >= 7
    world.fault({"vendor": "bigcommerce", "status": 429, "headers": {"retry-after": "3600"}})
    with pytest.raises(RateLimited):
        seen(world, connection)


def test_one_store_that_cannot_be_looked_at_hides_no_other(world: World) -> None:
    document = world.connect("bigcommerce", "kangaroo")
    document["source"] |= {
        "stores": ["demohash1", "other2"],
        "api_credentials": {"access_token": "fake-bigcommerce-token", "access_token.other2": "fake-wrong"},
    }
    world.stack.put_connection("shop", document)
    world.restart()
    connection = world.functions["import-run"].connections.get("shop")
    mend(world, connection)
    found = seen(world, connection)
    assert conditions(found) == {"present"}
    assert [problem.partition(":")[0] for problem in found.problems] == ["other2"]
    assert not found.good


def test_a_host_that_is_not_the_platforms_gets_no_request(world: World) -> None:
    for host in ("https://api.bigcommerce.com.evil.example", "https://169.254.169.254", "https://evil.example"):
        document = world.connect("bigcommerce", "kangaroo")
        document["source"]["api_host"] = host
        world.stack.put_connection("shop", document)
        world.restart()
        connection = world.functions["import-run"].connections.get("shop")
        with pytest.raises(InvalidCommand, match="not one of the platform's own"):
            seen(world, connection)


def test_a_connection_that_is_unmanaged_or_whose_platform_has_no_api_gets_steps_and_no_request(world: World) -> None:
    connection = connected(world, "clover")
    found = seen(world, connection)
    assert not found.managed
    assert any(URL in step for step in found.by_hand)
    document = world.connect("shopify", "kangaroo")
    document["source"] |= {"subscriptions": "unmanaged", "api_credentials": {"access_token": "fake"}}
    world.stack.put_connection("shop", document)
    world.restart()
    assert not seen(world, world.functions["import-run"].connections.get("shop")).managed
    assert world.control.get("/_sandbox/requests?vendor=shopify").json() in ([], {"requests": []})


def test_every_platform_of_the_sandbox_that_has_subscriptions_is_tested_here() -> None:
    known = {platform.name for platform in VENDOR(time.time) if subscribing(platform.name)}
    assert known == set(PLATFORMS)
