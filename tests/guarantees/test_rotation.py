"""G9: webhook secret, destination credential and API key are rotated while traffic flows, and nothing is refused."""

from __future__ import annotations

import copy
import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devkit.sandbox.destinations import capillary_till
from devkit.stacks.connection_store import ConnectionStore, rotated, without_secrets
from loyalty_relay.connections.store import CACHE_SECONDS, REFETCH_SECONDS
from loyalty_relay.triggers.authorizer import authorize
from loyalty_relay.triggers.webhook import Ingest
from tests.guarantees.marking import Asked
from tests.guarantees.world import World
from tests.sources.samples import load

OLD, NEW = "fake-shopify-client-secret", "fake-rotated-secret"


def signed(number: int, secret: str) -> Any:
    """An event of its own customer."""
    sample = load("shopify", "customers-create")
    gid = f"gid://shopify/Customer/{9_000_000 + number}"
    body = {"id": 9_000_000 + number, "admin_graphql_api_id": gid, "email": f"r{number}@example.com", "phone": None}
    return sample.changed(**body).signed(secret)


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def secrets_of(document: dict[str, Any], *secrets: dict[str, str]) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    changed["source"]["secrets"] = list(secrets)
    return changed


class Traffic:
    """Two warm processes of ingest that take turns."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.processes = [Ingest(world.stack.services("ingest")) for _ in range(2)]
        self.count = 0
        self.statuses: list[int] = []

    def send(self, secret: str) -> None:
        """One event to each process."""
        for process in self.processes:
            self.count += 1
            self.world.ingest = process
            self.statuses.append(self.world.deliver(signed(self.count, secret))["statusCode"])

    @property
    def refused(self) -> int:
        return sum(status != 200 for status in self.statuses)


def test_overlapping_webhook_secrets_refuse_nothing(world: World) -> None:
    clock = world.stack.clock
    document = world.connect()
    traffic = Traffic(world)
    traffic.send(OLD)
    ends = clock.now + 3600
    world.stack.put_connection("shop", secrets_of(document, {"value": NEW}, {"value": OLD, "not_after": iso(ends)}))
    for secret in (OLD, NEW, OLD, NEW):
        traffic.send(secret)
        clock.now += 200
    clock.now = ends - 1
    traffic.send(OLD)
    traffic.send(NEW)
    assert traffic.refused == 0
    clock.now = ends + 1
    traffic.send(OLD)
    assert traffic.statuses[-2:] == [401, 401], "the old secret's time is over"
    traffic.send(NEW)
    assert traffic.statuses[-2:] == [200, 200]
    world.settle()
    assert world.outcomes() == ["applied"] * (len(traffic.statuses) - 2)


def test_a_secret_is_not_good_before_its_time(world: World) -> None:
    clock = world.stack.clock
    document = world.connect()
    begins = clock.now + 600
    world.stack.put_connection("shop", secrets_of(document, {"value": OLD}, {"value": NEW, "not_before": iso(begins)}))
    traffic = Traffic(world)
    traffic.send(NEW)
    assert traffic.statuses == [401, 401]
    clock.now = begins
    traffic.send(NEW)
    traffic.send(OLD)
    assert traffic.statuses[2:] == [200] * 4


def test_a_replaced_webhook_secret_serves_for_24_hours_more(world: World) -> None:
    clock = world.stack.clock
    # Secrets Manager dates its versions by the real time.
    clock.now = time.time()
    document = world.connect()
    traffic = Traffic(world)
    traffic.send(OLD)
    world.stack.put_connection("shop", secrets_of(document, {"value": NEW}))
    changed = clock.now
    for _ in range(3):
        traffic.send(NEW)
        traffic.send(OLD)
        clock.now += CACHE_SECONDS + 1
    clock.now = changed + timedelta(hours=24).total_seconds() - 60
    traffic.send(OLD)
    assert traffic.refused == 0
    clock.now = changed + timedelta(hours=24).total_seconds() + 60
    traffic.send(OLD)
    assert traffic.statuses[-2:] == [401, 401]
    traffic.send(NEW)
    assert traffic.statuses[-2:] == [200, 200]


@pytest.mark.parametrize("leaked", ["replaced", "in use", "removed"])
@pytest.mark.attack(
    "senders",
    "a webhook secret that has leaked",
    "`relay connections revoke-secret` ends it, without the overlap of a rotation, in every process within a minute",
    "G9",
)
def test_a_revoked_webhook_secret_is_refused_within_a_minute_and_for_good(world: World, leaked: str) -> None:
    clock = world.stack.clock
    clock.now = time.time()
    document = world.connect()
    traffic = Traffic(world)
    traffic.send(OLD)
    store = ConnectionStore(world.stack.client("secretsmanager"), "test", frozenset())
    if leaked == "removed":
        world.stack.put_connection("shop", secrets_of(document, {"value": NEW}))
    else:
        changed = rotated(document, NEW, now=clock.now, overlap_hours=24)
        store.write("shop", changed if leaked == "replaced" else secrets_of(document, {"value": NEW}, {"value": OLD}))
    traffic.send(OLD)
    traffic.send(NEW)
    assert traffic.refused == 0
    value = OLD if leaked == "in use" else None
    data = without_secrets(store.raw("shop"), store.previous("shop"), value, now=clock.now)
    store.write("shop", data)
    world.functions["register"].revocations.announce()
    clock.now += 60
    traffic.send(OLD)
    assert traffic.statuses[-2:] == [401, 401]
    for later in (secrets_of(data, {"value": NEW}), secrets_of(data, {"value": NEW}, {"value": "fake-third"})):
        store.write("shop", later)
        clock.now += CACHE_SECONDS
        traffic.send(OLD)
        assert traffic.statuses[-2:] == [401, 401], "a later change does not bring it back"
    traffic.send(NEW)
    assert traffic.statuses[-2:] == [200, 200]


@pytest.mark.attack(
    "senders",
    "a flood of wrong signatures or invented connections, to run up requests to Secrets Manager",
    "one refetch a minute and connection, refusals remembered for a minute, bounded memory; the gateway's throttle",
    "G8",
)
def test_a_flood_of_wrong_signatures_reads_the_secret_once_a_minute(world: World) -> None:
    world.connect()
    asked = Asked(world)
    for number in range(20):
        assert world.deliver(signed(number, "fake-guess"))["statusCode"] == 401
    current = [text for name, text in asked.requests if name == "aws GetSecretValue" and "AWSCURRENT" in text]
    assert len(current) == 2, "the first look, and one more"


# -- the destination's credential -----------------------------------------------------------------------------------


def new_password(world: World, password: str) -> None:
    """The till's password is changed at the vendor."""
    known = world.control.get("/_sandbox/settings/capillary").json()["orgs"]["demo"]["tills"]
    digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    tills = [{**till, "password_md5": digest} if till["code"] == "demo.till01" else till for till in known]
    world.control.put("/_sandbox/settings/capillary", json={"orgs": {"demo": {"tills": tills}}}).raise_for_status()


