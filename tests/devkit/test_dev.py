"""``relay dev`` as a person runs it: ready in one line, an event sent and sent again, everything gone at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from devkit.cli.app import app

pytestmark = pytest.mark.stack

CHECKOUT = Path(__file__).parents[2]


class Dev:
    """A running ``relay dev`` of its own, and commands that find it by its state file."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "dev.json"
        unset = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "RELAY_STACK", "RELAY_JOURNAL_TABLE")
        self.env = {name: value for name, value in os.environ.items() if name not in unset}
        self.env["RELAY_LOCAL_STATE"] = str(self.state)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devkit", "dev", "--port", "0", "--json"],
            cwd=CHECKOUT,
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline())

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in this process: starting one for each takes longer than most of what they do."""
        given = env or self.env
        words = [*arguments, *(("--wait", "90") if "send" in arguments or "link-store" in arguments else ()), "--json"]
        unset = dict.fromkeys(os.environ.keys() - given.keys())
        result = CliRunner().invoke(app, words, env={**unset, **given}, catch_exceptions=False)
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)

    def upstream(self) -> list[tuple[str, str]]:
        with urllib.request.urlopen(f"{self.ready['sandbox']}/_sandbox/requests?vendor=capillary") as answer:  # noqa: S310
            requests = json.load(answer)["requests"]
        return [(request["method"], request["path"]) for request in requests]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(90)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    running = Dev(tmp_path_factory.mktemp("dev"))
    yield running
    if running.process.poll() is None:
        running.stop()


def test_the_ready_line_names_every_url(dev: Dev) -> None:
    assert set(dev.ready) == {"ready", "api", "sandbox", "aws", "console"}
    assert dev.ready["ready"] is True
    assert json.loads(dev.state.read_text())["api"] == dev.ready["api"]


def test_the_console_is_open_for_who_has_its_address(dev: Dev) -> None:
    with httpx.Client(follow_redirects=True) as client:
        closed = client.get(dev.ready["console"].partition("?")[0])
        home = client.get(dev.ready["console"])
        parked = client.get(httpx.URL(dev.ready["console"]).copy_with(path="/parked", query=None))

    assert (closed.status_code, home.status_code, parked.status_code) == (403, 200, 200)
    assert "Nothing is parked" in parked.text


def test_a_command_of_its_own_process_finds_the_stack(dev: Dev) -> None:
    words = [sys.executable, "-m", "devkit", "connections", "list", "--json"]
    done = subprocess.run(words, cwd=CHECKOUT, env=dev.env, capture_output=True, text=True, check=True)

    assert "shopify-capillary" in [row["id"] for row in json.loads(done.stdout)]


def test_an_event_is_applied_once_and_is_a_duplicate_when_it_is_sent_again(dev: Dev) -> None:
    first = dev.run("send", "shopify", "customers/create")
    again = dev.run("send", "shopify", "customers/create")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    outcomes = [json.loads(run.stdout)["outcomes"][0]["outcome"] for run in (first, again)]
    assert outcomes == ["applied", "duplicate"]
    assert [call for call in dev.upstream() if call[0] != "GET"] == [("POST", "/v2/customers")]
    delivery = json.loads(first.stdout)["delivery_id"]
    shown = json.loads(dev.run("events", "show", delivery).stdout)
    assert [entry["outcome"] for entry in shown["outcomes"]] == ["applied"]
    for who in ("Ana.Nunez@example.com", "07700 900123", "7012345678901"):
        listed = json.loads(dev.run("events", "list", "--customer", who).stdout)["events"]
        assert delivery in [entry["delivery_id"] for entry in listed], who


def applied(dev: Dev, delivery: str) -> list[str]:
    """What became of a delivery in the end."""
    tick = threading.Event()
    for _ in range(300):
        outcomes = [e["outcome"] for e in json.loads(dev.run("events", "show", delivery).stdout)["outcomes"]]
        if "applied" in outcomes:
            break
        tick.wait(0.2)
    return outcomes


def sample_without_sales() -> dict[str, Any]:
    """The sample connection as a second one of the same shop: bill numbers are one connection's."""
    data: dict[str, Any] = json.loads((CHECKOUT / "events" / "connections" / "shopify-capillary.json").read_text())
    del data["sales"]
    return data


def test_a_delivery_that_never_names_a_customer_stays_parked(dev: Dev, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"note": "signed, but no customer"}))
    connection = tmp_path / "parking.json"
    connection.write_text(json.dumps(sample_without_sales()))
    assert dev.run("connections", "apply", str(connection)).returncode == 0

    sent = dev.run("send", "shopify", "customers/update", "--connection", "parking", "--file", str(body))
    listed = json.loads(dev.run("parked", "list", "--connection", "parking").stdout)["parked"]
    redriven = dev.run("redrive", "--connection", "parking", "--yes")

    assert sent.returncode == 1
    assert json.loads(sent.stdout)["outcomes"][0]["outcome"] == "parked"
    assert [parked["operation"] for parked in listed] == ["ingest"]
    assert redriven.returncode == 1
    assert [failed["field"] for failed in json.loads(redriven.stdout)["failed"]] == [listed[0]["id"]]
    assert len(json.loads(dev.run("parked", "list", "--connection", "parking").stdout)["parked"]) == 1


