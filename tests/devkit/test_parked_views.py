"""Parked work as command line and console show it: groups, one of it, bodies on request, redrives."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from devkit.queries import redriving
from devkit.queries.audit import disclosures
from devkit.queries.parked import export_parked, parked_details, parked_work
from devkit.queries.parked_queues import HIDE, ParkedFilters, ParkedQueues
from devkit.queries.redriving import MARGIN, Redrive, Redrives
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack, stack_of_environment
from loyalty_relay.model.commands import Envelope
from tests.devkit.conftest import Relay
from tests.devkit.test_parked_queues import ENVELOPE


class Parking:
    """A stack in process, and what parks in it."""

    def __init__(self, relay: Relay) -> None:
        self.env = relay.env
        self.stack: Stack = stack_of_environment(relay.env)
        self.sqs = boto3.client("sqs")

    def park(self, id: str, reason: str = "rejected", *, connection: str = "shop-gb", queue: str = "REGISTER") -> None:
        envelope = replace(ENVELOPE, delivery_id=id, connection=connection, event=replace(ENVELOPE.event, id=id))
        self.send(queue, envelope.to_json(), reason=reason, connection=connection)

    def send(self, queue: str, body: str, **attributes: str) -> None:
        self.sqs.send_message(
            QueueUrl=self.env[f"RELAY_PARKED_{queue}"],
            MessageBody=body,
            MessageAttributes={n: {"DataType": "String", "StringValue": v} for n, v in attributes.items()},
        )

    def sent(self, queue: str = "REGISTER") -> list[str]:
        """Return the deliveries in an operation's queue."""
        answer = self.sqs.receive_message(
            QueueUrl=self.env[f"RELAY_QUEUE_{queue}"], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return sorted(Envelope.from_json(m["Body"]).delivery_id for m in answer.get("Messages", []))

    def left(self) -> list[str]:
        """Return what anyone can see parked at this moment."""
        return [p.id for p in parked_work(self.stack, ParkedFilters()).parked]


@pytest.fixture
def parking(relay: Relay) -> Parking:
    return Parking(relay)


def test_groups_are_by_connection_and_reason_the_largest_first(parking: Parking) -> None:
    for number in range(3):
        parking.park(f"0199-a{number}")
    parking.park("0199-a0")
    parking.park("0199-b", "ambiguous", queue="UPDATE")
    parking.park("0199-c", connection="shop-fr")

    work = parked_work(parking.stack, ParkedFilters())

    assert [(g.connection, g.reason, g.count) for g in work.groups] == [
        ("shop-gb", "rejected", 3),
        ("shop-fr", "rejected", 1),
        ("shop-gb", "ambiguous", 1),
    ]
    assert (work.count, work.more, len(work.parked)) == (5, False, 5)
    assert work.groups[0].oldest == min(p.parked_at or 0.0 for p in work.parked)
    assert "Look the vendor code up" in work.groups[0].do
    assert len(parking.left()) == 5


def test_a_view_of_many_shows_the_first_and_counts_all(parking: Parking) -> None:
    for number in range(25):
        parking.park(f"0199-{number:02}")

    shown = parked_work(parking.stack, ParkedFilters(), shown=7)
    bounded = parked_work(parking.stack, ParkedFilters(), at_most=20)

    assert (shown.count, len(shown.parked), shown.more) == (25, 7, False)
    assert (bounded.count, bounded.more) == (20, True)
    assert len(parking.left()) == 25


def test_one_is_shown_without_its_values_until_its_body_is_requested(parking: Parking) -> None:
    parking.park("0199-a")

    (shown,) = parked_details(parking.stack, "0199-a")
    before = shown.as_json()
    (whole,) = parked_details(parking.stack, "0199-a", body=True)

    assert "Ana" not in json.dumps(before)
    assert before["outline"]["command"]["fields"] == {"first_name": "<text of 3>"}
    assert before["disclosures"] == []
    assert "Ana" in whole.as_json()["body"]
    (recorded,) = whole.disclosures
    assert (recorded.what, recorded.subject) == ("body", "0199-a.0")
    assert recorded.who.startswith("arn:aws:")
    assert parked_details(parking.stack, "0199-a.0")[0].disclosures == whole.disclosures


def test_a_body_is_not_returned_where_the_request_cannot_be_recorded(
    parking: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    parking.park("0199-a")

    def refuse(*_: object) -> None:
        raise CommandError("no")

    monkeypatch.setattr("devkit.queries.parked.disclose", refuse)
    with pytest.raises(CommandError, match="no"):
        parked_details(parking.stack, "0199-a", body=True)
    with pytest.raises(CommandError, match="no"):
        export_parked(parking.stack, ParkedFilters())
    assert parking.left() == ["0199-a.0"]


def test_an_export_is_recorded_for_each_connection(parking: Parking) -> None:
    parking.park("0199-a")
    parking.park("0199-b")
    parking.park("0199-c", connection="shop-fr")

    assert len(export_parked(parking.stack, ParkedFilters())) == 3

    assert [(d.what, d.subject) for d in disclosures(parking.stack, "shop-gb")] == [("export", "2 parked")]
    assert [(d.what, d.subject) for d in disclosures(parking.stack, "shop-fr")] == [("export", "1 parked")]


def test_requests_of_one_millisecond_are_all_recorded(parking: Parking, monkeypatch: pytest.MonkeyPatch) -> None:
    parking.park("0199-a")
    monkeypatch.setattr("devkit.queries.audit.time.time", lambda: 1_790_000_000.0)

    for _ in range(3):
        parked_details(parking.stack, "0199-a", body=True)

    assert len(disclosures(parking.stack, "shop-gb")) == 3


def test_a_dry_run_counts_and_sends_nothing(parking: Parking) -> None:
    parking.park("0199-a")
    parking.park("0199-b", "ambiguous")
    parking.park("0199-c", connection="shop-fr")

    report = Redrive(parking.stack, ParkedFilters(connection="shop-gb"), dry_run=True).run()

    assert (report.total, report.skipped, report.left, report.failed) == (1, 1, 0, ())
    assert parking.sent() == []
    assert len(parking.left()) == 3


def test_a_redrive_sends_at_most_its_bound_oldest_first_and_reports_the_rest(parking: Parking) -> None:
    for name in ("a", "b", "c"):
        parking.park(f"0199-{name}")

    report = Redrive(parking.stack, ParkedFilters(), at_most=2).run()

    assert (len(report.redriven), report.left, report.ended) == (2, 1, True)
    assert parking.sent() == ["0199-a", "0199-b"]
    assert parking.left() == ["0199-c.0"]


def test_ambiguous_work_is_sent_only_by_its_id(parking: Parking) -> None:
    parking.park("0199-a", "ambiguous")

    with pytest.raises(CommandError, match="could credit twice"):
        Redrive(parking.stack, ParkedFilters(reason="ambiguous"))
    many = Redrive(parking.stack, ParkedFilters()).run()
    one = Redrive(parking.stack, ParkedFilters(one="0199-a")).run()

    assert (many.total, many.skipped) == (0, 1)
    assert (len(one.redriven), one.skipped) == (1, 0)


def test_what_cannot_be_sent_stays_parked_and_is_reported_beside_the_rest(parking: Parking) -> None:
    parking.send("REGISTER", "???", reason="unreadable")
    parking.park("0199-b")
    raw = {"connection": "no-such", "delivery_id": "0199-c", "received_at": 0, "method": "POST", "headers": {}}
    raw |= {"query": {}, "body": base64.b64encode(zlib.compress(b"{}")).decode()}
    parking.send("INGEST", json.dumps(raw), reason="bad_field", connection="no-such", delivery_id="0199-c")

    parking.send("INGEST", json.dumps({"body": "AAAA"}), reason="not_json", delivery_id="0199-d")

    report = Redrive(parking.stack, ParkedFilters()).run()

    assert [p.delivery_id for p, _ in report.redriven] == ["0199-b"]
    assert {p.reason for p, _ in report.failed} == {"unreadable", "bad_field", "not_json"}
    assert len(parking.left()) == 3
    assert report.as_json()["failed"][0]["message"]


def test_a_redrive_hides_only_what_it_sends(parking: Parking) -> None:
    parking.park("0199-a")
    parking.park("0199-b", connection="shop-fr")
    seen: list[list[str]] = []

    Redrive(parking.stack, ParkedFilters(connection="shop-gb")).run(lambda _: seen.append(parking.left()))

    assert seen[0] == ["0199-b.0"]


def test_a_redrive_ends_before_its_messages_are_visible_to_others(
    parking: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    parking.park("0199-a")
    parking.park("0199-b")
    now = [0.0]
    monkeypatch.setattr("devkit.queries.redriving.time.monotonic", lambda: now[0])

    def later(report: Any) -> None:
        now[0] += (HIDE - MARGIN) * 0.6

    report = Redrive(parking.stack, ParkedFilters()).run(later)

    assert (len(report.redriven), report.left) == (1, 1)
    assert parking.left() == ["0199-b.0"]


class Gate:
    """Holds every redrive of one piece of work until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        real: Callable[..., str] = redriving.redrive_one

        def held(*given: Any) -> str:
            self.reached.set()
            assert self.opened.wait(30)
            return real(*given)

        monkeypatch.setattr(redriving, "redrive_one", held)


def test_a_console_runs_one_redrive_at_a_time_and_shows_how_far_it_is(
    parking: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        parking.park(f"0199-{name}")
    gate, jobs = Gate(monkeypatch), Redrives(parking.stack)

    job = jobs.start(ParkedFilters())
    assert gate.reached.wait(30)
    during = jobs.get(job)
    assert jobs.running() == job
    with pytest.raises(CommandError, match="another redrive is running"):
        jobs.start(ParkedFilters())
    gate.opened.set()
    jobs.stop()

    assert (during.total, during.done, during.ended) == (3, 0, False)
    after = jobs.get(job)
    assert after.ended
    assert after.done + after.left == 3
    assert after.done >= 1
    assert jobs.running() is None
    with pytest.raises(CommandError, match="no such redrive"):
        jobs.get("other")


def test_what_ends_a_redrive_early_is_in_its_report(parking: Parking, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OSError("connection lost")

    monkeypatch.setattr(ParkedQueues, "opened", lost)
    jobs = Redrives(parking.stack)

    job = jobs.start(ParkedFilters())
    jobs.stop()

    report = jobs.get(job)
    assert (report.ended, report.total) == (True, None)
    assert report.problem is not None
    assert "OSError" in report.problem.what


def test_two_readings_of_one_process_both_see_everything(parking: Parking) -> None:
    for number in range(12):
        parking.park(f"0199-{number:02}")
    counts: list[int] = []

    def look() -> None:
        counts.append(parked_work(parking.stack, ParkedFilters()).count)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [12, 12, 12, 12]


def test_what_another_process_reads_at_the_moment_is_counted_as_hidden(parking: Parking) -> None:
    parking.park("0199-a")
    parking.sqs.receive_message(QueueUrl=parking.env["RELAY_PARKED_REGISTER"], VisibilityTimeout=60)

    work = parked_work(parking.stack, ParkedFilters())

    assert (work.count, work.hidden) == (0, 1)