def test_a_credential_that_changed_at_both_ends_costs_not_even_a_retry(world: World) -> None:
    document = world.connect()
    world.deliver(signed(1, OLD))
    world.settle()
    rotated = copy.deepcopy(document)
    rotated["destination"]["credentials"] = {**capillary_till(), "password": "fake-new-till-password"}
    new_password(world, "fake-new-till-password")
    world.stack.put_connection("shop", rotated)
    world.deliver(signed(2, OLD))
    world.settle()
    body = {"identifiers": [{"type": "email", "value": "api@example.com"}]}
    # Another function, whose process still holds the old one.
    world.functions["update"].connections.get("shop")
    assert world.call("POST", "/customers", body)[0] == 201
    assert world.outcomes() == ["applied"] * 3
    assert [r.status for r in world.upstream(writes=True)] == [200, 401, 200, 200]


def test_a_credential_that_changes_at_the_vendor_first_parks_nothing(world: World) -> None:
    document = world.connect()
    asked = Asked(world)
    world.deliver(signed(1, OLD))
    world.settle()
    new_password(world, "fake-new-till-password")
    for number in range(2, 8):
        assert world.deliver(signed(number, OLD))["statusCode"] == 200
    world.settle()
    for _ in range(3):
        world.again(after=20)
    assert world.outcomes().count("retrying") == 6
    began = world.stack.clock.now
    rotated = copy.deepcopy(document)
    rotated["destination"]["credentials"] = {**capillary_till(), "password": "fake-new-till-password"}
    world.stack.put_connection("shop", rotated)
    while world.later and world.stack.clock.now - began < 1800:
        world.again(after=61)
    assert world.outcomes() == ["applied"] * 7
    assert world.parked("register") == []
    fetched = [text for name, text in asked.requests if name == "aws GetSecretValue" and "connections/shop" in text]
    minutes = (world.stack.clock.now - began + 60) / REFETCH_SECONDS + 1
    assert len(fetched) <= 2 + minutes, "at most once a minute, besides each function's first look"
    refused = [r for r in world.upstream(writes=True) if r.status == 401]
    assert len(refused) <= 6 + minutes, "one batch, then one probe a minute"


