"""G12: after an import no customer of the shop is missing without a recorded reason, whatever happened meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from devkit.sandbox.platforms.population import FIRST
from loyalty_relay.model.commands import AdvanceRun, Envelope, Event
from loyalty_relay.runs.run import Run
from loyalty_relay.runs.store import Runs
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.base import ListingSource
from tests.guarantees.world import World
from tests.support.runs import in_all

PEOPLE = 10
PLATFORMS = [name for name in platforms() if isinstance(source_module(name), ListingSource)]


UNREACHABLE = {"lightspeed": 1}
"""Customers without e-mail and phone, whom no programme can have; the proof counts them by that reason."""


def shop_of(world: World, platform: str, vendor: str = "capillary", people: int = PEOPLE, **more: Any) -> None:
    document = world.connect(platform, vendor, **more)
    keys = {"consumer_key": "ck_fake", "consumer_secret": "cs_fake"}
    document["source"]["api_credentials"] = (
        keys if platform == "woocommerce" else {"access_token": f"fake-{platform}-token"}
    )
    if platform == "adobe":
        document["source"]["options"] = {"shop_url": f"{world.vendors.url}/adobe"}
    world.stack.put_connection("shop", document)
    world.restart()
    world.control.put(f"/_sandbox/settings/{platform}", json={"customers": people}).raise_for_status()


def emails(world: World, vendor: str = "capillary") -> set[str]:
    return {text for member in world.members(vendor) for text in str(member).split("'") if "@example.com" in text}


def scheduled(world: World, connection: str = "shop", webhook_url: str = "") -> None:
    """The message that a schedule sends."""
    event = Event(source="relay", topic="reconciliation", id="schedule", entity_id=connection)
    command = AdvanceRun(run="", begins=True, webhook_url=webhook_url)
    message = Envelope(delivery_id="schedule", connection=connection, event=event, command=command)
    queue = world.stack.environment["RELAY_QUEUE_IMPORT_RUN"]
    world.stack.client("sqs").send_message(QueueUrl=queue, MessageBody=message.to_json())


def latest(world: World) -> Run:
    found = world.functions["import-run"].runs.get("shop")
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("platform", "vendor"), [*((name, "capillary") for name in PLATFORMS), ("bigcommerce", "kangaroo")]
)
def test_every_customer_of_the_shop_is_a_member_and_the_proof_counts_them(
    world: World, platform: str, vendor: str
) -> None:
    shop_of(world, platform, vendor)
    run = world.run()
    assert run.proven, run
    assert in_all(run.first) == run.first.read
    assert in_all(run.proof) == run.proof.read
    assert {f"customer{FIRST + n}@example.com" for n in range(PEOPLE)} <= emails(world, vendor)
    writes = len(world.upstream(writes=True, vendor=vendor))
    again = world.run()
    assert (again.first.missing, again.first.different) == (UNREACHABLE.get(platform, 0), 0)
    assert again.sent == again.first.missing
    assert len(world.upstream(writes=True, vendor=vendor)) == writes


@pytest.mark.parametrize("platform", PLATFORMS)
def test_customers_whose_webhooks_were_lost_are_found_by_a_reconciliation(world: World, platform: str) -> None:
    """Although the platform throttles, and a page breaks off. One is new, another has another name."""
    shop_of(world, platform, people=3)
    assert world.run().proven
    saved = {str(FIRST): world.stack.clock.now - 3600}
    settings = {"customers": 4, "customers_saved": saved}
    world.control.put(f"/_sandbox/settings/{platform}", json=settings).raise_for_status()
    world.fault(
        {"vendor": platform, "error": "rate_limit", "count": 1},
        {"vendor": platform, "truncate": 30, "count": 1},
    )
    run = world.run("reconciliation")
    assert (run.first.missing, run.first.different) == (1 + UNREACHABLE.get(platform, 0), 1)
    assert (run.proof.missing, run.proof.different) == (0, 0)
    assert run.proven
    assert f"customer{FIRST + 3}@example.com" in emails(world)


def test_a_vendor_that_is_down_delays_the_proof_and_loses_no_customer(world: World) -> None:
    shop_of(world, "bigcommerce", people=12)
    world.fault({"vendor": "capillary", "status": 503, "body": {}, "count": 9})
    run = world.run(receives=200)
    assert run.proven, run
    assert {f"customer{FIRST + n}@example.com" for n in range(12)} <= emails(world)


def test_a_customer_whom_the_vendor_refuses_is_counted_by_the_reason(world: World) -> None:
    shop_of(world, "bigcommerce", people=6)
    rule = {"vendor": "capillary", "method": "POST", "path": "/v2/customers", "status": 400, "count": 1}
    world.fault({**rule, "body": {"errors": [{"code": 8003, "message": "refused"}]}})
    run = world.run()
    assert run.proven
    assert sum(run.proof.skipped.values()) == 1


def test_a_platform_that_refuses_the_token_stops_nothing_else_and_the_run_goes_on_when_it_is_mended(
    world: World,
) -> None:
    shop_of(world, "bigcommerce", people=6)
    world.control.put("/_sandbox/settings/bigcommerce", json={"access_token": "fake-other"}).raise_for_status()
    with pytest.raises(AssertionError, match="does not end"):
        world.run(receives=3)
    waiting = world.functions["import-run"].runs.get("shop")
    assert waiting is not None
    assert "refuse" in waiting[0].note
    world.control.put(
        "/_sandbox/settings/bigcommerce", json={"access_token": "fake-bigcommerce-token"}
    ).raise_for_status()
    for _ in range(40):
        world.again(after=1000)
    found = world.functions["import-run"].runs.get("shop")
    assert found is not None
    assert found[0].proven


def test_a_platform_that_denies_the_listing_stops_the_run_and_the_next_one_may_begin(
    world: World,
) -> None:
    shop_of(world, "shopify", people=3)
    world.control.put("/_sandbox/settings/shopify", json={"denied": True}).raise_for_status()
    run = world.run()
    assert run.status == "stopped"
    assert "ACCESS_DENIED" in run.note
    assert not run.proven
    names = (world.stack.environment[f"RELAY_{table}_TABLE"] for table in ("STATE", "JOURNAL"))
    (report,) = Runs(world.stack.client("dynamodb"), *names, clock=world.stack.clock).reports("shop")
    assert report == run
    assert world.parked("import-run") == []
    world.control.put("/_sandbox/settings/shopify", json={"denied": False}).raise_for_status()
    world.stack.clock.now += 60
    assert world.run().proven


def test_a_schedule_reads_everyone_first_and_then_what_changed(world: World) -> None:
    shop_of(world, "bigcommerce", people=3)
    runs = []
    for _ in range(2):
        scheduled(world)
        for _ in range(8):
            world.again(after=30)
        runs.append(latest(world))
        world.stack.clock.now += 86_400
    assert [run.proven for run in runs] == [True, True]
    assert [bool(run.since) for run in runs] == [False, True]
    assert runs[0].id != runs[1].id
    assert world.parked("import-run") == []


def test_a_schedule_begins_nothing_while_a_run_is_under_way_and_for_a_connection_that_is_not_there(
    world: World,
) -> None:
    shop_of(world, "bigcommerce", people=3)
    services = world.functions["import-run"]
    running = Run(id="0199", connection="shop", kind="import", started_at=world.stack.clock.now)
    assert services.runs.begin(running)
    scheduled(world)
    scheduled(world, "removed")
    world.settle()
    assert latest(world) == running
    assert sorted(entry.reason for entry in world.journal()) == ["no_connection", "run_under_way"]
    assert world.later == []


@pytest.mark.parametrize("setting", ["report", "revive"])
def test_a_schedule_reports_missing_subscriptions_and_revives_them_where_it_may(world: World, setting: str) -> None:
    document = world.connect("bigcommerce", "kangaroo")
    document["source"] |= {
        "api_credentials": {"access_token": "fake-bigcommerce-token"},
        "subscriptions": setting,
    }
    world.stack.put_connection("shop", document)
    world.restart()
    scheduled(world, webhook_url="https://relay.example.com/webhooks/shop")
    world.work("import-run", world.stack.receive("import-run")["Records"])
    state = world.control.get("/_sandbox/state/bigcommerce").json()
    made = [one for path, one in state.items() if "/v3/hooks/" in path]
    assert latest(world).reviewed
    if setting == "revive":
        assert (latest(world).subscriptions, len(made)) == ("", 12)
    else:
        assert latest(world).subscriptions.startswith("missing: store/customer/created")
        assert made == []


def test_a_platform_that_refuses_the_review_of_subscriptions_delays_no_run(world: World) -> None:
    shop_of(world, "bigcommerce", people=3)
    world.fault({"vendor": "bigcommerce", "path": "/stores/*/v3/hooks", "status": 403})
    scheduled(world, webhook_url="https://relay.example.com/webhooks/shop")
    for _ in range(8):
        world.again(after=30)
    assert latest(world).proven
    assert "could not be looked at" in latest(world).subscriptions


def test_a_schedules_message_that_is_delivered_twice_begins_one_run(world: World) -> None:
    shop_of(world, "bigcommerce", people=3)
    scheduled(world)
    records = world.stack.receive("import-run")["Records"]
    world.work("import-run", records)
    first = latest(world)
    world.work("import-run", records)
    for _ in range(8):
        world.again(after=30)
    assert latest(world).id == first.id
    assert latest(world).proven
    assert len(world.functions["import-run"].runs.reports("shop")) == 1


def test_a_customer_whose_deletion_was_lost_is_found_by_the_comparison_of_all_ids(world: World) -> None:
    shop_of(world, "bigcommerce", people=4)
    assert world.run().proven
    removed = {"customers": 4, "customers_removed": [FIRST + 1]}
    world.control.put("/_sandbox/settings/bigcommerce", json=removed).raise_for_status()
    run = world.run("reconciliation")
    assert (run.status, run.unlisted, run.deleted) == ("done", 1, 1)
    world.settle()
    assert [e.reason for e in world.journal() if e.topic == "unlisted"] == ["customer_deleted"]


@pytest.mark.parametrize("vendor", ["capillary", "kangaroo"])
def test_a_member_whom_the_vendor_lost_is_found_by_reading_back(world: World, vendor: str) -> None:
    shop_of(world, "bigcommerce", vendor, people=3)
    assert world.run().proven
    world.stack.clock.now += 3600
    world.control.post("/_sandbox/reset", json={"keep_settings": True}).raise_for_status()
    run = world.run("reconciliation")
    assert run.missed == run.read_back >= 3, run
    assert run.proven, run
    assert {f"customer{FIRST + n}@example.com" for n in range(3)} <= emails(world, vendor)