def test_a_delivery_that_a_mapping_failed_on_is_applied_once_the_mapping_is_mended(dev: Dev, tmp_path: Path) -> None:
    data = sample_without_sales()
    file = tmp_path / "mapped.json"
    file.write_text(json.dumps(data | {"mapping": {"customers/create": {"custom_fields.note": "length(id)"}}}))
    assert dev.run("connections", "apply", str(file)).returncode == 0
    sent = json.loads(dev.run("send", "shopify", "customers/create", "--connection", "mapped").stdout)
    assert [(o["outcome"], o["reason"]) for o in sent["outcomes"]] == [("parked", "mapping_failed")]

    file.write_text(json.dumps(data))
    assert dev.run("connections", "apply", str(file)).returncode == 0
    redriven = dev.run("redrive", "--connection", "mapped", "--yes")

    assert redriven.returncode == 0, redriven.stdout
    assert len(json.loads(redriven.stdout)["redriven"]) == 1
    assert applied(dev, sent["delivery_id"])[-1] == "applied"
    assert json.loads(dev.run("parked", "list", "--connection", "mapped").stdout)["parked"] == []


def test_a_command_that_the_vendor_refused_is_applied_once_the_vendor_takes_it(dev: Dev, tmp_path: Path) -> None:
    connection = tmp_path / "refusing.json"
    connection.write_text(json.dumps(sample_without_sales()))
    assert dev.run("connections", "apply", str(connection)).returncode == 0
    refusal = {"vendor": "capillary", "method": "POST", "status": 400, "body": {"errors": [{"code": 8014}]}}
    httpx.put(f"{dev.ready['sandbox']}/_sandbox/faults", json=[refusal]).raise_for_status()
    somebody = ("--set", "id=88001", "--set", "email=refused@example.com", "--set", "phone=+447700900555")
    sent = json.loads(dev.run("send", "shopify", "customers/create", "--connection", "refusing", *somebody).stdout)
    assert [(o["outcome"], o["code"]) for o in sent["outcomes"]] == [("parked", "8014")]

    again = json.loads(dev.run("send", "shopify", "customers/create", "--connection", "refusing", *somebody).stdout)
    httpx.put(f"{dev.ready['sandbox']}/_sandbox/faults", json=[]).raise_for_status()
    listed = json.loads(dev.run("parked", "list", "--connection", "refusing").stdout)["parked"]
    redriven = dev.run("redrive", "--connection", "refusing", "--reason", listed[0]["reason"], "--yes")

    assert [o["outcome"] for o in again["outcomes"]] == ["parked"]
    assert len(listed) == 1, "a copy of what is parked is not parked again"
    assert redriven.returncode == 0, redriven.stdout
    assert applied(dev, sent["delivery_id"])[-1] == "applied"
    assert json.loads(dev.run("parked", "list", "--connection", "refusing").stdout)["parked"] == []


def test_a_wrong_signature_is_refused_and_reaches_no_vendor(dev: Dev) -> None:
    before = dev.upstream()

    sent = dev.run("send", "shopify", "customers/enable", "--secret", "fake-secret-of-somebody-else")

    assert sent.returncode == 1
    assert json.loads(sent.stdout)["status"] == 401
    assert dev.upstream() == before


def test_the_prerequisites_of_both_vendors_are_checked(dev: Dev) -> None:
    for connection in ("shopify-capillary", "shopify-kangaroo"):
        checked = dev.run("connections", "check", connection)
        assert checked.returncode == 0, checked.stdout
        assert json.loads(checked.stdout)["findings"]


def test_a_business_is_authorized_by_the_code_of_its_page(dev: Dev, tmp_path: Path) -> None:
    data = json.loads((CHECKOUT / "events" / "connections" / "shopify-kangaroo.json").read_text())
    data["destination"]["credentials"] = {
        "type": "authorization_code",
        "application_key": "fake-application-key",
        "client_id": "11",
        "client_secret": "fake-code-client-secret",
        "redirect_uri": "https://app.example.com/oauth/callback",
        "account": "demo-business",
    }
    file = tmp_path / "authorized.json"
    file.write_text(json.dumps(data))
    assert dev.run("connections", "apply", str(file)).returncode == 0

    before = dev.run("connections", "check", "authorized")
    page = json.loads(dev.run("connections", "authorize", "authorized").stdout)["url"]
    allowed = httpx.get(page)
    code = allowed.next_request.url.params["code"] if allowed.next_request else ""
    done = dev.run("connections", "authorize", "authorized", "--code", code)
    after = dev.run("connections", "check", "authorized")

    assert before.returncode == 1
    assert not json.loads(before.stdout)["ok"]
    assert done.returncode == 0, done.stderr
    assert after.returncode == 0, after.stdout


def test_the_endpoint_alone_is_enough_to_find_the_stack(dev: Dev, tmp_path: Path) -> None:
    kept = {name: value for name, value in dev.env.items() if not name.startswith("AWS_")}
    elsewhere = {**kept, "RELAY_LOCAL_STATE": str(tmp_path / "none.json"), "AWS_ENDPOINT_URL": dev.ready["aws"]}

    sent = dev.run("send", "square", "customer.created", env=elsewhere)

    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["url"].startswith(dev.ready["api"])


def test_a_store_is_linked_by_hand(dev: Dev) -> None:
    given = ("--shop", "S-1", "--account", "A-1", "--name", "Acme", "--domain", "https://acme.example.com")

    linked = dev.run("connections", "link-store", "shopify-kangaroo", *given)

    assert linked.returncode == 0, linked.stderr
    assert json.loads(linked.stdout)["link"]["shop_id"] == "S-1"


def test_it_stops_in_order_and_leaves_nothing_behind(tmp_path: Path) -> None:
    running = Dev(tmp_path)

    code = running.stop(signal.SIGINT)

    assert code == 0
    assert not running.state.exists()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{running.ready['aws']}/_ministack/ready", timeout=5)  # noqa: S310 - our own URL
