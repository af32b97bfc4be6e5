"""The pages of parked work: groups, one of it, bodies on request, and redrives: planned, confirmed, shown."""

from __future__ import annotations

import json
import re
import threading
from html import unescape
from typing import Any

import pytest

from devkit.console.app import build_app
from devkit.console.safety import Keys
from devkit.queries.audit import disclosures
from devkit.queries.redriving import Redrives
from tests.console.conftest import PORT, Browser, Client, shown
from tests.devkit.conftest import Relay
from tests.devkit.conftest import relay as commands
from tests.devkit.test_parked_views import Gate, Parking

__all__ = ["commands"]
"""The fixture of the commands' tests."""

HOSTILE = "<script>alert(1)</script>\u202eevil\"'><img src=x onerror=alert(2)>{{ 7777*7777 }}"


class Desk(Browser):
    """A browser on the console of a stack in which tests park; ``redrives`` are those that it starts."""

    def __init__(self, parking: Parking) -> None:
        self.keys = Keys()
        self.redrives = Redrives(parking.stack)
        self.client = Client(build_app(parking.stack, self.keys, PORT, redrives=self.redrives))
        self.open()

    def sent(self, path: str, fields: dict[str, str]) -> str:
        """Send a form that leads to another page; return that page after what it started has ended."""
        answer = self.post(path, fields)
        assert answer.status_code == 303, answer.text
        self.wait()
        return str(answer.headers["location"])

    @staticmethod
    def wait() -> None:
        """Wait until no redrive runs."""
        for thread in threading.enumerate():
            if thread.name.startswith("redrive-"):
                thread.join(30)


@pytest.fixture
def parking(commands: Relay) -> Parking:
    return Parking(commands)


@pytest.fixture
def desk(parking: Parking) -> Desk:
    return Desk(parking)