def test_a_kangaroo_password_that_changed_at_both_ends_is_used_at_once(world: World) -> None:
    document = world.connect("shopify", "kangaroo")
    assert world.call("GET", "/tags")[0] == 200
    for switches in ({"password": "fake-new-password"}, {"expires_in": 3920}):
        world.control.put("/_sandbox/settings/kangaroo", json=switches).raise_for_status()
    world.control.post("/_sandbox/reset", json={"keep_settings": True}).raise_for_status()
    rotated = copy.deepcopy(document)
    rotated["destination"]["credentials"]["password"] = "fake-new-password"
    world.stack.put_connection("shop", rotated)
    assert world.call("GET", "/tags")[0] == 200
    world.deliver(signed(1, OLD))
    world.settle()
    assert world.outcomes() == ["applied"]


@pytest.mark.parametrize("platform", ["bigcommerce", "clover", "square"])
def test_a_platforms_token_that_changed_at_both_ends_parks_nothing(platform: str, world: World) -> None:
    document = world.connect(platform, "kangaroo")
    token = document["source"]["api_credentials"]["access_token"]
    broken = copy.deepcopy(document)
    broken["source"]["api_credentials"]["access_token"] = "fake-old-token"
    world.stack.put_connection("shop", broken)
    name = {"bigcommerce": "customer-created", "clover": "customer-create", "square": "location-created"}[platform]
    assert world.deliver(load(platform, name).signed())["statusCode"] == 200
    world.settle()
    assert {entry.reason for entry in world.journal()} <= {"credentials"}
    assert token not in str([r.headers for r in world.upstream(vendor=platform)])
    world.stack.put_connection("shop", document)
    for _ in range(12):
        world.again(after=90)
    assert "parked" not in world.outcomes()
    assert token in str([r.headers for r in world.upstream(vendor=platform)])


# -- API keys -------------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    "callers",
    "a wrong, missing, foreign or revoked key",
    "a key belongs to a connection, only its hash is kept, the secret is read for every request",
    "G4",
)
def test_two_api_keys_live_side_by_side_and_a_revoked_one_ends_at_once(world: World) -> None:
    document = world.connect()
    first, second = "fake-first-key", "fake-second-key"
    connections = world.functions["register"].connections

    def keys(*live: str) -> None:
        listed = [{"id": key, "sha256": hashlib.sha256(key.encode()).hexdigest()} for key in live]
        world.stack.put_connection("shop", {**document, "api_keys": listed})

    def allowed(key: str) -> bool:
        event = {"headers": {"X-Api-Key": key}, "pathParameters": {"connection": "shop"}}
        return bool(authorize(event, connections)["isAuthorized"])

    keys(first)
    assert (allowed(first), allowed(second)) == (True, False)
    keys(first, second)
    assert (allowed(first), allowed(second)) == (True, True)
    keys(second)
    assert (allowed(first), allowed(second)) == (False, True)