def fields(html: str) -> dict[str, str]:
    """Return the hidden fields of a page's form, without its token."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', html)
    return {name: unescape(value) for name, value in found if name != "csrf"}


def test_parked_work_is_grouped_with_what_it_means_and_what_to_do(desk: Desk, parking: Parking) -> None:
    parking.park("0199-a")
    parking.park("0199-b")
    parking.park("0199-c", "ambiguous")

    html = desk.get("/parked")
    text = shown(html)

    assert "3 parked, by reason" in text
    assert "The destination rejected the command; the code is its own. Look the vendor code up" in text
    assert "one by one" in text
    assert 'href="/parked/redrive?connection=shop-gb&amp;reason=rejected"' in html
    assert 'href="/parked/register/0199-a.0"' in html
    assert len(parking.left()) == 3


def test_the_twin_is_what_the_command_line_prints(desk: Desk, parking: Parking, commands: Relay) -> None:
    parking.park("0199-a")
    parking.park("0199-b", "ambiguous")

    def same(one: Any, other: Any) -> bool:
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert same(desk.json("/parked.json"), commands.json("parked", "list"))
    assert same(desk.json("/parked/register/0199-a.0.json"), commands.json("parked", "show", "0199-a.0"))
    assert same(desk.json("/parked/redrive.json"), commands.json("redrive", "--all", "--dry-run"))


def test_nothing_parked_is_a_page_of_its_own(desk: Desk, parking: Parking) -> None:
    assert "Nothing is parked What cannot succeed as it is comes here" in shown(desk.get("/parked"))
    assert "Nothing is parked that matches" in shown(desk.get("/parked?reason=rejected"))
    assert "unknown reason nope" in shown(desk.get("/parked?reason=nope", 400))
    assert "too long" in shown(desk.get(f"/parked?reason={'x' * 300}", 400))
    parking.sqs.send_message(QueueUrl=parking.env["RELAY_PARKED_REGISTER"], MessageBody="x")
    parking.sqs.receive_message(QueueUrl=parking.env["RELAY_PARKED_REGISTER"], VisibilityTimeout=60)
    assert "Another reading has about 1 messages" in shown(desk.get("/parked"))


def test_a_body_is_shown_on_request_only_and_the_request_is_on_the_page(desk: Desk, parking: Parking) -> None:
    parking.park("0199-a")

    before = desk.get("/parked/register/0199-a.0")
    desk.get("/parked/register/0199-a.0/body", 404)
    desk.client.get("/parked/register/0199-a.0/body")
    assert disclosures(parking.stack, "shop-gb") == []
    requested = desk.post("/parked/register/0199-a.0/body", {})
    after = desk.get("/parked/register/0199-a.0")

    assert "Ana" not in before
    assert "&lt;text of 3&gt;" in before
    assert "Ana" in requested.text
    assert "Your request was recorded" in requested.text
    assert "Ana" not in after
    assert "Requests for its body" in after
    assert "arn:aws:" in after


def test_a_redrive_is_counted_confirmed_and_reported(desk: Desk, parking: Parking) -> None:
    for name in ("a", "b"):
        parking.park(f"0199-{name}")
    parking.park("0199-c", "ambiguous")
    parking.park("0199-d", connection="shop-fr")

    plan = desk.get("/parked/redrive?connection=shop-gb")
    assert "2 would be sent" in shown(plan)
    assert parking.sent() == []
    assert fields(plan) == {"connection": "shop-gb", "reason": "", "at_most": "2"}
    parking.park("0199-e")
    done = desk.get(desk.sent("/parked/redrive", fields(plan)))

    assert "2 of 2" in shown(done)
    assert "Left 1" in shown(done), "what was parked after the count is not sent"
    assert 'href="/deliveries/0199-a"' in done
    assert 'href="/parked?connection=shop-gb"' in done
    assert parking.sent() == ["0199-a", "0199-b"]
    assert "data-refresh" not in done


@pytest.mark.parametrize("most", ["", "0", "1001", "-1", "x", "９"])
def test_a_redrive_needs_the_number_that_was_confirmed(desk: Desk, parking: Parking, most: str) -> None:
    parking.park("0199-a")
    assert desk.post("/parked/redrive", {"connection": "", "reason": "", "at_most": most}).status_code == 400
    assert parking.sent() == []


def test_ambiguous_work_is_redriven_one_by_one_after_a_look_at_the_vendor(desk: Desk, parking: Parking) -> None:
    parking.park("0199-a", "ambiguous")
    here = "/parked/register/0199-a.0"

    assert "could credit twice" in shown(desk.get("/parked/redrive?reason=ambiguous", 400))
    assert desk.post("/parked/redrive", {"reason": "ambiguous", "at_most": "1"}).status_code == 400
    assert 'name="compared"' in desk.get(here)
    assert desk.post(f"{here}/redrive", {}).status_code == 400
    assert parking.sent() == []
    done = desk.get(desk.sent(f"{here}/redrive", {"compared": "yes"}))

    assert "1 of 1" in shown(done)
    assert parking.sent() == ["0199-a"]


def test_a_redrive_that_runs_is_followed_and_no_other_is_started(
    desk: Desk, parking: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    parking.park("0199-a")
    parking.park("0199-b", connection="shop-fr")
    gate = Gate(monkeypatch)

    started = desk.post("/parked/redrive", {"connection": "shop-gb", "at_most": "1"})
    assert gate.reached.wait(30)
    here = started.headers["location"]
    running, list_ = desk.get(here), desk.get("/parked")
    other = desk.post("/parked/redrive", {"at_most": "1"})
    gate.opened.set()
    desk.wait()

    assert 'data-refresh="1"' in running
    assert "0 of 1" in shown(running)
    assert desk.json(f"{here}.json")["ended"]
    assert f'href="{here}"' in list_
    assert "1 parked, by reason" in shown(list_)
    assert other.status_code == 400
    assert "another redrive is running" in other.text


def test_what_failed_is_listed_with_what_to_do(desk: Desk, parking: Parking) -> None:
    parking.send("REGISTER", "???", reason="unreadable", connection="shop-gb")

    done = shown(desk.get(desk.sent("/parked/redrive", {"at_most": "1"})))

    assert "Not redriven" in done
    assert "holds no command let the source send the delivery again" in done


def test_what_does_not_exist_is_a_404(desk: Desk, parking: Parking) -> None:
    parking.park("0199-a")
    for path in ("/parked/register/nope", "/parked/nope/0199-a", "/parked/update/0199-a.0", "/redrives/nope"):
        desk.get(path, 404)


def test_hostile_texts_are_texts(desk: Desk, parking: Parking) -> None:
    parking.park("0199-a", HOSTILE)
    parking.send(
        "INGEST", json.dumps({"detail": HOSTILE, "topic": HOSTILE, "source": HOSTILE, "body": HOSTILE}),
        reason=HOSTILE, connection=HOSTILE, delivery_id="0199-b", code=HOSTILE,
    )  # fmt: skip
    pages = [desk.get("/parked"), desk.get("/parked/ingest/0199-b"), desk.get("/parked/register/0199-a.0")]
    pages += [desk.post("/parked/ingest/0199-b/body", {}).text, desk.get("/parked/redrive")]
    pages += [desk.get(desk.sent("/parked/redrive", {"at_most": "5"}))]

    for html in pages:
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "60481729" not in html


def test_the_runbooks_are_pages(desk: Desk, parking: Parking) -> None:
    parking.park("0199-a")
    assert 'href="/docs/runbooks/parked.md"' in desk.get("/parked/register/0199-a.0")
    page = desk.get("/docs/runbooks/parked.md")
    assert "<table>" in page
    assert 'href="../cli.md"' in page
    for path in ("/docs/../pyproject.toml", "/docs/%2e%2e/pyproject.toml", "/docs/nope.md", "/docs/openapi.json"):
        desk.get(path, 404)
